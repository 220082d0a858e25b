"""Checkpoints in one file, in the names of the original Stable Diffusion code.

Only the header is read here: what the file holds, and which folder of the course says how its
networks are built. Importing this does not load torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY

Shapes = dict[str, list[int]]  # name of a tensor -> its shape

UNET = "model.diffusion_model."
FIRST = UNET + "input_blocks.0.0.weight"
ATTENTION = ".attn2.to_k.weight"
SDXL_TEXT = "conditioner.embedders.1."
REFINER_TEXT = "conditioner.embedders.0.model."
PARTS = {  # where one of these prefixes must be
    "a UNet": (UNET,),
    "an autoencoder": ("first_stage_model.", "vae."),
    "a text encoder": ("cond_stage_model.", "conditioner.embedders."),
}
# Folders with the settings of the networks, the embedded models among them.
CONFIGS = REPOSITORY / "data" / "pipelines"
EMBEDDED = ("tiny-sd", "tiny-sdxl")
SPREAD_OF_V = 0.09
LARGEST_HEADER = 100_000_000  # bytes
OTHERS = {  # a piece of a name -> whose it is
    "double_blocks.": "Flux",
    "joint_blocks.": "Stable Diffusion 3",
    "lora_": "a LoRA, which the setting lora takes",
    "control_model.": "a ControlNet",
    "controlnet_cond_embedding.": "a ControlNet",
}


def shapes_in(file: Path) -> Shapes:
    """The tensors of a safetensors file, from its header.

    Raises:
        CourseError: the file cannot be read, or is none.
    """
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length) if length < LARGEST_HEADER else b"")
        return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        from distillery.models.weight_files import fault_of

        raise CourseError(
            f"cannot load {file}: it {fault_of(file) or 'is not in safetensors'}; "
            "give a whole .safetensors file, or a folder that diffusers saved."
        ) from error


def is_sdxl(shapes: Shapes) -> bool:
    """Whether the text is read by two encoders."""
    return any(name.startswith(SDXL_TEXT) for name in shapes)


def config_of(file: Path) -> Path:
    """The folder that says how the networks of a checkpoint are built.

    That is one of the same name beside the file, or the file's own folder, where diffusers saved
    it; else that of the model with these sizes which the course knows.

    Raises:
        CourseError: the file is not a Stable Diffusion or SDXL checkpoint, or of other sizes than
            all of these.
    """
    shapes = shapes_in(file)
    if wrong := _not_for_us(shapes):
        raise CourseError(
            f"cannot load {file}: {wrong}; give a checkpoint of Stable Diffusion 1, 2 or SDXL."
        )
    beside = [file.with_suffix(""), file.parent]
    ours = [REPOSITORY / "data" / "models" / name for name in EMBEDDED]
    ours += sorted(CONFIGS.iterdir()) if CONFIGS.is_dir() else []
    for folder in (*beside, *ours):
        if (folder / "model_index.json").is_file() and _sizes(folder) == _sizes_of(shapes):
            eps = folder == CONFIGS / "sd21" and not predicts_v(file)
            return CONFIGS / "sd21-base" if eps else folder
    raise CourseError(
        f"cannot load {file}: its UNet has other sizes than every model that the course knows; put "
        f"the configuration of its pipeline into the folder {file.with_suffix('')}, or give a "
        "folder that diffusers saved."
    )


def _not_for_us(shapes: Shapes) -> str:
    if FIRST not in shapes:
        for piece, what in OTHERS.items():
            if any(piece in name for name in shapes):
                return f"it is of {what}" if what[0] != "a" else f"it is {what}"
        if any(name.startswith(("down_blocks.", "decoder.", "text_model.")) for name in shapes):
            return "it holds one network of a pipeline, whose folder is what loads"
        return "it is not in the names of Stable Diffusion's checkpoints"
    if shapes[FIRST][1] != 4:
        return channels_sentence(shapes[FIRST][1])
    if any(name.startswith(REFINER_TEXT) for name in shapes):
        return "it is SDXL's refiner, which draws no picture of its own"
    if "edm_mean" in shapes or "ztsnr" in shapes:
        return "it was trained with another noise schedule than Stable Diffusion's"
    for part, prefixes in PARTS.items():
        if not any(name.startswith(prefixes) for name in shapes):
            return f"it has not {part}"
    return ""


def channels_sentence(channels: int) -> str:
    """Why a UNet with so many input channels cannot draw."""
    kind = {9: ", as for inpainting", 8: ", as for edits by instruction"}.get(channels, "")
    return f"its UNet takes {channels} channels{kind}, and this course's methods give it 4"


def _sizes_of(shapes: Shapes) -> tuple[Any, ...]:
    """First width, width of the text, depth, layers that read the text, and whether it is SDXL."""
    text = [shape for name, shape in shapes.items() if _reads_text(name)]
    depth = len({name.split(".")[3] for name in shapes if name.startswith(UNET + "input_blocks.")})
    return shapes[FIRST][0], text[0][-1] if text else 0, depth, len(text), is_sdxl(shapes)


def _reads_text(name: str) -> bool:
    return name.startswith(UNET) and name.endswith(ATTENTION)


def _sizes(folder: Path) -> tuple[Any, ...]:
    """The same of a folder."""
    try:
        config = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8-sig"))
        widths, layers = config["block_out_channels"], config["layers_per_block"]
        depth = len(widths) * (layers + 1)  # the first convolution, then layers and downsamplers
        return (
            widths[0],
            config["cross_attention_dim"],
            depth,
            _readers(config),
            config.get("addition_embed_type") == "text_time",
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _readers(config: dict[str, Any]) -> int:
    """How many layers of a UNet read the text: in its blocks down, in the middle, and up."""
    layers, per_block = config["layers_per_block"], config.get("transformer_layers_per_block", 1)
    blocks = len(config["block_out_channels"])
    each = per_block if isinstance(per_block, list) else [per_block] * blocks
    down = [name.startswith("CrossAttn") for name in config["down_block_types"]]
    up = [name.startswith("CrossAttn") for name in config["up_block_types"]]
    return (
        sum(layers * times for times, reads in zip(each, down, strict=True) if reads)
        + each[-1]
        + sum((layers + 1) * times for times, reads in zip(each[::-1], up, strict=True) if reads)
    )


def predicts_v(file: Path) -> bool:
    """Whether a checkpoint of Stable Diffusion 2 predicts v, which only its weights can tell.

    The networks of 2.0-v and 2.1 are those of 2.0-base and 2.1-base; where they were trained on v,
    this bias spreads more widely, as ComfyUI has found.
    """
    values = _values(file, UNET + "output_blocks.11.1.transformer_blocks.0.norm1.bias")
    return bool(values.size and values.std() > SPREAD_OF_V)


def _values(file: Path, name: str) -> np.ndarray:
    """A tensor of a safetensors file as float32; empty if it is not there."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        entry = json.loads(opened.read(length)).get(name)
        if entry is None:
            return np.zeros(0, np.float32)
        start, end = entry["data_offsets"]
        opened.seek(8 + length + start)
        data = opened.read(end - start)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, {"F16": np.float16, "F32": np.float32}[entry["dtype"]]).astype(
        np.float32
    )
