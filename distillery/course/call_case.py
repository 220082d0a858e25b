"""Cases whose function is called on all its arguments at once, networks among them."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from distillery.core.counting import counted
from distillery.course.case import Case, Form, SideCondition, Words
from distillery.course.functions import named
from distillery.course.observe import is_integer, is_list, plain
from distillery.course.record import Facts, Function, Tensors, copied
from distillery.models.exact import GaussianDenoiser, GaussianMixturePrior
from distillery.models.prior import Condition, Control
from distillery.models.schedule import scaled_linear_alphas_cumprod


@dataclass(frozen=True)
class CallCase(Case):
    """The inputs of a function that is called on all of them at once.

    triples:    name -> names of the members of an argument that is a named tuple; its tensor holds
                them one after the other.
    controls:   kind, scale and window of each of `controls`; their pictures are its tensor.
    prompts:    those that are conditions, as prompts for the exact prior.
    regions:    condition -> how much likelier the first component of the exact prior is for it in
                the left half of the picture.
    mixture:    means (K, C, h, w), std and names of the exact prior that `prior` stands for; where
                its noise schedule is not the usual one, also "power".
    denoiser:   means, std and kind of the exact denoiser that `lora` stands for.
    lora_called: what sentences call that argument, where the contract has another name for it.
    with_graph: the arguments that arrive with a graph.
    functions:  those that are functions, each by its name in `distillery.course.functions` and its
                settings.
    """

    side_conditions: ClassVar[dict[str, SideCondition]] = Case.side_conditions | {
        # A network called more often than needed.
        "calls": lambda wanted, came: came > wanted,
        "lora_calls": lambda wanted, came: came[0] > wanted[0] and came[1] >= wanted[1],
        "loss_calls": lambda wanted, came: came > wanted,
        "predict_calls": lambda wanted, came: came > wanted,
    }

    triples: dict[str, list[str]] = field(default_factory=dict)
    controls: list[dict[str, Any]] = field(default_factory=list)
    prompts: dict[str, list[str]] = field(default_factory=dict)
    regions: dict[str, float] = field(default_factory=dict)
    mixture: dict[str, Any] = field(default_factory=dict)
    denoiser: dict[str, Any] = field(default_factory=dict)
    lora_called: str = "the LoRA"
    with_graph: tuple[str, ...] = ()
    functions: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def _is_renamed(self) -> bool:
        return self.lora_called != CallCase.lora_called

    def network_called(self, network: str) -> str:
        """What a sentence calls "prior" or "lora": the contract's name of the argument."""
        return self.lora_called if network == "lora" and self._is_renamed else network

    @property
    def alphas_cumprod(self) -> Tensor:
        """The noise levels of its networks, float32 (T,)."""
        return scaled_linear_alphas_cumprod().float() ** self.mixture.get("power", 1.0)

    def fresh(self) -> dict[str, Any]:
        """All arguments by name. They share no memory with the case or with earlier calls."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.values.items()
        }
        if self.mixture:
            prior = CountingPrior(**self.mixture)
            given["prior"] = prior
            given |= {name: self._condition(prior, name) for name in self.prompts}
        if self.denoiser:
            given["lora"] = CountingDenoiser(**self.denoiser)
        given |= {name: named(settings) for name, settings in self.functions.items()}
        given |= {name: self._from_tensor(name) for name in self.tensors}
        return {name: given[name] for name in self.arguments}

    def refilled(self, function: Function) -> tuple[dict[str, Any], Any]:
        """All arguments, in objects that held other numbers in a call, and the result of that call.

        A function that keeps results by the objects that it was given returns it again. The other
        numbers are the same in another order: the pictures, colours or timesteps move on by one.
        """
        arguments = self.fresh()
        given = [its for its in arguments.values() if isinstance(its, Tensor) and its.dim()]
        before = [its.detach().clone() for its in given]
        with torch.no_grad():
            for its in given:
                its.copy_(its.roll(1, 0))
        earlier = function(*arguments.values())
        with torch.no_grad():
            for its, numbers in zip(given, before, strict=True):
                its.copy_(numbers)
        return arguments, earlier

    def _condition(self, prior: CountingPrior, name: str) -> Condition:
        condition = prior.embed(self.prompts[name])
        if name not in self.regions:
            return condition
        bias = torch.zeros(len(condition), 1, *prior.latent_size)
        bias[..., : prior.latent_size[1] // 2] = self.regions[name]
        return replace(condition, attention_bias=bias)

    def _from_tensor(self, name: str) -> Any:
        tensor = self.tensors[name].clone()
        if name in self.triples:
            return namedtuple(name.capitalize(), self.triples[name])(*tensor)
        if name == "controls":
            pairs = zip(tensor, self.controls, strict=True)
            return [Control(image=image, **rest) for image, rest in pairs]
        if name not in self.with_graph:
            return tensor
        # A canvas hands over latents that are not leaves; so does the check.
        given = tensor.requires_grad_().clone()
        given.retain_grad()  # a `backward` of the function's own can be seen
        return given

    def seen_in(self, arguments: dict[str, Any]) -> Facts:
        """What a call left in its arguments: which of them changed, and the calls of networks."""
        facts: Facts = {"changed": self._changed(arguments)}
        if "prior" in arguments:
            facts["calls"] = arguments["prior"].calls
        if "lora" in arguments:
            facts["lora_calls"] = [arguments["lora"].calls, arguments["lora"].latents]
        facts |= {fact: arguments[name].calls for name, fact in CALLS.items() if name in arguments}
        return facts

    def asked_in(self, arguments: dict[str, Any]) -> Tensors:
        """What the networks among the arguments were asked, and what they answered."""
        return {
            f"{network}/{name}": copied(torch.stack(rows))
            for network in NETWORKS
            if network in arguments
            for name, rows in arguments[network].questions.rows.items()
            if rows and len({one.shape for one in rows}) == 1
        }

    def asked(self, tensors: Tensors) -> Tensors:
        """What is recorded of these questions, of each network that has all parts of them."""
        found: Tensors = {}
        for network in NETWORKS:
            names = [f"{network}/{name}" for name in ASKED]
            if not all(name in tensors for name in names):
                continue
            xt, t, tokens, answers = (tensors[name] for name in names)
            its = self.mixture if network == "prior" else self.denoiser
            one_form = answers.shape == xt.shape and t.shape == xt.shape[:1]
            fits = bool(its) and xt.shape[1:] == its["means"].shape[1:]
            if one_form and fits and tokens.dim() > 1 and len(tokens) == len(xt) <= MOST_ASKED:
                found |= {name: plain(tensors[name]) for name in names}
        return found

    def _changed(self, arguments: dict[str, Any]) -> list[str]:
        changed = []
        for name, before in self.tensors.items():
            now = arguments[name]
            if name == "controls":
                now = tuple(control.image for control in now)
            now = torch.stack(now) if isinstance(now, tuple) else now
            # As by detach_(), which takes the argument's own graph away.
            has_lost_graph = name in self.with_graph and not now.requires_grad
            # A hook stays, and changes the gradients of every other loss too.
            has_hook = bool(now._backward_hooks)
            if has_lost_graph or has_hook or not torch.equal(now, before):
                changed.append(name)
        for name in self.prompts:
            given = self._condition(CountingPrior(**self.mixture), name)
            if not _same_condition(arguments[name], given):
                changed.append(name)
        return changed

    def forms(self) -> dict[str, Form]:
        names = {*self.tensors, *self.prompts}
        forms: dict[str, Form] = {
            "changed": lambda fact: is_list(fact, names.__contains__, len(names)),
            "calls": is_integer,
            "lora_calls": lambda fact: is_list(fact, is_integer, 2) and len(fact) == 2,
            **dict.fromkeys(CALLS.values(), is_integer),
        }
        absent = {
            "calls": not self.mixture,
            "lora_calls": not self.denoiser,
            **{fact: name not in self.functions for name, fact in CALLS.items()},
        }
        return super().forms() | {n: form for n, form in forms.items() if not absent.get(n)}

    def words(self) -> dict[str, Words]:
        return super().words() | {
            "kept": (
                "what an earlier call returned, when the same tensors held other numbers",
                "a result of its own for every call",
            ),
            "calls": lambda calls: f"{counted(calls, 'call')} to prior.predict_noise",
            "lora_calls": partial(_lora_calls, self.lora_called),
            "loss_calls": lambda calls: f"{counted(calls, 'call')} to loss_of",
            "predict_calls": lambda calls: f"{counted(calls, 'call')} to predict",
        }

    def stored_facts(self) -> Facts:
        return {
            "kind": self.kind,
            "arguments": list(self.arguments),
            "triples": self.triples,
            "controls": self.controls,
            "values": self.values,
            "prompts": self.prompts,
            "regions": self.regions,
            "mixture": _without_means(self.mixture),
            "denoiser": _without_means(self.denoiser),
            **({"lora_called": self.lora_called} if self._is_renamed else {}),
            "with_graph": list(self.with_graph),
            "functions": self.functions,
        } | super().stored_facts()

    def stored_tensors(self) -> Tensors:
        networks = {"prior/means": self.mixture, "lora/means": self.denoiser}
        return super().stored_tensors() | {
            name: network["means"] for name, network in networks.items() if network
        }

    @classmethod
    def restored(cls, facts: Facts, tensors: Tensors) -> Self:
        facts = facts | {"with_graph": tuple(facts.get("with_graph", ()))}
        for network, means in (("mixture", "prior/means"), ("denoiser", "lora/means")):
            if network in facts:
                facts[network] = facts[network] | {"means": tensors[means]}
        return super().restored(facts, tensors)


def _without_means(network: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in network.items() if name != "means"}


def _same_condition(one: Condition, other: Condition) -> bool:
    pairs = ((getattr(one, its.name), getattr(other, its.name)) for its in fields(Condition))
    return all(
        a is b if a is None or b is None else a.shape == b.shape and torch.equal(a, b)
        for a, b in pairs
    )


def leaks_in_words(names: list[str], learner: str) -> str:
    """Which arguments beside the one that learns got a gradient."""
    if names:
        return f"a gradient for {' and '.join(names)} too"
    return f"a gradient for {learner} only"


def _lora_calls(called: str, both: list[int]) -> str:
    calls, latents = both
    return f"{counted(calls, 'call')} to {called}, for {latents} latents in all"


CALLS = {"loss_of": "loss_calls", "predict": "predict_calls"}  # of functions that are handed over
NETWORKS = ("prior", "lora")
ASKED = ("xt", "t", "tokens", "answers")  # of a latent that a network is asked about
MOST_ASKED = 32  # latents


class Questions:
    """What a network is asked and answers, a row for each latent and condition."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Tensor]] = {name: [] for name in ASKED}

    def add(
        self, xt: Tensor, t: Tensor, conditions: Sequence[Condition], answers: Sequence[Tensor]
    ) -> None:
        for condition, answer in zip(conditions, answers, strict=True):
            # The tokens are logarithms of weights, some of them of zero.
            parts = (xt, t, condition.tokens.exp().float(), answer)
            for name, part in zip(ASKED, parts, strict=True):
                room = MOST_ASKED - len(self.rows[name])
                self.rows[name] += part.detach().clone()[:room].unbind()


