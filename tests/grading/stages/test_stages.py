"""What the stages say of themselves is true of the rest of the course."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
import yaml

from distillery.core.errors import CourseError
from distillery.course.submission_pictures import load_hand_in
from grading.stages import STAGES, imports_of, stage_of
from grading.stages.cases import CASES
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.variants import VARIANTS

ROOT = Path(__file__).resolve().parents[3]
EVERY = pytest.mark.parametrize("stage", STAGES, ids=[stage.module for stage in STAGES])


def test_every_folder_is_a_stage_in_the_order_of_the_course():
    folders = {path.parent.name for path in (ROOT / "grading" / "stages").glob("*/cases.py")}
    assert folders == {stage.module for stage in STAGES}
    assert [stage.folder for stage in STAGES] == sorted(stage.folder for stage in STAGES)
    assert {path.parent.name for path in (ROOT / "notebooks").glob("*/*.py")} == {
        stage.folder for stage in STAGES
    }


@EVERY
def test_every_task_has_a_case_three_mistakes_and_two_other_spellings(stage):
    for function in stage.points:
        task = f"{stage.module}.{function}"
        assert task in CASES
        assert len([answer for answer in MISCONCEPTIONS if answer.task == task]) >= 3
        assert len([answer for answer in VARIANTS if answer.task == task]) >= 2


def test_nothing_is_said_of_a_task_that_no_stage_has():
    tasks = {f"{stage.module}.{function}" for stage in STAGES for function in stage.points}
    assert tasks == set(CASES) == {answer.task for answer in MISCONCEPTIONS}
    assert tasks == {answer.task for answer in VARIANTS}


def test_a_stage_is_worth_points_for_pictures_if_it_asks_for_some():
    asked = yaml.safe_load((ROOT / "data" / "hand_in.yaml").read_text("utf-8"))
    assert {stage.folder for stage in STAGES if stage.pictures} == set(asked)
    for stage in STAGES:
        if stage.pictures:
            assert load_hand_in(stage.folder).module == stage.module


@EVERY
def test_a_mistake_that_is_tried_is_a_mistake_of_the_stage(stage):
    known = {a.name for a in MISCONCEPTIONS if a.task.split(".")[0] == stage.module}
    assert set(stage.tried) <= known
    assert bool(stage.tried) == bool(stage.pictures)


@EVERY
def test_models_and_folders_of_data_are_there(stage):
    for pattern in stage.models:
        assert list((ROOT / "data" / "models").glob(pattern)), pattern
    for name in stage.data:
        assert (ROOT / "data" / name).is_dir()


@EVERY
def test_what_answers_import_can_be_imported_ahead(stage):
    for name in imports_of(stage.module):
        importlib.import_module(name)
    module = importlib.import_module(f"reference.{stage.module}")
    used = {
        its.__module__
        for its in vars(module).values()
        if (inspect.isclass(its) or inspect.isfunction(its))
        and its.__module__.startswith("distillery.")
    }
    assert used <= imports_of(stage.module)


def test_a_module_that_is_no_stage_imports_nothing_ahead():
    assert imports_of("probe") == frozenset()


def test_a_stage_that_is_not_there_is_one_sentence():
    with pytest.raises(CourseError, match="there is no stage '09_hello'; there are 00_tour"):
        stage_of("09_hello")
