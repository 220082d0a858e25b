"""The grader for PrairieLearn grades, in a mock of its jobs, whatever students upload."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from attack import NOTHING, breaking_out
from mock_prairielearn import as_documented, graded, installed, job

from distillery.core.errors import CourseError
from grading.autograder import run_prairielearn
from grading.autograder.grade_one import graded as graded_one
from grading.autograder.make_prairielearn import (
    image_files,
    question_files,
    tagged,
    write_folder,
)
from grading.core.records import Record, Verdict
from grading.core.submission import released_notebook
from grading.report.prairielearn import LARGEST, grader_result
from grading.stages import STAGES

TOUR = STAGES[0]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)
PLACE = "/score-distillery"
MISTAKE = """
def add_noise(x0, eps, alpha_bar):
    return alpha_bar * x0 + (1 - alpha_bar) * eps
"""
ATTACK = breaking_out(
    read=[
        "/grade/tests/grader.json",
        "/grade/tests/course/reference/tour.py",
        "/grade/data/data.json",
        "/grade/results/results.json",
        f"{PLACE}/reference/tour.py",
        f"{PLACE}/grading/stages/tour/cases.py",
        f"{PLACE}/class/rules.yaml",
        f"{PLACE}/data/checks/tour.json",
    ],
    write=[
        "/grade/results/results.json",
        "/grade/tests/grader.json",
        f"{PLACE}/class/rules.yaml",
        f"{PLACE}/grade",
    ],
)
RIGHT = """
def classifier_free_guidance(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + guidance_scale * (eps_text - eps_uncond)
"""


def zipped(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


@pytest.fixture(scope="module")
def course(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prairielearn") / "class"
    return Path(
        shutil.copytree(released, folder, ignore=shutil.ignore_patterns("bundles", "01_sds"))
    )


@pytest.fixture(scope="module")
def made(course: Path) -> tuple[Path, Path]:
    """The folders that the image is made of, and of the question."""
    recipe = image_files()
    image_id = recipe["image_id"].decode()
    question = question_files(TOUR, course, image="grader", image_id=image_id, timeout=600)
    write_folder(course.with_name("image"), recipe, overwrite=False)
    write_folder(course.with_name("question"), question, overwrite=False)
    return course.with_name("image"), course.with_name("question")


@pytest.fixture
def image(made: tuple[Path, Path], tmp_path: Path) -> Path:
    """Each submission has a container of its own."""
    return installed(made[0], tmp_path / "image")


@pytest.fixture
def job_of(made: tuple[Path, Path], tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """/grade for a submission of one file."""

    def of(name: str, content: str | bytes) -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return job(made[1], file, tmp_path / "grade")

    return of


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap for the fresh root")
def test_a_mistake_is_named_an_attack_gets_nothing_and_a_right_answer_all(
    image: Path, made: tuple[Path, Path], job_of: Callable[[str, bytes], Path]
) -> None:
    module = MISTAKE + ATTACK + RIGHT
    uploaded = {"tour.py": module, "torch.py": "", "pack.json": '{"student_id": "al1815"}'}
    grade = job_of("Ada_al1815.zip", zipped(uploaded))

    content, said = graded(image, grade)

    mistake, attack, right = content["tests"]
    worth = list(TOUR.points.values())
    assert [one["points"] for one in content["tests"]] == [0, 0, worth[2]], (content, said)
    assert [one["max_points"] for one in content["tests"]] == worth
    assert content["score"] == pytest.approx(worth[2] / sum(worth), abs=1e-6)
    assert "both square roots are missing" in mistake["output"]
    assert mistake["images"][0]["label"] == "target, yours, difference"
    assert NOTHING in attack["output"]
    assert right["description"]
    for name in ("grader.json", "course/class/rules.yaml"):
        there, given = grade / "tests" / name, made[1] / "tests" / name
        assert there.read_bytes() == given.read_bytes()
    assert "flag: shadow file:" in said  # for the instructor
    assert "packed for the student" not in said  # nobody knows here whose it is


def test_an_untouched_notebook_gets_nothing_and_is_told_what_is_to_do(
    course: Path, tmp_path: Path
) -> None:
    (tmp_path / "student").mkdir()
    shutil.copy(released_notebook(course, TOUR.folder), tmp_path / "student")

    result = as_documented(grader_result(graded_one(tmp_path / "student", TOUR, course).record, {}))

    assert result["gradable"]
    assert result["score"] == 0
    assert ["to do" in test["output"] for test in result["tests"]] == [True] * len(TOUR.points)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("tour.py", "def add_noise(x0:\n", r"tour\.py is not Python \(line 1: "),
        ("00_tour.ipynb", "no JSON", "00_tour.ipynb"),
        ("mine.zip", b"%PDF-1.7", "PDF"),
    ],
    ids=["no Python", "no notebook", "no zip"],
)
def test_what_cannot_be_read_is_not_gradable_and_a_sentence_says_why(
    name: str, content: str | bytes, why: str, course: Path, tmp_path: Path
) -> None:
    (tmp_path / "student").mkdir()
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / "student" / name).write_bytes(data)

    result = as_documented(grader_result(graded_one(tmp_path / "student", TOUR, course).record, {}))

    (sentence,) = result["format_errors"]
    assert result["gradable"] is False
    assert re.search(why, sentence)
    assert "Traceback" not in sentence


def test_nothing_uploaded_is_not_gradable(course: Path, tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    result = grader_result(graded_one(tmp_path / "student", TOUR, course).record, {})
    assert not result["gradable"]
    assert "no notebook" in result["format_errors"][0]


def test_a_question_for_another_image_is_not_graded(
    job_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    (tmp_path / "image_id").write_text("another")
    result = as_documented(run_prairielearn.run(job_of("tour.py", MISTAKE), tmp_path))
    assert "build the image again" in result["format_errors"][0]


def test_a_job_without_its_question_leaves_a_sentence_and_no_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_prairielearn.main([str(tmp_path)]) == 0
    result = as_documented(json.loads((tmp_path / "results" / "results.json").read_text()))
    assert result["format_errors"][0].startswith("Not graded: the grader itself failed")
    assert "FileNotFoundError" in capsys.readouterr().err


def test_only_the_question_holds_answers_and_the_seed(made: tuple[Path, Path]) -> None:
    recipe, question = made
    names = {path.relative_to(recipe).as_posix() for path in recipe.rglob("*")}
    assert not [one for one in names if one.startswith(("reference", "grading/stages", "class"))]
    tests = question / "tests" / "course"
    assert (tests / "reference" / "tour.py").is_file()
    assert "seed:" in (tests / "class" / "rules.yaml").read_text()
    assert not list(question.rglob("*.db"))


def test_the_question_names_the_image_and_its_uuid_never_changes(made: tuple[Path, Path]) -> None:
    info = json.loads((made[1] / "info.json").read_text())
    options = info["externalGradingOptions"]
    assert options == {
        "enabled": True,
        "image": "grader",
        "entrypoint": "/score-distillery/grade",
        "timeout": 600,
    }
    assert info["uuid"] == "8144f1e4-9365-4e55-8741-0f401ee8733d"
    page = (made[1] / "question.html").read_text()
    assert 'optional-file-patterns="*.ipynb,*.zip,tour.py"' in page
    assert "<pl-external-grader-results>" in page


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("ada/grader", "ada/grader:0123456789ab"),
        ("ada/grader:spring", "ada/grader:spring"),
        ("localhost:5000/grader", "localhost:5000/grader:0123456789ab"),
    ],
)
def test_an_image_has_the_tag_of_its_content_unless_it_has_one(image: str, name: str) -> None:
    assert tagged(image, "0123456789abcdef") == name


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    write_folder(folder, {"a/one": b"1"}, overwrite=False)
    with pytest.raises(CourseError, match="image is there already: choose another --out"):
        write_folder(folder, {"two": b"2"}, overwrite=False)
    assert (folder / "a" / "one").read_bytes() == b"1"
    write_folder(folder, {"two": b"2"}, overwrite=True)
    assert [path.name for path in folder.iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["image"]


def test_seconds_out_of_prairielearns_range_are_refused(course: Path) -> None:
    with pytest.raises(CourseError, match="--timeout must be 60 to 600 seconds; it is 601"):
        question_files(TOUR, course, image="grader", image_id="0", timeout=601)


@pytest.fixture
def record() -> Callable[..., Record]:
    def of(*points: float) -> Record:
        verdicts = tuple(
            Verdict(f"tour.{name}", got, 4.0, "right" if got == 4 else "wrong", ("a < b",))
            for name, got in zip(TOUR.points, points, strict=True)
        )
        return Record("student", "00_tour", "0", 1, "graded", "", verdicts, (), 1.0)

    return of


@pytest.mark.parametrize(
    ("points", "score"), [((4, 4, 4), 1.0), ((0, 0, 0), 0.0), ((4, 1, 0), 5 / 12)], ids=str
)
def test_the_score_is_the_share_of_all_points(
    points: tuple[float, ...], score: float, record: Callable[..., Record]
) -> None:
    result: dict[str, Any] = as_documented(grader_result(record(*points), {}))
    assert result["score"] == pytest.approx(score, abs=1e-6)


def test_a_picture_that_is_too_large_is_left_out_with_a_sentence(
    record: Callable[..., Record],
) -> None:
    figures = {"tour.add_noise": PNG, "tour.predict_x0": PNG + bytes(LARGEST)}
    result = grader_result(record(0, 0, 4), figures)
    first, second, _ = as_documented(result)["tests"]
    assert first["images"]
    assert "images" not in second
    assert "too large" in second["output"]
    assert len(json.dumps(result)) < LARGEST
