"""Wrong answers that students give, runnable. Every check must fail each of them and name it."""

from __future__ import annotations

from grading.answers import answers_in
from grading.misconceptions import pds, pixelart, sds, tour, vsd

MISCONCEPTIONS = answers_in(tour, sds, pds, vsd, pixelart)
