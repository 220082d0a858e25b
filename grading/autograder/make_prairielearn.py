"""Make the question of a stage for PrairieLearn, and the image that grades it.

python -m grading prairielearn 01_sds
python -m grading prairielearn 01_sds --course class --out prairielearn
python -m grading prairielearn 01_sds --image YOU/score-distillery-grader --timeout 600

The stage must be released. OUT/questions/01_sds is the question: its tests/ holds the rules and the
seed of your course folder and all answers, which PrairieLearn shows to no student. OUT/image is the
recipe of the image: it holds no answers, so it may be public, and is the same for all stages.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from distillery.core.cli import documented
from distillery.core.errors import CourseError
from distillery.core.files import shown
from distillery.core.folders import put_in_place
from grading.authoring.build import ROOT
from grading.autograder.course_parts import (
    Files,
    answer_files,
    class_files,
    code_files,
    data_files,
    longest_minutes,
    requirements,
)
from grading.autograder.prairielearn_texts import DOCKERFILE, GRADE, info_json, question_html
from grading.autograder.run_prairielearn import COURSE_IN_TESTS, IMAGE_ID, SETTINGS
from grading.core.rules import NAME as RULES
from grading.core.rules import Rules, settle
from grading.intake.released import check_released
from grading.release.bundle import answers_held
from grading.stages import STAGES, stage_of
from grading.stages.stage import Stage

NEEDED_MB = 1800  # of memory; PrairieLearn gives 2 GiB
SECONDS = (60, 600)  # of one submission; PrairieLearn allows no more
IMAGE = "score-distillery-grader"


def image_files() -> Files:
    """The folder of which `docker build` makes the image; it holds no answers.

    Raises:
        CourseError: a file cannot be read, or holds an answer.
    """
    files = code_files(ROOT) | data_files(STAGES, ROOT)
    for name, answer in answers_held(files, ROOT):
        raise CourseError(f"{name} holds the answer to {answer}, so no image is made.")
    files |= {"requirements.txt": requirements(ROOT)}
    files |= {"Dockerfile": DOCKERFILE.encode(), "grade": GRADE.encode()}
    return files | {IMAGE_ID: _digest(files).encode()}


def question_files(stage: Stage, course: Path, *, image: str, image_id: str, timeout: int) -> Files:
    """The folder of the question, with the answers in its tests/.

    Args:
        image: its name, with its tag.
        image_id: of the image that grades it, so that another one is noticed.
        timeout: seconds for one submission.

    Raises:
        CourseError: the stage is not released with these rules, the seconds are out of range, or
            a file cannot be read.
    """
    least, most = SECONDS
    if not least <= timeout <= most:
        raise CourseError(f"--timeout must be {least} to {most} seconds; it is {timeout}.")
    rules = settle(course)
    check_released(course, stage.folder, rules)
    settings = {
        "stage": stage.folder,
        "image": image_id,
        "needed_mb": NEEDED_MB,
        "timeout": timeout,
    }
    hidden = answer_files(ROOT) | class_files(stage, course, rules)
    return {
        "info.json": info_json(stage, image, timeout).encode(),
        "question.html": question_html(stage, rules).encode(),
        f"tests/{SETTINGS}": (json.dumps(settings, indent=1) + "\n").encode(),
        **{f"tests/{COURSE_IN_TESTS}/{name}": content for name, content in hidden.items()},
    }


def _digest(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\n{hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return whole.hexdigest()


def tagged(image: str, image_id: str) -> str:
    """The name of an image with a tag, so that each version of the course has an image of its own.

    A tag that is there stays.
    """
    return image if ":" in image.rpartition("/")[2] else f"{image}:{image_id[:12]}"


def write_folder(folder: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write a folder whole or not at all.

    Raises:
        CourseError: it is there and is not to be replaced, or it cannot be written.
    """
    if folder.exists() and not overwrite:
        raise CourseError(
            f"{shown(folder)} is there already: choose another --out, or replace it by --overwrite."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as work:
            new, old = Path(work) / "new", Path(work) / "old"
            for name, content in files.items():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            put_in_place(new, folder, old=old)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CourseError(f"cannot write {shown(folder)}: {reason.lower()}.") from error


def _is_same_image(folder: Path, image_id: str) -> bool:
    try:
        return (folder / IMAGE_ID).read_text() == image_id
    except OSError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = documented("python -m grading prairielearn", __doc__)
    parser.add_argument("stage", metavar="STAGE", help="such as 01_sds")
    parser.add_argument(
        "--course", type=Path, default=Path("class"), help="the course folder (default: class)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("prairielearn"),
        help="folder for questions/STAGE and image (default: prairielearn)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace questions/STAGE and image in OUT"
    )
    parser.add_argument(
        "--image",
        default=IMAGE,
        help="name under which you push the image, such as YOU/score-distillery-grader; without a "
        f"tag it gets that of its content (default: {IMAGE}, for a PrairieLearn on your machine)",
    )
    parser.add_argument(
        "--timeout",
        type=int,
        default=SECONDS[1],
        help="seconds for one submission, 60 to 600 (default: 600)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Write both folders, and say what to do with them."""
    options = _parser().parse_args(arguments)
    stage, course = stage_of(options.stage), options.course.resolve()
    rules = Rules.load(course / RULES)
    recipe = image_files()
    image_id = recipe[IMAGE_ID].decode()
    image = tagged(options.image, image_id)
    question = question_files(
        stage, course, image=image, image_id=image_id, timeout=options.timeout
    )
    place, context = options.out / "questions" / stage.folder, options.out / "image"
    if not _is_same_image(context, image_id):
        write_folder(context, recipe, overwrite=options.overwrite)
    write_folder(place, question, overwrite=options.overwrite)
    size = sum(map(len, recipe.values())) / 1e6
    print(f"{shown(place)}: copy it into questions/ of your PrairieLearn course. Its tests/ holds")
    print("the answers and the hidden inputs: only instructors may read that course's repository.")
    print(f"{shown(context)} ({size:.0f} MB, no answers): the image, the same for all stages.")
    print(f"    docker build -t {image} {shown(context)}")
    if "/" in image:
        print(f"    docker push {image}")
    longest = 60 * longest_minutes(stage, rules)
    if longest > options.timeout:
        print(
            f"A submission whose jobs all run to their limits takes {longest:.0f} seconds; those "
            f"that need more than {options.timeout} are not graded, and say so."
        )
    return 0
