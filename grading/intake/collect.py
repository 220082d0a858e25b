"""Collect the submissions of a class, and make of each a clean folder in submitted/.

python -m grading collect 01_sds                        what nbgrader collect has fetched
python -m grading collect 01_sds --exchange             fetch it from nbgrader's exchange
python -m grading collect 01_sds --zips downloads/      the download of Moodle, Canvas, Blackboard,
                                                        Brightspace, Sakai, ILIAS or Teams, or a
                                                        folder of what students named; a zip too
python -m grading collect 01_sds --zips downloads/ --pattern '(?P<student_id>[^_]+)_.*'
                                                        the same from any other platform
python -m grading collect 01_sds --gradescope export/   Gradescope's export of submissions
python -m grading collect 01_sds --git clones/          a folder with a clone for each student; the
                                                        last commit until the student's due date
                                                        counts, with an extension of the gradebook

Everything is kept as it came in received/. The platform says whose submission it is. A roster (a
CSV with the column student_id, and others with the platform's ids, names or addresses) maps this to
the course's own ids and then decides; a name that fits nobody, or two students, is listed and not
collected. Where only a file's name says whose it is, the submission is graded and flagged; another
one that claims the same id is kept, set aside and listed, until --choose names it.

Of several attempts the platform's last counts. The time of receipt is the platform's own record,
and otherwise the time that --received gives, or now. The time of a commit is what the student's
own computer wrote. A time that names no zone is of the course's time_zone, which stands in
rules.yaml. Collecting again changes nothing where nothing is new.

--pattern is a regular expression for the whole path of a file below the folder, with the named
groups student_id, id, email, name, first_name, last_name, timestamp and file_id, as nbgrader has
them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from distillery.core.errors import CourseError
from grading.core.due_dates import due_date, due_sentence, extended_due_dates
from grading.core.rules import zone_of
from grading.core.times import read_time, shown
from grading.intake.accept import accept, accept_submitted, table
from grading.intake.archives import ArchiveLimits, SubmissionError, is_archive, unpack
from grading.intake.from_git import from_git
from grading.intake.platforms import Search, by_pattern, downloads_in
from grading.intake.receipts import workshop
from grading.intake.released import load_released
from grading.intake.roster import Roster
from grading.intake.sources import (
    CollectResult,
    Upload,
    from_gradescope,
    uploads_of,
)
from grading.stages import STAGES

WHOLE_EXPORT = ArchiveLimits(bytes=2**36, entries=10**6, ratio=10**6, depth=16, nested=True)


@contextmanager
def _unpacked(export: Path, course: Path) -> Iterator[Path]:
    """The folder of an export, which is unpacked first where it is a zip.

    Raises:
        CourseError: it is neither a folder nor a zip, or it is damaged.
    """
    if export.is_dir():
        yield export
        return
    if not (export.is_file() and is_archive(export.name)):
        what = "is neither a folder nor a zip" if export.exists() else "does not exist"
        raise CourseError(f"{export} {what}; name the platform's download, a zip or a folder.")
    with workshop(course) as work:
        try:
            unpack(export, work / "export", WHOLE_EXPORT)
        except SubmissionError as error:
            raise CourseError(f"{export} cannot be unpacked: {error}") from error
        yield work / "export"


def collect(options: argparse.Namespace) -> list[CollectResult]:
    """Collect what the command line asks for.

    Raises:
        CourseError: the source or the course folder cannot be used.
    """
    course, assignment = options.course, options.stage
    load_released(course, assignment)  # says it where nothing is released
    roster = Roster.load(options.roster) if options.roster else Roster()
    zone, now = zone_of(course), datetime.now(timezone.utc)
    if options.received:
        now = read_time(options.received, zone, say=print)
        print(f"Where no platform says another time, it came {shown(now, zone)}.")
    if not (options.exchange or options.zips or options.gradescope or options.git):
        return accept_submitted(course, assignment, again=options.again)
    with _uploads(options, roster) as (uploads, unknown):
        chosen = _chosen(options.choose, uploads)
        return unknown + [
            accept(one, course, assignment, now=now, again=options.again, chosen=one in chosen)
            for one in uploads
        ]


def _chosen(names: Sequence[str], uploads: Sequence[Upload]) -> list[Upload]:
    """The uploads that the command line chooses.

    Raises:
        CourseError: there is none of a name.
    """
    there = {one.source.name: one for one in uploads}
    missing = [name for name in names if name not in there]
    if missing:
        raise CourseError(
            f"--choose {missing[0]}: no submission of that name is there; name a file or folder as "
            "the list does, such as Ada-Lovelace_al1815.zip."
        )
    return [there[name] for name in names]


@contextmanager
def _uploads(
    options: argparse.Namespace, roster: Roster
) -> Iterator[tuple[list[Upload], list[CollectResult]]]:
    """The uploads of the source that the command line names, as long as their files are there."""
    if options.exchange:
        from grading.intake.exchange import from_exchange

        yield from_exchange(options.course, options.stage, roster)
    elif options.git:
        with workshop(options.course) as work:
            due, extended, zone = _due(options)
            found = from_git(
                options.git, options.stage, roster, work, due=due, extended=extended, zone=zone
            )
            print("The time of a commit is what the student's own computer wrote.")
            yield _not_empty(found, options.git)
    elif options.gradescope:
        with _unpacked(options.gradescope, options.course) as export:
            found = from_gradescope(export, roster, zone_of(options.course))
            yield _not_empty(found, options.gradescope)
    else:
        zone = zone_of(options.course)
        with _unpacked(options.zips, options.course) as folder, workshop(options.course) as work:
            if options.pattern:
                downloads = by_pattern(folder, options.pattern, zone)
            else:
                downloads = downloads_in(folder, Search(roster, options.stage, zone))
            yield _not_empty(uploads_of(downloads, roster, work), options.zips)


def _due(options: argparse.Namespace) -> tuple[datetime | None, dict[str, datetime], ZoneInfo]:
    """Until when commits count, for whom until another time, and the course's zone."""
    course, assignment, zone = options.course, options.stage, zone_of(options.course)
    if options.until:
        return read_time(options.until, zone, due=True), {}, zone
    return due_date(course, assignment), extended_due_dates(course, assignment), zone


