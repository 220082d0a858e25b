"""Look at your work before you hand it in: is everything there, unchanged where it is fixed, right?

python -m grading validate
python -m grading validate 01_sds

Nothing is changed and nothing is sent. It runs the visible checks on the code of your notebook, as
the grader will run others, and ends with what is still to do, or with "ready to hand in".
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.core.errors import STILL_TO_DO, CourseError, in_short
from distillery.course.student_files import course_root
from grading.core.manifest import IN_BUNDLE, Cell, Manifest, StageManifest
from grading.core.notebook_cells import (
    check_id,
    code_below,
    grade_id_of,
    source_of,
    task_named,
    todo_id,
)

ABSOLUTE = re.compile(r"^(/(home|Users|content|tmp|mnt|kaggle|root)\b|[A-Za-z]:[\\/]|~/|\\\\)")
INSTALLS = re.compile(r"^[ \t]*[!%][ \t]*(pip|conda|mamba|uv|apt|apt-get)\b", re.MULTILINE)
OUTSIDE = {"socket", "urllib", "http", "requests", "httpx", "ftplib", "huggingface_hub", "wget"}
PROGRAMS = {"subprocess", "multiprocessing", "os", "shutil", "ctypes"}
WAITING = {"input": "waits for somebody to type", "breakpoint": "waits for somebody to debug"}
PATIENCE_S = 60  # for starting Python, and as much again for each check
SAME_SCORE = 1e-3  # the last digits of a score hang on the processor


@dataclass(frozen=True)
class Work:
    """A stage as it stands in a student's folder.

    name: "01_sds".
    root: the course folder.
    """

    name: str
    root: Path
    manifest: Manifest

    @property
    def fixed(self) -> StageManifest:
        return self.manifest.stage(self.name)

    @property
    def notebook(self) -> Path:
        return self.root / self.fixed.notebook

    @property
    def graded(self) -> dict[str, float]:
        """Task -> points of its check."""
        checks = {cell.grade_id: cell.points for cell in self.fixed.cells}
        module = self.fixed.module
        tasks = [f"{module}.{function}" for function in self.fixed.functions]
        return {task: checks[check_id(task)] for task in tasks}

    @property
    def pictures(self) -> float:
        """Points of the pictures; 0 for a stage that hands in none."""
        name = todo_id(f"{self.fixed.module}.pictures")
        return sum(cell.points for cell in self.fixed.cells if cell.grade_id == name)


@dataclass(frozen=True)
class Checked:
    """What a visible check says of one task. points: what it stands for."""

    task: str
    passed: bool
    lines: tuple[str, ...]
    points: float
    worth: float


@dataclass(frozen=True)
class Report:
    """All that was found. to_do: must be done for all points. to_know: only may have to be."""

    stage: str
    checked: tuple[Checked, ...]
    to_do: tuple[str, ...]
    to_know: tuple[str, ...]

    @property
    def ready(self) -> bool:
        return not self.to_do

    def text(self) -> str:
        lines = [self.stage, *(line for one in self.checked for line in _shown(one))]
        earned, worth = (
            sum(getattr(c, name) for c in self.checked) for name in ("points", "worth")
        )
        if self.checked:
            lines.append(f"  The visible checks stand for {earned:g} of {worth:g} points.")
        for title, sentences in (("to know", self.to_know), ("to do", self.to_do)):
            if sentences:
                lines += [f"{title}:", *(f"  - {sentence}" for sentence in sentences)]
        if self.ready:
            lines.append(f"ready to hand in: python -m grading pack NAME ID --stage {self.stage}")
        return "\n".join(lines)


def _shown(one: Checked) -> Iterator[str]:
    first, *rest = one.lines
    yield f"  {first}  ({one.points:g} of {one.worth:g} points)"
    yield from (f"  {line}" for line in rest)


def find_stages(root: Path, name: str = "") -> list[Work]:
    """The stages that were released into this folder, or the one named.

    Raises:
        CourseError: there is none, or not this one.
    """
    paths = sorted((root / IN_BUNDLE).glob("*.json"))
    if not paths:
        raise CourseError(
            f"{root} is no copy that was made for students: it has no {IN_BUNDLE}; unpack the "
            "stage's zip there, and leave everything in it."
        )
    stages = {path.stem: Work(path.stem, root, Manifest.load(path)) for path in paths}
    for stage in stages.values():
        if name in (stage.name, stage.fixed.module):
            return [stage]
    if name:
        raise CourseError(f"there is no stage {name!r} in {root}; there is {', '.join(stages)}.")
    return list(stages.values())


def look(stage: Work, *, run: bool = True) -> Report:
    """Look at everything that will be required of a stage.

    Args:
        run: whether to run the visible checks, and score pictures; it takes some seconds.
    """
    to_do: list[str] = []
    to_know: list[str] = []
    checked: list[Checked] = []
    try:
        cells = read_cells(stage)
    except CourseError as error:
        to_do.append(str(error))
    else:
        to_do += _about_cells(stage, cells)
        codes, faults = codes_of(stage, cells)
        to_do += faults
        to_know += _lint(codes, cells)
        to_do += _not_saved(stage, codes)
        if run:
            checked = _run_checks(stage, codes)
            said = " ".join(faults)  # a cell that stays out is no stub that is to do
            wrong = [one for one in checked if not one.passed and one.task not in said]
            to_do += [_what_to_do(one) for one in wrong]
    to_know += _changed_files(stage)
    if stage.pictures:
        checked += _about_pictures(stage, to_do, run=run)
    return Report(stage.name, tuple(checked), tuple(dict.fromkeys(to_do)), tuple(to_know))


def read_cells(stage: Work) -> list[dict[str, Any]]:
    """The cells of the student's notebook, each source one string.

    Raises:
        CourseError: it is missing, no notebook, or that of something else.
    """
    path, name = stage.notebook, stage.fixed.notebook
    if not path.is_file():
        others = sorted(path.parent.glob("*.ipynb")) if path.parent.is_dir() else []
        also = f"; is it {others[0].name}? Then rename that" if others else ""
        raise CourseError(f"{name} is missing{also}.")
    try:
        stored = json.loads(path.read_bytes().decode("utf-8-sig"))
        cells = [_cell(one) for one in stored["cells"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CourseError(
            f"{name} is no notebook as Jupyter saves it; save it there again."
        ) from None
    language = stored.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    if language != "python":
        raise CourseError(f"{name} has a kernel for {language}; choose one for Python and save it.")
    ids = {grade_id_of(cell) for cell in cells}
    if not ids & {cell.grade_id for cell in stage.fixed.cells}:
        raise CourseError(f"{name} has none of the cells of {stage.name}; is it another notebook?")
    return cells


def _cell(stored: Mapping[str, Any]) -> dict[str, Any]:
    kind, metadata = stored["cell_type"], stored.get("metadata", {})
    return {"cell_type": kind, "source": source_of(stored), "metadata": dict(metadata)}


def _about_cells(stage: Work, cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is not as it must be about the cells that were given."""
    for cell in stage.fixed.cells:
        came = [one for one in cells if grade_id_of(one) == cell.grade_id]
        what = f"the {'check' if cell.locked else 'TODO cell'} {cell.grade_id}"
        if not came:
            yield f"{what} is missing; copy it from the notebook in the zip."
        elif len(came) > 1:
            yield f"{what} is there {len(came)} times; delete the copies."
        elif came[0]["cell_type"] != cell.cell_type:
            yield f"{what} is no {cell.cell_type} cell any more; change it back."
        elif cell.locked and came[0]["source"] != cell.source:
            yield f"{what} was changed; write there again: {cell.source}"


