"""tiny-sd-two-things: a LoRA on tiny-sd's UNet for scenes of two things, with or without regions.

The base has seen one thing in each picture, so it follows no prompt with two. The adapter sees
`draw_two` scenes, square and wide. For most of them attention is told where the things are, in one
of two ways of `distillery.methods.region_control`, so that a region's words are heard there.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from distillery.models.parameterization import add_noise
from distillery.models.prior import Condition
from distillery.models.regions import Region, attention_bias, fit_bias
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.toybox import COLOURS, SCENES, THINGS, Drawing, Factors, article, draw_two
from training import loop
from training.data import to_images, trained_factors
from training.export import replacing
from training.tiny_sd import CAPTION_DROPOUT, min_snr, weighted_error

STEPS, SEED, RANK = 4200, 31, 16
SCENES_OF_A_SIZE, CHUNK = 4000, 50
SIZES = {(64, 128): 10, (64, 64): 18}  # and the pictures of a batch
WIDE_SHARE = 0.7
REGIONAL, HARD = 0.45, 0.25  # shares of the scenes; the others are told of no regions
WIDER = 1.2  # an ellipse than a box, so that it holds nearly all of the thing too
ADAPTED = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "ff.net.0.proj", "ff.net.2"]


@dataclass(frozen=True)
class TwoThings:
    """Scenes of two things.

    latents: (N, 4, h, w).
    boxes:   (N, 2, 4), top, left, bottom and right of each thing, as parts of the picture's sides.
    factors: of the two things of each.
    """

    latents: Tensor
    boxes: Tensor
    factors: list[tuple[Factors, Factors]]


@dataclass(frozen=True)
class Caption:
    """What is said of a scene: its sentence, the words in it for each thing, a prompt for each."""

    sentence: str
    words: list[str]
    parts: list[str]


def draw_scene(seed: int, size: tuple[int, int]) -> Drawing:
    """Two trained combinations in one scene, of different things."""
    front, behind = pair_from(trained_factors(), np.random.default_rng(seed))
    return draw_two(front, behind, seed, size=size)


def pair_from(pool: list[Factors], g: np.random.Generator) -> tuple[Factors, Factors]:
    """Two of the pool in one scene, of different things."""
    front = pool[g.integers(len(pool))]
    others = [f for f in pool if f.scene == front.scene and f.thing != front.thing]
    return front, others[g.integers(len(others))]


def boxes_of(labels: np.ndarray) -> list[list[float]]:
    """The box of each of two things, as in `TwoThings`."""
    height, width = labels.shape
    boxes = []
    for label in (1, 2):
        y, x = np.nonzero(labels == label)
        top, left, bottom, right = y.min(), x.min(), y.max() + 1, x.max() + 1
        boxes.append([top / height, left / width, bottom / height, right / width])
    return boxes


@torch.no_grad()
def load_scenes(prior: StableDiffusionPrior, size: tuple[int, int], path: Path) -> TwoThings:
    """Draw and encode the scenes of one size, or read those made before."""
    if not path.exists():
        first = SEED * 1_000_000 + size[1] * 10_000
        seeds = range(first, first + SCENES_OF_A_SIZE)
        chunks = [
            encoded(prior, [draw_scene(seed, size) for seed in seeds[start : start + CHUNK]])
            for start in range(0, SCENES_OF_A_SIZE, CHUNK)
        ]
        made = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(made, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
    read = torch.load(path, weights_only=True)
    factors = [
        (_from_indices(front), _from_indices(behind)) for front, behind in read["factors"].tolist()
    ]
    return TwoThings(read["latents"], read["boxes"], factors)


def encoded(prior: StableDiffusionPrior, drawings: Sequence[Drawing]) -> dict[str, Tensor]:
    """What is kept of drawings, under the names of `TwoThings`."""
    pixels = to_images(np.stack([d.image for d in drawings]), prior.device)
    return {
        "latents": prior.encode(pixels).cpu(),
        "boxes": torch.tensor([boxes_of(d.labels) for d in drawings]),
        "factors": torch.tensor([[f.indices for f in d.factors] for d in drawings]),
    }


def _from_indices(indices: list[int]) -> Factors:
    thing, colour, scene = indices
    return Factors(THINGS[thing], COLOURS[colour], SCENES[scene])


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
    ellipse = (dy / WIDER) ** 2 + (dx / WIDER) ** 2 < 1
    shape = torch.randint(3, (len(boxes), 1, 1, 1))
    halves = halves.expand_as(inside)
    return torch.where(shape == 0, halves, torch.where(shape == 1, inside, ellipse)).float()


def caption_of(pair: tuple[Factors, Factors], g: np.random.Generator) -> Caption:
    """A sentence that names the two things in either order, now and then without a colour."""
    words = [phrase(factors, g) for factors in pair]
    named = words if g.random() < 0.5 else words[::-1]
    scene = pair[0].scene
    parts = [each if g.random() < 0.5 else f"{each} {scene}" for each in words]
    return Caption(f"{named[0]} and {named[1]} {scene}", words, parts)


def phrase(factors: Factors, g: np.random.Generator) -> str:
    """The thing with its article and mostly with its colour."""
    noun = factors.thing if g.random() < 0.1 else f"{factors.colour} {factors.thing}"
    return f"{article(noun)} {noun}"


def told(prior: StableDiffusionPrior, captions: Sequence[Caption], masks: Tensor) -> Condition:
    """What the UNet is told of each scene: the sentence or nothing, and for most the regions.

    Args:
        masks: (B, 2, h, w), of the words of each caption.
    """
    dropped = torch.rand(len(captions)) < CAPTION_DROPOUT
    whole = prior.embed(
        ["" if drop else its.sentence for drop, its in zip(dropped, captions, strict=True)]
    )
    parts = [prior.embed([its.parts[k] for its in captions]) for k in (0, 1)]
    regional = regional_attention(whole, parts, masks)
    assert regional.attention_bias is not None
    plain = long_as(whole, regional)
    hard = hard_bias(prior, captions, masks).repeat(1, 1 + len(parts), 1, 1)
    way = torch.rand(len(captions)).masked_fill(dropped, 1.0).view(-1, 1, 1, 1)
    is_regional, is_hard = way < REGIONAL, (way >= REGIONAL) & (way < REGIONAL + HARD)
    return replace(
        plain,
        tokens=torch.where(is_regional[..., 0], regional.tokens, plain.tokens),
        attention_bias=torch.where(
            is_regional, regional.attention_bias, torch.where(is_hard, hard, 0.0)
        ),
    )


def hard_bias(prior: StableDiffusionPrior, captions: Sequence[Caption], masks: Tensor) -> Tensor:
    """A bias (B, L, h, w) that keeps each thing's words in its region."""
    count = prior.pipeline.tokenizer.model_max_length
    each = []
    for caption, of_caption in zip(captions, masks, strict=True):
        regions = [
            Region(prior.token_indices(caption.sentence, words), 1 - mask, AWAY)
            for words, mask in zip(caption.words, of_caption, strict=True)
        ]
        bias = attention_bias(regions, 1)
        each.append(fit_bias(bias, count, (masks.shape[2], masks.shape[3])))
    return torch.cat(each)


