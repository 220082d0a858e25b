from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path as File

import pytest
import torch
from torch import Tensor

from distillery.methods import ddim
from distillery.methods.morph import Path, path_of
from distillery.methods.morph_drawing import (
    Drawing,
    decoded,
    drawn_after,
    keyframes_drawn,
    steps_between,
)
from distillery.models.exact import GaussianMixturePrior
from distillery.models.stable_diffusion import load
from reference import morph

SIZE = (4, 6)
STD, GUIDANCE, STEPS = 0.4, 3.0, 12


def mixture() -> GaussianMixturePrior:
    means = torch.randn(3, 4, *SIZE, generator=torch.Generator().manual_seed(2))
    return GaussianMixturePrior(means, STD, names={"first": [0], "second": [1], "third": [2]})


def drawing(**options: object) -> Drawing:
    prior = mixture()
    path = path_of(
        prior,
        ["first", "second"],
        [7, 8],
        negative_prompt="third",
        guidance_scale=GUIDANCE,
    )
    return Drawing(prior, morph, replace(path, **options), prior.timesteps(STEPS), SIZE, 2)


def finished(its: Drawing, positions: Tensor) -> Tensor:
    *_, last = steps_between(its, positions)
    return last.xt


def closed_form(its: Drawing, noise: Tensor, a: Tensor) -> Tensor:
    """DDIM's steps in float64 to a Gaussian, whose distance to its mean each step scales."""
    assert isinstance(its.prior, GaussianMixturePrior)
    first, second, away = its.prior.means
    asked = torch.lerp(first, second, a.double().view(-1, 1, 1, 1))
    mean = away + GUIDANCE * (asked - away)
    levels = its.prior.alphas_cumprod.double()[its.timesteps]
    offset = noise.double() - levels[0].sqrt() * mean
    for now, then in pairwise(levels):
        v = now * STD**2 + 1 - now
        offset *= ((now * then).sqrt() * STD**2 + ((1 - now) * (1 - then)).sqrt()) / v
    return levels[-1].sqrt() * mean + offset


@pytest.mark.parametrize("noise", ["slerp", "lerp", "hold"])
def test_mixed_scores_between_two_gaussians_give_the_gaussian_between_them(noise):
    its = drawing(noise=noise)
    positions = torch.tensor([0.0, 0.2, 0.5, 0.51, 0.9, 1.0])
    expected = closed_form(its, its.noise(positions), positions)
    assert (finished(its, positions) - expected).abs().max() < 1e-5


def test_a_path_of_one_frame_is_drawn_as_in_a_batch():
    its = drawing()
    positions = torch.tensor([0.3, 0.6, 0.8])
    together = finished(its, positions)
    for k in range(3):
        alone = finished(its, positions[k : k + 1])
        assert torch.allclose(alone, together[k : k + 1], atol=1e-6)


def test_a_path_resumes_from_any_step_to_the_same_bytes():
    its = drawing()
    positions = torch.tensor([0.25, 0.5, 0.75])
    steps = list(steps_between(its, positions))
    *_, last = steps_between(its, positions, start=5, xt=steps[4].xt)
    assert torch.equal(last.xt, steps[-1].xt)


FORMATS = ["tiny_sd_folder", "tiny_sd_v_folder", "tiny_sdxl_folder"]


