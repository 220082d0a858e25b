"""Draw one picture with a student's functions, in a job."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor


def draw(module: ModuleType, facts: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The picture of a prompt, of several particles the first.

    module: `guidance.<module>` of the student.
    facts:  "prompt", "kind" and "settings", as `submission_pictures.as_facts` writes them.

    Returns:
        Facts, and "image", uint8 (H, W, 3).
    """
    from distillery.core.images import to_pil
    from distillery.course.submission_pictures import drawn, from_facts, load_model

    settings = from_facts(facts)
    picture = to_pil(drawn(load_model(settings), module, settings))[0]
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return {}, {"image": pixels.view(picture.height, picture.width, 3)}
