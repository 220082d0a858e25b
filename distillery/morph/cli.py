"""The command line of a morph: `python main.py morph`.

It also knows the calls that Pixel Giffusion publishes: how many frames a pair of prompts has, the
milliseconds of a frame, and a folder of pictures to bring into pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distillery.core.cli import Arguments
from distillery.core.program import MAIN
from distillery.core.settings import declared
from distillery.morph import pixelate_cli
from distillery.morph.settings import MorphSettings, frames_of
from distillery.runs.cli import run_arguments
from distillery.runs.registry import KINDS

EXAMPLE = '"a snowy cabin" "a castle" --frames 40 --loop'


def arguments() -> Arguments:
    """The parser of `morph`."""
    names = [name for name in declared(MorphSettings) if name != "prompts"]
    parser = run_arguments(f"{MAIN} morph", KINDS["morph"].summary, MorphSettings, names)
    parser.add_argument(
        "prompts", nargs="*", metavar="PROMPT", help=declared(MorphSettings)["prompts"].help
    )
    parser.add_argument(
        "--pixelate",
        metavar="FOLDER",
        help="in the place of all this: bring the pictures of a folder into pixels of one palette "
        "(--pixelate FOLDER --help)",
    )
    parser.add_argument(
        "--num_frames",
        type=int,
        metavar="N",
        help="in the place of --frames: from each keyframe to the next, both included",
    )
    parser.add_argument(
        "--speed", type=float, metavar="MS", help="in the place of --fps: milliseconds of a frame"
    )
    return parser


def flags_from(argv: Sequence[str]) -> dict[str, Any]:
    """The parsed flags, in the names of the settings; what is misspelt ends the program."""
    if any(word.partition("=")[0] == "--pixelate" for word in argv):
        return pixelate_cli.flags_from(argv)
    parser = arguments()
    flags = vars(parser.parse_intermixed_args(argv))
    if not flags.get("prompts"):
        flags.pop("prompts", None)
        if "config" not in flags:
            parser.error(f"say from what to what: {EXAMPLE}")
    flags["unused"] = unused(flags)
    _take_num_frames(parser, flags)
    _take_speed(parser, flags)
    return flags


def _take_num_frames(parser: Arguments, flags: dict[str, Any]) -> None:
    if "num_frames" not in flags:
        return
    count = flags.pop("num_frames")
    if "frames" in flags:
        parser.error("--num_frames and --frames both say how many frames; give one")
    if "prompts" not in flags:
        parser.error("--num_frames counts from prompt to prompt; give the prompts, or --frames")
    if count < 2:
        parser.error(f"--num_frames must be at least 2, a frame of each prompt; it is {count}")
    flags["frames"] = frames_of(len(flags["prompts"]), count, loop=flags.get("loop", False))


def _take_speed(parser: Arguments, flags: dict[str, Any]) -> None:
    if "speed" not in flags:
        return
    milliseconds = flags.pop("speed")
    if "fps" in flags:
        parser.error("--speed and --fps both say how fast; give one")
    if not 20 <= milliseconds <= 1000:
        parser.error(f"--speed must be 20 to 1000 milliseconds a frame; it is {milliseconds:g}")
    flags["fps"] = 1000 / milliseconds


def unused(flags: Mapping[str, Any]) -> str:
    """Which of the given flags change nothing beside the others, in a sentence, or nothing."""
    if "config" in flags:
        return ""
    sentences = []
    if "lora_scale" in flags and not flags.get("lora"):
        sentences.append("without a lora there is no use for lora_scale.")
    if "text" in flags and len(set(flags.get("prompts", ()))) == 1:
        sentences.append("all prompts are equal, so text changes nothing.")
    if "noise" in flags and len(set(flags.get("seeds", (0, 1)))) == 1:
        sentences.append("all seeds are equal, so noise changes nothing.")
    return " ".join(sentences)
