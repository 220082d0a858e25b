"""The names that the original Stable Diffusion code gives the layers of a UNet.

Kohya's LoRA files for SDXL, ComfyUI's, and checkpoints in one file use them. They number the blocks
through: `input_blocks.4.1` is diffusers' `down_blocks.1.attentions.0` where there are two layers a
block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

IN_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
AT_THE_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}


def ldm_name(layer: str, blocks: dict[str, str]) -> str:
    """The original name of a diffusers layer, or "" if it has none.

    Args:
        layer: "down_blocks.0.resnets.0.conv1", ...
        blocks: of `ldm_blocks`.
    """
    parts = layer.split(".")
    for length in range(len(parts), 0, -1):
        block = blocks.get(".".join(parts[:length]))
        if block is not None:
            rest = parts[length:]
            if "resnets" in parts[:length]:
                rest = [IN_RESNET.get(part, part) for part in rest]
            return ".".join([block, *rest])
    return ""


def ldm_blocks(unet: Any) -> dict[str, str]:
    """Names of blocks of a `UNet2DConditionModel` -> their original names."""
    return {**AT_THE_ENDS, **dict(_downwards(unet)), **dict(_upwards(unet))}


def _downwards(unet: Any) -> Iterator[tuple[str, str]]:
    number = 0
    for index, block in enumerate(unet.down_blocks):
        for layer in range(len(block.resnets)):
            number += 1
            yield f"down_blocks.{index}.resnets.{layer}", f"input_blocks.{number}.0"
            yield f"down_blocks.{index}.attentions.{layer}", f"input_blocks.{number}.1"
        if block.downsamplers is not None:
            number += 1
            yield f"down_blocks.{index}.downsamplers.0.conv", f"input_blocks.{number}.0.op"


def _upwards(unet: Any) -> Iterator[tuple[str, str]]:
    number = -1
    for index, block in enumerate(unet.up_blocks):
        for layer in range(len(block.resnets)):
            number += 1
            yield f"up_blocks.{index}.resnets.{layer}", f"output_blocks.{number}.0"
            yield f"up_blocks.{index}.attentions.{layer}", f"output_blocks.{number}.1"
        if block.upsamplers is not None:
            place = 2 if hasattr(block, "attentions") else 1
            yield f"up_blocks.{index}.upsamplers.0", f"output_blocks.{number}.{place}"
