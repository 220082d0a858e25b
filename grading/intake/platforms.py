"""How learning platforms name the files and folders of the students in their downloads.

A platform writes whose a file is into its name, or into that of a folder around it. What no
platform's form fits is looked up in the roster, or read as `pack` names its zips, NAME_ID. Then
nobody but the student may have written the name, and whose it is counts as unproven.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from distillery.core.errors import CourseError
from grading.core.times import in_utc, read_time
from grading.intake.archives import LEFT_BY_SYSTEMS, quoted
from grading.intake.file_kinds import ENDING, base_name
from grading.intake.roster import Roster, fold
from grading.stages import STAGES

MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?")
CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)")
BLACKBOARD = re.compile(
    r".+?_(?P<id>[^_]+)_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|(?P<end>\.\w+))?"
)
# Brightspace: "123-456 - Ada Lovelace - Nov 22, 2026 1159 PM", and a file's name where it is one.
BRIGHTSPACE = re.compile(
    r"(?:\d+-\d+ - )?(?P<name>.+?) - (?P<time>(?:[^\W\d]+\.? \d\d?|\d\d? [^\W\d]+\.?),? \d{4} "
    r"\d{1,2}[.:]?\d\d(?: ?[AP]M)?)(?: - (?P<file>.+))?",
    re.I,
)
BRIGHTSPACE_TIMES = [
    f"{day} %Y {time}"
    for day in ("%b %d", "%B %d", "%d %b", "%d %B")
    for time in ("%I%M %p", "%H%M")
]
ATTACHMENTS = "Submission attachment(s)"  # of Sakai
SAKAI = re.compile(
    r"(?P<name>.+?) ?\((?P<id>[^()]+)\)(?:_Submission attachment\(s\)_(?P<file>.+))?"
)
ILIAS = re.compile(r"(?P<names>[^_]+_.+)_\d+")  # a folder LAST_FIRST_LOGIN_NUMBER
TEAM = re.compile(r"(?:Team|Gruppe|Group)[ _-]?\d+.*", re.I)
TEAMS_FOLDERS = ("Submitted files", "Working files")  # of Microsoft Teams; the second is not used
VERSION = re.compile(r"\w+ (\d+)")

OF_PLATFORM = re.compile(
    r"index\.html?|submission_metadata\.yml|.*(?:grade|note|roster|status).*\.(?:csv|xlsx?|xml)",
    re.I,
)
OUR_NAMES = {fold(stage.folder) for stage in STAGES}
DEEPEST = 4  # folders that a download may lie in
MOST_LOOKED_AT = 5000  # files of one folder


@dataclass(frozen=True)
class Download:
    """A file or folder of a student's, as the platform names it.

    keys:    what the platform calls the student, the most reliable name first.
    time:    when the platform says it was handed in.
    attempt: the number that the platform gives it, where it gives one.
    file:    the student's own name of the file; "" of a folder.
    text:    a name in which a student of the roster may be named; then `keys` are not used.
    proven:  whether the platform says whose it is, and not only a name of the student's choice.
    said:    the name that says whose it is, where that is not the name of `path`.
    problem: why its student cannot be found.
    """

    path: Path
    keys: tuple[str, ...] = ()
    time: datetime | None = None
    attempt: int = 0
    file: str = ""
    text: str = ""
    late: bool = False
    proven: bool = True
    said: str = ""
    problem: str = ""

    @property
    def label(self) -> str:
        """What to call it in a message."""
        return quoted(self.said or self.path.name)

    def student(self, roster: Roster) -> tuple[str, str]:
        """The id of its student, or "" and why it is not known."""
        if self.problem:
            return "", self.problem
        if self.text:
            return roster.find_in(self.text)
        student, problem = roster.find(self.keys)
        if student and len(self.keys) > 1 and self.proven and not self._agrees(student, roster):
            return "", f"{quoted(self.keys[-1])} is not a name of {student} in the roster"
        return student, problem

    def _agrees(self, student: str, roster: Roster) -> bool:
        """Whether the name beside a platform's number can be that student's.

        The number alone may stand in the roster by chance, as somebody's points for example.
        """
        known = roster.names.get(student)
        return not known or any(roster.is_called(student, key) for key in self.keys[1:])


@dataclass(frozen=True)
class Search:
    """What the names in a download are read by.

    assignment: which one is collected, where the download holds several.
    zone:       of the course, where a platform writes a time without one.
    """

    roster: Roster
    assignment: str
    zone: ZoneInfo


def downloads_in(folder: Path, search: Search) -> Iterator[Download]:
    """The students' files and folders in a download, without the platform's own files."""
    yield from _inside(folder, search, DEEPEST)


def _inside(folder: Path, search: Search, depth: int) -> Iterator[Download]:
    if folder.name == TEAMS_FOLDERS[0]:
        yield from _of_teams(folder, search.assignment)
        return
    found: list[Download] = []
    for path in sorted(folder.iterdir()):
        if not _is_left_by_systems(path.name) and path.name != TEAMS_FOLDERS[1]:
            found += _read(path, search, depth)
    yield from _shared(found) if TEAM.fullmatch(folder.name) else found


def _is_left_by_systems(name: str) -> bool:
    hidden = name.startswith(".") and not name.endswith(".icloud")
    return hidden or name in LEFT_BY_SYSTEMS


def _read(path: Path, search: Search, depth: int) -> list[Download]:
    """What the name of one file or folder says; nothing of a platform's own file."""
    is_folder = path.is_dir() and not path.is_symlink()
    one, roster = _of_platform(path, search, is_folder=is_folder), search.roster
    if one is not None:
        return [_with_files(one)] if one.keys else []
    known = _by_name(path, roster, is_folder=is_folder)
    if is_folder and depth and (known.problem or not (roster.ids or _has_notebook(path))):
        inside = list(_inside(path, search, depth - 1))
        students = {each.student(roster)[0] for each in inside} - {""}
        # One file of another name does not tell whose a folder is; the folder's own name does.
        if len(students) > (0 if known.problem else 1):
            return inside
    if known.problem and OF_PLATFORM.fullmatch(path.name):
        return []
    return [known]


