"""tiny-clip: pictures and captions in one space, in open_clip's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from torch import Tensor

from distillery.core.files import atomic_write
from distillery.toybox import Factors
from training import loop
from training.data import Drawings, captions_for
from training.export import save_half
from training.judge import worn
from training.tiny_sd import token_ids
from training.tokenizer import CONTEXT, new_tokenizer

STEPS, BATCH, SEED = 1300, 96, 14
WIDTH = 64
PREPROCESS = {
    "size": 64,
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bicubic",
    "resize_mode": "squash",
}


def config(vocab_size: int) -> dict[str, Any]:
    """The model's part of open_clip_config.json: a small ResNet and a two-layer text tower."""
    return {
        "embed_dim": WIDTH,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 12, "patch_size": None},
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": vocab_size,
            "width": WIDTH,
            "heads": 4,
            "layers": 2,
            "hf_tokenizer_name": ".",
        },
    }


def true_of(captions: list[str], factors: list[Factors]) -> Tensor:
    """Which captions (columns) are true of which drawings (rows), (B, B) float32.

    Captions leave facts open, so more than the diagonal is true.
    """
    facts = [(f.thing, f.colour, f.scene) for f in factors]
    claims = [
        {fact for fact in own if fact in text} for text, own in zip(captions, facts, strict=True)
    ]
    rows = [[told <= set(own) for told in claims] for own in facts]
    return torch.tensor(rows, dtype=torch.float32)


def train(drawings: Drawings, *, build: Path, models: Path) -> None:
    """Train both towers and write `models/tiny-clip`, tokenizer included."""
    device = loop.device()
    torch.manual_seed(SEED)
    tokenizer = new_tokenizer()
    model_config = config(len(tokenizer))
    text_config = {k: v for k, v in model_config["text_cfg"].items() if k != "hf_tokenizer_name"}
    model = CLIP(WIDTH, model_config["vision_cfg"], text_config).to(device)

    def loss_of(step: int) -> dict[str, Tensor]:
        picked = torch.randint(len(drawings.images), (BATCH,)).tolist()
        images, _ = drawings.some(picked, device=device)
        factors = [drawings.factors[k] for k in picked]
        captions = captions_for(factors, seed=SEED * 10**6 + step)
        image = F.normalize(model.encode_image(worn(images, seed=step)), dim=-1)
        text = F.normalize(model.encode_text(token_ids(tokenizer, captions).to(device)), dim=-1)
        logits = model.logit_scale.clamp(max=4.6).exp() * image @ text.T
        true = true_of(captions, factors).to(device)
        by_image = F.cross_entropy(logits, true / true.sum(1, keepdim=True))
        by_text = F.cross_entropy(logits.T, true.T / true.T.sum(1, keepdim=True))
        first = true.gather(1, logits.argmax(1, keepdim=True)).mean()
        return {"loss": by_image + by_text, "first_true": first}

    best = loop.train(
        "tiny_clip", model, loss_of, folder=build, steps=STEPS, learning_rate=1.5e-3, seed=SEED
    )
    folder = models / "tiny-clip"
    save_half(best.state_dict(), folder / "open_clip_model.safetensors")
    tokenizer.save_pretrained(folder)
    written = {"model_cfg": model_config, "preprocess_cfg": PREPROCESS}
    atomic_write(folder / "open_clip_config.json", json.dumps(written, indent=2) + "\n")
