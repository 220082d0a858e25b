"""A mock of Gradescope's machine: a fresh root with only what the zip brings, and Python.

python tests/grading/autograder/mock_gradescope.py ZIP SUBMISSION

It prints results.json without its pictures, the seconds, and the peak memory of all processes.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from mock_root import measured, run_inside

GIVEN = "2026-11-20T12:00:00.000000-08:00"
DUE = "2026-11-21T12:00:00.000000-08:00"


def metadata(created: str = GIVEN, *emails: str, due: str | None = DUE) -> dict[str, Any]:
    """As Gradescope writes it."""
    assignment = {"due_date": due, "late_due_date": None, "group_submission": len(emails) > 1}
    users = [
        {"email": email, "id": number, "name": email, "assignment": {"due_date": due}}
        for number, email in enumerate(emails or ("ada@example.edu",))
    ]
    return {"id": 1, "created_at": created, "assignment": assignment, "users": users}


def unpacked(archive: Path, folder: Path) -> Path:
    """/autograder as Gradescope has it after the build, with the modes of the zip."""
    source = folder / "source"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(source)
        for entry in packed.infolist():
            (source / entry.filename).chmod((entry.external_attr >> 16) & 0o777)
    shutil.copy2(source / "run_autograder", folder)
    (folder / "submission").mkdir()
    (folder / "results").mkdir()
    return folder


def submitted(autograder: Path, submission: Path, facts: dict[str, Any]) -> None:
    """Put a submission there in place of the last."""
    for name in ("submission", "results"):
        shutil.rmtree(autograder / name)
        (autograder / name).mkdir()
    if submission.is_dir():
        shutil.copytree(submission, autograder / "submission", dirs_exist_ok=True, symlinks=True)
    else:
        shutil.copy2(submission, autograder / "submission")
    (autograder / "submission_metadata.json").write_text(json.dumps(facts))


def graded(autograder: Path, *, timeout: float = 600) -> tuple[dict[str, Any], str]:
    """Run run_autograder in the fresh root: results.json, and what was printed.

    The environment of the tests stands for the one that setup.sh installs.
    """
    binds = {"/autograder": autograder}
    ran = run_inside("./run_autograder", binds, "/autograder/env", timeout=timeout)
    content = json.loads((autograder / "results" / "results.json").read_text())
    return content, ran.stdout + ran.stderr


def main() -> None:
    archive, submission = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        autograder = unpacked(archive, Path(folder))
        submitted(autograder, submission, metadata())
        with measured() as cost:
            content, said = graded(autograder)
    for test in content.get("tests", []):
        head, mark, _ = test["output"].partition("<img")
        test["output"] = head + mark
    print(json.dumps(content, indent=1), said, cost, sep="\n")


if __name__ == "__main__":
    main()
