"""The content of a feedback page: one card per task, from its record, points and comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from markupsafe import Markup
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from distillery.core.errors import CourseError
from distillery.course.labels import ALSO, CAUSE, GOT, WANTED
from distillery.course.todo_cell import code_below
from grading.core.notebook_cells import task_of
from grading.core.records import Record, Store, Verdict
from grading.core.submission import Submission
from grading.feedback.pages import highlighted, picture
from grading.feedback.sanitise import (
    as_markdown,
    as_text,
    is_for_instructor,
    safe_html,
    safe_markdown,
    sanitise,
)
from grading.feedback.text import plain

DIGEST = re.compile(r"[0-9a-f]{64}")  # it becomes part of a path
CAME = "came"  # what GOT was called in records of older versions
SMALLEST = 1e-6  # points that count
LONGEST_LINE = 600
MOST_LINES = 40
MOST_OWN_CELLS = 100
KEPT = {"timestamp.txt", "submission_secret.txt"}  # nbgrader needs them to release feedback
WORDS = {
    "right": "right",
    "partly": "partly right",
    "wrong": "not yet",
    "todo": "to do",
    "waiting": "not graded yet",
}


@dataclass(frozen=True)
class Card:
    """One graded cell, ready to be shown.

    state: a key of `WORDS`; it also decides the colours.
    facts:  pairs such as ("wanted", "shape (2, 3)").
    cause: for a known mistake, what was probably done.
    figure: data URL of target, theirs and difference.
    optional: the task only adds points.
    """

    title: str
    state: str
    points: float
    worth: float
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    cause: str
    figure: str
    code: Markup
    comments: tuple[Markup, ...]
    by_hand: bool
    optional: bool

    @property
    def word(self) -> str:
        return WORDS[self.state]


class Explain(NbGraderPreprocessor):
    """Prepare `resources["feedback"]` for the template; after nbgrader's GetGrades.

    What it prepares is sanitised, whether it runs before or after `Sanitise`.
    """

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict
    ) -> tuple[NotebookNode, ResourcesDict]:
        sanitise(nb)
        # The converter works in the course folder.
        course = Path.cwd()
        facts = resources["nbgrader"]
        graded = Path(resources["metadata"]["path"])
        digest = _digest(graded)
        store = Store(course)
        submission = Submission(store.course, facts["student"], facts["assignment"], digest or "")
        record = store.load(submission) if digest else None
        cards = _cards(nb, record, store)
        resources["feedback"] = {
            "title": plain(facts["notebook"], 200),
            "student": plain(facts["student"], 200),
            "cards": cards,
            "own": _own_cells(nb, course / "release" / facts["assignment"]),
            "score": max(0.0, facts["score"]),
            "worth": facts["max_score"],
            "penalty": facts["late_penalty"],
            "status": record.status if record else "graded",
            "reason": plain(record.reason, LONGEST_LINE) if record else "",
        }
        return nb, resources


def only_the_page(assignment: str, student: str, notebooks: list[str]) -> None:
    """Hook after GenerateFeedback: leave only the page and the files that nbgrader needs.

    nbgrader copies the whole graded folder there, including the flags for the instructor.
    """
    for notebook in notebooks:
        graded = Path(notebook).parent
        folder = Path("feedback", graded.parent.name, graded.name)
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix != ".html" and path.name not in KEPT:
                path.unlink()


def _digest(graded: Path) -> str:
    """Digest of the graded submission, or "" if it was not collected by the course."""
    try:
        digest = str(json.loads((graded / "intake.json").read_text("utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return digest if DIGEST.fullmatch(digest) else ""


def _cards(nb: NotebookNode, record: Record | None, store: Store) -> list[Card]:
    """In the notebook's order; comments on an answer go with its check."""
    cells = [cell for cell in nb.cells if "nbgrader" in cell.metadata]
    answers = {cell.metadata.nbgrader.grade_id: cell for cell in cells}
    graded = [cell for cell in cells if cell.metadata.nbgrader.get("grade")]
    verdicts = {verdict.task: verdict for verdict in record.verdicts} if record else {}
    cards = []
    for cell in graded:
        name = cell.metadata.nbgrader.grade_id
        answer = answers.get(name.removesuffix("-check"), cell)
        cards.append(_card(cell, answer, verdicts.get(task_of(name)), record, store))
    return cards


