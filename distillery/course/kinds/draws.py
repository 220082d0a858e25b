"""A sampler of timesteps, at the first and at the last step of a run, and at some between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distillery.course.case import LONGEST_SHAPE, Case, Form, Words
from distillery.course.chance import SURPRISING, follows_a_pattern, unevenness
from distillery.course.drawing import NewFigure
from distillery.course.observe import (
    LARGEST_INTEGER,
    Observation,
    is_bool,
    is_integer,
    is_list,
    is_text,
    require_one_form,
    same_bits,
    tensor_facts,
)
from distillery.course.record import (
    LONGEST_NAME,
    Facts,
    Function,
    Tensors,
    copied,
    seeded,
    type_name,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWS = 8400  # in a call; more where the range is long, fewer where it is short
MOST_OF_EACH = 400  # draws of every timestep of a short range
DRAWS_OF_EACH = 16  # at least, of every timestep: a fair sampler misses an end once in 10^7 times
FEW = 4  # latents of a small batch
CALLS = 1000  # for small batches
FARTHEST = 1000  # timesteps beyond the range that are drawn at their own place


@dataclass(frozen=True)
class DrawsCase(Case):
    """`values` has "steps", "t_min", "t_max" and perhaps "t_bound", "bound_reached", "between".

    With a bound the range shrinks on the way; "between" are the steps at which that is seen.
    """

    kind = "draws"

    @property
    def batch(self) -> int:
        """How many timesteps are drawn in a call: enough for every one of the range to come.

        Beyond the fewest it is a power of 2, of which a Fourier transform is fast.
        """
        values = self.values["t_max"] - self.values["t_min"] + 1
        enough = 2 ** (DRAWS_OF_EACH * values - 1).bit_length()
        return max(min(DRAWS, MOST_OF_EACH * values), enough)

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
            t = function(self.batch, step, steps, **bounds, generator=its)
            if not isinstance(t, Tensor):
                return {"type": type_name(t)}, {}
            tensors[name] = copied(t)
            if t.shape != (self.batch,):
                return facts, tensors
            if name == "again":
                facts["untouched"] = torch.equal(torch.get_rng_state(), shared_before)
        alone = function(1, 0, steps, **bounds, generator=seeded())
        facts["alone"] = list(alone.shape) if isinstance(alone, Tensor) else type_name(alone)
        its = seeded()
        few = [function(FEW, 0, steps, **bounds, generator=its) for _ in range(CALLS)]
        if all(isinstance(t, Tensor) and t.shape == (FEW,) for t in few):
            tensors["few"] = copied(torch.stack(few))
        return facts, tensors

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        first, values = tensors["result"], self.values
        facts = tensor_facts(first, reported)
        drawn = tensors.get(f"at {values['between'][1]}" if "between" in values else "result")
        if first.shape != (self.batch,):
            return Observation(facts, samples=drawn)
        on_the_way = {step: tensors[f"at {step}"] for step in values.get("between", ())}
        came = {0: first} | on_the_way | {values["steps"] - 1: tensors["last"]}
        require_one_form(first, *came.values())
        every = {step: _numbers(t) for step, t in came.items()}
        facts |= {
            "alone": reported["alone"],
            "own_generator": reported["untouched"] and same_bits(first, tensors.get("again")),
            "varies_in_batch": bool((every[0] != every[0][0]).any()),
            "fresh": not same_bits(first, tensors["second"]),
            "range": _range(every[0]),
            "range_at_the_end": _range(every[values["steps"] - 1]),
        }
        if on_the_way:
            facts["ranges_between"] = [_range(every[step]) for step in on_the_way]
        surprises = {step: _unevenness(t) for step, t in every.items()}
        facts["uneven"] = [step for step, its in surprises.items() if its > SURPRISING]
        facts["by_chance"] = not any(
            surprises[step] < -SURPRISING or follows_a_pattern(t) for step, t in every.items()
        )
        few = tensors.get("few", first)
        of_one_form = few.shape == (CALLS, FEW) and few.dtype == first.dtype
        count = values["t_max"] - values["t_min"] + 1
        facts["few"] = of_one_form and _is_by_chance(_numbers(few), count)
        return Observation(facts, samples=drawn)

    def forms(self) -> dict[str, Form]:
        return super().forms() | {
            "untouched": is_bool,
            "alone": lambda fact: (
                is_text(fact, LONGEST_NAME) or is_list(fact, is_integer, LONGEST_SHAPE)
            ),
        }

    def words(self) -> dict[str, Words]:
        return super().words() | {
            "alone": lambda shape: (
                f"shape {tuple(shape)} for a batch of 1"
                if isinstance(shape, list)
                else f"a value of type {shape} for a batch of 1"
            ),
            "own_generator": (
                "timesteps that only the given generator decides",
                "timesteps that differ for the same generator state",
            ),
            "varies_in_batch": ("a timestep for each latent", "one timestep for the whole batch"),
            "fresh": ("new timesteps at every call", "the same timesteps at every call"),
            "range": _range_in_words,
            "range_at_the_end": lambda ends: f"{_range_in_words(ends)} at the last step",
            "ranges_between": self._ranges_in_words,
            "uneven": self._evenness_in_words,
            "by_chance": (
                "each timestep drawn independently of the others",
                "timesteps that depend on one another: they follow a pattern or share the range "
                "out among them",
            ),
            "few": (
                f"each timestep of a batch of {FEW} drawn independently of the others",
                f"timesteps of a batch of {FEW} that depend on one another, such as timesteps that "
                "never come twice",
            ),
        }

    def _evenness_in_words(self, uneven: list[int]) -> str:
        if not uneven:
            return "every t equally often"
        steps = ", ".join(map(str, uneven))
        where = (
            "" if len(uneven) > 1 + len(self.values.get("between", ())) else f", at step {steps}"
        )
        return f"some timesteps more often than others{where}"

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
        axes.step([low - 0.5, high + 0.5], [self.batch / (high - low + 1)] * 2, label="target")
        if came is not None and came.samples is not None:
            shown = came.samples.float().nan_to_num().round()
            shown = shown.clamp(low - FARTHEST, high + FARTHEST)
            t, counts = shown.unique(return_counts=True)
            axes.bar(t.numpy(), counts.numpy(), alpha=0.5, color="tab:orange", label="yours")
        bounds = f"t_min = {low} and {'the bound' if step else 't_max'} = {high}"
        axes.set_xlabel(f"t{f' at step {step}' if step else ''}, for {bounds}")
        axes.set_ylabel(f"times in {self.batch}")
        axes.legend(loc="lower right")
        return figure

    def _drawn_at(self, wanted: Observation) -> tuple[int, int, int]:
        """The step of `samples`, and both ends of the range there."""
        if "between" not in self.values:
            return 0, self.values["t_min"], self.values["t_max"]
        low, high = wanted.facts["ranges_between"][1]
        return self.values["between"][1], low, high


def _numbers(t: Tensor) -> Tensor:
    """Timesteps of any dtype as numbers that can be counted, within +-LARGEST_INTEGER.

    Whether all are finite, and their dtype, are facts of their own.
    """
    real = t.real if t.is_complex() else t
    return real.double().nan_to_num().clamp(-LARGEST_INTEGER, LARGEST_INTEGER)


def _range(t: Tensor) -> list[int]:
    """Both ends of numbers, cut off to whole ones."""
    return [int(end) for end in t.aminmax()]


def _range_in_words(ends: list[int]) -> str:
    return f"t from {ends[0]} to {ends[1]}"


def _unevenness(t: Tensor) -> float:
    """Of how often the values in t's range come, as `unevenness` says it."""
    low, high = (float(end) for end in t.aminmax())
    values = int(high - low) + 1
    if values > len(t):
        return math.inf
    counts = torch.bincount((t - low).long(), minlength=values).double()
    return unevenness(counts, len(t) / values)


def _is_by_chance(few: Tensor, values: int) -> bool:
    """Whether small batches (CALLS, FEW) hold as many equal timesteps as independent draws do.

    And, one after the other, no pattern. Of n equally likely values one pair in n is equal.
    """
    if values == 1:
        return True
    pairs = FEW * (FEW - 1) // 2
    equal = float((few[:, :, None] == few[:, None]).sum() - few.numel()) / 2
    # The root of a count has the deviation 1/2, whatever its mean is.
    surprise = 2 * (equal + 3 / 8) ** 0.5 - 2 * (len(few) * pairs / values + 3 / 8) ** 0.5
    return abs(surprise) <= SURPRISING and not follows_a_pattern(few.flatten())


KIND = DrawsCase
