"""What happens inside a run, as pictures: for whoever wonders why a pixel is what it is.

Chance is drawn from a generator of its own, so looking changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from distillery.core.images import enlarged, save_png, to_pil
from distillery.pixelart.augment import augment
from distillery.pixelart.indexed_png import indexed
from distillery.pixelart.settings import PixelSettings

if TYPE_CHECKING:
    from distillery.pixelart.run import Begun


def save(folder: Path, begun: Begun, settings: PixelSettings, index: int) -> None:
    """Write the pictures of the step `index` as PNG files named by step and content."""
    for name, picture in pictures(begun, settings, index).items():
        save_png(folder / f"{index + 1:05d}_{name}.png", picture)


def pictures(begun: Begun, settings: PixelSettings, index: int) -> Mapping[str, Image.Image]:
    """Hard, soft and Gumbel pictures, entropy, gradient, and the canvas as the model sees it."""
    canvas, palette = begun.canvas, begun.start.palette
    generator = torch.Generator(canvas.logits.device).manual_seed(index)
    logits = canvas.render().detach()
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
    gumbel = -(-uniform.clamp(min=1e-20).log()).log()
    noisy = (logits + gumbel) / settings.tau_at(index, generator)
    soft = _painted(logits.softmax(dim=1), palette)
    large = F.interpolate(soft, settings.canvas, mode=settings.enlarge)
    seen, controls = augment(large, begun.controls, settings=settings, generator=generator)
    made = {
        "hard": enlarged(indexed(canvas.indices()[0], palette, begun.start.clear)),
        "soft": enlarged(to_pil(soft)[0]),
        "gumbel_soft": enlarged(to_pil(_painted(noisy.softmax(dim=1), palette))[0]),
        "gumbel_hard": enlarged(indexed(noisy.argmax(dim=1)[0], palette)),
        "entropy": enlarged(_grey(canvas.entropy()[0])),
        "augmented": to_pil(seen)[0],
    }
    if canvas.logits.grad is not None:
        length = canvas.logits.grad.norm(dim=1)[0]
        made["gradient"] = enlarged(_grey(length / length.amax().clamp(min=1e-12)))
    for control in controls:
        made[f"augmented_{control.kind}"] = to_pil(2 * control.image - 1)[0]
    return made


def _painted(weights: Tensor, palette: Tensor) -> Tensor:
    return 2 * (weights.movedim(1, -1) @ palette).movedim(-1, 1) - 1


def _grey(levels: Tensor) -> Image.Image:
    """Levels (h, w) in [0, 1], white at 1."""
    return Image.fromarray((levels.cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy())
