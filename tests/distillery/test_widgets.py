"""Widgets swap pictures that were made beforehand, and a stopped run keeps what it has."""

from __future__ import annotations

import io
import sys

import pytest
import torch
from PIL import Image

from distillery.canvas import LatentCanvas, PixelCanvas
from distillery.distill import Settings, distill
from distillery.errors import CourseError
from distillery.exact import demonstration_mixture
from distillery.widgets import Explorer, live


def images(count: int) -> torch.Tensor:
    """Pictures (count, 3, 6, 10) of different greys."""
    return torch.linspace(-1, 1, count).view(-1, 1, 1, 1).expand(-1, 3, 6, 10)


def grey(png: bytes) -> int:
    return Image.open(io.BytesIO(png)).convert("L").getpixel((0, 0))


def steps(canvas=None, *, count: int = 12):
    """A short distillation towards a red disc, by a loss of its own."""
    prior = demonstration_mixture()
    generator = torch.Generator().manual_seed(0)
    canvas = canvas or LatentCanvas(2, 3, 16, 16, generator=generator)
    settings = Settings("a red disc", model="exact", steps=count)

    def loss_fn(x0: torch.Tensor, index: int) -> torch.Tensor:
        return (x0 - prior.means[0]).square().sum().float()

    stream = distill(canvas, loss_fn, prior=prior, settings=settings, generator=generator)
    return stream, prior


def test_moving_a_slider_swaps_the_png():
    explorer = Explorer(images(6), t=[10, 20], guidance_scale=[1.0, 4.0, 7.5])
    t, scale = explorer.sliders
    assert grey(explorer.image.value) == 0
    scale.index = 2
    assert grey(explorer.image.value) == 102
    t.index = 1
    assert grey(explorer.image.value) == 255
    t.label, scale.label = "20", "4"
    assert grey(explorer.image.value) == 204


def test_small_pictures_are_enlarged_and_keep_their_shape():
    explorer = Explorer(images(1), t=[10])
    width, height = Image.open(io.BytesIO(explorer.image.value)).size
    assert (width, height) == (10 * 43, 6 * 43)


def test_a_front_end_without_widgets_gets_a_contact_sheet():
    bundle = Explorer(images(6), t=[10, 20], s=[1, 2, 3])._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert Image.open(io.BytesIO(bundle["image/png"])).size == (3 * 10 + 4, 2 * 6 + 2)


def test_without_ipywidgets_only_the_contact_sheet_is_shown(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert list(Explorer(images(6), t=range(6))._repr_mimebundle_()) == ["image/png"]


@pytest.mark.parametrize("axes", [{}, {"t": []}, {"t": [1, 2, 3]}, {"t": [1, 2], "s": [1, 2, 3]}])
def test_pictures_that_do_not_fill_the_axes_are_refused(axes):
    with pytest.raises(CourseError, match="pictures were given"):
        Explorer(images(4), **axes)


def test_a_run_keeps_its_frames_and_losses():
    run = live(*steps(), every=5)
    assert [frame.index for frame in run.frames] == [5, 10, 12]
    assert len(run.losses) == 12
    assert run.losses[-1] < run.losses[0]
    assert run.images is run.frames[-1].images
    assert run.images.shape == (2, 3, 16, 16)
    assert not run.interrupted


def test_frames_do_not_change_after_they_were_taken():
    run = live(*steps(PixelCanvas(2, 16, 16, generator=torch.Generator())), every=1)
    assert not torch.equal(run.frames[0].images, run.frames[-1].images)


def test_the_best_frame_is_the_one_that_scores_highest():
    scores = iter([0.2, -0.1, 0.9, 0.5])
    run = live(*steps(), every=3, score=lambda images: next(scores))
    assert run.images is run.frames[2].images


def test_negative_scores_are_compared_too():
    scores = iter([-3.0, -1.0, -2.0, -4.0])
    run = live(*steps(), every=3, score=lambda images: next(scores))
    assert run.images is run.frames[1].images


def test_an_interrupt_keeps_what_there_is(capsys):
    stream, prior = steps()

    def interrupted():
        for step in stream:
            if step.index == 7:
                raise KeyboardInterrupt
            yield step

    run = live(interrupted(), prior, every=3)
    assert run.interrupted
    assert [frame.index for frame in run.frames] == [3, 6]
    assert len(run.losses) == 7
    assert "kept what there was after step 6" in capsys.readouterr().out
    assert len(run.film().sliders[0].options) == 2


def test_an_interrupt_before_the_first_frame_is_an_interrupt():
    _, prior = steps()

    def interrupted():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        live(interrupted(), prior)
