"""What a function does with stored inputs, as plain data: the ground that every check stands on.

`data/checks/<stage>.json` and `.safetensors` hold, for every task, the inputs, what a right answer
does with them and what each known misconception does with them. No answer, right or wrong, is in
there.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from distillery.course import course_root
from distillery.errors import CourseError
from distillery.exact import GaussianDenoiser, GaussianMixturePrior
from distillery.prior import Condition, Control

TOLERANCE = 1e-4  # of the largest value wanted; float32 in any order of operations stays far below
SEED = 20  # of the generators that a check hands out
DRAWS = 8400
PULL = 5.0  # makes the gradient of weights about as large as the weights, to be seen beside them
WEIGHTS = (2, 80, 150)  # pictures, height and width of the weights that are drawn
# Chi-square over 21 values: a fair sampler stays below 60 in all but one of 100,000 cases, and one
# that rounds, so that both ends come half as often, lies near 200.
UNIFORM_BELOW = 60.0


@dataclass(frozen=True)
class Observation:
    """One function on one task's inputs.

    facts:     name -> JSON value, in the order in which they are judged.
    value:     what is compared with a tolerance, float32, or None.
    loss:      the scalar itself, float32 (), where it is prescribed as its gradient is.
    tolerance: the part of the largest value that a difference may have.
    """

    facts: dict[str, Any]
    value: Tensor | None = None
    loss: Tensor | None = None
    tolerance: float = TOLERANCE

    def equals(self, other: Observation) -> bool:
        """The same facts and, unless the value changes from call to call, the same value."""
        if self.facts != other.facts:
            return False
        if not self.facts.get("repeatable", True):
            return True
        return self.near(other) and close(self.loss, other.loss)

    def near(self, other: Observation) -> bool:
        """The same value, as far as both may differ."""
        return close(self.value, other.value, max(self.tolerance, other.tolerance))


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer. The sentence goes on from "this is what you get when"."""

    name: str
    sentence: str
    observation: Observation


@dataclass(frozen=True)
class Accepted:
    """One of several right values. The sentence goes on from "right, with"."""

    sentence: str
    value: Tensor


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


@dataclass(frozen=True)
class Task:
    """Everything stored about one task.

    accepted: where several values are right, all of them, that of `wanted` among them.
    uses:     the other tasks of the stage that its function calls.
    """

    name: str
    number: int
    notebook: str
    case: Case
    wanted: Observation
    misconceptions: tuple[Misconception, ...]
    accepted: tuple[Accepted, ...] = ()
    uses: tuple[str, ...] = ()

    def matching(self, came: Observation) -> Accepted | None:
        """The accepted value that came, the nearest of them where several are near."""
        value = came.value
        if value is None or came.facts != self.wanted.facts:
            return None
        near = [one for one in self.accepted if close(value, one.value, came.tolerance)]
        return min(near, key=lambda one: float((value - one.value).abs().max()), default=None)

    def passes(self, came: Observation) -> bool:
        """Whether that is what a right answer does."""
        return came.equals(self.wanted) or self.matching(came) is not None


def close(one: Tensor | None, other: Tensor | None, tolerance: float = TOLERANCE) -> bool:
    """Both absent, or of one shape and apart by no more than that part of the largest value."""
    if one is None or other is None:
        return one is other
    if one.shape != other.shape:
        return False
    largest = max(float(other.abs().max()), 1e-3)
    return bool((one - other).abs().max() <= tolerance * largest)


def split_task(task: str) -> tuple[str, str]:
    """ "sds.sds_grad" -> ("sds", "sds_grad").

    Raises:
        CourseError: there is not one dot between two names.
    """
    stage, dot, function = task.partition(".")
    if not (dot and stage.isidentifier() and function.isidentifier()):
        raise CourseError(f"a task is named like sds.sds_grad; {task!r} is not.")
    return stage, function


def task_names(stage: str) -> list[str]:
    """The functions that a stage checks, in the order of its notebook."""
    return list(_stored(stage)["tasks"])


