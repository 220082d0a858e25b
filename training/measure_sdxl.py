"""The figures of tiny-sdxl and its ControlNets, on data that was not used in training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny, ControlNetModel, StableDiffusionXLControlNetPipeline
from torch import Tensor

from distillery.core.measured import Figure, share
from distillery.metrics.judge import Judge
from distillery.models.annotators import depths, edges, stretched
from distillery.models.load import load_prior
from distillery.toybox import Drawing, all_factors, draw, held_out
from training.data import to_images
from training.measure_sd import FRESH, SCALES, fraction, psnr, report, sample, spread

COUNT = 64
NEAR = 2  # pixels that an edge may be off
CONTROL_GUIDANCE = 3.0


def measure_sdxl(*, models: Path) -> dict[str, Figure]:
    """Print the figures that the model cards of the SDXL family quote, and return them by name."""
    prior, judge = load_prior(models / "tiny-sdxl"), Judge.load(models / "judge")
    drawings = large_drawings(COUNT)
    ratio = psnr(prior, pixels(drawings))
    print(f"{'tiny-sdxl VAE, reconstruction':<64}{ratio:6.2f} dB")
    figures = {"sdxl_vae_psnr": Figure(ratio)}
    for name, wanted in (("trained", False), ("held-out", True)):
        factors = spread([f for f in all_factors() if held_out(f) is wanted], COUNT)
        for scale in SCALES:
            pictures = sample(prior, [str(f) for f in factors], guidance_scale=scale)
            right = fraction(judge.factors(pictures), factors)
            report(f"tiny-sdxl, DDIM 30 steps, CFG {scale:g}, {name} combinations", right)
            figures[f"sdxl_{name.replace('-', '_')}_cfg_{scale:g}"] = share(right, COUNT)
    canny = measure_canny(drawings, models=models)
    depth = measure_depth_control(drawings, models=models)
    for kind, found in (("edges", canny), ("depths", depth)):
        figures |= {f"{kind}_scale_{scale:g}": Figure(its) for scale, its in found.items()}
    return figures


def large_drawings(count: int) -> list[Drawing]:
    """Fresh drawings at 128 pixels, held-out combinations among them."""
    factors = spread(all_factors(), count)
    return [draw(f, FRESH + k, size=(128, 128)) for k, f in enumerate(factors)]


def pixels(drawings: list[Drawing]) -> Tensor:
    """The drawings as images (B, 3, 128, 128)."""
    return to_images(np.stack([d.image for d in drawings]), torch.device("cpu"))


def controlled(
    models: Path, kind: str, maps: Tensor, prompts: list[str], *, scale: float
) -> Tensor:
    """Pictures of the prompts, drawn by diffusers' own ControlNet pipeline for SDXL."""
    pipeline = StableDiffusionXLControlNetPipeline.from_pretrained(
        models / "tiny-sdxl",
        vae=AutoencoderTiny.from_pretrained(models / "tiny-sdxl" / "vae"),
        controlnet=ControlNetModel.from_pretrained(models / f"tiny-controlnet-{kind}"),
        dtype=torch.float32,
    )
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(
        prompts,
        image=maps,
        controlnet_conditioning_scale=scale,
        guidance_scale=CONTROL_GUIDANCE,
        num_inference_steps=30,
        generator=torch.Generator().manual_seed(FRESH),
        output_type="pt",
    )
    return 2 * drawn.images - 1


def edge_f1(wanted: Tensor, found: Tensor) -> float:
    """Mean F1 over pictures of edges (B, 3, H, W) in [0, 1]; they may be `NEAR` pixels off."""
    scores = []
    for one, other in zip(wanted[:, 0].numpy(), found[:, 0].numpy(), strict=True):
        precision, recall = _covered(other, one), _covered(one, other)
        scores.append(2 * precision * recall / max(precision + recall, 1e-9))
    return float(np.mean(scores))


def _covered(edge: np.ndarray, by: np.ndarray) -> float:
    """The share of the pixels of `edge` that have one of `by` within `NEAR` pixels."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * NEAR + 1, 2 * NEAR + 1))
    around = cv2.dilate(by.astype(np.uint8), disc) > 0
    return float(around[edge > 0].mean()) if (edge > 0).any() else 0.0


def measure_canny(drawings: list[Drawing], *, models: Path) -> dict[float, float]:
    """How well drawn edges match the requested ones, with and without the ControlNet.

    Returns:
        F1 by the ControlNet's scale.
    """
    found = {}
    asked, prompts = edges(pixels(drawings)), [str(d.factors[0]) for d in drawings]
    for scale in (0.0, 1.0):
        drawn = controlled(models, "canny", asked, prompts, scale=scale)
        found[scale] = edge_f1(asked, edges(drawn.clamp(-1, 1)))
        name = f"tiny-controlnet-canny, F1 of edges, scale {scale:g}"
        print(f"{name:<64}{found[scale]:6.3f}", flush=True)
    return found


def measure_depth_control(drawings: list[Drawing], *, models: Path) -> dict[float, float]:
    """How well the drawn depths match the requested ones.

    Returns:
        Correlation by the ControlNet's scale.
    """
    found = {}
    truth = torch.from_numpy(np.stack([d.depth for d in drawings]))[:, None]
    asked, prompts = stretched(truth).repeat(1, 3, 1, 1), [str(d.factors[0]) for d in drawings]
    for scale in (0.0, 1.0):
        drawn = controlled(models, "depth", asked, prompts, scale=scale)
        found[scale] = correlation(truth, depths(drawn.clamp(-1, 1))[:, :1])
        name = f"tiny-controlnet-depth, correlation of depths, scale {scale:g}"
        print(f"{name:<64}{found[scale]:6.3f}", flush=True)
    return found


def correlation(one: Tensor, other: Tensor) -> float:
    """Mean over pictures of Pearson's correlation of maps (B, 1, H, W)."""
    a, b = (m.flatten(1) - m.flatten(1).mean(1, keepdim=True) for m in (one, other))
    return float(((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-9)).mean())
