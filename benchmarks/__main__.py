"""`python -m benchmarks [MODEL ...]`: by default the embedded model and both real sizes."""

from __future__ import annotations

import argparse

import torch

from benchmarks import steps
from distillery.presets import pick_device


def main() -> None:
    """Parse the command line and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("models", nargs="*", default=list(steps.REPEATS), metavar="MODEL")
    parser.add_argument("--methods", nargs="+", default=list(steps.PAIRS), choices=steps.PAIRS)
    options = parser.parse_args()
    unknown = sorted(set(options.models) - set(steps.REPEATS))
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}: choose {', '.join(steps.REPEATS)}")
    print(f"torch {torch.__version__}, {pick_device()}, {torch.get_num_threads()} threads")
    for model in options.models:
        for method in options.methods:
            steps.measure_time(method, model)
            steps.measure_memory(method, model)


if __name__ == "__main__":
    main()
