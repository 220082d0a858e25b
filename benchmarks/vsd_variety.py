"""What VSD repairs: `python -m benchmarks.vsd_variety [--prompts 24] [--seeds 8] [--kinds VSD]`.

About four minutes of CPU time for each prompt; with --keep, a run that was broken off goes on.

Drawings, DDIM samples, SDS at its default guidance and VSD at its own, for the same prompts: how
often all three facts are right, how far the pictures of one prompt lie apart, how colourful and how
sharp they are. A method that draws the prior's distribution has the drawings' variety.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor

from distillery.core.files import atomic_write, prompt_to_filename
from distillery.core.images import from_pil, grid, to_pil
from distillery.core.measured import (
    MODELS,
    Figure,
    add_record_option,
    mean,
    record,
    share,
    weights_hash,
)
from distillery.methods.settings import Settings
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.judge import Judge
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.runs.latents import LatentMethod, from_noise
from distillery.toybox import Factors, all_factors, draw, held_out
from reference import sds, vsd

SEED = 17
DDIM_GUIDANCE = 3.0
KINDS = ("DDIM", "SDS", "VSD")
MODULES: dict[str, LatentMethod] = {"sds": sds, "vsd": vsd}


@dataclass(frozen=True)
class Outcome:
    """Means over all pictures.

    right:     share in which all three facts are.
    clip:      tiny-clip's score.
    aparts:    distance between two pictures of a prompt in the judge's features, of each prompt.
    chroma:    largest less smallest of the three colours, in [0, 1].
    sharpness: |difference| of neighbouring grey values, of the [-1, 1] range.
    """

    right: float
    clip: float
    aparts: tuple[float, ...]
    chroma: float
    sharpness: float

    @property
    def apart(self) -> float:
        """The mean of `aparts`."""
        return sum(self.aparts) / len(self.aparts)

    def __str__(self) -> str:
        return (
            f"right {self.right:6.1%}  CLIP {self.clip:.3f}  apart {self.apart:5.2f}  "
            f"chroma {self.chroma:.3f}  sharpness {self.sharpness:.4f}"
        )


def outcome(images: Tensor, wanted: list[Factors], judge: Judge, scorer: ClipScorer) -> Outcome:
    """Measure pictures (P S, 3, H, W), S in a row for each of the P `wanted`."""
    images = images.clamp(-1, 1)
    seeds = len(images) // len(wanted)
    each = [factors for factors in wanted for _ in range(seeds)]
    seen = judge.factors(images)
    clips = scorer.score(to_pil(images), [str(factors) for factors in each])
    grey = images.mean(1)
    slopes = [grey.diff(dim=axis).abs().mean() for axis in (1, 2)]
    return Outcome(
        right=sum(a == b for a, b in zip(seen, each, strict=True)) / len(each),
        clip=sum(clips) / len(clips),
        aparts=tuple(float(_apart(f)) for f in _features(images, judge).split(seeds)),
        chroma=float((images.amax(1) - images.amin(1)).mean() / 2),
        sharpness=float(sum(slopes) / 2),
    )


@torch.no_grad()
def _features(images: Tensor, judge: Judge) -> Tensor:
    return judge.net.features(images)


def _apart(features: Tensor) -> Tensor:
    return torch.pdist(features).mean()


def drawings(wanted: list[Factors], seeds: int) -> Tensor:
    """Real pictures of the same facts."""
    numbers = itertools.count(5_000_000)
    pictures = [draw(factors, seed=next(numbers)) for factors in wanted for _ in range(seeds)]
    return torch.cat([from_pil(Image.fromarray(picture.image)) for picture in pictures])


def sampled(prior: Prior, wanted: list[Factors], seeds: int) -> Tensor:
    """DDIM samples."""
    generator = torch.Generator(prior.device).manual_seed(SEED)
    prompts = [str(factors) for factors in wanted for _ in range(seeds)]
    latents = prior.sample(prompts, guidance_scale=DDIM_GUIDANCE, generator=generator)
    return prior.decode(latents)


def distilled(
    prior: Prior, method: str, wanted: list[Factors], seeds: int, keep: Path | None
) -> Iterator[Tensor]:
    """The particles of each prompt in turn, as `main.py --particles` draws them.

    Args:
        keep: a folder for the pictures of each prompt; those that it has are not drawn again.
    """
    for number, factors in enumerate(wanted):
        prompts = [str(factors)] * seeds
        settings = Settings(prompts[0], loss_type=method, particles=seeds, seed=SEED + number)
        file = keep / _file(settings) if keep else None
        if file and file.exists():
            yield load_file(file)["pictures"]
            continue
        generator = torch.Generator(prior.device).manual_seed(settings.seed)
        run = from_noise(prior, MODULES[method], prompts, settings, generator=generator)
        for _ in run.steps():
            pass
        if file:
            atomic_write(file, save({"pictures": run.images().contiguous()}))
        yield run.images()


def _file(settings: Settings) -> str:
    """A name that another prompt, number of particles or training of the model does not have."""
    weights = weights_hash(MODELS / settings.model)
    words = prompt_to_filename(settings.prompt)
    return f"{settings.loss_type}-{settings.particles}-{words}-{weights}.safetensors"


def figures(found: dict[str, Outcome], real: Outcome, pictures: int) -> dict[str, Figure]:
    """What is kept of each kind: its shares, and its ratios to real drawings."""
    kept: dict[str, Figure] = {}
    for name, its in found.items():
        kept |= {
            f"{name}_right": share(its.right, pictures),
            f"{name}_clip": Figure(its.clip),
            f"{name}_variety": mean([apart / real.apart for apart in its.aparts]),
            f"{name}_chroma": Figure(its.chroma / real.chroma),
            f"{name}_sharpness": Figure(its.sharpness / real.sharpness),
        }
    return {name.lower(): figure for name, figure in kept.items()}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vsd_variety", description=__doc__)
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=8, help="pictures of each prompt, at least 2")
    parser.add_argument(
        "--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="beside the drawings"
    )
    parser.add_argument("--out", type=Path, help="folder for sheets of the pictures")
    parser.add_argument("--keep", type=Path, help="folder of finished prompts, to go on from")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line and print a line for each kind of picture."""
    options = parser().parse_args()
    prior, judge, scorer = load_prior("tiny-sd"), Judge.load(), ClipScorer("tiny-clip")
    trained = [factors for factors in all_factors() if not held_out(factors)]
    wanted = random.Random(SEED).sample(trained, options.prompts)
    found = {}
    for name in ("drawings", *(kind for kind in KINDS if kind in options.kinds)):
        start = time.perf_counter()
        if name == "drawings":
            images = drawings(wanted, options.seeds)
        elif name == "DDIM":
            images = sampled(prior, wanted, options.seeds)
        else:
            its = distilled(prior, name.lower(), wanted, options.seeds, options.keep)
            images = torch.cat(list(its))
        found[name] = outcome(images, wanted, judge, scorer)
        print(f"{name:<9} {found[name]}  {time.perf_counter() - start:5.0f} s", flush=True)
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            grid(images, columns=options.seeds).save(options.out / f"{name}.png")
    real = found.pop("drawings")
    for name, came in found.items():
        print(
            f"{name}, divided by the drawings': apart {came.apart / real.apart:.2f}, chroma "
            f"{came.chroma / real.chroma:.2f}, sharpness {came.sharpness / real.sharpness:.2f}"
        )
    if options.record:
        record(
            "vsd_variety",
            figures(found, real, len(wanted) * options.seeds),
            n=len(wanted) * options.seeds,
            of=f"pictures, {options.seeds} of each prompt",
            seeds=[SEED],
            spread="standard error; of varieties, over prompts",
            models=("tiny-sd", "judge", "tiny-clip"),
        )


if __name__ == "__main__":
    main()
