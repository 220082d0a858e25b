from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.models.exact import GaussianMixturePrior
from distillery.pixelart import clip_choice
from distillery.pixelart.begin import PixelArt, begin
from distillery.pixelart.clip_choice import favourite, moments
from distillery.pixelart.settings import PixelSettings
from distillery.runs.checkpoint import load_checkpoint, save_checkpoint
from distillery.runs.run import Step
from reference import pixelart

CPU = torch.device("cpu")


def settings(**changes: object) -> PixelSettings:
    values = {"model": "exact", "size": (8, 12), "side": 39, "palette": "rgb-2", "start": "noise"}
    few = {"steps": 8, "learning_rate": 1.0, "warmup": 0, "choices": 4}
    return PixelSettings("a boat", **{**values, **few, **changes})


def begun(**changes: object) -> PixelArt:
    means = torch.randn(2, 4, 32, 48, generator=torch.Generator().manual_seed(0))
    prior = GaussianMixturePrior(means, std=0.3, names={"a boat": [0]})
    return begin(prior, pixelart, settings(**changes))


def liking(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> list[Image.Image]:
    """Let CLIP give these scores; the pictures that it will be shown."""
    seen: list[Image.Image] = []

    class Scorer:
        def __init__(self, name: str, *, device: torch.device) -> None:
            assert name == "ViT-B-32:openai"

        def score(self, images: list[Image.Image], prompts: list[str]) -> list[float]:
            assert prompts == ["a boat"] * len(scores)
            seen.extend(images)
            return scores

    monkeypatch.setattr(clip_choice, "ClipScorer", Scorer)
    return seen


def painted(*levels: int) -> list[Image.Image]:
    return [Image.new("L", (6, 4), level).convert("P") for level in levels]


def test_the_best_is_the_favourite_and_of_equals_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    liking(monkeypatch, [0.2, 0.7, 0.7, 0.1])

    assert favourite(painted(0, 80, 160, 240), settings(), device=CPU) == 2


def test_one_picture_alone_needs_no_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_choice, "ClipScorer", None)

    assert favourite(painted(0), settings(), device=CPU) == 0


def test_the_tiny_models_are_scored_by_tiny_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(clip_choice, "ClipScorer", lambda name, *, device: asked.append(name))

    with pytest.raises(AttributeError):  # that scorer scores nothing
        favourite(painted(0, 1), PixelSettings("a boat"), device=CPU)

    assert asked == ["tiny-clip"]


@pytest.mark.parametrize(
    ("steps", "choices", "expected"),
    [
        (200, 4, [124, 149, 174, 199]),
        (201, 2, [150, 200]),
        (200, 1, []),
        (5, 8, [3, 4]),
        (1, 8, [0]),
    ],
)
def test_moments_are_evenly_spaced_over_the_second_half_with_the_last(
    steps: int, choices: int, expected: list[int]
) -> None:
    assert moments(settings(steps=steps, choices=choices)) == expected


@pytest.mark.parametrize(("best", "steps"), [(0, 5), (1, 6), (2, 7), (3, 8)])
def test_a_run_ends_as_it_was_at_the_moment_that_clip_likes_best(
    monkeypatch: pytest.MonkeyPatch, best: int, steps: int
) -> None:
    plain = begun(choices=1)
    states = [plain.canvas.logits.detach().clone()]
    states += [step.canvas.render().detach().clone() for step in plain.steps()]
    seen = liking(monkeypatch, [float(number == best) for number in range(4)])
    chosen = begun()

    for step in chosen.steps():
        assert torch.equal(chosen.canvas.logits, states[step.index + 1])

    assert torch.equal(chosen.canvas.logits, states[steps])
    assert chosen.moments.taken == steps - 1
    wanted = plain.start.palette[states[steps].argmax(dim=1)[0]]
    levels = np.asarray(seen[best].resize((12, 8), Image.Resampling.NEAREST))
    assert np.array_equal((wanted * 255).round().numpy(), levels)


def test_a_run_that_goes_on_still_chooses_among_the_moments_before_the_stop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    liking(monkeypatch, [0.0, 1.0, 0.0, 0.0])
    whole = begun()
    steps: list[Step] = []
    for step in whole.steps():
        if step.index == 6:
            save_checkpoint(tmp_path / "checkpoint.pt", step, settings())
        steps.append(step)
    later = begun()

    for _ in later.steps(load_checkpoint(tmp_path / "checkpoint.pt", settings())):
        pass

    assert len(steps) == 8
    assert later.moments.taken == 5
    assert torch.equal(later.canvas.logits, whole.canvas.logits)


def test_without_a_choice_the_end_is_kept_and_clip_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clip_choice, "ClipScorer", None)
    made = begun(choices=1)

    last = [step.canvas.render().detach().clone() for step in made.steps()][-1]

    assert torch.equal(made.canvas.logits, last)
    assert made.moments.taken is None
