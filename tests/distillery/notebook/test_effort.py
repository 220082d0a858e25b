from __future__ import annotations

import pytest

from distillery.core.errors import CourseError
from distillery.notebook.effort import effort


@pytest.mark.parametrize(("given", "share"), [(None, 1.0), ("", 1.0), ("1", 1.0), ("0.1", 0.1)])
def test_the_environment_says_what_share_is_computed(given, share, monkeypatch):
    monkeypatch.delenv("EFFORT", raising=False)
    if given is not None:
        monkeypatch.setenv("EFFORT", given)
    assert effort() == share


@pytest.mark.parametrize("given", ["0", "1.5", "-1", "nan", "half"])
def test_what_is_no_share_is_refused_in_one_sentence(given, monkeypatch):
    monkeypatch.setenv("EFFORT", given)
    with pytest.raises(CourseError, match=f"EFFORT is '{given}'; it must be a number above 0"):
        effort()
