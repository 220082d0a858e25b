"""Everything that decides a morph. Importing this does not load torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from distillery.core.errors import CourseError
from distillery.core.program import TYPED
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
    ValueType,
    Whole,
    by_model,
    setting,
)
from distillery.methods.settings import IMPLEMENTATIONS

if TYPE_CHECKING:
    from torch import Tensor

MOST_PROMPTS = 20
MOST_FRAMES = 500
MOST_FPS = 50  # a GIF counts in hundredths of a second, and browsers slow down those of one
LARGEST_GRID = 512  # pixels of a side
COLOURS = 16  # where no palette is named
TEXT = ("stones", "mix", "slerp", "lerp", "hold")
NOISE = ("slerp", "lerp", "hold")
SPACINGS = ("even", "uniform")
EASINGS = ("linear", "smooth", "in", "out")
DITHERINGS = ("none", "bayer")


def palette_named(words: str) -> Tensor | int:
    """The palette of a name or a file, (K, 3), or how many colours to find.

    Raises:
        CourseError: there is no such palette, or it has too many colours.
    """
    from distillery.palettes import load_palette
    from distillery.pixelart.sequence import check_count

    palette = int(words) if words.isdecimal() else load_palette(words)
    check_count(palette if isinstance(palette, int) else len(palette))
    return palette


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers from a flag's text, such as "1,2,3"."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"write whole numbers with commas between them, such as 1,2, not {text!r}"
        ) from None


@dataclass(frozen=True)
class Prompts(ValueType):
    """Some prompts, none of them empty."""

    metavar: ClassVar[str] = "PROMPT"

    def check(self, name: str, value: Any, among: object = None) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise CourseError(f"{name} must be a list of prompts; it is {value!r}.")
        prompts = tuple(Text().check(f"a prompt of {name}", prompt) for prompt in value)
        for number, prompt in enumerate(prompts, 1):
            if not prompt.strip():
                raise CourseError(
                    f"prompt {number} of {len(prompts)} is empty: say in a few words what to draw."
                )
        return prompts


@dataclass(frozen=True)
class Wholes(ValueType):
    """Some whole numbers from 0 to `high`."""

    high: int
    flag_type: ClassVar[Callable[[str], Any]] = staticmethod(whole_numbers)
    metavar: ClassVar[str] = "N,N,..."

    def check(self, name: str, value: Any, among: object = None) -> tuple[int, ...]:
        numbers = value if isinstance(value, (list, tuple)) else ()
        if not numbers or not all(type(n) is int and 0 <= n <= self.high for n in numbers):
            raise CourseError(
                f"{name} must be whole numbers from 0 to {self.high}; it is {value!r}."
            )
        return tuple(numbers)


@dataclass(frozen=True)
class MorphSettings(Declared):
    """Everything that decides a morph; what is None takes a default that fits.

    Raises:
        CourseError: a value is of the wrong kind or out of its range, or two do not fit together.
    """

    prompts: tuple[str, ...] = setting(
        REQUIRED, Prompts(), f"the keyframes in order, 2 to {MOST_PROMPTS} prompts"
    )
    seeds: tuple[int, ...] = setting(
        None,
        Wholes(LARGEST_SEED),
        "of the keyframes' noise, one for each prompt; equal ones keep the noise",
        by_default="0,1,2 and so on",
        follows="prompts",
    )
    negative_prompt: str = setting("", Text(), "what to steer away from")
    model: str = setting(
        "tiny-sd", FileName(folders=True), "a preset's name, or a folder that diffusers saved"
    )
    guidance_scale: float = by_model(Real(), "s in eps_uncond + s * (eps_text - eps_uncond)")
    steps: int = by_model(Whole(1, 1000), "number of steps from noise to the pictures")

    frames: int = setting(40, Whole(2, MOST_FRAMES), "of the whole animation, keyframes included")
    fps: float = setting(12, Real(low=1, high=MOST_FPS), "frames a second")
    loop: bool = setting(False, Truth(), "go on from the last prompt to the first")
    holds: tuple[int, ...] = setting(
        (0,),
        Wholes(MOST_FRAMES),
        "frames more than one that a keyframe stays: one number for all, or one for each prompt",
        by_default="0",
    )
    easing: str = setting(
        "linear",
        Choice(EASINGS),
        "linear, smooth, in (slow away from each keyframe) or out (slow towards the next)",
    )
    text: str = setting(
        "stones",
        Choice(TEXT),
        "from prompt to prompt: mix what the network says of both; or do so while there is much "
        "noise, from one of the stones to the next, prompts that change one thing at a time; or "
        "slerp or lerp the text, or hold the nearer one",
    )
    noise: str = setting("slerp", Choice(NOISE), "from noise to noise: slerp, lerp or hold")

    spacing: str = setting(
        None,
        Choice(SPACINGS),
        "even: draw more frames than are shown and choose those whose steps look alike; uniform: "
        "draw at an even pace",
        by_default="even; uniform with smoothing or a strength",
        follows=("smoothing", "strength"),
    )
    smoothing: float = setting(
        0.0, Real(low=0, high=20), "average each frame with neighbours, on the way; in frames"
    )
    strength: float = setting(
        1.0,
        Real(above=0, high=1),
        "below 1, a frame begins with the one before it under so much noise, and moves less",
    )

    lora: str = setting(
        "", FileName(folders=True), "a style: LoRA weights, a file, a folder or a hub id"
    )
    lora_scale: float = setting(1.0, Real(low=-100, high=100), "factor on the style")

    size: tuple[int, int] = by_model(
        Size("the grid", 8, LARGEST_GRID), "height and width of the pixel art, in pixels"
    )
    palette: str = setting(
        str(COLOURS),
        FileName(),
        "one for all frames: a name, rgb-N, a file, or how many colours to find",
    )
    dithering: str = setting("none", Choice(DITHERINGS), "none, or bayer: a pattern that stays")
    margin: float = setting(
        None,
        Real(low=0, high=1),
        "how much nearer another colour must be for a pixel to leave its own, in OKLab",
        by_default="0.04, twice what the eye can tell apart",
    )
    transparent: bool = setting(
        False, Truth(), "what lies around the thing, of one colour up to the border, is transparent"
    )
    scale: int = setting(
        None,
        Whole(1, 64),
        "how many pixels wide a pixel is in GIF, APNG and MP4",
        by_default="as many as make about 512",
        follows=("size", "frames", "model"),
    )
    frames_a_call: int = setting(
        None,
        Whole(1, MOST_FRAMES),
        "frames that the network is asked about at once; memory follows it",
        by_default="8; 2 with models that do not come with the course",
        follows="model",
    )
    implementation: str = setting(
        "guidance",
        Choice(IMPLEMENTATIONS),
        "guidance: your code; reference: the course's",
        by_default="guidance; reference while yours is still to do and the course's is there",
    )
    device: str = setting("auto", Text(), "auto, cpu, cuda or mps")

    def __post_init__(self) -> None:
        # Presets import torch, which takes seconds; a parser of flags is made without it.
        from distillery.models.presets import find_preset, suits, trained_side
        from distillery.pixelart.animation import shown_factor

        self.check("prompts", "model")
        self._check_prompts()
        self.fill_in(seeds=tuple(range(len(self.prompts))), margin=0.04)
        side = min(trained_side(self.model), *suits(self.model, "pixelart")["size"])
        self.fill_in(**suits(self.model, "sample"), size=(side, side))
        tiny = find_preset(self.model).embedded or self.model == "exact"
        self.fill_in(frames_a_call=8 if tiny else 2)
        self.check("seeds", "size")
        self.check("frames", "smoothing", "strength")
        alone = self.smoothing == 0 and self.strength == 1
        self.fill_in(spacing="even" if alone else "uniform")
        self.fill_in(scale=shown_factor(self.frames, self.size))
        self.check()
        self._check_together()

    def _check_prompts(self) -> None:
        count = len(self.prompts)
        if count == 1:
            raise CourseError(
                "a morph goes from one prompt to another and there is one; give a second, or draw "
                f"it alone by: {TYPED} sample --prompt ..."
            )
        if not 2 <= count <= MOST_PROMPTS:
            raise CourseError(f"a morph has 2 to {MOST_PROMPTS} prompts; there are {count}.")

    def _check_together(self) -> None:
        count = len(self.prompts)
        if len(self.seeds) != count:
            raise CourseError(
                f"{count} prompts need {count} seeds, one for each; seeds is {self.seeds!r}."
            )
        keys = list(zip(self.prompts, self.seeds, strict=True))
        after = [*keys[1:], *([keys[0]] if self.loop and count > 2 else [])]
        for number, pair in enumerate(zip(keys, after, strict=False), 1):
            if pair[0] == pair[1]:
                raise CourseError(
                    f"prompt {number} and the one after it are equal and so are their seeds, so "
                    "nothing would move between them; change one, or give other seeds."
                )
        if len(self.holds) not in (1, count):
            raise CourseError(
                f"holds must be one number for all prompts, or {count}, one for each; it is "
                f"{self.holds!r}."
            )
        if self.spacing == "even" and (self.smoothing or self.strength < 1):
            raise CourseError(
                "an even spacing chooses among frames that know nothing of each other; leave "
                "smoothing and strength out, or choose the spacing uniform."
            )
        if self.smoothing and self.strength < 1:
            raise CourseError(
                "smoothing is for frames that are drawn together, and with a strength each is "
                "drawn after the other; leave one of them out."
            )
        least = count + sum(self.waits)
        if self.frames < least:
            held = f" and {sum(self.waits)} frames of holding" if any(self.waits) else ""
            raise CourseError(
                f"{count} prompts{held} need at least {least} frames; frames is {self.frames}."
            )

    @property
    def waits(self) -> tuple[int, ...]:
        """The holds of the keyframes, one for each."""
        return self.holds if len(self.holds) > 1 else self.holds * len(self.prompts)

    @property
    def title(self) -> str:
        """What the animation shows."""
        return " to ".join(self.prompts)


def frames_of(prompts: int, num_frames: int, *, loop: bool) -> int:
    """The frames of a whole animation that has `num_frames` from each prompt to the next."""
    pairs = prompts - (not loop)
    return pairs * (num_frames - 1) + (not loop)
