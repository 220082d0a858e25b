"""Answers that are not the reference: known misconceptions, and other right spellings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from distillery.course.choices import AcceptedSteps, WeightedSums
from distillery.course.labels import TWO

Function = Callable[..., Any]


@dataclass(frozen=True)
class Answer:
    """A runnable answer to one task.

    task: "stage.function".
    sentence: of a wrong one, the end of "this is what you get when ...".
    choosing: of a wrong one to a task that leaves a choice open: a choice -> it, with that choice.
    """

    task: str
    function: Function
    sentence: str = ""
    choosing: Callable[[Any], Function] | None = None

    @property
    def name(self) -> str:
        return self.function.__name__


class Choices(Protocol):
    """What is known of a case of a task that leaves a choice open.

    accepted: the right values, whatever is chosen.
    """

    accepted: AcceptedSteps

    def sums_of(self, answer: Answer, *, ordinary: bool) -> WeightedSums | None:
        """What a mistake does, whatever it chooses; None where that is the same, or not known.

        Args:
            ordinary: of the ordinary trial, of which more may be stored than of the others.
        """


def wrong(task: str, sentence: str) -> Callable[[Function], Answer]:
    """Decorator: this function answers `task` wrongly, as the sentence says."""
    return lambda function: Answer(task, function, sentence)


def both(one: Answer, other: Answer) -> Callable[[Function], Answer]:
    """Decorator: this function makes two known mistakes of one task at once."""
    first = one.sentence.removesuffix(".")
    return wrong(one.task, f"{TWO}{first}; and {other.sentence}")


def right(task: str) -> Callable[[Function], Answer]:
    """Decorator: this function answers `task` rightly in another spelling."""
    return lambda function: Answer(task, function)


def answers_in(*modules: ModuleType) -> tuple[Answer, ...]:
    """The answers of some modules, in the order they are written."""
    return tuple(
        value for module in modules for value in vars(module).values() if isinstance(value, Answer)
    )
