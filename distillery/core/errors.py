"""The one exception that is meant to be read by a person."""

from __future__ import annotations

from textwrap import shorten

STILL_TO_DO = "is still to do"  # in the sentence of every stub; nothing else recognises one


class CourseError(Exception):
    """Bad input, in one clear sentence: what was wanted, what came, what to do.

    Command lines print it to stderr as `error: ...` and exit with status 2.
    """


def in_short(error: Exception) -> str:
    """The beginning of a library's message, for the brackets of our own."""
    first_line = str(error).strip().partition("\n")[0]
    return shorten(first_line, 120, placeholder=" ...") or type(error).__name__


def to_do_sentence(task: str, notebook: object, number: int) -> str:
    """What a stub says when it is called.

    Args:
        task: "stage.function".
        notebook: path of the notebook that asks for it.
        number: of the task in that notebook, from 1.
    """
    return f"{task} {STILL_TO_DO}: {notebook}, task {number}."
