"""Hand-ins come from anywhere, each to the student that the platform says, and none by guessing."""

from __future__ import annotations

import json
import os
import re
import shutil
import time as clock
import zipfile
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from distillery.core.errors import CourseError
from grading.authoring.build import ROOT
from grading.core.nbgrader_api import nbgrader
from grading.core.rules import Rules, zone_of
from grading.core.submission import Submission
from grading.core.times import stamp
from grading.intake import accept, collect, take_in
from grading.intake.clean_folder import load_intake
from grading.intake.exchange import SafeCollect
from grading.intake.sources import CollectResult
from grading.stages import STAGES

NAME = STAGES[0].folder
NBGRADER = """\
c = get_config()
c.CourseDirectory.root = {root!r}
c.CourseDirectory.course_id = "distillery"
c.CourseDirectory.db_url = "sqlite:///{root}/gradebook.db"
c.Exchange.root = {exchange!r}
"""


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """What of a course folder is needed to take hand-ins in."""
    folder = tmp_path / "class" / "release" / NAME
    folder.mkdir(parents=True)
    shutil.copy(ROOT / STAGES[0].notebook, folder)
    return tmp_path / "class"


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    path = tmp_path / "downloads"
    path.mkdir()
    return path


def notebook(mark: str = "") -> bytes:
    """The notebook of a student, told apart by a mark."""
    found = nbformat.read(ROOT / STAGES[0].notebook, as_version=4)
    found.cells.append(nbformat.v4.new_markdown_cell(mark))
    return nbformat.writes(found).encode()


def zipped(path: Path, mark: str = "", **files: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{NAME}.ipynb", notebook(mark))
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def run(course: Path, *arguments: object) -> dict[str, tuple[str, str]]:
    """Student or name -> outcome and what is said, of the command."""
    options = [NAME, "--course", str(course), *map(str, arguments)]
    printed: list[Sequence[CollectResult]] = []

    def keep(rows: Sequence[CollectResult], zone: object) -> str:
        printed.append(rows)
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "table", keep)
        assert collect.main(options) == 0
    return {row.student: (row.status, row.reason) for row in printed[0]}


def outcomes(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: outcome for name, (outcome, _) in found.items()}


def mark_of(course: Path, student: str) -> str:
    path = course / "submitted" / student / NAME / f"{NAME}.ipynb"
    return nbformat.read(path, as_version=4).cells[-1].source


