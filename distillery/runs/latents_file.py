"""Latents as a `.safetensors` file, for other programs."""

from __future__ import annotations

from safetensors.torch import save
from torch import Tensor

from distillery.models.lora import in_order

LATENTS = "latents.safetensors"


def latents_file(latents: Tensor, *, model: str, prompt: str) -> bytes:
    """The bytes of a file that holds the latents (B, C, h, w) under "latents", in float32.

    They are as the denoiser sees them: `vae.decode(latents / vae.config.scaling_factor)` draws
    them. The metadata says the model and the prompt.
    """
    tensors = {"latents": latents.detach().float().cpu().contiguous()}
    told = {"model": model, "prompt": prompt, "scale": "times the VAE's scaling_factor"}
    return in_order(save(tensors, metadata=told))
