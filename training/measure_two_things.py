"""The figures of tiny-sd-two-things, on prompts and noise that were not used in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.methods.guided_ddim import steered
from distillery.methods.region_control import disjoint, long_as, regional_attention
from distillery.metrics.judge import SIZE, Judge
from distillery.models.load import load_lora, load_prior
from distillery.models.prior import Condition, Prior, guided_noise
from distillery.toybox import Drawing, Factors, all_factors, draw_two
from training.measure_sd import report
from training.tiny_sd_two_things import pair_from

COUNT, PICTURE, SEED = 24, (64, 128), 43
STEPS, GUIDANCE = 20, 5.0


def measure_two_things(*, models: Path) -> None:
    """Print how often two things are where they should be, told of their regions or not."""
    prior, judge = load_prior(models / "tiny-sd", device="cpu"), Judge.load(models / "judge")
    load_lora(prior, str(models / "tiny-sd-two-things"))
    some = scenes(COUNT, size=PICTURE, seed=SEED)
    for name, condition_of in {"plain": plainly, "regional attention": in_regions}.items():
        right = verdicts(judge, drawn(prior, some, condition_of), some).mean(0)
        for what, share in zip(("both things", "colours too", "scene"), right, strict=True):
            report(f"tiny-sd-two-things, {name}, {what}", share)


@dataclass(frozen=True)
class Scene:
    """A drawing of two things and what one would say and paint to get it.

    masks: (2, H, W), an ellipse round each thing, the left one first.
    sides: what is to be on the left and on the right.
    """

    drawing: Drawing
    prompt: str
    words: tuple[str, str]
    masks: Tensor
    sides: tuple[Factors, Factors]


def scenes(count: int, *, size: tuple[int, int], seed: int) -> list[Scene]:
    """Pairs of any two things in any colours, held-out combinations as they come."""
    g = np.random.default_rng(seed)
    pool = all_factors()
    made = []
    for k in range(count):
        front, behind = pair_from(pool, g)
        drawing = draw_two(front, behind, 1_000_000 * seed + k, size=size)
        made.append(_asked(drawing, g))
    return made


def _asked(drawing: Drawing, g: np.random.Generator) -> Scene:
    masks, middles = [], []
    for label in (1, 2):
        rows, columns = np.nonzero(drawing.labels == label)
        masks.append(ellipse(rows, columns, drawing.labels.shape, slack=g.uniform(1.1, 1.4)))
        middles.append(columns.mean())
    order = np.argsort(middles)
    left, right = (drawing.factors[k] for k in order)
    words = tuple(str(f).removesuffix(f" {f.scene}") for f in (left, right))
    prompt = f"{words[0]} and {words[1]} {left.scene}"
    return Scene(
        drawing, prompt, (words[0], words[1]), torch.stack([masks[k] for k in order]), (left, right)
    )


def ellipse(
    rows: np.ndarray, columns: np.ndarray, size: tuple[int, ...], *, slack: float
) -> Tensor:
    """The mask (H, W) of an ellipse round pixels, `slack` times as large as one that touches."""
    y, x = np.mgrid[: size[0], : size[1]]
    square = [
        ((at - (some.min() + some.max()) / 2) / ((np.ptp(some) + 1) / 2 * slack)) ** 2
        for at, some in ((y, rows), (x, columns))
    ]
    return torch.from_numpy(square[0] + square[1] < 1).float()


def plainly(prior: Prior, scene: Scene) -> Condition:
    """The prompt alone."""
    return prior.embed([scene.prompt])


def in_regions(prior: Prior, scene: Scene) -> Condition:
    """A prompt for each region, and the words of the scene for the rest."""
    where = scene.sides[0].scene
    parts = [prior.embed([f"{words} {where}"]) for words in scene.words]
    return regional_attention(prior.embed([where]), parts, disjoint(scene.masks[None]))


def drawn(
    prior: Prior, some: Sequence[Scene], condition_of: Callable[[Prior, Scene], Condition]
) -> Tensor:
    """A DDIM picture of each scene, (N, 3, H, W) in [-1, 1]."""
    generator = torch.Generator().manual_seed(SEED)
    pictures = []
    for scene in some:
        height, width = scene.masks.shape[-2:]
        shape = (1, prior.latent_channels, *prior.latent_size_of((height, width)))
        xt = torch.randn(shape, generator=generator)
        text = condition_of(prior, scene)
        predict = guided_noise(
            prior, text=text, uncond=long_as(prior.embed([""]), text), guidance_scale=GUIDANCE
        )
        for step in steered(
            predict, xt, timesteps=prior.timesteps(STEPS), alphas_cumprod=prior.alphas_cumprod
        ):
            x0 = step.x0
        pictures.append(prior.decode(x0).clamp(-1, 1))
    return torch.cat(pictures)


def verdicts(judge: Judge, images: Tensor, some: Sequence[Scene]) -> np.ndarray:
    """Whether both things, both with colours, and the scene are right, (N, 3) bool.

    Halves that are narrower than high get more of their edge, as the judge sees squares.
    """
    height, width = images.shape[-2:]
    beside = max(0, SIZE - width // 2) // 2 if height == SIZE else 0
    seen = [
        judge.factors(F.pad(half, (beside, beside, 0, 0), mode="replicate"))
        for half in (images[..., : width // 2], images[..., width // 2 :])
    ]
    rows = []
    for k, scene in enumerate(some):
        pairs = [(side[k], wanted) for side, wanted in zip(seen, scene.sides, strict=True)]
        things = all(a.thing == b.thing for a, b in pairs)
        colours = things and all(a.colour == b.colour for a, b in pairs)
        rows.append([things, colours, all(a.scene == b.scene for a, b in pairs)])
    return np.array(rows)
