"""DDIM that is steered on the way: after each step a method may put other latents in place.

Song et al. 2021, arXiv 2010.02502, equation 12 with sigma = 0. There is no state but the latents,
so any step can be changed, repeated or resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distillery.methods.ddim import DDIMStep, checked
from distillery.models.parameterization import ddim_step

Predict = Callable[[Tensor, Tensor], Tensor]  # the eps to follow, of xt (B, C, h, w) and t (B,)
Noise = Callable[[int], Tensor]  # fresh noise (B, C, h, w) for the step of that index


@dataclass(frozen=True)
class Prediction:
    """What a method may use to change a step.

    index:   of the step, from 0.
    xt:      the latents `(B, C, h, w)` before it, at timesteps[index].
    eps:     the noise that was predicted in them.
    x0:      the estimate of the finished latents.
    xt_next: the latents after the step, at timesteps[index + 1].
    """

    index: int
    xt: Tensor
    eps: Tensor
    x0: Tensor
    xt_next: Tensor


Change = Callable[[Prediction], Tensor]  # the latents to go on from, at timesteps[index + 1]
BEGINNING = -1  # the index for the noise that a way begins with


def fresh_noise(
    shape: tuple[int, ...], seeds: Sequence[int], *, device: torch.device | str
) -> Noise:
    """Noise `(B, *shape)` that depends on each picture's seed and on the step's index alone.

    So a run can go on after any step, and a picture does not depend on the others of its batch.
    """

    def one(seed: int, index: int) -> Tensor:
        (state,) = np.random.SeedSequence([seed, index - BEGINNING]).generate_state(1, np.uint64)
        return torch.randn(shape, generator=torch.Generator().manual_seed(int(state >> 1)))

    return lambda index: torch.stack([one(seed, index) for seed in seeds]).to(device)


def first_step(steps: int, strength: float) -> int:
    """The index of the first of the last `strength` * `steps` steps of a way."""
    return steps - round(strength * steps)


def level(alphas_cumprod: Tensor, t: Tensor) -> Tensor:
    """alpha_bar () of one timestep (); that of -1 is 1, no noise."""
    return alphas_cumprod[t] if t >= 0 else torch.ones_like(alphas_cumprod[0])


@torch.no_grad()
def steered(
    predict: Predict,
    xt: Tensor,
    *,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    start: int = 0,
    change: Change | None = None,
) -> Iterator[DDIMStep]:
    """One step at a time, each followed by the method's `change`.

    Args:
        predict: the noise to follow; asked once a step.
        xt: latents at timesteps[start].
        timesteps: int64 (steps + 1,), from the noisiest on; -1 at the end is no noise.
        start: index of the first step to take.
        change: by default none, which is plain DDIM.

    Raises:
        CourseError: a step ends in numbers that are not finite.
    """
    for index in range(start, len(timesteps) - 1):
        t, t_next = timesteps[index], timesteps[index + 1]
        eps = predict(xt, t.expand(len(xt)))
        xt_next, x0 = ddim_step(xt, eps, level(alphas_cumprod, t), level(alphas_cumprod, t_next))
        if change is not None:
            xt_next = change(Prediction(index, xt, eps, x0, xt_next))
        xt = xt_next
        yield checked(DDIMStep(index, xt, x0), timesteps)
