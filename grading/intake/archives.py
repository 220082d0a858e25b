"""Unpack a student's archive, or copy a student's folder, into a new folder, within limits.

An archive with links, devices, paths that lead out of it, two entries of one name, a password, or
more than the limits allow is refused as a whole. The sentence says what the student can do. Of a
folder only the regular files are copied; links are never followed, and nothing that could block is
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

from grading.intake.file_kinds import form_of, why_not_opened
from grading.intake.zip_names import use_local_name, zip_names

Result = TypeVar("Result")
BLOCK = 2**20
FOLDER = os.O_RDONLY | os.O_DIRECTORY
CENTRAL_ENTRY = b"PK\x01\x02"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
READABLE = (".zip", ".tar.gz", ".tgz")
LEFT_BY_SYSTEMS = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
HOW_TO_PACK = "pack it again with python -m grading pack"
DAMAGED = f"it is damaged and cannot be unpacked: {HOW_TO_PACK}."


@dataclass(frozen=True)
class ArchiveLimits:
    """How large one submission may be.

    bytes:      of all files together.
    ratio:      of unpacked to packed bytes, checked once `free_bytes` are unpacked.
    name_bytes: of one name between two slashes.
    depth:      of names in one path.
    nested:     whether there may be archives inside; they are not unpacked.
    """

    bytes: int = 256 * 2**20
    entries: int = 4000
    ratio: int = 200
    free_bytes: int = 16 * 2**20
    name_bytes: int = 255
    depth: int = 12
    nested: bool = False


class SubmissionError(Exception):
    """A submission cannot be used; the sentence tells the student what to do."""


class _NameTakenError(SubmissionError):
    """There is already a file of this name, or of one that some systems treat as the same."""


def is_archive(name: str) -> bool:
    """Whether `unpack` reads a file of this name as an archive."""
    return name.lower().endswith(READABLE)


def unpack(source: Path, folder: Path, limits: ArchiveLimits | None = None) -> list[str]:
    """Put the files of a folder or an archive into the new `folder`, all of them or none.

    Returns:
        A sentence for each thing of a folder that was left out.

    Raises:
        SubmissionError: the submission cannot be used.
        OSError: the machine is at fault, not the submission.
    """
    limits = limits or ArchiveLimits()
    partial = folder.with_name(f".{uuid.uuid4().hex}.part")
    partial.mkdir(parents=True)
    try:
        target = _TargetFolder(partial, limits)
        if source.is_dir():
            left_out = _copy(source, target)
        else:
            left_out = []
            _unpacker(source)(source, target)
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return left_out


def _unpacker(source: Path) -> Callable[[Path, _TargetFolder], None]:
    """The function that unpacks an archive, by its content.

    Raises:
        SubmissionError: it is an archive of a kind that is not read, or none.
    """
    form = form_of(source)
    if form:
        return _unzip if form == "zip" else _untar
    reason = why_not_opened(source)
    raise SubmissionError(f"it {reason}." if reason else DAMAGED)


def quoted(name: str) -> str:
    """A student's text in quotes, printable and at most 80 characters, for use in a sentence."""
    text = repr(name)
    return text if len(text) <= 80 else f"{text[:37]} ... {text[-37:]}"


def safe_name(name: str) -> str:
    """A file name without invisible characters, in the Unicode form NFC."""
    kept = "".join(char for char in name if unicodedata.category(char) not in ("Cc", "Cf", "Cs"))
    kept = unicodedata.normalize("NFC", kept).strip()
    return "_" if kept in ("", ".", "..") else kept


