"""Whatever happens on a service's machine, one result is left, and it says what happened."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NoReturn

import pytest

from grading.autograder.host import Host, lacking_memory, leave_result, memory_mb, result_within

HOST = Host(lambda why: {"why": why}, "give it more memory", "give it more time")


def test_a_grader_that_fails_leaves_a_sentence_and_tells_the_instructor_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> NoReturn:
        raise FileNotFoundError("reference/tour.py")

    leave_result(tmp_path / "results" / "results.json", fails, HOST.not_graded)

    content = json.loads((tmp_path / "results" / "results.json").read_text())
    assert content == {"why": "the grader itself failed; its output says why."}
    assert "FileNotFoundError: reference/tour.py" in capsys.readouterr().err


def test_a_result_stands_while_the_grader_works(tmp_path: Path) -> None:
    """So it is there if the system kills the grader."""
    file = tmp_path / "results.json"

    def says_what_stands() -> dict[str, object]:
        return {"stood": json.loads(file.read_text())}

    leave_result(file, says_what_stands, HOST.not_graded)
    assert "stopped before it was done" in json.loads(file.read_text())["stood"]["why"]


def test_time_that_is_up_ends_even_work_that_catches_every_error() -> None:
    """As `grade` does, which makes a record of each."""

    def works_on() -> dict[str, object]:
        try:
            time.sleep(30)
        except Exception as error:
            return {"record": str(error)}
        return {}

    said = result_within(HOST, works_on, needed_mb=1, seconds=1)
    assert said == {"why": "it took more than 1 second: give it more time."}


@pytest.mark.parametrize(
    ("there", "is_enough"), [(None, True), (2900.0, True), (2000.0, False)], ids=str
)
def test_memory_is_enough_from_a_little_less_than_what_was_chosen(
    there: float | None, is_enough: bool
) -> None:
    assert (lacking_memory(3000, there) == "") is is_enough


def test_the_smallest_limit_of_a_container_counts(tmp_path: Path) -> None:
    for name, text in [
        ("proc/meminfo", "MemTotal:  4000000 kB\n"),
        ("sys/fs/cgroup/memory.max", "2147483648\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "max\n"),
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_mb(tmp_path) == pytest.approx(2147.5, abs=0.1)
