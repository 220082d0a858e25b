"""Reports on a class: a page, a table, and a results.json for each student.

python -m grading report 01_sds
python -m grading report --all --anonymous

Writes reports/<stage>.html, reports/<stage>.csv and, for Gradescope,
reports/gradescope/<stage>/<student>/results.json. With --anonymous it only writes
reports/<stage>-anonymous.html, which has no names and can be shown in class. It prints when the
stage was due, and the wrong answers that no known mistake explains, grouped by what they have in
common. Times are in the course's time_zone, which stands in rules.yaml.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from distillery.core.cli import documented
from distillery.core.errors import CourseError, in_short
from distillery.core.files import atomic_write
from grading.core.due_dates import due_date, due_sentence
from grading.core.records import Flag, Record, Store, Verdict
from grading.core.rules import zone_of
from grading.core.submission import submissions
from grading.core.times import IN_UTC, span, stamp
from grading.stages import STAGES
from grading.stages.stage import Stage

if TYPE_CHECKING:
    from jinja2 import Template

    from grading.judge.similarity import SimilarPair
    from grading.report.export import Grades

TOO_HARD = 0.4  # of those who tried; a task that fewer solve is marked as hard
FEWEST = 5  # tries that are needed to judge a task
BINS = 10


@dataclass(frozen=True)
class Row:
    """One student's submission: its record, and its grades if the gradebook has any."""

    record: Record
    grades: Grades | None

    @property
    def student(self) -> str:
        return self.record.student

    @property
    def total(self) -> float:
        return self.grades.total if self.grades else self.record.points

    @property
    def worth(self) -> float:
        return self.grades.worth if self.grades else self.record.worth

    @property
    def is_counted(self) -> bool:
        """Whether it counts in the statistics of the tasks."""
        return self.record.status == "graded"

    def points(self, verdict: Verdict) -> float:
        if self.grades is None:
            return verdict.points
        return self.grades.points.get(verdict.task, verdict.points)


@dataclass(frozen=True)
class Task:
    """How a class did on one task. Shares are of the graded submissions, 0 to 1.

    outcomes: outcome -> how many.
    """

    name: str
    right: float
    tried: float
    points: float
    worth: float
    outcomes: dict[str, int]
    is_hard: bool


@dataclass(frozen=True)
class Mistake:
    """One known misconception, and how many students have it."""

    task: str
    name: str
    sentence: str
    count: int


def rows(course: Path, stage: Stage) -> list[Row]:
    """The last submission of every student, by student."""
    records = _current(course, stage.folder)
    grades = _grades(course, stage.folder) if records else {}
    return [Row(record, grades.get(record.student)) for record in records]


def _current(course: Path, assignment: str) -> list[Record]:
    """Each student's record of the last submission, otherwise the one in the gradebook."""
    from grading.report.export import current_record

    store = Store(course)
    by_student: dict[str, list[Record]] = {}
    for record in store.all(assignment):
        by_student.setdefault(record.student, []).append(record)
    found = []
    for student, records in by_student.items():
        booked = [one for one in records if store.is_booked(one)]
        last = current_record(course, assignment, student)
        found.append(last or (booked or records)[-1])
    return found


def _grades(course: Path, assignment: str) -> dict[str, Grades]:
    """The grades in the gradebook; empty if there is no gradebook yet.

    Raises:
        CourseError: the gradebook cannot be read.
    """
    import sqlalchemy
    from nbgrader.api import Gradebook
    from nbgrader.coursedir import CourseDirectory

    from grading.core.nbgrader_config import NAME as SETTINGS
    from grading.core.nbgrader_config import settings_of
    from grading.report.export import all_grades

    if not (course / SETTINGS).is_file():
        return {}
    config = settings_of(course)
    config.CourseDirectory.root = str(course.resolve())
    directory = CourseDirectory(config=config)
    url = directory.db_url
    # Opening a gradebook that does not exist would create it.
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).is_file():
        return {}
    try:
        with Gradebook(url, directory.course_id) as gradebook:
            return all_grades(gradebook, assignment)
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise CourseError(f"the gradebook {url} cannot be read ({in_short(error)}).") from None


def tasks(table: Sequence[Row]) -> list[Task]:
    """In the order of the records' verdicts."""
    counted = [row for row in table if row.is_counted]
    names = dict.fromkeys(one.task for row in counted for one in row.record.verdicts)
    return [_task(name, counted) for name in names]


def _task(name: str, counted: Sequence[Row]) -> Task:
    found = [(row, one) for row in counted for one in row.record.verdicts if one.task == name]
    right = sum(row.points(one) >= one.worth for row, one in found)
    tried = sum(one.outcome != "to do" for _, one in found)
    return Task(
        name=name,
        right=right / len(found),
        tried=tried / len(found),
        points=fmean(row.points(one) for row, one in found),
        worth=max(one.worth for _, one in found),
        outcomes=dict(Counter(one.outcome for _, one in found).most_common()),
        is_hard=tried >= FEWEST and right < TOO_HARD * tried,
    )


