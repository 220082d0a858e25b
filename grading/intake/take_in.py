"""From whatever was handed in to a clean folder, `submitted/<student>/<assignment>/`.

The clean folder holds the mended notebook, the pictures, eval.json, intake.json, nbgrader's
timestamp.txt and submission_secret.txt, and nothing else of what came. Its receipt time is the one
that is given here: the time of a file, or one inside an archive, is the student's word. Only that
of nbgrader's own exchange is believed, for a hand-in that `nbgrader collect` has put into
submitted/.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import uuid
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from nbformat import NotebookNode

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from grading.core.manifest import NAME as MANIFEST
from grading.core.manifest import Manifest
from grading.core.notebook_cells import grade_id_of, task_of
from grading.core.records import Flag
from grading.core.rules import NAME as RULES
from grading.core.rules import Rules
from grading.intake.archives import OURS, Caps, HandInError, is_archive, shown, take
from grading.intake.repair_notebook import belongs, mend, read_notebook, tidied
from grading.stages import stage_of
from grading.stages.stage import Stage

STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
FACTS = "intake.json"
RECEIPT = "receipt.json"
EVALUATION = "eval.json"
TIMESTAMP = "timestamp.txt"
SECRET = "submission_secret.txt"  # of nbgrader's exchange, which gives feedback to who knows it
LONGEST_SECRET = 200  # bytes
PICTURES = "pictures"
TICKET = "pack.json"
MOST_PICTURES = 64
LARGEST_PICTURE = 8 * 2**20
LARGEST_FILE = 2**20  # of eval.json and pack.json
MOST_CANDIDATES = 50
MOST_LEFT_OUT = 20  # of which each is said
MOST_PIXELS = 2048 * 2048
PNG = b"\x89PNG\r\n\x1a\n"
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"  # nbgrader's own
SHADOWS = ("sitecustomize.py", "usercustomize.py", "conftest.py", "torch.py", "numpy.py")


@dataclass(frozen=True)
class Intake:
    """What became of a hand-in.

    digest:   SHA-256 of all in the clean folder but the times.
    received: with a time zone.
    rejected: why nothing of it is graded, for the student; else empty.
    missing:  what the stage hands in beside the notebook and is not there.
    folder:   the clean one.
    """

    student: str
    assignment: str
    digest: str
    received: datetime
    flags: tuple[Flag, ...]
    rejected: str
    missing: tuple[str, ...]
    folder: Path


def take_in(
    source: Path,
    course: Path,
    *,
    student: str,
    assignment: str,
    received: datetime,
    names: Iterable[str] = (),
    flags: Iterable[Flag] = (),
) -> Intake:
    """Make the clean folder of a hand-in, in place of an older one.

    Whatever is inside the hand-in, it ends here, mended or rejected with a reason.

    Args:
        source: a folder, a .zip or .tar.gz, or a notebook alone.
        received: by our own clock; without a time zone it is UTC.
        names: other names that the student has, such as the learning platform's.
        flags: what was found before the hand-in was opened.

    Raises:
        CourseError: the assignment has not been released, the student's name is no safe one, or
            the course folder cannot be written.
    """
    course, source = Path(course), Path(source)
    stage, released = stage_of(assignment), load_released(course, assignment)
    if not STUDENT.fullmatch(student):
        raise CourseError(f"a student is named by letters, digits and ._@-; {student!r} is not.")
    folder = course / "submitted" / student / assignment
    if received.tzinfo is None:
        received = received.replace(tzinfo=timezone.utc)
    with workshop(course) as work:
        try:
            left_out = _gather(source, work / "raw")
            hand_in = _HandIn(stage, released, work / "raw", left_out, course)
            files = hand_in.files()
            found = [*hand_in.flags, *_ticket_flags(hand_in.root, {student, *names})]
            missing, rejected = hand_in.missing, ""
        except HandInError as error:
            files = {f"{assignment}.ipynb": nbformat.writes(released).encode()}
            found, missing, rejected = [], (), str(error)
        all_flags = tuple(dict.fromkeys([*flags, *found]))
        intake = Intake(
            student=student,
            assignment=assignment,
            digest=_digest(files, all_flags, rejected),
            received=received.astimezone(timezone.utc),
            flags=all_flags,
            rejected=rejected,
            missing=missing,
            folder=folder,
        )
        _fill(work / "clean", files | _secret(source), intake)
        _put(work, folder, intake, course)
    return intake


def load_intake(folder: Path) -> Intake | None:
    """What `take_in` said of a clean folder; None of one that it has not made.

    A folder of this name may hold an intake.json of the student's own making, so it must be the
    same as the one kept in received/.
    """
    folder = Path(os.path.abspath(folder))
    try:
        student, assignment = folder.parent.name, folder.name
        facts = (folder / FACTS).read_text("utf-8")
        if facts != _kept(folder.parents[2], assignment, student).read_text("utf-8"):
            return None
        stored = json.loads(facts)
        return Intake(
            student=stored["student"],
            assignment=stored["assignment"],
            digest=stored["digest"],
            received=datetime.fromisoformat(stored["received"]),
            flags=tuple(Flag(**flag) for flag in stored["flags"]),
            rejected=stored["rejected"],
            missing=tuple(stored["missing"]),
            folder=folder,
        )
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None


def taken_in(folder: Path, course: Path, *, again: bool = False) -> Intake:
    """What became of `submitted/<student>/<assignment>`, taken in now if it has not been.

    A folder that `nbgrader collect` has put there brings nbgrader's timestamp.txt; without one, now
    is when it was received. What came is kept in received/.

    Args:
        again: also if it has been.
    """
    folder = Path(folder)
    intake = load_intake(folder)
    if intake is not None and not again:
        return intake
    student, assignment = folder.parent.name, folder.name
    receipt = load_receipt(course, student, assignment)
    received = exchange_time(folder) or datetime.now(timezone.utc)
    is_new = intake is None and folder.is_dir()
    # Else a run was cut short after it had kept what came, and the folder is an older one.
    if receipt is None or (is_new and receipt.received < received):
        receipt = keep(folder, course, student=student, assignment=assignment, received=received)[0]
    return take_in_kept(receipt, folder, course, student=student, assignment=assignment)


def take_in_kept(
    receipt: Receipt, source: Path, course: Path, *, student: str, assignment: str
) -> Intake:
    """Take in what a receipt is of; where that could not be kept, from where it came."""
    return take_in(
        receipt.source if receipt.source.exists() else source,
        course,
        student=student,
        assignment=assignment,
        received=receipt.received,
        names=receipt.names,
        flags=receipt.flags,
    )


def exchange_time(folder: Path) -> datetime | None:
    """What nbgrader's own timestamp.txt says, or None where it says nothing that can be read."""
    from nbgrader.utils import parse_utc

    try:
        with open(folder / TIMESTAMP, "rb", opener=_opener) as file:
            # nbgrader takes an offset behind a space, such as +0100, for seconds.
            text = re.sub(r" (?=[+-]\d\d:?\d\d$)", "", file.read(100).decode().strip())
            said = parse_utc(text).replace(tzinfo=timezone.utc)
            return min(said, datetime.now(timezone.utc))
    except (OSError, ValueError, OverflowError, AttributeError, TypeError):
        return None


