"""Distil a picture from a prompt, or edit one.

python main.py --prompt "a red boat on a frozen river" --loss_type sds --guidance_scale 25
python main.py --prompt "a red boat" --loss_type pds --edit_prompt "a blue boat" --src_img_path IMG
python main.py --pairs data/prompt_img_pairs.json
python main.py pixelart --prompt "a red boat on a frozen river" --size 32,32
python main.py sample --prompt "a red boat" --count 4
python main.py strokes --prompt "a red boat in the snow" --img_path PAINTING.png --method sdedit
python main.py elastic --prompt "a red boat on a frozen river" --height 64 --width 128
python main.py morph "a red boat on a frozen river" "a yellow castle in the night sky" --loop
python main.py finetune PICTURES --rank 8 --steps 600
python main.py recolour outputs/a_red_boat.png --palette dusk --out dusk.png
python main.py hand_in 01_sds
python main.py progress
python main.py words
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from distillery.core.cli import Arguments, exit_status, say_loading, stop
from distillery.core.errors import STILL_TO_DO
from distillery.core.names import meant
from distillery.core.program import MAIN, run_program
from distillery.core.settings import declared
from distillery.morph import cli as morph_cli
from distillery.morph import pixelate_cli
from distillery.pixelart import cli as pixelart_cli
from distillery.runs import elastic_cli, finetune_cli, strokes_cli
from distillery.runs.cli import extras_from, is_named, run_arguments, settings_from
from distillery.runs.registry import KINDS, kind_named, settings_of

if TYPE_CHECKING:
    from distillery.runs.kind import Kind

Result = TypeVar("Result")
SAY_WHAT = "say what to draw, for example --prompt 'a red boat on a frozen river'"


@dataclass(frozen=True)
class Command:
    """One way to call the program.

    flags: reads its arguments; what is misspelt ends the program there.
    work:  does what the flags ask for.
    """

    flags: Callable[[Sequence[str]], dict[str, Any]]
    work: Callable[[dict[str, Any]], object]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        return stop(f"error: {not_a_command(argv[0])}", 2)
    name, rest = (argv[0], argv[1:]) if argv and argv[0] in COMMANDS else ("draw", argv)
    flags = COMMANDS[name].flags(rest)

    def work() -> int | None:
        try:
            COMMANDS[name].work(flags)
        except NotImplementedError as error:
            if not is_to_do(error):
                raise
            return stop(str(error), 2)
        return None

    return exit_status(
        work, interrupted="interrupted: the same command goes on where this run stopped."
    )


def not_a_command(word: str) -> str:
    """What is said of a first word that is neither a flag nor a command."""
    if len(word.split()) > 1:
        return f'say --prompt before what to draw: --prompt "{word}"; see {MAIN} --help.'
    return (
        f"there is no command {word!r}{meant(word, COMMANDS)}; choose {', '.join(COMMANDS)}, "
        f"or see {MAIN} --help."
    )


DRAW_FLAGS = (
    "prompt",
    "edit_prompt",
    "src_img_path",
    "negative_prompt",
    "loss_type",
    "guidance_scale",
    "model",
    "steps",
    "seed",
    "particles",
    "identity",
    "lora_rank",
    "implementation",
    "device",
)


def draw_arguments() -> Arguments:
    """The parser of a drawing, of an edit, and of many edits."""
    parser = run_arguments(
        MAIN,
        "Distil a picture from a prompt, or edit one. A first word asks for something else:\n\n"
        + "\n".join(f"  {name:10}{does}" for name, does in OTHERWISE.items())
        + f"\n\nEach has a help of its own, such as {MAIN} sample --help.",
        settings_of("draw"),
        DRAW_FLAGS,
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="JSON",
        help="edit every pair of this file that is meant for the model, by pds or dds",
    )
    return parser


# What the other commands do, for the help.
OTHERWISE = {
    "pixelart": "Make a picture whose every pixel is one of K palette colours.",
    **{name: entry.summary for name, entry in KINDS.items() if entry.summary},
    "layers": "Layers of pixel art from a checkpoint, perhaps in another palette.",
    "palettes": "List palettes, and draw them on a sheet.",
    "recolour": "The same indexed picture in another palette.",
    "hand_in": "Draw the pictures that a stage hands in, and score them.",
    "progress": "Say which tasks are right, tried and open, and what comes next.",
    "words": "List the words that the embedded models know.",
}


def kind_flags(name: str, argv: Sequence[str]) -> dict[str, Any]:
    """The flags of a kind of run: one for each of its settings."""
    settings = settings_of(name)
    known = declared(settings)
    parser = run_arguments(f"{MAIN} {name}", KINDS[name].summary, settings, list(known))
    flags = vars(parser.parse_args(argv))
    if "prompt" in known and not {"prompt", "config"} & set(flags):
        parser.error(SAY_WHAT)
    return flags


def draw_flags(argv: Sequence[str]) -> dict[str, Any]:
    """The flags of a drawing or an edit, or of many edits."""
    parser = draw_arguments()
    flags = vars(parser.parse_args(argv))
    if "pairs" in flags:
        if {"prompt", "edit_prompt", "src_img_path"} & set(flags):
            parser.error("--pairs brings prompts and pictures of its own; leave yours out")
    elif "prompt" not in flags and "config" not in flags:
        parser.error(SAY_WHAT)
    return flags


def hand_in_arguments() -> Arguments:
    parser = Arguments(
        prog=f"{MAIN} hand_in",
        description="Draw the pictures that a stage hands in, by your own code, and score them.",
        epilog="What is drawn, and how, is fixed in data/hand_in.yaml.",
    )
    parser.add_argument("stage", help="folder of its notebook, such as 01_sds")
    return parser


def flags_of(parser: Callable[[], Arguments], argv: Sequence[str]) -> dict[str, Any]:
    return vars(parser().parse_args(argv))


def draw(flags: dict[str, Any]) -> None:
    """One picture, or an edit of every pair of a file."""
    if "pairs" in flags:
        edit_pairs(flags)
    else:
        carry_out("draw", flags)


def carry_out(name: str, flags: dict[str, Any]) -> Path | None:
    """A run of the kind of that name; returns its picture's file, if one was to be drawn."""
    from distillery.core.notes import warnings_in_a_line
    from distillery.runs.kind import draw, is_begun

    kind, extras = kind_named(name), extras_from(flags, settings_of(name))
    out, overwrite = flags.pop("out"), flags.pop("overwrite", False)
    nobody_chose = not is_named("implementation", flags)
    only_print = flags.pop("print_config", False)
    with warnings_in_a_line():
        settings = settings_from(settings_of(name), flags)
        if only_print:
            print(settings.to_yaml(), end="")
            return None
        kind.check(settings)
    settings = with_code_there(kind, settings, nobody_chose=nobody_chose)
    method_of(kind, settings)  # who lacks it should not wait for the model
    say_loading(settings.model)
    with warnings_in_a_line():
        settings = kind.completed(settings)
    note_words(settings.model, [settings])
    prior = kind.load(settings)

    def work(settings: Any) -> Path:
        method = method_of(kind, settings)
        place = draw(kind, prior, method, settings, out=out, extras=extras, overwrite=overwrite)
        print(place.picture)
        return place.picture

    if not kind.module_name(settings):
        return work(settings)
    begun = is_begun(replace(settings, implementation="reference"), out)
    return with_either_code(kind, work, settings, nobody_chose=nobody_chose, begun=begun)


