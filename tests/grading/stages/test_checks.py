"""Every visible check passes what is right, and fails and names what is known to be wrong."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from distillery.core.errors import CourseError
from distillery.course.check import check, compare_picture
from grading.stages import STAGES
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.pds.variants import _hats, _latents
from grading.stages.variants import VARIANTS

TASKS = [(stage, function) for stage in STAGES for function in stage.points]


def quiet(text: str) -> list[str]:
    lines = text.splitlines()
    assert 1 <= len(lines) <= 7
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
    (line,) = quiet(capsys.readouterr().out)
    with_words = ", with t_prev = " if answer.task == "pds.pds_loss" else "."
    assert line.startswith(f"{answer.task}: right{with_words}")


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


def pds_of(stride: int, *, jump: bool):
    """pds_loss for one choice of t_prev and beta, written with both stochastic latents."""

    def pds_loss(prior, x0, x0_src, t, eps, eps_prev, *others):
        with torch.no_grad():
            hats = _hats(prior, x0, x0_src, t, eps, *others)
            beta = 1 - prior.alpha_bar(t) / prior.alpha_bar(t - (stride if jump else 1))
            z, z_src = _latents(prior, x0, x0_src, t, t - stride, beta, eps, eps_prev, hats)
        return (x0 * (z - z_src)).sum()

    return pds_loss


@pytest.mark.parametrize("stride", range(2, 21))
def test_every_stride_is_right_and_is_told(stride, capsys):
    assert check("pds.pds_loss", pds_of(stride, jump=False)).passed
    assert check("pds.pds_loss", pds_of(stride, jump=True)).passed
    single, jump = capsys.readouterr().out.splitlines()
    assert f"t_prev = t - {stride} and the beta of a single step (" in single
    assert "it pulls towards the source" in single
    assert ("the published code's" in single) == (stride == 2)
    assert f"t_prev = t - {stride} and the beta of that jump: psi is zero" in jump


def test_the_step_before_is_right_and_said_to_have_no_pull(capsys):
    assert check("pds.pds_loss", pds_of(1, jump=False)).passed
    assert "right, with t_prev = t - 1: psi is zero, so nothing pulls" in capsys.readouterr().out


@pytest.mark.parametrize("stride", [-1, -2, -20])
def test_a_step_upwards_is_wrong_and_named(stride, capsys):
    result = check("pds.pds_loss", pds_of(stride, jump=False))
    assert result.misconception == ("pds_one_step_up" if stride == -1 else "pds_upwards")
    assert "t_prev " in capsys.readouterr().out.splitlines()[-1]


def test_the_picture_compares_with_the_stride_that_was_chosen():
    figure = compare_picture("pds.pds_loss", pds_of(10, jump=True))
    assert figure.axes[2].images[0].get_array().max() < 1e-4


def with_answers(course: Path, stage: str, **changes: tuple[str, str]) -> None:
    """Put the reference in the student's place, with a text of a function replaced."""
    text = (course / "reference" / f"{stage}.py").read_text()
    for old, new in changes.values():
        assert text.count(old) >= 1
        text = text.replace(old, new, 1)
    (course / "guidance" / f"{stage}.py").write_text(text)


def test_a_function_that_builds_on_a_wrong_one_says_which(inside_course, capsys):
    slip = ("sigma = (beta *", "sigma = 3 * (beta *")
    with_answers(inside_course, "pds", posterior_coefficients=slip)
    assert not check("pds.pds_loss").passed
    lines = quiet(capsys.readouterr().out)
    assert lines[-1] == "  It uses posterior_coefficients, which is not right yet."


def test_a_function_that_builds_on_two_wrong_ones_names_both(inside_course, capsys):
    with_answers(
        inside_course,
        "pds",
        posterior_coefficients=("sigma = (beta *", "sigma = 3 * (beta *"),
        stochastic_latent=("(xt_prev - mean)", "(xt_prev - 2 * mean)"),
    )
    assert not check("pds.pds_loss").passed
    lines = quiet(capsys.readouterr().out)
    assert lines[-1] == (
        "  It uses posterior_coefficients and stochastic_latent, which are not right yet."
    )


def test_a_function_that_builds_on_one_still_to_do_says_so(inside_course, capsys):
    stubs = (inside_course / "guidance" / "pds.py").read_text()
    with_answers(inside_course, "pds")
    answered = (inside_course / "guidance" / "pds.py").read_text()
    stub = stubs[stubs.index("def posterior_coefficients") : stubs.index("def stochastic_latent")]
    start = answered.index("def posterior_coefficients")
    stop = answered.index("def stochastic_latent")
    path = inside_course / "guidance" / "pds.py"
    path.write_text(answered[:start] + stub + answered[stop:])
    assert not check("pds.pds_loss").passed
    (line,) = quiet(capsys.readouterr().out)
    assert line.startswith("pds.posterior_coefficients is still to do")


