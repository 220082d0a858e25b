"""Writes a transformers folder with model and processor, complete or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch


def save_transformer(model: Any, processor: Any, folder: Path) -> None:
    """Write both in half precision, replacing the old folder at once; its model card stays."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.to("cpu", torch.float16, memory_format=torch.contiguous_format).save_pretrained(partial)
    processor.save_pretrained(partial)
    for kept in folder.glob("*.md"):
        shutil.copy(kept, partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
