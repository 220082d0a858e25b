"""What `main.py` says of its commands, before anything heavy is loaded."""

from __future__ import annotations

import subprocess
import sys

from distillery.core.files import REPOSITORY
from main import COMMANDS

PROGRAM = """
import contextlib, io, sys
import main
for name in {names}:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main.main([name, "--help"])
    print(name, "usage: " in said.getvalue(), "torch" in sys.modules)
"""


def test_help_does_not_wait_for_torch() -> None:
    names = list(COMMANDS)

    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(names=names)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )

    assert answer.stdout.splitlines() == [f"{name} True False" for name in names], answer.stderr
