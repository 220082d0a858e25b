"""MathJax for the pages' formulas, from npm's registry, as one file without fonts of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from website.npm_packages import fetched

FILE = Path("es5", "tex-svg.js")


def mathjax(folder: Path) -> None:
    """Put MathJax into `folder`; it is fetched once."""
    package = fetched("mathjax")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(package / FILE, folder)
    shutil.copy(package / "LICENSE", folder)
