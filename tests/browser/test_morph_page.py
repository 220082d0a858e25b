"""Scrub through frames, draw a path and change its palette, and open `make morph-demo`.

Server, kernel, browser and model are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("jupyterlab", reason="no JupyterLab here")

from driven import Notebook, browser_programs, chromium, opened_notebook, paged, until
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.skipif(
    browser_programs() is None, reason="no chromium with chromedriver on the PATH"
)

CELLS = {
    "setup": """
        from dataclasses import replace
        import torch
        from distillery.notebook.morph.drawing import drawn_by
        from distillery.notebook.morph.page import morph_studio
        from distillery.notebook.morph.scrubber import Film, Scrubber
        from distillery.notebook.morph.studio import MorphStudio
        from distillery.pixelart.sequence import PixelSequence
        from reference import morph
        """,
    "frames": """
        rows = torch.arange(4).view(4, 1, 1).repeat(1, 6, 10)  # frame f is of the colour f
        palette = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
        film = Film(
            PixelSequence(rows, palette),
            fps=20,
            positions=[0, 1 / 3, 2 / 3, 1],
            prompts=["a cat", "a dog"],
        )
        Scrubber(film)
        """,
    "studio": """
        first = morph_studio(morph).settings
        first = replace(first, frames=3, steps=2, size=(16, 16), spacing="uniform", scale=None)
        studio = MorphStudio(drawn_by(morph), first)
        studio
        """,
}
CORNER = """
const [canvas] = arguments;
return [...canvas.getContext("2d").getImageData(0, 0, 1, 1).data].slice(0, 3).join();
"""
SCALE = """
const [canvas] = arguments;
const box = canvas.getBoundingClientRect();
const { imageRendering } = getComputedStyle(canvas);
return [box.width / canvas.width, box.height / canvas.height, imageRendering];
"""
ELSEWHERE = """
const [own] = arguments;
const names = performance.getEntriesByType("resource").map((entry) => entry.name);
return names.filter((name) => !/^(data|blob):/.test(name) && new URL(name).host !== own);
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with opened_notebook(tmp_path_factory.mktemp("course"), CELLS, *CELLS) as opened:
        yield opened


def canvas(notebook: Notebook, name: str) -> WebElement:
    return notebook.find(name, ".morph-scrubber canvas")


def shows(notebook: Notebook, name: str, colour: str) -> None:
    """Wait until the picture's first cell has this colour."""
    until(
        lambda: notebook.browser.execute_script(CORNER, canvas(notebook, name)) == colour,
        f"{name} shows {colour}",
    )


def said(notebook: Notebook, name: str) -> str:
    return notebook.find(name, ".morph-scrubber .said").text


def test_keys_and_slider_go_from_frame_to_frame_and_the_film_is_played(notebook):
    shows(notebook, "frames", "0,0,0")
    assert said(notebook, "frames") == "Frame 1 of 4: a cat."
    canvas(notebook, "frames").send_keys(Keys.ARROW_RIGHT)
    shows(notebook, "frames", "255,0,0")
    assert said(notebook, "frames") == "Frame 2 of 4: a cat, 33 % of the way to a dog."
    notebook.find("frames", ".morph-scrubber input").send_keys(Keys.ARROW_RIGHT)
    shows(notebook, "frames", "0,255,0")
    canvas(notebook, "frames").send_keys(Keys.END)
    shows(notebook, "frames", "0,0,255")
    canvas(notebook, "frames").send_keys(" ")
    until(lambda: notebook.find("frames", "button", "pause"), "it plays")
    for colour in ("0,0,0", "0,255,0"):
        shows(notebook, "frames", colour)
    canvas(notebook, "frames").send_keys(Keys.HOME)
    until(lambda: notebook.find("frames", "button", "play"), "it is paused")
    shows(notebook, "frames", "0,0,0")


def test_a_cell_is_a_whole_number_of_pixels_and_nothing_is_blurred(notebook):
    across, down, rendering = notebook.browser.execute_script(SCALE, canvas(notebook, "frames"))
    assert across == down == 48
    assert rendering == "pixelated"


def test_the_neighbours_are_seen_as_ghosts_where_they_differ(notebook):
    canvas(notebook, "frames").send_keys(Keys.HOME)
    notebook.press("frames", "frame before")  # there is none before the first
    shows(notebook, "frames", "0,0,0")
    canvas(notebook, "frames").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    until(lambda: corner(notebook) not in ("0,0,0", "0,255,0"), "a ghost is seen")
    red, _, blue = map(int, corner(notebook).split(","))
    assert red > blue  # orange
    notebook.press("frames", "frame before")
    notebook.press("frames", "frame after")
    until(lambda: (its := list(map(int, corner(notebook).split(","))))[2] > its[0], "a blue one")
    notebook.press("frames", "frame after")
    shows(notebook, "frames", "0,255,0")


