"""Keyframes in their order, as cards: each has a prompt, a seed and a hold."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from PIL import Image

from distillery.core.images import enlarged, to_png_bytes
from distillery.core.settings import LARGEST_SEED
from distillery.morph.settings import MOST_FRAMES, MOST_PROMPTS

SIDE = 72  # pixels of a keyframe's picture, about


@dataclass(frozen=True)
class Keyframe:
    """A prompt, the seed of its noise, and for how many frames more than one it stays."""

    prompt: str
    seed: int = 0
    hold: int = 0


class PathEditor:
    """Keyframes to change, move, add and remove, each with its picture once it is drawn.

    All that the buttons do can be done from Python too. Whether the keyframes make a path is not
    asked here. Without ipywidgets they stay as they were given, and can be set from Python.

    Args:
        keyframes: to begin with, at least one.
        changed: called after every change.
    """

    def __init__(
        self, keyframes: Sequence[Keyframe], *, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._keyframes = list(keyframes)
        self._changed = changed
        self._pictures: Mapping[tuple[str, int], Image.Image] = MappingProxyType({})
        self._waits = False
        self._cards: list[_Card] = []
        self.box = self._build()
        self._show()

    @property
    def keyframes(self) -> tuple[Keyframe, ...]:
        """In their order; prompts with single blanks. They may be set."""
        return tuple(replace(one, prompt=" ".join(one.prompt.split())) for one in self._keyframes)

    @keyframes.setter
    def keyframes(self, keyframes: Sequence[Keyframe]) -> None:
        self._keyframes = list(keyframes)
        self._show()
        self._changed()

    def add(self) -> None:
        """Add a keyframe at the end, with an empty prompt and a seed that no other has."""
        if len(self._keyframes) < MOST_PROMPTS:
            seed = max((one.seed for one in self._keyframes), default=-1) + 1
            self.keyframes = [*self._keyframes, Keyframe("", seed % (LARGEST_SEED + 1))]

    def remove(self, number: int) -> None:
        """Remove the keyframe `number`, from 0; the last one stays."""
        if len(self._keyframes) > 1:
            self.keyframes = [*self._keyframes[:number], *self._keyframes[number + 1 :]]

    def move(self, number: int, by: int) -> None:
        """Move the keyframe `number` `by` places, as far as there are places."""
        keyframes = list(self._keyframes)
        place = min(max(number + by, 0), len(keyframes) - 1)
        keyframes.insert(place, keyframes.pop(number))
        self.keyframes = keyframes

    def put_pictures(self, pictures: Mapping[tuple[str, int], Image.Image]) -> None:
        """Show pictures beside the keyframes with their prompts and seeds."""
        self._pictures = dict(pictures)
        self._show()

    def _build(self) -> Any:
        try:
            import ipywidgets as w
        except ImportError:
            return None
        self.adding = w.Button(description="add a keyframe", layout={"width": "auto"})
        self.adding.on_click(lambda button: self.add())
        self.list = w.VBox()
        box = w.VBox([self.list, self.adding])
        self.list.add_class("morph-cards")
        return box

    def _show(self) -> None:
        """Bring the cards up to date; there are as many as keyframes."""
        if self.box is None:
            return
        count = len(self._keyframes)
        while len(self._cards) < count:
            self._cards.append(_Card(self, len(self._cards)))
        self._waits = True  # a field that is set says that it changed
        for number, (card, keyframe) in enumerate(zip(self._cards, self._keyframes, strict=False)):
            picture = self._pictures.get((" ".join(keyframe.prompt.split()), keyframe.seed))
            card.show(keyframe, picture, is_last=number == count - 1, is_alone=count == 1)
        self._waits = False
        if len(self.list.children) != count:
            self.list.children = [card.box for card in self._cards[:count]]
        self.adding.disabled = count >= MOST_PROMPTS

    def take(self, number: int, keyframe: Keyframe) -> None:
        """Take what stands in the fields of a card."""
        if not self._waits:
            self._keyframes[number] = keyframe
            self._show()
            self._changed()


class _Card:
    """The fields of the keyframe `number`, with its picture."""

    def __init__(self, editor: PathEditor, number: int) -> None:
        import ipywidgets as w

        def button(text: str, hint: str, act: Callable[[], None]) -> Any:
            made = w.Button(
                description=text,
                tooltip=f"{hint} keyframe {number + 1}",
                layout={"width": "auto"},
            )
            made.on_click(lambda pressed: act())
            return made

        self.number = number
        self.prompt = w.Text(
            description=f"prompt {number + 1}",
            continuous_update=False,
            layout={"width": "100%"},
        )
        self.seed = w.BoundedIntText(
            description="seed",
            tooltip="of its noise; keyframes with equal seeds have the same",
            min=0,
            max=LARGEST_SEED,
        )
        self.hold = w.BoundedIntText(
            description="hold",
            tooltip="frames more than one that it stays",
            min=0,
            max=MOST_FRAMES,
        )
        self.up = button("up", "move up", lambda: editor.move(number, -1))
        self.down = button("down", "move down", lambda: editor.move(number, 1))
        self.off = button("remove", "remove", lambda: editor.remove(number))
        self.picture = w.HTML()
        for field in (self.prompt, self.seed, self.hold):
            field.observe(lambda change: editor.take(number, self.keyframe), names="value")
        numbers = w.HBox([self.seed, self.hold])
        buttons = w.HBox([self.up, self.down, self.off])
        rows = w.VBox([self.prompt, numbers, buttons])
        self.box = w.HBox([self.picture, rows])
        for widget, name in [
            (self.picture, "morph-keyframe"),
            (numbers, "morph-numbers"),
            (buttons, "morph-moves"),
            (rows, "morph-rows"),
            (self.box, "morph-card"),
        ]:
            widget.add_class(name)

    @property
    def keyframe(self) -> Keyframe:
        return Keyframe(self.prompt.value, self.seed.value, self.hold.value)

    def show(
        self, keyframe: Keyframe, picture: Image.Image | None, *, is_last: bool, is_alone: bool
    ) -> None:
        self.prompt.value, self.seed.value = keyframe.prompt, keyframe.seed
        self.hold.value = keyframe.hold
        self.up.disabled, self.down.disabled = self.number == 0, is_last
        self.off.disabled = is_alone
        self.picture.value = _shown(self.number, keyframe, picture)


def _shown(number: int, keyframe: Keyframe, picture: Image.Image | None) -> str:
    """The picture as HTML, or its place; it has an alternative text."""
    name = f"keyframe {number + 1}"
    if picture is None:
        blank = f'role="img" aria-label="{name}, not drawn yet"'
        return f'<div class="blank" {blank}></div>'
    data = base64.b64encode(to_png_bytes(enlarged(picture, SIDE))).decode()
    words = html.escape(f"{name}: {keyframe.prompt}")
    return f'<img alt="{words}" src="data:image/png;base64,{data}">'
