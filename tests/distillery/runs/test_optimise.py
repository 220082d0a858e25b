from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.methods.settings import Settings
from distillery.models.exact import GaussianMixturePrior
from distillery.runs.canvas import Canvas, LatentCanvas, PixelCanvas
from distillery.runs.checkpoint import load_checkpoint, save_checkpoint
from distillery.runs.optimise import LossFunction, distill, learning_rate_at

STEPS = 12


def mixture() -> GaussianMixturePrior:
    means = torch.randn(3, 4, 6, 10, generator=torch.Generator().manual_seed(7))
    return GaussianMixturePrior(means, std=0.1, names={"wanted": [1]})


def settings(**changes: object) -> Settings:
    return Settings(**{"prompt": "wanted", "model": "exact", "steps": STEPS, **changes})


def score_distillation(
    prior: GaussianMixturePrior, batch: int, generator: torch.Generator
) -> LossFunction:
    """SDS on the exact prior, as plainly as it can be written."""
    text = prior.embed(["wanted"] * batch)

    def loss(x0: torch.Tensor, index: int) -> torch.Tensor:
        t = torch.randint(20, 981, (batch,), generator=generator)
        eps = torch.randn(x0.shape, generator=generator)
        alpha_bar = prior.alpha_bar(t)
        xt = alpha_bar.sqrt() * x0.detach() + (1 - alpha_bar).sqrt() * eps
        grad = (1 - alpha_bar) * (prior.predict_noise(xt, t, text)[0] - eps)
        return (x0 * grad).sum()

    return loss


def start(seed: int, kind: str = "latents") -> tuple[Canvas, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    if kind == "latents":
        return LatentCanvas(2, 4, 6, 10, generator=generator), generator
    return PixelCanvas(2, 6, 10, generator=generator), generator


def run(canvas: Canvas, generator: torch.Generator, run_settings: Settings, **options: Any):
    prior = mixture()
    loss = score_distillation(prior, 2, generator)
    return distill(canvas, loss, prior=prior, settings=run_settings, generator=generator, **options)


def test_the_canvas_moves_into_the_mode_of_the_prompt() -> None:
    canvas, generator = start(seed=0)

    indices = [step.index for step in run(canvas, generator, settings(steps=200))]

    assert indices == list(range(200))
    distance = (canvas.render()[:, None] - mixture().means).square().mean(dim=(2, 3, 4)).sqrt()
    assert (distance.argmin(dim=1) == 1).all()
    assert (distance[:, 1] < 0.2).all()


def test_a_quarter_of_the_effort_computes_every_fourth_step_and_yields_all() -> None:
    canvas, generator = start(seed=0)
    seen = [canvas.render().detach().clone()]
    indices = []
    for step in run(canvas, generator, settings(steps=12), effort=0.25):
        seen.append(canvas.render().detach().clone())
        indices.append(step.index)

    moved = [not torch.equal(*pair) for pair in itertools.pairwise(seen)]
    assert indices == list(range(12))
    assert [index for index, has in enumerate(moved) if has] == [0, 3, 7, 11]


def test_a_picture_canvas_reaches_the_loss_through_the_encoder() -> None:
    canvas, generator = start(seed=0, kind="images")
    before = canvas.render().detach().clone()

    step = next(run(canvas, generator, settings()))

    assert step.loss.shape == ()
    assert not torch.equal(canvas.render(), before)


@pytest.mark.parametrize("kind", ["latents", "images"])
def test_a_resumed_run_gives_the_same_picture_bit_for_bit(tmp_path: Path, kind: str) -> None:
    whole, generator = start(0, kind)
    losses = [step.loss for step in run(whole, generator, settings())]
    broken_off, generator = start(0, kind)
    for step in itertools.islice(run(broken_off, generator, settings()), 5):
        save_checkpoint(tmp_path / "checkpoint.pt", step, settings())

    resumed, generator = start(99, kind)
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt", settings())
    steps = list(run(resumed, generator, settings(), resume=checkpoint))

    assert [step.index for step in steps] == list(range(5, STEPS))
    assert torch.equal(torch.stack([step.loss for step in steps]), torch.stack(losses[5:]))
    assert torch.equal(resumed.render(), whole.render())


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    step = next(run(*start(0), settings()))
    save_checkpoint(tmp_path / "checkpoint.pt", step, settings())

    with pytest.raises(CourseError, match="its seed is 0 and the run's is 1"):
        load_checkpoint(tmp_path / "checkpoint.pt", settings(seed=1))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, next(run(*start(0), settings())), settings())
    atomic_write(path, path.read_bytes()[:500])

    with pytest.raises(CourseError, match="missing or damaged"):
        load_checkpoint(path, settings())
    with pytest.raises(CourseError, match="missing or damaged"):
        load_checkpoint(tmp_path / "none.pt", settings())


