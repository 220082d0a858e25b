"""The stroke canvas with a run beside it: paint, ask, and see the picture become."""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from PIL import Image

from distillery.core.images import Picture, to_pil, to_png_bytes
from distillery.methods.stroke_methods import DEFAULTS
from distillery.notebook.runner import Runner
from distillery.notebook.strokes.canvas import StrokeCanvas
from distillery.notebook.strokes.request import Begin, Request
from distillery.notebook.widgets import image_widget
from distillery.runs.run import Step

PROMPT = "a red boat on a frozen river"
CHOOSE = "choose one…"
FIRST = ("gradop+", "sdedit", "sdedit-stochastic")  # of the methods in the list
STRENGTHS = {name: DEFAULTS[name].strength for name in (*FIRST, *sorted({*DEFAULTS} - {*FIRST}))}
WIDEST, HIGHEST = 384, 320  # pixels of the picture on the screen, at most
LEAST_STRENGTH = 0.1
MEANING = "<small>low: near the painting, high: near the prompt</small>"


class StrokeStudio:
    """A canvas, and beside it the picture that a method draws from it.

    The run takes its steps between the kernel's other work, so the page stays alive; a newer
    request replaces the one under way. What goes wrong stands under the picture in one sentence.
    Where ipywidgets is missing, set the canvas from Python and call `draw`.

    Args:
        begin: the steps of a run for a request.
        canvas: by default an empty one of 64 x 64.
        prompt: to begin with.
        examples: paintings with their prompts, and regions where there are some, to choose from.
        methods: name -> the strength that suits it; the first is chosen.
        every: steps from one picture to the next.
    """

    def __init__(
        self,
        begin: Begin,
        *,
        canvas: StrokeCanvas | None = None,
        prompt: str = PROMPT,
        examples: Sequence[Request] = (),
        methods: Mapping[str, float] = MappingProxyType(STRENGTHS),
        every: int = 3,
    ) -> None:
        self._begin, self._every = begin, every
        self.canvas = StrokeCanvas() if canvas is None else canvas
        self.seed = 0
        self.picture: Image.Image | None = None
        self.caption = (
            "Press draw to see what becomes of the painting, or go on painting."
            if self.canvas.is_painted
            else "Paint something, and say in the prompt what it is."
        )
        self._asked: dict[str, Any] = {
            "prompt": prompt,
            "method": next(iter(methods)),
            "strength": next(iter(methods.values())),
            "regions": False,
        }
        self._done, self._total, self._count, self._seed = 0, 1, 0, 0
        self.runner = Runner(self._steps, stepped=self._stepped, ended=self._ended)
        self._waits = False
        self.examples = {example.prompt: example for example in examples}
        self.box = self._build(methods)
        self._tell()

    @property
    def request(self) -> Request:
        """What `draw` would ask for now."""
        asked = self._asked
        if self.box is not None:
            asked = {name: control.value for name, control in self.controls.items()}
        bound = asked["regions"]
        return Request(
            self.canvas.painting,
            asked["prompt"].strip(),
            labels=self.canvas.labels if bound else None,
            words=self.canvas.words if bound else (),
            method=asked["method"],
            strength=round(asked["strength"], 2),
            seed=self.seed,
        )

    @property
    def running(self) -> bool:
        return self.runner.running

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The run under way, where an event loop runs."""
        return self.runner.task

    def draw(self) -> None:
        """Begin a run, in place of the one under way."""
        self.runner.start()

    def again(self) -> None:
        """The same with other noise."""
        self.seed += 1
        self.draw()

    def stop(self) -> None:
        """Stop the run under way; the picture stays as it is."""
        if self.runner.stop():
            self.caption = f"stopped at {self.caption}"
            self._tell()

    def _steps(self) -> Iterable[Step]:
        """The steps of a run that begins now."""
        request = self.request
        self._done, self._total, self._count, self._seed = 0, 1, 0, request.seed
        self.caption = f"seed {request.seed}: beginning"
        self._tell()
        return self._begin(request)

    def _stepped(self, step: Step, warned: Sequence[str]) -> None:
        self._count += 1
        self._done, self._total = step.index + 1, step.total
        self.caption = f"seed {self._seed}: step {self._done} of {self._total}"
        if warned:
            self.caption += f"; {warned[0]}"
        if self._count % self._every == 0 or self._done == self._total:
            self.picture = _single(step.picture())
        self._tell()

    def _ended(self, said: str | None) -> None:
        self.caption = said or self.caption
        self._tell()

    def _build(self, methods: Mapping[str, float]) -> Any:
        try:
            import ipywidgets as w
        except ImportError:
            return None
        if self.canvas.box is None:
            return None
        wide = {"width": "100%"}
        self.controls = {
            "prompt": w.Text(
                value=self._asked["prompt"],
                continuous_update=False,
                description="prompt",
                layout=wide,
            ),
            "method": w.Dropdown(options=list(methods), description="method", layout=wide),
            "strength": w.FloatSlider(
                value=self._asked["strength"],
                min=LEAST_STRENGTH,
                max=1,
                step=0.05,
                continuous_update=False,
                description="strength",
                readout_format=".2f",
                layout=wide,
            ),
            "regions": w.Checkbox(
                value=False, description="bind words to the regions", indent=False
            ),
        }
        self.example = w.Dropdown(
            options=[CHOOSE, *self.examples], description="example", layout=wide
        )
        self.example.observe(lambda change: self._take(change["new"]), names="value")
        self.live = w.Checkbox(value=True, description="draw while I paint", indent=False)
        self.button = w.Button(button_style="primary", layout={"flex": "0 0 60px"})
        self.button.on_click(lambda button: self._press())
        self.other = w.Button(
            description="again with another seed", layout={"flex": "0 0 auto", "width": "auto"}
        )
        self.other.on_click(lambda button: self.again())
        self.keep = w.Button(
            description="save",
            tooltip="the picture as a PNG",
            disabled=True,
            layout={"flex": "0 0 auto", "width": "auto"},
        )
        self.keep.on_click(lambda button: self._save())
        self.image = image_widget(to_png_bytes(self._large(Image.new("RGBA", self._shape))))
        self.progress = w.IntProgress(value=0, max=1, layout={"width": "100%", "height": "14px"})
        self.label = w.HTML()
        self.controls["method"].observe(
            lambda change: setattr(self.controls["strength"], "value", methods[change["new"]]),
            names="value",
        )
        for control in self.controls.values():
            control.observe(lambda change: self._changed(), names="value")
        self.canvas.on_change(self._changed)
        self._has_regions = self.canvas.has_regions
        buttons = w.HBox([self.button, self.other, self.keep], layout={"flex_flow": "row wrap"})
        examples = [self.example] if self.examples else []
        meaning = w.HTML(MEANING)
        meaning.add_class("stroke-meaning")
        prompt, method, strength, regions = self.controls.values()
        settings = w.VBox([*examples, prompt, method, strength, meaning, regions, self.live])
        # As wide as it will be, so that the picture stays where it is.
        room = {"flex": f"0 1 {self._large(Image.new('1', self._shape)).width + 4}px"}
        result = w.VBox([self.image, self.progress, buttons, self.label], layout=room)
        panel = w.HBox([settings, result])
        for widget, name in [
            (self.image, "stroke-result"),
            (self.label, "stroke-caption"),
            (settings, "stroke-settings"),
            (result, "stroke-output"),
            (panel, "stroke-panel"),
        ]:
            widget.add_class(name)
        box = w.HBox([self.canvas.box, panel])
        box.add_class("stroke-studio")
        return box

    @property
    def _shape(self) -> tuple[int, int]:
        """Width and height."""
        return self.canvas.size[::-1]

    def _large(self, picture: Image.Image) -> Image.Image:
        """A picture as it stands on the screen."""
        width, height = self._shape
        factor = max(1, min(WIDEST // width, HIGHEST // height))
        return picture.resize((width * factor, height * factor), Image.Resampling.BICUBIC)

    def _press(self) -> None:
        if self.running:
            self.stop()
        else:
            self.draw()

    def _take(self, prompt: str) -> None:
        """Begin from an example: its painting, regions and prompt come up together."""
        if prompt not in self.examples:
            return
        example = self.examples[prompt]
        with self._one_change():
            self.canvas.painting = example.painting
            self.canvas.labels = example.labels or Image.new("L", self._shape)
            self.canvas.words = example.words
            self.controls["prompt"].value = prompt
            self.controls["regions"].value = example.labels is not None

    @contextlib.contextmanager
    def _one_change(self) -> Iterator[None]:
        """What changes meanwhile counts as one change, made at the end."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
            self._changed()

    def _save(self) -> None:
        """Hand the picture to the browser, as it was drawn."""
        if self.picture is not None:
            self.canvas.download("picture.png", self.picture)

    def _changed(self) -> None:
        """Draw anew after a stroke or another setting, if that is wished."""
        if self._waits:
            return
        # Who paints the first region wants it to count.
        has_regions, before = self.canvas.has_regions, self._has_regions
        self._has_regions = has_regions
        if has_regions and not before and not self.controls["regions"].value:
            self.controls["regions"].value = True  # comes back here
        elif self.live.value and self.canvas.is_painted:
            self.draw()

    def _tell(self) -> None:
        """Bring picture, progress, line and button up to date."""
        if self.box is None:
            return
        if self.picture is not None:
            self.image.value = to_png_bytes(self._large(self.picture))
        self.keep.disabled = self.picture is None
        self.progress.max, self.progress.value = self._total, self._done
        self.label.value = html.escape(self.caption)
        self.button.description = "stop" if self.running else "draw"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for front ends that can draw it, the picture for all others."""
        widget = {} if self.box is None else self.box._repr_mimebundle_(**options)
        shown = self.canvas.painting if self.picture is None else self.picture
        png = to_png_bytes(self._large(shown))
        return {**widget, "image/png": png, "text/plain": self.caption}


def _single(picture: Picture) -> Image.Image:
    return picture if isinstance(picture, Image.Image) else to_pil(picture)[0]
