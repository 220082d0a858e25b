"""An editor for a palette: change, move, add, remove, load and save colours."""

from __future__ import annotations

import html
from typing import Any

import torch
from torch import Tensor

from distillery.core.counting import counted
from distillery.core.errors import CourseError
from distillery.core.images import to_png_bytes
from distillery.palettes import (
    from_hex,
    lattice,
    load_palette,
    palette_names,
    save_palette,
    sheet,
    srgb_to_oklab,
    to_hex,
)

MOST = 256  # swatches; an indexed PNG holds no more colours either
DARK = 0.6  # OKLab's lightness, below which a mark on a colour is white
SIDE = "44px"
SELECTED, OTHER = "●", "\N{NO-BREAK SPACE}"  # the front end keeps a mark that becomes empty


class PaletteEditor:
    """A palette whose colours are swatches; a click selects one, and the buttons act on it.

    What would leave no palette is not done, and one sentence below says why. All that the buttons
    do can be done from Python too.

    Args:
        palette: a name, a file, or colours (K, 3) in [0, 1].

    Raises:
        CourseError: it is not a palette, or has more than 256 colours.
    """

    def __init__(self, palette: Tensor | str = "dusk") -> None:
        colours = palette if isinstance(palette, Tensor) else load_palette(palette)
        self.codes = self._checked(to_hex(colours))
        self.selected = 0
        self.sentence = ""
        self._file = palette if isinstance(palette, str) else ""
        self.box = self._build(self._file)

    @property
    def palette(self) -> Tensor:
        """The palette as it stands, float32 (K, 3), sRGB in [0, 1]."""
        return from_hex(self.codes)

    def select(self, number: int) -> None:
        """Select the colour `number`, from 0."""
        self.selected = number
        self._show("")

    def change(self, code: str) -> None:
        """Give the selected swatch another colour, written as "#ff8800"."""
        codes = list(self.codes)
        codes[self.selected] = code.lower()
        self._become(codes, self.selected)

    def move(self, by: int) -> None:
        """Move the selected colour `by` places, as far as there are places."""
        codes = list(self.codes)
        place = min(max(self.selected + by, 0), len(codes) - 1)
        codes.insert(place, codes.pop(self.selected))
        self._become(codes, place)

    def add(self) -> None:
        """Add behind the selected colour the one that looks least like any here."""
        candidates = lattice(6)
        apart = torch.cdist(srgb_to_oklab(candidates), srgb_to_oklab(self.palette)).amin(dim=1)
        (code,) = to_hex(candidates[apart.argmax()][None])
        place = self.selected + 1
        self._become([*self.codes[:place], code, *self.codes[place:]], place)

    def remove(self) -> None:
        """Remove the selected colour."""
        place = self.selected
        codes = [*self.codes[:place], *self.codes[place + 1 :]]
        self._become(codes, min(place, len(codes) - 1))

    def load(self, name_or_path: str) -> None:
        """Become the palette of a name or a file."""
        try:
            codes = to_hex(load_palette(name_or_path))
        except CourseError as error:
            self._refuse(str(error))
            return
        if not self._become(codes, 0):
            self._refuse(self.sentence)
        else:
            self._file = name_or_path
            self._show(f"read {counted(len(codes), 'colour')} from {name_or_path}.")

    def save(self, path: str) -> None:
        """Write the palette as `.hex`, `.gpl`, `.pal` or `.png`, by the path's suffix."""
        try:
            save_palette(self.palette, path)
        except CourseError as error:
            self._refuse(str(error))
        else:
            self._file = path
            self._show(f"saved {counted(len(self.codes), 'colour')} as {path}.")

    def _refuse(self, sentence: str) -> None:
        """Say why a file cannot be used, and name the last that could."""
        if self.box is not None:
            self.file.value = self._file
        self._show(sentence)

    @staticmethod
    def _checked(codes: list[str]) -> list[str]:
        if len(codes) > MOST:
            raise CourseError(
                f"the editor shows at most {MOST} colours; this palette has {len(codes):,}: "
                "use it by its name."
            )
        return to_hex(from_hex(codes))

    def _become(self, codes: list[str], selected: int) -> bool:
        """Take these colours if they are a palette; returns whether they are."""
        try:
            self.codes = self._checked(codes)
        except CourseError as error:
            self._show(f"Nothing was changed: {error}")
            return False
        self.selected = selected
        self._show("")
        return True

    def _build(self, name: str) -> Any:
        try:
            import ipywidgets
        except ImportError:
            return None
        self.swatches = ipywidgets.HBox(layout={"flex_flow": "row wrap", "max_width": "560px"})
        # The picker's own text field would go on showing what is no colour; this one is set back.
        self.picker = ipywidgets.ColorPicker(
            value=self.codes[0], concise=True, description="colour"
        )
        self.code = ipywidgets.Text(
            value=self.codes[0], continuous_update=False, layout={"width": "8em"}
        )
        self.code.add_class("palette-code")
        fields = (self.picker, self.code)
        for field in fields:
            field.observe(self._picked, names="value")
        actions = {
            "← move": lambda: self.move(-1),
            "move →": lambda: self.move(1),
            "add": self.add,
            "remove": self.remove,
        }
        self.file = ipywidgets.Combobox(
            value=name, options=palette_names(), placeholder="a name or a file", description="file"
        )
        self.file.on_msg(self._entered)
        files = {
            "load": lambda: self.load(self.file.value.strip()),
            "save": lambda: self.save(self.file.value.strip()),
        }
        self.buttons = {text: _button(text, act) for text, act in {**actions, **files}.items()}
        self.label = ipywidgets.HTML()
        self._show("")
        return ipywidgets.VBox(
            [
                self.swatches,
                ipywidgets.HBox(
                    [self.picker, self.code, *(self.buttons[text] for text in actions)]
                ),
                ipywidgets.HBox([self.file, *(self.buttons[text] for text in files)]),
                self.label,
            ]
        )

    def _entered(self, widget: Any, message: Any, buffers: Any) -> None:
        """Enter in the field of the file is what it is in others: the name is taken."""
        if message.get("event") == "submit":
            self.load(self.file.value.strip())

    def _picked(self, change: Any) -> None:
        code = change.new.strip().lower()
        if code != self.codes[self.selected]:
            self.change(code)
        else:
            self._show(self.sentence)

    def _show(self, sentence: str) -> None:
        """Bring swatches, picker and sentence up to date."""
        self.sentence = sentence
        if not hasattr(self, "label"):
            return
        self.label.value = html.escape(sentence)
        if len(self.swatches.children) != len(self.codes):
            self.swatches.children = [self._swatch(number) for number in range(len(self.codes))]
        lightness = srgb_to_oklab(self.palette)[:, 0]
        for number, (swatch, code) in enumerate(
            zip(self.swatches.children, self.codes, strict=True)
        ):
            swatch.style.button_color = code
            swatch.style.text_color = "white" if lightness[number] < DARK else "black"
            swatch.tooltip = f"colour {number + 1}, {code}"
            swatch.description = SELECTED if number == self.selected else OTHER
        self.picker.value = self.code.value = self.codes[self.selected]

    def _swatch(self, number: int) -> Any:
        swatch = _button("", lambda: self.select(number))
        swatch.layout = {"width": SIDE, "height": SIDE, "margin": "1px", "border": "1px solid #888"}
        return swatch

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for front ends that can draw it, a sheet of the colours for all others."""
        widget = {} if self.box is None else self.box._repr_mimebundle_(**options)
        return {**widget, "image/png": to_png_bytes(sheet({"palette": self.palette}))}


def _button(text: str, act: Any) -> Any:
    import ipywidgets

    button = ipywidgets.Button(description=text, layout={"width": "auto"})
    button.on_click(lambda pressed: act())
    return button
