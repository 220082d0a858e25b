"""A prior is a frozen pretrained diffusion model; this is all that a method needs to know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from distillery.core.errors import CourseError
from distillery.models.regions import Region, attention_bias


@dataclass(frozen=True)
class Condition:
    """What the UNet is told about a batch of prompts.

    tokens:   `(B, L, D)`, one vector for each token.
    pooled:   `(B, P)`, one vector for each prompt (SDXL), or None.
    time_ids: `(B, 6)`, original height and width, top and left of the crop, target height and width
              in pixels (SDXL, section 2.2); None is the whole canvas.
    attention_bias: `(B, n, H, W)`, what is added to the attention logits of the first n tokens at
              each place of the picture, at any resolution; None adds nothing.
    """

    tokens: Tensor
    pooled: Tensor | None = None
    time_ids: Tensor | None = None
    attention_bias: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def repeat(self, n: int) -> Condition:
        """Each prompt `n` times in a row: B becomes n * B."""
        return self._each(lambda part: part.repeat_interleave(n, dim=0))

    def at(self, indices: Tensor) -> Condition:
        """The prompts of these numbers, int64 `(n,)`, in their order."""
        return self._each(lambda part: part[indices])

    def to(self, device: torch.device | str) -> Condition:
        return self._each(lambda part: part.to(device))

    def with_size(
        self,
        original: tuple[int, int],
        *,
        crop: tuple[int, int] = (0, 0),
        target: tuple[int, int] | None = None,
    ) -> Condition:
        """Tell SDXL the picture's size, whatever the size of the latents (Podell et al. 2023).

        A patch of a large picture can so be told the size of the whole and its own place in it.
        Every condition of a call needs one, the unconditional one too.

        Args:
            original: (height, width) in pixels of the picture before it was cropped.
            crop: (top, left) in pixels of the part that is drawn.
            target: (height, width) in pixels of the part that is drawn; by default `original`.

        Raises:
            CourseError: a side is below 1 or a corner below 0.
        """
        target = original if target is None else target
        if min(*original, *target) < 1 or min(crop) < 0:
            raise CourseError(
                "original and target must be sides of at least 1 pixel and crop a corner from 0 "
                f"on; they are {original}, {target} and {crop}."
            )
        told = torch.tensor([*original, *crop, *target], dtype=torch.float32)
        return replace(self, time_ids=told.to(self.tokens.device).expand(len(self), -1))

    def with_regions(self, regions: Sequence[Region]) -> Condition:
        """Say where in the picture tokens of the prompt apply; it replaces earlier regions.

        Only the branch of this condition is told, and only in the calls that are given it.

        Raises:
            CourseError: a region has no token, or its mask does not fit.
        """
        bias = attention_bias(regions, len(self)).to(self.tokens.device)
        return replace(self, attention_bias=bias)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Condition:
        parts = (self.tokens, self.pooled, self.time_ids, self.attention_bias)
        tokens, *others = (None if part is None else change(part) for part in parts)
        assert tokens is not None
        return Condition(tokens, *others)


@dataclass(frozen=True)
class Control:
    """A picture that a ControlNet (Zhang et al. 2023) holds the drawing to.

    kind:   which of the prior's ControlNets reads it, "canny" or "depth".
    image:  `(B, 3, H, W)` in [0, 1], in pixels.
    scale:  factor on what the ControlNet adds; 0 leaves it out.
    window: where it acts, from its first number to its second on the way from pure noise, 0, to the
            picture, 1.
    """

    kind: str
    image: Tensor
    scale: float = 1.0
    window: tuple[float, float] = (0.0, 1.0)

    def strength(self, t: Tensor, timesteps: int) -> Tensor:
        """The scale where the window holds timestep `t` `(B,)` of `timesteps`, else 0; `(B,)`."""
        way = 1 - t / timesteps
        start, end = self.window
        return self.scale * ((way >= start) & (way <= end)).float()


def cat(conditions: Sequence[Condition]) -> Condition:
    """Join conditions of one model along the batch.

    Raises:
        CourseError: some are told the picture's size and some are not, or their regions differ in
            resolution.
    """
    return Condition(
        torch.cat([condition.tokens for condition in conditions]),
        _cat_if_any([condition.pooled for condition in conditions]),
        _cat_if_any([condition.time_ids for condition in conditions]),
        _cat_biases(conditions),
    )


def _cat_if_any(parts: Sequence[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    if there and len(there) < len(parts):
        raise CourseError(
            "either all conditions of one call have pooled vectors and time ids or none has; "
            "give the unconditional one the same."
        )
    return torch.cat(there) if there else None


def _cat_biases(conditions: Sequence[Condition]) -> Tensor | None:
    """Those of all conditions; a condition without regions has zeros."""
    there = [bias for c in conditions if (bias := c.attention_bias) is not None]
    if not there:
        return None
    if len({bias.shape[2:] for bias in there}) > 1:
        raise CourseError("the masks of all conditions of one call must have one resolution.")
    count = max(bias.shape[1] for bias in there)
    parts = [
        there[0].new_zeros(len(c), count, *there[0].shape[2:])
        if c.attention_bias is None
        else pad(c.attention_bias, (0, 0, 0, 0, 0, count - c.attention_bias.shape[1]))
        for c in conditions
    ]
    return torch.cat(parts)


def stack_branches(
    xt: Tensor, t: Tensor, conditions: Sequence[Condition]
) -> tuple[Tensor, Tensor, Condition]:
    """Repeat `xt` and `t` for every condition, so that all branches make one batch.

    Raises:
        CourseError: `t` is not `(B,)`, or a condition is not for B prompts.
    """
    batch, branches = len(xt), len(conditions)
    if t.shape != (batch,):
        raise CourseError(
            f"t must hold one timestep for each of the {batch} latents, shape ({batch},); "
            f"it has shape {tuple(t.shape)}."
        )
    for condition in conditions:
        if len(condition) != batch:
            raise CourseError(
                f"a condition must be for as many prompts as there are latents, {batch}; "
                f"it is for {len(condition)}."
            )
    return xt.repeat(branches, 1, 1, 1), t.repeat(branches), cat(conditions)


class Prior(Protocol):
    """A frozen text-conditional diffusion model over latents.

    device:           where its weights and the latents live.
    latent_channels:  C.
    latent_size:      (h, w) it was trained for; others work, square or not.
    image_size:       (H, W) in pixels that `latent_size` decodes to.
    alphas_cumprod:   float32 `(T,)` on `device`.
    """

    device: torch.device
    latent_channels: int
    latent_size: tuple[int, int]
    image_size: tuple[int, int]
    alphas_cumprod: Tensor

    def alpha_bar(self, t: Tensor) -> Tensor:
        """Noise level of the timesteps `t` `(B,)` as `(B, 1, 1, 1)`."""
        return self.alphas_cumprod[t].view(-1, 1, 1, 1)

    def latent_size_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the latents of a picture of `size`, (H, W) in pixels."""
        (h, w), (H, W) = self.latent_size, self.image_size
        return size[0] * h // H, size[1] * w // W

    def embed(self, prompts: Sequence[str]) -> Condition:
        """The condition for B prompts; the empty prompt is the unconditional one."""
        ...

    def token_indices(self, prompt: str, words: str) -> tuple[int, ...]:
        """Where `words` stand among the prompt's tokens, all occurrences, for a `Region`.

        Raises:
            CourseError: the words are not in the prompt, or beyond what the model reads of it.
        """
        ...

    def coarsest_attention(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the coarsest cross-attention to the prompt, for latents of `size`.

        A region smaller than one of these places is hardly heard of.
        """
        ...

    def encode(self, images: Tensor) -> Tensor:
        """Latents `(B, C, h, w)` of images `(B, 3, H, W)`, differentiable in the images."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Images of latents, without gradient; strong guidance can push them outside [-1, 1]."""
        ...

    def decode_with_grad(self, latents: Tensor) -> Tensor:
        """As `decode`, with a graph to the latents; the frozen weights get no gradient."""
        ...

    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, controls: Sequence[Control] = ()
    ) -> tuple[Tensor, ...]:
        """The noise in `xt` `(B, C, h, w)` at timesteps `t` `(B,)`, once for each condition.

        All branches are one call of the network, without gradient; every eps is float32
        `(B, C, h, w)`, also where the network itself predicts v. `controls` hold every branch; a
        condition's regions only its own.
        """
        ...

    def timesteps(self, steps: int) -> Tensor:
        """The way of a DDIM sampler from noise to a picture, int64 `(steps + 1,)`, falling.

        The network is asked at all of them but the last, which is the level of the finished
        latents; -1 there is no noise.

        Raises:
            CourseError: `steps` is below 1 or above the number of noise levels.
        """
        ...

    def sample(
        self,
        prompts: Sequence[str],
        *,
        guidance_scale: float,
        steps: int = 30,
        generator: torch.Generator,
        negative: str = "",
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Latents of one DDIM sample for each prompt; `size` is (H, W) in pixels.

        `guidance_scale` s means eps_uncond + s * (eps_text - eps_uncond), as everywhere here.
        """
        ...


def guided_noise(
    prior: Prior,
    *,
    text: Condition,
    uncond: Condition,
    guidance_scale: float,
    controls: Sequence[Control] = (),
) -> Callable[[Tensor, Tensor], Tensor]:
    """The noise that a sampler follows, as a function of xt `(B, C, h, w)` and t `(B,)`.

    Classifier-free guidance (Ho and Salimans 2022), as everywhere here
    eps_uncond + guidance_scale * (eps_text - eps_uncond).
    """

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text, controls=controls)
        towards_text = eps_text - eps_uncond
        return eps_uncond + guidance_scale * towards_text

    return predict


def check_steps(steps: int, levels: int) -> None:
    """Refuse a number of sampling steps that the noise schedule does not have.

    Raises:
        CourseError: `steps` is below 1 or above `levels`.
    """
    if not 1 <= steps <= levels:
        raise CourseError(f"a sampler takes from 1 to {levels} steps; {steps} were asked for.")
