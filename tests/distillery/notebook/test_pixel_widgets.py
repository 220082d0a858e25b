"""The widgets of stage 4: their Python side, and the pictures that stand in for them."""

from __future__ import annotations

import asyncio
import io
import sys
from dataclasses import replace

import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.models.exact import demonstration_mixture
from distillery.notebook.pixelart.widgets import (
    EntropyMap,
    LayerViewer,
    Painter,
    PaletteEditor,
    PixelPreview,
    Recolour,
    TauExplorer,
    live_pixels,
)
from distillery.palettes import load_palette, palette_names, to_hex
from distillery.pixelart import initial_grid
from distillery.pixelart.begin import PixelArt
from distillery.pixelart.canvas import PaletteCanvas
from distillery.pixelart.indexed_png import indexed, recoloured
from distillery.pixelart.initial_grid import Start
from distillery.pixelart.settings import PixelSettings
from reference import pixelart

VIEW = "application/vnd.jupyter.widget-view+json"
COLOURS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 0.8, 0.2], [1, 1, 1]])
GRID = torch.arange(6 * 10).view(6, 10) % 4


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def colours_in(png: bytes) -> set[tuple[int, ...]]:
    return {colour for _, colour in opened(png).getcolors(2**20)}


def logits(seed: int = 0) -> torch.Tensor:
    """Logits (1, 4, 6, 10)."""
    return torch.randn(1, 4, 6, 10, generator=torch.Generator().manual_seed(seed))


def begun(steps: int = 6, clear: torch.Tensor | None = None) -> PixelArt:
    """A short run towards the grid, by a loss of its own."""
    generator = torch.Generator().manual_seed(0)
    canvas = PaletteCanvas(torch.zeros(1, 4, 6, 10))
    settings = PixelSettings(prompt="a grid", size=(6, 10), steps=steps, warmup=0, choices=1)

    def loss(given: torch.Tensor, index: int) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(given, GRID[None], reduction="sum")

    return PixelArt(
        Start(canvas.render().detach(), COLOURS, clear=clear),
        [],
        canvas,
        loss,
        prior=demonstration_mixture(),
        settings=settings,
        generator=generator,
    )


# Runs that are watched


def test_a_run_shows_the_chosen_colours_and_keeps_logits_of_its_frames():
    run = live_pixels(begun(), every=4)
    assert [frame.index for frame in run.frames] == [4, 6]
    assert torch.equal(run.images, 2 * COLOURS[GRID].movedim(2, 0)[None] - 1)
    assert torch.equal(run.logits[-1].argmax(dim=1)[0], GRID)
    assert not torch.equal(run.logits[0], run.logits[1])


def test_transparent_cells_of_a_run_are_white():
    clear = torch.zeros(6, 10, dtype=torch.bool)
    clear[0, 0] = True
    images = live_pixels(begun(clear=clear)).images
    assert images[0, :, 0, 0].tolist() == [1, 1, 1]
    assert images[0, :, 1, 2].tolist() == (2 * COLOURS[GRID[1, 2]] - 1).tolist()


def test_a_film_of_a_run_has_crisp_pixels():
    film = live_pixels(begun(), every=3).film()
    wanted = {tuple(round(255 * level) for level in colour) for colour in COLOURS.tolist()}
    assert colours_in(film.image.value) == wanted
    assert opened(film.image.value).size == (10 * 51, 6 * 51)


def test_a_preview_paints_the_run_in_squares_of_palette_colours():
    shown = PixelPreview(lambda steps=6: begun(steps), every=2, steps=[3, 6])
    before = shown.image.value
    asyncio.run(pressed(shown))
    assert shown.label.value == "step 6 of 6"
    assert shown.image.value != before
    picture = opened(shown.image.value)
    assert picture.size == (510, 306)
    assert picture.resize((10, 6), Image.Resampling.NEAREST).getpixel((2, 0)) == (0, 204, 51)
    assert len(colours_in(shown.image.value)) == 4


async def pressed(shown: PixelPreview) -> None:
    shown.press()
    while shown.running:
        await asyncio.sleep(0.01)


def test_a_preview_begins_with_a_picture_or_an_empty_board():
    first = indexed(GRID, COLOURS)
    assert len(colours_in(PixelPreview(begun, first=first, steps=[6]).png)) == 4
    assert len(colours_in(PixelPreview(begun, steps=[6]).png)) == 2


def test_a_run_that_cannot_begin_is_a_sentence_in_the_preview():
    def begin(steps: int = 6) -> PixelArt:
        raise CourseError("there is no file boat.png.")

    shown = PixelPreview(begin, steps=[6])
    asyncio.run(pressed(shown))
    assert shown.label.value == "there is no file boat.png."


