"""A mock of Gradescope's machine: a fresh root with only what the zip brings, and Python.

python tests/grading/autograder/mock_gradescope.py ZIP SUBMISSION

It prints results.json without its pictures, the seconds, and the peak memory of all processes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import psutil

GIVEN = "2026-11-20T12:00:00.000000-08:00"
DUE = "2026-11-21T12:00:00.000000-08:00"
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl")


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
    base, own = Path(sys.base_prefix).resolve(), Path(sys.prefix)
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    command += ["--tmpfs", "/tmp", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]
    for path in SYSTEM:
        if Path(path).exists():
            command += ["--ro-bind", path, path]
    command += ["--ro-bind", str(base), str(base)]
    command += ["--bind", str(autograder), "/autograder"]
    command += ["--ro-bind", str(own), "/autograder/env", "--chdir", "/autograder"]
    ran = subprocess.run(
        [*command, "./run_autograder"], capture_output=True, text=True, timeout=timeout, check=False
    )
    content = json.loads((autograder / "results" / "results.json").read_text())
    return content, ran.stdout + ran.stderr


def watch(peak: list[float], done: threading.Event) -> None:
    """Keep the peak of the memory of all processes below this one, in MB, each page once."""
    while not done.wait(0.1):
        total = 0
        for one in psutil.Process().children(recursive=True):
            try:
                total += one.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        peak[0] = max(peak[0], total / 1e6)


def main() -> None:
    archive, submission = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        autograder = unpacked(archive, Path(folder))
        submitted(autograder, submission, metadata())
        peak, done = [0.0], threading.Event()
        watcher = threading.Thread(target=watch, args=(peak, done))
        watcher.start()
        began = time.monotonic()
        content, said = graded(autograder)
        seconds = time.monotonic() - began
        done.set()
        watcher.join()
    for test in content.get("tests", []):
        head, mark, _ = test["output"].partition("<img")
        test["output"] = head + mark
    print(json.dumps(content, indent=1), said, sep="\n")
    print(f"{seconds:.1f} s, {peak[0]:.0f} MB at the peak, all processes together")


if __name__ == "__main__":
    main()
