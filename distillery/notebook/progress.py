"""A bar for the cells that take more than a few seconds: how far they are, how long it will be."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import NoReturn, TypeVar

from torch import Tensor
from tqdm import tqdm

from distillery.core.errors import CourseError
from distillery.core.images import from_pil
from distillery.runs.run import Step

Item = TypeVar("Item")
LINE = "{desc}: {percentage:3.0f}%|{bar:30}| {elapsed} so far, about {remaining} to go"


def progress(items: Iterable[Item], what: str, *, total: int | None = None) -> Iterator[Item]:
    """The same items, one by one, with a bar that counts them and goes away at the end.

    Args:
        items: of a loop; or the steps of a run, which know their number.
        what: named before the bar.
        total: how many there are, if neither the items nor their first one can tell.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with _bar(what, total) as bar:
        for item in items:
            if bar.total is None and isinstance(item, Step):
                bar.total = item.total
            yield item
            bar.update()


def finished(runs: Mapping[str, Iterable[Step]]) -> dict[str, Tensor]:
    """Take each run to its end, one after the other, under one bar: name -> images (B, 3, H, W).

    Raises:
        CourseError: a run has no steps.
    """
    images = {}
    names = [" ".join(name.split()) for name in runs]
    with _bar(names[0] if names else "", len(runs)) as bar:
        for place, (name, steps) in enumerate(runs.items()):
            bar.set_description_str(names[place])
            step = None
            for step in steps:
                bar.update(place + (step.index + 1) / step.total - bar.n)
            if step is None:
                raise CourseError(f"the run {name!r} has no steps to take: it is finished already.")
            picture = step.picture()
            images[name] = picture if isinstance(picture, Tensor) else from_pil(picture)
            bar.update(place + 1 - bar.n)
    return images


def _bar(what: str, total: int | None) -> tqdm[NoReturn]:
    # On stdout: what stands on stderr looks like a warning.
    return tqdm(desc=what, total=total, file=sys.stdout, leave=False, bar_format=LINE)