# Looking


def test_the_tau_explorer_swaps_pictures_made_with_the_function_passed_in():
    asked = []

    def gumbel_softmax(given, tau, generator):
        asked.append((tau, generator.initial_seed()))
        return pixelart.gumbel_softmax(given, tau, generator)

    explorer = TauExplorer(logits(), COLOURS, gumbel_softmax, tau=[0.05, 5.0], seed=[0, 7])
    assert asked == [(0.05, 0), (5.0, 0), (0.05, 7), (5.0, 7)]
    seed, tau = explorer.sliders
    cold = explorer.image.value
    tau.index = 1
    warm = explorer.image.value
    seed.index = 1
    assert len({cold, warm, explorer.image.value}) == 3
    assert len(asked) == 4


def test_at_a_low_tau_soft_and_hard_agree_and_the_softmax_stays():
    sure = 100 * torch.nn.functional.one_hot(GRID, 4).movedim(2, 0)[None].float()
    explorer = TauExplorer(sure, COLOURS, pixelart.gumbel_softmax, tau=[0.01], seed=[0])
    sheet = opened(explorer.image.value)
    soft, hard, softmax = (sheet.crop((x, 0, x + 260, 156)) for x in (0, 268, 536))
    assert soft.tobytes() == hard.tobytes() == softmax.tobytes()


def test_an_entropy_map_is_black_where_a_pixel_is_sure_and_bright_where_it_is_not():
    flat = torch.zeros(1, 4, 6, 10)
    flat[0, 2, :, :5] = 100
    picture = opened(EntropyMap(flat, COLOURS).image.value)
    left, right = picture.getpixel((268 + 20, 20)), picture.getpixel((268 + 240, 20))
    assert max(left) < 8
    assert min(right[:2]) > 240


def test_an_entropy_map_follows_the_frames_of_a_run():
    run = live_pixels(begun(), every=2)
    shown = EntropyMap(torch.cat(run.logits), COLOURS, step=[frame.index for frame in run.frames])
    assert [label for label, _ in shown.sliders[0].options] == ["2", "4", "6"]
    first = shown.image.value
    shown.sliders[0].index = 2
    assert shown.image.value != first


def test_a_layer_is_its_colour_over_a_checkerboard():
    weights = torch.nn.functional.one_hot(GRID, 4).movedim(2, 0).float()
    viewer = LayerViewer(weights, COLOURS)
    viewer.dropdown.index = 1
    assert viewer.name == "2  #ff0000  25%"
    assert colours_in(viewer.image.value) == {(255, 0, 0), (200,) * 3, (160,) * 3}
    picture = opened(viewer.image.value)
    assert picture.getpixel((51 + 25, 25)) == (255, 0, 0)
    assert picture.getpixel((25, 25)) != (255, 0, 0)


def test_recolouring_by_the_dropdown_changes_the_picture_and_not_its_indices():
    other = 1 - COLOURS * torch.tensor([1.0, 0.5, 0.25])
    picture = indexed(GRID, COLOURS)
    shown = Recolour(picture, {"other": other})
    before = shown.image.value
    shown.dropdown.value = "other"
    assert shown.image.value != before
    assert shown.picture.tobytes() == picture.tobytes()
    assert shown.picture.getpalette() == recoloured(picture, other).getpalette()


def test_recolouring_offers_our_own_palettes_of_this_length():
    palette = load_palette(palette_names()[0])
    picture = indexed(GRID, palette)
    same = [name for name in palette_names() if len(load_palette(name)) == len(palette)]
    assert list(Recolour(picture).dropdown.options) == ["as it is", *same]


@pytest.mark.parametrize(
    ("picture", "palettes", "sentence"),
    [
        (indexed(GRID, COLOURS), {"long": load_palette("rgb-2")}, "4 colours and the new palette"),
        (indexed(GRID, load_palette("rgb-7")[:201]), None, "none of our palettes has 201"),
        (Image.new("RGB", (10, 6)), None, "only an indexed picture"),
    ],
)
def test_what_cannot_be_recoloured_is_refused(picture, palettes, sentence):
    with pytest.raises(CourseError, match=sentence):
        Recolour(picture, palettes)


def test_a_name_that_is_not_there_cannot_be_chosen():
    with pytest.raises(CourseError, match="choose as it is, other"):
        Recolour(indexed(GRID, COLOURS), {"other": COLOURS.flip(0)}).choose("another")


# The palette editor


