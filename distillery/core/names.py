"""Names of files that no system takes for another one, and free ones beside those that are taken.

Names are compared as the strictest of the common file systems does: capitals and composed letters
make no difference (Windows, macOS), and the names of devices are no names (Windows).
"""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Iterable
from itertools import count
from pathlib import Path

# What Windows keeps for devices, also before an ending: con.png is the console.
DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE | re.DOTALL
)
NUMBERED = re.compile(r"~[1-9][0-9]{0,8}$")  # no stem of a prompt can end so: it escapes the tilde


def name_key(name: str) -> str:
    """Equal for two names that some file system takes for one."""
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", folded).rstrip(". ")


def is_device(stem: str) -> bool:
    """Whether Windows takes a file of that name for a device."""
    return DEVICES.fullmatch(stem) is not None


def numbered(stem: str, number: int) -> str:
    """The name of the `number`-th of several results that would have one name; 1 has it plain."""
    return stem if number == 1 else f"{stem}~{number}"


def without_number(stem: str) -> str:
    """The name that `numbered` added a number to."""
    return NUMBERED.sub("", stem)


def names_in(folder: Path) -> list[str]:
    """What lies in a folder; nothing where it is missing or may not be looked into."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def meant(word: str, known: Iterable[str]) -> str:
    """A question after the nearest of the known words, or "" where none is near.

    For the end of a sentence about a word that nobody knows: " (did you mean 'boat'?)".
    """
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""


def first_free(path: Path) -> Path:
    """`path`, or the first of its numbered names that nothing in its folder has."""
    taken = {name_key(name) for name in names_in(path.parent)}
    tries = (path.with_name(numbered(path.stem, number) + path.suffix) for number in count(1))
    return next(one for one in tries if name_key(one.name) not in taken)


def beside(
    path: Path, *, overwrite: bool, because: str = "it is there already"
) -> tuple[Path, str]:
    """Where a result is written, at `path` or beside what is there, and what to say of it then.

    Args:
        overwrite: write over what is there.
        because: why what is there is not written over.
    """
    free = path if overwrite else first_free(path)
    if free == path:
        return path, ""
    return free, (
        f"note: {path} is kept, because {because}; this one is {free} (--overwrite writes over "
        "the earlier one)."
    )
