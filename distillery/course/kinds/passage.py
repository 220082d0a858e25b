"""A function that returns a tensor of its first argument's shape: value and gradient both count.

The gradient is the vector-Jacobian product of one fixed random cotangent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distillery.course.call_case import CallCase
from distillery.course.case import Words
from distillery.course.drawing import NewFigure
from distillery.course.observe import (
    Observation,
    UnreadableError,
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
    """The value is what was returned, with the gradient behind it in the batch: (2B, ...)."""

    kind = "passage"

    @property
    def _batch(self) -> int:
        return len(self.tensors[self.arguments[0]])

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        facts, tensors = self._differentiated(function)
        if "gradient" in tensors:
            again = self._differentiated(function)[1]
            names = {"result": "again", "gradient": "gradient again"}
            tensors |= {names[name]: tensor for name, tensor in again.items()}
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
        if result.shape != learner.shape or not (result.requires_grad and learner.requires_grad):
            return facts, tensors
        cotangent = COTANGENT * torch.randn(result.shape, generator=seeded())
        (gradient,) = torch.autograd.grad((cotangent * result).sum(), learner, allow_unused=True)
        return facts, tensors | ({} if gradient is None else {"gradient": copied(gradient)})

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        result, gradient = tensors["result"], tensors.get("gradient")
        facts = tensor_facts(result, reported) | picked(reported, "changed", "graph")
        facts["reaches"] = gradient is not None
        if gradient is None:
            return Observation(facts)
        if not result.shape == gradient.shape == self.tensors[self.arguments[0]].shape:
            raise UnreadableError
        facts["finite_gradient"] = bool(gradient.isfinite().all())
        facts["repeatable"] = same_bits(result, tensors.get("again")) and same_bits(
            gradient, tensors.get("gradient again")
        )
        return Observation(facts, torch.cat([plain(result), plain(gradient)]))

    def words(self) -> dict[str, Words]:
        learner = self.arguments[0]
        return super().words() | {
            "reaches": (
                f"a result with a gradient for {learner}",
                f"a result without a gradient for {learner}: it does not depend on {learner}, or "
                "the graph is cut",
            )
        }

    def what(self, place: tuple[int, ...]) -> str:
        return "a gradient of " if place[0] >= self._batch else ""

    def where(self, place: tuple[int, ...]) -> str:
        return f"at {[place[0] % self._batch, *place[1:]]}"

    def draw(self, new: NewFigure, wanted: Observation, came: Observation | None) -> Figure:
        figure = super().draw(new, wanted, came)
        figure.axes[3 * self._batch].set_title("its gradient")
        return figure


KIND = PassageCase
