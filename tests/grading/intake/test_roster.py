"""A class list is read as spreadsheets of any country write it, or refused with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.core.errors import CourseError
from grading.intake.roster import Roster

COLUMNS = ["student_id", "first_name", "last_name", "email", "lms"]
ROWS = [
    ["al1815", "Ada", "Lovelace", "ada@x.org", "1001"],
    ["zm1", "Zoë", "Müller", "", "1002"],
    ["mo1", "Máire", "O’Brien-Smith", "", ""],
]


def table(separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(row) + end for row in [COLUMNS, *ROWS])


def load(tmp_path: Path, content: str | bytes) -> Roster:
    path = tmp_path / "roster.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Roster.load(path)


@pytest.mark.parametrize(
    "content",
    [
        *(table(separator).encode() for separator in ",;\t|"),
        table().encode("utf-8-sig"),
        table(";").encode("cp1252"),
        table("\t").encode("utf-16"),
        b"\xfe\xff" + table("\t").encode("utf-16-be"),
        table(";").encode("utf-16-le"),
        table(end="\r\n").encode(),
        table(end="\r").encode(),
        (table() + "\n,,,,\n ,\t,\n\n").encode(),
        ("\n" + table()).encode(),
        ("sep=;\n" + table(";")).encode(),
        table().replace("student_id", "Student ID").replace("first_name", "First Name").encode(),
        table().replace("student_id", " STUDENT-ID ").encode(),
        table().replace("student_id", "SIS Login ID").encode(),
        table().replace("al1815", '="al1815"').encode(),
        table().replace("al1815", "#al1815").replace("student_id", "OrgDefinedId").encode(),
    ],
    ids=range(19),
)
def test_a_roster_of_any_form_gives_the_same_students(content, tmp_path):
    roster = load(tmp_path, content)
    assert roster.names.keys() == {"al1815", "zm1", "mo1"}
    for called, student in {
        "Ada Lovelace": "al1815",
        "Lovelace, Ada": "al1815",
        "ADA@x.org": "al1815",
        "1002": "zm1",
        "zoe muller": "zm1",
        "Mueller Zoë": "zm1",
        "Zoe\u0308 Mu\u0308ller": "zm1",
        "maire_obriensmith": "mo1",
    }.items():
        assert roster.find([called]) == (student, "")


def test_names_in_one_column_are_known_in_any_order(tmp_path):
    text = (
        'Student,ID,SIS Login ID,Points\n"    Points Possible",,,10\n"Lovelace, Ada King",7,al1,9\n'
    )
    roster = load(tmp_path, text + '"Student, Test",8,,\n')
    assert roster.find(["Ada King Lovelace"])[0] == "al1"
    assert roster.find(["lovelaceadaking"])[0] == "al1"
    assert list(roster.names) == ["al1"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04xlsx", "is an Excel workbook and no CSV: save it as CSV in UTF-8"),
        (b"\xd0\xcf\x11\xe0", "is an old Excel workbook"),
        (b"<html>", "is a web page"),
        (
            b"student_id,name\nal1,\x8d\x81\x90\n",
            "cannot be told for sure: save it as CSV in UTF-8",
        ),
        (b"student_id,name\nal1,Zo\x89\n", "cannot be told for sure"),
        (b"student_id,name\nal1,Ada\nAL1,Bob\n", "'AL1' is there twice, first in line 2"),
        (b"student_id,name\nal1,Ada\n,Bob\n", "line 3: each row needs an id"),
        (b"student_id,name\nal1;Ada\n", "line 2: each row needs an id"),
        (b"student_id,name\nal1,Lovelace, Ada\n", "line 2: it has 3 values, and the table 2"),
        (b"student_id,name,name\nal1,a,b\n", "two columns 'name'"),
        (b"Nummer;Name\n1;a\n", "no column student_id; its first line names 'Nummer', 'Name'"),
        (b'student_id,name\n"al1,Ada\n', "cannot be read as a CSV"),
        (b"", "is empty"),
    ],
)
def test_a_roster_that_would_give_wrong_students_is_refused(content, says, tmp_path):
    with pytest.raises(CourseError, match=says):
        load(tmp_path, content)


def test_a_student_is_found_inside_a_longer_name_and_never_by_chance(tmp_path):
    rows = "student_id,name,points\nal1815,Ada Lovelace,7\n12,Sam Lee,2026\n34,Lee Sam,8\n"
    roster = load(tmp_path, rows)
    assert roster.named_in("hw1 - LOVELACE ada (final)") == {"al1815"}
    assert roster.named_in("hw1_al1815_v2") == {"al1815"}
    assert roster.named_in("2026-11-12 homework 34") == set()  # numbers that mean something else
    assert roster.named_in("Joanada Lovelace") == set()
    assert roster.find_in("for sam-lee")[1] == "'for sam-lee' could be 12 or 34"
