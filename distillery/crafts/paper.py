"""Sizes of paper to print on."""

from __future__ import annotations

from dataclasses import dataclass

from distillery.core.errors import CourseError


@dataclass(frozen=True)
class Paper:
    """A sheet, upright; `width` and `height` in mm."""

    name: str
    width: float
    height: float

    @property
    def rows_of_list(self) -> int:
        """Rows of 6 mm that a list has on one page, below its heading and above its last line."""
        return int((self.height - 57) / 6)


A4 = Paper("A4", 210.0, 297.0)
LETTER = Paper("US Letter", 215.9, 279.4)
PAPERS = {"a4": A4, "letter": LETTER}


def find_paper(name: str) -> Paper:
    """The paper of that name, "a4" or "letter"; capitals do not matter.

    Raises:
        CourseError: there is no such paper here.
    """
    paper = PAPERS.get(name.strip().lower())
    if paper is None:
        raise CourseError(f"paper is {' or '.join(PAPERS)}; it is {name!r}.")
    return paper
