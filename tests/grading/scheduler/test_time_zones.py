"""What being late costs, to the point, wherever the machine stands and when the clocks change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fake_grade import environment

from benchmarks.sample_class import NAME, gradebook, scores
from benchmarks.sample_submissions import save, solved
from grading.core.rules import Rules
from grading.gradebook.nbgrader_times import follow_zone_of
from grading.intake.collect import main as collect_main
from grading.intake.released import load_released
from grading.scheduler.autograde import autograde

DUE = "2025-11-22T23:59"
CAME = {  # student -> the time of receipt that the instructor types
    "exact": "2025-11-22T23:59",
    "minute": "2025-11-23T00:00",
    "day": "2025-11-23T23:59",
    "two": "2025-11-24T00:00",
    "abroad": "2025-11-22T23:59+14:00",
}
OFF = {"exact": 0.0, "minute": 0.1, "day": 0.1, "two": 0.2, "abroad": 0.0}  # fractions


@pytest.fixture
def course(released_course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])  # the workers find fake_grade
    return released_course


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Put this machine into a time zone."""

    def put(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


def collect(course: Path, folder: Path, student: str, received: str) -> None:
    save(folder / student, solved(load_released(course, NAME)), f"Name_{student}.ipynb")
    where = ["--course", str(course), "--zips", str(folder / student)]
    assert collect_main([NAME, *where, "--received", received]) == 0


def set_due(course: Path, due: str, **extended: timedelta) -> None:
    follow_zone_of(course)
    with gradebook(course) as opened:
        opened.update_or_create_assignment(NAME, duedate=due)
        for student, more in extended.items():
            opened.grant_extension(NAME, student, hours=more / timedelta(hours=1))


def off(course: Path) -> dict[str, float]:
    with gradebook(course) as opened:
        found = opened.assignment_submissions(NAME)
        return {one.student_id: float(one.late_submission_penalty or 0) for one in found}


@pytest.mark.parametrize(
    ("zone", "where", "shown"),
    [
        (
            "America/New_York",
            "Asia/Seoul",
            "Sat 22 Nov 2025 23:59 America/New_York (Sun 04:59 UTC)",
        ),
        ("Asia/Seoul", "America/New_York", "Sat 22 Nov 2025 23:59 Asia/Seoul (14:59 UTC)"),
        (
            "Pacific/Kiritimati",
            "Europe/Berlin",
            "Sat 22 Nov 2025 23:59 Pacific/Kiritimati (09:59 UTC)",
        ),
    ],
)
def test_only_those_who_are_late_lose_points_wherever_the_course_is(
    course, tmp_path, machine, capfd, zone, where, shown
):
    machine(where)
    Rules(seed=3, time_zone=zone).save(course / "rules.yaml")
    set_due(course, DUE)
    for student, received in CAME.items():
        collect(course, tmp_path, student, received)
    printed = capfd.readouterr().out
    assert printed.count(f"{NAME} is due {shown}.") == len(CAME)
    assert "accepted  minute  Sun 23 Nov 2025 00:00 " in printed
    autograde(NAME, course, jobs=2, grader="fake_grade")
    earned = {student: sum(points) for student, points in scores(course).items()}
    assert off(course) == pytest.approx({one: part * earned[one] for one, part in OFF.items()})
    said = capfd.readouterr().err
    assert f"{NAME} is due {shown}." in said
    assert "late: minute came Sun 23 Nov 2025 00:00 " in said
    assert ", 1 min late: 0.6 points off" in said
    assert "exact came" not in said

    set_due(course, DUE, two=timedelta(hours=24))
    autograde(NAME, course, jobs=2, grader="fake_grade")
    assert off(course)["two"] == pytest.approx(0.1 * earned["two"])
    said = capfd.readouterr().err
    assert "late penalties changed for two" in said
    assert "late: two came Mon 24 Nov 2025 00:00 " in said
    assert ", extended to Sun 23 Nov 2025 23:59 " in said
    autograde(NAME, course, jobs=2, grader="fake_grade")  # with nothing new it says the same
    (line,) = [line for line in said.splitlines() if "late: two" in line]
    assert line in capfd.readouterr().err


@pytest.mark.parametrize(
    ("due", "came", "parts"),
    [
        # The night of 25 October has 2:30 twice: due at the second, received at the first.
        ("2025-10-26T02:30", "2025-10-26T02:30", 0.0),
        ("2025-10-26T02:30", "2025-10-26T02:31+01:00", 0.1),
        # A day of 25 hours is more than 24 hours: the same time the next day is a day and an hour.
        ("2025-10-25T23:59", "2025-10-26T22:59", 0.1),
        ("2025-10-25T23:59", "2025-10-26T23:59", 0.2),
        # In summer, and in winter, the offset is that of the day.
        ("2025-07-01T12:00", "2025-07-01T10:01Z", 0.1),
        ("2025-12-01T12:00", "2025-12-01T11:00Z", 0.0),
        # 2:30 does not exist on 30 March: due at 3:30, received at 1:30.
        ("2025-03-30T02:30", "2025-03-30T03:30", 0.0),
        ("2025-03-30T01:59", "2025-03-30T02:30", 0.0),
    ],
)
def test_where_the_clocks_change_points_are_kept_and_lost_exactly(
    course, tmp_path, machine, capfd, due, came, parts
):
    machine("Asia/Seoul")
    Rules(seed=3, time_zone="Europe/Berlin").save(course / "rules.yaml")
    set_due(course, due)
    collect(course, tmp_path, "ada", came)
    if came.endswith("02:30"):
        said = capfd.readouterr().out
        assert "in Europe/Berlin, where the clocks change; it is read as Sun" in said
    autograde(NAME, course, grader="fake_grade")
    (earned,) = [sum(points) for points in scores(course).values()]
    assert earned > 0
    assert off(course)["ada"] == pytest.approx(parts * earned)
