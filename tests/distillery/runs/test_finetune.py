"""Fine-tuning: what is learned from, the loss's arguments, and a LoRA that diffusers reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.models.prior import Condition
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.runs import finetune
from distillery.runs.finetune_data import load_pictures, read_folder
from distillery.runs.finetune_run import Finetuning
from distillery.runs.finetune_settings import FinetuneSettings
from reference import morph

SIZE = (16, 24)
CAPTIONS = ("a red boat", "a blue tree", "a cat")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures with captions."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = []
    for seed, caption in enumerate(CAPTIONS):
        pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
        lines.append(json.dumps({"file_name": f"{seed}.png", "text": caption}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def settings_for(pictures: Path, model: Path, **changes: Any) -> FinetuneSettings:
    its: dict[str, Any] = {"rank": 2, "steps": 3, "batch_size": 4, "size": SIZE, "device": "cpu"}
    its |= {"learning_rate": 0.01, "validation_prompts": ("a boat", "a cat"), "layers": "all"}
    return FinetuneSettings(str(pictures), str(model), **{**its, **changes})


def begun(settings: FinetuneSettings, method: Any = morph) -> Finetuning:
    finetune.check(settings)
    return finetune.begin(finetune.load(settings), method, settings, out=Path("elsewhere"))


def all_steps(run: Finetuning) -> list[float]:
    return [step.figures["loss"].item() for step in run.steps()]


class Noted:
    """A module of functions that writes down what its loss is given."""

    def __init__(self) -> None:
        self.calls: list[SimpleNamespace] = []

    def finetune_loss(
        self, denoiser: Any, x0: Tensor, text: Condition, t: Tensor, eps: Tensor, *rest: Any
    ) -> Tensor:
        self.calls.append(SimpleNamespace(x0=x0, text=text, t=t, eps=eps, rest=rest))
        return morph.finetune_loss(denoiser, x0, text, t, eps, *rest)


@pytest.fixture(params=["sd", "v", "sdxl"])
def model(request: pytest.FixtureRequest) -> Iterator[Path]:
    names = {"sd": "tiny_sd_folder", "v": "tiny_sd_v_folder", "sdxl": "tiny_sdxl_folder"}
    return request.getfixturevalue(names[request.param])


@pytest.mark.parametrize("layers", ["attention", "all"])
def test_diffusers_own_pipeline_loads_the_lora_and_predicts_the_same(
    model: Path, layers: str, pictures: Path, tmp_path: Path
) -> None:
    run = begun(settings_for(pictures, model, layers=layers))
    all_steps(run)
    weights = run.products()["pytorch_lora_weights.safetensors"]
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "pytorch_lora_weights.safetensors").write_bytes(weights)

    is_xl = (model / "text_encoder_2").exists()
    family = StableDiffusionXLPipeline if is_xl else StableDiffusionPipeline
    told = {} if is_xl else {"safety_checker": None}
    pipeline = family.from_pretrained(model, local_files_only=True, **told)
    pipeline.load_lora_weights(tmp_path / "lora")
    prior = run._prior
    xt, t = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0)), [500, 90]
    text = prior.embed(["a red boat", ""])
    added = dict(zip(("text_embeds", "time_ids"), prior._added_conditions(xt, text), strict=is_xl))

    with torch.no_grad():
        on = pipeline.unet(
            xt, torch.tensor(t), encoder_hidden_states=text.tokens, added_cond_kwargs=added
        ).sample
        learned = run.lora.predict(xt, torch.tensor(t), text)

    (base,) = prior.predict_noise(xt, torch.tensor(t), text)
    assert torch.allclose(learned, on, atol=2e-3)
    assert (run.lora.predict_noise(xt, torch.tensor(t), text)[0] - base).abs().max() > 2e-2


def test_it_learns_from_the_encoded_pictures_with_their_captions(
    pictures: Path, tiny_sd_folder: Path
) -> None:
    noted = Noted()
    run = begun(settings_for(pictures, tiny_sd_folder, caption_dropout=0.0), noted)
    all_steps(run)

    prior = run._prior
    latents = prior.encode(load_pictures(read_folder(pictures), SIZE))
    text = prior.embed(CAPTIONS)
    seen = set()
    for call in noted.calls:
        assert call.x0.shape == call.eps.shape == (4, 4, 8, 12)
        assert call.rest == (0, 0.0)
        for x0, tokens in zip(call.x0, call.text.tokens, strict=True):
            row = (latents - x0).abs().amax((1, 2, 3)).argmin()
            assert torch.allclose(x0, latents[row], atol=1e-5)
            assert torch.allclose(tokens, text.tokens[row], atol=1e-5)
            seen.add(int(row))
    assert seen == {0, 1, 2}
    assert len({tuple(call.t.tolist()) for call in noted.calls}) == 3


def test_captions_are_left_out_and_pictures_mirrored_where_that_is_asked(
    pictures: Path, tiny_sd_folder: Path
) -> None:
    noted = Noted()
    run = begun(settings_for(pictures, tiny_sd_folder, caption_dropout=1.0, flip=True), noted)
    all_steps(run)

    uncond = run._prior.embed([""]).tokens
    assert all(torch.allclose(call.text.tokens, uncond.expand(4, -1, -1)) for call in noted.calls)
    images = load_pictures(read_folder(pictures), SIZE)
    both = torch.stack([run._prior.encode(images), run._prior.encode(images.flip(-1))], dim=1)
    assert torch.allclose(run._lessons.style, both, atol=1e-5)
    views = [
        int((both - x0).abs().amax((2, 3, 4)).argmin()) % 2
        for call in noted.calls
        for x0 in call.x0
    ]
    assert {0, 1} == set(views)


def test_half_of_a_batch_is_what_the_model_drew_before(
    pictures: Path, tiny_sd_folder: Path
) -> None:
    noted = Noted()
    settings = settings_for(
        pictures, tiny_sd_folder, prior_weight=0.5, prior_pictures=5, caption_dropout=0.0
    )
    run = begun(settings, noted)
    all_steps(run)

    prior = finetune.load(settings)
    prompts = [CAPTIONS[k % 3] for k in range(5)]
    drawn = prior.sample(
        prompts,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator().manual_seed(settings.seed),
        size=SIZE,
    )
    text = prior.embed(prompts)
    for call in noted.calls:
        assert call.rest == (4, 0.5)
        assert len(call.x0) == 8
        for x0, tokens in zip(call.x0[4:], call.text.tokens[4:], strict=True):
            row = (drawn - x0).abs().amax((1, 2, 3)).argmin()
            assert torch.allclose(x0, drawn[row], atol=1e-4)
            assert torch.allclose(tokens, text.tokens[row], atol=1e-5)


def test_the_sheet_shows_each_prompt_before_and_after(pictures: Path, tiny_sd_folder: Path) -> None:
    run = begun(settings_for(pictures, tiny_sd_folder, learning_rate=0.05))
    untouched = np.asarray(run.sheet())
    all_steps(run)
    sheet = np.asarray(run.sheet())

    height, width = SIZE
    assert sheet.shape == (2 * height + 2, 2 * width + 2, 3)
    assert (untouched[:height] == untouched[-height:]).all()
    assert (sheet[:height] == untouched[:height]).all()
    assert (sheet[-height:] != untouched[-height:]).any()


def test_bfloat16_is_for_the_network_alone(pictures: Path, tiny_sd_folder: Path) -> None:
    full, half = (
        begun(settings_for(pictures, tiny_sd_folder, mixed_precision=name))
        for name in ("no", "bf16")
    )
    one, other = all_steps(full), all_steps(half)
    assert one != other
    assert one == pytest.approx(other, rel=0.02)
    assert all(factor.dtype == torch.float32 for factor in half.lora.parameters())


def test_a_loss_that_is_not_finite_ends_the_run(pictures: Path, tiny_sd_folder: Path) -> None:
    with pytest.raises(CourseError, match="the loss is no longer a finite number; lower"):
        all_steps(begun(settings_for(pictures, tiny_sd_folder, learning_rate=1e30)))


def test_four_captions_are_shown_where_no_prompts_are_given(
    pictures: Path, tiny_sd_folder: Path
) -> None:
    settings = settings_for(pictures, tiny_sd_folder, validation_prompts=None)
    assert finetune.completed(settings).validation_prompts == tuple(sorted(CAPTIONS))


def test_the_sheet_shows_the_beginning_of_a_caption_that_is_no_prompt(
    pictures: Path, tiny_sd_folder: Path
) -> None:
    entries = [{"file_name": path.name, "text": "a " * 1000} for path in pictures.glob("*.png")]
    (pictures / "metadata.jsonl").write_text("".join(f"{json.dumps(its)}\n" for its in entries))
    settings = settings_for(pictures, tiny_sd_folder, validation_prompts=None)
    assert finetune.completed(settings).validation_prompts == ("a " * 500,)


def test_the_size_follows_the_model_and_other_defaults_too(
    tiny_sd_folder: Path, tmp_path: Path
) -> None:
    for name, side, layers in (("tiny-sd", 64, "all"), ("sdxl", 1024, "attention")):
        settings = FinetuneSettings("somewhere", name)
        assert (settings.size, settings.layers) == ((side, side), layers)
    FinetuneSettings("somewhere", "tiny-sd").save(tmp_path / "run.yaml")
    changed = FinetuneSettings.load(tmp_path / "run.yaml", model="tiny-sdxl")
    assert changed.size == (128, 128)


def test_pictures_that_change_make_other_ingredients(pictures: Path, tiny_sd_folder: Path) -> None:
    settings = settings_for(pictures, tiny_sd_folder)
    first = begun(settings).ingredients
    assert begun(settings).ingredients == first
    Image.new("RGB", SIZE[::-1], "red").save(pictures / "1.png")
    assert begun(settings).ingredients != first


def test_a_model_without_a_unet_is_refused(pictures: Path) -> None:
    settings = settings_for(pictures, Path("exact"))
    with pytest.raises(CourseError, match="exact has no UNet for a LoRA"):
        begun(settings)


def test_the_prior_draws_as_before_once_a_lora_has_learned(
    pictures: Path, tiny_sd_folder: Path
) -> None:
    run = begun(settings_for(pictures, tiny_sd_folder))
    prior = run._prior
    assert isinstance(prior, StableDiffusionPrior)
    xt, t, text = torch.ones(1, 4, 8, 12), torch.tensor([400]), prior.embed(["a cat"])
    (before,) = prior.predict_noise(xt, t, text)
    all_steps(run)
    assert torch.equal(prior.predict_noise(xt, t, text)[0], before)


def test_it_goes_on_from_a_lora_that_was_trained(
    pictures: Path, tiny_sd_folder: Path, tmp_path: Path
) -> None:
    first = begun(settings_for(pictures, tiny_sd_folder))
    all_steps(first)
    (tmp_path / "pytorch_lora_weights.safetensors").write_bytes(first.lora.saved())

    second = begun(settings_for(pictures, tiny_sd_folder, start=str(tmp_path)))
    for learned, taken in zip(first.lora.parameters(), second.lora.parameters(), strict=True):
        assert torch.equal(taken, learned.half().float())
        assert taken.requires_grad
    all_steps(second)
    pairs = zip(first.lora.parameters(), second.lora.parameters(), strict=True)
    assert any((one - other).abs().max() > 1e-3 for one, other in pairs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"rank": 3}, "another model, rank"), ({"layers": "attention"}, "other layers")],
)
def test_a_lora_of_another_form_cannot_be_gone_on_from(
    changes: dict[str, Any], words: str, pictures: Path, tiny_sd_folder: Path, tmp_path: Path
) -> None:
    saved = begun(settings_for(pictures, tiny_sd_folder)).lora.saved()
    (tmp_path / "pytorch_lora_weights.safetensors").write_bytes(saved)
    with pytest.raises(CourseError, match=words):
        begun(settings_for(pictures, tiny_sd_folder, start=str(tmp_path), **changes))


def test_a_lora_to_go_on_from_that_is_not_there(pictures: Path, tiny_sd_folder: Path) -> None:
    with pytest.raises(CourseError, match="cannot use the LoRA weights '/nowhere'"):
        begun(settings_for(pictures, tiny_sd_folder, start="/nowhere"))
