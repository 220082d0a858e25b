"""What a student sees in JupyterLab: nothing of the instructors', and a Validate that is true."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("nbgrader", reason="no nbgrader here")

from course_copies import student_course
from driven import TOKEN, browser_programs, chromium, served, until
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from distillery.course.saved_text import replaced
from grading.authoring.make_stubs import BEGIN, END, function_text
from grading.authoring.notebooks import answered_notebook, student_notebook
from grading.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "data" / "configs" / "jupyter"
TOUR = STAGES[0]
PERCENT = """\
# %%
# %load_ext distillery.todo
from pathlib import Path

from distillery.course.check import check

# %%
# TODO tour.add_noise

# %%
check("tour.add_noise")

# %%
Path("a_cell_that_draws").touch()

# %%
# TODO tour.predict_x0

# %%
check("tour.predict_x0")

# %%
# TODO tour.classifier_free_guidance

# %%
check("tour.classifier_free_guidance")
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student's course with an untouched notebook, an answered one, and their source.

    One answer was written into guidance/, and into no cell.
    """
    folder = student_course(tmp_path_factory.mktemp("lab") / "course")
    reference = (ROOT / "reference" / "tour.py").read_text("utf-8")
    answered = answered_notebook(TOUR, PERCENT, reference)
    for mark in (BEGIN, END):
        answered = answered.replace(mark, "")
    stage = folder / "notebooks" / "00_tour"
    stage.mkdir(parents=True)
    (stage / "untouched.ipynb").write_text(student_notebook(TOUR, PERCENT, reference), "utf-8")
    (stage / "answered.ipynb").write_text(answered, "utf-8")
    module = folder / "guidance" / "tour.py"
    answer = function_text(reference, "predict_x0").replace(BEGIN, "").replace(END, "")
    written = replaced(module.read_text("utf-8"), "tour.predict_x0", answer)
    module.write_text(written, "utf-8")
    (stage / "00_tour.py").write_text(PERCENT, "utf-8")
    (stage / "helper.py").write_text("# a file of the student's\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def lab(course: Path) -> Iterator[str]:
    """What `make lab` opens; the address of the stage's folder."""
    state = course / ".state"
    given = {"JUPYTER_CONFIG_PATH": str(CONFIG), "PYTHONPATH": str(course)}
    with served(course, state, **given) as address:
        yield f"{address}doc/tree/notebooks/00_tour"


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    if browser_programs() is None:
        pytest.skip("no chromium with chromedriver on the PATH")
    with chromium() as browser:
        yield browser


def texts(browser: WebDriver, selector: str) -> list[str]:
    """Of all elements that fit and show a text."""
    return [one.text for one in browser.find_elements(By.CSS_SELECTOR, selector) if one.text]


def validated(browser: WebDriver, address: str) -> str:
    """What the Validate button of a notebook says in the end."""
    browser.get(address)
    ready = "[data-status='idle']"
    until(lambda: browser.find_elements(By.CSS_SELECTOR, ready), "the kernel is idle")
    buttons = browser.find_elements(By.CSS_SELECTOR, ".jp-NotebookPanel-toolbar jp-button")
    next(button for button in buttons if button.text == "Validate").click()

    def results() -> str:
        dialogs = browser.find_elements(By.CSS_SELECTOR, ".jp-Dialog")
        return next((one.text for one in dialogs if "Validation Results" in one.text), "")

    return until(results, "Validate says something")


@pytest.mark.parametrize("makefile", ["Makefile", "grading/student/Makefile"])
def test_make_lab_opens_jupyterlab_with_the_students_settings(makefile: str) -> None:
    # Run by make itself, it would say so around the line.
    quiet = "--no-print-directory"
    command = ["make", "-n", quiet, "-o", ".venv/.ready", "-f", makefile, "lab"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lab = ".venv/bin/jupyter lab --LabApp.default_url=/lab/tree/notebooks"
    assert ran.stdout == f'JUPYTER_CONFIG_PATH="{CONFIG}" {lab}\n'


def test_a_student_sees_nothing_that_is_for_instructors(browser: WebDriver, lab: str) -> None:
    browser.get(f"{lab.replace('doc/tree', 'lab/tree')}/untouched.ipynb?token={TOKEN}")
    ours = ["answered.ipynb", "helper.py", "untouched.ipynb"]
    # Names come one by one, so all of ours must be there before others are looked for.
    until(lambda: set(ours) <= set(texts(browser, ".jp-DirListing-itemName")), "files are listed")
    assert sorted(texts(browser, ".jp-DirListing-itemName")) == ours
    menus = browser.find_elements(By.CSS_SELECTOR, ".lm-MenuBar-item")
    next(menu for menu in menus if menu.text == "Nbgrader").click()
    items = until(lambda: texts(browser, ".lm-Menu-item"), "the menu is open")
    assert items == ["Assignment List"]
    tabs = browser.find_elements(By.CSS_SELECTOR, ".jp-SideBar .lm-TabBar-tab")
    assert tabs
    assert not [tab for tab in tabs if "reate" in tab.get_attribute("title")]


def test_validate_says_of_an_untouched_notebook_what_is_to_do(
    browser: WebDriver, lab: str, course: Path
) -> None:
    said = validated(browser, f"{lab}/untouched.ipynb?token={TOKEN}")
    assert TOUR.sentence("add_noise") in said
    assert TOUR.sentence("classifier_free_guidance") in said
    assert "holds an answer to tour.predict_x0, and your notebook's cell does not" in said
    assert TOUR.sentence("predict_x0") not in (course / "guidance" / "tour.py").read_text("utf-8")
    assert "Success" not in said
    assert "some but not all" not in said
    assert not (course / "notebooks" / "00_tour" / "a_cell_that_draws").exists()


def test_validate_says_of_right_answers_that_they_pass(browser: WebDriver, lab: str) -> None:
    said = validated(browser, f"{lab}/answered.ipynb?token={TOKEN}")
    assert "Success! Your notebook passes all the tests." in said
