"""How long a run will take, said before it begins."""

from __future__ import annotations

import time

import torch

from distillery.models.prior import Condition, Prior

LONG = 10.0  # seconds, from which on a run says beforehand what it costs


def seconds_a_sample(prior: Prior, text: Condition, uncond: Condition, t: torch.Tensor) -> float:
    """By one call of the network, or by a second one where the first may have warmed it up.

    Args:
        text: of B prompts, as `uncond`.
        t: a timestep, int64 (1,).
    """
    count = len(text)
    xt = torch.zeros(count, prior.latent_channels, *prior.latent_size, device=prior.device)
    seconds = 0.0
    for _ in range(2):
        begin = time.perf_counter()
        eps, _ = prior.predict_noise(xt, t.expand(count), uncond, text)
        eps.sum().item()  # waits for a GPU
        seconds = time.perf_counter() - begin
        if seconds > 1:
            break
    return seconds / (2 * count)


def duration(seconds: float) -> str:
    """In words of two figures, "15 ms", "40 s", "12 min" or "2.5 h"."""
    units = [(3600, "h"), (60, "min"), (1, "s"), (0.001, "ms")]
    size, name = next((one for one in units if seconds >= 1.5 * one[0]), units[-1])
    return f"{float(f'{seconds / size:.2g}'):g} {name}"
