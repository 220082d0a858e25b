"""What happens inside: a function is called on a case's inputs, and what it does is written down.

A student's code may run in the same process, so nothing is judged here. `record` writes down what
came out as plain JSON and plain arrays, and `distillery.course.observe.conclude` draws the
conclusions from them, in another process where there is reason to.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from distillery.models.exact import GaussianDenoiser, GaussianMixturePrior
from distillery.models.prior import Condition, Control

TOLERANCE = 1e-4  # of the largest value wanted; float32 in any order of operations stays far below
SEED = 20  # of the generators that a check hands out
DRAWS = 8400
PULL = 5.0  # makes the gradient of weights about as large as the weights, to be seen beside them
WEIGHTS = (2, 80, 150)  # pictures, height and width of the weights that are drawn
LARGEST = 2_000_000  # numbers in an array that is written down; every task's are far fewer
LONGEST_NAME = 60  # characters of the name of a type
MOST_EVENTS = 60
DTYPES = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool, torch.uint8),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
}

Facts = dict[str, Any]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Recording:
    """What one function did with one case's inputs, before anybody judges it.

    facts:   plain JSON: the type of what came out and what only the process itself can see, such as
             how often a network was called.
    tensors: what came out of the calls, as it came: "result" of the first, "again" of the second
             with the same arguments, and more by the kind of the case.
    """

    facts: Facts
    tensors: Tensors


@dataclass(frozen=True)
class Case:
    """The inputs of one task.

    kind:        "value" (a tensor is returned, or a tuple of some), "gradient" (a scalar is, whose
                 gradient with respect to `learns` counts), "passage" (a tensor of the shape of the
                 first argument is returned, and both it and its gradient count), "draws" (a
                 sampler of timesteps), "choices" (one of weights) or "alternation" (a step of two
                 optimisers in turn).
    arguments:   their names, in the order of the signature.
    tensors:     those that are tensors.
    triples:     name -> names of the members of an argument that is a named tuple; its tensor
                 holds them one after the other.
    controls:    kind, scale and window of each of `controls`; their pictures are its tensor.
    values:      those that are plain numbers.
    prompts:     those that are conditions, as prompts for the exact prior.
    mixture:     means (K, C, h, w), std and names of the exact prior that `prior` stands for.
    denoiser:    means, std and kind of the exact denoiser that `lora` stands for.
    with_graph:  the arguments that arrive with a graph; none but `learns` may get a gradient.
    learns:      the argument whose gradient counts; "lora" means its weights.
    loss_counts: the scalar is prescribed too.
    parts:       names along the first axis of the value, where that is no batch.
    tolerance:   the part of the largest value that a difference may have.
    """

    kind: str
    arguments: tuple[str, ...]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    triples: dict[str, list[str]] = field(default_factory=dict)
    controls: list[dict[str, Any]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, list[str]] = field(default_factory=dict)
    mixture: dict[str, Any] = field(default_factory=dict)
    denoiser: dict[str, Any] = field(default_factory=dict)
    with_graph: tuple[str, ...] = ()
    learns: str = ""
    loss_counts: bool = False
    parts: tuple[str, ...] = ()
    tolerance: float = TOLERANCE

    def fresh(self) -> dict[str, Any]:
        """All arguments by name, no memory shared with the case or with other calls."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.values.items()
        }
        if self.mixture:
            prior = CountingPrior(**self.mixture)
            given["prior"] = prior
            given |= {name: prior.embed(prompts) for name, prompts in self.prompts.items()}
        if self.denoiser:
            given["lora"] = CountingDenoiser(**self.denoiser)
        given |= {name: self._from_tensor(name) for name in self.tensors}
        return {name: given[name] for name in self.arguments}

    def _from_tensor(self, name: str) -> Any:
        tensor = self.tensors[name].clone()
        if name in self.triples:
            return namedtuple(name.capitalize(), self.triples[name])(*tensor)
        if name == "controls":
            pairs = zip(tensor, self.controls, strict=True)
            return [Control(image=image, **rest) for image, rest in pairs]
        # A canvas hands over latents that are not leaves; so does the check.
        return tensor.requires_grad_().clone() if name in self.with_graph else tensor


class CountingPrior(GaussianMixturePrior):
    """The exact prior, counting the calls of its network and noting what SDXL would be told."""

    calls = 0
    asked: tuple[Condition, ...] = ()  # the conditions of the last call

    def embed(self, prompts: Sequence[str]) -> Condition:
        """As the exact prior, with a pooled vector that differs from prompt to prompt."""
        condition = super().embed(prompts)
        return replace(condition, pooled=condition.tokens[:, 0].exp().float())

    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, controls: Sequence[Control] = ()
    ) -> tuple[Tensor, ...]:
        self.calls += 1
        self.asked = conditions
        return super().predict_noise(xt, t, *conditions, controls=controls)


