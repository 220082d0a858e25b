"""Score the pictures of a folder against their prompts, and edits against their sources too.

python eval.py --fdir1 outputs

Pixel art, an indexed PNG, is scored as it is shown: every pixel enlarged to a square.

An edit is a picture `<stem>.png` with its source beside it, as `<stem>/source.png`. CLIP alone
would give a picture that has nothing of the source full marks, so an edit also has an "identity":

- ssim: structural similarity, 1 for the same picture and near 0 for an unrelated one. It looks
  through windows of 11 pixels, so of a picture of 64 it says only roughly what has stayed.
- lpips: learned perceptual distance, 0 for the same picture and about 0.7 for an unrelated one;
  only with --lpips, for it needs weights that must be downloaded once.
- outside, inside: mean absolute difference of the pixels, 0 to 2, outside and inside the mask of
  the edited thing, where there is one: `<stem>/source_mask.png`, white on the thing. An edit of the
  thing should leave the outside as it was; an edit of the scene changes that, and by right.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from distillery.core.cli import exit_status

if TYPE_CHECKING:
    from PIL import Image

    from distillery.metrics.source_similarity import Lpips

IDENTITY = ("ssim", "lpips", "outside", "inside")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Score every .png that lies in a folder, and write eval.json there."
    )
    parser.add_argument("--fdir1", type=Path, required=True, help="the folder to score")
    parser.add_argument(
        "--clip",
        default="tiny-clip",
        metavar="MODEL:PRETRAINED",
        help="the scorer, any that open_clip knows (default: tiny-clip)",
    )
    parser.add_argument(
        "--lpips",
        action="store_true",
        help="also the perceptual distance of edits to their sources; downloads AlexNet once",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    options = arguments().parse_args(argv)

    def work() -> None:
        evaluation = evaluate(options.fdir1, options.clip, lpips=options.lpips)
        write(options.fdir1 / "eval.json", evaluation)
        print(table(evaluation))

    return exit_status(work, interrupted="interrupted: nothing was written.")


def evaluate(folder: Path, clip: str, *, lpips: bool = False) -> dict[str, Any]:
    """The scorer, the mean score, and file, prompt and score of each picture, in order of name.

    Edits also have an "identity", and where there are any, "mean_identity" is their mean.

    Raises:
        CourseError: there is nothing to score, or something that is not a picture, or the weights
            of a scorer cannot be had.
    """
    from distillery.core.images import prompt_of
    from distillery.metrics.clip_score import ClipScorer

    pictures = load(files_to_score(folder))
    prompts = [prompt_of(file, picture) for file, picture in pictures.items()]
    scorer = ClipScorer(clip)
    # The last digits of a score hang on the pictures that share its batch.
    shown = [as_shown(picture) for picture in pictures.values()]
    scores = [round(score, 6) for score in scorer.score(shown, prompts)]
    rows = [
        {"file": file.name, "prompt": prompt, "score": score}
        for file, prompt, score in zip(pictures, prompts, scores, strict=True)
    ]
    evaluation = {"scorer": scorer.id, "mean": round(fmean(scores), 6), "pictures": rows}
    identities = identities_of(pictures, lpips=lpips)
    for row in rows:
        if row["file"] in identities:
            row["identity"] = identities[row["file"]]
    if identities:
        evaluation["mean_identity"] = mean_identity(list(identities.values()))
    return evaluation


def as_shown(picture: Image.Image) -> Image.Image:
    """The picture as people see it: that of pixel art large, with every pixel a square."""
    from distillery.pixelart.indexed_png import enlarged

    return enlarged(picture) if picture.info.get("indexed") else picture


def identities_of(pictures: dict[Path, Image.Image], *, lpips: bool) -> dict[str, dict[str, float]]:
    """How near each edit is to its source, by the name of its file."""
    edits = [file for file in pictures if source_of(file).is_file()]
    if not edits:
        return {}
    from distillery.metrics.source_similarity import Lpips

    perceptual = Lpips() if lpips else None
    return {file.name: identity_of(file, pictures[file], perceptual) for file in edits}


def source_of(file: Path) -> Path:
    return file.with_suffix("") / "source.png"


def identity_of(file: Path, picture: Image.Image, perceptual: Lpips | None) -> dict[str, float]:
    """The numbers of `IDENTITY` that can be told of an edit."""
    from distillery.core.errors import CourseError
    from distillery.core.images import from_pil, load_image
    from distillery.metrics.source_similarity import inside_mask, outside_mask, ssim

    source_file = source_of(file)
    mask_file = source_file.with_name("source_mask.png")
    image, source = from_pil(picture), from_pil(load_image(source_file))
    try:
        numbers = {"ssim": ssim(image, source)}
        if perceptual is not None:
            numbers["lpips"] = perceptual(image, source)
        if mask_file.is_file():
            mask = (from_pil(load_image(mask_file).convert("L"))[:, :1] + 1) / 2
            numbers["outside"] = outside_mask(image, source, mask)
            numbers["inside"] = inside_mask(image, source, mask)
    except CourseError as error:
        raise CourseError(f"{file.name} does not fit what lies beside it: {error}") from error
    return {name: round(float(number), 6) for name, number in numbers.items()}


def mean_identity(identities: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each number over the edits that have it."""
    columns = {name: [row[name] for row in identities if name in row] for name in IDENTITY}
    return {name: round(fmean(column), 6) for name, column in columns.items() if column}


