"""The run of a morph: its steps, what it costs, and the files of the animation.

Steps are those of DDIM. First the keyframes are drawn, each exactly as `main.py sample` draws its
prompt, then the frames between them, in rounds of as many steps each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import enlarged, grid, to_png_bytes
from distillery.methods.morph import LATE, MIXED, MorphFunctions, path_of, picked
from distillery.methods.morph_drawing import Drawing, decoded
from distillery.methods.morph_frames import frame_positions
from distillery.models.prior import Prior
from distillery.morph.files import animation_of, files_of, segments_of
from distillery.morph.look import look_at
from distillery.morph.rounds import Rounds
from distillery.morph.settings import MorphSettings, palette_named
from distillery.pixelart.animation_files import video_bytes
from distillery.pixelart.sequence import PixelSequence, pixel_sequence
from distillery.runs import cost
from distillery.runs.cost import duration, seconds_a_sample
from distillery.runs.run import Checkpoint, Run, Step, code_of

PREVIEWED = 6  # pictures in a frame of the making


class MorphRun(Run):
    """The steps of all drawings of a path.

    Args:
        functions: the module of the student's functions.
        size: (H, W) in pixels of the pictures that are drawn.

    Raises:
        CourseError: the settings do not fit the prior.
    """

    may_make: ClassVar[Sequence[str]] = ("pictures/*.png", "morph.mp4")

    def __init__(
        self,
        prior: Prior,
        functions: MorphFunctions,
        settings: MorphSettings,
        *,
        size: tuple[int, int],
    ) -> None:
        self.ingredients = [code_of(functions)]
        self._prior, self._functions, self._settings = prior, functions, settings
        self._film = film_positions(settings)
        there = there_and_back(self._film) if goes_back(settings) else self._film
        self._places, self._order = there.unique(return_inverse=True)
        path = path_of(
            prior,
            settings.prompts,
            settings.seeds,
            negative_prompt=settings.negative_prompt,
            text=settings.text,
            noise=settings.noise,
            guidance_scale=settings.guidance_scale,
            loop=settings.loop and not goes_back(settings),
        )
        self._drawing = Drawing(
            prior,
            functions,
            path,
            prior.timesteps(settings.steps),
            prior.latent_size_of(size),
            settings.frames_a_call,
        )
        self._rounds = self._begun()
        self.total = sum(self._rounds.lengths)
        self._missing = ""
        # The positions that are being drawn, and the latest estimates there.
        self._under_way = self._places[:0], self._drawing.noise(self._places[:0])

    def _begun(self) -> Rounds:
        its = self._settings
        look = partial(look_at, self._prior, its.model) if its.spacing == "even" else None
        return Rounds(
            self._drawing,
            self._places,
            look=look,
            strength=its.strength,
            smoothing=its.smoothing,
        )

    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        self._rounds = self._begun()
        begun, latents, index = 0, None, -1
        if resume is not None:
            for drawn in resume.state["rounds"]:
                self._rounds.take(drawn.to(self._prior.device))
            index = resume.index
            begun = index + 1 - sum(self._rounds.lengths[: len(self._rounds.done)])
            latents = resume.state["xt"].to(self._prior.device) if begun else None
        for length in self._rounds.lengths[len(self._rounds.done) :]:
            positions = self._rounds.to_draw()
            for step in self._rounds.steps(begun, latents):
                index += 1
                if step.index == length - 1:
                    self._rounds.take(step.xt)
                    self._under_way = positions[:0], step.x0[:0]
                else:
                    self._under_way = positions, step.x0
                state: dict[str, Any] = {"rounds": list(self._rounds.done), "xt": step.xt}
                yield Step(index, self.total, self.sheet, state=partial(dict, state))
            begun, latents = 0, None

    def foreword(self) -> str:
        """Of a long run, how often the network is asked, and about how long that takes."""
        samples = self.samples
        path = self._drawing.path
        text, uncond = picked(path.keyframes, slice(0, 1)), path.uncond
        a_sample = seconds_a_sample(self._prior, text, uncond, self._drawing.timesteps[:1])
        seconds = a_sample * samples
        if seconds < cost.LONG:
            return ""
        shown = f", {len(self._places)} of them different," * (len(self._places) < len(self._order))
        return (
            f"{len(self._order)} frames{shown} are {samples:,} samples of the network in "
            f"{self._settings.steps} steps; they take about {duration(seconds)}, at "
            f"{duration(a_sample)} a sample"
        )

    @property
    def samples(self) -> int:
        """How many samples of the network the run takes at most."""
        keys = int((self._places == self._places.round()).sum())
        text, timesteps = self._settings.text, self._drawing.timesteps[:-1]
        late = LATE * len(self._prior.alphas_cumprod) if text == "stones" else 0
        mixed = int((timesteps >= late).sum()) if text in MIXED else 0
        others = self._settings.strength * self._rounds.samples * (2 * len(timesteps) + mixed)
        return 2 * keys * len(timesteps) + round(others)

    def sheet(self) -> Image.Image:
        """What `preview` gives, side by side."""
        return grid(self.preview(), columns=PREVIEWED)

    def preview(self) -> Tensor:
        """The path as it is now, (N, 3, H, W): at even places the nearest picture known."""
        positions, latents = self._under_way
        positions = torch.cat([*self._rounds.drawn, positions])
        latents = torch.cat([*self._rounds.done, latents])
        wanted = torch.linspace(0, float(self._places[-1]), PREVIEWED)
        nearest = (positions - wanted[:, None]).abs().argmin(dim=1)
        shown, tiles = nearest.unique(return_inverse=True)
        return self._prior.decode(latents[shown.to(latents.device)])[tiles.to(latents.device)]

    def enlarged(self, frame: Image.Image) -> Image.Image:
        return enlarged(frame)

    def images(self) -> Tensor:
        """The frames before they are brought into pixels, (F, 3, H, W) in [-1, 1]."""
        return decoded(self._prior, self._rounds.latents).cpu()[self._order]

    def finished(self) -> tuple[Tensor, Tensor]:
        """Positions (N,), rising, and pictures (N, 3, H, W) of the rounds done so far."""
        if not self._rounds.done:
            return torch.empty(0), torch.empty(0)
        positions, order = torch.cat(self._rounds.drawn).sort()
        latents = torch.cat(self._rounds.done)
        return positions, decoded(self._prior, latents[order.to(latents.device)]).cpu()

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
        files = files_of(animation, segments_of(self._film, self._settings))
        # Without ffmpeg there is everything else; the drawing may have taken hours.
        try:
            files["morph.mp4"] = video_bytes(animation)
        except CourseError as error:
            self._missing = f"note: there is no morph.mp4: {error}"
        return {**pictures, **files}

    def afterword(self) -> str:
        """What could not be made."""
        return self._missing

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
