"""A path from picture to picture: prompts and noise go from keyframe to keyframe.

The functions that a student writes are `guidance.morph`; `reference.morph` answers them.

A text in the middle between two texts is no text in the middle: the network decides for one scene
or the other, and the path jumps. The default here mixes what the network says of both prompts,

    eps = eps_uncond + s ((1 - a) eps_p + a eps_q - eps_uncond),

one network call more for each frame (as composed diffusion, Liu et al. 2022, arXiv 2206.01714).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from distillery.methods.guided_ddim import Change, Predict, Prediction, level
from distillery.models.lora import LoraDenoiser
from distillery.models.parameterization import add_noise
from distillery.models.prior import Condition, Prior

TEXT = ("mix", "slerp", "lerp", "hold")
NOISE = ("slerp", "lerp", "hold")


class MorphFunctions(Protocol):
    """The module of the student's functions."""

    __file__: str | None

    def slerp(self, v0: Tensor, v1: Tensor, a: Tensor) -> Tensor: ...

    def prompt_path(self, tokens: Tensor, positions: Tensor) -> Tensor: ...

    def noise_path(
        self, seeds: Sequence[int], positions: Tensor, shape: tuple[int, ...]
    ) -> Tensor: ...

    def finetune_loss(
        self,
        denoiser: LoraDenoiser,
        x0: Tensor,
        text: Condition,
        t: Tensor,
        eps: Tensor,
        preserved: int,
        prior_weight: float,
    ) -> Tensor: ...

    def shared_palette(self, frames: Tensor, palette: Tensor) -> Tensor: ...

    def hold_colours(self, frames: Tensor, palette: Tensor, margin: float) -> Tensor: ...


@dataclass(frozen=True)
class Path:
    """Where a path leads, and how it goes there.

    keyframes:      the condition of the K prompts; a closed path has the first again at the end.
    uncond:         the condition of one prompt to steer away from, or of the empty one.
    seeds:          of the K keyframes.
    text:           "mix" the noise that is predicted for both prompts, or go from text to text by
                    "slerp" or "lerp", or "hold" the nearer keyframe's.
    noise:          "slerp", "lerp" or "hold", as the text.
    guidance_scale: s.
    """

    keyframes: Condition
    uncond: Condition
    seeds: tuple[int, ...]
    text: str = "mix"
    noise: str = "slerp"
    guidance_scale: float = 5.0

    def between(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Of each position the keyframe before it, int64 (F,), and the way from there, (F,)."""
        start = positions.floor().clamp(0, len(self.keyframes) - 2).long()
        return start, positions - start


def noise_along(
    functions: MorphFunctions, path: Path, positions: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """The noise (F, *shape) that each frame begins with."""
    if path.noise == "slerp":
        return functions.noise_path(path.seeds, positions, shape)
    if path.noise == "hold":
        return functions.noise_path(path.seeds, positions.round(), shape)
    keys = torch.arange(len(path.seeds), dtype=torch.float32)
    noise = functions.noise_path(path.seeds, keys, shape)
    start, a = path.between(positions)
    return torch.lerp(noise[start], noise[start + 1], a.view(-1, *[1] * len(shape)))


def text_along(functions: MorphFunctions, path: Path, positions: Tensor) -> Condition:
    """The condition of each of F frames, for every way of `TEXT` but "mix"."""
    if path.text == "hold":
        return _picked(path.keyframes, positions.round().long())
    keys, (start, a) = path.keyframes, path.between(positions)
    tokens, pooled = keys.tokens, keys.pooled
    if path.text == "slerp":
        gone = functions.prompt_path(tokens, positions)
        whole = None if pooled is None else functions.slerp(pooled[start], pooled[start + 1], a)
    else:
        gone = torch.lerp(tokens[start].float(), tokens[start + 1].float(), a[:, None, None])
        whole = None if pooled is None else torch.lerp(pooled[start], pooled[start + 1], a[:, None])
    return replace(_picked(keys, start), tokens=gone.to(tokens.dtype), pooled=whole)


def predict_along(
    prior: Prior,
    functions: MorphFunctions,
    path: Path,
    positions: Tensor,
    *,
    frames_a_call: int = 8,
) -> Predict:
    """The noise that each of F frames follows, of xt (F, C, h, w) and t (F,).

    Args:
        frames_a_call: how many frames the network is asked about at once.
    """
    start, a = path.between(positions)
    mixed = path.text == "mix"
    keys = path.keyframes
    texts = (
        [_picked(keys, start), _picked(keys, start + 1)]
        if mixed
        else [text_along(functions, path, positions)]
    )

    def some(xt: Tensor, t: Tensor, of: slice) -> Tensor:
        uncond = path.uncond.repeat(len(xt))
        asked = [_picked(text, of) for text in texts]
        eps_uncond, *eps_texts = prior.predict_noise(xt, t, uncond, *asked)
        eps_text = eps_texts[0]
        if mixed:
            weight = a[of].to(xt.device).view(-1, 1, 1, 1)
            eps_text = torch.lerp(eps_texts[0], eps_texts[1], weight)
        return eps_uncond + path.guidance_scale * (eps_text - eps_uncond)

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        parts = [slice(k, k + frames_a_call) for k in range(0, len(xt), frames_a_call)]
        return torch.cat([some(xt[part], t[part], part) for part in parts])

    return predict


def smoothed(x0: Tensor, sigma: float) -> Tensor:
    """Each of the frames (F, C, h, w) averaged with its neighbours; the first and last stay.

    The weights are a Gaussian of `sigma` frames; beyond the ends the path goes on as at them.
    """
    at = torch.arange(len(x0), device=x0.device, dtype=torch.float32)
    weights = (-0.5 * ((at[:, None] - at) / sigma).square()).exp()
    weights[0], weights[-1] = 0, 0
    weights[0, 0], weights[-1, -1] = 1, 1
    return torch.einsum("fg,gchw->fchw", weights / weights.sum(1, keepdim=True), x0)


def smoothing(sigma: float, *, until: int, timesteps: Tensor, alphas_cumprod: Tensor) -> Change:
    """Smooth x0 along the frames after every step at a timestep above `until`."""

    def change(done: Prediction) -> Tensor:
        if timesteps[done.index] <= until:
            return done.xt_next
        alpha_bar = level(alphas_cumprod, timesteps[done.index + 1])
        return add_noise(smoothed(done.x0, sigma), done.eps, alpha_bar)

    return change


def _picked(condition: Condition, which: Tensor | slice) -> Condition:
    """Some of the prompts of a condition."""

    def of(part: Tensor | None) -> Tensor | None:
        return None if part is None else part[which]

    tokens, bias = condition.tokens[which], of(condition.attention_bias)
    return Condition(tokens, of(condition.pooled), of(condition.time_ids), bias)