class _TargetFolder:
    """A new folder that is filled file by file and stays within its limits."""

    def __init__(self, folder: Path, limits: ArchiveLimits) -> None:
        self.folder = folder
        self.limits = limits
        self.entries = 0
        self.bytes = 0
        self._spelt: dict[str, str] = {}  # name without case -> name
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def count(self) -> None:
        """Count one more entry, of any kind."""
        self.entries += 1
        if self.entries > self.limits.entries:
            raise SubmissionError(
                f"it holds more than {self.limits.entries} files: keep only what is asked for, or "
                f"{HOW_TO_PACK}."
            )

    def place(self, parts: list[str]) -> Path:
        """The path for a new file.

        Raises:
            SubmissionError: the path is too deep, a name is too long, or the name is taken.
        """
        if len(parts) > self.limits.depth:
            raise SubmissionError(
                f"its folders are more than {self.limits.depth} deep, as in "
                f"{quoted('/'.join(parts))}: {HOW_TO_PACK}."
            )
        for part in parts:
            if len(os.fsencode(part)) > self.limits.name_bytes:
                raise SubmissionError(f"the file name {quoted(part)} is too long: shorten it.")
        for depth in range(1, len(parts) + 1):
            self._claim("/".join(parts[:depth]), is_file=depth == len(parts))
        return self.folder.joinpath(*parts)

    def _claim(self, path: str, *, is_file: bool) -> None:
        folded = path.casefold()
        other = self._spelt.setdefault(folded, path)
        if other != path:
            raise _NameTakenError(
                f"{quoted(other)} and {quoted(path)} differ only in upper and lower case, and many "
                "systems treat these as the same name: rename one of them."
            )
        if folded in self._files or (is_file and folded in self._folders):
            raise _NameTakenError(f"it holds {quoted(path)} twice: remove one, or {HOW_TO_PACK}.")
        (self._files if is_file else self._folders).add(folded)

    def write(self, path: Path, read: Callable[[int], bytes], packed: int | None = None) -> None:
        """Write what `read` returns until it is empty.

        packed: bytes of the whole archive; None where the source is a folder.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            while block := read(BLOCK):
                self.bytes += len(block)
                self._check_bytes(packed)
                file.write(block)

    def _check_bytes(self, packed: int | None) -> None:
        if self.bytes > self.limits.bytes:
            raise SubmissionError(
                f"it holds more than {self.limits.bytes // 2**20} MB: keep only what is asked for, "
                f"or {HOW_TO_PACK}."
            )
        if packed is not None and self.bytes > max(
            self.limits.free_bytes, self.limits.ratio * packed
        ):
            raise SubmissionError(
                f"it unpacks to more than {self.limits.ratio} times its size, as no honest "
                f"submission does: {HOW_TO_PACK}."
            )


def _parts(name: str, *, nested: bool) -> list[str]:
    """The names in an entry's path; none for files that operating systems add.

    Some programs for Windows write backslashes for slashes.

    Raises:
        SubmissionError: the path leads out of the archive, or is not a relative path.
    """
    path = name.replace("\\", "/")
    if path.startswith("/") or path[1:2] == ":" or "\0" in path:
        raise SubmissionError(
            f"its entry {quoted(name)} is not a path inside the archive (it is absolute or has a "
            f"drive letter): {HOW_TO_PACK}."
        )
    steps = [step for step in path.split("/") if step not in ("", ".")]
    if ".." in steps:
        raise SubmissionError(f"its entry {quoted(name)} leads out of the archive: {HOW_TO_PACK}.")
    if any(step in LEFT_BY_SYSTEMS or step.startswith("._") for step in steps):
        return []
    if steps and not nested and steps[-1].lower().endswith(ARCHIVES):
        raise SubmissionError(
            f"it holds another archive, {quoted(steps[-1])}: unpack that archive, and pack its "
            "files directly."
        )
    return [safe_name(step) for step in steps]


def _unzip(source: Path, target: _TargetFolder) -> None:
    packed = source.stat().st_size
    _check_packed(packed, target.limits)
    # Reading the list of entries takes memory for each, so count them first.
    if _count(source, CENTRAL_ENTRY) > target.limits.entries:
        target.entries = target.limits.entries
        target.count()
    with open(source, "rb") as file:
        archive = _readable(partial(zipfile.ZipFile, file))
        entries = archive.infolist()
        for entry, name in zip(entries, zip_names(entries), strict=True):
            target.count()
            parts = _zip_parts(entry, name, nested=target.limits.nested)
            if parts:
                _readable(partial(use_local_name, file, entry))
                stream = _readable(partial(archive.open, entry))
                before = target.bytes
                with stream:
                    target.write(target.place(parts), _bounded(stream), packed)
                if target.bytes - before != entry.file_size:
                    raise SubmissionError(DAMAGED)


def _zip_parts(entry: zipfile.ZipInfo, name: str, *, nested: bool) -> list[str]:
    """The path of a file; empty for a folder.

    Raises:
        SubmissionError: the entry is neither a file nor a folder, has a password, or uses an
            unusual compression.
    """
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise SubmissionError(
            f"its entry {quoted(name)} is a link or a device, not a file: put the file "
            "itself there."
        )
    if entry.flag_bits & 0x41:
        raise SubmissionError("it has a password: pack it without one.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SubmissionError(f"its compression is not supported: {HOW_TO_PACK}.")
    parts = _parts(name, nested=nested)
    is_folder = name.endswith(("/", "\\")) or kind == stat.S_IFDIR
    return [] if is_folder else parts


def _untar(source: Path, target: _TargetFolder) -> None:
    packed = source.stat().st_size
    _check_packed(packed, target.limits)
    with gzip.open(source) as unzipped:
        stream = _Counted(unzipped, target.limits.bytes + target.limits.entries * 2048)
        archive = _readable(partial(tarfile.open, fileobj=stream, mode="r|"))
        while (entry := _readable(archive.next)) is not None:
            target.count()
            parts = _tar_parts(entry, nested=target.limits.nested)
            if parts:
                content = _readable(partial(archive.extractfile, entry))
                target.write(target.place(parts), _bounded(content), packed)


def _tar_parts(entry: tarfile.TarInfo, *, nested: bool) -> list[str]:
    if not (entry.isdir() or (entry.isreg() and not entry.issparse())):
        raise SubmissionError(
            f"its entry {quoted(entry.name)} is a link or a device, not a file: put the file "
            "itself there."
        )
    parts = _parts(entry.name, nested=nested)
    return [] if entry.isdir() else parts


class _Counted:
    """A stream that returns at most `limit` bytes in all."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def read(self, size: int) -> bytes:
        # A header may ask for a name of many gigabytes.
        if size > self._left:
            raise SubmissionError(f"it unpacks to more than the limit: {HOW_TO_PACK}.")
        block = self._stream.read(size)
        self._left -= len(block)
        return block


