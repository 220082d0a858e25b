from __future__ import annotations

import re
import struct
from pathlib import Path

import coloraide
import numpy as np
import pytest
import torch
from PIL import Image

import main
from distillery.core.errors import CourseError
from distillery.core.images import from_pil
from distillery.metrics.judge import Judge
from distillery.palettes import (
    dither,
    from_hex,
    lattice,
    load_palette,
    nearest,
    oklab_to_srgb,
    palette_names,
    save_palette,
    sheet,
    srgb_to_oklab,
    to_hex,
)
from distillery.palettes.matching import distinct_colours, distinct_in_8_bits
from distillery.toybox import all_factors, draw

ROOT = Path(__file__).resolve().parents[3]
FLAG = ["#102030", "#ff8800", "#fefdfc", "#000001", "#000000"]
KINDS = [".hex", ".gpl", ".pal", ".png"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(batch: int = 2, height: int = 9, width: int = 14) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=seeded()) * 2 - 1


def image_of(codes: list[str], width: int) -> torch.Tensor:
    """A picture of these pixels, row by row."""
    levels = torch.tensor([list(bytes.fromhex(code[1:])) for code in codes])
    return levels.T.reshape(1, 3, -1, width) / 127.5 - 1


def shown(indices: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """The picture that an index picture means."""
    return palette[indices].permute(0, 3, 1, 2) * 2 - 1


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Colours


def test_hex_codes_are_read_with_and_without_a_hash_and_in_capitals() -> None:
    colours = from_hex(["#FF8800", "ff8801", " 000000 "])

    assert to_hex(colours) == ["#ff8800", "#ff8801", "#000000"]
    assert torch.equal(colours * 255, torch.tensor([[255.0, 136, 0], [255, 136, 1], [0, 0, 0]]))


def test_a_lattice_holds_the_corners_of_the_cube_and_even_steps() -> None:
    assert to_hex(lattice(2)) == [
        *("#000000", "#0000ff", "#00ff00", "#00ffff"),
        *("#ff0000", "#ff00ff", "#ffff00", "#ffffff"),
    ]
    for side in range(2, 11):
        colours = lattice(side)
        steps = colours[:side, 2].diff()
        assert colours.shape == (side**3, 3)
        assert len(set(to_hex(colours))) == side**3
        assert torch.equal(colours, load_palette(f"rgb-{side}"))
        assert steps.max() - steps.min() <= 1.01 / 255


def test_oklab_agrees_with_a_colour_library() -> None:
    colours = torch.cat([lattice(5), random_images(1)[0].flatten(1).T / 2 + 0.5])

    expected = [
        coloraide.Color("srgb", colour).convert("oklab").coords() for colour in colours.tolist()
    ]

    torch.testing.assert_close(srgb_to_oklab(colours), torch.tensor(expected), atol=2e-4, rtol=0)


def test_oklab_has_the_published_values_of_the_corners() -> None:
    lab = srgb_to_oklab(torch.tensor([[[1.0, 1, 1], [0, 0, 0]], [[1, 0, 0], [0, 0, 1]]]))

    expected = [[[1.0, 0, 0], [0, 0, 0]], [[0.628, 0.225, 0.126], [0.452, -0.032, -0.312]]]
    torch.testing.assert_close(lab, torch.tensor(expected), atol=1e-3, rtol=0)


def test_every_colour_of_a_lattice_comes_back_from_oklab_in_8_bits() -> None:
    colours = lattice(10).reshape(10, 100, 3)

    back = oklab_to_srgb(srgb_to_oklab(colours))

    torch.testing.assert_close(back, colours, atol=1e-4, rtol=0)


def test_colours_outside_the_cube_come_back_from_oklab_too() -> None:
    colours = torch.tensor([[1.2, -0.1, 0.5], [-0.02, 0.3, 1.4]], dtype=torch.float64)

    torch.testing.assert_close(oklab_to_srgb(srgb_to_oklab(colours)), colours)


# Files


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colours", [from_hex(FLAG), from_hex(FLAG[:2]), lattice(10)], ids=len)
def test_a_saved_palette_comes_back_exactly_and_in_order(
    tmp_path: Path, kind: str, colours: torch.Tensor
) -> None:
    path = tmp_path / "new folder" / f"flag{kind}"

    save_palette(colours, path)

    assert torch.equal(load_palette(path), colours)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("windows.hex", "\ufeff102030\r\nff8800\r\n\r\nFEFDFC\r\n"),
        ("hash.HEX", "#102030\n#ff8800\n \t\n#fefdfc"),
        (
            "gimp.gpl",
            "GIMP Palette\nName: x\nColumns: 4\n# a note\n 16  32  48\tdusk\n"
            "255 136 0\n254 253 252\tUntitled 7",
        ),
        ("old.gpl", "GIMP Palette\r\n#\r\n16 32 48 1 2 3\r\n255 136 0\r\n254 253 252\r\n"),
        ("jasc.pal", "JASC-PAL\r\n0100\r\n3\r\n16 32 48\r\n255 136 0\r\n254 253 252\r\n"),
    ],
)
def test_files_of_other_programs_are_read(tmp_path: Path, name: str, content: str) -> None:
    assert to_hex(load_palette(written(tmp_path, name, content))) == FLAG[:3]


