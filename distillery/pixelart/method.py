"""What pixel art needs of a module of functions: `reference.pixelart` or `guidance.pixelart`."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


class PixelMethod(Protocol):
    """The functions that a run calls."""

    __file__: str | None

    def logits_from_image(self, *args: Any, **given: Any) -> Tensor:
        """`logits_from_image(image, palette)`: logits (1, K, h, w) of a small picture."""
        ...

    def kmeans_step(self, *args: Any, **given: Any) -> Tensor:
        """`kmeans_step(pixels, centres)`: the centres (K, 3) after one step of k-means."""
        ...

    def loss(self, *args: Any, **given: Any) -> Tensor:
        """The loss of one step.

        It is called as `loss(prior, logits, *, palette, text, uncond, controls, step, settings,
        generator, clear)` and gives a scalar.
        """
        ...