def _with_files(one: Download) -> Download:
    """The same, with a problem where a platform's folder holds no file."""
    if one.path.is_dir() and not any(names for _, _, names in os.walk(one.path)):
        return replace(one, problem="its folder is empty: nothing was handed in")
    return one


def _has_notebook(folder: Path) -> bool:
    looked_at = 0
    for _, _, names in os.walk(folder):
        if any(".ipynb" in name.lower() for name in names):
            return True
        looked_at += len(names)
        if looked_at > MOST_LOOKED_AT:
            return False
    return False


def _of_platform(path: Path, search: Search, *, is_folder: bool) -> Download | None:
    """What a name says in a platform's own form.

    Returns:
        None where it has no such form; without keys where it is not a submission.
    """
    name = path.name
    if match := MOODLE.fullmatch(name):
        keys = (match["id"], match["name"]) if match["kind"] == "file" else ()
        return Download(path, keys, file=match["file"] or "")
    if match := BLACKBOARD.fullmatch(name):
        time = _local_time(match["time"], ("%Y-%m-%d-%H-%M-%S",), search.zone)
        is_form = match["end"] == ".txt"  # what the student wrote in Blackboard's form
        return Download(path, () if is_form else (match["id"],), time, file=match["file"] or "")
    if match := CANVAS.fullmatch(name):
        keys = (match["id"], match["name"])
        return Download(path, keys, file=match["file"], late=bool(match["late"]))
    if match := BRIGHTSPACE.fullmatch(name):
        written = re.sub(r"\b(\d{3})\b", r"0\1", re.sub(r"[.,:]", "", match["time"]))  # 101 AM
        time = _local_time(written, BRIGHTSPACE_TIMES, search.zone)
        keys = tuple(match["name"].split(" - "))  # sometimes an id before the name
        return Download(path, keys, time, file=match["file"] or "")
    match = SAKAI.fullmatch(name)
    if match and (match["file"] or (path / ATTACHMENTS).is_dir()):
        return _of_sakai(path, match)
    if is_folder and search.roster.ids and (match := ILIAS.fullmatch(name)):
        return _of_ilias(path, match["names"].split("_"), search.roster)
    return None


def _of_sakai(path: Path, match: re.Match[str]) -> Download:
    """A folder `Lovelace, Ada(al1815)` with the attachments, and the time beside them."""
    keys = (match["id"], match["name"])
    if match["file"]:
        return Download(path, keys, file=match["file"])
    time = None
    stamp = path / "timestamp.txt"
    if stamp.is_file() and stamp.stat().st_size < 99:
        written = re.fullmatch(rb"(\d{14})\d{3}", stamp.read_bytes().strip())
        if written:  # in UTC
            time = _local_time(written[1].decode(), ("%Y%m%d%H%M%S",), ZoneInfo("UTC"))
    return Download(path / ATTACHMENTS, keys, time, said=path.name)


def _of_ilias(path: Path, parts: Sequence[str], roster: Roster) -> Download | None:
    """A folder LAST_FIRST_LOGIN_NUMBER where the roster has both the name and the login."""
    for at in range(1, len(parts)):
        name, login = " ".join(parts[:at]), "_".join(parts[at:])
        found = roster.ids.get(fold(name), set()) & roster.ids.get(fold(login), set())
        if len(found) == 1:
            return Download(path, (login, name))
    return None


