"""Does distillation draw what was asked? `python -m benchmarks.quality [--sweep | --time]`.

Twenty prompts of trained and twenty of held-out combinations (data/prompts.json), judged by the
classifier and scored by tiny-clip, and compared with DDIM samples of the same prompts. --time
measures what one prompt takes instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from distillery.core.files import REPOSITORY
from distillery.core.images import grid, to_pil
from distillery.core.measured import Figure, add_record_option, record, share
from distillery.methods.settings import Settings
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.judge import Judge
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.runs.latents import from_noise
from distillery.toybox import Factors, all_factors
from reference import sds

SEED = 4
PROMPT, RUNS = "a red boat on a frozen river", 3  # of main.py, to be timed
DDIM_GUIDANCE = 3.0
SWEEP = (1.0, 2.0, 3.0, 5.0, 7.5, 15.0, 25.0)


@dataclass(frozen=True)
class Outcome:
    """Shares of pictures that are right, mean CLIP score, and how far latents left [-1, 1]."""

    thing: float
    colour: float
    scene: float
    all_three: float
    clip: float
    outside: float

    def __str__(self) -> str:
        shares = (self.thing, self.colour, self.scene, self.all_three)
        return (
            "thing {:4.0%}  colour {:4.0%}  scene {:4.0%}  all {:4.0%}".format(*shares)
            + f"  CLIP {self.clip:.3f}  outside [-1, 1] {self.outside:.1%}"
        )


def distilled(prior: Prior, prompts: list[str], settings: Settings) -> Tensor:
    """Pictures of the prompts, all on one canvas, (B, 3, H, W)."""
    generator = torch.Generator(prior.device).manual_seed(settings.seed)
    run = from_noise(prior, sds, prompts, settings, generator=generator)
    for _ in run.steps():
        pass
    return run.images().cpu()


def sampled(prior: Prior, prompts: list[str]) -> Tensor:
    """DDIM samples of the prompts, (B, 3, H, W)."""
    generator = torch.Generator(prior.device).manual_seed(SEED)
    latents = prior.sample(prompts, guidance_scale=DDIM_GUIDANCE, generator=generator)
    return prior.decode(latents).cpu()


def outcome(images: Tensor, wanted: list[Factors], judge: Judge, scorer: ClipScorer) -> Outcome:
    """Judge and score pictures (B, 3, H, W)."""
    seen = judge.factors(images.clamp(-1, 1))
    right = torch.tensor(
        [
            [a.thing == b.thing, a.colour == b.colour, a.scene == b.scene]
            for a, b in zip(seen, wanted, strict=True)
        ]
    ).float()
    thing, colour, scene = right.mean(0).tolist()
    scores = scorer.score(to_pil(images), [str(f) for f in wanted])
    return Outcome(
        thing=thing,
        colour=colour,
        scene=scene,
        all_three=float(right.prod(1).mean()),
        clip=statistics.mean(scores),
        outside=float((images.abs() > 1).float().mean()),
    )


def prompts_of(kind: str) -> tuple[list[str], list[Factors]]:
    """The prompts "trained" or "held_out" of data/prompts.json and what they ask for."""
    prompts = json.loads((REPOSITORY / "data/prompts.json").read_text())[kind]
    by_prompt = {str(factors): factors for factors in all_factors()}
    return prompts, [by_prompt[prompt] for prompt in prompts]


def table(settings: Settings, *, out: Path | None = None) -> dict[str, Figure]:
    """Print SDS at the settings and DDIM for both kinds of prompts; save sheets to `out`.

    Returns:
        The figures to keep.
    """
    figures: dict[str, Figure] = {}
    prior, judge, scorer = load_prior(settings.model), Judge.load(), ClipScorer("tiny-clip")
    for kind in ("trained", "held_out"):
        prompts, wanted = prompts_of(kind)
        pictures = {
            f"SDS {settings.guidance_scale:g}": distilled(prior, prompts, settings),
            "DDIM": sampled(prior, prompts),
        }
        results = {}
        for name, images in pictures.items():
            results[name] = outcome(images, wanted, judge, scorer)
            print(f"{kind:<9} {name:<9} {results[name]}", flush=True)
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                grid(to_pil(images), columns=10).save(out / f"{kind}_{name.replace(' ', '_')}.png")
        ours, theirs = results.values()
        print(f"{kind:<9} mean CLIP of SDS is {ours.clip / theirs.clip:.3f} of DDIM's")
        figures |= {
            f"sds_{kind}": share(ours.all_three, len(prompts)),
            f"ddim_{kind}": share(theirs.all_three, len(prompts)),
            f"clip_{kind}": Figure(ours.clip / theirs.clip),
        }
    return figures


def sweep(settings: Settings) -> None:
    """Print the outcome over guidance scales, for every second prompt of both kinds."""
    prior, judge, scorer = load_prior(settings.model), Judge.load(), ClipScorer("tiny-clip")
    trained, held_out = prompts_of("trained"), prompts_of("held_out")
    prompts, wanted = trained[0][::2] + held_out[0][::2], trained[1][::2] + held_out[1][::2]
    for scale in SWEEP:
        changed = Settings(prompt="a sweep", guidance_scale=scale, steps=settings.steps)
        images = distilled(prior, prompts, changed)
        print(f"guidance {scale:5.1f}  {outcome(images, wanted, judge, scorer)}", flush=True)


def seconds_for_one_prompt() -> float:
    """Wall time of main.py for one prompt, in a process of its own, loading included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(REPOSITORY / "main.py"), "--prompt", PROMPT]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--implementation", "reference", "--out", folder],
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - start


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="over guidance scales")
    parser.add_argument("--time", action="store_true", help="of main.py, three times")
    parser.add_argument("--out", type=Path, help="folder for sheets of the pictures")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line and print."""
    args = parser().parse_args()
    settings = Settings(prompt="quality", seed=SEED)
    if args.sweep:
        if args.record:
            parser().error("--sweep keeps no figures; leave --record out")
        sweep(settings)
        return
    if args.time:
        seconds = [seconds_for_one_prompt() for _ in range(RUNS)]
        print(f"main.py, one prompt, loading included: {min(seconds):.1f} to {max(seconds):.1f} s")
        if args.record:
            figures = {"least": Figure(min(seconds)), "most": Figure(max(seconds))}
            record("one_prompt", figures, n=RUNS, of="runs", seeds=[0], models=("tiny-sd",))
        return
    figures = table(settings, out=args.out)
    if args.record:
        record(
            "quality",
            figures,
            n=sum(len(prompts_of(kind)[0]) for kind in ("trained", "held_out")),
            of="prompts, half of them held out of training",
            seeds=[SEED],
            spread="standard error of a share",
            models=("tiny-sd", "judge", "tiny-clip"),
        )


if __name__ == "__main__":
    main()
