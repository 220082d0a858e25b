"""Everything that decides a picture of any size. Importing this does not load torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery.core.errors import CourseError
from distillery.core.names import meant
from distillery.core.settings import (
    LARGEST_SEED,
    REQUIRED,
    Choice,
    Declared,
    FileName,
    Real,
    Switch,
    Text,
    Whole,
    by_model,
    setting,
)
from distillery.methods.settings import IMPLEMENTATIONS

if TYPE_CHECKING:
    from distillery.methods.elastic_methods import Knobs

SMALLEST, LARGEST = 16, 4096  # pixels of a side
UNIT = 8  # pixels; every model here draws sides of this many times a whole number
CONTROLS = ("canny", "depth")
NO_LORA = "none"
ANY_SIZE = "data/models/tiny-sd-any-size"  # taught tiny-sd parts of larger pictures
MANY = 3  # times the trained area, from which on more rounds are needed
LONGEST = 8  # of a picture's sides, the longer by the shorter, where there is a small picture of it
# Methods of a small picture: in a narrower one there is no room for a thing.
OF_A_REFERENCE = ("elastic", "upscale", "upsample-guidance")
# Versions by the names of ElasticDiffusion: the preset, and what of it is another one.
VERSIONS = {
    "1.4": ("sd15", "the same network as 1.4, trained longer"),
    "1.5": ("sd15", ""),
    "2.0": ("sd21-base", "the same network as 2.0, trained longer"),
    "2.1": ("sd21-base", ""),
    "XL1.0": ("sdxl", ""),
}


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
    method: str = setting(
        "elastic", Text(), "elastic, upsample-guidance, multidiffusion, upscale or direct"
    )
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
        "part of the way to the reference that each cell is pulled at the first step of a whole "
        "way; less at later ones (elastic)",
        by_default="depends on the model; 0 where strength is below 1",
        follows=("rrg_init_weight", "strength"),
    )
    rrg_init_weight: float | None = setting(
        None,
        Unless(low=0),
        "the same as published, the weight of a mean over all cells; in the place of rrg_weight",
        by_default="none",
        follows="rrg_weight",
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
        by_default="depends on the model; half of what it was trained for if not said",
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
    own_details: bool = by_model(
        Switch(),
        "ask windows with the prompt too, for how the direction differs in a group (elastic)",
    )
    strength: float = setting(
        None,
        Real(above=0, high=1),
        "part of the way that is drawn over the enlarged small picture (upscale, "
        "upsample-guidance, elastic)",
        by_default="0.5; for elastic 1, without a small picture, with the published models",
    )

    condition_image: str = setting("", FileName(), "a picture that ControlNet holds the drawing to")
    control: str = setting("canny", Choice(CONTROLS), "what it is held to: canny or depth")
    controlnet_conditioning_scale: float = by_model(
        Real(low=0, high=2), "how much the ControlNet counts"
    )

    view_batch_size: int = setting(
        None,
        Whole(1, 10_000),
        "views that the network is asked about at once; memory follows it",
        by_default="16, or 1 with low_vram",
    )
    low_vram: bool = setting(
        False, Switch(), "need less memory, and more time: one view at a time, decoded in tiles"
    )
    tiled_decoder: bool = setting(
        None,
        Switch(),
        "decode a tile at a time, for memory that does not grow with the picture",
        by_default="as low_vram",
    )
    pca: bool = setting(
        False, Switch(), "also pictures of the scores at every step, pca.png and pca/"
    )
    model: str = setting(
        None,
        FileName(folders=True),
        "a preset's name, or a folder that diffusers saved",
        by_default="tiny-sd; tiny-sdxl with a condition_image",
    )
    lora: str = setting(
        None,
        FileName(folders=True),
        "LoRA weights for the large picture or its windows, not for small ones: a file, a folder "
        "or a hub id (elastic, upsample-guidance, upscale)",
        by_default=f"none; {ANY_SIZE} for tiny-sd where both sides are longer than trained",
        follows="model",
    )
    seed: int = setting(
        0, Whole(0, LARGEST_SEED), "the same seed gives the same picture on the same machine"
    )
    count: int = setting(1, Whole(1, 100), "pictures, of this seed and the next ones")
    frames: bool = setting(
        False, Switch(), "also a sheet of the pictures over the steps, frames.png"
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

        self.check("prompt", "method", "condition_image", "low_vram")
        if not self.prompt.strip():
            raise CourseError("the prompt is empty: say in a few words what to draw.")
        if self.method not in METHODS:
            raise CourseError(
                f"unknown method {self.method!r}: choose {', '.join(METHODS)}"
                f"{meant(self.method, METHODS)}."
            )
        self.fill_in(model="tiny-sdxl" if self.condition_image else "tiny-sd")
        self.check("model")
        side, suitable = trained_side(self.model), dict(suits(self.model, "elastic"))
        self._fill_in_size(side)
        few, many = suitable.pop("resampling_steps")
        areas = self.height * self.width / side**2
        self.fill_in(resampling_steps=0 if areas <= 1 else many if areas >= MANY else few)
        strength, rrg_weight = suitable.pop("strength"), suitable.pop("rrg_weight")
        self.fill_in(
            **suitable, view_batch_size=1 if self.low_vram else 16, tiled_decoder=self.low_vram
        )
        self.check("steps")
        self.fill_in(strength=max(strength if self.method == "elastic" else 0.5, 1 / self.steps))
        if self.rrg_init_weight is not None:
            self._refuse_two_weights()
        else:
            self.fill_in(rrg_weight=rrg_weight if self.strength == 1 else 0.0)
        self._fill_in_lora(side)
        self.check()
        self._check_aspect()
        self._check_steps()
        self._check_control()
        if self.pca and self.method == "multidiffusion":
            raise CourseError(
                "multidiffusion has no direction of the whole picture to show, only those of its "
                "views; leave pca out, or choose another method."
            )

    def _fill_in_lora(self, side: int) -> None:
        """The adapter, where both sides are longer; else windows are nearly whole scenes."""
        from distillery.core.files import REPOSITORY

        helps = self.model == "tiny-sd" and min(self.height, self.width) > side
        there = helps and (REPOSITORY / ANY_SIZE).is_dir()
        self.fill_in(lora=ANY_SIZE if there else NO_LORA)

    def _fill_in_size(self, side: int) -> None:
        """What is missing of height and width; with a condition image, of its aspect."""
        high, wide = side, side if self.model == "exact" else 2 * side
        for name in ("height", "width"):
            if getattr(self, name) is not None:
                self.check(name)
        if self.condition_image and None in (self.height, self.width):
            from distillery.core.images import read_any
            from distillery.runs.painting_file import MOST_PIXELS

            picture = read_any(Path(self.condition_image), most=MOST_PIXELS)
            high, wide = like(picture.size, self.height, self.width, side)
        self.fill_in(height=high, width=wide)
        self.check("height", "width")

    def _refuse_two_weights(self) -> None:
        if self.rrg_weight is not None:
            raise CourseError(
                f"rrg_weight is {self.rrg_weight!r} and rrg_init_weight {self.rrg_init_weight!r}; "
                "they say the same in two ways: give one of them."
            )

    def _check_steps(self) -> None:
        if self.first_step == self.steps:
            raise CourseError(
                f"a strength of {self.strength:g} leaves none of the {self.steps} steps; raise it, "
                "or take more steps."
            )

    def _check_control(self) -> None:
        from distillery.models.presets import PRESETS, find_preset

        if not self.condition_image or self.control in find_preset(self.model).controlnets:
            return
        able = [one.name for one in PRESETS.values() if self.control in one.controlnets]
        raise CourseError(
            f"{self.model} has no ControlNet for {self.control}; choose --model "
            f"{' or '.join(able)}, or leave condition_image out."
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
                strength=self.strength,
                resampling_steps=self.resampling_steps,
                new_p=self.new_p,
                rrg_weight=rrg_weight,
                rrg_stop_t=self.rrg_stop_t,
                cosine_scale=self.cosine_scale,
                repaint_sampling=self.repaint_sampling,
                patch_size=self.patch_size,
                moving_windows=self.moving_windows,
                own_details=self.own_details,
                reference="padded" if self.reference == "padded" else "unpadded",
            ),
        )

    @property
    def first_step(self) -> int:
        """The index of the first step that is taken, where there is a small picture."""
        begins_later = self.method in OF_A_REFERENCE
        return self.steps - round(self.strength * self.steps) if begins_later else 0

    @property
    def title(self) -> str:
        """What the picture should show."""
        return self.prompt


def like(
    picture: tuple[int, int], height: int | None, width: int | None, side: int
) -> tuple[int, int]:
    """Height and width of the aspect of a picture, of about twice the area of `side` squared.

    Args:
        picture: its width and height, as PIL gives them.
        height: that was asked for, as `width`; one of them may be None.
    """
    aspect = picture[0] / picture[1]
    if height is None:
        ideal = math.sqrt(2 / aspect) * side if width is None else width / aspect
        height = UNIT * max(1, round(ideal / UNIT))
    return height, UNIT * max(1, round(height * aspect / UNIT)) if width is None else width


def new_part(drop_p: float, new_p: float | None = None) -> float:
    """The new_p that a drop_p means, 1 - drop_p.

    Raises:
        CourseError: it is not from 0 to 1, or a `new_p` that is given too is another one.
    """
    Real(low=0, high=1).check("drop_p", drop_p)
    meant = round(1 - drop_p, 12)  # 0.3 of 0.7, and not 0.30000000000000004
    if new_p is not None and abs(new_p - meant) > 1e-9:
        raise CourseError(
            f"drop_p is 1 - new_p; {drop_p:g} and {new_p:g} are not: give one of them."
        )
    return meant
