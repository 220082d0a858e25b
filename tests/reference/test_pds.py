"""What PDS and DDS are, by closed forms and by the exact prior."""

from __future__ import annotations

from typing import NoReturn

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from distillery.methods.settings import Settings
from distillery.methods.source_image import Source
from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import Condition
from distillery.models.schedule import scaled_linear_alphas_cumprod
from distillery.runs.canvas import LatentCanvas
from distillery.runs.optimise import distill, objective
from grading.stages.known_answers import Answer
from grading.stages.pds import variants as variants
from reference import pds

# psi of the published convention (stride 2, beta of one step) as other people computed it.
PUBLISHED = {21: 1.613, 51: 0.651, 101: 0.314, 301: 0.0794, 501: 0.0321, 901: 0.0062}


def level(t: int) -> Tensor:
    return scaled_linear_alphas_cumprod()[t].view(1, 1, 1, 1)


def psi_chi(alpha_bar: Tensor, alpha_bar_prev: Tensor, beta: Tensor) -> tuple[float, float]:
    """The weights of the two differences, read off `stochastic_latent` itself.

    z is linear in the clean picture (which shapes xt and xt_prev) and in eps_hat.
    """
    posterior = pds.posterior_coefficients(alpha_bar, alpha_bar_prev, beta)

    def z(x0: float, eps_hat: float) -> float:
        one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
        xt, xt_prev = alpha_bar.sqrt() * x0 * one, alpha_bar_prev.sqrt() * x0 * one
        return float(pds.stochastic_latent(xt, xt_prev, eps_hat * one, alpha_bar, posterior))

    return z(1.0, 0.0), z(0.0, 1.0)


@pytest.mark.parametrize("t", PUBLISHED)
def test_the_published_stride_leaves_a_pull_to_the_source(t: int) -> None:
    psi, chi = psi_chi(level(t), level(t - 2), 1 - level(t) / level(t - 1))
    assert psi == pytest.approx(PUBLISHED[t], rel=0.02)
    assert chi > 0


@pytest.mark.parametrize("t", [21, 301, 901])
@pytest.mark.parametrize("stride", [1, 2, 20])
def test_coefficients_of_the_jump_itself_leave_none(t: int, stride: int) -> None:
    psi, _ = psi_chi(level(t), level(t - stride), 1 - level(t) / level(t - stride))
    assert abs(psi) < 1e-9


