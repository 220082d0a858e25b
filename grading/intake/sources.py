"""What learning platforms give an instructor to download: whose each file is, and when it came."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import yaml

from distillery.core.errors import CourseError
from distillery.core.files import decoded
from distillery.core.yaml_text import values_of
from grading.core.records import Flag
from grading.core.times import in_utc, read_time
from grading.intake.archives import is_archive, quoted
from grading.intake.file_kinds import ENDING, base_name
from grading.intake.platforms import Download
from grading.intake.roster import Roster

METADATA = "submission_metadata.yml"  # of Gradescope

MOST_NAMES = 50  # of files in one folder that are looked at

# "set aside": another submission of the same student counts, and this one is kept beside it.
Status = Literal["accepted", "rejected", "unchanged", "set aside", "unknown"]


@dataclass(frozen=True)
class Upload:
    """Everything that one student uploaded for an assignment.

    time:   when; None where the platform does not say it.
    names:  other names of the student.
    note:   what the instructor should know of how it was chosen.
    proven: whether the platform says whose it is, and not only a name of the student's choice.
    rival:  whether another one of the same student came with it, and counts.
    """

    student: str
    source: Path
    time: datetime | None = None
    names: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    note: str = ""
    proven: bool = True
    rival: bool = False


@dataclass(frozen=True)
class CollectResult:
    """What became of one upload: a line of the table that `collect` prints."""

    student: str
    status: Status
    reason: str = ""
    received: datetime | None = None


def uploads_of(
    downloads: Iterable[Download], roster: Roster, work: Path
) -> tuple[list[Upload], list[CollectResult]]:
    """What each student uploaded, and what is unclear.

    Of what a platform says is a student's, the newest is one upload. Everything that only has a
    student's name is an upload of its own, the likeliest first.

    work: an empty folder, for uploads of several files.
    """
    unknown: list[CollectResult] = []
    of_student: dict[str, list[Download]] = {}
    for one in downloads:
        student, problem = one.student(roster)
        if problem:
            unknown.append(CollectResult(one.label, "unknown", problem))
        else:
            of_student.setdefault(student, []).append(one)
    uploads = []
    for student, downloaded in sorted(of_student.items()):
        proven = [one for one in downloaded if one.proven]
        found = _proven_upload(student, proven, roster, work) if proven else None
        if isinstance(found, Upload):
            uploads.append(found)
        elif found:
            unknown.append(found)
        claims = [one for one in downloaded if not one.proven]
        if not roster.ids and len({one.keys[0] for one in claims}) > 1:
            names = " and ".join(one.label for one in claims[:2])
            question = f"{names}: which one counts? give a --roster, or move the others away"
            unknown.append(CollectResult(student, "unknown", question))
            continue
        for one in sorted(claims, key=_doubt):
            is_rival = any(other.student == student for other in uploads)
            uploads.append(replace(_claim(student, one), rival=is_rival))
    return uploads, unknown


def _proven_upload(
    student: str, downloads: Sequence[Download], roster: Roster, work: Path
) -> Upload | CollectResult:
    """The newest of what a platform says is the student's, or why it is unclear which that is."""
    newest = _newest(downloads)
    source = _together(newest, work / student)
    if not roster.ids and len({one.keys[0] for one in downloads}) > 1:
        source = None  # two names that give the same safe name
    if source is None:
        names = " and ".join(one.label for one in newest[:2])
        question = f"{names}: which one counts? move the others away"
        return CollectResult(student, "unknown", question)
    late = any(one.late for one in newest)
    flags = [Flag("late", "the platform's file name says that it was late.")] if late else []
    flags += _of_others(student, newest, roster)
    called = tuple(dict.fromkeys(key for one in downloads for key in one.keys))
    attempts = {(one.time, one.attempt) for one in downloads}
    note = f"the last of {len(attempts)} attempts" if len(attempts) > 1 else ""
    return Upload(student, source, newest[0].time, called, tuple(flags), note=note)


