"""A class on JupyterHub: a student fetches, answers and submits a stage, and reads the feedback.

The hub is the one for trying out. tests/browser/walk_hub.py has accounts, two students and an
instructor who uses the hub too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("jupyterhub", reason="no JupyterHub: pip install --editable .[hub]")

from course_copies import copied_course
from driven import browser_programs, chromium, until
from hub_pages import (
    STAGE,
    Assignments,
    answered,
    hub,
    is_refused,
    log_in,
    open_lab,
    opened_notebook,
    quiet_lab,
    saved,
)
from nbgrader.api import Gradebook

from distillery.core.errors import CourseError
from grading.__main__ import main as grading
from grading.core.nbgrader_api import nbgrader
from grading.hub.proxy import fetched

RIGHT = """%%todo tour.predict_x0
def predict_x0(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
"""
WRONG = """%%todo tour.add_noise
def add_noise(x0, eps, alpha_bar):
    return alpha_bar * x0 + (1 - alpha_bar) * eps
"""
IMPORTS = """%load_ext distillery.todo
from distillery.course.check import check
"""
MISTAKE = "This is what you get when"


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
    assert grading(["hub", str(folder / "hub"), *map(str, who)]) == 0
    with nbgrader(folder / "class") as api:
        assert api.release_assignment(STAGE)["success"]
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
        assignments = Assignments(browser)
        assignments.press("released", "Fetch")
        until(lambda: STAGE in assignments.text("fetched"), "the stage is fetched")
        notebook = opened_notebook(browser, address, "ada", home)
        notebook.write("0", IMPORTS)
        notebook.run("0")
        assert "2 of 2 points" in answered(notebook, "predict_x0", RIGHT)
        assert MISTAKE in answered(notebook, "add_noise", WRONG)
        saved(browser, home, "alpha_bar * x0")
        open_lab(browser, address, "ada")
        assignments = Assignments(browser)
        assignments.press("fetched", "Submit")
        until(lambda: STAGE in assignments.text("submitted"), "the stage is submitted")

        assert grading(["collect", STAGE, "--exchange", "--course", str(course)]) == 0
        assert grading(["autograde", STAGE, "--jobs", "1", "--course", str(course)]) == 0
        with nbgrader(course) as api:
            assert api.generate_feedback(STAGE)["success"]
            assert api.release_feedback(STAGE)["success"]

        assignments.press("submitted", "Fetch Feedback")
        (page,) = until(
            lambda: list((home / "score-distillery").glob("notebooks/*/feedback/*/*.html")),
            "the feedback is there",
        )
        assert MISTAKE in page.read_text("utf-8")
        assert is_refused(browser, address, "bea")
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "class") as gradebook:
        assert gradebook.find_submission(STAGE, "ada").score == 2
