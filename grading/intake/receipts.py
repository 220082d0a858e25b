"""Keep in `received/` what a student sent, as it came, with a receipt."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from grading.core.records import Flag
from grading.core.submission import RECEIPT, Submission
from grading.intake.archives import READABLE, ArchiveLimits, SubmissionError, unpack

MOST_LEFT_OUT = 20  # files that were left out and have a flag of their own
CACHES = (".ipynb_checkpoints", "__pycache__", ".git")


@dataclass(frozen=True)
class Receipt:
    """What was kept in `received/`.

    source: the file or folder; it is missing where it could not be kept.
    digest: SHA-256 of the source, or of the reason why it could not be kept.
    names:  other names of the student, such as the learning platform's.
    flags:  what was found while it was received and kept.
    """

    source: Path
    received: datetime
    digest: str
    names: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()


def keep(
    source: Path,
    submission: Submission,
    *,
    received: datetime,
    names: Iterable[str] = (),
    flags: Iterable[Flag] = (),
) -> tuple[Receipt, bool]:
    """Copy a source to `received/`, unless the same or a newer one is there.

    Where the same came twice, the earlier time counts. A source that cannot be copied leaves only
    a receipt.

    Returns:
        The receipt that counts, and whether it is new.
    """
    old = load_receipt(submission)
    with workshop(submission.course) as work:
        copy = work / "new" / f"hand-in{_ending(source)}"
        copy.parent.mkdir()
        digest, left_out = _copy(source, copy)
        if old and (received >= old.received if digest == old.digest else received < old.received):
            return old, False
        receipt = Receipt(
            submission.received / copy.name,
            received.astimezone(timezone.utc),
            digest,
            tuple(names),
            (*flags, *left_out_flags(left_out)),
        )
        facts = {
            "name": source.name.encode("utf-8", "replace").decode(),
            "kept": copy.name,
            "received": receipt.received.isoformat(),
            "digest": digest,
            "names": list(receipt.names),
            "flags": flag_facts(receipt.flags),
        }
        atomic_write(work / "new" / RECEIPT, json.dumps(facts, indent=1) + "\n")
        swap(work / "new", submission.received, work / "old")
    return receipt, True


def load_receipt(submission: Submission) -> Receipt | None:
    """The receipt of what the student sent last, or None."""
    try:
        stored = json.loads((submission.received / RECEIPT).read_text("utf-8"))
        return Receipt(
            submission.received / stored["kept"],
            datetime.fromisoformat(stored["received"]),
            stored["digest"],
            tuple(stored["names"]),
            tuple(Flag(**flag) for flag in stored["flags"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _copy(source: Path, copy: Path) -> tuple[str, list[str]]:
    """Copy a file or folder; its digest, and a sentence for each file that was left out."""
    left_out: list[str] = []
    try:
        check_kind(source)
        if source.is_dir():
            left_out = unpack(source, copy)
        else:
            check_size(source)
            shutil.copyfile(source, copy)
    except SubmissionError as error:
        return hashlib.sha256(str(error).encode()).hexdigest(), []
    return digest_of_source(copy), left_out


def check_kind(source: Path) -> None:
    """Refuse what is neither a file nor a folder.

    Raises:
        SubmissionError: it is a link, a pipe or a device.
    """
    if source.is_symlink() or not (source.is_dir() or source.is_file()):
        raise SubmissionError("what was handed in is neither a file nor a folder: hand in a zip.")


def check_size(source: Path) -> None:
    """Refuse a file that is too large.

    Raises:
        SubmissionError: it is.
    """
    if source.stat().st_size > ArchiveLimits.bytes:
        raise SubmissionError(
            f"what was handed in is larger than {ArchiveLimits.bytes // 2**20} MB: hand in only "
            "what is asked for."
        )


def left_out_flags(sentences: list[str]) -> list[Flag]:
    return [Flag("left out", sentence) for sentence in sentences[:MOST_LEFT_OUT]]


def flag_facts(flags: Iterable[Flag]) -> list[dict[str, str]]:
    return [{"kind": flag.kind, "sentence": flag.sentence} for flag in flags]


def _ending(source: Path) -> str:
    """The ending that says how to read a file; "" for a folder or an unknown kind of file."""
    if source.is_dir():
        return ""
    name = source.name.lower()
    return next((end for end in (*READABLE, ".ipynb") if name.endswith(end)), "")


def digest_of_source(source: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's regular files."""
    digest = hashlib.sha256()
    for file in [source] if source.is_file() else files_in(source):
        name = os.fsencode(str(file.relative_to(source)))
        digest.update(b"%d %d " % (len(name), file.stat().st_size) + name)
        with open(file, "rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def files_in(folder: Path) -> list[Path]:
    """The regular files below a folder that we have made, sorted, without caches."""
    found = []
    for above, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in CACHES)
        found += [Path(above, name) for name in names]
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


@contextlib.contextmanager
def workshop(course: Path) -> Iterator[Path]:
    """A temporary folder on the disk of the course, from which results are moved into place.

    Raises:
        CourseError: the course folder cannot be written.
    """
    work = Path(course) / ".intake" / uuid.uuid4().hex
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise CourseError(f"cannot write in {course}: {(error.strerror or '').lower()}.") from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def swap(new: Path, folder: Path, old: Path) -> None:
    """Move a folder into the place of another, which is moved to `old`.

    Raises:
        CourseError: the place cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(folder):
            os.rename(folder, old)
        os.rename(new, folder)
    except OSError as error:
        raise CourseError(f"cannot write {folder}: {(error.strerror or '').lower()}.") from error