def riff(count: int, quads: bytes) -> bytes:
    data = struct.pack("<HH", 0x0300, count) + quads
    return (
        b"RIFF"
        + struct.pack("<I", 12 + len(data))
        + b"PAL data"
        + struct.pack("<I", len(data))
        + data
    )


def test_a_riff_palette_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "riff.pal", riff(2, bytes([16, 32, 48, 0, 255, 136, 0, 4])))

    assert to_hex(load_palette(path)) == FLAG[:2]


def test_a_strip_may_be_of_pixels_of_blocks_in_rows_and_have_clear_margins(tmp_path: Path) -> None:
    levels = (from_hex(FLAG[:4]) * 255).round().byte().numpy()
    row = np.concatenate([levels, np.full((4, 1), 255, np.uint8)], axis=1)[None]
    pixels, blocks = row, row.reshape(2, 2, 4).repeat(5, axis=0).repeat(3, axis=1)
    margin = np.pad(blocks, ((1, 2), (3, 4), (0, 0)))

    for number, strip in enumerate([pixels, blocks, margin]):
        Image.fromarray(strip).save(tmp_path / f"{number}.png")
        assert to_hex(load_palette(tmp_path / f"{number}.png")) == FLAG[:4]


def test_an_indexed_strip_is_read(tmp_path: Path) -> None:
    strip = Image.new("P", (4, 1))
    strip.putpalette(bytes([255, 136, 0, 16, 32, 48]))
    strip.putdata([1, 1, 0, 0])
    strip.save(tmp_path / "indexed.png")

    assert to_hex(load_palette(tmp_path / "indexed.png")) == ["#102030", "#ff8800"]


