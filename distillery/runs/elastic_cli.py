"""The command line of pictures of any size: `python main.py elastic`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distillery.core.cli import Arguments, pair
from distillery.core.errors import CourseError
from distillery.core.program import MAIN
from distillery.core.settings import declared
from distillery.runs.cli import run_arguments
from distillery.runs.elastic_settings import VERSIONS, ElasticSettings, new_part
from distillery.runs.registry import KINDS

OF_VIEWS = {"view_batch_size"}
OF_METHODS = {
    "direct": {"pca"},
    "upscale": {"lora", "pca", "strength"},
    "upsample-guidance": {"lora", "pca", "strength"},
    "multidiffusion": {"stride", "view_weights", *OF_VIEWS},
    "elastic": {
        "strength",
        "resampling_steps",
        "new_p",
        "drop_p",
        "rrg_weight",
        "rrg_init_weight",
        "rrg_stop_t",
        "cosine_scale",
        "repaint_sampling",
        "patch_size",
        "moving_windows",
        "own_details",
        "reference",
        "lora",
        "pca",
        *OF_VIEWS,
    },
}
OF_A_CONDITION = ("control", "controlnet_conditioning_scale")


def arguments() -> Arguments:
    """The parser of `elastic`, which also knows the flags of ElasticDiffusion's own script."""
    parser = run_arguments(
        f"{MAIN} elastic",
        KINDS["elastic"].summary,
        ElasticSettings,
        list(declared(ElasticSettings)),
    )
    parser.add_argument(
        "--drop_p", type=float, metavar="DROP_P", help="1 - new_p, the part that stays in a round"
    )
    parser.add_argument(
        "--sd_version", choices=VERSIONS, help="the model by ElasticDiffusion's name for it"
    )
    parser.add_argument("--size", type=pair, metavar="H,W", help="the same as --height H --width W")
    parser.add_argument("--num_sampled", type=int, dest="count", help="the same as --count")
    parser.add_argument("--outdir", type=Path, dest="out", help="the same as --out")
    return parser


def flags_from(argv: Sequence[str]) -> dict[str, Any]:
    """The parsed flags, in the names of the settings; what is misspelt ends the program."""
    parser = arguments()
    flags = vars(parser.parse_args(argv))
    if not {"prompt", "config"} & set(flags):
        parser.error(
            'say what to draw and how large: --prompt "a red boat on a frozen river" --height 64 '
            "--width 128"
        )
    flags["unused"] = unused(flags)
    if "size" in flags:
        flags["height"], flags["width"] = flags.pop("size")
    _take_version(parser, flags)
    _take_drop_p(parser, flags)
    return flags


def _take_version(parser: argparse.ArgumentParser, flags: dict[str, Any]) -> None:
    if "sd_version" not in flags:
        return
    version = flags.pop("sd_version")
    model, note = VERSIONS[version]
    if flags.setdefault("model", model) != model:
        parser.error(f"--sd_version {version} is --model {model}, not {flags['model']}; give one")
    if note:
        print(f"note: {model} is {note}.", file=sys.stderr)


def _take_drop_p(parser: argparse.ArgumentParser, flags: dict[str, Any]) -> None:
    if "drop_p" not in flags:
        return
    try:
        flags["new_p"] = new_part(flags.pop("drop_p"), flags.get("new_p"))
    except CourseError as error:
        parser.error(str(error).removesuffix("."))


def unused(flags: Mapping[str, Any]) -> str:
    """Which of the given flags change nothing beside the others, in a sentence, or nothing."""
    method = flags.get("method", "elastic")
    if method not in OF_METHODS or "config" in flags:
        return ""
    useless = sorted((set().union(*OF_METHODS.values()) - OF_METHODS[method]) & set(flags))
    sentences = [f"{method} has no use for {', '.join(useless)}."] if useless else []
    alone = sorted(set(OF_A_CONDITION) & set(flags))
    if alone and not flags.get("condition_image"):
        sentences.append(f"without a condition_image there is no use for {', '.join(alone)}.")
    return " ".join(sentences)
