"""The interactive parts of the notebooks. Every lesson also works without them.

Pictures are made beforehand and kept as PNG bytes, so a slider only swaps bytes. Where ipywidgets
is missing or its front end cannot draw, a plain contact sheet stands in.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from distillery.core.errors import CourseError, in_short
from distillery.core.images import Picture, from_pil, grid, to_pil, to_png_bytes
from distillery.runs.run import Step

SIDE = 256  # pixels of a picture on the screen, about
LARGEST_SHEET = 1600  # pixels of either side of a contact sheet
PAUSE = 0.002  # seconds between two steps of a preview, for whatever else the kernel has to do
WIPE_STEP = 5  # percent of the width from one frame of a wipe to the next


class Explorer:
    """Pictures over one or more axes, a slider for each; moving one swaps the picture's PNG bytes.

    A single axis also has a play button.

    Args:
        pictures: images (B, 3, H, W) in [-1, 1] or PIL pictures, the last axis running fastest.
        sheet: stands in for the widget; by default all pictures on one sheet.
        axes: name -> the values of that axis, at least one.

    Raises:
        CourseError: there are not as many pictures as places.
    """

    def __init__(
        self,
        pictures: Tensor | Sequence[Image.Image],
        *,
        sheet: Image.Image | None = None,
        **axes: Sequence[Any],
    ) -> None:
        tiles = to_pil(pictures) if isinstance(pictures, Tensor) else list(pictures)
        places = list(itertools.product(*(range(len(values)) for values in axes.values())))
        if not tiles or len(tiles) != len(places):
            raise CourseError(
                f"the axes {', '.join(axes) or '(none)'} have {len(places)} places, each for one "
                f"picture; {len(tiles)} pictures were given."
            )
        columns = len(list(axes.values())[-1]) if len(axes) > 1 else None
        self._sheet = grid(tiles, columns=columns) if sheet is None else sheet.copy()
        self._sheet.thumbnail((LARGEST_SHEET, LARGEST_SHEET))
        self._png = {
            place: to_png_bytes(self.large(tile)) for place, tile in zip(places, tiles, strict=True)
        }
        self.sliders, self.image, self.box = _build(axes, self._png[places[0]], self._swap)

    @staticmethod
    def large(picture: Image.Image) -> Image.Image:
        """A picture as it stands on the screen."""
        return _enlarged(picture)

    def _swap(self, change: Any) -> None:
        self.image.value = self._png[tuple(slider.index for slider in self.sliders)]

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for front ends that can draw it, the contact sheet for all others."""
        widget = {} if self.box is None else self.box._repr_mimebundle_(**options)
        return {**widget, "image/png": to_png_bytes(self._sheet)}


def _build(
    axes: dict[str, Sequence[Any]], first: bytes, swap: Callable[[Any], None]
) -> tuple[list[Any], Any, Any]:
    """The sliders, the image and the box around them; nothing where ipywidgets is missing."""
    try:
        import ipywidgets
    except ImportError:
        return [], None, None
    image = image_widget(first)
    sliders = _sliders(axes)
    for slider in sliders:
        slider.observe(swap, names="index")
    controls = list(sliders)
    if len(sliders) == 1:
        play = ipywidgets.Play(max=len(sliders[0].options) - 1, interval=150)
        ipywidgets.jslink((play, "value"), (sliders[0], "index"))
        controls = [ipywidgets.HBox([play, sliders[0]])]
    return sliders, image, ipywidgets.VBox([*controls, image])


def image_widget(png: bytes) -> Any:
    """A picture at its own size; a box would stretch it over the whole width of the page."""
    import ipywidgets

    return ipywidgets.Image(value=png, format="png", layout={"align_self": "flex-start"})


def _sliders(axes: dict[str, Sequence[Any]]) -> list[Any]:
    import ipywidgets

    return [
        ipywidgets.SelectionSlider(
            options=[(_label(value), index) for index, value in enumerate(values)],
            description=name.replace("_", " "),
            style={"description_width": "initial"},  # longer names would be cut off
        )
        for name, values in axes.items()
    ]


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _enlarged(picture: Image.Image) -> Image.Image:
    """Small pictures by a whole factor, so that they can be looked at."""
    factor = max(1, round(SIDE / min(picture.size)))
    size = (picture.width * factor, picture.height * factor)
    return picture if factor == 1 else picture.resize(size, Image.Resampling.BICUBIC)


