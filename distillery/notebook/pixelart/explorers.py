"""Explorers for logits: temperatures, entropies, layers and other colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import SHOWN_SIDE, enlarged, to_png_bytes
from distillery.notebook.pixelart.contact_sheets import (
    INK,
    PAPER,
    captioned,
    checkered,
    hard_pictures,
    soft_pictures,
)
from distillery.notebook.pixelart.preview import PixelExplorer
from distillery.notebook.widgets import image_widget
from distillery.palettes import load_palette, palette_names, to_hex
from distillery.pixelart.canvas import PaletteCanvas
from distillery.pixelart.indexed_png import layers, recoloured

TAUS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0)
SMALL = 128  # pixels, about, of a picture on a contact sheet
MOST_ON_A_SHEET = 64
BAR = 14  # pixels, the height of a legend

GumbelSoftmax = Callable[[Tensor, float, torch.Generator], Tensor]


class TauExplorer(PixelExplorer):
    """Gumbel's soft picture, the same made hard, and the softmax, over temperature and seed.

    Args:
        logits: (1, K, h, w).
        palette: (K, 3).
        gumbel_softmax: (logits, tau, generator) -> weights, the reference's or the student's.
        tau: temperatures for the slider.
        seed: of the noise.
    """

    def __init__(
        self,
        logits: Tensor,
        palette: Tensor,
        gumbel_softmax: GumbelSoftmax,
        *,
        tau: Sequence[float] = TAUS,
        seed: Sequence[int] = (0, 1, 2, 3),
    ) -> None:
        logits = logits.detach()
        (softmax,) = soft_pictures(logits.softmax(dim=1), palette)

        def gumbel(temperature: float, number: int) -> list[Image.Image]:
            generator = torch.Generator(logits.device).manual_seed(number)
            weights = gumbel_softmax(logits, temperature, generator)
            return soft_pictures(weights, palette) + hard_pictures(weights, palette)

        pairs = [gumbel(temperature, number) for number in seed for temperature in tau]
        names = ["Gumbel, soft", "Gumbel, hard", "softmax"]
        tiles = [captioned([*pair, softmax], names) for pair in pairs]
        first = [pair[kind] for kind in (0, 1) for pair in pairs[: len(tau)]]
        captions = [f"{kind}, tau {value:g}" for kind in ("soft", "hard") for value in tau]
        sheet = captioned(first, captions, columns=len(tau), side=SMALL)
        super().__init__(tiles, sheet=sheet, seed=seed, tau=tau)


class EntropyMap(PixelExplorer):
    """The chosen colours and how undecided each pixel is: black sure, yellow all the same to it.

    Args:
        logits: (T, K, h, w), as of the T frames of a run.
        palette: (K, 3).
        step: names of the frames, by default their numbers.
    """

    def __init__(
        self, logits: Tensor, palette: Tensor, *, step: Sequence[Any] | None = None
    ) -> None:
        entropies = PaletteCanvas(logits.cpu()).entropy()
        tiles = [
            _with_legend(captioned([picture, _magma(entropy)], ["chosen colours", _mean(entropy)]))
            for picture, entropy in zip(hard_pictures(logits, palette), entropies, strict=True)
        ]
        super().__init__(tiles, step=range(1, len(tiles) + 1) if step is None else step)


def _mean(entropy: Tensor) -> str:
    return f"entropy, {entropy.mean():.2f} in the mean"


def _magma(levels: Tensor) -> Image.Image:
    from matplotlib import colormaps

    return Image.fromarray((colormaps["magma"](levels.numpy())[..., :3] * 255).astype(np.uint8))


def _with_legend(tile: Image.Image) -> Image.Image:
    """The colours of the map from 0, sure, to 1, undecided, under its right half."""
    sheet = Image.new("RGB", (tile.width, tile.height + BAR + 2), PAPER)
    sheet.paste(tile)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    left, top = tile.width // 2 + 60, tile.height
    ramp = torch.linspace(0, 1, tile.width - left - 80).expand(BAR, -1)
    sheet.paste(_magma(ramp), (left, top))
    pen.text((left - 6, top + BAR // 2), "0 sure", INK, font, anchor="rm")
    pen.text((tile.width - 74, top + BAR // 2), "1 undecided", INK, font, anchor="lm")
    return sheet


class Chooser:
    """One of several small pictures, chosen by its name in a dropdown.

    Args:
        pictures: name -> picture, at least one, all of one size.
        what: label of the dropdown.
    """

    def __init__(self, pictures: Mapping[str, Image.Image], *, what: str) -> None:
        self._pictures, self.name = dict(pictures), next(iter(pictures))
        self.box = self._build(what)

    def _build(self, what: str) -> Any:
        try:
            import ipywidgets
        except ImportError:
            return None
        self.dropdown = ipywidgets.Dropdown(
            options=list(self._pictures),
            description=what,
            style={"description_width": "initial"},
        )
        self.dropdown.observe(lambda change: self.choose(change.new), names="value")
        self.image = image_widget(to_png_bytes(self.large(self.picture)))
        return ipywidgets.VBox([self.dropdown, self.image])

    @property
    def picture(self) -> Image.Image:
        """The chosen one, a pixel for each cell."""
        return self._pictures[self.name]

    @staticmethod
    def large(picture: Image.Image, side: int = SHOWN_SIDE) -> Image.Image:
        """A picture as it stands on the screen."""
        return enlarged(picture, side)

    def choose(self, name: str) -> None:
        """Show another one; raises `CourseError` where there is none of this name."""
        if name not in self._pictures:
            raise CourseError(f"there is no {name!r} here; choose {', '.join(self._pictures)}.")
        self.name = name
        if self.box is not None:
            self.dropdown.value = name
            self.image.value = to_png_bytes(self.large(self.picture))

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for front ends that can draw it, a contact sheet for all others."""
        widget = {} if self.box is None else self.box._repr_mimebundle_(**options)
        names = list(self._pictures)[:MOST_ON_A_SHEET]
        tiles = [self.large(self._pictures[name], SMALL) for name in names]
        sheet = captioned(tiles, names, columns=8, side=SMALL)
        return {**widget, "image/png": to_png_bytes(sheet)}


