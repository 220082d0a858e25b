"""Errors that lie in shapes are said in the words of the task."""

from __future__ import annotations

import pytest
import torch

from distillery.course.check import check
from distillery.course.shape_errors import about_shapes
from distillery.course.tasks import load_task


def flat_levels(prior, x0, t, eps, text, uncond, guidance_scale):
    return prior.alphas_cumprod[t].sqrt() * x0


def levels_over_channels(x0, eps, alpha_bar):
    return alpha_bar.view(1, -1, 1, 1).sqrt() * x0


def one_level(prior, x0, t, eps, text, uncond, guidance_scale):
    return prior.alphas_cumprod[t.item()] * x0


def four_channels(x0, eps, alpha_bar):
    return torch.ones(len(x0), 4, 1, 1) * x0


@pytest.mark.parametrize(
    ("task", "function", "sentence"),
    [
        (
            "sds.sds_grad",
            flat_levels,
            "  There are 2 pictures and 14 columns: a number for each picture needs the shape "
            "(2, 1, 1, 1).",
        ),
        (
            "tour.add_noise",
            levels_over_channels,
            "  There are 2 pictures and 3 channels: a number for each picture needs the shape "
            "(2, 1, 1, 1).",
        ),
        (
            "sds.sds_grad",
            one_level,
            "  There are 2 pictures, each with a number of its own: keep them a tensor.",
        ),
        (
            "tour.add_noise",
            four_channels,
            "  There are 3 channels here, not 4: take lengths from the arguments.",
        ),
    ],
)
def test_an_error_of_shapes_is_explained(task, function, sentence, capsys):
    assert not check(task, function).passed
    assert capsys.readouterr().out.splitlines()[-1] == sentence


@pytest.mark.parametrize(
    "message",
    [
        "",
        "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 7",
        "The size of tensor a (3) must match the size of tensor b (3) at non-singleton dimension 1",
        "The size of tensor a (8) must match the size of tensor b (9) at non-singleton dimension 3",
        "a Tensor with 99 elements cannot be converted to Scalar",
        "x" * 10**6,
    ],
)
def test_nothing_is_said_of_other_errors(message):
    case = load_task("tour.add_noise").trials[0].case
    assert about_shapes(case, message) == ""


def test_nothing_is_said_where_no_picture_is_given():
    case = load_task("sds.sample_timesteps").trials[0].case
    message = (
        "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0"
    )
    assert about_shapes(case, message) == ""
