"""Pixel art against three baselines: `python -m benchmarks.pixelart [--prompts 24] [--out FILE]`,
the same where cells and colours are few: `python -m benchmarks.pixelart --size 16,16 --colours 4`,
and what ControlNets keep of a picture that is given: `python -m benchmarks.pixelart --layout 8`.

For the same prompts: a sample of the model brought into a palette of ours, into one found by
k-means, and by the library PixelOE where it is installed (`pip install pixeloe`); the drawing that
the run starts from, CLIP's favourite of a few, by k-means; and distilled from that, at the run's
end and at the moment that CLIP likes best. How often all three facts are right by the judge, which
chooses nothing, CLIP's score, the share of pixels in the palette, and for the distilled ones how
far soft and hard picture agree and what they cost.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from distillery.core.images import grid, to_pil
from distillery.core.measured import Figure, add_record_option, mean, record, share
from distillery.core.settings import pair
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.judge import Judge
from distillery.models.annotators import depths, edges
from distillery.models.prior import Prior
from distillery.palettes import load_palette, nearest
from distillery.pixelart import initial_grid
from distillery.pixelart.begin import PixelArt, begin, load
from distillery.pixelart.initial_grid import fitted_palette
from distillery.pixelart.settings import PixelSettings
from distillery.toybox import Factors, all_factors, draw
from reference import pixelart
from training.measure_sd import FRESH
from training.measure_sdxl import correlation, edge_f1

SEED = 23
NAMED_PALETTE = "crayons"  # eight colours
SIDE = 128
LOOSE, STRICT = 1.0, 0.8  # sureness of a start, and its scale of the ControlNets
BEST = "the drawing to start from, k-means"
END, CHOSEN = "distilled, at the end", "distilled, as chosen"
NEAREST = f"a sample, area, nearest of {NAMED_PALETTE}"
KMEANS, PIXELOE = "a sample, area, k-means", "a sample, PixelOE, k-means"
SHORT = {  # the rows' names in a record
    NEAREST: "named",
    KMEANS: "kmeans",
    PIXELOE: "pixeloe",
    BEST: "best",
    END: "end",
    CHOSEN: "chosen",
}


@dataclass(frozen=True)
class Piece:
    """One small picture (3, h, w) in [-1, 1], its palette, and what it cost."""

    picture: Tensor
    palette: Tensor
    agreement: float = 1.0
    seconds: float = 0.0


def prompts(count: int) -> list[Factors]:
    """Some combinations, trained and held-out ones as they come."""
    return random.Random(SEED).sample(all_factors(), count)


def named(drawing: Tensor, settings: PixelSettings) -> Piece:
    """Area mean, then the nearest colour of a palette of ours."""
    return _nearest(F.interpolate(drawing, settings.size, mode="area"), load_palette(NAMED_PALETTE))


def fitted(drawing: Tensor, settings: PixelSettings) -> Piece:
    """Area mean, then the nearest of as many colours, found by k-means."""
    small = F.interpolate(drawing, settings.size, mode="area")
    return _nearest(small, _fit(small, settings.colours))


def pixeloe(drawing: Tensor, settings: PixelSettings) -> Piece:
    """PixelOE's contrast-aware pixelisation, then the nearest of as many colours by k-means."""
    from pixeloe.legacy.pixelize import pixelize

    pixels = np.asarray(to_pil(drawing)[0])[..., ::-1].copy()  # OpenCV's order of channels
    width = settings.size[1]
    side = drawing.shape[-1] // width
    small = pixelize(pixels, target_size=width, patch_size=side, no_upscale=True)
    levels = torch.from_numpy(np.ascontiguousarray(small[..., ::-1])).float()
    image = F.interpolate((levels / 127.5 - 1).movedim(2, 0)[None], settings.size, mode="area")
    return _nearest(image, _fit(image, settings.colours))


def _fit(small: Tensor, colours: int) -> Tensor:
    return fitted_palette(small, colours, pixelart, torch.Generator().manual_seed(SEED))


