"""Run by test_new_stage.py in a copy of the repository that has the stage of CONTRIBUTING."""

from __future__ import annotations

import dataclasses
import importlib
import runpy
from pathlib import Path

import main
from distillery.course.check import check
from distillery.course.submission_pictures import drawn, load_hand_in, load_model
from grading.authoring import build
from grading.core.rules import Rules
from grading.release.bundle import contents
from grading.release.course_folder import trial_grader, verify
from grading.stages import stage_of
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.variants import VARIANTS

TASK = "hello.euler_step"


def right_and_wrong_answers_are_told_apart() -> None:
    for answer in VARIANTS:
        if answer.task == TASK:
            assert check(TASK, answer.function).passed, answer.name
    for answer in MISCONCEPTIONS:
        if answer.task == TASK:
            assert check(TASK, answer.function).misconception == answer.name


def submissions_are_graded() -> None:
    """Of the answered notebook and of the untouched one, taken in and graded as in a class."""
    with trial_grader(Rules(seed=0)) as grader:
        verify(stage_of("09_hello"), build.ROOT, grader)


def its_own_test_passes() -> None:
    tests = runpy.run_path("tests/reference/test_hello.py")
    for test in [its for name, its in tests.items() if name.startswith("test_")]:
        test()


def pictures_are_drawn_as_a_submission_and_on_the_command_line() -> None:
    wanted = load_hand_in("09_hello")
    assert wanted.module == "hello"
    settings = dataclasses.replace(wanted.pictures[0], steps=2)
    image = drawn(load_model(settings), importlib.import_module("reference.hello"), settings)
    assert image.shape == (1, 3, *wanted.size)
    words = ["hello", "--prompt", "a red boat", "--steps", "2", "--implementation", "reference"]
    assert main.main([*words, "--out", "out"]) == 0
    assert Path("out/a_red_boat.png").is_file()


def a_bundle_can_be_packed() -> None:
    stage = stage_of("09_hello")
    stub = Path("guidance/hello.py").read_bytes()
    files = contents(stage, build.ROOT, Path(stage.notebook).read_bytes(), stub)
    assert {"distillery/runs/hello.py", "data/checks/hello.json"} <= set(files)


if __name__ == "__main__":
    assert Path.cwd() == build.ROOT, f"the packages of {build.ROOT} are in the way"
    right_and_wrong_answers_are_told_apart()
    submissions_are_graded()
    its_own_test_passes()
    pictures_are_drawn_as_a_submission_and_on_the_command_line()
    a_bundle_can_be_packed()
    print("all of it works")
