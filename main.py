"""Distil a picture from a prompt, or edit one.

python main.py --prompt "a red boat on a frozen river" --loss_type sds --guidance_scale 25
python main.py --prompt "a red boat" --loss_type pds --edit_prompt "a blue boat" --src_img_path IMG
python main.py --pairs data/prompt_img_pairs.json
python main.py pixelart --prompt "a red boat on a frozen river" --size 32,32
python main.py recolour outputs/a_red_boat.png --palette dusk --out dusk.png
python main.py hand_in 01_sds
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from distillery.core.cli import Arguments
from distillery.core.errors import STILL_TO_DO

if TYPE_CHECKING:
    from distillery.methods.settings import Settings


def arguments() -> Arguments:
    # A flag that is not given leaves no trace, so that it cannot overrule --config.
    parser = Arguments(
        description="Distil a picture from a prompt.", argument_default=argparse.SUPPRESS
    )
    parser.add_argument("--prompt", help="what to draw; of an edit, what the source shows")
    parser.add_argument("--edit_prompt", help="what an edit shall show (pds, dds)")
    parser.add_argument(
        "--src_img_path",
        help="the picture that an edit starts from (default: the model draws it from the prompt)",
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="JSON",
        help="edit every pair of this file that is meant for the model, by pds or dds",
    )
    parser.add_argument("--negative_prompt", help="what to steer away from (default: nothing)")
    parser.add_argument("--loss_type", help="sds, pds, dds, vsd, csd, sdi or ism (default: sds)")
    parser.add_argument(
        "--guidance_scale", type=float, help="default: what suits the model and the method"
    )
    parser.add_argument(
        "--model", help="a preset, or a folder that diffusers saved (default: tiny-sd)"
    )
    parser.add_argument("--steps", type=int, help="default: what suits the model")
    parser.add_argument("--seed", type=int, help="default: 0")
    parser.add_argument(
        "--particles", type=int, help="pictures that are distilled together (default: 1)"
    )
    parser.add_argument(
        "--identity",
        type=float,
        help="factor on pds's pull towards the source (default: what suits the model)",
    )
    parser.add_argument("--lora_rank", type=int, help="of vsd's LoRA (default: 4)")
    parser.add_argument(
        "--implementation",
        choices=("guidance", "reference"),
        help="your own code or the course's (default: your own; while that is still to do and the "
        "course's is at hand, the course's)",
    )
    parser.add_argument("--device", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--config", type=Path, help="repeat the run of this run.yaml; flags beside it prevail"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("outputs"),
        help="folder of the picture (default: outputs)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    argv = sys.argv[1:] if argv is None else list(argv)
    work = command_of(argv)
    try:
        # Importing torch takes seconds, which neither --help nor a misspelt flag should wait for.
        from distillery.core.errors import CourseError

        work()
    except KeyboardInterrupt:
        return stop("interrupted: the same command goes on where this run stopped.", 130)
    except NotImplementedError as error:
        if not is_to_do(error):
            raise
        return stop(str(error), 2)
    except CourseError as error:
        return stop(f"error: {error}", 2)
    return 0


def command_of(argv: Sequence[str]) -> Callable[[], None]:
    """What the arguments ask for; a misspelt flag ends the program here."""
    if argv and argv[0] in ("pixelart", "recolour"):
        from distillery.pixelart import cli

        parser = cli.arguments() if argv[0] == "pixelart" else cli.recolour_arguments()
        flags = vars(parser.parse_args(argv[1:]))
        return partial(pixelart, flags) if argv[0] == "pixelart" else partial(recolour, flags)
    if argv and argv[0] == "hand_in":
        return partial(hand_in, **vars(hand_in_arguments().parse_args(argv[1:])))
    parser = arguments()
    flags = vars(parser.parse_args(argv))
    if "pairs" in flags:
        if {"prompt", "edit_prompt", "src_img_path"} & set(flags):
            parser.error("--pairs brings prompts and pictures of its own; leave yours out")
        return partial(edit_pairs, flags)
    if "prompt" not in flags and "config" not in flags:
        parser.error("say what to draw, for example --prompt 'a red boat on a frozen river'")
    return partial(draw, flags)


def pixelart(flags: dict[str, Any]) -> None:
    from distillery.pixelart import cli

    nobody_chose = not {"implementation", "config"} & set(flags)

    def instead(error: NotImplementedError) -> ModuleType:
        if not (nobody_chose and is_to_do(error) and importlib.util.find_spec("reference")):
            raise error
        print(f"note: {error} The reference draws instead.", file=sys.stderr)
        return pixelart_module("reference")

    print(cli.pixelart(dict(flags), pixelart_module, instead).picture)


def recolour(flags: dict[str, Any]) -> None:
    from distillery.pixelart import cli

    print(cli.recolour(flags))


def hand_in_arguments() -> Arguments:
    parser = Arguments(
        prog="main.py hand_in",
        description="Draw the pictures that a stage hands in, by your own code, and score them.",
        epilog="What is drawn, and how, is fixed in data/hand_in.yaml.",
    )
    parser.add_argument("stage", help="folder of its notebook, such as 01_sds")
    return parser


def hand_in(stage: str) -> None:
    """Draw what is not drawn yet, and score all of it."""
    import eval as evaluation
    from distillery.course.student_files import course_root
    from distillery.course.submission_pictures import EVALUATION, draw_all, load_hand_in

    wanted, root = load_hand_in(stage), course_root()
    for picture in draw_all(wanted, module_named, root):
        print(picture)
    result = evaluation.evaluate(root / wanted.folder, wanted.scorer)
    evaluation.write(root / wanted.folder / EVALUATION, result)
    print(evaluation.table(result))


def pixelart_module(implementation: str) -> ModuleType:
    return module_named(f"{implementation}.pixelart")


def stop(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr)
    return status


def is_to_do(error: NotImplementedError) -> bool:
    """Whether it is the calm sentence of a stub."""
    return STILL_TO_DO in str(error)


def draw(flags: dict[str, Any]) -> None:
    from distillery.models.load import load_prior
    from distillery.runs import engine

    out = flags.pop("out")
    nobody_chose = not {"implementation", "config"} & set(flags)
    settings = settings_from(flags)
    engine.check_edit(settings)
    method_of(settings)  # whoever lacks it should not wait for the model
    prior = load_prior(settings.model, device=settings.device)

    def work(settings: Settings) -> None:
        print(engine.draw(prior, method_of(settings), settings, out=out).picture)

    begun = engine.begun_by_reference(settings, out)
    with_either_code(work, settings, nobody_chose=nobody_chose, begun=begun)


def edit_pairs(flags: dict[str, Any]) -> None:
    from distillery.models.load import load_prior
    from distillery.runs import edit_pairs, engine

    out, path = flags.pop("out"), flags.pop("pairs")
    nobody_chose = not {"implementation", "config"} & set(flags)
    if "config" not in flags:
        flags = {"loss_type": "pds", **flags}
    # Each pair puts its own in the place of these three.
    settings = settings_from({**flags, "prompt": "source", "edit_prompt": "", "src_img_path": ""})
    edits = edit_pairs.edits_of(edit_pairs.pairs_for(path, settings.model), settings)
    method_of(settings)
    prior = load_prior(settings.model, device=settings.device)

    def work(settings: Settings) -> None:
        method = method_of(settings)
        own = [replace(edit, implementation=settings.implementation) for edit in edits]
        edit_pairs.edit_all(
            own, partial(engine.draw, prior, method, out=out), method=method, out=out
        )

    begun = any(engine.begun_by_reference(edit, out) for edit in edits)
    with_either_code(work, settings, nobody_chose=nobody_chose, begun=begun)


def with_either_code(
    work: Callable[[Settings], None], settings: Settings, *, nobody_chose: bool, begun: bool
) -> None:
    """Work by the settings; by the reference where their code is to do and nobody chose it.

    What the reference has `begun` it goes on with, as long as anything is to do.
    """
    reference = replace(settings, implementation="reference")
    may_change = nobody_chose and importlib.util.find_spec("reference") is not None
    if may_change and begun and has_to_dos(method_of(settings)):
        return work(reference)
    try:
        work(settings)
    except NotImplementedError as error:
        if not (may_change and is_to_do(error)):
            raise
        print(f"note: {error} The reference draws instead.", file=sys.stderr)
        work(reference)


def has_to_dos(module: ModuleType) -> bool:
    return module.__file__ is not None and STILL_TO_DO in Path(module.__file__).read_text("utf-8")


def settings_from(flags: dict[str, Any]) -> Settings:
    """The settings of the flags, on top of those of `--config`; the device is the one found."""
    from distillery.methods.settings import Settings
    from distillery.models.load import pick_device

    config = flags.pop("config", None)
    settings = Settings.load(config, **flags) if config else Settings(**flags)
    return replace(settings, device=str(pick_device(settings.device)))


def method_of(settings: Settings) -> ModuleType:
    """The module with the loss, chosen by name: a student's copy of the course has one of the two.

    Raises:
        CourseError: it is not in this copy.
    """
    from distillery.methods.registry import METHODS

    return module_named(METHODS[settings.loss_type].module_name(settings.implementation))


def module_named(name: str) -> ModuleType:
    """Import the module of that name; raises `CourseError` where this copy lacks it."""
    from distillery.core.errors import CourseError

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in (name, name.split(".")[0]):
            raise
        raise CourseError(
            f"there is no {name.replace('.', '/')}.py in this copy of the course; "
            "choose the other --implementation."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
