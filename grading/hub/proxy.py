"""configurable-http-proxy, the program of Node.js that stands before every JupyterHub.

    python -m grading.hub.proxy

fetches it into build/npm, with the npm of this machine as it is configured, and prints its path.
The versions and hashes of it and of all that it needs are in package-lock.json. Nothing of them is
run while it is fetched.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from distillery.core.cli import documented, exit_status
from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from grading.core.npm import run_npm

NAME = "configurable-http-proxy"
LOCKED = REPOSITORY / "docs" / "instructors" / "jupyterhub" / "proxy"
FOLDER = REPOSITORY / "build" / "npm" / NAME
FILES = ("package.json", "package-lock.json")


def program(folder: Path = FOLDER) -> Path:
    """Where the program lies or will lie."""
    return folder / "node_modules" / ".bin" / NAME


def fetched(folder: Path = FOLDER) -> Path:
    """The program, which is fetched if it is not there in the versions of package-lock.json.

    Raises:
        CourseError: npm is missing, or does not bring it.
    """
    if program(folder).exists() and _is_as_locked(folder):
        return program(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{NAME}-") as scratch:
        for name in FILES:
            shutil.copyfile(LOCKED / name, Path(scratch) / name)
        _install(Path(scratch))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(scratch, folder)
        Path(scratch).mkdir()  # which the context removes
    return program(folder)


def _is_as_locked(folder: Path) -> bool:
    lock = folder / "package-lock.json"
    return lock.is_file() and lock.read_bytes() == (LOCKED / "package-lock.json").read_bytes()


def _install(folder: Path) -> None:
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    status = run_npm(command, folder, wanted=NAME, needed_by="JupyterHub")
    if status or not program(folder).exists():
        raise CourseError(
            f"npm did not bring {NAME} as it was tested: it ended with status {status}; "
            f"see that this machine is online and that `npm view {NAME} version` answers."
        )


def main(arguments: Iterable[str] | None = None) -> int:
    """Fetch it, and say where it lies."""
    documented("python -m grading.hub.proxy", __doc__).parse_args(
        None if arguments is None else list(arguments)
    )
    print(fetched())
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
