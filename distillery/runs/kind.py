"""What a kind of run is: its settings, its loading, its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from distillery.models.prior import Prior
from distillery.runs.engine import carry_out
from distillery.runs.extras import NO_EXTRAS, Extras
from distillery.runs.place import Place, fingerprint, own_place
from distillery.runs.run import Run


class Kind(Protocol):
    """A module of these names; `distillery.runs.registry` lists them all.

    SOURCE_FIELDS: the settings that name a file.
    """

    SOURCE_FIELDS: Sequence[str]

    def module_name(self, settings: Any) -> str:
        """The module whose functions draw, "guidance.sds" for one; "" where none is needed."""
        ...

    def check(self, settings: Any) -> None:
        """Refuse what cannot be done, by a `CourseError`, before any model is loaded."""
        ...

    def completed(self, settings: Any) -> Any:
        """The settings, with what a first look at the input says of those left open."""
        ...

    def load(self, settings: Any) -> Prior:
        """The prior that the run needs."""
        ...

    def begin(self, prior: Prior, method: Any, settings: Any, *, out: Path) -> Run:
        """The run before its first step; `method` is the module of `module_name`."""
        ...


def draw(
    kind: Kind,
    prior: Prior,
    method: Any,
    settings: Any,
    *,
    out: Path,
    extras: Extras = NO_EXTRAS,
    overwrite: bool = False,
) -> Place:
    """Begin a run, carry it out, and return where its files lie, in the folder `out`.

    Args:
        overwrite: the result of other settings that has its name; without it that is kept, and
            this one gets the next free name.

    Raises:
        CourseError: a file cannot be read or written, or there is a checkpoint of a run with other
            settings.
        KeyboardInterrupt: Ctrl-C, after the step under way is done and its checkpoint saved.
    """
    run = kind.begin(prior, method, settings, out=out)
    sources = fingerprint(settings)
    return carry_out(run, settings, out=out, extras=extras, overwrite=overwrite, sources=sources)


def drawn(
    kind: Kind, prior: Prior, method: Any, settings: Any, *, out: Path = Path("outputs")
) -> Tensor:
    """The pictures of a run that leaves no files, (B, 3, H, W), bit for bit those of `draw`.

    Args:
        out: the folder that `draw` would draw into; a source that is drawn lies there.

    Raises:
        CourseError: the run cannot begin.
    """
    return finished(kind, prior, method, settings, out=out).images()


def finished(kind: Kind, prior: Prior, method: Any, settings: Any, *, out: Path) -> Run:
    """A run after its last step, without files; see `drawn`."""
    run = kind.begin(prior, method, settings, out=out)
    for _ in run.steps():
        pass
    return run


def is_begun(settings: Any, out: Path) -> bool:
    """Whether a run by these settings was stopped in the folder `out`."""
    return own_place(settings, out, stopped=True) is not None
