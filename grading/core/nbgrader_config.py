"""nbgrader's settings of a course folder: a release writes them, all other commands read them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, shown
from grading.core.manifest import sha256

NAME = "nbgrader_config.py"
YOUR_CODE = "# your code here"  # in the place of an answer
NEEDED = "grading.plugins.GradeOutside"  # without it nbgrader would run students' code as you
SHIPPED = re.compile(r"\A# shipped as (\w+); a changed file is yours, and stays\n")
TEXT = '''\
"""nbgrader's settings for this course folder; yours may stand below."""

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path

c = get_config()  # noqa: F821

# nbgrader starts alembic, which may lie in an environment that is not activated.
os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")
if importlib.util.find_spec("grading") is None:
    sys.path.append({root!r})

c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.CourseDirectory.course_id = {course_id!r}
# Times without a zone are read in time_zone of rules.yaml, also in nbgrader's own commands.
# For PostgreSQL: c.CourseDirectory.db_url = "postgresql://user:password@host/database"

# Only the answer is replaced: each released cell still ends with its own sentence.
c.ClearSolutions.code_stub = {{"python": {your_code!r}}}

# Whatever was handed in is made fit first. Students' code never runs in nbgrader: a sandbox runs
# it, another process judges what came out, and nbgrader keeps the books.
from grading.plugins import configure  # noqa: E402

configure(c)
c.OverwriteCells.add_missing_cells = True

# Feedback says which mistake it was, shows target, theirs and difference, and carries no script.
c.GenerateFeedback.exporter_class = "grading.feedback.FeedbackExporter"
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "grading.feedback.Explain",
    "grading.feedback.Sanitise",
]
c.GenerateFeedback.post_convert_hook = "grading.feedback.only_the_page"

c.ExportApp.plugin_class = "grading.export.CourseExport"
'''


def write_settings(
    course: Path, *, root: Path, replace_yours: bool, say: Callable[[str], object]
) -> None:
    """Write the shipped settings, unless the instructor has changed them.

    Args:
        root: the folder with the packages of the course.
        replace_yours: replace the instructor's settings, which are kept as .py.old.
        say: gets a line on what becomes of the instructor's settings.
    """
    path = course / NAME
    text = TEXT.format(root=str(root), course_id=course.name, your_code=YOUR_CODE)
    shipped = f"# shipped as {sha256(text)[:16]}; a changed file is yours, and stays\n{text}"
    present = path.read_text("utf-8") if path.is_file() else None
    if present == shipped:
        return
    untouched = present is not None and _is_untouched(present)
    if present is None or untouched or replace_yours:
        if present is not None and not untouched:
            atomic_write(path.with_suffix(".py.old"), present)
            say(f"{shown(path)} is replaced; yours is kept as {path.name}.old.")
        atomic_write(path, shipped)
        return
    say(f"{shown(path)} is your own and stays (--replace-settings puts ours there).")
    used = settings_of(course).get("Autograde", {}).get("autograde_preprocessors", [])
    if NEEDED not in [one if isinstance(one, str) else _dotted(one) for one in used]:
        say(
            f"warning: {path.name} does not use {NEEDED}, so nbgrader autograde would run "
            "students' code with your rights and believe what it prints."
        )


def settings_of(course: Path) -> Any:
    """The traitlets config of a course folder's nbgrader_config.py.

    Raises:
        CourseError: it is missing, or it cannot be run.
    """
    from traitlets.config.loader import PyFileConfigLoader

    if not (course / NAME).is_file():
        raise CourseError(f"there is no {course / NAME}: run python -m grading release.")
    path = os.environ.get("PATH", "")
    try:
        return PyFileConfigLoader(NAME, path=str(course)).load_config()
    except Exception as error:
        raise CourseError(
            f"{course / NAME} stops with {type(error).__name__}: {error}; correct it."
        ) from error
    finally:
        os.environ["PATH"] = path


def _is_untouched(present: str) -> bool:
    """Whether the text is what some version of the course shipped."""
    match = SHIPPED.match(present)
    return match is not None and sha256(present[match.end() :])[:16] == match[1]


def _dotted(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__name__', '')}"
