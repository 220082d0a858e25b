"""A picture that is drawn in a real sandbox is the one that is drawn outside."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from distillery.core.errors import CourseError
from distillery.core.images import to_pil
from distillery.course.submission_pictures import as_facts, drawn, load_hand_in, load_model
from grading.sandbox import mounts
from grading.sandbox.fork_server_client import ForkServer
from grading.sandbox.jobs import Job
from grading.sandbox.select_backend import open_sandbox


@pytest.fixture(scope="module")
def sandbox(request: pytest.FixtureRequest) -> Iterator[ForkServer]:
    """The one of that name, by default the strongest."""
    try:
        one = open_sandbox(request.param)
    except CourseError as error:
        pytest.skip(str(error))
    with one:
        yield one


@pytest.mark.parametrize(
    ("sandbox", "stage", "few"),
    [
        (None, "01_sds", {"steps": 3, "warmup": 1}),
        (None, "04_pixelart", {"steps": 2, "warmup": 1, "candidates": 1, "size": (4, 6)}),
        ("landlock", "01_sds", {"steps": 3, "warmup": 1}),
    ],
    indirect=["sandbox"],
    ids=["strongest-sds", "strongest-pixelart", "landlock-sds"],
)
def test_a_sandbox_draws_the_picture_that_is_drawn_outside(
    stage: str, few: dict[str, object], sandbox: ForkServer
) -> None:
    hand_in = load_hand_in(stage)
    settings = replace(hand_in.pictures[0], **few)
    source = (mounts.COURSE / "reference" / f"{hand_in.module}.py").read_text(encoding="utf-8")

    reply = sandbox.run(Job("picture", hand_in.module, source, as_facts(settings)))

    method = importlib.import_module(f"reference.{hand_in.module}")
    outside = to_pil(drawn(load_model(settings), method, settings))[0]
    assert reply.ending == "returned", reply.raised
    assert np.array_equal(reply.tensors["image"].numpy(), np.asarray(outside.convert("RGB")))
