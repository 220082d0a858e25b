"""Grade the one submission of a Gradescope machine, and write its results.json.

python -m grading.autograder.run_gradescope /autograder

Memory is checked first, before anything large is imported. Whatever goes wrong, the result is a
sentence and no mark that looks like a student's: "NOT GRADED".
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grading.autograder.gradescope_facts import not_graded, read_metadata

SETTINGS = "autograder.json"
RESERVE_S = 30  # before Gradescope's own limit, to write a result
CGROUPS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")


class TimeIsUpError(Exception):
    """The time that was chosen in Gradescope is over."""


def memory_mb(root: Path = Path("/")) -> float | None:
    """MB that this machine or container may use; None where nothing says so."""
    found = []
    for name in CGROUPS:
        try:
            found.append(int((root / name).read_text()) / 1e6)
        except (OSError, ValueError):
            continue  # not there, or "max"
    try:
        line = (root / "proc/meminfo").read_text().splitlines()[0]
        found.append(int(line.split()[1]) * 1024 / 1e6)
    except (OSError, ValueError, IndexError):
        pass
    return min(found, default=None)


def write_result(autograder: Path, content: Mapping[str, Any]) -> None:
    """Write results.json, whole or not at all."""
    folder = autograder / "results"
    folder.mkdir(exist_ok=True)
    new = folder / ".results.json.new"
    new.write_text(json.dumps(content), encoding="ascii")
    os.replace(new, folder / "results.json")


def enough_memory(settings: Mapping[str, Any], there: float | None) -> str:
    """Why the memory does not suffice; "" if it does."""
    needed = settings["needed_mb"]
    if there is None or there >= 0.95 * needed:  # 3 GB may be 3000 MB or a little less
        return ""
    return (
        f"this autograder has {there / 1000:.1f} GB of memory and needs {needed / 1000:g}: in "
        f"Gradescope, Configure Autograder, choose at least {needed / 1000:g} GB in the settings."
    )


def run(autograder: Path, *, root: Path = Path("/")) -> dict[str, Any]:
    """The content of results.json for the submission that is there.

    Args:
        autograder: the folder that Gradescope calls /autograder.
        root: under which the machine's own files are.
    """
    settings = json.loads((autograder / "source" / SETTINGS).read_text("utf-8"))
    lacking = enough_memory(settings, memory_mb(root))
    if lacking:
        return not_graded(lacking)
    seconds = 60 * settings["minutes"] - RESERVE_S

    def stop(number: int, frame: object) -> None:
        raise TimeIsUpError

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        from grading.autograder.grade_one import graded

        return graded(autograder, settings, read_metadata(autograder))
    except TimeIsUpError:
        return not_graded(
            f"it took more than {seconds} seconds: in Gradescope, Configure Autograder, choose a "
            "longer time, and give the same to --minutes of python -m grading gradescope."
        )
    except MemoryError:
        return not_graded("the memory was not enough: choose more in Gradescope's settings.")
    finally:
        signal.alarm(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade, and write a result in any case; what went wrong is also printed for the instructor."""
    given = sys.argv[1:] if arguments is None else arguments
    autograder = Path(given[0] if given else "/autograder")
    began = time.monotonic()
    # Stands if the system kills the grader.
    write_result(
        autograder,
        not_graded(
            "the grader was stopped before it was done, as happens where memory or time is short: "
            "choose more of both in Gradescope's settings."
        ),
    )
    try:
        content = run(autograder)
    except Exception:
        traceback.print_exc()  # Gradescope shows it to instructors
        content = not_graded("the grader itself failed; its output says why.")
    write_result(autograder, content | {"execution_time": round(time.monotonic() - began)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
