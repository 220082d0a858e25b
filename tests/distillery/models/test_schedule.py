from __future__ import annotations

import diffusers
import pytest
import torch

from distillery.models.schedule import linear_alphas_cumprod, scaled_linear_alphas_cumprod


def test_the_default_is_stable_diffusions_schedule_in_float64() -> None:
    alphas_cumprod = scaled_linear_alphas_cumprod()

    assert alphas_cumprod.shape == (1000,)
    assert alphas_cumprod.dtype == torch.float64
    assert alphas_cumprod[0].item() == pytest.approx(1 - 0.00085, rel=1e-14)
    assert (alphas_cumprod.diff() < 0).all()


@pytest.mark.parametrize(
    ("ours", "name"),
    [(scaled_linear_alphas_cumprod, "scaled_linear"), (linear_alphas_cumprod, "linear")],
)
def test_schedules_agree_with_diffusers_to_single_precision(ours, name: str) -> None:
    scheduler = diffusers.DDPMScheduler(
        num_train_timesteps=500, beta_start=0.001, beta_end=0.02, beta_schedule=name
    )

    torch.testing.assert_close(
        ours(500, 0.001, 0.02).float(), scheduler.alphas_cumprod, atol=1e-6, rtol=1e-4
    )