class CountingDenoiser(GaussianDenoiser):
    """The exact denoiser, counting the calls of its network and the latents it was asked about."""

    calls = 0
    latents = 0

    def _eps(self, xt: Tensor, t: Tensor, condition: Condition) -> Tensor:
        self.calls += 1
        self.latents += len(xt)
        return super()._eps(xt, t, condition)


def to_wire(case: Case) -> tuple[Facts, Tensors]:
    """A case as plain JSON and plain tensors; data/checks holds it in the same form."""
    facts = {
        "kind": case.kind,
        "arguments": list(case.arguments),
        "triples": case.triples,
        "controls": case.controls,
        "values": case.values,
        "prompts": case.prompts,
        "mixture": {name: value for name, value in case.mixture.items() if name != "means"},
        "denoiser": {name: value for name, value in case.denoiser.items() if name != "means"},
        "with_graph": list(case.with_graph),
        "learns": case.learns,
        "loss_counts": case.loss_counts,
        "parts": list(case.parts),
        "tolerance": case.tolerance if case.tolerance != TOLERANCE else None,
    }
    tensors = dict(case.tensors)
    for name, part in (("prior/means", case.mixture), ("lora/means", case.denoiser)):
        if part:
            tensors[name] = part["means"]
    return {name: value for name, value in facts.items() if value}, {
        name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()
    }


def from_wire(facts: Facts, tensors: Tensors) -> Case:
    """The case that `to_wire` made these of; other tensors may be among them."""
    case = dict(facts)
    for part, means in (("mixture", "prior/means"), ("denoiser", "lora/means")):
        if part in case:
            case[part] = {**case[part], "means": tensors[means]}
    for name in ("arguments", "with_graph", "parts"):
        case[name] = tuple(case.get(name, ()))
    mine = {name: tensors[name] for name in case["arguments"] if name in tensors}
    return Case(**case, tensors=mine)


def record(function: Callable[..., Any], case: Case) -> Recording:
    """Call the function on the case's inputs and write down what it does; exceptions pass."""
    kinds = {
        "value": _value,
        "gradient": _gradient,
        "passage": _passage,
        "draws": _draws,
        "choices": _choices,
        "alternation": _alternation,
    }
    with torch.enable_grad():
        facts, tensors = kinds[case.kind](function, case)
    result = tensors.get("result")
    if result is not None and not _can_be_carried(result):
        facts |= {"shape": list(result.shape), "dtype": dtype_name(result)}
    carried = {name: tensor for name, tensor in tensors.items() if _can_be_carried(tensor)}
    return Recording(facts, carried)


def _can_be_carried(tensor: Tensor) -> bool:
    return tensor.dtype in DTYPES and tensor.numel() <= LARGEST


def dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _copied(tensor: Tensor) -> Tensor:
    """The numbers as they are now; the next call may write over them."""
    return tensor.detach().cpu().clone().contiguous() if _can_be_carried(tensor) else tensor


def _type(result: Any) -> str:
    return "Tensor" if isinstance(result, Tensor) else type(result).__name__[:LONGEST_NAME]


def _value(function: Callable[..., Any], case: Case) -> tuple[Facts, Tensors]:
    arguments = case.fresh()
    kind, tensor = _stacked(function(*arguments.values()))
    facts: Facts = {"type": kind}
    if tensor is None:
        return facts, {}
    facts |= {"changed": _changed(case, arguments)} | _calls(arguments) | _told(case, arguments)
    facts["graph"] = tensor.requires_grad
    tensors = {"result": _copied(tensor)}
    again = _stacked(function(*case.fresh().values()))[1]
    return facts, tensors | ({} if again is None else {"again": _copied(again)})


def _stacked(result: Any) -> tuple[str, Tensor | None]:
    """What was returned, in a word, and as one tensor; a tuple of tensors of one shape is one."""
    if isinstance(result, Tensor):
        return "Tensor", result
    if isinstance(result, tuple | list) and all(isinstance(part, Tensor) for part in result):
        shapes = {part.shape for part in result}
        if len(shapes) == 1:
            return f"tuple of {len(result)} tensors", torch.stack(tuple(result))
    return _type(result), None


