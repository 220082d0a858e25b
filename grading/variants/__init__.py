"""Right answers in other spellings. Every check must pass each of them."""

from __future__ import annotations

from grading.answers import answers_in
from grading.variants import sds, tour

VARIANTS = answers_in(tour, sds)
