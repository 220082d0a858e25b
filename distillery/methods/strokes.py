"""What the methods of stage 5 share: the painting, and the functions that a student writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate

Decode = Callable[[Tensor], Tensor]  # latents to images, with a graph
Paint = Callable[[Tensor], Tensor]  # images to images


@dataclass(frozen=True)
class Painting:
    """A stroke painting.

    image:   (B, 3, H, W) in [-1, 1].
    mask:    (B, 1, H, W), 1 where there is paint; what is not painted is left to the model.
    latents: (B, C, h, w) of the image, with something plausible where there is no paint.
    """

    image: Tensor
    mask: Tensor
    latents: Tensor

    @property
    def latent_mask(self) -> Tensor:
        """(B, 1, h, w) bool: the cells of which at least half is painted.

        A cell is wholly the painting's or wholly the model's, because a mixture of two noises is
        weaker than either.
        """
        return interpolate(self.mask, self.latents.shape[-2:], mode="area") >= 0.5

    def where_painted(self, painted: Tensor, unpainted: Tensor) -> Tensor:
        """Latents (B, C, h, w) of two kinds, put together."""
        return torch.where(self.latent_mask, painted, unpainted)


class StrokeFunctions(Protocol):
    """The module of the student's functions, `guidance.strokes`; `reference.strokes` answers it."""

    __file__: str | None

    def paint(self, images: Tensor, width: float) -> Tensor: ...

    def faithfulness_loss(
        self, paint: Paint, images: Tensor, painting: Tensor, mask: Tensor
    ) -> Tensor: ...

    def sdedit_start(
        self,
        x0_src: Tensor,
        eps: Tensor,
        strength: float,
        timesteps: Tensor,
        alphas_cumprod: Tensor,
    ) -> Tensor: ...

    def x0_estimate(self, xt: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor: ...

    def burst(
        self,
        loss_of: Callable[[Tensor], Tensor],
        x0: Tensor,
        eps: Tensor,
        timesteps: Tensor,
        index: int,
        alphas_cumprod: Tensor,
        grad_steps: int,
        learning_rate: float,
    ) -> Tensor: ...

    def region_bias(
        self,
        masks: Tensor,
        tokens: Sequence[Sequence[int]],
        count: int,
        inside: float,
        outside: float,
    ) -> Tensor: ...

    def compose_scores(
        self,
        eps_uncond: Tensor,
        eps_whole: Tensor,
        eps_parts: Tensor,
        masks: Tensor,
        guidance_scale: float,
    ) -> Tensor: ...
