"""Finished pictures by method, size and seed, and how many things are in each."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import Picture, from_pil, to_pil, to_png_bytes
from distillery.metrics.counter import Counter
from distillery.notebook.widgets import LARGEST_SHEET, image_widget

LARGEST = 448  # pixels of the longest side on the screen, about
GAP = 4  # pixels between the pictures of the sheet
Size = tuple[int, int]


class SizeExplorer:
    """Choose method, size and seed, and see the picture; all of them are at one scale.

    The pictures were made before, and choosing only swaps them. Without widgets they stand on one
    sheet, a row for each method.

    Args:
        pictures: (method, (H, W)) -> images (B, 3, H, W) in [-1, 1], one for each seed, or one
            picture. All have as many seeds.
        counter: says how many things are in each; without it, nothing is said of them.

    Raises:
        CourseError: there is no picture, a method has not all sizes, or the seeds differ in number.
    """

    def __init__(
        self, pictures: Mapping[tuple[str, Size], Picture], *, counter: Counter | None = None
    ) -> None:
        self.methods = tuple(dict.fromkeys(method for method, _ in pictures))
        self.sizes = tuple(dict.fromkeys(size for _, size in pictures))
        images = {
            key: from_pil(its) if isinstance(its, Image.Image) else its
            for key, its in pictures.items()
        }
        self.seeds = _checked(images, self.methods, self.sizes)
        factor = max(1, round(LARGEST / max(max(size) for size in self.sizes)))
        self._tiles: dict[tuple[str, Size, int], Image.Image] = {}
        self._counts: dict[tuple[str, Size, int], int] = {}
        for (method, size), its in images.items():
            found = [] if counter is None else counter.things(its)
            for seed, picture in enumerate(to_pil(its)):
                large = (picture.width * factor, picture.height * factor)
                self._tiles[method, size, seed] = picture.resize(large, Image.Resampling.BICUBIC)
            self._counts |= {(method, size, seed): len(its) for seed, its in enumerate(found)}
        self._png = {key: to_png_bytes(tile) for key, tile in self._tiles.items()}
        self.box = self._build()

    def caption(self, method: str, size: Size, seed: int) -> str:
        """What is said of a picture."""
        words = f"{method}, {size[0]} x {size[1]} pixels"
        if (method, size, seed) not in self._counts:
            return words
        count = self._counts[method, size, seed]
        return f"{words}: {count} {'thing' if count == 1 else 'things'}"

    def _build(self) -> Any:
        try:
            import ipywidgets as w
        except ImportError:
            return None
        sizes = [(f"{size[0]} x {size[1]}", size) for size in self.sizes]
        wide = {"width": "100%", "max_width": "420px"}
        self.method = w.Dropdown(options=self.methods, description="method", layout=wide)
        self.size = w.SelectionSlider(
            options=sizes, value=self.sizes[-1], description="size", layout=wide
        )
        self.seed = w.IntSlider(min=0, max=self.seeds - 1, description="seed", layout=wide)
        controls = [self.method, self.size, *[self.seed][: self.seeds - 1]]
        self.image = image_widget(b"")
        self.label = w.HTML(layout={"max_width": "100%"})
        for control in (self.method, self.size, self.seed):
            control.observe(lambda change: self._swap(), names="value")
        self._swap()
        box = w.VBox(
            [*controls, self.label, self.image], layout={"max_width": "100%", "overflow": "hidden"}
        )
        box.add_class("elastic-sizes")
        return box

    def _swap(self) -> None:
        chosen = self.method.value, self.size.value, self.seed.value
        self.image.value = self._png[chosen]
        self.label.value = html.escape(self.caption(*chosen))

    def sheet(self) -> Image.Image:
        """A row for each method, its sizes from left to right; the first seed."""
        rows = [[self._tiles[method, size, 0] for size in self.sizes] for method in self.methods]
        wide = sum(tile.width + GAP for tile in rows[0]) - GAP
        high = max(tile.height for tile in rows[0])
        sheet = Image.new("RGB", (wide, len(rows) * (high + GAP) - GAP), "white")
        for number, row in enumerate(rows):
            left = 0
            for tile in row:
                sheet.paste(tile, (left, number * (high + GAP)))
                left += tile.width + GAP
        sheet.thumbnail((LARGEST_SHEET, LARGEST_SHEET))
        return sheet

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for front ends that can draw it, the sheet for all others."""
        widget = {} if self.box is None else self.box._repr_mimebundle_(**options)
        return {**widget, "image/png": to_png_bytes(self.sheet())}


def _checked(
    images: Mapping[tuple[str, Size], Tensor], methods: Sequence[str], sizes: Sequence[Size]
) -> int:
    """The number of seeds, which all have in common."""
    if not images:
        raise CourseError("there is no picture to look at; give at least one.")
    for method in methods:
        for size in sizes:
            if (method, size) not in images:
                raise CourseError(
                    f"there is no picture of {method} at {size[0]} x {size[1]}; every method needs "
                    "one of every size."
                )
            if tuple(images[method, size].shape[2:]) != size:
                seen = tuple(images[method, size].shape[2:])
                raise CourseError(
                    f"the pictures of {method} at {size[0]} x {size[1]} are {seen[0]} x {seen[1]}; "
                    "name each by its own height and width."
                )
    seeds = {len(its) for its in images.values()}
    if len(seeds) > 1:
        raise CourseError(
            f"the numbers of pictures differ, {min(seeds)} to {max(seeds)}; give as many of every "
            "method and size."
        )
    return seeds.pop()
