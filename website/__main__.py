"""`python -m website build`."""

from __future__ import annotations

import sys

from distillery.core.cli import stop
from distillery.core.program import run_program


def main() -> int:
    """Run the one command: its status, 2 for bad input, 130 for Ctrl-C."""
    command, *rest = sys.argv[1:] or [""]
    if command != "build":
        return stop("error: the one command is: python -m website build [--help].", 2)
    try:
        from website import build
    except ModuleNotFoundError as error:
        return stop(f'error: {error.name} is missing; run: pip install -e ".[site,instructor]"', 2)
    return build.main(rest)


if __name__ == "__main__":
    run_program(main)
