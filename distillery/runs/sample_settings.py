"""Everything that decides a sample of a model. Importing this does not load torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from distillery.core.cli import pair
from distillery.core.errors import CourseError
from distillery.core.settings import (
    LARGEST_SEED,
    REQUIRED,
    Declared,
    Real,
    Text,
    ValueType,
    Whole,
    by_model,
    setting,
)

UNIT, LARGEST = 8, 4096  # pixels


@dataclass(frozen=True)
class PictureSize(ValueType):
    """Height and width of a picture, stored as a tuple, or None for the model's own."""

    flag_type: ClassVar[Callable[[str], Any]] = staticmethod(pair)
    metavar: ClassVar[str] = "H,W"

    def check(self, name: str, value: Any, among: object = None) -> tuple[int, int] | None:
        if value is None:
            return None
        sides = list(value) if isinstance(value, (list, tuple)) else []
        fit = [type(side) is int and side % UNIT == 0 and 0 < side <= LARGEST for side in sides]
        if len(sides) != 2 or not all(fit):
            raise CourseError(
                f"{name} must be height and width of the picture, each a multiple of {UNIT} up to "
                f"{LARGEST} pixels; it is {value!r}."
            )
        return sides[0], sides[1]


@dataclass(frozen=True)
class SampleSettings(Declared):
    """Everything that decides samples of a model; what is None takes the model's default.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    prompt: str = setting(REQUIRED, Text(), "what to draw")
    negative_prompt: str = setting("", Text(), "what to steer away from")
    model: str = setting("tiny-sd", Text(), "a preset's name, or a folder that diffusers saved")
    guidance_scale: float = by_model(Real(), "s in eps_uncond + s * (eps_text - eps_uncond)")
    steps: int = by_model(Whole(1, 1000), "number of steps")
    seed: int = setting(
        0, Whole(0, LARGEST_SEED), "the same seed gives the same pictures on the same machine"
    )
    count: int = setting(1, Whole(1, 1000), "pictures of the prompt, in one batch")
    size: tuple[int, int] | None = by_model(PictureSize(), "height and width in pixels")
    device: str = setting("auto", Text(), "auto, cpu, cuda or mps")

    def __post_init__(self) -> None:
        # Presets import torch, which takes seconds; a parser of flags is made without it.
        from distillery.models.presets import suits

        self.check("prompt", "model")
        if not self.prompt.strip():
            raise CourseError("the prompt is empty: say in a few words what to draw.")
        self.fill_in(**suits(self.model, "sample"))
        self.check()

    @property
    def title(self) -> str:
        """What the picture should show."""
        return self.prompt
