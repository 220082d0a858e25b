"""Palettes: their files, their colours, and pictures brought into them.

A palette is float32 `(K, 3)`, sRGB in [0, 1], of 2 to 1,000 different colours, each exact in 8
bits. Their order counts: the pixel of an index picture, int64 `(B, H, W)`, is a row of it.
"""

from distillery.palettes.colours import (
    from_hex,
    lattice,
    oklab_to_srgb,
    srgb_to_oklab,
    to_hex,
)
from distillery.palettes.files import load_palette, palette_names, save_palette
from distillery.palettes.matching import SPACES, Space, dither, nearest
from distillery.palettes.swatches import sheet

__all__ = [
    "SPACES",
    "Space",
    "dither",
    "from_hex",
    "lattice",
    "load_palette",
    "nearest",
    "oklab_to_srgb",
    "palette_names",
    "save_palette",
    "sheet",
    "srgb_to_oklab",
    "to_hex",
]
