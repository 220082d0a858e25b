"""Jobs for a sandbox, their limits, and its replies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Ending = Literal["returned", "raised", "timed out", "out of memory", "died", "too much"]


@dataclass(frozen=True)
class Limits:
    """What one job may use, in addition to what is loaded before it starts."""

    wall_s: float = 20.0
    cpu_s: int = 20
    memory_mb: int = 1024
    scratch_mb: int = 64
    printed_bytes: int = 10_000
    reply_bytes: int = 32 * 2**20


@dataclass(frozen=True)
class Job:
    """Run one function of a student's module on the inputs of some cases; record what it does.

    kind: which function of grading/sandbox/inside/jobs.py runs it: "task" or "picture".
    module:   the stage's module name, such as "sds".
    source:   the whole text of guidance/<module>.py with the student's functions.
    facts: plain JSON; for a "task" {"function": name, "cases": the facts of each case}.
    tensors: for a "task", those of the cases.

    distillery.course.kinds.all_to_wire makes the facts and tensors of cases.
    """

    kind: str
    module: str
    source: str
    facts: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Raised:
    """An exception of the student's code: its class, its message, and the line it came from."""

    kind: str
    message: str
    line: str


@dataclass(frozen=True)
class Reply:
    """Plain JSON and plain arrays. Size and form are checked; the content may be false.

    Of a "task", `facts` is {"recordings": the facts of each case that it came through}; what names
    begin with "0/" are the tensors of the first. Where it `raised`, they are those before.
    """

    ending: Ending
    facts: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    raised: Raised | None = None
    printed: str = ""


class Sandbox(Protocol):
    """Runs one job after another; no job leaves anything behind for the next.

    name:     "bubblewrap", "landlock", "docker", ...
    leaves_open: sentences about what it does not protect; empty for a full sandbox.
    """

    name: str
    leaves_open: tuple[str, ...]

    def run(self, job: Job, limits: Limits) -> Reply:
        """Run a job. Nothing that the job's code does makes it raise.

        Raises:
            SandboxError: the sandbox itself failed; the caller may try again with a new one.
        """
        ...

    def close(self) -> None: ...


class SandboxError(Exception):
    """The sandbox failed, not the code in it."""
