"""Steps, scores and sizes of stage 6: what is drawn is what the method did."""

from __future__ import annotations

import io
import sys
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.methods.any_size import Wanted
from distillery.methods.elastic import ElasticKnobs
from distillery.methods.elastic_methods import Knobs, Task, begin
from distillery.methods.guided_ddim import steered
from distillery.methods.reference_cells import all_reads, cells, reference_size
from distillery.methods.score_pca import principal_axes, rgb_components
from distillery.models.exact import GaussianMixturePrior
from distillery.notebook.elastic.panels import ON_SHEET
from distillery.notebook.elastic.recording import Moment, recorded
from distillery.notebook.elastic.scores import ScorePlayer
from distillery.notebook.elastic.sizes import SizeExplorer
from distillery.notebook.elastic.viewer import StepViewer, said, windows, with_reads, with_windows
from reference import elastic as functions

SIZE, STEPS = (8, 24), 4


def task(size: tuple[int, int] = SIZE, *, steps: int = STEPS, **knobs) -> Task:
    """Two pictures of an exact prior that was trained on 6 x 6 cells, one pixel each."""
    means = torch.tensor([[0.2, 0.5, -0.3], [-0.4, 0.1, 0.6]])[:, :, None, None]
    prior = GaussianMixturePrior(means, 0.3, names={"first": [0]}, latent_size=(6, 6))
    text, uncond = prior.embed(["first"] * 2), prior.embed([""] * 2)
    elastic = ElasticKnobs(**{"patch_size": 3, "new_p": 0.5, **knobs})
    wanted = Wanted(size, text, uncond, 2.0)
    timesteps = prior.timesteps(steps)
    return Task(prior, prior, functions, wanted, Knobs(elastic=elastic), timesteps, (1, 2))


@cache
def moments() -> list[Moment]:
    return recorded(task())


def at(picture: Image.Image, cell: tuple[int, int], factor: int) -> tuple[int, ...]:
    """The colour in the middle of a cell."""
    row, column = ((place + 0.5) * factor for place in cell)
    return picture.getpixel((int(column), int(row)))


@pytest.mark.parametrize(
    "knobs", [{}, {"strength": 0.5, "rrg_weight": 0.0, "own_details": True}], ids=str
)
def test_recording_changes_nothing_and_its_pictures_are_the_steps_own(knobs):
    its = task(**knobs)
    beginning = begin("elastic", its)
    steps = steered(
        beginning.predict,
        beginning.xt,
        timesteps=its.timesteps,
        alphas_cumprod=its.prior.alphas_cumprod,
        start=beginning.start,
        change=beginning.change,
    )
    for number, (step, moment) in enumerate(zip(steps, recorded(its), strict=True)):
        levels = ((step.x0[0].clamp(-1, 1) + 1) * 127.5).round()
        seen = torch.from_numpy(np.asarray(moment.picture).copy()).permute(2, 0, 1)
        torch.testing.assert_close(seen.float(), levels, atol=1, rtol=0)
        assert moment.index == number


def test_a_moment_has_the_reads_of_its_step_and_windows_that_write_every_cell_once():
    its = task()
    shared = cells(SIZE, reference_size(its.prior, SIZE))
    for moment in moments():
        reads = all_reads(functions, shared, rounds=2, new_p=0.5, seed=moment.index)
        assert torch.equal(moment.reads, reads)
        assert moment.reference.size == shared.size[::-1]
        written = torch.zeros(SIZE)
        for (_, _, top, bottom), (_, _, left, right) in windows(moment):
            written[top:bottom, left:right] += 1
        assert (written == 1).all()
        assert moment.direction.shape == moment.local.shape == (3, *SIZE)


def test_a_picture_of_the_trained_size_has_one_window_and_one_round():
    (moment,) = recorded(task((6, 6), steps=1))
    assert windows(moment) == [([0, 6, 0, 6], [0, 6, 0, 6])]
    assert moment.reads.shape == (1, 6, 6)
    assert "one window" in said(moment, 0)
    assert "in one round it read 100%" in said(moment, 0)
    assert StepViewer([moment]).controls() == []


def test_of_a_repainted_step_the_first_time_is_kept():
    (moment, _) = recorded(task(steps=2, repaint_sampling=True))
    assert len(moment.reads) == 3  # the second time has no rounds of resampling


def test_what_a_window_reads_is_bright_and_its_border_is_orange():
    moment = Moment(
        0,
        Image.new("RGB", (24, 8), (200, 100, 60)),
        Image.new("RGB", (6, 2)),
        SIZE,
        torch.tensor([[0, 8, 0, 8]]),
        torch.tensor([[0, 12, 0, 6], [3, 15, 6, 12], [12, 24, 12, 24]]),
        torch.zeros(1, 2, 6, dtype=torch.long),
        torch.zeros(4, *SIZE),
        torch.zeros(4, *SIZE),
    )
    shown = with_windows(moment, windows(moment)[1], factor=10)
    assert shown.size == (240, 80)
    bright = [column for column in range(24) if at(shown, (4, column), 10) == (200, 100, 60)]
    assert bright == list(range(3, 15))
    assert shown.getpixel((60, 45)) == (230, 159, 0)
    assert shown.getpixel((119, 45)) == (230, 159, 0)


