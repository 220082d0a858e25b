"""Score the pictures of a folder against their prompts.

python eval.py --fdir1 outputs
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image


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
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    options = arguments().parse_args(argv)
    try:
        # Importing torch takes seconds, which --help should not wait for.
        from distillery.errors import CourseError

        evaluation = evaluate(options.fdir1, options.clip)
        write(options.fdir1 / "eval.json", evaluation)
    except KeyboardInterrupt:
        return stop("interrupted: nothing was written.", 130)
    except CourseError as error:
        return stop(f"error: {error}", 2)
    print(table(evaluation))
    return 0


def stop(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr)
    return status


def evaluate(folder: Path, clip: str) -> dict[str, Any]:
    """The scorer, the mean score, and file, prompt and score of each picture, in order of name.

    Raises:
        CourseError: there is nothing to score, or something that is not a picture.
    """
    from distillery.images import prompt_of
    from distillery.scores import ClipScorer

    pictures = load(files_to_score(folder))
    prompts = [prompt_of(file, picture) for file, picture in pictures.items()]
    scorer = ClipScorer(clip)
    # The last digits of a score hang on the pictures that share its batch.
    scores = [round(score, 6) for score in scorer.score(list(pictures.values()), prompts)]
    rows = [
        {"file": file.name, "prompt": prompt, "score": score}
        for file, prompt, score in zip(pictures, prompts, scores, strict=True)
    ]
    return {"scorer": scorer.id, "mean": round(fmean(scores), 6), "pictures": rows}


def files_to_score(folder: Path) -> list[Path]:
    """The .png files right inside the folder; what lies deeper tells how a picture was made."""
    from distillery.errors import CourseError

    if not folder.is_dir():
        raise CourseError(f"there is no folder {folder}; name the one that holds the pictures.")
    files = sorted(file for file in folder.glob("*.png") if file.is_file())
    if not files:
        raise CourseError(f"{folder} holds no .png to score; draw one with main.py first.")
    return files


def load(files: Sequence[Path]) -> dict[Path, Image.Image]:
    """Read the pictures; a folder with anything else in it is refused as a whole."""
    from distillery.errors import CourseError
    from distillery.images import load_image

    pictures, unreadable = {}, []
    for file in files:
        try:
            pictures[file] = load_image(file)
        except CourseError:
            unreadable.append(file.name)
    if unreadable:
        raise CourseError(
            f"{files[0].parent} holds what cannot be read as a picture, cut short or of another "
            f"kind: {', '.join(unreadable)}; remove it or draw it again."
        )
    return pictures


def write(path: Path, evaluation: dict[str, Any]) -> None:
    from distillery.files import atomic_write

    atomic_write(path, json.dumps(evaluation, indent=2, ensure_ascii=False) + "\n")


def table(evaluation: dict[str, Any]) -> str:
    lines = [f"{row['score']:7.4f}  {row['prompt']}" for row in evaluation["pictures"]]
    return "\n".join([*lines, f"{evaluation['mean']:7.4f}  mean, by {evaluation['scorer']}"])


if __name__ == "__main__":
    sys.exit(main())