def test_the_reference_in_the_students_place_is_right_in_every_stage(inside_course):
    for stage in STAGES:
        with_answers(inside_course, stage.module)
        assert all(check(f"{stage.module}.{function}").passed for function in stage.points)


LIKE_NO_OTHER = {
    "pds.posterior_coefficients": (
        lambda alpha_bar, alpha_bar_prev, beta: (alpha_bar, beta[:1], beta),
        "a value of type tuple",
    ),
    "pds.stochastic_latent": (
        lambda xt, xt_prev, eps_hat, alpha_bar, posterior: posterior.sigma.mul_(2) * xt,
        "posterior changed in place",
    ),
    "pds.dds_loss": (lambda *arguments: arguments[1].sum(), "0 calls to prior.predict_noise"),
    "vsd.vsd_grad": (
        lambda prior, lora, x0, t, eps, text, uncond, s: prior.predict_noise(x0, t, text, uncond)[
            0
        ],
        "0 calls to the LoRA, for 0 latents in all",
    ),
    "vsd.lora_loss": (
        lambda lora, x0, t, eps, text: lora.predict(x0, t, text).mean() + x0.mean(),
        "a gradient for x0 too",
    ),
    "vsd.alternating_step": (
        lambda first, second, one, other: (first() + second()).detach(),
        "got:    particle_loss, lora_loss",
    ),
    "pixelart.paint": (
        lambda weights, palette: weights.requires_grad_()[:, :3] * palette.mul_(0.5).sum(),
        "palette changed in place",
    ),
    "pixelart.gumbel_softmax": (
        lambda logits, tau, generator: logits.softmax(dim=1).square(),
        "weights that sum to 1 along no axis",
    ),
    "pixelart.straight_through": (
        lambda logits: logits * 0.0 + 1.0,
        "where they differ most",
    ),
    "pixelart.sdxl_grad": (
        lambda prior, x0, t, eps, text, uncond, s, size, controls: prior.predict_noise(
            x0, t, text, replace(uncond, time_ids=torch.zeros(2, 6)), controls=controls
        )[0],
        "CourseError: either all conditions of one call have",
    ),
}


@pytest.mark.parametrize("task", LIKE_NO_OTHER)
def test_an_unknown_mistake_of_a_later_stage_is_told_too(task, capsys):
    function, expected = LIKE_NO_OTHER[task]
    result = check(task, function)
    assert not result.passed
    assert result.misconception is None
    assert expected in "\n".join(quiet(capsys.readouterr().out))


def sampled(draw):
    """Right weights but for the noise, that `draw` makes of the logits and a generator."""

    def gumbel_softmax(logits, tau, generator):
        return ((logits + draw(logits, generator)) / tau).softmax(dim=1)

    return gumbel_softmax


def test_noise_of_another_width_is_told_by_how_often_a_colour_wins(capsys):
    def wide(logits, generator):
        return -2 * torch.empty_like(logits).exponential_(generator=generator).log()

    assert not check("pixelart.gumbel_softmax", sampled(wide)).passed
    lines = quiet(capsys.readouterr().out)
    assert lines[2] == "  got:    the colours wanted most win too seldom, at tau 0.5"


@pytest.mark.parametrize("seed", range(5))
def test_right_noise_passes_whatever_the_bits(seed):
    def other_bits(logits, generator):
        torch.rand(seed, generator=generator)
        return -torch.empty_like(logits).exponential_(generator=generator).log()

    assert check("pixelart.gumbel_softmax", sampled(other_bits)).passed


def test_a_wrong_gradient_behind_a_right_value_is_told_as_one(capsys):
    def twice(logits):
        soft = logits.softmax(dim=1)
        hard = torch.zeros_like(soft).scatter_(1, logits.argmax(dim=1, keepdim=True), 1.0)
        return hard + 2 * (soft - soft.detach())

    assert not check("pixelart.straight_through", twice).passed
    lines = quiet(capsys.readouterr().out)
    assert lines[1].startswith("  wanted: a gradient of ")
    assert re.search(r"at \[[01], [0-3], [0-4], [0-6]\], where they differ most", lines[1])


