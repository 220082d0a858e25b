"""Make the course folder of a class: nbgrader's source/ and release/, and what students get.

python -m grading release
python -m grading release 00_tour 01_sds --course class
python -m grading release --answers 01_sds

For each stage it grades the reference, which must get every point of its functions, and the stubs,
which must get none. Then nbgrader makes the assignment, and bundles/<stage>.zip is packed without
any answer. manifest.json lists what students must not change. Missing settings, rules and gradebook
are created, so the folder is ready for the next steps. You can release again at any time, and no
flag is needed for it: what you wrote in nbgrader_config.py and rules.yaml stays.

After the deadline, --answers makes bundles/<stage>_answers.zip: the notebook with all answers, run,
our functions, and the answers to bug hunts, dares and questions. Unpacked over a student's course,
`answer("sds.sds_grad")` in a notebook shows them. It releases nothing else.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import nbformat

from distillery.core.cli import documented
from distillery.core.counting import counted
from distillery.core.errors import CourseError, in_short
from distillery.core.files import atomic_write, shown
from grading.authoring.build import (
    ROOT,
    answered_text,
    nbgrader_files,
    sequel_texts,
    student_text,
)
from grading.authoring.make_stubs import stub_module
from grading.authoring.written_answers import said as hidden
from grading.core.due_dates import due_date, due_sentence
from grading.core.manifest import NAME, Manifest, StageManifest, bundle_of
from grading.core.nbgrader_api import logged, nbgrader
from grading.core.nbgrader_config import NAME as SETTINGS
from grading.core.nbgrader_config import write_settings
from grading.core.notebook_cells import grade_id_of, task_of
from grading.core.rules import NAME as RULES
from grading.core.rules import Rules, settle
from grading.core.times import UTC, machine_zone
from grading.release.answers_zip import give_out
from grading.release.bundle import bundle, contents
from grading.stages import STAGES
from grading.stages.stage import Stage

if TYPE_CHECKING:
    from grading.judge.grade import Grader

T = TypeVar("T")
A_STAGE_S = "2 to 20"  # seconds that one stage takes on an ordinary computer


def release(
    stages: Sequence[Stage],
    course: Path,
    *,
    root: Path = ROOT,
    replace_settings: bool = False,
    say: Callable[[str], object] = print,
) -> Manifest:
    """Release stages into a course folder, and return its new manifest.

    Every file is complete at any moment, and the manifest is written last.

    Args:
        replace_settings: replace changed nbgrader settings by ours; the changed file is kept under
            another name.
        say: called with a line for each step.

    Raises:
        CourseError: the reference does not get every point, the stubs get points, an answer would
            be released, nbgrader refuses, or a file cannot be written.
    """
    course = Path(course).resolve()
    began = time.monotonic()
    write_settings(course, root=root, replace_yours=replace_settings, say=say)
    rules = _rules(course, say)
    manifest = _begun(course, root)
    say(f"{_count(stages)} to release; each takes {A_STAGE_S} seconds.")
    with trial_grader(rules) as grader:
        for number, stage in enumerate(stages, start=1):
            stage = worth(stage, rules)
            say(f"{stage.folder} ({number} of {len(stages)}): grading the reference and the stubs")
            passed, verified = _timed(verify, stage, root, grader)
            points = counted(passed, "point")
            say(f"{stage.folder}: the reference gets all {points}, stubs 0 ({verified}).")
            manifest, packed = _timed(_released, stage, course, root, rules, manifest)
            say(
                f"{stage.folder}: students get {shown(bundle_of(course, stage.folder))} ({packed})."
            )
            if due := due_date(course, stage.folder):
                say(due_sentence(stage.folder, due, rules.zone))
    say(f"{_count(stages)} released in {time.monotonic() - began:.0f} s.")
    return manifest


def _count(stages: Sequence[Stage]) -> str:
    return counted(len(stages), "stage")


def _timed(work: Callable[..., T], *given: Any) -> tuple[T, str]:
    """What a function gives, and how long that took."""
    began = time.monotonic()
    found = work(*given)
    return found, f"{time.monotonic() - began:.1f} s"


def _released(stage: Stage, course: Path, root: Path, rules: Rules, manifest: Manifest) -> Manifest:
    """Make the assignment and the students' zip; returns the manifest with this stage."""
    notebook = _generate(stage, course, root, rules)
    stub = stub_module(_reference(stage, root), stage.sentence).encode()
    packed, its = bundle(stage, contents(stage, root, notebook, stub), manifest.version)
    atomic_write(bundle_of(course, stage.folder), packed)
    manifest = _with(manifest, stage, its)
    atomic_write(course / NAME, manifest.text())
    return manifest


def worth(stage: Stage, rules: Rules) -> Stage:
    """The stage with the points that the rules give its tasks."""
    points = {name: rules.worth(f"{stage.module}.{name}") for name in stage.points}
    pictures = rules.worth(f"{stage.module}.pictures") if stage.pictures else 0
    return replace(stage, points=points, pictures=pictures)


