"""The counter's own error, on drawings that were not used in training.

`python -m training.measure_counter` prints it alone; `python -m training measure` prints it with
the figures of all models.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillery.core.files import REPOSITORY
from distillery.core.measured import Figure, add_record_option, record, share
from distillery.metrics.contents import Contents, named
from distillery.metrics.counter import Counter
from distillery.metrics.judge import Judge
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.toybox import Drawing, all_factors, draw, draw_scene, draw_several
from training.counter_pictures import SIZES, through
from training.data import to_images
from training.measure_sd import FRESH

COUNT, CHUNK = 200, 20
CPU = torch.device("cpu")

Row = dict[str, float]


WORDS = ("none", "one", "two", "three")
Rows = dict[tuple[tuple[int, int], int, bool], Row]  # by size, number of things, through the VAE


def measure_counter(*, models: Path, count: int = COUNT) -> Rows:
    """Print how often the number of things is right, and what else is read off pictures.

    Returns:
        The shares of every size and number of things, as drawn and through the VAE.
    """
    rows: Rows = {}
    counter, judge = Counter.load(models / "counter"), Judge.load(models / "judge")
    prior = load_prior(models / "tiny-sd", device="cpu")
    for size in SIZES:
        for number in range(4):
            drawings = fresh_drawings(number, count, size=size)
            half = drawings[: count // 2]  # decoding takes longest
            for wear, some, images in (
                ("as drawn", drawings, as_images(drawings)),
                ("through the VAE", half, decoded(prior, half)),
            ):
                found = contents(images, counter=counter, judge=judge)
                what = f"counter, {size[0]}x{size[1]}, {number} things, {wear}"
                its = rows[size, number, some is half] = shares(found, some)
                told = ", ".join(f"{k} {100 * v:.1f} %" for k, v in its.items())
                print(f"{what:<48}{told}", flush=True)
    return rows


def fresh_drawings(number: int, count: int, *, size: tuple[int, int]) -> list[Drawing]:
    """Scenes with so many things: one as `draw` makes it, two of a kind, three of any kinds.

    All combinations of facts take turns, the held-out ones among them.
    """
    g = np.random.default_rng(number)
    pool = all_factors()
    drawings = []
    for k in range(count):
        # 97 has no factor in common with the number of combinations, 768, so all take turns.
        one, seed = pool[97 * k % len(pool)], FRESH + 10_000 * number + k
        if number == 0:
            drawings.append(draw_scene(one.scene, seed, size=size))
        elif number == 1:
            drawings.append(draw(one, seed, size=size))
        else:
            same = [
                f for f in pool if f.scene == one.scene and (number > 2 or f.thing == one.thing)
            ]
            others = [same[g.integers(len(same))] for _ in range(number - 1)]
            drawings.append(draw_several([one, *others], seed, size=size))
    return drawings


def as_images(drawings: list[Drawing]) -> Tensor:
    """(N, 3, H, W) in [-1, 1]."""
    return to_images(np.stack([drawing.image for drawing in drawings]), CPU)


def decoded(prior: Prior, drawings: list[Drawing]) -> Tensor:
    """The same after encoding and decoding."""
    return to_images(through(prior, np.stack([drawing.image for drawing in drawings])), CPU)


def contents(images: Tensor, *, counter: Counter, judge: Judge) -> list[Contents]:
    """What is found in images (N, 3, H, W), in chunks."""
    chunks = images.split(CHUNK)
    return [one for chunk in chunks for one in named(chunk, counter=counter, judge=judge)]


def scene_of(drawing: Drawing) -> str:
    """The scene's word; an empty scene has nothing but its caption."""
    return drawing.factors[0].scene if drawing.factors else drawing.caption


def shares(found: list[Contents], drawings: list[Drawing]) -> Row:
    """How often each reading is right; for two of a kind `twice` should be 1, for one thing 0."""
    pairs = list(zip(found, drawings, strict=True))
    row = {"count": _mean(len(c.things) == len(d.factors) for c, d in pairs)}
    row["scene"] = _mean(c.scene == scene_of(d) for c, d in pairs)
    if len(drawings[0].factors) == 1:
        row["one right"] = _mean(c.one_right(d.factors[0]) for c, d in pairs)
        row["one of the kind"] = _mean(c.one_of_the_kind(d.factors[0]) for c, d in pairs)
    if len(drawings[0].factors) in (1, 2):
        row["twice"] = _mean(c.twice(d.factors[0]) for c, d in pairs)
    return row


def _mean(answers: Iterable[bool]) -> float:
    return float(np.mean(list(answers)))


def figures(rows: Rows, count: int) -> dict[str, Figure]:
    """Every share, and the count at the worst of all sizes; half of `count` drawings are decoded.

    Those of no thing or one by the VAE at 64x128 are "none_64x128_vae_count" and so on, and at
    worst "none_vae" and "one_vae".
    """
    kept: dict[str, Figure] = {}
    worst: dict[str, Figure] = {}
    for (size, number, through_vae), its in rows.items():
        n, word = count // (1 + through_vae), WORDS[number]
        place = f"{word}_{size[0]}x{size[1]}_{'vae' if through_vae else 'drawn'}"
        kept |= {f"{place}_{key.replace(' ', '_')}": share(its[key], n) for key in its}
        name = f"{word}{'_vae' * through_vae}"
        if name not in worst or its["count"] < worst[name].value:
            worst[name] = share(its["count"], n)
    return worst | kept


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.measure_counter", description=__doc__)
    parser.add_argument("--models", type=Path, default=REPOSITORY / "data" / "models")
    parser.add_argument("--count", type=int, default=COUNT, help="drawings of each kind and size")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line and print the figures."""
    options = parser().parse_args()
    rows = measure_counter(models=options.models, count=options.count)
    if options.record:
        record(
            "counter",
            figures(rows, options.count),
            n=options.count,
            of="drawings of each number of things and size",
            seeds=[FRESH],
            spread="standard error of a share",
            models=("counter", "judge", "tiny-sd"),
        )


if __name__ == "__main__":
    main()
