"""The instructor's road from end to end, with nbgrader's own commands and a real formgrader.

Release, fetch, submit, collect, autograde, look and comment in formgrader, feedback, export: once
for each database.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

pytest.importorskip("selenium", reason="no selenium: pip install --group test")

from course_copies import copied_course
from driven import TOKEN, browser_programs, chromium, served, until
from scratch_postgres import scratch_postgres
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROOT = Path(__file__).resolve().parents[2]
NAME = "00_tour"
STUDENT = pwd.getpwuid(os.getuid()).pw_name  # nbgrader's exchange asks the system who submits
WRONG = """%%todo tour.add_noise
def add_noise(x0, eps, alpha_bar):
    return alpha_bar * x0 + (1 - alpha_bar) * eps
"""
RIGHT = """%%todo tour.predict_x0
def predict_x0(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
"""
FORMGRADER = "--ServerApp.jpserver_extensions=nbgrader.server_extensions.formgrader=True"
SCRIPT = "<script>document.title = 'stolen'</script><b>hello</b>"


@dataclass(frozen=True)
class Place:
    """Where the instructor works, where the student does, and what lies between them."""

    course: Path
    home: Path
    db_url: str

    @property
    def exchange(self) -> Path:
        return self.course.parent / "exchange"

    def set_up(self) -> None:
        """Say in the course's settings where exchange and gradebook are."""
        with (self.course / "nbgrader_config.py").open("a") as settings:
            settings.write(f"\nc.Exchange.root = {str(self.exchange)!r}\n")
            if self.db_url:
                settings.write(f"c.CourseDirectory.db_url = {self.db_url!r}\n")

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run a command as its user would in a terminal; returns all that it printed."""
        environment = {
            **os.environ,
            "PATH": sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"],
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "PYTHONPATH": str(ROOT),
        }
        ran = subprocess.run(
            command,
            cwd=cwd or self.course,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert ran.returncode == 0, f"{' '.join(command)}:\n{ran.stdout[-4000:]}"
        return ran.stdout

    def grading(self, command: str, *arguments: str) -> str:
        python = (sys.executable, "-m", "grading")
        return self.run(*python, command, NAME, "--course", str(self.course), *arguments, cwd=ROOT)


@pytest.fixture(scope="module")
def collected(once: Callable[[str, Callable[[Path], object]], Path], released: Path) -> Path:
    """Folders of an instructor, a student and their exchange, up to a collected submission."""

    def walk(folder: Path) -> None:
        place = Place(folder / "class", folder / "home", "")
        folder.mkdir()
        copied_course(released, place.course)
        place.home.mkdir()
        place.exchange.mkdir()
        place.exchange.chmod(0o777)
        place.set_up()
        with Gradebook(f"sqlite:///{place.course / 'gradebook.db'}", "class") as gradebook:
            gradebook.remove_assignment("01_sds")  # a class of one assignment
        place.run("nbgrader", "release_assignment", NAME)
        _study(place)
        place.grading("collect", "--exchange")

    return once("road", walk)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(
    request: pytest.FixtureRequest, collected: Path, tmp_path_factory: pytest.TempPathFactory
):
    """A stage released, fetched, answered, submitted, collected and graded."""
    folder = tmp_path_factory.mktemp("road") / request.param
    shutil.copytree(collected, folder)
    with contextlib.ExitStack() as stack:
        db_url = f"sqlite:///{folder / 'class' / 'gradebook.db'}"
        if request.param == "postgresql":
            db_url = stack.enter_context(scratch_postgres())
        place = Place(folder / "class", folder / "home", db_url)
        place.set_up()
        if request.param == "postgresql":
            place.grading("release")  # into this database, too
        place.grading("autograde", "--jobs", "1")
        yield place


def _study(place: Place) -> None:
    """What a student does: fetch, answer one task rightly and one wrongly, and submit."""
    flags = ("--course", "class", f"--Exchange.root={place.exchange}")
    place.run("nbgrader", "fetch_assignment", NAME, *flags, cwd=place.home)
    path = place.home / NAME / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    answers = {"tour-add_noise": WRONG, "tour-predict_x0": RIGHT}
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = answers.get(grade_id, cell.source)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(SCRIPT))
    nbformat.write(notebook, path)
    place.run("nbgrader", "submit", NAME, *flags, cwd=place.home)


def score(place: Place, check: str) -> tuple[float, float | None, str | None]:
    """Of a graded task: its score, what a human gave, and what he said."""
    with Gradebook(place.db_url, "class") as gradebook:
        grade = gradebook.find_grade(f"tour-{check}-check", NAME, NAME, STUDENT)
        comment = gradebook.find_comment(f"tour-{check}", NAME, NAME, STUDENT)
        return grade.score, grade.manual_score, comment.manual_comment


def test_what_was_submitted_is_in_the_gradebook(place: Place) -> None:
    assert score(place, "add_noise")[0] == 0
    assert score(place, "predict_x0")[0] == 2
    assert score(place, "classifier_free_guidance")[0] == 0


@pytest.mark.skipif(browser_programs() is None, reason="no chromium with chromedriver on the PATH")
def test_formgrader_shows_it_and_takes_points_and_comments(place: Place, tmp_path: Path) -> None:
    with Gradebook(place.db_url, "class") as gradebook:
        shown = gradebook.find_submission_notebook(NAME, NAME, STUDENT).id
    flags = (FORMGRADER,)
    with served(place.course, tmp_path / "state", *flags) as address, chromium() as browser:
        browser.get(f"{address}lab?token={TOKEN}")  # logs in
        browser.get(f"{address}formgrader/gradebook/{NAME}/{NAME}")
        until(lambda: "Submission #1" in browser.page_source, "the submission is listed")
        browser.get(f"{address}formgrader/submissions/{shown}/")
        field = until(
            lambda: browser.find_element(By.ID, "tour-add_noise-check"), "the score is there"
        )
        page = browser.find_element(By.TAG_NAME, "body").text
        assert "This is what you get when" in page
        assert browser.title != "stolen"
        until(lambda: field.get_attribute("placeholder") == "0", "it shows what was earned")
        field.send_keys("1.5", Keys.TAB)
        comment = browser.find_element(By.ID, "tour-add_noise-comment")
        comment.send_keys("Nearly: variance is not scale.", Keys.TAB)
        until(lambda: score(place, "add_noise")[2], "the comment is in the gradebook")
        if "SCREENSHOTS" in os.environ:
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", field)
            browser.save_screenshot(str(Path(os.environ["SCREENSHOTS"], "formgrader.png")))
    assert score(place, "add_noise") == (1.5, 1.5, "Nearly: variance is not scale.")


def test_grading_anew_keeps_what_a_human_gave(place: Place) -> None:
    before = score(place, "add_noise")
    place.run("nbgrader", "autograde", NAME, "--force")
    assert score(place, "add_noise") == before
    assert score(place, "predict_x0")[0] == 2


def test_feedback_names_the_mistake_and_carries_no_script(place: Place) -> None:
    place.run("nbgrader", "generate_feedback", NAME, "--force")
    page = (place.course / "feedback" / STUDENT / NAME / f"{NAME}.html").read_text("utf-8")
    assert "This is what you get when" in page
    assert "<script" not in page
    said = score(place, "add_noise")[2]
    assert said is None or said in page
    place.run("nbgrader", "release_feedback", NAME)


def test_grades_can_be_exported_and_reported(place: Place) -> None:
    place.run("nbgrader", "export", "--to", "grades.csv")
    rows = (place.course / "grades.csv").read_text("utf-8-sig").splitlines()
    assert len(rows) == 2
    assert STUDENT in rows[1]
    place.grading("report")
    assert "This is what you get when" not in rows[1]
    assert (place.course / "reports" / f"{NAME}.html").stat().st_size > 1000
