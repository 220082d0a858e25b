"""All that decides a piece of pixel art, as one dataclass and as commented YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml

from distillery.errors import CourseError
from distillery.files import atomic_write
from distillery.presets import find_preset

LONGEST_TEXT = 1000
LARGEST_SIDE = 512  # pixels of the grid
UNIT = 32  # pixels; SDXL's latents are 8 a side, and its UNet halves them twice
STARTS = ("generated", "image", "painted", "noise")
FILLS = ("distance", "nearest", "dithered")
PATHS = ("gumbel", "softmax", "argmax")
ENLARGE = ("bilinear", "nearest")
IMPLEMENTATIONS = ("reference", "guidance")
# By memory in GB: what is given up on a smaller accelerator.
MEMORY: dict[int, dict[str, Any]] = {
    24: {},
    16: {"side": 1024, "vae": "taesdxl"},
    12: {"side": 768, "vae": "taesdxl", "depth": 0.0},
    8: {"side": 512, "vae": "taesdxl", "depth": 0.0, "model": "ssd-1b"},
}


def _said(default: Any, says: str) -> Any:
    return field(default=default, metadata={"says": says})


@dataclass(frozen=True)
class PixelDefaults:
    """What suits a model; tuned on tiny-sdxl, SD-πXL's own elsewhere."""

    guidance_scale: float = 41.0
    steps: int = 10_000
    learning_rate: float = 0.025
    fft: float = 20.0
    size: tuple[int, int] = (64, 64)
    canny: float = 0.15
    depth: float = 0.15