def note_words(model: str, runs: Sequence[Any]) -> None:
    """Say once which words of the prompts an embedded model does not know."""
    from distillery.models.words import words_note

    asked = [getattr(one, name, "") for one in runs for name in ("prompt", "edit_prompt")]
    several = [prompt for one in runs for prompt in getattr(one, "prompts", ())]
    note = words_note(model, [*asked, *several])
    if note:
        print(f"note: {note}", file=sys.stderr)


def words_arguments() -> Arguments:
    return Arguments(prog=f"{MAIN} words", description=OTHERWISE["words"])


def progress_arguments() -> Arguments:
    return Arguments(prog=f"{MAIN} progress", description=OTHERWISE["progress"])


def progress(flags: dict[str, Any]) -> None:
    """Print how far the learner is."""
    from distillery.course.progress import my_progress

    my_progress()


def words(flags: dict[str, Any]) -> None:
    """Print the words that the embedded models know."""
    from distillery.models.words import listed

    print(listed())


def strokes(flags: dict[str, Any]) -> None:
    """A picture from a stroke painting, written to another file too if one is named."""
    output, overwrite = flags.pop("output_img", None), flags.get("overwrite", False)
    if output is not None:
        strokes_cli.check_output(output, overwrite=overwrite)
    unused = strokes_cli.unused(flags)
    picture = carry_out("strokes", flags)
    if picture is not None and unused:
        print(f"note: {unused}", file=sys.stderr)
    if picture is not None and output is not None:
        strokes_cli.write_output(picture, output, overwrite=overwrite)
        print(output)


