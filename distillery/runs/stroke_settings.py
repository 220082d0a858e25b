"""Everything that decides a picture from a stroke painting. Importing this does not load torch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.core.names import meant
from distillery.core.settings import (
    LARGEST_SEED,
    REQUIRED,
    Choice,
    Declared,
    FileName,
    Real,
    Size,
    Text,
    Truth,
    Whole,
    by_model,
    setting,
)
from distillery.core.whole_words import places
from distillery.methods.settings import IMPLEMENTATIONS

if TYPE_CHECKING:
    from distillery.methods.stroke_methods import Knobs

WAYS = ("attention", "hard", "regional", "composed")
GUIDES = ("linear", "decoder")
OPERATORS = ("gaussian", "area", "median")
THINNEST = 0.0001  # as a part of a side, below half a pixel of the largest picture
SIGMAS = {"area": 4, "median": 4}  # of a Gaussian, in a square that blurs about as much
TWO_THINGS = "data/models/tiny-sd-two-things"  # taught tiny-sd scenes of two things
NO_LORA = "none"


@dataclass(frozen=True)
class StrokeSettings(Declared):
    """Everything that decides a picture from a painting; what is None takes a default that fits.

    Raises:
        CourseError: a value is of the wrong kind or out of its range, two do not fit together, or
            the method is left without a step to act in.
    """

    prompt: str = setting(REQUIRED, Text(), "what to draw")
    img_path: str = setting(
        "", FileName(), "the stroke painting; what is transparent is not painted"
    )
    negative_prompt: str = setting("", Text(), "what to steer away from")
    method: str = setting(
        "gradop+",
        Text(),
        "gradop+, gradop+x0, sdedit, sdedit-stochastic, low-frequencies or x0-guidance",
    )
    strength: float = setting(
        None,
        Real(above=0, high=1),
        "the part of the way from noise that is left when the method begins to act",
        by_default="0.8; depends on the method",
    )
    end: float = setting(
        None,
        Real(low=0, high=1),
        "the part that is left when it ceases to act (all but gradop+ and sdedit)",
        by_default="depends on the method",
    )
    num_iterative_steps: int = setting(
        3, Whole(1, 1000), "steps that are followed by a burst of optimisation (gradop+)"
    )
    grad_steps_per_iter: int = setting(12, Whole(1, 1000), "steps of Adam in each burst (gradop+)")
    learning_rate: float = by_model(
        Real(above=0, high=1000), "of Adam, in units of the latents (gradop+)"
    )
    weight: float = setting(1.0, Real(low=0), "of the guidance in each step (x0-guidance)")
    guide: str = setting(
        "decoder",
        Choice(GUIDES),
        "how latents are shown to the loss: decoder, or a linear map, which is faster",
    )
    operator: str = setting(
        "gaussian", Choice(OPERATORS), "how a picture is painted coarsely: gaussian, area or median"
    )
    width: float = setting(
        None,
        Real(low=THINNEST, high=1),
        "of the operator's strokes, or of the filter of low-frequencies, as a part of the shorter "
        "side",
        by_default="depends on the model, the operator and the method",
    )

    regions: str = setting("", FileName(), "picture of labels: where the words apply")
    words: str = setting("", Text(), 'words of the prompt, one for each region: "cat,red car"')
    region_control: str = setting(
        "composed", Choice(WAYS), "how words are bound to regions: " + ", ".join(WAYS)
    )
    region_strength: float = setting(
        1.0, Real(low=0, high=100), "how strongly they are bound; up to 1, of attention beyond"
    )

    model: str = setting(
        "tiny-sd", FileName(folders=True), "a preset's name, or a folder that diffusers saved"
    )
    lora: str = setting(
        None,
        FileName(folders=True),
        "LoRA weights for the UNet: a file, a folder or a hub id; none leaves them out",
        by_default=f"none; {TWO_THINGS} where there are regions and the model is tiny-sd",
    )
    guidance_scale: float = by_model(Real(), "s in eps_uncond + s * (eps_text - eps_uncond)")
    steps: int = by_model(Whole(1, 1000), "number of steps of a whole way from noise")
    seed: int = setting(
        0, Whole(0, LARGEST_SEED), "the same seed gives the same picture on the same machine"
    )
    count: int = setting(1, Whole(1, 100), "pictures, of this seed and the next ones")
    size: tuple[int, int] | None = setting(
        None,
        Size("the picture", 16, 4096, unit=8),
        "height and width in pixels",
        by_default="the painting's aspect, about the pixels that the model was trained on",
    )
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
        from distillery.methods.stroke_methods import DEFAULTS, KNOBS, METHODS
        from distillery.models.presets import suits

        self.check("prompt", "img_path", "model", "method", "regions", "words")
        if not self.prompt.strip():
            raise CourseError("the prompt is empty: say in a few words what to draw.")
        if self.method not in METHODS:
            raise CourseError(
                f"unknown method {self.method!r}: choose {', '.join(METHODS)}"
                f"{meant(self.method, METHODS)}."
            )
        knobs = DEFAULTS[self.method]
        self.fill_in(strength=knobs.strength, end=knobs.end)
        suitable = dict(suits(self.model, "strokes"))
        sigma = suitable.pop("width")
        filters = "width" in KNOBS[self.method]
        self.fill_in(
            width=knobs.width if filters else SIGMAS.get(self.operator, 1) * sigma, **suitable
        )
        self._fill_in_lora()
        self.check()
        self._check_regions()
        self._check_steps()

    def _fill_in_lora(self) -> None:
        """Take the adapter for two things where it helps, and say so."""
        helps = self.regions and self.model == "tiny-sd" and (REPOSITORY / TWO_THINGS).is_dir()
        filled = self.fill_in(lora=TWO_THINGS if helps else NO_LORA)
        if filled and helps:
            warnings.warn(
                f"tiny-sd is given {TWO_THINGS}, which was taught scenes of two things; "
                "--lora none leaves it out.",
                stacklevel=4,
            )

    def _check_regions(self) -> None:
        if bool(self.regions) != bool(self.words.strip()):
            lacking, given = ("words", "regions") if self.regions else ("regions", "words")
            raise CourseError(
                f"there are {given} and no {lacking}; regions are a picture of labels, and words "
                'say what each of them shows: --regions labels.png --words "cat,car".'
            )
        if self.region_control != "attention" and self.region_strength > 1:
            raise CourseError(
                f"region_strength may be up to 1 with {self.region_control}; it is "
                f"{self.region_strength!r}."
            )
        if not all(words_of(self.words)):
            raise CourseError(
                f"one of the words is empty: {self.words!r}; take words of the prompt, with one "
                "comma between two of them."
            )
        for word in words_of(self.words) if self.model != "exact" else []:
            if not places(word, self.prompt):
                raise CourseError(
                    f"{word!r} of the words is not in the prompt {self.prompt!r}; take words that "
                    "are, with commas between them."
                )

    def _check_steps(self) -> None:
        """Refuse what leaves the method no step to act in."""
        from distillery.methods.stroke_methods import check

        check(self.method, self.knobs(), steps=self.steps)
        # After the last step there is no burst, because nothing would come after it.
        room = round(self.strength * self.steps) - 1
        if self.method.startswith("gradop+") and self.num_iterative_steps > room:
            raise CourseError(
                f"a strength of {self.strength:g} leaves {max(0, room)} of the {self.steps} steps "
                f"that a burst may follow, and num_iterative_steps is {self.num_iterative_steps}; "
                "lower it, raise the strength, or take more steps."
            )

    def knobs(self) -> Knobs:
        """What the methods of `stroke_methods` read of the settings."""
        from distillery.methods.stroke_methods import Knobs

        names = {field.name for field in fields(Knobs)} & {field.name for field in fields(self)}
        return Knobs(**{name: getattr(self, name) for name in names})

    @property
    def title(self) -> str:
        """What the picture should show."""
        return self.prompt


def words_of(text: str) -> list[str]:
    """The words of "cat, red car", each without the spaces around it."""
    return [word.strip() for word in text.split(",")] if text.strip() else []
