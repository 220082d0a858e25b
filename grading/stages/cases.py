"""The inputs of every task's trials: of seed 0 the visible ones, of every other hidden ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from grading.stages import parts
from grading.stages.inputs.random_inputs import Draws

CASES: dict[str, Draws] = {}
# Of a task with several right values: its case -> what each is called, its weights, the directions.
ACCEPTED: dict[str, Callable[[Any], tuple[list[str], Tensor, Tensor]]] = {}
for _module in parts("cases"):
    CASES |= _module.CASES
    ACCEPTED |= getattr(_module, "ACCEPTED", {})
