"""Grades a whole class: how fast compared with plain nbgrader, and whether the grades agree.

    python -m benchmarks.grading_speed
    python -m benchmarks.grading_speed --students 40 --stock 3

A made-up class hands in stage 0: right, partly right, wrong, late, broken and hostile. It is graded
by `python -m grading autograde`, twice. Some of its honest notebooks are graded by stock `nbgrader
autograde` too, in the same run; each figure that matters is a ratio of the two.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import FunctionType

import nbformat
import psutil
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from benchmarks.sample_submissions import save, solved
from benchmarks.submission_cases import CASES
from distillery.core.measured import Figure, add_record_option, record
from grading.release.course_folder import release
from grading.stages import STAGES
from grading.stages.known_answers import Answer
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.variants import VARIANTS

ROOT = Path(__file__).resolve().parents[1]
STAGE = STAGES[0]
NAME = STAGE.folder
SHARES = {"right": 0.45, "partly": 0.2, "wrong": 0.1, "late": 0.08, "broken": 0.07, "hostile": 0.1}
DUE, IN_TIME, LATE = (f"2026-11-{day} 12:00:00.000000 UTC" for day in ("10", "09", "12"))
STOCK = """\
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "stock"
c.Execute.timeout = 300
"""
Write = Callable[[Path, NotebookNode], object]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grading_speed", description=__doc__)
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--stock", type=int, default=8, help="notebooks that stock nbgrader grades")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=1)
    add_record_option(parser)
    return parser


def main() -> None:
    """Make the class, grade it, and print one line for each figure."""
    options = parser().parse_args()
    # nbgrader starts alembic by its name.
    os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="class-of-200-") as scratch:
        course = Path(scratch) / "class"
        release([STAGE], course, say=lambda line: None)
        kinds = make_class(course, options.students, random.Random(options.seed))
        print(f"{options.students} submissions: {dict(Counter(kinds.values()))}")
        ours = graded(course, options.jobs, len(kinds))
        again = graded(course, options.jobs, len(kinds))
        print(f"a second run with nothing new takes {100 * again / ours:.1f} % of the first")
        honest = [student for student, kind in kinds.items() if kind in ("right", "partly")]
        stock = stock_course(Path(scratch), course, honest[: options.stock])
        theirs = timed(["nbgrader", "autograde", NAME, "--course-dir", "."], cwd=stock)
        each, stocks = ours / len(kinds), theirs / options.stock
        print(f"stock nbgrader: {stocks:.2f} s a notebook, {options.stock} of them, one by one")
        print(f"ratio of throughputs: {stocks / each:.1f}")
        same = compare(course, stock, honest[: options.stock])
        if options.record:
            record(
                "grading_speed",
                {
                    "seconds": Figure(ours),
                    "again": Figure(again / ours),
                    "throughput": Figure(stocks / each),
                    "equal": Figure(same / options.stock),
                },
                n=options.students,
                of=f"submissions, with {options.jobs} jobs",
                seeds=[options.seed],
            )


def make_class(course: Path, students: int, chance: random.Random) -> dict[str, str]:
    """Submissions as `nbgrader collect` leaves them; returns student -> kind."""
    released = nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate=DUE)
    kinds = {}
    for number in range(students):
        kind = chance.choices(list(SHARES), list(SHARES.values()))[0]
        student = f"student{number:03}"
        folder = course / "submitted" / student / NAME
        folder.mkdir(parents=True)
        hand_in(kind, chance)(folder, released)
        (folder / "timestamp.txt").write_text(LATE if kind == "late" else IN_TIME)
        kinds[student] = kind
    return kinds


def hand_in(kind: str, chance: random.Random) -> Write:
    """One of a kind, by chance."""
    if kind in ("broken", "hostile"):
        rejected = kind == "broken"
        return chance.choice([c for c in CASES if (c.status == "rejected") == rejected]).write
    right = {name: chance.choice(spellings(VARIANTS, name)) for name in STAGE.points}
    wrong = {name: chance.choice(spellings(MISCONCEPTIONS, name)) for name in STAGE.points}
    spoiled = {"partly": 1, "wrong": len(wrong)}.get(kind, 0)
    codes = right | {name: wrong[name] for name in chance.sample(list(wrong), spoiled)}
    return lambda folder, released: save(folder, solved(released, **codes))


def spellings(answers: tuple[Answer, ...], function: str) -> list[str]:
    """The texts of known answers to a function that stand alone, each with its own imports."""
    found = []
    for answer in answers:
        # What a decorator makes, such as a cache, does not stand alone.
        plain = isinstance(answer.function, FunctionType)
        its = plain and answer.task == f"{STAGE.module}.{function}"
        if its and set(answer.function.__code__.co_names) <= _known(answer):
            lines = inspect.getsource(answer.function).split("\n")
            start = next(i for i, line in enumerate(lines) if line.startswith("def "))
            text = "\n".join(lines[start:]).replace(f"def {answer.name}(", f"def {function}(", 1)
            found.append("import torch\n\n\n" + textwrap.dedent(text))
    return found


def _known(answer: Answer) -> set[str]:
    """The names in a function but those that its module alone defines."""
    module = vars(importlib.import_module(answer.function.__module__))
    return {name for name in answer.function.__code__.co_names if name not in module} | {"torch"}


def graded(course: Path, jobs: int, students: int) -> float:
    """Seconds of one run of ours; prints its memory, too."""
    command = [sys.executable, "-m", "grading", "autograde", NAME, "--course", str(course)]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--jobs", str(jobs)], cwd=ROOT, stderr=subprocess.PIPE)
    assert process.stderr is not None
    memory = []
    for line in process.stderr:
        if b" of " in line:
            memory.append(_memory(process.pid))
    if process.wait():
        sys.exit(f"grading ended with {process.returncode}")
    seconds = time.perf_counter() - began
    each = seconds / students
    print(f"ours: {students} submissions in {seconds:.1f} s with {jobs} jobs, {each:.2f} s each")
    if len(memory) >= 10:
        tenth = len(memory) // 10
        # Medians: now and then a job is counted together with the parent that it shares pages with.
        early, late = median(memory[tenth : 3 * tenth]), median(memory[-2 * tenth :])
        print(f"memory of all its processes: {early:.0f} MB early, {late:.0f} MB late")
    return seconds


def _memory(pid: int) -> float:
    """MB that a process and all below it hold, what they share counted once for each."""
    total = 0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def stock_course(scratch: Path, course: Path, students: list[str]) -> Path:
    """The same release and submissions with nbgrader's own settings.

    Its kernels look for the course folder above them and write the students' cells into the
    guidance/ there, so that one is made.
    """
    shutil.copytree(ROOT / "guidance", scratch / "guidance")
    for folder in ("distillery", "data"):
        (scratch / folder).symlink_to(ROOT / folder)
    stock = scratch / "stock"
    shutil.copytree(course / "source", stock / "source")
    (stock / "nbgrader_config.py").write_text(STOCK)
    subprocess.run(
        ["nbgrader", "generate_assignment", NAME, "--course-dir", ".", "--create"],
        cwd=stock, check=True, capture_output=True,
    )  # fmt: skip
    for student in students:
        shutil.copytree(course / "submitted" / student / NAME, stock / "submitted" / student / NAME)
    return stock


def timed(command: list[str], cwd: Path) -> float:
    began = time.perf_counter()
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{' '.join(command)}:\n{ran.stderr[-3000:]}")
    return time.perf_counter() - began


def compare(course: Path, stock: Path, students: list[str]) -> int:
    """How many honest submissions have the same points; those that do not are printed."""
    with _scores(course) as ours, _scores(stock) as theirs:
        same = [student for student in students if ours(student) == theirs(student)]
        print(f"equal grades: {len(same)} of {len(students)} honest submissions")
        for student in sorted(set(students) - set(same)):
            print(f"  {student}: ours {ours(student)}, stock {theirs(student)}")
        return len(same)


@contextmanager
def _scores(course: Path) -> Iterator[Callable[[str], dict[str, float | None]]]:
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:

        def scores(student: str) -> dict[str, float | None]:
            (notebook,) = gradebook.find_submission(NAME, student).notebooks
            return {grade.name: grade.auto_score for grade in notebook.grades}

        yield scores


if __name__ == "__main__":
    main()
