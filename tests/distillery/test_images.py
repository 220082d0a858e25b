from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from distillery.errors import CourseError
from distillery.files import prompt_to_filename
from distillery.images import (
    from_pil,
    grid,
    load_image,
    prompt_of,
    save_gif,
    save_png,
    to_pil,
    to_png_bytes,
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
