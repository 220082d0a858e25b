from __future__ import annotations

import sys

import pytest

from distillery.core.errors import CourseError
from distillery.course.check import Result, check
from distillery.course.submission_pictures import Prospect
from distillery.notebook.validate import without_what_earns_nothing


@pytest.fixture
def validating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBGRADER_VALIDATING", "1")


def wrong(x0, eps, alpha_bar):
    return alpha_bar * x0 + (1 - alpha_bar) * eps


def right(x0, eps, alpha_bar):
    print("a warning of some library", file=sys.stderr)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def test_a_cell_gives_its_points_to_nbgrader_as_ever() -> None:
    assert check("tour.add_noise", wrong).points(2) == 0
    assert check("tour.add_noise", right).points(2) == 2
    assert Prospect(0.5, ("half of it",)).points(4) == 2


@pytest.mark.usefixtures("validating")
def test_validate_is_told_what_the_check_says() -> None:
    result = check("tour.add_noise", wrong)
    assert len(result.lines) == 4
    with pytest.raises(CourseError) as raised:
        result.points(2)
    assert str(raised.value) == "\n".join(result.lines)
    assert check("tour.add_noise", right).points(2) == 2
    with pytest.raises(CourseError, match="not in the cell\na: right"):
        Result("a", True, ("a: right.",), remarks=("not in the cell",)).points(2)


@pytest.mark.usefixtures("validating")
def test_validate_is_told_what_the_pictures_lack() -> None:
    with pytest.raises(CourseError, match="half of it\nthe other is missing"):
        Prospect(0.5, ("half of it", "the other is missing")).points(4)
    assert Prospect(1.0, ("all of it",)).points(4) == 4


def test_what_is_written_to_stderr_is_no_error_to_validate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check("tour.add_noise", right)
    assert "a warning of some library" in capsys.readouterr().err
    monkeypatch.setenv("NBGRADER_VALIDATING", "1")
    check("tour.add_noise", right)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "a warning of some library" in printed.out


@pytest.mark.parametrize(
    ("cell", "runs"),
    [
        ("%%todo tour.add_noise\ndef add_noise(): ...", True),
        ("# mine\n%%todo tour.add_noise\ndef add_noise(): ...", True),
        ('check("tour.add_noise").points(2)', True),
        ('hand_in("01_sds").points(4)', True),
        ("show(prior.decode(latents))", False),
        ('compare_picture("tour.add_noise")', False),
        ("checked = 3\nchecked", False),
    ],
)
def test_validate_runs_only_what_is_graded(cell: str, runs: bool) -> None:
    lines = cell.splitlines(keepends=True)
    assert without_what_earns_nothing(lines) == (lines if runs else [])
