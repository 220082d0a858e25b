"""Priors to measure on: the embedded model, and the real sizes with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from distillery.models.load import load_prior
from distillery.models.prior import Condition, Prior
from distillery.models.stable_diffusion import StableDiffusionPrior, StableDiffusionXLPrior

SD15: dict[str, Any] = {
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SDXL: dict[str, Any] = {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


@dataclass(frozen=True)
class Bench:
    """A prior, two conditions of one prompt, and the latents' size to measure at."""

    prior: Prior
    text: Condition
    uncond: Condition
    latent_size: tuple[int, int]


def load(name: str, device: torch.device) -> Bench:
    """ "tiny-sd", or "sd15" or "sdxl" at full size with random weights.

    On a CPU the full sizes get a quarter of the side, so that a step takes seconds.
    """
    if name == "tiny-sd":
        prior = load_prior("tiny-sd", device=device)
        text, uncond = prior.embed(["a red boat on a frozen river"]), prior.embed([""])
        return Bench(prior, text, uncond, prior.latent_size)
    config = {"sd15": SD15, "sdxl": SDXL}[name]
    unet = random_weights("unet", config, device)
    parts: dict[str, Any] = {
        "vae": AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(32,) * 4,
        ),
        "unet": unet,
        "text_encoder": None,
        "tokenizer": None,
        "scheduler": DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
    }
    if name == "sd15":
        pipeline = StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
        prior = StableDiffusionPrior(pipeline, device=device)
    else:
        pipeline = StableDiffusionXLPipeline(**parts, text_encoder_2=None, tokenizer_2=None)
        prior = StableDiffusionXLPrior(pipeline, device=device)
    tokens = torch.randn(2, 77, config["cross_attention_dim"], dtype=unet.dtype, device=device)
    pooled = torch.randn(2, 1280, dtype=unet.dtype, device=device) if name == "sdxl" else None
    text, uncond = (
        Condition(tokens[k : k + 1], None if pooled is None else pooled[k : k + 1]) for k in (0, 1)
    )
    side = config["sample_size"] // (1 if device.type == "cuda" else 4)
    return Bench(prior, text, uncond, (side, side))


def random_weights(
    kind: str, config: dict[str, Any], device: torch.device, dtype: torch.dtype = torch.bfloat16
) -> Any:
    """A "unet" or "controlnet" of small random weights, made without copies in float32."""
    network = {"unet": UNet2DConditionModel, "controlnet": ControlNetModel}[kind]
    with torch.device("meta"):
        made = network(**config)
    made = made.to(dtype).to_empty(device=device)
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.02)
    return made
