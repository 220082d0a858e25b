"""`python -m benchmarks.strokes_sheet`: draw the sheet that opens the notebook of stage 5.

It is data/strokes/finished/sheet.png. Above are paintings of data/strokes, below is what the
reference makes of each. The last is a scene of two things, whose words are bound to regions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from distillery.core.files import REPOSITORY
from distillery.core.images import save_png, to_pil
from distillery.runs.kind import drawn
from distillery.runs.painting_file import read_painting
from distillery.runs.registry import kind_named
from distillery.runs.stroke_settings import StrokeSettings
from reference import strokes

FOLDER = REPOSITORY / "data" / "strokes"
SHOWN = ("castle_brush", "boat_crayon", "cat_brush", "balloon_crayon", "mushroom_and_cat_crayon")
METHOD: dict[str, Any] = {"method": "low-frequencies", "strength": 0.95, "end": 0.55, "seed": 3}


def settings_of(painting: dict[str, Any]) -> StrokeSettings:
    """How a painting of strokes.json is finished, with regions where it has labels."""
    regions: dict[str, Any] = {}
    if painting["labels"]:
        regions = {
            "regions": str(REPOSITORY / painting["labels"]),
            "words": ",".join(painting["words"]),
        }
    path = str(REPOSITORY / painting["painting"])
    return StrokeSettings(painting["prompt"], path, device="cpu", **METHOD, **regions)


def column(painting: dict[str, Any]) -> np.ndarray:
    """A painting above its picture, (2 H, W, 3) uint8."""
    settings = settings_of(painting)
    kind = kind_named("strokes")
    (picture,) = to_pil(drawn(kind, kind.load(settings), strokes, settings))
    canvas = Image.new("RGBA", picture.size, "white")
    canvas.alpha_composite(read_painting(Path(settings.img_path)).resize(picture.size))
    return np.concatenate([np.asarray(canvas.convert("RGB")), np.asarray(picture)])


def main() -> None:
    """Draw the sheet."""
    paintings = json.loads((FOLDER / "strokes.json").read_text("utf-8"))
    by_name = {Path(painting["painting"]).stem: painting for painting in paintings}
    sheet = np.concatenate([column(by_name[name]) for name in SHOWN], axis=1)
    save_png(FOLDER / "finished" / "sheet.png", Image.fromarray(sheet))
    print(FOLDER / "finished" / "sheet.png")


if __name__ == "__main__":
    main()
