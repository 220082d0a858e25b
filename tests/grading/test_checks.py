"""Every visible check passes what is right, and fails and names what is known to be wrong."""

from __future__ import annotations

import importlib

import pytest
import torch

from distillery.check import check, compare_picture
from distillery.errors import CourseError
from grading.misconceptions import MISCONCEPTIONS
from grading.stages import STAGES
from grading.variants import VARIANTS

TASKS = [(stage, function) for stage in STAGES for function in stage.points]


def quiet(text: str) -> list[str]:
    lines = text.splitlines()
    assert 1 <= len(lines) <= 4
    return lines


@pytest.mark.parametrize("answer", MISCONCEPTIONS, ids=lambda answer: answer.name)
def test_a_misconception_fails_and_is_named(answer, capsys):
    result = check(answer.task, answer.function)
    lines = quiet(capsys.readouterr().out)
    assert not result.passed
    assert result.misconception == answer.name
    assert lines[-1] == f"  This is what you get when {answer.sentence}"
    assert result.points(2) == 0


@pytest.mark.parametrize("answer", VARIANTS, ids=lambda answer: answer.name)
def test_another_right_spelling_passes(answer, capsys):
    result = check(answer.task, answer.function)
    assert result.passed
    assert result.points(2) == 2
    assert quiet(capsys.readouterr().out) == [f"{answer.task}: right."]


@pytest.mark.parametrize(("stage", "function"), TASKS)
def test_the_reference_passes(stage, function):
    reference = importlib.import_module(f"reference.{stage.module}")
    assert check(f"{stage.module}.{function}", getattr(reference, function)).passed


@pytest.mark.parametrize(("stage", "function"), TASKS)
def test_a_stub_says_its_own_sentence(inside_course, stage, function, capsys):
    result = check(f"{stage.module}.{function}")
    assert not result.passed
    assert quiet(capsys.readouterr().out) == [stage.sentence(function)]


@pytest.mark.parametrize(("stage", "function"), TASKS)
def test_every_task_has_misconceptions_and_variants(stage, function):
    task = f"{stage.module}.{function}"
    assert sum(answer.task == task for answer in MISCONCEPTIONS) >= 4
    assert any(answer.task == task for answer in VARIANTS)


def test_sentences_are_all_different():
    assert len({(answer.task, answer.sentence) for answer in MISCONCEPTIONS}) == len(MISCONCEPTIONS)


def changes_its_argument(x0, eps, alpha_bar):
    return x0.mul_(alpha_bar.sqrt()).add_((1 - alpha_bar).sqrt() * eps)


def leaves(x0, eps, alpha_bar):
    raise SystemExit("enough")


STRANGE = {
    "nothing": (lambda x0, eps, alpha_bar: None, "None; is the return missing?"),
    "an array": (lambda x0, eps, alpha_bar: x0.numpy(), "ndarray"),
    "a pair": (lambda x0, eps, alpha_bar: (x0, eps), "tuple"),
    "another shape": (lambda x0, eps, alpha_bar: x0[:1], "shape (1, 3, 10, 14)"),
    "another type": (lambda x0, eps, alpha_bar: x0.double(), "float64"),
    "no numbers": (lambda x0, eps, alpha_bar: x0 / 0 - x0 / 0, "NaN"),
    "a changed argument": (changes_its_argument, "x0 changed in place"),
    "a graph": (lambda x0, eps, alpha_bar: x0.requires_grad_() + eps, "carries a graph"),
    "an error": (lambda x0, eps, alpha_bar: x0 @ eps, "RuntimeError"),
    "no such name": (lambda x0, eps, alpha_bar: numpy, "import and define"),  # noqa: F821
    "another signature": (lambda x0: x0, "TypeError"),
    "an exit": (leaves, "SystemExit: enough"),
    "an unknown mistake": (lambda x0, eps, alpha_bar: x0 - 3 * eps, "where they differ most"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_whatever_a_function_does_is_told_in_a_few_lines(case, capsys):
    function, expected = STRANGE[case]
    result = check("tour.add_noise", function)
    assert not result.passed
    assert result.misconception is None
    assert expected in "\n".join(quiet(capsys.readouterr().out))


def test_a_value_that_comes_and_goes_with_the_call_is_never_right():
    reference = importlib.import_module("reference.tour").add_noise

    def sometimes(x0, eps, alpha_bar):
        return reference(x0, eps, alpha_bar) + torch.rand(())

    assert not check("tour.add_noise", sometimes).passed


def test_an_error_is_shown_with_the_students_own_line(inside_course, capsys):
    path = inside_course / "guidance" / "tour.py"
    text = path.read_text().replace("# your code here", "alpha_bar = alpha_bar.no_such_method()", 1)
    path.write_text(text)
    check("tour.add_noise")
    lines = quiet(capsys.readouterr().out)
    assert "AttributeError" in lines[1]
    assert lines[2] == "  in the line: alpha_bar = alpha_bar.no_such_method()"


def test_a_module_that_is_not_python_is_told_without_a_traceback(inside_course, capsys):
    (inside_course / "guidance" / "tour.py").write_text("def add_noise(:\n")
    assert not check("tour.add_noise").passed
    assert "SyntaxError" in "\n".join(quiet(capsys.readouterr().out))


def test_a_deleted_function_is_still_to_do(inside_course, capsys):
    (inside_course / "guidance" / "tour.py").write_text("")
    assert not check("tour.add_noise").passed
    assert "still to do" in quiet(capsys.readouterr().out)[0]


def test_the_result_shows_nothing_more_under_a_cell(capsys):
    from IPython.core.formatters import DisplayFormatter

    result = check("tour.add_noise", lambda x0, eps, alpha_bar: x0)
    capsys.readouterr()
    assert DisplayFormatter().format(result) == ({}, {})


@pytest.mark.parametrize("task", ["add_noise", "tour.nothing", "nowhere.add_noise", "a b.c"])
def test_an_unknown_task_is_one_clear_sentence(task):
    with pytest.raises(CourseError):
        check(task)


@pytest.mark.parametrize(("stage", "function"), TASKS)
def test_the_picture_draws_target_yours_and_difference(stage, function):
    reference = importlib.import_module(f"reference.{stage.module}")
    figure = compare_picture(f"{stage.module}.{function}", getattr(reference, function))
    sampler = function == "sample_timesteps"
    assert len(figure.axes) == (1 if sampler else 6)
    if not sampler:
        assert [len(axes.images) for axes in figure.axes] == [1] * 6
        assert figure.axes[2].images[0].get_array().max() < 1e-4


@pytest.mark.parametrize(("stage", "function"), TASKS)
def test_without_an_answer_the_picture_shows_the_target_alone(inside_course, stage, function):
    figure = compare_picture(f"{stage.module}.{function}")
    assert len(figure.axes) in (1, 6)