def _gradient(function: Callable[..., Any], case: Case) -> tuple[Facts, Tensors]:
    facts, tensors = _differentiated(function, case)
    if "gradient" in tensors:
        again = _differentiated(function, case)[1].get("gradient")
        tensors |= {} if again is None else {"again": again}
    return facts, tensors


def _differentiated(function: Callable[..., Any], case: Case) -> tuple[Facts, Tensors]:
    arguments = case.fresh()
    result = function(*arguments.values())
    facts: Facts = {"type": _type(result)}
    if not isinstance(result, Tensor):
        return facts, {}
    facts |= {"changed": _changed(case, arguments)} | _calls(arguments)
    tensors = {"result": _copied(result)}
    if result.shape != () or not result.requires_grad:
        return facts, tensors
    learns = case.learns or case.arguments[0]
    learner = arguments["lora"].means if learns == "lora" else arguments[learns]
    others = {name: arguments[name] for name in case.with_graph if name != learns}
    gradient, *leaked = torch.autograd.grad(result, [learner, *others.values()], allow_unused=True)
    if others:
        facts["leaks"] = [
            name
            for name, leak in zip(others, leaked, strict=True)
            if leak is not None and bool((leak != 0).any())
        ]
    return facts, tensors | ({} if gradient is None else {"gradient": _copied(gradient)})


def _passage(function: Callable[..., Any], case: Case) -> tuple[Facts, Tensors]:
    facts, tensors = _through(function, case)
    if "gradient" in tensors:
        again = _through(function, case)[1]
        names = {"result": "again", "gradient": "gradient again"}
        tensors |= {names[name]: tensor for name, tensor in again.items()}
    return facts, tensors


def _through(function: Callable[..., Any], case: Case) -> tuple[Facts, Tensors]:
    """What comes out, and the gradient that a pull at it brings in."""
    arguments = case.fresh()
    learner = arguments[case.arguments[0]]
    result = function(*arguments.values())
    facts: Facts = {"type": _type(result)}
    if not isinstance(result, Tensor):
        return facts, {}
    facts |= {"changed": _changed(case, arguments), "graph": result.requires_grad}
    tensors = {"result": _copied(result)}
    if result.shape != learner.shape or not result.requires_grad:
        return facts, tensors
    pull = torch.randn(result.shape, generator=seeded())
    (gradient,) = torch.autograd.grad((PULL * pull * result).sum(), learner, allow_unused=True)
    return facts, tensors | ({} if gradient is None else {"gradient": _copied(gradient)})


def _changed(case: Case, arguments: dict[str, Any]) -> list[str]:
    """The tensors that are no longer what they were."""
    changed = []
    for name, before in case.tensors.items():
        now = arguments[name]
        if name == "controls":
            now = tuple(control.image for control in now)
        if not torch.equal(torch.stack(now) if isinstance(now, tuple) else now, before):
            changed.append(name)
    return changed


def _calls(arguments: dict[str, Any]) -> dict[str, Any]:
    """How often the networks were asked; of the LoRA also for how many latents in all."""
    facts: dict[str, Any] = {}
    if "prior" in arguments:
        facts["calls"] = arguments["prior"].calls
    if "lora" in arguments:
        facts["lora_calls"] = [arguments["lora"].calls, arguments["lora"].latents]
    return facts


def _told(case: Case, arguments: dict[str, Any]) -> dict[str, Any]:
    """What SDXL was told beside the words, in the last call of the network."""
    if "size" not in case.arguments:
        return {}
    told = {}
    for asked in arguments["prior"].asked:
        for name in case.prompts:
            if torch.equal(asked.tokens, arguments[name].tokens):
                told[name] = _size_in_words(asked) + _pooled_in_words(asked, arguments[name])
    return {"told": told}


def _size_in_words(condition: Condition) -> str:
    numbers = condition.time_ids
    if numbers is None:
        return "nothing"
    if numbers.shape != (len(condition), 6):
        return f"numbers of shape {tuple(numbers.shape)}"
    rows = {", ".join(f"{number:g}" for number in row) for row in numbers.tolist()}
    return rows.pop() if len(rows) == 1 else "other numbers for each picture"


def _pooled_in_words(asked: Condition, given: Condition) -> str:
    if asked.pooled is None or given.pooled is None:
        return " and no pooled vector"
    return "" if torch.equal(asked.pooled, given.pooled) else " and the pooled vector of another"


