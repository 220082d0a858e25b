"""What every command line shares: a parser with short errors, and the exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from distillery.core.errors import CourseError
from distillery.core.names import meant


class Arguments(argparse.ArgumentParser):
    """argparse's parser, without its usage lines before an error.

    What it does not know is answered with the nearest that it knows. An option has to be written
    out: a shortened one could be taken for another, such as --lora for --lora_rank.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but that the option nearest to an unknown one is named."""
        found, unknown = super().parse_known_args(args, namespace)
        flags = [word for word in unknown if word.startswith("--")]
        known = [option for option in self._option_string_actions if option.startswith("--")]
        question = meant(flags[0].partition("=")[0], known) if flags else ""
        if question:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{question}".replace("'", ""))
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with status 2."""
        self.exit(2, f"error: {message}; see {self.prog} --help.\n")


def documented(prog: str, docstring: str | None) -> argparse.ArgumentParser:
    """A parser whose help says what a module's docstring says, line by line."""
    lines = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=prog, description=docstring, formatter_class=lines)


def exit_status(work: Callable[[], int | None], *, interrupted: str = "interrupted.") -> int:
    """Run a program and return its exit status: its own or 0, 2 for bad input, 130 for Ctrl-C.

    Args:
        interrupted: the sentence after Ctrl-C.
    """
    try:
        return work() or 0
    except KeyboardInterrupt:
        return stop(interrupted, 130)
    except CourseError as error:
        return stop(f"error: {error}", 2)


def stop(sentence: str, status: int) -> int:
    """Print the sentence to stderr; returns the status."""
    print(sentence, file=sys.stderr)
    return status


def say_loading(what: str) -> None:
    """Tell who waits at a terminal; libraries and weights take seconds."""
    if sys.stderr.isatty():
        print(f"loading {what} ...", file=sys.stderr, flush=True)


def pair(text: str) -> tuple[int, int]:
    """Height and width from a flag's text, such as "32,48"."""
    try:
        height, width = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"write height and width as H,W, for example 32,48, not {text!r}"
        ) from None
    return height, width


def truth(text: str) -> bool:
    """True or false from a flag's text, such as "False"."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"write true or false, not {text!r}")
    return words[text.lower()]
