"""The grid before the first step, and the input pictures of the ControlNets."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from distillery.core.cells import enlarged_cells
from distillery.core.errors import CourseError
from distillery.core.images import read_any, read_indexed
from distillery.models.presets import find_preset, suits
from distillery.models.prior import Control, Prior
from distillery.palettes import (
    Space,
    dither,
    load_palette,
    nearest,
    oklab_to_srgb,
    srgb_to_oklab,
)
from distillery.palettes.colours import checked
from distillery.palettes.matching import distinct_colours, distinct_in_8_bits
from distillery.pixelart.clip_choice import favourite
from distillery.pixelart.indexed_png import check_rows, indexed
from distillery.pixelart.input_picture import OPAQUE, read_input
from distillery.pixelart.kept_picture import misfit, refined
from distillery.pixelart.method import PixelMethod
from distillery.pixelart.settings import PixelSettings

KMEANS_STARTS, KMEANS_STEPS = 4, 100


@dataclass(frozen=True)
class Start:
    """Where a run begins.

    logits:  (1, K, h, w).
    palette: (K, 3), sRGB in [0, 1].
    picture: what the grid was made from, (1, 3, H, W) in [-1, 1] at the canvas's size, or None.
    clear:   (h, w) bool, the cells that stay transparent, or None.
    """

    logits: Tensor
    palette: Tensor
    picture: Tensor | None = None
    clear: Tensor | None = None


def begin(
    prior: Prior, method: PixelMethod, settings: PixelSettings, *, generator: torch.Generator
) -> Start:
    """The start that the settings ask for, on the prior's device.

    Args:
        method: with `logits_from_image` and `kmeans_step`.

    Raises:
        CourseError: the input image or the palette cannot be used.
    """
    if settings.start == "noise":
        return _from_noise(settings, generator)
    if settings.start == "painted":
        return _from_painting(settings, prior.device)
    if settings.start == "image":
        given = read_input(settings)
        clear = None if given.clear is None else given.clear.to(prior.device)
        picture, small = given.picture.to(prior.device), given.small.to(prior.device)
        return _from_picture(picture, small, clear, method, settings, generator)
    starts = [
        _from_drawing(drawing[None], method, settings, generator)
        for drawing in _drawings(prior, settings, generator)
    ]
    grids = [indexed(start.logits.argmax(dim=1)[0], start.palette) for start in starts]
    return starts[favourite(grids, settings, device=prior.device)]


def check(settings: PixelSettings) -> None:
    """Read the palette and the picture that the settings name, before any model is loaded.

    Raises:
        CourseError: one of them cannot be used.
    """
    if settings.start == "painted":
        _from_painting(settings, torch.device("cpu"))
        return
    clear = None
    if settings.start == "image":
        clear = read_input(settings).clear
    elif settings.input_image:
        read_any(Path(settings.input_image))
    if settings.palette:
        check_rows(load_palette(settings.palette), clear)
    elif settings.colours + (clear is not None) > 256:
        raise CourseError("colours must be 255 at most where the picture stays transparent.")


def _from_drawing(
    drawing: Tensor, method: PixelMethod, settings: PixelSettings, generator: torch.Generator
) -> Start:
    small = F.interpolate(drawing, settings.size, mode="area")
    return _from_picture(drawing, small, None, method, settings, generator)


def _from_picture(
    picture: Tensor,
    small: Tensor,
    clear: Tensor | None,
    method: PixelMethod,
    settings: PixelSettings,
    generator: torch.Generator,
) -> Start:
    palette = _palette(small, clear, method, settings, generator)
    if not settings.prompt:
        if not settings.palette:
            palette = refined(picture, palette, settings.size, clear)
        fit = _sure(-misfit(picture, palette, settings.size))
        return Start(fit, palette, picture, clear)
    return Start(_filled(picture, small, palette, method, settings), palette, picture, clear)


def _palette(
    small: Tensor,
    clear: Tensor | None,
    method: PixelMethod,
    settings: PixelSettings,
    generator: torch.Generator,
) -> Tensor:
    if settings.palette:
        return load_palette(settings.palette).to(small.device)
    if clear is not None and not clear.all():  # no colour for what nobody sees
        small = small[:, :, ~clear][:, :, None]
    return fitted_palette(small, settings.colours, method, generator)


def fitted_palette(
    small: Tensor, colours: int, method: PixelMethod, generator: torch.Generator
) -> Tensor:
    """K colours for the pixels of a picture (1, 3, h, w), dark to light, (K, 3) exact in 8 bits.

    The best of four K-means in OKLab, each begun by k-means++ (Arthur and Vassilvitskii 2007) and
    led on by `method.kmeans_step`.

    Raises:
        CourseError: the picture has fewer colours.
    """
    distinct = distinct_colours(small)
    if len(distinct) < colours:
        raise CourseError(
            f"the picture has fewer than {colours} different colours; ask for fewer with "
            "the setting colours, or name a palette."
        )
    pixels = srgb_to_oklab((small[0].flatten(1).T + 1) / 2)
    ends = [
        _converged(pixels, _plus_plus(pixels, colours, generator), method)
        for _ in range(KMEANS_STARTS)
    ]
    centres = min(ends, key=lambda c: float(torch.cdist(pixels, c).amin(dim=1).square().sum()))
    palette = distinct_in_8_bits(oklab_to_srgb(centres).cpu(), distinct)
    return palette[srgb_to_oklab(palette)[:, 0].argsort()].to(small.device)


def _plus_plus(pixels: Tensor, colours: int, generator: torch.Generator) -> Tensor:
    chances = torch.ones(len(pixels), device=pixels.device)
    centres = pixels[:0]
    for _ in range(colours):
        chosen = torch.multinomial(chances, 1, generator=generator)
        centres = torch.cat([centres, pixels[chosen]])
        chances = torch.cdist(pixels, centres).amin(dim=1).square() + 1e-12
    return centres


def _converged(pixels: Tensor, centres: Tensor, method: PixelMethod) -> Tensor:
    for _ in range(KMEANS_STEPS):
        moved = method.kmeans_step(pixels, centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def _filled(
    picture: Tensor,
    small: Tensor,
    palette: Tensor,
    method: PixelMethod,
    settings: PixelSettings,
) -> Tensor:
    space: Space = "oklab" if settings.perceptual else "srgb"
    if settings.fill == "dithered":
        return _sure(F.one_hot(dither(small, palette), len(palette)).movedim(3, 1).float())
    if settings.fill == "nearest":
        labels = nearest(picture, palette, space=space)
        # One colour after another: all at once would be as many pictures of the canvas's size.
        votes = [
            F.interpolate((labels == k).float()[:, None], settings.size, mode="area")
            for k in range(len(palette))
        ]
        return _sure(torch.cat(votes, dim=1))
    if settings.perceptual:
        # The function of the student compares plain numbers; these are in OKLab.
        lab = srgb_to_oklab((small.movedim(1, 3) + 1) / 2).movedim(3, 1)
        return method.logits_from_image(2 * lab - 1, srgb_to_oklab(palette))
    return method.logits_from_image(small, palette)


def _sure(votes: Tensor) -> Tensor:
    """Logits (B, K, h, w) from votes for colours: the same mean and length in every pixel."""
    votes = votes - votes.mean(dim=1, keepdim=True)
    length = votes.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return votes.shape[1] ** 0.5 * votes / length


def _from_noise(settings: PixelSettings, generator: torch.Generator) -> Start:
    palette = load_palette(settings.palette).to(generator.device)
    shape = (1, len(palette), *settings.size)
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return Start(_sure(noise), palette)


def _from_painting(settings: PixelSettings, device: torch.device) -> Start:
    """A painted grid is an indexed PNG of the grid's own size."""
    path = Path(settings.input_image)
    height, width = settings.size
    painting = read_indexed(path)
    shown = read_any(path) if painting is None else painting
    found = None if shown.size == (width, height) else enlarged_cells(shown)
    if painting is not None and found is not None:
        warnings.warn(f"{found.words(path)}: each becomes one of the grid.", stacklevel=3)
        painting = found.picture
    if painting is None or painting.size != (width, height):
        raise CourseError(
            f"a painted start is an indexed PNG of {width} x {height} pixels, the grid's size; "
            f"{path} is {shown.mode}, {shown.width} x {shown.height}: save it from "
            "the painter, or set the size."
        )
    rows = torch.from_numpy(np.array(painting)).long()
    colours, opaque = _rows_of(painting)
    if int(rows.max()) >= len(colours):
        raise CourseError(f"{path} uses a colour that its palette lacks; save it again.")
    clear = ~opaque[rows]
    indices = (opaque.cumsum(0) - 1)[rows]  # of the palette without its transparent rows
    palette = load_palette(settings.palette) if settings.palette else colours[opaque]
    palette = checked(palette, what=f"the palette of {path}")
    check_rows(palette, clear if settings.transparent else None)
    if clear.any():
        white = nearest(torch.ones(1, 3, 1, 1), palette, space="oklab").item()
        indices = indices.masked_fill(clear, int(white))
    if int(indices.max()) >= len(palette):
        raise CourseError(
            f"{path} uses colour number {int(indices.max()) + 1}, but the palette has "
            f"{len(palette)}; name the palette that it was painted with."
        )
    palette, indices, clear = palette.to(device), indices.to(device), clear.to(device)
    votes = F.one_hot(indices, len(palette)).movedim(2, 0)[None].float()
    flat = 2 * palette[indices].movedim(2, 0)[None] - 1
    seen = flat.masked_fill(clear, 1.0)
    picture = F.interpolate(seen, settings.canvas, mode="nearest")
    keeps = settings.transparent and bool(clear.any())
    return Start(_sure(votes), palette, picture, clear if keeps else None)


