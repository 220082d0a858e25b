"""The drawings of a film, round by round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from distillery.methods.morph import path_of
from distillery.methods.morph_drawing import Drawing
from distillery.methods.morph_frames import frame_positions
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.morph.look import look_at
from distillery.morph.rounds import Rounds
from reference import morph as reference

STEPS = 3
PROMPTS = ("a red disc", "a blue square", "a green disc")


def drawing(prior: Prior, prompts: Sequence[str] = PROMPTS, **options: object) -> Drawing:
    path = path_of(prior, prompts, range(len(prompts)), guidance_scale=2.0, **options)
    return Drawing(prior, reference, path, prior.timesteps(STEPS), prior.latent_size)


def drawn(rounds: Rounds) -> Tensor:
    for length in rounds.lengths:
        *_, last = steps = list(rounds.steps())
        assert len(steps) == length
        rounds.take(last.xt)
    return rounds.latents


@pytest.fixture(scope="module")
def exact() -> Prior:
    return load_prior("exact")


def pixels(latents: Tensor) -> list[Tensor]:
    return [latents.flatten(1)]


@pytest.mark.parametrize(
    "how",
    [{}, {"look": lambda: pixels}, {"strength": 0.5}, {"smoothing": 2.0}],
    ids=["uniform", "even", "chain", "smoothed"],
)
@pytest.mark.parametrize("loop", [False, True])
def test_keyframes_are_alike_whatever_is_drawn_between_them(
    how: dict, loop: bool, exact: Prior
) -> None:
    places = frame_positions(3, 11, loop=loop)
    keys = places == places.round()

    latents = drawn(Rounds(drawing(exact, loop=loop), places, **how))

    assert latents.shape == (11, 3, 16, 16)
    alone = drawn(Rounds(drawing(exact), places[keys]))
    assert torch.equal(latents[keys], alone)


def test_frames_in_a_chain_move_less(exact: Prior) -> None:
    places = frame_positions(2, 9)

    def moved(**how: float) -> float:
        return float(
            drawn(Rounds(drawing(exact, PROMPTS[:2]), places, **how))[:-1].diff(dim=0).norm()
        )

    assert moved(strength=0.4) < 0.9 * moved()


def test_stretches_are_smoothed_apart(exact: Prior) -> None:
    two = drawn(Rounds(drawing(exact, PROMPTS[:2]), frame_positions(2, 6), smoothing=2.0))
    three = drawn(Rounds(drawing(exact), frame_positions(3, 11), smoothing=2.0))

    assert torch.allclose(two, three[:6], atol=1e-5)


@pytest.mark.parametrize("loop", [False, True])
def test_an_even_film_has_all_its_frames_where_nothing_moves(loop: bool, exact: Prior) -> None:
    places = frame_positions(3, 14, loop=loop)
    path = {"text": "hold", "noise": "hold", "loop": loop}

    rounds = Rounds(drawing(exact, **path), places, look=lambda: pixels)

    assert len(drawn(rounds)) == 14


def test_all_frames_may_be_keyframes(exact: Prior) -> None:
    rounds = Rounds(drawing(exact), frame_positions(3, 3), look=lambda: pixels)

    assert rounds.lengths == [STEPS]
    assert len(drawn(rounds)) == 3


def test_a_round_goes_on_after_any_step(exact: Prior) -> None:
    places = frame_positions(3, 8, loop=True)
    whole, stopped = (Rounds(drawing(exact, loop=True), places) for _ in range(2))
    for _ in range(2):
        first, *others = list(whole.steps())
        again = list(stopped.steps(1, first.xt))
        assert [step.index for step in again] == [1, 2]
        assert torch.equal(others[-1].xt, again[-1].xt)
        whole.take(others[-1].xt)
        stopped.take(again[-1].xt)


@pytest.mark.parametrize("text", ["stones", "slerp", "lerp"])
def test_a_model_in_half_precision_has_its_noise_and_latents_in_full(
    text: str, tiny_sdxl_folder: Path
) -> None:
    prior = load_prior(tiny_sdxl_folder, device="cpu", dtype="bfloat16")

    latents = drawn(Rounds(drawing(prior, text=text), frame_positions(3, 6)))

    assert latents.dtype == torch.float32
    assert latents.isfinite().all()


def test_what_is_seen_are_pixels_and_what_a_classifier_sees(tiny_sd_folder: Path) -> None:
    latents = torch.randn(3, 4, 8, 8)
    own = load_prior(tiny_sd_folder, device="cpu")
    (coarse,) = look_at(own, str(tiny_sd_folder))(latents)
    assert coarse.shape == (3, 3, 16, 16)

    ours = load_prior("tiny-sd", device="cpu")
    seen = look_at(ours, "tiny-sd")(torch.randn(3, 4, 16, 16))
    assert [len(part) for part in seen] == [3, 3]
    assert seen[0].shape == (3, 3, 32, 32)
