from __future__ import annotations

import pytest
import torch

from distillery.runs.canvas import Canvas, LatentCanvas, PixelCanvas


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("canvas", "space", "shape"),
    [
        (LatentCanvas(2, 4, 6, 10, generator=generator()), "latents", (2, 4, 6, 10)),
        (PixelCanvas(2, 12, 20, generator=generator()), "images", (2, 3, 12, 20)),
    ],
)
def test_a_canvas_renders_one_parameter_in_its_space(
    canvas: Canvas, space: str, shape: tuple[int, ...]
) -> None:
    assert canvas.space == space
    assert canvas.render().shape == shape
    assert len(list(canvas.parameters())) == 1
    assert canvas.render().requires_grad


def test_latents_begin_as_noise_of_the_given_scale() -> None:
    expected = 0.5 * torch.randn(2, 4, 6, 10, generator=generator())

    canvas = LatentCanvas(2, 4, 6, 10, generator=generator(), init_scale=0.5)

    assert torch.equal(canvas.render(), expected)


def test_a_canvas_may_begin_as_a_copy_of_given_latents() -> None:
    latents = torch.randn(2, 4, 6, 10)

    canvas = LatentCanvas.starting_at(latents)
    with torch.no_grad():
        canvas.latents += 1

    torch.testing.assert_close(canvas.render(), latents + 1)


def test_pixels_stay_inside_their_range() -> None:
    canvas = PixelCanvas(2, 12, 20, generator=generator(), init_scale=100.0)

    assert canvas.render().abs().max() <= 1
