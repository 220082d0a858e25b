"""Run the visible checks on the code of a notebook, in another process that may hang or die.

`python -m grading.student.run_checks FOLDER` is that process.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.core.errors import in_short
from distillery.course.todo_cell import Answer
from grading.student.student_notebook import assembled
from grading.student.student_stage import StudentStage

PATIENCE_S = 60  # for starting Python, and as much again for each check


@dataclass(frozen=True)
class CheckResult:
    """The result of a visible check, or of the pictures.

    points: as many as the grader would probably give.
    worth:  all points of the task.
    """

    task: str
    passed: bool
    lines: tuple[str, ...]
    points: float
    worth: float


def run_checks(stage: StudentStage, answers: Mapping[str, Answer]) -> list[CheckResult]:
    """The results of the visible checks on these answers, in the order of the tasks."""
    source, left = assembled(stage, answers), list(stage.graded)
    found: dict[str, dict[str, Any]] = {}
    while left:
        ended, ending = _in_another_process(stage, source, left)
        found |= ended
        left = [task for task in left if task not in found]
        if left:
            stuck = left.pop(0)
            found[stuck] = {"passed": False, "lines": [f"{stuck}: {ending}."]}
    return [
        CheckResult(task, one["passed"], tuple(one["lines"]), worth * one["passed"], worth)
        for task, worth in stage.graded.items()
        for one in [found[task]]
    ]


def _in_another_process(
    stage: StudentStage, source: str, tasks: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], str]:
    """The answers of the checks that ended, by task, and why the next one did not end."""
    with tempfile.TemporaryDirectory() as folder:
        question, answers = Path(folder, "question.json"), Path(folder, "answers.jsonl")
        question.write_text(json.dumps({"source": source, "tasks": list(tasks)}), encoding="utf-8")
        command = [sys.executable, "-m", "grading.student.run_checks", folder]
        patience = PATIENCE_S * (1 + len(tasks))
        try:
            done = subprocess.run(
                command,
                cwd=stage.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=patience,
                check=False,
            )
            ending = _ending(done.stderr.decode("utf-8", "replace"))
        except subprocess.TimeoutExpired:
            ending = f"it does not end within {PATIENCE_S} s"
        lines = answers.read_text("utf-8").splitlines() if answers.exists() else []
    found = [json.loads(line) for line in lines]
    return {one["task"]: one for one in found}, ending


def _ending(errors: str) -> str:
    last = errors.strip().splitlines()[-1:] or [""]
    return f"it ends Python itself{f' ({last[0][:160]})' if last[0] else ''}"


def answer(folder: Path) -> None:
    """In the other process: run the checks, and write each answer at once."""
    from distillery.course.check import check
    from distillery.course.student_files import student_file

    asked = json.loads((folder / "question.json").read_text("utf-8"))
    module = asked["tasks"][0].partition(".")[0]
    names: dict[str, Any] = {"__name__": f"guidance.{module}"}
    problem = ""
    try:
        exec(compile(asked["source"], str(student_file(module)), "exec"), names)
    except (Exception, SystemExit) as error:
        problem = f"loading it stops with {type(error).__name__}: {in_short(Exception(error))}"
    with open(folder / "answers.jsonl", "a", encoding="utf-8") as file:
        for task in asked["tasks"]:
            if problem:
                said = {"passed": False, "lines": [f"{task}: {problem}"]}
            else:
                with contextlib.redirect_stdout(io.StringIO()):
                    result = check(task, names[task.partition(".")[2]])
                said = {"passed": result.passed, "lines": list(result.lines)}
            file.write(json.dumps({"task": task, **said}) + "\n")
            file.flush()


if __name__ == "__main__":
    answer(Path(sys.argv[1]))
