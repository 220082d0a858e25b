"""A picture of palettes."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from distillery.core.counting import counted
from distillery.core.lettering import Font, lettering
from distillery.palettes.colours import checked, srgb_to_oklab, to_hex

WIDTH, HEIGHT = 92, 60  # pixels of a swatch
ACROSS = 8  # swatches in a line
MARGIN, LABEL, GAP = 28, 140, 22
PAPER, INK, FAINT = "#e9e7e2", "#23212b", "#77727d"


def sheet(palettes: Mapping[str, Tensor]) -> Image.Image:
    """Named palettes `(K, 3)` one below the other, eight swatches in a line, each with its code.

    Raises:
        CourseError: one of them is not a palette.
    """
    whole = {name: checked(colours, what=name) for name, colours in palettes.items()}
    heights = [-(-len(colours) // ACROSS) * HEIGHT + GAP for colours in whole.values()]
    lines = {name: lettering(name, 22) for name in whole}
    widest = max((font.getlength(words) for font, words in lines.values()), default=0)
    left = MARGIN + max(LABEL, round(widest) + GAP)
    size = (left + ACROSS * WIDTH + MARGIN, 2 * MARGIN - GAP + sum(heights))
    picture = Image.new("RGB", size, PAPER)
    pen, top = ImageDraw.Draw(picture), MARGIN
    for (name, colours), height in zip(whole.items(), heights, strict=True):
        _name(pen, top, lines[name], len(colours))
        _swatches(pen, (left, top), colours)
        top += height
    return picture


def _name(pen: ImageDraw.ImageDraw, top: int, line: tuple[Font, str], count: int) -> None:
    (large, name), small = line, ImageFont.load_default(14)
    middle = top + HEIGHT // 2
    pen.text((MARGIN, middle - 10), name, INK, large, anchor="lm")
    pen.text((MARGIN, middle + 14), counted(count, "colour"), FAINT, small, anchor="lm")


def _swatches(pen: ImageDraw.ImageDraw, corner: tuple[int, int], colours: Tensor) -> None:
    font, lightness = ImageFont.load_default(15), srgb_to_oklab(colours)[:, 0]
    for number, code in enumerate(to_hex(colours)):
        row, column = divmod(number, ACROSS)
        x, y = corner[0] + column * WIDTH, corner[1] + row * HEIGHT
        pen.rectangle((x, y, x + WIDTH - 1, y + HEIGHT - 1), fill=code)
        ink = INK if lightness[number] > 0.6 else "white"
        pen.text((x + WIDTH // 2, y + HEIGHT // 2), code, ink, font, anchor="mm")
