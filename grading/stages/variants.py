"""Right answers in other spellings. Every check must pass each of them."""

from __future__ import annotations

from grading.stages import parts
from grading.stages.known_answers import answers_in

VARIANTS = answers_in(*parts("variants"))
