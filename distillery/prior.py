"""A prior is a frozen pretrained diffusion model; this is all that a method needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from distillery.errors import CourseError


@dataclass(frozen=True)
class Condition:
    """What the UNet is told about a batch of prompts.

    tokens: `(B, L, D)`, one vector for each token.
    pooled: `(B, P)`, one vector for each prompt (SDXL), or None.
    """

    tokens: Tensor
    pooled: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def repeat(self, n: int) -> Condition:
        """Each prompt `n` times in a row: B becomes n * B."""
        pooled = None if self.pooled is None else self.pooled.repeat_interleave(n, dim=0)
        return Condition(self.tokens.repeat_interleave(n, dim=0), pooled)

    def to(self, device: torch.device | str) -> Condition:
        pooled = None if self.pooled is None else self.pooled.to(device)
        return Condition(self.tokens.to(device), pooled)


def cat(conditions: Sequence[Condition]) -> Condition:
    """Join conditions of one model along the batch."""
    pooled = [condition.pooled for condition in conditions if condition.pooled is not None]
    tokens = torch.cat([condition.tokens for condition in conditions])
    return Condition(tokens, torch.cat(pooled) if pooled else None)


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

    def embed(self, prompts: Sequence[str]) -> Condition:
        """The condition for B prompts; the empty prompt is the unconditional one."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """Latents `(B, C, h, w)` of images `(B, 3, H, W)`, differentiable in the images."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Images of latents, without gradient; strong guidance can push them outside [-1, 1]."""
        ...

    def predict_noise(self, xt: Tensor, t: Tensor, *conditions: Condition) -> tuple[Tensor, ...]:
        """The noise in `xt` `(B, C, h, w)` at timesteps `t` `(B,)`, once for each condition.

        All branches are one call of the network, without gradient; every eps is float32
        `(B, C, h, w)`, also where the network itself predicts v.
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
