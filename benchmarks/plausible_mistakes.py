"""Answers that nobody wrote by hand: plausible mistakes, made of the reference by rule.

Four sources, each for every task:

    two changes       the reference, changed in two places at once (`benchmarks.mutants`)
    known and more    a known mistake that is changed in one place more
    other arguments   one name in the reference is another argument or variable of it
    habits            what published student code does everywhere: the first of a batch for all,
                      results kept from an earlier call, clamping, half precision, lost axes
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from benchmarks.mutants import changed_in_one_place
from grading.stages.known_answers import Answer
from grading.stages.misconceptions import MISCONCEPTIONS

Function = Callable[..., Any]


@dataclass(frozen=True)
class Plausible:
    """One answer.

    source:  which of the four it is of.
    words:   what was done.
    known:   the misconception that it is made of, or "".
    """

    task: str
    source: str
    words: str
    function: Function
    known: str = ""


def plausible_mistakes(task: str, *, each: int, seed: int) -> Iterator[Plausible]:
    """At most `each` answers of every source but habits, of which there is one for each."""
    chance = random.Random(f"{task} {seed}")
    right = _reference(task)
    tree = _tree(right)
    for words, function in islice(_two_changes(tree, right, chance), each):
        yield Plausible(task, "two changes", words, function)
    known = [answer for answer in MISCONCEPTIONS if answer.task == task]
    for answer, words, function in islice(_known_and_more(known, chance), each):
        yield Plausible(task, "known and more", words, function, answer.name)
    for words, function in islice(_other_arguments(tree, right, chance), each):
        yield Plausible(task, "other arguments", words, function)
    for habit in HABITS:
        words = (habit.__doc__ or "").rstrip(".")
        yield Plausible(task, "habits", words, wraps(right)(habit(right)))


def _reference(task: str) -> Function:
    module, function = task.split(".")
    return getattr(importlib.import_module(f"reference.{module}"), function)


def _tree(function: Function) -> ast.FunctionDef:
    """Its syntax tree, without docstring and without the decorators of known mistakes."""
    tree = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(tree, ast.FunctionDef)
    if ast.get_docstring(tree) is not None:
        del tree.body[0]
    tree.decorator_list = [one for one in tree.decorator_list if "wrong" not in ast.unparse(one)]
    return tree


def _made(tree: ast.FunctionDef, like: Function) -> Function:
    """The function of a tree, among the names that `like` has around it."""
    namespace = dict(inspect.unwrap(like).__globals__)
    text = ast.unparse(ast.fix_missing_locations(tree))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 1.0(x) is worth a warning to the compiler
        exec(compile(text, f"<{tree.name}>", "exec"), namespace)
    return namespace[tree.name]


def _two_changes(
    tree: ast.FunctionDef, like: Function, chance: random.Random
) -> Iterator[tuple[str, Function]]:
    ones = list(changed_in_one_place(tree))
    while ones:
        first, changed = chance.choice(ones)
        second, both = chance.choice(list(changed_in_one_place(changed)))
        # Undoing the first change is another way to be right.
        if ast.dump(both) != ast.dump(tree):
            yield f"{first}; {second}", _made(both, like)


def _known_and_more(
    known: Sequence[Answer], chance: random.Random
) -> Iterator[tuple[Answer, str, Function]]:
    while known:
        answer = chance.choice(known)
        ones = list(changed_in_one_place(_tree(answer.function)))
        words, changed = chance.choice(ones)
        yield answer, f"{answer.name}; {words}", _made(changed, answer.function)


def _other_arguments(
    tree: ast.FunctionDef, like: Function, chance: random.Random
) -> Iterator[tuple[str, Function]]:
    """In one place, another of the function's own names; those that do not run are made too."""
    arguments = [one.arg for one in (*tree.args.args, *tree.args.kwonlyargs)]
    stored = [
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    names = list(dict.fromkeys([*arguments, *stored]))
    places = [
        number
        for number, node in enumerate(ast.walk(tree))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names
    ]
    choices = [(place, name) for place in places for name in names]
    chance.shuffle(choices)
    for place, name in choices:
        changed = copy.deepcopy(tree)
        node = list(ast.walk(changed))[place]
        assert isinstance(node, ast.Name)
        if node.id != name:
            words = f"{name} in the place of {node.id}"
            node.id = name
            yield words, _made(changed, like)


def _on_arguments(function: Function, change: Callable[[Tensor], Any]) -> Function:
    """The function, with every tensor argument changed before."""

    def changed(*arguments: Any, **named: Any) -> Any:
        given = [change(one) if isinstance(one, Tensor) else one for one in arguments]
        return function(*given, **named)

    return changed


def _on_result(function: Function, change: Callable[[Tensor], Any]) -> Function:
    """The function, with every tensor that it returns changed."""

    def changed(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        if isinstance(result, tuple):
            return type(result)(*map(change, result))
        return change(result) if isinstance(result, Tensor) else result

    return changed


def first_for_all(right: Function) -> Function:
    """The first of a batch is used for all of it."""
    return _on_arguments(right, lambda one: one[:1].expand_as(one) if one.ndim else one)


def first_level_for_all(right: Function) -> Function:
    """The first level or timestep of a batch is used for all of it."""

    def first(one: Tensor) -> Tensor:
        is_level = one.ndim == 1 or (one.ndim == 4 and one[0].numel() == 1)
        return one[:1].expand_as(one).clone() if is_level else one

    return _on_arguments(right, first)


def squeezed(right: Function) -> Function:
    """Axes of length 1 are squeezed away."""
    return _on_result(right, Tensor.squeeze)


def with_an_axis_more(right: Function) -> Function:
    """An axis of length 1 is left over."""
    return _on_result(right, lambda one: one[None])


def kept(right: Function) -> Function:
    """The first result is kept in a global variable and returned for ever."""
    results: list[Any] = []

    def cached(*arguments: Any, **named: Any) -> Any:
        if not results:
            results.append(right(*arguments, **named))
        return results[0]

    return cached


def kept_by_shape(right: Function) -> Function:
    """The result is kept for inputs of the same shapes."""
    results: dict[Any, Any] = {}

    def cached(*arguments: Any, **named: Any) -> Any:
        shapes = tuple(one.shape if isinstance(one, Tensor) else None for one in arguments)
        if shapes not in results:
            results[shapes] = right(*arguments, **named)
        return results[shapes]

    return cached


def clamped(right: Function) -> Function:
    """The result is clamped to [-1, 1]."""
    return _on_result(right, lambda one: one.clamp(-1, 1))


def with_clamped_arguments(right: Function) -> Function:
    """Every argument is at least 0.1."""
    return _on_arguments(right, lambda one: one.clamp(min=0.1) if one.is_floating_point() else one)


def in_half_precision(right: Function) -> Function:
    """The pictures are computed in half precision."""
    return _on_result(right, lambda one: one.half().float() if one.ndim > 1 else one)


def in_double_precision(right: Function) -> Function:
    """It returns double precision."""
    return _on_result(right, lambda one: one.double() if one.is_floating_point() else one)


def normalised(right: Function) -> Function:
    """The result is divided by its length."""
    return _on_result(right, lambda one: one / one.norm() if one.is_floating_point() else one)


def detached(right: Function) -> Function:
    """The result has no graph."""
    return _on_result(right, Tensor.detach)


def scaled(right: Function) -> Function:
    """The result is multiplied by the VAE's 0.18215 once more."""
    return _on_result(right, lambda one: 0.18215 * one)


def negated(right: Function) -> Function:
    """The sign is wrong."""
    return _on_result(right, Tensor.neg)


def halved(right: Function) -> Function:
    """The result is half as large."""
    return _on_result(right, lambda one: one / 2)


def averaged(right: Function) -> Function:
    """The result is averaged."""
    return _on_result(right, lambda one: one.float().mean())


def viewed_for_permuted(right: Function) -> Function:
    """Height and width are swapped by permute, and the shape is repaired by reshape."""
    return _on_result(right, lambda one: one.mT.reshape(one.shape) if one.ndim > 1 else one)


def in_reverse(right: Function) -> Function:
    """The pictures come back in the reverse order."""
    return _on_result(right, lambda one: one.flip(0) if one.ndim > 1 else one)


def as_numpy(right: Function) -> Function:
    """It returns an array of NumPy."""
    return _on_result(right, lambda one: one.detach().numpy())


def as_number(right: Function) -> Function:
    """It returns numbers of Python."""
    return _on_result(right, lambda one: one.detach().tolist())


def in_place(right: Function) -> Function:
    """The result is written over the first argument of its shape."""

    def writing(*arguments: Any, **named: Any) -> Any:
        result = right(*arguments, **named)
        for one in arguments:
            if isinstance(one, Tensor) and isinstance(result, Tensor) and one.shape == result.shape:
                one.data.copy_(result.detach())
                break
        return result

    return writing


def from_the_global_generator(right: Function) -> Function:
    """The generator that is given is not used."""

    def drawing(*arguments: Any, **named: Any) -> Any:
        own = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        given = [own if isinstance(one, torch.Generator) else one for one in arguments]
        named = {k: own if isinstance(v, torch.Generator) else v for k, v in named.items()}
        return right(*given, **named)

    return drawing


def with_a_weak_prompt(right: Function) -> Function:
    """Numbers from 0 to 1, such as a guidance scale, are taken as 1."""

    def strong(*arguments: Any, **named: Any) -> Any:
        given = [max(one, 1.0) if isinstance(one, float) else one for one in arguments]
        return right(*given, **named)

    return strong


def capped(right: Function) -> Function:
    """Numbers above 20, such as a guidance scale, are taken as 20."""

    def weak(*arguments: Any, **named: Any) -> Any:
        given = [min(one, 20.0) if isinstance(one, float) else one for one in arguments]
        return right(*given, **named)

    return weak


def three_channels(right: Function) -> Function:
    """Only the first three channels are computed; the others are 0."""

    def cut(one: Tensor) -> Tensor:
        if one.ndim != 4 or one.shape[1] < 4:
            return one
        return torch.cat([one[:, :3], torch.zeros_like(one[:, 3:])], dim=1)

    return _on_result(right, cut)


HABITS: tuple[Callable[[Function], Function], ...] = (
    *(first_for_all, first_level_for_all, squeezed, with_an_axis_more, kept, kept_by_shape),
    *(clamped, with_clamped_arguments, in_half_precision, in_double_precision, normalised),
    *(detached, scaled, negated, halved, averaged, viewed_for_permuted, in_reverse, as_numpy),
    *(as_number, in_place, from_the_global_generator, with_a_weak_prompt, capped, three_channels),
)