def codes_of(stage: Work, cells: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], list[str]]:
    """Function -> the code of its cell, and what is wrong with the cells.

    A cell that is as it was released, or that cannot be used, gives no code.
    """
    from distillery.course.todo_magic import check_cell, replaced

    codes: dict[str, str] = {}
    faults: list[str] = []
    module, text = stage.fixed.module, stage.fixed.stub
    released = {cell.grade_id: cell for cell in stage.fixed.cells}
    for function in stage.fixed.functions:
        task = f"{module}.{function}"
        grade_id = todo_id(task)
        came = next((cell for cell in cells if grade_id_of(cell) == grade_id), None)
        if came is None or came["cell_type"] != "code" or _is_untouched(came, released[grade_id]):
            continue
        try:
            code = _code_of(task, came["source"])
            check_cell(task, function, code)  # as running the cell does
            text = replaced(text, task, code)
            codes[function] = code
        except CourseError as error:
            faults.append(str(error).replace("was not saved", "cannot be graded"))
    return codes, faults


def _is_untouched(cell: Mapping[str, Any], released: Cell) -> bool:
    return "".join(cell["source"].split()) == "".join(released.source.split())


def _code_of(task: str, source: str) -> str:
    if task_named(source) != task:
        raise CourseError(f"the cell of {task} must begin with the line %%todo {task}.")
    return code_below(source)


