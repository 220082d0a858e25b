"""The tasks in `data/checks`, and the comparison of an observation with what a task wants.

`data/checks/<stage>.json` and `.safetensors` hold, for every task, the inputs, what a right answer
does with them and what each known misconception does with them. They hold no answer, right or
wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from safetensors.torch import load
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.course.case import Case
from distillery.course.choices import Accepted, AcceptedSteps, WeightedSums
from distillery.course.kinds import from_wire
from distillery.course.observe import Observation, close
from distillery.course.record import Facts, Tensors, under
from distillery.course.stored_checks import listed, split_task, stored_facts
from distillery.course.student_files import course_root


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer. The sentence completes "this is what you get when".

    observations: what it does in each trial of its task; None from where it stops with an error.
    choices:      where its task leaves a choice open, what it does there whatever it chooses; None
                  where that is not known or makes no difference.
    """

    name: str
    sentence: str
    observations: tuple[Observation | None, ...]
    choices: tuple[WeightedSums | None, ...] = ()

    def does(self, place: int, came: Observation | None) -> bool:
        """Whether it does that in the trial at this place; an error is nobody's."""
        return self.misfit(place, came) is not None

    def misfit(self, place: int, came: Observation | None) -> float | None:
        """The largest difference from its numbers there; None if it does another thing."""
        known = self.observations[place] if place < len(self.observations) else None
        if known is None or came is None:
            return None
        if came.equals(known):
            return _difference(came.value, known.value)
        sums = self.choices[place] if place < len(self.choices) else None
        if sums is None or came.value is None or came.facts != known.facts:
            return None
        found = sums.chosen(came.value, came.tolerance)
        return None if found is None else _difference(came.value, found[1])


def _difference(one: Tensor | None, other: Tensor | None) -> float:
    """Of numbers that change at every call, none."""
    if one is None or other is None or one.shape != other.shape or not one.numel():
        return 0.0
    return float((one - other).abs().max())


@dataclass(frozen=True)
class Trial:
    """One set of inputs of a task, and what is wanted there.

    circumstances: what is special about the inputs, such as "with one picture of 4 channels"; ""
                   for the ordinary ones, which come first.
    accepted:      where the task leaves a choice open, the right values, `wanted` among them.
    """

    circumstances: str
    case: Case
    wanted: Observation
    accepted: AcceptedSteps | None = None

    def matching(self, came: Observation) -> Accepted | None:
        """The accepted value that came."""
        if self.accepted is None or came.value is None or came.facts != self.wanted.facts:
            return None
        return self.accepted.matching(came.value, came.tolerance)

    def passes(self, came: Observation | None) -> bool:
        """Whether that is what a right answer does; None is an error, which is not."""
        if came is None:
            return False
        return came.equals(self.wanted) or self.matching(came) is not None

    def nearest(self, came: Observation) -> Observation:
        """What is wanted; of a choice, what came is compared with the value that it is parallel to.

        A factor or a sign is then all that differs.
        """
        if self.accepted is None or came.value is None:
            return self.wanted
        along = self.accepted.along(came.value)
        return self.wanted if along is None else replace(self.wanted, value=along)

    def differing(self, came: Observation) -> tuple[str, ...]:
        """The names of the facts that are not as wanted; those that nobody wants come last."""
        wanted, its = self.wanted.facts, came.facts
        return tuple(
            name
            for name in dict.fromkeys([*wanted, *its])
            if name not in wanted or name not in its or wanted[name] != its[name]
        )

    def has_right_numbers(self, came: Observation) -> bool:
        """The value and the loss are right, whatever the facts are."""
        if came.value is None or not close(came.loss, self.wanted.loss):
            return False
        if close(came.value, self.wanted.value, came.tolerance):
            return True
        choice = self.accepted
        return choice is not None and choice.matching(came.value, came.tolerance) is not None


@dataclass(frozen=True)
class Task:
    """Everything stored about one task.

    trials: at least one; the ordinary inputs come first. A right answer passes all of them.
    uses:   the other tasks of the stage that its function calls.
    hidden: how many of the trials, the last ones, students never see. What misconceptions do there
            is not known, and need not be: a mistake is named by what it does in the others.
    """

    name: str
    number: int
    notebook: str
    trials: tuple[Trial, ...]
    misconceptions: tuple[Misconception, ...]
    uses: tuple[str, ...] = ()
    hidden: int = 0

    def passes(self, came: Sequence[Observation | None]) -> bool:
        """Whether that is what a right answer does in the trials, which are in order."""
        pairs = zip_longest(self.trials, came)
        return all(trial is not None and trial.passes(its) for trial, its in pairs)


