"""Who handed in late, and who has an extension, in the time zone of the course."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from nbgrader.api import Gradebook, SubmittedAssignment

from distillery.core.counting import counted
from grading.core.due_dates import due_sentence
from grading.core.times import span, stamp

MOST_NAMED = 20  # students with a line of their own


def lateness(gradebook: Gradebook, assignment: str, zone: ZoneInfo) -> list[str]:
    """A line on the due date, and one for each student who is late or has an extension."""
    due = gradebook.find_assignment(assignment).duedate
    lines = [due_sentence(assignment, due, zone)]
    found = gradebook.assignment_submissions(assignment)
    told = [one for one in found if one.timestamp and (one.total_seconds_late or one.extension)]
    told.sort(key=lambda one: one.student_id)
    lines += [_line(one, zone) for one in told[:MOST_NAMED]]
    if len(told) > MOST_NAMED:
        lines.append(f"and {len(told) - MOST_NAMED} more; python -m grading report lists them.")
    return lines


def _line(one: SubmittedAssignment, zone: ZoneInfo) -> str:
    late = one.total_seconds_late
    said = f"{one.student_id} came {stamp(one.timestamp, zone)}"
    if one.extension:
        said += f", extended to {stamp(one.duedate, zone)}"
    if late:
        said += f", {span(late)} late: {counted(one.late_submission_penalty or 0, 'point')} off"
    return f"{'late' if late else 'on time'}: {said}"
