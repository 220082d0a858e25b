"""A step of two optimisers in turn, on two numbers whose losses depend on both of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distillery.course.case import Case, Form, Words
from distillery.course.observe import (
    Observation,
    UnreadableError,
    is_list,
    is_text,
    picked,
    plain,
    same_bits,
    tensor_facts,
)
from distillery.course.record import LONGEST_NAME, Facts, Function, Tensors, copied, type_name

MOST_EVENTS = 60


@dataclass(frozen=True)
class AlternationCase(Case):
    """`values` has "steps", of both optimisers the class and how many groups of parameters they
    have, and of both numbers "start", "stale" and "learning_rates".

    The value is (3, steps): both numbers and what was returned, after every step.
    """

    kind = "alternation"

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        names = ("optimiser", "groups", "start", "stale", "learning_rates")
        losses = _CoupledLosses(**{name: self.values[name] for name in names})
        trajectory: list[Tensor] = []
        facts: Facts = {}
        tensors: Tensors = {}
        for _ in range(self.values["steps"]):
            result = function(losses.particle_loss, losses.lora_loss, *losses.optimisers)
            if not isinstance(result, Tensor):
                return {"type": type_name(result)}, {}
            if not trajectory:
                tensors["result"] = copied(result)
                facts = {"type": "Tensor", "graph": result.requires_grad}
                facts["events"] = losses.events[:MOST_EVENTS]
            if result.shape != ():
                return facts, tensors
            trajectory.append(torch.stack([*losses.numbers, result]).detach())
        return facts, tensors | {"trajectory": torch.stack(trajectory, dim=1)}

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        result, trajectory = tensors["result"], tensors.get("trajectory")
        facts = tensor_facts(result, reported) | picked(reported, "graph", "events")
        if trajectory is None:
            return Observation(facts)
        # What the first step returned is in both.
        is_same = same_bits(trajectory[2, 0], result)
        if trajectory.shape != (3, self.values["steps"]) or not is_same:
            raise UnreadableError
        return Observation(facts, plain(trajectory))

    def forms(self) -> dict[str, Form]:
        def is_name(event: object) -> bool:
            return is_text(event, LONGEST_NAME)

        return super().forms() | {"events": lambda fact: is_list(fact, is_name, MOST_EVENTS)}

    def words(self) -> dict[str, Words]:
        return super().words() | {"events": ", ".join}

    def where(self, place: tuple[int, ...]) -> str:
        return f"for the {self.parts[place[0]]} after step {place[1] + 1}"


class _CoupledLosses:
    """Two numbers with a loss each, and both losses depend on both numbers.

    The first stands for pictures, the second for the weights of a LoRA. Each is the sum of as many
    parameters as its optimiser has groups. They start with stale gradients, as after an earlier
    step. `events` lists what happened, in order.
    """

    def __init__(
        self,
        optimiser: str,
        groups: int,
        start: list[float],
        stale: list[float],
        learning_rates: list[float],
    ) -> None:
        self.events: list[str] = []
        self._sides = [
            [torch.tensor(value / groups, requires_grad=True) for _ in range(groups)]
            for value in start
        ]
        self.optimisers = []
        names = ("particle_optimiser.step", "lora_optimiser.step")
        for name, side, gradient, lr in zip(names, self._sides, stale, learning_rates, strict=True):
            for number in side:
                number.grad = torch.tensor(gradient)
            steps = getattr(torch.optim, optimiser)([{"params": [one]} for one in side], lr)
            steps.register_step_post_hook(lambda *_, name=name: self.events.append(name))
            self.optimisers.append(steps)

    @property
    def numbers(self) -> list[Tensor]:
        return [torch.stack(side).sum() for side in self._sides]

    def particle_loss(self) -> Tensor:
        self.events.append("particle_loss")
        particle, lora = self.numbers
        return (particle - 2 * lora).square() + particle

    def lora_loss(self) -> Tensor:
        self.events.append("lora_loss")
        particle, lora = self.numbers
        return 0.5 * (lora - particle).square() + 0.1 * (lora + particle).square()


KIND = AlternationCase