def _card(
    cell: NotebookNode,
    answer: NotebookNode,
    verdict: Verdict | None,
    record: Record | None,
    store: Store,
) -> Card:
    own = cell.metadata.nbgrader
    points, worth = float(own.get("score") or 0), float(own.get("points") or 0)
    optional = worth < SMALLEST
    if verdict is not None and optional:
        worth = verdict.worth
    by_hand = verdict is not None and abs(verdict.points - points) > SMALLEST
    state = _state(verdict, points, worth, by_hand=by_hand)
    if record is not None and record.status == "grader error" and points < SMALLEST:
        state = "waiting"
    task = task_of(own.grade_id)
    lines, facts, cause = sorted_lines(task, verdict.lines if verdict else _printed(cell))
    return Card(
        title=plain(task, 200),
        state=state,
        points=points,
        worth=worth,
        lines=lines,
        facts=facts,
        cause=cause,
        figure=_figure(verdict, record, store) if state not in ("right", "waiting") else "",
        code=_as_html(answer) if answer.metadata.nbgrader.get("solution") else Markup(),
        comments=tuple(_comments([answer] if answer is cell else [answer, cell])),
        by_hand=by_hand,
        optional=optional,
    )


def _state(verdict: Verdict | None, points: float, worth: float, *, by_hand: bool) -> str:
    if points >= worth - SMALLEST:
        return "right"
    if points > SMALLEST:
        return "partly"
    if verdict is not None and verdict.outcome == "to do" and not by_hand:
        return "todo"
    return "wrong"


def sorted_lines(
    task: str, lines: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...], str]:
    """The remaining lines, the facts wanted and got, and the probable cause."""
    said, facts, cause = [], [], ""
    for line in lines[:MOST_LINES]:
        text = plain(line, LONGEST_LINE).strip()
        name, _, rest = text.partition(":")
        if text.startswith(CAUSE):
            cause = text
        elif text.startswith(ALSO):
            cause = f"{cause} {text}"
        elif name in (WANTED, GOT, CAME):
            facts.append((name, rest.strip()))
        elif text and text not in (f"{task}: right.", f"{task}: not yet."):
            said.append(text)
    return tuple(said), tuple(facts), cause


def _printed(cell: NotebookNode) -> tuple[str, ...]:
    """The printed output of a check without a record."""
    text = "".join(
        output.text for output in cell.get("outputs", []) if output.output_type == "stream"
    )
    return tuple(text[: LONGEST_LINE * MOST_LINES].splitlines())


def _figure(verdict: Verdict | None, record: Record | None, store: Store) -> str:
    if verdict is None or record is None or verdict.figure is None:
        return ""
    try:
        return picture(store.figure(record, verdict.figure))
    except CourseError:
        return ""


def _comments(cells: list[NotebookNode]) -> Iterator[Markup]:
    for cell in cells:
        comment = cell.metadata.nbgrader.get("comment")
        # nbgrader itself writes this under an answer that the student has not changed.
        if comment and comment != "No response.":
            yield Markup(safe_markdown(comment))


def _as_html(cell: NotebookNode) -> Markup:
    """A student's cell: code in colours, everything else as harmless HTML."""
    if cell.cell_type == "code":
        code = highlighted(code_below(cell.source))
        return Markup('<pre class="code">{}</pre>').format(code)
    return Markup('<div class="prose">{}</div>').format(Markup(safe_markdown(cell.source)))


def _own_cells(nb: NotebookNode, release: Path) -> list[Markup]:
    """The cells that the student added, with their outputs."""
    released = _released_sources(release)
    if not released:
        return []
    cells = (cell for cell in nb.cells if not cell.metadata.get("nbgrader"))
    own = [cell for cell in cells if cell.source.strip() and not is_for_instructor(cell)]
    own = [cell for cell in own if cell.source not in released]
    return [
        Markup("").join([_as_html(cell), *map(_output, cell.get("outputs", []))])
        for cell in own[:MOST_OWN_CELLS]
    ]


def _released_sources(folder: Path) -> set[str]:
    """The sources as released, and as `Sanitise` leaves them."""
    try:
        released = nbformat.read(folder / f"{folder.name}.ipynb", as_version=4)
    except (OSError, ValueError, nbformat.ValidationError):
        return set()
    sources = {cell.source for cell in released.cells}
    prose = (cell.source for cell in released.cells if cell.cell_type == "markdown")
    return sources | {as_markdown(safe_markdown(source)) for source in prose}


def _output(output: dict[str, Any]) -> Markup:
    data = output.get("data", {})
    if "image/png" in data:
        address = f"data:image/png;base64,{''.join(str(data['image/png']).split())}"
        return Markup('<img alt="an output" src="{}">').format(address)
    if "text/html" in data:
        return Markup('<div class="prose">{}</div>').format(Markup(safe_html(data["text/html"])))
    text = output.get("text") or "\n".join(output.get("traceback", [])) or data.get("text/plain")
    return Markup(as_text(text or ""))
