from __future__ import annotations

import csv
import itertools
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2
import pystitch
import pytest
import torch
from matplotlib.path import Path as Outline
from PIL import Image

from distillery.core.errors import CourseError
from distillery.crafts import beads, bricks, cross_stitch, embroidery, symbols, threads
from distillery.crafts.__main__ import main
from distillery.crafts.colour_match import assignment, load_shades, nearest
from distillery.crafts.grid import EMPTY, as_grid, read_grid
from distillery.crafts.pdf import tint

PALETTE = np.array(
    [[0.9, 0.1, 0.1], [0.1, 0.2, 0.6], [1, 1, 1], [0, 0, 0], [0.2, 0.6, 0.3], [0.9, 0.8, 0.3]],
    dtype=np.float32,
)
MM_TO_POINTS = 72 / 25.4


def patches(height: int, width: int, colours: int = 6, seed: int = 0) -> np.ndarray:
    """Patches of colour with a hole, stray cells and an empty corner."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, colours, (-(-height // 4), -(-width // 4)))
    cells = np.kron(coarse, np.ones((4, 4), dtype=np.int64))[:height, :width]
    cells[draw.random((height, width)) < 0.05] = colours - 1
    cells[:3, :5] = EMPTY
    return cells


def pages(path: Path, scale: float = 4) -> list[np.ndarray]:
    document = pypdfium2.PdfDocument(path)
    return [np.asarray(page.render(scale=scale).to_pil().convert("RGB")) for page in document]


def words(path: Path) -> list[str]:
    return [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(path)]


def test_a_torch_grid_on_a_graph_is_the_same_as_a_numpy_one() -> None:
    palette = torch.tensor(PALETTE, requires_grad=True)

    grid = as_grid(torch.from_numpy(patches(7, 11)), palette)

    np.testing.assert_array_equal(grid.indices, patches(7, 11))
    assert grid.palette.dtype == np.float32
    assert (grid.height, grid.width) == (7, 11)


def test_colours_that_are_equal_in_8_bits_are_one() -> None:
    grid = as_grid(np.array([[0, 1, 2, -1]]), np.array([[0.5, 0, 0], [1, 1, 1], [0.5005, 0, 0]]))

    assert grid.counts() == {0: 2, 1: 1}
    assert grid.indices.tolist() == [[0, 1, 0, -1]]


@pytest.mark.parametrize(
    ("indices", "palette", "sentence"),
    [
        (np.zeros((2, 3)), PALETTE, "indices instead of colours"),
        (np.zeros((1, 2, 3), dtype=int), PALETTE, "one picture"),
        (np.full((2, 3), 6), PALETTE, "go from 6 to 6"),
        (np.full((2, 3), -2), PALETTE, "go from -2"),
        (np.full((2, 3), -1), PALETTE, "nothing to make"),
        (np.zeros((1, 1), dtype=int), PALETTE, "at least two"),
        (np.zeros((3, 513), dtype=int), PALETTE, "513 × 3"),
        (np.zeros((2, 3), dtype=int), PALETTE * 255, "divide levels of 8 bits by 255"),
        (np.zeros((2, 3), dtype=int), np.full((2, 3), np.nan), "from 0 to 1"),
        (np.zeros((2, 3), dtype=int), PALETTE[:, :2], r"float32 \(K, 3\)"),
    ],
)
def test_a_grid_that_is_none_is_refused_in_a_sentence(
    indices: np.ndarray, palette: np.ndarray, sentence: str
) -> None:
    with pytest.raises(CourseError, match=sentence):
        as_grid(indices, palette)


def indexed_png(path: Path, cells: np.ndarray, palette: np.ndarray, hole: int | None) -> Path:
    image = Image.fromarray(np.where(cells == EMPTY, hole or 0, cells).astype(np.uint8))
    image.putpalette(np.rint(palette * 255).astype(np.uint8).tobytes())
    image.save(path, **({} if hole is None else {"transparency": hole}))
    return path


def test_an_indexed_png_keeps_its_palette_and_its_transparent_index_is_empty(
    tmp_path: Path,
) -> None:
    cells = patches(9, 14, colours=5)

    grid = read_grid(indexed_png(tmp_path / "p.png", cells, PALETTE, hole=5))

    np.testing.assert_array_equal(grid.indices, cells)
    np.testing.assert_allclose(grid.palette[:5], PALETTE[:5], atol=0.5 / 255)


def test_a_png_of_few_colours_needs_no_index(tmp_path: Path) -> None:
    levels = np.rint(PALETTE * 255).astype(np.uint8)
    cells = patches(9, 14)
    pixels = np.dstack([levels[cells], np.where(cells == EMPTY, 0, 255).astype(np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "p.png")

    grid = read_grid(tmp_path / "p.png")

    assert (grid.indices == EMPTY).sum() == 15
    np.testing.assert_allclose(
        grid.palette[grid.indices][cells >= 0], PALETTE[cells][cells >= 0], atol=0.5 / 255
    )


@pytest.mark.parametrize(("table", "rows"), [("dmc", 489), ("perler", 103), ("ldraw", 41)])
def test_every_shade_has_a_number_of_its_own(table: str, rows: int) -> None:
    shades = load_shades(table)

    assert len(shades) == len({shade.code for shade in shades}) == rows
    assert all(shade.name and 0 <= min(shade.rgb) <= max(shade.rgb) <= 1 for shade in shades)


def test_a_thread_s_own_colour_finds_that_thread() -> None:
    some = load_shades("dmc")[::31]

    found = threads.dmc_threads(np.array([shade.rgb for shade in some]))

    assert found == list(some)


def test_colours_that_hardly_differ_get_threads_that_do() -> None:
    greys = np.linspace(0.40, 0.42, 12)[:, None] * np.ones(3)

    found = threads.dmc_threads(greys)

    assert len({thread.code for thread in found}) == 12
    assert len({thread.code for thread in nearest(greys, load_shades("dmc"))}) < 12


def test_an_assignment_costs_the_least() -> None:
    draw = np.random.default_rng(0)
    for rows, columns in [(1, 1), (2, 5), (3, 3), (4, 6), (5, 5), (6, 6)] * 6:
        # Colours and shades on a line: most rows want the same columns.
        cost = (draw.random((rows, 1)) - draw.random(columns)) ** 2
        cost += draw.integers(0, 2) * draw.random((rows, columns))

        places = assignment(cost)

        assert len(set(places)) == rows
        least = min(
            sum(cost[row, place] for row, place in enumerate(order))
            for order in itertools.permutations(range(columns), rows)
        )
        assert sum(cost[row, place] for row, place in enumerate(places)) == pytest.approx(least)


def test_thread_is_two_diagonals_in_front_and_two_sides_behind() -> None:
    side = 25.4 / 14

    metres = threads.thread_metres(1000, cloth_count=14)

    assert metres == pytest.approx(1.3 * (2 * math.hypot(side, side) + 2 * side))
    assert threads.skeins(24.0, strands=2) == 1  # 8 m of six strands
    assert threads.skeins(24.1, strands=2) == 2


def raster(number: int, side: int = 24) -> np.ndarray:
    """The inked part of a plain symbol, bool `(side, side)`."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    corners = np.stack([x.ravel(), 1 - y.ravel()], axis=1)
    winding = np.zeros(side * side, dtype=int)
    for outline in symbols.symbol(number).outlines:
        (x0, y0), (x1, y1) = outline[:-1].T, outline[1:].T
        turn = int(np.sign((x0 * y1 - x1 * y0).sum()))
        winding += turn * Outline(outline).contains_points(corners)
    return winding.reshape(side, side) != 0


