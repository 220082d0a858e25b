"""The figures of the embedded models, on drawings and prompts that were not used in training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.measured import Figure, share
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.judge import Judge
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.toybox import Drawing, Factors, all_factors, draw, held_out
from training.data import to_images

FRESH = 500_000_000  # far above every training seed
SCALES = (1.0, 3.0, 5.0)
CHUNK = 32
FOR_CLIP, SAMPLES = 256, 64  # pictures


def measure_all(*, models: Path, logs: Path) -> dict[str, Figure]:
    """Print every figure the model cards quote, and draw the curves of the training logs.

    Returns:
        The figures by name.
    """
    prior, judge = load_prior(models / "tiny-sd"), Judge.load(models / "judge")
    drawings = fresh_drawings(768)
    images = to_images(np.stack([d.image for d in drawings]), torch.device("cpu"))
    truth = [d.factors[0] for d in drawings]
    right = fraction(judge.factors(images), truth)
    report("judge, all three facts right on fresh drawings", right)
    ratio = psnr(prior, images)
    print(f"{'tiny-sd VAE, reconstruction of fresh drawings':<64}{ratio:6.2f} dB")
    scorer = ClipScorer("tiny-clip")
    first = first_among_all(scorer, drawings[:FOR_CLIP])
    report("tiny-clip, right caption first of all 768", first)
    figures = {
        "judge": share(right, len(drawings)),
        "vae_psnr": Figure(ratio),
        "clip_first": share(first, FOR_CLIP),
    }
    for name, wanted in (("trained", False), ("held-out", True)):
        factors = spread([f for f in all_factors() if held_out(f) is wanted], SAMPLES)
        for scale in SCALES:
            pictures = sample(prior, [str(f) for f in factors], guidance_scale=scale)
            right = fraction(judge.factors(pictures), factors)
            report(f"tiny-sd, DDIM 30 steps, CFG {scale:g}, {name} combinations", right)
            figures[f"sd_{name.replace('-', '_')}_cfg_{scale:g}"] = share(right, SAMPLES)
    plot_logs(logs, models.parent.parent / "training" / "figures")
    return figures


def report(what: str, share: float) -> None:
    """One line of the table."""
    print(f"{what:<64}{100 * share:6.1f} %", flush=True)


def fresh_drawings(count: int) -> list[Drawing]:
    """One drawing of each combination in turn, held-out ones among them."""
    combinations = all_factors()
    return [draw(combinations[k % len(combinations)], FRESH + k) for k in range(count)]


def spread(items: Sequence[Factors], count: int) -> list[Factors]:
    """`count` of the items, evenly spaced."""
    return [items[k * len(items) // count] for k in range(count)]


def fraction(seen: Sequence[Factors], wanted: Sequence[Factors]) -> float:
    """How many are right in thing, colour and scene together."""
    return sum(a == b for a, b in zip(seen, wanted, strict=True)) / len(wanted)


def psnr(prior: Prior, images: Tensor) -> float:
    """Mean over pictures of the peak signal-to-noise ratio after encoding and decoding, in dB."""
    squared = []
    for chunk in images.split(CHUNK):
        decoded = prior.decode(prior.encode(chunk.to(prior.device))).clamp(-1, 1).cpu()
        squared.append((decoded - chunk).square().mean((1, 2, 3)))
    return float((10 * torch.log10(4 / torch.cat(squared))).mean())


def first_among_all(scorer: ClipScorer, drawings: Sequence[Drawing]) -> float:
    """How often the full caption of a drawing outscores those of all other combinations."""
    combinations = all_factors()
    image = scorer.embed_images([Image.fromarray(d.image) for d in drawings])
    text = scorer.embed_texts([str(f) for f in combinations])
    best = (image @ text.T).argmax(1).tolist()
    return fraction([combinations[k] for k in best], [d.factors[0] for d in drawings])


def sample(prior: Prior, prompts: Sequence[str], *, guidance_scale: float) -> Tensor:
    """DDIM pictures of the prompts, (B, 3, H, W) in [-1, 1], on the CPU."""
    generator = torch.Generator(prior.device).manual_seed(FRESH)
    pictures = []
    for start in range(0, len(prompts), CHUNK):
        latents = prior.sample(
            prompts[start : start + CHUNK], guidance_scale=guidance_scale, generator=generator
        )
        pictures.append(prior.decode(latents).clamp(-1, 1).cpu())
    return torch.cat(pictures)


def plot_logs(logs: Path, folder: Path) -> None:
    """One picture of curves for each existing training log."""
    folder.mkdir(parents=True, exist_ok=True)
    for log in sorted(logs.glob("*.jsonl")):
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        names = [name for name in rows[0] if name != "step"]
        figure, panels = plt.subplots(1, len(names), figsize=(4 * len(names), 2.6), squeeze=False)
        for panel, name in zip(panels[0], names, strict=True):
            panel.plot([row["step"] for row in rows], [row[name] for row in rows], linewidth=0.8)
            panel.set(title=f"{log.stem}: {name}", xlabel="step")
            if name == "loss":
                panel.set_yscale("log")
        figure.tight_layout()
        figure.savefig(folder / f"{log.stem}.png", dpi=80)
        plt.close(figure)
