"""`check("sds.sds_grad")`: is the function right, and if not, which mistake is it?"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distillery.core.errors import STILL_TO_DO, to_do_sentence
from distillery.course.observe import (
    DRAWS,
    UNREADABLE,
    Observation,
    Recording,
    Task,
    conclude,
    load_task,
    observe,
    record,
    split_task,
)
from distillery.course.student_files import student_file, student_module

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_LINE = 160
FARTHEST = 1000  # timesteps beyond the range that are drawn where they are
TALLEST = 20  # times the largest target: a bar that is cut off there
YES_NO = {
    "finite": ("finite numbers", "NaN or infinity among the numbers"),
    "graph": ("a result that carries a graph", "a result without a graph"),
    "repeatable": ("the same result for the same arguments", "another result at every call"),
    "own_generator": (
        "timesteps that the generator alone decides",
        "timesteps that differ for the same generator state",
    ),
    "varies_in_batch": ("a timestep for each latent", "one timestep for the whole batch"),
    "fresh": ("new timesteps at every call", "the same timesteps at every call"),
    "uniform": ("every t equally often", "some timesteps more often than others"),
    "uniform_at_the_end": (
        "every t equally often at the last step",
        "some timesteps more often than others at the last step",
    ),
    "soft": ("weights between 0 and 1", "only the weights 0 and 1"),
    "draws": ("noise out of the generator", "nothing drawn from the generator"),
}
OF_CHOICES = {
    "own_generator": (
        "weights that the generator alone decides",
        "weights that differ for the same generator state",
    ),
    "varies_in_batch": ("noise of its own for each picture", "the same noise for each picture"),
    "varies_among_pixels": ("noise of its own for each pixel", "the same noise at every pixel"),
    "fresh": ("new weights at every call", "the same weights at every call"),
}


@dataclass(frozen=True)
class Result:
    """The outcome of a check; its lines are printed already."""

    task: str
    passed: bool
    lines: tuple[str, ...]
    misconception: str | None = None

    def points(self, worth: float) -> float:
        """All the points or none; as the last value of a cell it is what nbgrader reads."""
        return worth if self.passed else 0

    def _ipython_display_(self) -> None:
        """Nothing more to show under the cell."""


def check(task: str, function: Callable[..., Any] | None = None) -> Result:
    """Check one function of the course and print the outcome, in at most four lines.

    Args:
        task: "stage.function"; that function of guidance/<stage>.py is checked.
        function: check this one instead.

    Raises:
        CourseError: there is no such task. Nothing that the checked function does is raised.
    """
    stored = load_task(task)
    result = _judge(stored, function)
    print("\n".join(result.lines))
    return result


def _judge(task: Task, function: Callable[..., Any] | None) -> Result:
    try:
        came = observe(function or _student_function(task.name), task.case)
    except NotImplementedError as error:
        if says_to_do(str(error)):
            return Result(task.name, False, (str(error) or still_to_do(task),))
        return _stopped(task, error)
    except (Exception, SystemExit) as error:
        return _stopped(task, error)
    result = outcome(task, came)
    if not result.passed and result.misconception is None and function is None:
        stage = split_task(task.name)[0]
        wrong = [name for name in task.uses if not _is_right(load_task(f"{stage}.{name}"))]
        return replace(result, lines=(*result.lines, *unfinished(wrong)))
    return result


def outcome(task: Task, came: Observation) -> Result:
    """What is said of an observation: right, or what was wanted, what came and which mistake it is.

    Nothing is printed.
    """
    if task.passes(came):
        accepted = task.matching(came)
        seen = f", with {accepted.sentence}" if accepted else "."
        return Result(task.name, True, (f"{task.name}: right{seen}",))
    wanted_words, came_words = _difference(task, came)
    lines = [
        f"{task.name}: not yet.",
        f"  wanted: {wanted_words}",
        f"  came:   {in_short(came_words)}",
    ]
    for known in task.misconceptions:
        if came.equals(known.observation):
            lines.append(f"  This is what you get when {known.sentence}")
            return Result(task.name, False, tuple(lines), known.name)
    return Result(task.name, False, tuple(lines))


def unfinished(wrong: Sequence[str]) -> list[str]:
    """A line on the functions that an answer uses and that are not right themselves."""
    if not wrong:
        return []
    are = "is" if len(wrong) == 1 else "are"
    return [f"  It uses {' and '.join(wrong)}, which {are} not right yet."]


def _is_right(task: Task) -> bool:
    try:
        return task.passes(observe(_student_function(task.name), task.case))
    except (Exception, SystemExit):
        return False


def _student_function(task: str) -> Callable[..., Any]:
    stage, name = split_task(task)
    function = getattr(student_module(stage), name, None)
    if function is None:
        raise NotImplementedError(
            f"guidance/{stage}.py holds no {name}, so it {STILL_TO_DO}: run its %%todo cell."
        )
    return function


def says_to_do(message: str) -> bool:
    """Whether that is a NotImplementedError of a function that nobody has written yet."""
    return not message or STILL_TO_DO in message


def still_to_do(task: Task) -> str:
    return to_do_sentence(task.name, task.notebook, task.number)


def _stopped(task: Task, error: BaseException) -> Result:
    """The exception and the student's own line that it came from."""
    lines = stopped(task, type(error).__name__, str(error), _own_line(task, error))
    return Result(task.name, False, lines)


