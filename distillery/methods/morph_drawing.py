"""The frames of a path: keyframes one by one, as single pictures are drawn, the others together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distillery.methods import ddim
from distillery.methods.ddim import DDIMStep
from distillery.methods.guided_ddim import Change, level, steered
from distillery.methods.morph import MorphFunctions, Path, noise_along, picked, predict_along
from distillery.models.parameterization import add_noise
from distillery.models.prior import Prior


@dataclass(frozen=True)
class Drawing:
    """What every frame of a path is drawn with.

    timesteps:     int64 (steps + 1,), a whole way from noise.
    size:          (h, w) of the latents.
    frames_a_call: how many frames the network is asked about at once.
    """

    prior: Prior
    functions: MorphFunctions
    path: Path
    timesteps: Tensor
    size: tuple[int, int]
    frames_a_call: int = 8

    def noise(self, positions: Tensor) -> Tensor:
        """What frames begin with, float32 (F, C, h, w) on the prior's device."""
        shape = (self.prior.latent_channels, *self.size)
        return noise_along(self.functions, self.path, positions, shape).to(self.prior.device)


def keyframe_steps(
    drawing: Drawing, keyframe: int, *, start: int = 0, xt: Tensor | None = None
) -> Iterator[DDIMStep]:
    """Draw one keyframe as a single picture of its prompt and seed is drawn.

    On the CPU the last xt is, to the byte, what `main.py sample` draws; a sampler on another device
    draws noise of its own there.

    Args:
        start: index of the first step to take.
        xt: latents (1, C, h, w) at timesteps[start]; by default the keyframe's noise.
    """
    path = drawing.path
    return ddim.sample(
        drawing.prior,
        drawing.noise(torch.tensor([float(keyframe)])) if xt is None else xt,
        text=picked(path.keyframes, slice(keyframe, keyframe + 1)),
        uncond=path.uncond,
        guidance_scale=path.guidance_scale,
        timesteps=drawing.timesteps,
        start=start,
    )


def keyframes_drawn(drawing: Drawing) -> Tensor:
    """The latents of all keyframes, (K, C, h, w); a closed path ends with those of its first."""
    path = drawing.path
    count = len(path.seeds) - path.closed
    drawn = []
    for keyframe in range(count):
        *_, last = keyframe_steps(drawing, keyframe)
        drawn.append(last.xt)
    return torch.cat(drawn + drawn[:1] * path.closed)


def steps_between(
    drawing: Drawing,
    positions: Tensor,
    *,
    start: int = 0,
    xt: Tensor | None = None,
    change: Change | None = None,
) -> Iterator[DDIMStep]:
    """Draw frames together, one step at a time.

    Each frame depends on its position alone, but for rounding, unless `change` says otherwise.

    Args:
        positions: float32 (F,).
        start: index of the first step to take.
        xt: latents (F, C, h, w) at timesteps[start]; by default the frames' noise.
        change: what is changed after each step, such as `smoothing`.
    """
    predict = predict_along(
        drawing.prior,
        drawing.functions,
        drawing.path,
        positions,
        frames_a_call=drawing.frames_a_call,
    )
    return steered(
        predict,
        drawing.noise(positions) if xt is None else xt,
        timesteps=drawing.timesteps,
        alphas_cumprod=drawing.prior.alphas_cumprod,
        start=start,
        change=change,
    )


def drawn_after(drawing: Drawing, before: Tensor, position: Tensor, *, first: int) -> Tensor:
    """The frame that grows from the one before it, as SDEdit grows a picture from another.

    Meng et al. 2022, arXiv 2108.01073. The frame before, under the noise of this position at the
    level of step `first`, keeps what is where; the later the first step, the more it keeps.

    Args:
        before: finished latents (1, C, h, w).
        position: float32 (1,).
        first: index of the first step to take; 0 keeps next to nothing.

    Returns:
        Finished latents (1, C, h, w).
    """
    alpha_bar = level(drawing.prior.alphas_cumprod, drawing.timesteps[first])
    xt = add_noise(before, drawing.noise(position), alpha_bar)
    *_, last = steps_between(drawing, position, start=first, xt=xt)
    return last.xt


def decoded(prior: Prior, latents: Tensor) -> Tensor:
    """The pictures (F, 3, H, W) of latents (F, C, h, w), each as it comes out alone."""
    return torch.cat([prior.decode(one) for one in latents.split(1)])