def _of_teams(folder: Path, assignment: str) -> Iterator[Download]:
    """Folders STUDENT/ASSIGNMENT/Version NUMBER."""
    for student in sorted(path for path in folder.iterdir() if path.is_dir()):
        chosen = [path for path in sorted(student.iterdir()) if path.is_dir()]
        if len(chosen) > 1:
            chosen = [path for path in chosen if fold(assignment) in fold(path.name)]
        if len(chosen) != 1:
            problem = (
                f"it holds several assignments, and not one folder with {assignment} in its name: "
                "move the others away"
            )
            loose = not any(path.is_dir() for path in student.iterdir())
            yield Download(student, (student.name,), problem="" if loose else problem)
            continue
        versions = [
            (path, match) for path in chosen[0].iterdir() if (match := VERSION.fullmatch(path.name))
        ]
        if not versions:
            yield _with_files(Download(chosen[0], (student.name,), said=student.name))
        for path, match in sorted(versions):
            one = Download(path, (student.name,), attempt=int(match[1]), said=student.name)
            yield _with_files(one)


def _shared(found: Sequence[Download]) -> list[Download]:
    """What the members of a team handed in; those with an empty folder have the others' work."""
    full = [one for one in found if not one.problem]
    if len(full) != 1:
        return list(found)
    return [one if one is full[0] else replace(full[0], keys=one.keys) for one in found]


def _by_name(path: Path, roster: Roster, *, is_folder: bool) -> Download:
    """What a name says that has no platform's form."""
    name = path.name
    file = "" if is_folder else name
    stem = base_name(name, is_folder=is_folder)
    given = Download(path, file=file, proven=False)
    if roster.ids:
        whole = name if is_folder else ENDING.sub("", name)
        for form in (whole, stem):  # a student may be called as the mark of a copy is: "Student 2"
            if fold(form) in roster.ids:
                return replace(given, keys=(form,))
        if roster.named_in(whole):
            return replace(given, text=whole)
        packed = {fold(tail) for tail in _tails(stem)} & roster.ids.keys()
        if packed:
            return replace(given, keys=tuple(sorted(packed)))
        return replace(given, problem=f"{quoted(stem)} names nobody in the roster")
    tails = _tails(stem)
    if not tails or fold(stem) in OUR_NAMES:
        problem = "the name contains no known id; give a --roster with this student"
        return replace(given, problem=problem)
    return replace(given, keys=(tails[0], stem))


def _tails(stem: str) -> list[str]:
    """The ids that NAME_ID may mean; the names that `pack` writes have no "_", others may."""
    parts = stem.split("_")
    return [tail for tail in ("_".join(parts[at:]) for at in range(1, len(parts))) if tail]


def by_pattern(folder: Path, pattern: str, zone: ZoneInfo) -> Iterator[Download]:
    """The files whose path below the folder has the form of an instructor's pattern.

    Raises:
        CourseError: the pattern is no regular expression, or names no student.
    """
    form = _compiled(pattern)
    for above, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_left_by_systems(name))
        for path in sorted(Path(above, name) for name in names if not _is_left_by_systems(name)):
            inner = path.relative_to(folder).as_posix()
            match = form.fullmatch(inner)
            if match is None:
                yield Download(path, problem=f"{quoted(inner)} does not have the form of --pattern")
            else:
                yield _matched(path, inner, match.groupdict(""), zone)


WHO = ("student_id", "id", "email", "name", "first_name", "last_name")
PATTERN_TIMES = ("%Y-%m-%d-%H-%M-%S", "%Y-%m-%d_%H-%M-%S", "%Y%m%d%H%M%S", "%Y%m%d_%H%M%S")


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        form = re.compile(pattern)
    except re.error as error:
        raise CourseError(f"--pattern {pattern!r} is no regular expression: {error}.") from error
    if not form.groupindex.keys() & set(WHO):
        raise CourseError(
            f"--pattern {pattern!r} does not say whose a file is: it needs a named group such as "
            "(?P<student_id>[^_]+); others are "
            f"{', '.join(WHO[1:])}, timestamp and file_id."
        )
    return form


def _matched(path: Path, inner: str, groups: dict[str, str], zone: ZoneInfo) -> Download:
    whole = f"{groups.get('first_name', '')} {groups.get('last_name', '')}".strip()
    keys = [*(groups.get(name, "") for name in WHO[:4]), whole]
    written = groups.get("timestamp", "")
    time, problem = None, ""
    try:
        time = _local_time(written, PATTERN_TIMES, zone) or (
            read_time(written, zone) if written else None
        )
    except CourseError as error:
        problem = f"its timestamp is unclear: {error}"
    file = groups.get("file_id") or inner
    return Download(path, tuple(filter(None, keys)), time, file=file, problem=problem)


def _local_time(text: str, forms: Sequence[str], zone: ZoneInfo) -> datetime | None:
    """A platform's time, in UTC; None where it has none of the forms."""
    for form in forms:
        try:
            return in_utc(datetime.strptime(text, form), zone)
        except (ValueError, OverflowError):
            continue
    return None