def load_task(task: str) -> Task:
    """Read what is stored about "stage.function".

    Raises:
        CourseError: there is no such task, or its data cannot be read.
    """
    stage, function = split_task(task)
    stored = _stored(stage)
    if function not in stored["tasks"]:
        raise CourseError(
            f"stage {stage} has no task {function}; it has {_listed(stored['tasks'])}."
        )
    facts = stored["tasks"][function]
    tensors = _read_tensors(stage)
    tensors |= {name: tensors[same] for name, same in stored.get("same", {}).items()}
    prefix = f"{function}/"
    mine = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    return Task(
        name=task,
        number=facts["number"],
        notebook=stored["notebook"],
        case=_case(facts, mine, tensors),
        wanted=_observation(facts["wanted"], mine, "wanted"),
        misconceptions=tuple(
            Misconception(
                name,
                wrong["sentence"],
                _observation(_all_facts(facts["wanted"], wrong), mine, f"wrong/{name}"),
            )
            for name, wrong in facts["misconceptions"].items()
        ),
        accepted=_accepted(facts.get("accepted", []), mine),
        uses=tuple(facts.get("uses", ())),
    )


def _observation(facts: dict[str, Any], mine: dict[str, Tensor], name: str) -> Observation:
    return Observation(facts, mine.get(name), mine.get(f"{name}/loss"))


def _all_facts(wanted: dict[str, Any], wrong: dict[str, Any]) -> dict[str, Any]:
    """Stored are those that differ from the wanted ones; null are those that there are not."""
    facts = wanted | wrong.get("facts", {})
    return {name: fact for name, fact in facts.items() if fact is not None}


def _accepted(sentences: list[str], mine: dict[str, Tensor]) -> tuple[Accepted, ...]:
    if not sentences:
        return ()
    values = sums(mine["accepted/weights"], mine["accepted/directions"])
    return tuple(Accepted(*pair) for pair in zip(sentences, values, strict=True))


def sums(weights: Tensor, directions: Tensor) -> Tensor:
    """N sums `(N, B, C, h, w)` of the directions (D, B, C, h, w), weighted by (N, D, B)."""
    return torch.einsum("ndb,dbchw->nbchw", weights, directions)


def _case(facts: dict[str, Any], mine: dict[str, Tensor], shared: dict[str, Tensor]) -> Case:
    case = dict(facts["case"])
    for part, means in (("mixture", "prior/means"), ("denoiser", "lora/means")):
        if part in case:
            case[part] = {**case[part], "means": shared[means]}
    for name in ("arguments", "with_graph", "parts"):
        case[name] = tuple(case.get(name, ()))
    return Case(**case, tensors={name: mine[name] for name in case["arguments"] if name in mine})


