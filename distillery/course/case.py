"""`Case`: the inputs of one trial, and what every kind of check has to say about its results.

A kind is a subclass in a file of its own in `distillery/course/kinds/`. Its verbs, in the order in
which grading calls them:

    record     calls the student's function and writes down what it does (inside the sandbox)
    conclude   turns the recording into an `Observation`, trusting nothing in it
    words      says each fact in words, for the student
    draw       draws the wanted result and the student's

`forms` says what a recorded fact may look like and `side_conditions` which facts are no more than
a side condition of the task. This module may be imported inside the sandbox: it has no answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from distillery.course.drawing import NewFigure, draw_numbers, draw_rows
from distillery.course.observe import (
    TOLERANCE,
    UNREADABLE,
    Observation,
    is_bool,
    is_integer,
    is_list,
    is_text,
)
from distillery.course.record import LONGEST_NAME, Facts, Function, Tensors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_SHAPE = 32

Form = Callable[[Any], bool]
# Of a fact that is true or false, both in words; of others, how their value is put in words.
Words = tuple[str, str] | Callable[[Any], str]
SideCondition = Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Case(ABC):
    """The inputs of one trial of a task.

    arguments: the names of the function's arguments, in the order of its signature.
    tensors:   those arguments that are tensors.
    values:    those that are plain numbers, and settings of the kind.
    parts:     names along the first axis of the value, where that is not a batch.
    tolerance: the largest difference allowed, as a part of the largest value.
    """

    kind: ClassVar[str]  # its name in data/checks
    parts_earn_points: ClassVar[bool] = False  # each right part earns its share of the points
    # The facts that may differ while the numbers are right, each with a test of (wanted, came):
    # is what came worse in no other way? An answer that breaks only these gets half the points.
    # Every other fact belongs to the task itself. So does a missing graph: nothing would learn.
    side_conditions: ClassVar[dict[str, SideCondition]] = {
        "graph": lambda wanted, came: came and not wanted,  # a graph that nobody asked for
        "changed": lambda wanted, came: came and not wanted,  # an argument changed in place
    }

    arguments: tuple[str, ...]
    tensors: Tensors = field(default_factory=dict)
    values: Facts = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    tolerance: float = TOLERANCE

    @abstractmethod
    def record(self, function: Function) -> tuple[Facts, Tensors]:
        """Call the function and write down what it does; its exceptions are not caught.

        Returns:
            the facts, among them "type"; and, if it returned tensors, "result" and others.
        """

    @abstractmethod
    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        """What a recording with a "result" shows. It may be forged, so any exception may leave.

        Args:
            reported: facts of `record`, each in the form of `forms`.
            tensors: plain tensors on the CPU.
        """

    def forms(self) -> dict[str, Form]:
        """For each fact that `record` may report, whether it has the right form."""
        names = set(self.tensors)
        return {
            "type": lambda fact: is_text(fact, LONGEST_NAME),
            "shape": lambda fact: is_list(fact, is_integer, LONGEST_SHAPE),
            "dtype": lambda fact: is_text(fact, LONGEST_NAME),
            "changed": lambda fact: is_list(fact, names.__contains__, len(names)),
            "graph": is_bool,
        }

    def words(self) -> dict[str, Words]:
        """Every fact of an observation in words."""
        return {
            "type": _type_in_words,
            "shape": lambda shape: f"shape {tuple(shape)}",
            "dtype": str,
            "finite": ("finite numbers", "NaN or infinity among the numbers"),
            "finite_gradient": ("a finite gradient", "NaN or infinity in the gradient"),
            "changed": _changed_in_words,
            "graph": ("a result that carries a graph", "a result without a graph"),
            "repeatable": (
                "the same result for the same arguments",
                "a different result at every call",
            ),
        }

    def what(self, place: tuple[int, ...]) -> str:
        """What the number at this place of the value is, if it needs saying."""
        return ""

    def where(self, place: tuple[int, ...]) -> str:
        """A place of the value in words."""
        return f"at {list(place)}"

    def can_draw(self, wanted: Observation, came: Observation) -> bool:
        """Whether a picture of both shows a difference."""
        one, other = came.value, wanted.value
        return one is not None and other is not None and one.shape == other.shape

    def draw(self, new: NewFigure, wanted: Observation, came: Observation | None) -> Figure:
        """Wanted, theirs and the difference; only what is wanted where theirs cannot be drawn.

        Args:
            new: makes an empty figure of a `figsize` and a `layout`.
            came: None where the function did not return.
        """
        theirs = None if came is None else came.value
        assert wanted.value is not None
        if self.parts:
            return draw_numbers(new, wanted.value, theirs, self.parts)
        return draw_rows(new, wanted.value, theirs)

    def stored_facts(self) -> Facts:
        """The case without its tensors, as JSON in the order of data/checks; empty ones too."""
        return {
            "kind": self.kind,
            "arguments": list(self.arguments),
            "values": self.values,
            "parts": list(self.parts),
            "tolerance": self.tolerance if self.tolerance != TOLERANCE else None,
        }

    def stored_tensors(self) -> Tensors:
        """Its tensors; a name with a slash is shared between the tasks of a stage."""
        return dict(self.tensors)

    @classmethod
    def restored(cls, facts: Facts, tensors: Tensors) -> Self:
        """The case that these were stored of; other tensors may be among them."""
        fields = {name: value for name, value in facts.items() if name != "kind"}
        for name in ("arguments", "parts"):
            fields[name] = tuple(facts.get(name, ()))
        mine = {name: tensors[name] for name in fields["arguments"] if name in tensors}
        return cls(**fields, tensors=mine)


def _type_in_words(name: str) -> str:
    words = {
        UNREADABLE: "a result that cannot be read",
        "NoneType": "None; is the return missing?",
        "Tensor": "a tensor",
    }
    if name in words:
        return words[name]
    return f"a {name}" if name.startswith("tuple of") else f"a value of type {name}"


def _changed_in_words(names: list[str]) -> str:
    return f"{' and '.join(names)} changed in place" if names else "unchanged arguments"
