"""Opens picture files: HEIC too, and photographs of more pixels than fit into memory safely."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from distillery.core.errors import CourseError

SHARES = (8, 4, 2)  # what a JPEG's sides can be divided by while it is decoded
# Brands in the first box of ISO/IEC 23008-12 and of AVIF 1.1.
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
AVIF_BRANDS = {b"avif", b"avis"}
SEVERAL_VIEWS = ("MPO", "HEIF")  # the first picture is the photograph; previews follow it


@contextlib.contextmanager
def open_picture(
    path: Path, *, enough: int | None = None, most: int | None = None
) -> Iterator[Image.Image]:
    """A picture's file, open for reading.

    Args:
        path: a file of any kind that PIL reads, or of HEIC where pillow-heif is installed.
        enough: a JPEG may be decoded at a fraction of its size, neither side below this.
        most: pixels, by default the number from which on PIL refuses a picture. A JPEG of more is
            decoded at a fraction too, and a warning says so.

    Raises:
        CourseError: it has more than `most` pixels, or is HEIC or AVIF and cannot be read here.
        OSError: it cannot be opened; so may other errors of PIL's.
    """
    most = 2 * (Image.MAX_IMAGE_PIXELS or 0) if most is None else most
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = _opened(path, most)
    with image:
        _reduce(image, path, enough, most)
        yield image


def _opened(path: Path, most: int) -> Image.Image:
    kind = _newer_kind(path)
    if kind == "HEIC":
        _learn_heic(path)
    try:
        return Image.open(path)
    except Image.DecompressionBombError:
        with open(path, "rb") as file:
            if file.read(2) != b"\xff\xd8":
                raise CourseError(_too_many(path, most)) from None
        return JpegImageFile(path)
    except Image.UnidentifiedImageError as error:
        if kind:
            raise CourseError(
                f"{path} is a damaged {kind} picture, or of a sort that cannot be read here; "
                "save it again as a JPEG or PNG file."
            ) from error
        raise


def _newer_kind(path: Path) -> str:
    """ "HEIC", "AVIF" or nothing: phones save them, also under names that end in .jpg."""
    with open(path, "rb") as file:
        start = file.read(64)
    if start[4:8] != b"ftyp":
        return ""
    end = min(int.from_bytes(start[:4], "big"), len(start))
    brands = {start[8:12], *(start[at : at + 4] for at in range(16, end, 4))}
    if brands & AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & HEIC_BRANDS else ""


def _learn_heic(path: Path) -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise CourseError(
            f"{path} is a HEIC picture, as phones take them; save it as a JPEG file, or run "
            '`python -m pip install "pillow-heif>=1"` to have HEIC read.'
        ) from None
    register_heif_opener()


def _reduce(image: Image.Image, path: Path, enough: int | None, most: int) -> None:
    """Have a JPEG decoded at the fraction of its size that is wanted."""
    width, height = image.size
    pixels, is_jpeg = width * height, image.format in ("JPEG", "MPO")
    by = 1
    if enough is not None:
        by = next((share for share in SHARES if min(width, height) >= share * enough), 1)
    if pixels > most:
        least = math.sqrt(pixels / most)
        fitting = [share for share in SHARES if share >= least]
        if not is_jpeg or not fitting:
            raise CourseError(_too_many(path, most))
        by = max(by, min(fitting))
        warnings.warn(
            f"{path} has {pixels / 10**6:,.0f} million pixels, more than "
            f"{most / 10**6:,.0f}; it is read at 1/{by} of its width and height.",
            stacklevel=5,
        )
    if is_jpeg and by > 1:
        image.draft(None, (width // by, height // by))


def _too_many(path: Path, most: int) -> str:
    return (
        f"{path} has too many pixels to be read safely, more than {most / 10**6:,.0f} million; "
        "scale it down."
    )
