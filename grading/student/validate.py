"""Look at your work before you hand it in: is it complete, unchanged where it must be, and right?

python -m grading validate
python -m grading validate 01_sds

Nothing is changed and nothing is sent. The visible checks are run on the code of your notebook, as
the grader will run other checks. The last line says what is still to do, or "ready to hand in".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from distillery.core.cli import documented
from distillery.core.counting import counted
from distillery.core.errors import STILL_TO_DO, CourseError
from distillery.course.student_files import course_root
from grading.student.check_pictures import check_pictures
from grading.student.lint import lint
from grading.student.run_checks import CheckResult, run_checks
from grading.student.student_notebook import answers_of, changed_cells, differing, read_cells
from grading.student.student_stage import StudentStage, find_stages


@dataclass(frozen=True)
class Report:
    """Everything that was found.

    differing: where the notebook's cells and guidance/ hold different answers.
    to_do:     what else must be done for all points.
    to_know:   what may have to be done.
    """

    stage: str
    differing: tuple[str, ...]
    checked: tuple[CheckResult, ...]
    to_do: tuple[str, ...]
    to_know: tuple[str, ...]

    @property
    def ready(self) -> bool:
        return not (self.differing or self.to_do)

    def text(self) -> str:
        lines = [self.stage]
        if self.differing:
            lines.append("the notebook and guidance/ differ:")
            lines += [f"  - {sentence}" for sentence in self.differing]
        lines += [line for one in self.checked for line in _lines(one)]
        earned, worth = (
            sum(getattr(c, name) for c in self.checked) for name in ("points", "worth")
        )
        if self.checked:
            lines.append(f"  The visible checks stand for {earned:g} of {counted(worth, 'point')}.")
        for title, sentences in (("to know", self.to_know), ("to do", self.to_do)):
            if sentences:
                lines += [f"{title}:", *(f"  - {sentence}" for sentence in sentences)]
        if self.ready:
            lines.append(f"ready to hand in: python -m grading pack NAME ID --stage {self.stage}")
        return "\n".join(lines)


def _lines(one: CheckResult) -> Iterator[str]:
    first, *rest = one.lines
    yield f"  {first}  ({one.points:g} of {counted(one.worth, 'point')})"
    yield from (f"  {line}" for line in rest)


def look(stage: StudentStage, *, run: bool = True) -> Report:
    """Look at everything that a stage asks for.

    Args:
        run: whether to run the visible checks and score pictures, which takes some seconds.
    """
    differ: list[str] = []
    to_do: list[str] = []
    to_know: list[str] = []
    checked: list[CheckResult] = []
    try:
        cells = read_cells(stage)
    except CourseError as error:
        to_do.append(str(error))
    else:
        to_do += changed_cells(stage, cells)
        answers, faults = answers_of(stage, cells)
        differ += differing(stage, answers, faults)
        to_do += faults
        to_know += lint(answers, cells)
        if run:
            checked = run_checks(stage, answers)
            named = " ".join(faults)  # tasks of unusable cells are not reported twice
            wrong = [one for one in checked if not one.passed and one.task not in named]
            to_do += [_what_to_do(one) for one in wrong]
    to_know += _changed_files(stage)
    if stage.pictures:
        results, problems = check_pictures(stage, run=run)
        checked += results
        to_do += problems
    return Report(
        stage.name, tuple(differ), tuple(checked), tuple(dict.fromkeys(to_do)), tuple(to_know)
    )


def _changed_files(stage: StudentStage) -> list[str]:
    """Sentences on files that students should not change; the grader does not use them."""
    differences = stage.manifest.differences(stage.root, stage.name, complete=True, linked=True)
    files = [one for one in differences if one.file != stage.fixed.notebook]
    found = [one.what for one in files[:5]]
    if len(files) > 5:
        found.append(f"Not as they were released, too: {counted(len(files) - 5, 'more file')}.")
    if found:
        found.append("The grader uses the released files: your results may differ there.")
    return found


def _what_to_do(one: CheckResult) -> str:
    if STILL_TO_DO in one.lines[0]:
        return one.lines[0]
    return f"{one.task} is not right yet; its check above says what it returned."


def main(arguments: list[str] | None = None) -> int:
    """Print a report on each stage; 0 if all are ready to hand in, else 1."""
    parser = documented("python -m grading validate", __doc__)
    parser.add_argument("stage", nargs="?", default="", help="such as 01_sds (default: all here)")
    options = parser.parse_args(arguments)
    reports = [look(stage) for stage in find_stages(course_root(), options.stage)]
    print("\n\n".join(report.text() for report in reports))
    return int(not all(report.ready for report in reports))
