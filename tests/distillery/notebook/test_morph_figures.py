"""Figures of stage 7 show what they say, and measure what they say."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import from_pil
from distillery.notebook.morph_figures import (
    chroma,
    errors_passed_on,
    evenness,
    measured_table,
    pixel_steps,
    played,
    playing,
    psnr,
    restless,
    sharpness,
    steps_drawn,
    strips,
    within_cells,
)

SHADES = torch.linspace(-1, 1, 5)
FILM = SHADES.view(5, 1, 1, 1).expand(5, 3, 6, 8)


def test_a_film_plays_every_frame_in_its_own_colours() -> None:
    film = playing({"a <b>": FILM}, fps=5)
    page = film._repr_html_()
    assert "<b>" not in page
    assert "pixelated" in page
    (data,) = re.findall(r"base64,([^\"]+)", page)
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.n_frames == len(FILM)
    for number, frame in enumerate(FILM.split(1)):
        picture.seek(number)
        assert picture.info["duration"] == 200
        assert (from_pil(picture.convert("RGB")) - frame).abs().max() < 1 / 127


def test_a_file_plays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "film.gif"
    Image.new("P", (6, 4)).save(file)
    film = played(file)
    assert film.files == {"film.gif": file.read_bytes()}
    assert "image/gif" in film._repr_html_()
    assert film.sides["film.gif"] == (192, 128)


def test_what_is_no_picture_is_not_played(tmp_path: Path) -> None:
    file = tmp_path / "film.gif"
    file.write_bytes(b"GIF89a")
    for path in (file, tmp_path / "missing.gif"):
        with pytest.raises(CourseError, match="cannot be played"):
            played(path)
    with pytest.raises(CourseError, match="nothing to play"):
        playing({"none": FILM[:0]})


def test_rows_of_pictures_stand_one_below_the_other_with_their_titles() -> None:
    figure = strips({"wide": FILM[:2], "one": FILM[:1]}, {"one": ["a title"]})
    assert [axes.get_title() for axes in figure.axes] == ["", "", "a title"]
    first, second, third = (axes.get_position() for axes in figure.axes)
    assert first.y0 == pytest.approx(second.y0)
    assert third.y1 < first.y0
    width, height = figure.get_size_inches()
    assert first.width * width / (first.height * height) == pytest.approx(8 / 6)
    with pytest.raises(CourseError, match="at least one"):
        strips({"none": FILM[:0]})


def test_steps_of_films_of_different_lengths_share_one_scale() -> None:
    panels = {"one": {"5": pixel_steps(FILM)}, "other": {"3": 2 * pixel_steps(FILM[::2])}}
    figure = steps_drawn(panels)
    limits = {axes.get_ylim() for axes in figure.axes}
    assert len(limits) == 1
    (line,) = figure.axes[1].lines
    assert line.get_xdata() == pytest.approx([0.25, 0.75])


def test_even_steps_have_a_largest_of_the_mean_and_a_jump_has_more() -> None:
    assert pixel_steps(FILM) == pytest.approx(torch.full((4,), 0.5))
    assert evenness(pixel_steps(FILM)) == pytest.approx(1.0)
    jump = torch.cat([FILM[:1]] * 4 + [FILM[-1:]])
    assert evenness(pixel_steps(jump)) == pytest.approx(4.0)


def test_grey_has_no_chroma_and_red_has_what_oklab_says() -> None:
    grey, red = FILM[:1], torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1).expand(1, 3, 6, 8)
    assert chroma(torch.cat([grey, red])) == pytest.approx([0.0, 0.2577], abs=1e-3)


def test_a_chequerboard_is_as_sharp_as_can_be() -> None:
    rows, columns = torch.arange(6)[:, None], torch.arange(8)
    board = (1.0 - 2 * ((rows + columns) % 2)).expand(2, 3, 6, 8)
    assert sharpness(board) == pytest.approx(torch.full((2,), 4.0))
    assert sharpness(FILM).abs().max() == 0


def test_cells_of_one_colour_have_no_deviation_and_a_chequerboard_has_half_the_range() -> None:
    colours = torch.rand(2, 3, 3, 4, generator=torch.Generator().manual_seed(0))
    flat = colours.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert within_cells(flat, 2) == pytest.approx(0, abs=1e-6)
    rows, columns = torch.arange(6)[:, None], torch.arange(8)
    board = (1.0 - 2 * ((rows + columns) % 2)).expand(1, 3, 6, 8)
    assert within_cells(board, 2) == pytest.approx(0.5)


def test_an_error_of_a_tenth_of_the_range_is_20_db() -> None:
    assert psnr(FILM + 0.2, FILM) == pytest.approx(20.0, abs=1e-3)


def test_only_pixels_that_stand_still_and_change_their_number_are_restless() -> None:
    frames = torch.zeros(3, 3, 1, 3)
    frames[1:, :, 0, 2] = 1.0  # this one moves
    indices = torch.tensor([[[0, 0, 0]], [[1, 0, 1]], [[0, 0, 1]]])
    assert torch.equal(restless(frames, indices), torch.tensor([[1.0, 0.0, 0.0]]))


def test_errors_passed_on_keep_the_mean_where_the_nearest_colour_does_not() -> None:
    grey = torch.full((1, 3, 32, 40), -0.5)
    indices = errors_passed_on(grey, torch.tensor([[0.0, 0, 0], [1, 1, 1]]))
    assert indices.shape == (1, 32, 40)
    assert float(indices.float().mean()) == pytest.approx(0.25, abs=0.02)


def test_a_table_of_what_was_measured_has_the_means_of_each_way(tmp_path: Path) -> None:
    file = tmp_path / "benchmark.json"
    one = {"way": "mix", "features": 2.0, "pixels": 1.0, "thing": 0.5, "sharp": 1.0, "drawn": 24}
    other = {**one, "features": 3.0, "thing": 1.0}
    films = [one, {**one, "way": "by text", "pixels": 7.25}, other]
    file.write_text(json.dumps({"films": films}), encoding="utf-8")
    *_, mixed, text = measured_table(file).splitlines()
    assert mixed.split() == ["mix", "2", "2.5", "1.0", "75%", "1.00", "24"]
    assert text.split() == ["by", "text", "1", "2.0", "7.2", "50%", "1.00", "24"]
    for damaged in ("{}", "[", json.dumps({"films": [{"way": "mix"}]})):
        file.write_text(damaged, encoding="utf-8")
        with pytest.raises(CourseError, match="missing or damaged"):
            measured_table(file)