def files_to_score(folder: Path) -> list[Path]:
    """The .png files right inside the folder; what lies deeper tells how a picture was made."""
    from distillery.core.errors import CourseError

    if not folder.is_dir():
        raise CourseError(f"there is no folder {folder}; name the one that holds the pictures.")
    files = sorted(file for file in folder.glob("*.png") if file.is_file())
    if not files:
        raise CourseError(f"{folder} holds no .png to score; draw one with main.py first.")
    return files


def load(files: Sequence[Path]) -> dict[Path, Image.Image]:
    """Read the pictures; a folder with anything else in it is refused as a whole.

    Those of pixel art are known by "indexed" in their `info`.
    """
    from PIL import Image

    from distillery.core.errors import CourseError
    from distillery.core.images import load_image

    pictures, unreadable = {}, []
    for file in files:
        try:
            pictures[file] = load_image(file)
            with Image.open(file) as picture:
                pictures[file].info["indexed"] = picture.mode == "P"
        except CourseError:
            unreadable.append(file.name)
    if unreadable:
        raise CourseError(
            f"{files[0].parent} holds what cannot be read as a picture, cut short or of another "
            f"kind: {', '.join(unreadable)}; remove it or draw it again."
        )
    return pictures


def write(path: Path, evaluation: dict[str, Any]) -> None:
    from distillery.core.files import atomic_write

    atomic_write(path, json.dumps(evaluation, indent=2, ensure_ascii=False) + "\n")


def table(evaluation: dict[str, Any]) -> str:
    """A line for each picture and one for the mean; edits add columns, and a heading to them."""
    mean = evaluation.get("mean_identity", {})
    lines = [
        line(row["score"], row.get("identity", {}), mean, row["prompt"])
        for row in evaluation["pictures"]
    ]
    lines.append(line(evaluation["mean"], mean, mean, f"mean, by {evaluation['scorer']}"))
    if mean:
        lines.insert(0, "".join(f"{name:>7}  " for name in ("clip", *mean)).rstrip())
    return "\n".join(lines)


def line(score: float, numbers: dict[str, float], columns: Iterable[str], text: str) -> str:
    cells = [f"{numbers[name]:7.4f}" if name in numbers else " " * 7 for name in columns]
    return "  ".join([f"{score:7.4f}", *cells, text])


if __name__ == "__main__":
    sys.exit(main())