def _secret(source: Path) -> dict[str, bytes]:
    """What `nbgrader release_feedback` asks for, where the exchange has brought it."""
    try:
        with open(source / SECRET, "rb", opener=_opener) as file:
            content = file.read(LONGEST_SECRET + 1)
    except OSError:
        return {}
    return {SECRET: content} if len(content) <= LONGEST_SECRET and content.isascii() else {}


def _opener(path: str, flags: int) -> int:
    """Follow no link, and wait for no pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


@dataclass(frozen=True)
class Receipt:
    """What was kept in received/.

    source: the file or folder; not there if it could not be kept.
    digest: of it, or of the reason.
    names, flags: as `take_in` wants them.
    """

    source: Path
    received: datetime
    digest: str
    names: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()


def keep(
    source: Path,
    course: Path,
    *,
    student: str,
    assignment: str,
    received: datetime,
    names: Iterable[str] = (),
    flags: Iterable[Flag] = (),
) -> tuple[Receipt, bool]:
    """Keep in received/ what came, as it came, unless it is older than what is there, or the same.

    Of the same, the earlier time counts. What cannot be copied leaves a receipt alone.

    Returns:
        The receipt that holds now, and whether it is a new one.
    """
    folder = _kept(course, assignment, student).parent
    old = load_receipt(course, student, assignment)
    with workshop(course) as work:
        copy = work / "new" / f"hand-in{_ending(source)}"
        copy.parent.mkdir()
        digest, left_out = _copied(source, copy)
        if old and (received >= old.received if digest == old.digest else received < old.received):
            return old, False
        receipt = Receipt(
            folder / copy.name,
            received.astimezone(timezone.utc),
            digest,
            tuple(names),
            (*flags, *_left_out(left_out)),
        )
        facts = {
            "name": source.name.encode("utf-8", "replace").decode(),
            "kept": copy.name,
            "received": receipt.received.isoformat(),
            "digest": digest,
            "names": list(receipt.names),
            "flags": _flag_facts(receipt.flags),
        }
        atomic_write(work / "new" / RECEIPT, json.dumps(facts, indent=1) + "\n")
        _swap(work / "new", folder, work / "old")
    return receipt, True


def _copied(source: Path, copy: Path) -> tuple[str, list[str]]:
    """Copy a file or folder; the digest of what was copied or of why it was not, and the rest."""
    left_out: list[str] = []
    try:
        _check_kind(source)
        if source.is_dir():
            left_out = take(source, copy)
        else:
            _check_size(source)
            shutil.copyfile(source, copy)
    except HandInError as error:
        return hashlib.sha256(str(error).encode()).hexdigest(), []
    return digest_of_source(copy), left_out


def _left_out(sentences: list[str]) -> list[Flag]:
    return [Flag("left out", sentence) for sentence in sentences[:MOST_LEFT_OUT]]


def load_receipt(course: Path, student: str, assignment: str) -> Receipt | None:
    """The receipt of a student's last hand-in, or None."""
    folder = _kept(course, assignment, student).parent
    try:
        stored = json.loads((folder / RECEIPT).read_text("utf-8"))
        return Receipt(
            folder / stored["kept"],
            datetime.fromisoformat(stored["received"]),
            stored["digest"],
            tuple(stored["names"]),
            tuple(Flag(**flag) for flag in stored["flags"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _ending(source: Path) -> str:
    """The ending that says how to read a file; none for a folder and what cannot be read."""
    if source.is_dir():
        return ""
    name = source.name.lower()
    return next((end for end in (*OURS, ".ipynb") if name.endswith(end)), "")


def digest_of_source(source: Path) -> str:
    """SHA-256 of a file, or of a folder's regular files with their names."""
    digest = hashlib.sha256()
    files = [source] if source.is_file() else _files(source)
    for file in files:
        name = os.fsencode(str(file.relative_to(source)))
        digest.update(b"%d %d " % (len(name), file.stat().st_size) + name)
        with open(file, "rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def load_released(course: Path, assignment: str) -> NotebookNode:
    """The notebook that nbgrader released.

    Raises:
        CourseError: there is none.
    """
    path = Path(course) / "release" / assignment / f"{assignment}.ipynb"
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise CourseError(
            f"there is no released notebook {path}: run python -m grading release {assignment}."
        ) from error


def check_released(course: Path, assignment: str, rules: Rules) -> None:
    """Whether what is released is worth what the rules say.

    Raises:
        CourseError: a task is not, or nothing is released.
    """
    for cell in load_released(course, assignment).cells:
        its = cell.metadata.get("nbgrader", {})
        task = task_of(grade_id_of(cell))
        if cell.cell_type == "code" and its.get("grade") and its["points"] != rules.maximum(task):
            raise CourseError(
                f"{task} was released for {its['points']:g} points, and {RULES} says "
                f"{rules.maximum(task):g}: run python -m grading release {assignment}, or put it "
                "right there."
            )


def mended(notebook: NotebookNode, course: Path, assignment: str) -> NotebookNode:
    """A notebook of any origin as its clean folder would hold it."""
    return mend(tidied(notebook), load_released(course, assignment))[0]


@lru_cache(maxsize=16)
def _parsed(path: Path, changed: int) -> NotebookNode:
    return nbformat.read(path, as_version=4)


@contextlib.contextmanager
def workshop(course: Path) -> Iterator[Path]:
    """A folder to work in, on the same disk, so that what is done can be moved into place."""
    work = Path(course) / ".intake" / uuid.uuid4().hex
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise CourseError(f"cannot write in {course}: {(error.strerror or '').lower()}.") from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _gather(source: Path, raw: Path) -> list[str]:
    """Everything that was handed in as plain files in the new folder `raw`.

    Returns:
        A sentence for each thing left out.

    Raises:
        HandInError: it cannot be used.
    """
    _check_kind(source)
    if source.is_dir():
        left_out = take(source, raw)
        packed = [file for file in _files(raw) if file.name not in (TIMESTAMP, SECRET, FACTS)]
        if len(packed) != 1 or not is_archive(packed[0].name):
            return left_out
        source, raw_of = packed[0], raw.with_name("packed")
        os.rename(raw, raw_of)
        source = raw_of / source.relative_to(raw)
    if is_archive(source.name):
        try:
            return take(source, raw)
        except HandInError as error:
            raise HandInError(f"the archive {shown(source.name)} cannot be used: {error}") from None
    if ".ipynb" not in source.name.lower():
        raise HandInError(
            f"{shown(source.name)} is neither a zip nor a notebook: hand in what python -m grading "
            "pack makes."
        )
    _check_size(source)
    raw.mkdir()
    shutil.copyfile(source, raw / "handed_in.ipynb")
    return []


def _check_kind(source: Path) -> None:
    if source.is_symlink() or not (source.is_dir() or source.is_file()):
        raise HandInError("what was handed in is neither a file nor a folder: hand in a zip.")


def _check_size(source: Path) -> None:
    if source.stat().st_size > Caps.bytes:
        raise HandInError(
            f"what was handed in is larger than {Caps.bytes // 2**20} MB: hand in what is asked "
            "for alone."
        )


def _files(folder: Path) -> list[Path]:
    """The regular files below a folder of ours, by name, without those of caches."""
    found = []
    for above, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in (".ipynb_checkpoints", "__pycache__", ".git")
        )
        found += [Path(above, name) for name in names]
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


class _HandIn:
    """A hand-in as plain files that are nobody's but ours now.

    root: the folder that stands for the course's own, as far as there is one.
    """

    def __init__(
        self, stage: Stage, released: NotebookNode, raw: Path, left_out: list[str], course: Path
    ) -> None:
        self.stage = stage
        self.raw = raw
        self.flags = _left_out(left_out)
        self.missing: tuple[str, ...] = ()
        self._released = released
        self._course = course
        self._all = _files(raw)
        self._path, notebook, flags = self._notebook()
        self.root = self._root()
        self._mended, its_flags = mend(notebook, released)
        self.flags += flags + its_flags

    def _notebook(self) -> tuple[Path, dict[str, Any], list[Flag]]:
        """The one notebook of this assignment.

        Raises:
            HandInError: there is none, or more than one.
        """
        candidates = [path for path in self._all if ".ipynb" in path.name.lower()]
        wanted = f"{self.stage.folder}.ipynb"
        if not candidates:
            raise HandInError(f"there is no notebook in what was handed in: hand in {wanted}.")
        if len(candidates) > MOST_CANDIDATES:
            raise HandInError(f"there are {len(candidates)} notebooks: hand in {wanted} alone.")
        found, reasons = [], []
        # The one that has the right name comes first, and its reason is what the student reads.
        for path in sorted(candidates, key=lambda path: (path.name != wanted, path)):
            name = shown(path.relative_to(self.raw).as_posix())
            try:
                notebook, flags = read_notebook(path.read_bytes())
                if belongs(notebook, self._released):
                    found.append((path, notebook, flags))
                else:
                    reasons.append(f"{name} has no cell of {self.stage.folder}: hand in {wanted}")
            except HandInError as error:
                reasons.append(f"{name} {error}")
        if not found:
            raise HandInError(f"{reasons[0]}.")
        if len(found) > 1:
            names = " and ".join(
                shown(one[0].relative_to(self.raw).as_posix()) for one in found[:2]
            )
            count = "two" if len(found) == 2 else str(len(found))
            raise HandInError(
                f"there are {count} notebooks of {self.stage.folder}, {names}: hand in the one "
                "that counts."
            )
        return found[0]

    def _root(self) -> Path:
        """Above notebooks/<stage>/, where the notebook lies there, else the notebook's folder."""
        above = self._path.parent
        if PurePosixPath(*above.parts[-2:]) == self.stage.notebook.parent:
            return above.parents[1]
        return above

    def files(self) -> dict[str, bytes]:
        """What the clean folder holds, by its path there."""
        text = nbformat.writes(self._mended)
        files = {f"{self.stage.folder}.ipynb": text.encode()}
        pictures, folder = self._pictures()
        evaluation = self._evaluation(folder)
        if evaluation is not None:
            files[EVALUATION] = evaluation
        if self.stage.pictures:
            there = {PICTURES: pictures, EVALUATION: evaluation}
            self.missing = tuple(name for name, what in there.items() if not what)
        self.flags += self._fixed() + self._shadows() + self._elsewhere()
        return files | pictures

    def _pictures(self) -> tuple[dict[str, bytes], Path]:
        """The pictures, and the folder that they were handed in in."""
        for folder in self._folders():
            its = [p for p in self._all if p.parent == folder and p.suffix.lower() == ".png"]
            if its:
                break
        else:
            return {}, self.root
        if len(its) > MOST_PICTURES:
            sentence = f"of {len(its)} pictures, {MOST_PICTURES} were taken."
            self.flags.append(Flag("picture", sentence))
        good = {}
        for path in its[:MOST_PICTURES]:
            reason = _no_picture(path)
            if reason:
                self.flags.append(Flag("picture", f"{shown(path.name)} {reason}."))
            else:
                good[f"{PICTURES}/{path.stem}.png"] = path.read_bytes()
        return good, folder

    def _folders(self) -> list[Path]:
        """Where pictures may lie, the likeliest first."""
        tops = list(dict.fromkeys([self.root, self._path.parent, self.raw]))
        inside = (PICTURES, f"outputs/{self.stage.folder}", "outputs")
        return [top / name for name in inside for top in tops] + tops

    def _evaluation(self, pictures: Path) -> bytes | None:
        places = [pictures, pictures.parent, *self._folders()]
        for path in (place / EVALUATION for place in places):
            if path in self._all:
                content = path.read_bytes() if path.stat().st_size <= LARGEST_FILE else b""
                if isinstance(_json(content), dict):
                    return content
                self.flags.append(Flag(EVALUATION, "eval.json is not what eval.py writes."))
                return None
        return None

    def _fixed(self) -> list[Flag]:
        """What is fixed and came changed; it is ignored, and said."""
        path = self._course / MANIFEST
        if not path.exists():
            return []
        manifest = _manifest(path, path.stat().st_mtime_ns)
        if self.stage.folder not in manifest.stages:
            return []
        return [
            Flag("fixed file", f"{one.what}{_first_change(one.diff)}")
            for one in manifest.file_differences(self.root, self.stage.folder)
        ]

    def _shadows(self) -> list[Flag]:
        """Files that Python would find in place of what it is asked for."""
        names = {f"{name}.py" for name in sys.stdlib_module_names} | {*SHADOWS}
        found = [
            shown(path.name)
            for path in self._all
            if path.suffix == ".pth"
            or (path.name in names and path.parent in (self.root, self.raw))
        ]
        if not found:
            return []
        sentence = (
            f"files that would stand in for Python's own were ignored: {', '.join(found[:9])}."
        )
        return [Flag("shadow file", sentence)]

    def _elsewhere(self) -> list[Flag]:
        """Answers that were written into the module itself, and not into their cells."""
        path = self.root / "guidance" / f"{self.stage.module}.py"
        written = _written(path) if path in self._all else set()
        stubs = {grade_id_of(cell): cell.source for cell in self._released.cells}
        its = {grade_id_of(cell): cell.source for cell in self._mended.cells}
        names = [
            name
            for name in self.stage.points
            if name in written
            and stubs.get(f"{self.stage.module}-{name}") == its.get(f"{self.stage.module}-{name}")
        ]
        if not names:
            return []
        listed = ", ".join(names)
        sentence = f"guidance/{path.name} answers {listed}, and the notebook's cells do not."
        return [Flag("answer elsewhere", sentence)]


def _written(path: Path) -> set[str]:
    """The functions of a module that do not end in a stub's refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(path.read_bytes()[:LARGEST_FILE]).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return {node.name for node in functions if not isinstance(node.body[-1], ast.Raise)}


@lru_cache(maxsize=4)
def _manifest(path: Path, changed: int) -> Manifest:
    return Manifest.load(path)


def _first_change(diff: str) -> str:
    """The first line of a unified diff that was taken out, and the first put in, in brackets."""
    lines = [line for line in diff.split("\n")[2:] if line[:1] in ("-", "+")]
    first = [next((line for line in lines if line[0] == sign), "") for sign in "-+"]
    listed = " / ".join(shown(line) for line in first if line)
    return f" ({listed})" if listed else ""


def _no_picture(path: Path) -> str:
    """Why a file is not taken for a picture, by its form alone; nothing is decoded here."""
    size = path.stat().st_size
    if size > LARGEST_PICTURE:
        return f"has more than {LARGEST_PICTURE // 2**20} MB and was left out"
    with open(path, "rb") as file:
        head = file.read(24)
    if head[:8] != PNG or head[12:16] != b"IHDR":
        return "is not a PNG and was left out"
    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    if not 0 < width * height <= MOST_PIXELS:
        return f"claims to be {width} by {height} pixels and was left out"
    return ""


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError, MemoryError):
        return None


def _ticket_flags(root: Path, names: set[str]) -> list[Flag]:
    """Whether pack.json names another student than the one who handed it in."""
    path = root / TICKET
    if not path.is_file() or path.stat().st_size > LARGEST_FILE:
        return []
    ticket = _json(path.read_bytes())
    claimed = ticket.get("student_id") if isinstance(ticket, dict) else None
    if not isinstance(claimed, str) or safe_student(claimed) in map(safe_student, names):
        return []
    sentence = f"it was packed for the student {shown(claimed)}, and handed in by another."
    return [Flag("student id", sentence)]


def safe_student(name: str) -> str:
    """A learning platform's id as a name that is safe as a folder; "" if nothing is left of it."""
    kept = re.sub(r"[^A-Za-z0-9._@-]+", "-", name.strip()).strip("-._@")
    return kept[:64] if kept else ""


def _digest(files: dict[str, bytes], flags: tuple[Flag, ...], rejected: str) -> str:
    digest = hashlib.sha256()
    facts = json.dumps([rejected, [[flag.kind, flag.sentence] for flag in flags]])
    for name, content in [*sorted(files.items()), ("", facts.encode())]:
        digest.update(b"%d %d " % (len(name.encode()), len(content)) + name.encode() + content)
    return digest.hexdigest()


def _facts(intake: Intake) -> str:
    facts = {
        "student": intake.student,
        "assignment": intake.assignment,
        "digest": intake.digest,
        "received": intake.received.isoformat(),
        "flags": _flag_facts(intake.flags),
        "rejected": intake.rejected,
        "missing": list(intake.missing),
    }
    return json.dumps(facts, indent=1) + "\n"


def _flag_facts(flags: Iterable[Flag]) -> list[dict[str, str]]:
    return [{"kind": flag.kind, "sentence": flag.sentence} for flag in flags]


def _fill(folder: Path, files: dict[str, bytes], intake: Intake) -> None:
    """Write the clean folder; it is moved into place when it is whole."""
    stamp = intake.received.strftime(TIME_FORMAT) + "\n"
    for name, content in {
        **files,
        TIMESTAMP: stamp.encode(),
        FACTS: _facts(intake).encode(),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _put(work: Path, folder: Path, intake: Intake, course: Path) -> None:
    """Move the clean folder into place, and keep what it says where no student's files go."""
    atomic_write(_kept(course, intake.assignment, intake.student), _facts(intake))
    _swap(work / "clean", folder, work / "old")


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Put one folder in another's place."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(folder):
            os.rename(folder, old)
        os.rename(new, folder)
    except OSError as error:
        raise CourseError(f"cannot write {folder}: {(error.strerror or '').lower()}.") from error


def _kept(course: Path, assignment: str, student: str) -> Path:
    return Path(course) / "received" / assignment / student / FACTS
