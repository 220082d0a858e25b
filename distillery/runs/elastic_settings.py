"""Everything that decides a picture of any size. Importing this does not load torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distillery.core.errors import CourseError
from distillery.core.settings import (
    LARGEST_SEED,
    REQUIRED,
    Choice,
    Declared,
    Real,
    Switch,
    Text,
    Truth,
    Whole,
    by_model,
    setting,
)
from distillery.methods.settings import IMPLEMENTATIONS

if TYPE_CHECKING:
    from distillery.methods.elastic_methods import Knobs

SMALLEST, LARGEST = 16, 4096  # pixels of a side
CONTROLS = ("canny", "depth")
MANY = 3  # times the trained area, from which on more rounds are needed
LONGEST = 8  # of a picture's sides, the longer by the shorter, where there is a small picture of it
# Methods of a small picture: in a narrower one there is no room for a thing.
OF_A_REFERENCE = ("elastic", "upscale")


@dataclass(frozen=True)
class Unless(Real):
    """A number, or None where another setting says it."""

    def check(self, name: str, value: Any, among: object = None) -> Any:
        return None if value is None else super().check(name, value, among)


@dataclass(frozen=True)
class WholeUnless(Whole):
    """A whole number, or None where the method has its own."""

    def check(self, name: str, value: Any, among: object = None) -> Any:
        return None if value is None else super().check(name, value, among)


@dataclass(frozen=True)
class ElasticSettings(Declared):
    """Everything that decides a picture of any size; what is None takes a default that fits.

    Raises:
        CourseError: a value is of the wrong kind or out of its range, or two do not fit together.
    """

    prompt: str = setting(REQUIRED, Text(), "what to draw")
    height: int = setting(
        None,
        Whole(SMALLEST, LARGEST),
        "in pixels",
        by_default="what the model was trained for",
    )
    width: int = setting(
        None,
        Whole(SMALLEST, LARGEST),
        "in pixels",
        by_default="twice what the model was trained for",
    )
    negative_prompt: str = setting("", Text(), "what to steer away from")
    method: str = setting("elastic", Text(), "elastic, multidiffusion, upscale or direct")
    guidance_scale: float = by_model(Real(), "s in eps_uncond + s * (eps_text - eps_uncond)")
    steps: int = by_model(Whole(1, 1000), "number of steps from noise to the picture")

    resampling_steps: int = setting(
        None,
        Whole(0, 1000),
        "rounds of other cells of the picture that follow the first one, at each step (elastic)",
        by_default="depends on the model and the size",
    )
    new_p: float = by_model(
        Real(low=0, high=1), "part of the reference's cells that are new in a round (elastic)"
    )
    rrg_weight: float = setting(
        None,
        Unless(low=0, high=1),
        "part of the way to the reference that each cell is pulled at the first step (elastic)",
        by_default="depends on the model",
    )
    rrg_init_weight: float | None = setting(
        None,
        Unless(low=0),
        "the same as published, the weight of a mean over all cells; in the place of rrg_weight",
        by_default="none",
    )
    rrg_stop_t: float = setting(
        0.2, Real(low=0, high=0.99), "last part of the way, which goes without the pull (elastic)"
    )
    cosine_scale: float = by_model(
        Real(low=0, high=1000), "how soon the pull becomes weak (elastic)"
    )
    repaint_sampling: bool = by_model(
        Switch(), "take each step twice, the second time with weaker guidance (elastic)"
    )
    patch_size: int | None = setting(
        None,
        WholeUnless(1, LARGEST),
        "side of the windows in cells of the latents (elastic)",
        by_default="half of what the model was trained for",
    )
    moving_windows: bool = setting(
        True, Switch(), "put the windows elsewhere at each step (elastic)"
    )
    reference: str = setting(
        "unpadded",
        Choice(("unpadded", "padded")),
        "the small picture: unpadded, of the same aspect, or padded as published (elastic)",
    )
    stride: int | None = setting(
        None,
        WholeUnless(1, LARGEST),
        "cells of the latents from one view to the next (multidiffusion)",
        by_default="half of what the model was trained for",
    )
    view_weights: str = setting(
        "gaussian",
        Choice(("gaussian", "uniform")),
        "gaussian counts the middle of a view more, uniform all of it alike (multidiffusion)",
    )
    strength: float = setting(
        0.4, Real(above=0, high=1), "part of the way that is drawn over the small picture (upscale)"
    )

    view_batch_size: int = setting(
        16, Whole(1, 10_000), "views that the network is asked about at once; memory follows it"
    )
    model: str = setting("tiny-sd", Text(), "a preset's name, or a folder that diffusers saved")
    seed: int = setting(
        0, Whole(0, LARGEST_SEED), "the same seed gives the same picture on the same machine"
    )
    count: int = setting(1, Whole(1, 100), "pictures, of this seed and the next ones")
    frames: bool = setting(
        False, Truth(), "also a sheet of the pictures over the steps, frames.png"
    )
    implementation: str = setting(
        "guidance",
        Choice(IMPLEMENTATIONS),
        "guidance: your code; reference: the course's",
        by_default="guidance; reference while yours is still to do and the course's is there",
    )
    device: str = setting("auto", Text(), "auto, cpu, cuda or mps")

    def __post_init__(self) -> None:
        # These import torch, which takes seconds; a parser of flags is made without it.
        from distillery.methods.elastic_methods import METHODS
        from distillery.models.presets import suits, trained_side

        self.check("prompt", "model", "method")
        if not self.prompt.strip():
            raise CourseError("the prompt is empty: say in a few words what to draw.")
        if self.method not in METHODS:
            raise CourseError(f"unknown method {self.method!r}: choose {', '.join(METHODS)}.")
        side, suitable = trained_side(self.model), dict(suits(self.model, "elastic"))
        # The exact prior draws only what it was made for.
        self.fill_in(height=side, width=side if self.model == "exact" else 2 * side)
        self.check("height", "width")
        few, many = suitable.pop("resampling_steps")
        areas = self.height * self.width / side**2
        self.fill_in(resampling_steps=0 if areas <= 1 else many if areas >= MANY else few)
        if self.rrg_init_weight is not None:
            self._check_weights(suitable.pop("rrg_weight"))
        self.fill_in(**suitable)
        self.check()
        self._check_aspect()

    def _check_weights(self, default: float) -> None:
        if self.rrg_weight is not None:
            raise CourseError(
                f"rrg_weight is {self.rrg_weight!r} and rrg_init_weight {self.rrg_init_weight!r}; "
                "they say the same in two ways: give one of them."
            )

    def _check_aspect(self) -> None:
        longer, shorter = max(self.height, self.width), min(self.height, self.width)
        if self.method in OF_A_REFERENCE and longer > LONGEST * shorter:
            raise CourseError(
                f"{self.method} begins with a small picture of the same aspect, which may be at "
                f"most {LONGEST} times as long one way as the other; {self.height} x {self.width} "
                "is not. Choose another size, or multidiffusion."
            )

    def knobs(self, *, rrg_weight: float) -> Knobs:
        """What the methods of `elastic_methods` read of the settings, with the weight of a cell."""
        from distillery.methods.elastic import ElasticKnobs
        from distillery.methods.elastic_methods import Knobs
        from distillery.methods.multidiffusion import ViewKnobs

        return Knobs(
            strength=self.strength,
            views=ViewKnobs(self.stride, gaussian=self.view_weights == "gaussian"),
            elastic=ElasticKnobs(
                resampling_steps=self.resampling_steps,
                new_p=self.new_p,
                rrg_weight=rrg_weight,
                rrg_stop_t=self.rrg_stop_t,
                cosine_scale=self.cosine_scale,
                repaint_sampling=self.repaint_sampling,
                patch_size=self.patch_size,
                moving_windows=self.moving_windows,
                reference="padded" if self.reference == "padded" else "unpadded",
            ),
        )

    @property
    def title(self) -> str:
        """What the picture should show."""
        return self.prompt