def test_at_least_40_symbols_cannot_be_mixed_up() -> None:
    inked = [raster(number) for number in range(60)]

    closest = min(np.mean(one != other) for one, other in itertools.combinations(inked, 2))

    assert closest > 0.04
    assert min(ink.mean() for ink in inked) > 0.04


def test_every_colour_of_the_largest_palette_has_its_own_symbol() -> None:
    kinds = {(s.sign, s.style) for s in map(symbols.symbol, range(256))}

    assert len(kinds) == 256


def test_a_cross_stitch_plan_counts_and_measures(tmp_path: Path) -> None:
    cells = patches(23, 37)

    plan = cross_stitch.write_cross_stitch(tmp_path / "chart.pdf", cells, PALETTE, cloth_count=16)

    assert plan.total == 23 * 37 - 15
    assert {t.index: t.stitches for t in plan.threads} == Counter(cells[cells >= 0].tolist())
    assert [t.stitches for t in plan.threads] == sorted(
        (t.stitches for t in plan.threads), reverse=True
    )
    assert plan.size_cm == pytest.approx((37 / 16 * 2.54, 23 / 16 * 2.54))
    assert len({t.shade.code for t in plan.threads}) == 6
    assert len(plan.tiles) == 1


@pytest.mark.parametrize(("height", "width"), [(256, 256), (71, 512), (140, 51), (1, 120)])
def test_chart_pages_cover_every_cell_once_and_begin_at_tens(
    height: int, width: int, tmp_path: Path
) -> None:
    cells = np.zeros((height, width), dtype=np.int64)

    plan = cross_stitch.write_cross_stitch(tmp_path / "chart.pdf", cells, PALETTE)

    for tile in plan.tiles:
        cells[slice(*tile.rows), slice(*tile.columns)] += 1
        assert tile.rows[0] % 10 == tile.columns[0] % 10 == 0
        assert tile.repeated == (2 * (tile.columns[0] > 0), 2 * (tile.rows[0] > 0))
    assert (cells == 1).all()
    assert [tile.page for tile in plan.tiles] == list(range(3, plan.pages + 1))


