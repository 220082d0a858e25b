"""configurable-http-proxy, the program of Node.js that stands before every JupyterHub.

    python -m grading.hub.proxy

fetches it into build/npm, with the npm of this machine as it is configured, and prints its path.
The versions and hashes of it and of all that it needs are in package-lock.json. Nothing of them is
run while it is fetched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from distillery.core.cli import documented, exit_status
from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY

NAME = "configurable-http-proxy"
LOCKED = REPOSITORY / "docs" / "instructors" / "jupyterhub" / "proxy"
FOLDER = REPOSITORY / "build" / "npm" / NAME
PATIENCE = 300  # seconds
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
    npm = shutil.which("npm")
    if npm is None:
        raise CourseError(
            f"JupyterHub needs {NAME} from npm's registry, and there is no program npm here: "
            "install Node.js with npm, then try again."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{NAME}-") as scratch:
        for name in FILES:
            shutil.copyfile(LOCKED / name, Path(scratch) / name)
        _install(npm, scratch)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(scratch, folder)
        Path(scratch).mkdir()  # which the context removes
    return program(folder)


def _is_as_locked(folder: Path) -> bool:
    lock = folder / "package-lock.json"
    return lock.is_file() and lock.read_bytes() == (LOCKED / "package-lock.json").read_bytes()


def _install(npm: str, folder: str) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    try:
        ran = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CourseError(
            f"npm did not bring {NAME}: it could not be run, or took longer than {PATIENCE} "
            "seconds; see that the registry can be reached, then try again."
        ) from error
    if ran.returncode or not program(Path(folder)).exists():
        raise CourseError(
            f"npm did not bring {NAME} as it was tested: it ended with status {ran.returncode}; "
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
