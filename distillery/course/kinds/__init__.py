"""The kinds of checks. Every module here is one kind, a subclass of `Case` that it calls `KIND`.

A new kind is a new file; nothing else lists it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

from distillery.course.case import Case
from distillery.course.record import Facts, Tensors, numbered, under


def find_kinds() -> dict[str, type[Case]]:
    """Name of a kind in data/checks -> its class."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return {module.KIND.kind: module.KIND for module in modules}


KINDS = find_kinds()


def to_wire(case: Case) -> tuple[Facts, Tensors]:
    """A case as plain JSON and plain tensors, as data/checks and a sandbox's job hold it."""
    facts = {name: value for name, value in case.stored_facts().items() if value}
    tensors = case.stored_tensors().items()
    return facts, {name: tensor.detach().clone().contiguous() for name, tensor in tensors}


def from_wire(facts: Facts, tensors: Tensors) -> Case:
    """The case that `to_wire` made these of; other tensors may be among them."""
    return KINDS[facts["kind"]].restored(facts, tensors)


def all_to_wire(cases: Sequence[Case]) -> tuple[list[Facts], Tensors]:
    """As `to_wire`, for several cases; the tensors of the first are named "0/..."."""
    every, tensors = [], Tensors()
    for place, case in enumerate(cases):
        facts, its = to_wire(case)
        every.append(facts)
        tensors |= numbered(place, its)
    return every, tensors


def all_from_wire(facts: Sequence[Facts], tensors: Tensors) -> list[Case]:
    """The cases that `all_to_wire` made these of."""
    return [from_wire(its, under(f"{place}/", tensors)) for place, its in enumerate(facts)]
