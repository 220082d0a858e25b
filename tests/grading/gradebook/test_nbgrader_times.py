"""Due dates that are typed into nbgrader itself are of the course's zone."""

from __future__ import annotations

import subprocess
import sysconfig
from datetime import datetime
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from benchmarks.sample_class import NAME, gradebook, settings
from distillery.core.errors import CourseError
from grading.core.due_dates import due_date
from grading.core.rules import Rules
from grading.gradebook.nbgrader_times import follow_zone_of


@pytest.fixture
def course(released_course: Path) -> Path:
    Rules(seed=3, time_zone="America/New_York").save(released_course / "rules.yaml")
    follow_zone_of(released_course)
    return released_course


def set_due(course: Path, due: object) -> datetime | None:
    with gradebook(course) as opened:
        return opened.update_or_create_assignment(NAME, duedate=due).duedate


@pytest.mark.parametrize(
    ("typed", "due"),
    [
        ("2026-11-22 23:59", datetime(2026, 11, 23, 4, 59)),
        ("2026-07-22T23:59", datetime(2026, 7, 23, 3, 59)),
        ("2026-11-22 23:59:00 UTC", datetime(2026, 11, 22, 23, 59)),
        ("2026-11-22 23:59 -0800", datetime(2026, 11, 23, 7, 59)),
        ("2026-11-01 01:30", datetime(2026, 11, 1, 6, 30)),  # twice: the later one
        (datetime(2026, 11, 22, 12), datetime(2026, 11, 22, 12)),  # of a program, in UTC
        (None, None),
    ],
)
def test_a_due_date_without_a_zone_is_of_the_course(course, typed, due):
    assert set_due(course, typed) == due
    read = due_date(course, NAME)
    assert (read and read.replace(tzinfo=None)) == due


def test_a_new_assignment_is_read_alike(course):
    with gradebook(course) as opened:
        assert opened.add_assignment("new", duedate="2026-11-22 23:59").duedate.hour == 4


def test_another_zone_in_the_rules_counts_at_once(course):
    set_due(course, "2026-11-22 23:59")
    Rules(seed=3, time_zone="Asia/Seoul").save(course / "rules.yaml")
    assert set_due(course, "2026-11-22 23:59") == datetime(2026, 11, 22, 14, 59)


def test_a_due_date_that_is_none_changes_nothing(course):
    before = set_due(course, "2026-11-22 23:59")
    with pytest.raises(CourseError, match="write it like 2026-11-22T23:59"):
        set_due(course, "next week")
    with gradebook(course) as opened:
        assert opened.find_assignment(NAME).duedate == before


@pytest.mark.parametrize("due", ["2026-01-15T23:59", "2026-07-15T23:59"])
def test_formgrader_shows_local_time_and_what_it_saves_again_is_the_same(course, due):
    """In every season; nbgrader's own form offers today's offset for a date in another season."""
    config = settings(course)
    before = set_due(course, due)
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    shown = api.get_assignment(NAME)
    assert shown["display_duedate"].startswith(due.replace("T", " "))
    assert shown["display_duedate"].endswith(("EST", "EDT"))
    # What formgrader's handler does with the fields of its form.
    date, offset = shown["duedate_notimezone"], shown["duedate_timezone"]
    assert offset == ""
    assert set_due(course, f"{date} {offset}" if offset else date) == before


def test_nbgraders_own_command_says_how_it_has_read_a_due_date(course):
    nbgrader = str(Path(sysconfig.get_path("scripts"), "nbgrader"))
    command = [nbgrader, "db", "assignment", "add", NAME, "--duedate"]
    done = subprocess.run(
        [*command, "2026-11-22 23:59"], cwd=course, capture_output=True, text=True, check=True
    )
    assert f"{NAME} is due Sun 22 Nov 2026 23:59 America/New_York (Mon 04:59 UTC)." in done.stderr
    failed = subprocess.run([*command, "22.11."], cwd=course, capture_output=True, text=True)
    assert failed.returncode == 1
    assert "'22.11.' is not a time; write it like" in failed.stderr
    assert "Traceback" not in failed.stderr
    with Gradebook(f"sqlite:///{course}/gradebook.db") as opened:
        assert opened.find_assignment(NAME).duedate == datetime(2026, 11, 23, 4, 59)
