"""What a job does once it is shut in: run one function of a student's module, and write it down.

Nothing here is a defence. A student's code shares this process and can change all of it; so the
grader believes nothing of what comes out, and looks only at its numbers.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import ModuleType
from typing import Any

from torch import Tensor

from distillery.course.record import from_wire, record

from .frames import write_all
from .payload import pack, unpack

LONGEST = 2000  # characters of a message or a line
Made = tuple[dict[str, Any], dict[str, Tensor]]
PRIORS: dict[str, Any] = {}  # name of a model -> the prior, loaded before any job


def preload(models: Iterable[str]) -> None:
    """Load priors once, so that jobs need not."""
    from distillery.models.load import load_prior

    PRIORS.update({model: load_prior(model, device="cpu") for model in models})


def perform(body: bytes, reply: int) -> None:
    """Do what the body asks for, and write the answer to `reply`.

    Raises:
        MemoryError: there is not enough of it.
    """
    asked, tensors = unpack(body)
    try:
        facts, made = KINDS[asked["kind"]](asked, tensors)
        answer = pack({"ending": "returned", "facts": facts}, made)
    # Whatever a student's code raises, SystemExit and KeyboardInterrupt too, is part of the answer.
    except BaseException as error:
        if _is_want_of_memory(error):
            raise MemoryError from None
        answer = pack({"ending": "raised", "raised": _raised(error, _file(asked["module"]))}, {})
    with suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    write_all(reply, answer)


def _task(asked: dict[str, Any], tensors: dict[str, Tensor]) -> Made:
    """Record what a function does with the inputs of a case."""
    function = getattr(load(asked["module"], asked["source"]), asked["facts"]["function"])
    recording = record(function, from_wire(asked["facts"]["case"], tensors))
    return recording.facts, recording.tensors


def _picture(asked: dict[str, Any], tensors: dict[str, Tensor]) -> Made:
    """Draw one picture with a student's functions; grading/sandbox/inside/pictures.py."""
    from . import pictures

    return pictures.draw(load(asked["module"], asked["source"]), asked["facts"], PRIORS)


def _probe(asked: dict[str, Any], tensors: dict[str, Tensor]) -> Made:
    """Call `probe()` of the source, which returns JSON: how the sandbox itself is tried out."""
    return {"found": load(asked["module"], asked["source"]).probe()}, {}


KINDS: dict[str, Callable[[dict[str, Any], dict[str, Tensor]], Made]] = {
    "task": _task,
    "picture": _picture,
    "probe": _probe,
}


def load(module: str, source: str) -> ModuleType:
    """`guidance.<module>` made of that text, as if it had been imported from its file."""
    file = _file(module)
    # Tracebacks and `inspect` ask for lines of a file that is not there.
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


def _is_want_of_memory(error: BaseException) -> bool:
    """torch says it in a RuntimeError."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in _text(error)


def _raised(error: BaseException, file: str) -> dict[str, str]:
    """The exception, and the last line of the student's own that it came through."""
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
    # A class of a student's may say whatever it likes about itself, or fail to.
    try:
        return str(error)
    except BaseException:
        return ""