def test_the_palette_is_a_tensor_of_the_swatches():
    editor = PaletteEditor(COLOURS)
    assert editor.palette.dtype == torch.float32
    assert torch.equal(editor.palette, COLOURS)
    assert [swatch.style.button_color for swatch in editor.swatches.children] == to_hex(COLOURS)


def test_a_click_selects_and_the_picker_changes_the_colour():
    editor = PaletteEditor(COLOURS)
    editor.swatches.children[2].click()
    assert editor.picker.value == "#00cc33"
    editor.picker.value = "#123456"
    assert editor.codes == ["#000000", "#ff0000", "#123456", "#ffffff"]
    assert [swatch.description.strip() for swatch in editor.swatches.children] == ["", "", "●", ""]


def test_a_colour_is_moved_as_far_as_there_are_places():
    editor = PaletteEditor(COLOURS)
    for _ in range(4):
        editor.buttons["move →"].click()
    assert editor.codes == ["#ff0000", "#00cc33", "#ffffff", "#000000"]
    editor.buttons["← move"].click()
    assert editor.codes == ["#ff0000", "#00cc33", "#000000", "#ffffff"]
    assert editor.selected == 2


def test_enter_in_the_field_of_the_file_loads_it():
    editor = PaletteEditor(COLOURS)
    editor.file.value = " ink "
    editor.file._handle_custom_msg({"event": "submit"}, [])  # what the front end sends
    assert editor.codes == to_hex(load_palette("ink"))
    assert "colours from ink" in editor.sentence


def test_an_added_colour_stands_behind_the_selected_one_and_is_selected():
    editor = PaletteEditor(COLOURS)
    editor.buttons["add"].click()
    assert len(editor.palette) == len(editor.swatches.children) == 5
    assert editor.codes[1] not in to_hex(COLOURS)
    assert editor.codes[2] == "#ff0000"
    assert editor.picker.value == editor.codes[1]


def test_of_two_colours_none_is_removed_and_a_sentence_says_so():
    editor = PaletteEditor(COLOURS)
    for _ in range(3):
        editor.buttons["remove"].click()
    assert len(editor.palette) == len(editor.swatches.children) == 2
    assert editor.label.value.startswith("Nothing was changed: the palette holds one colour")


def test_a_colour_that_is_there_already_is_not_taken_and_a_sentence_says_so():
    editor = PaletteEditor(COLOURS)
    editor.picker.value = "#FFFFFF"
    assert editor.picker.value == editor.codes[0] == "#000000"
    assert "#ffffff twice, at colour 1 and colour 4" in editor.sentence
    editor.picker.value = "#aaaaaa"
    assert editor.sentence == ""


@pytest.mark.parametrize("typed", ["blu", "", "#12", "#FFFFFF", "#ff00zz"])
def test_a_field_does_not_keep_what_is_no_new_colour(typed):
    editor = PaletteEditor(COLOURS)
    editor.code.value = typed
    assert editor.code.value == editor.picker.value == "#000000"
    assert editor.sentence.startswith("Nothing was changed")
    editor.code.value = " 123456 " if typed == "blu" else "#123456"
    assert editor.codes[0] == editor.picker.value == editor.code.value == "#123456"


def test_a_field_does_not_keep_the_name_of_a_file_that_cannot_be_used():
    editor = PaletteEditor("dusk")
    editor.file.value = "dusc"
    editor.buttons["load"].click()
    assert "dusc" in editor.sentence
    assert editor.file.value == "dusk"


@pytest.mark.parametrize("suffix", [".hex", ".gpl", ".pal", ".png"])
def test_a_palette_is_saved_and_loaded_again(tmp_path, suffix):
    editor, other = PaletteEditor(COLOURS), PaletteEditor(load_palette("rgb-2"))
    editor.file.value = other.file.value = str(tmp_path / f"mine{suffix}")
    editor.buttons["save"].click()
    other.buttons["load"].click()
    assert torch.equal(other.palette, COLOURS)
    assert len(other.swatches.children) == 4
    assert other.sentence.startswith("read 4 colours")


