"""A page of stage 6: say what to draw and how large, see what it costs, and see it become."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import to_pil, to_png_bytes
from distillery.core.settings import LARGEST_SEED
from distillery.notebook.elastic.fields import (
    OF_METHODS,
    control_fields,
    request_fields,
    unknown,
    word_fields,
)
from distillery.notebook.elastic.page_file import PageFile
from distillery.notebook.elastic.request import SAMPLES, Drawer, Request, Size
from distillery.notebook.runner import ONE_AT_A_TIME, Runner, listening
from distillery.notebook.widgets import image_widget
from distillery.runs.run import Step
from distillery.toybox.vocabulary import Factors

PROMPT = Factors("boat", "red", "on a frozen river")
LARGEST = 512  # pixels of a picture's longer side on the screen, about
SEEN = 192  # of the control picture's
NO_PROMPT = "the prompt is empty; say there what the picture shows."


class ElasticStudio:
    """Prompt, size and settings, and beside them the picture that a method draws.

    The run takes its steps between the kernel's other work, so the page stays alive; the button
    stops it. What a run costs is said before it begins. What goes wrong stands under the button in
    one sentence. Where ipywidgets is missing, `draw` draws with the settings it begins with.

    Args:
        drawer: the model.
        pictures: name -> picture, to hold the drawing to with a ControlNet; without them there is
            none, and the page is one of text alone.
        every: steps from one picture to the next.
    """

    def __init__(
        self,
        drawer: Drawer,
        *,
        pictures: Mapping[str, Image.Image] = MappingProxyType({}),
        every: int = 2,
    ) -> None:
        self._drawer, self._every = drawer, every
        self.pictures = dict(pictures)
        self.picture: Image.Image | None = None
        self.caption = "Press draw to see the picture."
        self._done, self._total, self._began, self._expected = 0, 1, 0.0, 0.0
        self._seconds_a_sample: float | None = None
        self._waits = False
        picture = next(iter(self.pictures.values()), None)
        size = _first_size(drawer.sizes, picture)
        self._asked = Request(str(PROMPT), size, picture=picture, **drawer.defaults(size))
        self.runner = Runner(self._steps, stepped=self._stepped, ended=self._ended)
        self.box: Any = None
        self.box = self._build()
        self._changed()

    @property
    def request(self) -> Request:
        """What `draw` would ask for now."""
        if self.box is None:
            return self._asked
        values = {name: control.value for name, control in self.fields.items()}
        values["prompt"] = " ".join(values["prompt"].split())
        if self.pictures:
            values["picture"] = self.pictures[values["picture"]]
        return Request(**values)

    @property
    def running(self) -> bool:
        return self.runner.running

    def draw(self) -> None:
        """Begin a run, in place of the one under way."""
        self.runner.start()

    def stop(self) -> None:
        """Stop the run under way; the picture stays as it is."""
        if self.runner.stop():
            self.caption = f"stopped at {self.caption}"
            self._tell()

    def cost(self) -> str:
        """What a run of now would cost, or why it cannot be begun.

        Seconds are those of this machine, once a run has been seen.
        """
        request = self.request
        if not request.prompt:
            return _sentence(NO_PROMPT)
        warned: list[str] = []
        try:
            with ONE_AT_A_TIME, listening(warned):
                samples = self._drawer.samples(request)
        except CourseError as error:
            return _sentence(str(error))
        words = f"It takes {samples:.0f} network samples, {samples / self._drawer.plain:.1f} times "
        words += "those of a picture of the trained size"
        if self._seconds_a_sample is not None:
            words += f", about {_duration(samples * self._seconds_a_sample)}"
        return " ".join([f"{words}.", *map(_sentence, warned)])

    def _steps(self) -> Iterable[Step]:
        """The steps of a run that begins now."""
        request = self.request
        if not request.prompt:
            raise CourseError(NO_PROMPT)
        self._asked = request
        self._expected = self._drawer.samples(request)
        self._done, self._total, self._began = 0, 1, time.perf_counter()
        self.caption = f"seed {request.seed}: beginning"
        self._tell()
        return self._drawer.steps(request)

    def _stepped(self, step: Step, warned: Sequence[str]) -> None:
        samples = float(step.figures[SAMPLES])
        seconds = time.perf_counter() - self._began
        self._seconds_a_sample = seconds / max(samples, 1)
        self._done, self._total = step.index + 1, step.total
        words = f"seed {self._asked.seed}: step {self._done} of {self._total}, {samples:.0f}"
        if self._done < self._total:
            left = max(0.0, self._expected - samples) * self._seconds_a_sample
            words += f" of {self._expected:.0f} network samples, about {_duration(left)} left"
        else:
            words += f" network samples in {_duration(seconds)}"
        self.caption = "; ".join([words, *warned[:1]])
        if self._done % self._every == 0 or self._done == self._total:
            picture = step.picture()
            self.picture = picture if isinstance(picture, Image.Image) else to_pil(picture)[0]
        self._tell()

    def _ended(self, said: str | None) -> None:
        self.caption = said or self.caption
        self._tell()
        self._changed()  # now it is known how long a sample takes

    def _build(self) -> Any:
        try:
            import ipywidgets as w

            self.file = PageFile("another picture…" if self.pictures else "", self._take)
        except ImportError:
            return None
        its = request_fields(self._asked, self._drawer.sizes)
        held = control_fields(self._asked, list(self.pictures)) if self.pictures else {}
        self.fields = {**its, **held}
        self.words = word_fields(PROMPT)
        words = w.HBox(self.words)
        self.hint, self.note, self.label = w.HTML(), w.HTML(), w.HTML()
        self.seen = image_widget(to_png_bytes(_blank(self._asked.size, SEEN)))
        self.button = w.Button(button_style="primary", layout={"width": "72px"})
        self.button.on_click(lambda button: self._press())
        self.other = w.Button(description="again with another seed", layout={"width": "auto"})
        self.other.on_click(lambda button: self._again())
        self.keep = w.Button(
            description="save", tooltip="the picture as a PNG", layout={"width": "auto"}
        )
        self.keep.on_click(lambda button: self._save())
        self.image = image_widget(to_png_bytes(self._shown))
        self.progress = w.IntProgress(value=0, max=1, layout={"width": "100%", "height": "14px"})
        prompt, *others = its.values()
        control = [*held.values(), self.file.box, self.seen] if held else []
        settings = w.VBox([prompt, words, self.hint, *control, *others, self.note])
        buttons = w.HBox([self.button, self.other, self.keep], layout={"flex_flow": "row wrap"})
        saving = [] if held else [self.file.box]
        output = w.VBox([buttons, self.progress, self.label, self.image, *saving])
        box = w.HBox([settings, output])
        for widget, name in [
            (words, "elastic-words"),
            (self.hint, "elastic-note"),
            (self.note, "elastic-note"),
            (self.note, "elastic-cost"),
            (self.label, "elastic-caption"),
            (self.seen, "elastic-seen"),
            (self.image, "elastic-result"),
            (settings, "elastic-settings"),
            (output, "elastic-output"),
            (box, "elastic-studio"),
        ]:
            widget.add_class(name)
        for name, field in self.fields.items():
            field.add_class(f"elastic-{name.replace('_', '-')}")
            field.observe(lambda change: self._changed(), names="value")
        for word in self.words:
            word.observe(lambda change: self._put_words(), names="value")
        its["size"].observe(lambda change: self._suit(), names="value")
        for name in ("picture", "control", "size") if held else ():
            self.fields[name].observe(lambda change: self._see(), names="value")
        if held:
            its_name = self.fields["picture"]
            its_name.observe(lambda change: self._put_name(change["new"]), names="value")
            self._see(self._asked)
        return box

    @property
    def _shown(self) -> Image.Image:
        """What stands on the screen: the picture, or its place."""
        if self.picture is None:
            return _blank(self.request.size, LARGEST)
        return _large(self.picture, LARGEST)

    def _put_words(self) -> None:
        """Make the prompt of the chosen words."""
        colour, thing, scene = (word.value for word in self.words)
        self.fields["prompt"].value = str(Factors(thing, colour, scene))

    def _put_name(self, name: str) -> None:
        """A picture of the course is named as its prompt."""
        if not (self._waits or unknown(name)):
            self.fields["prompt"].value = name

    def _suit(self) -> None:
        """Put the rounds where they suit the size."""
        rounds = self._drawer.defaults(self.fields["size"].value)["resampling_steps"]
        self.fields["resampling_steps"].value = rounds

    def _take(self, picture: Image.Image, name: str) -> None:
        """Hold the drawing to a picture of the reader's."""
        self.pictures[name] = picture
        self._waits = True  # new options choose the first of them for a moment
        self.fields["picture"].options = list(self.pictures)
        self.fields["picture"].value = name
        self._waits = False
        self._see()

    def _see(self, request: Request | None = None) -> None:
        """Show what the ControlNet would be shown."""
        if self._waits:
            return
        request = request or self.request
        warned: list[str] = []
        try:
            with ONE_AT_A_TIME, listening(warned):
                picture = self._drawer.seen(request)
        except CourseError as error:
            self.file.box.said = str(error)
            return
        self.file.box.said = " ".join(map(_sentence, warned))
        self.seen.value = to_png_bytes(_large(picture, SEEN))

    def _press(self) -> None:
        if self.running:
            self.stop()
        else:
            self.draw()

    def _again(self) -> None:
        """The same with other noise."""
        self.fields["seed"].value = (self.fields["seed"].value + 1) % (LARGEST_SEED + 1)
        self.draw()

    def _save(self) -> None:
        """Hand the picture to the browser, as it was drawn."""
        if self.picture is not None:
            self.file.save("picture.png", self.picture)

    def _changed(self) -> None:
        """Say what the settings cost, and leave out those that do not count."""
        if self.box is None:
            return
        for name, methods in OF_METHODS.items():
            self.fields[name].disabled = self.fields["method"].value not in methods
        others = unknown(self.fields["prompt"].value)
        words = ", ".join(map(repr, others))
        self.hint.value = html.escape(f"No training picture showed {words}.") if others else ""
        self.note.value = html.escape(self.cost())
        self._tell()

    def _tell(self) -> None:
        """Bring picture, progress, line and button up to date."""
        if self.box is None:
            return
        self.image.value = to_png_bytes(self._shown)
        self.keep.disabled = self.picture is None
        self.progress.max, self.progress.value = self._total, self._done
        self.label.value = html.escape(self.caption)
        self.button.description = "stop" if self.running else "draw"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for front ends that can draw it, the picture for all others."""
        widget = {} if self.box is None else self.box._repr_mimebundle_(**options)
        return {**widget, "image/png": to_png_bytes(self._shown), "text/plain": self.caption}


def _first_size(sizes: Sequence[Size], picture: Image.Image | None) -> Size:
    """The second of the list, or the first after that which has the picture's aspect."""
    larger = sizes[1:] or sizes
    aspects = (
        size for size in larger if picture and size[0] * picture.width == size[1] * picture.height
    )
    return next(aspects, larger[0])


def _large(picture: Image.Image, side: int) -> Image.Image:
    """A picture as it stands on the screen."""
    factor = max(1, round(side / max(picture.size)))
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.BICUBIC)


def _blank(size: Size, side: int) -> Image.Image:
    return _large(Image.new("RGB", size[::-1], "#eeeeee"), side)


def _sentence(words: str) -> str:
    """With a capital letter at its beginning and a stop at its end."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"
