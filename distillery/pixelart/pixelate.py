"""A folder of pictures as pixel art in one palette: `python main.py morph --pixelate FOLDER`.

Pixel Giffusion's ImagePixelate is a program of its own with the same numbers (factor 6, upscale 6,
palette 10, depth 1), and gives every picture another palette.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from distillery.core.cells import enlarged_cells
from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.core.folders import files_of
from distillery.core.gif import LONGEST_SIDE
from distillery.core.images import from_pil, read_any, to_png_bytes
from distillery.core.names import name_key
from distillery.core.picture_file import HEIC_SUFFIXES
from distillery.methods.morph import MorphFunctions
from distillery.palettes.colours import checked
from distillery.pixelart.frame_grid import cropped, on_grid
from distillery.pixelart.indexed_png import indexed
from distillery.pixelart.input_picture import opaque_means
from distillery.pixelart.sequence import Dithering, check_count, indices_of, palette_of

STAGE = 3  # times a side, from one stage of the reduction to the next


def pixelate_folder(
    folder: Path,
    out: Path,
    functions: MorphFunctions,
    *,
    factor: int = 6,
    upscale: int = 6,
    palette: Tensor | int = 10,
    depth: int = 1,
    dithering: Dithering = "none",
    seed: int = 0,
) -> list[Path]:
    """Write every picture of a folder as an indexed PNG; returns the files, in order of name.

    Pictures may be of different sizes. What is transparent stays so, and its colour gets into no
    cell. Of pixel art that was enlarged, its own cells count and not `factor`, unless that is a
    multiple of their side; where it is not, a warning says so. Nothing is written unless all
    pictures can be read.

    Args:
        folder: its files with a picture's suffix count, not those of folders in it.
        out: another folder, made if it is missing; a.jpg becomes a.png.
        functions: the student's module, or the reference.
        factor: a cell is a square of so many pixels of a picture.
        upscale: and so many of the PNG.
        palette: colours (K, 3) in [0, 1], or how many to find over all pictures.
        depth: in how many stages a picture is reduced. More than one melt small things away.
        dithering: "none", or "bayer".
        seed: of the search for a palette.

    Raises:
        CourseError: the folder or a picture cannot be used, a number or the palette leaves its
            range, or a file cannot be written.
    """
    for name, value in (("factor", factor), ("upscale", upscale)):
        if not 1 <= value <= 64:
            raise CourseError(f"{name} must be 1 to 64; it was {value}.")
    if not 1 <= depth <= 4:
        raise CourseError(f"depth must be 1 to 4 stages; it was {depth}.")
    check_count(palette if isinstance(palette, int) else len(palette))
    files = _named(_pictures_in(Path(folder)), Path(out))
    cells = {file: _cells(file, factor, depth, upscale) for file in files}
    if isinstance(palette, int):
        seen = [small[:, :, ~clear] for small, clear in cells.values()]
        generator = torch.Generator().manual_seed(seed)
        colours = palette_of(
            torch.cat(seen, dim=2)[:, :, None], palette, functions, generator=generator
        )
    else:
        colours = checked(palette)
    for file, (small, clear) in cells.items():
        (indices,) = indices_of(small, colours, functions, dithering=dithering, margin=0.0)
        picture = indexed(indices, colours, clear if clear.any() else None)
        size = (upscale * picture.width, upscale * picture.height)
        whole = picture.resize(size, Image.Resampling.NEAREST)
        atomic_write(files[file], to_png_bytes(whole))
    return list(files.values())


def _pictures_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CourseError(f"there is no folder {folder}; name one that holds pictures.")
    known = {suffix for suffix, its in Image.registered_extensions().items() if its in Image.OPEN}
    known |= set(HEIC_SUFFIXES)
    files = files_of(folder.iterdir(), known, under=folder)
    if not files:
        raise CourseError(f"{folder} holds no pictures; name a folder that does.")
    return files


def _named(files: list[Path], out: Path) -> dict[Path, Path]:
    """Each picture's file in `out`."""
    if out.resolve() == files[0].parent.resolve():
        raise CourseError(f"{out} holds the pictures themselves; write into another folder.")
    sources = defaultdict(list)
    for file in files:
        sources[name_key(file.stem)].append(file.name)
    for names in sources.values():
        if len(names) > 1:
            stem = Path(names[0]).stem
            raise CourseError(f"{' and '.join(names)} would both become {stem}.png; rename one.")
    return {file: out / f"{file.stem}.png" for file in files}


def _cells(file: Path, factor: int, depth: int, upscale: int) -> tuple[Tensor, Tensor]:
    """A picture on its grid, (1, 3, h, w), and which cells are transparent, bool (h, w)."""
    picture, factor = _art(file, factor)
    width, height = (side // factor for side in picture.size)
    if not (width and height):
        raise CourseError(
            f"{file} is {picture.width} x {picture.height} pixels, smaller than a cell of "
            f"{factor} x {factor}; lower factor."
        )
    if upscale * max(width, height) > LONGEST_SIDE:
        raise CourseError(
            f"{file} would become more than {LONGEST_SIDE} pixels wide or high; lower upscale or "
            "raise factor."
        )
    clear = torch.zeros(height, width, dtype=torch.bool)
    small = from_pil(picture.convert("RGB"))
    if picture.mode == "RGBA":
        alpha = (from_pil(picture.getchannel("A"))[:, :1] + 1) / 2
        small, alpha = (cropped(part, (height, width)) for part in (small, alpha))
        means, clear = opaque_means(small, alpha, (height, width))
        fill = functional.interpolate(means, small.shape[-2:], mode="nearest-exact")
        small = alpha * small + (1 - alpha) * fill
    for stage in range(depth - 1, -1, -1):
        size = (height * STAGE**stage, width * STAGE**stage)
        if size[0] <= small.shape[2] and size[1] <= small.shape[3]:
            small = on_grid(small, size)
    return small, clear


def _art(file: Path, factor: int) -> tuple[Image.Image, int]:
    """A picture, and the side of a cell in its pixels; of enlarged pixel art, its own cells."""
    picture = read_any(file)
    art = enlarged_cells(picture)
    if art is None:
        return picture, factor
    if factor % art.side:
        warnings.warn(
            f"{art.words(file)}: each is kept, instead of a factor of {factor}.", stacklevel=4
        )
        return art.picture, 1
    return art.picture, factor // art.side
