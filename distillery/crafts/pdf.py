"""Draws pages to print; units are millimetres from the top left corner."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from distillery.crafts.fonts import runs, width_of, without_font
from distillery.crafts.paper import A4, Paper
from distillery.crafts.symbols import Symbol

MARGIN = 14.0
INK, QUIET, LINE = "#1a1a1a", "#6b6b6b", "#b9b9b9"
SYMBOL_SHARE = 0.66  # of its square; the rest keeps neighbours apart
EMBOLDEN = 0.035

Colour = str | tuple[float, float, float]


class Document:
    """A PDF that grows page by page; `finish` gives its bytes.

    The same drawing gives the same bytes, because it contains neither a date nor a random id.
    """

    def __init__(self, title: str, pages: int, paper: Paper = A4) -> None:
        self.width, self.height = paper.width, paper.height
        whole = " ".join(title.split()) or "Untitled"
        self.title, self.pages, self.page = _printable(whole), pages, 0
        self._buffer = io.BytesIO()
        self._canvas = Canvas(
            self._buffer,
            pagesize=(self.width * mm, self.height * mm),
            pageCompression=1,
            invariant=1,
        )
        self._canvas.setTitle(whole)
        self._canvas.setAuthor("Score Distillery")
        self._canvas.setCreator("Score Distillery")

    def new_page(self, heading: str = "", note: str = "") -> None:
        """Begin a page: heading at the top left, title and page number at the bottom."""
        if self.page:
            self._canvas.showPage()
        self.page += 1
        if heading:
            self.text(MARGIN, 18, heading, size=13, bold=True)
        if note:
            self.text(MARGIN, 23.5, note, size=8, colour=QUIET)
        self.text(MARGIN, self.height - 9, self.title, size=7.5, colour=QUIET, width=140)
        self.text(
            self.width - MARGIN,
            self.height - 9,
            f"{self.page} / {self.pages}",
            size=7.5,
            colour=QUIET,
            align="right",
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 9,
        bold: bool = False,
        colour: Colour = INK,
        align: str = "left",
        width: float | None = None,
    ) -> None:
        """Write one line whose baseline is at `y`; `size` in points, cut with "…" at `width` mm."""
        if width is not None:
            words = _shortened(words, size, width * mm, bold=bold)
        self._canvas.setFillColor(_ink(colour))
        share = {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
        start = x * mm - share * width_of(words, size, bold=bold)
        for font, text in runs(words, bold=bold):
            self._canvas.setFont(font, size)
            self._canvas.drawString(start, self._up(y), text)
            start += pdfmetrics.stringWidth(text, font, size)

    def line(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        *,
        width: float = 0.1,
        colour: Colour = INK,
    ) -> None:
        """A straight line, `width` in mm."""
        self._canvas.setStrokeColor(_ink(colour))
        self._canvas.setLineWidth(width * mm)
        self._canvas.line(x0 * mm, self._up(y0), x1 * mm, self._up(y1))

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: Colour | None = None,
        edge: Colour | None = INK,
        edge_width: float = 0.1,
    ) -> None:
        """A rectangle from its top left corner."""
        if fill is not None:
            self._canvas.setFillColor(_ink(fill))
        if edge is not None:
            self._canvas.setStrokeColor(_ink(edge))
            self._canvas.setLineWidth(edge_width * mm)
        self._canvas.rect(
            x * mm, self._up(y + height), width * mm, height * mm,
            fill=int(fill is not None), stroke=int(edge is not None),
        )  # fmt: skip

    def veil(self, x: float, y: float, width: float, height: float) -> None:
        """Fade what is under a rectangle."""
        self._canvas.saveState()
        self._canvas.setFillColor(_ink("#ffffff", opacity=0.6))
        self._canvas.rect(x * mm, self._up(y + height), width * mm, height * mm, fill=1, stroke=0)
        self._canvas.restoreState()

    def triangle(self, corners: list[tuple[float, float]], colour: Colour = INK) -> None:
        """A filled triangle."""
        self._fill([np.array([(x * mm, self._up(y)) for x, y in corners])], colour)

    def picture(self, image: Image.Image, x: float, y: float, width: float, height: float) -> None:
        """An image that fills a rectangle."""
        self._canvas.drawImage(
            ImageReader(image), x * mm, self._up(y + height), width * mm, height * mm
        )

    def sign(self, symbol: Symbol, x: float, y: float, side: float) -> None:
        """A symbol in the square of `side` mm whose top left corner is given."""
        self._sign(symbol, x * mm, self._up(y + side), side * mm)

    def define_stamp(
        self, name: str, symbol: Symbol, side: float, *, fill: Colour, round_edge: bool = False
    ) -> None:
        """Define a tinted cell, a square or a bead, with its symbol, to be drawn many times."""
        size = side * mm
        self._canvas.beginForm(name, 0, 0, size, size)
        self._canvas.setFillColor(_ink(fill))
        if round_edge:
            self._canvas.setStrokeColor(_ink(QUIET))
            self._canvas.setLineWidth(0.15 * mm)
            self._canvas.circle(size / 2, size / 2, 0.47 * size, fill=1, stroke=1)
        else:
            self._canvas.rect(0, 0, size, size, fill=1, stroke=0)
        inset = size * 0.12 if round_edge else 0
        self._sign(symbol, inset, inset, size - 2 * inset)
        self._canvas.endForm()

    def stamp(self, name: str, x: float, y: float, side: float) -> None:
        """Draw a defined cell with its top left corner at `x`, `y`."""
        self._canvas.saveState()
        self._canvas.translate(x * mm, self._up(y + side))
        self._canvas.doForm(name)
        self._canvas.restoreState()

    def _sign(self, symbol: Symbol, x: float, y: float, side: float) -> None:
        canvas, style = self._canvas, symbol.style
        ink = INK
        if style == "inverse":
            canvas.setFillColor(_ink(INK))
            canvas.roundRect(x + 0.06 * side, y + 0.06 * side, 0.88 * side, 0.88 * side,
                             0.15 * side, fill=1, stroke=0)  # fmt: skip
            ink = "#ffffff"
        if style == "boxed":
            canvas.setStrokeColor(_ink(INK))
            canvas.setLineWidth(0.06 * side)
            canvas.rect(x + 0.1 * side, y + 0.1 * side, 0.8 * side, 0.8 * side, fill=0, stroke=1)
        if style == "underlined":
            canvas.setFillColor(_ink(INK))
            canvas.rect(x + 0.12 * side, y + 0.08 * side, 0.76 * side, 0.08 * side,
                        fill=1, stroke=0)  # fmt: skip
        share = SYMBOL_SHARE if style == "plain" else 0.54
        lift = 0.06 if style == "underlined" else 0.0
        outlines = [
            (polygon - 0.5) * share * side + (x + side / 2, y + (0.5 + lift) * side)
            for polygon in symbol.outlines
        ]
        self._fill(outlines, ink, embolden=EMBOLDEN * side)

    def _fill(self, outlines: list[np.ndarray], colour: Colour, embolden: float = 0) -> None:
        path = self._canvas.beginPath()
        for outline in outlines:
            path.moveTo(*outline[0])
            for corner in outline[1:]:
                path.lineTo(*corner)
            path.close()
        self._canvas.setFillColor(_ink(colour))
        self._canvas.setStrokeColor(_ink(colour))
        self._canvas.setLineWidth(embolden)
        self._canvas.drawPath(path, fill=1, stroke=int(embolden > 0), fillMode=1)

    def _up(self, y: float) -> float:
        """From mm below the top to points above the bottom."""
        return (self.height - y) * mm

    def finish(self) -> bytes:
        """The whole PDF."""
        self._canvas.save()
        return self._buffer.getvalue()


def _ink(colour: Colour, opacity: float = 1) -> Color:
    levels = HexColor(colour).rgb() if isinstance(colour, str) else map(float, colour)
    return Color(*levels, alpha=opacity)


def _printable(title: str) -> str:
    """The title without the letters that no font here has; a warning says which those are."""
    missing = without_font(title)
    if not missing:
        return title
    warnings.warn(
        f"no font here has the letters {' '.join(missing)}; the title is printed without them.",
        stacklevel=4,
    )
    kept = "".join(letter for letter in title if letter not in missing)
    return " ".join(kept.split()) or "Untitled"


def _shortened(words: str, size: float, width: float, *, bold: bool) -> str:
    if width_of(words, size, bold=bold) <= width:
        return words
    while words and width_of(words + "…", size, bold=bold) > width:
        words = words[:-1]
    return words.rstrip() + "…"


def tint(rgb: tuple[float, float, float], strength: float = 0.5) -> tuple[float, float, float]:
    """A colour made light enough to read a black sign on it; `strength` 1 does not change it."""
    red, green, blue = (1 - strength * (1 - level) for level in rgb)
    return red, green, blue


def fitted(width: float, height: float, room: tuple[float, float]) -> tuple[float, float]:
    """The largest rectangle of this shape in `room`, both (width, height) in mm."""
    scale = min(room[0] / width, room[1] / height)
    return width * scale, height * scale
