"""Grade the one submission of a Gradescope machine, and write its results.json.

python -m grading.autograder.run_gradescope /autograder

Memory is checked first, before anything large is imported. Whatever goes wrong, the result is a
sentence and no mark that looks like a student's: "NOT GRADED".
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grading.autograder.gradescope_facts import late_by, not_graded, read_metadata, users_of
from grading.autograder.host import Host, Result, leave_result, result_within

SETTINGS = "autograder.json"
RESERVE_S = 30  # before Gradescope's own limit, to write a result


def run(autograder: Path, *, root: Path = Path("/")) -> Result:
    """The content of results.json for the submission that is there.

    Args:
        autograder: the folder that Gradescope calls /autograder.
        root: under which the machine's own files are.
    """
    settings = json.loads((autograder / "source" / SETTINGS).read_text("utf-8"))
    return result_within(
        _host(settings["needed_mb"]),
        lambda: _graded(autograder, settings, read_metadata(autograder)),
        needed_mb=settings["needed_mb"],
        seconds=60 * settings["minutes"] - RESERVE_S,
        root=root,
    )


def _host(needed_mb: float) -> Host:
    place = "in Gradescope, Configure Autograder,"
    return Host(
        not_graded,
        f"{place} choose at least {needed_mb / 1000:g} GB in the settings",
        f"{place} choose a longer time, and give the same to --minutes of "
        "python -m grading gradescope",
    )


def _graded(autograder: Path, settings: Mapping[str, Any], metadata: Mapping[str, Any]) -> Result:
    from grading.autograder.grade_one import graded
    from grading.gradebook.late_penalty import penalty
    from grading.intake.find_flags import safe_student
    from grading.report.gradescope import Late, autograder_result
    from grading.stages import stage_of

    users = users_of(metadata)
    one = graded(
        autograder / "submission",
        stage_of(settings["stage"]),
        autograder / "source" / "class",
        student=(safe_student(str(users[0].get("email") or "")) if users else "") or "student",
        names=[str(user.get(key)) for user in users for key in ("email", "name", "id")],
    )
    if one.record.status == "grader error":
        return not_graded(f"the grader failed ({one.record.reason}).")
    seconds, due = late_by(metadata)
    late = None
    if due is not None and seconds:
        late = Late(penalty(one.record.points, seconds, one.rules), seconds, due)
    return autograder_result(one.record, figures=one.figures, late=late, show=settings["show"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade, and write a result in any case."""
    given = sys.argv[1:] if arguments is None else arguments
    autograder = Path(given[0] if given else "/autograder")
    began = time.monotonic()
    leave_result(
        autograder / "results" / "results.json",
        lambda: run(autograder) | {"execution_time": round(time.monotonic() - began)},
        not_graded,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
