"""What moves in the notebooks. Every lesson works without any of it.

Pictures are made beforehand and kept as PNG bytes, so a slider only swaps bytes. Where ipywidgets
is missing or its front end cannot draw, a plain contact sheet stands in.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from distillery.canvas import Canvas
from distillery.distill import Step
from distillery.errors import CourseError
from distillery.images import grid, to_pil, to_png_bytes
from distillery.prior import Prior

SIDE = 256  # pixels of a picture on the screen, about
LARGEST_SHEET = 1600  # pixels of either side of a contact sheet


class Explorer:
    """Pictures over one or more axes, a slider for each; moving one swaps the picture's PNG bytes.

    A single axis also has a play button.

    Args:
        pictures: images (B, 3, H, W) in [-1, 1] or PIL pictures, the last axis running fastest.
        axes: name -> the values of that axis, at least one.

    Raises:
        CourseError: there are not as many pictures as places.
    """

    def __init__(self, pictures: Tensor | Sequence[Image.Image], **axes: Sequence[Any]) -> None:
        tiles = to_pil(pictures) if isinstance(pictures, Tensor) else list(pictures)
        places = list(itertools.product(*(range(len(values)) for values in axes.values())))
        if not tiles or len(tiles) != len(places):
            raise CourseError(
                f"the axes {', '.join(axes) or '(none)'} have {len(places)} places, each for one "
                f"picture; {len(tiles)} pictures were given."
            )
        columns = len(list(axes.values())[-1]) if len(axes) > 1 else None
        self._sheet = grid(tiles, columns=columns)
        self._sheet.thumbnail((LARGEST_SHEET, LARGEST_SHEET))
        self._png = {
            place: to_png_bytes(_enlarged(tile)) for place, tile in zip(places, tiles, strict=True)
        }
        self.sliders, self.image, self.box = _build(axes, self._png[places[0]], self._swap)

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
    image = ipywidgets.Image(value=first, format="png")
    sliders = [
        ipywidgets.SelectionSlider(
            options=[(_label(value), index) for index, value in enumerate(values)],
            description=name.replace("_", " "),
        )
        for name, values in axes.items()
    ]
    for slider in sliders:
        slider.observe(swap, names="index")
    controls = list(sliders)
    if len(sliders) == 1:
        play = ipywidgets.Play(max=len(sliders[0].options) - 1, interval=150)
        ipywidgets.jslink((play, "value"), (sliders[0], "index"))
        controls = [ipywidgets.HBox([play, sliders[0]])]
    return sliders, image, ipywidgets.VBox([*controls, image])


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _enlarged(picture: Image.Image) -> Image.Image:
    """Small pictures by a whole factor, so that they can be looked at."""
    factor = max(1, round(SIDE / min(picture.size)))
    size = (picture.width * factor, picture.height * factor)
    return picture if factor == 1 else picture.resize(size, Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Frame:
    """The canvas after step `index`, as images (B, 3, H, W) on the CPU.

    `score` is what the caller's scorer said of them, or None.
    """

    index: int
    images: Tensor
    score: float | None = None

    @property
    def sheet(self) -> Image.Image:
        """All its pictures side by side."""
        return grid(self.images, columns=min(8, len(self.images)))


@dataclass
class Run:
    """What is left of a distillation: the frames on the way and the loss of every step."""

    frames: list[Frame] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def images(self) -> Tensor:
        """The best frame's images where frames were scored, otherwise the last one's."""
        return max(self.frames, key=lambda frame: (frame.score or 0.0, frame.index)).images

    def film(self) -> Explorer:
        """A slider over the frames."""
        return Explorer(
            [frame.sheet for frame in self.frames], step=[frame.index for frame in self.frames]
        )


def live(
    steps: Iterable[Step],
    prior: Prior,
    *,
    every: int = 10,
    score: Callable[[Tensor], float] | None = None,
) -> Run:
    """Run a distillation and show the picture as it grows.

    Interrupting the kernel stops it; what there is by then is kept and returned.

    Args:
        steps: the stream of `distill`.
        prior: decodes the canvas.
        every: steps from one picture to the next.
        score: images (B, 3, H, W) -> how good they are; by it the best frame is chosen.
    """
    run, losses = Run(), []
    screen = None
    try:
        for step in steps:
            losses.append(step.loss)
            if (step.index + 1) % every and step.index + 1 < step.settings.steps:
                continue
            images = _images(step.canvas, prior)
            run.frames.append(
                Frame(step.index + 1, images, None if score is None else score(images))
            )
            screen = _refresh(screen, run.frames[-1], step.settings.steps)
    except KeyboardInterrupt:
        if not run.frames:
            raise
        run.interrupted = True
        print(f"Stopped; kept what there was after step {run.frames[-1].index}.")
    run.losses = [float(loss) for loss in losses]
    return run


def _images(canvas: Canvas, prior: Prior) -> Tensor:
    with torch.no_grad():
        rendered = canvas.render()
    images = prior.decode(rendered) if canvas.space == "latents" else rendered
    return images.detach().cpu()


class _Preview:
    """A frame and where it stands in the run, for a display that is updated in place."""

    def __init__(self, frame: Frame, steps: int) -> None:
        self.png = to_png_bytes(_enlarged(frame.sheet))
        self.caption = f"step {frame.index} of {steps}"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        encoded = base64.b64encode(self.png).decode()
        return {
            "text/plain": self.caption,
            "image/png": self.png,
            "text/html": f'<img src="data:image/png;base64,{encoded}"><br>{self.caption}',
        }


def _refresh(screen: Any, frame: Frame, steps: int) -> Any:
    """Show the first preview, then replace it, so that the notebook holds only the latest."""
    from IPython.display import display

    preview = _Preview(frame, steps)
    if screen is None:
        return display(preview, display_id=True)
    screen.update(preview)
    return screen
