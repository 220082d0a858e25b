"""Score the pictures of a folder against their prompts, and edits against their sources too.

python eval.py --fdir1 outputs

The folder of a stage that hands in animations, outputs/07_morph, is scored as `main.py hand_in`
does it: each GIF by the mean of its keyframes. Elsewhere sheets of frames or of a style are left
out.

Pixel art, an indexed PNG, is scored as it is shown: every pixel enlarged to a square.

An edit is a picture `<stem>.png` with its source in `<stem>/source.png`. CLIP alone
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

import sys
from collections.abc import Sequence
from pathlib import Path

from distillery.core.cli import Arguments, exit_status
from distillery.core.program import run_program


def arguments() -> Arguments:
    parser = Arguments(
        description="Score every .png and .jpg that lies in a folder, and write eval.json there."
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
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write over an eval.json by another scorer; without it that is kept, and this one "
        "gets the next free name",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    options = arguments().parse_args(argv)

    def work() -> None:
        # Importing torch takes seconds, which --help should not wait for.
        from distillery.core.notes import warnings_in_a_line
        from distillery.course.submission_pictures import animations_of, evaluation_of
        from distillery.metrics.evaluate import evaluate, sheets_in, table, write_beside

        animations = animations_of(options.fdir1)
        if animations is not None:
            evaluation = evaluation_of(animations, options.fdir1, options.clip)
        else:
            with warnings_in_a_line():
                evaluation = evaluate(options.fdir1, options.clip, lpips=options.lpips)
            for sheet in sheets_in(options.fdir1):
                print(f"note: {sheet.name} is a sheet, and not scored.", file=sys.stderr)
        write_beside(options.fdir1, evaluation, overwrite=options.overwrite)
        print(table(evaluation))

    return exit_status(work, interrupted="interrupted: nothing was written.")


if __name__ == "__main__":
    run_program(main)
