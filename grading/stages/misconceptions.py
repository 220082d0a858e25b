"""Wrong answers that students give, runnable. Every check must fail each of them and name it."""

from __future__ import annotations

from grading.stages import parts
from grading.stages.known_answers import answers_in

MISCONCEPTIONS = answers_in(*parts("misconceptions"))
