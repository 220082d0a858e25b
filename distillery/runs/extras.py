"""What a run keeps in addition to its picture. Nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass

from distillery.core.settings import Declared, Real, Size, Truth, setting


@dataclass(frozen=True)
class Extras(Declared):
    """What is kept in addition to the picture; nothing of it changes the picture.

    video_size: (H, W) that the frames are centred in; None is the enlarged picture's own size.
    fps:        of GIF and video.
    """

    make_video: bool = setting(False, Truth(), "also as an MP4", short="-mv")
    video_size: tuple[int, int] | None = setting(
        None,
        Size("the video", 16, 4096, unit=2),
        "height and width of the MP4",
        by_default="the picture's",
    )
    fps: float = setting(12, Real(low=1, high=60), "frames a second of GIF and MP4")
    tensorboard: bool = setting(False, Truth(), "write scalars for TensorBoard")
    verbose: bool = setting(False, Truth(), "save pictures of the intermediate steps")


NO_EXTRAS = Extras()
