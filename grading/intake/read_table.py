"""Read a CSV as spreadsheets and learning platforms of any country write it.

The encoding is told from the bytes, and the separator from the first line, where a column of a
known name must come out. What cannot be told for sure is refused with the remedy.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

from distillery.core.errors import CourseError
from grading.intake.archives import quoted

SEPARATORS = ",;\t|"
REMEDY = "save it as CSV in UTF-8"
WORKBOOKS = {
    b"PK\x03\x04": "an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"<": "a web page",
}
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
Row = dict[str, str]


def read_table(path: Path, is_wanted: Callable[[str], bool]) -> Iterator[tuple[int, Row]]:
    """Each row that is not empty, with the number of its first line.

    Cells have no space around them. A cell without a column's name is left out.

    Args:
        is_wanted: whether a column has a name that the table must have.

    Raises:
        CourseError: the file is missing, is no CSV, or has no such column.
    """
    try:
        text = _decoded(path)
        separator, text, line = _separator(path, text, is_wanted)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        columns = [_cell(name) for name in next(reader)]
        _check_columns(path, columns)
        last = reader.line_num
        for cells in reader:
            first, last = last + 1, reader.line_num
            values = [_cell(value) for value in cells]
            if any(values):
                _check_length(path, first + line, values, columns)
                filled = zip_longest(columns, values[: len(columns)], fillvalue="")
                yield first + line, {name: value for name, value in filled if name}
    except csv.Error as error:
        raise CourseError(f"the roster {path} cannot be read as a CSV ({error}).") from error


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CourseError(f"there is no roster {path}.") from None
    except OSError as error:
        raise CourseError(f"the roster {path} cannot be read: {error.strerror}.") from error
    for start, kind in WORKBOOKS.items():
        if content.lstrip().startswith(start):
            raise CourseError(f"the roster {path} is {kind} and no CSV: {REMEDY}.")
    encoding = _encoding(content)
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError:
        text = "\0"
    if "\0" in text or (encoding == "cp1252" and not _is_western(text)):
        raise CourseError(
            f"the roster {path} is in an encoding that cannot be told for sure: {REMEDY}."
        )
    return text


def _encoding(content: bytes) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return encoding
    if b"\0" in content[:64]:
        return "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    try:
        content.decode()
    except UnicodeError:
        return "cp1252"
    return "utf-8"


def _is_western(text: str) -> bool:
    """Whether all that is not ASCII could stand in names of Western Europe."""
    others = {char for char in text if not char.isascii()}
    return all(unicodedata.category(char)[0] == "L" or char in "’‘´–°\xa0" for char in others)


def _separator(path: Path, text: str, is_wanted: Callable[[str], bool]) -> tuple[str, str, int]:
    """The separator, the text from the line with the columns on, and how many lines are before."""
    before = 0
    lines = text.splitlines(keepends=True)
    while lines[before:] and (not lines[before].strip() or _is_of_excel(lines[before])):
        before += 1
    if not lines[before:]:
        raise CourseError(f"the roster {path} is empty; it needs a column student_id.")
    first = lines[before]
    named = [s for s in SEPARATORS if any(map(is_wanted, _cells(first, s)))]
    if len(_cells(first, ",")) == 1 and is_wanted(first):
        named = [","]  # a single column
    if not named:
        likely = max(SEPARATORS, key=lambda s: len(_cells(first, s)))
        raise CourseError(
            f"{path} has no column student_id; its first line names "
            f"{', '.join(map(quoted, _cells(first, likely)[:9]))}: give the one with the ids that "
            "name."
        )
    best = max(named, key=lambda s: len(_cells(first, s)))
    return best, "".join(lines[before:]), before


def _is_of_excel(line: str) -> bool:
    """Whether it is the line `sep=;`, which tells Excel the separator."""
    return line.strip().strip('"').lower().startswith("sep=")


def _cells(line: str, separator: str) -> list[str]:
    return [_cell(value) for value in next(csv.reader([line], delimiter=separator), [])]


def _cell(value: str) -> str:
    """A cell without space around it, and without what keeps spreadsheets from reading numbers."""
    value = value.replace("\xa0", " ").strip()
    if value.startswith('="') and value.endswith('"'):
        value = value[2:-1]
    return value.removeprefix("'").strip()


def _check_columns(path: Path, columns: list[str]) -> None:
    twice = {name for name in columns if name and columns.count(name) > 1}
    if twice:
        raise CourseError(f"{path} has two columns {quoted(min(twice))}: rename one.")


def _check_length(path: Path, line: int, values: list[str], columns: list[str]) -> None:
    """Refuse a row whose values stand in other columns than their own."""
    if any(values[len(columns) :]):
        raise CourseError(
            f"{path}, line {line}: it has {len(values)} values, and the table {len(columns)} "
            "columns; put quotes around values that hold the separator."
        )
