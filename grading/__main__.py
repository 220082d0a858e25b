"""`python -m grading <command>`."""

from __future__ import annotations

import sys

from distillery.errors import CourseError
from grading import build

COMMANDS = {"build": build.main}


def main() -> int:
    command, *arguments = sys.argv[1:] or [""]
    if command not in COMMANDS:
        print(f"error: choose a command: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    try:
        return COMMANDS[command](arguments)
    except CourseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
