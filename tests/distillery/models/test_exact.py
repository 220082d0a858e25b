from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from distillery.core.errors import CourseError
from distillery.models.exact import GaussianDenoiser, GaussianMixturePrior, demonstration_mixture
from distillery.models.prior import Condition, cat

NAMES = {"pair": [0, 2], "one": [1]}


def mixture(channels: int = 4) -> GaussianMixturePrior:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(3, channels, 3, 5, generator=generator)
    return GaussianMixturePrior(means, 0.3, torch.tensor([0.5, 0.2, 0.3]), NAMES)


def score_by_autograd(
    prior: GaussianMixturePrior, xt: torch.Tensor, t: int, chosen: list[int]
) -> torch.Tensor:
    """grad log p(xt) by torch.distributions; `xt` is one latent in float64."""
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)[chosen]
    alpha_bar = prior.alphas_cumprod[t].double()
    std = (alpha_bar * prior.std**2 + 1 - alpha_bar).sqrt()
    components = Normal(alpha_bar.sqrt() * prior.means[chosen], std)
    xt = xt.clone().requires_grad_()
    density = MixtureSameFamily(Categorical(weights), Independent(components, 3))
    return torch.autograd.grad(density.log_prob(xt), xt)[0]


@pytest.mark.parametrize(("prompt", "chosen"), [("", [0, 1, 2]), ("pair", [0, 2]), ("one", [1])])
def test_eps_is_the_scaled_score_of_the_noised_mixture(prompt: str, chosen: list[int]) -> None:
    prior = mixture()
    xt = torch.randn(4, 4, 3, 5, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0, 20, 500, 999])

    (eps,) = prior.predict_noise(xt, t, prior.embed([prompt] * 4))

    scores = [score_by_autograd(prior, xt[i].double(), int(t[i]), chosen) for i in range(4)]
    expected = -(1 - prior.alpha_bar(t)).sqrt() * torch.stack(scores).float()
    torch.testing.assert_close(eps, expected, atol=1e-5, rtol=1e-5)
    assert eps.dtype == torch.float32


def test_every_condition_gets_its_own_eps_in_order() -> None:
    prior = mixture()
    xt, t = torch.randn(2, 4, 3, 5), torch.tensor([100, 700])
    conditions = [prior.embed(prompts) for prompts in (["", "one"], ["pair", ""], ["one", "one"])]

    together = prior.predict_noise(xt, t, *conditions)

    assert len(together) == 3
    for eps, condition in zip(together, conditions, strict=True):
        torch.testing.assert_close(eps, prior.predict_noise(xt, t, condition)[0])


def test_no_gradient_passes_through_the_prior() -> None:
    prior = mixture()
    xt = torch.randn(2, 4, 3, 5, requires_grad=True)

    (eps,) = prior.predict_noise(xt, torch.tensor([5, 6]), prior.embed(["", ""]))

    assert not eps.requires_grad


def test_samples_of_a_prompt_lie_within_its_component() -> None:
    prior = mixture()

    x0 = prior.sample(
        ["one"] * 5, guidance_scale=1.0, steps=50, generator=torch.Generator().manual_seed(0)
    )

    distance = (x0.double() - prior.means[1]).square().mean(dim=(1, 2, 3)).sqrt()
    assert x0.shape == (5, 4, 3, 5)
    assert (distance < 0.6).all()


def test_the_unconditional_samples_visit_several_components() -> None:
    prior = mixture()

    x0 = prior.sample([""] * 30, guidance_scale=1.0, generator=torch.Generator().manual_seed(0))

    nearest = (x0[:, None].double() - prior.means).square().sum(dim=(2, 3, 4)).argmin(dim=1)
    assert set(nearest.tolist()) == {0, 1, 2}


def test_pictures_are_the_first_three_channels_and_encoding_is_differentiable() -> None:
    prior = mixture()
    images = torch.rand(2, 3, 3, 5, requires_grad=True)

    latents = prior.encode(images)
    latents.sum().backward()

    assert latents.shape == (2, 4, 3, 5)
    assert torch.equal(prior.decode(latents), images)
    assert torch.equal(images.grad, torch.ones_like(images))


def test_a_mixture_without_colours_says_so() -> None:
    with pytest.raises(CourseError, match="at least 3 channels"):
        mixture(channels=2).decode(torch.zeros(1, 2, 3, 5))


def test_an_unknown_prompt_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CourseError, match="'pair', 'one'"):
        mixture().embed(["a boat"])


def test_another_size_is_refused() -> None:
    with pytest.raises(CourseError, match=r"\(3, 5\)"):
        mixture().sample([""], guidance_scale=1, generator=torch.Generator(), size=(5, 3))