@contextlib.contextmanager
def trial_grader(rules: Rules) -> Iterator[Grader]:
    """A grader with an empty course folder of its own, in which `verify` grades.

    It draws no pictures again: neither the reference nor the stubs hand in any.
    """
    from grading.judge.grade import open_grader

    with tempfile.TemporaryDirectory() as folder:
        replace(rules, regenerate=0).save(Path(folder) / RULES)
        with open_grader(Path(folder)) as grader:
            yield grader


def verify(stage: Stage, root: Path, grader: Grader) -> float:
    """Check that the reference passes every task and the stubs pass none.

    Both run through the visible checks, and are graded like submissions of a class.

    Returns:
        The points of the reference.

    Raises:
        CourseError: the reference fails a task, or a stub passes one.
    """
    source = _reference(stage, root)
    answered = _functions(source, stage)
    stubs = _functions(stub_module(source, stage.sentence), stage)
    tasks = [f"{stage.module}.{name}" for name in stage.points]
    wrong = [task for task in tasks if not _passes(task, answered)]
    right = [task for task in tasks if _passes(task, stubs)]
    _refuse(stage, wrong, right, "visible checks")
    reference, unanswered = _graded(stage, root, grader)
    wrong = [task for task in tasks if reference[task] < stage.points[task.split(".")[1]]]
    right = [task for task in tasks if unanswered[task] > 0]
    _refuse(stage, wrong, right, "hidden checks")
    return sum(reference[task] for task in tasks)


def _refuse(stage: Stage, wrong: Sequence[str], right: Sequence[str], by: str) -> None:
    if wrong:
        raise CourseError(
            f"{stage.folder} is not released: the reference fails the {by} of {', '.join(wrong)}; "
            "run python -m grading build, and if that does not help, fix the reference."
        )
    if right:
        raise CourseError(
            f"{stage.folder} is not released: the stub passes the {by} of {', '.join(right)}."
        )


def _graded(stage: Stage, root: Path, grader: Grader) -> tuple[dict[str, float], dict[str, float]]:
    """Task -> points of the reference, and of the stubs, both graded like a class.

    Raises:
        CourseError: they could not be graded.
    """
    from grading.core.submission import Submission
    from grading.intake.take_in import take_in
    from grading.judge.grade import grade

    answered, student = answered_text(stage, root), student_text(stage, root)
    notebook, course = f"{stage.folder}.ipynb", grader.course
    atomic_write(course / "release" / stage.folder / notebook, student)
    came = []
    for name, text in (("reference", answered), ("stubs", student)):
        handed_in = course / "handed-in" / stage.folder / name
        atomic_write(handed_in / notebook, text)
        submission = Submission(course, name, stage.folder)
        take_in(handed_in, submission, received=datetime.now(timezone.utc))
        record = grade(submission, grader=grader)
        if record.status != "graded":
            raise CourseError(f"{stage.folder} is not released: {record.reason}")
        came.append({verdict.task: verdict.points for verdict in record.verdicts})
    return came[0], came[1]


def _functions(source: str, stage: Stage) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": f"released.{stage.module}"}
    exec(compile(source, f"<{stage.module}>", "exec"), names)
    return names


def _passes(task: str, functions: dict[str, Any]) -> bool:
    from distillery.course.check import check

    # A check prints lines for students.
    with contextlib.redirect_stdout(io.StringIO()):
        return check(task, functions[task.split(".")[1]]).passed


def _generate(stage: Stage, course: Path, root: Path, rules: Rules) -> bytes:
    """Write source/, have nbgrader make release/, and return the released notebook."""
    for path, content in nbgrader_files(root, (stage,)).items():
        if path.name != SETTINGS:
            atomic_write(course / path, _with_optional(content, stage, rules))
    said = ""
    with nbgrader(course) as api:
        _ready_gradebook(api.coursedir.db_url, api.coursedir.course_id)
        with logged() as lines:
            succeeds = _succeeds(api, stage.folder)
        said = lines.getvalue()
    released = course / "release" / stage.folder / f"{stage.folder}.ipynb"
    if not succeeds or not released.is_file():
        raise CourseError(f"nbgrader does not release {stage.folder}: {_why(said)}")
    # No part of nbgrader's assignment, but students get them.
    for further, text in sequel_texts(stage, root, hidden(stage)).items():
        atomic_write(released.with_name(further.name), text)
    return released.read_bytes()


