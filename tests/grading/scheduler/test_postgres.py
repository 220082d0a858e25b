"""A class whose gradebook is PostgreSQL, where a scratch server can be started."""

from __future__ import annotations

import pytest
from fake_grade import environment
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from scratch_postgres import scratch_postgres

from benchmarks.sample_class import NAME, gradebook, scores, settings, submit
from grading.core.rules import Rules
from grading.scheduler.autograde import autograde


@pytest.fixture
def server():
    with scratch_postgres() as url:
        yield url


def test_a_class_is_graded_into_postgresql_and_found_there_again(
    released_course, server, monkeypatch
):
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    course = released_course
    Rules(seed=3).save(course / "rules.yaml")
    (course / "gradebook.db").unlink()
    with open(course / "nbgrader_config.py", "a") as file:
        file.write(f"\nc.CourseDirectory.db_url = {server!r}\n")
    config = settings(course)
    made = NbGraderAPI(CourseDirectory(config=config), config=config).generate_assignment(NAME)
    assert made["success"], made["log"]
    for student in ("right_a", "half_b", "error_c"):
        submit(course, student)

    errors = autograde(NAME, course, jobs=2, grader="fake_grade")
    with gradebook(course) as opened:
        grade = opened.find_grade("tour-add_noise-check", NAME, NAME, "half_b")
        grade.manual_score = 2
        opened.db.commit()
    autograde(NAME, course, jobs=2, force=True, grader="fake_grade")

    assert sorted(errors) == ["error_c"]
    assert scores(course) == {"right_a": [2] * 3, "half_b": [1] * 3, "error_c": [None] * 3}
    with gradebook(course) as opened:
        assert opened.find_submission(NAME, "half_b").score == 4
    assert not (course / "gradebook.db").exists()
