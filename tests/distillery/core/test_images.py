from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from distillery.core.errors import CourseError
from distillery.core.files import prompt_to_filename
from distillery.core.images import (
    from_pil,
    grid,
    load_image,
    prompt_of,
    read_any,
    save_gif,
    save_png,
    to_pil,
    to_png_bytes,
    to_rgb,
)


def random_images(batch: int = 3, height: int = 8, width: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, height, width, generator=generator) * 2 - 1


def test_levels_are_rounded_and_values_outside_are_clamped() -> None:
    images = torch.tensor([-3.0, -1.0, 0.49 / 127.5 - 1, 0.51 / 127.5 - 1, 1.0, 3.0])
    picture = to_pil(images.expand(1, 3, 1, 6))[0]

    assert [picture.getpixel((x, 0))[0] for x in range(6)] == [0, 0, 0, 1, 255, 255]


def test_a_non_square_batch_survives_pil_to_half_a_level() -> None:
    images = random_images()

    pictures = to_pil(images)

    assert [picture.size for picture in pictures] == [(12, 8)] * 3
    back = torch.cat([from_pil(picture) for picture in pictures])
    torch.testing.assert_close(back, images, atol=0.5 / 127.5 + 1e-6, rtol=0)


def test_a_picture_of_another_shape_is_cropped_about_its_centre_not_squashed() -> None:
    picture = Image.new("RGB", (30, 10), "white")
    picture.paste("black", (10, 0, 20, 10))

    cropped = from_pil(picture, size=(10, 10))

    assert cropped.shape == (1, 3, 10, 10)
    assert cropped.max() == -1


def test_a_palette_picture_with_transparency_becomes_rgb() -> None:
    assert from_pil(Image.new("LA", (5, 4), (255, 255))).shape == (1, 3, 4, 5)


def test_a_grid_holds_every_picture_in_rows() -> None:
    pictures = to_pil(random_images(batch=3))

    sheet = grid(pictures, columns=2)

    assert sheet.size == (12 + 2 + 12, 8 + 2 + 8)
    assert sheet.crop((14, 0, 26, 8)).tobytes() == pictures[1].tobytes()
    assert sheet.crop((0, 10, 12, 18)).tobytes() == pictures[2].tobytes()


@pytest.mark.parametrize("prompt", ["a boat", "凍った川" * 100])
def test_a_png_keeps_its_pixels_and_its_prompt(tmp_path: Path, prompt: str) -> None:
    path = tmp_path / f"{prompt_to_filename(prompt)}.png"
    images = random_images(batch=1)

    save_png(path, images, prompt)

    picture = load_image(path)
    assert picture.tobytes() == to_pil(images)[0].tobytes()
    assert prompt_of(path, picture) == prompt


def test_a_png_without_a_prompt_is_known_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a_red_boat.png"

    save_png(path, random_images()[0])

    assert prompt_of(path, load_image(path)) == "a red boat"


def test_a_renamed_png_is_known_by_its_new_name(tmp_path: Path) -> None:
    path = tmp_path / "a_red_boat.png"

    save_png(path, random_images()[0], prompt="a blue cat")

    assert prompt_of(path, load_image(path)) == "a red boat"


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert to_png_bytes(random_images(), "a boat") == to_png_bytes(random_images(), "a boat")


def test_a_gif_has_every_frame_at_its_pace(tmp_path: Path) -> None:
    save_gif(tmp_path / "frames.gif", list(random_images(batch=4)), fps=10)

    with Image.open(tmp_path / "frames.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"]) == (4, (12, 8), 100)


def broken_pictures() -> dict[str, bytes]:
    png = to_png_bytes(random_images(1, 64, 64))
    return {"text": b"not a picture", "empty": b"", "truncated": png[: len(png) // 2]}


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "missing"])
def test_what_is_no_picture_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a_boat.png"
    if kind != "missing":
        path.write_bytes(broken_pictures()[kind])

    with pytest.raises(CourseError, match=r"a_boat\.png cannot be read as a picture"):
        load_image(path)


def png_of_16_bits(levels: np.ndarray, *, colour_type: int) -> bytes:
    """A PNG by hand, for PIL writes no colours of 16 bits; `levels` is (H, W, channels)."""
    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*pair) for pair in chunks)


def read_rgb(path: Path) -> np.ndarray:
    return np.asarray(to_rgb(read_any(path)))


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3)], ids=["grey", "rgb"])
def test_16_bits_a_channel_are_divided_down_and_not_clipped(
    tmp_path: Path, colour_type: int, channels: int
) -> None:
    levels = np.linspace(0, 65535, 9 * 12 * channels).reshape(9, 12, channels).round()
    path = tmp_path / "deep.png"
    path.write_bytes(png_of_16_bits(levels, colour_type=colour_type))

    np.testing.assert_allclose(read_rgb(path), np.broadcast_to(levels / 257, (9, 12, 3)), atol=1)