def _succeeds(api: Any, assignment: str) -> bool:
    """Let nbgrader make release/<assignment>/, replacing an older one."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException

    # nbgrader's API would report Ctrl-C as a failure.
    api.coursedir.assignment_id = assignment
    converter = GenerateAssignment(coursedir=api.coursedir, parent=api)
    converter.force = True
    try:
        converter.start()
    except NbGraderException:
        return False
    return True


def _with_optional(notebook: bytes, stage: Stage, rules: Rules) -> bytes:
    """The notebook with the checks of optional tasks worth no points in the total."""
    cells = nbformat.reads(notebook.decode(), as_version=4)
    for cell in cells.cells:
        its, task = cell.metadata.get("nbgrader", {}), task_of(grade_id_of(cell))
        if "points" in its and task in rules.optional:
            its["points"] = rules.maximum(task)
    return (nbformat.writes(cells) + "\n").encode()


def _why(said: str) -> str:
    """The last exception in nbgrader's log, otherwise its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    return [*(lines or ["it does not say why"]), *raised][-1]


def _ready_gradebook(url: str, course_id: str) -> None:
    """Make the gradebook completely or not at all: nbgrader leaves a partial one when stopped.

    Raises:
        CourseError: the gradebook cannot be opened.
    """
    import sqlalchemy
    from nbgrader.api import Gradebook

    file = Path(url.removeprefix("sqlite:///"))
    if not url.startswith("sqlite:///") or _is_whole(file):
        try:
            Gradebook(url, course_id).close()
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise CourseError(
                f"the gradebook {url} cannot be used ({in_short(error)}): correct db_url in "
                f"{SETTINGS}, or start its server."
            ) from None
        return
    partial = file.with_name(f".{file.name}.part")
    partial.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    Gradebook(f"sqlite:///{partial}", course_id).close()
    os.replace(partial, file)


def _is_whole(file: Path) -> bool:
    """Whether there is a gradebook with a version number.

    Raises:
        CourseError: the file is something else; it is not overwritten.
    """
    if not file.exists() or not file.stat().st_size:
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error:
        versions = []
    if not versions:
        raise CourseError(
            f"{file} is not a complete gradebook; move it away and release again to make a new one."
        )
    return True


def _rules(course: Path, say: Callable[[str], object]) -> Rules:
    path = course / RULES
    if not path.exists():
        Rules().save(path)
        say(f"{shown(path)} has the rules; change them there, and release again.")
    rules = settle(course)
    unknown = machine_zone() is None and rules.zone.key == UTC
    say(
        f"Times without a zone are read in {rules.zone.key}, and all times are shown in it"
        + (", because this machine names no zone of its own" if unknown else "")
        + f"; time_zone in {shown(path)} changes it."
    )
    return rules


def _begun(course: Path, root: Path) -> Manifest:
    """The manifest so far; it keeps stages that are not released now."""
    path = course / NAME
    stages = Manifest.load(path).stages if path.exists() else {}
    return Manifest(version(root), stages)


def _with(manifest: Manifest, stage: Stage, its: StageManifest) -> Manifest:
    return replace(manifest, stages={**manifest.stages, stage.folder: its})


def version(root: Path = ROOT) -> str:
    """Of the course, from its pyproject.toml."""
    text = (root / "pyproject.toml").read_text("utf-8")
    found = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise CourseError(f"{root / 'pyproject.toml'} has no version.")
    return found[1]


def _reference(stage: Stage, root: Path) -> str:
    return (root / "reference" / f"{stage.module}.py").read_text("utf-8")


def stages_named(names: Sequence[str]) -> list[Stage]:
    """Stages by folder or module name, in the course's order; all of them for no name.

    Raises:
        CourseError: a name is none of them.
    """
    known = {name: stage for stage in STAGES for name in (stage.folder, stage.module)}
    unknown = [name for name in names if name not in known]
    if unknown:
        folders = ", ".join(stage.folder for stage in STAGES)
        raise CourseError(f"there is no stage {unknown[0]!r}; there are {folders}.")
    wanted = {known[name].folder for name in names}
    return [stage for stage in STAGES if not names or stage.folder in wanted]


def main(arguments: list[str] | None = None) -> int:
    """Release what the command line names."""
    parser = documented("python -m grading release", __doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="such as 01_sds (default: all)")
    parser.add_argument(
        "--course", type=Path, default=Path("class"), help="the course folder (default: class)"
    )
    parser.add_argument(
        "--replace-settings",
        action="store_true",
        help="replace your nbgrader_config.py by ours; yours is kept under another name",
    )
    parser.add_argument(
        "--answers",
        action="store_true",
        help="after the deadline: make the zips with the answers of the named stages, only",
    )
    options = parser.parse_args(arguments)
    if options.answers:
        if not options.stages:
            raise CourseError("name the stages whose deadline is over, as in --answers 01_sds.")
        for stage in stages_named(options.stages):
            made = give_out(stage, options.course, say=partial(print, flush=True))
            print(f"{stage.folder}: the answers are in {shown(made)}; hand it to your students.")
        return 0
    release(
        stages_named(options.stages),
        options.course,
        replace_settings=options.replace_settings,
        say=partial(print, flush=True),  # a pipe would show the lines only at the end
    )
    return 0