TINY = PixelDefaults(
    guidance_scale=7.5, steps=300, learning_rate=0.1, fft=20.0, size=(32, 32), canny=0.3, depth=0.3
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
    model: str = _said("tiny-sdxl", "a preset's name, or a folder that diffusers saved")
    implementation: str = _said("guidance", "guidance: your code; reference: the course's")
    device: str = _said("auto", "auto, cpu, cuda or mps")
    seed: int = _said(0, "the same seed gives the same picture on the same machine")
    memory: int | None = _said(None, "GB of the accelerator, 8, 12, 16 or 24: see the README")

    size: tuple[int, int] = _said(None, "height and width of the grid, in pixels")
    palette: str = _said("", "a name, rgb-N, or a file; empty: found in the start by k-means")
    colours: int = _said(8, "how many colours to find where no palette is named")
    perceptual: bool = _said(False, "nearest colour by OKLab instead of sRGB")
    transparent: bool = _said(False, "keep what is transparent in the input image so")

    start: str = _said("generated", "generated, image, painted or noise")
    input_image: str = _said("", "the picture to start from, or the painted index grid")
    fill: str = _said("distance", "how a start fills the grid: distance, nearest or dithered")
    candidates: int = _said(4, "drawings of the model to choose the start from, by CLIP")

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
    t_bound: int = _said(800, "largest timestep in the end")
    bound_reached: float = _said(0.5, "part of the run over which it falls")

    fft: float = _said(None, "weight of the loss on fine frequencies")
    tv: float = _said(0.0, "weight of the total variation")
    laplacian: float = _said(0.0, "weight of the Laplacian's")
    bilateral: float = _said(0.0, "weight of the bilateral one")

    mirror: float = _said(0.5, "chance that a step sees the picture mirrored")
    perspective: float = _said(0.5, "chance that a step sees it tilted")
    perspective_scale: float = _said(0.3, "how far a corner moves in, of half a side")
    grayscale: float = _said(0.2, "chance that a step sees it grey")

    canny: float = _said(None, "scale of the ControlNet of edges; 0 leaves it out")
    depth: float = _said(None, "scale of the ControlNet of depths; 0 leaves it out")
    control_start: float = _said(0.0, "where on the way from noise to picture they begin")
    control_end: float = _said(1.0, "and where they end")
    vae: str = _said("", "another autoencoder: taesdxl, fp16-fix, a hub id or a folder")
    lora: str = _said("", "LoRA weights for the UNet: a file, a folder or a hub id")
    lora_scale: float = _said(1.0, "factor on them")

    def __post_init__(self) -> None:
        self._fill_in_memory()
        self._check_texts()
        self._fill_in_defaults()
        self._check_numbers()

    def _fill_in_memory(self) -> None:
        if self.memory is None:
            return
        if self.memory not in MEMORY:
            raise CourseError(
                f"memory must be one of {', '.join(map(str, sorted(MEMORY)))} GB; "
                f"it is {self.memory!r}."
            )
        standard = {f.name: f.default for f in fields(self)}
        for name, value in MEMORY[self.memory].items():
            if getattr(self, name) in (standard[name], "sdxl"):  # what was asked for prevails
                object.__setattr__(self, name, value)

    def _check_texts(self) -> None:
        for name in ("prompt", "negative_prompt", "model", "device", "palette", "input_image"):
            _check_text(name, getattr(self, name))
        for name in ("vae", "lora"):
            _check_text(name, getattr(self, name))
        choices = {
            "implementation": IMPLEMENTATIONS,
            "start": STARTS,
            "fill": FILLS,
            "path": PATHS,
            "enlarge": ENLARGE,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise CourseError(
                    f"{name} must be one of {', '.join(known)}; it is {getattr(self, name)!r}."
                )
        for name in ("perceptual", "transparent"):
            if not isinstance(getattr(self, name), bool):
                raise CourseError(f"{name} must be true or false; it is {getattr(self, name)!r}.")
        needs_picture = self.start in ("image", "painted")
        if needs_picture and not self.input_image:
            raise CourseError(f"the start {self.start!r} needs a picture: name the input_image.")
        if not self.prompt.strip() and not self.input_image:
            raise CourseError(
                "the prompt is empty and there is no input_image whose caption could stand in; "
                "say in a few words what to draw."
            )

    def _fill_in_defaults(self) -> None:
        preset = find_preset(self.model)
        suits = TINY if preset.name.startswith("tiny") else PixelDefaults()
        defaults = {**asdict(suits), "side": preset.image_size}
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.warmup is None and isinstance(self.steps, int):
            object.__setattr__(self, "warmup", self.steps // 10)

    def _check_numbers(self) -> None:
        object.__setattr__(self, "size", _checked_size(self.size))
        _check_whole("seed", self.seed, 0, 2**63 - 1)
        _check_whole("colours", self.colours, 2, 256)
        _check_whole("candidates", self.candidates, 1, 64)
        _check_whole("side", self.side, UNIT, 4096)
        _check_whole("steps", self.steps, 1, 1_000_000)
        _check_whole("warmup", self.warmup, 0, self.steps)
        _check_whole("t_max", self.t_max, 0, 999)
        _check_whole("t_bound", self.t_bound, 0, self.t_max)
        _check_whole("t_min", self.t_min, 0, self.t_bound)
        for name in ("tau", "tau_end", "learning_rate"):
            _check_real(name, getattr(self, name), above=0)
        for name in ("fft", "tv", "laplacian", "bilateral", "canny", "depth", "clip_norm"):
            _check_real(name, getattr(self, name), low=0)
        for name in ("guidance_scale", "lora_scale"):
            _check_real(name, getattr(self, name))
        for name in ("mirror", "perspective", "grayscale", "control_start"):
            _check_real(name, getattr(self, name), low=0, high=1)
        for name in ("tau_spread", "perspective_scale"):
            _check_real(name, getattr(self, name), low=0, high=0.9)
        _check_real("bound_reached", self.bound_reached, above=0, high=1)
        _check_real("control_end", self.control_end, low=self.control_start, high=1)

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width in pixels of what the model sees.

        Multiples of 32 whose proportions are the grid's, as nearly as their area may be `side`²:
        a grid of 32 × 48 is seen as 128 × 192 where a square one is as 128 × 128.
        """
        height, width = self.size
        sides = range(UNIT, 4 * self.side + UNIT, UNIT)

        def misfit(canvas: tuple[int, int]) -> float:
            shape = math.log(canvas[1] / canvas[0]) - math.log(width / height)
            area = math.log(canvas[0] * canvas[1] / self.side**2)
            return abs(shape) + 0.1 * abs(area)

        return min(product(sides, sides), key=misfit)

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
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CourseError(
                f"cannot read settings from {path}: it is missing or not YAML; name another file."
            ) from error
        if not isinstance(values, Mapping):
            raise CourseError(f"{path} must hold settings, one 'name: value' a line.")
        known = [f.name for f in fields(cls)]
        unknown = [str(name) for name in values if name not in known]
        if unknown:
            raise CourseError(
                f"{path} has the unknown setting {', '.join(unknown)}; the known ones are "
                f"{', '.join(known)}."
            )
        values = dict(values)
        if "steps" in changes:
            values.pop("warmup", None)
        return cls(**{**values, **changes})


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


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise CourseError(f"{name} must be text; it is {value!r}.")
    if len(value) > LONGEST_TEXT:
        raise CourseError(
            f"{name} may have {LONGEST_TEXT} characters; it has {len(value)}, shorten it."
        )


def _check_whole(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise CourseError(f"{name} must be a whole number from {low} to {high}; it is {value!r}.")


def _check_real(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    low: float = -math.inf,
    high: float = math.inf,
) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and math.isfinite(value) and above < value and low <= value <= high:
        return
    bounds = [
        f"above {above:g}" if above > -math.inf else "",
        f"from {low:g}" if low > -math.inf else "",
        f"up to {high:g}" if high < math.inf else "",
    ]
    wanted = " ".join(["a finite number", *filter(None, bounds)])
    raise CourseError(f"{name} must be {wanted}; it is {value!r}.")
