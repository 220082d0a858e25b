"""What is asked for when a painting is to become a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PIL import Image

from distillery.core.errors import CourseError
from distillery.runs.run import Step


@dataclass(frozen=True)
class Request:
    """A painting and how to draw from it.

    painting: RGBA, alpha 0 where the model decides.
    labels:   indexed, of the painting's size, 0 where there is no region; None without regions.
    words:    of the prompt, one for each region.
    prompt:   what the picture shows.
    method:   a name of the methods.
    strength: the part of the way from noise that is left, above 0 and up to 1.
    seed:     of the noise.
    """

    painting: Image.Image
    prompt: str
    labels: Image.Image | None = None
    words: tuple[str, ...] = ()
    method: str = "gradop+"
    strength: float = 0.8
    seed: int = 0


Begin = Callable[[Request], Iterable[Step]]  # the steps of a run, each with its picture


def finished(begin: Begin, request: Request) -> Image.Image:
    """The picture after the last step; here and now, without a browser.

    Raises:
        CourseError: the request cannot be fulfilled, or there is no step to take.
    """
    from distillery.core.images import to_pil

    last = None
    for step in begin(request):
        last = step
    if last is None:
        raise CourseError("the run took no step: raise the strength.")
    picture = last.picture()
    return picture if isinstance(picture, Image.Image) else to_pil(picture)[0]
