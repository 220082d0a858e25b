"""Figures of stage 7: films that play, frames in rows, steps along a path, pixels that change."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from distillery.core.errors import CourseError, in_short
from distillery.core.images import enlarged, to_pil
from distillery.notebook.whole_titles import with_whole_titles
from distillery.palettes.colours import srgb_to_oklab
from distillery.pixelart.frame_grid import deviation
from distillery.pixelart.sequence import STILL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = 9.6  # inches of a figure
GAP, ABOVE, LEFT = 0.05, 0.26, 1.15  # inches between tiles, for their titles, for names of rows
LETTERS = 16  # that fit beside a row
SIDE = 192  # pixels, about, of a film that plays


@dataclass(frozen=True)
class Playing:
    """Films side by side, each under its name, as a notebook shows them.

    files: name -> an animated picture, PNG or GIF.
    sides: name -> its width and height on the page, in pixels.
    """

    files: Mapping[str, bytes]
    sides: Mapping[str, tuple[int, int]]

    def _repr_html_(self) -> str:
        return f'<div style="display:flex;gap:12px;flex-wrap:wrap">{"".join(self._films())}</div>'

    def __repr__(self) -> str:
        return f"films: {', '.join(self.files)}"

    def _films(self) -> list[str]:
        films = []
        for name, file in self.files.items():
            kind = "gif" if file.startswith(b"GIF8") else "png"
            data = base64.b64encode(file).decode()
            width, height = self.sides[name]
            told = html.escape(name)
            films.append(
                '<figure style="margin:0">'
                f'<img src="data:image/{kind};base64,{data}" alt="{told}" '
                f'width="{width}" height="{height}" style="image-rendering:pixelated">'
                f"<figcaption>{told}</figcaption></figure>"
            )
        return films


def playing(films: Mapping[str, Tensor], *, fps: float = 8) -> Playing:
    """Films that play for ever, each in exactly its own colours.

    Args:
        films: name -> frames (F, 3, H, W) in [-1, 1].
        fps: frames a second.

    Raises:
        CourseError: there is no film, or one without frames.
    """
    if not films or any(not len(frames) for frames in films.values()):
        raise CourseError("there is nothing to play: give at least one frame of each film.")
    files, sides = {}, {}
    for name, frames in films.items():
        first, *others = to_pil(frames)
        buffer = io.BytesIO()
        first.save(
            buffer,
            format="PNG",
            save_all=True,
            append_images=others,
            duration=1000 / fps,
            loop=0,
        )
        files[name], sides[name] = buffer.getvalue(), enlarged(first, SIDE).size
    return Playing(files, sides)


def played(file: Path) -> Playing:
    """A GIF or an animated PNG from the disk, as it is.

    Raises:
        CourseError: it cannot be read as a picture.
    """
    try:
        data = file.read_bytes()
        with Image.open(io.BytesIO(data)) as picture:
            side = enlarged(picture.convert("RGB"), SIDE).size
    # PIL fails on damaged files in its own ways.
    except Exception as error:
        raise CourseError(f"{file} cannot be played ({in_short(error)}); make it again.") from error
    return Playing({file.name: data}, {file.name: side})


def strips(rows: Mapping[str, Tensor], titles: Mapping[str, Sequence[str]] | None = None) -> Figure:
    """Rows of pictures, each beside its name; every pixel is a square.

    Args:
        rows: name -> images (B, 3, H, W) in [-1, 1].
        titles: name of a row -> what stands above each of its pictures.

    Raises:
        CourseError: there is no picture.
    """
    from matplotlib import pyplot

    if not rows or any(not len(images) for images in rows.values()):
        raise CourseError("there are no pictures to show: give at least one in each row.")
    titles = titles or {}
    most = max(len(images) for images in rows.values())
    wide = min(1.3, (WIDE - LEFT) / most - GAP)
    tall = {name: wide * images.shape[2] / images.shape[3] for name, images in rows.items()}
    above = {name: ABOVE if name in titles else GAP for name in rows}
    height = sum(tall.values()) + sum(above.values())
    figure = pyplot.figure(figsize=(WIDE, height), dpi=110)
    top = height
    for name, images in rows.items():
        top -= above[name] + tall[name]
        figure.text(
            0, (top + tall[name] / 2) / height, fill(name, LETTERS), fontsize=9, va="center"
        )
        for place, picture in enumerate(to_pil(images)):
            left = LEFT + place * (wide + GAP)
            axes = figure.add_axes((left / WIDE, top / height, wide / WIDE, tall[name] / height))
            axes.imshow(enlarged(picture), interpolation="antialiased")
            axes.set(xticks=[], yticks=[], frame_on=False)
            if name in titles:
                axes.set_title(titles[name][place], fontsize=8, pad=2)
    pyplot.close(figure)
    return with_whole_titles(figure)


def steps_drawn(panels: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """How far each frame is from the next along a path: a panel for each way, one scale for all.

    Args:
        panels: title -> name of a film -> its steps (F - 1,).
    """
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(WIDE, 2.6), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, films) in zip(grid, panels.items(), strict=True):
        for name, sizes in films.items():
            middles = (torch.arange(len(sizes)) + 0.5) / len(sizes)
            axes.plot(middles.tolist(), sizes.tolist(), marker=".", label=name)
        axes.set_title(title, fontsize=9)
        axes.set(xlabel="way from the first keyframe to the second", ylim=(0, None))
        axes.grid(alpha=0.3)
    grid[0].set_ylabel("step to the next frame")
    grid[0].legend(fontsize=8)
    pyplot.close(figure)
    return with_whole_titles(figure)


def pixel_steps(frames: Tensor) -> Tensor:
    """How far each of the frames (F, 3, H, W) is from the next: root mean square, (F - 1,)."""
    return frames.detach().cpu().diff(dim=0).square().mean((1, 2, 3)).sqrt()


def evenness(steps: Tensor) -> float:
    """The largest of the steps (N,) over their mean; 1 where all are alike."""
    return float(steps.max() / steps.mean().clamp(min=1e-12))


def chroma(frames: Tensor) -> Tensor:
    """How colourful each of the frames (F, 3, H, W) is: the mean chroma in OKLab, (F,)."""
    lab = srgb_to_oklab((frames.detach().cpu().movedim(1, -1).clamp(-1, 1) + 1) / 2)
    return lab[..., 1:].norm(dim=-1).mean((1, 2))


def sharpness(frames: Tensor) -> Tensor:
    """The mean absolute step between neighbouring pixels of each frame (F, 3, H, W), (F,)."""
    frames = frames.detach().cpu()
    across, down = frames.diff(dim=3).abs(), frames.diff(dim=2).abs()
    return across.mean((1, 2, 3)) + down.mean((1, 2, 3))


def psnr(images: Tensor, wanted: Tensor) -> float:
    """Peak signal-to-noise ratio of images (B, 3, H, W) in [-1, 1], in dB."""
    error = (images.detach() - wanted).square().mean() / 4
    return float(-10 * error.clamp(min=1e-12).log10())


def within_cells(images: Tensor, cell: int) -> float:
    """How much pixels differ from the mean of their cell of `cell` × `cell`, in a range of 1.

    It is the root mean square over images (B, 3, H, W) in [-1, 1]; 0 where every cell is flat.
    """
    images = images.detach()
    return deviation(images, functional.avg_pool2d(images, cell))


def restless(frames: Tensor, indices: Tensor) -> Tensor:
    """Where pixels change their colour though they stand still.

    A pixel stands still from one frame to the next where its colour moves by at most 0.005 in OKLab
    before any palette.

    Args:
        frames: (F, 3, h, w) in [-1, 1] before any palette.
        indices: of the palette's colours, int64 (F, h, w).

    Returns:
        Share of the F - 1 steps at which each pixel does so, (h, w).
    """
    pixels = srgb_to_oklab((frames.movedim(1, -1) + 1) / 2)
    still = pixels.diff(dim=0).norm(dim=-1) <= STILL
    return (still & (indices.diff(dim=0) != 0)).float().mean(0)


def errors_passed_on(frames: Tensor, palette: Tensor) -> Tensor:
    """Frames in a palette's colours, each pixel's error passed on to its neighbours, by Pillow.

    Floyd and Steinberg 1976. Each frame by itself.

    Args:
        frames: (F, 3, h, w) in [-1, 1].
        palette: (K, 3), sRGB in [0, 1].

    Returns:
        Numbers of colours, int64 (F, h, w).
    """
    colours = Image.new("P", (1, 1))
    colours.putpalette((palette * 255).round().to(torch.uint8).flatten().tolist())
    indices = [
        frame.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
        for frame in to_pil(frames)
    ]
    return torch.stack([torch.from_numpy(np.array(one)).long() for one in indices])


def measured_table(path: Path) -> str:
    """What `python -m benchmarks.morph --json PATH` has measured: means over films, a line a way.

    Raises:
        CourseError: the file is missing or damaged.
    """
    try:
        films = json.loads(path.read_text(encoding="utf-8"))["films"]
        ways = {film["way"]: [one for one in films if one["way"] == film["way"]] for film in films}
        lines = [_measured(way, its) for way, its in ways.items()]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CourseError(f"{path} is missing or damaged; fetch it again.") from error
    head = "                                  largest step over the mean      middle third"
    parts = (
        "way                        films    features   pixels    one thing    sharpness   drawn"
    )
    return "\n".join([head, parts, *lines])


def _measured(way: str, films: Sequence[Mapping[str, float]]) -> str:
    features, pixels, thing, sharp, drawn = (
        fmean(film[key] for film in films)
        for key in ("features", "pixels", "thing", "sharp", "drawn")
    )
    return (
        f"{way:26}{len(films):6}{features:12.1f}{pixels:9.1f}{thing:13.0%}{sharp:13.2f}{drawn:7.0f}"
    )
