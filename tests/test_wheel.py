"""A wheel of the course, installed in an environment of its own, draws from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from PIL import Image

from tests.course_copies import ROOT

PIP = (sys.executable, "-m", "pip", "--quiet")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The programs of an environment that has the wheel, and this one's libraries."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--no-deps", "--no-index")
    built = ("wheel", *offline, "--no-build-isolation", "-w", str(folder), str(ROOT))
    subprocess.run([*PIP, *built], check=True)
    venv.create(folder / "env", with_pip=False)
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    # A plain path: the .pth file in it that leads to the clone is not read.
    (its_packages(programs) / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    (wheel,) = folder.glob("*.whl")
    install = ("--python", str(programs / "python"), "install", *offline, str(wheel))
    subprocess.run([*PIP, *install], check=True)
    return programs


def its_packages(programs: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(said([programs / "python", "-c", code]).strip())


def said(command: list, **options) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_draws_a_picture_from_another_folder(installed, tmp_path):
    words = ["--prompt", "a red boat", "--steps", "2", "--guidance_scale", "5"]
    out = said([installed / "score-distillery", *words], cwd=tmp_path)
    assert out.splitlines()[-1] == "outputs/a_red_boat.png".replace("/", os.sep)
    with Image.open(tmp_path / "outputs" / "a_red_boat.png") as picture:
        assert picture.size == (64, 64)
    assert "implementation: reference" in (tmp_path / "outputs/a_red_boat/run.yaml").read_text()


def test_its_files_are_its_own_and_not_the_clones(installed, tmp_path):
    code = "from distillery.core.files import REPOSITORY as r; import distillery as d; print(r, d)"
    out = said([installed / "python", "-c", code], cwd=tmp_path)
    assert str(ROOT) not in out
    assert str(its_packages(installed) / "score_distillery") in out


def test_its_words_and_palettes_are_there(installed, tmp_path):
    assert "boat" in said([installed / "score-distillery", "words"], cwd=tmp_path)
