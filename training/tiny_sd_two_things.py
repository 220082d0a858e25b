"""tiny-sd-two-things: a LoRA on tiny-sd's UNet for scenes of two things, with or without regions.

The base has seen one thing in each picture, so it follows no prompt with two. The adapter sees
`draw_two` scenes, square and wide. For most of them attention is told where the things are, in one
of the two ways of `distillery.methods.region_control`, so that a region's words are heard there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from distillery.methods.region_control import AWAY, disjoint, long_as, regional_attention
from distillery.models.load import load_prior
from distillery.models.prior import Condition
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.toybox import COLOURS, SCENES, THINGS, Drawing, Factors, article, draw_two
from training import loop
from training.data import to_images, trained_factors
from training.export import replacing
from training.tiny_sd import CAPTION_DROPOUT, min_snr, weighted_error

STEPS, SEED, RANK = 4200, 31, 16
SCENES_OF_A_SIZE = 4000
SIZES = {(64, 128): 10, (64, 64): 18}  # and the pictures of a batch
WIDE_SHARE = 0.7
ADAPTED = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "ff.net.0.proj", "ff.net.2"]


@dataclass(frozen=True)
class TwoThings:
    """`latents` (N, 4, h, w) of scenes of two things; `boxes` (N, 2, 4), the top, left, bottom and
    right of each thing as parts of the picture's sides."""

    latents: Tensor
    boxes: Tensor
    factors: list[tuple[Factors, Factors]]


def draw_scene(seed: int, size: tuple[int, int]) -> Drawing:
    """Two trained combinations in one scene; the things differ, and so do their colours mostly."""
    g = np.random.default_rng(seed)
    pool = trained_factors()
    front = pool[g.integers(len(pool))]
    others = [f for f in pool if f.scene == front.scene and f.thing != front.thing]
    return draw_two(front, others[g.integers(len(others))], seed, size=size)


def boxes_of(labels: np.ndarray) -> list[list[float]]:
    """Where each of the two things is."""
    height, width = labels.shape
    boxes = []
    for label in (1, 2):
        rows, columns = np.nonzero(labels == label)
        boxes.append(
            [
                rows.min() / height,
                columns.min() / width,
                (rows.max() + 1) / height,
                (columns.max() + 1) / width,
            ]
        )
    return boxes