def _rows_of(painting: Image.Image) -> tuple[Tensor, Tensor]:
    """The colours (K, 3) of an indexed picture, and which of them are opaque, bool (K,)."""
    levels = np.array(painting.getpalette(), np.float32).reshape(-1, 3) / 255
    alphas = torch.full((len(levels),), 255)
    clear = painting.info.get("transparency")
    if isinstance(clear, int) and clear < len(alphas):
        alphas[clear] = 0
    elif isinstance(clear, bytes):
        known = torch.tensor(list(clear[: len(alphas)]), dtype=alphas.dtype)
        alphas[: len(known)] = known
    return torch.from_numpy(levels), alphas >= 255 * OPAQUE


def _drawings(prior: Prior, settings: PixelSettings, generator: torch.Generator) -> Tensor:
    """Samples of the model, as many as there are candidates, (N, 3, H, W) in [-1, 1]."""
    suitable = suits(settings.model, "initial_grid")
    latents = prior.sample(
        [settings.prompt] * settings.candidates,
        guidance_scale=suitable["guidance_scale"],
        steps=suitable["steps"],
        generator=generator,
        negative=settings.negative_prompt,
        size=settings.canvas,
    )
    return prior.decode(latents).clamp(-1, 1)


def controls_for(picture: Tensor | None, settings: PixelSettings) -> list[Control]:
    """The ControlNets' inputs for a picture (1, 3, H, W); without a picture there are none.

    SD-πXL then gives them a black picture, and depths divided by zero.
    """
    if picture is None or not settings.prompt:
        return []
    from distillery.models.annotators import depths, edges  # OpenCV and transformers take seconds

    window = (settings.control_start, settings.control_end)
    controls = []
    if settings.canny:
        controls.append(Control("canny", edges(picture), settings.canny, window))
    if settings.depth:
        model = find_preset(settings.model).depth_estimator
        controls.append(Control("depth", depths(picture, model=model), settings.depth, window))
    return controls