def stopped(task: Task, kind: str, message: str, line: str) -> tuple[str, ...]:
    """What is said of an exception: its class's name, its message, and the student's line."""
    lines = [f"{task.name}: it stops with an error.", f"  {in_short(f'{kind}: {message}')}"]
    if line:
        lines.append(f"  in the line: {in_short(line)}")
    if kind == "NameError":
        lines.append("  It lives in a file of its own: import and define all it needs in its cell.")
    return tuple(lines)


def _own_line(task: Task, error: BaseException) -> str:
    file = str(student_file(split_task(task.name)[0]))
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame.line or "" for frame in frames if frame.filename == file]
    return own[-1] if own else ""


def in_short(text: str) -> str:
    """One line of at most `LONGEST_LINE` printable characters, whatever somebody's code says."""
    # A message may be of any length; more than this is not even looked at.
    some = " ".join(text[: 20 * LONGEST_LINE].split())
    plain = "".join(one if one.isprintable() else "?" for one in some)
    return plain if len(plain) <= LONGEST_LINE else plain[: LONGEST_LINE - 3] + "..."


def _difference(task: Task, came: Observation) -> tuple[str, str]:
    """What was wanted and what came, for the first thing that differs."""
    wanted = task.wanted
    for name, fact in wanted.facts.items():
        if came.facts.get(name) != fact:
            return _in_words(name, fact, task), _in_words(name, came.facts.get(name), task)
    assert wanted.value is not None
    if came.value is None or came.value.shape != wanted.value.shape:
        return "numbers to compare", "none"
    if came.near(wanted):
        assert wanted.loss is not None
        assert came.loss is not None
        return f"a loss of {wanted.loss:.4f}", f"a loss of {came.loss:.4f}"
    place = _worst_place(came.value, wanted.value)
    what = "a gradient of " if _is_of_gradient(place, task) else ""
    return (
        f"{what}{wanted.value[place]:.4f} {_at(place, task)}, where they differ most",
        f"{what}{came.value[place]:.4f}",
    )


def _is_of_gradient(place: tuple[int, ...], task: Task) -> bool:
    if task.case.kind == "passage":
        return place[0] >= _batch(task)
    return task.case.kind == "gradient"


def _batch(task: Task) -> int:
    return len(task.case.tensors[task.case.arguments[0]])


def _at(place: tuple[int, ...], task: Task) -> str:
    if task.case.kind == "passage":
        return f"at {[place[0] % _batch(task), *place[1:]]}"
    if not task.case.parts:
        return f"at {list(place)}"
    part, rest = task.case.parts[place[0]], place[1:]
    if task.case.kind == "choices":
        return f"for the {part}, colour {rest[0] + 1}"
    if task.case.kind == "alternation":
        return f"for the {part} after step {rest[0] + 1}"
    return f"for {part} of latent {rest[0]}"


def _worst_place(came: Tensor, wanted: Tensor) -> tuple[int, ...]:
    index = (came - wanted).abs().argmax()
    return tuple(int(i) for i in torch.unravel_index(index, wanted.shape))


