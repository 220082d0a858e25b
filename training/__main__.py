"""`python -m training`: train every embedded model from scratch; a killed run continues where it
stopped.

`python -m training measure` prints the figures of the models there are, on fresh seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from distillery.core.measured import Figure, add_record_option, record
from training import (
    controlnets,
    counter,
    decoder_borders,
    judge,
    measure_any_size,
    measure_border,
    measure_controls,
    measure_counter,
    measure_sd,
    measure_sdxl,
    measure_styles,
    measure_two_things,
    style_judge,
    tiny_caption,
    tiny_clip,
    tiny_depth,
    tiny_sd,
    tiny_sd_any_size,
    tiny_sd_pixel_decoder,
    tiny_sd_styles,
    tiny_sd_two_things,
    tiny_sd_vae,
    tiny_sdxl,
    tiny_sdxl_vae,
)
from training.data import load_drawings, load_large_drawings

ROOT = Path(__file__).resolve().parents[1]
DRAWINGS, SEED = 30_000, 1
LARGE_DRAWINGS, LARGE_SEED = 12_000, 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("task", nargs="?", choices=["all", "measure"], default="all")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "training")
    parser.add_argument("--models", type=Path, default=ROOT / "data" / "models")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line and run."""
    args = parser().parse_args()
    if args.task == "all":
        make_all(build=args.build, models=args.models)
    figures = measure_sd.measure_all(models=args.models, logs=args.build)
    if args.record:
        record_models("tiny_sd", figures, ("tiny-sd", "tiny-clip", "judge"))
    figures = measure_sdxl.measure_sdxl(models=args.models)
    if args.record:
        names = ("tiny-sdxl", "tiny-controlnet-canny", "tiny-controlnet-depth", "tiny-depth")
        record_models("tiny_sdxl", figures, (*names, "judge"))
    measure_border.measure_border(models=args.models)
    measure_controls.measure_controls(models=args.models)
    measure_two_things.measure_two_things(models=args.models)
    measure_any_size.measure_any_size(models=args.models)
    measure_counter.measure_counter(models=args.models)
    measure_styles.measure_styles(models=args.models)


def record_models(name: str, figures: dict[str, Figure], models: tuple[str, ...]) -> None:
    """Keep the figures of a family of models."""
    record(
        name,
        figures,
        n=measure_sd.SAMPLES,
        of="pictures of each kind of prompts and guidance",
        seeds=[measure_sd.FRESH],
        spread="standard error of a share",
        models=models,
    )


def make_all(*, build: Path, models: Path) -> None:
    """Draw, then train all embedded models, each after what it needs."""
    drawings = load_drawings(build / "drawings", count=DRAWINGS, seed=SEED)
    judge.train(drawings, build=build, models=models)
    autoencoder = tiny_sd_vae.train(drawings, build=build, models=models)
    tiny_sd.train(drawings, autoencoder, build=build, models=models)
    decoder_borders.tune_tiny_sd(build=build, models=models)
    counter.train(build=build, models=models)
    tiny_sd_two_things.train(build=build, models=models)
    tiny_sd_any_size.train(build=build, models=models)
    tiny_sd_styles.train(build=build, models=models)
    tiny_sd_pixel_decoder.train(build=build, models=models)
    decoder_borders.tune_tiny_sd_pixel(build=build, models=models)
    style_judge.train(build=build, models=models)
    tiny_clip.train(drawings, build=build, models=models)
    large = load_large_drawings(build / "drawings128", count=LARGE_DRAWINGS, seed=LARGE_SEED)
    tiny_sdxl.train(drawings, build=build, models=models)
    tiny_sdxl_vae.train(large, build=build, models=models)
    decoder_borders.tune_tiny_sdxl(build=build, models=models)
    for kind in ("canny", "depth"):
        controlnets.train(kind, large, build=build, models=models)
    tiny_depth.train(large, build=build, models=models)
    tiny_caption.train(large, build=build, models=models)


if __name__ == "__main__":
    main()
