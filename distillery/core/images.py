"""Pictures between tensors, PIL and files.

Tensors are float32 `(B, 3, H, W)` in [-1, 1]. What is shown or saved may be a tensor, of which a
batch becomes a contact sheet, or a PIL image.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin
from torch import Tensor

from distillery.core.colour_profile import in_srgb
from distillery.core.errors import CourseError, in_short
from distillery.core.files import atomic_write, filename_to_prompt, prompt_to_filename
from distillery.core.names import without_number
from distillery.core.picture_file import SEVERAL_VIEWS, open_picture

Picture = Tensor | Image.Image

SHOWN_SIDE = 512  # pixels, about, of an enlarged picture


def to_pil(images: Tensor) -> list[Image.Image]:
    """Turn images `(B, 3, H, W)` in [-1, 1] into 8-bit RGB; values outside are clamped."""
    levels = ((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    arrays = levels.permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(np.ascontiguousarray(array)) for array in arrays]


def from_pil(image: Image.Image, size: tuple[int, int] | None = None) -> Tensor:
    """Turn a PIL image into `(1, 3, H, W)` in [-1, 1].

    With `size = (H, W)` it is resized to fill that frame and cropped about its centre, so nothing
    is squashed.
    """
    image = image.convert("RGB")
    if size is not None:
        image = fit(image, size)
    levels = torch.from_numpy(np.asarray(image, dtype=np.float32).copy())
    return (levels / 127.5 - 1).permute(2, 0, 1)[None]


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize to fill the frame `size` (H, W), and crop about the centre what then sticks out."""
    if image.size == size[::-1]:
        return image
    return ImageOps.fit(image, size[::-1], Image.Resampling.LANCZOS)


def grid(images: Tensor | Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """Lay out images of one size in rows of `columns` (default: nearly square), 2 pixels apart."""
    tiles = to_pil(images) if isinstance(images, Tensor) else list(images)
    columns = min(columns or math.ceil(math.sqrt(len(tiles))), len(tiles))
    rows, gap = math.ceil(len(tiles) / columns), 2
    width, height = tiles[0].size
    sheet = Image.new(
        "RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), color="white"
    )
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (column * (width + gap), row * (height + gap)))
    return sheet


def enlarged(picture: Image.Image, side: int = SHOWN_SIDE) -> Image.Image:
    """Every pixel as a square of whole pixels, the longer side about `side`."""
    factor = max(1, round(side / max(picture.size)))
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST)


def to_png_bytes(picture: Picture, prompt: str | None = None) -> bytes:
    """Encode a picture as PNG; `prompt` goes into the text chunk "prompt"."""
    text = PngImagePlugin.PngInfo()
    if prompt is not None:
        text.add_text("prompt", prompt)
    buffer = io.BytesIO()
    _one_image(picture).save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()


def save_png(path: Path, picture: Picture, prompt: str | None = None) -> None:
    """Write a PNG, whole or not at all; raises `CourseError` where that is impossible."""
    atomic_write(path, to_png_bytes(picture, prompt))


def save_gif(path: Path, frames: Sequence[Picture], fps: float) -> None:
    """Write an endless GIF of at least one frame; raises `CourseError` where that is impossible."""
    first, *rest = [_one_image(frame) for frame in frames]
    buffer = io.BytesIO()
    first.save(
        buffer, format="GIF", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0
    )
    atomic_write(path, buffer.getvalue())


def load_image(path: Path) -> Image.Image:
    """Read a picture as RGB in sRGB, over white, its "prompt" chunk kept in `.info`.

    Raises:
        CourseError: the file is missing, is not a picture, or is cut short.
    """
    try:
        return to_rgb(read_any(path))
    except CourseError as error:
        raise CourseError(
            f"{path} cannot be read as a picture: it is missing, cut short or of another kind; "
            "remove it or make it again."
        ) from error


def read_any(path: Path, *, enough: int | None = None, most: int | None = None) -> Image.Image:
    """Read a picture that came from anywhere: upright, in sRGB, 8 bits a channel, RGB or RGBA.

    Its `info` and its `format` are kept, except for the profile, which has been obeyed.

    Args:
        path: a file of any kind that PIL reads, or of HEIC where pillow-heif is installed.
        enough: a JPEG may be decoded at a fraction of its size, neither side below this.
        most: pixels, by default about 179 million. A JPEG of more is decoded at a fraction of its
            size, and a warning says so.

    Raises:
        CourseError: the file is missing, a folder, no picture, damaged, animated, or too large.
    """
    with open_any(path, enough=enough, most=most) as image:
        return _decoded(image, str(path))


