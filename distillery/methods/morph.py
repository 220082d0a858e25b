"""A path from picture to picture: prompts and noise go from keyframe to keyframe.

The functions that a student writes are `guidance.morph`; `reference.morph` answers them.

A text in the middle between two texts is no text in the middle: the network decides for one scene
or the other, and the path jumps. Mixing what the network says of both prompts does not jump,

    eps = eps_uncond + s ((1 - a) eps_p + a eps_q - eps_uncond),

at one network call more for each frame (as composed diffusion, Liu et al. 2022, arXiv 2206.01714).
But it draws pale crossings of two things. So the default, "stones", mixes while there is much
noise, which settles what is where, and below `LATE` goes by the text between, which draws one thing
clearly. And it goes from prompt to prompt by stepping stones that change one thing at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from distillery.methods.guided_ddim import Change, Predict, Prediction, level
from distillery.methods.morph_stones import stepping_stones
from distillery.models.lora import LoraDenoiser
from distillery.models.parameterization import add_noise
from distillery.models.prior import Condition, Prior, cat

TEXT = ("stones", "mix", "slerp", "lerp", "hold")
MIXED = ("stones", "mix")
LATE = 0.5  # of the timesteps: below, "stones" go by the text between
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
    """Where a path leads, and how it goes there; `path_of` makes one.

    keyframes:      the condition of the K prompts; a closed path has the first again at the end.
    uncond:         the condition of one prompt to steer away from, or of the empty one.
    seeds:          of the K keyframes.
    text:           "mix" the noise that is predicted for both prompts, do so while there is much
                    noise and from one of the "stones" to the next, or go from text to text by
                    "slerp" or "lerp", or "hold" the nearer one.
    noise:          "slerp", "lerp" or "hold", as the text.
    guidance_scale: s.
    closed:         whether it ends where it began.
    stones:         the condition of all prompts on the way, keyframes among them; by default these.
    stands:         where they stand on the path, rising from 0 to K - 1.
    """

    keyframes: Condition
    uncond: Condition
    seeds: tuple[int, ...]
    text: str = "stones"
    noise: str = "slerp"
    guidance_scale: float = 5.0
    closed: bool = False
    stones: Condition | None = None
    stands: tuple[float, ...] = ()

    @property
    def prompts(self) -> Condition:
        """The condition of all prompts on the way."""
        return self.keyframes if self.stones is None else self.stones

    def between(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Of each position the prompt before it, int64 (F,), and the way from there, 0 to 1."""
        stands = torch.tensor(self.stands or range(len(self.keyframes)), dtype=torch.float32)
        start = torch.searchsorted(stands, positions.contiguous(), right=True) - 1
        start = start.clamp(0, len(stands) - 2)
        return start, (positions - stands[start]) / (stands[start + 1] - stands[start])


def path_of(
    prior: Prior,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    negative_prompt: str = "",
    text: str = "stones",
    noise: str = "slerp",
    guidance_scale: float = 5.0,
    loop: bool = False,
) -> Path:
    """The path through keyframes, each a prompt with a seed.

    Args:
        loop: lead from the last keyframe back to the first.
    """
    asked, shared = list(prompts), tuple(seeds)
    if loop:
        asked, shared = [*asked, asked[0]], (*shared, shared[0])
    keyframes, uncond = _embedded(prior, asked), prior.embed([negative_prompt])
    path = Path(keyframes, uncond, shared, text, noise, guidance_scale, closed=loop)
    if text != "stones":
        return path
    said, stands = all_prompts(asked)
    return replace(path, stones=_embedded(prior, said), stands=tuple(stands))


def all_prompts(keyframes: Sequence[str]) -> tuple[list[str], list[float]]:
    """The prompts of a path, keyframes and stepping stones, and where each stands on it."""
    said, stands = [keyframes[0]], [0.0]
    for number, (first, second) in enumerate(pairwise(keyframes)):
        further = [*stepping_stones(first, second), second]
        said += further
        stands += [number + (k + 1) / len(further) for k in range(len(further))]
    return said, stands


