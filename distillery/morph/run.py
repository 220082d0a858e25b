"""The run of a morph: its steps, what it costs, and the files of the animation.

Steps are those of DDIM. The keyframes are drawn one by one, each exactly as `main.py sample` draws
its prompt, and frames between them together, in the same steps. Where frames should be even in
what is seen, rounds follow that draw more frames to choose from, each of as many steps again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from distillery.core.images import to_png_bytes
from distillery.methods.ddim import DDIMStep
from distillery.methods.morph import MorphFunctions, Path
from distillery.methods.morph_drawing import Drawing, decoded, keyframe_steps, steps_between
from distillery.methods.morph_frames import frame_positions
from distillery.models.prior import Prior
from distillery.morph.files import files_of
from distillery.morph.settings import MorphSettings
from distillery.palettes import load_palette
from distillery.pixelart.sequence import PixelSequence, pixel_sequence
from distillery.runs.run import Checkpoint, Run, Step, code_of

PREVIEWED = 8  # pictures at most in a frame of the making


class MorphRun(Run):
    """The steps of all drawings of a path.

    Args:
        functions: the module of the student's functions.
        size: (H, W) in pixels of the pictures that are drawn.

    Raises:
        CourseError: the settings do not fit the prior.
    """

    may_make: ClassVar[Sequence[str]] = ("pictures/*.png",)

    def __init__(
        self,
        prior: Prior,
        functions: MorphFunctions,
        settings: MorphSettings,
        *,
        size: tuple[int, int],
    ) -> None:
        self.ingredients = [code_of(functions)]
        self.total = settings.steps
        self._prior, self._functions, self._settings = prior, functions, settings
        wanted = wanted_positions(settings)
        closed = settings.loop and not goes_back(settings)
        self._places, self._order = wanted.unique(return_inverse=True)
        self._drawing = Drawing(
            prior,
            functions,
            Path(
                prior.embed([*settings.prompts, *settings.prompts[:closed]]),
                prior.embed([settings.negative_prompt]),
                (*settings.seeds, *settings.seeds[:closed]),
                text=settings.text,
                noise=settings.noise,
                guidance_scale=settings.guidance_scale,
                closed=closed,
            ),
            prior.timesteps(settings.steps),
            prior.latent_size_of(size),
        )
        self.latents = torch.empty(0)

    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        start, xt = 0, self._drawing.noise(self._places)
        if resume is not None:
            start, xt = resume.index + 1, resume.state["xt"].to(self._prior.device)
        self.latents = xt
        for index, xt, x0 in self._drawn(self._places, start, xt):
            self.latents = xt if index == self.total - 1 else x0
            yield Step(index, self.total, self.preview, state=partial(dict, xt=xt))

    def _drawn(
        self, positions: Tensor, start: int, xt: Tensor
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Each step of the drawings at some positions, (N,): its index, xt and x0 (N, C, h, w)."""
        is_key = positions == positions.round()
        keys = [
            keyframe_steps(self._drawing, int(positions[k]), start=start, xt=xt[k : k + 1])
            for k in is_key.nonzero().flatten().tolist()
        ]
        between: list[Iterator[DDIMStep]] = []
        if not is_key.all():
            others = ~is_key
            between = [
                steps_between(
                    self._drawing, positions[others], start=start, xt=xt[others.to(xt.device)]
                )
            ]
        back = torch.cat([is_key.nonzero(), (~is_key).nonzero()]).flatten().argsort().to(xt.device)
        for together in zip(*keys, *between, strict=True):
            xts = torch.cat([step.xt for step in together])[back]
            yield together[0].index, xts, torch.cat([step.x0 for step in together])[back]

    def preview(self) -> Tensor:
        """Some of the drawings as they are now, evenly chosen."""
        count = min(PREVIEWED, len(self.latents))
        chosen = torch.linspace(0, len(self.latents) - 1, count).round().long()
        return self._prior.decode(self.latents[chosen.to(self.latents.device)])

    def images(self) -> Tensor:
        """The frames before they are brought into pixels, (F, 3, H, W) in [-1, 1]."""
        return decoded(self._prior, self.latents).cpu()[self._order]

    def pixels(self, images: Tensor) -> PixelSequence:
        """The frames (F, 3, H, W) in the pixels and colours of the settings."""
        its = self._settings
        return pixel_sequence(
            images,
            self._functions,
            size=its.size,
            palette=int(its.palette) if its.palette.isdigit() else load_palette(its.palette),
            generator=torch.Generator().manual_seed(0),
            dithering="bayer" if its.dithering == "bayer" else "none",
            margin=its.margin,
            loop=its.loop,
        )

    def products(self) -> dict[str, bytes]:
        images, places = self.images(), self._places[self._order].tolist()
        pictures = {
            f"pictures/{number:03d}.png": to_png_bytes(image, self._title(place))
            for number, (image, place) in enumerate(zip(images, places, strict=True), 1)
        }
        return {**pictures, **files_of(self.pixels(images), self._settings)}

    def _title(self, place: float) -> str:
        """What a frame shows: a keyframe its prompt, as a single picture of it does."""
        its = self._settings
        return its.prompts[int(place)] if place == int(place) else its.title


def goes_back(settings: MorphSettings) -> bool:
    """Whether the way back is the way there: a loop of two prompts needs no other frames."""
    return settings.loop and len(settings.prompts) == 2


def wanted_positions(settings: MorphSettings) -> Tensor:
    """The position of every frame, float32 (F,)."""
    positions = frame_positions(
        len(settings.prompts),
        settings.frames,
        holds=settings.waits,
        easing=settings.easing,
        loop=settings.loop,
    )
    return torch.minimum(positions, 2 - positions) if goes_back(settings) else positions