def _nearest(small: Tensor, palette: Tensor) -> Piece:
    return Piece(2 * palette[nearest(small, palette)[0]].movedim(2, 0) - 1, palette)


def distilled(prior: Prior, settings: PixelSettings) -> tuple[Tensor, Piece, Piece]:
    """The drawing that the run began from, what became of it, and what is kept of the run."""
    began = time.monotonic()
    run = begin(prior, pixelart, settings)
    for step in run.steps():
        if step.index == step.total - 1:
            end = _as_it_is(run, began)
    assert run.start.picture is not None
    return run.start.picture, end, _as_it_is(run, began)


def _as_it_is(run: PixelArt, began: float) -> Piece:
    seconds = time.monotonic() - began
    return Piece(run.images()[0], run.start.palette, run.canvas.agreement(), seconds)


def one_sample(prior: Prior, settings: PixelSettings) -> Tensor:
    """One drawing of the model, without a choice."""
    generator = torch.Generator(prior.device).manual_seed(settings.seed)
    start = initial_grid.begin(
        prior, pixelart, replace(settings, candidates=1), generator=generator
    )
    assert start.picture is not None
    return start.picture


def row(
    name: str, pieces: list[Piece], wanted: list[Factors], judge: Judge, clip: ClipScorer
) -> dict[str, Figure]:
    """Print one line of the table, and return its figures."""
    large = torch.stack([_large(piece.picture) for piece in pieces])
    seen = judge.factors(large)
    right = sum(a == b for a, b in zip(seen, wanted, strict=True)) / len(wanted)
    its = {
        "right": share(right, len(wanted)),
        "clip": mean(clip.score(to_pil(large), [str(factors) for factors in wanted])),
        "inside": mean([_inside(piece) for piece in pieces]),
        "agree": mean([piece.agreement for piece in pieces]),
        "seconds": mean([piece.seconds for piece in pieces]),
    }
    print(
        f"{name:<44}right {right:6.1%}  CLIP {its['clip'].value:.3f}  "
        f"in palette {its['inside'].value:6.1%}  soft = hard {its['agree'].value:6.1%}  "
        f"{its['seconds'].value:5.1f} s",
        flush=True,
    )
    return its


def _large(picture: Tensor) -> Tensor:
    return F.interpolate(picture[None], (SIDE, SIDE), mode="nearest")[0]


def _inside(piece: Piece) -> float:
    """The share of pixels that have exactly a palette's colour, in 8 bits."""
    image = np.asarray(to_pil(piece.picture[None])[0]).reshape(-1, 3)
    colours = {tuple(row) for row in (piece.palette * 255).round().int().tolist()}
    return float(np.mean([tuple(pixel) in colours for pixel in image.tolist()]))


def measure(settings: PixelSettings, wanted: list[Factors], out: Path | None) -> dict[str, Figure]:
    """Print the table, draw all pictures of it on a sheet, and return the figures to keep."""
    prior, judge, clip = load(settings), Judge.load(), ClipScorer("tiny-clip")
    baselines: dict[str, Callable[[Tensor, PixelSettings], Piece]] = {
        NEAREST: named,
        KMEANS: fitted,
    }
    if importlib.util.find_spec("pixeloe"):
        baselines[PIXELOE] = pixeloe
    pieces: dict[str, list[Piece]] = {name: [] for name in (*baselines, BEST, END, CHOSEN)}
    drawings = []
    for number, factors in enumerate(wanted):
        given = replace(settings, prompt=str(factors), seed=number)
        drawing, end, chosen = distilled(prior, given)
        drawings.append(drawing[0])
        pieces[END].append(end)
        pieces[CHOSEN].append(chosen)
        pieces[BEST].append(fitted(drawing, settings))
        sample = one_sample(prior, given)
        for name, baseline in baselines.items():
            pieces[name].append(baseline(sample, settings))
        print(f"{number + 1}/{len(wanted)} {factors}", end="\r", flush=True)
    row("the model's drawings, not pixel art", [Piece(d, d[:, 0].T) for d in drawings],
        wanted, judge, clip)  # fmt: skip
    figures: dict[str, Figure] = {}
    for name, made in pieces.items():
        its = row(name, made, wanted, judge, clip)
        figures |= {f"{SHORT[name]}_{what}": figure for what, figure in its.items()}
    if out is not None:
        tiles = [[_large(p.picture) for p in made] for made in pieces.values()]
        rows = [torch.stack(drawings), *map(torch.stack, tiles)]
        grid(torch.cat(rows), columns=len(wanted)).save(out)
    return figures


