"""Boards with pegs for fuse beads: how many pegs, and how far apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from distillery.core.errors import CourseError

FEWEST_PEGS, MOST_PEGS = 8, 100  # a side
SMALLEST_BEAD, LARGEST_BEAD = 1.5, 15.0  # mm
MIDI_MM = 5.0


@dataclass(frozen=True)
class BeadBoard:
    """A board of `across` × `down` pegs for beads of `bead_mm`, their diameter and distance."""

    across: int
    down: int
    bead_mm: float = MIDI_MM


BOARDS = {  # as their makers sell them; most are square
    "hama-midi": BeadBoard(29, 29),
    "hama-midi-small": BeadBoard(14, 14),
    "hama-mini": BeadBoard(28, 28, 2.5),
    "perler-large": BeadBoard(29, 29),
    "pyssla": BeadBoard(29, 29),
    "artkal-mini": BeadBoard(50, 50, 2.6),
}
COMMON = BOARDS["hama-midi"]


def find_board(name: str, bead_mm: float | None = None) -> BeadBoard:
    """The board of that name, or one of so many pegs, "29x29"; with beads of another size if asked.

    Raises:
        CourseError: the board is unknown, or a number is out of its range.
    """
    board = BOARDS.get(name.strip().lower()) or _of_pegs(name)
    if bead_mm is None:
        return board
    if not SMALLEST_BEAD <= bead_mm <= LARGEST_BEAD:
        raise CourseError(
            f"a bead is {SMALLEST_BEAD:g} to {LARGEST_BEAD:g} mm wide, often 5 or 2.6; "
            f"it is {bead_mm:g}."
        )
    return replace(board, bead_mm=bead_mm)


def _of_pegs(name: str) -> BeadBoard:
    sides = re.fullmatch(r"\s*(\d{1,9})\s*[x×,]\s*(\d{1,9})\s*", name, re.IGNORECASE)
    if sides is None:
        raise CourseError(
            f"a board is one of {', '.join(BOARDS)}, or its pegs across and down, as 29x29; "
            f"it is {name!r}."
        )
    across, down = int(sides[1]), int(sides[2])
    if not FEWEST_PEGS <= min(across, down) <= max(across, down) <= MOST_PEGS:
        raise CourseError(
            f"a board has {FEWEST_PEGS} to {MOST_PEGS} pegs a side; it has {across} × {down}."
        )
    return BeadBoard(across, down)
