"""Draw some of a student's pictures again in the sandbox, and compare."""

from __future__ import annotations

import hashlib
import importlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import load_image, save_png, to_pil
from distillery.course.submission_pictures import (
    HandIn,
    as_facts,
    drawn,
    load_hand_in,
    load_model,
)
from distillery.metrics.evaluate import pixel_distance
from grading.core.records import Flag
from grading.judge.open_pictures import SubmittedPictures
from grading.sandbox.jobs import Job, Limits, Reply, Sandbox
from grading.stages.stage import Stage

# Mean difference, in levels of 255, up to which a picture counts as drawn by the same code. With
# another instruction set of the same processor a picture comes out bit for bit the same; another
# seed of an edit is 4.5 away, of a drawing 20.
PICTURES_DIFFER = 3.0
LIMITS = Limits(wall_s=240.0, cpu_s=240, memory_mb=3072)  # of drawing one picture

# Kinds of flags. The first says that the submitted code did not draw the pictures.
NOT_REDRAWN = "picture not redrawn"
NOT_COMPARED = "picture not compared"


@dataclass(frozen=True)
class Redrawing:
    """How pictures are drawn again.

    source:   the whole text of guidance/<module>.py with the student's functions; None where they
              could not be put in.
    seed:     decides which pictures are drawn again.
    expected: what right code draws, from `expected_pictures`; only for code that has been judged
              right in every function of the stage. A picture that equals it is not drawn again.
    """

    sandbox: Sandbox
    source: str | None
    seed: int = 0
    expected: Mapping[str, Image.Image] | None = None


def redraw(
    hand_in: HandIn, submitted: SubmittedPictures, count: int, how: Redrawing | None
) -> tuple[list[str], list[Flag]]:
    """Draw up to `count` pictures again: sentences on those that do not come out, and flags."""
    if how is None:
        return [], []
    pictures = submitted.pictures
    doubtful = [n for n in pictures if not _is_expected(n, submitted, how.expected)]
    chosen = random.Random(how.seed).sample(doubtful, min(count, len(doubtful)))
    if not chosen:
        return [], []
    if how.source is None:
        why = "the code that should draw it was not handed in"
        flags = [Flag(NOT_REDRAWN, f"{name}: {why}.") for name in chosen]
        return [f"{name} cannot be reproduced: {why}." for name in chosen], flags
    lines, flags = [], []
    for name in chosen:
        job = Job("picture", hand_in.module, how.source, as_facts(hand_in.files[name]))
        reply = how.sandbox.run(job, LIMITS)
        unable = _unable(reply)
        if unable:
            flags.append(Flag(NOT_COMPARED, f"{name} was not drawn again: {unable}."))
            break  # the next picture would have the same problem
        why = _unlike(reply, pictures[name])
        if why:
            lines.append(f"{name} cannot be reproduced: drawn again by the code handed in, {why}.")
            flags.append(Flag(NOT_REDRAWN, f"{name}: {why}."))
    return lines, flags


def expected_pictures(stage: Stage, folder: Path) -> dict[str, Image.Image]:
    """The stage's pictures as the reference draws them, by file name, RGB; kept in `folder`.

    Raises:
        CourseError: the course's own files are at fault, or the folder cannot be written.
    """
    hand_in = load_hand_in(stage.folder)
    method = importlib.import_module(f"reference.{hand_in.module}")
    assert method.__file__ is not None
    code = Path(method.__file__).read_bytes()
    found: dict[str, Image.Image] = {}
    prior = None
    for name, settings in hand_in.files.items():
        facts = json.dumps(as_facts(settings), sort_keys=True).encode()
        path = folder / f"{hashlib.sha256(code + facts).hexdigest()[:16]}.png"
        if not path.exists():
            prior = prior or load_model(settings)
            save_png(path, to_pil(drawn(prior, method, settings))[0])
        found[name] = load_image(path)
    return found


def _is_expected(
    name: str, submitted: SubmittedPictures, expected: Mapping[str, Image.Image] | None
) -> bool:
    """Whether the picture is the one that right code draws."""
    if expected is None or expected[name].size != submitted.pictures[name].size:
        return False
    pair = (np.asarray(picture) for picture in (expected[name], submitted.pictures[name]))
    return pixel_distance(*pair) <= PICTURES_DIFFER


def _unable(reply: Reply) -> str:
    """Why the sandbox could not draw, where this may not be the student's fault; else ""."""
    if reply.ending in ("timed out", "out of memory"):
        return reply.ending
    # The course's own error, for example where a model cannot be read, before the student's code.
    raised = reply.raised
    if raised is not None and raised.kind == CourseError.__name__ and not raised.line:
        return f"it stopped with {raised.message[:200]!r}"
    return ""


def _unlike(reply: Reply, picture: Image.Image) -> str:
    """Why the reply is not this picture; "" if it is."""
    if reply.raised is not None:
        return f"it stops with {reply.raised.kind}: {reply.raised.message}"[:200].rstrip(".")
    if reply.ending != "returned":
        return "its process ends before the picture is done"
    image = reply.tensors.get("image")
    wanted = (picture.height, picture.width, 3)
    if image is None or image.dtype != torch.uint8 or tuple(image.shape) != wanted:
        return f"it gives no picture of {picture.width} x {picture.height} pixels"
    far = pixel_distance(image.numpy(), np.asarray(picture))
    if far > PICTURES_DIFFER:
        return f"it is another picture: its pixels differ by {far:.0f} levels of 255 on the mean"
    return ""
