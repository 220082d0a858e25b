"""npm, as it is configured on this machine: what it brings, and why it did not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from distillery.core.errors import CourseError

PATIENCE = 300  # seconds


def run_npm(arguments: Sequence[str], folder: Path, *, wanted: str, needed_by: str) -> int:
    """Run npm in a folder, and return its exit status.

    Args:
        wanted: what it should bring, such as "mathjax 3.2.2".
        needed_by: who needs that, such as "the site".

    Raises:
        CourseError: there is no npm, it cannot be run, or it takes too long.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise CourseError(
            f"{needed_by} needs {wanted} from npm's registry, and there is no program npm here: "
            "install Node.js with npm, then try again."
        )
    try:
        return subprocess.run(
            [npm, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CourseError(
            f"npm did not bring {wanted}: it could not be run, or took longer than {PATIENCE} "
            "seconds; see that the registry can be reached, then try again."
        ) from error
