"""Find pictures that somebody else drew: the course, or another student.

All students draw the same prompts with the same seeds and settings, so right code draws the same
picture, often bit for bit, in every submission. Two equal pictures alone are therefore no evidence.
This is evidence:

- a picture is one of the course's own, a source of an edit or a drawing of the toybox. No run gives
  exactly this picture, because its own pictures come from the model's decoder;
- a picture equals another student's, although this student's code was run and draws another one.
  Only the submission whose code does not draw the picture is flagged, never the other.

Two pictures count as equal where their thumbnails are: 16 x 16 pixels in colour, by area, also
mirrored. This finds pictures that were saved again, scaled, or got a little noise, and still
distinguishes two seeds of one prompt. A picture that was cropped or recoloured is not found here,
but the code does not draw it either, which `grading.judge.pictures` reports.

Flags change no points; they are for the instructor to look at.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from distillery.core.files import REPOSITORY
from distillery.core.folders import files_of
from distillery.core.images import load_image
from distillery.course.submission_pictures import load_hand_in, title_of
from distillery.toybox import all_factors, draw
from grading.core.records import Flag, Store
from grading.core.submission import submissions
from grading.judge.open_pictures import open_pictures
from grading.judge.redraw import NOT_REDRAWN
from grading.stages import STAGES
from grading.stages.stage import Stage

COPIED = "copied picture"
THUMBNAIL = 16  # pixels a side
NEAR = 1.5  # levels of 255, mean difference of two thumbnails; a picture through the VAE is 2.3 off
SHARED_FOLDERS = ("data/imgs", "docs")
TOYBOX_SEEDS = 64
SIDE = 64  # pixels, of a toybox drawing

Thumbnail = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Gallery:
    """The pictures of one student.

    drawn: whether their own code draws them, as far as was tried; False is certain.
    """

    student: str
    pictures: Mapping[str, Image.Image]
    drawn: bool = True

    @functools.cached_property
    def thumbnails(self) -> dict[str, Thumbnail]:
        return {name: thumbnail(picture) for name, picture in self.pictures.items()}


def thumbnail(picture: Image.Image) -> Thumbnail:
    """The picture as 16 x 16 mean colours, float32 (768,), levels of 255."""
    small = picture.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).flatten()


def nearest(picture: Image.Image, others: Sequence[Thumbnail]) -> int | None:
    """The index of the thumbnail that shows this picture or its mirror image, or None."""
    if not len(others):
        return None
    faces = [thumbnail(picture), thumbnail(ImageOps.mirror(picture))]
    far = np.min([np.abs(np.stack(others) - face).mean(axis=1) for face in faces], axis=0)
    best = int(far.argmin())
    return best if far[best] <= NEAR else None


@functools.lru_cache
def course_pictures(titles: tuple[str, ...]) -> dict[str, Thumbnail]:
    """Thumbnails of the course's own pictures by name: its files, and drawings of the titles."""
    found: dict[str, Thumbnail] = {}
    of_stages = [f"data/{name}" for stage in STAGES for name in stage.data]
    for folder in (*SHARED_FOLDERS, *of_stages):
        for path in files_of((REPOSITORY / folder).glob("*"), (".png",), under=REPOSITORY):
            if not path.stem.endswith("_mask"):
                found[path.relative_to(REPOSITORY).as_posix()] = thumbnail(load_image(path))
    known = {str(factors): factors for factors in all_factors()}
    for title in titles:
        for seed in range(TOYBOX_SEEDS) if title in known else ():
            drawing = draw(known[title], seed, size=(SIDE, SIDE)).image
            found[f"the toybox's drawing {seed} of {title!r}"] = thumbnail(Image.fromarray(drawing))
    return found


def find_copies(
    galleries: Sequence[Gallery], course: Mapping[str, Thumbnail]
) -> dict[str, list[Flag]]:
    """Flags by student, of students who have any."""
    found: dict[str, list[Flag]] = {}
    names, theirs = list(course), list(course.values())
    for gallery in galleries:
        for name, picture in gallery.pictures.items():
            index = nearest(picture, theirs)
            sentence = ""
            if index is not None:
                sentence = f"{name} is one of the course's own pictures: {names[index]}."
            elif not gallery.drawn:
                sentence = _of_another(name, gallery, galleries)
            if sentence:
                found.setdefault(gallery.student, []).append(Flag(COPIED, sentence))
    return found


def _of_another(name: str, gallery: Gallery, galleries: Sequence[Gallery]) -> str:
    """A sentence where another student has this picture; else ""."""
    others = [
        other for other in galleries if other.student != gallery.student and name in other.pictures
    ]
    index = nearest(gallery.pictures[name], [other.thumbnails[name] for other in others])
    if index is None:
        return ""
    code = "draws it" if others[index].drawn else "does not draw it either"
    return (
        f"{name} is not what this code draws, and equals the picture of {others[index].student}, "
        f"whose code {code}."
    )


def flag_copies(course: Path, stage: Stage) -> dict[str, list[Flag]]:
    """Flags by student, over all graded submissions of a stage.

    Raises:
        CourseError: the course's own files are at fault.
    """
    if not stage.pictures:
        return {}
    records = {record.student: record for record in Store(course).all(stage.folder)}
    hand_in = load_hand_in(stage.folder)
    galleries = [
        Gallery(
            one.student,
            open_pictures(one.folder, hand_in).pictures,
            drawn=all(flag.kind != NOT_REDRAWN for flag in records[one.student].flags),
        )
        for one in submissions(course, stage.folder)
        if one.student in records
    ]
    titles = tuple(title_of(settings) for settings in hand_in.pictures)
    return find_copies(galleries, course_pictures(titles))
