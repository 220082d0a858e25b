"""Times as people write and read them, in the time zone of a course.

One rule holds everywhere: a zone that is written counts; without one, the time is of the course's
own zone, `time_zone` in rules.yaml. Inside the programs every time is in UTC.

Where the clocks change, a time of day comes twice or not at all. It is then read in the student's
favour: a due date as late, and a time of receipt as early as it can be meant.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from distillery.core.errors import CourseError

UTC = "UTC"
IN_UTC = ZoneInfo(UTC)
EXAMPLE = "2026-11-22T23:59"
WRITTEN = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?:T| +)(?P<time>\d\d:\d\d(?::\d\d)?)(?:[.,](?P<part>\d+))?"
    r" *(?P<zone>.*)"
)
OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d\d):?(\d\d)?")
ZONES = "zoneinfo/"  # in the path of every file of the system's time zones
LOCAL, NAMED = "/etc/localtime", "/etc/timezone"  # where Unix systems say which zone is theirs


def zone_named(name: str) -> ZoneInfo:
    """The time zone of an IANA name.

    Raises:
        CourseError: there is none.
    """
    try:
        return ZoneInfo(name)
    # A folder of zones, such as America, is an OSError; a path is a ValueError.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = _similar(name)
        meant = f"; did you mean {close}?" if close else ""
        raise CourseError(
            f"there is no time zone {name!r}: write a name such as Europe/Berlin, or UTC{meant}"
        ) from None


def _similar(name: str) -> str:
    """The zone that is probably meant: of this city, or with a similar name."""
    wanted = name.strip().replace(" ", "_").lower()
    known = {zone.lower(): zone for zone in sorted(available_timezones())}
    cities = {zone.rpartition("/")[2]: zone for zone in known}
    close = difflib.get_close_matches(wanted.rpartition("/")[2], cities, 1, 0.8)
    return known[cities[close[0]]] if close else ""


def machine_zone() -> str | None:
    """The IANA name of this machine's time zone; None where the machine does not say one."""
    if named := os.environ.get("TZ"):
        return _known(named.removeprefix(":"))
    try:
        # Only this link: what it names may be a link too, to an older name of the zone.
        linked = os.readlink(LOCAL)
    except OSError:
        linked = ""
    if ZONES in linked:
        return _known(linked)
    try:
        with open(NAMED, encoding="utf-8") as file:
            return _known(file.read().strip())
    except (OSError, UnicodeDecodeError):
        return None


def _known(name: str) -> str | None:
    name = re.sub(rf"^.*{ZONES}(?:posix/|right/)?", "", name)
    if name == "Etc/UTC":
        return UTC
    try:
        return zone_named(name).key
    except CourseError:
        return None


def read_time(
    text: str, zone: ZoneInfo, *, due: bool = False, say: Callable[[str], object] | None = None
) -> datetime:
    """The time that a person or a program has written, in UTC.

    Args:
        text: such as "2026-11-22T23:59", "2026-11-22 23:59 EST" or "2026-11-22T23:59-05:00".
        zone: of the course; it counts where the text names none.
        due: it is a due date, and otherwise a time of receipt.
        say: gets a sentence where the clocks change at this time.

    Raises:
        CourseError: it is no time, or its zone is unknown.
    """
    match = WRITTEN.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError(text)
        part = (match["part"] or "").ljust(6, "0")[:6]
        wall = datetime.fromisoformat(f"{match['date']}T{match['time']}")
        wall = wall.replace(microsecond=int(part))
        own = _zone_of(match["zone"].strip(), wall, zone)
        return in_utc(wall.replace(tzinfo=own), zone, due=due, say=say)
    except (ValueError, OverflowError):
        raise CourseError(
            f"{text!r} is not a time; write it like {EXAMPLE}, which is read in {zone.key}, or "
            "with a zone, like 2026-11-22T23:59-05:00"
        ) from None


def _zone_of(name: str, wall: datetime, zone: ZoneInfo) -> tzinfo | None:
    """The zone that is written behind a time; None where there is none.

    Raises:
        CourseError: it is unknown. An abbreviation such as CST means several zones; it is known
            only where the course's own zone uses it in this year.
        ValueError: the offset is none.
    """
    if not name:
        return None
    if name.upper() in ("Z", "UTC", "GMT"):
        return timezone.utc
    if match := OFFSET.fullmatch(name):
        size = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-size if match[1] == "-" else size)
    months = [datetime(wall.year, month, 1, tzinfo=zone) for month in range(1, 13)]
    offsets = {month.tzname(): month.utcoffset() for month in months}
    if (offset := offsets.get(name)) is not None:
        return timezone(offset)
    if "/" not in name:
        raise CourseError(
            f"the zone {name!r} is unknown, or may mean several: write an offset such as -05:00, "
            "or a name such as America/New_York"
        )
    return zone_named(name)


def in_utc(
    time: datetime,
    zone: ZoneInfo,
    *,
    due: bool = False,
    say: Callable[[str], object] | None = None,
) -> datetime:
    """A time in UTC; without a zone of its own it is of the course's.

    Args:
        due: it is a due date, and otherwise a time of receipt.
        say: gets a sentence where the clocks change at this time.
    """
    wall = time if time.tzinfo else time.replace(tzinfo=zone)
    first, second = (wall.replace(fold=fold).astimezone(timezone.utc) for fold in (0, 1))
    counts = max(first, second) if due else min(first, second)
    if say and first != second:
        name = getattr(wall.tzinfo, "key", zone.key)
        how = "comes twice" if first < second else "does not exist"
        say(
            f"{wall:%Y-%m-%d %H:%M} {how} in {name}, where the clocks change; it is read as "
            f"{shown(counts, zone)}."
        )
    return counts


def from_gradebook(time: datetime) -> datetime:
    """A time in UTC; one that names no zone is in UTC already, as nbgrader keeps times."""
    return time.astimezone(timezone.utc) if time.tzinfo else time.replace(tzinfo=timezone.utc)


def shown(time: datetime, zone: ZoneInfo) -> str:
    """A time for a sentence: "Sun 22 Nov 2026 23:59 America/New_York (Mon 04:59 UTC)".

    time: as `from_gradebook` reads it.
    """
    local, utc = _both(time, zone)
    if zone.key == UTC:
        return f"{_day_and_time(local)} {UTC}"
    day = "" if utc.date() == local.date() else f"{utc:%a} "
    return f"{_day_and_time(local)} {zone.key} ({day}{_clock(utc)} {UTC})"


def stamp(time: datetime, zone: ZoneInfo) -> str:
    """A time for a table: "Sun 22 Nov 2026 23:59 EST"; where a zone has no letters, "UTC+14".

    time: as `from_gradebook` reads it.
    """
    local, _ = _both(time, zone)
    letters = local.tzname() or ""
    return f"{_day_and_time(local)} {letters if letters[:1].isalpha() else UTC + letters}"


def span(seconds: float) -> str:
    """How long: "25 h 10 min"; what is left of a minute counts as one."""
    hours, minutes = divmod(-int(-seconds // 60), 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes or not hours))


def _both(time: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    utc = from_gradebook(time)
    return utc.astimezone(zone), utc


def _day_and_time(time: datetime) -> str:
    return f"{time:%a} {time.day} {time:%b %Y} {_clock(time)}"


def _clock(time: datetime) -> str:
    """Hours and minutes; seconds too where there are some, since they decide what is late."""
    return f"{time:%H:%M:%S}" if time.second or time.microsecond else f"{time:%H:%M}"
