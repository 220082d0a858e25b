from __future__ import annotations

import math

import pytest
import torch

from distillery.pixelart.canvas import PaletteCanvas


def logits(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_it_renders_a_copy_of_its_logits() -> None:
    given = logits(2, 3, 4, 6)

    canvas = PaletteCanvas(given)
    given.zero_()

    assert canvas.space == "logits"
    assert torch.equal(canvas.render(), logits(2, 3, 4, 6))
    assert [p.shape for p in canvas.parameters()] == [(2, 3, 4, 6)]


@pytest.mark.parametrize(("clip_norm", "length"), [(0.0, 10.0), (2.5, 2.5), (20.0, 10.0)])
def test_a_gradient_is_shortened_to_the_norm_and_never_lengthened(
    clip_norm: float, length: float
) -> None:
    canvas = PaletteCanvas(logits(1, 3, 4, 6), clip_norm=clip_norm)
    direction = logits(1, 3, 4, 6)
    direction = direction / direction.norm()

    (canvas.render() * 10 * direction).sum().backward()

    torch.testing.assert_close(canvas.logits.grad, length * direction)


def test_the_index_of_a_pixel_is_its_largest_logit() -> None:
    canvas = PaletteCanvas(torch.tensor([[[[0.0, 2.0]], [[1.0, 2.5]], [[3.0, 1.0]]]]))

    assert canvas.indices().tolist() == [[[2, 1]]]
    assert canvas.indices().dtype == torch.int64


def test_entropy_is_one_where_all_colours_are_alike_and_nought_where_one_is_sure() -> None:
    p = torch.tensor([0.7, 0.2, 0.1])
    columns = torch.stack([torch.zeros(3), torch.tensor([90.0, 0, 0]), p.log()], dim=1)
    canvas = PaletteCanvas(columns[None, :, None, :])

    nats = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1))
    expected = torch.tensor([[[1.0, 0.0, nats / math.log(3)]]])
    torch.testing.assert_close(canvas.entropy(), expected)


def test_its_state_survives_a_checkpoint_with_the_clipping() -> None:
    canvas = PaletteCanvas(torch.zeros(1, 3, 4, 6), clip_norm=1.0)

    canvas.load_state_dict(PaletteCanvas(logits(1, 3, 4, 6)).state_dict())
    (100 * canvas.render()).sum().backward()

    assert torch.equal(canvas.render(), logits(1, 3, 4, 6))
    torch.testing.assert_close(canvas.logits.grad.norm(), torch.tensor(1.0))
