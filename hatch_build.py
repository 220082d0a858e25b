"""What a wheel brings beside the package: the programs, our functions, the models and the data.

An editable install finds them in the clone. A student's copy of the course has only some of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BESIDE = ("main.py", "eval.py", "demo.py", "reference", "data")
FOLDER = "score_distillery"  # in site-packages, as distillery/core/files.py looks for it


class CourseFiles(BuildHookInterface):
    """Put them into the wheel, but not into an editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatchling's hook, before it builds; `version` is "standard" or "editable"."""
        if version == "standard":
            there = [name for name in BESIDE if Path(self.root, name).exists()]
            places = {f"{self.root}/{name}": f"{FOLDER}/{name}" for name in there}
            build_data["force_include"] |= places