TEN_THOUSAND = "".join(f"{number:06x}\n" for number in range(10_000))
BAD = {
    "missing.hex": (None, "there is no file .*missing.hex; give the path of a .hex, .gpl, .pal, "),
    "missing.png": (None, "there is no file .*missing.png"),
    "empty.hex": ("", "empty.hex holds no colour; a palette has 2 to 1,000"),
    "blank.hex": ("\ufeff\r\n \r\n", "blank.hex holds no colour"),
    "one.hex": ("ff8800\n", "one.hex holds one colour; a palette has 2"),
    "many.hex": (TEN_THOUSAND, "many.hex holds 10,000 colours; a palette has 2 to 1,000"),
    "bad.hex": ("ff8800\n\nff880\n", "bad.hex, line 3: 'ff880' is not a colour; write six hex"),
    "name.hex": ("ff8800\ntomato\n", "name.hex, line 2: 'tomato' is not a colour"),
    "alpha.hex": ("ff8800ff\n", "alpha.hex, line 1: 'ff8800ff' is not a colour"),
    "latin.hex": (b"ff8800\n\xe4\n", "latin.hex is not text in UTF-8; save it"),
    "wrong.doc": ("ff8800\n00ff00\n", "wrong.doc' is not a palette; give the path of a .hex"),
    "empty.gpl": ("", "empty.gpl does not begin with the line 'GIMP Palette'"),
    "header.gpl": ("Name: x\n1 2 3\n4 5 6\n", "header.gpl does not begin with the line"),
    "none.gpl": ("GIMP Palette\nName: x\n#\n", "none.gpl holds no colour"),
    "words.gpl": ("GIMP Palette\n1 2 3\n1 2 red\n", "words.gpl, line 3: '1 2 red' is not a colour"),
    "level.gpl": ("GIMP Palette\n1 2 3\n1 2 256\n", "level.gpl, line 3: .* each 0 to 255"),
    "same.gpl": ("GIMP Palette\n1 2 3\n1 2 3 x\n", "same.gpl holds one colour"),
    "empty.pal": ("", "empty.pal does not begin with the lines 'JASC-PAL', '0100'"),
    "header.pal": ("JASC-PAL\n0100\n", "header.pal does not begin with the lines"),
    "count.pal": ("JASC-PAL\n0100\n1 2 3\n4 5 6\n", "count.pal does not begin with the lines"),
    "short.pal": (
        "JASC-PAL\n0100\n3\n1 2 3\n4 5 6\n",
        "short.pal, line 3: it says 3 .* and 2 follow",
    ),
    "level.pal": (
        "JASC-PAL\n0100\n2\n1 2 3\n-4 5 6\n",
        "level.pal, line 5: '-4 5 6' is not a colour",
    ),
    "riff.pal": (riff(3, bytes(8)), "riff.pal is a RIFF palette that is cut short"),
    "riff4.pal": (b"RIFF\0\0", "riff4.pal is a RIFF palette that is cut short"),
    "text.png": ("ff8800\n", "text.png cannot be read as a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence_that_says_where(tmp_path: Path, name: str) -> None:
    content, words = BAD[name]
    if content is not None:
        written(tmp_path, name, content)

    with pytest.raises(CourseError, match=words) as caught:
        load_palette(tmp_path / name)

    assert re.fullmatch(r"[^\n]+\.", str(caught.value))


def test_a_photo_is_no_strip(tmp_path: Path) -> None:
    path = ROOT / "docs" / "toybox.png"

    with pytest.raises(CourseError, match=r"toybox\.png holds .* colours and is not a strip"):
        load_palette(path)


def test_a_png_of_one_colour_or_none_is_no_palette(tmp_path: Path) -> None:
    Image.new("RGB", (5, 4), "red").save(tmp_path / "one.png")
    Image.new("RGBA", (5, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")

    with pytest.raises(CourseError, match=r"one\.png holds one colour"):
        load_palette(tmp_path / "one.png")
    with pytest.raises(CourseError, match=r"clear\.png holds no colour"):
        load_palette(tmp_path / "clear.png")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.hex").mkdir()

    with pytest.raises(CourseError, match=r"cannot read .*folder\.hex"):
        load_palette(tmp_path / "folder.hex")


@pytest.mark.parametrize("name", ["gardem", "", "rgb", "rgb-", "rgb-99999", "rgb-3.5"])
def test_an_unknown_name_brings_the_names_there_are(name: str) -> None:
    with pytest.raises(
        CourseError, match=r"is not a palette; .*rgb-2 to rgb-10, or one of adobe, "
    ):
        load_palette(name)


@pytest.mark.parametrize("name", ["rgb-0", "rgb-1", "rgb-11", "rgb-999"])
def test_a_lattice_has_two_to_ten_levels(name: str) -> None:
    with pytest.raises(CourseError, match="2 to 10 levels"):
        load_palette(name)


@pytest.mark.parametrize(
    ("colours", "name", "words"),
    [
        (from_hex(FLAG), "flag.txt", "saved as .hex, .gpl, .pal or .png; the path was .*flag.txt"),
        (from_hex(FLAG)[:1], "flag.hex", "the palette for flag.hex holds one colour"),
        (torch.zeros(3, 3), "flag.hex", "#000000 twice, at colour 1 and colour 2"),
        (torch.full((2, 3), torch.nan), "flag.png", r"must stay in \[0, 1\]"),
        (from_hex(FLAG) * 255, "flag.gpl", r"must stay in \[0, 1\]; divide"),
        (torch.zeros(2, 4), "flag.pal", r"must be \(K, 3\).* it is \(2, 4\)"),
    ],
)
def test_what_is_no_palette_is_not_saved(
    tmp_path: Path, colours: torch.Tensor, name: str, words: str
) -> None:
    with pytest.raises(CourseError, match=words):
        save_palette(colours, tmp_path / name)

    assert list(tmp_path.iterdir()) == []


# Pictures in a palette


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_the_nearest_colour_is_the_one_of_the_full_table_of_distances(space: str) -> None:
    images, palette = random_images(), lattice(3)
    convert = srgb_to_oklab if space == "oklab" else torch.clone
    pixels = convert((images.double().permute(0, 2, 3, 1) + 1) / 2)
    table = (pixels[..., None, :] - convert(palette.double())).norm(dim=-1)

    found = nearest(images, palette, space=space)

    assert found.dtype == torch.int64
    assert torch.equal(found, table.argmin(dim=-1))


def test_the_spaces_disagree_about_a_bright_green() -> None:
    """In numbers it is closer to dark olive, to the eye to light green."""
    green, palette = torch.tensor([-1.0, 1, -1]).reshape(1, 3, 1, 1), from_hex(["555500", "aaffaa"])

    assert nearest(green, palette).item() == 0
    assert nearest(green, palette, space="oklab").item() == 1


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_every_colour_finds_itself_among_neighbours_even_in_half_precision(space: str) -> None:
    levels = torch.cartesian_prod(*[torch.arange(248, 256)] * 3).float() / 255

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = nearest(levels.T.reshape(1, 3, 16, 32) * 2 - 1, levels, space=space)

    assert torch.equal(found.flatten(), torch.arange(512))


def test_an_unknown_space_is_refused() -> None:
    with pytest.raises(CourseError, match="srgb or oklab; it was 'hsv'"):
        nearest(random_images(), lattice(2), space="hsv")


def test_dithering_leaves_a_picture_in_the_palette_as_it_is() -> None:
    palette = from_hex(FLAG[:4])
    indices = torch.randint(len(palette), (2, 7, 11), generator=seeded())

    dithered = dither(shown(indices, palette), palette)

    assert dithered.dtype == torch.int64
    assert torch.equal(dithered, indices)


def test_dithering_keeps_the_mean_that_the_nearest_colour_loses() -> None:
    grey, palette = torch.full((1, 3, 32, 48), -0.4), from_hex(["#000000", "#ffffff"])

    assert nearest(grey, palette).float().mean() == 0
    assert dither(grey, palette).float().mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("count", [2, 5, 255, 256])
def test_dithering_uses_no_colour_beyond_the_palette(count: int) -> None:
    palette = lattice(7)[torch.randperm(343, generator=seeded())[:count]]

    dithered = dither(random_images(1, 24, 40), palette)

    assert dithered.shape == (1, 24, 40)
    assert 0 <= dithered.min() <= dithered.max() < count


def test_dithering_refuses_more_colours_than_an_indexed_picture_has() -> None:
    with pytest.raises(CourseError, match="at most 256 colours; the palette has 343"):
        dither(random_images(1), lattice(7))


# Colours of a picture


def test_the_colours_of_a_picture_are_all_that_its_pixels_have() -> None:
    codes = ["#ffffff", "#000000", "#ff8800", "#000001", "#ff8800", "#0000ff"]
    images = torch.cat([image_of(codes, 3), image_of(codes[:3] * 2, 3)])

    found = distinct_colours(images)

    assert found.dtype == torch.int64
    assert to_hex(found / 255) == ["#000000", "#000001", "#0000ff", "#ff8800", "#ffffff"]


def test_hundreds_of_crowded_colours_stay_distinct() -> None:
    """In a cube of 7³ neighbouring colours, rounded centres fall together."""
    distinct = torch.cartesian_prod(*[torch.arange(100, 107)] * 3)
    centres = (100 + 6 * torch.rand(250, 3, generator=seeded())) / 255

    palette = distinct_in_8_bits(centres, distinct)

    assert len(set(to_hex(palette))) == 250
    assert torch.equal(palette, (palette * 255).round() / 255)


def test_two_centres_in_one_8_bit_colour_make_room_for_another() -> None:
    """The mean of the three neighbours of black is a third of a level from it."""
    codes = ["#000000", "#010000", "#000100", "#000001"]
    centres = torch.tensor([[0, 0, 0], [1 / 3, 1 / 3, 1 / 3]]) / 255

    palette = distinct_in_8_bits(centres, (from_hex(codes) * 255).round().long())

    assert len(set(to_hex(palette))) == 2
    assert set(to_hex(palette)) < set(codes)


# Our own


@pytest.mark.parametrize("name", palette_names())
def test_an_own_palette_is_small_sorted_and_described(name: str) -> None:
    colours = load_palette(name)
    readme = (ROOT / "data" / "palettes" / "README.md").read_text(encoding="utf-8")

    assert colours.dtype == torch.float32
    assert 2 <= len(colours) <= 16
    assert (srgb_to_oklab(colours)[:, 0].diff() > 0).all()
    assert f"| {name} | {len(colours)} |" in readme


def test_there_are_eight_to_twelve_own_palettes() -> None:
    assert 8 <= len(palette_names()) <= 12
    assert "garden" in palette_names()


def test_drawings_in_the_toybox_palette_keep_their_colour_and_scene() -> None:
    wanted, palette = all_factors()[::24], load_palette("toybox")
    drawings = [draw(factors, seed, size=(32, 32)).image for seed, factors in enumerate(wanted)]
    images = torch.cat([from_pil(Image.fromarray(drawing)) for drawing in drawings])

    small = shown(nearest(images, palette), palette)
    seen = Judge.load().factors(small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))

    right = [(a.colour == b.colour, a.scene == b.scene) for a, b in zip(seen, wanted, strict=True)]
    assert np.mean(right, axis=0).min() >= 0.9


# The sheet and the command


def test_the_sheet_shows_every_colour_at_its_place() -> None:
    palettes = {"flag": from_hex(FLAG), "a rather long name of a palette": lattice(3)}

    picture = sheet(palettes)

    seen = {f"#{code:06x}" for code in (np.asarray(picture) @ [65536, 256, 1]).flatten().tolist()}
    assert seen.issuperset(FLAG)
    assert seen.issuperset(to_hex(lattice(3)))
    assert picture.height > sheet({"flag": from_hex(FLAG)}).height
    assert picture.width > sheet({"flag": from_hex(FLAG)}).width


def test_the_command_lists_our_own_and_draws_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["palettes", "--sheet", str(tmp_path / "own.png")]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines[:-1]) == palette_names()
    assert Image.open(tmp_path / "own.png").size == Image.open(ROOT / "docs" / "palettes.png").size


def test_the_command_shows_a_file_and_says_what_is_wrong_with_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_palette(from_hex(FLAG), tmp_path / "flag.gpl")

    assert main.main(["palettes", str(tmp_path / "flag.gpl"), "rgb-2"]) == 0
    assert " ".join(FLAG) in capsys.readouterr().out
    assert main.main(["palettes", "gardem"]) == 2
    assert capsys.readouterr().err.startswith("error: 'gardem' is not a palette;")
