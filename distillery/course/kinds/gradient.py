"""A function that returns a scalar: its gradient counts, and the scalar itself where it is set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from distillery.course.call_case import CallCase, leaks_in_words
from distillery.course.case import Form, SideCondition, Words
from distillery.course.observe import (
    Observation,
    UnreadableError,
    is_bool,
    is_list,
    picked,
    plain,
    same_bits,
    tensor_facts,
)
from distillery.course.record import Facts, Function, Tensors, copied, type_name


@dataclass(frozen=True)
class GradientCase(CallCase):
    """A loss. None of the arguments `with_graph` but `learns` may get a gradient.

    learns:      the argument whose gradient counts, by default the first; "lora" means its weights.
    loss_counts: the scalar itself is compared too.
    """

    kind = "gradient"
    side_conditions: ClassVar[dict[str, SideCondition]] = CallCase.side_conditions | {
        "leaks": lambda wanted, came: came and not wanted,  # a gradient for a constant too
    }

    learns: str = ""
    loss_counts: bool = False

    @property
    def learner(self) -> str:
        return self.learns or self.arguments[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return ()

    def scalar(self, result: Tensor) -> Tensor:
        """What is differentiated of a result of that shape."""
        return result

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        arguments = self.fresh()
        facts, tensors = self._differentiated(function(*arguments.values()), arguments)
        if "gradient" not in tensors:
            return facts, tensors
        arguments, earlier = self.refilled(function)
        result = function(*arguments.values())
        facts["kept"] = result is earlier
        if not facts["kept"]:
            again = self._differentiated(result, arguments)[1].get("gradient")
            tensors |= {} if again is None else {"again": again}
        return facts, tensors

    def _differentiated(self, result: Any, arguments: dict[str, Any]) -> tuple[Facts, Tensors]:
        facts: Facts = {"type": type_name(result), "backward": self._had_backward(arguments)}
        if not isinstance(result, Tensor):
            return facts, {}
        facts |= self.seen_in(arguments)
        tensors = {"result": copied(result)} | self.asked_in(arguments)
        # After a `backward` of its own the graph may be gone.
        if result.shape != self.shape or not result.requires_grad or facts["backward"]:
            return facts, tensors
        gradient, leaks = self._gradient(self.scalar(result), arguments)
        facts |= leaks
        return facts, tensors | ({} if gradient is None else {"gradient": copied(gradient)})

    def _had_backward(self, arguments: dict[str, Any]) -> bool:
        """Whether the function called `backward` itself, which leaves a gradient behind."""
        given = [arguments[name] for name in self.with_graph]
        if "lora" in arguments:
            given += arguments["lora"].parameters()
        return any(tensor.grad is not None for tensor in given)

    def _gradient(
        self, loss: Tensor, arguments: dict[str, Any]
    ) -> tuple[Tensor | None, dict[str, list[str]]]:
        """The gradient for the learner, and which of the others got one that is not zero."""
        name = self.learner
        learner = arguments["lora"].means if name == "lora" else arguments[name]
        names = [name for name in self.with_graph if name != self.learner]
        # Where the function has taken an argument's graph away, there is nothing to ask.
        if not learner.requires_grad:
            return None, {"leaks": []} if names else {}
        others = {name: arguments[name] for name in names if arguments[name].requires_grad}
        gradient, *leaked = torch.autograd.grad(
            loss, [learner, *others.values()], allow_unused=True
        )
        if not names:
            return gradient, {}
        pairs = zip(others, leaked, strict=True)
        leaks = [name for name, leak in pairs if leak is not None and bool((leak != 0).any())]
        return gradient, {"leaks": leaks}

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        result, gradient = tensors["result"], tensors.get("gradient")
        facts = tensor_facts(result, reported)
        facts |= picked(reported, "backward", "changed", "calls", "lora_calls")
        facts["reaches"] = gradient is not None
        facts |= picked(reported, "leaks")
        if gradient is None:
            return Observation(facts, asked=self.asked(tensors))
        name = self.learner
        learner = self.denoiser["means"] if name == "lora" else self.tensors[name]
        if result.shape != self.shape or gradient.shape != learner.shape:
            raise UnreadableError
        facts["finite_gradient"] = bool(gradient.isfinite().all())
        facts |= picked(reported, "kept")
        facts["repeatable"] = same_bits(gradient, tensors.get("again"))
        loss = plain(result) if self.loss_counts else None
        return Observation(facts, plain(gradient), loss, asked=self.asked(tensors))

    def forms(self) -> dict[str, Form]:
        names, most = set(self.with_graph), len(self.tensors)
        return super().forms() | {
            "backward": is_bool,
            "kept": is_bool,
            "leaks": lambda fact: is_list(fact, names.__contains__, most),
        }

    def words(self) -> dict[str, Words]:
        learner = f"{self.lora_called}'s weights" if self.learner == "lora" else self.learner
        return super().words() | {
            "backward": (
                "a loss on which backward was called already",
                "a loss on which backward is still to be called",
            ),
            "reaches": (
                f"a loss with a gradient for {learner}",
                f"a loss without a gradient for {learner}: it does not depend on {learner}, or the "
                "graph is cut",
            ),
            "leaks": lambda names: leaks_in_words(names, learner),
        }

    def stored_facts(self) -> Facts:
        own = {"learns": self.learns, "loss_counts": self.loss_counts}
        return super().stored_facts() | own

    def what(self, place: tuple[int, ...]) -> str:
        return "a gradient of "


KIND = GradientCase