class LayerViewer(Chooser):
    """What each colour adds to the soft picture: it alone, over a checkerboard.

    Args:
        weights: (K, h, w), in every pixel of sum 1.
        palette: (K, 3).
    """

    def __init__(self, weights: Tensor, palette: Tensor) -> None:
        shares = weights.detach().mean(dim=(1, 2)).tolist()
        names = [
            f"{number}  {code}  {share:.0%}"
            for number, (code, share) in enumerate(zip(to_hex(palette), shares, strict=True), 1)
        ]
        super().__init__(dict(zip(names, layers(weights, palette), strict=True)), what="colour")

    @staticmethod
    def large(picture: Image.Image, side: int = SHOWN_SIDE) -> Image.Image:
        return checkered(enlarged(picture, side))


class Recolour(Chooser):
    """An indexed picture in other palettes of as many colours, row for row.

    Args:
        picture: of PIL's mode "P", as `indexed` makes it and `pixelart` saves it.
        palettes: name -> (K, 3); by default our own of this length.

    Raises:
        CourseError: the picture is not indexed, or there is no palette of its length.
    """

    def __init__(self, picture: Image.Image, palettes: Mapping[str, Tensor] | None = None) -> None:
        others = {
            name: recoloured(picture, palette)
            for name, palette in (palettes or _own_palettes(picture)).items()
        }
        super().__init__({"as it is": picture, **others}, what="palette")


def _own_palettes(picture: Image.Image) -> dict[str, Tensor]:
    """Our own palettes of the picture's length; all of them where it is not indexed at all."""
    own = {name: load_palette(name) for name in palette_names()}
    if picture.mode != "P":
        return own
    colours = len(picture.getpalette() or []) // 3 - ("transparency" in picture.info)
    fitting = {name: palette for name, palette in own.items() if len(palette) == colours}
    if not fitting:
        raise CourseError(
            f"none of our palettes has {colours} colours as this picture; "
            "give some as palettes={'mine': palette}."
        )
    return fitting
