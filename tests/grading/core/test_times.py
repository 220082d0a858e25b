"""A time that names its zone is believed; every other one is of the course's zone."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from distillery.core.errors import CourseError
from grading.authoring.build import ROOT
from grading.core.times import (
    from_gradebook,
    in_utc,
    machine_zone,
    read_time,
    shown,
    span,
    stamp,
    zone_named,
)

NEW_YORK, SEOUL = ZoneInfo("America/New_York"), ZoneInfo("Asia/Seoul")
BERLIN, KIRITIMATI = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Kiritimati")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "zone", "means"),
    [
        ("2026-11-22T23:59", NEW_YORK, "2026-11-23 04:59"),
        ("2026-07-22 23:59", NEW_YORK, "2026-07-23 03:59"),
        ("2026-11-22T23:59", SEOUL, "2026-11-22 14:59"),
        ("2026-11-22T23:59", KIRITIMATI, "2026-11-22 09:59"),
        ("2026-11-22T23:59:30.25", BERLIN, "2026-11-22 22:59:30.250000"),
        ("2026-11-22T23:59Z", SEOUL, "2026-11-22 23:59"),
        ("2026-11-22 23:59 UTC", SEOUL, "2026-11-22 23:59"),
        # nbgrader reads this offset as 500 seconds.
        ("2026-11-22 23:59 -0500", SEOUL, "2026-11-23 04:59"),
        ("2026-11-22T23:59+05:45", NEW_YORK, "2026-11-22 18:14"),
        ("2026-11-22 23:59 Asia/Seoul", NEW_YORK, "2026-11-22 14:59"),
        ("2026-11-22 23:59 EST", NEW_YORK, "2026-11-23 04:59"),
        # Whoever writes EST in July means an hour later than EDT.
        ("2026-07-22 23:59 EST", NEW_YORK, "2026-07-23 04:59"),
        ("2026-07-22 23:59 KST", SEOUL, "2026-07-22 14:59"),
    ],
)
def test_a_zone_that_is_written_counts_and_otherwise_the_courses(text, zone, means):
    assert read_time(text, zone) == utc(means)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-11-22", "is not a time; write it like 2026-11-22T23:59"),
        ("22.11.2026 23:59", "is not a time"),
        ("2026-11-31T10:00", "is not a time"),
        ("2026-11-22T23:59+99:00", "is not a time"),
        ("2026-11-22 23:59 CST", "'CST' is unknown, or may mean several: write an offset"),
        ("2026-11-22 11:59 PM", "'PM' is unknown"),
        ("2026-11-22 23:59 Europe/Berlon", "did you mean Europe/Berlin"),
    ],
)
def test_what_is_no_time_is_refused_in_a_sentence(text, says):
    with pytest.raises(CourseError, match=says):
        read_time(text, NEW_YORK)


@pytest.mark.parametrize(
    ("text", "zone", "due", "received", "says"),
    [
        ("2026-11-01T01:30", NEW_YORK, "06:30", "05:30", "comes twice in America/New_York"),
        ("2026-03-08T02:30", NEW_YORK, "07:30", "06:30", "does not exist in America/New_York"),
        ("2026-10-25T02:30", BERLIN, "01:30", "00:30", "comes twice in Europe/Berlin"),
        ("2026-03-29T02:30", BERLIN, "01:30", "00:30", "does not exist in Europe/Berlin"),
        ("2026-10-25T02:30 Europe/Berlin", SEOUL, "01:30", "00:30", "twice in Europe/Berlin"),
    ],
)
def test_where_the_clocks_change_the_student_gains_and_it_is_said(text, zone, due, received, says):
    said: list[str] = []
    assert f"{read_time(text, zone, due=True, say=said.append):%H:%M}" == due
    assert f"{read_time(text, zone, say=said.append):%H:%M}" == received
    assert [says in line for line in said] == [True, True]


def test_elsewhere_nothing_is_said_of_the_clocks():
    said: list[str] = []
    for text in ("2026-11-01T03:30", "2026-11-01T01:30-05:00", "2026-03-08T03:00"):
        assert read_time(text, NEW_YORK, due=True, say=said.append) == read_time(text, NEW_YORK)
    assert said == []


def test_a_time_of_the_gradebook_is_in_utc_unless_it_names_a_zone():
    wanted = datetime(2026, 11, 23, 4, 59, tzinfo=timezone.utc)
    there = datetime(2026, 11, 22, 23, 59, tzinfo=ZoneInfo("America/New_York"))
    for time in (wanted.replace(tzinfo=None), wanted, there):
        found = from_gradebook(time)
        assert (found, found.tzinfo) == (wanted, timezone.utc)


def test_a_time_is_shown_with_its_zone_and_in_utc():
    time = datetime(2026, 11, 23, 4, 59)  # as nbgrader keeps it
    assert shown(time, NEW_YORK) == "Sun 22 Nov 2026 23:59 America/New_York (Mon 04:59 UTC)"
    assert shown(time, SEOUL) == "Mon 23 Nov 2026 13:59 Asia/Seoul (04:59 UTC)"
    assert shown(time, ZoneInfo("UTC")) == "Mon 23 Nov 2026 04:59 UTC"
    assert stamp(time, NEW_YORK) == "Sun 22 Nov 2026 23:59 EST"
    assert stamp(in_utc(time, NEW_YORK), KIRITIMATI) == "Mon 23 Nov 2026 23:59 UTC+14"
    assert stamp(time.replace(second=1), BERLIN) == "Mon 23 Nov 2026 05:59:01 CET"
    assert [span(seconds) for seconds in (1, 3600, 90_600)] == ["1 min", "1 h", "25 h 10 min"]


def test_a_zone_that_is_none_is_refused_with_the_one_that_is_meant():
    for name, meant in (("Berlin", "Europe/Berlin"), ("new york", "America/New_York")):
        with pytest.raises(CourseError, match=f"did you mean {meant}"):
            zone_named(name)
    for name in ("America", "../Berlin", "/etc/localtime", ""):
        with pytest.raises(CourseError, match="there is no time zone"):
            zone_named(name)


@pytest.mark.parametrize(
    ("variable", "zone"),
    [
        ("America/New_York", "America/New_York"),
        (":Asia/Seoul", "Asia/Seoul"),
        ("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("Etc/UTC", "UTC"),
        ("<-03>3", "None"),
    ],
)
def test_the_machine_says_its_zone(variable, zone):
    code = "from grading.core.times import machine_zone; print(machine_zone())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TZ": variable, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == zone


def test_without_a_variable_the_systems_own_link_says_the_zone(tmp_path, monkeypatch):
    monkeypatch.delenv("TZ", raising=False)
    link, named = tmp_path / "localtime", tmp_path / "timezone"
    monkeypatch.setattr("grading.core.times.LOCAL", str(link))
    monkeypatch.setattr("grading.core.times.NAMED", str(named))
    assert machine_zone() is None
    named.write_text("Asia/Seoul\n")
    assert machine_zone() == "Asia/Seoul"
    link.symlink_to("/var/db/timezone/zoneinfo/Europe/Berlin")
    assert machine_zone() == "Europe/Berlin"