def _not_empty(
    found: tuple[list[Upload], list[CollectResult]], source: Path
) -> tuple[list[Upload], list[CollectResult]]:
    if not any(found):
        raise CourseError(
            f"there is no submission in {source}; name the folder with what the platform gave you."
        )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Collect, and print the result for each submission; 0, even if some are rejected."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m grading collect",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", metavar="STAGE", choices=[stage.folder for stage in STAGES])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--exchange", action="store_true", help="from nbgrader's exchange")
    source.add_argument(
        "--zips", type=Path, metavar="FOLDER", help="from a platform's download, a folder or a zip"
    )
    source.add_argument("--gradescope", type=Path, metavar="EXPORT", help="a zip, or its folder")
    source.add_argument(
        "--git", type=Path, metavar="FOLDER", help="from clones of repositories, one a student"
    )
    parser.add_argument("--course", type=Path, default=Path("class"), help="default: class")
    parser.add_argument(
        "--until",
        metavar="TIME",
        help="with --git: the last commit until then counts (default: the student's due date)",
    )
    parser.add_argument(
        "--roster",
        type=Path,
        metavar="CSV",
        help="maps the platform's ids, names or addresses to student ids",
    )
    parser.add_argument(
        "--received",
        metavar="TIME",
        help="the time of receipt, such as 2026-11-22T23:59, where the platform gives none "
        "(default: now); with a zone, such as 2026-11-22T23:59-05:00, or in the course's",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="also take in unchanged submissions, for example after a new release",
    )
    parser.add_argument(
        "--pattern", default="", metavar="REGEX", help="form of the paths below --zips; see below"
    )
    parser.add_argument(
        "--choose",
        nargs="+",
        default=(),
        metavar="NAME",
        help="files or folders of --zips that count, whatever else claims the same id",
    )
    options = parser.parse_args(arguments)
    if options.pattern and not options.zips:
        parser.error("--pattern needs --zips")
    if options.until and not options.git:
        parser.error("--until needs --git")
    results, zone = collect(options), zone_of(options.course)
    print(table(results, zone))
    print(due_sentence(options.stage, due_date(options.course, options.stage), zone))
    return 0
