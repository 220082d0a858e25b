"""nbgrader's exchange, from which nothing is copied that anybody could have hidden there.

nbgrader decides what is collected: of every student the newest, or the newest before the due date.
Its own copying follows links and waits for pipes, so the copying is ours.
"""

from __future__ import annotations

import os
import pwd
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from nbgrader.exchange import ExchangeError
from nbgrader.exchange.default import ExchangeCollect

from distillery.core.errors import CourseError
from grading.core.records import Flag
from grading.intake.archives import shown
from grading.intake.collect import HandedIn, Roster, Row, accept, table

SLACK = timedelta(hours=1)


class SafeCollect(ExchangeCollect):
    """nbgrader's collect; in nbgrader_config.py it serves `nbgrader collect` too.

    c.ExchangeFactory.collect = "grading.exchange.SafeCollect"
    """

    def copy_files(self) -> None:
        """Keep and take in what nbgrader chose, whatever has come since the last time."""
        hand_ins, rows = self.found(Roster())
        course, assignment = Path(self.coursedir.root), self.coursedir.assignment_id
        now = datetime.now(timezone.utc)
        rows += [accept(one, course, assignment, now=now) for one in hand_ins]
        for line in table(rows).split("\n"):
            self.log.info(line)

    def found(self, roster: Roster) -> tuple[list[HandedIn], list[Row]]:
        """What `init_src` has chosen."""
        hand_ins: list[HandedIn] = []
        rows: list[Row] = []
        names = {record["username"] for record in self.src_records}
        for record in self.src_records:
            student, problem = roster.find((record["username"],))
            if problem:
                rows.append(Row(shown(record["filename"]), "unknown", problem))
                continue
            source = Path(self.inbound_path, record["filename"])
            time = record["timestamp"].replace(tzinfo=timezone.utc)
            flags = (*_owner(source, record["username"], names), *_clock(source, time))
            hand_ins.append(HandedIn(student, source, time, (record["username"],), flags))
        return hand_ins, rows


def collected(course: Path, assignment: str, roster: Roster) -> tuple[list[HandedIn], list[Row]]:
    """What nbgrader would collect from the exchange that the course folder's settings name.

    Raises:
        CourseError: nbgrader says that it cannot.
    """
    from grading.release.course_folder import nbgrader

    with nbgrader(Path(course).resolve()) as api:
        api.coursedir.assignment_id = assignment
        collector: Any = SafeCollect(coursedir=api.coursedir, parent=api)
        try:
            collector.set_timestamp()
            collector.init_src()
        except ExchangeError as error:
            raise CourseError(f"nbgrader does not collect {assignment}: {error}") from error
        return collector.found(roster)


def _owner(source: Path, student: str, students: set[str]) -> list[Flag]:
    """Where students have accounts of their own, a folder of another's is not their own work."""
    try:
        owner = pwd.getpwuid(os.lstat(source).st_uid).pw_name
    except (OSError, KeyError):
        return []
    if owner == student or owner not in students:
        return []
    return [Flag("student id", f"it was handed in for {student} by the account of {owner}.")]


def _clock(source: Path, time: datetime) -> list[Flag]:
    """The time in a folder's name is what nbgrader's submit wrote there, as its student's account.

    The system's own mark of the last change cannot be set back by anybody.
    """
    try:
        changed = datetime.fromtimestamp(os.lstat(source).st_ctime, timezone.utc)
    except OSError:
        return []
    if changed - time < SLACK:
        return []
    sentence = f"it says {time:%Y-%m-%d %H:%M} UTC, and was last changed {changed:%Y-%m-%d %H:%M}."
    return [Flag("timestamp", sentence)]
