"""`python -m distillery`, or `score-distillery` where it is installed: what main.py does."""

from __future__ import annotations

import sys

from distillery.core.files import REPOSITORY
from distillery.core.program import run_program


def run() -> None:
    """Run the main.py of this course, and end the program with its exit status."""
    sys.path.insert(0, str(REPOSITORY))
    import main

    run_program(main.main)


if __name__ == "__main__":
    run()
