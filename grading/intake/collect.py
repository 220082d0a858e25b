"""Collect what was handed in, and make of each hand-in a clean folder in submitted/.

python -m grading collect 01_sds                        what nbgrader collect has fetched
python -m grading collect 01_sds --exchange             fetch it from nbgrader's exchange
python -m grading collect 01_sds --zips downloads/      what Moodle, Canvas, Blackboard or students
                                                        named, one file or folder each
python -m grading collect 01_sds --gradescope export/   Gradescope's export of submissions

Everything is kept as it came in received/. Whose hand-in it is, is what the platform says. A roster
(a CSV with the column student_id, and others with the platform's ids, names or addresses) maps that
to the course's own ids and is then the authority; a name that fits nobody, or two, is listed and
left alone. When it was received is what the platform's own record says, and else the time that
--received gives, or now. Collecting again changes nothing where nothing is new.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml

from distillery.core.errors import CourseError
from grading.core.records import Flag
from grading.intake.archives import Caps, HandInError, is_archive, shown, take
from grading.intake.take_in import (
    STUDENT,
    Intake,
    keep,
    load_intake,
    load_released,
    safe_student,
    take_in_kept,
    taken_in,
    workshop,
)
from grading.stages import STAGES

MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?")
CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)")
BLACKBOARD = re.compile(
    r".+?_(?P<id>[^_]+)_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|(?P<end>\.\w+))?"
)
PACKED = re.compile(r"(?P<names>.+_.+?)(?: ?\(\d+\))?(?:\.zip|\.tar\.gz|\.tgz|\.ipynb)", re.I)
OF_PLATFORM = (".csv", ".xlsx", ".html", ".pdf", ".yml")
WHOLE_EXPORT = Caps(bytes=2**36, entries=10**6, ratio=10**6, depth=16, nested=True)
METADATA = "submission_metadata.yml"

Outcome = Literal["accepted", "rejected", "unchanged", "unknown"]


@dataclass(frozen=True)
class Piece:
    """A file or folder that somebody handed in, as the platform names it.

    keys:     what the platform calls the student, the surest first.
    time:     when the platform says it was handed in.
    file:     the student's own name of the file, "" of a folder.
    problem:  why nobody can be found who it is of.
    """

    path: Path
    keys: tuple[str, ...]
    time: datetime | None = None
    file: str = ""
    late: bool = False
    problem: str = ""


@dataclass(frozen=True)
class HandedIn:
    """All that one student handed in.

    names: what else the student is called.
    time:  None where the platform does not say it.
    """

    student: str
    source: Path
    time: datetime | None = None
    names: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True)
class Row:
    """What became of one hand-in."""

    student: str
    outcome: Outcome
    says: str = ""


@dataclass(frozen=True)
class Roster:
    """Who is who: what students are called, folded, -> their ids. Without rows it knows nobody."""

    ids: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Roster:
        """Read a CSV with the column student_id.

        Raises:
            CourseError: it cannot be read, or an id is missing, unsafe or there twice.
        """
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                rows, columns = list(reader), list(reader.fieldnames or ())
        except FileNotFoundError:
            raise CourseError(f"there is no roster {path}.") from None
        except (OSError, ValueError, csv.Error) as error:
            raise CourseError(f"the roster {path} cannot be read as a CSV in UTF-8.") from error
        if columns and "student_id" not in columns:
            raise CourseError(
                f"{path} has no column student_id; its first line, split at commas, names "
                f"{', '.join(map(shown, columns[:9]))}."
            )
        ids: dict[str, set[str]] = {}
        seen: set[str] = set()
        for line, row in enumerate(rows, start=2):
            student = (row.get("student_id") or "").strip()
            if not STUDENT.fullmatch(student) or student in seen:
                raise CourseError(
                    f"{path}, line {line}: each row needs a student_id of its own, of letters, "
                    f"digits and ._@-; {student!r} is not."
                )
            seen.add(student)
            for key in _keys_of(row):
                ids.setdefault(key, set()).add(student)
        if not seen:
            raise CourseError(f"the roster {path} names nobody; it needs a column student_id.")
        return cls(ids)

    def find(self, keys: Sequence[str]) -> tuple[str, str]:
        """The student of whom these are names, or why there is none."""
        called = shown(keys[-1] if keys else "")
        if not self.ids:
            student = safe_student(keys[0]) if keys else ""
            return student, "" if student else f"{called} gives no id"
        found = set().union(*(self.ids.get(fold(key), set()) for key in keys))
        if len(found) == 1:
            return found.pop(), ""
        if found:
            return "", f"{called} could be {' or '.join(sorted(found))}"
        return "", f"{called} is not in the roster"


def fold(name: str) -> str:
    """A name without case, accents, spaces and signs, as platforms write it into file names."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(char for char in letters if char.isalnum())