def test_a_control_picture_that_is_changed_in_place_is_seen(capsys):
    reference = importlib.import_module("reference.pixelart").sdxl_grad

    def changing(*arguments):
        grad = reference(*arguments)
        arguments[-1][0].image.zero_()
        return grad

    assert not check("pixelart.sdxl_grad", changing).passed
    assert "controls changed in place" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sdxl_without_numbers", "no SDXL size conditioning (time_ids)"),
        ("sdxl_with_width_first", "(time_ids): 56, 40, 0, 0, 56, 40"),
        ("sdxl_without_pooled", "(time_ids): 40, 56, 0, 0, 40, 56 and no pooled vector"),
        ("sdxl_with_one_row", "(time_ids): numbers of shape (1, 6)"),
        ("bound_over_the_run", "t up to 40 at step 5, 38 at step 20, 36 at step 40, 33 at step 70"),
        ("gumbel_over_columns", "weights that sum to 1 along axis 3"),
    ],
)
def test_what_came_is_said_in_words(name, words, capsys):
    (answer,) = [answer for answer in MISCONCEPTIONS if answer.name == name]
    check(answer.task, answer.function)
    assert words in quiet(capsys.readouterr().out)[2]


def test_a_loss_of_another_height_is_wrong_though_its_gradient_is_right(capsys):
    reference = importlib.import_module("reference.vsd").lora_loss
    assert not check("vsd.lora_loss", lambda *arguments: reference(*arguments) + 1).passed
    assert "wanted: a loss of " in capsys.readouterr().out


def test_a_wrong_number_is_named_by_its_part_and_its_latent(capsys):
    reference = importlib.import_module("reference.pds").posterior_coefficients

    def slightly_off(alpha_bar, alpha_bar_prev, beta):
        c0, c1, sigma = reference(alpha_bar, alpha_bar_prev, beta)
        return c0, c1, sigma + torch.tensor([0.0, 0.01]).view(2, 1, 1, 1)

    assert not check("pds.posterior_coefficients", slightly_off).passed
    assert "for sigma of latent 1, where they differ most" in capsys.readouterr().out


def changes_its_argument(x0, eps, alpha_bar):
    return eps.mul_((1 - alpha_bar).sqrt()).add_(alpha_bar.sqrt() * x0)


def leaves(x0, eps, alpha_bar):
    raise SystemExit("enough")


STRANGE = {
    "nothing": (lambda x0, eps, alpha_bar: None, "None; is the return missing?"),
    "an array": (lambda x0, eps, alpha_bar: x0.numpy(), "ndarray"),
    "a pair": (lambda x0, eps, alpha_bar: (x0, eps), "tuple"),
    "another shape": (lambda x0, eps, alpha_bar: x0[:1], "shape (1, 3, 10, 14)"),
    "another type": (lambda x0, eps, alpha_bar: x0.double(), "float64"),
    "no numbers": (lambda x0, eps, alpha_bar: x0 / 0 - x0 / 0, "NaN"),
    "a changed argument": (changes_its_argument, "eps changed in place"),
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


NUMBERS = (
    "sample_timesteps",
    "posterior_coefficients",
    "alternating_step",
    "gumbel_softmax",
    "bounded_timesteps",
)


@pytest.mark.parametrize(("stage", "function"), TASKS)
def test_the_picture_draws_target_yours_and_difference(stage, function):
    reference = importlib.import_module(f"reference.{stage.module}")
    figure = compare_picture(f"{stage.module}.{function}", getattr(reference, function))
    if function in NUMBERS:
        assert len(figure.axes) == 1
    else:
        # A strip of colours; values and their gradients; otherwise a row for each latent.
        rows = {
            "kmeans_step": 1,
            "region_bias": 1,
            "cover": 1,
            "next_read": 1,
            "prompt_path": 1,
            "noise_path": 1,
            "shared_palette": 1,
            "hold_colours": 1,
            "straight_through": 4,
            "paint": 4,
            "x0_estimate": 4,
        }.get(function, 2)
        assert [len(axes.images) for axes in figure.axes] == [1] * 3 * rows
        assert figure.axes[2].images[0].get_array().max() < 1e-4


def test_the_histogram_of_a_falling_bound_is_of_a_step_on_the_way():
    reference = importlib.import_module("reference.pixelart").bounded_timesteps
    (axes,) = compare_picture("pixelart.bounded_timesteps", reference).axes
    assert axes.get_xlabel() == "t at step 20, for t_min = 20 and the bound = 35"
    assert len(axes.patches) == 16


@pytest.mark.parametrize(("stage", "function"), TASKS)
def test_without_an_answer_the_picture_shows_the_target_alone(inside_course, stage, function):
    figure = compare_picture(f"{stage.module}.{function}")
    assert len(figure.axes) in (1, 3, 6, 12)
