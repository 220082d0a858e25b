"""Paint strokes, label them, run and see a picture: in JupyterLab, and on the page of the demo.

Server, kernel, browser and model are real. The page is the one that `make strokes-demo` opens.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("jupyterlab", reason="no JupyterLab here")

from driven import (
    PIXELS,
    Notebook,
    browser_programs,
    chromium,
    opened_notebook,
    paged,
    until,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.skipif(
    browser_programs() is None, reason="no chromium with chromedriver on the PATH"
)

CELLS = {
    "setup": """
        import numpy as np
        from distillery.models.load import load_prior
        from distillery.notebook.strokes.canvas import StrokeCanvas
        from distillery.notebook.strokes.drawing import drawn_by
        from distillery.notebook.strokes.studio import StrokeStudio
        from reference import strokes

        begin = drawn_by(load_prior("tiny-sd", device="cpu"), strokes)
        def counts():
            # Cells painted, cells of regions 1 and 2
            labels = np.asarray(studio.canvas.labels)
            painted = np.asarray(studio.canvas.painting)[..., 3] > 0
            print(painted.sum(), (labels == 1).sum(), (labels == 2).sum())
        """,
    "studio": """
        studio = StrokeStudio(begin, canvas=StrokeCanvas((16, 32)))
        studio.live.value = False
        studio
        """,
    "counts": "counts()",
    "words": "print(studio.canvas.words, studio.request.labels is not None)",
}
CANVAS, RESULT = ".stroke-canvas canvas", "img.stroke-result, .stroke-result img"


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with opened_notebook(tmp_path_factory.mktemp("course"), CELLS, "setup", "studio") as opened:
        yield opened


def stroke(browser: WebDriver, canvas: WebElement, *places: tuple[float, float]) -> None:
    """Drag from place to place; (0, 0) is the left upper corner of the canvas, (1, 1) the other."""
    width, height = canvas.size["width"], canvas.size["height"]
    mouse = ActionChains(browser, duration=50)
    for number, (x, y) in enumerate(places):
        # Selenium counts from the middle.
        mouse.move_to_element_with_offset(
            canvas, round((x - 0.5) * width), round((y - 0.5) * height)
        )
        if number == 0:
            mouse.click_and_hold()
    mouse.release().perform()


def test_colours_are_painted_filled_undone_and_done_again(notebook):
    browser = notebook.browser

    def counts() -> str:
        return notebook.run("counts")

    assert counts() == "0 0 0"
    notebook.find("studio", CANVAS).send_keys("[" * 20)  # the smallest brush
    stroke(browser, notebook.find("studio", CANVAS), (0.1, 0.5), (0.9, 0.5))
    painted = counts()
    assert painted == "26 0 0"  # columns 3 to 28, without gaps
    notebook.press("studio", "undo")
    assert counts() == "0 0 0"
    notebook.find("studio", CANVAS).send_keys(Keys.CONTROL, Keys.SHIFT, "z")
    assert counts() == painted
    notebook.press("studio", "fill")
    stroke(browser, notebook.find("studio", CANVAS), (0.5, 0.1))
    assert counts() == "512 0 0"
    notebook.find("studio", CANVAS).send_keys("e")
    stroke(browser, notebook.find("studio", CANVAS), (0.5, 0.9))
    assert counts() == "511 0 0"


def test_a_line_of_the_keyboard_is_one_stroke(notebook):
    before = notebook.run("counts")
    canvas = notebook.find("studio", CANVAS)
    canvas.send_keys("e")
    canvas.send_keys(Keys.SHIFT, Keys.ARROW_LEFT * 5)
    painted = int(before.split()[0])
    assert notebook.run("counts") == f"{painted - 5} 0 0"
    notebook.find("studio", CANVAS).send_keys(Keys.CONTROL, "z")
    assert notebook.run("counts") == before


def test_a_file_that_would_cut_the_connection_is_refused_in_a_sentence(notebook, tmp_path):
    large = tmp_path / "large.png"
    large.write_bytes(bytes(9 * 2**20))
    notebook.cell("studio").find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(large))
    said = "large.png has 9 MB, and the page takes up to 8; make the picture smaller."
    assert notebook.find("studio", ".stroke-canvas .said", said)


def test_a_press_of_the_button_makes_a_picture_and_another_seed_another_one(notebook):
    before = notebook.pixels("studio", RESULT)
    place = notebook.find("studio", RESULT).rect["x"]
    notebook.press("studio", "draw")
    first = finished(notebook, "seed 0")
    assert notebook.find("studio", RESULT).rect["x"] == place  # whatever stands under it
    notebook.press("studio", "again with another seed")
    assert len({before, first, finished(notebook, "seed 1")}) == 3


def finished(notebook: Notebook, seed: str) -> str:
    """Wait for the last step; the picture then."""
    until(lambda: _is_done(notebook.find("studio", ".stroke-caption").text, seed), "it is drawn")
    return notebook.pixels("studio", RESULT)


def _is_done(caption: str, seed: str) -> bool:
    """ "seed 0: step 20 of 20" """
    name, _, rest = caption.partition(": step ")
    done, _, total = rest.partition(" of ")
    return name == seed and done == total != ""


def test_regions_are_painted_in_their_own_layer_and_named(notebook):
    notebook.press("studio", "regions")
    words = notebook.find("studio", ".chip input")
    words.send_keys("a red boat", Keys.TAB)
    notebook.press("studio", "brush")
    notebook.find("studio", CANVAS).send_keys("]" * 20)
    corners = (0.05, 0.25), (0.4, 0.25), (0.4, 0.75), (0.05, 0.75)
    stroke(notebook.browser, notebook.find("studio", CANVAS), *corners)
    painted, first, second = map(int, notebook.run("counts").split())
    assert painted == 511
    assert first > 150  # the coarsest attention has cells of 256
    assert second == 0
    assert notebook.run("words") == "('a red boat',) True"
    notebook.press("studio", "again with another seed")
    finished(notebook, "seed 2")
    notebook.find("studio", CANVAS).send_keys("l")
    notebook.find("studio", "button[aria-pressed='true']", "colours")


def test_on_a_small_screen_the_picture_stands_beside_the_canvas_and_nothing_is_cut_off(notebook):
    before = notebook.browser.get_window_size()
    notebook.browser.set_window_size(840, 1000)

    def is_beside() -> bool:
        canvas, picture = (notebook.find("studio", its).rect for its in (CANVAS, RESULT))
        return picture["x"] > canvas["x"] + canvas["width"]

    until(is_beside, "the picture stands beside the canvas")
    output = notebook.find("studio", ".jp-OutputArea-output")
    assert output.get_property("scrollWidth") <= output.get_property("clientWidth")
    notebook.browser.set_window_size(before["width"], before["height"])


def test_what_is_wrong_with_a_region_is_said_under_the_picture(notebook):
    notebook.press("studio", "regions")
    words = notebook.find("studio", ".chip input")
    words.send_keys(Keys.CONTROL, "a")
    words.send_keys("castle", Keys.TAB)
    notebook.press("studio", "draw")
    said = "the word 'castle' of a region is not in the prompt; add it there."
    until(lambda: notebook.find("studio", ".stroke-caption").text == said, "it is said")


def test_the_page_had_no_errors(notebook):
    """What our own scripts threw; the servers of others may be out of reach."""
    log = notebook.browser.get_log("browser")
    assert [entry for entry in log if "stroke" in entry["message"].lower()] == []
    assert notebook.browser.find_elements(By.CSS_SELECTOR, ".jupyter-widgets-error-widget") == []


def test_the_demo_is_a_page_on_which_one_paints_and_sees_a_picture(browser, tmp_path):
    pytest.importorskip("voila", reason="no Voila: pip install .[demo]")
    with paged("strokes_demo.ipynb", tmp_path) as address:
        browser.get(address)

        def shown(selector: str) -> WebElement:
            elements = browser.find_elements(By.CSS_SELECTOR, selector)
            return next(element for element in elements if element.is_displayed())

        def picture() -> str:
            return browser.execute_script(PIXELS, shown(RESULT))

        def there(selector: str) -> bool:
            return any(it.is_displayed() for it in browser.find_elements(By.CSS_SELECTOR, selector))

        until(lambda: there(CANVAS) and there(RESULT), "the studio is on the page")
        assert "reference" not in browser.find_element(By.TAG_NAME, "body").text  # no code
        before = until(picture, "the empty picture is drawn")
        stroke(browser, shown(CANVAS), (0.3, 0.6), (0.7, 0.6))  # it draws while one paints
        until(lambda: _is_done(shown(".stroke-caption").text, "seed 0"), "it is drawn")
        assert picture() != before
