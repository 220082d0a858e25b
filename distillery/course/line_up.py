"""A line-up of mistakes: which picture belongs to which sentence?"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from distillery.core.errors import CourseError
from distillery.course.tasks import load_task
from distillery.notebook.figures import show

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class LineUp:
    """Pictures of some known mistakes, lettered, and the sentences about them, numbered.

    The reader says which letter belongs to which number.

    Args:
        task: "stage.function".
        names: the mistakes, by their names in data/checks.
        seed: decides the order of letters and numbers.

    Raises:
        CourseError: the task is unknown, or has no picture of one of the mistakes.
    """

    def __init__(self, task: str, names: Sequence[str], *, seed: int = 0) -> None:
        stored = load_task(task)
        known = {wrong.name: wrong for wrong in stored.misconceptions}
        pictures = {
            wrong.name: came.value
            for wrong in stored.misconceptions
            if (came := wrong.observations[0]) is not None and came.value is not None
        }
        wanted = stored.trials[0].wanted.value
        if wanted is None:
            raise CourseError(f"{task} has no picture to show; choose another task.")
        for name in names:
            if name not in pictures:
                raise CourseError(f"{task} has no picture of the mistake {name!r}; choose another.")
        lettered, numbered = list(names), list(names)
        random.Random(seed).shuffle(lettered)
        random.Random(seed + 1).shuffle(numbered)
        self.sentences = [known[name].sentence for name in numbered]
        self._pictures = [wanted, *(pictures[name] for name in lettered)]
        self._numbers = {
            letter: numbered.index(name) + 1
            for letter, name in zip(string.ascii_uppercase, lettered, strict=False)
        }

    def figure(self) -> Figure:
        """The right result and the lettered wrong ones, a column for each; prints the sentences."""
        values = torch.stack(self._pictures, dim=1)[:, :, :3]
        limit = self._pictures[0].abs().max()
        for number, sentence in enumerate(self.sentences, start=1):
            print(f"{number}. {sentence}")
        return show(
            values.flatten(0, 1) / limit, ["right", *self._numbers], columns=values.shape[1]
        )

    def accuse(self, **numbers: int | None) -> None:
        """Print how many letters have the right number, as in `accuse(A=2, B=1)`."""
        right = sum(numbers.get(letter) == number for letter, number in self._numbers.items())
        print(f"{right} of {len(self._numbers)} are right.")
