"""Collect from nbgrader's exchange without following links or waiting for pipes.

nbgrader decides what is collected: the newest submission of every student, or the newest before
the due date. Its own copying follows links and waits for pipes, so the files are copied here.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nbgrader.exchange import ExchangeError
from nbgrader.exchange.default import ExchangeCollect

from distillery.core.errors import CourseError
from grading.core.due_dates import due_date, due_sentence
from grading.core.nbgrader_api import nbgrader
from grading.core.records import Flag
from grading.core.rules import zone_of
from grading.core.times import from_gradebook, stamp
from grading.intake.accept import accept, table
from grading.intake.archives import quoted
from grading.intake.roster import Roster
from grading.intake.sources import CollectResult, Upload

SLACK = timedelta(hours=1)


class SafeCollect(ExchangeCollect):
    """nbgrader's collect; in nbgrader_config.py it serves `nbgrader collect` too.

    c.ExchangeFactory.collect = "grading.exchange.SafeCollect"
    """

    def copy_files(self) -> None:
        """Keep and take in what nbgrader chose, unless it is not new."""
        course, assignment = Path(self.coursedir.root), self.coursedir.assignment_id
        zone = zone_of(course)
        uploads, results = self.uploads(Roster(), zone)
        now = datetime.now(timezone.utc)
        results += [accept(one, course, assignment, now=now) for one in uploads]
        due = due_sentence(assignment, due_date(course, assignment), zone)
        for line in (*table(results, zone).split("\n"), due):
            self.log.info(line)

    def uploads(self, roster: Roster, zone: ZoneInfo) -> tuple[list[Upload], list[CollectResult]]:
        """What `init_src` has chosen, and what is of no known student.

        zone: in which flags tell times.
        """
        uploads: list[Upload] = []
        unknown: list[CollectResult] = []
        sources = [Path(self.inbound_path, record["filename"]) for record in self.src_records]
        owners = [account_of(source) for source in sources]
        names = [record["username"] for record in self.src_records]
        for record, source, flags in zip(
            self.src_records, sources, owner_flags(names, owners), strict=True
        ):
            student, problem = roster.find((record["username"],))
            if problem:
                unknown.append(CollectResult(quoted(record["filename"]), "unknown", problem))
                continue
            time = from_gradebook(record["timestamp"])
            flags += _clock(source, time, zone)
            uploads.append(Upload(student, source, time, (record["username"],), tuple(flags)))
        return uploads, unknown


def from_exchange(
    course: Path, assignment: str, roster: Roster
) -> tuple[list[Upload], list[CollectResult]]:
    """What nbgrader would collect from the exchange that the course folder's settings name.

    Raises:
        CourseError: nbgrader cannot collect.
    """
    with nbgrader(Path(course).resolve()) as api:
        api.coursedir.assignment_id = assignment
        collector: Any = SafeCollect(coursedir=api.coursedir, parent=api)
        try:
            collector.set_timestamp()
            collector.init_src()
        except ExchangeError as error:
            raise CourseError(f"nbgrader does not collect {assignment}: {error}") from error
        found: tuple[list[Upload], list[CollectResult]]
        found = collector.uploads(roster, zone_of(course))
        return found


def account_of(source: Path) -> str:
    """The account that a folder belongs to; empty where it has none."""
    try:
        return pwd.getpwuid(os.lstat(source).st_uid).pw_name
    except (OSError, KeyError):
        return ""


def owner_flags(students: Sequence[str], owners: Sequence[str]) -> list[list[Flag]]:
    """For each submission a flag where it came from the account of another than it names.

    Where no submission belongs to the account of its student, all came through one account, as on a
    hub of containers, and nothing follows from that.

    Args:
        students: whom the submissions name.
        owners: the accounts that they belong to.
    """
    pairs = list(zip(students, owners, strict=True))
    if not any(student == owner for student, owner in pairs):
        return [[] for _ in pairs]
    return [_of_another(*pair) if pair[0] != pair[1] else [] for pair in pairs]


def _of_another(student: str, owner: str) -> list[Flag]:
    account = f"the account of {owner}" if owner else "an account that is not there any more"
    return [Flag("student id", f"it was handed in for {student} from {account}.")]


def _clock(source: Path, time: datetime, zone: ZoneInfo) -> list[Flag]:
    """A flag where the folder was changed after the time in its name.

    A student's own account writes the name; nobody can set back the system's time of last change.
    """
    try:
        changed = datetime.fromtimestamp(os.lstat(source).st_ctime, timezone.utc)
    except OSError:
        return []
    if changed - time < SLACK:
        return []
    sentence = f"it says {stamp(time, zone)}, and was last changed {stamp(changed, zone)}."
    return [Flag("timestamp", sentence)]
