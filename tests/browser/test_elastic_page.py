"""Look at the steps of ElasticDiffusion, and draw on the page of `make elastic-demo`.

Server, kernel, browser and model are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("jupyterlab", reason="no JupyterLab here")

from driven import PIXELS, Notebook, browser_programs, chromium, opened_notebook, paged, until
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

pytestmark = pytest.mark.skipif(
    browser_programs() is None, reason="no chromium with chromedriver on the PATH"
)

CELLS = {
    "setup": """
        import torch
        from distillery.methods.any_size import Wanted
        from distillery.methods.elastic_methods import Knobs, Task
        from distillery.models.load import load_prior
        from distillery.notebook.elastic.drawing import drawn_by
        from distillery.notebook.elastic.recording import recorded
        from distillery.notebook.elastic.scores import ScorePlayer
        from distillery.notebook.elastic.sizes import SizeExplorer
        from distillery.notebook.elastic.studio import ElasticStudio
        from distillery.notebook.elastic.viewer import StepViewer
        from reference import elastic

        prior = load_prior("tiny-sd", device="cpu")
        wanted = Wanted((16, 32), prior.embed(["a red boat"]), prior.embed([""]), 5.0)
        task = Task(prior, prior, elastic, wanted, Knobs(), prior.timesteps(3), (0,))
        moments = recorded(task)
        """,
    "steps": "StepViewer(moments)",
    "scores": "ScorePlayer(moments)",
    "sizes": """
        grey = {
            (method, size): torch.full((2, 3, *size), level)
            for level, method in enumerate(("direct", "elastic"))
            for size in ((64, 64), (64, 128))
        }
        SizeExplorer(grey)
        """,
    "studio": """
        studio = ElasticStudio(drawn_by("tiny-sd", elastic))
        studio
        """,
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with opened_notebook(tmp_path_factory.mktemp("course"), CELLS, *CELLS) as opened:
        yield opened


def shown(notebook: Notebook, name: str) -> list[str]:
    """What each image of a cell shows."""
    images = notebook.cell(name).find_elements(
        By.CSS_SELECTOR, "img.jupyter-widgets, .widget-image img"
    )
    return [notebook.browser.execute_script(PIXELS, image) for image in images]


def slid(notebook: Notebook, name: str, key: str, *, number: int = 0) -> None:
    """Press a key on the handle of a slider of a cell."""
    notebook.find(name, ".noUi-handle")
    notebook.cell(name).find_elements(By.CSS_SELECTOR, ".noUi-handle")[number].send_keys(key)


def test_the_slider_goes_from_step_to_step_and_another_one_from_window_to_window(notebook):
    before = until(lambda: all(its := shown(notebook, "steps")) and its, "all three are drawn")
    assert len(set(before)) == 3
    slid(notebook, "steps", Keys.HOME)
    first = until(lambda: (its := shown(notebook, "steps")) != before and its, "the first step")
    slid(notebook, "steps", Keys.END, number=1)
    until(lambda: shown(notebook, "steps")[0] != first[0], "another window")

    def is_last() -> bool:
        text = notebook.find("steps", ".elastic-panels").text
        return "step 1: window 4 of 4" in text or "step 1: window 5 of 5" in text

    until(is_last, "the last window is named")


def test_the_scores_are_played(notebook):
    before = until(lambda: all(its := shown(notebook, "scores")) and its, "all three are drawn")
    assert len(set(before)) == 3
    slid(notebook, "scores", Keys.HOME)
    until(lambda: "step 1 of 3" in notebook.find("scores", ".elastic-panels").text, "step 1")
    notebook.find("scores", ".widget-play button").click()
    until(lambda: "step 3 of 3" in notebook.find("scores", ".elastic-panels").text, "step 3")
    until(lambda: shown(notebook, "scores") == before, "the last step again")


def test_method_and_size_are_chosen(notebook):
    before = notebook.pixels("sizes")
    Select(notebook.find("sizes", "select")).select_by_visible_text("elastic")
    white = notebook.changed("sizes", before)
    slid(notebook, "sizes", Keys.HOME)
    notebook.changed("sizes", white)
    said = "elastic, 64 x 64 pixels"
    until(lambda: said in notebook.find("sizes", ".elastic-sizes").text, "it is named")


def test_a_press_of_the_button_draws_and_another_one_stops(notebook):
    browser = notebook.browser
    Select(notebook.find("studio", ".elastic-size select")).select_by_visible_text("64 x 64")
    until(
        lambda: "takes 40 network samples" in notebook.find("studio", ".elastic-cost").text, "cost"
    )
    before = notebook.pixels("studio", "img.elastic-result, .elastic-result img")
    notebook.press("studio", "draw")
    notebook.press("studio", "stop")
    until(lambda: caption(notebook).startswith("stopped at seed 0: "), "it is stopped")
    notebook.press("studio", "again with another seed")
    until(
        lambda: "seed 1: step 20 of 20, 40 network samples in" in caption(notebook), "it is drawn"
    )
    assert notebook.pixels("studio", "img.elastic-result, .elastic-result img") != before
    assert browser.find_elements(By.CSS_SELECTOR, ".jupyter-widgets-error-widget") == []


def caption(notebook: Notebook) -> str:
    return notebook.find("studio", ".elastic-caption").text


def fits(output: WebElement) -> bool:
    """Whether all of it can be seen without scrolling sideways."""
    return output.get_property("scrollWidth") <= output.get_property("clientWidth")


@pytest.mark.parametrize("width", [390, 820])
def test_on_a_small_screen_nothing_is_cut_off(notebook, width):
    before = notebook.browser.get_window_size()
    notebook.browser.set_window_size(width, 1000)
    for name in ("steps", "scores", "sizes", "studio"):
        until(partial(fits, notebook.find(name, ".jp-OutputArea-output")), f"{name} fits")
    notebook.browser.set_window_size(before["width"], before["height"])


def test_the_demo_holds_a_drawing_to_the_edges_of_a_picture(tmp_path):
    pytest.importorskip("voila", reason="no Voila: pip install .[demo]")
    mine = tmp_path / "mine.png"
    picture = Image.new("RGB", (64, 64), "white")
    picture.paste("red", (16, 16, 48, 48))
    picture.save(mine)
    with paged("elastic_demo.ipynb", tmp_path) as address, chromium() as browser:
        browser.get(address)

        def there(selector: str) -> list[WebElement]:
            return [
                it for it in browser.find_elements(By.CSS_SELECTOR, selector) if it.is_displayed()
            ]

        def text(selector: str) -> str:
            return there(selector)[0].text

        def image(name: str) -> str:
            return browser.execute_script(PIXELS, there(f"img.{name}, .{name} img")[0])

        until(lambda: there(".elastic-studio"), "the text page is there")
        assert "import" not in browser.find_element(By.TAG_NAME, "body").text  # no code
        assert not there(".elastic-seen")
        until(lambda: there(".lm-TabBar-tab"), "the tabs are there")[1].click()
        edges = until(lambda: there(".elastic-seen") and image("elastic-seen"), "edges are shown")
        file = browser.find_elements(By.CSS_SELECTOR, ".elastic-settings input[type=file]")[-1]
        file.send_keys(str(mine))
        own = until(lambda: (its := image("elastic-seen")) != edges and its, "its own edges")
        Select(there(".elastic-control select")[0]).select_by_visible_text("depth")
        until(lambda: image("elastic-seen") != own, "depths are shown")
        Select(there(".elastic-size select")[0]).select_by_visible_text("128 x 128")
        prompt = there(".elastic-prompt input")[0]
        prompt.send_keys(Keys.CONTROL, "a")
        prompt.send_keys("a red house", Keys.TAB)
        before = image("elastic-result")
        next(button for button in there("button") if button.text == "draw").click()
        until(lambda: "network samples in" in text(".elastic-caption"), "it is drawn")
        assert image("elastic-result") != before
