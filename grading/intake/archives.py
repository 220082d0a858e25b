"""Reading what strangers packed: into a new folder, within limits, and never past its edge.

An archive that is not plain (links, devices, paths that lead out, two entries of one name, a
password, more than the limits) is refused as a whole, in a sentence that its owner can act on. Of a
folder only the regular files are taken; links are never followed, and nothing that could block is
opened.
"""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tarfile
import unicodedata
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

Result = TypeVar("Result")
BLOCK = 2**20
FOLDER = os.O_RDONLY | os.O_DIRECTORY
CENTRAL_ENTRY = b"PK\x01\x02"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
OURS = (".zip", ".tar.gz", ".tgz")  # those that are read
LEFT_BY_SYSTEMS = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
HOW_TO_PACK = "pack it anew with python -m grading pack"
DAMAGED = f"it is damaged and cannot be unpacked: {HOW_TO_PACK}."


@dataclass(frozen=True)
class Caps:
    """The most that one hand-in may be.

    ratio: unpacked bytes to packed bytes, looked at once `free_bytes` are unpacked.
    name_bytes: of one name between two slashes.
    nested: whether there may be archives inside; they are not unpacked.
    """

    bytes: int = 256 * 2**20
    entries: int = 4000
    ratio: int = 200
    free_bytes: int = 16 * 2**20
    name_bytes: int = 255
    depth: int = 12
    nested: bool = False


class HandInError(Exception):
    """A hand-in cannot be used; the sentence is for the student, who can act on it."""


class _TakenError(HandInError):
    """There is a file of this name already, or one that some systems take for it."""


def is_archive(name: str) -> bool:
    """Whether a file of this name is one that `take` unpacks."""
    return name.lower().endswith(OURS)


def take(source: Path, folder: Path, caps: Caps | None = None) -> list[str]:
    """Bring a folder's files, or an archive's, into the new `folder`, whole or not at all.

    Returns:
        A sentence for each thing of a folder that was left out.

    Raises:
        HandInError: what was handed in cannot be used.
        OSError: the machine, not the hand-in, is at fault.
    """
    caps = caps or Caps()
    partial = folder.with_name(f".{uuid.uuid4().hex}.part")
    partial.mkdir(parents=True)
    try:
        room = _Room(partial, caps)
        if source.is_dir():
            left_out = _copy(source, room)
        else:
            left_out = []
            (_unzip if zipfile_named(source.name) else _untar)(source, room)
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return left_out


def zipfile_named(name: str) -> bool:
    return name.lower().endswith(".zip")


def shown(name: str) -> str:
    """A stranger's file name, fit for a sentence: printable, in quotes and short."""
    text = repr(name)
    return text if len(text) <= 80 else f"{text[:37]} ... {text[-37:]}"


def safe_name(name: str) -> str:
    """A file's name without what cannot be seen, composed as most systems compose it."""
    kept = "".join(char for char in name if unicodedata.category(char) not in ("Cc", "Cf", "Cs"))
    kept = unicodedata.normalize("NFC", kept).strip()
    return "_" if kept in ("", ".", "..") else kept