class Wipe(Explorer):
    """Two pictures of one size, the second wiped over the first from the left by a slider.

    A second slider chooses among several such pairs. Without widgets both stand on one sheet, the
    first above the second, or to its left if there is a single pair.

    Args:
        before: images (B, 3, H, W) in [-1, 1].
        after: as many, of the same size.
        names: one for each pair, by default their numbers.

    Raises:
        CourseError: the two differ in shape, or the names in number.
    """

    def __init__(
        self, before: Tensor, after: Tensor, *, names: Sequence[str] | None = None
    ) -> None:
        if before.shape != after.shape:
            raise CourseError(
                "a wipe needs two batches of one shape, before and after; they have "
                f"{tuple(before.shape)} and {tuple(after.shape)}."
            )
        under, over = ([_enlarged(tile) for tile in to_pil(images)] for images in (before, after))
        shares = range(0, 101, WIPE_STEP)
        frames = [
            _wiped(*pair, share / 100) for pair in zip(under, over, strict=True) for share in shares
        ]
        columns = len(before) if len(before) > 1 else 2
        axes: dict[str, Sequence[Any]] = {"edit": [f"{share} %" for share in shares]}
        if len(before) > 1 or names is not None:
            axes = {"pair": names or range(1, len(before) + 1), **axes}
        super().__init__(frames, sheet=grid(torch.cat([before, after]), columns=columns), **axes)
        if self.sliders:
            self.sliders[-1].index = len(shares) // 2


def _wiped(under: Image.Image, over: Image.Image, share: float) -> Image.Image:
    """`over` on the left `share` of the width, `under` on the rest, and a line between them."""
    edge = round(share * under.width)
    picture = under.copy()
    picture.paste(over.crop((0, 0, edge, over.height)), (0, 0))
    if 0 < edge < under.width:
        ImageDraw.Draw(picture).line([(edge, 0), (edge, under.height)], fill="white", width=2)
    return picture


@dataclass(frozen=True)
class Frame:
    """The picture after step `index`, as images (B, 3, H, W) on the CPU.

    `score` is what the caller's scorer said of them, or None.
    """

    index: int
    images: Tensor
    score: float | None = None

    @property
    def sheet(self) -> Image.Image:
        """All its pictures side by side."""
        return _sheet(self.images)


@dataclass
class Watched:
    """The record of a watched run: its frames and the loss of every step."""

    frames: list[Frame] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    interrupted: bool = False
    explorer: ClassVar[type[Explorer]] = Explorer

    @property
    def images(self) -> Tensor:
        """The best frame's images where frames were scored, otherwise the last one's."""
        return max(self.frames, key=lambda frame: (frame.score or 0.0, frame.index)).images

    def film(self) -> Explorer:
        """A slider over the frames."""
        return self.explorer(
            [frame.sheet for frame in self.frames], step=[frame.index for frame in self.frames]
        )


AnyWatched = TypeVar("AnyWatched", bound=Watched)
AnyStep = TypeVar("AnyStep", bound=Step)


def live(
    steps: Iterable[Step],
    *,
    every: int = 10,
    score: Callable[[Tensor], float] | None = None,
) -> Watched:
    """Take the steps of a run and show the picture as it grows.

    Interrupting the kernel stops it; what there is by then is kept and returned.

    Args:
        steps: of any run whose pictures are images, such as the stream of `distill`.
        every: steps from one picture to the next.
        score: images (B, 3, H, W) -> how good they are; by it the best frame is chosen.
    """
    return follow(steps, _images, Watched(), every=every, score=score)


def follow(
    steps: Iterable[AnyStep],
    look: Callable[[AnyStep], Tensor],
    watched: AnyWatched,
    *,
    every: int,
    score: Callable[[Tensor], float] | None = None,
) -> AnyWatched:
    """What `live` does, with step -> images (B, 3, H, W) given, into the empty `watched`."""
    losses, screen = [], None
    try:
        for step in steps:
            if "loss" in step.figures:
                losses.append(step.figures["loss"])
            if (step.index + 1) % every and step.index + 1 < step.total:
                continue
            images = look(step)
            frame = Frame(step.index + 1, images, None if score is None else score(images))
            watched.frames.append(frame)
            caption = f"step {frame.index} of {step.total}"
            screen = _refresh(screen, _Preview(watched.explorer.large(frame.sheet), caption))
    except KeyboardInterrupt:
        if not watched.frames:
            raise
        watched.interrupted = True
        print(f"Stopped; kept what there was after step {watched.frames[-1].index}.")
    watched.losses = [float(loss) for loss in losses]
    return watched


def _images(step: Step) -> Tensor:
    picture = step.picture()
    images = picture if isinstance(picture, Tensor) else from_pil(picture)
    return images.detach().cpu().clone()


class _Preview:
    """A picture and where it stands in the run, for a display that is updated in place."""

    def __init__(self, picture: Image.Image, caption: str) -> None:
        self.png, self.caption = to_png_bytes(picture), caption

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        encoded = base64.b64encode(self.png).decode()
        return {
            "text/plain": self.caption,
            "image/png": self.png,
            "text/html": f'<img src="data:image/png;base64,{encoded}"><br>{self.caption}',
        }


def _refresh(screen: Any, preview: _Preview) -> Any:
    """Show the first preview, then replace it, so that the notebook holds only the latest."""
    from IPython.display import display

    if screen is None:
        return display(preview, display_id=True)
    screen.update(preview)
    return screen