def _in_words(name: str, fact: Any, task: Task) -> str:
    words = YES_NO | OF_CHOICES if task.case.kind == "choices" else YES_NO
    if name in words:
        yes, no = words[name]
        return yes if fact else no
    if name == "reaches":
        learner = _learner(task)
        yes = f"a loss with a gradient for {learner}"
        return yes if fact else f"a loss without one: nothing leads from it to {learner}"
    if fact is None:
        return "nothing of the kind"
    if name in ("range", "range_at_the_end"):
        return f"t from {fact[0]} to {fact[1]}{' at the last step' * (name != 'range')}"
    if name == "ranges_between":
        ranges = zip(task.case.values["between"], fact, strict=True)
        return "t up to " + ", ".join(f"{high} at step {step}" for step, (_, high) in ranges)
    if name == "sums":
        axes = " and ".join(map(str, fact))
        return f"weights of sum 1 along axis {axes}" if fact else "weights of sum 1 along no axis"
    if name == "told":
        return _told_in_words(fact)
    if name == "shape":
        return f"shape {tuple(fact)}"
    if name == "calls":
        return f"{fact} call{'s' * (fact != 1)} of prior.predict_noise"
    if name == "lora_calls":
        calls, latents = fact
        return f"{calls} call{'s' * (calls != 1)} of the LoRA, for {latents} latents in all"
    if name == "leaks":
        too = f"a gradient for {' and '.join(fact)} too"
        return too if fact else f"a gradient for {_learner(task)} alone"
    if name == "events":
        return ", ".join(fact)
    if name == "changed":
        return f"{' and '.join(fact)} changed in place" if fact else "arguments left as they are"
    if fact == UNREADABLE:
        return "something that does not hold together"
    if fact == "NoneType":
        return "None; is the return missing?"
    if name == "type":
        return _kind_in_words(fact)
    return str(fact)


def _told_in_words(told: dict[str, str]) -> str:
    """The six numbers, with a name where the conditions are told different things."""
    sizes = list(dict.fromkeys(told.values()))
    if len(sizes) == 1:
        return f"a network that is told {sizes[0]}"
    each = " and ".join(f"{size} for {name}" for name, size in told.items())
    return f"a network that is told {each}" if told else "a network that is told nothing"


def _learner(task: Task) -> str:
    """What the loss is for."""
    name = task.case.learns or task.case.arguments[0]
    return "the LoRA's weights" if name == "lora" else name


def _kind_in_words(kind: str) -> str:
    if kind == "Tensor":
        return "a tensor"
    return f"a {kind}" if kind.startswith("tuple of") else f"something of type {kind}"


def compare_picture(task: str, function: Callable[..., Any] | None = None) -> Figure:
    """Draw target, yours and their difference, a row for each latent.

    A sampler's histogram is drawn, and of results that are a few numbers these numbers.

    Arguments and errors are those of `check`. Where the function gives nothing to draw, only the
    target is drawn.
    """
    from matplotlib import pyplot

    stored = load_task(task)
    try:
        recording = record(function or _student_function(stored.name), stored.case)
    except (Exception, SystemExit):
        recording = None
    figure = picture(stored, recording, pyplot.figure)
    pyplot.close(figure)  # it is shown as the value of the cell, not a second time by the backend
    return figure


def picture(task: Task, recording: Recording | None, new: Callable[..., Figure]) -> Figure:
    """Draw target, theirs and their difference; the target alone where nothing can be drawn.

    Args:
        recording: of what the function did; None where it did not return.
        new: makes an empty figure of a `figsize` and a `layout`.
    """
    came, target = _seen(task, recording)
    if target is not None and target.ndim == 2 and not task.case.parts:
        target, came = (None if colours is None else _strip(colours) for colours in (target, came))
    if target is None or task.case.parts:
        figure = new(figsize=(7, 2.4), layout="constrained")
        draw_on = _draw_histogram if target is None else _draw_numbers
        draw_on(figure.subplots(), task, came)
    else:
        figure = new(figsize=(7.5, 1.8 * len(target)), layout="constrained")
        axes = figure.subplots(len(target), 3, squeeze=False)
        _draw_rows(axes, target, came)
        if task.case.kind == "passage":
            axes[_batch(task), 0].set_title("its gradient")
    return figure


