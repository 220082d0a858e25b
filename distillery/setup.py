"""`python -m distillery.setup`: the environment without `make`, as on Windows.

It needs Python's own library alone, and runs with the system's Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment_python(root: Path, system: str = os.name) -> Path:
    """The Python of the environment in `.venv`; system is "nt" on Windows."""
    return root / ".venv" / ("Scripts/python.exe" if system == "nt" else "bin/python")


def commands(root: Path) -> list[list[str]]:
    """What makes the environment, in order: the same as the Makefile's steps."""
    pip = [str(environment_python(root)), "-m", "pip", "install", "--quiet"]
    everything = ".[instructor,cluster,postgres,demo,hub,site]"
    return [
        [sys.executable, "-m", "venv", str(root / ".venv")],
        [*pip, "--upgrade", "pip>=25.1"],
        [*pip, "--constraint", "constraints.txt", "--editable", everything, "--group", "dev"],
    ]


def main() -> None:
    """Make the environment, and say what to type next. Exits non-zero when a step fails."""
    if sys.version_info < (3, 10):  # noqa: UP036  an older Python may run this, before any pip
        sys.exit(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}.")
    for command in commands(ROOT):
        print(" ".join(command), flush=True)
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if status:
            sys.exit("This step failed; its reason stands above. The same command tries again.")
    python = environment_python(ROOT).relative_to(ROOT)
    print("The environment is ready. Next, in this folder:")
    print(f"    {python} demo.py --out outputs      instead of make run")
    print(f"    {python} -m jupyter lab notebooks   instead of make lab")
    print(f"    {python} -m pytest -n auto          instead of make test")


if __name__ == "__main__":
    main()
