"""Everything that decides a piece of pixel art."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from distillery.core.errors import CourseError
from distillery.core.settings import (
    LARGEST_SEED,
    Choice,
    Declared,
    FileName,
    Real,
    Size,
    Text,
    Truth,
    ValueType,
    Whole,
    by_model,
    declared,
    setting,
)
from distillery.methods.settings import IMPLEMENTATIONS
from distillery.pixelart.published_config import is_published, own_names

if TYPE_CHECKING:
    import torch

    from distillery.models.presets import Preset

LARGEST_SIDE = 512  # pixels of the grid
SMALLEST_SIDE = 32  # pixels of the canvas
STARTS = ("generated", "image", "painted", "noise")
FILLS = ("distance", "nearest", "dithered")
PATHS = ("gumbel", "softmax", "argmax")
ENLARGE = ("bilinear", "nearest")
MODEL = "tiny-sdxl"  # where none is named
# By memory in GB: the model where none is named, and what of SDXL is given up.
MEMORY: dict[int, dict[str, Any]] = {
    24: {"model": "sdxl"},
    16: {"model": "sdxl", "vae": "taesdxl"},
    12: {"model": "sdxl", "side": 768, "vae": "taesdxl", "depth": 0.0},
    8: {"model": "ssd-1b", "side": 512, "vae": "taesdxl", "depth": 0.0},
}
POSITIVE, NOT_NEGATIVE, PART = Real(above=0), Real(low=0), Real(low=0, high=1)
GIVEN_UP = {
    "side": "the side is {} pixels",
    "vae": "the VAE is {}",
    "depth": "the depth ControlNet is left out",
}


class GridSize(Size):
    """Height and width of the grid, neither much longer than the other."""

    def check(self, name: str, value: Any, among: object = None) -> tuple[int, int] | None:
        size = super().check(name, value)
        if size is not None and max(size) > 4 * min(size):
            raise CourseError(
                f"{name} may be at most 4 times as long one way as the other; it is {value!r}."
            )
        return size


@dataclass(frozen=True)
class Memory(ValueType):
    """A key of `MEMORY`, or None where memory does not matter."""

    flag_type: ClassVar[Callable[[str], Any]] = int

    def check(self, name: str, value: Any, among: object = None) -> int | None:
        if value is not None and (type(value) is not int or value not in MEMORY):
            known = ", ".join(map(str, sorted(MEMORY)))
            raise CourseError(f"{name} must be one of {known} GB; it is {value!r}.")
        return value


@dataclass(frozen=True)
class PixelSettings(Declared):
    """Everything that decides a piece of pixel art; what is None takes the model's default.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    prompt: str = setting(
        "",
        Text(),
        "what to draw; empty: the caption of the input image, or the image alone if it has none",
        short="-pt",
    )
    negative_prompt: str = setting("", Text(), "what to steer away from", short="-npt")
    model: str = setting(
        None,
        FileName(folders=True),
        "a preset's name, or a folder that diffusers saved",
        by_default=MODEL,
    )
    implementation: str = setting(
        "guidance",
        Choice(IMPLEMENTATIONS),
        "guidance: your code; reference: the course's",
        by_default="guidance; reference while yours is still to do and the course's is there",
    )
    device: str = setting("auto", Text(), "auto, cpu, cuda or mps")
    seed: int = setting(
        0,
        Whole(0, LARGEST_SEED),
        "the same seed gives the same picture on the same machine",
        short="-d",
    )
    memory: int | None = setting(
        None, Memory(), "GPU memory limit in GB: 8, 12, 16 or 24; SDXL is reduced to fit into it"
    )

    size: tuple[int, int] = by_model(
        GridSize("the grid", 2, LARGEST_SIDE), "height and width of the grid, in pixels"
    )
    palette: str = setting(
        "", FileName(), "a name, rgb-N, or a file; empty: found in the start by k-means"
    )
    colours: int = setting(
        8, Whole(2, 256), "how many colours to find where no palette is named", short="-knc"
    )
    perceptual: bool = setting(False, Truth(), "find the nearest colour in OKLab instead of sRGB")
    transparent: bool = setting(
        False, Truth(), "transparent pixels of the input image stay transparent"
    )

    start: str = setting(
        None,
        Choice(STARTS),
        "what the grid starts from: generated, image, painted or noise",
        by_default="image if there is an input image, else generated",
    )
    input_image: str = setting(
        "", FileName(), "the picture to start from, or the painted index grid"
    )
    fill: str = setting(
        "distance", Choice(FILLS), "how a start fills the grid: distance, nearest or dithered"
    )
    candidates: int = by_model(
        Whole(1, 64), "drawings of the model to choose the start from, by CLIP score"
    )
    choices: int = by_model(
        Whole(1, 64),
        "moments of the second half to choose the result from, by CLIP score; 1: the last",
    )

    sureness: float = by_model(
        POSITIVE, "factor on the logits of the start; larger: nearer to one colour per pixel"
    )
    path: str = setting(
        "gumbel", Choice(PATHS), "from logits to weights: gumbel, softmax or argmax"
    )
    tau: float = setting(1.0, POSITIVE, "temperature of Gumbel-softmax at the first step")
    tau_end: float = setting(1.0, POSITIVE, "temperature at the last step; geometric in between")
    tau_spread: float = setting(
        0.5, Real(low=0, high=0.9), "each step multiplies the temperature by U(1 - this, 1 + this)"
    )
    enlarge: str = setting("bilinear", Choice(ENLARGE), "from grid to canvas: bilinear or nearest")
    side: int = by_model(
        Whole(SMALLEST_SIDE, 4096),
        "side in pixels of a square canvas; other canvases have the same area",
    )

    guidance_scale: float = by_model(Real(), "s in eps_uncond + s * (eps_text - eps_uncond)")
    steps: int = by_model(Whole(1, 1_000_000), "number of steps")
    learning_rate: float = by_model(POSITIVE, "learning rate of AdamW after the warm-up")
    warmup: int = setting(
        None,
        Whole(0, "steps"),
        "steps over which the learning rate rises; by default a tenth of all",
        follows="steps",
    )
    clip_norm: float = setting(1.0, NOT_NEGATIVE, "largest norm of the gradient; 0: no clipping")
    t_min: int = setting(20, Whole(0, "t_bound"), "smallest timestep")
    t_max: int = setting(980, Whole(0, 999), "largest timestep at the first step")
    t_bound: int = by_model(Whole(0, 999), "largest timestep at the end")
    bound_reached: float = setting(
        0.5,
        Real(above=0, high=1),
        "part of the run over which the largest timestep falls from t_max to t_bound",
    )

    fft: float = by_model(NOT_NEGATIVE, "weight of the loss on high frequencies")
    tv: float = setting(0.0, NOT_NEGATIVE, "weight of the total variation loss")
    laplacian: float = setting(0.0, NOT_NEGATIVE, "weight of the Laplacian loss")
    bilateral: float = setting(0.0, NOT_NEGATIVE, "weight of the bilateral loss")

    mirror: float = setting(0.5, PART, "probability that a step sees the picture mirrored")
    perspective: float = setting(
        0.5, PART, "probability that a step sees the picture in perspective"
    )
    # From 2/3 on, the four corners may not be convex, and then the horizon is in the picture.
    perspective_scale: float = by_model(
        Real(low=0, high=0.6), "how far a corner moves in at most, as a part of half a side"
    )
    grayscale: float = by_model(PART, "probability that a step sees the picture in grey")

    canny: float = by_model(NOT_NEGATIVE, "scale of the ControlNet for edges; 0 leaves it out")
    depth: float = by_model(NOT_NEGATIVE, "scale of the ControlNet for depth; 0 leaves it out")
    control_start: float = setting(
        0.0, PART, "when ControlNets begin, from 0 (noise) to 1 (picture)"
    )
    control_end: float = setting(
        1.0, Real(low="control_start", high=1), "when ControlNets end, from 0 to 1"
    )
    vae: str = setting(
        None, FileName(folders=True), "another autoencoder: taesdxl, fp16-fix, a hub id or a folder"
    )
    lora: str = setting(
        "", FileName(folders=True), "LoRA weights for the UNet: a file, a folder or a hub id"
    )
    lora_scale: float = setting(1.0, Real(low=-100, high=100), "factor on the LoRA weights")

    def __post_init__(self) -> None:
        self._fit_memory()
        start = "image" if self.input_image else "generated"
        self.fill_in(model=MODEL, vae="", start=start)
        self._fill_in_by_model()
        self.check()
        self._check_together()

    def _fit_memory(self) -> None:
        """Fit SDXL into the memory, and warn of what that changes."""
        self.check("memory")
        complete = all(getattr(self, field.name) is not None for field in fields(self))
        if self.memory is None or complete:  # what is complete was fitted, and told of, before
            return
        given_up = dict(MEMORY[self.memory])
        changes = [
            f"the model is {model}" for model in self.fill_in(model=given_up.pop("model")).values()
        ]
        preset = self._preset()
        if preset.family == "sdxl" and not preset.embedded:
            filled = self.fill_in(**given_up)
            changes += [GIVEN_UP[name].format(value) for name, value in filled.items()]
        said = _listed(changes) if changes else "nothing is changed"
        warnings.warn(f"for {self.memory} GB {said}.", stacklevel=4)

    def _fill_in_by_model(self) -> None:
        from distillery.models.presets import suits

        preset, defaults = self._preset(), suits(self.model, "pixelart")
        if type(self.t_max) is int and 0 <= self.t_max < defaults["t_bound"]:
            self.fill_in(t_bound=self.t_max)
        self.fill_in(**defaults, side=max(SMALLEST_SIDE, preset.image_size))
        if isinstance(self.steps, int):
            self.fill_in(warmup=self.steps // 10)

    def _preset(self) -> Preset:
        # Presets import torch, which takes seconds; a parser of flags is made without it.
        from distillery.models.presets import find_preset

        self.check("model")
        return find_preset(self.model)

    def _check_together(self) -> None:
        if self.t_bound > self.t_max:
            raise CourseError(
                f"t_bound, the largest timestep at the end, must not be above t_max; t_bound is "
                f"{self.t_bound} and t_max is {self.t_max}: lower t_bound or raise t_max."
            )
        if self.start in ("image", "painted") and not self.input_image:
            raise CourseError(f"the start {self.start!r} needs a picture: name the input_image.")
        if self.start == "noise" and not self.palette:
            raise CourseError(
                "a start from noise has no picture to find colours in: name a palette, for example "
                "rgb-2."
            )
        if not self.prompt.strip() and not self.input_image:
            raise CourseError(
                "the prompt is empty and there is no input_image to make a caption from; "
                "say in a few words what to draw."
            )

    @property
    def title(self) -> str:
        """What the finished picture should show; the picture's name where no words say it."""
        return self.prompt or Path(self.input_image).stem

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width in pixels of what the model sees.

        Their ratio is nearly the grid's and their area nearly `side`². Both are multiples of 8, or
        of 32 where the side is at least 512: with a side of 128, a grid of 32 × 48 pixels has a
        canvas of 112 × 168.
        """
        return canvas_for(self.size, self.side)

    def tau_at(self, step: int, generator: torch.Generator) -> float:
        """The temperature of a step: between `tau` and `tau_end`, with a random factor."""
        import torch

        way = step / max(1, self.steps - 1)
        mean = self.tau * (self.tau_end / self.tau) ** way
        chance = torch.rand((), generator=generator, device=generator.device).item()
        return mean * (1 + self.tau_spread * (2 * chance - 1))

    @classmethod
    def own_names(cls, values: dict[Any, Any]) -> dict[Any, Any]:
        """What a file says; SD-πXL's own configurations are read too."""
        return own_names(values) if is_published(values, declared(cls)) else values

    @classmethod
    def load(cls, path: Path | None, **changes: Any) -> PixelSettings:
        """Read the settings of a file, and change some.

        A picture among the changes is meant to be used, even where the file's start is another.
        """
        loaded = super().load(path, **changes)
        if "input_image" in changes and "start" not in changes and loaded.start != "painted":
            return replace(loaded, start="image")
        return loaded


@functools.lru_cache
def canvas_for(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Height and width in pixels of nearly the ratio of `size` and nearly the area `side`²."""
    shape = size[1] / size[0]
    # SDXL's latents are 8 pixels a side, and its UNet halves them twice.
    unit = 32 if side >= 512 else 8

    def misfit(canvas: tuple[int, int]) -> float:
        area = math.log(canvas[0] * canvas[1] / side**2)
        return abs(math.log(canvas[1] / canvas[0] / shape)) + 0.1 * abs(area)

    heights = range(unit, 4 * side + unit, unit)
    widths = (max(unit, unit * round(height * shape / unit)) for height in heights)
    return min(zip(heights, widths, strict=True), key=misfit)


def _listed(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