def _seen(task: Task, recording: Recording | None) -> tuple[Tensor | None, Tensor | None]:
    """What the function gave, and what it is to be compared with.

    The first is None where it gave nothing that can be drawn; `check` says why.
    """
    target = task.wanted.value
    if recording is None:
        return None, target
    came = conclude(recording, task.case)
    if task.case.kind == "draws":
        step = _drawn_at(task)[0]
        t = recording.tensors.get(f"at {step}" if step else "result")
        if t is None or came.facts["type"] == UNREADABLE:
            return None, None
        return t.float(), None
    accepted = task.matching(came)
    return came.value, accepted.value if accepted else target


def _strip(colours: Tensor) -> Tensor:
    """Colours (K, 3) as a picture (1, 3, 1, K) of them side by side."""
    return colours.T[None, :, None] if colours.ndim == 2 else colours


def _drawn_at(task: Task) -> tuple[int, int, int]:
    """The step whose timesteps are drawn, on the way where the range changes, and that range."""
    values = task.case.values
    if "between" not in values:
        return 0, values["t_min"], values["t_max"]
    low, high = task.wanted.facts["ranges_between"][1]
    return values["between"][1], low, high


def _draw_rows(axes: Any, target: Tensor, came: Tensor | None) -> None:
    limit, typical = float(target.abs().max()), float(target.std())
    for column, title in zip(axes[0], ("target", "yours", "difference"), strict=True):
        column.set_title(title)
    for row, wanted in zip(axes, target, strict=True):
        for column in row:
            column.set_axis_off()
        row[0].imshow(_colours(wanted, limit).numpy())
    if came is None or came.shape != target.shape:
        axes[0, 1].text(0.5, 0.5, "nothing to draw yet", ha="center", va="center")
        return
    for row, wanted, mine in zip(axes, target, came, strict=True):
        row[1].imshow(_colours(mine, limit).numpy())
        difference = (mine - wanted).abs().mean(dim=0)
        row[2].imshow(difference.numpy(), cmap="magma", vmin=0, vmax=typical)


def _colours(latents: Tensor, limit: float) -> Tensor:
    """The first three channels (C, h, w) as (h, w, 3) in [0, 1]: zero is mid-grey."""
    return (0.5 + 0.5 * latents[:3].permute(1, 2, 0) / limit).nan_to_num().clamp(0, 1)


def _draw_histogram(axes: Axes, task: Task, came: Tensor | None) -> None:
    step, low, high = _drawn_at(task)
    axes.step([low - 0.5, high + 0.5], [DRAWS / (high - low + 1)] * 2, label="target")
    if came is not None:
        shown = came.nan_to_num().round().clamp(low - FARTHEST, high + FARTHEST)
        t, counts = shown.unique(return_counts=True)
        axes.bar(t.numpy(), counts.numpy(), alpha=0.5, color="tab:orange", label="yours")
    bounds = f"t_min = {low} and {'the bound' if step else 't_max'} = {high}"
    axes.set_xlabel(f"t{f' at step {step}' if step else ''}, for {bounds}")
    axes.set_ylabel(f"times in {DRAWS}")
    axes.legend(loc="lower right")


def _draw_numbers(axes: Axes, task: Task, came: Tensor | None) -> None:
    """All numbers of a small result side by side, grouped by their parts."""
    target = task.wanted.value
    assert target is not None
    numbers = target.flatten(1)
    places = torch.arange(numbers.numel()).view_as(numbers) + torch.arange(len(numbers))[:, None]
    if came is not None and came.shape == target.shape:
        limit = TALLEST * float(target.abs().max())
        mine = came.nan_to_num().clamp(-limit, limit).flatten()
        axes.bar(places.flatten().numpy(), mine.numpy(), color="tab:orange", label="yours")
    left, right = places.flatten() - 0.4, places.flatten() + 0.4
    heights = numbers.flatten().numpy()
    axes.hlines(heights, left.numpy(), right.numpy(), colors="black", label="target")
    axes.set_xticks(
        places.float().mean(dim=1).tolist(),
        [part.replace(" at ", "\nat ") for part in task.case.parts],
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
