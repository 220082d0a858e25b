"""Draw one picture with a student's functions, in a job."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor


def draw(
    module: ModuleType, facts: dict[str, Any], priors: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The picture of a prompt, of several particles the first.

    module: `guidance.<module>` of the student.
    facts:  "prompt", "kind" and "settings", as `submission_pictures.as_facts` writes them.
    priors: those that were loaded before the job, by the name of their model.

    Returns:
        Facts, and "image", uint8 (H, W, 3).
    """
    from distillery.core.images import to_pil
    from distillery.course.submission_pictures import drawn, from_facts, load_model
    from distillery.runs.registry import kind_of

    settings = from_facts(facts)
    # What such a kind adds to its prior, no other job should find in it.
    ready = None if kind_of(settings).OWN_PRIOR else priors.get(settings.model)
    picture = to_pil(drawn(ready or load_model(settings), module, settings))[0]
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return {}, {"image": pixels.view(picture.height, picture.width, 3)}
