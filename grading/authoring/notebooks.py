"""From a percent source to notebooks: the student's, and the answered one of nbgrader's source
tree.

In the text of a source, `{points of sds_grad}` becomes what that task is worth, `{points of
pictures}` what the pictures are worth, `{summary}` how long the stage takes and what it is worth,
`{graded}` what of the notebook is graded, and `{stages}` the table of all stages. The last cell of
every notebook says how far its reader is.

In a source, a code cell that is only `# TODO sds.sds_grad` becomes the `%%todo` cell of that
function, and a code cell that is only `check("sds.sds_grad")` becomes its graded check. One that is
only `hand_in("01_sds")` becomes the graded cell of the stage's pictures. A stage's further
notebooks have none of these cells. Where written answers stand is told in `written_answers`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from distillery.core.counting import counted, in_hours
from distillery.core.errors import CourseError
from grading.authoring.make_stubs import (
    answered_functions,
    function_text,
    solved,
    stub,
    unreached,
)
from grading.authoring.written_answers import Show, fill_in, said
from grading.core.notebook_cells import NOTEBOOK_METADATA, check_id, grade_id_of, todo_id
from grading.stages import STAGES
from grading.stages.stage import Stage, in_points

TODO_CELL = re.compile(r"# TODO (\w+)\.(\w+)")
CHECK_CELL = re.compile(r"""check\(["'](\w+)\.(\w+)["']\)""")
HAND_IN_CELL = re.compile(r"""hand_in\(["'](\w+)["']\)""")
GRADED = (
    "**What is graded** is the code in the `%%todo` cells of this notebook{pictures}. Running such "
    "a cell saves its function into `guidance/{module}.py`, and every cell uses that file as it is "
    "when the cell begins. So you can also write in an editor, where `pytest guidance` runs the "
    "checks; then `%load_todo {module}.{function}` brings the function into its cell. When yours "
    'is right, `answer("{module}.{function}")` shows ours beside it; if you give up, '
    '`answer("{module}.{function}", give_up=True)` shows it all the same. In a class, answers come '
    "after the deadline."
)
POINTS = re.compile(r"\{points of (\w+)\}")
LAST_TEXT = """\
## Where you are

What the checks said so far, in all stages and in this folder alone. It is yours, and no grade."""
LAST_CODE = """\
from distillery import my_progress

my_progress()"""


def student_notebook(stage: Stage, percent: str, reference: str, show: Show | None = None) -> str:
    """What students open: every TODO cell holds a stub.

    Args:
        show: what stands in the places of written answers; by default what a class gets.
    """
    return _notebook(stage, percent, reference, stub, show or said(stage))


def answered_notebook(stage: Stage, percent: str, reference: str) -> str:
    """The notebook of a class with the answers between nbgrader's solution marks."""
    return _notebook(stage, percent, reference, unreached, said(stage))


def solved_notebook(stage: Stage, percent: str, reference: str, show: Show) -> str:
    """The notebook with the answers and no marks, for after the deadline."""
    return _notebook(stage, percent, reference, solved, show)


def sequel_notebook(
    stage: Stage, path: PurePosixPath, percent: str, show: Show | None = None
) -> str:
    """A further notebook of a stage, in which nothing is graded.

    Args:
        path: of the notebook, from the root of the course.
        show: what stands in the places of written answers; by default what a class gets.

    Raises:
        CourseError: one of its cells would be graded.
    """
    notebook = jupytext.reads(percent, fmt="py:percent")
    for cell in notebook.cells:
        if _matches(cell, TODO_CELL) or _matches(cell, CHECK_CELL) or _is_hand_in(cell):
            raise CourseError(
                f"{path.with_suffix('.py')} has the cell {cell.source!r}, but only "
                f"{stage.notebook.name} is graded: move the cell there."
            )
    return _finished(stage, notebook, path, show or said(stage))


def _notebook(
    stage: Stage, percent: str, reference: str, fill: Callable[[str, str], str], show: Show
) -> str:
    notebook = jupytext.reads(percent, fmt="py:percent")
    _check_tasks(stage, notebook, reference)
    for cell in notebook.cells:
        todo, check = _matches(cell, TODO_CELL), _matches(cell, CHECK_CELL)
        if todo:
            answer = function_text(reference, todo)
            cell.source = f"%%todo {stage.module}.{todo}\n" + fill(answer, stage.sentence(todo))
            cell.metadata["nbgrader"] = _nbgrader(todo_id(f"{stage.module}.{todo}"), solution=True)
        if check:
            points = stage.points[check]
            cell.source += f".points({points:g})"
            cell.metadata["nbgrader"] = _graded(check_id(f"{stage.module}.{check}"), points)
        if _is_hand_in(cell):
            cell.source += f".points({stage.pictures:g})"
            pictures = todo_id(f"{stage.module}.pictures")
            cell.metadata["nbgrader"] = _graded(pictures, stage.pictures)
    return _finished(stage, notebook, stage.notebook, show)


def _finished(stage: Stage, notebook: NotebookNode, path: PurePosixPath, show: Show) -> str:
    """The text of a notebook whose code cells are as they should be."""
    notebook.cells += [new_markdown_cell(LAST_TEXT), new_code_cell(LAST_CODE)]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            _check_marker(path, cell)
            cell.source = _with_facts(stage, path, cell.source)
    _identify(path, notebook)
    fill_in(path, notebook.cells, show)
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return nbformat.writes(notebook) + "\n"


def _check_marker(path: PurePosixPath, cell: NotebookNode) -> None:
    """Refuse text on the line of a cell's marker, which readers of the notebook would not see."""
    if {"title", "incorrectly_encoded_metadata"} & set(cell.metadata):  # what jupytext makes of it
        raise CourseError(
            f"{path.with_suffix('.py')} has text on the line of a cell's marker, before "
            f"{cell.source[:40]!r}: write '# %% [markdown]' alone, and the text under it."
        )


def _with_facts(stage: Stage, path: PurePosixPath, text: str) -> str:
    """A text whose placeholders are filled in."""
    worth = {**stage.points, "pictures": stage.pictures}
    unknown = [name for name in POINTS.findall(text) if name not in worth]
    if unknown:
        raise CourseError(
            f"{path.with_suffix('.py')} names the points of {unknown[0]}, which "
            f"grading/stages/{stage.module}/stage.py does not know; it knows {', '.join(worth)}."
        )
    text = text.replace("{summary}", stage.summary).replace("{graded}", _graded_parts(stage))
    text = text.replace("{stages}", _table_of_stages())
    return POINTS.sub(lambda match: in_points(worth[match[1]]), text)


def _table_of_stages() -> str:
    """A row for each stage, with a link to its notebook from another stage's."""
    rows = [
        f"| [{stage.folder}](../{stage.folder}/{stage.folder}.ipynb) "
        f"| {_in_one_line(in_hours(stage.minutes))} | {stage.title} | {stage.makes} |"
        for stage in STAGES
    ]
    head = ("| stage | time | what it is about | what you will have made |", "|---|---|---|---|")
    return "\n".join([*head, *rows])


def _in_one_line(words: str) -> str:
    """With spaces at which JupyterLab does not break a narrow column."""
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def _graded_parts(stage: Stage) -> str:
    return GRADED.format(
        pictures=", with the pictures that you hand in" * bool(stage.pictures),
        module=stage.module,
        function=next(iter(stage.points)),
    )


def _matches(cell: NotebookNode, pattern: re.Pattern[str]) -> str | None:
    """The function that a code cell asks for, or checks, if that is all it does."""
    match = pattern.fullmatch(cell.source.strip()) if cell.cell_type == "code" else None
    return match[2] if match else None


def _is_hand_in(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(HAND_IN_CELL.fullmatch(cell.source.strip()))


def _check_tasks(stage: Stage, notebook: NotebookNode, reference: str) -> None:
    """Every function of the stage is asked for once, and checked once, in the stage's order."""
    wanted = list(stage.points)
    if answered_functions(reference) != wanted:
        raise CourseError(
            f"stage {stage.folder} has the tasks {wanted}, and reference/{stage.module}.py answers "
            f"{answered_functions(reference)}."
        )
    for pattern, example in ((TODO_CELL, "# TODO {}.{}"), (CHECK_CELL, 'check("{}.{}")')):
        found = [name for cell in notebook.cells if (name := _matches(cell, pattern))]
        if found != wanted:
            example = example.format(stage.module, wanted[0])
            raise CourseError(
                f"{stage.notebook.with_suffix('.py')} must have one cell '{example}' for each of "
                f"{wanted}, in this order; it has them for {found}."
            )
    stages = [HAND_IN_CELL.fullmatch(cell.source.strip()) for cell in notebook.cells]
    found = [match[1] for match in stages if match]
    if found != [stage.folder] * bool(stage.pictures):
        cells = f"one cell 'hand_in(\"{stage.folder}\")'" if stage.pictures else "no cell 'hand_in'"
        raise CourseError(
            f"{stage.notebook.with_suffix('.py')} must have {cells}: its pictures are worth "
            f"{counted(stage.pictures, 'point')}; it has them for {found}."
        )


def _graded(grade_id: str, points: float) -> dict[str, object]:
    """nbgrader's metadata of a locked cell that earns points."""
    return _nbgrader(grade_id, solution=False) | {"points": points}


def _nbgrader(grade_id: str, *, solution: bool) -> dict[str, object]:
    """nbgrader's metadata of an answer cell, or of a locked one."""
    return {
        "grade": not solution,
        "grade_id": grade_id,
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }


def _identify(path: PurePosixPath, notebook: NotebookNode) -> None:
    """Ids that depend on the notebook's name and the cell's text alone: an edit changes one id."""
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        text = grade_id_of(cell) or cell.cell_type + cell.source
        seen[text] += 1
        key = f"{path.stem}\n{seen[text]}\n{text}"
        cell.id = hashlib.sha256(key.encode()).hexdigest()[:12]
