"""The names in a zip, as the program that wrote them meant them.

A zip says of each name whether it is UTF-8. Where it does not, the name is in whatever code page
the writer's system had, and nothing in the file says which. In some of them the byte of a backslash
(0x5C) is also the second half of a letter, so names are decoded before they are split at "/" and
backslashes.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO

LOCAL_ENTRY = b"PK\x03\x04"
UTF_8 = 0x800  # a bit of an entry's flags
UNICODE_PATH = 0x7075  # Info-ZIP's extra field: the name in UTF-8
# The likeliest first. The last one decodes all bytes.
CODE_PAGES = ("cp932", "gbk", "big5", "cp949", "cp850", "cp1252", "cp866", "cp437")
# A wide letter that is alone next to a Latin one: two accented letters of Europe, misread.
LONE_WIDE = re.compile(r"(?<=a)w(?!w)|(?<!w)w(?=a)")


def zip_names(entries: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The name of each entry; folders in it are divided by "/" or a backslash."""
    names = [_said_name(entry) for entry in entries]
    raw = [b"" if name else _raw(entry) for name, entry in zip(names, entries, strict=True)]
    page = code_page([one for one in raw if one and not _is_utf_8(one)])
    return [
        name or one.decode("utf-8" if _is_utf_8(one) else page)
        for name, one in zip(names, raw, strict=True)
    ]


def use_local_name(file: IO[bytes], entry: zipfile.ZipInfo) -> None:
    """Take the name before an entry's content as good, which zipfile insists on.

    Some programs write it with other separators, or in another code page, than in the list at the
    end of the zip. Nothing else reads it.
    """
    file.seek(entry.header_offset)
    head = file.read(30)
    if head[:4] == LOCAL_ENTRY and len(head) == 30:
        flags, length = struct.unpack_from("<H", head, 6)[0], struct.unpack_from("<H", head, 26)[0]
        name = file.read(length)
        entry.orig_filename = name.decode("utf-8" if flags & UTF_8 else "cp437")


def code_page(names: Sequence[bytes]) -> str:
    """The code page in which all these names look most like names."""
    text = [name for name in names if not name.isascii()]
    return min(CODE_PAGES, key=lambda page: sum(_oddities(name, page) for name in text))


def _said_name(entry: zipfile.ZipInfo) -> str:
    """The name that the zip itself gives as Unicode, or ""."""
    if entry.flag_bits & UTF_8:
        return entry.orig_filename
    raw, extra = _raw(entry), entry.extra
    while len(extra) > 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        checked = field[:5] == struct.pack("<BI", 1, zlib.crc32(raw))
        if kind == UNICODE_PATH and checked and _is_utf_8(field[5:]):
            return field[5:].decode()
    return ""


def _raw(entry: zipfile.ZipInfo) -> bytes:
    """The bytes of a name that does not say that it is UTF-8."""
    return entry.orig_filename.encode("cp437")  # as which zipfile has decoded it


def _is_utf_8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeError:
        return False
    return True


def _oddities(name: bytes, page: str) -> int:
    """How much in a name is unlikely if it is in this code page."""
    try:
        text = name.decode(page)
    except UnicodeError:
        return 2 * len(name)
    odd = [char for char in text if not char.isascii() and not _is_letter(char)]
    kinds = "".join(
        "w" if unicodedata.east_asian_width(char) in "WF" else "a" if char.isalpha() else " "
        for char in text
    )
    return 2 * len(odd) + len(LONE_WIDE.findall(kinds))


def _is_letter(char: str) -> bool:
    """Whether a character that is not ASCII is a usual one in a name."""
    usual = unicodedata.category(char)[0] in "LM" or char in "\u3000\u30fb\u30fc（）「」【】－～"
    return usual and unicodedata.east_asian_width(char) != "H"
