"""`python -m benchmarks.elastic_sheet`: draw docs/elastic.png, the same prompts by every method.

Left four at 64 x 128, right three at 128 x 128; a row each of `direct`, `multidiffusion`,
`upscale`, `upsample-guidance` and `elastic`, all with one seed and the command's defaults.
"""

from __future__ import annotations

import warnings

import numpy as np
from PIL import Image

from distillery.core.files import REPOSITORY
from distillery.core.images import save_png, to_pil
from distillery.runs.elastic_settings import ElasticSettings
from distillery.runs.kind import drawn
from distillery.runs.registry import kind_named
from reference import elastic

PATH = REPOSITORY / "docs" / "elastic.png"
METHODS = ("direct", "multidiffusion", "upscale", "upsample-guidance", "elastic")
WIDE = (
    "a red boat on a frozen river",
    "an orange cat on the beach",
    "a blue car in the desert",
    "a green tree in the snow",
)
LARGE = WIDE[:3]
SEED, GAP = 3, 2


def picture(prompt: str, method: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8, with white round it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an adapter that it takes
        settings = ElasticSettings(prompt, *size, method=method, seed=SEED, device="cpu")
    kind = kind_named("elastic")
    (made,) = to_pil(drawn(kind, kind.load(settings), elastic, settings))
    return np.pad(np.asarray(made), ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)


def row(method: str) -> np.ndarray:
    """Two wide pictures above two others, and the large ones beside them."""
    wide = [picture(prompt, method, (64, 128)) for prompt in WIDE]
    columns = [np.concatenate(wide[k : k + 2]) for k in (0, 2)]
    large = [picture(prompt, method, (128, 128)) for prompt in LARGE]
    high = len(columns[0])
    return np.concatenate([*columns, *(_centred(tile, high) for tile in large)], axis=1)


def _centred(tile: np.ndarray, high: int) -> np.ndarray:
    """With white above and below."""
    above = (high - len(tile)) // 2
    return np.pad(tile, ((above, high - len(tile) - above), (0, 0), (0, 0)), constant_values=255)


def main() -> None:
    """Draw the sheet."""
    save_png(PATH, Image.fromarray(np.concatenate([row(method) for method in METHODS])))
    print(PATH)


if __name__ == "__main__":
    main()
