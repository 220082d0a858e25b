"""A student's morning in JupyterLab: answer, check, slide, paint, undo, recolour.

The server, its kernel and the browser are real; the folder is a copy of the course.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("jupyterlab", reason="no JupyterLab here")

from driven import Notebook, browser_programs, opened_notebook, until
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

pytestmark = pytest.mark.skipif(
    browser_programs() is None, reason="no chromium with chromedriver on the PATH"
)

CELLS = {
    "setup": """
        %load_ext distillery.todo
        import torch
        from distillery.runs.canvas import LatentCanvas
        from distillery.course.check import check
        from distillery.methods.settings import Settings
        from distillery.runs.optimise import distill
        from distillery.models.exact import demonstration_mixture
        from distillery.pixelart.canvas import PaletteCanvas
        from distillery.pixelart.indexed_png import indexed
        from distillery.pixelart.begin import PixelArt
        from distillery.pixelart.settings import PixelSettings
        from distillery.pixelart.initial_grid import Start
        from distillery.notebook.pixelart.widgets import (
            EntropyMap, LayerViewer, Painter, PaletteEditor, PixelPreview, Recolour, TauExplorer,
        )
        from distillery.notebook.widgets import Explorer, Preview, Wipe

        palette = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 0.8, 0.2], [1, 1, 1]])
        grid = torch.arange(60).view(6, 10) % 4
        logits = torch.randn(1, 4, 6, 10, generator=torch.Generator().manual_seed(0))
        greys = torch.linspace(-1, 1, 6).view(-1, 1, 1, 1).expand(-1, 3, 24, 40)
        prior = demonstration_mixture()

        def gumbel_softmax(logits, tau, generator):
            u = torch.rand(logits.shape, generator=generator)
            return ((logits - (-u.log()).log()) / tau).softmax(dim=1)
        """,
    "answer": "%%todo pixelart.paint\n",
    "check": 'check("pixelart.paint")',
    "explorer": "Explorer(greys, t=range(6))",
    "wipe": "Wipe(greys[:1], greys[3:4])",
    "preview": """
        def begin(steps: int = 6):
            generator = torch.Generator().manual_seed(0)
            canvas = LatentCanvas(1, 3, 16, 16, generator=generator)
            settings = Settings("a red disc", model="exact", steps=steps)
            def loss(x0, index):
                return (x0 - prior.means[0]).square().sum().float()
            return distill(canvas, loss, prior=prior, settings=settings, generator=generator)

        Preview(begin, first=greys[:1], every=3, steps=[3, 6, 9])
        """,
    "pixel preview": """
        def begin_pixels(steps: int = 6):
            generator = torch.Generator().manual_seed(0)
            canvas = PaletteCanvas(torch.zeros(1, 4, 6, 10))
            settings = PixelSettings("a grid", size=(6, 10), steps=steps, warmup=0, choices=1)
            def loss(given, index):
                return torch.nn.functional.cross_entropy(given, grid[None], reduction="sum")
            start = Start(canvas.render().detach(), palette)
            return PixelArt(
                start, [], canvas, loss, prior=prior, settings=settings, generator=generator
            )

        PixelPreview(begin_pixels, every=2, steps=[3, 6])
        """,
    "tau": "TauExplorer(logits, palette, gumbel_softmax, tau=[0.1, 0.5, 1.0, 5.0], seed=[0, 1])",
    "entropy": "EntropyMap(torch.cat([0 * logits, logits, 9 * logits]), palette)",
    "layers": "LayerViewer(logits.softmax(dim=1)[0], palette)",
    "recolour": "Recolour(indexed(grid, palette), {'other': palette.flip(0)})",
    "palette": "editor = PaletteEditor(palette)\neditor",
    "codes": "print(editor.codes)",
    "painter": "painter = Painter(palette, (6, 10))\npainter",
    "indices": "print(painter.indices.tolist())",
    "set": "painter.indices = grid",
}
ANSWER = """%%todo pixelart.paint
def paint(weights, palette):
    return {}
