"""The painting's low frequencies in the place of the estimate's own, at every early step.

What GradOP+ reaches by optimisation has a closed form if the painting operator is a projection on
low frequencies and the loss is measured in latents: x0 + f(y) - f(x0) is the nearest latents with
the painting's layout. ILVR (Choi et al. 2021, arXiv 2108.02938) replaces the low frequencies of xt
by those of a reference under noise; DDNM (Wang et al. 2022, arXiv 2212.00490) replaces what a
degraded picture tells of x0, as is done here.
"""

from __future__ import annotations

from torch import Tensor

from distillery.methods.guided_ddim import Change, Noise, Prediction, level
from distillery.methods.strokes import Paint, Painting
from distillery.models.parameterization import add_noise

LEAST = 1e-6  # a blurred mask below it is nothing


def replaced_between(
    first: int,
    end: int,
    painting: Painting,
    *,
    paint: Paint,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    noise: Noise,
) -> Change:
    """After the steps from `first` to the one before `end`, replace them and noise freshly.

    The others are plain DDIM.

    Args:
        paint: the low-pass filter, on latents.
    """
    mask = painting.latent_mask.to(painting.latents.dtype)

    def change(its: Prediction) -> Tensor:
        if not first <= its.index < end:
            return its.xt_next
        # Divided by what the filter leaves of the mask, means go over painted cells alone.
        low = paint(mask * (painting.latents - its.x0)) / paint(mask).clamp(min=LEAST)
        x0 = its.x0 + low
        alpha_bar = level(alphas_cumprod, timesteps[its.index + 1])
        return painting.where_painted(add_noise(x0, noise(its.index), alpha_bar), its.xt_next)

    return change
