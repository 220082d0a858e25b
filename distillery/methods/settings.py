"""Everything that decides a score distillation on latents."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.core.settings import (
    LARGEST_SEED,
    REQUIRED,
    Choice,
    Declared,
    FileName,
    Real,
    Text,
    Whole,
    by_model,
    setting,
)

IMPLEMENTATIONS = ("reference", "guidance")


@dataclass(frozen=True)
class Settings(Declared):
    """Everything that decides a picture; what is None takes the model's default.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    prompt: str = setting(REQUIRED, Text(), "what to draw; of an edit, what the source shows")
    edit_prompt: str = setting("", Text(), "what an edit should show (pds, dds)")
    src_img_path: str = setting(
        "",
        FileName(),
        "picture that an edit starts from; empty: the model draws it from the prompt",
    )
    negative_prompt: str = setting("", Text(), "what to steer away from")
    loss_type: str = setting("sds", Text(), "method: sds, pds, dds, vsd, csd, sdi or ism")
    model: str = setting(
        "tiny-sd", FileName(folders=True), "a preset's name, or a folder that diffusers saved"
    )
    implementation: str = setting(
        "guidance",
        Choice(IMPLEMENTATIONS),
        "guidance: your code; reference: the course's",
        by_default="guidance; reference while yours is still to do and the course's is there",
    )
    guidance_scale: float = setting(
        None,
        Real(),
        "s in eps_uncond + s * (eps_text - eps_uncond)",
        by_default="depends on the model and the method",
    )
    steps: int = by_model(Whole(1, 1_000_000), "number of steps")
    seed: int = setting(
        0, Whole(0, LARGEST_SEED), "the same seed gives the same picture on the same machine"
    )
    particles: int = setting(1, Whole(1, 1000), "pictures that are distilled together")
    learning_rate: float = by_model(Real(above=0), "learning rate of AdamW after the warm-up")
    warmup: int = setting(
        None,
        Whole(0, "steps"),
        "steps over which the learning rate rises; by default a tenth of all",
        follows="steps",
    )
    t_min: int = setting(20, Whole(0, "t_max"), "smallest timestep")
    t_max: int = setting(980, Whole(0, 999), "largest timestep")
    identity: float = by_model(Real(), "factor on the pull of pds towards the source")
    lora_rank: int = setting(4, Whole(1, 10_000), "rank of the LoRA of vsd")
    lora_learning_rate: float = by_model(Real(above=0), "learning rate of the LoRA of vsd")
    device: str = setting("auto", Text(), "auto, cpu, cuda or mps")

    def __post_init__(self) -> None:
        # Presets import torch, which takes seconds; a parser of flags is made without it.
        from distillery.models.presets import guidance_default, suits

        self.check("prompt", "model", "loss_type")
        if not self.prompt.strip():
            raise CourseError("the prompt is empty: say in a few words what to draw.")
        self.fill_in(
            guidance_scale=guidance_default(self.model, self.loss_type), **suits(self.model, "draw")
        )
        if isinstance(self.steps, int):
            self.fill_in(warmup=self.steps // 10)
        self.check()

    @property
    def title(self) -> str:
        """What the finished picture should show."""
        return self.edit_prompt or self.prompt

    def save(self, path: Path) -> None:
        """Write the settings as YAML without comments; raises `CourseError` if impossible."""
        atomic_write(path, yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True))
