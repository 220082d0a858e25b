"""How a program of this package loads large libraries and ends, without seconds of waiting."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import NoReturn

from distillery.core.files import INSTALLED_FILES, REPOSITORY

INSTALLED = REPOSITORY.name == INSTALLED_FILES  # from a wheel; there is no main.py to type then
MAIN = "score-distillery" if INSTALLED else "main.py"  # as help and sentences name the program
TYPED = MAIN if INSTALLED else f"python {MAIN}"  # as a reader types it
NOT_PRINTED = 120  # Python's own status where what was printed cannot be written


@contextmanager
def collection_paused() -> Iterator[None]:
    """Import within, and the garbage collector does not look for cycles meanwhile.

    Torch, transformers and diffusers make about a million objects that all stay. Looking through
    them again and again takes a fifth of their import.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def run_program(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` and end the process with its status, after everything that waits for the end.

    Python would free every object of every library first, which takes two seconds after torch
    and diffusers. The system takes the memory back at once.
    """
    # A console of Windows has letters for few scripts; a path in another one is spelt out there.
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    status = 1  # of a program that ends by an error that nobody caught

    def end() -> None:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            os._exit(NOT_PRINTED)
        os._exit(status)

    atexit.register(end)  # the first of all, so it runs last
    try:
        status = main() or 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        raise
    sys.exit(status)
