"""Write records into the gradebook with nbgrader's own Autograde converter."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from nbformat.v4 import new_notebook
from nbgrader import utils
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties

from distillery.core.errors import CourseError, in_short
from grading.core.nbgrader_config import settings_of
from grading.core.records import Record, Store
from grading.core.rules import zone_of
from grading.gradebook.lateness import lateness
from grading.gradebook.plugins import configure

TRIES = 4  # while another program, such as formgrader, writes to the same file


class GradebookWriter:
    """Writes records of one assignment into the gradebook, one after the other.

    Raises:
        CourseError: the settings cannot be read, or the assignment is not in the gradebook.
    """

    def __init__(self, course: Path, assignment: str) -> None:
        self._course, self._assignment = course, assignment
        self._log = logging.getLogger("grading.gradebook.writer")
        self._log.propagate = False
        self._last_error = _LastError()
        self._log.handlers = [self._last_error]
        self._config = settings_of(course)
        configure(self._config)
        self._config.GradeOutside.grade_now = False
        directory = CourseDirectory(config=self._config, log=self._log)
        directory.root, directory.assignment_id = str(course), assignment
        self._directory = directory
        self._check_released()

    @property
    def url(self) -> str:
        """The address of the gradebook, as SQLAlchemy writes it."""
        return str(self._directory.db_url)

    def write(self, record: Record) -> str:
        """Write a record into the gradebook; returns what went wrong, or "".

        Raises:
            CourseError: the gradebook itself cannot be used.
        """
        for attempt in range(TRIES):
            time.sleep(attempt)
            error = self._convert(record.student)
            if not isinstance(error, sqlalchemy.exc.OperationalError):
                break
        if isinstance(error, sqlalchemy.exc.OperationalError):
            raise CourseError(
                f"the gradebook {self._directory.db_url} cannot be used ({in_short(error)}): fix "
                "this and run the same command again; finished grades are kept."
            )
        if Store(self._course).is_booked(record):
            return ""
        return self._last_error.text or (in_short(error) if error else "nbgrader does not say why")

    def update_penalties(self) -> list[str]:
        """Let nbgrader compute all late penalties again; returns the students whose changed.

        An extension, a new due date and points set by hand change penalties after grading.

        Raises:
            CourseError: the gradebook cannot be used.
        """
        assign = AssignLatePenalties(config=self._config, log=self._log)
        facts = {"assignment": self._assignment, "db_url": self._directory.db_url}
        before = self._penalties()
        with self._usable(), utils.chdir(str(self._course)):
            for (student, notebook), (penalty, seconds_late) in before.items():
                if penalty or seconds_late:
                    about = facts | {"student": student, "notebook": notebook}
                    assign.preprocess(new_notebook(), {"nbgrader": about})
        after = self._penalties()
        return sorted(key[0] for key in before if after[key] != before[key])

    def lateness(self) -> list[str]:
        """Lines on the due date, and on who is late or has an extension.

        Raises:
            CourseError: the gradebook cannot be used.
        """
        with self._usable(), self._gradebook() as gradebook:
            return lateness(gradebook, self._assignment, zone_of(self._course))

    def _penalties(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Student and notebook -> points off, and seconds late with extensions counted."""
        with self._usable(), self._gradebook() as gradebook:
            return {
                (one.student_id, notebook.name): (
                    float(notebook.late_submission_penalty or 0),
                    float(one.total_seconds_late),
                )
                for one in gradebook.assignment_submissions(self._assignment)
                for notebook in one.notebooks
            }

    def _convert(self, student: str) -> Exception | None:
        self._directory.student_id = student
        self._last_error.text = ""
        converter = Autograde(coursedir=self._directory, config=self._config, log=self._log)
        converter.force = True
        try:
            with warnings.catch_warnings():
                # Of the order in which nbgrader adds rows.
                warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)
                converter.start()
        except NbGraderException as error:
            cause = error.__context__
            return cause if isinstance(cause, Exception) else error
        return None

    def _check_released(self) -> None:
        with self._usable(), self._gradebook() as gradebook:
            try:
                gradebook.find_assignment(self._assignment)
            except MissingEntry:
                raise CourseError(
                    f"{self._assignment} is not in the gradebook: run python -m grading release "
                    f"{self._assignment}."
                ) from None

    def _gradebook(self) -> Gradebook:
        return Gradebook(self._directory.db_url, self._directory.course_id)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            raise CourseError(
                f"the gradebook {self._directory.db_url} cannot be used ({in_short(error)})."
            ) from None


class _LastError(logging.Handler):
    """Keeps the last line of the last traceback that nbgrader logs."""

    text = ""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        if "Traceback" in text:
            self.text = text.splitlines()[-1]
