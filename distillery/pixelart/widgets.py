"""What moves in the notebook of stage 4. The lesson works without any of it.

As with `distillery.widgets`, a front end that cannot draw a widget shows a picture in its place.
"""

from distillery.pixelart.ui.looking import EntropyMap, LayerViewer, Recolour, TauExplorer
from distillery.pixelart.ui.painter import Painter
from distillery.pixelart.ui.palette_editor import PaletteEditor
from distillery.pixelart.ui.preview import PixelExplorer, PixelPreview, PixelRun, live_pixels

__all__ = [
    "EntropyMap",
    "LayerViewer",
    "Painter",
    "PaletteEditor",
    "PixelExplorer",
    "PixelPreview",
    "PixelRun",
    "Recolour",
    "TauExplorer",
    "live_pixels",
]
