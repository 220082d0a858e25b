"""All that decides a score distillation on latents."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.core.validation import check_real, check_text, check_whole, read_settings
from distillery.models.presets import find_preset, guidance_default

IMPLEMENTATIONS = ("reference", "guidance")
TEXTS = (
    "prompt",
    "negative_prompt",
    "edit_prompt",
    "src_img_path",
    "loss_type",
    "model",
    "implementation",
    "device",
)
MODEL_DEFAULT: Any = None  # replaced by the preset's value, so that a saved run names its number


@dataclass(frozen=True)
class Settings:
    """Everything that decides a picture; what is left out takes the model's default.

    prompt:         what to draw; of an edit, what the source shows.
    edit_prompt:    what an edit shall show.
    src_img_path:   the picture that an edit starts from; without it the model draws one.
    loss_type:      a name of `catalogue.METHODS`.
    model:          a preset's name or a diffusers folder.
    implementation: "reference" (the course's) or "guidance" (the student's).
    guidance_scale: s in eps_uncond + s * (eps_text - eps_uncond).
    particles:      how many pictures of the prompt are distilled together.
    warmup:         steps over which the learning rate rises, by default a tenth of all.
    t_min, t_max:   range of the timesteps, both included.
    identity:       factor on PDS's pull towards the source.
    lora_rank, lora_learning_rate: of VSD's LoRA.
    device:         where it is drawn; the same seed gives another picture on another device.

    Raises:
        CourseError: a value is of the wrong kind or out of its range.
    """

    prompt: str
    edit_prompt: str = ""
    src_img_path: str = ""
    negative_prompt: str = ""
    loss_type: str = "sds"
    model: str = "tiny-sd"
    implementation: str = "guidance"
    guidance_scale: float = MODEL_DEFAULT
    steps: int = MODEL_DEFAULT
    seed: int = 0
    particles: int = 1
    learning_rate: float = MODEL_DEFAULT
    warmup: int = MODEL_DEFAULT
    t_min: int = 20
    t_max: int = 980
    identity: float = MODEL_DEFAULT
    lora_rank: int = 4
    lora_learning_rate: float = MODEL_DEFAULT
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in TEXTS:
            check_text(name, getattr(self, name))
        if not self.prompt.strip():
            raise CourseError("the prompt is empty: say in a few words what to draw.")
        if self.implementation not in IMPLEMENTATIONS:
            raise CourseError(
                f"unknown implementation {self.implementation!r}: "
                f"choose {' or '.join(IMPLEMENTATIONS)}."
            )
        self._fill_in_defaults()
        check_real("guidance_scale", self.guidance_scale)
        check_real("identity", self.identity)
        check_real("learning_rate", self.learning_rate, above=0)
        check_real("lora_learning_rate", self.lora_learning_rate, above=0)
        check_whole("lora_rank", self.lora_rank, 1, 10_000)
        check_whole("particles", self.particles, 1, 1000)
        check_whole("steps", self.steps, 1, 1_000_000)
        check_whole("warmup", self.warmup, 0, self.steps)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        check_whole("t_max", self.t_max, 0, 999)
        check_whole("t_min", self.t_min, 0, self.t_max)

    def _fill_in_defaults(self) -> None:
        preset = find_preset(self.model)
        defaults = {
            "guidance_scale": guidance_default(self.model, self.loss_type),
            "steps": preset.steps,
            "learning_rate": preset.learning_rate,
            "identity": preset.identity,
            "lora_learning_rate": preset.lora_learning_rate,
        }
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.warmup is None and isinstance(self.steps, int):
            object.__setattr__(self, "warmup", self.steps // 10)

    @property
    def title(self) -> str:
        """What the finished picture shall show."""
        return self.edit_prompt or self.prompt

    def save(self, path: Path) -> None:
        """Write the settings as YAML; raises `CourseError` where that is impossible."""
        atomic_write(path, yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True))

    @classmethod
    def load(cls, path: Path, **changes: Any) -> Settings:
        """Read settings that `save` wrote, or that were written by hand, and change some of them.

        A changed number of steps sets the warm-up anew.

        Raises:
            CourseError: the file is missing, is not YAML, or holds an unknown or unfit setting.
        """
        known = [field.name for field in fields(cls)]
        values = read_settings(path, known, needed=["prompt"])
        if "steps" in changes:
            values.pop("warmup", None)
        return cls(**{**values, **changes})
