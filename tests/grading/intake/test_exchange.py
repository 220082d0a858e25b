"""Whose a submission in nbgrader's exchange is."""

from __future__ import annotations

import pytest

pytest.importorskip("nbgrader", reason="no nbgrader here")

from grading.intake.exchange import account_of, owner_flags


def said(students: list[str], owners: list[str]) -> list[str]:
    return [" ".join(flag.sentence for flag in flags) for flags in owner_flags(students, owners)]


def test_a_submission_from_anothers_account_is_flagged_even_if_that_one_handed_nothing_in():
    nothing, flagged = said(["ada", "bea"], ["ada", "eve"])
    assert nothing == ""
    assert flagged == "it was handed in for bea from the account of eve."


def test_students_who_share_one_account_are_not_flagged():
    assert said(["ada", "bea"], ["jovyan", "jovyan"]) == ["", ""]


def test_an_account_that_is_gone_is_flagged_beside_those_that_are_there():
    assert "not there any more" in said(["ada", "bea"], ["ada", ""])[1]


def test_a_folder_that_is_gone_belongs_to_nobody(tmp_path):
    assert account_of(tmp_path / "gone") == ""
