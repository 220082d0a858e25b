from __future__ import annotations

import pytest

from distillery.core.whole_words import places


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("boat", ["boat", "Boat"]),
        (" A red boat ", ["a red boat"]),
        ("red", ["red"]),
        ("cat (old)", ["cat (old)"]),
        ("cat.", []),
        ("", []),
        (" ", []),
    ],
)
def test_words_are_found_whole_wherever_they_stand(words: str, found: list[str]) -> None:
    text = "a red boat in a boathouse, a Boat and a cat (old)"
    assert [text[begin:end] for begin, end in places(words, text)] == found
