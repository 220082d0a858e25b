"""The autograder for Gradescope grades, in a mock of its machine, whatever students upload."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from attack import FLOODING, NOTHING, breaking_out
from mock_gradescope import graded, metadata, submitted, unpacked

from distillery.core.errors import CourseError
from grading.autograder import run_gradescope
from grading.autograder.gradescope_facts import late_by
from grading.autograder.make_gradescope import autograder_zip
from grading.core.records import Flag, Record, Verdict
from grading.report.gradescope import LARGEST, Late, autograder_result
from grading.stages import STAGES

TOUR = STAGES[0]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)
TOP = "/autograder"
RIGHT = """
def add_noise(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
"""
ATTACK = (
    RIGHT
    + breaking_out(
        read=[
            f"{TOP}/source/reference/tour.py",
            f"{TOP}/source/class/rules.yaml",
            f"{TOP}/source/data/checks/tour.json",
            f"{TOP}/submission_metadata.json",
            f"{TOP}/results/results.json",
        ],
        write=[
            f"{TOP}/results/results.json",
            f"{TOP}/source/class/rules.yaml",
            f"{TOP}/run_autograder",
        ],
    )
    + FLOODING
)


@pytest.fixture(scope="module")
def archive(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    course = tmp_path_factory.mktemp("gradescope") / "class"
    shutil.copytree(released, course, ignore=shutil.ignore_patterns("bundles"))
    path = course.with_name("tour.zip")
    path.write_bytes(autograder_zip(TOUR, course, minutes=10, show="visible"))
    return path


@pytest.fixture
def record() -> Callable[..., Record]:
    def made() -> Record:
        verdicts = (
            Verdict("tour.add_noise", 2.0, 4.0, "wrong", ("a < b",), None, "tour.add_noise.png"),
        )
        flags = (Flag("shadow file", "torch.py was ignored."),)
        return Record("ada", "00_tour", "0", 1, "graded", "", verdicts, flags, 1.0)

    return made


def test_the_zip_has_its_scripts_at_the_top_and_no_gradebook(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        modes = {one.filename: one.external_attr >> 16 for one in packed.infolist()}
        lines = packed.read("requirements.txt").decode().splitlines()
    assert modes["setup.sh"] & stat.S_IXUSR
    assert modes["run_autograder"] & stat.S_IXUSR
    assert {"torch>=2.6", "nbgrader>=0.9.5"} <= set(lines)
    assert not [name for name in modes if name.endswith(".db") or name.startswith("/")]


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap for the fresh root")
def test_a_module_that_attacks_gets_the_points_of_its_right_answer_alone(
    archive: Path, tmp_path: Path
) -> None:
    autograder = unpacked(archive, tmp_path / "autograder")
    attack = tmp_path / "tour.py"
    attack.write_text(ATTACK)
    before = (autograder / "source" / "class" / "rules.yaml").read_bytes()
    submitted(autograder, attack, metadata("2026-11-22T11:00:00-08:00"))

    content, said = graded(autograder)

    scores = [test.get("score") for test in content["tests"][:3]]
    worth = list(TOUR.points.values())
    assert scores == [worth[0], 0, 0], (content, said)
    assert content["score"] == pytest.approx(0.9 * worth[0])  # a day late
    assert NOTHING in content["tests"][1]["output"]
    assert (autograder / "source" / "class" / "rules.yaml").read_bytes() == before


def test_too_little_memory_is_said_before_anything_is_graded(archive: Path, tmp_path: Path) -> None:
    autograder = unpacked(archive, tmp_path / "autograder")
    limit = tmp_path / "root" / "sys" / "fs" / "cgroup" / "memory.max"
    limit.parent.mkdir(parents=True)
    limit.write_text("768000000\n")

    content = run_gradescope.run(autograder, root=tmp_path / "root")

    assert content["output"].startswith("NOT GRADED")
    assert "has 0.8 GB of memory and needs 3" in content["output"]
    assert "choose at least 3 GB in the settings" in content["output"]


def test_the_latest_due_date_of_a_group_counts() -> None:
    facts = metadata("2026-11-22T11:00:00-08:00", "ada@example.edu", "bob@example.edu")
    assert late_by(facts)[0] == 23 * 3600
    facts["users"][1]["assignment"]["due_date"] = "2026-11-22T18:30:00+00:00"
    assert late_by(facts) == (1800.0, "2026-11-22T18:30:00+00:00")


@pytest.mark.parametrize(
    "facts",
    [{}, {"users": 3}, {"created_at": "yesterday", "users": [{}]}, metadata(due=None)],
    ids=["empty", "no list", "no time", "no due date"],
)
def test_without_a_due_date_nobody_is_late(facts: dict[str, object]) -> None:
    assert late_by(facts) == (0.0, None)


def test_a_wrong_answer_has_its_picture_and_no_markup_of_its_own(
    record: Callable[..., Record],
) -> None:
    late = Late(1.5, 3600, "2026-11-21")
    content = autograder_result(record(), figures={"tour.add_noise": PNG}, late=late)
    test = content["tests"][0]
    assert test["output_format"] == "html"
    assert "a &lt; b" in test["output"]
    assert 'src="data:image/png;base64,iVBOR' in test["output"]
    assert content["score"] == 0.5
    assert content["tests"][1]["visibility"] == "hidden"  # the flags


def test_a_picture_that_is_too_large_is_left_out_with_a_sentence(
    record: Callable[..., Record],
) -> None:
    content = autograder_result(record(), figures={"tour.add_noise": PNG + bytes(LARGEST)})
    assert len(json.dumps(content)) < LARGEST
    assert "too large" in content["tests"][0]["output"]


def test_minutes_out_of_gradescopes_range_are_refused(released: Path) -> None:
    with pytest.raises(CourseError, match="--minutes must be 10 to 40; it is 50"):
        autograder_zip(TOUR, released, minutes=50, show="visible")
