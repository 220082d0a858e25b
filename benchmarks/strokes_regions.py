"""Two things in their own regions: `python -m benchmarks.strokes_regions`, about an hour.

For the same prompts and noise, each way of region control with and without the adapter for scenes
of two things: how often the judge finds both things in their own halves, both with their colours,
and the scene in both halves. Regions are ellipses as a student would paint them. The first row of
each size is the ceiling, real drawings; SDEdit begins from a coarse painting of the same drawing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillery.core.files import REPOSITORY
from distillery.core.images import to_pil
from distillery.core.measured import Figure, add_record_option, record
from distillery.methods.guided_ddim import Predict, first_step, steered
from distillery.methods.region_control import Way, region_predict
from distillery.metrics.judge import Judge
from distillery.models.load import load_lora, load_prior
from distillery.models.prior import Prior, guided_noise
from distillery.toybox import held_out
from distillery.toybox.paintings import coarse_painting
from reference import strokes
from training.data import to_images
from training.measure_two_things import Scene, scenes, verdicts

SEED, TUNING_SEED = 41, 40
STEPS, GUIDANCE, STRENGTH = 20, 5.0, 0.8
WIDE, SQUARE = (64, 128), (64, 64)
ADAPTER = REPOSITORY / "data" / "models" / "tiny-sd-two-things"
CPU = torch.device("cpu")
EVERY: tuple[Way | None, ...] = (None, "attention", "hard", "regional", "composed")
SOME: tuple[Way | None, ...] = (None, "regional", "composed")
SHOWN = 12  # pictures of each row in the sheet


def predict_of(prior: Prior, scene: Scene, way: Way | None) -> Predict:
    """The noise to follow; without a way, that of the prompt alone."""
    if way is None:
        text, uncond = prior.embed([scene.prompt]), prior.embed([""])

        def plain(xt: Tensor, t: Tensor) -> Tensor:
            both = text.repeat(len(xt)), uncond.repeat(len(xt))
            guided = guided_noise(prior, text=both[0], uncond=both[1], guidance_scale=GUIDANCE)
            return guided(xt, t)

        return plain
    return region_predict(
        prior,
        strokes,
        prompt=scene.prompt,
        words=scene.words,
        masks=scene.masks,
        way=way,
        guidance_scale=GUIDANCE,
    )


def pictures(
    prior: Prior, some: Sequence[Scene], way: Way | None, *, seeds: int, strength: float = 1.0
) -> Tensor:
    """Pictures (seeds, N, 3, H, W); with a strength below 1, SDEdit from coarse paintings."""
    timesteps, alphas_cumprod = prior.timesteps(STEPS), prior.alphas_cumprod
    drawn = []
    for k, scene in enumerate(some):
        painting = to_images(coarse_painting(scene.drawing, k)[None], CPU)
        x0 = prior.encode(painting).expand(seeds, -1, -1, -1)
        generators = [torch.Generator().manual_seed(seed * 10_000 + k) for seed in range(seeds)]
        eps = torch.stack([torch.randn(x0.shape[1:], generator=g) for g in generators])
        start = first_step(STEPS, strength)
        xt = eps
        if start:
            xt = strokes.sdedit_start(x0, eps, strength, timesteps, alphas_cumprod)
        for step in steered(
            predict_of(prior, scene, way),
            xt,
            timesteps=timesteps,
            alphas_cumprod=alphas_cumprod,
            start=start,
        ):
            x0 = step.x0
        drawn.append(prior.decode(x0).clamp(-1, 1))
    return torch.stack(drawn, dim=1)


def row(name: str, judge: Judge, images: Tensor, some: Sequence[Scene]) -> dict[str, Figure]:
    """Print and return the shares that are right, mean and standard deviation over the seeds."""
    shares = 100 * np.stack([verdicts(judge, each, some).mean(0) for each in images])
    columns = "  ".join(
        f"{what} {mean:5.1f} ± {spread:3.1f} %"
        for what, mean, spread in zip(
            ("things", "colours too", "scene"), shares.mean(0), shares.std(0), strict=True
        )
    )
    print(f"{name:<42}{columns}", flush=True)
    word = name.lower().replace(",", "").replace(" ", "_").replace("-", "_").replace(".", "_")
    return {
        f"{word}_{what}": Figure(middle / 100, apart / 100)
        for what, middle, apart in zip(
            ("things", "colours", "scene"), shares.mean(0), shares.std(0), strict=True
        )
    }


Row = tuple[str, Tensor]


def rows_of(
    some: Sequence[Scene], *, seeds: int, ways: Sequence[Way | None], strokes_too: bool
) -> Iterator[Row]:
    """The name and the pictures (seeds, N, 3, H, W) of each row of the table."""
    yield "drawings", to_images(np.stack([scene.drawing.image for scene in some]), CPU)[None]
    for adapted in (False, True):
        prior = load_prior("tiny-sd", device="cpu")
        if adapted:
            load_lora(prior, str(ADAPTER))
        name = "with the adapter" if adapted else "tiny-sd"
        for way in ways:
            yield f"{name}, {way or 'plain'}", pictures(prior, some, way, seeds=seeds)
        for way in SOME if strokes_too else ():
            made = pictures(prior, some, way, seeds=seeds, strength=STRENGTH)
            yield f"{name}, SDEdit {STRENGTH}, {way or 'plain'}", made


def report(
    prompts: int = 48, seeds: int = 3, *, seed: int = SEED, sheets: Path | None = None
) -> dict[str, Figure]:
    """Print both tables; `sheets` is a folder for the first pictures of each row.

    Returns:
        The figures to keep, those of wide pictures first.
    """
    figures: dict[str, Figure] = {}
    judge = Judge.load()
    for size in (WIDE, SQUARE):
        some = scenes(prompts, size=size, seed=seed)
        unseen = sum(any(held_out(f) for f in scene.sides) for scene in some)
        print(f"{size[0]} x {size[1]}: {prompts} prompts, {unseen} with a held-out combination")
        strips = []
        ways = EVERY if size == WIDE else SOME
        for name, images in rows_of(some, seeds=seeds, ways=ways, strokes_too=size == WIDE):
            found = row(name, judge, images, some)
            shape = "wide" if size == WIDE else "square"
            figures |= {f"{shape}_{key}": figure for key, figure in found.items()}
            strips.append(torch.cat(list(images[0, :SHOWN]), dim=2))
        if sheets is not None:
            to_pil(torch.cat(strips, dim=1)[None])[0].save(sheets / f"regions_{size[1]}.png")
    return figures


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strokes_regions")
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sheets", type=Path, help="a folder for pictures of every row")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line and print the tables."""
    options = parser().parse_args()
    figures = report(options.prompts, options.seeds, sheets=options.sheets)
    if options.record:
        record(
            "strokes_regions",
            figures,
            n=options.prompts * options.seeds,
            of=f"pictures, {options.seeds} of each prompt",
            seeds=[SEED],
            spread=f"standard deviation over the {options.seeds} seeds",
            models=("tiny-sd", "tiny-sd-two-things", "judge"),
        )


if __name__ == "__main__":
    main()