def _newest(downloads: Sequence[Download]) -> list[Download]:
    """The files of the last attempt; all, where the platform gives neither times nor numbers."""
    times = [one.time for one in downloads if one.time]
    last = [one for one in downloads if not times or one.time == max(times)]
    return [one for one in last if one.attempt == max(other.attempt for other in last)]


def _of_others(student: str, downloads: Sequence[Download], roster: Roster) -> list[Flag]:
    """A flag where a file has the name of another student than the platform says."""
    names = [name for one in downloads for name in (one.file, *_names_in(one.path)) if name]
    for name in names:
        others = roster.named_in(base_name(name)) - {student}
        if others:
            sentence = (
                f"the platform says that it is {student}'s, and its file {quoted(name)} names "
                f"{' and '.join(sorted(others))}."
            )
            return [Flag("student id", sentence)]
    return []


def _names_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir())[:MOST_NAMES]


def _claim(student: str, one: Download) -> Upload:
    """An upload that is the student's by its name alone."""
    kind = "file" if one.file else "folder"
    flag = Flag(
        "unproven id",
        f"that it is {student}'s is said only by the {kind}'s name, {quoted(one.path.name)}, which "
        "anybody can write.",
    )
    return Upload(student, one.path, one.time, one.keys, (flag,), proven=False)


def _doubt(one: Download) -> tuple[bool, int, str]:
    """What claims are sorted by: first those without the mark of a copy, and the older ones."""
    is_copy = base_name(one.path.name, is_folder=not one.file) != ENDING.sub("", one.path.name)
    try:
        changed = int(os.lstat(one.path).st_mtime)
    except OSError:
        changed = 0
    return bool(one.file) and is_copy, changed, one.path.name


def _together(downloads: Sequence[Download], folder: Path) -> Path | None:
    """The one file or folder, or a new folder with several files; None if that is not possible."""
    if len(downloads) == 1:
        return downloads[0].path
    names = [one.file for one in downloads]
    whole = any(not name or is_archive(name) for name in names)
    if whole or len(set(names)) < len(names) or any(not _is_plain(one.path) for one in downloads):
        return None
    for one in downloads:
        place = folder.joinpath(*(part for part in Path(one.file).parts if part not in ("/", "..")))
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one.path, place)
    return folder


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def from_gradescope(
    export: Path, roster: Roster, zone: ZoneInfo
) -> tuple[list[Upload], list[CollectResult]]:
    """The uploads of an unpacked export, one for each member of a group.

    zone: of the course, for times without one.

    Raises:
        CourseError: the folder is not such an export.
    """
    found = sorted(export.rglob(METADATA))
    if len(found) != 1:
        raise CourseError(
            f"{export} is not an export of Gradescope: it must hold one {METADATA}, and holds "
            f"{len(found)}."
        )
    try:
        stored = values_of(decoded(found[0].read_bytes()))
        entries = [(str(name), dict(one)) for name, one in stored.items()]
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise CourseError(f"{found[0]} cannot be read; export the submissions again.") from error
    uploads, unknown = [], []
    for name, entry in entries:
        source = found[0].parent / Path(name).name
        for submitter in entry.get(":submitters") or []:
            keys = tuple(
                str(submitter[key]) for key in (":sid", ":email", ":name") if submitter.get(key)
            )
            student, problem = roster.find(keys)
            if problem or not source.is_dir():
                reason = problem or "its folder is not in the export"
                unknown.append(CollectResult(name, "unknown", reason))
            else:
                time = _time(entry.get(":created_at"), zone)
                uploads.append(Upload(student, source, time, keys))
    return uploads, unknown


def _time(stored: Any, zone: ZoneInfo) -> datetime | None:
    """A time that YAML has read or left as text; None where there is none."""
    try:
        if isinstance(stored, str):
            return read_time(stored, zone)
        return in_utc(stored, zone) if isinstance(stored, datetime) else None
    except CourseError:
        return None
