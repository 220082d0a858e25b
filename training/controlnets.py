"""The ControlNets of tiny-sdxl: one is shown edges, one depths.

Like the small ones for SDXL they have no attention, so they are told the pooled prompt but not its
words. They begin as copies of the UNet's first half; the UNet itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from distillery.models.annotators import edges, stretched
from training import loop
from training.data import LargeDrawings, captions_for, to_images
from training.export import save_network
from training.tiny_sd import CAPTION_DROPOUT, SCHEDULE, min_snr, token_ids, weighted_error
from training.tiny_sdxl import embed, sizes
from training.tiny_sdxl_vae import teacher
from training.tokenizer import new_tokenizer

STEPS, BATCH, SEED = 700, 24, {"canny": 23, "depth": 24}
CHUNK = 100


def new_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """ControlNet's architecture (Zhang et al. 2023) over the UNet's levels, without attention."""
    taken = ("block_out_channels", "layers_per_block", "norm_num_groups", "addition_embed_type")
    sized = ("addition_time_embed_dim", "projection_class_embeddings_input_dim")
    net = ControlNetModel(
        **{name: unet.config[name] for name in (*taken, *sized)},
        down_block_types=("DownBlock2D",) * len(unet.config.block_out_channels),
        mid_block_type="UNetMidBlock2D",
        conditioning_embedding_out_channels=(16, 24, 48, 64),
    )
    known, own = unet.state_dict(), net.state_dict()
    own.update({name: known[name] for name, w in own.items() if _fits(known.get(name), w)})
    net.load_state_dict(own)
    return net


def _fits(known: Tensor | None, wanted: Tensor) -> bool:
    return known is not None and known.shape == wanted.shape


def train(kind: str, drawings: LargeDrawings, *, build: Path, models: Path) -> None:
    """Train the ControlNet for "canny" or "depth" and write `models/tiny-controlnet-<kind>`."""
    device, seed = loop.device(), SEED[kind]
    torch.manual_seed(seed)
    sdxl, tokenizer = models / "tiny-sdxl", new_tokenizer()
    frozen = torch.nn.ModuleDict(
        {
            "text": CLIPTextModel.from_pretrained(sdxl / "text_encoder"),
            "text_2": CLIPTextModelWithProjection.from_pretrained(sdxl / "text_encoder_2"),
            "unet": UNet2DConditionModel.from_pretrained(sdxl / "unet"),
        }
    )
    frozen = frozen.float().to(device).eval().requires_grad_(False)
    unet = frozen["unet"].to(memory_format=torch.channels_last)
    latents = cached_latents(drawings, models, build / "latents128.pt")
    maps = cached_edges(drawings, build / "edges128.npy") if kind == "canny" else drawings.depths
    net = new_controlnet(unet).to(device, memory_format=torch.channels_last)
    scheduler = DDPMScheduler(**SCHEDULE)
    alphas_cumprod = scheduler.alphas_cumprod.to(device)

    def loss_of(step: int) -> dict[str, Tensor]:
        picked = torch.randint(len(latents), (BATCH,))
        x0 = latents[picked].to(device)
        shown = _as_shown(maps[picked.numpy()], relief=kind == "depth", device=device)
        texts = captions_for([drawings.factors[k] for k in picked], seed=seed * 10**6 + step)
        # More prompts are dropped than elsewhere, so that the ControlNet learns to look at the
        # picture.
        written = (torch.rand(BATCH) >= 3 * CAPTION_DROPOUT).to(device)
        t = torch.randint(scheduler.config.num_train_timesteps, (BATCH,), device=device)
        eps = torch.randn_like(x0)
        xt = scheduler.add_noise(x0, eps, t).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            tokens, pooled = embed(frozen, token_ids(tokenizer, texts).to(device), written)
        added = {"text_embeds": pooled, "time_ids": sizes(x0)}
        with torch.autocast(device.type, dtype=torch.bfloat16):
            down, middle = net(
                xt, t, tokens, controlnet_cond=shown, added_cond_kwargs=added, return_dict=False
            )
            predicted = unet(
                xt,
                t,
                tokens,
                added_cond_kwargs=added,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample.float()
        return weighted_error(predicted, eps, min_snr(alphas_cumprod, t))

    name = f"controlnet_{kind}"
    best = loop.train(name, net, loss_of, folder=build, steps=STEPS, learning_rate=1e-3, seed=seed)
    save_network(best, models / f"tiny-controlnet-{kind}")


def _as_shown(maps: np.ndarray, *, relief: bool, device: torch.device) -> Tensor:
    """Edges or depths (B, H, W) uint8 as the ControlNet sees them, (B, 3, H, W) in [0, 1]."""
    shown = torch.from_numpy(maps).to(device)[:, None].float() / 255
    if relief:  # as `distillery.models.annotators.depths` gives them
        shown = stretched(shown)
    return shown.expand(-1, 3, -1, -1)


def cached_latents(drawings: LargeDrawings, models: Path, path: Path) -> Tensor:
    """All large drawings in tiny-sd's latents, (N, 4, 16, 16)."""
    vae = AutoencoderKL.from_pretrained(models / "tiny-sd" / "vae").to(loop.device())
    device = loop.device()

    def latents_of(pixels: np.ndarray) -> np.ndarray:
        return teacher(vae, to_images(pixels, device)).cpu().numpy()

    return torch.from_numpy(_cached(drawings, latents_of, path.with_suffix(".npy")))


def cached_edges(drawings: LargeDrawings, path: Path) -> np.ndarray:
    """The edges of all large drawings, (N, 128, 128) uint8."""

    def edges_of(pixels: np.ndarray) -> np.ndarray:
        found = edges(to_images(pixels, torch.device("cpu")))
        return (found[:, 0] * 255).round().to(torch.uint8).numpy()

    return _cached(drawings, edges_of, path)


def _cached(
    drawings: LargeDrawings, made: Callable[[np.ndarray], np.ndarray], path: Path
) -> np.ndarray:
    if not path.exists():
        starts = tqdm(range(0, len(drawings.images), CHUNK), desc=path.stem, mininterval=2)
        parts = [made(drawings.images[k : k + CHUNK]) for k in starts]
        partial = path.with_name(f"partial.{path.name}")
        np.save(partial, np.concatenate(parts))
        partial.rename(path)
    return np.load(path)
