"""Writes models to disk: half precision, safetensors, complete or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
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


def save_network(network: Any, folder: Path) -> None:
    """Write one network of diffusers, its configuration and its weights in half precision."""
    network.save_config(folder)
    save_half(network.state_dict(), folder / "diffusion_pytorch_model.safetensors")


def save_transformer(model: Any, processor: Any, folder: Path) -> None:
    """Write both in half precision, replacing the old folder at once."""
    model.to("cpu", torch.float16, memory_format=torch.contiguous_format)
    with replacing(folder) as partial:
        model.save_pretrained(partial)
        processor.save_pretrained(partial)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder to write to, which then takes the place of the old one; its model card stays."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    for kept in folder.glob("*.md"):
        shutil.copy(kept, partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
