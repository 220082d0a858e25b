"""Styles as LoRAs: `python -m benchmarks.morph_style`.

Prints for each style and scale in how many pictures the style judge sees the style, how sure it is,
and in how many the judge reads thing, colour and scene as asked. Beside them stand drawings of the
toybox in that style, straight and through the autoencoder: what a perfect LoRA would draw, read by
the same judges, who are not perfect either. All scales have the same prompts, held-out combinations
among them, and the same noise; neither was used in training or to choose a setting. The spread is a
standard error over prompts.

`--json` keeps the numbers, `--sheet` draws eight of the prompts at every scale.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core.files import REPOSITORY, atomic_write
from distillery.core.images import grid, save_png, to_pil
from distillery.core.measured import Figure, add_record_option, record, share
from distillery.metrics.judge import Judge
from distillery.metrics.style_judge import KINDS, StyleJudge
from distillery.models.load import load_lora, load_prior
from distillery.models.prior import Prior
from distillery.models.style import DECODER_FILE, load_decoder, load_style
from distillery.toybox import Factors, all_factors, draw
from distillery.toybox.styles import STYLES, styled
from training.data import to_images

SEED, FRESH = 401, 610_000_000
STEPS, GUIDANCE = 20, 5.0
SCALES = (0.5, 1.0, 1.2)
AT_ONCE = 8
CPU = torch.device("cpu")
MODELS = REPOSITORY / "data" / "models"
SHOWN = 8  # prompts on the sheet


@dataclass(frozen=True)
class Row:
    """What was seen of some pictures; shares of them, with the standard error of `is_style`.

    style:    that was looked for.
    way:      how the pictures came about.
    sure:     the style judge's mean probability of it.
    """

    style: str
    way: str
    count: int
    is_style: float
    error: float
    sure: float
    thing: float
    colour: float
    scene: float
    all_right: float


class Reader:
    """Both judges."""

    def __init__(self) -> None:
        self.style, self.facts = StyleJudge.load(), Judge.load()

    def row(self, style: str, way: str, pictures: Tensor, factors: Sequence[Factors]) -> Row:
        """What they see in pictures (N, 3, H, W) that should show these factors."""
        shares, kind = self.style.shares(pictures), KINDS.index(style)
        seen = self.facts.factors(pictures)
        right = np.array(
            [
                [a.thing == b.thing, a.colour == b.colour, a.scene == b.scene]
                for a, b in zip(seen, factors, strict=True)
            ]
        )
        count, is_style = len(pictures), float((shares.argmax(1) == kind).float().mean())
        thing, colour, scene = right.mean(0).tolist()
        return Row(
            style=style,
            way=way,
            count=count,
            is_style=is_style,
            error=math.sqrt(is_style * (1 - is_style) / count),
            sure=float(shares[:, kind].mean()),
            thing=thing,
            colour=colour,
            scene=scene,
            all_right=float(right.all(1).mean()),
        )


@torch.no_grad()
def drawn(prior: Prior, prompts: Sequence[str]) -> Tensor:
    """Pictures (N, 3, H, W) of the prompts, each from its own noise."""
    pictures = []
    for start in range(0, len(prompts), AT_ONCE):
        some = prompts[start : start + AT_ONCE]
        latents = prior.sample(
            some,
            guidance_scale=GUIDANCE,
            steps=STEPS,
            generator=torch.Generator().manual_seed(SEED + start),
        )
        pictures.append(prior.decode(latents).clamp(-1, 1))
    return torch.cat(pictures)


def plain() -> Prior:
    return load_prior("tiny-sd", device=CPU)


def ways(style: str) -> Iterator[tuple[str, Prior]]:
    """Name and prior of everything that is compared for a style."""
    folder = MODELS / f"tiny-sd-{style}"
    yield "without", plain()
    if (folder / DECODER_FILE).exists():
        alone, other = plain(), plain()
        load_lora(alone, str(folder))
        yield "LoRA alone, scale 1", alone
        load_decoder(other, folder / DECODER_FILE)
        yield "decoder alone", other
    for scale in SCALES:
        prior = plain()
        load_style(prior, str(folder), scale=scale)
        yield f"scale {scale:g}", prior


def drawings(style: str, factors: Sequence[Factors]) -> Tensor:
    """New drawings of these factors in the style, (N, 3, 64, 64)."""
    made = [styled(draw(its, FRESH + k), style).image for k, its in enumerate(factors)]
    return to_images(np.stack(made), CPU)


@torch.no_grad()
def through(style: str, images: Tensor) -> Tensor:
    """The images as the autoencoder of the style gives them back."""
    prior = plain()
    load_style(prior, str(MODELS / f"tiny-sd-{style}"))
    return prior.decode(prior.encode(images)).clamp(-1, 1)


def measure(style: str, factors: Sequence[Factors]) -> tuple[list[Row], list[Image.Image]]:
    """The rows of a style, printed as they come, and the tiles of its sheet."""
    reader, rows, tiles = Reader(), [], []
    truth = drawings(style, factors)
    pictures = {"drawings": truth, "drawings, through its autoencoder": through(style, truth)}
    prompts = [str(its) for its in factors]
    for way, prior in ways(style):
        pictures[way] = drawn(prior, prompts)
        every = len(prompts) // SHOWN
        tiles += to_pil(pictures[way][::every][:SHOWN])
    for way, its in pictures.items():
        rows.append(reader.row(style, way, its, factors))
        print(line(rows[-1]), flush=True)
    return rows, tiles


def line(row: Row) -> str:
    """A row of the table."""
    shares = [row.thing, row.colour, row.scene, row.all_right]
    return (
        f"{row.style:<8} {row.way:<34} n={row.count:<4} style {100 * row.is_style:5.1f} "
        f"± {100 * row.error:3.1f} %  sure {row.sure:.2f}  "
        + "  ".join(
            f"{name} {100 * share:5.1f} %"
            for name, share in zip(("thing", "colour", "scene", "all"), shares, strict=True)
        )
    )


def figures(rows: Sequence[Row]) -> dict[str, Figure]:
    """How often each row shows its style, and all facts as asked."""
    kept: dict[str, Figure] = {}
    for row in rows:
        way = row.way.replace(",", "").replace(" ", "_").replace(".", "_").lower()
        kept[f"{row.style}_{way}_style"] = Figure(row.is_style, row.error)
        kept[f"{row.style}_{way}_right"] = share(row.all_right, row.count)
    return kept


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.morph_style", description=__doc__)
    parser.add_argument("--count", type=int, default=48, help="prompts")
    parser.add_argument("--styles", nargs="+", choices=list(STYLES), default=list(STYLES))
    parser.add_argument("--json", type=Path, help="file to keep the numbers in")
    parser.add_argument("--sheet", type=Path, help="picture of some prompts at every scale")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line, measure and print."""
    options = parser().parse_args()
    torch.manual_seed(0)
    order = np.random.default_rng(SEED).permutation(len(all_factors()))
    factors = [all_factors()[k] for k in order[: options.count]]
    rows: list[Row] = []
    tiles: list[Image.Image] = []
    for style in options.styles:
        measured, shown = measure(style, factors)
        rows += measured
        tiles += shown
    if options.json:
        text = json.dumps([asdict(row) for row in rows], indent=1)
        atomic_write(options.json, f"{text}\n")
    if options.sheet:
        sheet = grid(tiles, columns=SHOWN)
        save_png(options.sheet, sheet)
    if options.record:
        record(
            "morph_style",
            figures(rows),
            n=options.count,
            of="prompts",
            seeds=[SEED],
            spread="standard error of a share",
            models=("tiny-sd", *(f"tiny-sd-{style}" for style in STYLES), "judge", "style-judge"),
        )


if __name__ == "__main__":
    main()
