"""The run of a morph: its steps, what it costs, and the files of the animation.

Steps are those of DDIM. The keyframes are drawn one by one, each exactly as `main.py sample` draws
its prompt, and frames between them together, in the same steps. Where frames should be even in
what is seen, rounds follow that draw more frames to choose from, each of as many steps again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from distillery.core.images import to_png_bytes
from distillery.methods.ddim import DDIMStep
from distillery.methods.morph import MorphFunctions, Path, picked
from distillery.methods.morph_drawing import Drawing, decoded, keyframe_steps, steps_between
from distillery.methods.morph_frames import frame_positions
from distillery.methods.morph_spacing import EvenFilm
from distillery.models.prior import Prior
from distillery.morph.files import animation_of, files_of, segments_of
from distillery.morph.look import look_at
from distillery.morph.settings import MorphSettings, palette_named
from distillery.pixelart.sequence import PixelSequence, pixel_sequence
from distillery.runs import cost
from distillery.runs.cost import duration, seconds_a_sample
from distillery.runs.film import frame_indices
from distillery.runs.run import Checkpoint, Run, Step, code_of

ROUNDS = 2  # after the first, at most, where frames should be even in what is seen
EXTRA = 1  # times the frames that are shown may be drawn to choose from
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
        self.total = settings.steps * (1 + ROUNDS * (settings.spacing == "even"))
        self._prior, self._functions, self._settings = prior, functions, settings
        self._film = film_positions(settings)
        closed = settings.loop and not goes_back(settings)
        there = there_and_back(self._film) if goes_back(settings) else self._film
        self._places, self._order = there.unique(return_inverse=True)
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
        self._is_key = self._places == self._places.round()
        self._rounds: list[Tensor] = []  # the finished latents of each
        self._even: EvenFilm | None = None
        self._seen = self._drawing.noise(self._places)  # the latest estimates

    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        steps, begun, latents = self._settings.steps, 0, None
        if resume is not None:
            for finished in resume.state["rounds"]:
                self._take(finished.to(self._prior.device))
            begun = (resume.index + 1) % steps
            latents = resume.state["xt"].to(self._prior.device) if begun else None
        for number in range(len(self._rounds), self.total // steps):
            for index, xt, x0 in self._drawn(self._to_draw(number), begun, latents):
                if len(x0):
                    self._seen = x0
                if index == steps - 1:
                    self._take(xt)
                state: dict[str, Any] = {"rounds": list(self._rounds), "xt": xt}
                yield Step(
                    number * steps + index, self.total, self.preview, state=partial(dict, state)
                )
            begun, latents = 0, None

    def _to_draw(self, number: int) -> Tensor:
        """The positions (N,) of a round; after the first, those that the spacing asks for."""
        if number == 0:
            return self._places
        return self._places[:0] if self._even is None else self._even.next_positions()

    def _take(self, latents: Tensor) -> None:
        """Take in the finished latents of a round."""
        number = len(self._rounds)
        positions = self._to_draw(number)
        self._rounds.append(latents)
        if number == 0:
            if self._settings.spacing == "even" and not self._is_key.all():
                keys = latents[self._is_key.to(latents.device)]
                if self._drawing.path.closed:
                    keys = torch.cat([keys, keys[:1]])
                look = look_at(self._prior, self._settings.model)
                self._even = EvenFilm(self._places, keys, look, extra=EXTRA)
                others = ~self._is_key
                self._even.add(positions[others], latents[others.to(latents.device)])
        elif self._even is not None and len(positions):
            self._even.add(positions, latents)

    def _drawn(
        self, positions: Tensor, start: int, xt: Tensor | None
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Each step of the drawings at some positions, (N,): its index, xt and x0 (N, C, h, w)."""
        xt = self._drawing.noise(positions) if xt is None else xt
        if not len(positions):  # a round that is not needed takes its steps at once
            yield from ((index, xt, xt) for index in range(start, self._settings.steps))
            return
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

    def foreword(self) -> str:
        """Of a long run, how often the network is asked, and about how long that takes."""
        samples = self.samples
        path = self._drawing.path
        text, uncond = picked(path.keyframes, slice(0, 1)), path.uncond
        a_sample = seconds_a_sample(self._prior, text, uncond, self._drawing.timesteps[:1])
        seconds = a_sample * samples
        if seconds < cost.LONG:
            return ""
        shown = f"{len(self._places)} of them different, " * (len(self._places) < len(self._order))
        return (
            f"{len(self._order)} frames, {shown}are {samples:,} samples of the network in "
            f"{self._settings.steps} steps; they take about {duration(seconds)}, at "
            f"{duration(a_sample)} a sample"
        )

    @property
    def samples(self) -> int:
        """How many samples of the network the run takes at most."""
        keys = int(self._is_key.sum())
        others = len(self._places) - keys
        if self._settings.spacing == "even":
            others += EXTRA * len(self._places)
        branches = 3 if self._settings.text == "mix" else 2
        return self._settings.steps * (2 * keys + branches * others)

    def film(self, frames: Sequence[Image.Image]) -> list[Image.Image]:
        """Those of the first round alone; later ones draw single frames in between."""
        return [
            frame
            for frame, index in zip(frames, frame_indices(self.total), strict=True)
            if index < self._settings.steps
        ]

    def preview(self) -> Tensor:
        """Some of the drawings as they are now, evenly chosen."""
        count = min(PREVIEWED, len(self._seen))
        chosen = torch.linspace(0, len(self._seen) - 1, count).round().long()
        return self._prior.decode(self._seen[chosen.to(self._seen.device)])

    def images(self) -> Tensor:
        """The frames before they are brought into pixels, (F, 3, H, W) in [-1, 1]."""
        latents = self._rounds[0] if self._even is None else self._even.film()[1]
        return decoded(self._prior, latents).cpu()[self._order]

    def pixels(self, images: Tensor) -> PixelSequence:
        """The frames (F, 3, H, W) in the pixels and colours of the settings."""
        its = self._settings
        return pixel_sequence(
            images,
            self._functions,
            size=its.size,
            palette=palette_named(its.palette),
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
        animation = animation_of(self.pixels(images), self._settings)
        return {**pictures, **files_of(animation, segments_of(self._film, self._settings))}

    def _title(self, place: float) -> str:
        """What a frame shows: a keyframe its prompt, as a single picture of it does."""
        its = self._settings
        return its.prompts[int(place)] if place == int(place) else its.title


def goes_back(settings: MorphSettings) -> bool:
    """Whether the way back is the way there: a loop of two prompts needs no other frames."""
    return settings.loop and len(settings.prompts) == 2


def film_positions(settings: MorphSettings) -> Tensor:
    """The position of every frame, float32 (F,)."""
    return frame_positions(
        len(settings.prompts),
        settings.frames,
        holds=settings.waits,
        easing=settings.easing,
        loop=settings.loop,
    )


def there_and_back(positions: Tensor) -> Tensor:
    """Positions from 0 to 2 on a path of two keyframes and back, as positions on the way there."""
    there = torch.minimum(positions, 2 - positions)
    return (there * 2**20).round() / 2**20  # so that 1/3 and 2 - 5/3 are one place