def elastic(flags: dict[str, Any]) -> None:
    """A picture of any size; what the method had no use for is said at the end."""
    unused = flags.pop("unused")
    if carry_out("elastic", flags) is not None and unused:
        print(f"note: {unused}", file=sys.stderr)


def morph(flags: dict[str, Any]) -> None:
    """An animation from prompt to prompt; what changed nothing is said at the end."""
    if "pixelate" in flags:
        return pixelate(flags)
    unused = flags.pop("unused")
    sheet = carry_out("morph", flags)
    if sheet is not None:
        print(sheet.with_suffix("") / "morph.gif")
        if unused:
            print(f"note: {unused}", file=sys.stderr)


def pixelate(flags: dict[str, Any]) -> None:
    """A folder of pictures in pixels of one palette."""
    out, overwrite = flags.pop("out"), flags.pop("overwrite", False)
    nobody_chose = "implementation" not in flags
    settings = pixelate_cli.PixelateSettings(**flags)
    settings = with_code_there(pixelate_cli, settings, nobody_chose=nobody_chose)

    def work(settings: Any) -> None:
        functions = module_named(pixelate_cli.module_name(settings))
        for picture in pixelate_cli.pixelated(settings, functions, out, overwrite=overwrite):
            print(picture)

    with_either_code(pixelate_cli, work, settings, nobody_chose=nobody_chose, begun=False)


def edit_pairs(flags: dict[str, Any]) -> None:
    """An edit of every pair of a file that is meant for the model."""
    from distillery.runs import edit_pairs
    from distillery.runs.kind import draw, is_begun

    kind, extras = kind_named("draw"), extras_from(flags, settings_of("draw"))
    out, path, overwrite = flags.pop("out"), flags.pop("pairs"), flags.pop("overwrite", False)
    nobody_chose = not is_named("implementation", flags)
    if "config" not in flags:
        flags = {"loss_type": "pds", **flags}
    # Each pair puts its own in the place of these three.
    common = {**flags, "prompt": "source", "edit_prompt": "", "src_img_path": ""}
    settings = settings_from(settings_of("draw"), common)
    settings = with_code_there(kind, settings, nobody_chose=nobody_chose)
    edits = edit_pairs.edits_of(edit_pairs.pairs_for(path, settings.model), settings)
    method_of(kind, settings)
    note_words(settings.model, edits)
    say_loading(settings.model)
    prior = kind.load(settings)

    def work(settings: Any) -> None:
        method = method_of(kind, settings)
        own = [replace(edit, implementation=settings.implementation) for edit in edits]
        edit = partial(draw, kind, prior, method, out=out, extras=extras, overwrite=overwrite)
        edit_pairs.edit_all(own, edit, method=method, out=out)

    reference = [replace(edit, implementation="reference") for edit in edits]
    begun = any(is_begun(edit, out) for edit in reference)
    with_either_code(kind, work, settings, nobody_chose=nobody_chose, begun=begun)


def with_either_code(
    kind: Any, work: Callable[[Any], Result], settings: Any, *, nobody_chose: bool, begun: bool
) -> Result:
    """Work by the settings; by the reference where their code is to do and nobody chose it.

    What the reference has `begun` it goes on with, as long as anything is to do.
    """
    reference = replace(settings, implementation="reference")
    may_change = nobody_chose and importlib.util.find_spec("reference") is not None
    if may_change and begun and has_to_dos(method_of(kind, settings)):
        return work(reference)
    try:
        return work(settings)
    except NotImplementedError as error:
        if not (may_change and is_to_do(error)):
            raise
        print(f"note: {error} The reference draws instead.", file=sys.stderr)
        return work(reference)


