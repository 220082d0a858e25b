"""What VSD is: the difference of two scores, and two learners in turn."""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.methods.settings import Settings
from distillery.models.exact import GaussianMixturePrior
from distillery.runs.canvas import LatentCanvas
from distillery.runs.optimise import distill, objective
from reference import sds, vsd

T = torch.tensor([150, 620])


def clouds() -> GaussianMixturePrior:
    """Two clouds of pictures of two values."""
    means = torch.tensor([[-3.0, 0.0], [3.0, 1.0]]).view(2, 2, 1, 1)
    return GaussianMixturePrior(means, std=1.0, names={"left": [0]})


def latents(seed: int) -> Tensor:
    return torch.randn(2, 2, 1, 1, generator=torch.Generator().manual_seed(seed))


def test_where_both_denoisers_agree_nothing_moves() -> None:
    prior = clouds()
    text, uncond = prior.embed(["left"] * 2), prior.embed([""] * 2)
    grad = vsd.vsd_grad(prior, prior, latents(1), T, latents(2), text, uncond, 1.0)
    assert grad.abs().max() < 1e-6


def test_against_a_second_denoiser_that_knows_the_noise_it_is_sds() -> None:
    prior, x0, eps = clouds(), latents(1), latents(2)
    text, uncond = prior.embed(["left"] * 2), prior.embed([""] * 2)

    class Knows:
        def predict_noise(self, xt: Tensor, t: Tensor, *conditions: object) -> tuple[Tensor]:
            return (eps,)

    torch.testing.assert_close(
        vsd.vsd_grad(prior, Knows(), x0, T, eps, text, uncond, 7.5),
        sds.sds_grad(prior, x0, T, eps, text, uncond, 7.5),
    )


class OfTheParticles:
    """The exact denoiser of the particles' own distribution, smoothed a little: an ideal LoRA."""

    def __init__(self, canvas: LatentCanvas) -> None:
        self.canvas = canvas

    def predict_noise(self, xt: Tensor, t: Tensor, text: object) -> tuple[Tensor, ...]:
        own = GaussianMixturePrior(self.canvas.render().detach(), std=0.3)
        return own.predict_noise(xt, t, own.embed([""] * len(xt)))


def spread(method: str) -> Tensor:
    """The standard deviation of 120 particles that were asked for the left cloud."""
    prior, generator = clouds(), torch.Generator().manual_seed(0)
    canvas = LatentCanvas(120, 2, 1, 1, generator=generator, init_scale=2.0)
    settings = Settings(
        "left",
        model="exact",
        loss_type=method,
        steps=300,
        learning_rate=0.05,
        guidance_scale=1.0,
    )
    given = {"lora": OfTheParticles(canvas)} if method == "vsd" else {}
    loss = objective(
        {"sds": sds.loss, "vsd": vsd.loss}[method],
        prior,
        prompts=["left"] * 120,
        settings=settings,
        generator=generator,
        **given,
    )
    for _ in distill(canvas, loss, prior=prior, settings=settings, generator=generator):
        pass
    particles = canvas.render().detach().flatten(1)
    torch.testing.assert_close(particles.mean(0), torch.tensor([-3.0, 0.0]), atol=0.4, rtol=0)
    return particles.std(0)


def test_with_an_ideal_lora_the_particles_fill_the_cloud_that_sds_collapses() -> None:
    """The cloud's standard deviation is 1."""
    assert spread("sds").mean() < 0.4
    filled = spread("vsd")
    assert ((filled > 0.7) & (filled < 1.3)).all()


def test_stale_gradients_and_the_other_learners_are_forgotten() -> None:
    """Both losses lean on both learners; each still moves by its own slope alone."""
    particle, lora = (torch.nn.Parameter(torch.tensor([value])) for value in (2.0, 5.0))
    particle.grad, lora.grad = torch.tensor([100.0]), torch.tensor([100.0])
    optimisers = [torch.optim.SGD([p], lr=0.1) for p in (particle, lora)]

    loss = vsd.alternating_step(
        lambda: (particle * lora + particle**2).sum(),
        lambda: (lora * particle).sum(),
        *optimisers,
    )

    assert float(loss) == 2 * 5 + 4
    assert not loss.requires_grad
    # d/dx of x y + x^2 at (2, 5) is 9; then d/dy of y x at the new x, 1.1.
    torch.testing.assert_close(particle.detach(), torch.tensor([1.1]))
    torch.testing.assert_close(lora.detach(), torch.tensor([5.0 - 0.11]))