def _copy(source: Path, target: _TargetFolder) -> list[str]:
    """Copy the regular files of a folder; leave out its links, devices and pipes."""
    left_out: list[str] = []
    for parts, opened in _regular_files(source, target, left_out):
        with opened:
            try:
                place = target.place(parts)
            except _NameTakenError:
                left_out.append(
                    f"{quoted('/'.join(parts))} was left out: the same name is there already."
                )
            else:
                target.write(place, _bounded(opened))
    return left_out


def _regular_files(
    source: Path, target: _TargetFolder, left_out: list[str]
) -> Iterator[tuple[list[str], IO[bytes]]]:
    """Every regular file below a folder, opened, with its path.

    Each folder is opened relative to the folder above it, so that nobody can replace it by a link
    while it is read.
    """
    waiting: list[tuple[list[str], int]] = [([], os.open(source, FOLDER))]
    try:
        while waiting:
            above, folder = waiting.pop()
            yield from _files_in(folder, above, waiting, target, left_out)
    finally:
        for _, folder in waiting:
            os.close(folder)


def _files_in(
    folder: int,
    above: list[str],
    waiting: list[tuple[list[str], int]],
    target: _TargetFolder,
    left_out: list[str],
) -> Iterator[tuple[list[str], IO[bytes]]]:
    """The files directly in an open folder, which is then closed; its folders go to `waiting`."""
    try:
        for name in _names(folder, target):
            kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            parts = [*above, safe_name(name)]
            if stat.S_ISDIR(kind) and len(parts) <= target.limits.depth:
                waiting.append((parts, _open(name, folder, os.O_DIRECTORY)))
            elif stat.S_ISREG(kind):
                yield parts, os.fdopen(_open(name, folder, os.O_NONBLOCK), "rb")
            else:
                left_out.append(
                    f"{quoted('/'.join(parts))} is a link, a pipe, a device or too deep, and was "
                    "left out."
                )
    finally:
        os.close(folder)


def _names(folder: int, target: _TargetFolder) -> list[str]:
    """The names in a folder, sorted, without those that operating systems add."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            target.count()
            names.append(entry.name)
    return sorted(n for n in names if n not in LEFT_BY_SYSTEMS and not n.startswith("._"))


def _open(name: str, folder: int, flags: int) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=folder)
    except OSError as error:
        raise SubmissionError(
            f"{quoted(name)} cannot be read ({(error.strerror or '').lower()}): hand in files that "
            "can be read."
        ) from None


def _check_packed(packed: int, limits: ArchiveLimits) -> None:
    if packed > limits.bytes:
        raise SubmissionError(
            f"it is larger than {limits.bytes // 2**20} MB: keep only what is asked for, or "
            f"{HOW_TO_PACK}."
        )


def _count(source: Path, mark: bytes) -> int:
    """How often the bytes `mark` occur in a file."""
    total, tail = 0, b""
    with open(source, "rb") as file:
        while block := file.read(BLOCK):
            total += (tail + block).count(mark)
            tail = block[-len(mark) + 1 :]
    return total


def _bounded(stream: IO[bytes] | None) -> Callable[[int], bytes]:
    """`stream.read`, whose failures all count as failures of the submission."""
    return lambda size: _readable(lambda: stream.read(size) if stream else b"")


def _readable(read: Callable[[], Result]) -> Result:
    try:
        return read()
    except SubmissionError:
        raise
    # A damaged archive can raise struct, zlib, Unicode, key and memory errors.
    except Exception:
        raise SubmissionError(DAMAGED) from None
