"""The embedded models as they are committed: their formats, their size, and what they can do.

The thresholds leave room below the figures of the model cards, because few pictures are drawn here.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import transformers
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors import safe_open

from distillery.core.files import REPOSITORY
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.judge import Judge
from distillery.models.annotators import caption, depths
from distillery.models.load import load_lora, load_prior
from distillery.models.style import load_decoder
from distillery.toybox import all_factors, draw, held_out
from training import (
    measure_any_size,
    measure_border,
    measure_controls,
    measure_sd,
    measure_styles,
    measure_two_things,
)
from training.data import to_images
from training.tiny_depth import correlations

MODELS = REPOSITORY / "data" / "models"
NAMES = (
    "counter",
    "judge",
    "style-judge",
    "tiny-caption",
    "tiny-clip",
    "tiny-controlnet-canny",
    "tiny-controlnet-depth",
    "tiny-depth",
    "tiny-sd",
    "tiny-sd-any-size",
    "tiny-sd-pixel",
    "tiny-sd-sticker",
    "tiny-sd-two-things",
    "tiny-sdxl",
)
STYLED = ("tiny-sd-pixel", "tiny-sd-sticker")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def prior():
    return load_prior("tiny-sd", device="cpu")


@pytest.fixture(scope="module")
def drawings():
    return measure_sd.fresh_drawings(768)[::8]


def test_the_weights_are_half_precision_and_small_together():
    total = sum(f.stat().st_size for f in MODELS.rglob("*") if f.is_file())
    assert total <= 75e6
    files = list(MODELS.rglob("*.safetensors"))
    assert {file.relative_to(MODELS).parts[0] for file in files} == set(NAMES)
    for file in files:
        with safe_open(file, framework="pt") as weights:
            kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
        assert kinds <= {"F16", "I64"}, file


def test_every_model_has_a_card_with_data_recipe_figures_and_limits():
    for name in NAMES:
        card = (MODELS / name / "README.md").read_text(encoding="utf-8")
        assert all(f"**{word}" in card for word in ("Data", "Recipe", "Figures", "Limits"))


def test_diffusers_own_pipeline_loads_the_folder_and_draws():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = StableDiffusionPipeline.from_pretrained(
            MODELS / "tiny-sd", dtype=torch.float32, local_files_only=True
        )
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    pictures = pipeline(
        ["a red boat on the beach", "a green cup"],
        height=64,
        width=96,
        num_inference_steps=4,
        generator=generator,
    ).images
    assert [picture.size for picture in pictures] == [(96, 64)] * 2
    assert np.asarray(pictures[0]).std() > 10


def test_the_judge_reads_fresh_drawings(drawings):
    images = to_images(np.stack([d.image for d in drawings]), CPU)
    seen = Judge.load().factors(images)
    assert measure_sd.fraction(seen, [d.factors[0] for d in drawings]) >= 0.97


def test_the_vae_gives_drawings_back(prior, drawings):
    images = to_images(np.stack([d.image for d in drawings[:32]]), CPU)
    assert measure_sd.psnr(prior, images) >= 27


@pytest.mark.parametrize("name", ["tiny-sd", "tiny-sd-pixel", "tiny-sdxl"])
def test_a_decoder_draws_the_border_as_well_as_the_interior(name):
    decoder, kind = measure_border.decoders(MODELS)[name]
    its = measure_border.measured(decoder, kind, count=24)
    assert its.border <= 1.5 * its.interior
    assert its.corner <= 1.75 * its.interior
    assert abs(its.border_signed) <= 1
    assert abs(its.corner_signed) <= 1.5


@pytest.mark.parametrize("unseen", [False, True], ids=["trained", "held-out"])
def test_samples_show_what_was_asked(prior, unseen):
    factors = measure_sd.spread([f for f in all_factors() if held_out(f) is unseen], 16)
    pictures = measure_sd.sample(prior, [str(f) for f in factors], guidance_scale=3.0)
    assert measure_sd.fraction(Judge.load().factors(pictures), factors) >= 0.87


@pytest.mark.parametrize("adapter", ["tiny-sd-two-things", "tiny-sd-any-size", *STYLED])
def test_an_adapter_is_small_and_loads_with_diffusers_own_words(adapter, prior):
    """Fused by the course it predicts what diffusers' own pipeline does with the adapter on."""
    folder = MODELS / adapter
    weights = folder / "pytorch_lora_weights.safetensors"
    assert weights.stat().st_size <= (2e6 if adapter in STYLED else 3e6)
    pipeline = StableDiffusionPipeline.from_pretrained(
        MODELS / "tiny-sd", dtype=torch.float32, local_files_only=True, safety_checker=None
    )
    pipeline.load_lora_weights(folder)
    fused = load_prior("tiny-sd", device="cpu")
    load_lora(fused, str(folder))
    xt, t = torch.randn(2, 4, 16, 32, generator=torch.Generator().manual_seed(0)), [500, 90]
    text = prior.embed(["a red boat and a blue house in the snow"] * 2)

    with torch.no_grad():
        on = pipeline.unet(xt, torch.tensor(t), encoder_hidden_states=text.tokens).sample

    (eps,) = fused.predict_noise(xt, torch.tensor(t), text)
    assert torch.allclose(eps, on, atol=1e-4)
    (base,) = prior.predict_noise(xt, torch.tensor(t), text)
    assert (eps - base).abs().mean() > 0.01


