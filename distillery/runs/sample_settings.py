"""Everything that decides a sample of a model. Importing this does not load torch."""

from __future__ import annotations

from dataclasses import dataclass

from distillery.core.errors import CourseError
from distillery.core.settings import (
    LARGEST_SEED,
    REQUIRED,
    Declared,
    FileName,
    Real,
    Size,
    Text,
    Whole,
    by_model,
    setting,
)


@dataclass(frozen=True)
class SampleSettings(Declared):
    """Everything that decides samples of a model; what is None takes the model's default.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    prompt: str = setting(REQUIRED, Text(), "what to draw")
    negative_prompt: str = setting("", Text(), "what to steer away from")
    model: str = setting(
        "tiny-sd", FileName(folders=True), "a preset's name, or a folder that diffusers saved"
    )
    guidance_scale: float = by_model(Real(), "s in eps_uncond + s * (eps_text - eps_uncond)")
    steps: int = by_model(Whole(1, 1000), "number of steps")
    seed: int = setting(
        0, Whole(0, LARGEST_SEED), "the same seed gives the same pictures on the same machine"
    )
    count: int = setting(1, Whole(1, 1000), "pictures of the prompt, in one batch")
    size: tuple[int, int] | None = by_model(
        Size("the picture", 8, 4096, unit=8), "height and width in pixels"
    )
    lora: str = setting(
        "", FileName(folders=True), "a style: LoRA weights, a file, a folder or a hub id"
    )
    lora_scale: float = setting(1.0, Real(low=-100, high=100), "factor on the style")
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