def corner(notebook: Notebook) -> str:
    return str(notebook.browser.execute_script(CORNER, canvas(notebook, "frames")))


def test_the_bars_stand_between_the_frames(notebook):
    bars = notebook.cell("frames").find_elements(By.CSS_SELECTOR, ".bars span")
    marks = notebook.cell("frames").find_elements(By.CSS_SELECTOR, ".marks span")
    assert (len(bars), len(marks)) == (3, 2)
    assert bars[0].rect["x"] == pytest.approx(marks[0].rect["x"] + 1, abs=1.5)
    assert bars[2].rect["x"] + bars[2].rect["width"] == pytest.approx(
        marks[1].rect["x"] + 1, abs=1.5
    )
    words = notebook.find("frames", ".bars").get_attribute("aria-label")
    assert "Largest step: frame 2 to 3, 0.816, 1.1 times the mean." in words


def recolour(notebook: Notebook, own: str, code: str) -> None:
    """Select the swatch of a colour, and type another one once the picker has its own."""
    notebook.find("studio", f".morph-palette button[title$=', {own}']").click()
    picker = notebook.find("studio", ".morph-palette .palette-code input")
    until(lambda: picker.get_attribute("value") == own, "the picker shows the swatch's colour")
    picker.send_keys(Keys.CONTROL, "a")
    picker.send_keys(code, Keys.TAB)
    notebook.find("studio", f".morph-palette button[title$=', {code}']")


def test_a_path_is_edited_and_drawn_and_its_palette_changed(notebook):
    note = partial(notebook.find, "studio", ".morph-note")
    assert note().text == "3 frames: a film of 0.2 seconds."
    notebook.press("studio", "add a keyframe")
    until(lambda: note().text.startswith("Prompt 3 of 3 is empty"), "it says what is wrong")
    assert not notebook.find("studio", "button", "draw").is_enabled()
    prompts = notebook.cell("studio").find_elements(By.CSS_SELECTOR, ".morph-card input[type=text]")
    prompts[-1].send_keys("a pink cup on the beach", Keys.TAB)
    until(lambda: note().text == "3 frames: a film of 0.2 seconds.", "the path is whole")
    notebook.press("studio", "draw")
    caption = partial(notebook.find, "studio", ".morph-caption")
    until(lambda: caption().text.startswith("3 frames in"), "it is drawn")
    pictures = notebook.cell("studio").find_elements(By.CSS_SELECTOR, ".morph-keyframe img")
    assert [one.get_attribute("alt") for one in pictures][-1] == (
        "keyframe 3: a pink cup on the beach"
    )
    seen = notebook.browser.execute_script(CORNER, canvas(notebook, "studio"))
    recolour(notebook, "#{:02x}{:02x}{:02x}".format(*map(int, seen.split(","))), "#ff00f1")
    shows(notebook, "studio", "255,0,241")
    own = notebook.browser.current_url.split("/")[2]
    assert notebook.browser.execute_script(ELSEWHERE, own) == []
    broken = notebook.browser.find_elements(By.CSS_SELECTOR, ".jupyter-widgets-error-widget")
    assert broken == []


@pytest.mark.parametrize("width", [390, 820, 1400])
def test_nothing_is_cut_off(notebook, width):
    before = notebook.browser.get_window_size()
    notebook.browser.set_window_size(width, 1000)

    def fits(name: str) -> bool:
        output = notebook.find(name, ".jp-OutputArea-output")
        return output.get_property("scrollWidth") <= output.get_property("clientWidth")

    for name in ("frames", "studio"):
        until(partial(fits, name), f"{name} fits")
    notebook.browser.set_window_size(before["width"], before["height"])


def test_the_demo_is_a_page_without_code(tmp_path):
    pytest.importorskip("voila", reason="no Voila: pip install .[demo]")
    with paged("morph_demo.ipynb", tmp_path) as address, chromium() as browser:
        browser.get(address)
        until(lambda: browser.find_elements(By.CSS_SELECTOR, ".morph-studio canvas"), "it is there")
        assert "import" not in browser.find_element(By.TAG_NAME, "body").text
        for width in (390, 820, 1400):
            browser.set_window_size(width, 1000)
            until(
                lambda: browser.execute_script(
                    "return document.documentElement.scrollWidth <= window.innerWidth"
                ),
                f"it fits {width}",
            )
