"""Drawings that kinds of checks share. The figure is given, so matplotlib is not imported here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import pad

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TALLEST = 20  # times the largest target; higher bars are cut off there

NewFigure = Callable[..., "Figure"]  # of a `figsize` and a `layout`


def draw_rows(new: NewFigure, target: Tensor, came: Tensor | None) -> Figure:
    """Target, theirs and the difference, a row for each of the batch.

    Args:
        target: latents (B, C, h, w); colours (K, 3), which are drawn as one strip; or maps of
            numbers (B, h, w), (h, w) or (w,), which are drawn in grey.
        came: what is compared with it; nothing is drawn of another shape.
    """
    if target.ndim < 4:
        target, came = _as_pictures(target), None if came is None else _as_pictures(came)
    figure = new(figsize=(7.5, 1.8 * len(target)), layout="constrained")
    axes: Any = figure.subplots(len(target), 3, squeeze=False)
    limit, typical = float(target.abs().max()), float(target.std())
    for column, title in zip(axes[0], ("target", "yours", "difference"), strict=True):
        column.set_title(title)
    for row, wanted in zip(axes, target, strict=True):
        for column in row:
            column.set_axis_off()
        row[0].imshow(_colours(wanted, limit).numpy())
    if came is None or came.shape != target.shape:
        axes[0, 1].text(0.5, 0.5, "nothing to draw yet", ha="center", va="center")
        return figure
    for row, wanted, mine in zip(axes, target, came, strict=True):
        row[1].imshow(_colours(mine, limit).numpy())
        difference = (mine - wanted).abs().mean(dim=0)
        row[2].imshow(difference.numpy(), cmap="magma", vmin=0, vmax=typical)
    return figure


def _as_pictures(numbers: Tensor) -> Tensor:
    """Colours (K, 3) as one picture (1, 3, 1, K), a pixel for each; other numbers in grey."""
    if numbers.ndim == 2 and numbers.shape[1] == 3:
        return numbers.T[None, :, None]
    if numbers.ndim > 3:
        return numbers
    maps = numbers.reshape(-1, *(1, 1, *numbers.shape)[-2:])
    return maps[:, None].expand(-1, 3, -1, -1)


def _colours(latents: Tensor, limit: float) -> Tensor:
    """The first three channels (C, h, w) as (h, w, 3) in [0, 1]; zero is mid-grey, as is none."""
    three = pad(latents[:3], (0, 0, 0, 0, 0, max(0, 3 - len(latents))))
    return (0.5 + 0.5 * three.permute(1, 2, 0) / limit).nan_to_num().clamp(0, 1)


def draw_numbers(
    new: NewFigure, target: Tensor, came: Tensor | None, parts: Sequence[str]
) -> Figure:
    """All numbers of a small result as bars, grouped by the parts along the first axis."""
    figure = new(figsize=(7, 2.4), layout="constrained")
    axes = figure.subplots()
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
        places.float().mean(dim=1).tolist(), [part.replace(" at ", "\nat ") for part in parts]
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def draw_table(
    new: NewFigure, target: Tensor, came: Tensor | None, columns: Sequence[str] = ()
) -> Figure:
    """Whole numbers (M, N) as tables: what is wanted, theirs, and where both differ.

    Args:
        came: of another number of rows too; then there is no difference to draw.
        columns: names of the N columns; by default they are numbered.
    """
    rows = max(len(target), 0 if came is None else len(came))
    figure = new(figsize=(9, 1 + 0.3 * rows), layout="constrained")
    wanted, theirs, difference = figure.subplots(1, 3, squeeze=False)[0]
    for axes, title in ((wanted, "target"), (theirs, "yours"), (difference, "difference")):
        axes.set_title(title)
        axes.set_axis_off()
    limits: dict[str, Any] = {"vmin": float(target.min()), "vmax": 2 * float(target.max())}
    _write(wanted, target, columns, cmap="Blues", **limits)
    if came is None:
        theirs.text(0.5, 0.5, "nothing to draw yet", ha="center", va="center")
        return figure
    _write(theirs, came, columns, cmap="Blues", **limits)
    if came.shape == target.shape:
        gap = came - target
        _write(difference, gap, columns, shade=(gap != 0).float(), cmap="Oranges", vmin=0, vmax=3)
    return figure


def _write(
    axes: Any, table: Tensor, columns: Sequence[str], *, shade: Tensor | None = None, **colours: Any
) -> None:
    """The numbers of a table on a coloured ground, which by default shows how large they are."""
    axes.set_axis_on()
    axes.imshow((table if shade is None else shade).numpy(), aspect="auto", **colours)
    for row, numbers in enumerate(table.tolist()):
        for column, number in enumerate(numbers):
            axes.text(column, row, f"{number:g}", ha="center", va="center", fontsize=8)
    names = columns if len(columns) == table.shape[1] else range(table.shape[1])
    axes.set_xticks(range(table.shape[1]), list(names), fontsize=7)
    axes.set_yticks(range(len(table)), range(len(table)), fontsize=7)


def draw_frames(
    new: NewFigure, target: Tensor, came: Tensor | None, palette: Tensor | None = None
) -> Figure:
    """Target, theirs and the difference one below the other, the frames of each side by side.

    Args:
        target: of F frames, latents (F, C, h, w), maps of numbers (F, h, w), or the numbers of
            colours in a palette (F, h, w).
        came: what is compared with it; nothing is drawn of another shape.
        palette: colours (K, 3) from 0 to 1.
    """
    figure = new(figsize=(9, 4), layout="constrained")
    rows: Any = figure.subplots(3, 1)
    for axes, title in zip(rows, ("target", "yours", "difference"), strict=True):
        axes.set_title(title)
        axes.set_axis_off()
    limit, typical = float(target.abs().max()), float(target.float().std())
    rows[0].imshow(_side_by_side(_seen(target, limit, palette), 1.0).numpy())
    if came is None or came.shape != target.shape:
        rows[1].text(0.5, 0.5, "nothing to draw yet", ha="center", va="center")
        return figure
    rows[1].imshow(_side_by_side(_seen(came, limit, palette), 1.0).numpy())
    gap = (came - target).abs() if palette is None else (came != target).float()
    gap = gap.mean(dim=1) if gap.ndim == 4 else gap
    most = typical if palette is None else 1.0
    gaps = _side_by_side(gap[..., None], 0.0)[..., 0]
    rows[2].imshow(gaps.numpy(), cmap="magma", vmin=0, vmax=most)
    return figure


def _seen(frames: Tensor, limit: float, palette: Tensor | None) -> Tensor:
    """Colours (F, h, w, 3) in [0, 1]."""
    if palette is not None:
        return palette[frames.long().clamp(0, len(palette) - 1)].clamp(0, 1)
    return torch.stack([_colours(frame, limit) for frame in _as_pictures(frames)])


def _side_by_side(frames: Tensor, between: float) -> Tensor:
    """Frames (F, h, w, n) as one picture (h, F (w + 1) - 1, n), with a column between two."""
    apart = pad(frames, (0, 0, 0, 1), value=between)
    return torch.cat(apart.unbind(), dim=1)[:, :-1]
