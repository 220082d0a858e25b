"""The judge: a small classifier of toybox pictures. It measures the course, not students."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from distillery.core.files import REPOSITORY
from distillery.toybox import COLOURS, SCENES, THINGS, Factors

SIZE = 64


class JudgeNet(nn.Module):
    """Five convolutions and three linear heads; (B, 3, 64, 64) in [-1, 1] to logits per fact."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        layers: list[nn.Module] = []
        channels = 3
        for out, stride in ((1, 2), (2, 2), (4, 2), (4, 1), (6, 2)):
            layers += [
                nn.Conv2d(channels, out * width, 3, stride, 1),
                nn.GroupNorm(8, out * width),
                nn.SiLU(),
            ]
            channels = out * width
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleList(
            nn.Linear(channels * 2, len(words)) for words in (THINGS, COLOURS, SCENES)
        )

    def features(self, images: Tensor) -> Tensor:
        """What the heads see, (B, F): mean and maximum of the last layer over space."""
        maps = self.trunk(images)
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Logits for thing, colour and scene: (B, 12), (B, 8), (B, 8)."""
        features = self.features(images)
        return tuple(head(features) for head in self.heads)


class Judge:
    """Reads thing, colour and scene off pictures; load it with `Judge.load()`."""

    def __init__(self, net: JudgeNet) -> None:
        self.net = net.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path | None = None) -> Judge:
        """The judge that ships with the course, or one from another folder."""
        folder = folder or REPOSITORY / "data" / "models" / "judge"
        net = JudgeNet(**json.loads((folder / "config.json").read_text("utf-8")))
        weights = load_file(folder / "model.safetensors")
        net.load_state_dict({name: weight.float() for name, weight in weights.items()})
        return cls(net)

    @torch.no_grad()
    def factors(self, images: Tensor) -> list[Factors]:
        """What each of the images (B, 3, H, W) in [-1, 1] shows."""
        logits = self.net(F.interpolate(images, (SIZE, SIZE), mode="area"))
        best = torch.stack([head.argmax(1) for head in logits], dim=1).tolist()
        return [Factors(THINGS[t], COLOURS[c], SCENES[s]) for t, c, s in best]

    @torch.no_grad()
    def sureness(self, pictures: Sequence[Image.Image]) -> list[float]:
        """How sure it is of thing, colour and scene together, from 0 to 1, for each picture."""
        chances = []
        for picture in pictures:
            image = F.interpolate(_tensor(picture), (SIZE, SIZE), mode="area")
            best = [head.softmax(dim=1).max() for head in self.net(image)]
            chances.append(float(torch.stack(best).prod()))
        return chances

    def pictures(self, pictures: Sequence[Image.Image]) -> list[Factors]:
        """What each of the pictures shows."""
        return [self.factors(_tensor(picture))[0] for picture in pictures]


def _tensor(picture: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.array(picture.convert("RGB")))
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1
