"""`python -m benchmarks [MODEL ...]`: by default the embedded model and both real sizes."""

from __future__ import annotations

import argparse

import torch

from benchmarks import step_cost
from distillery.core.measured import Figure, add_record_option, record
from distillery.models.load import pick_device


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("models", nargs="*", default=list(step_cost.REPEATS), metavar="MODEL")
    parser.add_argument(
        "--methods", nargs="+", default=list(step_cost.PAIRS), choices=step_cost.PAIRS
    )
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line and print one table."""
    options = parser().parse_args()
    unknown = sorted(set(options.models) - set(step_cost.REPEATS))
    if unknown:
        parser().error(f"unknown model {', '.join(unknown)}: choose {', '.join(step_cost.REPEATS)}")
    print(f"torch {torch.__version__}, {pick_device()}, {torch.get_num_threads()} threads")
    figures: dict[str, Figure] = {}
    for model in options.models:
        for method in options.methods:
            word = f"{model}_{method}".replace("-", "_")
            figures[f"{word}_time"] = Figure(step_cost.measure_time(method, model))
            figures[f"{word}_memory"] = Figure(step_cost.measure_memory(method, model))
    if options.record:
        record("step_cost", figures, n=step_cost.REPEATS["tiny-sd"], of="steps of each", seeds=[0])


if __name__ == "__main__":
    main()