def test_a_chart_says_what_to_buy_and_how_large_it_becomes(tmp_path: Path) -> None:
    path = tmp_path / "chart.pdf"

    plan = cross_stitch.write_cross_stitch(path, patches(23, 37), PALETTE, title="Ein Bär\nim Öl")

    cover, listed, chart = words(path)
    assert "Ein Bär im Öl" in cover
    assert "6.7 × 4.2 cm (2.6 × 1.6 in) on 14-count cloth" in cover
    assert "836 in all" in cover
    for thread in plan.threads:
        assert thread.shade.code in listed
        assert thread.shade.name in listed
        assert thread.shade.code in chart
    assert {"10", "20", "30", "37", "23"} <= set(chart.split())
    assert b"/FontFile2" in path.read_bytes()


def test_the_cells_of_a_chart_are_tinted_as_their_threads(tmp_path: Path) -> None:
    cells = patches(23, 37)
    plan = cross_stitch.write_cross_stitch(tmp_path / "chart.pdf", cells, PALETTE)
    tints = {t.index: 255 * np.array(tint(t.shade.rgb)) for t in plan.threads} | {EMPTY: 255}
    side = min((210 - 2 * cross_stitch.MARGIN - cross_stitch.GUTTER) / 37, 7)

    shown = pages(tmp_path / "chart.pdf")[-1]

    for (row, column), index in np.ndenumerate(cells):
        x = cross_stitch.MARGIN + cross_stitch.GUTTER + (column + 0.12) * side
        y = cross_stitch.CHART_TOP + (row + 0.12) * side
        pixel = shown[int(y * MM_TO_POINTS * 4), int(x * MM_TO_POINTS * 4)]
        np.testing.assert_allclose(pixel, tints[int(index)], atol=2)


def test_a_large_chart_has_every_page_and_is_the_same_each_time(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    cells, palette = draw.integers(0, 90, (75, 60)), draw.random((90, 3))

    plan = cross_stitch.write_cross_stitch(tmp_path / "a.pdf", cells, palette)
    cross_stitch.write_cross_stitch(tmp_path / "b.pdf", cells, palette)

    # A cover, 90 threads on three pages, and two rows of two charts.
    assert plan.pages == len(pypdfium2.PdfDocument(tmp_path / "a.pdf")) == 1 + 3 + 4
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert os_names(tmp_path) == {"a.pdf", "b.pdf"}


def os_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("count", "strands"), [(0, 2), (41, 2), (14, 0), (14, 7)])
def test_cloth_and_strands_that_do_not_exist_are_refused(
    count: int, strands: int, tmp_path: Path
) -> None:
    with pytest.raises(CourseError, match=r"cloth|skein"):
        cross_stitch.write_cross_stitch(
            tmp_path / "chart.pdf", patches(5, 6), PALETTE, cloth_count=count, strands=strands
        )
    assert os_names(tmp_path) == set()


