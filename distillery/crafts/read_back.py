"""A craft's file is read back before anyone says that it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write


def write_checked(path: Path, data: bytes, fault: Callable[[bytes], str]) -> None:
    """Write `data` if it holds what was planned, and see that the disk has it.

    Args:
        path: of the file, which is complete or not written.
        data: its content.
        fault: reads the content as another program would, and says in words where it is not what
            was planned; "" where it is.

    Raises:
        CourseError: the content is not what was planned, so that nothing is written; or the file
            cannot be written, or has other bytes afterwards.
    """
    path = Path(path)
    if found := fault(data):
        raise CourseError(
            f"{path} would not be what was planned ({found}), so it was not written; make the "
            "picture smaller or reduce its palette, and report this fault."
        )
    atomic_write(path, data)
    try:
        kept = path.read_bytes()
    except OSError as error:
        raise CourseError(f"{path} was written and cannot be read ({error.strerror}).") from error
    if kept != data:
        raise CourseError(
            f"{path} has other bytes on the disk than were written; write it to another disk."
        )
