"""All that decides a piece of pixel art, as one dataclass and as commented YAML."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import yaml

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.core.validation import (
    check_choice,
    check_real,
    check_text,
    check_truth,
    check_whole,
    read_settings,
)
from distillery.models.presets import find_preset

LARGEST_SIDE = 512  # pixels of the grid
SMALLEST_SIDE = 32  # pixels of the canvas
STARTS = ("generated", "image", "painted", "noise")
FILLS = ("distance", "nearest", "dithered")
PATHS = ("gumbel", "softmax", "argmax")
ENLARGE = ("bilinear", "nearest")
IMPLEMENTATIONS = ("reference", "guidance")
MODEL = "tiny-sdxl"  # where none is named
# By memory in GB: the model where none is named, and what of SDXL is given up.
MEMORY: dict[int, dict[str, Any]] = {
    24: {"model": "sdxl"},
    16: {"model": "sdxl", "vae": "taesdxl"},
    12: {"model": "sdxl", "side": 768, "vae": "taesdxl", "depth": 0.0},
    8: {"model": "ssd-1b", "side": 512, "vae": "taesdxl", "depth": 0.0},
}

GIVEN_UP = {
    "side": "the side is {} pixels",
    "vae": "the VAE is {}",
    "depth": "the depth ControlNet is left out",
}


def _said(default: Any, says: str) -> Any:
    return field(default=default, metadata={"says": says})


@dataclass(frozen=True)
class PixelDefaults:
    """What suits a model; tuned on tiny-sdxl, SD-πXL's own elsewhere."""

    guidance_scale: float = 41.0
    steps: int = 10_000
    learning_rate: float = 0.025
    fft: float = 1280.0  # SD-πXL's 20 at 64 x 64, with the transform made orthonormal
    size: tuple[int, int] = (64, 64)
    candidates: int = 4
    choices: int = 1
    canny: float = 0.15
    depth: float = 0.15
    sureness: float = 1.0
    t_bound: int = 800
    perspective_scale: float = 0.3
    grayscale: float = 0.2


TINY = PixelDefaults(
    guidance_scale=7.5,
    steps=100,
    learning_rate=0.1,
    fft=600.0,
    size=(32, 32),
    candidates=8,
    choices=8,
    canny=0.3,
    depth=0.3,
    sureness=8.0,
    t_bound=500,
    perspective_scale=0.1,
    grayscale=0.0,  # it has seen no grey picture
)