def mistakes(table: Sequence[Row]) -> list[Mistake]:
    """The known misconceptions of the class, the most frequent first."""
    from grading.stages.misconceptions import MISCONCEPTIONS

    sentences = {(known.task, known.name): known.sentence for known in MISCONCEPTIONS}
    verdicts = [one for row in table if row.is_counted for one in row.record.verdicts]
    named = Counter((one.task, one.misconception) for one in verdicts if one.misconception)
    return [
        Mistake(task, str(name), sentences.get((task, str(name)), ""), count)
        for (task, name), count in named.most_common()
    ]


def distribution(table: Sequence[Row]) -> list[int]:
    """How many students have up to a tenth of the points, up to two tenths, and so on."""
    counts = [0] * BINS
    for row in table:
        if row.is_counted and row.worth:
            counts[min(BINS - 1, max(0, int(BINS * row.total / row.worth)))] += 1
    return counts


def ungraded(course: Path, stage: Stage) -> list[str]:
    """Students whose last submission has no record yet."""
    from grading.intake.clean_folder import load_intake

    store, there = Store(course), submissions(course, stage.folder)
    intakes = [intake for one in there if (intake := load_intake(one))]
    return [one.student for one in intakes if store.load(one.submission) is None]


def page(
    stage: Stage,
    table: Sequence[Row],
    pairs: Sequence[SimilarPair] = (),
    new: Sequence[str] = (),
    *,
    due: datetime | None = None,
    zone: ZoneInfo = IN_UTC,
    anonymous: bool = False,
) -> str:
    """The class overview as one page without script.

    Args:
        due: when the assignment was due, without extensions.
        zone: in which times are shown.
        new: students whose last submission is not graded yet.

    Raises:
        CourseError: something in the page would run; then no page is written.
    """
    from grading.feedback.active_content import active_parts
    from grading.feedback.pages import policy, style
    from grading.judge.similarity import HINT

    html = _template(zone).render(
        style=style(),
        policy=policy(),
        stage=stage,
        pairs=pairs,
        new=new,
        hint=HINT,
        due=due_sentence(stage.folder, due, zone),
        anonymous=anonymous,
        **_groups(table),
        **_statistics(table),
    )
    live = active_parts(html)
    if live:
        raise CourseError(
            f"the report would hold {live[0]}, which must not reach a browser: "
            "report this as a fault of the course."
        )
    return html


def _template(zone: ZoneInfo) -> Template:
    from jinja2 import Environment, FileSystemLoader

    from grading.feedback.pages import TEMPLATES, number
    from grading.feedback.text import one_line

    environment = Environment(loader=FileSystemLoader(TEMPLATES / "class_report"), autoescape=True)
    environment.filters |= {"text": one_line, "number": number}
    environment.filters |= {"time": partial(stamp, zone=zone), "span": span}
    return environment.get_template("index.html.j2")


def _groups(table: Sequence[Row]) -> dict[str, list[Row]]:
    """Name in the template -> the rows of which it says something."""
    return {
        "rows": sorted(table, key=lambda row: row.student),
        "counted": [row for row in table if row.is_counted],
        "failed": [row for row in table if row.record.status == "grader error"],
        "rejected": [row for row in table if row.record.status == "rejected"],
        "waiting": [row for row in table if row.grades and row.grades.to_grade],
        "late": [row for row in table if row.grades and row.grades.seconds_late > 0],
    }


def _statistics(table: Sequence[Row]) -> dict[str, Any]:
    """Name in the template -> what is said of the class as a whole."""
    from grading.report.unnamed import alike

    flags = [(row.student, flag) for row in table for flag in row.record.flags]
    return {
        "mean": fmean([row.total for row in table if row.is_counted] or [0]),
        "worth": max([row.worth for row in table], default=0),
        "bars": distribution(table),
        "tasks": tasks(table),
        "mistakes": mistakes(table),
        "unnamed": alike(row.record for row in table),
        "flags": flags,
        "kinds": Counter(flag.kind for _, flag in flags).most_common(),
    }


