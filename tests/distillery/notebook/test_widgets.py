"""Widgets swap pictures that were made beforehand, and a stopped run keeps what it has."""

from __future__ import annotations

import asyncio
import io
import sys

import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.methods.settings import Settings
from distillery.models.exact import demonstration_mixture
from distillery.notebook.widgets import Explorer, Preview, Wipe, live
from distillery.runs.canvas import LatentCanvas, PixelCanvas
from distillery.runs.optimise import distill


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
    return stream


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
    run = live(steps(), every=5)
    assert [frame.index for frame in run.frames] == [5, 10, 12]
    assert len(run.losses) == 12
    assert run.losses[-1] < run.losses[0]
    assert run.images is run.frames[-1].images
    assert run.images.shape == (2, 3, 16, 16)
    assert not run.interrupted


def test_frames_do_not_change_after_they_were_taken():
    run = live(steps(PixelCanvas(2, 16, 16, generator=torch.Generator())), every=1)
    assert not torch.equal(run.frames[0].images, run.frames[-1].images)


def test_the_best_frame_is_the_one_that_scores_highest():
    scores = iter([0.2, -0.1, 0.9, 0.5])
    run = live(steps(), every=3, score=lambda images: next(scores))
    assert run.images is run.frames[2].images


def test_negative_scores_are_compared_too():
    scores = iter([-3.0, -1.0, -2.0, -4.0])
    run = live(steps(), every=3, score=lambda images: next(scores))
    assert run.images is run.frames[1].images


def test_an_interrupt_keeps_what_there_is(capsys):
    stream = steps()

    def interrupted():
        for step in stream:
            if step.index == 7:
                raise KeyboardInterrupt
            yield step

    run = live(interrupted(), every=3)
    assert run.interrupted
    assert [frame.index for frame in run.frames] == [3, 6]
    assert len(run.losses) == 7
    assert "kept what there was after step 6" in capsys.readouterr().out
    assert len(run.film().sliders[0].options) == 2


def test_an_interrupt_before_the_first_frame_is_an_interrupt():
    def interrupted():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        live(interrupted())


def column(png: bytes) -> list[int]:
    """The greys of a picture's middle row."""
    picture = Image.open(io.BytesIO(png)).convert("L")
    return [picture.getpixel((x, picture.height // 2)) for x in range(picture.width)]


def test_a_wipe_shows_the_edit_on_the_left_of_a_line_and_the_source_on_the_right():
    wipe = Wipe(-torch.ones(1, 3, 6, 10), torch.zeros(1, 3, 6, 10))
    (share,) = wipe.sliders
    assert share.label == "50 %"
    greys = column(wipe.image.value)
    assert set(greys[:210]) == {128}
    assert max(greys[210:220]) == 255
    assert set(greys[220:]) == {0}
    share.label = "0 %"
    assert set(column(wipe.image.value)) == {0}
    share.label = "100 %"
    assert set(column(wipe.image.value)) == {128}


def test_a_wipe_of_several_pairs_has_a_slider_for_them():
    wipe = Wipe(images(3), -images(3), names=["black", "grey", "white"])
    pair, share = wipe.sliders
    share.label = "0 %"
    pair.label = "white"
    assert grey(wipe.image.value) == 255
    share.label = "100 %"
    assert grey(wipe.image.value) == 0


@pytest.mark.parametrize(("count", "size"), [(1, (2 * 10 + 2, 6)), (3, (3 * 10 + 4, 2 * 6 + 2))])
def test_a_wipe_without_ipywidgets_is_before_and_after_on_a_sheet(monkeypatch, count, size):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    bundle = Wipe(images(count), -images(count))._repr_mimebundle_()
    assert list(bundle) == ["image/png"]
    assert Image.open(io.BytesIO(bundle["image/png"])).size == size


def test_a_wipe_of_two_shapes_is_refused():
    with pytest.raises(CourseError, match="one shape"):
        Wipe(images(2), images(3))


def preview(begin=None, **axes) -> Preview:
    """A preview of a short distillation, with the number of its steps on a slider."""

    def begin_steps(count: int = 6):
        return steps(count=count)

    axes = axes or {"count": [3, 6, 9]}
    return Preview(begin or begin_steps, first=images(1), every=3, **axes)


def pressed(shown: Preview, *later) -> None:
    """Press the button, do the `later` things one after another in between, and wait."""

    async def run() -> None:
        shown.press()
        for thing in later:
            await asyncio.sleep(0.01)
            thing()
        while shown.running:
            await asyncio.sleep(0.01)

    asyncio.run(run())


def test_a_preview_begins_at_the_defaults_and_runs_nothing_by_itself():
    shown = preview()
    assert shown.chosen == {"count": 6}
    bundle = shown._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert grey(bundle["image/png"]) == 0
    assert shown.caption == "not begun"


def test_pressing_the_button_runs_and_shows_the_picture():
    shown = preview()
    before = shown.image.value
    pressed(shown)
    assert shown.label.value == "step 6 of 6"
    assert shown.image.value != before
    assert shown.button.description == "run"


def test_the_kernel_stays_free_between_the_steps():
    shown, seen = preview(), []
    pressed(shown, *[lambda: seen.append(shown.caption)] * 3)
    assert len(seen) == 3
    assert shown.caption == "step 6 of 6"


def endless(count: int = 6):
    """A run that only a press of the button ends."""
    while True:
        yield from steps(count=count)


def test_pressing_again_stops():
    shown = preview(endless)
    labels = []
    pressed(shown, lambda: labels.append(shown.button.description), shown.press)
    assert labels == ["stop"]
    assert not shown.running
    assert shown.label.value.startswith("stopped at ")
    assert shown.button.description == "run"


def test_pressing_after_a_slider_was_moved_begins_anew():
    begun, labels = [], []

    def begin(count: int = 6):
        begun.append(count)
        return endless(count) if count == 6 else steps(count=count)

    shown = preview(begin)

    def move() -> None:
        shown.sliders["count"].label = "9"
        labels.append(shown.button.description)

    pressed(shown, move, shown.press)
    assert labels == ["run again"]
    assert begun == [6, 9]
    assert shown.label.value == "step 9 of 9"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (CourseError("the prompt is empty."), "the prompt is empty."),
        (NotImplementedError("pds.pds_loss is still to do."), "pds.pds_loss is still to do."),
        (RuntimeError("shapes differ\nat great length"), "RuntimeError: shapes differ"),
    ],
)
def test_an_error_is_one_sentence_and_the_button_works_again(error, sentence):
    def begin(count: int = 6):
        yield from list(steps(count=count))[:3]
        raise error

    shown = preview(begin)
    pressed(shown)
    assert shown.label.value == sentence
    assert shown.button.description == "run"
    assert shown.image.value == shown.png


def test_without_an_event_loop_a_press_runs_to_the_end():
    shown = preview()
    shown.press()
    assert shown.label.value == "step 6 of 6"


def test_without_ipywidgets_a_preview_runs_once_with_the_defaults(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    begun = []

    def begin(count: int = 6):
        begun.append(count)
        return steps(count=count)

    shown = preview(begin)
    first, second = shown._repr_mimebundle_(), shown._repr_mimebundle_()
    assert begun == [6]
    assert first == second
    assert sorted(first) == ["image/png", "text/plain"]
    assert first["text/plain"] == "step 6 of 6"


@pytest.mark.parametrize("axes", [{"count": [3, 9]}, {"steps": [6]}])
def test_a_slider_without_a_place_for_the_default_is_refused(axes):
    with pytest.raises(CourseError, match="begins at the function's default"):
        preview(**axes)
