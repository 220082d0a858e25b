from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, filename_to_prompt, prompt_to_filename


def test_a_file_is_written_whole_into_a_folder_that_did_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "note.txt"

    atomic_write(path, "grüße")

    assert path.read_text(encoding="utf-8") == "grüße"
    assert os.listdir(path.parent) == ["note.txt"]


def test_bytes_replace_an_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    atomic_write(path, b"new")

    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "no space is left"), (errno.EACCES, "permission denied")]
)
def test_a_failed_write_says_why_and_keeps_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("old")

    def fail(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(CourseError, match=words):
        atomic_write(path, "new")

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["run.yaml"]


def test_an_interrupt_leaves_no_part_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)

    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "run.yaml", "new")

    assert os.listdir(tmp_path) == []


def test_a_folder_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(CourseError, match="cannot write"):
        atomic_write(tmp_path / "taken" / "note.txt", "text")


def test_spaces_become_underscores_and_ordinary_words_stay() -> None:
    assert prompt_to_filename("a red boat, on a frozen river!") == "a_red_boat,_on_a_frozen_river!"


PROMPTS = {
    "dots": "a house by St. Mary. v1.5...",
    "hidden": ".hidden",
    "parent folder": "../../etc/passwd",
    "slashes": "black/white \\ grey",
    "underscores and percents": "snake_case at 100% %20 ~0",
    "capitals": "A Red BOAT",
    "spaces": "  two  spaces ",
    "line break": "one\ntwo\tthree",
    "quotes": "a \"quoted\" 'boat' <b> | * ? :",
    "200 characters": "a boat " * 28 + "end.",
    "Japanese": "凍った川の上の赤い船",
    "Hindi": "जमी हुई नदी पर लाल नाव",
    "Arabic": "قارب أحمر على نهر متجمد",
    "emoji": "a 🚢 at sea",
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_a_prompt_survives_the_round_trip_through_a_file_name(prompt: str, tmp_path: Path) -> None:
    path = tmp_path / f"{prompt_to_filename(prompt)}.png"

    path.touch()

    assert [filename_to_prompt(found.stem) for found in tmp_path.iterdir()] == [prompt]
    assert not path.name.startswith(".")


def test_a_long_prompt_gets_a_short_name_of_its_own_that_admits_it() -> None:
    prompts = ["船" * 200, "船" * 199 + "舟", "%" * 1000]
    stems = [prompt_to_filename(prompt) for prompt in prompts]

    assert all(len(stem.encode()) <= 200 for stem in stems)
    assert len(set(stems)) == 3
    with pytest.raises(CourseError, match="beginning of its prompt"):
        filename_to_prompt(stems[0])


def test_a_name_that_someone_else_wrote_is_read_plainly() -> None:
    assert filename_to_prompt("a_boat_with_100%_sail") == "a boat with 100% sail"
