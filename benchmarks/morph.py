"""Films from prompt to prompt: `python -m benchmarks.morph`.

Every way draws the same pairs of prompts and noise, 24 frames each, and chains of four prompts that
loop. The prompts are drawn from those of the training, the seeds from none that anything was tuned
on. Of each film the table shows

    features  the largest step between neighbours over the mean step, in the judge's features
    pixels    the same in pixels
    clip      the same in embeddings of tiny-clip, which no way looks at
    thing     in how many frames of the middle third there is one recognisable thing, of the two
    between   the same of all frames between the ends
    chroma, sharp   of the middle third over those of the ends

as means over the films, with their standard deviation; `worst` is the worst film. Of a chain: the
largest step at a joint and at the end of the loop, over the mean step, in pixels, and how far the
last frame of one stretch is from the first of the next, which is the same moment.

What counts as recognisable is calibrated on single pictures of the model; the first line says how
often others of them count, and cross-fades between two of those, of pixels and of latents.
`--pairs` and `--chains` make it smaller, `--json` keeps the numbers, `--sheet` draws the first
pairs in the first way and the last. The network runs in bfloat16, which moves eps by less than half
a percent.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path as File

import torch
from PIL import Image
from torch import Tensor

from benchmarks.elastic import InBfloat16
from benchmarks.morph_measures import (
    Viewer,
    chroma,
    in_the_middle,
    largest_step,
    middle,
    sharpness,
)
from distillery.core.files import atomic_write
from distillery.core.images import grid, save_png, to_pil
from distillery.core.measured import Figure, add_record_option, mean, record
from distillery.methods import ddim
from distillery.methods.morph import path_of
from distillery.methods.morph_drawing import Drawing, decoded, keyframes_drawn, steps_between
from distillery.methods.morph_frames import frame_positions
from distillery.methods.morph_spacing import EvenFilm, steps_of
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.morph.look import look_at
from distillery.runs.kind import drawn
from distillery.runs.registry import kind_named
from distillery.runs.sample_settings import SampleSettings
from distillery.toybox import Factors, all_factors, held_out
from reference import morph as functions

SEED = 83_000
FRAMES, STEPS, GUIDANCE = 24, 12, 5.0
CALIBRATION, FRESH = 64, 700_000_000
SHOWN = 4  # pairs on the sheet


@dataclass(frozen=True)
class Way:
    """A way to go: its name in the table, text and noise as `Path` has them, and the spacing."""

    name: str
    text: str
    noise: str = "slerp"
    even: bool = False


WAYS = (
    Way("published", "slerp"),
    Way("published, lerp of noise", "slerp", "lerp"),
    Way("mixed scores", "mix"),
    Way("mixed scores, even", "mix", even=True),
    Way("stones", "stones"),
    Way("ours: stones, even", "stones", even=True),
)


@dataclass(frozen=True)
class Film:
    """What was seen of one film of a pair."""

    way: str
    prompts: tuple[str, str]
    features: float
    pixels: float
    clip: float
    thing: float
    between: float
    chroma: float
    sharp: float
    exact_ends: bool
    drawn: int
    seconds: float


@dataclass(frozen=True)
class Chain:
    """What was seen of one chain: steps over the mean step, and differences of equal moments."""

    way: str
    prompts: tuple[str, ...]
    features: float
    pixels: float
    joint: float
    loop: float
    joint_error: float
    loop_error: float


class Bench:
    """The model, and what is asked of it."""

    def __init__(self) -> None:
        self.prior: Prior = InBfloat16(load_prior("tiny-sd", device="cpu"))
        self.look = look_at(self.prior, "tiny-sd")
        self.generator = random.Random(SEED)
        self.pool = [factors for factors in all_factors() if not held_out(factors)]
        shown = self.generator.sample(self.pool, CALIBRATION)
        pictures = decoded(self.prior, self.singles(shown, FRESH)).clamp(-1, 1)
        self.viewer = Viewer(pictures, [its.thing for its in shown])

    def singles(self, factors: Sequence[Factors], seed: int) -> Tensor:
        """Latents of single pictures, (N, C, h, w)."""
        shape = (len(factors), self.prior.latent_channels, *self.prior.latent_size)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        parts = []
        for k in range(0, len(factors), 16):
            some = [str(its) for its in factors[k : k + 16]]
            *_, last = ddim.sample(
                self.prior,
                noise[k : k + 16],
                text=self.prior.embed(some),
                uncond=self.prior.embed([""] * len(some)),
                guidance_scale=GUIDANCE,
                timesteps=self.prior.timesteps(STEPS),
            )
            parts.append(last.xt)
        return torch.cat(parts)

    def calibration(self) -> dict[str, float]:
        """How often other single pictures and cross-fades of two of them count as one thing."""
        factors = self.generator.sample(self.pool, CALIBRATION)
        latents = self.singles(factors, FRESH + 1)
        pictures = decoded(self.prior, latents).clamp(-1, 1)
        own = [{its.thing} for its in factors]
        both = [a | b for a, b in zip(own[::2], own[1::2], strict=True)]
        fades = {
            "of pixels": torch.lerp(pictures[::2], pictures[1::2], 0.5),
            "of latents": decoded(self.prior, torch.lerp(latents[::2], latents[1::2], 0.5)),
        }
        return {"single pictures": float(self.viewer.recognised(pictures, own).float().mean())} | {
            f"cross-fades {name}": float(self.viewer.recognised(its, both).float().mean())
            for name, its in fades.items()
        }

    def drawing(
        self, way: Way, prompts: Sequence[str], seeds: Sequence[int], *, loop: bool = False
    ) -> Drawing:
        """What a film is drawn with."""
        path = path_of(
            self.prior,
            prompts,
            seeds,
            text=way.text,
            noise=way.noise,
            guidance_scale=GUIDANCE,
            loop=loop,
        )
        timesteps = self.prior.timesteps(STEPS)
        return Drawing(self.prior, functions, path, timesteps, self.prior.latent_size)

    def film(self, way: Way, drawing: Drawing, frames: int) -> tuple[Tensor, int]:
        """The latents (F, C, h, w) of a film, and how many frames were drawn for it."""
        path = drawing.path
        count = len(path.seeds) - path.closed
        wanted = frame_positions(count, frames, loop=path.closed)
        keyframes = keyframes_drawn(drawing)
        film = EvenFilm(wanted, keyframes, self.look)
        if way.even:
            while len(positions := film.next_positions()):
                film.add(positions, _finished(drawing, positions))
            return film.film()[1], len(film.positions)
        is_key = wanted == wanted.round()
        latents = torch.empty(len(wanted), *keyframes.shape[1:])
        latents[is_key] = keyframes[wanted[is_key].long()]
        latents[~is_key] = _finished(drawing, wanted[~is_key])
        return latents, len(wanted)

    def single(self, prompt: str, seed: int) -> bytes:
        """The pixels of `main.py sample`."""
        settings = SampleSettings(
            prompt, steps=STEPS, guidance_scale=GUIDANCE, seed=seed, device="cpu"
        )
        kind = kind_named("sample")
        return to_pil(drawn(kind, self.prior, None, settings))[0].tobytes()

    def seen(self, way: Way, pair: Sequence[Factors], seed: int) -> tuple[Film, Tensor]:
        """A film of a pair, and its pictures."""
        began = time.process_time()
        prompts, seeds = (str(pair[0]), str(pair[1])), (seed, seed + 1)
        latents, count = self.film(way, self.drawing(way, prompts, seeds), FRAMES)
        pictures = decoded(self.prior, latents).clamp(-1, 1)
        seconds = time.process_time() - began
        things = {its.thing for its in pair}
        good = self.viewer.recognised(pictures, [things] * FRAMES).float()
        ends = [image.tobytes() for image in to_pil(pictures[[0, -1]])]
        film = Film(
            way.name,
            prompts,
            features=largest_step(self.viewer.features(pictures)),
            pixels=largest_step(pictures),
            clip=largest_step(self.viewer.clip(pictures)),
            thing=float(good[middle(FRAMES)].mean()),
            between=float(good[1:-1].mean()),
            chroma=in_the_middle(chroma(pictures)),
            sharp=in_the_middle(sharpness(pictures)),
            exact_ends=ends == [self.single(*its) for its in zip(prompts, seeds, strict=True)],
            drawn=count,
            seconds=seconds,
        )
        return film, pictures

    def chain(self, way: Way, factors: Sequence[Factors], seed: int) -> Chain:
        """A chain that loops; the published one has the same two seeds in every stretch."""
        prompts = tuple(str(its) for its in factors)
        if way.name.startswith("published"):
            stretches = [
                self.film(way, self.drawing(way, two, (seed, seed + 1)), FRAMES // 2 + 1)[0]
                for two in pairwise([*prompts, prompts[0]])
            ]
            errors = [
                float((decoded(self.prior, a[-1:]) - decoded(self.prior, b[:1])).abs().max())
                for a, b in pairwise([*stretches, stretches[0]])
            ]
            latents = torch.cat([stretch[:-1] for stretch in stretches])
        else:
            seeds = range(seed, seed + len(prompts))
            drawing = self.drawing(way, prompts, list(seeds), loop=True)
            keyframes = keyframes_drawn(drawing)
            latents, _ = self.film(way, drawing, len(prompts) * FRAMES // 2)
            positions = torch.arange(len(prompts)) * FRAMES // 2
            joints = (latents[positions] - keyframes[:-1]).abs().amax((1, 2, 3)).tolist()
            errors = [*joints[1:], float((keyframes[-1] - latents[0]).abs().max())]
        pictures = decoded(self.prior, latents).clamp(-1, 1)
        around = torch.cat([pictures, pictures[:1]])
        steps = steps_of(around) / steps_of(around).mean()
        joints = [k * FRAMES // 2 - 1 for k in range(1, len(prompts))]
        return Chain(
            way.name,
            prompts,
            features=largest_step(self.viewer.features(around)),
            pixels=float(steps.max()),
            joint=float(steps[joints].max()),
            loop=float(steps[-1]),
            joint_error=max(errors[:-1]),
            loop_error=errors[-1],
        )

    def batched(self, repeats: int = 5) -> list[float]:
        """How many times as long frames take one by one as in batches of 8."""
        way = WAYS[-1]
        drawing = self.drawing(way, ["a red cat in the snow", "a blue boat on the beach"], [1, 2])
        drawing = replace(drawing, timesteps=self.prior.timesteps(4))
        positions = torch.linspace(0.1, 0.9, 16)
        ratios = []
        for _ in range(repeats):
            times = [time.perf_counter()]
            _finished(drawing, positions)
            times.append(time.perf_counter())
            for one in positions.split(1):
                _finished(drawing, one)
            times.append(time.perf_counter())
            ratios.append((times[2] - times[1]) / (times[1] - times[0]))
        return ratios


def _finished(drawing: Drawing, positions: Tensor) -> Tensor:
    *_, last = steps_between(drawing, positions)
    return last.xt


def asked(bench: Bench, pairs: int, chains: int) -> tuple[list[list[Factors]], list[list[Factors]]]:
    """Pairs and chains of four, of different things."""

    def of(count: int) -> list[Factors]:
        while True:
            chosen = bench.generator.sample(bench.pool, count)
            if len({its.thing for its in chosen}) == count:
                return chosen

    return [of(2) for _ in range(pairs)], [of(4) for _ in range(chains)]


def line(name: str, films: Sequence[Film]) -> str:
    """A row of the table."""

    def spread(numbers: Sequence[float]) -> str:
        apart = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
        return f"{statistics.mean(numbers):5.2f} ± {apart:4.2f} ({max(numbers):5.2f})"

    mean = statistics.mean
    return (
        f"{name:<26} n={len(films):<3} "
        f"features {spread([film.features for film in films])}  "
        f"pixels {spread([film.pixels for film in films])}  "
        f"clip {mean(film.clip for film in films):5.2f}  "
        f"thing {mean(film.thing for film in films):4.0%}  "
        f"between {mean(film.between for film in films):4.0%}  "
        f"chroma {mean(film.chroma for film in films):4.2f}  "
        f"sharp {mean(film.sharp for film in films):4.2f}  "
        f"exact ends {sum(film.exact_ends for film in films)}/{len(films)}  "
        f"drawn {mean(film.drawn for film in films):4.1f}  "
        f"CPU {mean(film.seconds for film in films):5.1f} s"
    )


def chain_line(name: str, chains: Sequence[Chain]) -> str:
    """A row of the table of chains."""

    def most(part: str) -> float:
        return max(getattr(chain, part) for chain in chains)

    def mean(part: str) -> float:
        return statistics.mean(getattr(chain, part) for chain in chains)

    return (
        f"{name:<26} n={len(chains):<3} features {mean('features'):5.2f} ({most('features'):5.2f}) "
        f" pixels {mean('pixels'):5.2f} ({most('pixels'):5.2f})  "
        f"at joints {mean('joint'):5.2f} ({most('joint'):5.2f})  "
        f"at the loop's end {mean('loop'):5.2f} ({most('loop'):5.2f})  "
        f"joint error {most('joint_error'):.3g}  loop error {most('loop_error'):.3g}"
    )


def figures(films: dict[str, list[Film]]) -> dict[str, Figure]:
    """What is kept of the films of each way that was drawn."""
    kept: dict[str, Figure] = {}
    for name, its in films.items():
        word = "ours" if name.startswith("ours") else name.replace(",", "").replace(" ", "_")
        things = [film.thing for film in its]
        kept |= {
            f"{word}_features": Figure(statistics.median(film.features for film in its)),
            f"{word}_pixels": Figure(statistics.median(film.pixels for film in its)),
            f"{word}_thing": mean(things),
            f"{word}_thing_least": Figure(min(things)),
            f"{word}_thing_most": Figure(max(things)),
        }
    return kept


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.morph", description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="pairs of prompts (default: 12)")
    parser.add_argument("--chains", type=int, default=4, help="chains of four (default: 4)")
    parser.add_argument("--ways", nargs="+", default=[way.name for way in WAYS], help="rows")
    parser.add_argument("--json", type=File, help="a file for the numbers")
    parser.add_argument("--sheet", type=File, help="picture of the first pairs")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line, measure and print."""
    options = parser().parse_args()
    bench = Bench()
    ways = [way for way in WAYS if way.name in options.ways]
    pairs, chains = asked(bench, options.pairs, options.chains)
    told: dict[str, object] = {"calibration": bench.calibration(), "least": bench.viewer.least}
    print(told, flush=True)
    films: dict[str, list[Film]] = {way.name: [] for way in ways}
    tiles: dict[tuple[int, str], list[Tensor]] = {}
    for number, pair in enumerate(pairs):
        for way in ways:
            film, pictures = bench.seen(way, pair, SEED + 10 * number)
            films[way.name].append(film)
            tiles[number, way.name] = list(pictures)
            print(line(f"  {film.prompts[0]}, {way.name}", [film]), flush=True)
        told["films"] = [asdict(film) for way in ways for film in films[way.name]]
        keep(told, options.json)
        if options.sheet and number < SHOWN:
            rows = [tiles[k, way.name] for k in range(number + 1) for way in (ways[0], ways[-1])]
            save_png(options.sheet, sheet(rows))
    for way in ways:
        if films[way.name]:
            print(line(way.name, films[way.name]), flush=True)
    kept: list[Chain] = []
    for way in (ways[0], ways[-1]):
        its = [bench.chain(way, four, SEED + 500 + 10 * k) for k, four in enumerate(chains)]
        kept += its
        if its:
            print(chain_line(way.name, its), flush=True)
    ratios = bench.batched()
    print(f"one by one over batches of 8: {statistics.median(ratios):.2f}, {ratios}")
    told |= {"chains": [asdict(chain) for chain in kept], "one_by_one_over_batches": ratios}
    keep(told, options.json)
    if options.record:
        record(
            "morph",
            figures({name: its for name, its in films.items() if its}),
            n=options.pairs,
            of=f"pairs of prompts, {FRAMES} frames each",
            seeds=[SEED],
            spread="standard error over pairs; features and pixels are medians, without one",
            models=("tiny-sd", "judge", "tiny-clip"),
        )


def keep(told: dict[str, object], path: File | None) -> None:
    """Write the numbers."""
    if path:
        path.parent.mkdir(exist_ok=True)
        atomic_write(path, f"{json.dumps(told, indent=1)}\n")


def sheet(rows: Sequence[Sequence[Tensor]]) -> Image.Image:
    """A row for every film, every second frame of it."""
    shown = [film[k] for film in rows for k in (*range(0, FRAMES - 1, 2), FRAMES - 1)]
    return grid(to_pil(torch.stack(shown)), columns=FRAMES // 2 + 1)


if __name__ == "__main__":
    with torch.no_grad():
        main()