def measure_layout(settings: PixelSettings, wanted: list[Factors]) -> dict[str, Figure]:
    """How well edges and depths of an input picture are kept, with ControlNets and without.

    Once as such runs start by default, where the start itself keeps nearly all there is to keep,
    and once from a start that hardly counts, where the ControlNets have to.
    """
    loose = replace(settings, sureness=LOOSE, canny=STRICT, depth=STRICT)
    figures: dict[str, Figure] = {}
    for start, given in {"a start that counts": settings, "one that hardly does": loose}.items():
        without = replace(given, canny=0.0, depth=0.0)
        for name, changed in {"without ControlNets": without, "with": given}.items():
            right, kept, relief = _layout(changed, wanted)
            print(
                f"{start:<22}{name:<22}right {right:6.1%}  F1 of edges {kept:.3f}  "
                f"correlation of depths {relief:.3f}",
                flush=True,
            )
            word = f"{'loose_' if given is loose else ''}{name.split()[0]}"
            figures |= {
                f"{word}_right": share(right, len(wanted)),
                f"{word}_edges": Figure(kept),
                f"{word}_depths": Figure(relief),
            }
    return figures


def _layout(settings: PixelSettings, wanted: list[Factors]) -> tuple[float, float, float]:
    """The share that the judge has right, and means of F1 of edges and correlation of depths.

    The edges are those of the enlarged pixel art, smoothed to the pixels' size before.
    """
    judge, prior = Judge.load(), load(settings)
    kept, relief, seen = [], [], []
    for number, factors in enumerate(wanted):
        drawing = draw(factors, FRESH + number, size=(SIDE, SIDE)).image
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "drawing.png"
            Image.fromarray(drawing).save(path)
            given = replace(
                settings, prompt=str(factors), start="image", input_image=str(path), seed=number
            )
            asked, _, piece = distilled(prior, given)
        large = F.interpolate(piece.picture[None], (SIDE, SIDE), mode="bilinear")
        kept.append(edge_f1(edges(asked), edges(large)))
        relief.append(correlation(depths(asked)[:, :1], depths(large)[:, :1]))
        seen += judge.factors(_large(piece.picture)[None])
    right = sum(a == b for a, b in zip(seen, wanted, strict=True)) / len(wanted)
    return right, float(np.mean(kept)), float(np.mean(relief))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pixelart", description=__doc__)
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument(
        "--layout", type=int, metavar="N", help="what is kept of N given pictures instead"
    )
    parser.add_argument(
        "--size", type=pair, metavar="H,W", help="of the grid, where not the model's default"
    )
    parser.add_argument("--colours", type=int, help="of a picture, where not eight")
    parser.add_argument("--out", type=Path, help="a PNG of all pictures")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line and print the table."""
    options = parser().parse_args()
    given = {name: getattr(options, name) for name in ("size", "colours") if getattr(options, name)}
    settings = PixelSettings(prompt="anything", implementation="reference", **given)
    name = "pixelart_layout" if options.layout else "pixelart"
    if options.layout:
        figures = measure_layout(settings, prompts(options.layout))
    else:
        figures = measure(settings, prompts(options.prompts), options.out)
    if options.record:
        record(
            f"{name}_{settings.size[0]}x{settings.size[1]}_{settings.colours}" if given else name,
            figures,
            n=options.layout or options.prompts,
            of="prompts",
            seeds=[SEED],
            spread="standard error over prompts",
            models=(
                settings.model,
                "judge",
                "tiny-clip",
                "tiny-controlnet-canny",
                "tiny-controlnet-depth",
            ),
        )


if __name__ == "__main__":
    main()
