"""What learning platforms give an instructor to download: whose each file is, and when it came."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import yaml

from distillery.core.errors import CourseError
from grading.core.records import Flag
from grading.core.times import in_utc, read_time
from grading.intake.archives import is_archive, quoted
from grading.intake.roster import Roster, fold

MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?")
CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)")
BLACKBOARD = re.compile(
    r".+?_(?P<id>[^_]+)_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|(?P<end>\.\w+))?"
)
PACKED = re.compile(r"(?P<names>.+_.+?)(?: ?\(\d+\))?(?:\.zip|\.tar\.gz|\.tgz|\.ipynb)", re.I)
OF_PLATFORM = (".csv", ".xlsx", ".html", ".pdf", ".yml")
METADATA = "submission_metadata.yml"  # of Gradescope

Status = Literal["accepted", "rejected", "unchanged", "unknown"]


@dataclass(frozen=True)
class Download:
    """A file or folder of a student's, as the platform names it.

    keys:    what the platform calls the student, the most reliable name first.
    time:    when the platform says it was handed in.
    file:    the student's own name of the file; "" of a folder.
    problem: why its student cannot be found.
    """

    path: Path
    keys: tuple[str, ...]
    time: datetime | None = None
    file: str = ""
    late: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Upload:
    """Everything that one student uploaded for an assignment.

    time:  when; None where the platform does not say it.
    names: other names of the student.
    """

    student: str
    source: Path
    time: datetime | None = None
    names: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True)
class CollectResult:
    """What became of one upload: a line of the table that `collect` prints."""

    student: str
    status: Status
    reason: str = ""
    received: datetime | None = None


def downloads_in(folder: Path, roster: Roster, zone: ZoneInfo) -> Iterator[Download]:
    """The students' files in a folder of downloads, without the platform's own files.

    zone: of the course, where a platform writes a time without one.
    """
    for path in sorted(folder.iterdir()):
        name = path.name
        if name.startswith(".") or name == "__MACOSX" or path.suffix.lower() in OF_PLATFORM:
            continue
        download = _read_name(path, roster, zone)
        if download is not None:
            yield download


def _read_name(path: Path, roster: Roster, zone: ZoneInfo) -> Download | None:
    """What a file's name says, as platforms or `pack` write it; None of a platform's own file."""
    name = path.name
    if match := MOODLE.fullmatch(name):
        keys = (match["id"], match["name"])
        return Download(path, keys, file=match["file"] or "") if match["kind"] == "file" else None
    if match := BLACKBOARD.fullmatch(name):
        if match["end"] == ".txt":  # what the student wrote in Blackboard's form
            return None
        time = in_utc(datetime.strptime(match["time"], "%Y-%m-%d-%H-%M-%S"), zone)
        return Download(path, (match["id"],), time, match["file"] or "")
    if match := CANVAS.fullmatch(name):
        keys = (match["id"], match["name"])
        return Download(path, keys, file=match["file"], late=bool(match["late"]))
    if match := PACKED.fullmatch(name):
        return Download(path, _packed_keys(match["names"], roster), file=name)
    if path.is_dir() and roster.ids.keys() & map(fold, _packed_keys(name, roster)):
        return Download(path, _packed_keys(name, roster))
    stem = name if path.is_dir() else name.split(".")[0]
    known = fold(stem) in roster.ids
    problem = "" if known else "the name contains no known id; give a --roster with this student"
    return Download(path, (stem,), file="" if path.is_dir() else name, problem=problem)


def _packed_keys(names: str, roster: Roster) -> tuple[str, ...]:
    """The ids that NAME_ID may mean, and NAME_ID itself.

    The names that `pack` writes have no "_". Others may have, and a roster tells which is the id.
    """
    parts = names.split("_")
    tails = ["_".join(parts[index:]) for index in range(1, len(parts))]
    return (*(tails if roster.ids else tails[:1]), names)


def uploads_of(
    downloads: Iterable[Download], roster: Roster, work: Path
) -> tuple[list[Upload], list[CollectResult]]:
    """One upload a student, the newest where the platform gives times; and what is unclear.

    work: an empty folder, for uploads of several files.
    """
    unknown: list[CollectResult] = []
    of_student: dict[str, list[Download]] = {}
    for one in downloads:
        student, problem = ("", one.problem) if one.problem else roster.find(one.keys)
        if problem:
            unknown.append(CollectResult(quoted(one.path.name), "unknown", problem))
        else:
            of_student.setdefault(student, []).append(one)
    uploads = []
    for student, downloaded in sorted(of_student.items()):
        found = _upload_of(student, downloaded, roster, work)
        if isinstance(found, Upload):
            uploads.append(found)
        else:
            unknown.append(found)
    return uploads, unknown


def _upload_of(
    student: str, downloads: Sequence[Download], roster: Roster, work: Path
) -> Upload | CollectResult:
    """The upload of one student, or why it is unclear which one counts."""
    times = [one.time for one in downloads if one.time]
    newest = [one for one in downloads if not times or one.time == max(times)]
    source = _together(newest, work / student)
    if not roster.ids and len({one.keys[0] for one in downloads}) > 1:
        source = None  # two names that give the same safe name
    if source is None:
        names = " and ".join(quoted(one.path.name) for one in newest[:2])
        question = f"{names}: which one counts? move the others away"
        return CollectResult(student, "unknown", question)
    late = any(one.late for one in newest)
    flags = (Flag("late", "the platform's file name says that it was late."),) if late else ()
    called = tuple(dict.fromkeys(key for one in downloads for key in one.keys))
    return Upload(student, source, max(times) if times else None, called, flags)


def _together(downloads: Sequence[Download], folder: Path) -> Path | None:
    """The one file or folder, or a new folder with several files; None if that is not possible."""
    if len(downloads) == 1:
        return downloads[0].path
    names = [one.file for one in downloads]
    whole = any(not name or is_archive(name) for name in names)
    if whole or len(set(names)) < len(names) or any(not _is_plain(one.path) for one in downloads):
        return None
    folder.mkdir()
    for one in downloads:
        shutil.copyfile(one.path, folder / Path(one.file).name)
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
        stored = yaml.safe_load(found[0].read_text("utf-8"))
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
