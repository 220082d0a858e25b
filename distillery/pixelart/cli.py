"""The command line of pixel art: `python main.py pixelart`, `recolour` and `layers`.

It also knows what SD-πXL's users type: --download, --save_step, and layers of a checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distillery.core.cli import Arguments
from distillery.core.program import MAIN
from distillery.core.settings import add_flags
from distillery.pixelart.settings import PixelSettings
from distillery.runs.cli import run_arguments
from distillery.runs.extras import Extras

FLAGS = (
    "prompt",
    "negative_prompt",
    "input_image",
    "size",
    "palette",
    "colours",
    "start",
    "model",
    "steps",
    "seed",
    "memory",
    "device",
    "implementation",
)
# Flags of SD-πXL that change nothing here, and why.
NEEDLESS = {
    "download": "weights are fetched when a model is first loaded, and kept",
    "force_download": "weights are fetched when a model is first loaded, and kept",
    "save_step": "a run keeps a checkpoint every few seconds, and goes on from it",
}


def arguments() -> Arguments:
    """The parser of `pixelart`."""
    parser = run_arguments(
        f"{MAIN} pixelart",
        "Make a picture whose every pixel is one of K palette colours.",
        PixelSettings,
        FLAGS,
    )
    add_flags(parser, Extras, ["verbose"])
    for name, does in NEEDLESS.items():
        count = {"type": int, "metavar": "N"} if name == "save_step" else {"action": "store_true"}
        parser.add_argument(f"--{name}", help=f"not needed: {does}", **count)
    return parser


def needless(flags: dict[str, Any]) -> str:
    """Take the flags out that other programs need, and say why this one does not."""
    given = [name for name in NEEDLESS if flags.pop(name, None) is not None]
    return " ".join(f"--{name} is not needed: {NEEDLESS[name]}." for name in given)


def layers_arguments() -> Arguments:
    """The parser of `layers`."""
    parser = Arguments(
        prog=f"{MAIN} layers",
        description="Layers of pixel art, one for each colour, with the hard and the soft picture.",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        metavar="FILE",
        help="the checkpoint of a run that was stopped, or the folder of any run of pixel art",
    )
    parser.add_argument(
        "--save_dir", type=Path, default=Path("results"), help="folder to write (default: results)"
    )
    parser.add_argument(
        "--palette", default="", help="another palette of as many colours: a name, rgb-N or a file"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write over files of these names that are there"
    )
    return parser


def layers(flags: dict[str, Any]) -> Path:
    """Write the layers of a checkpoint or a run; returns their folder.

    Raises:
        CourseError: there are none, the palette does not fit, or files are there already.
    """
    from distillery.core.errors import CourseError
    from distillery.core.files import atomic_write
    from distillery.core.notes import warnings_in_a_line
    from distillery.pixelart.checkpoint_layers import layer_files

    folder: Path = flags["save_dir"]
    with warnings_in_a_line():
        files = layer_files(flags["checkpoint"], flags["palette"])
    there = [name for name in files if (folder / name).exists()]
    if there and not flags["overwrite"]:
        raise CourseError(
            f"{folder / there[0]} is there already and is not overwritten; name another "
            "--save_dir, or write over it by --overwrite."
        )
    for name, content in files.items():
        atomic_write(folder / name, content)
    return folder


def recolour_arguments() -> Arguments:
    """The parser of `recolour`."""
    parser = Arguments(
        prog=f"{MAIN} recolour",
        description="The same picture in another palette of as many colours.",
    )
    parser.add_argument(
        "picture", type=Path, help="a PNG that pixelart wrote, or other pixel art of few colours"
    )
    parser.add_argument("--palette", required=True, help="a name, rgb-N or a file")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write over what is there; without it that is kept, and the PNG gets the next free "
        "name",
    )
    return parser


def recolour(flags: dict[str, Any]) -> Path:
    """Write an indexed picture in another palette; returns the new file.

    Raises:
        CourseError: one of the files cannot be used, or the palette has another length.
    """
    from distillery.core.errors import CourseError
    from distillery.core.files import written
    from distillery.core.images import to_png_bytes
    from distillery.core.notes import warnings_in_a_line
    from distillery.palettes import load_palette
    from distillery.pixelart.indexed_png import recoloured
    from distillery.pixelart.recolouring import read_for_recolouring

    if flags["out"].suffix.lower() != ".png":
        raise CourseError(f"an indexed picture is saved as .png; --out was {flags['out']}.")
    with warnings_in_a_line():
        palette = load_palette(flags["palette"])
        picture, rows = read_for_recolouring(flags["picture"], palette)
    made, prompt = recoloured(picture, rows), picture.info.get("prompt")
    png = to_png_bytes(made, prompt if isinstance(prompt, str) else None)
    return written(flags["out"], png, overwrite=flags["overwrite"])
