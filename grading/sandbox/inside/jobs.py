"""What an isolated job does: run one function of a student's module, and record the results.

Nothing here protects the grader. A student's code shares this process and can change all of it, so
the grader does not trust what comes out and only looks at the numbers.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from torch import Tensor

from distillery.course.kinds import all_from_wire
from distillery.course.record import numbered, record

from .frames import write_all
from .payload import pack, unpack

LONGEST = 2000  # characters of a message or a line


@dataclass
class Made:
    """What a job has made so far; of a job that stops with an exception, what it made before."""

    facts: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


def perform(body: bytes, reply: int) -> None:
    """Do what the body asks for, and write the answer to `reply`.

    Raises:
        MemoryError: memory is not enough.
    """
    asked, tensors = unpack(body)
    made = Made()
    ending: dict[str, Any] = {"ending": "returned"}
    try:
        KINDS[asked["kind"]](asked, tensors, made)
    # Everything that a student's code raises is part of the answer, also SystemExit and
    # KeyboardInterrupt.
    except BaseException as error:
        if _is_out_of_memory(error):
            raise MemoryError from None
        ending = {"ending": "raised", "raised": _raised(error, _file(asked["module"]))}
    answer = pack(ending | {"facts": made.facts}, made.tensors)
    with suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    write_all(reply, answer)


def _task(asked: dict[str, Any], tensors: dict[str, Tensor], made: Made) -> None:
    """Record what a function does with the inputs of each case, in one process and in order."""
    cases = all_from_wire(asked["facts"]["cases"], tensors)
    function = getattr(load(asked["module"], asked["source"]), asked["facts"]["function"])
    made.facts["recordings"] = []
    for place, case in enumerate(cases):
        recording = record(function, case)
        made.facts["recordings"].append(recording.facts)
        made.tensors |= numbered(place, recording.tensors)


def _picture(asked: dict[str, Any], tensors: dict[str, Tensor], made: Made) -> None:
    """Draw one picture with a student's functions; see pictures.py."""
    from . import pictures

    made.facts, made.tensors = pictures.draw(load(asked["module"], asked["source"]), asked["facts"])


def _probe(asked: dict[str, Any], tensors: dict[str, Tensor], made: Made) -> None:
    """Call `probe()` of the source, which returns JSON; used to test the sandbox itself."""
    made.facts = {"found": load(asked["module"], asked["source"]).probe()}


KINDS: dict[str, Callable[[dict[str, Any], dict[str, Tensor], Made], None]] = {
    "task": _task,
    "picture": _picture,
    "probe": _probe,
}


def load(module: str, source: str) -> ModuleType:
    """`guidance.<module>` made from that text, as if it had been imported from its file."""
    file = _file(module)
    # Tracebacks and `inspect` look for the lines of a file that does not exist.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    package = sys.modules.setdefault("guidance", ModuleType("guidance"))
    package.__path__ = []
    made = ModuleType(f"guidance.{module}")
    made.__file__ = file
    sys.modules[made.__name__] = made
    setattr(package, module, made)
    exec(compile(source, file, "exec", dont_inherit=True), vars(made))
    return made


def _file(module: str) -> str:
    return f"guidance/{module}.py"


def _is_out_of_memory(error: BaseException) -> bool:
    """torch reports it as a RuntimeError."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in _text(error)


def _raised(error: BaseException, file: str) -> dict[str, str]:
    """The exception, and the last line of the student's own code that it passed."""
    own = [
        frame.line or ""
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == file
    ]
    if isinstance(error, SyntaxError) and error.filename == file:
        own.append((error.text or "").strip())
    kind, line = type(error).__name__, own[-1] if own else ""
    return {"kind": kind[:LONGEST], "message": _text(error)[:LONGEST], "line": line[:LONGEST]}


def _text(error: BaseException) -> str:
    # A student's class can return anything here, or raise.
    try:
        return str(error)
    except BaseException:
        return ""