def csv_table(table: Sequence[Row], zone: ZoneInfo) -> bytes:
    """The class as CSV, one row per student, safe for spreadsheets.

    zone: in which times are written.
    """
    from grading.report.export import Value, csv_bytes, local, status
    from grading.report.unnamed import unnamed

    names = list(dict.fromkeys(one.task for row in table for one in row.record.verdicts))
    last = ("late_penalty", "total", "worth", "misconceptions", "unnamed", "flags")
    found: list[list[Value]] = [["student_id", "status", "reason", "handed_in", *names, *last]]
    for row in sorted(table, key=lambda row: row.student):
        points = {one.task: row.points(one) for one in row.record.verdicts}
        failed = row.record.status == "grader error"
        found.append(
            [
                row.student,
                status(row.grades, row.record),
                row.record.reason,
                local(row.grades.handed_in, zone) if row.grades else None,
                *(None if failed else points.get(name) for name in names),
                row.grades.penalty if row.grades else 0,
                None if failed else row.total,
                row.worth,
                "; ".join(one.misconception for one in row.record.verdicts if one.misconception),
                "; ".join(
                    f"{one.task}: {said}" for one in row.record.verdicts if (said := unnamed(one))
                ),
                "; ".join(_in_words(flag) for flag in row.record.flags),
            ]
        )
    return csv_bytes(found)


def _in_words(flag: Flag) -> str:
    return f"{flag.kind}: {flag.sentence}"


def write(course: Path, stage: Stage, *, anonymous: bool = False) -> list[Path]:
    """Write the reports of a stage, each whole or not at all, and return their paths.

    Raises:
        CourseError: nothing of this stage has been graded, or something cannot be read or written.
    """
    from grading.judge.similarity import unusual_pairs

    table = rows(course, stage)
    if not table:
        raise CourseError(
            f"nothing of {stage.folder} has been graded in {course}: run python -m grading "
            f"autograde {stage.folder}."
        )
    table = _with_copies(table, course, stage)
    folder = course / "reports"
    due, zone = due_date(course, stage.folder), zone_of(course)
    if anonymous:
        path = folder / f"{stage.folder}-anonymous.html"
        atomic_write(path, page(stage, table, due=due, zone=zone, anonymous=True))
        return [path]
    pairs = unusual_pairs(course, stage, [row.student for row in table])
    paths = [folder / f"{stage.folder}.html", folder / f"{stage.folder}.csv"]
    atomic_write(paths[0], page(stage, table, pairs, ungraded(course, stage), due=due, zone=zone))
    atomic_write(paths[1], csv_table(table, zone))
    return [*paths, *_gradescope(folder / "gradescope" / stage.folder, table, zone)]


def _with_copies(table: Sequence[Row], course: Path, stage: Stage) -> list[Row]:
    """Add a flag for each picture that is copied from another student."""
    if not stage.pictures:
        return list(table)
    from grading.judge.copied_pictures import flag_copies

    copies = flag_copies(course, stage)
    found = []
    for row in table:
        flags = (*row.record.flags, *copies.get(row.student, ()))
        found.append(replace(row, record=replace(row.record, flags=flags)))
    return found


def _gradescope(folder: Path, table: Sequence[Row], zone: ZoneInfo) -> list[Path]:
    from grading.report.gradescope import results_json

    written = []
    for row in table:
        path = folder / row.student / "results.json"
        content = results_json(row.record, row.grades, zone)
        if content is None:
            # An earlier grade must not remain for a submission that could not be graded.
            path.unlink(missing_ok=True)
        else:
            atomic_write(path, content)
            written.append(path)
    return written


def _print_summary(course: Path, stage: Stage) -> None:
    """When it was due, and the wrong answers that no known mistake explains, in groups."""
    from grading.report.unnamed import alike, text_table

    print(due_sentence(stage.folder, due_date(course, stage.folder), zone_of(course)))
    groups = alike(row.record for row in rows(course, stage))
    if groups:
        print("Wrong answers without a known mistake, by what they have in common:")
        print(*text_table(groups), sep="\n")


def main(arguments: list[str] | None = None) -> int:
    """Report on one stage, or with --all on every stage that has grades."""
    parser = documented("python -m grading report", __doc__)
    parser.add_argument("stage", nargs="?", choices=[stage.folder for stage in STAGES])
    parser.add_argument("--all", action="store_true", help="every stage that has grades")
    parser.add_argument(
        "--course", type=Path, default=Path("class"), help="the course folder (default: class)"
    )
    parser.add_argument("--anonymous", action="store_true", help="a page without names")
    options = parser.parse_args(arguments)
    if bool(options.stage) == options.all:
        raise CourseError("name one stage, or give --all.")
    course = options.course
    chosen = [stage for stage in STAGES if stage.folder == options.stage]
    if options.all:
        chosen = [stage for stage in STAGES if Store(course).all(stage.folder)]
        if not chosen:
            raise CourseError(f"nothing has been graded in {course}.")
    for stage in chosen:
        paths = write(course, stage, anonymous=options.anonymous)
        _print_summary(course, stage)
        for path in paths[:2]:
            print(f"wrote {path}")
        if len(paths) > 2:
            print(f"wrote {len(paths) - 2} results.json under {paths[2].parents[1]}")
    return 0
