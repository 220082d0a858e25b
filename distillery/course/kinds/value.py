"""A function that returns a tensor, or a tuple of tensors of one shape: the numbers count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distillery.course.call_case import CALLS, CallCase
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
from distillery.course.record import Facts, Function, Tensors, copied, dtype_name, type_name
from distillery.models.prior import Condition

LONGEST_CONDITIONING = 120  # characters of what is recorded of one condition
NOTHING = "nothing"  # of SDXL's numbers; data/checks holds it
NOT_ASKED = "never asked"


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
        arguments, its = self.refilled(function)
        earlier = _stacked(its)[1]
        tensors |= {} if earlier is None else {"earlier": copied(earlier)}
        again = _stacked(function(*arguments.values()))[1]
        return facts, tensors | ({} if again is None else {"again": copied(again)})

    def _told(self, arguments: dict[str, Any]) -> Facts:
        """What SDXL was given in addition to the tokens, for each condition.

        A condition is known by its tokens, so its pictures may be asked for in one call or several,
        and joined with those of others.
        """
        if "size" not in self.arguments:
            return {}
        given = {name: arguments[name] for name in self.prompts}
        told = {name: _told(name, given, arguments["prior"].asked) for name in given}
        return {"told": {name: words or NOT_ASKED for name, words in told.items()}}

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        result, kind = tensors["result"], reported["type"]
        facts = tensor_facts(result, reported)
        if kind != "Tensor":
            if kind != f"tuple of {len(result)} tensors":
                raise UnreadableError
            facts["shape"] = list(result.shape[1:])  # of each of them
        networks = ("calls", "lora_calls", *CALLS.values())
        facts |= picked(reported, "changed", *networks, "told", "graph")
        again, earlier = tensors.get("again"), tensors.get("earlier")
        repeatable = same_bits(result, again)
        facts["kept"] = not repeatable and again is not None and same_bits(again, earlier)
        facts["repeatable"] = repeatable
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
        part = f"for {self.parts[place[0]]}"
        return f"{part} of latent {place[1]}" if len(place) > 1 else part


def _stacked(result: Any) -> tuple[str, Tensor | None]:
    """The type of what was returned and, of tensors of one shape, all of them as one tensor."""
    if isinstance(result, Tensor):
        return "Tensor", result
    if isinstance(result, tuple | list) and all(isinstance(part, Tensor) for part in result):
        shapes = {part.shape for part in result}
        if len(shapes) == 1:
            return f"tuple of {len(result)} tensors", torch.stack(tuple(result))
    return type_name(result), None


def _told(name: str, given: dict[str, Condition], asked: tuple[Condition, ...]) -> str:
    """What was said with the tokens of one of the given conditions; "" if these never came."""
    mine = given[name]
    said = []
    for condition in asked:
        if condition.tokens.shape[1:] != mine.tokens.shape[1:]:
            continue
        owners = (condition.tokens[:, None] == mine.tokens[None]).flatten(2).all(dim=2)
        rows = owners.any(dim=1).nonzero().flatten().tolist()
        if not rows:
            continue
        own = owners.float().argmax(dim=1).tolist()
        said.append(_time_ids(condition, rows))
        said += sorted({_pooled(condition, row, name, own[row], given) for row in rows} - {""})
        if mine.attention_bias is not None and condition.attention_bias is None:
            said.append(" and no regions")
    return "".join(dict.fromkeys(said))[:LONGEST_CONDITIONING]


def _time_ids(condition: Condition, rows: list[int]) -> str:
    """The numbers in these rows of the batch."""
    numbers = condition.time_ids
    if numbers is None:
        return NOTHING
    if numbers.shape != (len(condition), 6):
        return f"numbers of shape {tuple(numbers.shape)}"
    said = {", ".join(f"{number:g}" for number in numbers[row].tolist()) for row in rows}
    numbers_said = said.pop() if len(said) == 1 else "other numbers for each picture"
    kind = "" if numbers.dtype == torch.float32 else f" as {dtype_name(numbers)}"
    return numbers_said + kind


def _pooled(
    condition: Condition, row: int, name: str, own: int, given: dict[str, Condition]
) -> str:
    """Whose pooled vector a row of the batch has, if it is not its own."""
    if condition.pooled is None:
        return " and no pooled vector"
    if len(condition.pooled) != len(condition):
        return f" and pooled vectors of shape {tuple(condition.pooled.shape)}"
    vector = condition.pooled[row]
    # Embedded prompts have one.
    whose = {
        other: [torch.equal(vector, one) for one in its.pooled]
        for other, its in given.items()
        if its.pooled is not None
    }
    if whose[name][own]:
        return ""
    if not vector.any():
        return " and a pooled vector of zeros"
    others = [other for other, same in whose.items() if any(same)]
    if name in others:
        return " and the pooled vector of another picture"
    return f" and the pooled vector of {others[0]}" if others else " and another pooled vector"


def _told_in_words(told: dict[str, str]) -> str:
    """The six numbers, with the names of the conditions where these differ."""
    what = "SDXL size conditioning (time_ids)"
    given = list(dict.fromkeys(told.values()))
    if len(given) == 1:
        if given[0].startswith(NOTHING):
            return f"no {what}{given[0].removeprefix(NOTHING)}"
        return f"{what}: {given[0]}"
    return f"{what}: " + "; ".join(f"{one} for {name}" for name, one in told.items())


KIND = ValueCase
