"""Writes models to disk: half precision, safetensors, complete or not at all."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from distillery.core.files import atomic_write


def save_half(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights as fp16 safetensors; integer tensors keep their type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {
        name: (w.half() if w.is_floating_point() else w).detach().cpu().contiguous()
        for name, w in weights.items()
    }
    atomic_write(path, save(half, metadata={"format": "pt"}))
