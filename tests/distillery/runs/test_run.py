"""What decides a run in addition to its settings."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from distillery.runs.run import code_of


def test_the_code_of_a_module_is_its_file_and_nothing_where_there_is_none(tmp_path: Path) -> None:
    module = ModuleType("guidance.sds")
    assert code_of(module) == b""
    module.__file__ = "guidance/is_not_there.py"  # as in the sandbox
    assert code_of(module) == b""
    file = tmp_path / "sds.py"
    file.write_bytes(b"x = 1\r\n")
    module.__file__ = str(file)
    assert code_of(module) == b"x = 1\r\n"