def _keys_of(row: dict[str, Any]) -> set[str]:
    values = {name: value for name, value in row.items() if isinstance(value, str) and name}
    first = next((values[n] for n in ("first_name", "First Name", "firstname") if n in values), "")
    last = next((values[n] for n in ("last_name", "Last Name", "lastname") if n in values), "")
    whole = [first + last, last + first] if first and last else []
    single = [value for value in values.values() if value not in (first, last)]
    return {fold(value) for value in [*single, *whole]} - {""}


def pieces_in(folder: Path, roster: Roster) -> Iterator[Piece]:
    """What lies in a folder of downloads; what the platform itself put there is passed over."""
    for path in sorted(folder.iterdir()):
        name = path.name
        if name.startswith(".") or name == "__MACOSX" or path.suffix.lower() in OF_PLATFORM:
            continue
        if match := MOODLE.fullmatch(name):
            if match["kind"] == "file":
                yield Piece(path, (match["id"], match["name"]), file=match["file"] or "")
        elif match := BLACKBOARD.fullmatch(name):
            # Beside each attempt lies a .txt with what the student wrote in the form.
            if match["end"] != ".txt":
                time = datetime.strptime(match["time"], "%Y-%m-%d-%H-%M-%S").astimezone()
                yield Piece(path, (match["id"],), time, match["file"] or "")
        elif match := CANVAS.fullmatch(name):
            keys = (match["id"], match["name"])
            yield Piece(path, keys, file=match["file"], late=bool(match["late"]))
        elif match := PACKED.fullmatch(name):
            yield Piece(path, _packed_keys(match["names"], roster), file=name)
        elif path.is_dir() and roster.ids.keys() & map(fold, _packed_keys(name, roster)):
            yield Piece(path, _packed_keys(name, roster))
        else:
            stem = name if path.is_dir() else name.split(".")[0]
            known = fold(stem) in roster.ids
            problem = "" if known else "the name says nobody's id; give a --roster that has it"
            yield Piece(path, (stem,), file="" if path.is_dir() else name, problem=problem)


def _packed_keys(names: str, roster: Roster) -> tuple[str, ...]:
    """Of NAME_ID the id. Names that `pack` writes have no "_"; a roster knows about others."""
    parts = names.split("_")
    tails = ["_".join(parts[index:]) for index in range(1, len(parts))]
    return (*(tails if roster.ids else tails[:1]), names)


def hand_ins_of(
    pieces: Iterable[Piece], roster: Roster, work: Path
) -> tuple[list[HandedIn], list[Row]]:
    """One hand-in a student, the newest where the platform says times; and what is nobody's.

    work: an empty folder, where files that belong together are brought together.
    """
    rows: list[Row] = []
    of_student: dict[str, list[Piece]] = {}
    for piece in pieces:
        student, problem = ("", piece.problem) if piece.problem else roster.find(piece.keys)
        if problem:
            rows.append(Row(shown(piece.path.name), "unknown", problem))
        else:
            of_student.setdefault(student, []).append(piece)
    found = []
    for student, its in sorted(of_student.items()):
        times = [piece.time for piece in its if piece.time]
        newest = [piece for piece in its if not times or piece.time == max(times)]
        source = _together(newest, work / student)
        if not roster.ids and len({piece.keys[0] for piece in its}) > 1:
            source = None  # two names of one safe form
        if source is None:
            names = " and ".join(shown(piece.path.name) for piece in newest[:2])
            rows.append(Row(student, "unknown", f"{names}: which one counts? move the others away"))
            continue
        late = any(piece.late for piece in newest)
        flags = (Flag("late", "the platform's file name says that it came late."),) if late else ()
        called = tuple(dict.fromkeys(key for piece in its for key in piece.keys))
        found.append(HandedIn(student, source, max(times) if times else None, called, flags))
    return found, rows