def _stored(stage: str) -> dict[str, Any]:
    folder = course_root() / "data" / "checks"
    try:
        return json.loads((folder / f"{stage}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        stages = _listed(path.stem for path in sorted(folder.glob("*.json")))
        raise CourseError(
            f"there are no checks for a stage {stage!r}; there are for {stages}."
        ) from error


def _read_tensors(stage: str) -> dict[str, Tensor]:
    path = course_root() / "data" / "checks" / f"{stage}.safetensors"
    try:
        return load(path.read_bytes())
    # safetensors has an exception type of its own for every kind of damage.
    except Exception as error:
        raise CourseError(f"{path} is missing or damaged; get it again with the course.") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def observe(function: Callable[..., Any], case: Case) -> Observation:
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
        return replace(kinds[case.kind](function, case), tolerance=case.tolerance)


def _value(function: Callable[..., Any], case: Case) -> Observation:
    arguments = case.fresh()
    result = function(*arguments.values())
    kind, tensor = _stacked(result)
    if tensor is None:
        return Observation({"type": kind})
    facts = _tensor_facts(tensor) | {"type": kind, "changed": _changed(case, arguments)}
    if kind != "Tensor":
        facts["shape"] = list(tensor.shape[1:])  # of each of them
    facts |= _calls(arguments) | _told(case, arguments) | {"graph": tensor.requires_grad}
    again = _stacked(function(*case.fresh().values()))[1]
    facts["repeatable"] = again is not None and _same(tensor, again)
    return Observation(facts, _plain(tensor))


def _stacked(result: Any) -> tuple[str, Tensor | None]:
    """What was returned, in a word, and as one tensor; a tuple of tensors of one shape is one."""
    if isinstance(result, Tensor):
        return "Tensor", result
    if isinstance(result, tuple | list) and all(isinstance(part, Tensor) for part in result):
        shapes = {part.shape for part in result}
        if len(shapes) == 1:
            return f"tuple of {len(result)} tensors", torch.stack(tuple(result))
    return type(result).__name__, None


def _same(one: Tensor, other: Tensor) -> bool:
    """Bit for bit. NaN differs from itself; that is a fact of its own."""
    return torch.equal(one.nan_to_num(), other.nan_to_num())


def _gradient(function: Callable[..., Any], case: Case) -> Observation:
    came = _differentiated(function, case)
    if came.value is None:
        return came
    again = _differentiated(function, case).value
    repeatable = again is not None and _same(came.value, again)
    return Observation(came.facts | {"repeatable": repeatable}, came.value, came.loss)


def _differentiated(function: Callable[..., Any], case: Case) -> Observation:
    arguments = case.fresh()
    result = function(*arguments.values())
    if not isinstance(result, Tensor):
        return Observation({"type": type(result).__name__})
    facts = _tensor_facts(result) | {"changed": _changed(case, arguments)} | _calls(arguments)
    facts["reaches"] = False
    if result.shape != () or not result.requires_grad:
        return Observation(facts)
    learns = case.learns or case.arguments[0]
    learner = arguments["lora"].means if learns == "lora" else arguments[learns]
    others = {name: arguments[name] for name in case.with_graph if name != learns}
    gradient, *leaked = torch.autograd.grad(result, [learner, *others.values()], allow_unused=True)
    facts["reaches"] = gradient is not None
    if others:
        facts["leaks"] = [
            name
            for name, leak in zip(others, leaked, strict=True)
            if leak is not None and bool((leak != 0).any())
        ]
    value = None if gradient is None else _plain(gradient)
    return Observation(facts, value, _plain(result) if case.loss_counts else None)


def _passage(function: Callable[..., Any], case: Case) -> Observation:
    came = _through(function, case)
    if came.value is None:
        return came
    again = _through(function, case).value
    repeatable = again is not None and _same(came.value, again)
    return Observation(came.facts | {"repeatable": repeatable}, came.value)


def _through(function: Callable[..., Any], case: Case) -> Observation:
    """What comes out and, behind it in the batch, the gradient that a pull at it brings in."""
    arguments = case.fresh()
    learner = arguments[case.arguments[0]]
    result = function(*arguments.values())
    if not isinstance(result, Tensor):
        return Observation({"type": type(result).__name__})
    facts = _tensor_facts(result) | {"changed": _changed(case, arguments)}
    facts |= {"graph": result.requires_grad, "reaches": False}
    if result.shape != learner.shape or not result.requires_grad:
        return Observation(facts)
    pull = torch.randn(result.shape, generator=seeded())
    (gradient,) = torch.autograd.grad((PULL * pull * result).sum(), learner, allow_unused=True)
    facts["reaches"] = gradient is not None
    value = None if gradient is None else torch.cat([_plain(result), _plain(gradient)])
    return Observation(facts, value)


def _tensor_facts(result: Tensor) -> dict[str, Any]:
    return {
        "type": "Tensor",
        "shape": list(result.shape),
        "dtype": str(result.dtype).removeprefix("torch."),
        "finite": bool(result.isfinite().all()),
    }


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


def _plain(tensor: Tensor) -> Tensor:
    """A copy of the numbers; those that are not finite are a fact of their own, and 0 here."""
    return tensor.detach().float().nan_to_num(0.0, 0.0, 0.0).clone()


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


def _alternation(function: Callable[..., Any], case: Case) -> Observation:
    """Some steps of both numbers, and what they returned: (3, steps)."""
    contest = _Contest(**{name: case.values[name] for name in ("start", "stale", "learning_rates")})
    trajectory = []
    facts: dict[str, Any] = {}
    for step in range(case.values["steps"]):
        result = function(contest.particle_loss, contest.lora_loss, *contest.optimisers)
        if not isinstance(result, Tensor):
            return Observation({"type": type(result).__name__})
        if step == 0:
            facts = _tensor_facts(result)
            facts |= {"graph": result.requires_grad, "events": list(contest.events)}
        if result.shape != ():
            return Observation(facts)
        trajectory.append(torch.stack([*contest.numbers, result]).detach())
    return Observation(facts, torch.stack(trajectory, dim=1))


def draw(function: Callable[..., Any], case: Case, generator: torch.Generator, step: int) -> Any:
    """Call a sampler for `DRAWS` latents."""
    bounds = {n: value for n, value in case.values.items() if n not in ("steps", "between")}
    return function(DRAWS, step, case.values["steps"], **bounds, generator=generator)


def seeded() -> torch.Generator:
    """A generator as every check hands it out."""
    return torch.Generator().manual_seed(SEED)


def _draws(function: Callable[..., Any], case: Case) -> Observation:
    """A sampler at the first and at the last step of a run, and at those in `between`."""
    generator, shared_before = seeded(), torch.get_rng_state()
    first = draw(function, case, generator, step=0)
    if not isinstance(first, Tensor):
        return Observation({"type": type(first).__name__})
    facts = _tensor_facts(first)
    if first.shape != (DRAWS,):
        return Observation(facts)
    second = draw(function, case, generator, step=0)
    repeated = draw(function, case, seeded(), step=0)
    untouched = torch.equal(torch.get_rng_state(), shared_before)
    last = draw(function, case, seeded(), step=case.values["steps"] - 1)
    facts |= {
        "own_generator": untouched and torch.equal(first, repeated),
        "varies_in_batch": bool((first != first[0]).any()),
        "fresh": not torch.equal(first, second),
        "range": _range(first),
        "range_at_the_end": _range(last),
        "uniform": _uniform(first, case.values["t_min"], case.values["t_max"]),
    }
    if "between" in case.values:
        facts["ranges_between"] = [
            _range(draw(function, case, seeded(), step)) for step in case.values["between"]
        ]
        low, high = case.values["t_min"], case.values["t_bound"]
        facts["uniform_at_the_end"] = _uniform(last, low, high)
    return Observation(facts)


def _range(t: Tensor) -> list[int]:
    return [int(t.min()), int(t.max())]


def _uniform(t: Tensor, low: int, high: int) -> bool:
    """Chi-square of the counts of low, ..., high; whatever lies outside makes it fail."""
    inside = t[(t >= low) & (t <= high)].long()
    counts = torch.bincount(inside - low, minlength=high - low + 1).double()
    expected = len(t) / len(counts)
    return bool(((counts - expected).square() / expected).sum() < UNIFORM_BELOW)


def choose(
    function: Callable[..., Any], case: Case, tau: float, generator: torch.Generator
) -> tuple[Tensor, Any]:
    """Call a sampler of weights with the same logits at every pixel; the logits, and what came."""
    pictures, *size = WEIGHTS
    logits = case.tensors["logits"].expand(pictures, -1, *size).clone().requires_grad_().clone()
    return logits, function(logits, tau, generator)


def _choices(function: Callable[..., Any], case: Case) -> Observation:
    """A sampler of weights at two temperatures.

    The value is, for each of the temperatures, how often each colour has the largest weight, and
    then the mean weight of each colour.
    """
    cold, warm = case.values["taus"]
    generator, shared_before = seeded(), torch.get_rng_state()
    begun = generator.get_state()
    logits, first = choose(function, case, cold, generator)
    if not isinstance(first, Tensor):
        return Observation({"type": type(first).__name__})
    facts = _tensor_facts(first)
    if first.shape != logits.shape:
        return Observation(facts)
    advanced = not torch.equal(generator.get_state(), begun)
    second = choose(function, case, cold, generator)[1]
    repeated = choose(function, case, cold, seeded())[1]
    warmer = choose(function, case, warm, seeded())[1]
    own = torch.equal(torch.get_rng_state(), shared_before) and torch.equal(first, repeated)
    facts |= {
        "changed": _changed(case, {"logits": logits[:1, :, :1, :1]}),
        "sums": [axis for axis in range(4) if _is(first.sum(dim=axis), 1.0)],
        "graph": first.requires_grad,
        "soft": bool(((first > 0) & (first < 1)).any()),
        "own_generator": own,
        "draws": advanced,
        "varies_in_batch": not _is(first, first[:1]),
        "varies_among_pixels": not _is(first, first[..., :1, :1]),
        "fresh": not _is(first, second),
    }
    # Where another generator decides, no two calls agree.
    return Observation(facts, _shares(first, warmer) if own else None)


def _is(one: Tensor, other: Tensor | float) -> bool:
    """The same but for rounding."""
    return bool((one - other).abs().max() < 1e-3)


def _shares(cold: Tensor, warm: Tensor) -> Tensor:
    """How often each colour has the largest weight, and its mean weight, cold and warm: (4, K)."""
    both = torch.stack([_plain(cold), _plain(warm)])
    colours = both.shape[2]
    largest = torch.nn.functional.one_hot(both.argmax(dim=2), colours).float()
    return torch.cat([largest.mean(dim=(1, 2, 3)), both.mean(dim=(1, 3, 4))])
