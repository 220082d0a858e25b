"""A sampler of timesteps, at the first and at the last step of a run, and at some between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distillery.course.case import Case, Form, Words
from distillery.course.drawing import NewFigure
from distillery.course.observe import (
    LARGEST_INTEGER,
    Observation,
    is_bool,
    require_one_form,
    same_bits,
    tensor_facts,
)
from distillery.course.record import Facts, Function, Tensors, copied, seeded, type_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWS = 8400
# Chi-square over 21 values: a fair sampler stays below 60 in all but one of 100,000 cases, and one
# that rounds, so that both ends come half as often, lies near 200.
UNIFORM_BELOW = 60.0
FARTHEST = 1000  # timesteps beyond the range that are drawn at their own place


@dataclass(frozen=True)
class DrawsCase(Case):
    """`values` has "steps", "t_min", "t_max" and perhaps "t_bound", "bound_reached", "between".

    With a bound the range shrinks on the way; "between" are the steps at which that is seen.
    """

    kind = "draws"

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        steps = self.values["steps"]
        bounds = {n: value for n, value in self.values.items() if n not in ("steps", "between")}
        generator, shared_before = seeded(), torch.get_rng_state()
        plan = {"result": (generator, 0), "second": (generator, 0), "again": (seeded(), 0)}
        plan["last"] = (seeded(), steps - 1)
        plan |= {f"at {step}": (seeded(), step) for step in self.values.get("between", ())}
        facts: Facts = {"type": "Tensor"}
        tensors: Tensors = {}
        for name, (its, step) in plan.items():
            t = function(DRAWS, step, steps, **bounds, generator=its)
            if not isinstance(t, Tensor):
                return {"type": type_name(t)}, {}
            tensors[name] = copied(t)
            if t.shape != (DRAWS,):
                break
            if name == "again":
                facts["untouched"] = torch.equal(torch.get_rng_state(), shared_before)
        return facts, tensors

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        first, values = tensors["result"], self.values
        facts = tensor_facts(first, reported)
        drawn = tensors.get(f"at {values['between'][1]}" if "between" in values else "result")
        if first.shape != (DRAWS,):
            return Observation(facts, samples=drawn)
        last = tensors["last"]
        on_the_way = [tensors[f"at {step}"] for step in values.get("between", ())]
        require_one_form(first, last, *on_the_way)
        facts |= {
            "own_generator": reported["untouched"] and same_bits(first, tensors.get("again")),
            "varies_in_batch": bool((first != first[0]).any()),
            "fresh": not same_bits(first, tensors["second"]),
            "range": _range(first),
            "range_at_the_end": _range(last),
            "uniform": _is_uniform(first, values["t_min"], values["t_max"]),
        }
        if "between" in values:
            facts["ranges_between"] = [_range(t) for t in on_the_way]
            facts["uniform_at_the_end"] = _is_uniform(last, values["t_min"], values["t_bound"])
        return Observation(facts, samples=drawn)

    def forms(self) -> dict[str, Form]:
        return super().forms() | {"untouched": is_bool}

    def words(self) -> dict[str, Words]:
        at_the_end = "at the last step"
        return super().words() | {
            "own_generator": (
                "timesteps that only the given generator decides",
                "timesteps that differ for the same generator state",
            ),
            "varies_in_batch": ("a timestep for each latent", "one timestep for the whole batch"),
            "fresh": ("new timesteps at every call", "the same timesteps at every call"),
            "range": _range_in_words,
            "range_at_the_end": lambda ends: f"{_range_in_words(ends)} {at_the_end}",
            "uniform": ("every t equally often", "some timesteps more often than others"),
            "ranges_between": self._ranges_in_words,
            "uniform_at_the_end": (
                f"every t equally often {at_the_end}",
                f"some timesteps more often than others {at_the_end}",
            ),
        }

    def _ranges_in_words(self, ranges: list[list[int]]) -> str:
        pairs = zip(self.values["between"], ranges, strict=True)
        return "t up to " + ", ".join(f"{high} at step {step}" for step, (_, high) in pairs)

    def can_draw(self, wanted: Observation, came: Observation) -> bool:
        return "range" in came.facts

    def draw(self, new: NewFigure, wanted: Observation, came: Observation | None) -> Figure:
        """A histogram; where the range shrinks, of a step on the way."""
        step, low, high = self._drawn_at(wanted)
        figure = new(figsize=(7, 2.4), layout="constrained")
        axes = figure.subplots()
        axes.step([low - 0.5, high + 0.5], [DRAWS / (high - low + 1)] * 2, label="target")
        if came is not None and came.samples is not None:
            shown = came.samples.float().nan_to_num().round()
            shown = shown.clamp(low - FARTHEST, high + FARTHEST)
            t, counts = shown.unique(return_counts=True)
            axes.bar(t.numpy(), counts.numpy(), alpha=0.5, color="tab:orange", label="yours")
        bounds = f"t_min = {low} and {'the bound' if step else 't_max'} = {high}"
        axes.set_xlabel(f"t{f' at step {step}' if step else ''}, for {bounds}")
        axes.set_ylabel(f"times in {DRAWS}")
        axes.legend(loc="lower right")
        return figure

    def _drawn_at(self, wanted: Observation) -> tuple[int, int, int]:
        """The step of `samples`, and both ends of the range there."""
        if "between" not in self.values:
            return 0, self.values["t_min"], self.values["t_max"]
        low, high = wanted.facts["ranges_between"][1]
        return self.values["between"][1], low, high


def _range(t: Tensor) -> list[int]:
    """Both ends, cut off to whole numbers."""
    return [
        int(end.double().nan_to_num().clamp(-LARGEST_INTEGER, LARGEST_INTEGER))
        for end in t.aminmax()
    ]


def _range_in_words(ends: list[int]) -> str:
    return f"t from {ends[0]} to {ends[1]}"


def _is_uniform(t: Tensor, low: int, high: int) -> bool:
    """Chi-square test of the counts of low, ..., high; anything outside makes it fail."""
    inside = t[(t >= low) & (t <= high)].long()
    counts = torch.bincount(inside - low, minlength=high - low + 1).double()
    expected = len(t) / len(counts)
    return bool(((counts - expected).square() / expected).sum() < UNIFORM_BELOW)


KIND = DrawsCase
