"""The uploads of a class whose students hand in by git: a clone for each student."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from distillery.core.errors import CourseError
from grading.core.records import Flag
from grading.core.times import shown
from grading.intake.archives import ArchiveLimits, SubmissionError, quoted
from grading.intake.read_git import Commit, Repository
from grading.intake.receipts import left_out_flags
from grading.intake.roster import Roster
from grading.intake.sources import CollectResult, Upload

KIND = "commit time"  # of a flag


def from_git(
    folder: Path,
    assignment: str,
    roster: Roster,
    work: Path,
    *,
    due: datetime | None,
    extended: Mapping[str, datetime],
    zone: ZoneInfo,
) -> tuple[list[Upload], list[CollectResult]]:
    """The last commit on or before the due date of each clone in a folder, as an upload.

    A clone's folder has the student's name, with or without the assignment's before it, as
    "al1815" and "01_sds-al1815". Whoever clones gives that name, so it counts as proven.

    Args:
        work: an empty folder, for what is read.
        due:  None where every commit counts.
        extended: student -> due date, of those who have another.

    Raises:
        CourseError: there is no such folder, or no git.
    """
    if not folder.is_dir():
        raise CourseError(f"--git {folder}: name the folder with a clone for each student in it.")
    uploads: list[Upload] = []
    unknown: list[CollectResult] = []
    clones: dict[str, str] = {}
    for place, clone in enumerate(_clones(folder)):
        student, problem = _student(clone.name, assignment, roster)
        if not problem and student in clones:
            problem = f"{clones[student]} is this student's too: move one of them away"
        if problem:
            unknown.append(CollectResult(quoted(clone.name), "unknown", problem))
            continue
        clones[student] = quoted(clone.name)
        own = work / str(place)
        own.mkdir()
        try:
            uploads.append(_upload(clone, student, own, extended.get(student, due), zone))
        except SubmissionError as error:
            unknown.append(CollectResult(student, "unknown", f"{quoted(clone.name)}: {error}"))
    return uploads, unknown


def _clones(folder: Path) -> Iterator[Path]:
    """The folders in a folder, not what links lead to."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield path


def _student(name: str, assignment: str, roster: Roster) -> tuple[str, str]:
    """The id of the student of a clone, or "" and why it is not known."""
    name = name.removesuffix(".git")
    for mark in "-_":
        name = name.removeprefix(f"{assignment}{mark}")
    student, problem = roster.find((name,))
    return (student, problem) if student or not roster.ids else roster.find_in(name)


def _upload(clone: Path, student: str, work: Path, due: datetime | None, zone: ZoneInfo) -> Upload:
    (work / "git").mkdir()
    repository = Repository(clone, work / "git")
    commit = repository.last_commit(due)
    archive = work / f"{student}.zip"
    flags = left_out_flags(repository.pack(commit, archive, ArchiveLimits()))
    if commit.backwards:
        sentence = f"commit {commit.name[:10]} says that it is older than one that it stands on."
        flags.append(Flag(KIND, sentence))
    return Upload(student, archive, commit.time, (student,), tuple(flags), _note(commit, zone))


def _note(commit: Commit, zone: ZoneInfo) -> str:
    later = f", {commit.later} later not counted" if commit.later else ""
    when = shown(commit.time, zone)
    return f"commit {commit.name[:10]} of {when} by {quoted(commit.by)}{later}"
