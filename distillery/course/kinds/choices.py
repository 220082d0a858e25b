"""A sampler of weights of colours, at two temperatures, with the same logits at every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distillery.course.case import Case, Form, Words
from distillery.course.observe import (
    Observation,
    is_bool,
    picked,
    plain,
    require_one_form,
    same_bits,
    tensor_facts,
)
from distillery.course.record import Facts, Function, Tensors, copied, seeded, type_name

PICTURES, HEIGHT, WIDTH = 2, 80, 150  # of the weights that are sampled


@dataclass(frozen=True)
class ChoicesCase(Case):
    """`tensors` has "logits" (1, K, 1, 1) and `values` both "taus", the colder one first.

    The value is (4, K): for each temperature how often each colour has the largest weight, then for
    each the mean weight of each colour.
    """

    kind = "choices"

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        before = self.tensors["logits"]
        logits = before.expand(PICTURES, -1, HEIGHT, WIDTH)
        cold, warm = self.values["taus"]
        generator, shared_before = seeded(), torch.get_rng_state()
        begun = generator.get_state()
        facts: Facts = {"type": "Tensor"}
        tensors: Tensors = {}
        plan = {"result": (generator, cold), "second": (generator, cold), "again": (seeded(), cold)}
        for name, (its, tau) in (plan | {"warm": (seeded(), warm)}).items():
            given = logits.clone().requires_grad_().clone()
            weights = function(given, tau, its)
            if not isinstance(weights, Tensor):
                return {"type": type_name(weights)}, {}
            tensors[name] = copied(weights)
            if weights.shape != logits.shape:
                break
            if name == "result":
                is_unchanged = torch.equal(given[:1, :, :1, :1], before)
                facts["changed"] = [] if is_unchanged else ["logits"]
                facts["graph"] = weights.requires_grad
                facts["drawn"] = not torch.equal(generator.get_state(), begun)
        facts["untouched"] = torch.equal(torch.get_rng_state(), shared_before)
        return facts, tensors

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        first, colours = tensors["result"], self.tensors["logits"].shape[1]
        facts = tensor_facts(first, reported)
        if first.shape != (PICTURES, colours, HEIGHT, WIDTH):
            return Observation(facts)
        own = reported["untouched"] and same_bits(first, tensors.get("again"))
        facts |= picked(reported, "changed")
        facts["sums"] = [axis for axis in range(4) if _is_near(first.sum(dim=axis), 1.0)]
        facts |= picked(reported, "graph")
        facts |= {
            "soft": bool(((first > 0) & (first < 1)).any()),
            "own_generator": own,
            "draws": reported["drawn"],
            "varies_in_batch": not _is_near(first, first[:1]),
            "varies_among_pixels": not _is_near(first, first[..., :1, :1]),
            "fresh": not _is_near(first, tensors["second"]),
        }
        # Where another generator decides, no two calls agree.
        require_one_form(first, tensors["warm"])
        return Observation(facts, _shares(first, tensors["warm"]) if own else None)

    def forms(self) -> dict[str, Form]:
        return super().forms() | {"untouched": is_bool, "drawn": is_bool}

    def words(self) -> dict[str, Words]:
        return super().words() | {
            "sums": _sums_in_words,
            "soft": ("weights between 0 and 1", "only the weights 0 and 1"),
            "own_generator": (
                "weights that only the given generator decides",
                "weights that differ for the same generator state",
            ),
            "draws": ("noise drawn from the generator", "nothing drawn from the generator"),
            "varies_in_batch": (
                "different noise for each picture",
                "the same noise for each picture",
            ),
            "varies_among_pixels": (
                "different noise for each pixel",
                "the same noise at every pixel",
            ),
            "fresh": ("new weights at every call", "the same weights at every call"),
        }

    def where(self, place: tuple[int, ...]) -> str:
        return f"for the {self.parts[place[0]]}, colour {place[1] + 1}"


def _is_near(one: Tensor, other: Tensor | float) -> bool:
    """The same within rounding."""
    return bool((one - other).abs().max() < 1e-3)


def _shares(cold: Tensor, warm: Tensor) -> Tensor:
    """How often each colour has the largest weight, and its mean weight, cold and warm: (4, K)."""
    both = torch.stack([plain(cold), plain(warm)])
    colours = both.shape[2]
    largest = torch.nn.functional.one_hot(both.argmax(dim=2), colours).float()
    return torch.cat([largest.mean(dim=(1, 2, 3)), both.mean(dim=(1, 3, 4))])


def _sums_in_words(axes: list[int]) -> str:
    if not axes:
        return "weights that sum to 1 along no axis"
    return f"weights that sum to 1 along axis {' and '.join(map(str, axes))}"


KIND = ChoicesCase
