"""Right answers in other spellings. Every check must pass each of them."""

from __future__ import annotations

from grading.answers import answers_in
from grading.variants import pds, pixelart, sds, tour, vsd

VARIANTS = answers_in(tour, sds, pds, vsd, pixelart)
