"""`answer("sds.sds_grad")`: the course's answer, beside the reader's own once that is right.

Functions are answered in <folder>/<stage>.py, everything else (bug hunts, dares, questions) in
<folder>/<stage>.md, under a heading for each. The folder is `reference/` in a full copy of the
course, and `answers/` where an instructor has given answers out. A student's copy has neither
before that, and says so.
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.course.check import judge
from distillery.course.saved_text import is_answered, saved_code
from distillery.course.stored_checks import split_task, task_names
from distillery.course.student_files import course_root, student_file

WRITTEN = re.compile(r"(bug_hunt|dare|question)_[1-9]\d*")
HEADING = re.compile(rf"^## ({WRITTEN.pattern})(?: · .*)?$", re.MULTILINE)
GIVEN_OUT = "answers"  # the folder in what an instructor gives out after the deadline
ZIP_TOP = "score-distillery"  # that such a zip unpacks to
CELL = (
    '<td style="vertical-align: top; text-align: left"><b>{title}</b>'
    '<pre style="text-align: left">{code}</pre></td>'
)


@dataclass(frozen=True)
class CourseAnswer:
    """What `answer` found; a notebook shows it under the cell, and `print` as text.

    sentence: what a reader is told first.
    text:     of a bug hunt, a dare or a question, in Markdown.
    theirs, ours: code.
    """

    sentence: str
    text: str = ""
    theirs: str = ""
    ours: str = ""

    def __repr__(self) -> str:
        code = {"Yours": self.theirs, "Ours": self.ours}
        blocks = [f"{title}:\n\n{its}" for title, its in code.items() if its]
        return "\n\n".join(part for part in (self.sentence, self.text, *blocks) if part)

    def _repr_markdown_(self) -> str | None:
        if self.ours:
            return None  # a front end would otherwise take it before HTML
        return "\n\n".join(part for part in (self.sentence, self.text) if part)

    def _repr_html_(self) -> str | None:
        if not self.ours:
            return None
        code = {"Yours": self.theirs, "Ours": self.ours}
        cells = [
            CELL.format(title=title, code=html.escape(its)) for title, its in code.items() if its
        ]
        return f"<p>{html.escape(self.sentence)}</p><table><tr>{''.join(cells)}</tr></table>"


def answer(name: str, *, give_up: bool = False) -> CourseAnswer:
    """The course's answer to a task, a bug hunt, a dare or a question of a notebook.

    That of a task is shown when the reader's own is right, or when they give up. In a student's
    copy there is no answer before the instructor has given it out, and a sentence says that.

    Args:
        name: "sds.sds_grad", "sds.bug_hunt_2", "sds.dare_3" or "tour.question_1".
        give_up: show the answer of a task although the reader's own is not right yet.

    Raises:
        CourseError: the notebook has no such task, bug hunt, dare or question.
    """
    stage, part = split_task(name)
    tasks = task_names(stage)
    if part not in tasks and not WRITTEN.fullmatch(part):
        raise CourseError(
            f"stage {stage} has nothing to answer that is called {part}; it has "
            f"{', '.join(tasks)}, and names such as bug_hunt_1, dare_1 and question_1."
        )
    if not any(its.is_file() for its in _places(f"{stage}.py")):
        return CourseAnswer(
            "The answers come after the deadline: your instructor then hands out a zip with them. "
            f'Unpack it here, over the course, and answer("{name}") shows this one.'
        )
    if part not in tasks:
        return CourseAnswer("", text=_written(stage, part))
    right = judge(name).passed
    if not (right or give_up):
        return CourseAnswer(
            f'{name} is not right yet; check("{name}") says why. If you give up, '
            f'answer("{name}", give_up=True) shows ours.'
        )
    sentence = (
        f"{name}: yours is right. Ours does the same:"
        if right
        else f"{name}: this is ours. Read it, close it, and write it in your own way."
    )
    return CourseAnswer(sentence, theirs=_theirs(name), ours=_ours(stage, part))


def written_answers(text: str) -> dict[str, str]:
    """Name -> answer in Markdown, of the text of a <stage>.md.

    Raises:
        CourseError: a heading of the second level names nothing that can be answered, or one twice.
    """
    headings = list(HEADING.finditer(text))
    every = re.findall(r"^## .*$", text, re.MULTILINE)
    if len(headings) != len(every) or len({one[1] for one in headings}) != len(every):
        known = {one[0] for one in headings}
        wrong = [line for line in every if line not in known] or every
        raise CourseError(
            f"the heading {wrong[0]!r} of the written answers must be '## bug_hunt_1', "
            "'## dare_1' or '## question_1', with the number of one, and each only once."
        )
    ends = [*(one.start() for one in headings[1:]), len(text)]
    return {one[1]: text[one.end() : end].strip() for one, end in zip(headings, ends, strict=True)}


def plain_function(source: str, function: str) -> str:
    """A function of a module as text, without its docstring and the marks of the build."""
    node = _function(source, function)
    lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
    text = without_docstring("\n".join(lines), function)
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith("### "))


def without_docstring(source: str, function: str) -> str:
    """Code without the lines of the docstring of one of its functions."""
    node = _function(source, function)
    if ast.get_docstring(node) is None or len(node.body) < 2:
        return source
    lines = source.splitlines()
    text = node.body[0]
    return "\n".join(lines[: text.lineno - 1] + lines[text.end_lineno :])


def _function(source: str, name: str) -> ast.FunctionDef:
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise CourseError(f"there is no function {name} to show.")


def _places(file: str) -> Iterator[Path]:
    """Where a file with answers may be; a zip may have been unpacked over the course or inside."""
    root = course_root()
    for folder in (root, root / ZIP_TOP, *sorted(root.glob(f"*/{ZIP_TOP}"))):
        yield folder / GIVEN_OUT / file
    yield root / "reference" / file


def _text(file: str) -> str:
    for path in _places(file):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return ""


def _written(stage: str, part: str) -> str:
    known = written_answers(_text(f"{stage}.md"))
    if part not in known:
        raise CourseError(
            f"stage {stage} has no {part}; it has {', '.join(known) or 'nothing of this kind'}."
        )
    return known[part]


def _ours(stage: str, function: str) -> str:
    return plain_function(_text(f"{stage}.py"), function)


def _theirs(task: str) -> str:
    """The reader's code without its docstring, with its helpers; empty while it is to do."""
    stage, function = split_task(task)
    try:
        text = student_file(stage).read_text(encoding="utf-8")
        if not is_answered(text, task):
            return ""
        return without_docstring(saved_code(text, task), function)
    except (CourseError, OSError, ValueError, SyntaxError):
        return ""  # what cannot be read is no answer yet
