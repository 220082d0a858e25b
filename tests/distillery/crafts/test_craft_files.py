"""What a craft writes is read back, whatever the number of colours, the paper and the board."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pypdfium2
import pystitch
import pytest
from PIL import Image

from distillery.core.errors import CourseError
from distillery.crafts import beads, bricks, cross_stitch, embroidery
from distillery.crafts.__main__ import main
from distillery.crafts.bead_board import BOARDS, find_board
from distillery.crafts.paper import A4, LETTER, find_paper
from distillery.crafts.pdf_read import pdf_fault
from distillery.crafts.read_back import write_checked
from distillery.crafts.stitch_file import MOST_NAMED, dst_bytes, dst_fault, pes_bytes, pes_fault

HEADER = 512  # bytes, of the format


def strip(colours: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells in rows of eight, each of a colour of its own."""
    cells = np.full((-(-colours // 8), 8), -1)
    cells.flat[:colours] = np.arange(colours)
    return cells, np.random.default_rng(0).random((colours, 3)).astype(np.float32)


@pytest.mark.parametrize("colours", [2, 18, 19, 29, 30, 64, 256])
def test_the_stitches_of_a_dst_file_begin_at_byte_512_whatever_the_colours(
    colours: int, tmp_path: Path
) -> None:
    plan = embroidery.write_dst(tmp_path / "a.dst", *strip(colours))

    data = (tmp_path / "a.dst").read_bytes()
    pattern = pystitch.read(str(tmp_path / "a.dst"))
    assert 0 < data.index(b"\x1a") < HEADER
    assert (len(data) - HEADER) % 3 == 0
    assert pattern.count_color_changes() == colours - 1
    named = [block.hex for block in plan.blocks[:MOST_NAMED]]
    assert [thread.hex_color() for thread in pattern.threadlist] == named
    left, top, right, bottom = (bound / 10 for bound in pattern.bounds())
    assert right - left == pytest.approx(min(colours, 8) * 2 + 0.3, abs=0.2)
    assert bottom - top == pytest.approx(plan.size_mm[1] - 0.4, abs=0.2)


def test_a_shifted_or_shortened_stitch_file_is_noticed() -> None:
    plan = embroidery.plan_embroidery(*strip(20))
    dst, pes = dst_bytes(plan.blocks, "A boat"), pes_bytes(plan.blocks, "A boat")

    assert dst_fault(dst, plan.blocks) == pes_fault(pes, plan.blocks) == ""
    assert "header" in dst_fault(dst.replace(b"\x1a", b" ", 1), plan.blocks)
    moved = dst[:HEADER] + b"\x01\x00\x03" + dst[HEADER:]
    assert dst_fault(moved, plan.blocks) == "the stitches of thread 1 read back otherwise"
    assert "threads read back" in dst_fault(dst[: HEADER + 300], plan.blocks)
    other = [*plan.blocks[1:], plan.blocks[0]]
    assert "colours" in pes_fault(pes, other)


def test_what_is_not_as_planned_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.dst").write_bytes(b"old")

    with pytest.raises(CourseError, match=r"\(two threads are missing\), so it was not written"):
        write_checked(tmp_path / "old.dst", b"new", lambda data: "two threads are missing")

    assert (tmp_path / "old.dst").read_bytes() == b"old"
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"ne")
    with pytest.raises(CourseError, match="has other bytes on the disk"):
        write_checked(tmp_path / "new.dst", b"new", lambda data: "")


def test_a_refused_pes_recommends_what_works(tmp_path: Path) -> None:
    cells, palette = strip(70)

    with pytest.raises(CourseError, match="reduce its palette to 64, or write DST, which sews all"):
        embroidery.write_pes(tmp_path / "a.pes", cells, palette)

    embroidery.write_dst(tmp_path / "a.dst", cells, palette)
    embroidery.write_pes(tmp_path / "a.pes", cells % 64, palette[:64])
    assert pystitch.read(str(tmp_path / "a.pes")).count_color_changes() == 63


def test_a_dst_of_many_threads_says_how_many_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for colours in (MOST_NAMED, MOST_NAMED + 1):
        cells, palette = strip(colours)
        pixels = np.rint(palette[cells] * 255).astype(np.uint8)
        pixels = np.dstack([pixels, np.where(cells < 0, 0, 255).astype(np.uint8)])
        Image.fromarray(pixels).save(tmp_path / "p.png")
        assert main([str(tmp_path / "p.png"), "--dst", str(tmp_path / "p.dst")]) == 0

    few, many = capsys.readouterr().out.splitlines()
    assert "29 threads" in few
    assert "name" not in few
    assert many.endswith("a DST file has room to name the first 29 threads only")


@pytest.mark.parametrize("writer", [cross_stitch.write_cross_stitch, beads.write_beads])
def test_a_pdf_that_lost_a_cell_a_page_or_its_end_is_noticed(writer, tmp_path: Path) -> None:
    cells, palette = strip(20)
    pages = writer(tmp_path / "a.pdf", cells, palette).pages
    data = (tmp_path / "a.pdf").read_bytes()
    stamp = "cell" if writer is cross_stitch.write_cross_stitch else "bead"
    drawn = {f"{stamp}{index}": 1 for index in range(20)}

    assert pdf_fault(data, pages, drawn) == ""
    assert "pages read back" in pdf_fault(data, pages + 1, drawn)
    assert "1 of its 20 colours" in pdf_fault(data, pages, {**drawn, f"{stamp}3": 2})
    assert "table of contents" in pdf_fault(data[:-30], pages, drawn)
    assert pdf_fault(re.sub(rb"..~>", b"zz~>", data), pages, drawn) == "a part of it cannot be read"


def test_a_mosaic_and_its_parts_are_read_back(tmp_path: Path) -> None:
    plan = bricks.write_bricks(tmp_path / "m.ldr", *strip(20))
    data = (tmp_path / "m.ldr").read_bytes()

    assert bricks._model_fault(data, plan) == ""
    assert "plates read back" in bricks._model_fault(data.replace(b"3024.dat", b"3811.dat"), plan)
    wanted = {(part, code): count for (part, code, _), count in plan.parts().items()}
    bricks.write_parts(tmp_path / "m.csv", plan)
    table = (tmp_path / "m.csv").read_bytes()
    assert bricks._parts_fault(table, wanted) == ""
    assert "parts read back" in bricks._parts_fault(table.rpartition(b"\n3")[0], wanted)


@pytest.mark.parametrize("paper", [A4, LETTER], ids=lambda paper: paper.name)
def test_pages_are_as_large_as_the_paper_and_everything_is_on_them(paper, tmp_path: Path) -> None:
    cells, palette = np.random.default_rng(1).integers(0, 90, (75, 60)), strip(90)[1]

    chart = cross_stitch.write_cross_stitch(tmp_path / "c.pdf", cells, palette, paper=paper)
    plan = beads.write_beads(tmp_path / "b.pdf", cells, palette, paper=paper)

    for name, pages in (("c.pdf", chart.pages), ("b.pdf", plan.pages)):
        document = pypdfium2.PdfDocument(tmp_path / name)
        assert len(document) == pages
        for page in document:
            assert page.get_size() == pytest.approx(
                (paper.width / 25.4 * 72, paper.height / 25.4 * 72), abs=0.1
            )
            for thing in page.get_objects(max_depth=1):
                left, bottom, right, top = thing.get_bounds()
                assert -1 <= left <= right <= page.get_width() + 1
                assert -1 <= bottom <= top <= page.get_height() + 1
    listed = "".join(
        page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(tmp_path / "c.pdf")
    )
    assert all(thread.shade.name in listed for thread in chart.threads)


@pytest.mark.parametrize("name", [*BOARDS, "100x12", "10,20"])
def test_a_plan_for_any_board_counts_each_bead_once(name: str, tmp_path: Path) -> None:
    board = find_board(name)
    cells, palette = np.random.default_rng(1).integers(0, 6, (31, 57)), strip(6)[1]

    plan = beads.write_beads(tmp_path / "b.pdf", cells, palette, board=board, paper=LETTER)

    assert (plan.across, plan.down) == (-(-57 // board.across), -(-31 // board.down))
    assert plan.size_cm == pytest.approx((5.7 * board.bead_mm, 3.1 * board.bead_mm))
    assert sum(part.beads for part in plan.boards) == plan.total == 31 * 57
    assert max(part.beads for part in plan.boards) <= board.across * board.down


def test_boards_beyond_the_26th_row_have_two_letters(tmp_path: Path) -> None:
    cells = np.full((240, 2), -1)
    cells[[0, 207, 208, 239], 0] = 0

    plan = beads.write_beads(tmp_path / "b.pdf", cells, strip(2)[1], board=find_board("8x8"))

    assert [board.name for board in plan.boards] == ["A1", "Z1", "AA1", "AD1"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--paper", "legal"], "paper is a4 or letter; it is 'legal'"),
        (["--board", "big"], "a board is one of hama-midi, .* as 29x29; it is 'big'"),
        (["--board", "7x29"], "a board has 8 to 100 pegs a side; it has 7 × 29"),
        (["--bead-mm", "0"], "a bead is 1.5 to 15 mm wide"),
        (["--bead-mm", "nan"], "a bead is 1.5 to 15 mm wide"),
    ],
)
def test_paper_and_boards_that_do_not_exist_are_refused(
    flags: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "p.png")

    assert main([str(tmp_path / "p.png"), "--beads", str(tmp_path / "b.pdf"), *flags]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    with pytest.raises(CourseError, match=sentence):
        raise CourseError(line)
    assert not (tmp_path / "b.pdf").exists()


def test_names_of_paper_and_boards_may_be_written_in_capitals() -> None:
    assert find_paper("Letter") is LETTER
    assert find_board("Hama-Mini", bead_mm=2.6).bead_mm == 2.6
    assert find_board("29 × 14").down == 14


def test_a_file_that_is_there_is_kept_and_the_new_one_gets_the_next_name(tmp_path, capsys):
    Image.new("RGB", (4, 4), "red").save(tmp_path / "red.png")
    made = tmp_path / "chart.pdf"
    made.write_bytes(b"a person's own")
    command = [str(tmp_path / "red.png"), "--cross-stitch", str(made)]

    assert main(command) == 0

    shown = capsys.readouterr()
    assert made.read_bytes() == b"a person's own"
    assert (tmp_path / "chart~2.pdf").read_bytes().startswith(b"%PDF")
    assert "chart.pdf is kept" in shown.err
    assert "chart~2.pdf: " in shown.out
    assert main([*command, "--overwrite"]) == 0
    assert made.read_bytes().startswith(b"%PDF")
