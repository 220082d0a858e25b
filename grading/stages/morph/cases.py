"""What stage 7 is checked on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from distillery.course.case import Case
from distillery.course.kinds.frames import FramesCase
from distillery.course.kinds.gradient import GradientCase
from distillery.course.kinds.layer import LayerCase
from distillery.course.kinds.value import ValueCase
from distillery.course.observe import TOLERANCE
from grading.stages.inputs import random_inputs
from grading.stages.inputs.random_inputs import EARLY, KINDS, LATE, SEVERAL, SINGLE, Draws, of_words
from grading.stages.inputs.small_pictures import NAMES, detailed, mixed, mixture_of, prompts

FLAT, HALF, BRAIN = "flat", "half", "brain"
PARALLEL, OPPOSITE, ENDS = "parallel", "opposite", "ends"
VECTORS = {
    SEVERAL: "",
    SINGLE: KINDS[SINGLE],
    FLAT: "with vectors (B, D)",
    HALF: "in float16, where a sum of squares is too large for it",
    BRAIN: "in bfloat16",
    PARALLEL: "where vectors are parallel, opposite or zero",
    OPPOSITE: "where vectors are nearly opposite",
    ENDS: "with a = 0 and a = 1",
}
TWO, ALONE, JOINTS, SAME = "two", "alone", "joints", "same"
PROMPTS = {
    SEVERAL: "",
    TWO: "between two keyframes",
    ALONE: "with one frame and one token",
    JOINTS: "at keyframes, in another order",
    HALF: "in float16",
}
NOISES = {
    SEVERAL: "",
    SINGLE: "with one frame of 4 channels",
    TWO: PROMPTS[TWO],
    JOINTS: PROMPTS[JOINTS],
    SAME: "where two keyframes have one seed",
}
OTHER, VECTOR, DEEP, BARE, FRESH = "other", "vector", "deep", "bare", "fresh"
LAYERS = {
    SEVERAL: "",
    OTHER: "where the output has another width",
    VECTOR: "with a single vector",
    DEEP: "with two more leading axes, and of rank 1",
    BARE: "without a bias",
    FRESH: "where B is still zero",
}
NOISE, MOST, UNWEIGHTED = "noise", "most", "unweighted"
BATCHES = {
    SEVERAL: "",
    SINGLE: f"{KINDS[SINGLE]}, which is not preserved",
    NOISE: "with a model that predicts eps",
    MOST: "where all pictures but one are preserved",
    UNWEIGHTED: "with a prior_weight of 0",
    EARLY: KINDS[EARLY],
    LATE: KINDS[LATE],
}
ONE_FRAME, UNUSED, TIES, ONE_COLOUR, OUTSIDE = "frame", "unused", "ties", "colour", "outside"
PALETTES = {
    SEVERAL: "",
    ONE_FRAME: "with one frame",
    UNUSED: "where some colours have no pixels",
    TIES: "where pixels are equally near to two colours",
    ONE_COLOUR: "with a single colour",
    OUTSIDE: "with colours below 0 and above 1",
}
NEAREST, NEVER, SHADES, EQUAL = "nearest", "never", "shades", "equal"
HELD = {
    SEVERAL: "",
    ONE_FRAME: PALETTES[ONE_FRAME],
    NEAREST: "with a margin of 0",
    NEVER: "with a margin that is never reached",
    SHADES: "where colours of the palette are near to each other",
    EQUAL: "where some distances differ by just the margin",
    TIES: PALETTES[TIES],
}
# In half precision two neighbouring numbers may both be right; close to opposite vectors float32
# loses some digits.
TOLERANCES = {HALF: 1.2e-3, BRAIN: 9e-3, OPPOSITE: 1e-3}


class RandomInputs(random_inputs.RandomInputs):
    """As for the other stages, with small pictures: a path has many of them."""

    def __init__(self, seed: int, kind: str) -> None:
        super().__init__(seed, kind, size=(5, 7), heights=(5, 6), widths=(8, 9))


class SmallInputs(RandomInputs):
    """With still smaller pictures where the circumstances are special: data/checks holds them."""

    def __init__(self, seed: int, kind: str) -> None:
        super().__init__(seed, kind)
        if kind != SEVERAL:
            height, width = self.size
            self.size = (height - 2, width - 2)


class BatchInputs(SmallInputs):
    """With batches of three and more, so that two parts of one can be of different size."""

    def __init__(self, seed: int, kind: str) -> None:
        super().__init__(seed, kind)
        self.batch = {SEVERAL: self.whole(3, (4, 5)), SINGLE: 1, MOST: 4}.get(kind, 3)


def slerp(inputs: RandomInputs) -> Case:
    """Vectors of different lengths, at different angles."""
    if inputs.kind == PARALLEL:
        return _turning(inputs, *_parallel(inputs))
    inputs.batch = {ENDS: 3}.get(inputs.kind, inputs.batch)
    v0 = inputs.noise(1, _latents(inputs))
    cosines = inputs.of_kind(
        {OPPOSITE: [-0.9998, -0.9965]},  # beside -0.9995, and near it
        inputs.numbers([0.5, -0.3], (0.35, 0.6), (-0.5, -0.25)),
    )
    lengths = inputs.numbers([2.0, 0.6], (1.6, 2.2), (0.5, 0.7))
    v1 = _at_angles(v0, inputs.noise(2, v0), cosines, lengths)
    if inputs.kind == FLAT:
        v0, v1 = v0[:, 0, 0], v1[:, 0, 0]
    return _turning(inputs, v0, v1)


def _latents(inputs: RandomInputs) -> Tensor:
    return torch.empty(inputs.batch, inputs.channels, *inputs.size)


def _at_angles(v0: Tensor, noise: Tensor, cosines: list[float], lengths: list[float]) -> Tensor:
    """Vectors at these angles from v0, so many times as long."""
    flat = v0.flatten(1)
    across = noise.flatten(1)
    across = across - (across * flat).sum(1, True) / (flat * flat).sum(1, True) * flat
    across = across * flat.norm(dim=1, keepdim=True) / across.norm(dim=1, keepdim=True)
    cosine, length = torch.tensor(cosines)[:, None], torch.tensor(lengths)[:, None]
    return (length * (cosine * flat + (1 - cosine**2).sqrt() * across)).view_as(v0)


def _parallel(inputs: RandomInputs) -> tuple[Tensor, Tensor]:
    """Of the parallel ones one pair has a single number each, so that the cosine is exactly 1."""
    inputs.batch = 5
    v0 = inputs.noise(1, _latents(inputs))
    lone = torch.zeros_like(v0[0])
    lone[0, inputs.whole(0, (0, 2)), inputs.whole(0, (0, 2))] = 3.0
    other, nothing = inputs.noise(2, v0[0]), torch.zeros_like(lone)
    pairs = [(v0[0], 2 * v0[0]), (lone, 2 * lone), (v0[1], -0.5 * v0[1])]
    pairs += [(nothing, other), (v0[2], nothing)]
    firsts, seconds = zip(*inputs.shuffled(pairs), strict=True)
    return torch.stack(firsts), torch.stack(seconds)


def _turning(inputs: RandomInputs, v0: Tensor, v1: Tensor) -> Case:
    dtype = {HALF: torch.float16, BRAIN: torch.bfloat16}.get(inputs.kind, torch.float32)
    if inputs.kind == HALF:  # even a length is too large for float16
        v0, v1 = (16000 * its.clamp(-2, 2) for its in (v0, v1))
    ends = [0.0, 1.0, inputs.number(0.3, (0.2, 0.8))]
    parts = inputs.numbers([0.3, 0.8], (0.2, 0.4), (0.65, 0.85))
    tensors = {
        "v0": v0.to(dtype),
        "v1": v1.to(dtype),
        "a": torch.tensor(inputs.of_kind({ENDS: inputs.shuffled(ends)}, parts)),
    }
    return ValueCase(tuple(tensors), tensors, tolerance=_tolerance(inputs))


def _tolerance(inputs: RandomInputs) -> float:
    return inputs.of_kind(TOLERANCES, TOLERANCE)


def _positions(inputs: RandomInputs, keyframes: int) -> Tensor:
    """Some at keyframes, also the last one, some between each two; in order but for `JOINTS`."""
    if inputs.kind == JOINTS:
        every = [keyframes - 1, *inputs.shuffled(range(keyframes)), 0]
        return torch.tensor([float(its) for its in every])
    if inputs.kind in (ALONE, SINGLE):
        return torch.tensor([inputs.number(0, (1.15, 1.4))])
    early, late = inputs.number(0.3, (0.15, 0.4)), inputs.number(0.8, (0.6, 0.85))
    between = [k + (late if k % 2 else early) for k in range(keyframes - 1)]
    return torch.tensor(sorted([*between, *map(float, range(keyframes))]))


def _keyframes(inputs: RandomInputs) -> int:
    # Two kinds of trials have tensors of one shape, so that a kept result is seen.
    return {TWO: 2, JOINTS: 3, SAME: 3, HALF: 3}.get(inputs.kind, inputs.whole(3, (3, 4)))


def prompt_path(inputs: RandomInputs) -> Case:
    """The first token of all prompts is the same, as that of a text encoder is."""
    keyframes, (length, width) = _keyframes(inputs), inputs.size
    length = 1 if inputs.kind == ALONE else length
    shared = inputs.noise(1, torch.empty(length, width))
    own = inputs.noise(2, torch.empty(keyframes, length, width))
    sizes = torch.linspace(0.5, 1.5, length)[:, None]
    tokens = sizes * (shared + 0.9 * own)
    if inputs.kind != ALONE:
        tokens[:, 0] = shared[0]
    if inputs.kind == HALF:
        tokens = (100 * tokens).half()
    tensors = {"tokens": tokens, "positions": _positions(inputs, keyframes)}
    return FramesCase(tuple(tensors), tensors, tolerance=_tolerance(inputs))


def noise_path(inputs: RandomInputs) -> Case:
    keyframes = _keyframes(inputs)
    seeds = [inputs.whole(k, (10 * k, 10 * k + 9)) for k in range(1, keyframes + 1)]
    if inputs.kind == SAME:
        seeds[1] = seeds[0]
    values = {"seeds": seeds, "shape": [inputs.channels, *inputs.size]}
    tensors = {"positions": _positions(inputs, keyframes)}
    return FramesCase(("seeds", "positions", "shape"), tensors, values)


def lora_forward(inputs: RandomInputs) -> Case:
    """As in attention: as wide behind the layer as before it."""
    rank = 1 if inputs.kind == DEEP else inputs.whole(2, (2, 3))
    n = inputs.size[1]
    m = n - 2 if inputs.kind == OTHER else n
    leading = {VECTOR: (), DEEP: (2, 2, 3)}.get(inputs.kind, (inputs.batch, 3))
    tensors = {
        "x": inputs.noise(1, torch.empty(*leading, n)),
        "weight": inputs.noise(2, torch.empty(m, n)) / n**0.5,
        "bias": inputs.noise(3, torch.empty(m)),
        "lora_A": inputs.noise(4, torch.empty(rank, n)) / n**0.5,
        "lora_B": inputs.noise(5, torch.empty(m, rank)),
    }
    arguments = (*tensors, "alpha")
    values: dict[str, Any] = {"alpha": inputs.number(3.0, (0.3, 0.8) if rank == 2 else (4.0, 5.0))}
    if inputs.kind == BARE:
        values |= {"bias": None}
        del tensors["bias"]
    if inputs.kind == FRESH:
        tensors["lora_B"] = torch.zeros_like(tensors["lora_B"])
    return LayerCase(arguments, tensors, values, with_graph=("x", "lora_A", "lora_B"))


def finetune_loss(inputs: BatchInputs) -> Case:
    """Mixtures of two pictures, before a LoRA that believes in others."""
    count = inputs.batch
    boat, heart = means = (2.5 * inputs.smooth(100, 2, inputs.channels)).tanh()
    which = [(place + inputs.whole(0, (0, 1))) % 2 for place in range(count)]
    shares = [inputs.number(0.35, (0.2, 0.45)) for _ in range(count)]
    x0 = detailed(inputs, 19, mixed(means, which, shares))
    believed = [0.8 * boat + inputs.number(0.4, (0.3, 0.5)) * heart, 0.2 * boat + 0.5 * heart]
    preserved = {SINGLE: 0, MOST: count - 1, SEVERAL: inputs.whole(1, (1, 2))}.get(inputs.kind, 1)
    weight = inputs.number(0.7, (0.4, 0.8))
    values = {
        "preserved": preserved,
        "prior_weight": 0.0 if inputs.kind == UNWEIGHTED else weight,
    }
    return GradientCase(
        ("lora", "x0", "text", "t", "eps", "preserved", "prior_weight"),
        {"x0": x0, "t": _timesteps(inputs), "eps": inputs.noise(11, x0)},
        values,
        prompts={"text": prompts(which)},
        mixture=mixture_of(means, NAMES),
        denoiser={
            "means": torch.stack(believed),
            "std": inputs.number(0.5, (0.4, 0.6)),
            "predicts_v": inputs.kind != NOISE,
        },
        lora_called="denoiser",
        learns="lora",
        loss_counts=True,
    )


def _timesteps(inputs: BatchInputs) -> Tensor:
    """Different for the pictures."""
    low, high = inputs.of_kind({EARLY: (0, 30), LATE: (950, 999)}, (150, 850))
    gap = (high - low) // inputs.batch
    drawn = [low + k * gap + inputs.whole(gap // 2, (0, gap - 1)) for k in range(inputs.batch)]
    drawn[0] = low if inputs.kind == EARLY else drawn[0]
    drawn[-1] = high if inputs.kind == LATE else drawn[-1]
    return torch.tensor(inputs.shuffled(drawn))


def shared_palette(inputs: RandomInputs) -> Case:
    """Frames that show the colours in different shares, and each in other shades of them."""
    if inputs.kind == TIES:
        return _colours(*_between(inputs))
    few = {ONE_COLOUR: 1, UNUSED: 4, OUTSIDE: 6}  # two kinds then have tensors of one shape
    colours = few.get(inputs.kind, inputs.whole(4, (5, 6)))
    palette = _palette(inputs, colours)
    count = {SEVERAL: inputs.whole(3, (4, 5)), ONE_FRAME: 1}.get(inputs.kind, 3)
    frames = _animation(inputs, count, palette)
    if inputs.kind == UNUSED:
        corners = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
        frames, palette = 0.375 + 0.25 * frames, 0.375 + 0.25 * palette
        palette = torch.cat([palette[:1], corners[:1], palette[1:], corners[1:]])
    if inputs.kind == OUTSIDE:
        frames, palette = 3 * frames - 1.5, 3 * palette - 1.5
    return _colours(frames, palette)


def _palette(inputs: RandomInputs, colours: int) -> Tensor:
    """(K, 3) from 0 to 1, in steps of 1/16, no two of them near."""
    chosen: list[Tensor] = []
    for drawn in _in_steps(_uniform(inputs, 30, 400, 3), 16):
        if all((drawn - other).norm() > 0.45 for other in chosen) and len(chosen) < colours:
            chosen.append(drawn)
    return torch.stack(chosen)


def _in_steps(numbers: Tensor, steps: int) -> Tensor:
    """Rounded to so many steps between two whole numbers: float32 compares these exactly."""
    return (steps * numbers).round() / steps


def _apart(frames: Tensor) -> Tensor:
    """In steps, and a little beside them, so that no pixel is equally near to two colours."""
    return _in_steps(frames, 64) + torch.tensor([0.00117, 0.00231, 0.00373])


def _uniform(inputs: RandomInputs, seed: int, *shape: int) -> Tensor:
    """In [0, 1]."""
    return torch.special.ndtr(inputs.noise(seed, torch.empty(shape)))


def _animation(inputs: RandomInputs, count: int, palette: Tensor) -> Tensor:
    """Frames (F, h, w, 3) with patches of the colours, which grow, shrink and change a little."""
    patches = inputs.smooth(31, 1, len(palette)) + 0.6 * inputs.smooth(32, count, len(palette))
    shades = palette + 0.25 * inputs.noise(33, torch.empty(count, len(palette), 3))
    pairs = zip(shades, patches.argmax(dim=1), strict=True)
    frames = torch.stack([colours[which] for colours, which in pairs])
    return _apart((frames + 0.1 * inputs.noise(34, frames)).clamp(0, 1))


def _between(inputs: RandomInputs) -> tuple[Tensor, Tensor]:
    """Four pixels a frame, some of them in the middle between two colours."""
    palette = torch.tensor(
        inputs.shuffled([[0.0, 0.25, 0.5], [1.0, 0.25, 0.5], [0.0, 0.25, 1.0], [0.5, 1.0, 0.5]])
    )
    middle = (palette[:, None] + palette) / 2
    pairs = [(0, 1), (2, 3), (1, 2), (0, 3), (1, 3), (0, 2)]
    pixels = [middle[pair] for pair in inputs.shuffled(pairs)]
    pixels += [palette[k] + torch.tensor([0.0, 0.0, 0.125]) for k in (0, 1, 2, 3, 3, 0)]
    return torch.stack(inputs.shuffled(pixels)).view(3, 2, 2, 3), palette


def _colours(frames: Tensor, palette: Tensor) -> Case:
    tensors = {"frames": frames, "palette": palette}
    return ValueCase(tuple(tensors), tensors)


def hold_colours(inputs: RandomInputs) -> Case:
    """Pixels about half-way between two colours, which go here and there."""
    margins = {NEAREST: 0.0, NEVER: 3.0, EQUAL: 0.25}
    margin = inputs.of_kind(margins, inputs.number(0.11, (0.08, 0.15)))
    if inputs.kind in (EQUAL, TIES):
        frames, palette = _on_a_line(inputs) if inputs.kind == EQUAL else _between(inputs)
    else:
        palette = _palette(inputs, {SEVERAL: inputs.whole(4, (4, 5))}.get(inputs.kind, 4))
        if inputs.kind == SHADES:
            shade = torch.tensor([0.0625, -0.0625, 0.03125])
            palette = torch.cat([palette[:2], palette[:2] + shade, palette[:2] - shade])
        count = {SEVERAL: inputs.whole(5, (6, 7)), ONE_FRAME: 1}.get(inputs.kind, 5)
        frames = _wavering(inputs, count, palette)
    tensors = {"frames": frames, "palette": palette}
    return FramesCase((*tensors, "margin"), tensors, {"margin": margin})


def _wavering(inputs: RandomInputs, count: int, palette: Tensor) -> Tensor:
    """Frames (F, h, w, 3) whose pixels lie between two colours each."""
    h, w = inputs.size
    ends = (_uniform(inputs, 35, 2, h, w) * len(palette)).long().clamp(max=len(palette) - 1)
    there = (ends[1] + (ends[0] == ends[1])) % len(palette)
    way = 0.5 + 0.17 * inputs.noise(36, torch.empty(count, h, w, 1))
    frames = torch.lerp(palette[ends[0]], palette[there], way.clamp(0, 1))
    if inputs.kind == SHADES:
        frames = palette[ends[0]] + 0.07 * inputs.noise(38, frames)
    return _apart(frames)


def _on_a_line(inputs: RandomInputs) -> tuple[Tensor, Tensor]:
    """Two colours that differ in one channel by 1, and pixels in eighths between them."""
    palette = torch.tensor([[0.0, 0.5, 0.5], [1.0, 0.5, 0.5], [0.5, 4.0, 0.5]])
    eighths = (_uniform(inputs, 37, 3, 2, 4) * 8.99).floor()
    for frame, its in ((0, [1, 2, 6, 7]), (1, [5, 6, 3, 2]), (2, [5, 3, 3, 5])):
        eighths[frame, 0] = torch.tensor(its)
    frames = torch.full((3, 2, 4, 3), 0.5)
    frames[..., 0] = eighths / 8
    order = torch.tensor(inputs.shuffled(range(3)))
    return frames, palette[order]


CASES: dict[str, Draws] = {
    "morph.slerp": of_words(slerp, VECTORS, inputs=SmallInputs),
    "morph.prompt_path": of_words(prompt_path, PROMPTS, inputs=RandomInputs),
    "morph.noise_path": of_words(noise_path, NOISES, inputs=SmallInputs),
    "morph.lora_forward": of_words(lora_forward, LAYERS, inputs=RandomInputs),
    "morph.finetune_loss": of_words(finetune_loss, BATCHES, inputs=BatchInputs),
    "morph.shared_palette": of_words(shared_palette, PALETTES, inputs=RandomInputs),
    "morph.hold_colours": of_words(hold_colours, HELD, inputs=RandomInputs),
}
