"""Badges and Colab's first cell, which stand where the repository's address is known."""

from __future__ import annotations

import shutil

import nbformat
import pytest

from distillery.core.errors import CourseError
from grading.authoring.build import ROOT, committed_files, student_text
from grading.authoring.repository import badged, for_colab, repository_in, repository_named
from grading.stages import STAGES
from tests.own_environment import made, said

README = "picture\n\n# Score Distillery\n\nA course.\n"
SDS = next(stage for stage in STAGES if stage.module == "sds")


def test_badges_come_with_an_address_and_go_without_one():
    first = badged(README, "ada/course")
    assert "github/ada/course/blob/HEAD/notebooks/00_tour/00_tour.ipynb" in first
    assert repository_in(first) == "ada/course"
    assert badged(first, "ada/course") == first
    second = badged(first, "bob/other.course")
    assert repository_in(second) == "bob/other.course"
    assert "ada" not in second
    assert badged(second, "") == README
    assert repository_in(README) == ""


@pytest.mark.parametrize("ending", ["", "/", ".git"])
def test_an_address_on_github_is_read(ending):
    assert repository_named(f"https://github.com/ada/my-course{ending}") == "ada/my-course"


@pytest.mark.parametrize(
    "address", ["ada/course", "https://example.org/a/b", "https://github.com/a"]
)
def test_another_address_is_one_sentence(address):
    with pytest.raises(CourseError, match=r"wants https://github.com/OWNER/NAME.*not '"):
        repository_named(address)


def test_without_an_address_a_notebook_is_as_it_is():
    text = student_text(SDS)
    assert for_colab(text, SDS.notebook, "") == text
    assert "colab" not in text.lower()


def test_every_notebook_begins_with_the_cell_of_colab():
    files = committed_files(ROOT, (SDS,), repository="ada/course")
    cells = nbformat.reads(files[SDS.notebook].decode(), as_version=4).cells
    assert "github/ada/course/blob/HEAD/notebooks/01_sds/01_sds.ipynb" in cells[0].source
    assert "git clone --quiet --depth 1 https://github.com/ada/course.git" in cells[1].source


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the clone's own history")
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_cell_of_colab_brings_the_course(tmp_path):
    """In a scratch folder, with the address replaced by this clone's, twice as people do."""
    text = for_colab(student_text(SDS), SDS.notebook, "ada/course")
    cell = nbformat.reads(text, as_version=4).cells[1].source
    cell = cell.replace("https://github.com/ada/course.git", ROOT.as_uri())
    script = tmp_path / "cells.ipy"
    pretend = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('colab')\n"
    then = (
        "from distillery import check\nimport distillery, os\n"
        "assert not check('sds.sds_grad').passed\nprint(distillery.__file__)\nprint(os.getcwd())\n"
    )
    script.write_text("\n".join([pretend, cell, cell, then]))
    python = made(tmp_path / "env")
    said_last = said([python, "-m", "IPython", "--quiet", script], cwd=tmp_path).splitlines()[-2:]
    course = tmp_path / "score-distillery"
    assert said_last == [
        str(course / "distillery" / "__init__.py"),
        str(course / "notebooks" / "01_sds"),
    ]