def read_indexed(path: Path, *, most: int | None = None) -> Image.Image | None:
    """Read an indexed picture as it is, mode P, upright and its palette in sRGB.

    None stands for a picture that is not indexed.

    Raises:
        CourseError: as `read_any`.
    """
    with open_any(path, most=most) as image:
        if image.mode != "P":
            _decoded(image, str(path))
            return None
        check_is_still(image, str(path))
        indexed = ImageOps.exif_transpose(image)
        rows = bytes(indexed.getpalette("RGB") or [])
        strip = Image.frombytes("RGB", (len(rows) // 3, 1), rows)
        strip.info["icc_profile"] = indexed.info.pop("icc_profile", None)
        indexed.putpalette(in_srgb(strip).tobytes())
        return indexed


def opened(image: Image.Image, name: str) -> Image.Image:
    """What `read_any` gives of a picture that is open already; `name` is what a sentence calls it.

    Raises:
        CourseError: it is damaged or animated.
    """
    with _in_a_sentence(name):
        return _decoded(image, name)


@contextlib.contextmanager
def open_any(
    path: Path, *, enough: int | None = None, most: int | None = None
) -> Iterator[Image.Image]:
    """A picture's file as PIL opens it, for what `read_any` gives up: palette rows and labels.

    Raises:
        CourseError: as `read_any`.
    """
    if os.path.isdir(path):
        raise CourseError(f"{path} is a folder; give the path of one picture.")
    # Path.exists raises where a folder may not be entered.
    if not os.path.exists(path):
        raise CourseError(f"there is no file {path}; give the path of a picture.")
    with _in_a_sentence(path), open_picture(path, enough=enough, most=most) as image:
        yield image


@contextlib.contextmanager
def _in_a_sentence(name: Path | str) -> Iterator[None]:
    try:
        yield
    except CourseError:
        raise
    except MemoryError as error:
        raise CourseError(f"{name} does not fit into memory; scale it down.") from error
    # Every format of PIL has its own ways to fail on a damaged file.
    except Exception as error:
        raise CourseError(
            f"{name} cannot be read as a picture ({in_short(error)}); "
            "save it again as a PNG or JPEG file."
        ) from error


def _decoded(image: Image.Image, name: str) -> Image.Image:
    check_is_still(image, name)
    upright = ImageOps.exif_transpose(image)
    made = in_srgb(_in_8_bits(upright))
    made.format = image.format
    return made


def check_is_still(image: Image.Image, name: str) -> None:
    """Refuse an animation, or pages; `name` is what a sentence calls it.

    Raises:
        CourseError: the file holds more than one picture.
    """
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in SEVERAL_VIEWS:
        raise CourseError(
            f"{name} holds {frames} pictures, an animation or pages; "
            "save the one that is meant as a PNG file."
        )


def _in_8_bits(image: Image.Image) -> Image.Image:
    """In mode L, LA, RGB, RGBA, CMYK or LAB, with the same `info`."""
    if image.mode == "F":
        raise ValueError("its levels are floating-point numbers")
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.mode in ("LA", "LAB", "CMYK"):
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    # PIL's own conversion clips: all but the darkest 256 of 65,536 levels would turn white.
    levels = np.asarray(image).astype(np.int64)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError("its levels have more than 16 bits")
    made = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        made.putalpha(Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8)))
    made.info = dict(image.info)
    return made


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture of 8 bits into sRGB, by its profile if it has one, over white."""
    image = in_srgb(_in_8_bits(image))
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        flat = Image.alpha_composite(white, image).convert("RGB")
        flat.info = dict(image.info)
        return flat
    return image


def prompt_of(path: Path, picture: Image.Image) -> str:
    """The prompt of the `picture` read from `path`: its text chunk where the file's name agrees.

    A picture without one, or one that was renamed, is known by its name.

    Raises:
        CourseError: the name does not hold a whole prompt, or is not text.
    """
    noted, stem = picture.info.get("prompt"), Path(path).stem
    if isinstance(noted, str) and prompt_to_filename(noted) == without_number(stem):
        return noted
    prompt = filename_to_prompt(stem)
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise CourseError(f"the file name {stem!r} is not text in UTF-8; rename it.") from error
    return prompt


def _one_image(picture: Picture) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    if picture.ndim == 3:
        return to_pil(picture[None])[0]
    return to_pil(picture)[0] if len(picture) == 1 else grid(picture)
