"""A wheel of the course, installed in an environment of its own, draws from any folder."""

from __future__ import annotations

import subprocess

import pytest
from PIL import Image

from tests.course_copies import ROOT
from tests.own_environment import made, packages, pip, said


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment that has the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "-w", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    its = made(folder / "env")
    pip("--python", its, "install", wheel)
    return its


def test_a_wheel_draws_a_picture_from_another_folder(python, tmp_path):
    words = ["--prompt", "a red boat", "--steps", "2", "--guidance_scale", "5"]
    drawn = said([python.with_name("score-distillery"), *words], cwd=tmp_path).splitlines()[-1]
    with Image.open(tmp_path / drawn) as picture:
        assert picture.size == (64, 64)
    assert "implementation: reference" in (tmp_path / "outputs/a_red_boat/run.yaml").read_text()


def test_its_files_are_its_own_and_not_the_clones(python, tmp_path):
    code = "from distillery.core.files import REPOSITORY as r; import distillery as d; print(r, d)"
    out = said([python, "-c", code], cwd=tmp_path)
    assert str(ROOT) not in out
    assert str(packages(python) / "score_distillery") in out


def test_its_words_are_there(python, tmp_path):
    assert "boat" in said([python, "-m", "distillery", "words"], cwd=tmp_path)


def test_what_it_says_to_type_can_be_typed_there(python, tmp_path):
    program = python.with_name("score-distillery")
    code = "from distillery.models.words import COMMAND as c; print(c)"
    lists_words = said([python, "-c", code], cwd=tmp_path)
    assert lists_words == f"{program.name} words"
    helped = said([program, "sample", "--help"], cwd=tmp_path)
    assert helped.startswith(f"usage: {program.name} sample ")
    wrong = subprocess.run([program, "sampel"], cwd=tmp_path, capture_output=True, text=True)
    assert wrong.stderr.endswith(f"or see {program.name} --help.\n")