"""
CANVAS = ".pixel-painter canvas"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with opened_notebook(tmp_path_factory.mktemp("course"), CELLS, "setup") as opened:
        assert opened.printed("setup") == ""
        yield opened


def test_an_answer_is_first_recognised_as_wrong_and_then_right(notebook):
    notebook.write("answer", ANSWER.format('torch.einsum("bkhw,kc->bchw", weights, palette)'))
    assert notebook.run("answer") == "guidance/pixelart.py now holds this paint."
    said = notebook.run("check")
    assert "pixelart.paint: not yet." in said
    assert "This is what you get when the colours stay in [0, 1]" in said
    colours = "palette.expand(len(weights), -1, -1)"
    mean = f'torch.einsum("bkhw,bkc->bchw", weights, {colours})'
    notebook.write("answer", ANSWER.format(f"2 * {mean} - 1"))
    notebook.run("answer")
    assert notebook.run("check") == "pixelart.paint: right."


def test_the_answer_of_the_file_comes_into_its_cell(notebook):
    notebook.write("answer", ANSWER.format("weights.sum() * palette"))
    notebook.run("answer")
    notebook.write("answer", "%load_todo pixelart.paint")
    assert notebook.run("answer") == "This cell now holds the answer of the file: run it again."
    until(lambda: "weights.sum()" in notebook.cell("answer").text, "the answer is in the cell")
    assert notebook.run("answer") == "guidance/pixelart.py now holds this paint."


@pytest.mark.parametrize(("name", "by"), [("explorer", 120), ("wipe", 60), ("entropy", 120)])
def test_moving_a_slider_changes_the_picture(notebook, name, by):
    notebook.run(name)
    before = notebook.pixels(name)
    notebook.drag_slider(name, by=by)
    assert notebook.changed(name, before)


def test_tau_and_seed_change_the_picture(notebook):
    notebook.run("tau")
    before = notebook.pixels("tau")
    notebook.drag_slider("tau", number=1, by=150)
    warm = notebook.changed("tau", before)
    notebook.drag_slider("tau", number=0, by=250)
    assert notebook.changed("tau", warm) != before


@pytest.mark.parametrize("name", ["preview", "pixel preview"])
def test_a_press_of_the_button_runs_and_shows_the_picture(notebook, name):
    notebook.run(name)
    before = notebook.pixels(name)
    notebook.press(name, "run")
    notebook.find(name, ".widget-label", "step 6 of 6")
    assert notebook.changed(name, before)
    notebook.find(name, "button", "run")


@pytest.mark.parametrize("name", ["explorer", "preview", "recolour"])
def test_a_picture_is_neither_stretched_nor_shrunk(notebook, name):
    notebook.run(name)
    notebook.pixels(name)
    width, own = notebook.browser.execute_script(
        "return [arguments[0].clientWidth, arguments[0].naturalWidth]", notebook.find(name, "img")
    )
    assert width == own > 0


@pytest.mark.parametrize("name", ["layers", "recolour"])
def test_choosing_in_the_dropdown_changes_the_picture(notebook, name):
    notebook.run(name)
    before = notebook.pixels(name)
    Select(notebook.find(name, "select")).select_by_index(1)
    assert notebook.changed(name, before)


def test_the_palette_editor_changes_the_palette_and_says_what_it_does_not_do(notebook):
    notebook.run("palette")
    notebook.find("palette", "button[title='colour 2, #ff0000']").click()
    notebook.find("palette", "button[title='colour 2, #ff0000']", "●")
    notebook.press("palette", "move →")
    notebook.find("palette", "button[title='colour 3, #ff0000']", "●")
    picker = notebook.find("palette", ".palette-code input")
    picker.send_keys(Keys.CONTROL, "a")
    picker.send_keys("#ffffff", Keys.TAB)
    until(lambda: "twice" in notebook.printed("palette"), "the sentence is shown")
    assert notebook.run("codes") == "['#000000', '#00cc33', '#ff0000', '#ffffff']"
    until(lambda: picker.get_attribute("value") == "#ff0000", "the field shows the colour again")


def cells(notebook: Notebook) -> list[list[int]]:
    return json.loads(notebook.run("indices"))


def test_what_is_painted_is_read_back_in_python(notebook):
    """White is empty; the brush begins with black, row 0 of the palette."""
    notebook.run("painter")
    canvas = notebook.find("painter", CANVAS)
    side = canvas.size["width"] / 10

    def at(x: int, y: int) -> tuple[int, int]:
        """Selenium counts from the middle."""
        return round((x - 4.5) * side), round((y - 2.5) * side)

    empty = notebook.pixels("painter", CANVAS)
    notebook.mouse().move_to_element_with_offset(canvas, *at(2, 1)).click().perform()
    wanted = [[3] * 10 for _ in range(6)]
    wanted[1][2] = 0
    assert cells(notebook) == wanted
    assert notebook.pixels("painter", CANVAS) != empty

    # A quick drag leaves no gaps, in the colour of the second swatch.
    canvas = notebook.find("painter", CANVAS)
    notebook.find("painter", ".swatch[title='colour 2, #ff0000']").click()
    drag = notebook.mouse().move_to_element_with_offset(canvas, *at(1, 4)).click_and_hold()
    drag.move_to_element_with_offset(canvas, *at(8, 4)).release().perform()
    dragged = [row[:] for row in wanted]
    dragged[4][1:9] = [1] * 8
    assert cells(notebook) == dragged

    # Ctrl+Z, then both buttons.
    canvas = notebook.find("painter", CANVAS)
    canvas.send_keys(Keys.CONTROL, "z")
    assert cells(notebook) == wanted
    notebook.press("painter", "redo")
    assert cells(notebook) == dragged
    notebook.press("painter", "undo")
    assert cells(notebook) == wanted

    # The right button takes black; fill with it what is white.
    canvas = notebook.find("painter", CANVAS)
    notebook.mouse().move_to_element_with_offset(canvas, *at(2, 1)).context_click().perform()
    notebook.press("painter", "fill")
    notebook.mouse().move_to_element_with_offset(canvas, *at(9, 5)).click().perform()
    assert cells(notebook) == [[0] * 10 for _ in range(6)]
    notebook.press("painter", "clear")
    assert cells(notebook) == [[3] * 10 for _ in range(6)]


def test_the_painter_is_played_on_the_keyboard_and_set_from_python(notebook):
    notebook.run("painter")
    canvas = notebook.find("painter", CANVAS)
    canvas.send_keys("3", Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_DOWN, " ")
    painted = [[3] * 10 for _ in range(6)]
    painted[2][1] = 2
    assert cells(notebook) == painted
    before = notebook.pixels("painter", CANVAS)
    notebook.run("set")
    until(lambda: notebook.pixels("painter", CANVAS) != before, "the painter shows the grid")
    notebook.find("painter", CANVAS).send_keys(Keys.CONTROL, "z")
    assert cells(notebook) == painted


def test_the_page_had_no_errors(notebook):
    """What our own scripts threw; the servers of others may be out of reach."""
    log = notebook.browser.get_log("browser")
    assert [entry for entry in log if "painter" in entry["message"].lower()] == []
    errors = notebook.browser.find_elements(By.CSS_SELECTOR, ".jupyter-widgets-error-widget")
    assert errors == []
