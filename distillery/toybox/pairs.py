"""`python -m distillery.toybox.pairs`: draw the sources of the edits, and write down the pairs.

It makes data/prompt_img_pairs.json, and in data/imgs a picture and a mask for each toybox pair.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from distillery.core.cli import exit_status
from distillery.core.files import REPOSITORY, atomic_write, prompt_to_filename
from distillery.core.images import save_png
from distillery.core.program import run_program
from distillery.toybox import Drawing, Factors, draw

SEED = 700_000_000  # far above every training seed

# Before and after, by what they change. No source is held out, and half of the targets are.
EDITS: tuple[tuple[Factors, Factors], ...] = (
    # colour
    (Factors("boat", "red", "on a frozen river"), Factors("boat", "blue", "on a frozen river")),
    (Factors("car", "yellow", "in the desert"), Factors("car", "purple", "in the desert")),
    (Factors("cup", "pink", "in the snow"), Factors("cup", "white", "in the snow")),
    (Factors("cat", "orange", "beside a waterfall"), Factors("cat", "green", "beside a waterfall")),
    (Factors("balloon", "white", "on the grass"), Factors("balloon", "red", "on the grass")),
    # thing
    (Factors("castle", "red", "in the desert"), Factors("rocket", "red", "in the desert")),
    (Factors("house", "blue", "on the beach"), Factors("castle", "blue", "on the beach")),
    (Factors("tree", "green", "in the snow"), Factors("castle", "green", "in the snow")),
    (
        Factors("fish", "yellow", "in the night sky"),
        Factors("balloon", "yellow", "in the night sky"),
    ),
    (Factors("flower", "purple", "on the grass"), Factors("mushroom", "purple", "on the grass")),
    # scene
    (Factors("house", "red", "on the grass"), Factors("house", "red", "in the snow")),
    (Factors("castle", "white", "in the forest"), Factors("castle", "white", "in the night sky")),
    (Factors("cat", "blue", "on the beach"), Factors("cat", "blue", "in the desert")),
    (Factors("cat", "orange", "in the forest"), Factors("cat", "orange", "on the beach")),
    (Factors("fish", "pink", "on a frozen river"), Factors("fish", "pink", "beside a waterfall")),
    # thing and colour
    (Factors("mushroom", "red", "in the forest"), Factors("tree", "blue", "in the forest")),
    (Factors("rocket", "orange", "in the desert"), Factors("cup", "green", "in the desert")),
    # colour and scene
    (Factors("boat", "yellow", "on the beach"), Factors("boat", "red", "in the night sky")),
    (Factors("flower", "white", "in the snow"), Factors("flower", "yellow", "beside a waterfall")),
    # thing and scene
    (Factors("car", "purple", "on the beach"), Factors("boat", "purple", "on a frozen river")),
    (Factors("balloon", "green", "on the grass"), Factors("fish", "green", "beside a waterfall")),
)

# The pairs of the original assignment (KAIST CS492D, assignment 4), for models of the real world.
REAL = (
    ("A red bus driving on a desert road", "A yellow school bus driving on a desert road"),
    ("a boat in a river", "a golden boat in a river"),
    ("A cabin surrounded by forests", "A cabin surrounded by flowers"),
    ("A church beside a lake", "A church beside a lake at night"),
    ("A villa close to the pool", "A villa covered with ivy close to the pool"),
    ("A castle next to a river", "A rainbow castle next to a river"),
    ("A burger on the table", "A burger with lettuce on the table"),
    ("A dog sitting on grass", "A golden retriever sitting on grass"),
    ("a cat sitting on a table", "a wooden cat statue sitting on a table"),
    ("A car on the road", "A yellow sportscar on the road"),
)


def toybox_pairs() -> list[tuple[dict[str, Any], Drawing]]:
    """Each toybox edit as written to the JSON file, and the drawing of its source."""
    pairs = []
    for index, (source, target) in enumerate(EDITS):
        stem = f"data/imgs/{prompt_to_filename(str(source))}"
        pair = {
            "prompt": str(source),
            "edit_prompt": str(target),
            "img_path": f"{stem}.png",
            "mask_path": f"{stem}_mask.png",
            "model": "tiny-sd",
            "changes": changes(source, target),
        }
        pairs.append((pair, draw(source, SEED + index)))
    return pairs


def changes(source: Factors, target: Factors) -> list[str]:
    """Which of the three facts differ."""
    facts = ("thing", "colour", "scene")
    return [fact for fact in facts if getattr(source, fact) != getattr(target, fact)]


def real_pairs() -> list[dict[str, Any]]:
    """The assignment's pairs; the model draws their sources, see `source_image.drawn_source`."""
    return [
        {"prompt": source, "edit_prompt": target, "img_path": None, "model": "sd15"}
        for source, target in REAL
    ]


def mask_of(drawing: Drawing) -> Image.Image:
    """The mask as a grey picture, white on the thing."""
    return Image.fromarray((drawing.mask * 255).round().astype("uint8"))


def write(root: Path) -> Path:
    """Write everything under `root`, and return the JSON file."""
    toybox = toybox_pairs()
    for pair, drawing in toybox:
        save_png(root / pair["img_path"], Image.fromarray(drawing.image), pair["prompt"])
        save_png(root / pair["mask_path"], mask_of(drawing))
    file = root / "data" / "prompt_img_pairs.json"
    pairs = [*(pair for pair, _ in toybox), *real_pairs()]
    atomic_write(file, json.dumps(pairs, indent=2) + "\n")
    return file


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m distillery.toybox.pairs", description=__doc__)
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="the folder above data/")
    root = parser.parse_args(argv).root
    return exit_status(lambda: print(write(root)))


if __name__ == "__main__":
    run_program(main)
