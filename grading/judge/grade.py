"""Grade one submission that has been taken in, and save its record."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import nbformat
from PIL import Image

from distillery.core.counting import counted
from distillery.core.errors import CourseError, in_short
from distillery.course.kinds import all_to_wire
from distillery.course.sentences import unfinished
from distillery.course.submission_pictures import load_hand_in
from grading.core.records import EXPECTED, Flag, Record, Scores, Status, Store, Verdict
from grading.core.rules import NAME, Rules
from grading.core.submission import Submission
from grading.intake.clean_folder import Intake, load_intake
from grading.judge.assemble_module import left_out, module_for, module_text
from grading.judge.judge_task import OTHER_INPUTS, Key, judge
from grading.judge.pictures import SCORES, Scoring, grade_pictures
from grading.judge.redraw import NOT_REDRAWN, Redrawing, expected_pictures
from grading.sandbox.jobs import Job, Limits, Reply, Sandbox, SandboxError
from grading.sandbox.select_backend import open_sandbox
from grading.stages import stage_of
from grading.stages.stage import Stage

TRIES = 3
WRONG_CODE = "pictures of wrong code"  # the kind of a flag


class Grader:
    """Rules, the answer key and a sandbox, opened once for many submissions.

    It is a `Sandbox` too; the real one is opened for the first job and replaced when it fails.

    Args:
        sandbox: its name, or None for the strongest one that works on this machine.

    Raises:
        CourseError: the course folder has no rules, or they have no seed yet.
    """

    def __init__(self, course: Path, sandbox: str | None = None) -> None:
        self.course = Path(course)
        self.rules = Rules.load(self.course / NAME)
        if self.rules.seed is None:
            raise CourseError(f"{self.course / NAME} has no seed: run python -m grading release.")
        self.key = Key(self.rules.seed)
        self.limits = Limits(
            wall_s=self.rules.wall_s, cpu_s=self.rules.cpu_s, memory_mb=self.rules.memory_mb
        )
        self.name = sandbox or ""
        self.leaves_open: tuple[str, ...] = ()
        self._sandbox: Sandbox | None = None

    def run(self, job: Job, limits: Limits) -> Reply:
        """Run a job.

        Raises:
            SandboxError: three sandboxes failed, one after the other.
        """
        for _ in range(TRIES - 1):
            try:
                return self._opened().run(job, limits)
            except SandboxError:
                self.close()
        return self._opened().run(job, limits)

    def expected(self, stage: Stage) -> dict[str, Image.Image] | None:
        """What right code draws, so that equal pictures need not be drawn again."""
        if not stage.pictures or not self.rules.regenerate:
            return None
        return expected_pictures(stage, self.course / EXPECTED)

    def _opened(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = open_sandbox(self.name or None)
            self.leaves_open = self._sandbox.leaves_open
            for sentence in self.leaves_open:
                print(f"warning: {self._sandbox.name}: {sentence}", file=sys.stderr)
        return self._sandbox

    def close(self) -> None:
        if self._sandbox is not None:
            # The sandbox may be what failed.
            with suppress(SandboxError, OSError):
                self._sandbox.close()
            self._sandbox = None


@contextmanager
def open_grader(course: Path, sandbox: str | None = None) -> Iterator[Grader]:
    """A grader for a course folder, closed at the end.

    Raises:
        CourseError: as `Grader` does.
    """
    grader = Grader(course, sandbox)
    try:
        yield grader
    finally:
        grader.close()


def grade(submission: Submission, *, grader: Grader) -> Record:
    """Grade a submission and save the record.

    An error on our side gives a record with the status "grader error", never zero points.

    Raises:
        CourseError: it has not been taken in, or the record cannot be written.
    """
    intake = load_intake(submission)
    if intake is None:
        raise CourseError(
            f"{submission.folder} has not been collected: run python -m grading collect."
        )
    began = time.perf_counter()
    try:
        record, figures = _graded(intake, grader)
    except Exception as error:
        reason = f"{type(error).__name__}: {in_short(error)}"
        record, figures = _record(intake, grader.rules, "grader error", reason), {}
    record = replace(record, seconds=round(time.perf_counter() - began, 3))
    Store(submission.course).save(record, figures)
    return record


def _graded(intake: Intake, grader: Grader) -> tuple[Record, dict[str, bytes]]:
    """The record and its figures by name."""
    if intake.rejected:
        return _record(intake, grader.rules, "rejected", intake.rejected), {}
    stage = stage_of(intake.assignment)
    notebook = nbformat.read(intake.submission.notebook, as_version=4)
    source, early = module_text(stage, notebook)
    verdicts: list[Verdict] = []
    figures: dict[str, bytes] = {}
    for function in stage.points:
        verdict, figure = early.get(function), None
        if verdict is None:
            verdict, figure = _judged(stage, function, notebook, source, grader)
            verdict = _with_cause(verdict, verdicts, grader.key)
            verdict = _with_notes(verdict, left_out(stage, notebook, function))
        verdicts.append(_by_rule(verdict, grader.rules))
        if figure is not None and verdict.figure is not None:
            figures[verdict.figure] = figure
    is_right = all(verdict.outcome == "right" for verdict in verdicts)
    expected = grader.expected(stage) if is_right else None
    pictures, flags = grade_pictures(
        intake.folder,
        stage,
        rules=grader.rules,
        scoring=Scoring(scores=_scores(intake, stage, grader.course)),
        redrawing=Redrawing(grader, source, grader.key.seed, expected),
    )
    if pictures is not None:
        flags += _by_wrong_code(pictures, verdicts)
        verdicts.append(pictures)
    if grader.rules.not_reproduced == "all" and _is_untrue(flags):
        verdicts = [_annulled(verdict) for verdict in verdicts]
    record = _record(intake, grader.rules, "graded", "")
    return replace(record, verdicts=tuple(verdicts), flags=(*intake.flags, *flags)), figures


def _scores(intake: Intake, stage: Stage, course: Path) -> Scores | None:
    """The scores of its pictures, where the whole class was scored before."""
    if not stage.pictures:
        return None
    return Store(course).scores(intake.submission, load_hand_in(stage.folder).scorer)


def _judged(
    stage: Stage, function: str, notebook: nbformat.NotebookNode, whole: str, grader: Grader
) -> tuple[Verdict, bytes | None]:
    """Run one function in the sandbox, and judge its result outside.

    whole: the text of the module with all answers.
    """
    least = module_for(stage, notebook, function)
    verdict, figure = _verdict_on(least, stage, function, grader)
    if verdict.outcome in ("stopped", "to do") and whole != least:
        # Not every use of another cell can be seen in the text, as after `from math import *`.
        again = _verdict_on(whole, stage, function, grader)
        if again[0].outcome in ("right", "wrong"):
            return again
    return verdict, figure


def _verdict_on(
    source: str, stage: Stage, function: str, grader: Grader
) -> tuple[Verdict, bytes | None]:
    """The verdict on a function of a module with this text."""
    task = f"{stage.module}.{function}"
    asked = grader.key.task(task)
    cases, tensors = all_to_wire([trial.case for trial in asked.trials])
    facts = {"function": function, "cases": cases}
    return judge(
        asked,
        grader.run(Job("task", stage.module, source, facts, tensors), grader.limits),
        grader.rules.worth(task),
        limits=grader.limits,
        partial=grader.rules.partial_credit,
    )


def _with_cause(verdict: Verdict, earlier: Sequence[Verdict], key: Key) -> Verdict:
    """The verdict, with a line on wrong earlier answers that the function uses."""
    if verdict.outcome not in ("wrong", "stopped") or verdict.misconception is not None:
        return verdict
    wrong = {other.task.split(".")[1] for other in earlier if other.outcome != "right"}
    used = [name for name in key.task(verdict.task).uses if name in wrong]
    return replace(verdict, lines=(*verdict.lines, *unfinished(used)))


def _with_notes(verdict: Verdict, notes: Sequence[str]) -> Verdict:
    """The verdict, with lines on what was not graded; the line on other inputs stays the last."""
    last = tuple(line for line in verdict.lines if line == OTHER_INPUTS)
    others = [line for line in verdict.lines if line != OTHER_INPUTS]
    return replace(verdict, lines=(*others, *(f"  {note}" for note in notes), *last))


def _by_rule(verdict: Verdict, rules: Rules) -> Verdict:
    """The verdict with the points of the rules, also where nothing was run."""
    return replace(verdict, worth=rules.worth(verdict.task))


def _is_untrue(flags: list[Flag]) -> bool:
    """Whether the student reported scores or handed in pictures that cannot be reproduced."""
    return any(flag.kind in (NOT_REDRAWN, SCORES) for flag in flags)


def _by_wrong_code(pictures: Verdict, functions: Sequence[Verdict]) -> list[Flag]:
    """A flag where pictures earn points and the code that should draw them is not right.

    Some mistakes still draw well. Code that replaces the drawing by something else does, too.
    """
    wrong = [f"{one.task} ({one.outcome})" for one in functions if one.outcome != "right"]
    if not pictures.points or not wrong:
        return []
    earned = counted(pictures.points, "point")
    sentence = f"the pictures earn {earned}, without a right {', '.join(wrong)}."
    return [Flag(WRONG_CODE, sentence)]


def _annulled(verdict: Verdict) -> Verdict:
    line = "By the rules of this course nothing counts where a result cannot be reproduced."
    return replace(verdict, points=0.0, lines=(*verdict.lines, line))


def _record(intake: Intake, rules: Rules, status: Status, reason: str) -> Record:
    """A record without verdicts."""
    assert rules.seed is not None
    return Record(
        student=intake.student,
        assignment=intake.assignment,
        digest=intake.digest,
        seed=rules.seed,
        status=status,
        reason=reason,
        verdicts=(),
        flags=intake.flags,
        seconds=0.0,
        rules=rules.digest,
    )
