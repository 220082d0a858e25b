"""What a run leaves that nobody stops, and how main.py refuses bad input.

Both are of the command `red_boat`, which a folder or a file may replace by its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from running import Refusal, Tree, status_of

import main


@pytest.fixture(scope="session")
def whole_runs() -> dict[tuple[str, ...], Path]:
    """Folders of runs that were done once, by command; nobody may write in them."""
    return {}


@pytest.fixture
def undisturbed(
    red_boat: list[str],
    whole_runs: dict[tuple[str, ...], Path],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    tree: Tree,
) -> dict[str, bytes]:
    """What a run leaves that nobody stops; it also lies in `tmp_path / "undisturbed"`."""
    command = tuple(red_boat)
    if command not in whole_runs:
        out = tmp_path_factory.mktemp("whole_run")
        assert main.main([*command, "--out", str(out)]) == 0
        whole_runs[command] = out
    shutil.copytree(whole_runs[command], tmp_path / "undisturbed")
    return tree(tmp_path / "undisturbed")


@pytest.fixture
def refusal(
    red_boat: list[str], tmp_path: Path, tree: Tree, capsys: pytest.CaptureFixture[str]
) -> Refusal:
    """A function that runs main.py into a folder with earlier results, and gives its sentence."""
    out = tmp_path / "outputs"
    (out / "a_red_boat").mkdir(parents=True)
    (out / "a_red_boat.png").write_bytes(b"an earlier picture")
    (out / "a_red_boat" / "run.yaml").write_text("its settings")
    before = tree(out)

    def refuse(*changes: str) -> str:
        status = status_of([*red_boat, "--out", str(out), *changes])
        shown = capsys.readouterr()
        assert status == 2
        assert shown.out == ""
        assert tree(out) == before
        (line,) = shown.err.splitlines()
        assert line.startswith("error: ")
        return line

    return refuse
