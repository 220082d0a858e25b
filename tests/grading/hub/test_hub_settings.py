"""What hub.yaml may say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from distillery.core.errors import CourseError
from grading.hub.hub_settings import NAME, Hub, load_hub


def test_what_is_saved_is_read_again(tmp_path):
    # Names that YAML alone would take for a number or a truth.
    hub = Hub(tmp_path, tmp_path / "my class: 1", "iris", ("007", "no"), Path(sys.executable))
    hub.save()
    assert load_hub(tmp_path) == hub


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("course: class\nstudents: [ada]", "no instructor"),
        ("course: class\ninstructor: iris\nstudents: ada", "must be a list"),
        ("course: class\ninstructor: iris\nstudents: [Ada]", "'Ada'"),
        ("course: class\ninstructor: iris\nstudents: [a+b]", "small letters"),
        ("course: class\ninstructor: iris\nstudents: [ada, ada]", "ada is named twice"),
        ("course: class\ninstructor: iris\nstudents: [iris]", "iris is named twice"),
        ("- a list", "lines such as instructor: iris"),
        ("students: [", "is not YAML"),
        ("instructor: iris\ninstructor: ada", "has instructor a second time"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path, text, says):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(CourseError, match=says.replace("+", r"\+")):
        load_hub(tmp_path)


def test_a_folder_without_it_is_told_how_to_make_it(tmp_path):
    with pytest.raises(CourseError, match="run python -m grading hub FOLDER"):
        load_hub(tmp_path)
