"""Layers of pixel art, one for each colour, from a run's checkpoint or from its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillery.core.counting import counted
from distillery.core.errors import CourseError
from distillery.core.folders import files_of
from distillery.core.images import read_any, to_png_bytes
from distillery.palettes import load_palette
from distillery.pixelart.indexed_png import indexed, layers

LAYERS = "layers"  # of a finished run's folder


def layer_files(source: Path, palette: str) -> dict[str, bytes]:
    """argmax.png, softmax.png and layers/: name -> bytes.

    Args:
        source: the checkpoint of a run that was stopped, or the folder of any run.
        palette: another one of as many colours; "" for the run's own.

    Raises:
        CourseError: there is nothing of a run of pixel art, or the palette does not fit.
    """
    weights, own = _weights(source)
    if not palette and own is None:
        raise CourseError(
            f"{source} does not say its colours, which the run found by itself; name them by "
            "--palette."
        )
    colours = load_palette(palette) if palette or own is None else own
    if len(colours) != len(weights):
        raise CourseError(
            f"{source} has {counted(len(weights), 'colour')} and the palette {len(colours)}; give "
            "one of the same length."
        )
    soft = 2 * torch.einsum("khw,kc->chw", weights, colours) - 1
    files = {
        "argmax.png": to_png_bytes(indexed(weights.argmax(dim=0), colours)),
        "softmax.png": to_png_bytes(soft),
    }
    for number, layer in enumerate(layers(weights, colours)):
        files[f"{LAYERS}/{number:03d}.png"] = to_png_bytes(layer)
    return files


def _weights(source: Path) -> tuple[Tensor, Tensor | None]:
    """The weights (K, h, w) of a run's colours, and the colours where they are known."""
    if source.is_dir():
        checkpoints = sorted(source.glob("checkpoint-*.pt"))
        if not checkpoints:
            return _of_layers(source)
        source = checkpoints[-1]
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
        logits, named = state["state"]["canvas"]["logits"], state["settings"]["palette"]
        weights = logits.softmax(dim=1)[0]
    # A file that is no checkpoint can fail anywhere.
    except Exception as error:
        raise CourseError(
            f"{source} is no checkpoint of pixel art; name the file checkpoint-*.pt of a run that "
            "was stopped, or the folder of a finished one."
        ) from error
    return weights, load_palette(named) if named else None


def _of_layers(folder: Path) -> tuple[Tensor, Tensor]:
    """What a finished run has left in its layers, which are 8 bits deep."""
    files = files_of((folder / LAYERS).glob("*.png"), (".png",), under=folder)
    if not files:
        raise CourseError(
            f"{folder} has neither a checkpoint nor layers; name the folder of a run of pixel art."
        )
    levels = np.stack([np.asarray(read_any(file).convert("RGBA")) for file in files])
    whole = torch.from_numpy(levels).float() / 255
    return whole[..., 3], whole[:, 0, 0, :3]
