"""A layer of a network: its result counts, and which of its arguments can learn through it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from distillery.course.case import Form, Words
from distillery.course.kinds.value import ValueCase
from distillery.course.observe import Observation, is_list, picked
from distillery.course.record import Facts, Function, Tensors


@dataclass(frozen=True)
class LayerCase(ValueCase):
    """The result has a graph to each argument `with_graph`."""

    kind = "layer"

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        facts, tensors = super().record(function)
        if facts.get("graph"):
            arguments = self.fresh()
            facts["reached"] = self._reached(function(*arguments.values()), arguments)
        return facts, tensors

    def _reached(self, result: Any, arguments: dict[str, Any]) -> list[str]:
        """The arguments for which the result has a gradient."""
        names = [name for name in self.with_graph if arguments[name].requires_grad]
        if not names or not isinstance(result, Tensor) or not result.requires_grad:
            return []
        given = [arguments[name] for name in names]
        gradients = torch.autograd.grad(result.sum(), given, allow_unused=True)
        return [name for name, its in zip(names, gradients, strict=True) if its is not None]

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        found = super().conclude(reported, tensors)
        return replace(found, facts=found.facts | picked(reported, "reached"))

    def forms(self) -> dict[str, Form]:
        names = set(self.with_graph)
        return super().forms() | {
            "reached": lambda fact: is_list(fact, names.__contains__, len(names))
        }

    def words(self) -> dict[str, Words]:
        return super().words() | {"reached": _reached_in_words}


def _reached_in_words(names: list[str]) -> str:
    return f"a gradient for {', '.join(names)}" if names else "a gradient for no argument"


KIND = LayerCase
