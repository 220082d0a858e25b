"""Answers that are not the reference: known misconceptions, and other right spellings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Function = Callable[..., Any]


@dataclass(frozen=True)
class Answer:
    """A runnable answer to one task.

    task: "stage.function".
    sentence: of a wrong one, the end of "this is what you get when ...".
    """

    task: str
    function: Function
    sentence: str = ""

    @property
    def name(self) -> str:
        return self.function.__name__


def wrong(task: str, sentence: str) -> Callable[[Function], Answer]:
    """Decorator: this function answers `task` wrongly, as the sentence says."""
    return lambda function: Answer(task, function, sentence)


def both(one: Answer, other: Answer) -> Callable[[Function], Answer]:
    """Decorator: this function makes two known mistakes of one task at once."""
    first = one.sentence.removesuffix(".")
    return wrong(one.task, f"two things are wrong: {first}; and {other.sentence}")


def right(task: str) -> Callable[[Function], Answer]:
    """Decorator: this function answers `task` rightly in another spelling."""
    return lambda function: Answer(task, function)


def answers_in(*modules: ModuleType) -> tuple[Answer, ...]:
    """The answers of some modules, in the order they are written."""
    return tuple(
        value for module in modules for value in vars(module).values() if isinstance(value, Answer)
    )
