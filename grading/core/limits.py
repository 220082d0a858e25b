"""Limits that more than one part of grading, or the students' own tools, must agree on."""

from __future__ import annotations

# Of one PNG. Intake always took 8 MB, so the judge must not refuse what intake has accepted.
LARGEST_PICTURE = 8 * 2**20
LARGEST_EVALUATION = 2**20  # bytes of eval.json, and of pack.json
# How far a reported CLIP score may be from the measured one: scores depend on the machine and on
# the batch. The students' own check must not complain about a score that the judge accepts.
SCORE_TOLERANCE = 2e-3
