"""Names are compared as the strictest of the common file systems does."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from distillery.core.files import filename_to_prompt, prompt_to_filename, written
from distillery.core.names import first_free, is_device, name_key, numbered

NFC = "café"
PAIRS = {
    "capitals": ("A Red Boat", "a red boat"),
    "a long s": ("STRASSE", "straße"),
    "composed and not": (NFC, unicodedata.normalize("NFD", NFC)),
    "both": (NFC.upper(), unicodedata.normalize("NFD", NFC)),
    "a final dot": ("a boat.", "a boat"),
    "a final space": ("a boat ", "a boat"),
}
DEVICES = (
    "con",
    "NUL",
    "Aux",
    "prn",
    "com1",
    "LPT9",
    "COM¹",
    "conin$",
    "con.txt",
    "nul.",
    "com1 .a",
)


@pytest.mark.parametrize(("one", "other"), PAIRS.values(), ids=PAIRS.keys())
def test_two_names_that_some_system_takes_for_one_have_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_other_names_have_other_keys() -> None:
    assert len({name_key(name) for name in ("a boat", "a_boat", "a boat~2", "boat a")}) == 4


@pytest.mark.parametrize("prompt", DEVICES)
def test_a_picture_of_a_device_is_no_device_and_keeps_its_prompt(prompt: str) -> None:
    stem = prompt_to_filename(prompt)

    assert is_device(prompt)
    assert not is_device(stem)
    assert not stem.endswith((".", " "))
    assert filename_to_prompt(stem) == prompt


@pytest.mark.parametrize("prompt", ["console", "com10", "a con", "nullify", "com", "lpt"])
def test_words_that_only_begin_like_a_device_stay_as_they_are(prompt: str) -> None:
    assert prompt_to_filename(prompt) == prompt.replace(" ", "_")


def test_a_long_name_of_a_device_is_none() -> None:
    assert not is_device(prompt_to_filename("con." + "a boat " * 60))


@pytest.mark.parametrize("prompt", ["a boat.", "a boat...", ". a .", "."])
def test_no_name_ends_in_a_dot_or_begins_with_one(prompt: str) -> None:
    stem = prompt_to_filename(prompt)

    assert stem.strip(".") == stem
    assert filename_to_prompt(stem) == prompt


@pytest.mark.parametrize("prompt", ["a boat", "a boat~2", "snake_case", "x" * 5])
def test_a_number_does_not_belong_to_the_prompt(prompt: str) -> None:
    stem = prompt_to_filename(prompt)

    assert filename_to_prompt(numbered(stem, 2)) == prompt
    assert filename_to_prompt(numbered(stem, 1234)) == prompt


def test_the_first_free_name_is_free_on_every_system(tmp_path: Path) -> None:
    for name in ("Dusk.PNG", "dusk~2.png"):
        (tmp_path / name).touch()

    assert first_free(tmp_path / "dusk.png").name == "dusk~3.png"
    assert first_free(tmp_path / "dawn.png").name == "dawn.png"


def test_another_result_stays_and_the_new_one_says_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "dusk.png"
    assert written(file, b"one", overwrite=False) == file
    assert written(file, b"one", overwrite=False) == file
    assert capsys.readouterr().err == ""

    assert written(file, b"two", overwrite=False).name == "dusk~2.png"

    (line,) = capsys.readouterr().err.splitlines()
    assert "dusk.png is kept" in line
    assert "dusk~2.png" in line
    assert file.read_bytes() == b"one"
    assert written(file, b"three", overwrite=True) == file
    assert file.read_bytes() == b"three"
