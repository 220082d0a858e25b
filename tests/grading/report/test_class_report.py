"""The overview, the tables and Gradescope's files are right, and safe with hostile content."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from distillery.core.errors import CourseError
from grading.authoring.build import ROOT
from grading.core.records import Flag, Record, Store, Verdict
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.feedback.active_content import active_parts
from grading.intake.take_in import take_in
from grading.judge.judge_task import OTHER_INPUTS
from grading.report import class_report
from grading.report.class_report import Row
from grading.report.export import CourseExport, csv_bytes, safe_cell
from grading.report.gradescope import LARGEST, results, results_json
from grading.report.unnamed import alike, text_table
from grading.stages import STAGES
from grading.stages.misconceptions import MISCONCEPTIONS

STAGE = STAGES[1]
NAME = STAGE.folder
FIRST, SECOND, THIRD = (f"sds.{function}" for function in STAGE.points)
MISTAKE = next(known for known in MISCONCEPTIONS if known.task == SECOND)
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e\ud800"
FORMULA = '=HYPERLINK("https://evil.example","grade")'
DUE = datetime(2026, 9, 1)


def record(student: str, points: tuple[float, float, float], **changes) -> Record:
    worths = STAGE.points.values()
    verdicts = tuple(
        Verdict(
            task,
            reached,
            worth,
            "right" if reached == worth else "wrong",
            (f"{task}: {SCRIPT}",),
            MISTAKE.name if task == SECOND and not reached else None,
        )
        for task, reached, worth in zip((FIRST, SECOND, THIRD), points, worths, strict=True)
    )
    facts = {
        "student": student,
        "assignment": NAME,
        "digest": "5e" * 32,
        "seed": 918273645,
        "status": "graded",
        "reason": "",
        "verdicts": verdicts,
        "flags": (),
        "seconds": 2.4,
    }
    return Record(**(facts | changes))


CLASS = (
    *(record(f"s{index}", (2, 0, 3)) for index in range(6)),
    record("top", (2, 4, 3), flags=(Flag("copy", f"see {SCRIPT}"), Flag("copy", FORMULA))),
    record("none", (0, 0, 0)),
    record("late", (2, 4, 0)),
    record("by-hand", (2, 0, 0)),
    record("gone", (0, 0, 0), status="rejected", reason=f"no notebook {SCRIPT}"),
    record("unlucky", (0, 0, 0), status="grader error", reason="the sandbox died."),
)


@pytest.fixture(scope="module")
def course(released, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "class"
    shutil.copytree(released, folder, ignore=shutil.ignore_patterns("bundles"))
    Rules(seed=1, time_zone="America/New_York").save(folder / "rules.yaml")
    store = Store(folder)
    with Gradebook(f"sqlite:///{folder}/gradebook.db") as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate=DUE)
        gradebook.add_student("absent", last_name=FORMULA, first_name='O"Neil, \u05d0', email="@x")
        for one in CLASS:
            store.save(one)
            store.mark_booked(one)
            book(gradebook, one)
        gradebook.find_submission(NAME, "late").timestamp = DUE + timedelta(hours=30)
        notebook = gradebook.find_submission_notebook(NAME, NAME, "late")
        notebook.late_submission_penalty = 1.5
        gradebook.find_grade("sds-sds_grad-check", NAME, NAME, "by-hand").manual_score = 2.5
        gradebook.db.commit()
    return folder


def book(gradebook: Gradebook, one: Record) -> None:
    gradebook.update_or_create_student(one.student)
    gradebook.update_or_create_submission(NAME, one.student, timestamp=DUE - timedelta(hours=1))
    for verdict in one.verdicts:
        grade_id = f"{verdict.task.replace('.', '-')}-check"
        grade = gradebook.find_grade(grade_id, NAME, NAME, one.student)
        failed = one.status == "grader error"
        grade.auto_score = None if failed else verdict.points
        grade.needs_manual_grade = failed


@pytest.fixture(scope="module")
def written(course) -> dict[str, Path]:
    assert class_report.main([NAME, "--course", str(course)]) == 0
    folder = course / "reports"
    return {path.name: path for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def page(written) -> str:
    return written[f"{NAME}.html"].read_text(encoding="utf-8")


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_tasks_are_counted_over_what_was_graded(course):
    first, second, third = class_report.tasks(class_report.rows(course, STAGE))[:3]
    assert (first.name, second.name, third.name) == (FIRST, SECOND, THIRD)
    assert first.right == pytest.approx(9 / 10)
    assert second.right == pytest.approx(2 / 10)
    assert second.points == pytest.approx((4 + 4 + 2.5) / 10)
    assert [first.is_hard, second.is_hard] == [False, True]


def test_mistakes_are_counted_and_told_by_their_sentence(course, page):
    (mistake,) = class_report.mistakes(class_report.rows(course, STAGE))
    assert (mistake.name, mistake.count) == (MISTAKE.name, 8)
    assert mistake.sentence == MISTAKE.sentence
    assert MISTAKE.sentence in page


def test_the_distribution_holds_every_graded_hand_in_once(course):
    assert sum(class_report.distribution(class_report.rows(course, STAGE))) == 10


def test_the_page_shows_what_needs_a_human_before_all_else(page):
    order = ["The grader failed on these", "Rejected. The students", "Points</h2>"]
    assert [page.index(words) for words in order] == sorted(page.index(words) for words in order)
    for words in ("the sandbox died.", "2 × copy", "unusually similar", "by-hand"):
        assert words in page


def test_every_time_is_shown_in_the_courses_zone(page, written, course):
    """It was due on 1 September at 0:00 UTC, which is the evening before in New York."""
    assert "01_sds is due Mon 31 Aug 2026 20:00 America/New_York (Tue 00:00 UTC)." in page
    row = re.search(r"<tr><td><bdi>late</bdi></td>.*?</tr>", page, re.DOTALL)
    for words in ("Wed 2 Sep 2026 02:00 EDT", "Mon 31 Aug 2026 20:00 EDT", ">30 h<"):
        assert words in row[0]
    rows = {row["student_id"]: row for row in table(written[f"{NAME}.csv"].read_bytes())}
    assert rows["late"]["handed_in"] == "2026-09-02 02:00:00-04:00"
    late = json.loads((course / f"reports/gradescope/{NAME}/late/results.json").read_text())
    assert (
        "It came Wed 2 Sep 2026 02:00 America/New_York (06:00 UTC), and was due Mon 31 Aug 2026 "
        "20:00 America/New_York (Tue 00:00 UTC)." in late["output"]
    )


def wrong(student: str, *lines: str, outcome: str = "wrong", known: str | None = None) -> Record:
    verdict = Verdict(FIRST, 0.0, 2.0, outcome, lines, known)
    return record(student, (0, 0, 0), verdicts=(verdict,))


HEAD, WANTED, GOT = f"{FIRST}: not yet, with a picture alone.", "  wanted: 1.5", "  got:    3"
TWICE = "  Yours is 2 times what is wanted."


def test_wrong_answers_without_a_name_are_grouped_by_what_is_said_of_them():
    groups = alike(
        [
            wrong("bob", HEAD, WANTED, GOT, TWICE),
            wrong("ada", HEAD, WANTED, "  got:    4", TWICE, OTHER_INPUTS),
            wrong("dan", HEAD, WANTED, GOT),
            wrong("eve", HEAD, WANTED, GOT),
            wrong("fay", HEAD, WANTED, "  got:    9"),
            wrong("cid", HEAD, WANTED, GOT, TWICE, known="twice"),
            wrong(
                "gus",
                f"{FIRST}: stops",
                "  KeyError: 't'",
                "  in the line: a[t]",
                outcome="stopped",
            ),
            wrong(
                "hal",
                f"{FIRST}: stops",
                "  KeyError: 't'",
                "  in the line: b[t]",
                outcome="stopped",
            ),
            wrong("ivy", f"{FIRST}: it did not return within 20 seconds.", outcome="timed out"),
            wrong("joe", f"{FIRST} is still to do.", outcome="to do"),
            record("kim", (0, 0, 0), status="rejected", reason="no notebook."),
        ]
    )
    assert [(one.said, one.students) for one in groups] == [
        ("KeyError: 't'", ("gus", "hal")),
        ("Yours is 2 times what is wanted.", ("ada", "bob")),
        ("wanted: 1.5; got: 3", ("dan", "eve")),
        ("it did not return within 20 seconds.", ("ivy",)),
        ("wanted: 1.5; got: 9", ("fay",)),
    ]
    assert groups[1].example == "not yet, with a picture alone; wanted: 1.5; got: 4"
    assert groups[0].example == groups[3].example == ""
    assert text_table(groups)[1] == (
        f"  2 students  {FIRST}  Yours is 2 times what is wanted. (ada, bob)"
    )


def test_the_groups_are_on_the_page_with_names_and_without_where_it_is_anonymous():
    live = f"  Yours is 2 times {SCRIPT}"
    rows = [Row(wrong(f"s{index}", HEAD, WANTED, GOT, live), None) for index in range(12)]
    page = class_report.page(STAGE, rows)
    assert active_parts(page) == []
    section = page[page.index("Wrong answers without a known mistake") :]
    section = section[: section.index("</section>")]
    assert '<td class="right-aligned">12</td>' in section
    assert "Yours is 2 times &lt;script&gt;" in section
    assert section.count("<bdi>") == 12
    assert "with a picture alone; wanted: 1.5; got: 3" in section
    anonymous = class_report.page(STAGE, rows, anonymous=True)
    assert "Yours is 2 times &lt;script&gt;" in anonymous
    assert "<bdi>" not in anonymous
    (line,) = text_table(alike(row.record for row in rows))
    assert line.startswith(" 12 students  ")
    assert line.endswith("(s0, s1, s10, s11, s2, s3, 6 more)")
    assert "\x1b" not in line


def test_the_command_prints_the_groups_and_the_due_date(course, capsys):
    assert class_report.main([NAME, "--course", str(course)]) == 0
    printed = capsys.readouterr().out
    assert "01_sds is due Mon 31 Aug 2026 20:00 America/New_York" in printed
    assert "Wrong answers without a known mistake, by what they have in common:" in printed
    assert re.search(rf"^ +\d+ students?  {FIRST}  ", printed, re.MULTILINE)


def test_nothing_on_the_page_runs_or_is_loaded(page):
    assert active_parts(page) == []
    assert "&lt;script&gt;" in page
    for char in ("\x1b", "\u202e"):
        assert char not in page


def test_an_anonymous_page_names_nobody(course):
    (path,) = class_report.write(course, STAGE, anonymous=True)
    anonymous = path.read_text(encoding="utf-8")
    for one in CLASS:
        assert f">{one.student}<" not in anonymous
    assert "unlucky" not in anonymous
    assert "notebook" not in anonymous
    assert "1 rejected" in anonymous


def test_the_table_has_a_row_for_each_and_no_zero_for_a_grader_error(written):
    rows = {row["student_id"]: row for row in table(written[f"{NAME}.csv"].read_bytes())}
    assert set(rows) == {one.student for one in CLASS}
    assert float(rows["late"]["total"]) == 4.5
    assert float(rows["by-hand"][SECOND]) == 2.5
    assert rows["unlucky"]["total"] == rows["unlucky"][FIRST] == ""
    assert rows["gone"]["status"] == "rejected"
    assert rows["s0"]["misconceptions"] == MISTAKE.name


def test_no_cell_of_a_table_is_a_formula_or_breaks_its_row():
    hostile = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "\uff1d1", "\x1b=1", 'a"b,c;=d\n=e']
    (row,) = csv.reader(io.StringIO(csv_bytes([hostile]).decode("utf-8-sig")))
    assert len(row) == len(hostile)
    assert row[-1] == 'a"b,c;=d =e'
    for cell in row:
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    # A spreadsheet that splits at semicolons must not find a formula behind one.
    assert csv_bytes([["x;=1"]]).endswith(b'"x;=1"\r\n')
    assert csv_bytes([["\ud800", "x" * 10**7]]).startswith(b"\xef\xbb\xbf")
    assert len(csv_bytes([["x" * 10**7]])) < 2000
    assert [safe_cell(value) for value in (-1.5, 0, None)] == [-1.5, 0, ""]


def test_the_exporter_lists_every_student_with_points_penalty_and_status(course, tmp_path):
    path = tmp_path / "grades.csv"
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        exporter = CourseExport()
        exporter.to, exporter.assignment = str(path), [NAME]
        exporter.export(gradebook)
    rows = {row["student_id"]: row for row in table(path.read_bytes())}
    assert set(rows) == {"absent", *(one.student for one in CLASS)}
    assert rows["absent"]["status"] == "not handed in"
    assert rows["absent"]["last_name"] == f"'{FORMULA}"
    assert rows["absent"]["first_name"] == 'O"Neil, \u05d0'
    assert float(rows["top"][SECOND]) == 4
    assert float(rows["late"]["late_penalty"]) == 1.5
    assert [float(rows["late"][name]) for name in ("points", "total")] == [6, 4.5]
    assert rows["unlucky"]["status"] == "to grade by hand"


def test_nbgrader_export_runs_it(course, tmp_path):
    path = tmp_path / "all.csv"
    command = [str(ROOT / ".venv" / "bin" / "nbgrader"), "export", "--to", str(path)]
    command += ["--exporter", "grading.export.CourseExport"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = table(path.read_bytes())
    assert {row["assignment"] for row in rows} == {STAGES[0].folder, NAME}
    assert len(rows) == 2 * (len(CLASS) + 1)


def test_gradescope_gets_scores_by_task_and_the_total_of_the_gradebook(written, course):
    folder = course / "reports" / "gradescope" / NAME
    late = json.loads((folder / "late" / "results.json").read_text())
    assert late["score"] == 4.5
    assert [test["score"] for test in late["tests"]] == [2, 4, 0]
    assert [test["max_score"] for test in late["tests"]] == [2, 4, 3]
    assert [test["status"] for test in late["tests"]] == ["passed", "passed", "failed"]
    assert "1.5 points off" in late["output"]
    assert late["output_format"] == "text"
    assert "\x1b" not in late["tests"][0]["output"]
    gone = json.loads((folder / "gone" / "results.json").read_text())
    assert gone["score"] == 0
    assert "no notebook" in gone["output"]


def test_gradescope_gets_nothing_of_a_grader_error(course, written):
    folder = course / "reports" / "gradescope" / NAME
    assert not (folder / "unlucky" / "results.json").exists()
    assert results(CLASS[-1]) is None


def test_a_results_json_is_never_too_large():
    lines = ("\u20ac" * 10**5,) * 100
    verdicts = tuple(Verdict(f"sds.f{n}", 0, 1, "wrong", lines) for n in range(200))
    content = results_json(record("ann", (0, 0, 0), verdicts=verdicts))
    assert content is not None
    assert len(content) < LARGEST
    assert len(json.loads(content)["tests"]) == 200


def test_a_later_hand_in_takes_the_place_of_an_earlier_one(tmp_path):
    store = Store(tmp_path)
    old, new = record("ann", (0, 0, 0)), record("ann", (2, 4, 3), digest="0a" * 32)
    for one in (new, old):
        store.save(one)
    store.mark_booked(new)
    assert [row.total for row in class_report.rows(tmp_path, STAGE)] == [9]


def test_a_hand_in_that_is_not_graded_yet_is_listed(course, tmp_path):
    later = tmp_path / "class"
    shutil.copytree(course, later, ignore=shutil.ignore_patterns("reports"))
    received = datetime(2026, 9, 2, tzinfo=timezone.utc)
    source = later / "release" / NAME
    take_in(source, Submission(later, "top", NAME), received=received)
    assert class_report.ungraded(later, STAGE) == ["top"]
    table = class_report.rows(later, STAGE)
    assert "not graded yet" in class_report.page(
        STAGE, table, (), class_report.ungraded(later, STAGE)
    )
    assert "not graded yet" not in class_report.page(STAGE, table)


def test_a_stage_without_records_is_one_sentence(tmp_path):
    with pytest.raises(CourseError, match="has been graded"):
        class_report.main([NAME, "--course", str(tmp_path)])
    with pytest.raises(CourseError, match="name one stage"):
        class_report.main(["--course", str(tmp_path)])
    with pytest.raises(CourseError, match="nothing has been graded"):
        class_report.main(["--all", "--course", str(tmp_path)])
