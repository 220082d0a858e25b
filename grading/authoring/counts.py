"""What README.md and CHANGELOG.md say of the stages: the build keeps it true.

The rest of these texts is written by hand. A table row that begins with a stage's folder, and the
numbers before "known mistakes" and "other correct solutions", are written by the build.
"""

from __future__ import annotations

import re
from pathlib import Path

from distillery.core.counting import in_hours
from grading.stages import STAGES
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.stage import Stage
from grading.stages.variants import VARIANTS

TEXTS = ("README.md", "CHANGELOG.md")
ROWS = re.compile(r"(^\| `\d\d_\w+` \|.*\n)+", re.MULTILINE)
COUNTED = {
    r"\d+(?= known\s(?:mistakes|misconceptions)\b)": len(MISCONCEPTIONS),
    r"\d+(?= other correct solutions\b)": len(VARIANTS),
}


def counted_texts(root: Path) -> dict[Path, bytes]:
    """Those of the texts that are there, by their path, with the facts of today's stages."""
    return {
        Path(name): counted((root / name).read_text(encoding="utf-8")).encode()
        for name in TEXTS
        if (root / name).exists()
    }


def counted(text: str) -> str:
    """A text in which the rows of stages and the numbers are those of today's stages."""
    rows = "".join(map(_row, STAGES))
    text = ROWS.sub(lambda match: rows, text)
    for pattern, count in COUNTED.items():
        text = re.sub(pattern, str(count), text)
    return text


def _row(stage: Stage) -> str:
    tasks = ", ".join(f"`{function}`" for function in stage.points)
    return f"| `{stage.folder}` | {in_hours(stage.minutes)} | {stage.title} | {tasks} |\n"
