"""`python -m grading <command>`; a student's copy of the course has a few of the commands."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from distillery.core.cli import exit_status, stop
from distillery.core.names import meant
from distillery.core.program import run_program

COMMANDS = {  # name -> its module, and what it does
    "doctor": ("grading.sandbox.doctor", "what works on this machine"),
    "build": ("grading.authoring.build", "rebuild stubs, notebooks and checks from their sources"),
    "release": (
        "grading.release.course_folder",
        "make the course folder of a class",
    ),
    "validate": ("grading.student.validate", "look at your work before you hand it in"),
    "pack": ("grading.student.pack", "put what you hand in into one file"),
    "collect": ("grading.intake.collect", "take in what students handed in"),
    "autograde": ("grading.scheduler.autograde", "grade a whole class"),
    "gradescope": (
        "grading.autograder.make_gradescope",
        "make the autograder of a stage for Gradescope",
    ),
    "prairielearn": (
        "grading.autograder.make_prairielearn",
        "make the question of a stage for PrairieLearn, and the image that grades it",
    ),
    "hub": ("grading.hub.make_hub", "make the folder of a class on JupyterHub"),
    "report": ("grading.report.class_report", "say how a class did"),
    "mutants": (
        "benchmarks.mutants",
        "grade slightly broken answers, and say which were not noticed",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command: its status, 2 for bad input, 130 for Ctrl-C."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    offered = here()
    if command in ("-h", "--help"):
        print(overview(offered))
        return 0
    if command not in offered:
        typed = f"there is no command {command!r}{meant(command, offered)}; " if command else ""
        return stop(f"error: {typed}choose a command: {', '.join(offered)}.", 2)
    # Only what was asked for is imported: a student's copy lacks the rest.
    return exit_status(lambda: importlib.import_module(COMMANDS[command][0]).main(rest))


def here() -> dict[str, str]:
    """The commands that this copy of the course has, and what they do."""
    return {name: does for name, (module, does) in COMMANDS.items() if _is_here(module)}


def _is_here(module: str) -> bool:
    # Python's own search would import the folders above.
    return Path(__file__).parents[1].joinpath(*module.split(".")).with_suffix(".py").is_file()


def overview(commands: dict[str, str]) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:{width}}  {does}" for name, does in commands.items()]
    return "\n".join(["python -m grading COMMAND [--help]", "", *lines])


if __name__ == "__main__":
    run_program(main)
