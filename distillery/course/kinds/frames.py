"""A function that returns frames: each number counts, and they are drawn side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from distillery.course.case import Form, SideCondition, Words
from distillery.course.drawing import NewFigure, draw_frames
from distillery.course.kinds.value import ValueCase
from distillery.course.observe import Observation, is_bool, picked
from distillery.course.record import Facts, Function, Tensors

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FramesCase(ValueCase):
    """The result is (F, ...). Where it is (F, h, w), with a palette, it has numbers of colours.

    No other random numbers than those of its own generators may be drawn.
    """

    kind = "frames"
    side_conditions: ClassVar[dict[str, SideCondition]] = ValueCase.side_conditions | {
        "untouched": lambda wanted, came: wanted and not came,
    }

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        before = torch.get_rng_state()
        facts, tensors = super().record(function)
        if tensors:
            facts["untouched"] = torch.equal(torch.get_rng_state(), before)
        return facts, tensors

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        found = super().conclude(reported, tensors)
        return replace(found, facts=found.facts | picked(reported, "untouched"))

    def forms(self) -> dict[str, Form]:
        return super().forms() | {"untouched": is_bool}

    def words(self) -> dict[str, Words]:
        return super().words() | {
            "untouched": (
                "torch's shared generator left as it is",
                "numbers from torch's shared generator, or its seed set",
            )
        }

    def where(self, place: tuple[int, ...]) -> str:
        return f"in frame {place[0]}, at {list(place[1:])}"

    def draw(self, new: NewFigure, wanted: Observation, came: Observation | None) -> Figure:
        assert wanted.value is not None
        palette = self.tensors.get("palette")
        return draw_frames(new, wanted.value, None if came is None else came.value, palette)


KIND = FramesCase