def assembled(stage: Work, codes: Mapping[str, str]) -> str:
    """The module that is graded: the stub, with the code of the notebook's cells put in."""
    from distillery.course.todo_magic import replaced

    text = stage.fixed.stub
    for function, code in codes.items():
        text = replaced(text, f"{stage.fixed.module}.{function}", code)
    return text


def _not_saved(stage: Work, codes: Mapping[str, str]) -> Iterator[str]:
    """Functions whose cell says something else than guidance/, which draws the pictures."""
    path = stage.root / stage.fixed.guidance
    try:
        present = path.read_text("utf-8")
    except (OSError, ValueError):
        yield f"{stage.fixed.guidance} cannot be read; unpack it from the zip and run your cells."
        return
    for function, code in codes.items():
        if code.strip("\n") not in present.replace("\r\n", "\n"):
            yield (
                f"{stage.fixed.guidance} holds another {function} than your notebook, whose code "
                f"is graded: run its cell{', and draw your pictures again' * bool(stage.pictures)}."
            )


def _changed_files(stage: Work) -> list[str]:
    """Fixed files that are not as they were released; they do not go with the hand-in."""
    differences = stage.manifest.differences(stage.root, stage.name, complete=True)
    files = [one for one in differences if one.file != stage.fixed.notebook]
    shown = [one.what for one in files[:5]]
    if len(files) > 5:
        shown.append(f"{len(files) - 5} more files are not as they were released.")
    if shown:
        shown.append("The grader uses the released files: your results may differ there.")
    return shown


def _lint(codes: Mapping[str, str], cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What runs here and will not run in the grader, as far as reading tells."""
    for function, code in codes.items():
        for sentence in dict.fromkeys(_warnings(ast.parse(code))):
            yield f"{function}: {sentence}"
    if any(cell["cell_type"] == "code" and INSTALLS.search(cell["source"]) for cell in cells):
        yield "a cell installs something; the grader has the packages of the course and no others."


def _warnings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if ABSOLUTE.match(node.value):
                yield f"{node.value!r} is a path on your computer; the grader has no such file."
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _about_import(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in WAITING:
                yield f"{node.func.id}() {WAITING[node.func.id]}; in the grader nobody is there."
            if node.func.id == "open":
                yield "open() reads or writes a file; the grader has none of yours."
        elif isinstance(node, ast.Attribute) and node.attr in (
            "from_pretrained",
            "hf_hub_download",
        ):
            yield f"{node.attr} may ask the network, and the grader has none."


def _about_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    names = (
        [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    )
    for name in names:
        top = name.partition(".")[0]
        if top in OUTSIDE:
            yield f"{top} asks the network, and the grader has none."
        elif top in PROGRAMS:
            yield f"{top} reaches outside your function; the grader shuts that off."
        elif top in ("pdb", "ipdb"):
            yield f"{top} waits for somebody to debug; in the grader nobody is there."


def _what_to_do(one: Checked) -> str:
    if STILL_TO_DO in one.lines[0]:
        return one.lines[0]
    return f"{one.task} is not right yet; its check above says what came."


def _run_checks(stage: Work, codes: Mapping[str, str]) -> list[Checked]:
    """The visible checks on the notebook's code, each in a process that may hang or die."""
    source, left = assembled(stage, codes), list(stage.graded)
    said: dict[str, dict[str, Any]] = {}
    while left:
        answers, ending = _in_another_process(stage, source, left)
        said |= answers
        left = [task for task in left if task not in said]
        if left:
            stuck = left.pop(0)
            said[stuck] = {"passed": False, "lines": [f"{stuck}: {ending}."]}
    return [
        Checked(task, one["passed"], tuple(one["lines"]), worth * one["passed"], worth)
        for task, worth in stage.graded.items()
        for one in [said[task]]
    ]


def _in_another_process(
    stage: Work, source: str, tasks: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], str]:
    """What the checks say, by task, as far as they came; and how it ended for the next one."""
    with tempfile.TemporaryDirectory() as folder:
        question, answers = Path(folder, "question.json"), Path(folder, "answers.jsonl")
        question.write_text(json.dumps({"source": source, "tasks": list(tasks)}), encoding="utf-8")
        command = [sys.executable, "-m", "grading.student.validate", "--answer", folder]
        patience = PATIENCE_S * (1 + len(tasks))
        try:
            # What students print, and what they wait for, is nothing to us.
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
    said = [json.loads(line) for line in lines]
    return {one["task"]: one for one in said}, ending


