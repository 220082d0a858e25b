"""A function that returns a tensor, or a tuple of tensors of one shape: the numbers count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distillery.course.call_case import CallCase
from distillery.course.case import Form, Words
from distillery.course.observe import (
    Observation,
    UnreadableError,
    is_text,
    picked,
    plain,
    same_bits,
    tensor_facts,
)
from distillery.course.record import Facts, Function, Tensors, copied, type_name
from distillery.models.prior import Condition

LONGEST_CONDITIONING = 120  # characters of what is recorded of one condition
NOTHING = "nothing"  # of SDXL's numbers; data/checks holds it


@dataclass(frozen=True)
class ValueCase(CallCase):
    """Tensors that are returned side by side are stacked, and each counts for itself."""

    kind = "value"
    parts_earn_points = True

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        arguments = self.fresh()
        kind, tensor = _stacked(function(*arguments.values()))
        facts: Facts = {"type": kind}
        if tensor is None:
            return facts, {}
        facts |= self.seen_in(arguments) | self._told(arguments)
        facts["graph"] = tensor.requires_grad
        tensors = {"result": copied(tensor)} | self.asked_in(arguments)
        again = _stacked(function(*self.fresh().values()))[1]
        return facts, tensors | ({} if again is None else {"again": copied(again)})

    def _told(self, arguments: dict[str, Any]) -> Facts:
        """What SDXL was given in addition to the tokens, in the last call of the network."""
        if "size" not in self.arguments:
            return {}
        told = {}
        for asked in arguments["prior"].asked:
            for name in self.prompts:
                if torch.equal(asked.tokens, arguments[name].tokens):
                    told[name] = _time_ids(asked) + _pooled(asked, arguments[name])
        return {"told": told}

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        result, kind = tensors["result"], reported["type"]
        facts = tensor_facts(result, reported)
        if kind != "Tensor":
            if kind != f"tuple of {len(result)} tensors":
                raise UnreadableError
            facts["shape"] = list(result.shape[1:])  # of each of them
        facts |= picked(reported, "changed", "calls", "lora_calls", "told", "graph")
        facts["repeatable"] = same_bits(result, tensors.get("again"))
        return Observation(facts, plain(result), asked=self.asked(tensors))

    def forms(self) -> dict[str, Form]:
        return super().forms() | {
            "told": lambda fact: (
                isinstance(fact, dict)
                and set(fact) <= set(self.prompts)
                and all(is_text(words, LONGEST_CONDITIONING) for words in fact.values())
            )
        }

    def words(self) -> dict[str, Words]:
        return super().words() | {"told": _told_in_words}

    def where(self, place: tuple[int, ...]) -> str:
        if not self.parts:
            return super().where(place)
        return f"for {self.parts[place[0]]} of latent {place[1]}"


def _stacked(result: Any) -> tuple[str, Tensor | None]:
    """The type of what was returned and, of tensors of one shape, all of them as one tensor."""
    if isinstance(result, Tensor):
        return "Tensor", result
    if isinstance(result, tuple | list) and all(isinstance(part, Tensor) for part in result):
        shapes = {part.shape for part in result}
        if len(shapes) == 1:
            return f"tuple of {len(result)} tensors", torch.stack(tuple(result))
    return type_name(result), None


def _time_ids(condition: Condition) -> str:
    numbers = condition.time_ids
    if numbers is None:
        return NOTHING
    if numbers.shape != (len(condition), 6):
        return f"numbers of shape {tuple(numbers.shape)}"
    rows = {", ".join(f"{number:g}" for number in row) for row in numbers.tolist()}
    return rows.pop() if len(rows) == 1 else "other numbers for each picture"


def _pooled(asked: Condition, given: Condition) -> str:
    if asked.pooled is None or given.pooled is None:
        return " and no pooled vector"
    return "" if torch.equal(asked.pooled, given.pooled) else " and the pooled vector of another"


def _told_in_words(told: dict[str, str]) -> str:
    """The six numbers, with the names of the conditions where these differ."""
    what = "SDXL size conditioning (time_ids)"
    given = list(dict.fromkeys(told.values())) or [NOTHING]
    if len(given) == 1:
        if given[0].startswith(NOTHING):
            return f"no {what}{given[0].removeprefix(NOTHING)}"
        return f"{what}: {given[0]}"
    return f"{what}: " + "; ".join(f"{one} for {name}" for name, one in told.items())


KIND = ValueCase
