"""Look at a student's work before it is handed in."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    raise NotImplementedError
