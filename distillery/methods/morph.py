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
from distillery.models.prior import Condition, Prior, cat

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
    closed:         whether it ends where it began.
    """

    keyframes: Condition
    uncond: Condition
    seeds: tuple[int, ...]
    text: str = "mix"
    noise: str = "slerp"
    guidance_scale: float = 5.0
    closed: bool = False

    def between(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Of each position the keyframe before it, int64 (F,), and the way from there, (F,)."""
        start = positions.floor().clamp(0, len(self.keyframes) - 2).long()
        return start, positions - start


def path_of(
    prior: Prior,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    negative_prompt: str = "",
    text: str = "mix",
    noise: str = "slerp",
    guidance_scale: float = 5.0,
    loop: bool = False,
) -> Path:
    """The path through keyframes, each a prompt with a seed.

    Args:
        loop: lead from the last keyframe back to the first.
    """
    # A text encoder rounds the prompts of a batch otherwise than one prompt alone.
    keyframes, shared = cat([prior.embed([prompt]) for prompt in prompts]), tuple(seeds)
    if loop:
        keyframes, shared = picked(keyframes, [*range(len(prompts)), 0]), (*shared, shared[0])
    uncond = prior.embed([negative_prompt])
    return Path(keyframes, uncond, shared, text, noise, guidance_scale, closed=loop)


def noise_along(
    functions: MorphFunctions, path: Path, positions: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """The noise (F, *shape) that each frame begins with."""
    if path.noise == "slerp":
        return functions.noise_path(path.seeds, positions, shape)
    if path.noise == "hold":
        return functions.noise_path(path.seeds, positions.round(), shape)
    keyframes = torch.arange(len(path.seeds), dtype=torch.float32)
    noise = functions.noise_path(path.seeds, keyframes, shape)
    return _line(noise, *path.between(positions))


def text_along(functions: MorphFunctions, path: Path, positions: Tensor) -> Condition:
    """The condition of each of F frames, for every way of `TEXT` but "mix"."""
    if path.text == "hold":
        return picked(path.keyframes, positions.round().long())
    keys, positions = path.keyframes, positions.to(path.keyframes.tokens.device)
    tokens, pooled = keys.tokens, keys.pooled
    start, a = path.between(positions)
    if path.text == "slerp":
        gone = functions.prompt_path(tokens, positions)
        whole = None if pooled is None else functions.slerp(pooled[start], pooled[start + 1], a)
    else:
        gone = _line(tokens, start, a)
        whole = None if pooled is None else _line(pooled, start, a)
    return replace(picked(keys, start), tokens=gone, pooled=whole)


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
        [picked(keys, start), picked(keys, start + 1)]
        if mixed
        else [text_along(functions, path, positions)]
    )

    def some(xt: Tensor, t: Tensor, of: slice) -> Tensor:
        uncond = path.uncond.repeat(len(xt))
        asked = [picked(text, of) for text in texts]
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


def picked(condition: Condition, which: Tensor | slice | list[int]) -> Condition:
    """Some of the prompts of a condition."""

    def of(part: Tensor | None) -> Tensor | None:
        return None if part is None else part[which]

    tokens, bias = condition.tokens[which], of(condition.attention_bias)
    return Condition(tokens, of(condition.pooled), of(condition.time_ids), bias)


def _line(values: Tensor, start: Tensor, a: Tensor) -> Tensor:
    """On the straight line from each value (K, ...) to the next, reckoned in float32."""
    a = a.view(-1, *[1] * (values.ndim - 1))
    return torch.lerp(values[start].float(), values[start + 1].float(), a).to(values.dtype)