class _Room:
    """A new folder that is filled file by file, and never past its limits."""

    def __init__(self, folder: Path, caps: Caps) -> None:
        self.folder = folder
        self.caps = caps
        self.entries = 0
        self.bytes = 0
        self._spelt: dict[str, str] = {}  # by what some systems take for the same
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def count(self) -> None:
        """One entry more, of whatever kind."""
        self.entries += 1
        if self.entries > self.caps.entries:
            raise HandInError(
                f"it holds more than {self.caps.entries} files: leave out all but what is asked "
                f"for, or {HOW_TO_PACK}."
            )

    def place(self, parts: list[str]) -> Path:
        """Where a file goes.

        Raises:
            HandInError: too deep, too long a name, or a name that is taken.
        """
        if len(parts) > self.caps.depth:
            raise HandInError(
                f"its folders lie more than {self.caps.depth} deep, as in {shown('/'.join(parts))}"
                f": {HOW_TO_PACK}."
            )
        for part in parts:
            if len(os.fsencode(part)) > self.caps.name_bytes:
                raise HandInError(f"the file name {shown(part)} is too long: shorten it.")
        for depth in range(1, len(parts) + 1):
            self._claim("/".join(parts[:depth]), is_file=depth == len(parts))
        return self.folder.joinpath(*parts)

    def _claim(self, path: str, *, is_file: bool) -> None:
        folded = path.casefold()
        other = self._spelt.setdefault(folded, path)
        if other != path:
            raise _TakenError(
                f"{shown(other)} and {shown(path)} differ only in upper and lower case, which many "
                "systems take for the same: rename one of them."
            )
        if folded in self._files or (is_file and folded in self._folders):
            raise _TakenError(f"it holds {shown(path)} twice: remove one, or {HOW_TO_PACK}.")
        (self._files if is_file else self._folders).add(folded)

    def write(self, path: Path, read: Callable[[int], bytes], packed: int | None = None) -> None:
        """Write what `read` gives until it is empty.

        packed: bytes of the whole archive, where there is one.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            while block := read(BLOCK):
                self.bytes += len(block)
                self._check_bytes(packed)
                file.write(block)

    def _check_bytes(self, packed: int | None) -> None:
        if self.bytes > self.caps.bytes:
            raise HandInError(
                f"it holds more than {self.caps.bytes // 2**20} MB: leave out all but what is "
                f"asked for, or {HOW_TO_PACK}."
            )
        if packed is not None and self.bytes > max(self.caps.free_bytes, self.caps.ratio * packed):
            raise HandInError(
                f"it unpacks to more than {self.caps.ratio} times its size, as no honest hand-in "
                f"does: {HOW_TO_PACK}."
            )


def _parts(name: str, *, nested: bool) -> list[str]:
    """The steps of an entry's path; none of an entry that systems leave behind.

    Raises:
        HandInError: it leads out of the archive, or is no path of this kind.
    """
    if name.startswith("/") or "\\" in name or name[1:2] == ":" or "\0" in name:
        raise HandInError(
            f"its entry {shown(name)} is no path inside the archive (absolute, of a drive, or with "
            f"backslashes): {HOW_TO_PACK}."
        )
    steps = [step for step in name.split("/") if step not in ("", ".")]
    if ".." in steps:
        raise HandInError(f"its entry {shown(name)} leads out of the archive: {HOW_TO_PACK}.")
    if any(step in LEFT_BY_SYSTEMS or step.startswith("._") for step in steps):
        return []
    if steps and not nested and steps[-1].lower().endswith(ARCHIVES):
        raise HandInError(
            f"it holds another archive, {shown(steps[-1])}: unpack that one, and pack its files "
            "themselves."
        )
    return [safe_name(step) for step in steps]


def _unzip(source: Path, room: _Room) -> None:
    packed = source.stat().st_size
    _check_packed(packed, room.caps)
    # Reading the list of entries takes memory for each, so they are counted before that.
    if _count(source, CENTRAL_ENTRY) > room.caps.entries:
        room.entries = room.caps.entries
        room.count()
    with open(source, "rb") as file:
        archive = _readable(partial(zipfile.ZipFile, file))
        for entry in archive.infolist():
            room.count()
            parts = _zip_parts(entry, nested=room.caps.nested)
            if parts:
                stream = _readable(partial(archive.open, entry))
                before = room.bytes
                with stream:
                    room.write(room.place(parts), _bounded(stream), packed)
                if room.bytes - before != entry.file_size:
                    raise HandInError(DAMAGED)


def _zip_parts(entry: zipfile.ZipInfo, *, nested: bool) -> list[str]:
    """Where a file goes; nothing for a folder.

    Raises:
        HandInError: neither a plain file nor a folder, or locked, or packed in a rare way.
    """
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise HandInError(
            f"its entry {shown(entry.filename)} is a link or a device, not a file: put the file "
            "itself there."
        )
    if entry.flag_bits & 0x41:
        raise HandInError("it is locked with a password: pack it without one.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise HandInError(f"it is packed in a rare way that is not read here: {HOW_TO_PACK}.")
    parts = _parts(_zip_name(entry), nested=nested)
    return [] if entry.is_dir() or kind == stat.S_IFDIR else parts


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """Some packers write UTF-8 without saying so."""
    if not entry.flag_bits & 0x800:
        try:
            return entry.orig_filename.encode("cp437").decode()
        except UnicodeError:
            pass
    return entry.orig_filename


def _untar(source: Path, room: _Room) -> None:
    packed = source.stat().st_size
    _check_packed(packed, room.caps)
    with gzip.open(source) as unzipped:
        stream = _Counted(unzipped, room.caps.bytes + room.caps.entries * 2048)
        archive = _readable(partial(tarfile.open, fileobj=stream, mode="r|"))
        while (entry := _readable(archive.next)) is not None:
            room.count()
            parts = _tar_parts(entry, nested=room.caps.nested)
            if parts:
                content = _readable(partial(archive.extractfile, entry))
                room.write(room.place(parts), _bounded(content), packed)


def _tar_parts(entry: tarfile.TarInfo, *, nested: bool) -> list[str]:
    if not (entry.isdir() or (entry.isreg() and not entry.issparse())):
        raise HandInError(
            f"its entry {shown(entry.name)} is a link or a device, not a file: put the file itself "
            "there."
        )
    parts = _parts(entry.name, nested=nested)
    return [] if entry.isdir() else parts


class _Counted:
    """A stream that refuses to give more than a limit, whatever is asked of it."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def read(self, size: int) -> bytes:
        # A header may ask for a name of many gigabytes.
        if size > self._left:
            raise HandInError(f"it unpacks to more than is allowed: {HOW_TO_PACK}.")
        block = self._stream.read(size)
        self._left -= len(block)
        return block


