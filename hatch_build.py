"""What a wheel brings beside the package: the programs, our functions, the models and the data.

An editable install finds them in the clone.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BESIDE = ("main.py", "eval.py", "demo.py", "reference", "data")
FOLDER = "score_distillery"  # in site-packages, as distillery/core/files.py looks for it


class CourseFiles(BuildHookInterface):
    """Put them into the wheel, but not into an editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatchling's hook, before it builds; `version` is "standard" or "editable"."""
        if version == "standard":
            places = {name: f"{FOLDER}/{name}" for name in BESIDE}
            build_data["force_include"] |= {f"{self.root}/{name}": places[name] for name in BESIDE}
