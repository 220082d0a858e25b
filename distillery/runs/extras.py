"""What a run keeps in addition to its picture. Nothing here loads torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from distillery.core.cli import pair
from distillery.core.errors import CourseError
from distillery.core.settings import Declared, Real, Truth, ValueType, setting


@dataclass(frozen=True)
class FrameSize(ValueType):
    """Height and width of a video, or None where its frames keep their own."""

    flag_type: ClassVar[Callable[[str], Any]] = staticmethod(pair)
    metavar = "H,W"

    def check(self, name: str, value: Any, among: object = None) -> tuple[int, int] | None:
        if value is None:
            return None
        two = isinstance(value, tuple) and len(value) == 2
        if not (two and all(16 <= side <= 4096 and side % 2 == 0 for side in value)):
            raise CourseError(
                f"{name} must be two even numbers from 16 to 4096, height and width; it is "
                f"{value!r}."
            )
        return value[0], value[1]


@dataclass(frozen=True)
class Extras(Declared):
    """What is kept in addition to the picture; nothing of it changes the picture.

    video_size: (H, W) that the frames are centred in; None is the enlarged picture's own size.
    fps:        of GIF and video.
    """

    make_video: bool = setting(False, Truth(), "also as an MP4", short="-mv")
    video_size: tuple[int, int] | None = setting(
        None, FrameSize(), "height and width of the MP4", by_default="the picture's"
    )
    fps: float = setting(12, Real(low=1, high=60), "frames a second of GIF and MP4")
    tensorboard: bool = setting(False, Truth(), "write scalars for TensorBoard")
    verbose: bool = setting(False, Truth(), "save pictures of the intermediate steps")


NO_EXTRAS = Extras()
