"""How each backend starts the fork server."""

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
    command:     what to start; its last argument is the settings of `inside` as JSON.
    environment: the whole environment.
    leaves_open: what it does not protect, in sentences.
    kill:        ends what the command started, if killing the command is not enough.
    remove:      cleans up when the sandbox is closed.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    leaves_open: tuple[str, ...] = ()
    kill: Callable[[], None] = _nothing
    remove: Callable[[], None] = _nothing


def inside_settings(isolation: str, course: str, **more: Any) -> dict[str, Any]:
    """The settings that `inside` gets.

    isolation: "namespaces", "landlock" or "limits"; see inside/isolation.py.
    course:   the folder that contains `distillery`, as seen from inside.
    user: the number of the user to become, if the grader is root.
    scratch:  where jobs' folders are made, if the isolation has no scratch of its own.
    readable: what a job may open, if no namespace limits it.
    program:  run one whole program instead of jobs.
    """
    usual: dict[str, Any] = {"user": None, "scratch": "", "readable": [], "program": False}
    return {"isolation": isolation, "course": course, **usual, **more}
