"""The data of the visible checks, made by running the reference and every known misconception."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.course.case import Case
from distillery.course.choices import AcceptedSteps, WeightedSums
from distillery.course.kinds import to_wire
from distillery.course.observe import Observation, observe
from distillery.course.record import numbered
from distillery.course.tasks import Misconception, Task, Trial, alike_at, compare
from grading.stages.cases import CASES, OPEN
from grading.stages.inputs.random_inputs import VISIBLE
from grading.stages.known_answers import Answer
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.stage import Stage


def checks(stage: Stage, reference: dict[str, Callable[..., Any]]) -> tuple[bytes, str]:
    """The stage's data/checks files: its tensors as safetensors, the rest as JSON.

    Args:
        reference: name -> what the module has under it, such as a right answer.

    Raises:
        CourseError: a misconception does on these inputs what the reference, or another, does.
    """
    tensors: dict[str, Tensor] = {}
    tasks: dict[str, Any] = {}
    for function in stage.points:
        task = observed_task(stage, function, reference[function])
        its, mine = _stored(task)
        tasks[function] = {"points": stage.points[function], **its}
        tensors |= {f"{function}/{name}": tensor for name, tensor in mine.items()}
    names = sorted(name for name in reference if not name.startswith("__"))
    facts = {
        "notebook": str(stage.notebook),
        "minutes": stage.minutes,
        "pictures": stage.pictures,
        "names": names,
        "tasks": tasks,
    }
    same = _repeated(tensors)
    kept = {name: tensor.contiguous() for name, tensor in tensors.items() if name not in same}
    facts |= {"same": same} if same else {}
    return save(kept), json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def observed_task(stage: Stage, function: str, right: Callable[..., Any]) -> Task:
    """A task on its visible inputs: what the reference and every known misconception do there.

    Raises:
        CourseError: a misconception does on these inputs what the reference, or another, does.
    """
    name = f"{stage.module}.{function}"
    trials = observed_trials(name, right, VISIBLE)
    task = Task(
        name=name,
        number=list(stage.points).index(function) + 1,
        notebook=str(stage.notebook),
        trials=trials,
        misconceptions=tuple(
            _misconception(answer, trials) for answer in MISCONCEPTIONS if answer.task == name
        ),
        uses=tuple(name for name in stage.points if name in right.__code__.co_names),
    )
    _check_distinct(task)
    return task


def observed_trials(task: str, right: Callable[..., Any], seed: int) -> tuple[Trial, ...]:
    """The trials of a task on the inputs of a seed, and what the reference does there."""
    return tuple(_observed(task, words, draw(seed), right) for words, draw in CASES[task].items())


def _observed(task: str, words: str, case: Case, right: Callable[..., Any]) -> Trial:
    scale = case.values.get("guidance_scale")
    guided = "" if scale is None else f" and guidance_scale = {scale:g}"
    return Trial(words and words + guided, case, observe(right, case), _accepted(task, case))


def _misconception(answer: Answer, trials: tuple[Trial, ...]) -> Misconception:
    observations = _observations(answer.function, trials)
    choices = _choices(answer, trials, observations) if answer.task in OPEN else ()
    return Misconception(answer.name, answer.sentence, observations, choices)


def _choices(
    answer: Answer, trials: tuple[Trial, ...], observations: tuple[Observation | None, ...]
) -> tuple[WeightedSums | None, ...]:
    """What it does in the first trial in which it is wrong, whatever it chooses."""
    rights = [trial.passes(came) for trial, came in zip(trials, observations, strict=True)]
    first = rights.index(False) if not all(rights) else 0
    if observations[first] is None:
        return ()
    sums = OPEN[answer.task](trials[first].case).sums_of(answer, ordinary=first == 0)
    return (*[None] * first, sums)


def _observations(
    wrong: Callable[..., Any], trials: tuple[Trial, ...]
) -> tuple[Observation | None, ...]:
    """What an answer does in each trial; None from the first that it stops in with an error."""
    observations: list[Observation | None] = []
    for trial in trials:
        try:
            observations.append(observe(wrong, trial.case))
        # A mistake that is made for some shapes fails in any way with others.
        except Exception:
            break
    return (*observations, *[None] * (len(trials) - len(observations)))


def _accepted(task: str, case: Case) -> AcceptedSteps | None:
    return OPEN[task](case).accepted if task in OPEN else None


def _check_distinct(task: Task) -> None:
    """Every misconception fails, and no two of them do the same in all trials."""
    for trial in task.trials:
        if trial.accepted is not None and trial.matching(trial.wanted) is None:
            raise CourseError(f"{task.name}: the reference is none of the answers accepted.")
    for known in task.misconceptions:
        found = compare(task, known.observations)
        named = found.misconception
        if named is not known:
            other = named.name if named else "nothing: it stops with an error"
            other = "the reference" if found.passed else other
            raise CourseError(f"{task.name}: the check cannot tell {known.name} from {other}.")


def _stored(task: Task) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts and the tensors that are stored of one task."""
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {
        "number": task.number,
        "trials": [],
        "misconceptions": {
            known.name: {"sentence": known.sentence, "trials": []} for known in task.misconceptions
        },
    }
    for place, trial in enumerate(task.trials):
        its, mine = _stored_trial(trial)
        facts["trials"].append(its)
        for known in task.misconceptions:
            came = known.observations[place]
            differing = None if came is None else _facts_beside(trial.wanted, came)
            facts["misconceptions"][known.name]["trials"].append(differing)
            if _is_telling(task, known, place):
                mine |= _values_of(known, place)
        tensors |= numbered(place, mine)
    return facts | ({"uses": list(task.uses)} if task.uses else {}), tensors


