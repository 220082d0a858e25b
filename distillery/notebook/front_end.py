"""The scripts and styles of the painters, as anywidget wants them: one text each."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).parent


def script(path: Path) -> str:
    """A painter's script behind the one that all painters share; a module of its own."""
    return _joined(SHARED / "grid.js", path)


def style(path: Path) -> str:
    """A painter's style sheet behind the one that all painters share."""
    return _joined(SHARED / "tools.css", path)


def _joined(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)