class Preview:
    """A run with its settings on sliders, begun and stopped by one button.

    The run takes its steps between the kernel's other work, so the notebook stays usable, and a
    cell that is running meanwhile holds it up. Where the sliders have been moved since the run
    began, the button begins again. What goes wrong stands under the picture in one sentence.
    Where ipywidgets is missing, it is run once, to the end, with the default settings.

    Args:
        begin: settings -> the steps of a run; its own defaults are where the sliders begin.
        first: images (B, 3, H, W), or a small picture, to show before the first run.
        every: steps from one picture to the next.
        axes: name of a setting -> the values to choose from.

    Raises:
        CourseError: a setting has no default among its values.
    """

    def __init__(
        self,
        begin: Callable[..., Iterable[Step]],
        *,
        first: Picture,
        every: int = 10,
        **axes: Sequence[Any],
    ) -> None:
        self._begin, self._every, self._axes = begin, every, axes
        self.defaults = _defaults(begin, axes)
        self.png = to_png_bytes(self.large(first))
        self.caption = "not begun"
        self.task: asyncio.Task[None] | None = None
        self._begun_with = self.defaults
        self.box = self._build()

    @staticmethod
    def large(picture: Picture) -> Image.Image:
        """A picture as it stands on the screen."""
        return _enlarged(_sheet(picture) if isinstance(picture, Tensor) else picture)

    def _build(self) -> Any:
        try:
            import ipywidgets
        except ImportError:
            return None
        self.sliders = dict(zip(self._axes, _sliders(self._axes), strict=True))
        for name, slider in self.sliders.items():
            slider.index = list(self._axes[name]).index(self.defaults[name])
            slider.observe(lambda change: self._tell(), names="index")
        self.button = ipywidgets.Button(description="run")
        self.button.on_click(lambda button: self.press())
        self.image = image_widget(self.png)
        self.label = ipywidgets.Label(value=self.caption)
        return ipywidgets.VBox([*self.sliders.values(), self.button, self.image, self.label])

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings as they stand on the sliders."""
        if self.box is None:
            return self.defaults
        return {name: self._axes[name][slider.index] for name, slider in self.sliders.items()}

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    def press(self) -> None:
        """Begin a run; stop the one under way, and begin again if the sliders have been moved."""
        was_running, moved = self.running, self.chosen != self._begun_with
        if self.task is not None:
            self.task.cancel()
            self.task = None
        if was_running and not moved:
            self._tell(f"stopped at {self.caption}")
            return
        self._begun_with = self.chosen
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.run_to_the_end()
            return
        self.task = loop.create_task(self._run_between())
        self._tell("beginning")

    def run_to_the_end(self) -> None:
        """Run with the chosen settings, here and now."""
        for _ in self._shown():
            pass
        self._tell()

    async def _run_between(self) -> None:
        for _ in self._shown():
            await asyncio.sleep(PAUSE)
        self.task = None
        self._tell()

    def _shown(self) -> Iterable[None]:
        """The steps of a run, each with what it shows; an error ends it with a sentence."""
        try:
            for step in self._begin(**self._begun_with):
                done = step.index + 1
                if done % self._every == 0 or done == step.total:
                    self.png = to_png_bytes(self.large(step.picture()))
                    self._tell(f"step {done} of {step.total}")
                yield
        except (CourseError, NotImplementedError) as error:
            self._tell(str(error))
        # It may be the student's own code that fails, in any way.
        except Exception as error:
            self._tell(f"{type(error).__name__}: {in_short(error)}")

    def _tell(self, caption: str | None = None) -> None:
        """Bring the picture, the line under it and the button up to date."""
        self.caption = self.caption if caption is None else caption
        if self.box is None:
            return
        self.image.value, self.label.value = self.png, self.caption
        moved = self.chosen != self._begun_with
        self.button.description = "run" if not self.running else "run again" if moved else "stop"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget for front ends that can draw it, the picture for all others."""
        if self.box is None and self.caption == "not begun":
            self.run_to_the_end()
        widget = {} if self.box is None else self.box._repr_mimebundle_(**options)
        return {**widget, "image/png": self.png, "text/plain": self.caption}


def _defaults(begin: Callable[..., Any], axes: dict[str, Sequence[Any]]) -> dict[str, Any]:
    parameters = inspect.signature(begin).parameters
    defaults = {name: parameters[name].default for name in axes if name in parameters}
    for name, values in axes.items():
        if defaults.get(name) not in list(values):
            raise CourseError(
                f"the slider of {name} begins at the function's default, which must be among "
                f"{', '.join(_label(value) for value in values)}; add it to the values."
            )
    return defaults


def _sheet(images: Tensor) -> Image.Image:
    """All pictures of a batch side by side."""
    return grid(images, columns=min(8, len(images)))
