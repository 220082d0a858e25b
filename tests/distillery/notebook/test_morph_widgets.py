"""The scrubber of stage 7: its Python side, and the sheet that stands in for it."""

from __future__ import annotations

import io
import sys

import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.notebook.morph.scrubber import Film, Scrubber
from distillery.pixelart.sequence import PixelSequence

VIEW = "application/vnd.jupyter.widget-view+json"
COLOURS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 1]])
INDICES = torch.arange(5 * 4 * 6).view(5, 4, 6) % 3
PROMPTS = ("a cat", "a dog")


def pixels() -> PixelSequence:
    """5 frames of 4 x 6 cells."""
    return PixelSequence(INDICES, COLOURS)


def levels(*shades: float) -> torch.Tensor:
    """Frames of 2 x 3 pixels, each of one grey in [-1, 1]."""
    return torch.tensor(shades).view(-1, 1, 1, 1).expand(-1, 3, 2, 3)


# Films


def test_frames_with_a_palette_are_a_byte_a_cell_and_others_three():
    assert list(Film(pixels()).cells) == INDICES.flatten().tolist()
    assert Film(pixels()).codes == ["#000000", "#ff0000", "#ffffff"]
    image = torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 3)
    film = Film(image)
    assert list(film.cells) == [0, 128, 255] * 6
    assert film.codes == []


def test_a_step_is_the_root_of_the_mean_square_and_a_loop_has_one_more():
    film = Film(levels(-1, 0, 0, 1))
    assert film.steps == pytest.approx([0.5, 0, 0.5])
    assert Film(levels(-1, 0, 0, 1), loop=True).steps == pytest.approx([0.5, 0, 0.5, 1])
    half = levels(-1, -1).clone()
    half[1, :, :, 0] = 1  # a third of the pixels
    assert Film(half).steps == pytest.approx([(1 / 3) ** 0.5])
    assert Film(levels(0.0)).steps == []
    assert Film(levels(0.0), loop=True).steps == []


def test_another_palette_changes_all_frames_and_needs_the_colours_in_use():
    film = Film(pixels(), fps=5, loop=True, positions=[0, 0.5, 1, 1.5, 1.75], prompts=PROMPTS)
    other = torch.tensor([[0.0, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    new = film.recoloured(other)
    assert torch.equal(new.pictures, 2 * other[INDICES].movedim(-1, 1) - 1)
    assert (new.fps, new.loop, new.positions, new.prompts) == (5, True, film.positions, PROMPTS)
    with pytest.raises(CourseError, match=r"use the colours 1 to 3 .* the new one has 2: add some"):
        film.recoloured(other[:2])
    with pytest.raises(CourseError, match="these frames have no palette"):
        Film(levels(0, 1)).recoloured(other)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"frames": torch.zeros(0, 3, 4, 6)}, r"at least one; they are \(0, 3, 4, 6\)"),
        ({"frames": torch.zeros(3, 4, 6)}, "must be of shape"),
        ({"frames": torch.zeros(1, 3, 1, 1).expand(1000, 3, 512, 512)}, "1,000 frames .* too many"),
        ({"positions": [0, 1]}, "5 frames and 2 positions"),
        ({"positions": [0, 0.5, 1, 1, 1.5], "prompts": PROMPTS}, "2 prompts go from 0 to 1"),
    ],
)
def test_a_film_that_cannot_be_shown_is_refused_in_a_sentence(given, words):
    with pytest.raises(CourseError, match=words):
        Film(**{"frames": pixels(), **given})


# Their scrubber


def test_the_page_is_told_all_of_a_film_and_of_its_next_one():
    positions = [0, 0.25, 0.5, 0.75, 1.0]
    scrubber = Scrubber(Film(pixels(), fps=8, positions=positions, prompts=PROMPTS))
    box = scrubber.box
    assert (box.size, box.fps, box.loop) == ([4, 6], 8.0, False)
    assert (box.positions, box.prompts, box.frame) == (positions, list(PROMPTS), 0)
    scrubber.frame = 3
    scrubber.film = scrubber.film.recoloured(COLOURS.flip(0))
    assert box.frame == scrubber.frame == 3
    assert box.palette == ["#ffffff", "#ff0000", "#000000"]
    assert bytes(box.cells) == Film(pixels()).cells
    scrubber.film = Film(levels(-1, 1), loop=True)
    assert (box.frame, box.size, box.palette, box.loop) == (0, [2, 3], [], True)
    assert box.steps == pytest.approx([1, 1])


def test_a_frame_that_is_not_there_is_refused():
    scrubber = Scrubber(Film(pixels()))
    with pytest.raises(CourseError, match="frames are 0 to 4; it was 5"):
        scrubber.frame = 5


def test_where_there_are_no_widgets_a_sheet_shows_some_frames(monkeypatch):
    sheet = Scrubber(Film(pixels()))._repr_mimebundle_()[0]
    assert VIEW in sheet
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.setattr("distillery.notebook.morph.scrubber._widget_class", _no_widget)
    scrubber = Scrubber(Film(levels(*torch.linspace(-1, 1, 30).tolist())))
    bundle, _ = scrubber._repr_mimebundle_()
    assert VIEW not in bundle
    picture = Image.open(io.BytesIO(bundle["image/png"]))
    greys = {colour for _, colour in picture.convert("RGB").getcolors(2**20)}
    assert len(greys - {(255, 255, 255)}) >= 11
    assert {(0, 0, 0), (255, 255, 255)} <= greys


def _no_widget():
    raise ImportError
