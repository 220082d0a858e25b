"""What is asked for on a page of stage 6, and what draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from distillery.runs.run import Step

Size = tuple[int, int]
SAMPLES = "samples"  # the figure of a step that counts the network samples so far


@dataclass(frozen=True)
class Request:
    """A prompt, a size and how to draw.

    prompt:           what the picture shows.
    size:             (H, W) in pixels.
    method:           a name of the methods.
    guidance_scale:   s.
    resampling_steps: R, of ElasticDiffusion, like the next two.
    new_p:            the part of the reference's cells that are new in a round, 0 to 1.
    rrg_weight:       the part of the way to the reference at the first step of a whole way, 0 to 1.
    seed:             of the noise.
    picture:          that a ControlNet holds the drawing to, or None.
    control:          what it is held to, "canny" or "depth".
    control_scale:    how much that counts.
    strength:         the part of the way that is drawn over the enlarged small picture, above 0.
    """

    prompt: str
    size: Size
    method: str = "elastic"
    guidance_scale: float = 5.0
    resampling_steps: int = 2
    new_p: float = 0.3
    rrg_weight: float = 0.0
    seed: int = 0
    picture: Image.Image | None = None
    control: str = "canny"
    control_scale: float = 0.5
    strength: float = 0.5


@dataclass(frozen=True)
class Drawer:
    """A model, as a page asks for it.

    steps:    of a request, each with its picture, and with the figure `SAMPLES`.
    samples:  how many network samples a request takes.
    plain:    how many plain guidance takes at the trained size.
    seen:     what the ControlNet is shown of a request's picture.
    defaults: (H, W) -> what suits it, by the names of a request's fields.
    sizes:    to choose from.
    """

    steps: Callable[[Request], Iterable[Step]]
    samples: Callable[[Request], float]
    plain: float
    seen: Callable[[Request], Image.Image]
    defaults: Callable[[Size], Mapping[str, Any]]
    sizes: Sequence[Size]
