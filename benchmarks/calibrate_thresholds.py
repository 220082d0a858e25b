"""What the pictures of a submission score, drawn by the reference and by known mistakes.

`python -m benchmarks.calibrate_thresholds [STAGE ...]`

Prints, for each stage, the mean score of the reference's pictures over a few seeds, and of those
that known mistakes draw with the seed of the submission, and how far they are from the reference's
(mean absolute difference of the pixels, in levels of 255). data/thresholds.yaml is chosen by this
table. With --save and --against, what the reference draws is compared with what it drew elsewhere.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import ModuleType

import numpy as np
from PIL import Image

from distillery.core.images import enlarged, save_png, to_pil
from distillery.course.films import film_kind
from distillery.course.submission_pictures import (
    HandIn,
    PictureSettings,
    drawn,
    flaws,
    load_hand_in,
    load_model,
    picture_name,
    scored_parts,
    title_of,
)
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.evaluate import pixel_distance
from distillery.models.prior import Prior
from distillery.pixelart.settings import PixelSettings
from grading.stages import STAGES, stage_of
from grading.stages.misconceptions import MISCONCEPTIONS

SEEDS = 3


def pictures(hand_in: HandIn, prior: Prior, method: ModuleType) -> list[Image.Image]:
    """The picture that a module draws for a submission; of several particles the first."""
    return [to_pil(drawn(prior, method, settings))[0] for settings in hand_in.pictures]


def with_mistake(module: str, name: str) -> ModuleType:
    """A copy of the reference module in which one function is the wrong one of that name."""
    spec = importlib.util.find_spec(f"reference.{module}")
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    for answer in MISCONCEPTIONS:
        stage, _, function = answer.task.partition(".")
        if (stage, answer.name) == (module, name):
            setattr(copy, function, answer.function)
    return copy


def scores(hand_in: HandIn, made: Sequence[Image.Image], scorer: ClipScorer) -> list[float]:
    """Scores of the pictures, pixel art as it is shown; of animations those of the keyframes."""
    parts = []
    for picture, settings in zip(made, hand_in.pictures, strict=True):
        large = enlarged(picture) if isinstance(settings, PixelSettings) else picture
        parts += scored_parts(large, settings)
    return scorer.score([shown for shown, _ in parts], [prompt for _, prompt in parts])


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of the pixels, in levels of 255."""
    a, b = (np.asarray(picture.convert("RGB")) for picture in (one, other))
    return pixel_distance(a, b)


def reseeded(hand_in: HandIn, by: int) -> HandIn:
    """The same submission with other seeds."""
    return replace(hand_in, pictures=tuple(_reseeded(each, by) for each in hand_in.pictures))


def _reseeded(settings: PictureSettings, by: int) -> PictureSettings:
    if film_kind(settings):
        return replace(settings, seeds=tuple(seed + by for seed in settings.seeds))
    return replace(settings, seed=settings.seed + by)


def table(stage: str, seeds: int) -> list[Image.Image]:
    """Print the lines of a stage; returns what the reference draws."""
    hand_in = load_hand_in(stage)
    prior, scorer = load_model(hand_in.pictures[0]), ClipScorer(hand_in.scorer, device="cpu")
    right = importlib.import_module(f"reference.{hand_in.module}")
    made = pictures(hand_in, prior, right)
    row(stage, "reference", scores(hand_in, made, scorer), [0.0])
    for number in range(1, seeds):
        again = reseeded(hand_in, number)
        other = pictures(again, prior, right)
        far = [distance(one, two) for one, two in zip(made, other, strict=True)]
        row(stage, f"reference, seed + {number}", scores(again, other, scorer), far)
    for name in stage_of(stage).tried if seeds else ():
        wrong = pictures(hand_in, prior, with_mistake(hand_in.module, name))
        far = [distance(one, two) for one, two in zip(made, wrong, strict=True)]
        row(stage, name, scores(hand_in, wrong, scorer), far)
        named = {picture_name(its): one for its, one in zip(hand_in.pictures, wrong, strict=True)}
        print(*(f"{'':<12}{flaw}" for flaw in flaws(hand_in, named)), sep="\n")
    return made


def row(stage: str, name: str, found: Sequence[float], far: Sequence[float]) -> None:
    each = " ".join(f"{score:6.3f}" for score in found)
    print(
        f"{stage:<12}{name:<36}{fmean(found):6.3f}  ({each})  differs by {fmean(far):5.1f}",
        flush=True,
    )


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calibrate_thresholds", description=__doc__
    )
    stages = [stage.folder for stage in STAGES if stage.pictures]
    parser.add_argument("stages", nargs="*", default=stages, metavar="STAGE")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="0: the reference's alone")
    parser.add_argument("--save", type=Path, help="folder to keep the reference's pictures in")
    parser.add_argument("--against", type=Path, help="folder to compare them with")
    options = parser.parse_args()
    for stage in options.stages:
        made = table(stage, options.seeds)
        for settings, picture in zip(load_hand_in(stage).pictures, made, strict=True):
            name = Path(stage, picture_name(settings))
            if options.save:
                save_png(options.save / name, picture, title_of(settings))
            if options.against:
                far = distance(picture, Image.open(options.against / name))
                print(f"{name} differs by {far:.3f}", flush=True)


if __name__ == "__main__":
    main()
