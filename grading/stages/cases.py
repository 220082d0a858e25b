"""The inputs of every task's check: of seed 0 the visible ones, of every other seed hidden ones."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from distillery.course.case import Case
from grading.stages import parts

CASES: dict[str, Callable[[int], Case]] = {}
ACCEPTED: dict[str, Callable[[int], tuple[list[str], Tensor, Tensor]]] = {}
for _module in parts("cases"):
    CASES |= _module.CASES
    ACCEPTED |= getattr(_module, "ACCEPTED", {})
