"""The palette of an animation under stage 4's editor: what changes, changes in all frames."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from distillery.notebook.pixelart.palette_editor import PaletteEditor
from distillery.palettes import from_hex, srgb_to_oklab, to_hex


class FilmPalette(PaletteEditor):
    """Another colour in a swatch is another colour in all frames.

    Where a colour is moved, added or removed, every pixel keeps its own; the pixels of a colour
    that is no longer there take the nearest.

    Args:
        palette: (K, 3), to begin with.
        changed: called after a change with the palette (N, 3) and, of each of the K colours before,
            the row that it has now.
    """

    def __init__(self, palette: Tensor, changed: Callable[[Tensor, Tensor], None]) -> None:
        super().__init__(palette)
        self._changed = changed

    def put(self, palette: Tensor) -> None:
        """Show the palette (K, 3) of another film."""
        super()._become(to_hex(palette), 0)

    def _become(self, codes: list[str], selected: int) -> bool:
        before = list(self.codes)
        is_done = super()._become(codes, selected)
        if is_done and before != self.codes:
            self._changed(self.palette, rows_after(before, self.codes))
        return is_done


def rows_after(before: list[str], after: list[str]) -> Tensor:
    """The row that each colour of a palette has in the next one, int64 (K,).

    A colour that was changed in its place keeps its row. Any other is found again by its code, or
    goes to the nearest colour in OKLab.
    """
    if len(before) == len(after) and sum(a != b for a, b in zip(before, after, strict=True)) == 1:
        return torch.arange(len(before))
    old, new = (srgb_to_oklab(from_hex(codes)) for codes in (before, after))
    return torch.cdist(old, new).argmin(dim=1)
