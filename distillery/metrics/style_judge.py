"""The style judge: is a picture an ordinary drawing, pixel art or a sticker? It measures the
course, not students."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.toybox.styles import STYLES

KINDS = ("drawing", *STYLES)
LEAST = 32  # pixels on a side


class StyleNet(nn.Module):
    """Four convolutions and a linear head; (B, 3, H, W) in [-1, 1] to logits (B, 3) for `KINDS`.

    It looks at small parts alone, so pictures of any size will do: pixels count, not what they
    show.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.width = width
        layers: list[nn.Module] = []
        channels = 3
        for out, stride in ((1, 1), (2, 2), (2, 1), (3, 2)):
            layers += [
                nn.Conv2d(channels, out * width, 3, stride, 1),
                nn.GroupNorm(8, out * width),
                nn.SiLU(),
            ]
            channels = out * width
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(channels * 2, len(KINDS))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 3), from the mean and the maximum of the last layer over space."""
        maps = self.trunk(images)
        logits: Tensor = self.head(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))
        return logits


class StyleJudge:
    """Reads the style off pictures; load it with `StyleJudge.load()`."""

    def __init__(self, net: StyleNet) -> None:
        self.net = net.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path | None = None) -> StyleJudge:
        """The judge that ships with the course, or one from another folder."""
        folder = folder or REPOSITORY / "data" / "models" / "style-judge"
        net = StyleNet(**json.loads((folder / "config.json").read_text("utf-8")))
        weights = load_file(folder / "model.safetensors")
        net.load_state_dict({name: weight.float() for name, weight in weights.items()})
        return cls(net)

    @torch.no_grad()
    def shares(self, images: Tensor) -> Tensor:
        """How sure it is of each of `KINDS`, (B, 3) in [0, 1], for images (B, 3, H, W) in [-1, 1].

        Raises:
            CourseError: not images of this shape, or smaller than 32 pixels on a side.
        """
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < LEAST:
            raise CourseError(
                f"the style judge wants images (B, 3, H, W) of at least {LEAST} pixels a side, but "
                f"got the shape {shape}; give whole pictures."
            )
        return self.net(images.float().clamp(-1, 1)).softmax(1)

    def styles(self, images: Tensor) -> list[str]:
        """The likeliest of `KINDS` for each of the images (B, 3, H, W) in [-1, 1]."""
        return [KINDS[k] for k in self.shares(images).argmax(1).tolist()]
