"""The sample paintings of data/strokes: `python -m distillery.toybox.sample_paintings` writes them.

Each is one of the ways to paint of `paintings`, on a fresh drawing of a combination that the models
were trained on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from distillery.core.cli import exit_status
from distillery.core.files import REPOSITORY, atomic_write
from distillery.core.images import save_png
from distillery.core.program import run_program
from distillery.toybox.drawing import Drawing, draw, draw_two
from distillery.toybox.paintings import (
    MARGIN,
    coarse_painting,
    dabbed,
    few_colours,
    hatched,
    scribbles,
)
from distillery.toybox.vocabulary import Factors

SEED = 720_000_000  # of the drawings, above those of all training
WIDE = (64, 128)  # the size, (H, W), of the samples with two things
LABEL_COLOURS = (0, 0, 0, 230, 60, 50, 50, 110, 230)  # nothing, the first word, the second

Painter = Callable[[Drawing, int], np.ndarray]


def _few(drawing: Drawing, seed: int) -> np.ndarray:
    return few_colours(drawing)


# Name, painter and things.
SAMPLES: tuple[tuple[str, Painter, tuple[Factors, ...]], ...] = (
    ("cup_ellipse", coarse_painting, (Factors("cup", "blue", "on the grass"),)),
    ("castle_ellipse", coarse_painting, (Factors("castle", "red", "in the desert"),)),
    ("house_few_colours", _few, (Factors("house", "green", "in the snow"),)),
    ("fish_few_colours", _few, (Factors("fish", "orange", "on a frozen river"),)),
    ("car_scribbles", scribbles, (Factors("car", "yellow", "on the beach"),)),
    ("tree_scribbles", scribbles, (Factors("tree", "green", "on the grass"),)),
    ("balloon_crayon", hatched, (Factors("balloon", "pink", "in the night sky"),)),
    ("rocket_crayon", hatched, (Factors("rocket", "orange", "in the desert"),)),
    ("boat_crayon", hatched, (Factors("boat", "red", "on the beach"),)),
    ("flower_brush", dabbed, (Factors("flower", "purple", "on the grass"),)),
    ("castle_brush", dabbed, (Factors("castle", "purple", "in the snow"),)),
    ("cat_brush", dabbed, (Factors("cat", "orange", "in the forest"),)),
    (
        "house_and_car_ellipses",
        coarse_painting,
        (Factors("house", "red", "in the desert"), Factors("car", "blue", "in the desert")),
    ),
    (
        "mushroom_and_cat_crayon",
        hatched,
        (Factors("mushroom", "purple", "on the grass"), Factors("cat", "orange", "on the grass")),
    ),
)


def samples() -> list[tuple[dict[str, Any], Image.Image, Image.Image | None]]:
    """Each sample as written to the JSON file, the painting, and the labels if there are two."""
    made = []
    for index, (name, painter, things) in enumerate(SAMPLES):
        if two := len(things) == 2:
            drawing = draw_two(things[0], things[1], SEED + index, size=WIDE)
        else:
            drawing = draw(things[0], SEED + index)
        sample = {
            "prompt": drawing.caption if two else str(things[0]),
            "words": [f"{thing.colour} {thing.thing}" for thing in things] if two else [],
            "painting": f"data/strokes/{name}.png",
            "labels": f"data/strokes/{name}_labels.png" if two else None,
        }
        painting = Image.fromarray(painter(drawing, index))
        made.append((sample, painting, label_picture(drawing) if two else None))
    return made


def label_picture(drawing: Drawing) -> Image.Image:
    """Where each thing is, generously, as an indexed picture: k where the k-th is, 0 elsewhere."""
    wide = 2 * round(MARGIN * min(drawing.labels.shape)) + 1
    around = np.asarray(Image.fromarray(drawing.labels).filter(ImageFilter.MaxFilter(wide)))
    # What the filter widens must not cover what is seen of another thing.
    numbers = np.where(drawing.labels > 0, drawing.labels, around)
    picture = Image.fromarray(numbers).convert("P")
    picture.putpalette(LABEL_COLOURS)
    return picture


def write(root: Path) -> Path:
    """Write all samples under `root`, and return the JSON file."""
    made = samples()
    for sample, painting, labels in made:
        save_png(root / sample["painting"], painting, sample["prompt"])
        if labels is not None:
            save_png(root / sample["labels"], labels)
    file = root / "data" / "strokes" / "strokes.json"
    atomic_write(file, json.dumps([sample for sample, _, _ in made], indent=2) + "\n")
    return file


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m distillery.toybox.sample_paintings", description=__doc__
    )
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="the folder above data/")
    root = parser.parse_args(argv).root
    return exit_status(lambda: print(write(root)))


if __name__ == "__main__":
    run_program(main)
