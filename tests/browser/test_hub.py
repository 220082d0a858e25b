"""A class on JupyterHub: a student fetches, answers and submits a stage, and reads the feedback.

The hub is the one for trying out. tests/browser/walk_hub.py has accounts, two students and an
instructor who uses the hub too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("jupyterhub", reason="no JupyterHub: pip install --editable .[hub]")

from course_copies import copied_course
from driven import browser_programs, chromium, until
from hub_pages import STAGE, Assignments, answered, hub, log_in, opened_notebook, quiet_lab, saved
from nbgrader.api import Gradebook
from selenium.webdriver.common.by import By

from distillery.core.errors import CourseError
from grading.hub.proxy import fetched

ROOT = Path(__file__).resolve().parents[2]
RIGHT = """%%todo tour.predict_x0
def predict_x0(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
"""
WRONG = """%%todo tour.add_noise
def add_noise(x0, eps, alpha_bar):
    return alpha_bar * x0 + (1 - alpha_bar) * eps
"""
MISTAKE = "This is what you get when"


def said(*command: str, cwd: Path) -> str:
    """What a command of the instructor prints; it must end well."""
    path = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, f"{' '.join(command)}:\n{ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr


def grading(command: str, *arguments: str | Path) -> str:
    return said(sys.executable, "-m", "grading", command, *map(str, arguments), cwd=ROOT)


@pytest.fixture(scope="module")
def proxy() -> Path:
    try:
        return fetched()
    except CourseError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def place(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with class/, one stage of which is in the exchange of hub/."""
    folder = tmp_path_factory.mktemp("hub")
    copied_course(released, folder / "class")
    who = ("--course", folder / "class", "--instructor", "iris", "--students", "ada", "bea")
    grading("hub", folder / "hub", *who)
    said("nbgrader", "release_assignment", STAGE, cwd=folder / "class")
    quiet_lab(folder / "hub" / "homes" / "ada")
    return folder


@pytest.fixture(scope="module")
def address(place: Path, proxy: Path) -> Iterator[str]:
    if browser_programs() is None:
        pytest.skip("no chromium with chromedriver on the PATH")
    with hub(place / "hub", "try_config.py", proxy) as address:
        yield address


def test_a_student_submits_a_stage_and_reads_which_mistake_it_was(place: Path, address: str):
    home, course = place / "hub" / "homes" / "ada", place / "class"
    with chromium() as browser:
        log_in(browser, address, "ada")
        assignments = Assignments(browser, address, "ada")
        assignments.press("released", "Fetch")
        until(lambda: STAGE in assignments.text("fetched"), "the stage is fetched")
        notebook = opened_notebook(browser, address, "ada", home)
        assert "2 of 2 points" in answered(notebook, "predict_x0", RIGHT)
        assert MISTAKE in answered(notebook, "add_noise", WRONG)
        saved(browser, home, "alpha_bar * x0")
        assignments = Assignments(browser, address, "ada")
        assignments.press("fetched", "Submit")
        until(lambda: STAGE in assignments.text("submitted"), "the stage is submitted")

        grading("collect", STAGE, "--exchange", "--course", course)
        grading("autograde", STAGE, "--jobs", "1", "--course", course)
        said("nbgrader", "generate_feedback", STAGE, cwd=course)
        said("nbgrader", "release_feedback", STAGE, cwd=course)

        assignments = Assignments(browser, address, "ada")
        assignments.press("submitted", "Fetch Feedback")
        (page,) = until(
            lambda: list((home / "score-distillery").glob("notebooks/*/feedback/*/*.html")),
            "the feedback is there",
        )
        assert MISTAKE in page.read_text("utf-8")
        browser.get(f"{address}user/bea/lab")
        until(lambda: browser.find_elements(By.TAG_NAME, "h1"), "the hub answers")
        assert "No access to resources" in browser.find_element(By.TAG_NAME, "body").text
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "class") as gradebook:
        assert gradebook.find_submission(STAGE, "ada").score == 2
