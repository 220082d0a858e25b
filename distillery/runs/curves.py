"""The figures of all steps: as a table, as a picture, and for TensorBoard while they come."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillery.core.errors import CourseError, in_short

SCALARS_EVERY = 10  # steps


class History:
    """The figures of all steps by name. Reading them waits for the device, so they are kept first.

    Args:
        figures: those of the steps before a checkpoint.
    """

    def __init__(self, figures: Mapping[str, Sequence[float]] | None = None) -> None:
        self._figures = {name: list(values) for name, values in (figures or {}).items()}
        self._pending: list[Mapping[str, Tensor]] = []

    def add(self, figures: Mapping[str, Tensor]) -> None:
        """Keep the figures of one more step; every step has the same names."""
        self._pending.append(figures)

    def read(self) -> dict[str, list[float]]:
        """All figures so far as numbers."""
        for name in self._pending[0] if self._pending else ():
            values = torch.stack([figures[name] for figures in self._pending]).tolist()
            self._figures.setdefault(name, []).extend(values)
        self._pending.clear()
        return self._figures


def figures_table(figures: Mapping[str, Sequence[float]]) -> str:
    """A CSV with a column for the number of the step, from 1, and one for each figure."""
    rows = enumerate(zip(*figures.values(), strict=True), start=1)
    lines = [",".join([str(number), *map(repr, values)]) for number, values in rows]
    return "\n".join([",".join(["step", *figures]), *lines, ""])


def figures_curve(figures: Mapping[str, Sequence[float]]) -> bytes:
    """Every figure as a dot, and their running means, as a PNG."""
    from matplotlib.figure import Figure  # takes a second, and only the end of a run needs it

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for values in figures.values():
        window = max(1, len(values) // 20)
        mean = np.convolve(values, np.full(window, 1 / window), mode="valid")
        steps = np.arange(1, len(values) + 1)
        axes.plot(steps, values, ".", markersize=2, alpha=0.4)
        axes.plot(steps[window - 1 :], mean)
    axes.set(xlabel="step", ylabel=", ".join(figures), yscale="log")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


class Scalars:
    """TensorBoard's curves of a run under way; without a folder it writes nothing.

    Args:
        first: number of steps that were done before.
    """

    def __init__(self, folder: Path | None, first: int) -> None:
        self._folder, self._first = folder, first
        self._writer: Any = None

    def wants(self, index: int) -> bool:
        """Whether the figures of this step are written."""
        return self._folder is not None and index % SCALARS_EVERY == 0

    def add(self, index: int, figures: Mapping[str, float]) -> None:
        """Note the figures of a step.

        Raises:
            CourseError: the folder cannot be written.
        """
        if self._folder is None:
            return
        writer = self._opened(self._folder)
        for name, value in figures.items():
            writer.add_scalar(name, value, index)

    def _opened(self, folder: Path) -> Any:
        if self._writer is None:
            from tensorboardX import SummaryWriter

            try:
                self._writer = SummaryWriter(str(folder), purge_step=self._first or None)
            except OSError as error:
                raise CourseError(
                    f"cannot write {folder}: {in_short(error)}; choose a folder that can be "
                    "written."
                ) from error
        return self._writer

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()