class CountingPrior(GaussianMixturePrior):
    """The exact prior. It counts the calls of its network and keeps what they asked.

    asked: the conditions of all calls.
    power: of alpha_bar; with another one than 1 the noise schedule is another one.
    """

    calls = 0
    asked: tuple[Condition, ...] = ()

    def __init__(self, *args: Any, power: float = 1.0, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.alphas_cumprod = self.alphas_cumprod**power
        self.questions = Questions()

    def embed(self, prompts: Sequence[str]) -> Condition:
        """As the exact prior, with a pooled vector that differs from prompt to prompt."""
        condition = super().embed(prompts)
        return replace(condition, pooled=condition.tokens[:, 0].exp().float())

    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, controls: Sequence[Control] = ()
    ) -> tuple[Tensor, ...]:
        self.calls += 1
        self.asked += conditions
        answers = super().predict_noise(xt, t, *conditions, controls=controls)
        self.questions.add(xt, t, conditions, answers)
        return answers


class CountingDenoiser(GaussianDenoiser):
    """The exact denoiser. It counts the calls of its network and the latents in all of them."""

    calls = 0
    latents = 0

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.questions = Questions()

    def _eps(self, xt: Tensor, t: Tensor, condition: Condition) -> Tensor:
        self.calls += 1
        self.latents += len(xt)
        answer = super()._eps(xt, t, condition)
        self.questions.add(xt, t, [condition], [answer])
        return answer
