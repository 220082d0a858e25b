"""What a run is. Its steps may be an optimisation, a sampler, or a path of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image
from torch import Tensor

from distillery.core.images import Picture

PICTURE = "picture.png"  # the product that is the result itself


@dataclass(frozen=True)
class Step:
    """One step done.

    Nothing may be drawn from the run's generator between steps, or a resumed run would differ.

    index:   from 0.
    total:   number of steps of the whole run.
    picture: gives the picture as it is now, after the latest step.
    figures: scalars by name; they stay on their device, and reading one waits for the device.
    state:   gives what the run needs to go on after this step, tensors and plain values.
    """

    index: int
    total: int
    picture: Callable[[], Picture]
    figures: Mapping[str, Tensor] = field(default_factory=dict)
    state: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from: the number of its last step, the figures of all steps, its state."""

    index: int
    figures: Mapping[str, Sequence[float]]
    state: dict[str, Any]


def code_of(method: Any) -> bytes:
    """The file of a module whose functions draw; nothing where it has none, as in the sandbox."""
    file = Path(getattr(method, "__file__", None) or "")
    return file.read_bytes() if file.is_file() else b""


class Run(ABC):
    """Steps to come, and what is kept of them. It knows nothing of files.

    total:       number of steps.
    ingredients: bytes that decide the result in addition to the settings: the code of the method,
                 source pictures. Where they have changed, a stopped run starts again.
    may_make:    glob patterns of the products that not every run of its kind makes.
    """

    total: int
    ingredients: Sequence[bytes] = ()
    may_make: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        """The steps from the start, or those after a checkpoint to the same result bit for bit.

        Raises:
            CourseError: the checkpoint's state does not fit.
        """

    @abstractmethod
    def images(self) -> Tensor:
        """What there is now, (B, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def products(self) -> dict[str, bytes]:
        """File name -> content, once the last step is done; `PICTURE` is the result itself."""

    def foreword(self) -> str:
        """What the terminal says before the first step, for example what a long run will cost."""
        return ""

    def afterword(self) -> str:
        """What the terminal says once all is done."""
        return ""

    def film(self, frames: Sequence[Image.Image]) -> list[Image.Image]:
        """The pictures of the making, from the frames that were kept on the way."""
        return list(frames)

    def enlarged(self, frame: Image.Image) -> Image.Image:
        """A frame as the GIF shows it."""
        return frame

    def debug_pictures(self, index: int) -> Mapping[str, Picture]:
        """Name -> picture of what happens inside, after the step `index`."""
        return {}

    def scalars(self) -> Mapping[str, float]:
        """Further figures of what there is now, for TensorBoard alone."""
        return {}
