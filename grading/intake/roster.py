"""Who is who: a class list maps a platform's ids, names and addresses to the course's ids."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distillery.core.errors import CourseError
from grading.intake.archives import quoted
from grading.intake.find_flags import safe_student
from grading.intake.read_table import Row, read_table
from grading.intake.take_in import STUDENT
from grading.student.pack import UNFOLDED

# Names of the column with the ids, folded; the first that is there is taken.
IDS = (
    *("studentid", "studentnumber", "sisuserid", "sisloginid", "orgdefinedid", "idnumber", "sid"),
    *("username", "loginid", "login", "userid", "netid", "matrikelnummer", "matriculationnumber"),
)
FIRST = ("firstname", "givenname", "givennames", "vorname", "prenom", "nombre")
LAST = ("lastname", "surname", "familyname", "nachname", "nom", "apellidos")
WHOLE = ("name", "fullname", "student", "studentname", "displayname", "sortablename")
ADDRESS = ("email", "emailaddress", "mail", "address")
GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
# Rows that Canvas puts into its gradebook, by the start of their first cell, folded.
NO_STUDENTS = ("pointspossible", "studenttest")
MOST_WORDS = 40  # of a file's name that are looked at
Keys = dict[str, set[str]]


@dataclass(frozen=True)
class Roster:
    """A class list. Without rows, the first key of a student is taken as the id.

    ids:   what students are called, folded -> their ids.
    sure:  those of them that are known for a student's also in a longer text: ids, whole names and
           addresses.
    names: id -> the student's names, folded.
    """

    ids: Keys = field(default_factory=dict)
    sure: Keys = field(default_factory=dict)
    names: Keys = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Roster:
        """Read a CSV with a column for the ids: student_id, or what platforms call it.

        Raises:
            CourseError: it cannot be read, or an id is missing, unsafe or there twice.
        """
        rows = list(read_table(path, lambda name: fold(name) in IDS))
        roster, lines = cls(), dict[str, int]()
        column = _column(rows[0][1], IDS) if rows else ""
        for line, row in rows:
            if fold(next(iter(row.values()), "")).startswith(NO_STUDENTS) and not row[column]:
                continue
            student = _checked(path, line, row.get(column, "").removeprefix("#"), lines)
            roster._add(student, row)
        if not lines:
            raise CourseError(f"the roster {path} has no students; it needs a column student_id.")
        return roster

    def _add(self, student: str, row: Row) -> None:
        first, last = (row.get(_column(row, names), "") for names in (FIRST, LAST))
        whole = _whole_names(first, last, row.get(_column(row, WHOLE), ""))
        address = row.get(_column(row, ADDRESS), "")
        single = {value for value in row.values() if value not in (first, last)}
        for key in map(fold, {*single, *whole, student}):
            self.ids.setdefault(key, set()).add(student)
        for key in map(fold, {*whole, address, *([student] if _is_telling(student) else [])}):
            self.sure.setdefault(key, set()).add(student)
        self.names[student] = {*map(fold, [first, last, *whole])} - {""}
        for keys in (self.ids, self.sure):
            keys.pop("", None)

    def find(self, keys: Sequence[str]) -> tuple[str, str]:
        """The id of the student with these names, or "" and why it is not known."""
        name = quoted(keys[-1] if keys else "")
        if not self.ids:
            student = safe_student(keys[0]) if keys else ""
            return student, "" if student else f"{name} gives no id"
        found = set().union(*(self.ids.get(fold(key), set()) for key in keys))
        return _only(found, name)

    def find_in(self, text: str) -> tuple[str, str]:
        """The same for a text that names one student somewhere, such as a file's name."""
        return _only(self.named_in(text), quoted(text))

    def named_in(self, text: str) -> set[str]:
        """The ids of all students who are named in a text: by id, whole name or address."""
        words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text))[:MOST_WORDS]
        parts = {
            fold("".join(words[start:end]))
            for start in range(len(words))
            for end in range(start + 1, len(words) + 1)
        }
        return set().union(*(self.sure[part] for part in parts & self.sure.keys()))

    def is_called(self, student: str, name: str) -> bool:
        """Whether a name is the student's, whole or in part."""
        return any(part in fold(name) for part in self.names.get(student, ()))


def fold(name: str) -> str:
    """A name without case, accents, spaces and signs, as platforms write it into file names."""
    letters = unicodedata.normalize("NFKD", name.translate(UNFOLDED)).casefold()
    return "".join(char for char in letters if char.isalnum())


def _only(found: set[str], name: str) -> tuple[str, str]:
    if len(found) == 1:
        return min(found), ""
    if found:
        return "", f"{name} could be {' or '.join(sorted(found))}"
    return "", f"{name} is not in the roster"


def _column(row: Row, names: Iterable[str]) -> str:
    """The column that has the first of these names, or ""."""
    folded = {fold(column): column for column in reversed(row)}
    return next((folded[name] for name in names if name in folded), "")


def _checked(path: Path, line: int, student: str, lines: dict[str, int]) -> str:
    """The id, which is then in `lines`."""
    if not STUDENT.fullmatch(student):
        raise CourseError(
            f"{path}, line {line}: each row needs an id of letters, digits and ._@-; {student!r} "
            "is not one."
        )
    other = lines.setdefault(student.casefold(), line)
    if other != line:
        raise CourseError(
            f"{path}, line {line}: the id {student!r} is there twice, first in line {other}: "
            "give each student their own id."
        )
    return student


def _whole_names(first: str, last: str, whole: str) -> set[str]:
    """A student's whole name with its words in every order that platforms use."""
    found = {f"{first} {last}", f"{last} {first}"} if first and last else set()
    words = whole.replace(",", " ").split()
    if len(words) > 1:
        found |= {" ".join(words[at:] + words[:at]) for at in range(len(words))}
    return found | {name.translate(GERMAN) for name in found}


def _is_telling(student: str) -> bool:
    """Whether an id in a longer text is hardly something else, such as a number or a year."""
    return len(student) > (4 if student.isdigit() else 2)
