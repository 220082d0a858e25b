"""The painting's low frequencies in the place of the estimate's own, at every early step.

What GradOP+ reaches by optimisation has a closed form if the painting operator is a projection on
low frequencies and the loss is measured in latents: x0 + f(y) - f(x0) is the nearest latents with
the painting's layout. Its relatives for clean pictures are ILVR (Choi et al. 2021, arXiv
2108.02938) and, for null-space parts, DDNM (Wang et al. 2022, arXiv 2212.00490).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate

from distillery.methods.guided_ddim import Change, Noise, Prediction, level
from distillery.methods.strokes import Paint, Painting
from distillery.models.parameterization import add_noise


def replaced_down_to(
    end: int,
    painting: Painting,
    *,
    paint: Paint,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    noise: Noise,
) -> Change:
    """After the steps before `end`, replace them and noise freshly; later steps are plain DDIM.

    Args:
        paint: the low-pass filter, on latents.
    """
    mask = interpolate(painting.mask, painting.latents.shape[-2:], mode="area")

    def change(its: Prediction) -> Tensor:
        if its.index >= end:
            return its.xt_next
        x0 = its.x0 + mask * (paint(painting.latents) - paint(its.x0))
        alpha_bar = level(alphas_cumprod, timesteps[its.index + 1])
        return add_noise(x0, noise(its.index), alpha_bar)

    return change
