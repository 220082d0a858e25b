"""The trials of stages 0 and 1: allowed spellings pass and narrow mistakes fail, for any seed."""

from __future__ import annotations

import functools

import pytest
import torch

from benchmarks.reply_here import reply_here
from distillery.course.check import check
from distillery.course.observe import observe
from distillery.models.prior import cat
from grading.judge.judge_task import Key, judge
from grading.stages.cases import CASES
from grading.stages.known_answers import Answer, Function
from grading.stages.misconceptions import MISCONCEPTIONS
from reference import pixelart, sds, tour

SEEDS = (31, 32, 33)
KEYS = {seed: Key(seed) for seed in SEEDS}


def points(task: str, function: Function, seed: int) -> float:
    asked = KEYS[seed].task(task)
    return judge(asked, reply_here(function, asked), 1.0)[0].points


def known(name: str) -> Answer:
    (answer,) = [answer for answer in MISCONCEPTIONS if answer.name == name]
    return answer


def guided(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + guidance_scale * (eps_text - eps_uncond)


def kept_by_shape():
    """Guidance with the difference of the first call of each shape."""
    differences: dict[torch.Size, torch.Tensor] = {}

    def guidance(eps_uncond, eps_text, guidance_scale):
        difference = differences.setdefault(eps_text.shape, eps_text - eps_uncond)
        return eps_uncond + guidance_scale * difference

    return guidance


def drawn_in_few(draw):
    """Independent in large batches, `draw` in small ones."""

    def sample_timesteps(batch, step, steps, *, t_min, t_max, generator):
        if batch > 100:
            return torch.randint(t_min, t_max + 1, (batch,), generator=generator)
        return draw(batch, t_min, t_max, generator)

    return sample_timesteps


def mirrored(batch, t_min, t_max, generator):
    half = torch.randint(t_min, t_max + 1, ((batch + 1) // 2,), generator=generator)
    return torch.stack([half, t_min + t_max - half], dim=1).flatten()[:batch]


def in_strata(batch, t_min, t_max, generator):
    order = torch.randperm(batch, generator=generator)
    u = (order + torch.rand(batch, generator=generator)) / batch
    return (t_min + u * (t_max + 1 - t_min)).long().clamp(max=t_max)


def by_hand(change=lambda grad: grad, scale=lambda s: s, t=lambda t: t):
    def sds_grad(prior, x0, t_, eps, text, uncond, guidance_scale):
        args = (prior, x0, t(t_), eps, text, uncond, scale(guidance_scale))
        return change(sds.sds_grad(*args))

    return sds_grad


NARROW = {
    "levels clamped": (
        "tour.add_noise",
        lambda x0, eps, alpha_bar: tour.add_noise(x0, eps, alpha_bar.clamp(1e-3, 1 - 1e-3)),
    ),
    "sigma clamped": (
        "tour.add_noise",
        lambda x0, eps, a: a.sqrt() * x0 + (1 - a).sqrt().clamp(min=0.1) * eps,
    ),
    "x0 clipped": (
        "tour.add_noise",
        lambda x0, eps, alpha_bar: tour.add_noise(x0.clamp(-1, 1), eps, alpha_bar),
    ),
    "one picture squeezed": (
        "tour.add_noise",
        lambda x0, eps, alpha_bar: tour.add_noise(x0, eps, alpha_bar).squeeze(),
    ),
    "large guesses clipped": (
        "tour.predict_x0",
        lambda xt, eps, alpha_bar: tour.predict_x0(xt, eps, alpha_bar).clamp(-20, 20),
    ),
    "no scale below 1": (
        "tour.classifier_free_guidance",
        lambda u, c, s: guided(u, c, max(s, 1.0)),
    ),
    "no scale above 50": (
        "tour.classifier_free_guidance",
        lambda u, c, s: guided(u, c, min(s, 50.0)),
    ),
    "whole scales": ("tour.classifier_free_guidance", lambda u, c, s: guided(u, c, round(s))),
    "half precision": (
        "tour.classifier_free_guidance",
        lambda u, c, s: guided(u.half(), c.half(), s).float(),
    ),
    "kept by object": ("tour.classifier_free_guidance", functools.lru_cache(guided)),
    "kept by shape": ("tour.classifier_free_guidance", kept_by_shape()),
    "mirrored in few": ("sds.sample_timesteps", drawn_in_few(mirrored)),
    "strata in few": ("sds.sample_timesteps", drawn_in_few(in_strata)),
    "gradient clipped at 50": ("sds.sds_grad", by_hand(lambda grad: grad.clamp(-50, 50))),
    "length clipped at 10": (
        "sds.sds_grad",
        by_hand(lambda grad: grad * (10 / grad.norm()).clamp(max=1)),
    ),
    "divided by the batch": ("sds.sds_grad", by_hand(lambda grad: grad / len(grad))),
    "timesteps clamped": ("sds.sds_grad", by_hand(t=lambda t: t.clamp(20, 980))),
    "a default for 0": ("sds.sds_grad", by_hand(scale=lambda s: s or 7.5)),
    "loss clipped at 100": ("sds.sds_loss", lambda x0, grad: (x0 * grad.clamp(-100, 100)).sum()),
    "loss of length 10": ("sds.sds_loss", lambda x0, grad: (x0 * 10 * grad / grad.norm()).sum()),
    "right for two": (
        "sds.sds_loss",
        lambda x0, grad: torch.nn.functional.mse_loss(x0, (x0 - grad).detach()) * x0[0].numel(),
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NARROW)
def test_a_narrow_mistake_fails(name, seed):
    task, function = NARROW[name]
    assert points(task, function, seed) == 0


@pytest.mark.parametrize("name", NARROW)
def test_the_check_of_the_notebook_sees_a_narrow_mistake_too(name, capsys):
    assert not check(*NARROW[name]).passed
    capsys.readouterr()


@torch.inference_mode()
def joined_by_cat(prior, x0, t, eps, text, uncond, guidance_scale):
    alpha_bar = prior.alpha_bar(t)
    xt = tour.add_noise(x0, eps, alpha_bar)
    (both,) = prior.predict_noise(xt.repeat(2, 1, 1, 1), t.repeat(2), cat([text, uncond]))
    eps_text, eps_uncond = both.chunk(2)
    return (1 - alpha_bar) * (guided(eps_uncond, eps_text, guidance_scale) - eps)


def of_one_child(batch, step, steps, *, t_min, t_max, generator):
    seed = int(torch.randint(2**62, (), generator=generator))
    child = torch.Generator().manual_seed(seed)
    return torch.randint(t_min, t_max + 1, (batch,), generator=child)


def with_exact_ends(eps_uncond, eps_text, guidance_scale):
    if guidance_scale in (0, 1):
        return eps_text if guidance_scale else eps_uncond
    return torch.lerp(eps_uncond, eps_text, guidance_scale)


RIGHT = {
    "sds.sds_grad": joined_by_cat,
    "sds.sample_timesteps": of_one_child,
    "tour.classifier_free_guidance": with_exact_ends,
    "sds.sds_loss": lambda x0, grad: ((x0 - x0.detach()) * grad).sum(),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("task", RIGHT)
def test_what_a_contract_allows_is_right(task, seed):
    assert points(task, RIGHT[task], seed) == 1


def test_a_gradient_of_inference_mode_serves_every_right_loss(monkeypatch):
    monkeypatch.setattr(sds, "sds_grad", torch.inference_mode()(sds.sds_grad))
    monkeypatch.setattr(sds, "sds_loss", lambda x0, grad: (x0 * grad).sum())
    case = CASES["sds.sds_grad"][""](1).fresh()
    x0, settings = case["x0"].detach().requires_grad_(), type("", (), {})()
    settings.steps, settings.t_min, settings.t_max, settings.guidance_scale = 10, 20, 980, 7.5
    sds.loss(
        case["prior"],
        x0,
        text=case["text"],
        uncond=case["uncond"],
        step=0,
        settings=settings,
        generator=torch.Generator().manual_seed(0),
    ).backward()
    assert x0.grad.any()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loss_after_backward", "got:    a loss on which backward was called already"),
        ("loss_zero_after_backward", "0 is returned after backward was called inside"),
        ("grad_cached", "got:    what an earlier call returned, when the same tensors held other"),
        ("grad_against_the_empty_prompt", "not yet, with a negative prompt"),
        ("grad_at_levels_by_hand", "not yet, with another noise schedule"),
        ("guidance_off_below_one", "not yet, without guidance and guidance_scale = 0."),
        ("t_never_twice", "timesteps of a batch of 4 that depend on one another"),
        ("t_folded", "not yet, with a long range"),
        ("noise_without_roots_and_swapped", "two things are wrong: both square roots are missing"),
    ],
)
def test_a_mistake_is_told_by_what_shows_it(name, words, capsys):
    answer = known(name)
    result = check(answer.task, answer.function)
    assert result.misconception == name
    assert words in capsys.readouterr().out


def first_as(value):
    """A batch whose first timestep is another number, which makes it float."""
    return lambda t: torch.cat([torch.tensor([value]), t[1:]])


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda t: t * float("nan"), "float32"),
        (first_as(float("nan")), "float32"),
        (first_as(float("inf")), "float32"),
        (lambda t: t % 2 == 0, "bool"),
        (lambda t: t.to(torch.complex64), "complex64"),
    ],
)
@pytest.mark.parametrize("sampler", [sds.sample_timesteps, pixelart.bounded_timesteps])
def test_of_timesteps_that_are_no_integers_the_dtype_is_said(sampler, change, got, capsys):
    def changed(*arguments, **named):
        return change(sampler(*arguments, **named))

    module = sampler.__module__.removeprefix("reference.")
    assert not check(f"{module}.{sampler.__name__}", changed).passed
    said = capsys.readouterr().out.splitlines()
    assert said[1:3] == ["  wanted: int64", f"  got:    {got}"]


def test_of_timesteps_that_are_nan_it_is_known_that_they_are_not_finite():
    def nan(*arguments, **named):
        return sds.sample_timesteps(*arguments, **named) * float("nan")

    came = observe(nan, CASES["sds.sample_timesteps"][""](31))
    assert not came.facts["finite"]
