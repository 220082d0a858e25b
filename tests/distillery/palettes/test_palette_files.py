"""Palettes as many programs write them, whole, padded, with alpha, and damaged."""

from __future__ import annotations

import re
import struct
import warnings
from pathlib import Path

import coloraide
import numpy as np
import pytest
from PIL import Image, ImageCms

from distillery.core.errors import CourseError
from distillery.palettes import from_hex, load_palette, save_palette, to_hex

THREE = ["#102030", "#ff8800", "#fefdfc"]


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def riff(*before: bytes) -> bytes:
    quads = b"".join(bytes.fromhex(code[1:]) + b"\0" for code in THREE)
    chunks = b"PAL " + b"".join(before) + chunk(b"data", struct.pack("<HH", 0x300, 3) + quads)
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def exchange(*colours: tuple[bytes, list[float]], group: bool = False) -> bytes:
    """Adobe's swatch exchange, each colour with a name."""
    blocks = [struct.pack(">H", 3) + "x\0y".encode("utf-16-be")] if group else []
    kinds = [0xC001] * group
    for number, (model, parts) in enumerate(colours):
        name = f"colour {number}\0".encode("utf-16-be")
        content = struct.pack(f">{len(parts)}f", *parts)
        blocks.append(struct.pack(">H", len(name) // 2) + name + model + content + b"\0\2")
        kinds.append(1)
    body = b"".join(
        struct.pack(">HI", kind, len(block)) + block
        for kind, block in zip(kinds, blocks, strict=True)
    )
    end = struct.pack(">HI", 0xC002, 0) * group
    return b"ASEF\0\1\0\0" + struct.pack(">I", len(blocks) + group) + body + end


def swatches(*colours: tuple[int, ...], version: int = 1) -> bytes:
    name = struct.pack(">I", 3) + "ab\0".encode("utf-16-be")
    rows = (struct.pack(">5H", *colour) + name * (version == 2) for colour in colours)
    return struct.pack(">HH", version, len(colours)) + b"".join(rows)


RGB = [(b"RGB ", [int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)]) for code in THREE]
RGB_16 = [(0, *(257 * int(code[at : at + 2], 16) for at in (1, 3, 5)), 0) for code in THREE]
TABLE = b"".join(bytes.fromhex(code[1:]) for code in THREE)
JASC = "JASC-PAL\r\n0100\r\n3\r\n16 32 48\r\n255 136 0\r\n254 253 252\r\n"
GIMP = "GIMP Palette\nName: x\n16 32 48\tdusk\n255 136 0\n254 253 252\n"
WHOLE = {
    "paint.txt": ";paint.net Palette File\r\n;Colors: 3\r\nFF102030\r\nFFFF8800\r\nFFFEFDFC\r\n",
    "plain.txt": "#102030\nff8800\n0xfefdfc\n",
    "comments.hex": "// three\n102030 ; dusk\nff8800\nfefdfc\n",
    "marked.hex": b"\xef\xbb\xbf102030\nff8800\nfefdfc\n",
    "wide.pal": JASC.encode("utf-16"),
    "marked.pal": b"\xef\xbb\xbf" + JASC.encode(),
    "alpha.pal": "JASC-PAL\n0100\n3\n16 32 48 255\n255 136 0 255\n254 253 252 1\n",
    "old.gpl": GIMP.replace("dusk", "Dämmerung").encode("latin-1"),
    "wide.gpl": GIMP.encode("utf-16"),
    "lospec.gpl": GIMP.replace("Name: x", "#Palette Name: x\n#Colors: 3"),
    "spaced.gpl": GIMP.replace("Name: x", " name : x\n columns: 3"),
    "headed.gpl": GIMP.replace("Name: x", "Name: x\nComment: three"),
    "aseprite.gpl": (
        "GIMP Palette\nChannels: RGBA\n#\n16 32 48 255 a\n255 136 0 9\n254 253 252 255\n"
    ),
    "plain.riff.pal": riff(),
    "chunks.pal": riff(chunk(b"offl", b"odd"), chunk(b"plth", bytes(16))),
    "rgb.ase": exchange(*RGB),
    "group.ase": exchange(*RGB, group=True),
    "one.aco": swatches(*RGB_16),
    "two.aco": swatches(*RGB_16, version=2),
    "both.aco": swatches(*RGB_16) + swatches(*RGB_16, version=2),
    "count.act": TABLE.ljust(768, b"\0") + struct.pack(">HH", 3, 0xFFFF),
}


@pytest.mark.parametrize("name", ["two.hex", "two.txt", "two.pal", "two.gpl", "two.ase", "two.png"])
@pytest.mark.parametrize("of", ["old.gpl", "wide.pal", "chunks.pal", "rgb.ase", "strip.png"])
def test_a_palette_under_the_ending_of_another_kind_is_read_as_what_it_is(
    tmp_path: Path, of: str, name: str
) -> None:
    if of == "strip.png":
        save_palette(from_hex(THREE), tmp_path / of)
    else:
        written(tmp_path, of, WHOLE[of])
    (tmp_path / of).rename(tmp_path / name)

    assert to_hex(load_palette(tmp_path / name)) == THREE


def test_grey_of_photoshops_swatches_is_black_ink(tmp_path: Path) -> None:
    """Its own swatches hold White as 0, 75% Gray as 7500 and Black as 10000."""
    own = swatches((8, 0, 0, 0, 0), (8, 7500, 0, 0, 0), (8, 10000, 0, 0, 0))

    found = to_hex(load_palette(written(tmp_path, "greys.aco", own)))

    assert found == ["#ffffff", "#404040", "#000000"]


def test_a_model_of_an_exchange_may_be_in_capitals(tmp_path: Path) -> None:
    ase = exchange((b"GRAY", [0.0]), (b"rgb ", [1.0, 1.0, 1.0]))

    assert to_hex(load_palette(written(tmp_path, "grey.ase", ase))) == ["#000000", "#ffffff"]


@pytest.mark.parametrize("name", WHOLE)
def test_each_program_means_the_same_three_colours(tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert to_hex(load_palette(written(tmp_path, name, WHOLE[name]))) == THREE


PADDED = {
    "padded.pal": JASC.replace("\r\n3\r\n", "\r\n256\r\n") + "0 0 0\r\n" * 253,
    "table.act": TABLE.ljust(768, b"\0"),
    "twice.hex": "102030\n#FF8800\nfefdfc\nFf8800\n000000\n",
    "twice.gpl": GIMP + "16 32 48 again\n0 0 0\n",
    "twice.ase": exchange(*RGB, *RGB, (b"Gray", [0.0])),
    "twice.aco": swatches(*RGB_16, *RGB_16, (8, 10000, 0, 0, 0)),
    "twice.txt": "FF102030\nFFFF8800\nFFFEFDFC\nFF102030\nFF000000\n",
}


@pytest.mark.parametrize("name", PADDED)
def test_repeated_colours_count_once_where_they_come_first(tmp_path: Path, name: str) -> None:
    with pytest.warns(UserWarning, match=rf"{name} has \d+ entries, \d+ repeated; .* 4 different"):
        colours = load_palette(written(tmp_path, name, PADDED[name]))

    assert to_hex(colours) == [*THREE, "#000000"]


CLEAR = {
    "clear.gpl": WHOLE["aseprite.gpl"].replace("#\n", "#\n0 0 0 0 Transparent\n"),
    "clear.pal": "JASC-PAL\n0100\n4\n16 32 48 255\n0 0 0 0\n255 136 0 255\n254 253 252 1\n",
    "clear.txt": "00FFFFFF\nFF102030\nFFFF8800\nFFFEFDFC\n",
    "clear.act": (TABLE + b"\7\7\7").ljust(768, b"\0") + struct.pack(">HH", 4, 3),
}


@pytest.mark.parametrize("name", CLEAR)
def test_what_is_wholly_transparent_is_no_colour(tmp_path: Path, name: str) -> None:
    with pytest.warns(UserWarning, match=rf"{name} has 4 entries, 1 transparent; .* 3 different"):
        colours = load_palette(written(tmp_path, name, CLEAR[name]))

    assert to_hex(colours) == THREE


def test_a_fourth_number_without_channels_is_a_name(tmp_path: Path) -> None:
    path = written(tmp_path, "numbered.gpl", "GIMP Palette\n16 32 48 0\n255 136 0 1\n")

    assert to_hex(load_palette(path)) == THREE[:2]


def test_colours_of_print_and_of_cie_become_those_of_the_screen(tmp_path: Path) -> None:
    lab = coloraide.Color("srgb", [0.2, 0.6, 0.4]).convert("lab").coords()
    ase = exchange(
        (b"LAB ", [lab[0] / 100, *lab[1:]]), (b"CMYK", [1.0, 0.0, 0.0, 0.5]), (b"Gray", [0.8])
    )
    signed = [round(100 * part) % 65536 for part in lab]
    aco = swatches(
        *((7, *signed, 0), (2, 0, 65535, 65535, 32768)),
        *((8, 2000, 0, 0, 0), (1, 21845, 65535, 65535, 0), (9, 10000, 0, 0, 5000)),
    )

    wanted = ["#339966", "#008080", "#cccccc"]
    assert to_hex(load_palette(written(tmp_path, "print.ase", ase))) == wanted
    with pytest.warns(UserWarning, match="1 repeated"):  # the same ink in two ways
        found = to_hex(load_palette(written(tmp_path, "print.aco", aco)))
    assert found == [*wanted, "#00ff00"]


BAD = {
    "empty.txt": ("", "holds no colour"),
    "words.txt": ("a red boat\n", "'a red boat' is not a colour"),
    "empty.ase": (b"", "is no swatch exchange of Adobe's, or is cut short"),
    "cut.ase": (exchange(*RGB)[:-9], "is no swatch exchange of Adobe's, or is cut short"),
    "more.ase": (
        exchange(*RGB).replace(b"\0\0\0\3", b"\0\0\0\4", 1),
        "is no swatch exchange of Adobe's, or is cut short",
    ),
    "model.ase": (exchange((b"HSB ", [0.0] * 3)), "is no swatch exchange of Adobe's"),
    "nan.ase": (exchange((b"RGB ", [float("nan")] * 3)), "is no swatch exchange of Adobe's"),
    "sprite.ase": (b"\x80\0\0\0\xe0\xa5" + bytes(130), "is a drawing of Aseprite's"),
    "empty.aco": (b"", "is no file of colour swatches of Adobe's, or is cut short"),
    "cut.aco": (swatches(*RGB_16)[:-3], "is no file of colour swatches of Adobe's"),
    "name.aco": (swatches(*RGB_16, version=2)[:-3], "is no file of colour swatches of Adobe's"),
    "version.aco": (b"\0\7\0\3", "is no file of colour swatches of Adobe's"),
    "book.aco": (swatches((3, 1, 2, 3, 4)), "colour 1 is in Adobe's colour space number 3"),
    "none.aco": (swatches(), "holds no colour"),
    "empty.act": (b"", "has 0 bytes, and a colour table of Adobe's 768 or 772"),
    "cut.act": (TABLE, "has 9 bytes"),
    "count.act": (bytes(768) + b"\2\0\xff\xff", "says that it holds 512 colours"),
    "cut.pal": (riff()[:-1], "is a RIFF palette that is cut short"),
    "lost.pal": (b"RIFF\x10\0\0\0PAL LIST\xff\xff\xff\x7f", "is a RIFF palette that is cut short"),
    "clear.gpl": ("GIMP Palette\nChannels: RGBA\n0 0 0 0\n", "holds no colour"),
    "bytes.gpl": (bytes(range(256)), "does not begin with the line 'GIMP Palette'"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", BAD)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    content, words = BAD[name]

    with pytest.raises(CourseError, match=re.escape(name) + ".*" + re.escape(words)) as caught:
        load_palette(written(tmp_path, name, content))

    assert re.fullmatch(r"[^\n]+\.", str(caught.value))


def test_the_profile_of_a_strip_counts(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    strip = np.array([[(200, 0, 0), (0, 0, 120)]], np.uint8)
    Image.fromarray(strip).save(tmp_path / "strip.png", icc_profile=swapped)

    levels = (255 * load_palette(tmp_path / "strip.png")).round()

    np.testing.assert_allclose(levels, [(0, 0, 200), (120, 0, 0)], atol=2)
