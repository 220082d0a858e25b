"""tiny-depth: DPT for the toybox world, from a picture to how near each of its pixels is."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

from training import loop
from training.data import LargeDrawings
from training.degrade import shifted, worn_large
from training.export import save_transformer
from training.tiny_sd_vae import edge_error

STEPS, BATCH, SEED = 1500, 16, 22
SIZE = 128
EDGES_WEIGHT = 0.5


def new_processor() -> DPTImageProcessor:
    """Squash to 128×128 and map to [-1, 1]."""
    half = (0.5, 0.5, 0.5)
    return DPTImageProcessor(size={"height": SIZE, "width": SIZE}, image_mean=half, image_std=half)


def new_model() -> DPTForDepthEstimation:
    """DPT with a vision transformer of four layers and patches of eight pixels."""
    model = DPTForDepthEstimation(
        DPTConfig(
            hidden_size=80,
            intermediate_size=160,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=SIZE,
            patch_size=8,
            backbone_out_indices=(0, 1, 2, 3),
            readout_type="ignore",
            # Every fusion doubles the map and the head once more: 4, 8, 16, 32, 64, 128 pixels.
            reassemble_factors=(2, 1, 0.5, 0.25),
            neck_hidden_sizes=(24, 32, 48, 48),
            fusion_hidden_size=24,
            use_auxiliary_head=False,
        )
    )
    # The head ends in a ReLU; if it started below zero, it would never learn.
    torch.nn.init.constant_(model.head.head[-2].bias, 0.5)
    return model


def train(drawings: LargeDrawings, *, build: Path, models: Path) -> None:
    """Train the depth estimator and write `models/tiny-depth`, processor included."""
    device = loop.device()
    torch.manual_seed(SEED)
    model = new_model().to(device, memory_format=torch.channels_last)

    def loss_of(step: int) -> dict[str, Tensor]:
        images, depths = drawings.batch(BATCH, seed=SEED * 10**6 + step, device=device)
        both = shifted(torch.cat([images, depths], dim=1), seed=step, reach=8)
        if step % 2:
            both = both.flip(3)
        images, depths = worn_large(both[:, :3], seed=step, tint=0.3), both[:, 3:]
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            predicted = model(pixel_values=images).predicted_depth[:, None]
        predicted = predicted.float()
        edges = edge_error(predicted, depths)
        loss = F.l1_loss(predicted, depths) + EDGES_WEIGHT * edges
        return {"loss": loss, "correlation": correlations(predicted.detach(), depths).mean()}

    best = loop.train(
        "tiny_depth", model, loss_of, folder=build, steps=STEPS, learning_rate=2e-3, seed=SEED
    )
    save_transformer(best, new_processor(), models / "tiny-depth")


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation over the pixels of each picture, (B,); 0 where one of them is flat."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (a, b))
    return F.cosine_similarity(a, b, dim=1)
