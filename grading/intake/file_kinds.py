"""What kind of file something is, and what to do about one that cannot be opened.

The first bytes decide. The ending decides only between kinds that begin alike, and where the bytes
say nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

Form = Literal["zip", "tar.gz", ""]

AS_ZIP = "hand in a .zip instead, as python -m grading pack makes it"
AS_NOTEBOOK = "hand in the notebook itself, or the zip that python -m grading pack makes"
AS_FILE = "download the file that it points to, and hand that in"
AS_WHOLE = "upload it again"
BY_BYTES: tuple[tuple[bytes, str, str], ...] = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", AS_ZIP),
    (b"Rar!\x1a\x07", "a RAR archive", AS_ZIP),
    (b"\xfd7zXZ\0", "an xz archive", AS_ZIP),
    (b"BZh", "a bzip2 archive", AS_ZIP),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", AS_ZIP),
    (b"%PDF-", "a PDF", AS_NOTEBOOK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", AS_NOTEBOOK),
    (b"\x89PNG\r\n", "a picture", AS_NOTEBOOK),
    (b"\xff\xd8\xff", "a picture", AS_NOTEBOOK),
    (b"version https://git-lfs", "a pointer of Git LFS", AS_FILE),
    (b"L\0\0\0\x01\x14\x02\0", "a shortcut", AS_FILE),
    (b"[InternetShortcut]", "a link", AS_FILE),
    (b"[Desktop Entry]", "a link", AS_FILE),
)
BY_ENDING: tuple[tuple[tuple[str, ...], str, str], ...] = (
    ((".7z",), "a 7z archive", AS_ZIP),
    ((".rar",), "a RAR archive", AS_ZIP),
    ((".xz", ".txz", ".bz2", ".tbz2", ".zst", ".tzst", ".lz", ".lzma"), "an archive", AS_ZIP),
    (
        (".gz", ".tar", ".ace", ".arj", ".cab", ".lzh", ".sit", ".sitx", ".dmg", ".iso", ".z"),
        "an archive",
        AS_ZIP,
    ),
    ((".docx", ".doc", ".odt", ".pages", ".rtf"), "a document", AS_NOTEBOOK),
    (
        (".xlsx", ".xls", ".ods", ".numbers", ".pptx", ".ppt", ".odp", ".key"),
        "an Office document",
        AS_NOTEBOOK,
    ),
    ((".pdf",), "a PDF", AS_NOTEBOOK),
    ((".html", ".htm", ".mhtml"), "a web page", AS_NOTEBOOK),
    ((".png", ".jpg", ".jpeg", ".heic", ".gif", ".webp"), "a picture", AS_NOTEBOOK),
    (
        (".gdoc", ".gsheet", ".gslides", ".glink", ".gdlink", ".gshortcut"),
        "a link to Google Drive",
        AS_FILE,
    ),
    ((".webloc", ".url", ".website", ".desktop", ".lnk", ".alias"), "a link", AS_FILE),
    (
        (".icloud", ".part", ".partial", ".crdownload", ".download", ".tmp", ".filepart"),
        "a part of a file",
        AS_WHOLE,
    ),
)
ZIPPED = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".pages", ".numbers", ".key", ".jar")

# What systems, browsers and Jupyter add to the name of a copy.
COPY_MARK = re.compile(
    r"^(?:copy of|kopie von|copie de|copia de|cópia de|kopia) "
    r"|(?: ?\(\d{1,3}\)| \d{1,2}|[ _-]+(?:copy|kopie|copie|copia|cópia|kopia) ?\(?\d*\)?)$",
    re.I,
)
ENDING = re.compile(r"(?:\.tar\.\w+|\.\w{1,12}|(?:\.ipynb|\.zip)(?:\.\w{1,12})+)$", re.I)


def form_of(path: Path) -> Form:
    """How to open an archive: by its first bytes, whatever its name says; "" if it is none."""
    head, name = _head(path), path.name.lower()
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06") and not name.endswith(ZIPPED):
        return "zip"
    return "tar.gz" if head[:2] == b"\x1f\x8b" and name.endswith((".tar.gz", ".tgz")) else ""


def why_not_opened(path: Path) -> str:
    """What a file is that is neither a zip nor a notebook, and what to do, as "is ...: do ...".

    Returns:
        "" where nothing is known about its kind.
    """
    head, name = _head(path), path.name.lower()
    if not head:
        return f"is empty: {AS_WHOLE}"
    for start, kind, remedy in BY_BYTES:
        if head.startswith(start):
            return f"is {kind}: {remedy}"
    for endings, kind, remedy in BY_ENDING:
        if name.endswith(endings):
            return f"is {kind}: {remedy}"
    return ""


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf")


def base_name(name: str, *, is_folder: bool = False) -> str:
    """A file's name without its ending and the mark of a copy, such as (1)."""
    stem = name if is_folder else ENDING.sub("", name)
    return COPY_MARK.sub("", stem).strip() or stem