@pytest.mark.parametrize("negative", ["", "blurry"])
@pytest.mark.parametrize("name", FORMATS)
def test_keyframes_are_the_single_pictures_to_the_byte(name, negative, request):
    folder: File = request.getfixturevalue(name)
    family = "sdxl" if folder.name == "sdxl" else "sd"
    prior = load(family, str(folder), device="cpu", dtype=torch.float32, offline=True)
    prompts, seeds = ["a red boat", "a blue house", "a cat"], [3, 4, 5]
    path = path_of(prior, prompts, seeds, negative_prompt=negative, loop=True)
    its = Drawing(prior, morph, path, prior.timesteps(3), (8, 12))
    keyframes = keyframes_drawn(its)
    assert len(keyframes) == 4
    assert torch.equal(keyframes[0], keyframes[3])
    pictures = decoded(prior, keyframes)
    for k, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        noise = torch.randn((1, 4, 8, 12), generator=torch.Generator().manual_seed(seed))
        *_, last = ddim.sample(
            prior,
            noise,
            text=prior.embed([prompt]),
            uncond=prior.embed([negative]),
            guidance_scale=path.guidance_scale,
            timesteps=prior.timesteps(3),
        )
        assert torch.equal(keyframes[k : k + 1], last.xt)
        assert torch.equal(pictures[k : k + 1], prior.decode(last.xt))


def test_a_film_by_stones_mixes_at_first_and_goes_by_the_text_between_later(tiny_sd_folder):
    prior = load("sd", str(tiny_sd_folder), device="cpu", dtype=torch.float32, offline=True)
    its = {
        text: Drawing(
            prior,
            morph,
            path_of(prior, ["a cat", "a dog"], [3, 4], text=text),
            prior.timesteps(4),
            (8, 12),
        )
        for text in ("stones", "mix", "slerp")
    }
    positions = torch.tensor([0.5])
    steps = {text: list(steps_between(drawing, positions)) for text, drawing in its.items()}
    assert prior.timesteps(4).tolist() == [751, 501, 251, 1, 0]
    assert torch.equal(steps["stones"][1].xt, steps["mix"][1].xt)
    late = list(steps_between(its["slerp"], positions, start=2, xt=steps["mix"][1].xt))
    assert torch.equal(steps["stones"][-1].xt, late[-1].xt)
    assert not torch.allclose(steps["stones"][-1].xt, steps["mix"][-1].xt)


@pytest.mark.parametrize("text", ["stones", "mix", "slerp", "lerp", "hold"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_path_begins_and_ends_at_its_keyframes_with_every_format_and_precision(
    text, dtype, tiny_sdxl_folder
):
    prior = load("sdxl", str(tiny_sdxl_folder), device="cpu", dtype=dtype, offline=True)
    path = path_of(prior, ["a red boat", "a blue house"], [3, 4], text=text, negative_prompt="no")
    its = Drawing(prior, morph, path, prior.timesteps(3), (8, 12))
    frames = finished(its, torch.tensor([0.0, 0.5, 1.0]))
    assert frames.dtype == torch.float32
    near = 1e-5 if dtype == torch.float32 else 0.1
    assert (frames[[0, 2]] - keyframes_drawn(its)).abs().max() < near
    if text != "hold":
        assert not torch.allclose(frames[1], frames[2], atol=1e-3)


def test_a_frame_grows_from_the_one_before_it():
    its = drawing()
    before = torch.zeros(1, 4, *SIZE)
    position = torch.tensor([0.5])
    free = finished(its, position)
    far = [
        float((drawn_after(its, before, position, first=first) - free).norm())
        for first in (1, 6, 11)
    ]
    assert far == sorted(far)
    kept = drawn_after(its, free, position, first=11)
    assert (kept - free).norm() < 0.1 * free.norm()


def test_the_negative_prompt_and_the_guidance_reach_every_frame():
    its = drawing()
    other = replace(its, path=replace(its.path, uncond=mixture().embed(["first"])))
    weaker = replace(its, path=replace(its.path, guidance_scale=1.0))
    position = torch.tensor([0.5])
    assert not torch.allclose(finished(its, position), finished(other, position), atol=0.1)
    assert not torch.allclose(finished(its, position), finished(weaker, position), atol=0.1)


def test_a_path_has_a_seed_and_a_prompt_for_every_keyframe():
    path = path_of(mixture(), ["first", "second", "third"], [1, 2, 3], loop=True)
    assert isinstance(path, Path)
    assert path.seeds == (1, 2, 3, 1)
    assert torch.equal(path.keyframes.tokens[0], path.keyframes.tokens[3])
