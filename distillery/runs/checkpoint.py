"""The state of a run on disk: complete or absent, and valid only for the same settings."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.runs.run import Checkpoint, Step


class RunSettings(Protocol):
    """What the engine reads of a run's settings, a dataclass of its kind."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def title(self) -> str:
        """What the finished picture should show; its file is named after it."""
        ...

    def save(self, path: Path) -> None:
        """Write the settings as YAML; raises `CourseError` where that is impossible."""
        ...


def checkpoint_path(folder: Path, ingredients: Iterable[bytes]) -> Path:
    """The file of a run's state; eight digits tell apart versions of its code and its sources."""
    digest = hashlib.sha256()
    for content in ingredients:
        digest.update(content)
    return folder / f"checkpoint-{digest.hexdigest()[:8]}.pt"


def checkpoints_in(folder: Path) -> list[Path]:
    """The files of `checkpoint_path` in a folder, of whatever code and sources."""
    try:
        return sorted(folder.glob("checkpoint-*.pt"))
    except OSError:  # a folder that may not be entered; writing there will say so better
        return []


def save_checkpoint(
    path: Path,
    step: Step,
    settings: RunSettings,
    figures: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Write the run's state after `step`, whole or not at all.

    Args:
        figures: those of all steps so far, for the curves of the whole run.

    Raises:
        CourseError: the disk is full or the folder cannot be written.
    """
    state = {
        "settings": asdict(settings),
        "index": step.index,
        "figures": {name: list(values) for name, values in (figures or {}).items()},
        "state": step.state(),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    atomic_write(path, buffer.getvalue())


def load_checkpoint(path: Path, settings: RunSettings) -> Checkpoint:
    """Read a run's state.

    Raises:
        CourseError: the file cannot be read, or belongs to a run with other settings.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        saved = state.pop("settings")
        checkpoint = Checkpoint(**state)
    # A damaged file can fail anywhere between unzipping and unpickling.
    except Exception as error:
        raise CourseError(
            f"cannot resume from {path}: it is missing or damaged; remove it to start again."
        ) from error
    wanted = asdict(settings)
    differing = [name for name in {**wanted, **saved} if saved.get(name) != wanted.get(name)]
    if differing:
        name = differing[0]
        raise CourseError(
            f"cannot resume from {path}: its {name} is {saved.get(name)!r} and the run's is "
            f"{wanted.get(name)!r}; repeat its settings, or remove the file to start again."
        )
    return checkpoint
