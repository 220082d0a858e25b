"""A function that returns a picture or weights: value and gradient both count.

The gradient is the vector-Jacobian product of one fixed random cotangent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from distillery.course.call_case import CallCase, leaks_in_words
from distillery.course.case import Form, SideCondition, Words
from distillery.course.drawing import NewFigure
from distillery.course.observe import (
    Observation,
    UnreadableError,
    is_list,
    picked,
    plain,
    same_bits,
    tensor_facts,
)
from distillery.course.record import Facts, Function, Tensors, copied, seeded, type_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COTANGENT = 5.0  # makes the gradient about as large as the value, so that a picture shows both


@dataclass(frozen=True)
class PassageCase(CallCase):
    """The result (B, C, h, w) belongs to the first argument, (B, K, h, w).

    None of the other arguments `with_graph` may get a gradient.

    The value is what was returned, with the gradient behind it in the batch, (2B, ...); zeros fill
    the one that has fewer channels.

    of_weights: the first argument sums to 1 over K. What its gradient has in common for all K
                moves no weights, and is not compared.
    one_hot:    the result has only zeros and ones, to the last bit.
    """

    kind = "passage"
    side_conditions: ClassVar[dict[str, SideCondition]] = CallCase.side_conditions | {
        "exact": lambda wanted, came: wanted and not came,
    }

    of_weights: bool = False
    one_hot: bool = False

    @property
    def _batch(self) -> int:
        return len(self.tensors[self.arguments[0]])

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        facts, tensors = self._differentiated(function)
        if "result" in tensors and _fit(tensors["result"], self.tensors[self.arguments[0]]):
            again = self._differentiated(function)[1]
            tensors |= {f"{name} again": tensor for name, tensor in again.items()}
        return facts, tensors

    def _differentiated(self, function: Function) -> tuple[Facts, Tensors]:
        arguments = self.fresh()
        learner = arguments[self.arguments[0]]
        result = function(*arguments.values())
        facts: Facts = {"type": type_name(result)}
        if not isinstance(result, Tensor):
            return facts, {}
        facts |= self.seen_in(arguments) | {"graph": result.requires_grad}
        tensors = {"result": copied(result)}
        can_be_pulled = result.requires_grad and learner.requires_grad
        if not (can_be_pulled and _fit(result, learner)):
            return facts, tensors
        cotangent = COTANGENT * torch.randn(result.shape, generator=seeded())
        others = [name for name in self.with_graph if name != self.arguments[0]]
        given = {name: arguments[name] for name in others if arguments[name].requires_grad}
        gradient, *leaked = torch.autograd.grad(
            (cotangent * result).sum(), [learner, *given.values()], allow_unused=True
        )
        if others:
            pairs = zip(given, leaked, strict=True)
            facts["leaks"] = [name for name, leak in pairs if leak is not None and bool(leak.any())]
        return facts, tensors | ({} if gradient is None else {"gradient": copied(gradient)})

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        result, gradient = tensors["result"], tensors.get("gradient")
        facts = tensor_facts(result, reported) | picked(reported, "changed", "graph")
        facts["reaches"] = gradient is not None
        facts |= picked(reported, "leaks")
        learner = self.tensors[self.arguments[0]]
        if not _fit(result, learner):
            return Observation(facts)
        repeatable = same_bits(result, tensors.get("result again"))
        if gradient is None:
            gradient = torch.zeros_like(learner)
        else:
            repeatable = repeatable and same_bits(gradient, tensors.get("gradient again"))
        if gradient.shape != learner.shape:
            raise UnreadableError
        facts["finite_gradient"] = bool(gradient.isfinite().all())
        if self.one_hot:
            facts["exact"] = bool(((result == 0) | (result == 1)).all())
        facts["repeatable"] = repeatable
        both = plain(result), plain(gradient)
        if self.of_weights:
            both = both[0], both[1] - both[1].mean(dim=1, keepdim=True)
        return Observation(facts, torch.cat(_equally_deep(both)))

    def forms(self) -> dict[str, Form]:
        names = set(self.with_graph)
        return super().forms() | {
            "leaks": lambda fact: is_list(fact, names.__contains__, len(names))
        }

    def stored_facts(self) -> Facts:
        return super().stored_facts() | {"of_weights": self.of_weights, "one_hot": self.one_hot}

    def words(self) -> dict[str, Words]:
        learner = self.arguments[0]
        return super().words() | {
            "reaches": (
                f"a result with a gradient for {learner}",
                f"a result without a gradient for {learner}: it does not depend on {learner}, or "
                "the graph is cut",
            ),
            "leaks": lambda names: leaks_in_words(names, learner),
            "exact": (
                "weights of exactly 0 and 1",
                "weights that are 0 and 1 only up to rounding, or not at all",
            ),
        }

    def what(self, place: tuple[int, ...]) -> str:
        return "a gradient of " if place[0] >= self._batch else ""

    def where(self, place: tuple[int, ...]) -> str:
        return f"at {[place[0] % self._batch, *place[1:]]}"

    def draw(self, new: NewFigure, wanted: Observation, came: Observation | None) -> Figure:
        figure = super().draw(new, wanted, came)
        figure.axes[3 * self._batch].set_title("its gradient")
        return figure


def _fit(result: Tensor, learner: Tensor) -> bool:
    """Whether both are as many pictures of one height and width."""
    return (
        result.ndim == learner.ndim
        and len(result) == len(learner)
        and result.shape[2:] == learner.shape[2:]
    )


def _equally_deep(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors (B, C, h, w) with zeros up to the largest number of channels."""
    most = max(tensor.shape[1] for tensor in tensors)
    return [pad(tensor, (0, 0, 0, 0, 0, most - tensor.shape[1])) for tensor in tensors]


KIND = PassageCase
