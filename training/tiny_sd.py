"""tiny-sd: a text encoder and a UNet trained together on the VAE's latents."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training import loop
from training.data import Drawings, captions_for
from training.export import replacing
from training.tiny_sd_vae import latents_of
from training.tokenizer import CONTEXT, new_tokenizer

STEPS, BATCH, SEED = 3000, 40, 13
WIDTH = 128  # of the text encoder
CAPTION_DROPOUT = 0.1
SNR_CAP = 5.0
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
}


def text_config(tokenizer: CLIPTokenizer, width: int) -> CLIPTextConfig:
    """CLIP's text tower, two layers of that width."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def new_unet() -> UNet2DConditionModel:
    """Stable Diffusion's UNet with three levels, one layer a block."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(64, 128, 192),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def min_snr(alphas_cumprod: Tensor, t: Tensor) -> Tensor:
    """Loss weights (B,) that keep the easy, nearly clean timesteps from dominating.

    Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", for
    ε-prediction.
    """
    alpha_bar = alphas_cumprod[t]
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clamp(max=SNR_CAP) / snr


def weighted_error(predicted: Tensor, eps: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """The loss, squared errors of the noise weighted by `weights` (B,), and their plain mean."""
    error = (predicted - eps).square().mean((1, 2, 3))
    return {"loss": (error * weights).mean(), "error": error.detach().mean()}


def train(drawings: Drawings, vae: AutoencoderKL, *, build: Path, models: Path) -> None:
    """Train text encoder and UNet, and write the pipeline folder `models/tiny-sd`."""
    device = loop.device()
    torch.manual_seed(SEED)
    tokenizer = new_tokenizer()
    networks = nn.ModuleDict(
        {"text": CLIPTextModel(text_config(tokenizer, WIDTH)), "unet": new_unet()}
    ).to(device)
    networks["unet"].to(memory_format=torch.channels_last)
    latents = cached_latents(vae, drawings, build / "latents.pt")
    scheduler = DDPMScheduler(**SCHEDULE)
    alphas_cumprod = scheduler.alphas_cumprod.to(device)

    def loss_of(step: int) -> dict[str, Tensor]:
        picked = torch.randint(len(latents), (BATCH,))
        x0 = latents[picked].to(device)
        texts = captions_for([drawings.factors[k] for k in picked], seed=SEED * 10**6 + step)
        dropped = (torch.rand(BATCH) < CAPTION_DROPOUT).tolist()
        texts = ["" if drop else text for text, drop in zip(texts, dropped, strict=True)]
        t = torch.randint(scheduler.config.num_train_timesteps, (BATCH,), device=device)
        eps = torch.randn_like(x0)
        xt = scheduler.add_noise(x0, eps, t).contiguous(memory_format=torch.channels_last)
        tokens = networks["text"](token_ids(tokenizer, texts).to(device)).last_hidden_state
        with torch.autocast(device.type, dtype=torch.bfloat16):
            predicted = networks["unet"](xt, t, tokens).sample.float()
        return weighted_error(predicted, eps, min_snr(alphas_cumprod, t))

    best = loop.train(
        "tiny_sd", networks, loss_of, folder=build, steps=STEPS, learning_rate=1.2e-3, seed=SEED
    )
    save_pipeline(vae, tokenizer, best["text"], best["unet"], models / "tiny-sd")


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """(B, CONTEXT) int64, padded with the end token as in Stable Diffusion."""
    return tokenizer(
        texts, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt"
    ).input_ids


def cached_latents(vae: AutoencoderKL, drawings: Drawings, path: Path) -> Tensor:
    """All drawings encoded and scaled to unit variance, (N, 4, 16, 16)."""
    if not path.exists():
        scaled = latents_of(vae, drawings, len(drawings.images)) * vae.config.scaling_factor
        torch.save(scaled, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
    return torch.load(path, weights_only=True)


def save_pipeline(
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    unet: UNet2DConditionModel,
    folder: Path,
) -> None:
    """Write a Stable Diffusion pipeline folder in half precision, replacing the old one at once."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        unet=unet.to(memory_format=torch.contiguous_format),
        scheduler=DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to("cpu", torch.float16)
    with replacing(folder) as partial:
        pipeline.save_pretrained(partial, safe_serialization=True)
