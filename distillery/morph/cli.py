"""The command line of a morph: `python main.py morph`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distillery.core.cli import Arguments
from distillery.core.settings import declared
from distillery.morph.settings import MorphSettings
from distillery.runs.cli import run_arguments
from distillery.runs.registry import KINDS

EXAMPLE = '"a snowy cabin" "a castle" --frames 40 --loop'


def arguments() -> Arguments:
    """The parser of `morph`."""
    names = [name for name in declared(MorphSettings) if name != "prompts"]
    parser = run_arguments("main.py morph", KINDS["morph"].summary, MorphSettings, names)
    parser.add_argument(
        "prompts", nargs="*", metavar="PROMPT", help=declared(MorphSettings)["prompts"].help
    )
    return parser


def flags_from(argv: Sequence[str]) -> dict[str, Any]:
    """The parsed flags, in the names of the settings; what is misspelt ends the program."""
    parser = arguments()
    flags = vars(parser.parse_intermixed_args(argv))
    if not flags.get("prompts"):
        flags.pop("prompts", None)
        if "config" not in flags:
            parser.error(f"say from what to what: {EXAMPLE}")
    return flags
