"""`python -m benchmarks [MODEL ...]`: by default the embedded model and both real sizes."""

from __future__ import annotations

import argparse

import torch

from benchmarks import sds
from distillery.presets import pick_device


def main() -> None:
    """Parse the command line and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("models", nargs="*", default=list(sds.REPEATS), metavar="MODEL")
    models = parser.parse_args().models
    unknown = sorted(set(models) - set(sds.REPEATS))
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}: choose {', '.join(sds.REPEATS)}")
    print(f"torch {torch.__version__}, {pick_device()}, {torch.get_num_threads()} threads")
    for name in models:
        sds.measure_time(name)
        sds.measure_memory(name)


if __name__ == "__main__":
    main()
