"""The command line of a fine-tuning: `python main.py finetune FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distillery.core.cli import Arguments
from distillery.core.program import MAIN
from distillery.core.settings import declared
from distillery.runs.cli import run_arguments
from distillery.runs.finetune_settings import FinetuneSettings
from distillery.runs.registry import KINDS


def arguments() -> Arguments:
    """The parser of `finetune`; the folder stands first, without a flag."""
    names = [name for name in declared(FinetuneSettings) if name != "folder"]
    parser = run_arguments(f"{MAIN} finetune", KINDS["finetune"].summary, FinetuneSettings, names)
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help=declared(FinetuneSettings)["folder"].help
    )
    return parser


def flags_from(argv: Sequence[str]) -> dict[str, Any]:
    """The parsed flags, in the names of the settings; what is misspelt ends the program."""
    parser = arguments()
    flags = vars(parser.parse_args(argv))
    if not {"folder", "config"} & set(flags):
        parser.error("name a folder of pictures with captions, for example finetune pixel_art")
    return flags
