"""Figures of stage 6 show what they say, and count what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.methods.reference_cells import cells
from distillery.notebook.elastic_figures import (
    alike,
    at_one_scale,
    covers,
    in_colours,
    maps,
    measured_table,
    reads_drawn,
    windows_over,
)


def test_white_noise_has_nothing_in_common_with_its_neighbours_and_a_slope_all() -> None:
    noise = torch.randn(4, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    assert max(map(abs, alike(noise, 5))) < 0.02
    slope = torch.arange(60.0).expand(1, 1, 40, 60)
    near = alike(slope, 3)
    assert near == sorted(near, reverse=True)
    assert near[0] > 0.95


def test_cells_of_a_chequerboard_are_opposite_to_the_next_and_equal_to_the_one_behind_it() -> None:
    rows, columns = torch.arange(8)[:, None], torch.arange(12)
    board = 1.0 - 2.0 * ((rows + columns) % 2)
    assert alike(board[None, None], 2) == pytest.approx([-1.0, 1.0])


def test_pictures_of_every_size_are_drawn_at_one_scale() -> None:
    rows = {"small": torch.zeros(2, 3, 8, 8), "wide": torch.zeros(1, 3, 8, 32)}
    figure = at_one_scale(rows, {"wide": ["one thing"]})
    width, height = figure.get_size_inches()
    sizes = [(box.width * width, box.height * height) for box in map(_place, figure.axes)]
    assert sizes[0] == pytest.approx(sizes[1])
    assert sizes[2] == pytest.approx((4 * sizes[0][0], sizes[0][1]))
    assert [axes.get_title() for axes in figure.axes] == ["", "", "one thing"]


def _place(axes):
    return axes.get_position()


@pytest.mark.parametrize("rows", [{}, {"none": torch.zeros(0, 3, 8, 8)}])
def test_without_pictures_there_is_no_figure(rows: dict) -> None:
    with pytest.raises(CourseError, match="at least one"):
        at_one_scale(rows)


def test_bars_of_a_cover_begin_and_end_where_it_says() -> None:
    figure = covers({"two": torch.tensor([[0, 6, 0, 4], [2, 8, 4, 8]])})
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in figure.axes[0].patches]
    assert bars == [(0, 6), (0, 4), (2, 8), (4, 8)]


def test_only_what_a_window_reads_is_bright_and_what_it_writes_is_framed() -> None:
    cover = torch.tensor([[0, 3, 0, 2], [1, 4, 2, 4]])
    one_row = torch.tensor([[0, 2, 0, 2]])
    figure = windows_over(torch.ones(1, 3, 4, 8), one_row, cover, numbers=[1], cell=2)
    (axes,) = figure.axes
    shown = axes.images[0].get_array()[..., 0]
    assert (shown[:, 2:] == 255).all()
    assert (shown[:, :2] < 255).all()
    frame = axes.patches[-1]
    assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((3.5, -0.5), 4, 4)


def test_a_cell_is_of_the_first_round_that_read_it() -> None:
    its = cells((4, 6), (2, 3))
    first, second = its.groups[..., 0], its.groups[..., 1].clone()
    second[0, 0] = first[0, 0]
    figure = reads_drawn({"both": torch.stack([first, second])}, its.owner, side=5)
    kind = figure.axes[0].images[0].get_array()
    assert kind.shape == (4, 5)
    assert kind[0].tolist() == [1, 0, 1, 2, 1]  # of the first group only one cell was read
    assert not kind[1].any()


def test_maps_share_one_scale_of_colours_from_0_on() -> None:
    figure = maps({"low": torch.full((2, 3), 0.5), "high": torch.full((2, 3), 2.0)})
    limits = [axes.images[0].get_clim() for axes in figure.axes if axes.images]
    assert limits == [(0, 2.0), (0, 2.0)]


def test_cells_become_squares_of_pixels() -> None:
    values = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    picture = in_colours(values, (8, 12))
    assert picture.size == (12, 8)
    assert picture.getpixel((0, 0)) == picture.getpixel((3, 3))


def test_a_long_name_of_a_row_does_not_run_into_its_pictures() -> None:
    figure = at_one_scale({"a name of a row that is long": torch.zeros(1, 3, 64, 64)})
    figure.canvas.draw()
    picture = figure.axes[0].get_window_extent()
    assert figure.texts[0].get_window_extent().x1 <= picture.x0


def test_a_table_of_what_was_measured_divides_by_the_direct_of_the_same_size(
    tmp_path: Path,
) -> None:
    row = {"count": 12, "one_right": 0.25, "twice": 0.5, "scene": 1.0, "samples": 160.0}
    rows = [
        {**row, "size": "2x", "name": "direct", "laplacian": 0.2},
        {**row, "size": "1:2", "name": "direct", "laplacian": 0.4},
        {**row, "size": "2x", "name": "elastic", "laplacian": 0.1},
    ]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    assert measured_table(path, size="2x").splitlines()[-1].split() == [
        "2x", "elastic", "12", "25%", "50%", "100%", "0.50", "160",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "[{}]", '[{"size": "2x", "name": "elastic"}]'])
def test_a_table_from_a_damaged_file_says_so(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(CourseError, match="damaged"):
        measured_table(path, size="2x")


def test_the_table_of_the_notebook_is_there() -> None:
    assert "direct" in measured_table(REPOSITORY / "data/elastic/benchmark.json", size="2x")
