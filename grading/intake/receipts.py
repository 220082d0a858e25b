"""Keep in `received/` what a student sent, as it came, with a receipt."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.core.folders import put_in_place
from grading.core.records import Flag
from grading.core.submission import RECEIPT, Submission
from grading.intake.archives import ArchiveLimits, SubmissionError, quoted, unpack
from grading.intake.file_kinds import ENDING, base_name

MOST_LEFT_OUT = 20  # files that were left out and have a flag of their own
OTHERS = "others"  # folder of what claims to be the same student's
CACHES = (".ipynb_checkpoints", "__pycache__", ".git")


Kept = Literal["new", "old", "aside"]


@dataclass(frozen=True)
class Receipt:
    """What was kept in `received/`.

    source: the file or folder; it is missing where it could not be kept.
    digest: SHA-256 of the source, or of the reason why it could not be kept.
    names:  other names of the student, such as the learning platform's.
    flags:  what was found while it was received and kept.
    name:   of the source as it came.
    proven: whether more than that name says whose it is.
    others: receipts of other submissions that claim to be the same student's. They are kept beside
            this one and not graded.
    """

    source: Path
    received: datetime
    digest: str
    names: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    name: str = ""
    proven: bool = True
    others: tuple[Receipt, ...] = ()

    @property
    def all_flags(self) -> tuple[Flag, ...]:
        """The flags, and one for each of the others."""
        return (*self.flags, *(_other_flag(one) for one in self.others))


def keep(
    source: Path,
    submission: Submission,
    *,
    received: datetime,
    names: Iterable[str] = (),
    flags: Iterable[Flag] = (),
    proven: bool = True,
    rival: bool = False,
    chosen: bool = False,
) -> tuple[Receipt, Kept]:
    """Copy a source to `received/`, unless the same or a newer one is there.

    Where the same came twice, the earlier time counts. A source that cannot be copied leaves only
    a receipt. One that only claims to be the student's does not replace another: it is set aside,
    and what it would replace stays.

    Args:
        proven: whether more than the source's name says that it is the student's.
        rival: another one of the student's came with it, and counts.
        chosen: it is to count, whatever is there.

    Returns:
        The receipt that counts, and what became of the source.
    """
    old = load_receipt(submission)
    with workshop(submission.course) as work:
        copy = work / "new" / f"hand-in{_ending(source)}"
        copy.parent.mkdir()
        digest, left_out = _copy(source, copy)
        new = Receipt(
            submission.received / copy.name,
            received.astimezone(timezone.utc),
            digest,
            tuple(names),
            (*flags, *left_out_flags(left_out)),
            source.name.encode("utf-8", "replace").decode(),
            proven or chosen,
        )
        kept = _what_becomes_of(new, old, rival=rival, chosen=chosen)
        if kept != "old":
            _write_receipt(copy.parent, new)
        if kept == "new":
            _move_others(submission.received, old, new, copy.parent)
            swap(copy.parent, submission.received, work / "old")
        elif kept == "aside":
            swap(copy.parent, _aside(submission.received, digest), work / "old")
    return load_receipt(submission) or new, kept


def _what_becomes_of(new: Receipt, old: Receipt | None, *, rival: bool, chosen: bool) -> Kept:
    if old is None:
        return "new"
    if new.digest == old.digest:
        return "new" if new.received < old.received or chosen > old.proven else "old"
    if chosen:
        return "new"
    is_known = any(one.digest == new.digest for one in old.others)
    is_of_another = not new.proven and (old.proven or _stem(new) != _stem(old))
    if is_known or rival or is_of_another:
        return "aside"
    if new.proven and not old.proven:
        return "new"
    return "old" if new.received < old.received else "new"


def _stem(receipt: Receipt) -> str:
    """The name of what came, without the mark that browsers and systems give to a copy."""
    return base_name(receipt.name).casefold()


def _move_others(received: Path, old: Receipt | None, new: Receipt, folder: Path) -> None:
    """Take along what is set aside, and set aside what was there if only its name was known."""
    if (received / OTHERS).is_dir():
        shutil.copytree(received / OTHERS, folder / OTHERS)
        shutil.rmtree(_aside(folder, new.digest), ignore_errors=True)
    if old and old.digest != new.digest and not (old.proven and new.proven):
        place = _aside(folder, old.digest)
        shutil.rmtree(place, ignore_errors=True)
        ignored = shutil.ignore_patterns(OTHERS, "intake.json")
        shutil.copytree(received, place, ignore=ignored)


def _aside(received: Path, digest: str) -> Path:
    return received / OTHERS / digest[:12]


def _other_flag(one: Receipt) -> Flag:
    sentence = (
        f"{quoted(one.name)} came for the same student and is not graded; to grade it instead, "
        f"collect with --choose {quoted(one.name)}."
    )
    return Flag("other submission", sentence)


def _write_receipt(folder: Path, receipt: Receipt) -> None:
    facts = {
        "name": receipt.name,
        "kept": receipt.source.name,
        "received": receipt.received.isoformat(),
        "digest": receipt.digest,
        "names": list(receipt.names),
        "flags": flag_facts(receipt.flags),
        "proven": receipt.proven,
    }
    atomic_write(folder / RECEIPT, json.dumps(facts, indent=1) + "\n")


def load_receipt(submission: Submission) -> Receipt | None:
    """The receipt of what the student sent last, or None."""
    receipt = _read_receipt(submission.received)
    if receipt is None:
        return None
    folders = sorted((submission.received / OTHERS).glob("*"))
    return replace(receipt, others=tuple(filter(None, map(_read_receipt, folders))))


def _read_receipt(folder: Path) -> Receipt | None:
    try:
        stored = json.loads((folder / RECEIPT).read_text("utf-8"))
        return Receipt(
            folder / stored["kept"],
            datetime.fromisoformat(stored["received"]),
            stored["digest"],
            tuple(stored["names"]),
            tuple(Flag(**flag) for flag in stored["flags"]),
            stored["name"],
            stored["proven"],
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
    """The ending of a file's name, for whoever opens it; "" for a folder."""
    if source.is_dir():
        return ""
    match = ENDING.search(source.name)
    return match[0].lower() if match and match[0].isascii() else ""


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
        put_in_place(new, folder, old=old)
    except OSError as error:
        raise CourseError(f"cannot write {folder}: {(error.strerror or '').lower()}.") from error
