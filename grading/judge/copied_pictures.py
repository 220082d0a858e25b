"""Pictures that somebody else drew: the course, or another student.

Everybody draws the same prompts with the same seeds and settings, so right code draws the same
picture, often bit for bit, in every hand-in. That two pictures are equal is therefore no evidence
of anything. What is evidence:

- a picture is one of the course's own, a source of an edit or a drawing of the toybox. No run ends
  at it, for a run's picture has gone through the model's decoder;
- a picture equals another student's, although this student's code has been run and draws another
  one. Only the hand-in whose code does not draw the picture is flagged, never the other.

Two pictures count as equal where their thumbnails are: 16 x 16 pixels in colour, by area, also
mirrored. That sees through saving anew, scaling and a little noise, and still tells apart two seeds
of one prompt. A picture that was cropped or recoloured is not found here; it is not what the code
draws either, which `grading.judge.pictures` says.

Flags change no points; they are for a human to look at.
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
from distillery.core.images import load_image
from distillery.course.submission_pictures import load_hand_in, title_of
from distillery.toybox import all_factors, draw
from grading.core.records import Flag, Store
from grading.judge.pictures import NOT_REDRAWN, open_pictures
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

    drawn: whether his own code draws them, as far as was tried; False is certain.
    """

    student: str
    pictures: Mapping[str, Image.Image]
    drawn: bool = True


def thumbnail(picture: Image.Image) -> Thumbnail:
    """The picture as 16 x 16 mean colours, float32 (768,), levels of 255."""
    small = picture.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).flatten()


def nearest(picture: Image.Image, others: Sequence[Thumbnail]) -> int | None:
    """The index of the thumbnail that shows this picture, or its mirror image, if one does."""
    if not len(others):
        return None
    faces = [thumbnail(picture), thumbnail(ImageOps.mirror(picture))]
    far = np.min([np.abs(np.stack(others) - face).mean(axis=1) for face in faces], axis=0)
    best = int(far.argmin())
    return best if far[best] <= NEAR else None


@functools.lru_cache
def course_pictures(titles: tuple[str, ...]) -> dict[str, Thumbnail]:
    """The course's own pictures by what they are called: its files, and drawings of the titles."""
    found: dict[str, Thumbnail] = {}
    of_stages = [f"data/{name}" for stage in STAGES for name in stage.data]
    for folder in (*SHARED_FOLDERS, *of_stages):
        for path in sorted((REPOSITORY / folder).glob("*.png")):
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
    """Flags by student, of those who have any."""
    found: dict[str, list[Flag]] = {}
    names, theirs = list(course), list(course.values())
    thumbnails = {
        gallery.student: {name: thumbnail(image) for name, image in gallery.pictures.items()}
        for gallery in galleries
    }
    for gallery in galleries:
        for name, picture in gallery.pictures.items():
            index = nearest(picture, theirs)
            if index is not None:
                sentence = f"{name} is a picture of the course's: {names[index]}."
                found.setdefault(gallery.student, []).append(Flag(COPIED, sentence))
            elif not gallery.drawn:
                others = [
                    (other, thumbnails[other.student][name])
                    for other in galleries
                    if other.student != gallery.student and name in other.pictures
                ]
                index = nearest(picture, [its for _, its in others])
                if index is not None:
                    sentence = _of_another(name, others[index][0])
                    found.setdefault(gallery.student, []).append(Flag(COPIED, sentence))
    return found


def _of_another(name: str, other: Gallery) -> str:
    code = "draws it" if other.drawn else "does not draw it either"
    return (
        f"{name} is not what this code draws, and equals the picture of {other.student}, whose "
        f"code {code}."
    )


def flag_copies(course: Path, stage: Stage) -> dict[str, list[Flag]]:
    """Flags by student, over everything of a stage that is graded in the course folder.

    Raises:
        CourseError: the course's own files are at fault.
    """
    if not stage.pictures:
        return {}
    records = {record.student: record for record in Store(course).all(stage.folder)}
    folders = {
        path.parent.name: path
        for path in sorted((course / "submitted").glob(f"*/{stage.folder}"))
        if path.parent.name in records
    }
    hand_in = load_hand_in(stage.folder)
    galleries = [
        Gallery(
            student,
            open_pictures(folder, hand_in).pictures,
            drawn=all(flag.kind != NOT_REDRAWN for flag in records[student].flags),
        )
        for student, folder in folders.items()
    ]
    titles = tuple(title_of(settings) for settings in hand_in.pictures)
    return find_copies(galleries, course_pictures(titles))
