"""The bar of cells that take long."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.notebook.progress import finished, progress
from distillery.runs.run import Step


def run(steps: int, value: float):
    """Steps that show an image of one value, more of it with every step."""
    for index in range(steps):
        yield Step(index, steps, lambda index=index: torch.full((1, 3, 2, 2), value * (index + 1)))


def test_a_bar_passes_every_item_on_and_clears_its_line(capsys):
    assert list(progress([3, 1, 2], "scales")) == [3, 1, 2]
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("\rscales:   0%|")
    assert "100%|██" not in shown.out.split("\r")[-1]
    assert shown.out.endswith("\r")


def test_a_bar_over_a_run_knows_its_length_from_the_first_step(capsys):
    assert [step.index for step in progress(run(4, 1.0), "a run")] == [0, 1, 2, 3]
    list(progress(iter("ab"), "letters", total=2))
    assert "a run:   0%|" in capsys.readouterr().out


def test_several_runs_are_taken_to_their_ends_under_one_bar(capsys):
    images = finished({"s = 1": run(3, 0.1), "s = 2\nlouder": run(5, 0.2)})
    assert list(images) == ["s = 1", "s = 2\nlouder"]
    assert images["s = 1"].mean() == pytest.approx(0.3)
    assert images["s = 2\nlouder"].mean() == pytest.approx(1.0)
    shown = capsys.readouterr().out
    assert "s = 2 louder:  50%|" in shown
    assert shown.count("\n") == 0


def test_a_run_that_stops_early_does_not_stop_the_bar_at_its_share(capsys):
    finished({"stopped": (step for step in run(4, 1.0) if step.index < 2), "whole": run(2, 1.0)})
    assert "whole:  50%|" in capsys.readouterr().out


def test_a_run_may_show_a_picture_of_pil():
    picture = Image.new("RGB", (3, 2), "white")
    (images,) = finished({"palette": [Step(0, 1, lambda: picture)]}).values()
    assert images.shape == (1, 3, 2, 3)
    assert images.min() == 1


def test_a_run_without_steps_is_said_to_be_finished():
    with pytest.raises(CourseError, match="the run 'over' has no steps to take"):
        finished({"over": iter(())})


def test_an_error_in_a_run_comes_through(capsys):
    def stops():
        yield from run(1, 1.0)
        raise NotImplementedError("to do")

    with pytest.raises(NotImplementedError, match="to do"):
        finished({"stub": stops()})
    with pytest.raises(NotImplementedError, match="to do"):
        list(progress(stops(), "stub"))