def _together(pieces: Sequence[Piece], folder: Path) -> Path | None:
    """The one file or folder, or a new folder with several files; None if that cannot be right."""
    if len(pieces) == 1:
        return pieces[0].path
    names = [piece.file for piece in pieces]
    whole = any(not name or is_archive(name) for name in names)
    if whole or len(set(names)) < len(names) or any(not _is_plain(p.path) for p in pieces):
        return None
    folder.mkdir()
    for piece in pieces:
        shutil.copyfile(piece.path, folder / Path(piece.file).name)
    return folder


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def from_gradescope(export: Path, roster: Roster) -> tuple[list[HandedIn], list[Row]]:
    """The submissions of an unpacked export, one for each member of a group.

    Raises:
        CourseError: it is no such export.
    """
    found = sorted(export.rglob(METADATA))
    if len(found) != 1:
        raise CourseError(
            f"{export} is no export of Gradescope's: it must hold one {METADATA}, and holds "
            f"{len(found)}."
        )
    try:
        stored = yaml.safe_load(found[0].read_text("utf-8"))
        entries = [(str(name), dict(one)) for name, one in stored.items()]
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise CourseError(f"{found[0]} cannot be read; export the submissions anew.") from error
    hand_ins, rows = [], []
    for name, entry in entries:
        source = found[0].parent / Path(name).name
        for submitter in entry.get(":submitters") or []:
            keys = tuple(
                str(submitter[key]) for key in (":sid", ":email", ":name") if submitter.get(key)
            )
            student, problem = roster.find(keys)
            if problem or not source.is_dir():
                rows.append(Row(name, "unknown", problem or "its folder is not in the export"))
            else:
                hand_ins.append(HandedIn(student, source, _time(entry.get(":created_at")), keys))
    return hand_ins, rows


def _time(said: Any) -> datetime | None:
    """A time of day with a zone; without one it is UTC."""
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(
                said.strip().replace(" UTC", "+00:00").replace("Z", "+00:00")
            )
        except ValueError:
            return None
    if not isinstance(said, datetime):
        return None
    return said if said.tzinfo else said.replace(tzinfo=timezone.utc)


def accept(
    hand_in: HandedIn, course: Path, assignment: str, *, now: datetime, again: bool = False
) -> Row:
    """Keep a hand-in and take it in, unless it is not newer than what is there.

    Args:
        now: when it was received, if the platform does not say.
        again: also take in what has not changed, from received/.
    """
    student = hand_in.student
    received = now
    if hand_in.time:
        received = min(hand_in.time, datetime.now(timezone.utc))
    receipt, news = keep(
        hand_in.source,
        course,
        student=student,
        assignment=assignment,
        received=received,
        names=hand_in.names,
        flags=hand_in.flags,
    )
    there = load_intake(course / "submitted" / student / assignment)
    if there and not (news or again) and there.received == receipt.received:
        return Row(student, "unchanged", there.rejected)
    its = partial(take_in_kept, receipt, hand_in.source, course, student=student)
    return _row(student, partial(its, assignment=assignment))


def _row(student: str, its: Callable[[], Intake]) -> Row:
    """What becomes of a hand-in; one that no rule of ours foresees holds up nobody else."""
    try:
        intake = its()
    except CourseError:
        raise
    except Exception as error:
        return Row(student, "unknown", f"cannot be taken in ({type(error).__name__}): look at it")
    if intake.rejected:
        return Row(intake.student, "rejected", intake.rejected)
    kinds = ", ".join(dict.fromkeys(flag.kind for flag in intake.flags))
    return Row(intake.student, "accepted", f"to look at: {kinds}" if kinds else "")


def from_submitted(course: Path, assignment: str, *, again: bool = False) -> list[Row]:
    """Take in what nbgrader's own collect has put into submitted/."""
    rows = []
    places = [*(course / "submitted").glob(f"*/{assignment}")]
    # What was kept and then lost its folder, as by a crash, has one made again.
    places += [
        course / "submitted" / kept.parent.name / assignment
        for kept in (course / "received" / assignment).glob("*/receipt.json")
    ]
    for folder in sorted(set(places)):
        student = folder.parent.name
        before = load_intake(folder)
        if not STUDENT.fullmatch(student):
            rows.append(Row(shown(student), "unknown", "is no safe name for a student"))
        elif before and not again:
            rows.append(Row(student, "unchanged", before.rejected))
        else:
            rows.append(_row(student, partial(taken_in, folder, course, again=again)))
    return rows


