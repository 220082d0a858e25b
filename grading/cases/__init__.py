"""The inputs of every task's check: of seed 0 the visible ones, of every other seed hidden ones."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from distillery.evidence import Case
from grading.cases import pds, pixelart, sds, tour, vsd

CASES: dict[str, Callable[[int], Case]] = (
    tour.CASES | sds.CASES | pds.CASES | vsd.CASES | pixelart.CASES
)
ACCEPTED: dict[str, Callable[[int], tuple[list[str], Tensor, Tensor]]] = pds.ACCEPTED