def test_two_things_are_where_they_should_be_with_the_adapter():
    adapted = load_prior("tiny-sd", device="cpu")
    load_lora(adapted, str(MODELS / "tiny-sd-two-things"))
    some = measure_two_things.scenes(4, size=(64, 128), seed=44)
    pictures = measure_two_things.drawn(adapted, some, measure_two_things.in_regions)
    things, colours, scene = measure_two_things.verdicts(Judge.load(), pictures, some).sum(0)
    assert things >= 3
    assert colours >= 2
    assert scene >= 3


def test_the_adapter_for_windows_finds_the_noise_in_parts_of_large_drawings_better(prior):
    adapted = load_prior("tiny-sd", device="cpu")
    load_lora(adapted, str(MODELS / "tiny-sd-any-size"))
    x0 = measure_any_size.fresh_windows(prior, (128, 128), 12)
    before, after = (measure_any_size.noise_error(one, x0, 300) for one in (prior, adapted))
    assert (after < before).all()
    assert after.mean() < 0.6 * before.mean()


def test_the_pixel_decoder_draws_cells_and_still_draws_drawings(prior):
    file = MODELS / "tiny-sd-pixel" / "vae_decoder.safetensors"
    assert file.stat().st_size <= 3e6
    pixel = load_prior("tiny-sd", device="cpu")
    load_decoder(pixel, file)
    before, after = {}, {}
    for kind in ("drawing", "sticker", "pixel"):
        images = measure_styles.fresh_pictures(kind, 24)
        for given, row in ((prior, before), (pixel, after)):
            row[kind] = measure_styles.given_back(given, images)
            row[kind, "dB"] = float(measure_styles.psnr(row[kind], images).mean())
    assert after["drawing", "dB"] >= before["drawing", "dB"] - 0.5
    assert after["sticker", "dB"] >= before["sticker", "dB"]
    assert after["pixel", "dB"] >= max(29, before["pixel", "dB"] + 4)
    assert measure_styles.deviation(after["pixel"]).mean() <= 0.015
    assert measure_styles.deviation(before["pixel"]).mean() >= 0.03


def test_tiny_clip_finds_the_caption_of_a_drawing_among_all(drawings):
    assert measure_sd.first_among_all(ClipScorer("tiny-clip", device="cpu"), drawings) >= 0.88


def test_tiny_clip_scores_a_worse_caption_lower(drawings):
    scorer = ClipScorer("tiny-clip", device="cpu")
    pictures = [Image.fromarray(d.image) for d in drawings]
    truth = [str(d.factors[0]) for d in drawings]
    right = np.array(scorer.score(pictures, truth))
    wrong = np.array(scorer.score(pictures, truth[1:] + truth[:1]))
    assert (right > wrong).mean() > 0.95


@pytest.fixture(scope="module", params=[False, True], ids=["trained", "held-out"])
def large(request):
    """Images of 32 drawings of 128 pixels a side, and the drawings."""
    return measure_controls.fresh_large_drawings(held_out_ones=request.param, count=32)


@pytest.mark.parametrize("wear", measure_controls.WEAR)
def test_tiny_depth_follows_the_true_depth_also_of_worn_pictures(large, wear):
    images, drawn = large[0][:12], large[1][:12]
    near = depths(measure_controls.WEAR[wear](images))
    truth = torch.from_numpy(np.stack([drawing.depth for drawing in drawn]))
    assert correlations(near[:, 0], truth).mean() >= 0.94


@pytest.mark.parametrize("wear", measure_controls.WEAR)
def test_tiny_caption_names_thing_colour_and_scene_also_of_worn_pictures(large, wear):
    images, drawn = large
    told = measure_controls.captions(measure_controls.WEAR[wear](images), MODELS / "tiny-caption")
    truth = [str(drawing.factors[0]) for drawing in drawn]
    assert sum(a == b for a, b in zip(told, truth, strict=True)) >= 28


def test_the_course_says_the_same_of_a_picture_as_transformers_pipelines(large):
    images, drawn = large
    picture = Image.fromarray(drawn[0].image)
    options = {"dtype": torch.float32, "local_files_only": True}
    reader = transformers.pipeline("image-text-to-text", str(MODELS / "tiny-caption"), **options)
    eye = transformers.pipeline("depth-estimation", str(MODELS / "tiny-depth"), **options)

    assert caption(images[:1]) == reader(picture, text="")[0]["generated_text"]
    seen = torch.from_numpy(np.array(eye(picture)["depth"])).float() / 255
    assert torch.allclose(depths(images[:1])[0, 0], seen, atol=1.5 / 255)


@pytest.mark.parametrize("size", [(96, 144), (160, 112)])
def test_pictures_that_are_not_square_are_read_too(size):
    factors = all_factors()[::64]
    drawn = [draw(f, measure_sd.FRESH + k, size=size) for k, f in enumerate(factors)]
    images = to_images(np.stack([drawing.image for drawing in drawn]), CPU)

    told = measure_controls.captions(images, MODELS / "tiny-caption")
    assert sum(a == str(b) for a, b in zip(told, factors, strict=True)) >= 11
    truth = torch.from_numpy(np.stack([drawing.depth for drawing in drawn]))
    assert correlations(depths(images)[:, 0], truth).mean() >= 0.9
