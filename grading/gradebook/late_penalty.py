"""The late penalty by the rules of the course, after nbgrader's extensions."""

from __future__ import annotations

import math
from pathlib import Path

from nbgrader.plugins import LateSubmissionPlugin

from grading.core.rules import NAME, Rules

DAY = 24 * 60 * 60  # seconds


def penalty(score: float, seconds_late: float, rules: Rules) -> float:
    """Points off: a part of `score` for each started day after the grace period, up to a limit."""
    days = math.ceil(max(0.0, seconds_late - 60 * rules.late_grace_minutes) / DAY)
    return score * min(rules.late_most_off, days * rules.late_off_per_day)


class LatePenalty(LateSubmissionPlugin):
    """nbgrader's plugin: `c.AssignLatePenalties.plugin_class = "grading.late.LatePenalty"`."""

    def late_submission_penalty(
        self, student_id: str, score: float, total_seconds_late: float
    ) -> float:
        """Points off; nbgrader has already subtracted the student's extension from the seconds."""
        # nbgrader works inside the course folder.
        return penalty(score, total_seconds_late, Rules.load(Path(NAME)))