def new_adapter(prior: StableDiffusionPrior, *, rank: int) -> nn.ParameterList:
    """The factors of adapters in attention, convolutions and feed-forward layers of the UNet."""
    prior.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=ADAPTED))
    layers = [layer for layer in prior.unet.modules() if isinstance(layer, LoraLayer)]
    factors = nn.ParameterList()
    for layer in layers:
        factors += [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    return factors


def loss_at(
    step: int, prior: StableDiffusionPrior, scenes: dict[tuple[int, int], TwoThings]
) -> dict[str, Tensor]:
    """The loss on a batch of scenes of one size."""
    g = np.random.default_rng((SEED, step))
    size = (64, 128) if g.random() < WIDE_SHARE else (64, 64)
    data = scenes[size]
    picked = torch.randint(len(data.latents), (SIZES[size],))
    x0 = data.latents[picked].to(prior.device)
    masks = disjoint(random_masks(data.boxes[picked], (x0.shape[2], x0.shape[3])))
    captions = [caption_of(data.factors[k], g) for k in picked]
    condition = told(prior, captions, masks).to(prior.device)
    t = torch.randint(len(prior.alphas_cumprod), (len(x0),), device=prior.device)
    eps = torch.randn_like(x0)
    xt = add_noise(x0, eps, prior.alpha_bar(t)).contiguous(memory_format=torch.channels_last)
    with torch.autocast(prior.device.type, dtype=torch.bfloat16):
        predicted = prior.network(xt, t, condition)
    return weighted_error(predicted, eps, min_snr(prior.alphas_cumprod, t))


def train(*, build: Path, models: Path) -> None:
    """Train the adapter and write `models/tiny-sd-two-things`."""
    torch.manual_seed(SEED)
    prior = load_prior(models / "tiny-sd", device=loop.device())
    assert isinstance(prior, StableDiffusionPrior)
    scenes = {size: load_scenes(prior, size, build / f"two_things_{size[1]}.pt") for size in SIZES}
    factors = new_adapter(prior, rank=RANK)
    prior.unet.to(memory_format=torch.channels_last)
    best = loop.train(
        "tiny_sd_two_things",
        factors,
        lambda step: loss_at(step, prior, scenes),
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