def _ending(errors: str) -> str:
    last = errors.strip().splitlines()[-1:] or [""]
    return f"it ends Python itself{f' ({last[0][:160]})' if last[0] else ''}"


def answer(folder: Path) -> None:
    """Run the checks that another process asks for, writing each answer as soon as it is there."""
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


def _about_pictures(stage: Work, to_do: list[str], *, run: bool) -> list[Checked]:
    """What is missing or wrong about the pictures, put into `to_do`, and what they would earn."""
    from distillery.course.submission_pictures import EVALUATION, hand_in, load_hand_in

    wanted = load_hand_in(stage.name, stage.root / "data" / "hand_in.yaml")
    folder = stage.root / wanted.folder
    items = [*wanted.files, EVALUATION]
    missing = [name for name in items if not (folder / name).is_file()]
    if missing:
        to_do.append(f"{wanted.folder} lacks {', '.join(missing)}: {wanted.command}")
    unfit = [name for name in wanted.files if name not in missing and not _is_fit(folder / name)]
    if unfit:
        to_do.append(f"{', '.join(unfit)} cannot be read as a picture: {wanted.command}")
    if not missing and not unfit:
        to_do += _about_evaluation(folder / EVALUATION, wanted, run=run)
    if not run or unfit:
        return []
    with contextlib.redirect_stdout(io.StringIO()):
        prospect = hand_in(stage.name)
    older = [line.strip() for line in prospect.lines if line.strip().startswith("Not drawn by")]
    to_do += older
    if prospect.share < 1 and not missing:
        to_do.append("the pictures do not earn all points yet: their mean score above is too low.")
    task, worth = f"{stage.fixed.module}.pictures", stage.pictures
    return [Checked(task, prospect.share == 1, prospect.lines, prospect.points(worth), worth)]


def _is_fit(path: Path) -> bool:
    from distillery.core.images import load_image

    try:
        load_image(path)
    except CourseError:
        return False
    return True


def _about_evaluation(path: Path, wanted: Any, *, run: bool) -> Iterator[str]:
    """Whether eval.json has the form of one, tells of these pictures, and its scores come again."""
    again = f"run {wanted.command}"
    try:
        stored = json.loads(path.read_text("utf-8"))
        rows = {row["file"]: (row["prompt"], float(row["score"])) for row in stored["pictures"]}
        scorer, mean = stored["scorer"], float(stored["mean"])
    except (OSError, ValueError, KeyError, TypeError):
        yield f"{path.name} is not as eval.py writes it; {again}"
        return
    scores = [score for _, score in rows.values()]
    if scorer != wanted.scorer:
        yield f"{path.name} is scored by {scorer}, and {wanted.scorer} is wanted; {again}"
    elif set(rows) != set(wanted.files):
        yield f"{path.name} tells of other pictures than those to hand in; {again}"
    elif not all(map(math.isfinite, scores)) or abs(mean - sum(scores) / len(scores)) > SAME_SCORE:
        yield f"the mean in {path.name} is not that of its scores; {again}"
    elif run and _score_again(path.parent, wanted, rows) > SAME_SCORE:
        yield f"the scores in {path.name} are not those of the pictures beside it; {again}"


def _score_again(folder: Path, wanted: Any, rows: Mapping[str, tuple[str, float]]) -> float:
    """The largest difference between the scores that were written and those of now."""
    from distillery.core.images import load_image
    from distillery.course.submission_pictures import title_of
    from distillery.metrics.clip_score import ClipScorer

    names = list(wanted.files)
    pictures = [load_image(folder / name) for name in names]
    titles = [title_of(wanted.files[name]) for name in names]
    scores = ClipScorer(wanted.scorer, device="cpu").score(pictures, titles)
    return max(abs(score - rows[name][1]) for name, score in zip(names, scores, strict=True))


def main(arguments: list[str] | None = None) -> int:
    """0 where all stages looked at are ready to hand in, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m grading validate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", nargs="?", default="", help="such as 01_sds (default: all here)")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.answer:
        answer(options.answer)
        return 0
    reports = [look(stage) for stage in find_stages(course_root(), options.stage)]
    print("\n\n".join(report.text() for report in reports))
    return int(not all(report.ready for report in reports))


if __name__ == "__main__":
    sys.exit(main())
