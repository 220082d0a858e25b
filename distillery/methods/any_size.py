"""What the methods of stage 6 share: the picture that is wanted, and the noise of parts of it.

The functions that a student writes are `guidance.elastic`; `reference.elastic` answers them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, interpolate

from distillery.models.prior import Condition, Control, Prior, cat

Views = Callable[[Tensor], Tensor]  # noise of many parts of the latents, asked in one call


class ElasticFunctions(Protocol):
    """The module of the student's functions."""

    __file__: str | None

    def elastic_eps(
        self, local: Tensor, eps_uncond: Tensor, eps_text: Tensor, guidance_scale: float
    ) -> Tensor: ...

    def cover(self, side: int, window: int, read: int, shift: int) -> Tensor: ...

    def local_score(self, predict: Views, xt: Tensor, rows: Tensor, columns: Tensor) -> Tensor: ...

    def from_reference(
        self, predict: Views, xt: Tensor, reads: Tensor, owner: Tensor
    ) -> Tensor: ...

    def next_read(
        self,
        groups: Tensor,
        read: Tensor,
        used: Tensor,
        new_p: float,
        chance: Tensor,
        order: Tensor,
    ) -> Tensor: ...

    def reduced_resolution_guidance(
        self,
        x0: Tensor,
        x0_reference: Tensor,
        owner: Tensor,
        weight: float,
        progress: float,
        stop: float,
        cosine_scale: float,
    ) -> Tensor: ...

    def merge_views(
        self,
        views: Tensor,
        tops: Tensor,
        lefts: Tensor,
        weights: Tensor,
        size: tuple[int, int],
    ) -> Tensor: ...


@dataclass(frozen=True)
class Wanted:
    """The picture that is asked for.

    size:           (h, w) of its latents.
    text:           the condition of the B prompts.
    uncond:         that of what to stay away from.
    guidance_scale: s.
    controls:       pictures of the whole, for ControlNets; a part is held to its part of them.
    view_batch_size: how many views the network is asked about at once, each with its branches; the
                    peak of memory follows it.
    """

    size: tuple[int, int]
    text: Condition
    uncond: Condition
    guidance_scale: float
    controls: Sequence[Control] = ()
    view_batch_size: int = 16


@dataclass(frozen=True)
class Corner:
    """Where a view lies in the picture: its first row and its first column, in cells."""

    top: int
    left: int


def predict_views(
    prior: Prior,
    wanted: Wanted,
    views: Tensor,
    t: Tensor,
    conditions: Sequence[Condition],
    corners: Sequence[Corner],
) -> tuple[Tensor, ...]:
    """The noise of parts of the picture, a few parts a call.

    Args:
        views: (K, B, C, a, b), cut out of the picture's latents.
        t: timesteps (B,).
        conditions: the branches, each for B prompts.
        corners: of the K views.

    Returns:
        For each condition the noise of the views, (K, B, C, a, b).
    """
    size, scale = (views.shape[-2], views.shape[-1]), pixels_per_cell(prior)

    def asked(some: slice) -> tuple[Tensor, ...]:
        its = corners[some]
        told = [
            cat([_told_its_place(c, wanted.size, corner, size, scale) for corner in its])
            for c in conditions
        ]
        controls = [_cut(c, its, size, scale) for c in wanted.controls]
        xt = views[some].flatten(0, 1)
        return prior.predict_noise(xt, t.repeat(len(its)), *told, controls=controls)

    return _in_parts(asked, views, wanted.view_batch_size, len(conditions))


def predict_whole(
    prior: Prior,
    wanted: Wanted,
    pictures: Tensor,
    t: Tensor,
    conditions: Sequence[Condition],
) -> tuple[Tensor, ...]:
    """The noise of whole pictures, each smaller than the one that is wanted or of its size.

    Args:
        pictures: (K, B, C, a, b).
        t: timesteps (B,).
        conditions: the branches, each for B prompts.

    Returns:
        For each condition the noise of the pictures, (K, B, C, a, b).
    """
    (a, b), (down, across) = pictures.shape[-2:], pixels_per_cell(prior)
    seen = [resized(c, (a * down, b * across)) for c in wanted.controls]

    def asked(some: slice) -> tuple[Tensor, ...]:
        count = len(pictures[some])
        told = [cat([c] * count) for c in conditions]
        controls = [replace(c, image=c.image.repeat(count, 1, 1, 1)) for c in seen]
        xt = pictures[some].flatten(0, 1)
        return prior.predict_noise(xt, t.repeat(count), *told, controls=controls)

    return _in_parts(asked, pictures, wanted.view_batch_size, len(conditions))


def _in_parts(
    asked: Callable[[slice], tuple[Tensor, ...]], views: Tensor, size: int, branches: int
) -> tuple[Tensor, ...]:
    """What is said of K views, (K, B, C, a, b) for each branch, asked about `size` at once."""
    # Made before the first call: answers that were kept one by one would lie scattered between
    # what the calls free, and the C library could not give that out again in one piece.
    eps = views.new_empty(branches, *views.shape)
    for begin in range(0, len(views), size):
        some = slice(begin, begin + size)
        for one, answer in zip(eps, asked(some), strict=True):
            one[some] = answer.view_as(views[some])
    return eps.unbind()


def pixels_per_cell(prior: Prior) -> tuple[int, int]:
    """How many pixels high and wide a cell of the latents is."""
    (h, w), (H, W) = prior.latent_size, prior.image_size
    return H // h, W // w


def _told_its_place(
    condition: Condition,
    size: tuple[int, int],
    corner: Corner,
    view: Sequence[int],
    scale: tuple[int, int],
) -> Condition:
    """A condition for a view; SDXL is told the size of the whole and the view's place in it."""
    if condition.pooled is None:
        return condition
    down, across = scale
    return condition.with_size(
        (size[0] * down, size[1] * across),
        crop=(corner.top * down, corner.left * across),
        target=(view[0] * down, view[1] * across),
    )


def _cut(
    control: Control, corners: Sequence[Corner], view: Sequence[int], scale: tuple[int, int]
) -> Control:
    """A control of the whole, for views of it: (K * B, 3, H, W), views first."""
    high, wide = view[0] * scale[0], view[1] * scale[1]
    parts = [
        control.image[..., top : top + high, left : left + wide]
        for top, left in ((c.top * scale[0], c.left * scale[1]) for c in corners)
    ]
    return replace(control, image=torch.cat(parts))


def resized(control: Control, size: tuple[int, int]) -> Control:
    """A control of the whole, (B, 3, H, W) of another size, (H, W) in pixels.

    Edges stay white in a smaller picture, where their mean with what is beside them would be grey.
    """
    if control.image.shape[-2:] == size:
        return control
    if control.kind == "canny":
        return replace(control, image=adaptive_max_pool2d(control.image, size))
    return replace(control, image=interpolate(control.image, size, mode="area"))