def _copy(source: Path, room: _Room) -> list[str]:
    """The regular files of a folder; its links, devices and pipes are left out."""
    left_out: list[str] = []
    for parts, opened in _regular_files(source, room, left_out):
        with opened:
            try:
                place = room.place(parts)
            except _TakenError:
                left_out.append(f"{shown('/'.join(parts))} is there in another spelling.")
            else:
                room.write(place, _bounded(opened))
    return left_out


def _regular_files(
    source: Path, room: _Room, left_out: list[str]
) -> Iterator[tuple[list[str], IO[bytes]]]:
    """Every regular file below a folder, opened, with its path.

    Folders are opened relative to the one above, so that nobody can put a link in their place while
    they are read.
    """
    stack: list[tuple[list[str], int]] = [([], os.open(source, FOLDER))]
    try:
        while stack:
            above, folder = stack.pop()
            try:
                for name in _names(folder, room):
                    if name in LEFT_BY_SYSTEMS or name.startswith("._"):
                        continue
                    shape = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
                    parts = [*above, safe_name(name)]
                    if stat.S_ISDIR(shape) and len(parts) <= room.caps.depth:
                        stack.append((parts, _open(name, folder, os.O_DIRECTORY)))
                    elif stat.S_ISREG(shape):
                        yield parts, os.fdopen(_open(name, folder, os.O_NONBLOCK), "rb")
                    else:
                        left_out.append(
                            f"{shown('/'.join(parts))} is a link, a pipe, a device or too deep, "
                            "and was left out."
                        )
            finally:
                os.close(folder)
    finally:
        for _, folder in stack:
            os.close(folder)


def _names(folder: int, room: _Room) -> list[str]:
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            room.count()
            names.append(entry.name)
    return sorted(names)


def _open(name: str, folder: int, flags: int) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=folder)
    except OSError as error:
        raise HandInError(
            f"{shown(name)} cannot be read ({(error.strerror or '').lower()}): hand in files that "
            "everybody may read."
        ) from None


def _check_packed(packed: int, caps: Caps) -> None:
    if packed > caps.bytes:
        raise HandInError(
            f"it is larger than {caps.bytes // 2**20} MB: leave out all but what is asked for, or "
            f"{HOW_TO_PACK}."
        )


def _count(source: Path, mark: bytes) -> int:
    """How often the mark occurs in a file."""
    total, tail = 0, b""
    with open(source, "rb") as file:
        while block := file.read(BLOCK):
            total += (tail + block).count(mark)
            tail = block[-len(mark) + 1 :]
    return total


def _bounded(stream: IO[bytes] | None) -> Callable[[int], bytes]:
    """`stream.read`, for which any failure lies in what was handed in."""
    return lambda size: _readable(lambda: stream.read(size) if stream else b"")


def _readable(read: Callable[[], Result]) -> Result:
    try:
        return read()
    except HandInError:
        raise
    # A damaged archive fails in every way that its reader has: struct, zlib, Unicode, keys, memory.
    except Exception:
        raise HandInError(DAMAGED) from None
