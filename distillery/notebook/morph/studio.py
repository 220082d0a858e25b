"""A page of stage 7: keyframes and settings, and beside them the animation that is drawn."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from distillery.core.counting import counted
from distillery.core.errors import CourseError
from distillery.core.images import to_pil, to_png_bytes
from distillery.core.settings import declared
from distillery.morph.settings import MorphSettings, palette_named
from distillery.notebook.elastic.page_file import PageFile
from distillery.notebook.morph import keeping
from distillery.notebook.morph.drawing import (
    Begin,
    Drawn,
    Result,
    film_so_far,
    keyframes_alone,
    result_of,
)
from distillery.notebook.morph.fields import GRIDS, setting_fields
from distillery.notebook.morph.film_palette import FilmPalette
from distillery.notebook.morph.path_editor import Keyframe, PathEditor
from distillery.notebook.morph.scrubber import Film, Scrubber
from distillery.notebook.morph.worker import IsStopped, Worker
from distillery.notebook.runner import ONE_AT_A_TIME, heard, listening
from distillery.notebook.widgets import PAUSE
from distillery.palettes import load_palette
from distillery.runs.cost import duration

EVERY = 3  # steps from one look at the drawings to the next
NOTHING = 0.85  # the grey of a film that is not drawn yet
Key = tuple[str, int]  # prompt and seed


class MorphStudio:
    """Keyframes and how to go from one to the next, and the animation that comes of it.

    What keeps it from being drawn is said in one sentence. It is drawn in a thread; another press
    of the button stops it, and what there is by then stays. Colours can be changed afterwards, in
    all frames at once. Where ipywidgets is missing, `draw` draws with the settings it begins with.

    Args:
        begin: settings -> a run of them.
        first: the settings to begin with.
        out: the folder below which files are saved.
    """

    def __init__(self, begin: Begin, first: MorphSettings, *, out: Path = Path("outputs")) -> None:
        self._begin, self._first, self._out = begin, first, out
        self.result: Result | None = None
        self.caption = "Press draw to see the animation."
        self._done, self._total = 0, 1
        self._pictures: dict[tuple[str, Any], dict[Key, Image.Image]] = {}
        self.worker = Worker(self._ended)
        self.scrubber = Scrubber(Film(torch.full((1, 3, *first.size), 2 * NOTHING - 1)))
        keys = zip(first.prompts, first.seeds, first.waits, strict=True)
        self.path = PathEditor([Keyframe(*key) for key in keys], changed=lambda: self._changed())
        self.box: Any = None
        self.box = self._build()
        self._changed()

    @property
    def settings(self) -> MorphSettings:
        """What `draw` would draw now.

        Raises:
            CourseError: it cannot be drawn.
        """
        values = {name: getattr(self._first, name) for name in declared(MorphSettings)}
        del values["scale"]  # it follows from the others
        if self.box is not None:
            values |= {name: field.value for name, field in self.fields.items()}
        values["palette"] = values["palette"].strip()
        keyframes = self.path.keyframes
        values["prompts"] = tuple(one.prompt for one in keyframes)
        values["seeds"] = tuple(one.seed for one in keyframes)
        values["holds"] = tuple(one.hold for one in keyframes)
        settings = MorphSettings(**values)
        palette_named(settings.palette)
        return settings

    @property
    def running(self) -> bool:
        return self.worker.running

    def draw(self) -> None:
        """Draw the animation, unless something is being drawn."""
        self._start(lambda settings: settings)

    def draw_keyframes(self) -> None:
        """Draw the keyframes alone, unless something is being drawn."""
        self._start(keyframes_alone)

    def stop(self) -> None:
        """Stop after the step under way; what there is stays."""
        if self.worker.stop():
            self._tell()

    def wait(self) -> None:
        """Wait until nothing is being drawn."""
        if self.worker.thread is not None:
            self.worker.thread.join()

    def recolour(self, palette: Tensor, rows: Tensor) -> None:
        """Another palette (N, 3) for all frames; each colour of before has one of `rows`, (K,)."""
        if self.result is not None:
            self.result = self.result.recoloured(palette, rows)
            self._show_result()

    def save(self) -> None:
        """Write the files where the command would, but never over any."""
        if self.result is None:
            return
        try:
            self.caption = f"Saved in {keeping.save(self.result, self._out)}."
        except CourseError as error:
            self.caption = str(error)
        self._tell()

    def _start(self, of: Callable[[MorphSettings], MorphSettings]) -> None:
        try:
            settings = of(self.settings)
        except CourseError as error:
            self.caption = str(error)
            self._tell()
            return
        if self.worker.start(partial(self._work, settings)):
            self._tell()

    def _work(self, settings: MorphSettings, is_stopped: IsStopped) -> None:
        """Draw, and show what there is now and then; the result, or what is finished of it."""
        warned: list[str] = []
        self._done, self._total, self.caption, self.result = 0, 1, "Beginning.", None
        self._tell()
        with ONE_AT_A_TIME, listening(warned):
            run = self._begin(settings)
        began, is_whole = time.perf_counter(), False
        steps = heard(run.steps(), warned)
        while not (is_whole or is_stopped()):
            with ONE_AT_A_TIME:
                step = next(steps, None)
                is_whole = step is None
                if step is not None:
                    seconds = time.perf_counter() - began
                    self._stepped(run, settings, step.index + 1, seconds, warned)
            time.sleep(PAUSE)
        with ONE_AT_A_TIME, listening(warned):
            if is_whole:
                self.result = result_of(run, settings)
                frames = counted(settings.frames, "frame")
                said = f"{frames} in {duration(time.perf_counter() - began)}."
            else:
                said = f"Stopped at step {self._done} of {self._total}; what is there is kept."
                self.scrubber.film = film_so_far(run, settings) or self.scrubber.film
        if self.result is not None:
            self._show_palette(self.result)
            self._show_result()
        self.caption = " ".join([said, *warned[:1]])

    def _stepped(
        self, run: Drawn, settings: MorphSettings, done: int, seconds: float, warned: Sequence[str]
    ) -> None:
        self._done, self._total = done, run.total
        left = duration(seconds / done * (run.total - done))
        words = f"Step {done} of {run.total}"
        words += f", at most {left} left." if done < run.total else ": now the pixels."
        self.caption = " ".join([words, *warned[:1]])
        if done % EVERY == 0:
            self.scrubber.film = Film(run.preview(), fps=settings.fps)
        self._tell()

    def _show_palette(self, result: Result) -> None:
        if self.box is not None:
            self.palette.put(result.sequence.palette)

    def _ended(self, said: str | None) -> None:
        self.caption = said or self.caption
        self._tell()

    def _show_result(self) -> None:
        """Bring frames and keyframes up to date."""
        assert self.result is not None
        film, settings = self.result.film, self.result.settings
        self.scrubber.film = film
        frames = to_pil(film.pictures)
        keys = list(zip(settings.prompts, settings.seeds, strict=True))
        kept = self._pictures.setdefault(_look(settings), {})
        for position, frame in zip(film.positions, frames, strict=True):
            if position == int(position):
                kept[keys[int(position) % len(keys)]] = frame
        self._changed()

    def _build(self) -> Any:
        try:
            import ipywidgets as w

            self.file = PageFile()
        except ImportError:
            return None
        self.fields = setting_fields(self._first)
        self.palette = FilmPalette(load_palette("dusk"), self.recolour)
        self.note, self.label = w.HTML(), w.HTML()

        def button(text: str, act: Callable[[], None], hint: str = "", **more: Any) -> Any:
            made = w.Button(description=text, tooltip=hint, layout={"width": "auto"}, **more)
            made.on_click(lambda pressed: act())
            return made

        self.button = button("draw", self._press, button_style="primary")
        self.keys = button("keyframes alone", self.draw_keyframes, "a look before all is drawn")
        self.saving = [
            button("GIF", lambda: self._hand("GIF"), "download the animation"),
            button("sprite sheet", lambda: self._hand("sheet"), "download all frames as one PNG"),
            button("its JSON", lambda: self._hand("places"), "where each frame is on the sheet"),
            button("save all", self.save, f"into the folder {self._out}"),
        ]
        self.progress = w.IntProgress(value=0, max=1, layout={"width": "100%", "height": "14px"})
        wrapped = {"flex_flow": "row wrap"}
        buttons = w.HBox([self.button, self.keys], layout=wrapped)
        files = w.HBox(self.saving, layout=wrapped)
        self.colours = w.VBox([w.HTML("<b>palette of all frames</b>"), self.palette.box])
        settings = w.VBox([self.path.box, *self.fields.values(), self.note])
        parts = [buttons, self.progress, self.label, self.scrubber.box, files, self.colours]
        output = w.VBox([*parts, self.file.box])
        box = w.HBox([settings, output])
        for widget, name in [
            (self.note, "morph-note"),
            (self.label, "morph-caption"),
            (self.colours, "morph-palette"),
            (settings, "morph-settings"),
            (output, "morph-output"),
            (box, "morph-studio"),
        ]:
            widget.add_class(name)
        for name, field in self.fields.items():
            field.add_class(f"morph-{name}")
            field.observe(lambda change: self._changed(), names="value")
        self.fields["lora"].observe(lambda change: self._suit(), names="value")
        return box

    def _suit(self) -> None:
        """Put the grid where it suits the style."""
        its = self.fields["lora"].value
        if its in GRIDS:
            self.fields["size"].value = GRIDS[its]

    def _press(self) -> None:
        if self.running:
            self.stop()
        else:
            self.draw()

    def _hand(self, what: str) -> None:
        """Hand a file of the result to the browser."""
        if self.result is None:
            return
        sheet = partial(keeping.sprites, self.result)
        if what == "GIF":
            self.file.save_bytes("morph.gif", keeping.gif(self.result), "image/gif")
        elif what == "sheet":
            self.file.save_bytes("sprites.png", sheet()[0], "image/png")
        else:
            self.file.save_bytes("sprites.json", sheet()[1].encode(), "application/json")

    def _changed(self) -> None:
        """Say what will be drawn, or what is wrong, and show the keyframes' pictures."""
        if self.box is None:
            return
        try:
            settings = self.settings
        except CourseError as error:
            self._wrong, words = True, str(error)
        else:
            self._wrong = False
            seconds = settings.frames / settings.fps
            words = f"{settings.frames} frames: a film of {seconds:.1f} seconds."
            self.path.put_pictures(self._pictures.get(_look(settings), {}))
        self.note.value = html.escape(_sentence(words))
        (self.note.add_class if self._wrong else self.note.remove_class)("wrong")
        self._tell()

    def _tell(self) -> None:
        """Bring progress, line and buttons up to date."""
        if self.box is None:
            return
        self.progress.max, self.progress.value = self._total, self._done
        self.label.value = html.escape(_sentence(self.caption))
        its = self.worker
        self.button.description = "stop" if its.running else "draw"
        self.button.disabled = its.stopping or (self._wrong and not its.running)
        self.keys.disabled = its.running or self._wrong
        for button in self.saving:
            button.disabled = self.result is None
        self.colours.layout.display = "none" if self.result is None else ""

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for front ends that can draw it, a sheet of frames for all others."""
        widget = {} if self.box is None else self.box._repr_mimebundle_(**options)
        sheet = to_png_bytes(self.scrubber.sheet())
        return {**widget, "image/png": sheet, "text/plain": self.caption}


def _look(settings: MorphSettings) -> tuple[str, Any]:
    """What decides how a keyframe looks, besides its prompt and seed."""
    return settings.lora, settings.size


def _sentence(words: str) -> str:
    """With a capital letter at its beginning and a stop at its end."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