@dataclass(frozen=True)
class Comparison:
    """How an answer compares with what its task wants.

    observations:  what it does in each trial; None from where it stops with an error.
    rights:        whether that is right, for each trial.
    misconception: the known wrong answer that does the same.
    """

    task: Task
    observations: tuple[Observation | None, ...]
    rights: tuple[bool, ...]
    misconception: Misconception | None

    @property
    def passed(self) -> bool:
        """Right in every trial."""
        return all(self.rights)

    @property
    def seems_right(self) -> bool:
        """Right in every trial that students see."""
        return all(self.rights[: len(self.rights) - self.task.hidden])

    @property
    def place(self) -> int:
        """Of the first trial in which it is wrong, or of the first of all."""
        return self.rights.index(False) if not self.passed else 0

    @property
    def trial(self) -> Trial:
        """The trial of that place."""
        return self.task.trials[self.place]

    @property
    def came(self) -> Observation | None:
        """What it does in that trial."""
        return self.observations[self.place]

    @property
    def accepted(self) -> Accepted | None:
        """Where several values are right there, the one that came."""
        return self.trial.matching(self.came) if self.came else None


def compare(task: Task, came: Sequence[Observation | None]) -> Comparison:
    """Compare what an answer does with what the task wants and with every known misconception.

    Args:
        came: for each trial in order; None, or nothing, from where it stops with an error.
    """
    every = (*came, *[None] * (len(task.trials) - len(came)))
    rights = tuple(trial.passes(its) for trial, its in zip(task.trials, every, strict=True))
    right = all(rights)
    known = None if right else _known(task, every, rights.index(False))
    return Comparison(task, every, rights, known)


def _known(task: Task, came: Sequence[Observation | None], place: int) -> Misconception | None:
    """The known wrong answer that does the same in the trial at this place, the first wrong one.

    Where several do, it is the one that does the same in most of the trials, and of these the one
    with the nearest numbers. An error is nobody's: one of the same kind may have another cause.
    """

    def likeness(known: Misconception) -> tuple[int, float]:
        same = sum(known.does(place, its) for place, its in enumerate(came))
        return same, -(known.misfit(place, came[place]) or 0.0)

    return max(alike_at(task, came, place), key=likeness, default=None)


def alike_at(task: Task, came: Sequence[Observation | None], place: int) -> list[Misconception]:
    """The known wrong answers that are right up to the trial at this place, and there do this."""
    return [
        known
        for known in task.misconceptions
        if known.does(place, came[place])
        and all(map(Trial.passes, task.trials[:place], known.observations))
    ]


def load_task(task: str) -> Task:
    """Read what is stored about "stage.function".

    Raises:
        CourseError: there is no such task, or its data cannot be read.
    """
    stage, function = split_task(task)
    stored = stored_facts(stage)
    if function not in stored["tasks"]:
        raise CourseError(
            f"stage {stage} has no task {function}; it has {listed(stored['tasks'])}."
        )
    facts = stored["tasks"][function]
    tensors = _read_tensors(stage)
    tensors |= {name: tensors[same] for name, same in stored.get("same", {}).items()}
    mine = [under(f"{function}/{place}/", tensors) for place in range(len(facts["trials"]))]
    trials = tuple(_trial(*pair) for pair in zip(facts["trials"], mine, strict=True))
    return Task(
        name=task,
        number=facts["number"],
        notebook=stored["notebook"],
        trials=trials,
        misconceptions=tuple(
            Misconception(
                name,
                wrong["sentence"],
                _wrong(name, wrong["trials"], trials, mine),
                tuple(WeightedSums.restored(under(f"wrong/{name}/", its)) for its in mine),
            )
            for name, wrong in facts["misconceptions"].items()
        ),
        uses=tuple(facts.get("uses", ())),
    )


def _trial(facts: Facts, mine: Tensors) -> Trial:
    return Trial(
        circumstances=facts["circumstances"],
        case=from_wire(facts["case"], mine),
        wanted=_observation(facts["wanted"], mine, "wanted"),
        accepted=AcceptedSteps.restored(under("accepted/", mine)),
    )


def _wrong(
    name: str, facts: list[Facts | None], trials: Sequence[Trial], mine: Sequence[Tensors]
) -> tuple[Observation | None, ...]:
    """What a misconception does in each trial; null in data/checks is an error."""
    return tuple(
        None
        if its is None
        else _observation(_all_facts(trial.wanted.facts, its), tensors, f"wrong/{name}")
        for its, trial, tensors in zip(facts, trials, mine, strict=True)
    )


def _observation(facts: Facts, mine: Tensors, name: str) -> Observation:
    """The value is not stored where it is one of the sums that are."""
    sums = WeightedSums.restored(under(f"{name}/", mine))
    value = mine.get(name) if sums is None else sums.total(sums.usual)
    return Observation(facts, value, mine.get(f"{name}/loss"))


def _all_facts(wanted: Facts, its: Facts) -> Facts:
    """Only the facts that differ from the wanted ones are stored; null means there is none."""
    return {name: fact for name, fact in (wanted | its).items() if fact is not None}


def _read_tensors(stage: str) -> Tensors:
    path = course_root() / "data" / "checks" / f"{stage}.safetensors"
    try:
        return load(path.read_bytes())
    # safetensors has an exception type of its own for every kind of damage.
    except Exception as error:
        raise CourseError(f"{path} is missing or damaged; get it again with the course.") from error
