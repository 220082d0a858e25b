from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from distillery.methods import csd, ism, sdi
from distillery.methods.ddim import invert
from distillery.methods.settings import Settings
from distillery.models.exact import GaussianMixturePrior
from distillery.models.parameterization import ddim_step
from distillery.models.prior import Condition
from distillery.runs.canvas import LatentCanvas
from distillery.runs.optimise import distill, objective

METHODS = pytest.mark.parametrize("method", [csd, sdi, ism], ids=["csd", "sdi", "ism"])
BATCH, SHAPE, STD = 3, (4, 3, 5), 0.3


class Witness(GaussianMixturePrior):
    """Notes the timesteps and the number of branches of every call."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.calls: list[tuple[Tensor, int]] = []

    def predict_noise(self, xt: Tensor, t: Tensor, *conditions: Condition) -> tuple[Tensor, ...]:
        self.calls.append((t, len(conditions)))
        return super().predict_noise(xt, t, *conditions)


def mixture(components: int = 3) -> Witness:
    means = torch.randn(components, *SHAPE, generator=torch.Generator().manual_seed(7))
    names = {"wanted": [components // 2]}
    return Witness(means, STD, names=names)


def settings(**changes: object) -> Settings:
    return Settings(**{"prompt": "wanted", "model": "exact", "loss_type": "sds", **changes})


def latents(seed: int = 0) -> Tensor:
    return torch.randn(BATCH, *SHAPE, generator=torch.Generator().manual_seed(seed))


def conditions(prior: GaussianMixturePrior, batch: int = BATCH) -> tuple[Condition, Condition]:
    return prior.embed(["wanted"] * batch), prior.embed([""] * batch)


def loss_of(method: ModuleType, prior: GaussianMixturePrior, x0: Tensor, **changes: Any) -> Tensor:
    """The loss of one step with the generator at a fixed seed."""
    text, uncond = conditions(prior, len(x0))
    arguments = {
        "text": text,
        "uncond": uncond,
        "step": 30,
        "settings": settings(steps=100),
        "generator": torch.Generator().manual_seed(5),
        **changes,
    }
    return method.loss(prior, x0, **arguments)


def grad_of(
    method: ModuleType, prior: GaussianMixturePrior, x0: Tensor, t: Tensor, scale: float = 3.0
) -> Tensor:
    """The method's gradient with all its randomness fixed; ISM's interval ends at t."""
    text, uncond = conditions(prior, len(x0))
    if method is csd:
        return csd.csd_grad(prior, x0, t, 0.5 * x0.flip(3), text, uncond)
    if method is sdi:
        return sdi.sdi_grad(prior, x0, t, text, uncond, scale)
    return ism.ism_grad(prior, x0, t - 15, t, text, uncond, scale)


def along_the_path(prior: GaussianMixturePrior, x0: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """xt and its eps on the exact path of a single Gaussian, float64.

    There (xt - sqrt(alpha_bar) mu) / std_t stays the same all the way up.
    """

    def level(t: Tensor) -> tuple[Tensor, Tensor]:
        alpha_bar = prior.alpha_bar(t).double()
        return alpha_bar, (alpha_bar * STD**2 + 1 - alpha_bar).sqrt()

    mean = prior.means
    alpha_bar_0, std_0 = level(torch.zeros_like(t))
    alpha_bar, std_t = level(t)
    constant = (x0.double() - alpha_bar_0.sqrt() * mean) / std_0
    return alpha_bar.sqrt() * mean + std_t * constant, (1 - alpha_bar).sqrt() / std_t * constant


T = torch.tensor([60, 400, 900])


# ---------------------------------------------------------------- what all three have in common


@METHODS
def test_the_loss_has_exactly_the_gradient_that_the_paper_prescribes(
    method: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior, x0 = mixture(), latents().requires_grad_()
    name = f"{method.__name__.rsplit('.', 1)[1]}_grad"
    returned: list[Tensor] = []
    compute = getattr(method, name)
    monkeypatch.setattr(
        method, name, lambda *given: returned.append(compute(*given)) or returned[-1]
    )

    loss = loss_of(method, prior, x0)
    (3 * loss).backward()

    assert loss.shape == ()
    assert torch.equal(x0.grad, 3 * returned[0])
    assert returned[0].abs().max() > 0


@METHODS
def test_the_gradient_keeps_no_graph_and_leaves_the_latents_alone(method: ModuleType) -> None:
    prior, x0 = mixture(), latents().requires_grad_()
    before = x0.detach().clone()

    grad = grad_of(method, prior, x0, T)

    assert not grad.requires_grad
    assert grad.shape == x0.shape
    assert grad.dtype == torch.float32
    assert torch.equal(x0, before)


@METHODS
def test_the_latents_of_a_batch_do_not_influence_one_another(method: ModuleType) -> None:
    prior, x0 = mixture(), latents()

    together = grad_of(method, prior, x0, T)

    alone = [grad_of(method, prior, x0[i : i + 1], T[i : i + 1]) for i in range(BATCH)]
    torch.testing.assert_close(together, torch.cat(alone))


@METHODS
def test_the_same_seed_gives_the_same_bits(method: ModuleType) -> None:
    first, second = (latents().requires_grad_() for _ in range(2))

    for x0 in (first, second):
        torch.manual_seed(id(x0) % 1000)  # the global generator has no say
        loss_of(method, mixture(), x0).backward()

    assert torch.equal(first.grad, second.grad)


@pytest.mark.parametrize(
    ("method", "branches"),
    [
        (csd, [2]),
        (sdi, [2] * (sdi.INVERSION_STEPS + 1)),
        (ism, [1] * (ism.INVERSION_STEPS + 1) + [2]),
    ],
    ids=["csd", "sdi", "ism"],
)
def test_a_step_calls_the_network_as_often_as_it_says(
    method: ModuleType, branches: list[int]
) -> None:
    prior = mixture()

    loss_of(method, prior, latents())

    assert [count for _, count in prior.calls] == branches


@METHODS
def test_the_picture_is_judged_at_timesteps_within_the_range_of_the_settings(
    method: ModuleType,
) -> None:
    prior, generator = mixture(), torch.Generator().manual_seed(0)
    run = settings(steps=40, t_min=300, t_max=310)

    seen = []
    for step in range(run.steps):
        loss_of(method, prior, latents(), step=step, settings=run, generator=generator)
        seen.append(prior.calls[-1][0])

    levels = torch.stack(seen)
    assert levels.shape == (40, BATCH)
    assert (levels.min(), levels.max()) == (300, 310)


def distilled(method: ModuleType, prior: GaussianMixturePrior, guidance_scale: float) -> Tensor:
    """How far two pictures of the wanted component end from each mean, per value: (2, K)."""
    run = settings(steps=200, learning_rate=0.05, guidance_scale=guidance_scale)
    generator = torch.Generator().manual_seed(1)
    canvas = LatentCanvas(2, *SHAPE, generator=generator)
    loss = objective(method.loss, prior, prompts=["wanted"] * 2, settings=run, generator=generator)
    for _ in distill(canvas, loss, prior=prior, settings=run, generator=generator):
        pass
    return (canvas.render()[:, None] - prior.means).square().mean(dim=(2, 3, 4)).sqrt()


@METHODS
def test_distilling_ends_nearest_to_the_picture_that_the_prompt_names(method: ModuleType) -> None:
    distance = distilled(method, mixture(), guidance_scale=3.0)

    assert (distance.argmin(dim=1) == 1).all()


@pytest.mark.parametrize("method", [sdi, ism], ids=["sdi", "ism"])
def test_distilling_a_single_gaussian_ends_at_its_mean(method: ModuleType) -> None:
    distance = distilled(method, mixture(components=1), guidance_scale=1.0)

    assert (distance < STD).all()


# ------------------------------------------------------------------------------ DDIM backwards


def test_a_step_is_that_of_diffusers() -> None:
    prior, xt, eps = mixture(), latents(1), latents(2)
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    scheduler.set_timesteps(10)
    high, low = torch.tensor([700]), torch.tensor([600])

    down, _ = ddim_step(xt, eps, prior.alpha_bar(high), prior.alpha_bar(low))

    torch.testing.assert_close(down, scheduler.step(eps, 700, xt).prev_sample)
    up, _ = ddim_step(down, eps, prior.alpha_bar(low), prior.alpha_bar(high))
    torch.testing.assert_close(up, xt)


def test_inversion_follows_the_exact_path_of_a_gaussian_to_the_timestep_of_every_latent() -> None:
    prior, x0 = mixture(components=1), latents()
    (everything, _) = conditions(prior)

    xt = invert(
        prior, x0, T, steps=900, predict=lambda xt, t: prior.predict_noise(xt, t, everything)[0]
    )

    exact, _ = along_the_path(prior, x0, T)
    torch.testing.assert_close(xt, exact.float(), atol=0.02, rtol=0.02)


# -------------------------------------------------------------------------------- one by one


def test_csd_is_the_slope_of_sds_in_the_guidance_scale() -> None:
    prior, x0 = mixture(), latents()
    text, uncond = conditions(prior)
    eps, alpha_bar = latents(3), prior.alpha_bar(T)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    eps_uncond, eps_text = prior.predict_noise(xt, T, uncond, text)

    def sds(scale: float) -> Tensor:
        return (1 - alpha_bar) * (eps_uncond + scale * (eps_text - eps_uncond) - eps)

    grad = csd.csd_grad(prior, x0, T, eps, text, uncond)

    torch.testing.assert_close(grad, (sds(9.0) - sds(4.0)) / 5)
    assert grad[2].abs().max() > 0.01


def test_csd_vanishes_where_the_prompt_changes_nothing() -> None:
    prior = mixture()
    same = prior.embed(["wanted"] * BATCH)

    assert not csd.csd_grad(prior, latents(), T, latents(1), same, same).any()


def test_sdi_falls_in_a_straight_line_from_the_highest_timestep_to_the_lowest() -> None:
    levels = [
        sdi.falling_timesteps(2, step, 5, t_min=20, t_max=980, device=torch.device("cpu"))
        for step in range(5)
    ]

    assert torch.stack(levels).tolist() == [[t, t] for t in (980, 740, 500, 260, 20)]
    alone = sdi.falling_timesteps(1, 0, 1, t_min=20, t_max=980, device=torch.device("cpu"))
    assert alone.tolist() == [980]


def test_sdi_agrees_with_the_exact_path_of_a_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdi, "INVERSION_STEPS", 900)
    prior, x0 = mixture(components=1), latents()

    grad = grad_of(sdi, prior, x0, T)

    alpha_bar = prior.alpha_bar(T).double()
    xt, eps = along_the_path(prior, x0, T)
    kappa = (xt - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
    expected = (1 - alpha_bar) * (eps - kappa)
    torch.testing.assert_close(grad, expected.float(), atol=0.02, rtol=0.02)


def test_sdi_inverts_with_the_guidance_turned_round() -> None:
    prior, x0 = mixture(), latents()
    text, uncond = conditions(prior)

    def guided(scale: float, xt: Tensor, t: Tensor) -> Tensor:
        eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
        return (1 - scale) * eps_uncond + scale * eps_text

    xt = invert(prior, x0, T, steps=sdi.INVERSION_STEPS, predict=lambda xt, t: guided(-4.0, xt, t))
    alpha_bar = prior.alpha_bar(T)
    kappa = (xt - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()

    grad = sdi.sdi_grad(prior, x0, T, text, uncond, 4.0)

    expected = (1 - alpha_bar) * (guided(4.0, xt, T) - kappa)
    torch.testing.assert_close(grad, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", [sdi, ism], ids=["sdi", "ism"])
def test_the_gradient_points_from_the_mean_of_a_gaussian_and_is_zero_there(
    method: ModuleType,
) -> None:
    prior = mixture(components=1)
    away = latents()
    mean = prior.means.float().expand(BATCH, -1, -1, -1)

    grad = grad_of(method, prior, mean + away, T)

    cosine = torch.cosine_similarity(grad.flatten(1), away.flatten(1))
    assert (cosine > 0.99).all()
    at_the_mean = grad_of(method, prior, mean, T)
    assert at_the_mean.abs().max() < 0.02 * grad.abs().max()


def test_ism_agrees_with_the_exact_path_of_a_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ism, "INVERSION_STEPS", 900)
    prior, x0 = mixture(components=1), latents()
    text, uncond = conditions(prior)
    s = T - 1

    grad = ism.ism_grad(prior, x0, s, T, text, uncond, 4.0)

    eps_s, eps_t = (along_the_path(prior, x0, t)[1] for t in (s, T))
    expected = (1 - prior.alpha_bar(T)) * (eps_t - eps_s).float()
    torch.testing.assert_close(grad, expected, atol=1e-5, rtol=0.03)


def test_ism_over_an_interval_of_nothing_is_guidance_at_the_inverted_latents() -> None:
    prior, x0 = mixture(), latents()
    text, uncond = conditions(prior)
    xt = invert(
        prior,
        x0,
        T,
        steps=ism.INVERSION_STEPS,
        predict=lambda xt, t: prior.predict_noise(xt, t, uncond)[0],
    )
    eps_uncond, eps_text = prior.predict_noise(xt, T, uncond, text)

    grad = ism.ism_grad(prior, x0, T, T, text, uncond, 4.0)

    expected = (1 - prior.alpha_bar(T)) * 4.0 * (eps_text - eps_uncond)
    torch.testing.assert_close(grad, expected, atol=1e-5, rtol=1e-4)
    assert not ism.ism_grad(prior, x0, T, T, uncond, uncond, 4.0).abs().max() > 1e-5


def test_ism_begins_its_interval_at_zero_where_t_is_less_than_the_interval() -> None:
    prior = mixture()

    loss_of(ism, prior, latents(), settings=settings(t_min=5, t_max=ism.DELTA_T - 5))

    assert prior.calls[-2][0].tolist() == [0] * BATCH
