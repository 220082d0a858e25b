from __future__ import annotations

import pytest
import torch

from distillery.core.errors import CourseError
from distillery.methods.morph_frames import EASINGS, frame_positions


def test_frames_are_shared_out_and_every_keyframe_has_one():
    assert frame_positions(2, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    three = frame_positions(3, 6)
    assert three.dtype == torch.float32
    assert three[[0, 2, 5]].tolist() == [0, 1, 2] or three[[0, 3, 5]].tolist() == [0, 1, 2]


def test_a_film_that_loops_does_not_show_its_first_frame_again():
    assert frame_positions(2, 4, loop=True).tolist() == [0, 0.5, 1, 1.5]


def test_a_film_holds_still_at_its_keyframes():
    assert frame_positions(2, 6, holds=[1, 2]).tolist() == [0, 0, 0.5, 1, 1, 1]
    looped = frame_positions(3, 12, holds=[1, 0, 2], loop=True)
    assert looped.tolist()[:4] == [0, 0, pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert (looped == 2).sum() == 3
    assert len(looped) == 12


@pytest.mark.parametrize("easing", EASINGS)
def test_easing_moves_frames_within_a_stretch_only(easing):
    eased = frame_positions(3, 21, easing=easing)
    assert eased[[0, 10, 20]].tolist() == [0, 1, 2]
    assert (eased.diff() > 0).all()


def test_a_smooth_film_is_slow_at_keyframes_and_goes_evenly_about_the_middle():
    steps = frame_positions(2, 11, easing="smooth").diff()
    assert steps[0] < steps[2] < steps[4]
    assert torch.allclose(steps, steps.flip(0), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((1, 5), {}, "2 keyframes"),
        ((3, 2), {}, "at least 3"),
        ((3, 2), {"loop": True}, "at least 3"),
        ((2, 5), {"holds": [4, 0]}, "at least 6"),
        ((2, 5), {"holds": [1]}, "one for each keyframe"),
        ((2, 5), {"holds": [1, -1]}, "from 0"),
        ((2, 5), {"easing": "wild"}, "linear"),
    ],
)
def test_what_makes_no_film_is_refused(arguments, options, said):
    with pytest.raises(CourseError, match=said):
        frame_positions(*arguments, **options)
