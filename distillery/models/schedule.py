"""Noise levels, computed in float64; the caller casts them once."""

from __future__ import annotations

import torch
from torch import Tensor

# Stable Diffusion's noise schedule (Rombach et al. 2022, latent-diffusion's configuration files).
NUM_TRAIN_TIMESTEPS, BETA_START, BETA_END = 1000, 0.00085, 0.012


def scaled_linear_alphas_cumprod(
    num_train_timesteps: int = NUM_TRAIN_TIMESTEPS,
    beta_start: float = BETA_START,
    beta_end: float = BETA_END,
) -> Tensor:
    """alpha_bar_t for betas whose square roots are evenly spaced; float64 `(T,)`, falling."""
    betas = _spaced(beta_start**0.5, beta_end**0.5, num_train_timesteps).square()
    return (1 - betas).cumprod(dim=0)


def linear_alphas_cumprod(num_train_timesteps: int, beta_start: float, beta_end: float) -> Tensor:
    """alpha_bar_t for evenly spaced betas (Ho et al. 2020, section 4); float64 `(T,)`, falling."""
    return (1 - _spaced(beta_start, beta_end, num_train_timesteps)).cumprod(dim=0)


def _spaced(start: float, end: float, steps: int) -> Tensor:
    return torch.linspace(start, end, steps, dtype=torch.float64)
