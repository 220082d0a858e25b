"""What is made anew for the site: what depends on anything that has changed, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbclient", reason='the site needs pip install -e ".[site]"')

from grading.stages import STAGES
from website.executed_notebooks import executed_before, notebook_key
from website.made_before import MadeBefore
from website.moving_pictures import MOVING, moving_key, moving_picture

ROOT = Path(__file__).resolve().parents[2]
SDS, PDS = STAGES[1], STAGES[2]
FOLDERS = ("distillery/course", "reference", "data/checks", "grading/core")
NOTEBOOKS = [Path(stage.notebook.with_suffix(".py")) for stage in (SDS, PDS)]
MODEL = "data/models/tiny-sd"
FILES = (*NOTEBOOKS, Path(MODEL, "README.md"), Path(MODEL, "unet/config.json"), Path("main.py"))
EVERYTHING = {"sds", "pds", "moving"}
DEPENDS = {  # a file -> what is added to it -> what is made anew
    "distillery/course/check.py": ("\n# A word.\n", EVERYTHING),
    f"{MODEL}/unet/config.json": (" ", EVERYTHING),
    "reference/sds.py": ("\nHALF = 0.5\n", {"sds", "moving"}),
    "reference/pds.py": ("\nHALF = 0.5\n", {"pds", "moving"}),
    "data/checks/sds.json": (" ", {"sds"}),
    "main.py": ("\n# A word.\n", {"moving"}),
    str(NOTEBOOKS[0]): ("\n# %%\nprint(MODEL)\n", {"sds"}),
    str(NOTEBOOKS[1]): ("\n# %% [markdown]\n# A word.\n", set()),
    f"{MODEL}/README.md": ("A word.\n", set()),
    "grading/core/rules.py": ('"""A docstring."""\n', set()),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of the course as keys are made from; each test leaves it as it was."""
    course = tmp_path_factory.mktemp("site") / "course"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, course / name, ignore=shutil.ignore_patterns("*.pyc"))
    for file in FILES:
        (course / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, course / file)
    return course


@pytest.fixture(scope="module")
def before(root: Path) -> dict[str, str]:
    return keys(root)


def keys(root: Path) -> dict[str, str]:
    """Of the notebooks of two stages, and of a moving picture."""
    made = MadeBefore.under(root.with_name("made"), root)
    found = {stage.module: notebook_key(stage, stage.notebook, made) for stage in (SDS, PDS)}
    return {**found, "moving": moving_key(MOVING[0], made)}


@contextmanager
def added(path: Path, text: str) -> Iterator[None]:
    kept = path.read_bytes()
    path.write_bytes(kept + text.encode())
    yield
    path.write_bytes(kept)


@pytest.mark.parametrize("name", DEPENDS)
def test_what_depends_on_a_file_and_nothing_else_gets_another_key(root, before, name):
    text, depends = DEPENDS[name]
    with added(root / name, text):
        after = keys(root)
    assert {one for one in before if after[one] != before[one]} == depends


def test_another_release_of_a_package_gives_everything_another_key(root, before, monkeypatch):
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: version(name) + ".1" * (name == "torch"))
    after = keys(root)
    assert [one for one in before if after[one] == before[one]] == []


def test_an_executed_notebook_is_taken_for_as_many_steps_until_the_given_code_changes(
    root, before, tmp_path
):
    made = MadeBefore.under(tmp_path, root)
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / f"01_sds-{before['sds']}-0.5.ipynb")
    assert executed_before(SDS, SDS.notebook, made, 0.05) is not None
    assert executed_before(SDS, SDS.notebook, made, 1) is None
    with added(root / "distillery/course/check.py", "\n# A word.\n"):
        made = MadeBefore.under(tmp_path, root)
        assert executed_before(SDS, SDS.notebook, made, 0.05) is None


def test_a_moving_picture_is_taken_until_the_reference_changes(root, before, tmp_path):
    gif = tmp_path / f"{MOVING[0].stage}-{before['moving']}.gif"
    gif.touch()
    assert moving_picture(MOVING[0], MadeBefore.under(tmp_path, root), draw=False) == gif
    with added(root / "reference/sds.py", "\n# A word.\n"):
        assert moving_picture(MOVING[0], MadeBefore.under(tmp_path, root), draw=False) is None
