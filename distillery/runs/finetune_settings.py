"""Everything that decides the fine-tuning of a style. Importing this does not load torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from distillery.core.errors import CourseError
from distillery.core.settings import (
    REQUIRED,
    Choice,
    Declared,
    FileName,
    Real,
    Size,
    Switch,
    Text,
    ValueType,
    Whole,
    by_model,
    setting,
)

MOST_PROMPTS = 16
LARGEST_SEED = 2**32 - 1  # a step's own seed is a million times as large


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


@dataclass(frozen=True)
class Prompts(ValueType):
    """A few prompts, in YAML a list; its flag takes them with ; between."""

    flag_type: ClassVar[Callable[[str], Any]] = staticmethod(_split)
    metavar: ClassVar[str] = '"PROMPT; PROMPT"'

    def check(self, name: str, value: Any, among: object = None) -> tuple[str, ...]:
        prompts = list(value) if isinstance(value, (list, tuple)) else []
        if not 1 <= len(prompts) <= MOST_PROMPTS:
            raise CourseError(
                f"{name} must be from 1 to {MOST_PROMPTS} prompts, with ; between; it is {value!r}."
            )
        checked = [Text().check(f"each of {name}", prompt) for prompt in prompts]
        if not all(prompt.strip() for prompt in checked):
            raise CourseError(f"one of {name} is empty; say what to draw, or leave it out.")
        return tuple(checked)


@dataclass(frozen=True)
class FinetuneSettings(Declared):
    """Everything that decides a LoRA; what is None takes the model's default.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    folder: str = setting(
        REQUIRED, FileName(folders=True), "pictures with captions, metadata.jsonl or .csv"
    )
    model: str = setting(
        "tiny-sd", FileName(folders=True), "a preset's name, or a folder that diffusers saved"
    )
    rank: int = setting(8, Whole(1, 1024), "r, the short side of the two factors of an adapter")
    layers: str = by_model(
        Choice(("attention", "all")), "which layers are adapted; all: convolutions too"
    )
    start: str = setting(
        "", FileName(folders=True), "LoRA weights to go on from, a file or a folder"
    )
    steps: int = by_model(Whole(1, 1_000_000), "number of steps")
    batch_size: int = by_model(Whole(1, 1024), "pictures in a step")
    learning_rate: float = by_model(Real(above=0), "of AdamW, after the warm-up")
    size: tuple[int, int] = setting(
        None,
        Size("the pictures", 8, 4096, unit=8),
        "height and width that all pictures are brought to",
        by_default="what the model was trained for",
        follows="model",
    )
    flip: bool = setting(False, Switch(), "mirror half of the pictures, left to right")
    caption_dropout: float = setting(
        0.1, Real(low=0, high=1), "part of the captions left out, for guidance"
    )
    prior_weight: float = setting(
        0.0, Real(low=0), "of the loss on pictures that the model drew before (DreamBooth)"
    )
    prior_pictures: int = setting(32, Whole(1, 10_000), "number of these pictures")
    validation_prompts: tuple[str, ...] = setting(
        None, Prompts(), "what the sheet shows", by_default="four of the captions"
    )
    guidance_scale: float = by_model(Real(), "of the sheet and of the pictures drawn before")
    mixed_precision: str = by_model(
        Choice(("no", "bf16")), "of the network while it learns, diffusers' names"
    )
    seed: int = setting(
        0, Whole(0, LARGEST_SEED), "the same seed gives the same LoRA on the same machine"
    )
    implementation: str = setting(
        "guidance", Choice(("guidance", "reference")), "your own code or the course's"
    )
    device: str = setting("auto", Text(), "auto, cpu, cuda or mps")

    def __post_init__(self) -> None:
        # Presets import torch, which takes seconds; a parser of flags is made without it.
        from distillery.models.presets import suits, trained_side

        self.check("folder", "model")
        if not self.folder.strip():
            raise CourseError("the folder is empty: name one that holds pictures with captions.")
        side = trained_side(self.model)
        own = {**suits(self.model, "finetune"), "size": (side, side)}
        own["guidance_scale"] = suits(self.model, "sample")["guidance_scale"]
        self.fill_in(**own)
        names = {*type(self).__dataclass_fields__} - {"validation_prompts"}
        self.check(*sorted(names))
        if self.validation_prompts is not None:
            self.check("validation_prompts")

    @property
    def title(self) -> str:
        """What its files are named after: the folder's name."""
        return f"{Path(self.folder).resolve().name or 'pictures'}-lora"
