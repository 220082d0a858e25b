from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from distillery.models.parameterization import (
    add_noise,
    ddim,
    ddim_step,
    eps_from_v,
    even_timesteps,
    v_from_eps,
    x0_from_eps,
)

SCHEDULER = DDIMScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
)
T = torch.tensor([20, 400, 980])


def level(t: Tensor) -> Tensor:
    return SCHEDULER.alphas_cumprod[t].view(-1, 1, 1, 1)


def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 4, 3, 5, generator=generator), torch.randn(
        3, 4, 3, 5, generator=generator
    )


def test_xt_and_v_are_those_of_diffusers() -> None:
    x0, eps = pair()

    torch.testing.assert_close(add_noise(x0, eps, level(T)), SCHEDULER.add_noise(x0, eps, T))
    torch.testing.assert_close(v_from_eps(x0, eps, level(T)), SCHEDULER.get_velocity(x0, eps, T))


def test_the_three_parameterizations_say_the_same() -> None:
    x0, eps = pair()
    xt, v = add_noise(x0, eps, level(T)), v_from_eps(x0, eps, level(T))

    torch.testing.assert_close(eps_from_v(xt, v, level(T)), eps)
    torch.testing.assert_close(x0_from_eps(xt, eps, level(T)), x0, atol=1e-4, rtol=1e-4)


def test_a_step_there_and_back_changes_nothing_and_says_x0() -> None:
    x0, eps = pair()
    xt = add_noise(x0, eps, level(T))

    below, estimate = ddim_step(xt, eps, level(T), level(T - 20))
    back, _ = ddim_step(below, eps, level(T - 20), level(T))

    torch.testing.assert_close(below, add_noise(x0, eps, level(T - 20)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(estimate, x0, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(back, xt, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("last", "clean"), [(0, False), (-1, True)])
def test_minus_one_is_the_level_without_noise(last: int, clean: bool) -> None:
    x0, eps = pair()
    timesteps = torch.stack([T, T // 2, torch.full_like(T, last)])

    *_, (xt, estimate) = ddim(
        add_noise(x0, eps, level(T)), timesteps, alpha_bar=level, predict=lambda xt, t: eps
    )

    expected = x0 if clean else add_noise(x0, eps, level(torch.zeros(3, dtype=torch.long)))
    torch.testing.assert_close(xt, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(xt, estimate) == clean


def test_the_estimate_carries_a_graph_where_the_latents_do() -> None:
    x0, eps = pair()

    x0_from_eps(x0.requires_grad_(), eps, level(T)).sum().backward()

    torch.testing.assert_close(x0.grad, (1 / level(T).sqrt()).expand(x0.shape))


def test_even_timesteps_fall_to_zero() -> None:
    timesteps = even_timesteps(999, 4, device=torch.device("cpu"))

    assert timesteps.tolist() == [999, 749, 500, 250, 0]
    assert timesteps.dtype == torch.int64