def test_cells_that_were_read_have_dots_of_their_round_and_the_others_are_dark():
    moment = moments()[1]
    shown = with_reads(moment, factor=12)
    first, later = (set(its.flatten().tolist()) for its in (moment.reads[:1], moment.reads[1:]))
    for number in range(SIZE[0] * SIZE[1]):
        colour = at(shown, divmod(number, SIZE[1]), 12)
        if number in first:
            assert colour == (230, 159, 0)
        elif number in later:
            assert colour == (86, 180, 233)
        else:
            assert sum(colour) < 230
    assert f"{len(first | later) / (SIZE[0] * SIZE[1]):.0%}" in said(moment, 0)


def test_a_way_from_a_small_picture_shows_the_steps_that_are_taken():
    taken = recorded(task(strength=0.5, rrg_weight=0.0, own_details=True, resampling_steps=0))
    viewer, player = StepViewer(taken), ScorePlayer(taken)
    assert viewer.count == player.count == STEPS // 2
    assert "step 2: window" in viewer.label.value
    assert "in one round it read" in viewer.label.value
    assert "step 2 of 2" in player.label.value
    assert not torch.equal(taken[0].direction, taken[1].direction)


def test_sliders_choose_step_and_window():
    viewer = StepViewer(moments())
    last = viewer.images[0].value
    count = len(windows(moments()[-1]))
    assert f"step {STEPS}: window" in viewer.label.value
    viewer.chooser.value = count
    assert f"window {count} of {count}" in viewer.label.value
    assert viewer.images[0].value != last
    viewer.slider.value = 1
    assert "step 1: window" in viewer.label.value
    assert viewer.play.max == viewer.slider.max == STEPS


@pytest.mark.parametrize(("panel", "score"), [(1, "direction"), (2, "local")])
def test_each_score_has_the_colours_of_its_components_cell_by_cell(panel, score):
    player = ScorePlayer(moments())
    first, second = (getattr(moment, score) for moment in moments()[:2])
    before = principal_axes(first)
    for index, values, axes in (
        (0, first, before),
        (1, second, principal_axes(second, like=before)),
    ):
        picture = player.frame(index).pictures[panel]
        factor = picture.width // SIZE[1]
        small = picture.reduce(factor)
        assert np.array_equal(np.asarray(small), rgb_components(values, axes))
    assert player.frame(0).pictures[0].size == picture.size


@pytest.mark.parametrize("widget", [StepViewer, ScorePlayer])
def test_without_widgets_some_steps_stand_on_a_sheet(widget, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    its = widget(moments())
    assert its.box is None
    bundle = its._repr_mimebundle_()
    assert list(bundle) == ["image/png"]
    width, height = Image.open(io.BytesIO(bundle["image/png"])).size
    assert height > 2 * its.frame(0).pictures[0].height
    assert min(STEPS, ON_SHEET) * its.frame(0).pictures[0].height <= height
    assert width > 2 * its.frame(0).pictures[0].width
    with pytest.raises(CourseError, match="no step"):
        widget([])


def pictures(*levels: int, size: tuple[int, int]) -> torch.Tensor:
    return torch.tensor(levels).view(-1, 1, 1, 1).div(127.5).sub(1).expand(-1, 3, *size)


def level(png: bytes) -> tuple[int, tuple[int, int]]:
    picture = Image.open(io.BytesIO(png))
    return picture.convert("L").getpixel((0, 0)), picture.size


def explorer(**options) -> SizeExplorer:
    wide, square = (16, 32), (16, 16)
    made = {
        ("direct", square): pictures(10, 20, size=square),
        ("direct", wide): pictures(30, 40, size=wide),
        ("elastic", square): pictures(50, 60, size=square),
        ("elastic", wide): pictures(70, 80, size=wide),
    }
    return SizeExplorer(made, **options)


def test_method_size_and_seed_choose_a_picture_at_one_scale():
    made = explorer()
    assert level(made.image.value) == (30, (448, 224))
    made.method.value, made.seed.value = "elastic", 1
    assert level(made.image.value) == (80, (448, 224))
    made.size.value = (16, 16)
    assert level(made.image.value) == (60, (224, 224))
    assert made.label.value == "elastic, 16 x 16 pixels"


def test_it_is_said_how_many_things_were_counted():
    class Grey:
        """Finds as many things as the level of grey says, in tens."""

        def things(self, images: torch.Tensor) -> list[list[int]]:
            return [[0] * round((float(one.mean()) + 1) * 12.75 - 2) for one in images]

    made = explorer(counter=Grey())
    assert made.label.value == "direct, 16 x 32 pixels: 1 thing"
    made.seed.value = 1
    assert made.label.value == "direct, 16 x 32 pixels: 2 things"


def test_all_sizes_stand_on_one_sheet_without_widgets(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    bundle = explorer()._repr_mimebundle_()
    picture = Image.open(io.BytesIO(bundle["image/png"])).convert("L")
    assert picture.size == (448 + 4 + 224, 224 * 2 + 4)
    assert [picture.getpixel(place) for place in ((0, 0), (230, 0), (0, 230))] == [10, 30, 50]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({}, "no picture to look at"),
        (
            {("a", (4, 8)): pictures(1, size=(4, 8)), ("b", (4, 4)): pictures(1, size=(4, 4))},
            "of a",
        ),
        ({("a", (4, 8)): pictures(1, size=(8, 4))}, "are 8 x 4"),
        (
            {
                ("a", (4, 8)): pictures(1, size=(4, 8)),
                ("b", (4, 8)): pictures(1, 2, size=(4, 8)),
            },
            "1 to 2",
        ),
    ],
)
def test_what_does_not_fit_together_is_said_in_a_sentence(made, said):
    with pytest.raises(CourseError, match=said):
        SizeExplorer(made)
