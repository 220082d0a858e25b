"""Writes files completely or not at all, and names pictures after their prompts."""

from __future__ import annotations

import codecs
import contextlib
import errno
import hashlib
import json
import os
import re
import sys
import uuid
from pathlib import Path
from urllib.parse import unquote

from distillery.core.errors import CourseError
from distillery.core.names import beside, is_device, without_number

INSTALLED_FILES = "score_distillery"  # beside the package, where a wheel brought it


def _course_files() -> Path:
    """The folder above data/: the clone, or what a wheel brings beside the package."""
    above = Path(__file__).resolve().parents[2]
    installed = above / INSTALLED_FILES
    return installed if installed.is_dir() else above


REPOSITORY = _course_files()
LONGEST_STEM = 200  # bytes; common file systems allow 255 for the whole name
UNSAFE = frozenset('<>:"/\\|?*%_~')  # what some system forbids, and what the encoding itself uses
SHORTENED = re.compile(r"~[0-9a-f]{16}$")


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part.

    Text is written as UTF-8. Missing parent folders are made.

    Raises:
        CourseError: the disk is full or the folder cannot be written; an earlier file stays.
    """
    path = Path(path)
    partial = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "xb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise CourseError(_why_not_written(path, error)) from error
    finally:
        _remove(partial)


def written(path: Path, data: bytes, *, overwrite: bool) -> Path:
    """Write the result of a command, beside another one of that name, and return its file.

    Raises:
        CourseError: as `atomic_write`.
    """
    try:
        same = path.is_file() and path.read_bytes() == data
    except OSError:
        same = False
    file, note = beside(path, overwrite=overwrite or same)
    atomic_write(file, data)
    if note:
        print(note, file=sys.stderr)
    return file


def _why_not_written(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"cannot write {path}: no space is left on the disk; free some and run again."
    reason = (error.strerror or str(error)).lower()
    return f"cannot write {path}: {reason}; choose a folder that can be written."


def _remove(partial: Path) -> None:
    # The folder itself may be what is missing; the first error says more.
    with contextlib.suppress(OSError):
        partial.unlink(missing_ok=True)


MARKS = (  # of the order of bytes, as text editors write them before everything else
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or 32 with a byte order mark, without the mark.

    Line ends are "\\n", whatever they are in the file.

    Raises:
        CourseError: it is missing, cannot be read, or is no such text.
    """
    try:
        return decoded(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise CourseError(f"there is no file {path}; give the path of a text file.") from error
    # A path with a null character is a ValueError, and so is text in another encoding.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is in another encoding"
        raise CourseError(
            f"{path} cannot be read as text in UTF-8: {reason.lower()}; save it again as UTF-8."
        ) from error


def decoded(content: bytes) -> str:
    """Text of the bytes of a file, as `read_text` gives it.

    Raises:
        UnicodeDecodeError: it is in another encoding.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            text = content[len(mark) :].decode(encoding)
            break
    else:
        text = content.decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_record(path: Path) -> dict[str, str]:
    """What is noted as done in a JSON file; nothing if it is missing or damaged.

    The work is then done again, and nothing is lost.
    """
    with contextlib.suppress(OSError, ValueError):
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, dict):
            return record
    return {}


def prompt_to_filename(prompt: str) -> str:
    """The stem of the file that holds the picture of `prompt`: spaces become underscores.

    Characters that a file name cannot carry, and `_`, `%` and `~` themselves, become percent
    escapes, so `filename_to_prompt` gives the prompt back. So does a dot at either end, and the
    first letter of what Windows takes for a device, such as "con". A stem of more than 200 bytes is
    cut and ends in `~` and 16 hexadecimal digits of a hash; then only the picture's text chunk has
    the whole prompt.
    """
    last = len(prompt) - 1
    escaped = [_escape(char, end=index in (0, last)) for index, char in enumerate(prompt)]
    if is_device(prompt):
        escaped[0] = _percent(prompt[0])
    stem = "".join(escaped)
    spared = 2 * prompt.endswith(".")  # what its escape is longer than the dot
    if len(os.fsencode(stem)) - spared <= LONGEST_STEM:
        return stem
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return _longest_prefix(escaped, LONGEST_STEM - 17) + "~" + digest


def _escape(char: str, *, end: bool) -> str:
    if char == " ":
        return "_"
    # A leading dot would hide the file, "." and ".." are folders, and Windows drops a final dot.
    if char in UNSAFE or not char.isprintable() or (end and char == "."):
        return _percent(char)
    return char


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def _longest_prefix(pieces: list[str], limit: int) -> str:
    """As many whole pieces as fit, so that no character and no escape is cut in two."""
    prefix = ""
    for piece in pieces:
        if len(os.fsencode(prefix + piece)) > limit:
            break
        prefix += piece
    return prefix


def filename_to_prompt(stem: str) -> str:
    """The prompt that `prompt_to_filename` turned into `stem`, with or without a number after it.

    Raises:
        CourseError: the stem was shortened, so it no longer holds the whole prompt.
    """
    if SHORTENED.search(without_number(stem)):
        raise CourseError(
            f"the file name {stem!r} holds only the beginning of its prompt; "
            "write the whole prompt into the picture's text chunk 'prompt'."
        )
    words = without_number(stem).replace("_", " ")
    return unquote(words, errors="surrogateescape")


def shown(path: Path) -> Path:
    """A path as short as it can be typed from the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
