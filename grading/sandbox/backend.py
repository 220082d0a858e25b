"""An backend: how the fork server is started, and what is then around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Backend:
    """One way to start the fork server.

    name:        of the sandbox that it makes.
    command:     what to start, its last argument the settings of `inside` as JSON.
    environment: all of it.
    leaves_open: what it does not protect, in sentences.
    kill:        ends what the command started, where killing the command does not.
    remove:      what is to be done when the sandbox is closed.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    leaves_open: tuple[str, ...] = ()
    kill: Callable[[], None] = _nothing
    remove: Callable[[], None] = _nothing


def inside_settings(cell: str, course: str, **more: Any) -> dict[str, Any]:
    """What `inside` is told.

    cell:     see inside/cell.py.
    course:   the folder that `distillery` lies in, as seen from inside.
    user:     the number of the user to become, for real root.
    scratch:  where jobs' folders are made, unless a cell brings its own.
    readable: what a job may open, where no namespace sees to that.
    program:  run one whole program instead of jobs.
    """
    usual: dict[str, Any] = {"user": None, "scratch": "", "readable": [], "program": False}
    return {"cell": cell, "course": course, **usual, **more}
