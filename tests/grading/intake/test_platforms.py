"""Downloads of every platform give each submission to its student, the last attempt of each."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import nbformat
import pytest

from distillery.core.errors import CourseError
from grading.authoring.build import ROOT
from grading.core.rules import Rules
from grading.core.submission import Submission
from grading.intake import collect
from grading.intake.clean_folder import load_intake
from grading.intake.platforms import Search, downloads_in
from grading.intake.roster import Roster
from grading.stages import STAGES

NAME = STAGES[0].folder
NOTEBOOK = f"{NAME}.ipynb"
ROSTER = """\
student_id,lms,first_name,last_name,email
al1815,1001,Ada,Lovelace,ada@x.org
at1912,1002,Alan,Turing,alan@x.org
zm1,1003,Zoë,Müller,zoe@x.org
gh1906,1004,Grace,Hopper,grace@x.org
"""
FORM = re.compile(
    r"(accepted|rejected|unchanged|set aside|unknown) +('.*?'|\S+)"
    r"(?: +\w{3} \d+ \w{3} \d{4} [\d:]+ \w+)?(?: +(.+))?"
)
SEVEN = b"7z\xbc\xaf\x27\x1c"
Collect = Callable[..., list[list[str]]]


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    path = tmp_path / "downloads"
    path.mkdir()
    return path


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "class" / "release" / NAME
    folder.mkdir(parents=True)
    shutil.copy(ROOT / STAGES[0].notebook, folder)
    Rules(seed=1, time_zone="America/New_York").save(tmp_path / "class" / "rules.yaml")
    return tmp_path / "class"


@pytest.fixture
def gather(course: Path, downloads: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> Collect:
    """Collect the downloads by the roster, and return the list that is printed."""
    (tmp_path / "roster.csv").write_text(ROSTER, "utf-8")

    def run(*options: object, roster: bool = True, source: Path = downloads) -> list[list[str]]:
        who = ["--roster", tmp_path / "roster.csv"] if roster else []
        given = [NAME, "--course", course, "--zips", source, *who, *options]
        capsys.readouterr()
        assert collect.main([str(one) for one in given]) == 0
        found = map(FORM.fullmatch, capsys.readouterr().out.splitlines())
        return [[part for part in one.groups("") if part] for one in found if one]

    return run


def put(path: Path, mark: str = "") -> None:
    """A notebook, or a zip with one, that is told apart by a mark."""
    found = nbformat.read(ROOT / STAGES[0].notebook, as_version=4)
    found.cells.append(nbformat.v4.new_markdown_cell(mark))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(NOTEBOOK, nbformat.writes(found))
    else:
        path.write_text(nbformat.writes(found), "utf-8")


def mark_of(course: Path, student: str) -> str:
    return nbformat.read(Submission(course, student, NAME).notebook, as_version=4).cells[-1].source


def flags_of(course: Path, student: str) -> dict[str, str]:
    intake = load_intake(Submission(course, student, NAME))
    assert intake is not None
    return {flag.kind: flag.sentence for flag in intake.flags}


def received(course: Path, student: str) -> datetime:
    intake = load_intake(Submission(course, student, NAME))
    assert intake is not None
    return intake.received


def seen(rows: list[list[str]]) -> dict[str, str]:
    return {row[1]: row[0] for row in rows}


def test_brightspace(gather, course, downloads):
    put(downloads / "12-34 - Ada Lovelace - Nov 9, 2026 959 PM" / "a.zip", "old")
    put(downloads / "12-34 - Ada Lovelace - Nov 10, 2026 101 AM" / "b.zip", "new")
    put(downloads / "12-35 - Zoe Muller - 22 November, 2026 2359" / NOTEBOOK)
    put(downloads / "12-36 - gh1906 - Grace Hopper - Nov 2, 2026 1200 PM - x.zip")
    put(downloads / "12-37 - Group 3 - Nov 2, 2026 1200 PM" / NOTEBOOK)
    (downloads / "12-38 - Alan Turing - Nov 2, 2026 100 PM - x.7z").write_bytes(SEVEN)
    (downloads / "index.html").write_text("<html>")
    rows = gather()
    assert seen(rows) == {
        "al1815": "accepted",
        "zm1": "accepted",
        "gh1906": "accepted",
        "at1912": "rejected",
        "'12-37 - Group 3 - Nov 2, 2026 1200 PM'": "unknown",
    }
    assert ["accepted", "al1815", "the last of 2 attempts"] in rows
    assert mark_of(course, "al1815") == "new"
    assert received(course, "al1815") == datetime(2026, 11, 10, 6, 1, tzinfo=timezone.utc)
    assert flags_of(course, "al1815") == {}


def test_sakai(gather, course, downloads):
    top = downloads / "Tour 1"
    put(top / "Lovelace, Ada(al1815)" / "Submission attachment(s)" / "w.zip")
    (top / "Lovelace, Ada(al1815)" / "timestamp.txt").write_text("20261120235900000")
    (top / "Turing, Alan(at1912)" / "Submission attachment(s)").mkdir(parents=True)
    put(top / "Hopper, Grace(gh1906)_Submission attachment(s)_w.zip")
    (top / "grades.csv").write_text("x")
    wanted = [
        ["unknown", "'Turing, Alan(at1912)'", "its folder is empty: nothing was handed in"],
        ["accepted", "al1815"],
        ["accepted", "gh1906"],
    ]
    assert gather() == wanted
    assert gather("--again", roster=False) == wanted
    assert received(course, "al1815") == datetime(2026, 11, 20, 23, 59, tzinfo=timezone.utc)


def test_ilias_also_with_teams(gather, course, downloads):
    top = downloads / "Exercise 1" / "Submissions"
    put(top / "Team 47" / "Lovelace_Ada_al1815_123" / "w.zip", "theirs")
    (top / "Team 47" / "Turing_Alan_at1912_124").mkdir()
    put(top / "Grace_Hopper_gh1906_125" / "w.zip")
    put(top / "Nobody_Joe_jn1_126" / "w.zip")
    rows = gather()
    assert seen(rows)["at1912"] == seen(rows)["gh1906"] == "accepted"
    assert seen(rows)["'Nobody_Joe_jn1_126'"] == "unknown"
    assert mark_of(course, "at1912") == mark_of(course, "al1815") == "theirs"
    assert flags_of(course, "al1815") == flags_of(course, "at1912") == {}


@pytest.mark.parametrize("inner", ["", "Submitted files"])
def test_teams(inner, gather, course, downloads):
    top = downloads / "Submitted files"
    put(top / "Ada Lovelace" / f"{NAME} due" / "Version 9" / NOTEBOOK, "old")
    put(top / "Ada Lovelace" / f"{NAME} due" / "Version 10" / NOTEBOOK, "new")
    put(top / "Ada Lovelace" / "another" / "Version 11" / NOTEBOOK, "another's")
    put(top / "Alan Turing" / "One" / "Version 1" / "x.zip")
    put(top / "Grace Hopper" / "One" / "Version 1" / "x.zip")
    put(top / "Grace Hopper" / "Two" / "Version 1" / "x.zip")
    put(downloads / "Working files" / "Zoë Müller" / "One" / NOTEBOOK)
    rows = gather(source=downloads / inner)
    assert seen(rows) == {"al1815": "accepted", "at1912": "accepted", "'Grace Hopper'": "unknown"}
    assert mark_of(course, "al1815") == "new"


def test_plain_names_are_found_in_the_roster_in_any_form(gather, downloads):
    put(downloads / "Lovelace, Ada" / "x.ipynb")
    put(downloads / "hw1 - TURING_alan (final).zip")
    put(downloads / "Zoe\u0308 Mu\u0308ller.zip")
    put(downloads / "grace@x.org" / "deep" / "x.ipynb")
    put(downloads / "Ada Lovelace and Alan Turing.zip")
    put(downloads / "Joe Nobody" / "x.ipynb")
    (downloads / "homework.pdf").write_bytes(b"%PDF-")
    rows = gather()
    assert {row[1]: row[0] for row in rows if row[0] != "unknown"} == dict.fromkeys(
        ["al1815", "at1912", "zm1", "gh1906"], "accepted"
    )
    said = {row[1]: row[2] for row in rows if row[0] == "unknown"}
    assert "could be al1815 or at1912" in said["'Ada Lovelace and Alan Turing.zip'"]
    assert "names nobody in the roster" in said["'Joe Nobody'"]
    assert "names nobody in the roster" in said["'homework.pdf'"]


def test_a_download_is_read_as_the_zip_that_it_came_as(gather, downloads, tmp_path):
    put(downloads / "Lab" / "12-34 - Ada Lovelace - Nov 9, 2026 959 PM" / "a.zip")
    (downloads / "Lab" / "12-38 - Alan Turing - Nov 2, 2026 100 PM").mkdir()
    (downloads / "Lab" / "12-38 - Alan Turing - Nov 2, 2026 100 PM" / "x.rar").write_bytes(b"Rar!")
    packed = Path(shutil.make_archive(str(tmp_path / "download"), "zip", downloads))
    assert seen(gather(source=packed)) == {"al1815": "accepted", "at1912": "rejected"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("A_a1.7z", SEVEN, "'A_a1.7z' is a 7z archive: hand in a .zip instead"),
        ("A_a1.rar", b"Rar!\x1a\x07\x01", "is a RAR archive: hand in a .zip"),
        ("A_a1.tar.xz", b"\xfd7zXZ\0", "is an xz archive"),
        ("A_a1.zip.zst", b"\x28\xb5\x2f\xfd", "is a zstd archive"),
        ("A_a1.ipynb.gz", b"\x1f\x8b", "not"),
        ("A_a1.gz", b"\x1f\x8b", "is an archive"),
        ("A_a1.docx", b"PK\x03\x04x", "is a document: hand in the notebook"),
        ("A_a1.pdf", b"%PDF-1.7", "is a PDF"),
        ("A_a1.webloc", b"<?xml", "is a link: download the file that it points to"),
        ("A_a1.gdoc", b'{"url": ""}', "is a link to Google Drive"),
        ("A_a1.lnk", b"L\0\0\0\x01\x14\x02\0", "is a shortcut"),
        ("A_a1.zip", b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS"),
        ("A_a1.ipynb", b"version https://git-lfs.github.com/spec/v1", "'A_a1.ipynb' is a Git LFS"),
        ("A_a1.zip", SEVEN, "the archive 'A_a1.zip' cannot be used: it is a 7z archive"),
        ("A_a1.zip", b"", "it is empty: upload it again"),
        ("A_a1.zip.crdownload", b"PK", "is a part of a file: upload it again"),
        ("A_a1.xyz", b"abc", "is neither a zip nor a notebook"),
        (
            "A_a1/work.rar",
            b"Rar!\x1a\x07",
            "no notebook in what was handed in, and 'work.rar' is a",
        ),
        ("A_a1/a/work.7z", SEVEN, "and 'a/work.7z' is a 7z archive: hand in a .zip"),
    ],
)
def test_what_cannot_be_read_is_rejected_as_its_students(name, content, says, gather, downloads):
    (downloads / name).parent.mkdir(parents=True, exist_ok=True)
    (downloads / name).write_bytes(content)
    put(downloads / "Bob_b1.zip")
    rows = {row[1]: row for row in gather(roster=False)}
    assert rows["a1"][0] == "rejected"
    assert says in rows["a1"][2]
    assert rows["a1"][2].endswith(".")
    assert rows["b1"][0] == "accepted"


def test_a_pattern_says_whose_the_files_of_any_platform_are(gather, course, downloads):
    put(downloads / "g1" / f"al1815+2026-11-20-10-00-00+{NOTEBOOK}", "old")
    put(downloads / "g1" / f"al1815+2026-11-21-10-00-00+{NOTEBOOK}", "new")
    (downloads / "g1" / "al1815+2026-11-21-10-00-00+eval.json").write_text("{}")
    put(downloads / "g2" / "at1912+2026-11-21-10-00-00+w.zip")
    put(downloads / "g2" / "zm1+yesterday+w.zip")
    (downloads / "g2" / "odd.txt").write_text("")
    form = r".*/(?P<student_id>\w+)\+(?P<timestamp>[^+]+)\+(?P<file_id>.+)"
    rows = gather("--pattern", form)
    assert [row[:2] for row in rows] == [
        ["unknown", "'odd.txt'"],
        ["unknown", "'zm1+yesterday+w.zip'"],
        ["accepted", "al1815"],
        ["accepted", "at1912"],
    ]
    assert mark_of(course, "al1815") == "new"
    assert flags_of(course, "at1912") == {}
    for bad, says in (("(x", "is no regular expression"), (".*", "does not say whose a file is")):
        with pytest.raises(CourseError, match=says):
            gather("--pattern", bad)


def test_a_pattern_may_give_names_and_addresses(gather, downloads):
    put(downloads / "Ada" / "Lovelace" / "w.zip")
    put(downloads / "Zoë" / "Müller" / "x.ipynb")
    form = r"(?P<first_name>[^/]+)/(?P<last_name>[^/]+)/.*"
    assert seen(gather("--pattern", form)) == {"al1815": "accepted", "zm1": "accepted"}


def test_a_number_alone_makes_nobody_a_student(gather, downloads):
    put(downloads / "Ada Lovelace_1001_assignsubmission_file_x.zip")
    put(downloads / "Somebody Else_1002_assignsubmission_file_x.zip")
    rows = {row[1]: row for row in gather()}
    assert rows["al1815"][0] == "accepted"
    other = rows["'Somebody Else_1002_assignsubmission_file_x.zip'"]
    assert "'Somebody Else' is not a name of at1912 in the roster" in other[2]


def test_the_platform_decides_where_a_files_name_says_another(gather, course, downloads):
    put(downloads / "Ada Lovelace_5_assignsubmission_file_" / "Alan-Turing_at1912.zip")
    put(downloads / "hoppergrace_3_4_zm1.zip")
    rows = gather()
    assert [row[:2] for row in rows] == [["accepted", "al1815"], ["accepted", "gh1906"]]
    says = (
        "the platform says that it is al1815's, and its file 'Alan-Turing_at1912.zip' names at1912."
    )
    assert flags_of(course, "al1815") == {"student id": says}
    assert "names zm1" in flags_of(course, "gh1906")["student id"]


def test_an_unpacked_folder_is_known_like_its_zip(gather, course, downloads):
    put(downloads / "Ada_al1815" / NOTEBOOK)
    put(downloads / "Alan-Turing_at1912 2" / "notebooks" / NAME / NOTEBOOK)
    put(downloads / "Grace-Hopper_gh1906 (1).zip")
    put(downloads / "Zoe-Muller_zm1 - Copy.ipynb")
    wanted = ["al1815", "at1912", "gh1906", "zm1"]
    assert seen(gather()) == dict.fromkeys(wanted, "accepted")
    shutil.rmtree(course / "received")
    shutil.rmtree(course / "submitted")
    assert seen(gather(roster=False)) == dict.fromkeys(wanted, "accepted")


def test_an_id_that_only_a_name_says_is_marked_as_unproven(gather, course, downloads):
    put(downloads / "Ada_al1815.zip")
    put(downloads / "lovelaceada_1001_7_x.zip", "her own")
    assert [row[:2] for row in gather()] == [["accepted", "al1815"], ["set aside", "al1815"]]
    assert mark_of(course, "al1815") == "her own"
    assert list(flags_of(course, "al1815")) == ["other submission"]
    put(downloads / "Alan_at1912.zip")
    gather()
    says = flags_of(course, "at1912")["unproven id"]
    assert says.startswith("that it is at1912's is said only by the file's name, 'Alan_at1912.zip'")


@pytest.mark.parametrize("together", [True, False])
def test_a_second_that_claims_an_id_takes_nothing_away(together, gather, course, downloads):
    put(downloads / "Ada-Lovelace_al1815.zip", "hers")
    if not together:
        gather()
    put(downloads / "x_al1815.zip", "a stranger's")
    rows = gather()
    assert {row[0] for row in rows} == {"accepted" if together else "unchanged", "set aside"}
    assert mark_of(course, "al1815") == "hers"
    assert "'x_al1815.zip' came for" in flags_of(course, "al1815")["other submission"]
    kept = course / "received" / NAME / "al1815"
    zips = sorted(path.read_bytes() for path in kept.rglob("hand-in.zip"))
    assert zips == sorted(path.read_bytes() for path in downloads.iterdir())

    gather("--choose", "x_al1815.zip")
    assert mark_of(course, "al1815") == "a stranger's"
    assert "'Ada-Lovelace_al1815.zip' came" in flags_of(course, "al1815")["other submission"]
    gather()
    assert mark_of(course, "al1815") == "a stranger's"
    gather("--choose", "Ada-Lovelace_al1815.zip")
    assert mark_of(course, "al1815") == "hers"
    assert len(list(kept.rglob("hand-in.zip"))) == 2
    with pytest.raises(CourseError, match="no submission of that name"):
        gather("--choose", "none.zip")


def test_of_two_copies_the_one_without_a_mark_counts(gather, course, downloads):
    put(downloads / "Ada_al1815 (1).zip", "copy")
    put(downloads / "Ada_al1815.zip", "first")
    gather()
    assert mark_of(course, "al1815") == "first"


def test_a_student_who_hands_in_again_under_the_same_name_replaces_it(gather, course, downloads):
    put(downloads / "Ada_al1815.zip", "first")
    gather()
    put(downloads / "Ada_al1815.zip", "second")
    assert [row[0] for row in gather()] == ["accepted"]
    assert mark_of(course, "al1815") == "second"
    assert "other submission" in flags_of(course, "al1815")
    assert [row[0] for row in gather()] == ["unchanged"]


def test_what_the_platform_says_replaces_a_claim_and_keeps_it(gather, course, downloads, tmp_path):
    put(downloads / "x_al1815.zip", "claimed")
    gather()
    put(tmp_path / "canvas" / "lovelaceada_1001_7_x.zip", "hers")
    gather(source=tmp_path / "canvas")
    assert mark_of(course, "al1815") == "hers"
    assert "'x_al1815.zip'" in flags_of(course, "al1815")["other submission"]
    assert [row[0] for row in gather()] == ["set aside"]


def test_a_claim_that_comes_alone_and_later_replaces_nothing(gather, course, downloads, tmp_path):
    put(downloads / "Ada_al1815.zip", "first")
    gather()
    put(tmp_path / "later" / "x_al1815.zip", "a stranger's")
    assert [row[0] for row in gather(source=tmp_path / "later")] == ["set aside"]
    assert mark_of(course, "al1815") == "first"


def test_what_was_replaced_does_not_come_back_by_itself(gather, course, downloads, tmp_path):
    put(tmp_path / "old" / "Ada_al1815.zip", "first")
    gather(source=tmp_path / "old")
    put(downloads / "Ada_al1815.zip", "second")
    gather()
    assert [row[0] for row in gather(source=tmp_path / "old")] == ["set aside"]
    assert mark_of(course, "al1815") == "second"


def test_a_number_that_is_part_of_a_name_is_no_mark_of_a_copy(gather, downloads, tmp_path):
    put(downloads / "Student 2" / "x.ipynb")
    put(downloads / "Student 12 (1).zip")
    (tmp_path / "who.csv").write_text("id number;name\ns2;Student 2\ns12;Student 12\n")
    found = seen(gather("--roster", tmp_path / "who.csv", roster=False))
    assert found == {"s2": "accepted", "s12": "accepted"}


def test_of_a_name_that_ends_in_several_numbers_the_same_is_named_each_time(downloads, tmp_path):
    rows = ["student_id,lms", "s1,a", "s2,b_a", "s3,c_b_a", "s4,d_c_b_a", "s5,e_d_c_b_a"]
    (tmp_path / "roster.csv").write_text("\n".join(rows), "utf-8")
    put(downloads / "x_e_d_c_b_a.ipynb")
    search = Search(Roster.load(tmp_path / "roster.csv"), NAME, ZoneInfo("UTC"))
    (found,) = downloads_in(downloads, search)
    assert found.student(search.roster)[1] == "'edcba' could be s1 or s2 or s3 or s4 or s5"
