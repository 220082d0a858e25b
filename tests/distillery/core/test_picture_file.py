"""Pictures as phones and other programs save them."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from distillery.core.errors import CourseError
from distillery.core.images import load_image, read_any, read_indexed

RED, BLUE = (200, 0, 0), (0, 0, 200)


def swapping_profile() -> bytes:
    """sRGB with red and blue exchanged."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")


def dark_grey_profile() -> bytes:
    """A profile of grey levels whose curve is a gamma of 1: what is stored is linear light."""
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + b"\x01\x00" + bytes(2)
    white = (
        b"XYZ "
        + bytes(4)
        + b"".join(round(part * 65536).to_bytes(4, "big") for part in (0.9642, 1.0, 0.8249))
    )
    tags = [(b"kTRC", curve), (b"wtpt", white)]
    start = 128 + 4 + 12 * len(tags)
    table, data = len(tags).to_bytes(4, "big"), b""
    for name, content in tags:
        table += name + (start + len(data)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        data += content
    head = bytearray(128)
    head[0:4] = (start + len(data)).to_bytes(4, "big")
    head[8:12] = bytes([2, 0x40, 0, 0])
    head[12:24] = b"mntrGRAYXYZ "
    head[36:40] = b"acsp"
    head[68:80] = white[8:]
    return bytes(head) + table + data


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_counts_in_every_mode_and_is_obeyed_once(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (8, 8), (*RED, 255))
    picture.convert(mode).save(tmp_path / "a.png", icc_profile=swapping_profile())

    seen = read_any(tmp_path / "a.png")

    np.testing.assert_allclose(np.asarray(seen)[0, 0, :3], BLUE, atol=2)
    assert "icc_profile" not in seen.info
    np.testing.assert_allclose(np.asarray(load_image(tmp_path / "a.png"))[0, 0], BLUE, atol=2)


def test_an_indexed_picture_keeps_its_rows_and_has_its_colours_in_srgb(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 2]], np.uint8), mode="P")
    picture.putpalette([*RED, *BLUE, 9, 9, 9])
    picture.save(tmp_path / "a.png", icc_profile=swapping_profile(), transparency=2)

    rows = read_indexed(tmp_path / "a.png")

    assert np.asarray(rows).tolist() == [[0, 1], [1, 2]]
    levels = np.array(rows.getpalette()[:6]).reshape(2, 3)
    np.testing.assert_allclose(levels, [BLUE, RED], atol=2)
    assert rows.info["transparency"] == 2
    assert read_indexed(saved(tmp_path / "b.png", Image.new("RGB", (4, 4)))) is None


def saved(path: Path, picture: Image.Image, **how: object) -> Path:
    picture.save(path, **how)
    return path


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_profile_of_greys_counts_beside_alpha_too(tmp_path: Path, mode: str) -> None:
    grey = Image.new("LA", (8, 8), (128, 255)).convert(mode)
    path = saved(tmp_path / "grey.png", grey, icc_profile=dark_grey_profile())

    level = np.asarray(read_any(path).convert("RGB"))[0, 0]

    np.testing.assert_allclose(level, 188, atol=2)  # the curve of sRGB at 128 / 255


def test_a_screens_profile_counts_for_grey_pixels(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("L", (8, 8), 90), icc_profile=swapping_profile())

    np.testing.assert_allclose(np.asarray(read_any(path))[0, 0], 90, atol=2)


def test_a_clear_grey_of_16_bits_stays_clear(tmp_path: Path) -> None:
    levels = np.array([[0, 65535], [257 * 128, 0]], np.uint16)
    path = saved(tmp_path / "deep.png", Image.fromarray(levels), transparency=65535)

    seen = read_any(path)

    assert seen.mode == "RGBA"
    assert np.asarray(seen.getchannel("A")).tolist() == [[255, 0], [255, 255]]
    assert np.asarray(seen)[1, 0, 0] == 128


# More pixels than fit into memory safely


@pytest.mark.parametrize("most", [None, 700], ids=["the limit of PIL", "a lower one"])
def test_a_jpeg_beyond_the_limit_is_read_smaller_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    path = saved(tmp_path / "photo.jpg", Image.new("RGB", (64, 48), RED))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 350)

    with pytest.warns(UserWarning, match=r"photo\.jpg has .* read at 1/4 of its width") as caught:
        seen = read_any(path, most=most)

    assert len(caught) == 1
    assert seen.size == (16, 12)
    np.testing.assert_allclose(np.asarray(seen)[0, 0], RED, atol=3)


def test_a_jpeg_too_large_even_then_and_other_kinds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.new("RGB", (64, 48))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    for name in ("a.jpg", "a.png"):
        picture.save(tmp_path / name)
        with pytest.raises(CourseError, match="has too many pixels to be read safely"):
            read_any(tmp_path / name)


# Phones


def heic() -> bytes:
    """The first box of a HEIC file; nothing after it is looked at without pillow-heif."""
    return b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(64)


@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "IMG_0001.jpg"])
def test_heic_is_named_under_any_name_where_it_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / name).write_bytes(heic())

    with pytest.raises(CourseError, match=rf"{name} is a HEIC picture.*pip install.*pillow-heif"):
        read_any(tmp_path / name)


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = pillow_heif.from_pillow(Image.new("RGB", (64, 48), RED))
    picture.save(tmp_path / "a.heic", quality=95)

    np.testing.assert_allclose(np.asarray(read_any(tmp_path / "a.heic"))[0, 0], RED, atol=4)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_a_still_avif_is_read_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.avif", Image.new("RGB", (64, 48), RED))
    np.testing.assert_allclose(np.asarray(read_any(path))[0, 0], RED, atol=4)

    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CourseError, match=r"a\.avif .*(AVIF|cannot be read as a picture)"):
        read_any(path)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "PNG", "GIF"])
def test_an_animation_of_any_kind_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (12, 10), colour) for colour in (RED, BLUE)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    (tmp_path / "a").write_bytes(buffer.getvalue())

    with pytest.raises(CourseError, match="holds 2 pictures"):
        read_any(tmp_path / "a")


def test_an_ordinary_photograph_is_read_in_silence(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (64, 48), RED))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_any(path).size == (64, 48)
