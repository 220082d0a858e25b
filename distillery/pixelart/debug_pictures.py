"""What happens inside a run, as pictures: they show why a pixel is what it is.

Random numbers are drawn from a generator of its own, so looking changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from distillery.core.images import enlarged, to_pil
from distillery.models.prior import Control
from distillery.pixelart.augment import augment
from distillery.pixelart.canvas import PaletteCanvas
from distillery.pixelart.indexed_png import indexed
from distillery.pixelart.initial_grid import Start
from distillery.pixelart.settings import PixelSettings


def pictures(
    canvas: PaletteCanvas,
    start: Start,
    controls: Sequence[Control],
    settings: PixelSettings,
    index: int,
) -> Mapping[str, Image.Image]:
    """Hard, soft and Gumbel pictures, entropy, gradient, and the canvas as the model sees it.

    Args:
        index: of the step that has just been done; the same one gives the same pictures.
    """
    palette = start.palette
    generator = torch.Generator(canvas.logits.device).manual_seed(index)
    logits = canvas.render().detach()
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
    gumbel = -(-uniform.clamp(min=1e-20).log()).log()
    noisy = (logits + gumbel) / settings.tau_at(index, generator)
    soft = _painted(logits.softmax(dim=1), palette)
    large = F.interpolate(soft, settings.canvas, mode=settings.enlarge)
    seen, controls = augment(large, controls, settings=settings, generator=generator)
    made = {
        "hard": enlarged(indexed(canvas.indices()[0], palette, start.clear)),
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