def _embedded(prior: Prior, prompts: Sequence[str]) -> Condition:
    """Each as it is alone: a text encoder rounds the prompts of a batch otherwise."""
    alone = {prompt: prior.embed([prompt]) for prompt in prompts}
    return cat([alone[prompt] for prompt in prompts])


def noise_along(
    functions: MorphFunctions, path: Path, positions: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """The noise (F, *shape) that each frame begins with, of the keyframes' alone."""
    if path.noise == "slerp":
        return functions.noise_path(path.seeds, positions, shape)
    if path.noise == "hold":
        return functions.noise_path(path.seeds, positions.round(), shape)
    keyframes = torch.arange(len(path.seeds), dtype=torch.float32)
    noise = functions.noise_path(path.seeds, keyframes, shape)
    start = positions.floor().clamp(max=len(path.seeds) - 2).long()
    return _line(noise, start, positions - start)


def text_along(functions: MorphFunctions, path: Path, positions: Tensor) -> Condition:
    """The condition of each of F frames: the text between, or the nearer one's to hold."""
    prompts = path.prompts
    start, a = (part.to(prompts.tokens.device) for part in path.between(positions))
    if path.text == "hold":
        return picked(prompts, start + (a > 0.5))
    tokens, pooled = prompts.tokens, prompts.pooled
    if path.text != "lerp":
        gone = functions.prompt_path(tokens, start + a)
        whole = None if pooled is None else functions.slerp(pooled[start], pooled[start + 1], a)
    else:
        gone = _line(tokens, start, a)
        whole = None if pooled is None else _line(pooled, start, a)
    return replace(picked(prompts, start), tokens=gone, pooled=whole)


def predict_along(
    prior: Prior,
    functions: MorphFunctions,
    path: Path,
    positions: Tensor,
    *,
    frames_a_call: int = 8,
) -> Predict:
    """The noise that each of F frames follows, of xt (F, C, h, w) and t (F,), the same for all.

    Args:
        frames_a_call: how many frames the network is asked about at once.
    """
    start, a = path.between(positions)
    both = [picked(path.prompts, start), picked(path.prompts, start + 1)]
    # The exact prior's tokens are logarithms of weights, some of them zero; none lie between.
    speaks = path.text != "mix" and bool(path.prompts.tokens.isfinite().all())
    between = [text_along(functions, path, positions)] if speaks else both
    late = LATE * len(prior.alphas_cumprod) if path.text == "stones" else 0

    def some(xt: Tensor, t: Tensor, of: slice, *, mixed: bool) -> Tensor:
        texts = [picked(text, of) for text in (both if mixed else between)]
        eps_uncond, *eps_texts = prior.predict_noise(xt, t, path.uncond.repeat(len(xt)), *texts)
        weight = a[of].to(xt.device).view(-1, 1, 1, 1)
        eps_text = torch.lerp(eps_texts[0], eps_texts[-1], weight)
        return eps_uncond + path.guidance_scale * (eps_text - eps_uncond)

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        mixed = path.text in MIXED and bool(t[0] >= late)
        parts = [slice(k, k + frames_a_call) for k in range(0, len(xt), frames_a_call)]
        return torch.cat([some(xt[part], t[part], part, mixed=mixed) for part in parts])

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


def picked(condition: Condition, which: Tensor | slice) -> Condition:
    """Some of the prompts of a condition."""

    def of(part: Tensor | None) -> Tensor | None:
        return None if part is None else part[which]

    tokens, bias = condition.tokens[which], of(condition.attention_bias)
    return Condition(tokens, of(condition.pooled), of(condition.time_ids), bias)


def _line(values: Tensor, start: Tensor, a: Tensor) -> Tensor:
    """On the straight line from each value (K, ...) to the next, reckoned in float32."""
    a = a.view(-1, *[1] * (values.ndim - 1))
    return torch.lerp(values[start].float(), values[start + 1].float(), a).to(values.dtype)
