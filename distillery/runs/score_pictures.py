"""The scores of every step of a run, as pictures of their three principal components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.images import to_png_bytes
from distillery.methods.any_size import ElasticFunctions
from distillery.methods.network_samples import CountedPrior
from distillery.methods.score_pca import principal_axes, rgb_components
from distillery.runs.film import frame_indices
from distillery.runs.frame_sheet import sheet

NAMES = ("direction", "unconditional")


class HeardFunctions:
    """The student's functions; of every step it is remembered what `elastic_eps` is given first.

    heard: the direction that the prompt gives and the windows' unconditional noise; nothing until
        the first call of a step.
    """

    def __init__(self, functions: ElasticFunctions) -> None:
        self._functions = functions
        self.heard: tuple[Tensor, Tensor] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._functions, name)

    def elastic_eps(
        self, local: Tensor, eps_uncond: Tensor, eps_text: Tensor, guidance_scale: float
    ) -> Tensor:
        """As the student's own."""
        if self.heard is None:
            self.heard = eps_text - eps_uncond, local
        return self._functions.elastic_eps(local, eps_uncond, eps_text, guidance_scale)


class Scores:
    """Direction and unconditional score of the first picture, step by step.

    The components are fitted to each step, in the order and on the side of those before.

    Args:
        source: what hears them, the functions of ElasticDiffusion or else the prior.

    pictures: of the steps so far, uint8 (2, h, w, 3) each.
    axes:     of the latest step, (2, 3, C).
    """

    def __init__(self, source: HeardFunctions | CountedPrior) -> None:
        self._source = source
        self.pictures: list[Tensor] = []
        self.axes: Tensor | None = None

    def keep(self) -> None:
        """Add those of the step that is just done."""
        if isinstance(self._source, HeardFunctions):
            assert self._source.heard is not None
            pair, self._source.heard = self._source.heard, None
        else:
            eps_uncond, eps_text = self._source.answer
            pair = eps_text - eps_uncond, eps_uncond
        scores = [score[0] for score in pair]
        before = [None, None] if self.axes is None else list(self.axes)
        self.axes = torch.stack(
            [principal_axes(one, like=its) for one, its in zip(scores, before, strict=True)]
        )
        colours = [rgb_components(one, its) for one, its in zip(scores, self.axes, strict=True)]
        self.pictures.append(torch.from_numpy(np.stack(colours)))

    def state(self) -> dict[str, Any]:
        """What `go_on` needs."""
        return {"pictures": list(self.pictures), "axes": self.axes}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Go on after a stop."""
        self.pictures, self.axes = list(state["pictures"]), state["axes"]

    def files(self, film: Sequence[Image.Image], pixels: int) -> dict[str, bytes]:
        """A sheet of all, and each of them, `pixels` for a cell of the latents.

        Args:
            film: the kept frames of the run, whose estimates are shown above their scores.
        """
        enlarged_ones = [[_picture(one, pixels) for one in pair] for pair in self.pictures]
        files = {
            f"pca/{index + 1:05d}_{name}.png": to_png_bytes(picture)
            for index, pair in enumerate(enlarged_ones)
            for name, picture in zip(NAMES, pair, strict=True)
        }
        indices = frame_indices(len(enlarged_ones))
        stacks = [
            _stacked([frame, *enlarged_ones[index]])
            for frame, index in zip(film, indices, strict=True)
        ]
        return {**files, "pca.png": to_png_bytes(sheet(stacks, len(enlarged_ones)))}


def _picture(levels: Tensor, pixels: int) -> Image.Image:
    picture = Image.fromarray(levels.numpy())
    return picture.resize(
        (picture.width * pixels, picture.height * pixels), Image.Resampling.NEAREST
    )


def _stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """One above the other, each as large as the first, two pixels apart."""
    width, height = pictures[0].size
    stack = Image.new("RGB", (width, len(pictures) * (height + 2) - 2), "white")
    for row, picture in enumerate(pictures):
        stack.paste(picture.resize((width, height)), (0, row * (height + 2)))
    return stack