def table(rows: Sequence[Row]) -> str:
    """A line for each hand-in, and a last one that counts them."""
    ordered = sorted(rows, key=lambda row: (row.outcome == "unchanged", row.student))
    width = min(40, max([0, *(len(row.student) for row in rows)]))
    lines = [f"{row.outcome:<10}{row.student:<{width}}  {row.says}".rstrip() for row in ordered]
    outcomes = ("accepted", "rejected", "unchanged", "unknown")
    counts = [(sum(row.outcome == name for row in rows), name) for name in outcomes]
    lines.append(", ".join(f"{count} {name}" for count, name in counts if count) or "nothing came.")
    return "\n".join(lines)


@contextmanager
def _unpacked(export: Path, course: Path) -> Iterator[Path]:
    """An export as a folder, whether it came packed or not.

    Raises:
        CourseError: it is neither, or is damaged.
    """
    if export.is_dir():
        yield export
        return
    if not (export.is_file() and is_archive(export.name)):
        raise CourseError(f"{export} is neither a folder nor a zip; name Gradescope's export.")
    with workshop(course) as work:
        try:
            take(export, work / "export", WHOLE_EXPORT)
        except HandInError as error:
            raise CourseError(f"{export} cannot be unpacked: {error}") from error
        yield work / "export"


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise CourseError(
            f"there is no folder {path}; unpack the platform's download, and name it."
        )
    return path


def collect(options: argparse.Namespace) -> list[Row]:
    """What the command line asks for.

    Raises:
        CourseError: the source cannot be used, or the course folder cannot.
    """
    course, assignment = options.course, options.stage
    load_released(course, assignment)
    roster = Roster.load(options.roster) if options.roster else Roster()
    now = options.received or datetime.now(timezone.utc)
    if options.exchange:
        from grading.intake.exchange import collected

        hand_ins, rows = collected(course, assignment, roster)
        return rows + [
            accept(one, course, assignment, now=now, again=options.again) for one in hand_ins
        ]
    if not (options.zips or options.gradescope):
        return from_submitted(course, assignment, again=options.again)
    with ExitStack() as stack:
        if options.gradescope:
            export = stack.enter_context(_unpacked(options.gradescope, course))
            hand_ins, rows = from_gradescope(export, roster)
        else:
            work = stack.enter_context(workshop(course))
            pieces = pieces_in(_folder(options.zips), roster)
            hand_ins, rows = hand_ins_of(pieces, roster, work)
        if not (hand_ins or rows):
            raise CourseError(
                f"no hand-in lies in {options.gradescope or options.zips}; name the folder with "
                "what the platform gave you."
            )
        return rows + [
            accept(one, course, assignment, now=now, again=options.again) for one in hand_ins
        ]


def _moment(text: str) -> datetime:
    """A time of the command line; without a zone it is this machine's."""
    try:
        return datetime.fromisoformat(text).astimezone(timezone.utc)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write it like 2026-11-22T23:59"
        ) from None


def main(arguments: list[str] | None = None) -> int:
    """Collect, and print what became of each hand-in; 0, whatever was in them."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m grading collect",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", metavar="STAGE", choices=[stage.folder for stage in STAGES])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--exchange", action="store_true", help="from nbgrader's exchange")
    source.add_argument("--zips", type=Path, metavar="FOLDER", help="from a folder of downloads")
    source.add_argument("--gradescope", type=Path, metavar="EXPORT", help="a zip, or its folder")
    parser.add_argument("--course", type=Path, default=Path("class"), help="default: class")
    parser.add_argument("--roster", type=Path, metavar="CSV", help="who is who on the platform")
    parser.add_argument(
        "--received",
        type=_moment,
        metavar="TIME",
        help="when all of it had been received, such as 2026-11-22T23:59, where the platform does "
        "not say (default: now)",
    )
    parser.add_argument(
        "--again", action="store_true", help="also what has not changed, as after a new release"
    )
    options = parser.parse_args(arguments)
    print(table(collect(options)))
    return 0