def roster(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "roster.csv"
    path.write_text("\n".join(["student_id,lms,first_name,last_name,email", *rows]) + "\n", "utf-8")
    return path


def test_what_pack_names_is_collected_and_kept_as_it_came(course, downloads):
    source = zipped(downloads / "Ada-Lovelace_al_1815.zip", "first")
    zipped(downloads / "Alan-Turing_at1912 (1).zip")
    assert outcomes(run(course, "--zips", downloads)) == {
        "al_1815": "accepted",
        "at1912": "accepted",
    }
    kept = course / "received" / NAME / "al_1815"
    assert (kept / "hand-in.zip").read_bytes() == source.read_bytes()
    receipt = json.loads((kept / "receipt.json").read_text())
    assert receipt["name"] == "Ada-Lovelace_al_1815.zip"
    assert mark_of(course, "al_1815") == "first"


@pytest.mark.parametrize(
    ("name", "student", "inside"),
    [
        ("Ada Lovelace_31415_assignsubmission_file_", "31415", "x.zip"),
        ("Ada Lovelace_31415_assignsubmission_file_Ada_al1815.zip", "31415", ""),
        ("lovelaceada_271_82845_Ada-Lovelace_al1815.zip", "271", ""),
        ("lovelaceada_271_82845_01 tour-1.ipynb", "271", ""),
        ("Lab 1_al1815_attempt_2026-11-20-12-30-00_work.zip", "al1815", ""),
        ("Lab_1_al1815_attempt_2026-11-20-12-30-00.zip", "al1815", ""),
    ],
)
def test_each_platforms_names_are_understood(name, student, inside, course, downloads):
    if name.endswith(".ipynb"):
        (downloads / name).write_bytes(notebook())
    else:
        zipped(downloads / name / inside if inside else downloads / name)
    (downloads / "grades.csv").write_text("")
    (downloads / "Ada Lovelace_31415_assignsubmission_onlinetext_").mkdir()
    (downloads / "Lab 1_al1815_attempt_2026-11-20-12-30-00.txt").write_text("Name: Ada")
    assert outcomes(run(course, "--zips", downloads)) == {student: "accepted"}


def test_a_roster_says_who_is_who_and_nothing_is_guessed(course, downloads, tmp_path):
    who = roster(
        tmp_path,
        "ada,31415,Ada,Lovelace,ada@x.org",
        "alan,27182,Alan,Turing,alan@x.org",
        "grace,16180,Grace,Hopper,grace@x.org",
        "jörg@".replace("ö", "o") + "x,1,Jörg,Groß,",
        "twin1,2,Sam,Lee,",
        "twin2,3,Sam,Lee,",
    )
    for name in (
        "Ada Lovelace_99_assignsubmission_file_x.zip",  # the number is of this assignment only
        "turingalan_27182_5_x.zip",
        "grace.zip",
        "Groß Jorg_77_assignsubmission_file_x.zip",
        "Sam Lee_88_assignsubmission_file_x.zip",
        "Ada Lovelace_27182_assignsubmission_file_x.zip",  # her name, and his number
        "nobody_000.zip",
        "notes.zip",
    ):
        zipped(downloads / name)
    found = run(course, "--zips", downloads, "--roster", who)
    assert outcomes(found) == {
        "ada": "accepted",
        "alan": "accepted",
        "grace": "accepted",
        "jorg@x": "accepted",
        "'Sam Lee_88_assignsubmission_file_x.zip'": "unknown",
        "'Ada Lovelace_27182_assignsubmission_file_x.zip'": "unknown",
        "'nobody_000.zip'": "unknown",
        "'notes.zip'": "unknown",
    }
    assert "could be twin1 or twin2" in found["'Sam Lee_88_assignsubmission_file_x.zip'"][1]
    assert "could be ada or alan" in found["'Ada Lovelace_27182_assignsubmission_file_x.zip'"][1]


def test_without_a_roster_a_name_that_says_no_id_is_nobodys(course, downloads):
    zipped(downloads / "homework.zip")
    (downloads / "some folder").mkdir()
    assert set(outcomes(run(course, "--zips", downloads)).values()) == {"unknown"}
    assert not (course / "submitted").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,name\nada,Ada\n", "no column student_id; its first line"),
        ("student_id\nada\nada\n", "line 3"),
        ("student_id\n../x\n", "'../x' is not"),
        ("student_id\n", "has no students"),
        ("\xff\xfe", "is empty"),
    ],
)
def test_a_roster_that_cannot_be_right_is_refused(text, says, course, downloads, tmp_path):
    (tmp_path / "roster.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(CourseError, match=says):
        run(course, "--zips", downloads, "--roster", tmp_path / "roster.csv")


def test_two_names_of_one_safe_form_are_nobodys(course, downloads):
    zipped(downloads / "Ada_a b.zip")
    zipped(downloads / "Eve_a-b.zip")
    found = run(course, "--zips", downloads)
    assert outcomes(found) == {"a-b": "unknown"}


def test_files_that_were_handed_in_singly_are_one_hand_in(course, downloads):
    (downloads / f"lovelaceada_271_11_{NAME}.ipynb").write_bytes(notebook("hers"))
    (downloads / "lovelaceada_LATE_271_12_eval.json").write_text("{}")
    found = run(course, "--zips", downloads)
    assert found == {"271": ("accepted", "to look at: late")}
    assert mark_of(course, "271") == "hers"
    assert (course / "received" / NAME / "271" / "hand-in" / "eval.json").exists()


def test_of_several_attempts_the_newest_counts_and_says_when(course, downloads):
    for hour in ("09", "11", "10"):
        zipped(downloads / f"Lab_al1815_attempt_2026-11-20-{hour}-00-00_x.zip", hour)
    assert outcomes(run(course, "--zips", downloads)) == {"al1815": "accepted"}
    assert mark_of(course, "al1815") == "11"
    here = datetime(2026, 11, 20, 11).astimezone()
    assert load_intake(Submission(course, "al1815", NAME)).received == here


def test_a_time_that_was_forgotten_can_be_given_later(course, downloads):
    zipped(downloads / "ada_ada.zip", "a")
    run(course, "--zips", downloads)
    run(course, "--zips", downloads, "--received", "2026-11-01T20:00+00:00")
    first = load_intake(Submission(course, "ada", NAME)).received
    rows = run(course, "--zips", downloads, "--received", "2026-11-02T20:00+00:00")
    assert first == datetime(2026, 11, 1, 20, tzinfo=timezone.utc)
    assert load_intake(Submission(course, "ada", NAME)).received == first
    assert outcomes(rows) == {"ada": "unchanged"}


def test_folders_are_known_by_their_names_too(course, downloads, tmp_path):
    zipped(downloads / "Ada Lovelace_1001_assignsubmission_file" / "work.zip", "a")
    folder = downloads / "Carl-Dir_cd1"
    folder.mkdir()
    (folder / f"{NAME}.ipynb").write_bytes(notebook("c"))
    names = roster(tmp_path, "al1815,1001,Ada,Lovelace,a@b.c", "cd1,1002,Carl,Dir,c@b.c")
    assert outcomes(run(course, "--zips", downloads, "--roster", names)) == {
        "al1815": "accepted",
        "cd1": "accepted",
    }


def test_an_empty_folder_of_downloads_is_said(course, downloads):
    with pytest.raises(CourseError, match=r"there is no submission in .*downloads"):
        run(course, "--zips", downloads)


def test_a_time_that_is_none_is_said_with_the_form_that_is_wanted(course, downloads):
    with pytest.raises(CourseError, match="write it like 2026-11-22T23:59"):
        run(course, "--zips", downloads, "--received", "yesterday")


def received(course: Path, student: str) -> str:
    intake = load_intake(Submission(course, student, NAME))
    assert intake is not None
    return intake.received.isoformat()


@pytest.mark.parametrize(
    ("zone", "machine", "at"),
    [
        ("America/New_York", "Asia/Seoul", "2025-11-23T04:59:00+00:00"),
        ("Asia/Seoul", "America/New_York", "2025-11-22T14:59:00+00:00"),
        ("Pacific/Kiritimati", "Europe/Berlin", "2025-11-22T09:59:00+00:00"),
    ],
)
def test_a_time_without_a_zone_is_of_the_courses_zone_wherever_it_is_written(
    zone, machine, at, course, downloads, tmp_path, monkeypatch
):
    Rules(seed=1, time_zone=zone).save(course / "rules.yaml")
    monkeypatch.setenv("TZ", machine)
    clock.tzset()
    zipped(downloads / "Ada_ada.zip")
    zipped(downloads / "Lab_bob_attempt_2025-11-22-23-59-00_x.zip")
    run(course, "--zips", downloads, "--received", "2025-11-22T23:59")
    export = tmp_path / "export"
    (export / "submission_1").mkdir(parents=True)
    (export / "submission_1" / f"{NAME}.ipynb").write_bytes(notebook())
    stored = {":submitters": [{":sid": "cid"}], ":created_at": "2025-11-22 23:59:00"}
    (export / "submission_metadata.yml").write_text(json.dumps({"submission_1": stored}))
    run(course, "--gradescope", export)
    folder = course / "submitted" / "dan" / NAME
    folder.mkdir(parents=True)
    (folder / f"{NAME}.ipynb").write_bytes(notebook())
    (folder / "timestamp.txt").write_text("2025-11-22 23:59:00")  # of nbgrader zip_collect
    run(course)
    monkeypatch.undo()
    clock.tzset()
    students = ("ada", "bob", "cid", "dan")
    assert [received(course, student) for student in students] == [at] * 4


def test_a_hand_in_that_nobody_foresaw_holds_up_nobody_else(course, downloads, monkeypatch):
    for student in ("ada", "bob"):
        zipped(downloads / f"{student}_{student}.zip", student)
    as_ever = accept.take_in_kept

    def trapped(receipt: object, source: Path, submission: Submission) -> object:
        if submission.student == "ada":
            raise MemoryError
        return as_ever(receipt, source, submission)

    monkeypatch.setattr(accept, "take_in_kept", trapped)
    rows = run(course, "--zips", downloads)
    assert rows["bob"][0] == "accepted"
    assert rows["ada"] == ("unknown", "cannot be taken in (MemoryError): look at it")


def test_collecting_again_changes_nothing_where_nothing_is_new(course, downloads):
    zipped(downloads / "Ada_al1815.zip")
    zipped(downloads / "Eve_eve.zip", **{"x__zip": ""})
    first = run(course, "--zips", downloads)
    assert outcomes(first) == {"al1815": "accepted", "eve": "rejected"}
    before = {path: path.stat().st_mtime_ns for path in course.rglob("*")}

    again = run(course, "--zips", downloads)

    assert outcomes(again) == {"al1815": "unchanged", "eve": "unchanged"}
    assert again["eve"][1] == first["eve"][1]
    assert {path: path.stat().st_mtime_ns for path in course.rglob("*")} == before | {
        course / ".intake": (course / ".intake").stat().st_mtime_ns
    }
    assert outcomes(run(course, "--zips", downloads, "--again"))["al1815"] == "accepted"


def test_an_older_hand_in_never_replaces_a_newer_one(course, downloads, tmp_path):
    zipped(downloads / "Lab_al1815_attempt_2026-11-20-11-00-00_x.zip", "newer")
    run(course, "--zips", downloads)
    older = tmp_path / "older"
    zipped(older / "Lab_al1815_attempt_2026-11-20-10-00-00_x.zip", "older")
    assert outcomes(run(course, "--zips", older)) == {"al1815": "unchanged"}
    assert mark_of(course, "al1815") == "newer"
    newest = tmp_path / "newest"
    zipped(newest / "Lab_al1815_attempt_2026-11-20-12-00-00_x.zip", "newest")
    assert outcomes(run(course, "--zips", newest)) == {"al1815": "accepted"}
    assert mark_of(course, "al1815") == "newest"


def test_times_of_files_and_in_archives_are_not_believed(course, downloads):
    path = zipped(downloads / "Ada_al1815.zip", timestamp__txt="1999-01-01 00:00:00 UTC")
    os.utime(path, (0, 0))
    run(course, "--zips", downloads)
    received = load_intake(Submission(course, "al1815", NAME)).received
    assert datetime.now(timezone.utc) - received < timedelta(minutes=10)


def test_a_time_can_be_given_for_all(course, downloads):
    zipped(downloads / "Ada_al1815.zip")
    run(course, "--zips", downloads, "--received", "2026-11-20T12:00:00+01:00")
    received = load_intake(Submission(course, "al1815", NAME)).received
    assert received == datetime(2026, 11, 20, 11, tzinfo=timezone.utc)


def test_an_id_inside_that_is_anothers_is_flagged(course, downloads, tmp_path):
    who = roster(tmp_path, "ada,31415,Ada,Lovelace,", "alan,27182,Alan,Turing,")
    ticket = json.dumps({"student_id": "31415"})
    zipped(downloads / "Ada Lovelace_31415_assignsubmission_file_x.zip", pack__json=ticket)
    zipped(downloads / "Alan Turing_27182_assignsubmission_file_x.zip", pack__json=ticket)
    found = run(course, "--zips", downloads, "--roster", who)
    assert found == {"ada": ("accepted", ""), "alan": ("accepted", "to look at: student id")}


def test_one_that_cannot_be_used_stops_nobody(course, downloads):
    zipped(downloads / "Ada_al1815.zip")
    (downloads / "Bob_b1.zip").write_bytes(b"PK\x03\x04 broken")
    (downloads / "Cat_c1.zip").symlink_to("/etc/passwd")
    os.mkfifo(downloads / "Dan_d1.zip")
    zipped(downloads / "Eve_e1.zip", **{"..__x": ""})
    with zipfile.ZipFile(downloads / "Flo_f1.zip", "w") as archive:
        archive.writestr("../../escaped", "")
    found = run(course, "--zips", downloads)
    assert outcomes(found) == {
        "al1815": "accepted",
        "b1": "rejected",
        "c1": "rejected",
        "d1": "rejected",
        "e1": "accepted",
        "f1": "rejected",
    }
    for student in ("b1", "c1", "d1", "f1"):
        assert load_intake(Submission(course, student, NAME)).rejected
    again = outcomes(run(course, "--zips", downloads))
    assert set(again.values()) == {"unchanged"}
    assert not list(course.rglob("escaped"))


def test_an_interrupted_take_in_is_made_good(course, downloads, monkeypatch):
    zipped(downloads / "Ada_al1815.zip", "hers")
    with monkeypatch.context() as patch:
        stop = lambda *args: (_ for _ in ()).throw(KeyboardInterrupt)  # noqa: E731
        patch.setattr(take_in, "write_clean_folder", stop)
        with pytest.raises(KeyboardInterrupt):
            run(course, "--zips", downloads)
    assert not (course / "submitted" / "al1815").exists()
    assert outcomes(run(course)) == {"al1815": "accepted"}
    assert mark_of(course, "al1815") == "hers"


METADATA = """\
---
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: al1815
    :email: ada@x.org
  - :name: Alan Turing
    :sid: '1912'
    :email: alan@x.org
  :created_at: 2026-11-20 12:30:00.5 Z
submission_12:
  :submitters:
  - :name: Eve
    :sid:
    :email: eve@x.org
  :created_at: '2026-11-20 12:31:00 UTC'
submission_13:
  :submitters:
  - :name: Gone
    :sid: gone
  :created_at:
"""


@pytest.mark.parametrize("packed", [False, True])
def test_gradescopes_export_is_collected(packed, course, tmp_path):
    export = tmp_path / "assignment_5_export"
    for number in (11, 12):
        (export / f"submission_{number}" / "notebooks").mkdir(parents=True)
        path = export / f"submission_{number}" / "notebooks" / f"{NAME}.ipynb"
        path.write_bytes(notebook(str(number)))
    (export / "submission_12" / "more.zip").write_bytes(b"PK")
    (export / "submission_metadata.yml").write_text(METADATA)
    if packed:
        source = shutil.make_archive(str(tmp_path / "export"), "zip", tmp_path, export.name)
    found = outcomes(run(course, "--gradescope", source if packed else export))
    assert found == {
        "al1815": "accepted",
        "1912": "accepted",
        "eve@x.org": "accepted",
        "submission_13": "unknown",
    }
    assert mark_of(course, "1912") == "11"
    half_past = datetime(2026, 11, 20, 12, 30, 0, 500_000, tzinfo=timezone.utc)
    assert load_intake(Submission(course, "al1815", NAME)).received == half_past


def test_an_export_that_has_a_submission_twice_is_refused(course, tmp_path):
    (tmp_path / "submission_metadata.yml").write_text(METADATA + "submission_11: {}\n")
    with pytest.raises(CourseError, match="cannot be read; export the submissions again"):
        run(course, "--gradescope", tmp_path)


def test_a_source_that_is_none_says_so(course, tmp_path):
    with pytest.raises(CourseError, match="not an export of Gradescope"):
        run(course, "--gradescope", tmp_path)
    with pytest.raises(CourseError, match="does not exist; name"):
        run(course, "--gradescope", tmp_path / "none.zip")
    with pytest.raises(CourseError, match="none does not exist"):
        run(course, "--zips", tmp_path / "none")
    with pytest.raises(CourseError, match="run python -m grading release"):
        run(tmp_path / "elsewhere", "--zips", tmp_path)


@pytest.fixture(scope="module")
def gradebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty one; making it takes nbgrader seconds."""
    root = tmp_path_factory.mktemp("gradebook")
    text = NBGRADER.format(root=str(root), exchange=str(root))
    (root / "nbgrader_config.py").write_text(text)
    with nbgrader(root) as api, Gradebook(api.coursedir.db_url, "distillery"):
        return root / "gradebook.db"


@pytest.fixture
def inbound(course: Path, tmp_path: Path, gradebook: Path) -> Path:
    """The folder of nbgrader's exchange that students submit to."""
    exchange = tmp_path / "exchange"
    path = exchange / "distillery" / "inbound"
    path.mkdir(parents=True)
    text = NBGRADER.format(root=str(course), exchange=str(exchange))
    (course / "nbgrader_config.py").write_text(text)
    shutil.copy(gradebook, course)
    return path


def submit(inbound: Path, student: str, time: datetime, mark: str = "") -> Path:
    """As `nbgrader submit` leaves it."""
    said = f"{time:%Y-%m-%d %H:%M:%S.%f} UTC"
    folder = inbound / f"{student}+{NAME}+{said}+Zm9v"
    folder.mkdir()
    (folder / f"{NAME}.ipynb").write_bytes(notebook(mark))
    (folder / "timestamp.txt").write_text(said)
    return folder


def test_the_exchange_is_collected_without_following_anything(course, inbound):
    now = datetime.now(timezone.utc)
    submit(inbound, "ada", now - timedelta(minutes=9), "old")
    submit(inbound, "ada", now - timedelta(minutes=5), "new")
    eve = submit(inbound, "eve", now - timedelta(minutes=5))
    (eve / "pictures").symlink_to("/etc")
    os.mkfifo(eve / "eval.json")
    submit(inbound, "late+r", now - timedelta(days=3), "back-dated")

    found = run(course, "--exchange")

    assert found == {
        "ada": ("accepted", ""),
        "eve": ("accepted", "to look at: left out"),
        "late-r": ("accepted", "to look at: timestamp"),
    }
    assert mark_of(course, "ada") == "new"
    received = load_intake(Submission(course, "ada", NAME)).received
    assert abs(received - (now - timedelta(minutes=5))) < timedelta(seconds=1)
    assert set(outcomes(run(course, "--exchange")).values()) == {"unchanged"}
    submit(inbound, "ada", now - timedelta(minutes=1), "newest")
    assert outcomes(run(course, "--exchange"))["ada"] == "accepted"
    assert mark_of(course, "ada") == "newest"


def test_nbgraders_own_command_collects_safely_with_our_settings(course, inbound):
    folder = submit(inbound, "ada", datetime.now(timezone.utc), "hers")
    (folder / "pictures").symlink_to("/etc")
    with nbgrader(course) as api:
        api.coursedir.assignment_id = NAME
        SafeCollect(coursedir=api.coursedir, parent=api).start()
    assert mark_of(course, "ada") == "hers"
    there = load_intake(Submission(course, "ada", NAME))
    assert [flag.kind for flag in there.flags] == ["left out"]


def test_what_nbgraders_own_collect_fetched_is_taken_in(course, inbound):
    source = submit(inbound, "ada", datetime(2026, 11, 20, 12, tzinfo=timezone.utc), "hers")
    shutil.copytree(source, course / "submitted" / "ada" / NAME)
    (course / "submitted" / "ada" / "01_sds").mkdir()
    assert outcomes(run(course)) == {"ada": "accepted"}
    assert mark_of(course, "ada") == "hers"
    there = load_intake(Submission(course, "ada", NAME))
    assert there.received == datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
    assert outcomes(run(course)) == {"ada": "unchanged"}


def test_the_table_counts_and_puts_first_what_is_to_do(capsys, course, downloads):
    zipped(downloads / "Ada_al1815.zip")
    run(course, "--zips", downloads)
    (downloads / "Bob_b1.zip").write_bytes(b"")
    zipped(downloads / "x.zip")
    capsys.readouterr()
    assert collect.main([NAME, "--course", str(course), "--zips", str(downloads)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match("unknown   'x.zip' +the name contains no known id", lines[0])
    assert re.match(r"rejected  b1 +\w{3} \d+ .* the archive", lines[1])
    at = load_intake(Submission(course, "al1815", NAME)).received
    assert lines[2] == f"unchanged al1815   {stamp(at, zone_of(course))}"
    assert lines[3] == "1 rejected, 1 unchanged, 1 unknown"
    assert lines[4].startswith("00_tour has no due date; times without a zone are in ")