def with_code_there(kind: Any, settings: Any, *, nobody_chose: bool) -> Any:
    """The settings with the reference's code where there is no code of a student's: in a wheel."""
    name = kind.module_name(settings)
    if not (nobody_chose and name) or is_there(name):
        return settings
    reference = replace(settings, implementation="reference")
    return reference if is_there(kind.module_name(reference)) else settings


def is_there(name: str) -> bool:
    """Whether there is a module of that name; a package above it is imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def is_to_do(error: NotImplementedError) -> bool:
    """Whether it is the calm sentence of a stub."""
    return STILL_TO_DO in str(error)


def has_to_dos(module: ModuleType) -> bool:
    return module.__file__ is not None and STILL_TO_DO in Path(module.__file__).read_text("utf-8")


def method_of(kind: Kind, settings: Any) -> Any:
    """The module of the functions that the settings ask for, or None where none is needed.

    A student's copy of the course may have only one of two implementations.

    Raises:
        CourseError: it is not in this copy.
    """
    name = kind.module_name(settings)
    return module_named(name) if name else None


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


def recolour(flags: dict[str, Any]) -> None:
    """The same indexed picture in another palette."""
    print(pixelart_cli.recolour(flags))


def pixelart(flags: dict[str, Any]) -> None:
    """A piece of pixel art; what other programs need and this one does not is said."""
    note = pixelart_cli.needless(flags)
    if note:
        print(f"note: {note}", file=sys.stderr)
    carry_out("pixelart", flags)


def layers(flags: dict[str, Any]) -> None:
    """Layers of pixel art."""
    print(pixelart_cli.layers(flags))


def palettes_arguments() -> Arguments:
    """The parser. It stands here because what lies in `distillery.palettes` waits for torch."""
    parser = Arguments(prog=f"{MAIN} palettes", description=OTHERWISE["palettes"])
    parser.add_argument("palettes", nargs="*", help="names or files (default: our own, all)")
    parser.add_argument(
        "--hex_dir",
        type=Path,
        metavar="FOLDER",
        help="all palettes of a folder, on a sheet (default: outputs/palettes.png)",
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a picture of them, PNG")
    parser.add_argument(
        "--overwrite", action="store_true", help="write over another picture of that name"
    )
    return parser


def palettes(flags: dict[str, Any]) -> None:
    """List palettes, and draw them on a sheet."""
    from distillery.palettes.listing import list_palettes

    list_palettes(**flags)


def hand_in(flags: dict[str, Any]) -> None:
    """Draw what a stage hands in and is not drawn yet, and score all of it."""
    from distillery.course.student_files import course_root
    from distillery.course.submission_pictures import (
        EVALUATION,
        draw_all,
        evaluation_of,
        load_hand_in,
    )
    from distillery.metrics import evaluate as evaluation

    wanted, root = load_hand_in(flags["stage"]), course_root()
    for picture in draw_all(wanted, module_named, root):
        print(picture)
    folder = root / wanted.folder
    result = evaluation_of(wanted, folder)
    evaluation.write(folder / EVALUATION, result)
    print(evaluation.table(result))


# The first word of a command line; without one of them it is `draw`.
COMMANDS = {
    **{name: Command(partial(kind_flags, name), partial(carry_out, name)) for name in KINDS},
    "draw": Command(draw_flags, draw),
    "pixelart": Command(partial(flags_of, pixelart_cli.arguments), pixelart),
    "strokes": Command(strokes_cli.flags_from, strokes),
    "elastic": Command(elastic_cli.flags_from, elastic),
    "morph": Command(morph_cli.flags_from, morph),
    "finetune": Command(finetune_cli.flags_from, partial(carry_out, "finetune")),
    "layers": Command(partial(flags_of, pixelart_cli.layers_arguments), layers),
    "palettes": Command(partial(flags_of, palettes_arguments), palettes),
    "recolour": Command(partial(flags_of, pixelart_cli.recolour_arguments), recolour),
    "hand_in": Command(partial(flags_of, hand_in_arguments), hand_in),
    "progress": Command(partial(flags_of, progress_arguments), progress),
    "words": Command(partial(flags_of, words_arguments), words),
}

if __name__ == "__main__":
    run_program(main)