def test_nothing_in_the_loop_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(name: str) -> None:
        original = getattr(torch.Tensor, name)

        def guarded(self: torch.Tensor, *args: object) -> object:
            # AdamW reads its own step counter, which lives on the CPU.
            if not sys._getframe(1).f_globals["__name__"].startswith("torch.optim"):
                raise AssertionError(f"Tensor.{name} was called in the loop")
            return original(self, *args)

        monkeypatch.setattr(torch.Tensor, name, guarded)

    canvas, generator = start(0, "images")
    stream = run(canvas, generator, settings())
    for name in ("item", "cpu", "tolist", "numpy", "__bool__", "__float__", "__int__"):
        forbid(name)

    assert len(list(stream)) == STEPS


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_nothing_in_the_loop_waits_for_cuda() -> None:
    prior = GaussianMixturePrior(torch.randn(3, 4, 6, 10), std=0.1, device="cuda")
    generator = torch.Generator("cuda").manual_seed(0)
    canvas = LatentCanvas(2, 4, 6, 10, generator=generator)
    text, t = prior.embed(["", ""]), torch.tensor([5, 900], device="cuda")

    def loss(x0: torch.Tensor, index: int) -> torch.Tensor:
        return (x0 * prior.predict_noise(x0.detach(), t, text)[0]).sum()

    stream = distill(canvas, loss, prior=prior, settings=settings(), generator=generator)
    next(stream)
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(stream)) == STEPS - 1
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_learning_rate_rises_in_a_line_and_falls_as_a_cosine() -> None:
    s = settings(steps=110, warmup=10, learning_rate=0.1)
    rates = [learning_rate_at(index, s) for index in range(110)]

    assert rates[:10] == pytest.approx([0.01 * (index + 1) for index in range(10)])
    assert rates[10] == pytest.approx(0.1)
    assert rates[60] == pytest.approx(0.05)
    assert 0 < rates[109] < 1e-4


def test_what_is_left_out_is_the_models_default_and_an_explicit_value_is_obeyed() -> None:
    assert Settings("a boat", model="sd15").guidance_scale == 25
    assert Settings("a boat", model="sd15", loss_type="pds").guidance_scale == 7.5
    assert Settings("a boat", model="sd15", steps=50).warmup == 5
    assert Settings("a boat", model="sd15", guidance_scale=3, warmup=0).guidance_scale == 3
    assert Settings("a boat", warmup=0).warmup == 0


def test_settings_survive_the_file(tmp_path: Path) -> None:
    original = settings(prompt="凍った川: 'a' \"b\" # 1", negative_prompt="low quality", seed=3)

    original.save(tmp_path / "run.yaml")

    assert Settings.load(tmp_path / "run.yaml") == original


def test_a_name_alone_on_file_is_enough(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("prompt: a boat\nguidance_scale: 3\n")

    assert Settings.load(tmp_path / "run.yaml") == Settings("a boat", guidance_scale=3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompt: a boat\nsedd: 3\n", "unknown setting sedd; the known ones are prompt"),
        ("a boat", "must hold settings"),
        ("steps: 3", "among them prompt"),
        ("prompt: [", "not YAML"),
        ("prompt: 3", "prompt must be text"),
        ("prompt: a boat\nmodel: [1]", "model must be text"),
        ("prompt: a boat\nsteps: many", "steps must be a whole number"),
        ("prompt: a boat\nseed: true", "seed must be a whole number"),
        ("prompt: a boat\nguidance_scale: .nan", "guidance_scale must be a finite number"),
    ],
)
def test_an_unfit_file_is_refused_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "run.yaml").write_text(text)

    with pytest.raises(CourseError, match=words):
        Settings.load(tmp_path / "run.yaml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="cannot read settings"):
        Settings.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "x" * 10_000}, "1000 characters; it has 10000"),
        ({"prompt": "\udcff"}, "not valid text"),
        ({"negative_prompt": "x" * 1001}, "negative_prompt may have 1000"),
        ({"loss_type": "sdss"}, "unknown loss 'sdss': choose sds, pds, dds, vsd"),
        ({"model": "sd99"}, "unknown model 'sd99'"),
        ({"implementation": "mine"}, "implementation must be one of reference, guidance"),
        ({"steps": 0}, "steps must be a whole number from 1"),
        ({"warmup": STEPS + 1}, "warmup must be a whole number from 0 to 12"),
        ({"learning_rate": 0}, "learning_rate must be a finite number above 0"),
        ({"seed": -1}, "seed must be"),
        ({"t_min": 500, "t_max": 400}, "t_min must be a whole number from 0 to 400"),
        ({"t_max": 1000}, "t_max must be a whole number from 0 to 999"),
    ],
)
def test_a_value_out_of_range_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(CourseError, match=words):
        settings(**changes)


def test_settings_cannot_be_changed_after_the_fact() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().seed = 4