@torch.no_grad()
def load_scenes(prior: StableDiffusionPrior, size: tuple[int, int], path: Path) -> TwoThings:
    """Draw and encode the scenes of one size, or read those made before."""
    first = SEED * 1_000_000 + size[1] * 10_000
    if not path.exists():
        latents, boxes, factors = [], [], []
        for start in range(0, SCENES_OF_A_SIZE, 50):
            drawings = [draw_scene(first + start + k, size) for k in range(50)]
            pixels = to_images(np.stack([d.image for d in drawings]), prior.device)
            latents.append(prior.encode(pixels))
            boxes += [boxes_of(d.labels) for d in drawings]
            factors += [[f.indices for f in d.factors] for d in drawings]
        made = {
            "latents": torch.cat(latents),
            "boxes": torch.tensor(boxes),
            "factors": torch.tensor(factors),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(made, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
    read = torch.load(path, weights_only=True)
    words = [
        (_from_indices(front), _from_indices(behind)) for front, behind in read["factors"].tolist()
    ]
    return TwoThings(read["latents"], read["boxes"], words)


def _from_indices(indices: list[int]) -> Factors:
    return Factors(THINGS[indices[0]], COLOURS[indices[1]], SCENES[indices[2]])


def random_masks(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Regions (B, 2, h, w) round the things: halves of the picture, boxes or ellipses.

    A student paints regions by hand, so none is exact.
    """
    height, width = size
    y = (torch.arange(height) + 0.5).view(1, 1, -1, 1) / height
    x = (torch.arange(width) + 0.5).view(1, 1, 1, -1) / width
    top, left, bottom, right = (part[..., None, None] for part in boxes.unbind(-1))
    middle = ((left + right) / 2).mean(1, keepdim=True)
    halves = ((left + right) / 2 < middle) == (x < middle)
    slack = 1 + 0.5 * torch.rand_like(top)
    dy = (y - (top + bottom) / 2).abs() / ((bottom - top) / 2 * slack)
    dx = (x - (left + right) / 2).abs() / ((right - left) / 2 * slack)
    inside = torch.maximum(dy, dx) < 1
    ellipse = (dy / 1.2) ** 2 + (dx / 1.2) ** 2 < 1
    shape = torch.randint(3, (len(boxes), 1, 1, 1))
    halves = halves.expand_as(inside)
    return torch.where(shape == 0, halves, torch.where(shape == 1, inside, ellipse)).float()


REGIONAL, HARD = 0.45, 0.25  # shares of the scenes; the others are told nothing


def new_adapter(prior: StableDiffusionPrior) -> nn.ParameterList:
    """The factors of adapters in attention, convolutions and feed-forward layers of the UNet."""
    prior.unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=ADAPTED))
    layers = [layer for layer in prior.unet.modules() if isinstance(layer, LoraLayer)]
    factors = nn.ParameterList()
    for layer in layers:
        factors += [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    return factors


def phrase(factors: Factors, g: np.random.Generator) -> str:
    """The thing with its colour, or now and then without."""
    noun = factors.thing if g.random() < 0.1 else f"{factors.colour} {factors.thing}"
    return f"{article(noun)} {noun}"


def told(
    prior: StableDiffusionPrior,
    pairs: list[tuple[Factors, Factors]],
    masks: Tensor,
    g: np.random.Generator,
) -> Condition:
    """What the UNet is told of each scene: the sentence, and for most scenes the regions.

    Args:
        masks: (B, 2, h, w), of the two things of each pair.
    """
    sentences, parts, hard = [], [], torch.zeros(len(pairs), 0, *masks.shape[2:])
    biases = []
    for pair, mask in zip(pairs, masks, strict=True):
        words = [phrase(f, g) for f in pair]
        named = words if g.random() < 0.5 else words[::-1]
        sentence = f"{named[0]} and {named[1]} {pair[0].scene}"
        sentences.append(sentence)
        parts.append([w if g.random() < 0.5 else f"{w} {pair[0].scene}" for w in words])
        bias = torch.zeros(24, *mask.shape[1:])
        for word, place in zip(words, mask, strict=True):
            bias[list(prior.token_indices(sentence, word))] = AWAY * (1 - place)
        biases.append(bias)
    dropped = torch.rand(len(pairs)) < CAPTION_DROPOUT
    sentences = ["" if drop else s for drop, s in zip(dropped, sentences, strict=True)]
    whole = prior.embed(sentences)
    regional = regional_attention(
        whole, [prior.embed([p[k] for p in parts]) for k in (0, 1)], masks
    )
    assert regional.attention_bias is not None
    plain = long_as(whole, regional)
    hard = torch.stack(biases).repeat(1, 3, 1, 1)
    way = torch.rand(len(pairs)).masked_fill(dropped, 1.0)
    is_regional = (way < REGIONAL).view(-1, 1, 1)
    is_hard = ((way >= REGIONAL) & (way < REGIONAL + HARD)).view(-1, 1, 1, 1)
    bias = torch.where(
        is_regional[..., None], regional.attention_bias, torch.where(is_hard, hard, 0.0)
    )
    return replace(
        plain, tokens=torch.where(is_regional, regional.tokens, plain.tokens), attention_bias=bias
    )


def train(*, build: Path, models: Path) -> None:
    """Train the adapter and write `models/tiny-sd-two-things`."""
    torch.manual_seed(SEED)
    prior = load_prior(models / "tiny-sd", device=loop.device())
    assert isinstance(prior, StableDiffusionPrior)
    scenes = {size: load_scenes(prior, size, build / f"two_things_{size[1]}.pt") for size in SIZES}
    factors = new_adapter(prior)
    prior.unet.to(memory_format=torch.channels_last)

    def loss_of(step: int) -> dict[str, Tensor]:
        g = np.random.default_rng((SEED, step))
        size = (64, 128) if g.random() < WIDE_SHARE else (64, 64)
        data = scenes[size]
        picked = torch.randint(len(data.latents), (SIZES[size],))
        x0 = data.latents[picked].to(prior.device)
        masks = disjoint(random_masks(data.boxes[picked], (x0.shape[2], x0.shape[3])))
        condition = told(prior, [data.factors[k] for k in picked], masks, g)
        t = torch.randint(len(prior.alphas_cumprod), (len(x0),), device=prior.device)
        eps = torch.randn_like(x0)
        alpha_bar = prior.alpha_bar(t)
        xt = (alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps).contiguous(
            memory_format=torch.channels_last
        )
        with torch.autocast(prior.device.type, dtype=torch.bfloat16):
            predicted = prior.network(xt, t, condition)
        return weighted_error(predicted, eps, min_snr(prior.alphas_cumprod, t))

    best = loop.train(
        "tiny_sd_two_things",
        factors,
        loss_of,
        folder=build,
        steps=STEPS,
        learning_rate=1e-3,
        seed=SEED,
    )
    for factor, average in zip(factors, best, strict=True):
        factor.data.copy_(average)
    save(prior, models / "tiny-sd-two-things")


def save(prior: StableDiffusionPrior, folder: Path) -> None:
    """Write the adapter as diffusers reads it, in half precision."""
    state = get_peft_model_state_dict(prior.unet)
    half = {name: weight.half().contiguous() for name, weight in state.items()}
    with replacing(folder) as partial:
        StableDiffusionPipeline.save_lora_weights(partial, unet_lora_layers=half)
