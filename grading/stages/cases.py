"""The inputs of every task's trials: of seed 0 the visible ones, of every other hidden ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grading.stages import parts
from grading.stages.inputs.random_inputs import Draws
from grading.stages.known_answers import Choices

CASES: dict[str, Draws] = {}
# Of the tasks that leave a choice open: a case -> what is known of it.
OPEN: dict[str, Callable[[Any], Choices]] = {}
for _module in parts("cases"):
    CASES |= _module.CASES
    OPEN |= getattr(_module, "OPEN", {})
