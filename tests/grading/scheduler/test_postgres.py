"""A class whose gradebook is PostgreSQL, where a scratch server can be started."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from fake_grade import environment
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from benchmarks.sample_class import NAME, gradebook, hand_in, scores, settings
from grading.core.rules import Rules
from grading.scheduler.autograde import autograde

pytest.importorskip("psycopg", reason="psycopg is not installed")


@pytest.fixture
def server():
    """The URL of an empty database; the server refuses to run as root, so nobody runs it."""
    if not (shutil.which("initdb") and shutil.which("pg_ctl")):
        pytest.skip("PostgreSQL is not installed")
    who = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    os.chown(folder, who.pw_uid, who.pw_gid)
    rights = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}

    def run(*command: str) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        root = rights if os.getuid() == 0 else {}
        subprocess.run(command, check=True, cwd=folder, **quiet, **root)

    data = str(folder / "data")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    try:
        run("initdb", "-D", data, "-U", "course", "--auth", "trust", "--no-sync")
        run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        yield f"postgresql://course@/postgres?host={folder}"
    finally:
        subprocess.run(
            ["pg_ctl", "-D", data, "-m", "immediate", "stop"],
            check=False,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            **(rights if os.getuid() == 0 else {}),
        )
        shutil.rmtree(folder, ignore_errors=True)


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
        hand_in(course, student)

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