@pytest.mark.parametrize("t", [50, 400, 990])
def test_the_coefficients_are_those_of_diffusers(t: int) -> None:
    scheduler = DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        variance_type="fixed_small",
        clip_sample=False,
    )
    g = torch.Generator().manual_seed(0)
    xt, eps_hat = torch.randn(2, 2, 4, 6, 5, generator=g)
    alpha_bar, alpha_bar_prev = level(t).float(), level(t - 1).float()

    c0, c1, sigma = pds.posterior_coefficients(
        alpha_bar, alpha_bar_prev, 1 - alpha_bar / alpha_bar_prev
    )
    x0_hat = (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()
    # With the noise of a generator, diffusers' step is mean + sigma z.
    step = scheduler.step(eps_hat, t, xt, generator=torch.Generator().manual_seed(1)).prev_sample
    z = torch.randn(xt.shape, generator=torch.Generator().manual_seed(1))

    torch.testing.assert_close(c0 * x0_hat + c1 * xt + sigma * z, step, rtol=1e-4, atol=1e-4)


def test_the_stochastic_latent_is_the_noise_that_lands_on_the_next_level() -> None:
    g = torch.Generator().manual_seed(0)
    xt, eps_hat, z = torch.randn(3, 2, 4, 3, 5, generator=g)
    alpha_bar = torch.tensor([0.3, 0.8]).view(2, 1, 1, 1)
    posterior = pds.posterior_coefficients(
        alpha_bar, alpha_bar + 0.1, torch.tensor([0.2, 0.05]).view(2, 1, 1, 1)
    )
    x0_hat = (xt - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()
    xt_prev = posterior.c0 * x0_hat + posterior.c1 * xt + posterior.sigma * z

    found = pds.stochastic_latent(xt, xt_prev, eps_hat, alpha_bar, posterior)

    torch.testing.assert_close(found, z, rtol=1e-4, atol=1e-4)


class Edit:
    """Two latents, what they show, and the noises, on a mixture of two pictures."""

    def __init__(self) -> None:
        g = torch.Generator().manual_seed(5)
        means = torch.randn(2, 4, 3, 5, generator=g)
        self.prior = GaussianMixturePrior(means, std=0.4, names={"old": [0], "new": [1]})
        self.x0, self.x0_src, self.eps, self.eps_prev = torch.randn(4, 2, 4, 3, 5, generator=g)
        self.t = torch.tensor([150, 620])

    def embed(self, name: str) -> Condition:
        return self.prior.embed([name] * 2)

    def pds(self, eps_prev: Tensor | None = None, scale: float = 7.5) -> Tensor:
        """The gradient of `pds_loss`."""
        x0 = self.x0.clone().requires_grad_()
        conditions = (self.embed("new"), self.embed("old"), self.embed(""))
        noises = (self.eps, self.eps_prev if eps_prev is None else eps_prev)
        pds.pds_loss(self.prior, x0, self.x0_src, self.t, *noises, *conditions, scale).backward()
        return x0.grad

    def dds(self, scale: float = 7.5) -> Tensor:
        x0 = self.x0.clone().requires_grad_()
        conditions = (self.embed("new"), self.embed("old"), self.embed(""))
        pds.dds_loss(self.prior, x0, self.x0_src, self.t, self.eps, *conditions, scale).backward()
        return x0.grad


def test_pds_is_psi_times_the_change_plus_chi_times_dds() -> None:
    edit = Edit()
    psi, chi = zip(
        *[psi_chi(level(t), level(t - 2), 1 - level(t) / level(t - 1)) for t in (150, 620)],
        strict=True,
    )
    weights = torch.tensor([psi, chi]).view(2, 2, 1, 1, 1)

    expected = weights[0] * (edit.x0 - edit.x0_src) + weights[1] * edit.dds()

    torch.testing.assert_close(edit.pds(), expected, rtol=1e-3, atol=1e-3)


def test_the_noise_at_the_earlier_level_cancels() -> None:
    edit = Edit()
    other = torch.randn(edit.eps.shape, generator=torch.Generator().manual_seed(9))
    torch.testing.assert_close(edit.pds(), edit.pds(eps_prev=other), rtol=1e-3, atol=1e-4)


def test_an_edit_that_asks_for_nothing_else_and_changed_nothing_stays() -> None:
    edit = Edit()
    edit.x0_src = edit.x0.clone()
    edit.embed = lambda name: edit.prior.embed(["" if name == "" else "old"] * 2)
    assert edit.pds().abs().max() < 1e-5
    assert edit.dds().abs().max() < 1e-5


def test_the_two_of_a_batch_do_not_hear_each_other() -> None:
    edit = Edit()
    together = edit.pds()
    edit.x0[1] += 1
    torch.testing.assert_close(edit.pds()[0], together[0])


def distilled(identity: float, method: str = "pds") -> Tensor:
    """An edit of "old" into "new", from the middle of the old picture."""
    edit = Edit()
    x0 = edit.prior.means[:1].float().expand(2, -1, -1, -1)
    settings = Settings(
        "old",
        edit_prompt="new",
        loss_type=method,
        model="exact",
        steps=150,
        learning_rate=0.1,
        identity=identity,
    )
    generator = torch.Generator().manual_seed(0)
    loss = objective(
        {"pds": pds.loss, "dds": pds.dds}[method],
        edit.prior,
        prompts=["new"] * 2,
        settings=settings,
        generator=generator,
        source=Source(x0, edit.embed("old")),
    )
    canvas = LatentCanvas.starting_at(x0)
    for _ in distill(canvas, loss, prior=edit.prior, settings=settings, generator=generator):
        pass
    change = canvas.render().detach() - x0
    wanted = (edit.prior.means[1] - edit.prior.means[0]).float()
    return (change * wanted).sum((1, 2, 3)) / wanted.square().sum()


def test_the_more_identity_the_less_of_the_way_is_gone() -> None:
    ways = [float(distilled(identity).mean()) for identity in (0.0, 1.0, 20.0)]
    assert ways[0] > ways[1] > ways[2] > 0
    assert float(distilled(1.0, "dds").mean()) > ways[1]


def pull(edit: Edit) -> Tensor:
    """The gradient of `identity_pull`."""
    x0 = edit.x0.clone().requires_grad_()
    source = Source(edit.x0_src, edit.embed("old"))
    pds.identity_pull(edit.prior, x0, source, edit.t).backward()
    assert x0.grad is not None
    return x0.grad


def test_the_published_pull_is_psi_times_the_distance() -> None:
    edit = Edit()
    psi = [psi_chi(level(t), level(t - 2), 1 - level(t) / level(t - 1))[0] for t in (150, 620)]
    expected = torch.tensor(psi).view(2, 1, 1, 1) * (edit.x0 - edit.x0_src)
    torch.testing.assert_close(pull(edit), expected, rtol=1e-3, atol=1e-5)


class Silent(GaussianMixturePrior):
    """A mixture that must not be asked for noise."""

    def predict_noise(self, *args: object, **options: object) -> NoReturn:
        raise AssertionError("the network is called")


def test_the_pull_costs_no_call_of_the_network() -> None:
    edit = Edit()
    edit.prior = Silent(edit.prior.means, std=0.4, names={"old": [0], "new": [1]})
    assert pull(edit).abs().max() > 0


# Right spellings of pds_loss by the step they take: those with a pull, and those without.
PULLING = (variants.pds_in_closed_form, variants.pds_with_four_conditions)
FREE = (variants.pds_of_the_step_before, variants.pds_of_an_exact_jump)


@pytest.mark.parametrize("answer", PULLING, ids=lambda answer: answer.name)
def test_another_spelling_of_the_published_step_has_the_same_pull(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pull(Edit())
    monkeypatch.setattr(pds, "pds_loss", answer.function)
    torch.testing.assert_close(pull(Edit()), expected, rtol=1e-3, atol=1e-5)


def gradient(identity: float) -> Tensor:
    """Of one whole step, `pds.loss`."""
    edit = Edit()
    x0 = edit.x0.clone().requires_grad_()
    settings = Settings("old", loss_type="pds", model="exact", identity=identity)
    pds.loss(
        edit.prior,
        x0,
        text=edit.embed("new"),
        uncond=edit.embed(""),
        step=0,
        settings=settings,
        generator=torch.Generator().manual_seed(0),
        source=Source(edit.x0_src, edit.embed("old")),
    ).backward()
    assert x0.grad is not None
    return x0.grad


@pytest.mark.parametrize("answer", FREE, ids=lambda answer: answer.name)
def test_identity_takes_nothing_away_where_there_is_no_pull(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = gradient(1.0)
    assert (gradient(0.15) - published).abs().max() > 0.05 * published.abs().max()
    monkeypatch.setattr(pds, "pds_loss", answer.function)

    torch.testing.assert_close(gradient(0.15), gradient(1.0), rtol=1e-4, atol=1e-4)


def test_identity_1_is_pds_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    before = gradient(1.0)
    monkeypatch.setattr(pds, "identity_pull", lambda *args: pytest.fail("the pull is asked"))
    assert torch.equal(gradient(1.0), before)
