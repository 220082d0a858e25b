"""What ElasticDiffusion did at every step: it is heard from the functions that it calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from distillery.core.images import to_pil
from distillery.methods.any_size import ElasticFunctions, Views
from distillery.methods.elastic_methods import Task, begin
from distillery.methods.guided_ddim import steered


@dataclass(frozen=True)
class Moment:
    """One step of the first picture.

    index:     of the step among those that are taken, from 0.
    picture:   the estimate of x0, decoded.
    reference: that of the reference, decoded.
    size:      (h, w) of the picture in cells.
    rows:      int64 (M, 4), the windows along its height as `cover` says them; along its width
               there are `columns`, (N, 4).
    reads:     int64 (R + 1, hr, wr), what the reference read in each round.
    direction: eps_text - eps_uncond, (C, h, w).
    local:     the unconditional noise of the windows, (C, h, w).
    """

    index: int
    picture: Image.Image
    reference: Image.Image
    size: tuple[int, int]
    rows: Tensor
    columns: Tensor
    reads: Tensor
    direction: Tensor
    local: Tensor


def recorded(task: Task) -> list[Moment]:
    """Draw the first picture of a task with ElasticDiffusion, and keep what every step did.

    Of a step that is repainted, it is what was done the first time.
    """
    heard = _Heard(task.functions)
    beginning = begin("elastic", replace(task, functions=cast(ElasticFunctions, heard)))
    decode = task.prior.decode
    moments = []
    for step in steered(
        beginning.predict,
        beginning.xt,
        timesteps=task.timesteps,
        alphas_cumprod=task.prior.alphas_cumprod,
        start=beginning.start,
        change=beginning.change,
    ):
        moments.append(heard.moment(step.index - beginning.start, step.x0, decode))
    return moments


class _Heard:
    """The same functions; of a step, what each of them is given first is kept."""

    def __init__(self, functions: ElasticFunctions) -> None:
        self._functions = functions
        self._kept: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._functions, name)

    def moment(self, index: int, x0: Tensor, decode: Callable[[Tensor], Tensor]) -> Moment:
        """What was heard since the moment before, with the step's own estimate."""
        kept, self._kept = self._kept, {}
        size = h, w = (int(x0.shape[-2]), int(x0.shape[-1]))
        whole = [torch.tensor([[0, side, 0, side]]) for side in (h, w)]  # if there was one window
        rows, columns = kept.get("windows", whole)
        eps_uncond, eps_text, local = kept["scores"]
        (picture,), (reference,) = (to_pil(decode(its[:1])) for its in (x0, kept["x0_reference"]))
        return Moment(
            index,
            picture,
            reference,
            size,
            rows,
            columns,
            kept["reads"].cpu(),
            (eps_text - eps_uncond)[0].cpu(),
            local[0].cpu(),
        )

    def local_score(self, predict: Views, xt: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """As the student's own."""
        self._kept.setdefault("windows", (rows, columns))
        return self._functions.local_score(predict, xt, rows, columns)

    def from_reference(self, predict: Views, xt: Tensor, reads: Tensor, owner: Tensor) -> Tensor:
        """As the student's own."""
        self._kept.setdefault("reads", reads)
        return self._functions.from_reference(predict, xt, reads, owner)

    def elastic_eps(
        self, local: Tensor, eps_uncond: Tensor, eps_text: Tensor, guidance_scale: float
    ) -> Tensor:
        """As the student's own."""
        self._kept.setdefault("scores", (eps_uncond, eps_text, local))
        return self._functions.elastic_eps(local, eps_uncond, eps_text, guidance_scale)

    def reduced_resolution_guidance(self, x0: Tensor, x0_reference: Tensor, *others: Any) -> Tensor:
        """As the student's own."""
        self._kept.setdefault("x0_reference", x0_reference)
        return self._functions.reduced_resolution_guidance(x0, x0_reference, *others)