@pytest.mark.parametrize("t", [torch.tensor(5), torch.tensor([5])])
def test_a_timestep_for_each_latent_is_required(t: torch.Tensor) -> None:
    prior = mixture()

    with pytest.raises(CourseError, match=r"shape \(2,\)"):
        prior.predict_noise(torch.zeros(2, 4, 3, 5), t, prior.embed(["", ""]))


def test_a_condition_for_another_batch_is_refused() -> None:
    prior = mixture()

    with pytest.raises(CourseError, match="as many prompts as there are latents, 2"):
        prior.predict_noise(torch.zeros(2, 4, 3, 5), torch.tensor([5, 5]), prior.embed([""]))


def test_conditions_repeat_each_prompt_in_a_row_and_join() -> None:
    condition = Condition(torch.arange(2.0).view(2, 1, 1), torch.arange(2.0).view(2, 1))

    joined = cat([condition.repeat(2), condition]).to("cpu")

    assert len(joined) == 6
    assert joined.tokens.flatten().tolist() == [0, 0, 1, 1, 0, 1]
    assert joined.pooled.flatten().tolist() == [0, 0, 1, 1, 0, 1]


def test_the_demonstration_draws_what_it_is_told() -> None:
    prior = demonstration_mixture()

    (image,) = prior.decode(
        prior.sample(["a red disc"], guidance_scale=1.0, generator=torch.Generator().manual_seed(0))
    )

    red, green, blue = image[:, 8, 8]
    assert red > 0 > max(green, blue)


def denoiser_of_one_component(*, predicts_v: bool) -> GaussianDenoiser:
    return GaussianDenoiser(mixture().means, 0.3, predicts_v=predicts_v)


@pytest.mark.parametrize("predicts_v", [False, True])
def test_the_denoiser_of_one_gaussian_agrees_with_the_prior_of_one_component(predicts_v) -> None:
    prior, denoiser = mixture(), denoiser_of_one_component(predicts_v=predicts_v)
    xt, t = torch.randn(2, 4, 3, 5), torch.tensor([20, 900])
    one = prior.embed(["one", "one"])

    (eps,) = denoiser.predict_noise(xt, t, one)

    torch.testing.assert_close(eps, prior.predict_noise(xt, t, one)[0], atol=1e-5, rtol=1e-5)
    assert not eps.requires_grad


def test_a_prompt_of_several_components_has_their_weighted_mean() -> None:
    prior, denoiser = mixture(), denoiser_of_one_component(predicts_v=False)
    xt, t = torch.zeros(1, 4, 3, 5), torch.tensor([500])
    middle = GaussianDenoiser(0.625 * prior.means[:1] + 0.375 * prior.means[2:], 0.3)

    (eps,) = denoiser.predict_noise(xt, t, prior.embed(["pair"]))

    alone = Condition(torch.zeros(1, 1, 1))
    torch.testing.assert_close(eps, middle.predict_noise(xt, t, alone)[0])


@pytest.mark.parametrize("predicts_v", [False, True])
def test_a_sharp_denoiser_predicts_its_target_on_its_own_mean(predicts_v) -> None:
    prior = mixture()
    denoiser = GaussianDenoiser(prior.means, 1e-3, predicts_v=predicts_v)
    x0 = prior.means[[1, 1]].float()
    eps, t = torch.randn(2, 4, 3, 5), torch.tensor([300, 800])
    xt = denoiser.alpha_bar(t).sqrt() * x0 + (1 - denoiser.alpha_bar(t)).sqrt() * eps

    prediction = denoiser.predict(xt, t, prior.embed(["one", "one"]))

    torch.testing.assert_close(prediction, denoiser.target(x0, eps, t), atol=1e-4, rtol=1e-4)


def test_the_denoiser_learns_its_mean_from_what_it_is_shown() -> None:
    prior = mixture()
    denoiser = GaussianDenoiser(torch.zeros(1, 4, 3, 5), 0.3, predicts_v=True)
    alone = Condition(torch.zeros(2, 1, 1))
    x0, t = prior.means[[1, 1]].float(), torch.tensor([200, 600])
    optimiser = torch.optim.SGD(denoiser.parameters(), 20.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        eps = torch.randn(x0.shape, generator=generator)
        xt = denoiser.alpha_bar(t).sqrt() * x0 + (1 - denoiser.alpha_bar(t)).sqrt() * eps
        error = denoiser.predict(xt, t, alone) - denoiser.target(x0, eps, t)
        optimiser.zero_grad()
        error.square().mean().backward()
        optimiser.step()
    distance = (denoiser.means[0] - prior.means[1]).square().mean().sqrt()
    assert distance < 0.2 * prior.means[1].square().mean().sqrt()