@dataclass(frozen=True)
class PixelSettings:
    """Everything that decides a piece of pixel art; what is None takes the model's default.

    Every field says in its metadata what it is, and `save` writes that above it.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    prompt: str = _said("", "what to draw; empty: the caption of the input image")
    negative_prompt: str = _said("", "what to steer away from")
    model: str = _said(None, "a preset's name, or a folder that diffusers saved")
    implementation: str = _said("guidance", "guidance: your code; reference: the course's")
    device: str = _said("auto", "auto, cpu, cuda or mps")
    seed: int = _said(0, "the same seed gives the same picture on the same machine")
    memory: int | None = _said(None, "GB that SDXL shall fit into: 8, 12, 16 or 24")

    size: tuple[int, int] = _said(None, "height and width of the grid, in pixels")
    palette: str = _said("", "a name, rgb-N, or a file; empty: found in the start by k-means")
    colours: int = _said(8, "how many colours to find where no palette is named")
    perceptual: bool = _said(False, "nearest colour by OKLab instead of sRGB")
    transparent: bool = _said(False, "keep what is transparent in the input image so")

    start: str = _said(None, "generated, image, painted or noise")
    input_image: str = _said("", "the picture to start from, or the painted index grid")
    fill: str = _said("distance", "how a start fills the grid: distance, nearest or dithered")
    candidates: int = _said(None, "drawings of the model to choose the start from, by CLIP")
    choices: int = _said(
        None, "moments of the second half to choose the end from, by CLIP; 1: the last"
    )

    sureness: float = _said(None, "factor on the logits of the start: how surely it begins")
    path: str = _said("gumbel", "from logits to weights: gumbel, softmax or argmax")
    tau: float = _said(1.0, "Gumbel's temperature at first")
    tau_end: float = _said(1.0, "and at the end; geometric in between")
    tau_spread: float = _said(0.5, "each step multiplies it by U(1 - this, 1 + this)")
    enlarge: str = _said("bilinear", "from grid to canvas: bilinear or nearest")
    side: int = _said(None, "pixels: the side of a square canvas of the same area")

    guidance_scale: float = _said(None, "s in eps_uncond + s * (eps_text - eps_uncond)")
    steps: int = _said(None, "of the run")
    learning_rate: float = _said(None, "AdamW's, after the warm-up")
    warmup: int = _said(None, "steps over which the learning rate rises; a tenth of all")
    clip_norm: float = _said(1.0, "longest gradient; 0 clips nothing")
    t_min: int = _said(20, "smallest timestep")
    t_max: int = _said(980, "largest timestep at first")
    t_bound: int = _said(None, "largest timestep in the end")
    bound_reached: float = _said(0.5, "part of the run over which it falls")

    fft: float = _said(None, "weight of the loss on fine frequencies")
    tv: float = _said(0.0, "weight of the total variation")
    laplacian: float = _said(0.0, "weight of the Laplacian's")
    bilateral: float = _said(0.0, "weight of the bilateral one")

    mirror: float = _said(0.5, "chance that a step sees the picture mirrored")
    perspective: float = _said(0.5, "chance that a step sees it tilted")
    perspective_scale: float = _said(None, "how far a corner moves in, of half a side")
    grayscale: float = _said(None, "chance that a step sees it grey")

    canny: float = _said(None, "scale of the ControlNet of edges; 0 leaves it out")
    depth: float = _said(None, "scale of the ControlNet of depths; 0 leaves it out")
    control_start: float = _said(0.0, "where on the way from noise to picture they begin")
    control_end: float = _said(1.0, "and where they end")
    vae: str = _said(None, "another autoencoder: taesdxl, fp16-fix, a hub id or a folder")
    lora: str = _said("", "LoRA weights for the UNet: a file, a folder or a hub id")
    lora_scale: float = _said(1.0, "factor on them")

    def __post_init__(self) -> None:
        self._fill_in_memory()
        self._fill_in("model", MODEL)
        self._fill_in("vae", "")
        self._fill_in("start", "image" if self.input_image else "generated")
        self._check_texts()
        self._fill_in_defaults()
        self._check_numbers()

    def _fill_in(self, name: str, value: Any) -> bool:
        """Set what is None; whether it was. What was asked for prevails."""
        if getattr(self, name) is not None:
            return False
        object.__setattr__(self, name, value)
        return True

    def _fill_in_memory(self) -> None:
        """Fit SDXL into the memory, and warn of what that changes."""
        complete = all(getattr(self, f.name) is not None for f in fields(self))
        if self.memory is None or complete:  # what is complete was fitted, and told of, before
            return
        if type(self.memory) is not int or self.memory not in MEMORY:
            raise CourseError(
                f"memory must be one of {', '.join(map(str, sorted(MEMORY)))} GB; "
                f"it is {self.memory!r}."
            )
        given_up = dict(MEMORY[self.memory])
        chosen = self._fill_in("model", given_up.pop("model"))
        check_text("model", self.model)
        changes = [f"the model is {self.model}"] if chosen else []
        preset = find_preset(self.model)
        if preset.family == "sdxl" and not preset.name.startswith("tiny"):
            filled = {name: value for name, value in given_up.items() if self._fill_in(name, value)}
            changes += [GIVEN_UP[name].format(value) for name, value in filled.items()]
        said = _listed(changes) if changes else "nothing is changed"
        warnings.warn(f"for {self.memory} GB {said}.", stacklevel=4)

    def _check_texts(self) -> None:
        for name in ("prompt", "negative_prompt", "model", "device", "palette", "input_image"):
            check_text(name, getattr(self, name))
        for name in ("vae", "lora"):
            check_text(name, getattr(self, name))
        choices = {
            "implementation": IMPLEMENTATIONS,
            "start": STARTS,
            "fill": FILLS,
            "path": PATHS,
            "enlarge": ENLARGE,
        }
        for name, known in choices.items():
            check_choice(name, getattr(self, name), known)
        for name in ("perceptual", "transparent"):
            check_truth(name, getattr(self, name))
        needs_picture = self.start in ("image", "painted")
        if needs_picture and not self.input_image:
            raise CourseError(f"the start {self.start!r} needs a picture: name the input_image.")
        if self.start == "noise" and not self.palette:
            raise CourseError(
                "a start from noise has no picture to find colours in: name a palette, for example "
                "rgb-2."
            )
        if not self.prompt.strip() and not self.input_image:
            raise CourseError(
                "the prompt is empty and there is no input_image whose caption could stand in; "
                "say in a few words what to draw."
            )

    def _fill_in_defaults(self) -> None:
        preset = find_preset(self.model)
        suits = TINY if preset.name.startswith("tiny") else PixelDefaults()
        if type(self.t_max) is int and 0 <= self.t_max < suits.t_bound:
            self._fill_in("t_bound", self.t_max)
        for name, value in asdict(suits).items():
            self._fill_in(name, value)
        self._fill_in("side", max(SMALLEST_SIDE, preset.image_size))
        if isinstance(self.steps, int):
            self._fill_in("warmup", self.steps // 10)

    def _check_numbers(self) -> None:
        object.__setattr__(self, "size", _checked_size(self.size))
        check_whole("seed", self.seed, 0, 2**63 - 1)
        check_whole("colours", self.colours, 2, 256)
        check_whole("candidates", self.candidates, 1, 64)
        check_whole("choices", self.choices, 1, 64)
        check_whole("side", self.side, SMALLEST_SIDE, 4096)
        check_whole("steps", self.steps, 1, 1_000_000)
        check_whole("warmup", self.warmup, 0, self.steps)
        check_whole("t_max", self.t_max, 0, 999)
        check_whole("t_bound", self.t_bound, 0, 999)
        if self.t_bound > self.t_max:
            raise CourseError(
                f"t_bound, the largest timestep in the end, must not be above t_max; t_bound is "
                f"{self.t_bound} and t_max is {self.t_max}: lower t_bound or raise t_max."
            )
        check_whole("t_min", self.t_min, 0, self.t_bound)
        for name in ("tau", "tau_end", "learning_rate", "sureness"):
            check_real(name, getattr(self, name), above=0)
        for name in ("fft", "tv", "laplacian", "bilateral", "canny", "depth", "clip_norm"):
            check_real(name, getattr(self, name), low=0)
        for name in ("guidance_scale", "lora_scale"):
            check_real(name, getattr(self, name))
        for name in ("mirror", "perspective", "grayscale", "control_start"):
            check_real(name, getattr(self, name), low=0, high=1)
        check_real("tau_spread", self.tau_spread, low=0, high=0.9)
        # From two thirds on, the four corners may form no convex view, and its horizon is seen.
        check_real("perspective_scale", self.perspective_scale, low=0, high=0.6)
        check_real("bound_reached", self.bound_reached, above=0, high=1)
        check_real("control_end", self.control_end, low=self.control_start, high=1)

    @property
    def title(self) -> str:
        """What the finished picture should show."""
        return self.prompt

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width in pixels of what the model sees.

        Their proportions are the grid's and their area is `side`², as nearly as multiples of 8 can
        be, or of 32 where the side is 512 and more: a grid of 32 × 48 is seen as 112 × 168 where a
        square one is as 128 × 128.
        """
        return _canvas(self.size, self.side)

    def tau_at(self, step: int, generator: torch.Generator) -> float:
        """The temperature of a step: on the way from `tau` to `tau_end`, spread by chance."""
        way = step / max(1, self.steps - 1)
        mean = self.tau * (self.tau_end / self.tau) ** way
        chance = torch.rand((), generator=generator, device=generator.device).item()
        return mean * (1 + self.tau_spread * (2 * chance - 1))

    def save(self, path: Path) -> None:
        """Write the settings as YAML, each under what it is; raises `CourseError` if impossible."""
        atomic_write(path, self.to_yaml())

    def to_yaml(self) -> str:
        """The settings as YAML, each under what it is."""
        lines = []
        for f in fields(self):
            value = getattr(self, f.name)
            value = list(value) if isinstance(value, tuple) else value
            written = yaml.safe_dump(
                value, default_flow_style=True, allow_unicode=True, width=10**6
            )
            text = written.removesuffix("...\n").strip()
            lines.append(f"# {f.metadata['says']}\n{f.name}: {text}\n")
        return "\n".join(lines)

    @classmethod
    def load(cls, path: Path, **changes: Any) -> PixelSettings:
        """Read settings that `save` wrote, or some of them written by hand, and change some.

        Raises:
            CourseError: the file is missing, is not YAML, or holds an unknown or unfit setting.
        """
        values = read_settings(path, [f.name for f in fields(cls)])
        if "steps" in changes:
            values.pop("warmup", None)
        # A picture that is given is meant to be used, even where the file's start is another.
        if "input_image" in changes and values.get("start") != "painted":
            values["start"] = "image"
        return cls(**{**values, **changes})


@functools.lru_cache
def _canvas(size: tuple[int, int], side: int) -> tuple[int, int]:
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


def _checked_size(size: Any) -> tuple[int, int]:
    sides = list(size) if isinstance(size, (list, tuple)) else []
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or not all(2 <= side <= LARGEST_SIDE for side in sides):
        raise CourseError(
            f"size must be height and width of the grid, each from 2 to {LARGEST_SIDE} pixels; "
            f"it is {size!r}."
        )
    if max(sides) > 4 * min(sides):
        raise CourseError(
            f"size may be at most 4 times as long one way as the other; it is {size!r}."
        )
    return sides[0], sides[1]
