"""tiny-sd-sticker and tiny-sd-pixel: two styles as LoRAs on tiny-sd's UNet.

The command that a user types trains them, on folders that the toybox draws. The decoder of the
pixel style is trained apart.

This takes all steps of a style in one run. The committed weights came about in three, each going on
from the one before (`--start`) and falling from its own learning rate:

    pixel    500 steps at 2e-3 on 1,200 pictures of seed 3, 900 at 1.5e-3 (`--seed 5`) on new ones
             of seed 4, and 1,000 at 1.5e-3 (`--seed 6`) on 2,400 of seed 6
    sticker  500 at 2e-3, 700 at 1.5e-3 and 500 at 1e-3
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load, save

from distillery.core.files import REPOSITORY, atomic_write
from distillery.models.lora import in_order
from distillery.toybox.style_folder import write_style_folder
from distillery.toybox.styles import STYLES

PICTURES, SEED = 1200, 3
STEPS, RANK = {"pixel": 2400, "sticker": 1700}, 8
# What a LoRA adds is multiplied so at the end. As trained, one picture in seven or eight stays
# smooth; at 1.2 fewer than one in twenty does, but one fact in ten is then wrong.
STRENGTH = {"pixel": 1.1, "sticker": 1.0}
PROMPTS = (
    "a red boat on a frozen river",
    "an orange cat on the beach",
    "a blue car in the desert",
    "a green tree in the snow",
)
WEIGHTS = "pytorch_lora_weights.safetensors"


def train(*, build: Path, models: Path) -> None:
    """Train a LoRA for each style and put it into `models/tiny-sd-STYLE`, beside what is there."""
    for style in STYLES:
        pictures = build / "styles" / style
        if not pictures.exists():
            write_style_folder(pictures, style, count=PICTURES, seed=SEED)
        subprocess.run(command(pictures, models / "tiny-sd"), cwd=REPOSITORY, check=True)
        folder = models / f"tiny-sd-{style}"
        folder.mkdir(parents=True, exist_ok=True)
        trained = pictures.with_name(f"{style}-lora") / WEIGHTS
        atomic_write(folder / WEIGHTS, strengthened(trained.read_bytes(), STRENGTH[style]))


def strengthened(file: bytes, by: float) -> bytes:
    """A LoRA's safetensors file, with so many times of what it adds."""
    if by == 1:
        return file
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    factors = {
        name: factor * by if ".lora_B." in name else factor for name, factor in load(file).items()
    }
    return in_order(save(factors, metadata=header["__metadata__"]))


def command(pictures: Path, model: Path) -> list[str]:
    """What a user would type; a training that was stopped goes on."""
    options = {
        "--model": str(model.resolve()),
        "--rank": str(RANK),
        "--layers": "all",
        "--steps": str(STEPS[pictures.name]),
        "--batch_size": "16",
        "--learning_rate": "2e-3",
        "--mixed_precision": "no",
        "--guidance_scale": "5",
        "--validation_prompts": "; ".join(PROMPTS),
        "--implementation": "reference",
        "--out": str(pictures.resolve().parent),
    }
    words = [word for option in options.items() for word in option]
    return [sys.executable, "main.py", "finetune", str(pictures.resolve()), *words]
