"""Checks of frames, of layers and of the maps that are drawn of them."""

from __future__ import annotations

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from distillery.course.drawing import draw_rows
from distillery.course.kinds import from_wire, to_wire
from distillery.course.kinds.frames import FramesCase
from distillery.course.kinds.layer import LayerCase
from distillery.course.observe import Observation, conclude, observe
from distillery.course.record import Recording

PALETTE = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 1.0]])
HELD = torch.tensor([[[0, 1, 2], [2, 2, 0]], [[0, 1, 1], [2, 1, 0]]])


def held(numbers: Tensor) -> tuple[FramesCase, Observation]:
    """A case with a palette, whose function returns these."""
    case = FramesCase(("palette",), {"palette": PALETTE})
    return case, observe(lambda palette: numbers, case)


def pictures(figure: Figure) -> list[Tensor]:
    return [torch.as_tensor(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_frames_lie_side_by_side_in_the_palettes_colours_and_what_differs_is_bright() -> None:
    case, wanted = held(HELD)
    its, mine, gap = pictures(case.draw(Figure, wanted, held(HELD.roll(1, 0))[1]))
    assert its.shape == (2, 7, 3)
    torch.testing.assert_close(its[:, :3], PALETTE[HELD[0]])
    torch.testing.assert_close(its[:, 4:], PALETTE[HELD[1]])
    torch.testing.assert_close(mine[:, :3], its[:, 4:])
    assert gap[:, :3].sum() == gap[:, 4:].sum() == (HELD[0] != HELD[1]).sum()
    assert (gap[:, 3] == 0).all()


@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (3, 4, 5)])
def test_latents_and_maps_are_drawn_frame_by_frame_too(shape: tuple[int, ...]) -> None:
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    case = FramesCase(())
    wanted, came = observe(lambda: numbers, case), observe(lambda: numbers + 0.5, case)
    its, mine, gap = pictures(case.draw(Figure, wanted, came))
    assert its.shape == mine.shape == (4, 17, 3)
    assert gap.shape == (4, 17)
    assert (gap[:, 0] > 0.4).all()
    assert case.where((2, 1, 3)) == "in frame 2, at [1, 3]"


def test_numbers_that_no_palette_has_and_frames_of_another_shape_stop_nothing() -> None:
    case, wanted = held(HELD)
    assert len(pictures(case.draw(Figure, wanted, held(HELD + 9)[1]))) == 3
    for came in (held(HELD[:1])[1], None):
        figure = case.draw(Figure, wanted, came)
        assert figure.axes[1].texts[0].get_text() == "nothing to draw yet"


def test_numbers_from_the_shared_generator_are_seen_and_forged_facts_are_not_believed() -> None:
    case, wanted = held(HELD)
    assert wanted.facts["untouched"]

    def drawing(palette: Tensor) -> Tensor:
        torch.rand(1)
        return HELD

    came = observe(drawing, case)
    assert not came.facts["untouched"]
    assert "shared generator" in case.words()["untouched"][1]
    forged = Recording({"type": "Tensor", "changed": [], "untouched": 1}, {"result": HELD})
    assert conclude(forged, case).facts == {"type": "unreadable"}


@pytest.mark.parametrize(
    ("numbers", "size"),
    [
        (torch.ones(2, 4, 5), [(4, 5)] * 2),
        (torch.ones(4, 5), [(4, 5)]),
        (torch.ones(5), [(1, 5)]),
        (torch.ones(4, 3), [(1, 4)]),
    ],
)
def test_maps_rows_and_palettes_are_drawn_as_pictures(
    numbers: Tensor, size: list[tuple[int, int]]
) -> None:
    drawn = pictures(draw_rows(Figure, numbers, numbers))
    assert [tuple(its.shape[:2]) for its in drawn[::3]] == size


def linear(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.T


def test_a_layer_says_which_of_its_arguments_can_learn() -> None:
    tensors = {"x": torch.ones(2, 3), "weight": torch.ones(4, 3)}
    case = LayerCase(("x", "weight"), tensors, with_graph=("x", "weight"))
    wanted = observe(linear, case)
    assert wanted.facts["reached"] == ["x", "weight"]
    cut = observe(lambda x, weight: linear(x, weight.detach()), case)
    assert cut.facts["reached"] == ["x"]
    assert not cut.equals(wanted)
    said = case.words()["reached"]
    assert not isinstance(said, tuple)
    assert said(["x"]) == "a gradient for x"
    without = observe(lambda x, weight: linear(x, weight).detach(), case)
    assert "reached" not in without.facts


def test_cases_come_back_from_what_is_stored_of_them() -> None:
    one = FramesCase(("seeds", "margin"), values={"seeds": [1, 2], "margin": 0.1})
    assert from_wire(*to_wire(one)) == one
    other = LayerCase(("bias",), values={"bias": None}, with_graph=("x",))
    assert from_wire(*to_wire(other)) == other