def _is_telling(task: Task, known: Misconception, place: int) -> bool:
    """Whether the numbers of a misconception in this trial are needed to name it.

    It is named by the first trial in which it is wrong, and where others do the same there, by all.
    """
    first = compare(task, known.observations).place
    return place <= first or len(alike_at(task, known.observations, first)) > 1


def _values_of(known: Misconception, place: int) -> dict[str, Tensor]:
    """What a misconception does in the trial at this place; as sums, where these are known."""
    sums = known.choices[place] if place < len(known.choices) else None
    if sums is not None:
        return _sums(f"wrong/{known.name}", sums)
    came = known.observations[place]
    return {} if came is None else _values(f"wrong/{known.name}", came)


def _stored_trial(trial: Trial) -> tuple[dict[str, Any], dict[str, Tensor]]:
    case, tensors = to_wire(trial.case)
    facts = {"circumstances": trial.circumstances, "case": case, "wanted": trial.wanted.facts}
    tensors |= _values("wanted", trial.wanted)
    if trial.accepted is not None:
        tensors |= _sums("accepted", trial.accepted)
    return facts, tensors


def _sums(name: str, sums: WeightedSums) -> dict[str, Tensor]:
    return {f"{name}/{its}": tensor for its, tensor in sums.stored().items()}


def _facts_beside(wanted: Observation, came: Observation) -> dict[str, Any]:
    """The facts that differ from the wanted ones, null for those that are missing."""
    names = dict.fromkeys([*wanted.facts, *came.facts])
    both = {name: (wanted.facts.get(name), came.facts.get(name)) for name in names}
    return {name: its for name, (asked, its) in both.items() if its != asked}


def _values(name: str, came: Observation) -> dict[str, Tensor]:
    """What is compared; a value that changes at every call is not."""
    if came.value is None or not came.facts.get("repeatable", True):
        return {}
    return {name: came.value} | ({} if came.loss is None else {f"{name}/loss": came.loss})


def _repeated(tensors: dict[str, Tensor]) -> dict[str, str]:
    """Name -> an earlier name of the same tensor; it is stored once."""
    same: dict[str, str] = {}
    for name, other in combinations(tensors, 2):
        if name not in same and other not in same and _alike(tensors[name], tensors[other]):
            same[other] = name
    return same


def _alike(one: Tensor, other: Tensor) -> bool:
    """The same but for the last bits, which differ between processors."""
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and torch.allclose(one, other, rtol=1e-5, atol=1e-6)
