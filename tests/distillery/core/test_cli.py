"""How every command line ends."""

from __future__ import annotations

import argparse

import pytest

from distillery.core.cli import Arguments, exit_status, pair, truth
from distillery.core.errors import CourseError


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(("answer", "status"), [(None, 0), (0, 0), (3, 3)])
def test_a_program_that_ends_has_its_own_status(
    answer: int | None, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(lambda: answer) == status
    assert capsys.readouterr() == ("", "")


def test_bad_input_is_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda: raising(CourseError("there is no boat; draw one."))) == 2
    assert capsys.readouterr() == ("", "error: there is no boat; draw one.\n")


def test_an_interrupted_program_says_what_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda: raising(KeyboardInterrupt()), interrupted="nothing was kept.") == 130
    assert capsys.readouterr() == ("", "nothing was kept.\n")


def test_a_fault_of_the_program_itself_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda: raising(ZeroDivisionError()))


def test_a_wrong_flag_is_one_sentence_that_names_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        Arguments(prog="paint").parse_args(["--red"])

    assert stopped.value.code == 2
    assert capsys.readouterr() == (
        "",
        "error: unrecognized arguments: --red; see paint --help.\n",
    )


def test_a_shortened_flag_is_not_taken_for_a_longer_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = Arguments(prog="draw")
    parser.add_argument("--lora_rank", type=int)
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--lora", "style.safetensors"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "unrecognized arguments: --lora style.safetensors" in said
    assert "did you mean --lora_rank?" in said


def test_height_and_width_are_two_whole_numbers() -> None:
    assert pair("32,48") == (32, 48)
    for text in ("32", "32,48,1", "32x48", "a,b", "1.5,2"):
        with pytest.raises(argparse.ArgumentTypeError, match="write height and width as H,W"):
            pair(text)


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), ("yes", True), ("1", True), ("FALSE", False), ("no", False)]
)
def test_true_and_false_are_words(text: str, value: bool) -> None:
    assert truth(text) is value


def test_any_other_word_is_neither_true_nor_false() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write true or false, not 'maybe'"):
        truth("maybe")
