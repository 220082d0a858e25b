"""The interactive parts of stage 4's notebook. The lesson also works without them.

As with `distillery.notebook.widgets`, a front end that cannot draw a widget shows a picture in its
place.
"""

from distillery.notebook.pixelart.explorers import EntropyMap, LayerViewer, Recolour, TauExplorer
from distillery.notebook.pixelart.painter import Painter
from distillery.notebook.pixelart.palette_editor import PaletteEditor
from distillery.notebook.pixelart.preview import (
    PixelExplorer,
    PixelPreview,
    WatchedPixels,
    live_pixels,
)

__all__ = [
    "EntropyMap",
    "LayerViewer",
    "Painter",
    "PaletteEditor",
    "PixelExplorer",
    "PixelPreview",
    "Recolour",
    "TauExplorer",
    "WatchedPixels",
    "live_pixels",
]