WRITERS: dict[str, Callable[..., embroidery.EmbroideryPlan]] = {
    "pes": embroidery.write_pes,
    "dst": embroidery.write_dst,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_embroidery_read_back_has_its_size_its_threads_and_short_stitches(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"patch.{kind}"
    plan = WRITERS[kind](path, patches(23, 37), PALETTE, title="Böotchen", cell_mm=2.5)

    pattern = pystitch.read(str(path))

    left, top, right, bottom = (bound / 10 for bound in pattern.bounds())
    assert plan.size_mm == (92.5, 57.5)
    assert right - left == pytest.approx(92.5 + 2 * 0.15, abs=0.21)
    assert bottom - top == pytest.approx(57.5 - 0.4, abs=0.41)
    assert pattern.count_color_changes() == len(plan.blocks) - 1 == 5
    assert [thread.hex_color() for thread in pattern.threadlist] == [b.hex for b in plan.blocks]
    before = pattern.stitches[0]
    for stitch in pattern.stitches[1:]:
        if stitch[2] & pystitch.COMMAND_MASK == pystitch.STITCH:
            assert math.dist(before[:2], stitch[:2]) <= 121
        before = stitch
    cuts = sum(len(block.runs) for block in plan.blocks)
    assert pattern.count_stitch_commands(pystitch.TRIM) >= cuts - 1


def test_every_cell_is_filled_by_rows_of_its_own_colour() -> None:
    cells = patches(23, 37)

    plan = embroidery.plan_embroidery(cells, PALETTE, cell_mm=2.0, row_mm=0.4, overlap_mm=0.0)

    for block in plan.blocks:
        sewn = np.zeros(cells.shape)
        for run in block.runs:
            for (x0, y0), (x1, y1) in itertools.pairwise(run):
                if y0 == y1:
                    across(sewn, min(x0, x1) / 2 + 18.5, max(x0, x1) / 2 + 18.5, y0 / 2 + 11.5)
        # Five rows a cell; a way to the next piece may cross a little more.
        assert (sewn[cells == block.index] >= 5 - 1e-6).all()
        assert sewn[cells != block.index].sum() < 0.03 * sewn.sum()


def across(sewn: np.ndarray, start: float, end: float, y: float) -> None:
    """Add to each cell the share of its width that a horizontal stitch crosses."""
    columns = np.arange(sewn.shape[1])
    sewn[int(y)] += np.clip(np.minimum(end, columns + 1) - np.maximum(start, columns), 0, 1)


def test_no_stitch_of_a_run_is_longer_than_asked() -> None:
    plan = embroidery.plan_embroidery(patches(23, 37), PALETTE, stitch_mm=2.5)

    steps = [
        math.dist(one, other)
        for block in plan.blocks
        for run in block.runs
        for one, other in itertools.pairwise(run)
    ]
    # The needle's holes are fixed, so a first or last stitch may take in a short rest.
    assert max(steps) <= 2.5 + embroidery.SHORTEST_STITCH + 1e-9


def test_rows_go_back_and_forth() -> None:
    plan = embroidery.plan_embroidery(np.zeros((5, 8), dtype=int), PALETTE, overlap_mm=0.0)

    ((run,),) = (block.runs for block in plan.blocks)

    # 25 rows of 16 mm, and the step of 0.4 mm from each to the next.
    length = sum(math.dist(one, other) for one, other in itertools.pairwise(run))
    assert length == pytest.approx(25 * 16 + 24 * 0.4)


def test_neighbouring_cells_of_one_colour_are_sewn_without_a_cut() -> None:
    cells = np.full((6, 9), 1)
    cells[2:4, 3:6] = 0

    plan = embroidery.plan_embroidery(cells, PALETTE)

    ring, middle = plan.blocks
    assert len(middle.runs) == 1
    assert len(ring.runs) <= 4


def test_pieces_cover_a_region_once_with_one_run_a_row() -> None:
    mask = np.random.default_rng(3).random((17, 23)) < 0.6

    covered = np.zeros(mask.shape, dtype=int)
    for piece in embroidery.pieces(mask):
        for row, (start, end) in enumerate(piece.spans, piece.first_row):
            covered[row, start:end] += 1

    np.testing.assert_array_equal(covered, mask.astype(int))


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [
        ({"cell_mm": 0.1}, "0.8 to 20 mm wide"),
        ({"cell_mm": float("nan")}, "0.8 to 20 mm wide"),
        ({"cell_mm": 15.0}, "500 mm at most; cells of 13.51 mm fit"),
        ({"row_mm": 0.0}, "0.2 to 2 mm apart"),
        ({"stitch_mm": 20.0}, "1 to 7 mm long"),
    ],
)
def test_lengths_that_cannot_be_sewn_are_refused(lengths: dict[str, float], sentence: str) -> None:
    with pytest.raises(CourseError, match=sentence):
        embroidery.plan_embroidery(patches(23, 37), PALETTE, **lengths)


def test_a_pes_file_of_too_many_colours_is_refused_and_a_dst_file_is_not(tmp_path: Path) -> None:
    cells, palette = np.arange(70).reshape(7, 10), np.random.default_rng(0).random((70, 3))

    with pytest.raises(CourseError, match="64 colours, and the picture has 70"):
        embroidery.write_pes(tmp_path / "a.pes", cells, palette)
    embroidery.write_pes(tmp_path / "b.pes", cells[:6], palette)
    embroidery.write_dst(tmp_path / "c.dst", cells, palette)

    assert os_names(tmp_path) == {"b.pes", "c.dst"}
    assert pystitch.read(str(tmp_path / "b.pes")).count_color_changes() == 59
    assert pystitch.read(str(tmp_path / "c.dst")).count_color_changes() == 69


def test_a_bead_plan_counts_each_board(tmp_path: Path) -> None:
    cells = patches(40, 70)
    cells[:29, 29:58] = EMPTY

    plan = beads.write_beads(tmp_path / "beads.pdf", cells, PALETTE)

    assert (plan.across, plan.down) == (3, 2)
    assert [board.name for board in plan.boards] == ["A1", "A3", "B1", "B2", "B3"]
    assert plan.size_cm == (35.0, 20.0)
    on_boards = sum((Counter(board.counts) for board in plan.boards), Counter())
    assert on_boards == {c.index: c.beads for c in plan.colours}
    assert on_boards == Counter(cells[cells >= 0].tolist())
    assert plan.boards[1].beads == (cells[:29, 58:] >= 0).sum()


def test_beads_are_printed_where_they_lie_at_true_size(tmp_path: Path) -> None:
    cells = patches(23, 37)
    plan = beads.write_beads(tmp_path / "beads.pdf", cells, PALETTE, title="A boat")
    tints = {i: 255 * np.array(tint(tuple(colour))) for i, colour in enumerate(PALETTE)}

    shown = pages(tmp_path / "beads.pdf")[-2]
    texts = words(tmp_path / "beads.pdf")

    assert len(texts) == plan.pages == 4
    assert "18.5 × 11.5 cm" in texts[0]
    assert "#e51a1a" in texts[1]
    assert "Board A1" in texts[2]
    for row, column in np.argwhere(cells[:, :29] >= 0):
        # Left of the symbol, inside the bead.
        x = (210 - 29 * 5) / 2 + (column + 0.14) * 5
        y = beads.BOARD_TOP + (row + 0.5) * 5
        pixel = shown[int(y * MM_TO_POINTS * 4), int(x * MM_TO_POINTS * 4)]
        np.testing.assert_allclose(pixel, tints[int(cells[row, column])], atol=3)


def parsed(path: Path) -> tuple[list[str], list[tuple[str, list[float], str]]]:
    """The comments of an LDraw file, and its parts as (colour, the twelve numbers, file)."""
    data = path.read_bytes()
    assert not data.startswith(b"\xef\xbb\xbf")
    notes, parts = [], []
    for line in data.decode().split("\r\n"):
        kind, _, rest = line.partition(" ")
        if kind == "0":
            notes.append(rest)
        elif kind == "1":
            colour, *numbers, file = rest.split()
            parts.append((colour, [float(number) for number in numbers], file))
        else:
            assert line == ""
    return notes, parts


def test_an_ldraw_mosaic_covers_every_stud_once_in_its_colour(tmp_path: Path) -> None:
    cells = patches(23, 37)
    plan = bricks.write_bricks(tmp_path / "boat.ldr", cells, PALETTE, title="A boat", author="Me")
    studs = {f"{part}.dat": length for length, part in bricks.PLATES.items()}

    notes, parts = parsed(tmp_path / "boat.ldr")

    covered = np.full(cells.shape, "", dtype=object)
    for colour, (x, y, z, *matrix), file in parts:
        assert matrix == [1, 0, 0, 0, 1, 0, 0, 0, 1]
        if file == "3811.dat":
            assert y == 8
            continue
        assert y == 0
        row, length = (-z - 10) / 20, studs[file]
        first = (x - 10 * length) / 20
        assert row == int(row)
        assert first == int(first)
        for column in range(int(first), int(first) + length):
            covered[int(row), column] += colour
    for (row, column), index in np.ndenumerate(cells):
        assert covered[row, column] == ("" if index == EMPTY else plan.shades[int(index)].code)
    assert notes[:4] == ["FILE boat.ldr", "A boat", "Name: boat.ldr", "Author: Me"]
    assert notes.count("STEP") == 23 + 1


def test_the_parts_list_is_what_the_model_holds(tmp_path: Path) -> None:
    plan = bricks.write_bricks(tmp_path / "boat.ldr", patches(40, 70), PALETTE)
    bricks.write_parts(tmp_path / "boat.csv", plan)

    _, placed = parsed(tmp_path / "boat.ldr")
    rows = list(csv.DictReader((tmp_path / "boat.csv").read_text().splitlines()))

    listed = {(row["part"], row["ldraw_colour"]): int(row["count"]) for row in rows}
    assert listed == Counter((file.removesuffix(".dat"), colour) for colour, _, file in placed)
    assert listed["3811", "71"] == 2 * 3


def test_a_run_takes_the_fewest_plates() -> None:
    fewest = [0]
    for run in range(1, 70):
        fewest.append(1 + min(fewest[run - length] for length in bricks.PLATES if length <= run))

    for run in range(1, 70):
        assert sum(bricks.plates_for(run)) == run
        assert len(bricks.plates_for(run)) == fewest[run]


def test_the_command_makes_everything_from_one_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = indexed_png(tmp_path / "a_boat.png", patches(23, 37, colours=5), PALETTE, hole=5)
    names = {"--cross-stitch": "c.pdf", "--pes": "e.pes", "--dst": "e.dst", "--beads": "b.pdf"}
    flags = [part for flag, name in names.items() for part in (flag, str(tmp_path / "out" / name))]

    status = main([str(picture), *flags, "--bricks", str(tmp_path / "out" / "m.ldr")])

    assert status == 0
    assert os_names(tmp_path / "out") == {*names.values(), "m.ldr", "m.csv"}
    assert "a boat" in words(tmp_path / "out" / "c.pdf")[0]
    assert len(capsys.readouterr().out.splitlines()) == 5


def photograph(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photo.png")
    return folder / "photo.png"


def blank(folder: Path, *size: int, colour: tuple[int, ...] = (9, 9, 9)) -> Path:
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(folder / "p.png")
    return folder / "p.png"


BAD: dict[str, tuple[Callable[[Path], Path], list[str], str]] = {
    "missing": (lambda folder: folder / "no.png", [], "there is no file"),
    "folder": (lambda folder: folder, [], "is a folder"),
    "photograph": (photograph, [], "has 600 colours, and a craft at most 256"),
    "wide": (lambda folder: blank(folder, 513, 2), [], "513 × 2 cells"),
    "one pixel": (lambda folder: blank(folder, 1, 1), [], "at least two"),
    "clear": (lambda f: blank(f, 4, 3, colour=(9, 9, 9, 0)), [], "transparent everywhere"),
    "suffix": (lambda f: blank(f, 4, 3), ["--pes", "out.dst"], "--pes writes a .pes file"),
    "twice": (lambda f: blank(f, 4, 3), ["--beads", "OUT/x.pdf"], "the same name"),
    "cloth": (lambda f: blank(f, 4, 3), ["--cloth-count", "0"], "5 to 40 holes"),
    "cell": (lambda f: blank(f, 4, 3), ["--cell-mm", "99", "--dst", "OUT/x.dst"], "0.8 to 20 mm"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_no_file_of_that_product(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, flags, sentence = BAD[case]
    out = tmp_path / "out"
    flags = [flag.replace("OUT", str(out)) for flag in flags]
    chart = ["--cross-stitch", str(out / "x.pdf")] if case != "cell" else []

    status = main([str(make(tmp_path)), *chart, *flags])

    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2
    assert line.startswith("error: ")
    assert sentence in line
    assert not out.exists()


def test_asking_for_nothing_says_what_to_ask_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["p.png"])

    assert stopped.value.code == 2
    assert "say what to make" in capsys.readouterr().err