def test_a_portable_greymap_of_16_bits_is_divided_down_too(tmp_path: Path) -> None:
    path = tmp_path / "deep.pgm"
    path.write_bytes(b"P5 12 9 65535\n" + np.full(108, 32896, ">u2").tobytes())

    assert read_any(path).size == (12, 9)
    assert set(read_rgb(path).ravel()) == {128}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (12, 9), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 6, 9))
    picture.paste((0, 0, 0, 51 if mode != "P" else 0), (6, 0, 12, 9))
    picture.convert(mode).save(tmp_path / "glass.png")

    pixels = read_rgb(tmp_path / "glass.png")

    assert pixels[:, :6].max() == 0
    assert set(pixels[:, 6:].ravel()) == {204 if mode != "P" else 255}


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_fewer_colours_stay_what_they_are(tmp_path: Path, mode: str) -> None:
    picture = Image.new("L", (12, 9), 0)
    picture.paste(255, (0, 0, 6, 9))
    picture.convert(mode).save(tmp_path / "plain.png")

    pixels = read_rgb(tmp_path / "plain.png")

    assert pixels.shape == (9, 12, 3)
    assert (pixels[:, :6].min(), pixels[:, 6:].max()) == (255, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_as_its_exif_says(tmp_path: Path, orientation: int) -> None:
    upright = Image.new("RGB", (24, 16), "black")
    upright.paste("red", (0, 0, 8, 8))
    upright.paste("blue", (16, 8, 24, 16))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.png", exif=exif)

    np.testing.assert_array_equal(read_rgb(tmp_path / "photo.png"), np.asarray(upright))


def test_inks_become_the_colours_they_print(tmp_path: Path) -> None:
    for name, inks, colour in [
        ("cyan", (255, 0, 0, 0), (0, 255, 255)),
        ("black", (0, 0, 0, 255), (0, 0, 0)),
        ("paper", (0, 0, 0, 0), (255, 255, 255)),
    ]:
        for suffix in ("jpg", "tif"):
            path = tmp_path / f"{name}.{suffix}"
            Image.new("CMYK", (16, 8), inks).save(path)
            np.testing.assert_allclose(read_rgb(path), np.full((8, 16, 3), colour), atol=3)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_embedded_colour_profile_is_obeyed_and_a_damaged_one_is_not(
    tmp_path: Path, mode: str
) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    picture = Image.new("RGB", (12, 9), (200, 0, 0)).convert(mode)
    seen = {}
    for name, profile in {"none": None, "swapped": swapped, "damaged": swapped[:40]}.items():
        picture.save(tmp_path / f"{name}.png", icc_profile=profile)
        seen[name] = read_rgb(tmp_path / f"{name}.png")[0, 0]

    np.testing.assert_array_equal(seen["none"], (200, 0, 0))
    np.testing.assert_array_equal(seen["damaged"], (200, 0, 0))
    np.testing.assert_allclose(seen["swapped"], (0, 0, 200), atol=2)


def test_a_jpeg_is_decoded_at_a_fraction_of_its_size_where_that_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.new("RGB", (800, 400), "red").save(path)

    assert read_any(path).size == (800, 400)
    assert read_any(path, enough=100).size == (200, 100)
    assert read_any(path, enough=101).size == (400, 200)


def moving(kind: str) -> bytes:
    frames = [Image.new("RGB", (12, 9), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, format=kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_is_refused_by_the_number_of_its_frames(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "moving"
    path.write_bytes(moving(kind))

    with pytest.raises(CourseError, match=r"moving holds 2 pictures.* as a PNG file\."):
        read_any(path)


def test_a_still_gif_and_a_photograph_with_its_preview_are_read(tmp_path: Path) -> None:
    Image.new("RGB", (12, 9), "red").save(tmp_path / "still.gif")
    (tmp_path / "photo.jpg").write_bytes(moving("MPO"))

    for name in ("still.gif", "photo.jpg"):
        np.testing.assert_allclose(read_rgb(tmp_path / name)[0, 0], (255, 0, 0), atol=2)


@pytest.mark.parametrize("kind", ["text", "empty", "truncated"])
def test_a_damaged_file_of_any_origin_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a_boat.png"
    path.write_bytes(broken_pictures()[kind])

    with pytest.raises(CourseError, match=r"a_boat\.png cannot be read as a picture .*PNG or JPEG"):
        read_any(path)


def test_levels_without_a_known_white_are_refused(tmp_path: Path) -> None:
    Image.new("F", (12, 9), 0.5).save(tmp_path / "float.tif")
    Image.new("I", (12, 9), 70000).save(tmp_path / "deep.tif")

    with pytest.raises(CourseError, match="levels are floating-point numbers"):
        read_any(tmp_path / "float.tif")
    with pytest.raises(CourseError, match="levels have more than 16 bits"):
        read_any(tmp_path / "deep.tif")


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"^there is no file .*none\.png"):
        read_any(tmp_path / "none.png")
    with pytest.raises(CourseError, match="is a folder"):
        read_any(tmp_path)


def test_more_pixels_than_are_safe_are_refused_and_half_as_many_read_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (50, 40)).save(path)

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_any(path).size == (50, 40)
    assert not recwarn.list

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 999)
    with pytest.raises(CourseError, match=r"large\.png has too many pixels"):
        read_any(path)