@pytest.mark.parametrize(
    ("button", "text", "sentence"),
    [
        ("load", "nowhere.hex", "there is no file nowhere.hex"),
        ("load", "", "is not a palette"),
        ("load", "rgb-10", "shows at most 256 colours"),
        ("save", "mine", "is saved as"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence(button, text, sentence):
    editor = PaletteEditor(COLOURS)
    editor.file.value = text
    editor.buttons[button].click()
    assert sentence in editor.sentence
    assert torch.equal(editor.palette, COLOURS)


def test_a_sentence_is_shown_as_text_whatever_a_file_is_called():
    editor = PaletteEditor(COLOURS)
    editor.load("<b>.hex")
    assert "<b>" not in editor.label.value


# The painter


def test_an_empty_grid_has_the_lightest_colour():
    painter = Painter(COLOURS, (6, 10))
    assert painter.indices.dtype == torch.int64
    assert painter.indices.shape == (6, 10)
    assert (painter.indices == 3).all()


def test_the_painter_starts_from_a_grid_and_can_be_set():
    painter = Painter(COLOURS, indices=GRID)
    assert torch.equal(painter.indices, GRID)
    painter.indices = GRID.flip(0)
    assert bytes(painter.box.indices) == GRID.flip(0).to(torch.uint8).numpy().tobytes()
    assert torch.equal(painter.indices, GRID.flip(0))


def test_what_the_browser_sends_is_what_python_reads():
    painter = Painter(COLOURS, (6, 10))
    painter.box.set_state({"indices": memoryview(GRID.to(torch.uint8).numpy().tobytes())})
    assert torch.equal(painter.indices, GRID)


def test_a_saved_painting_is_what_a_painted_start_begins_from(tmp_path):
    path = tmp_path / "painting.png"
    Painter(COLOURS, indices=GRID).save(path)
    settings = PixelSettings(
        prompt="a grid", start="painted", input_image=str(path), size=(6, 10), model="tiny-sdxl"
    )
    prior, generator = demonstration_mixture(), torch.Generator()
    begins = initial_grid.begin(prior, pixelart, settings, generator=generator)
    assert torch.equal(begins.logits.argmax(dim=1)[0], GRID)
    assert torch.equal(begins.palette, COLOURS)
    with pytest.raises(CourseError, match="the grid's size"):
        initial_grid.begin(prior, pixelart, replace(settings, size=(10, 6)), generator=generator)


@pytest.mark.parametrize(
    ("palette", "grid", "sentence"),
    [
        (COLOURS, {}, "needs the grid's size"),
        (COLOURS, {"size": (0, 10)}, "each 1 to 512"),
        (COLOURS, {"size": (6, 513)}, "each 1 to 512"),
        (COLOURS, {"indices": GRID + 1}, "rows are 0 to 3; the grid has 1 to 4"),
        (COLOURS, {"indices": GRID.float()}, "whole numbers"),
        (load_palette("rgb-7"), {"size": (6, 10)}, "room for 256 colours"),
    ],
)
def test_a_grid_that_cannot_be_painted_is_refused(palette, grid, sentence):
    with pytest.raises(CourseError, match=sentence):
        Painter(palette, **grid)


def test_a_grid_of_another_shape_cannot_be_set():
    painter = Painter(COLOURS, indices=GRID)
    with pytest.raises(CourseError, match="shape"):
        painter.indices = GRID.T


# What stands in


def widgets():
    weights = logits().softmax(dim=1)[0]
    return [
        TauExplorer(logits(), COLOURS, pixelart.gumbel_softmax, tau=[0.1, 1.0], seed=[0]),
        EntropyMap(torch.cat([logits(), logits(1)]), COLOURS),
        LayerViewer(weights, COLOURS),
        Recolour(indexed(GRID, COLOURS), {"other": COLOURS.flip(0)}),
        PaletteEditor(COLOURS),
        Painter(COLOURS, indices=GRID),
        PixelPreview(begun, steps=[6]),
    ]


def bundle(widget) -> dict:
    made = widget._repr_mimebundle_()
    return made[0] if isinstance(made, tuple) else made


def test_every_widget_comes_with_a_picture():
    for widget in widgets():
        made = bundle(widget)
        assert VIEW in made, widget
        assert min(opened(made["image/png"]).size) > 50, widget


def test_without_widgets_the_pictures_stand_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.setattr("distillery.notebook.pixelart.painter._widget_class", refuse)
    for widget in widgets():
        made = bundle(widget)
        assert VIEW not in made, widget
        assert min(opened(made["image/png"]).size) > 50, widget


def refuse():
    raise ImportError


def test_without_widgets_all_can_be_done_from_python(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr("distillery.notebook.pixelart.painter._widget_class", refuse)
    editor = PaletteEditor(COLOURS)
    editor.select(1)
    editor.remove()
    assert editor.codes == ["#000000", "#00cc33", "#ffffff"]
    chosen = Recolour(indexed(GRID, COLOURS), {"other": COLOURS.flip(0)})
    chosen.choose("other")
    assert chosen.picture.getpalette()[:3] == [255, 255, 255]
    painter = Painter(COLOURS, (6, 10))
    painter.indices = GRID
    assert torch.equal(painter.indices, GRID)
