"""tiny-sdxl: tiny-sd's UNet, taught a second text encoder, pooled text and the canvas's size.

Its latents are those of tiny-sd; its own autoencoder draws them at twice the resolution (see
`training.tiny_sdxl_vae`). So it starts from what tiny-sd knows, and only what SDXL adds is new.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from training import loop
from training.data import Drawings, captions_for, load_drawings
from training.export import replacing
from training.tiny_sd import (
    CAPTION_DROPOUT,
    SCHEDULE,
    cached_latents,
    min_snr,
    text_config,
    token_ids,
    weighted_error,
)
from training.tokenizer import new_tokenizer

STEPS, BATCH, SEED = 1000, 32, 21
OTHER_SHAPES, OTHER_COUNT = ((64, 96), (80, 64)), 4000
PIXELS = 8  # a latent's side
WIDTH = 96  # of the second text encoder, its pooled vector included
SIZE_CHANNELS = 32


def grown(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The UNet in SDXL's form: wider cross-attention, and an embedding of pooled text and sizes.

    The new parts start at zero, so that at first it predicts what the old one would.
    """
    width = unet.config.cross_attention_dim
    config = {
        **unet.config,
        "cross_attention_dim": width + WIDTH,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": SIZE_CHANNELS,
        "projection_class_embeddings_input_dim": WIDTH + 6 * SIZE_CHANNELS,
    }
    larger = UNet2DConditionModel.from_config(config)
    known = unet.state_dict()
    for name, weight in larger.state_dict().items():
        if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            weight.zero_()
            weight[:, :width] = known[name]
        elif name in known:
            weight.copy_(known[name])
        elif name.startswith("add_embedding.linear_2"):
            weight.zero_()
    return larger


def embed(networks: nn.ModuleDict, ids: Tensor, written: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (B, L, D) and pooled vector (B, P) as SDXL's pipeline makes them.

    They are zero where `written` (B,) is False, for the unconditional branch.
    """
    first = networks["text"](ids, output_hidden_states=True)
    second = networks["text_2"](ids, output_hidden_states=True)
    tokens = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
    return tokens * written[:, None, None], second.text_embeds * written[:, None]


def sizes(x0: Tensor) -> Tensor:
    """The six numbers about an uncropped canvas for latents x0 (B, C, h, w), (B, 6) float32."""
    height, width = (side * PIXELS for side in x0.shape[-2:])
    return (
        torch.tensor([[height, width, 0, 0, height, width]], device=x0.device)
        .float()
        .expand(len(x0), 6)
    )


def train(drawings: Drawings, *, build: Path, models: Path) -> None:
    """Train text encoders and UNet; `models/tiny-sdxl` then waits for its autoencoder."""
    device = loop.device()
    torch.manual_seed(SEED)
    tokenizer = new_tokenizer()
    small = models / "tiny-sd"
    vae = AutoencoderKL.from_pretrained(small / "vae").to(device)
    networks = nn.ModuleDict(
        {
            "text": CLIPTextModel.from_pretrained(small / "text_encoder", dtype=torch.float32),
            "text_2": CLIPTextModelWithProjection(text_config(tokenizer, WIDTH)),
            "unet": grown(UNet2DConditionModel.from_pretrained(small / "unet")),
        }
    ).to(device)
    networks["unet"].to(memory_format=torch.channels_last)
    pools = latent_pools(vae, drawings, build)
    scheduler = DDPMScheduler(**SCHEDULE)
    alphas_cumprod = scheduler.alphas_cumprod.to(device)

    def loss_of(step: int) -> dict[str, Tensor]:
        # Two steps of five are of the other shapes, one each.
        latents, factors = pools[step % 5] if step % 5 < len(pools) else pools[0]
        picked = torch.randint(len(latents), (BATCH,))
        x0 = latents[picked].to(device)
        texts = captions_for([factors[k] for k in picked], seed=SEED * 10**6 + step)
        written = (torch.rand(BATCH) >= CAPTION_DROPOUT).to(device)
        tokens, pooled = embed(networks, token_ids(tokenizer, texts).to(device), written)
        t = torch.randint(scheduler.config.num_train_timesteps, (BATCH,), device=device)
        eps = torch.randn_like(x0)
        xt = scheduler.add_noise(x0, eps, t).contiguous(memory_format=torch.channels_last)
        added = {"text_embeds": pooled, "time_ids": sizes(x0)}
        with torch.autocast(device.type, dtype=torch.bfloat16):
            predicted = networks["unet"](xt, t, tokens, added_cond_kwargs=added).sample.float()
        return weighted_error(predicted, eps, min_snr(alphas_cumprod, t))

    best = loop.train(
        "tiny_sdxl", networks, loss_of, folder=build, steps=STEPS, learning_rate=7e-4, seed=SEED
    )
    save_pipeline(tokenizer, best, models / "tiny-sdxl")


def latent_pools(vae: AutoencoderKL, drawings: Drawings, build: Path) -> list[tuple[Tensor, list]]:
    """Latents with their factors: the square ones, then those of each other shape."""
    pools = [(cached_latents(vae, drawings, build / "latents.pt"), drawings.factors)]
    for shape in OTHER_SHAPES:
        name = "x".join(map(str, shape))
        more = load_drawings(build / f"drawings{name}", count=OTHER_COUNT, seed=SEED, size=shape)
        pools.append((cached_latents(vae, more, build / f"latents{name}.pt"), more.factors))
    return pools


def save_pipeline(tokenizer: CLIPTokenizer, networks: nn.ModuleDict, folder: Path) -> None:
    """Write SDXL's pipeline folder in half precision, replacing the old one at once.

    An autoencoder that is there already stays; a fresh one goes where there is none.
    """
    from training.tiny_sdxl_vae import new_vae

    own = folder / "vae"
    vae = AutoencoderTiny.from_pretrained(own) if own.exists() else new_vae()
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=networks["text"],
        text_encoder_2=networks["text_2"],
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=networks["unet"].to(memory_format=torch.contiguous_format),
        scheduler=DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, steps_offset=1),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    ).to("cpu", torch.float16)
    with replacing(folder) as partial:
        pipeline.save_pretrained(partial, safe_serialization=True)