class _Contest:
    """Two numbers with a loss each, and both losses depend on both numbers.

    The particle stands for pictures, the other for the weights of a LoRA. Each carries a gradient
    from before. `events` says what happened, in order.
    """

    def __init__(self, start: list[float], stale: list[float], learning_rates: list[float]) -> None:
        self.events: list[str] = []
        self.numbers = [torch.tensor(value, requires_grad=True) for value in start]
        self.optimisers = []
        whose = ("particle_optimiser.step", "lora_optimiser.step")
        for name, number, gradient, lr in zip(
            whose, self.numbers, stale, learning_rates, strict=True
        ):
            number.grad = torch.tensor(gradient)
            optimiser = torch.optim.SGD([number], lr)
            optimiser.register_step_post_hook(lambda *_, name=name: self.events.append(name))
            self.optimisers.append(optimiser)

    def particle_loss(self) -> Tensor:
        self.events.append("particle_loss")
        particle, lora = self.numbers
        return (particle - 2 * lora).square() + particle

    def lora_loss(self) -> Tensor:
        self.events.append("lora_loss")
        particle, lora = self.numbers
        return 0.5 * (lora - particle).square() + 0.1 * (lora + particle).square()


def _alternation(function: Callable[..., Any], case: Case) -> tuple[Facts, Tensors]:
    """Some steps of both numbers, and what they returned: (3, steps)."""
    contest = _Contest(**{name: case.values[name] for name in ("start", "stale", "learning_rates")})
    trajectory: list[Tensor] = []
    facts: Facts = {}
    tensors: Tensors = {}
    for _ in range(case.values["steps"]):
        result = function(contest.particle_loss, contest.lora_loss, *contest.optimisers)
        if not isinstance(result, Tensor):
            return {"type": _type(result)}, {}
        if not trajectory:
            tensors["result"] = _copied(result)
            facts = {"type": "Tensor", "graph": result.requires_grad}
            facts["events"] = contest.events[:MOST_EVENTS]
        if result.shape != ():
            return facts, tensors
        trajectory.append(torch.stack([*contest.numbers, result]).detach())
    return facts, tensors | {"trajectory": torch.stack(trajectory, dim=1)}


def seeded() -> torch.Generator:
    """A generator as every check hands it out."""
    return torch.Generator().manual_seed(SEED)


def _draws(function: Callable[..., Any], case: Case) -> tuple[Facts, Tensors]:
    """A sampler at the first and at the last step of a run, and at those in `between`."""
    steps = case.values["steps"]
    bounds = {n: value for n, value in case.values.items() if n not in ("steps", "between")}

    def draw(generator: torch.Generator, step: int) -> Any:
        return function(DRAWS, step, steps, **bounds, generator=generator)

    generator, shared_before = seeded(), torch.get_rng_state()
    plan = {"result": (generator, 0), "second": (generator, 0), "again": (seeded(), 0)}
    plan["last"] = (seeded(), steps - 1)
    plan |= {f"at {step}": (seeded(), step) for step in case.values.get("between", ())}
    facts: Facts = {"type": "Tensor"}
    tensors: Tensors = {}
    for name, (its, step) in plan.items():
        t = draw(its, step)
        if not isinstance(t, Tensor):
            return {"type": _type(t)}, {}
        tensors[name] = _copied(t)
        if t.shape != (DRAWS,):
            break
        if name == "again":
            facts["untouched"] = torch.equal(torch.get_rng_state(), shared_before)
    return facts, tensors


def _choices(function: Callable[..., Any], case: Case) -> tuple[Facts, Tensors]:
    """A sampler of weights at two temperatures, with the same logits at every pixel."""
    pictures, *size = WEIGHTS
    logits = case.tensors["logits"].expand(pictures, -1, *size)
    cold, warm = case.values["taus"]
    generator, shared_before = seeded(), torch.get_rng_state()
    begun = generator.get_state()
    facts: Facts = {"type": "Tensor"}
    tensors: Tensors = {}
    plan = {"result": (generator, cold), "second": (generator, cold), "again": (seeded(), cold)}
    for name, (its, tau) in (plan | {"warm": (seeded(), warm)}).items():
        given = logits.clone().requires_grad_().clone()
        weights = function(given, tau, its)
        if not isinstance(weights, Tensor):
            return {"type": _type(weights)}, {}
        tensors[name] = _copied(weights)
        if weights.shape != logits.shape:
            break
        if name == "result":
            facts["changed"] = _changed(case, {"logits": given[:1, :, :1, :1]})
            facts["graph"] = weights.requires_grad
            facts["drawn"] = not torch.equal(generator.get_state(), begun)
    facts["untouched"] = torch.equal(torch.get_rng_state(), shared_before)
    return facts, tensors
