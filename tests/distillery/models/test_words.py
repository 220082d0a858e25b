"""Of a prompt that the embedded models have no words for, a sentence says so, with the nearest."""

from __future__ import annotations

import pytest

import main
from distillery.models.words import NEAR, is_known, listed, nearest, words_note
from distillery.toybox import COLOURS, SCENES, THINGS, all_factors

STRANGE = {
    "nothing known": ("a portrait of Ada Lovelace in oil", ["ada", "no word", "house, castle"]),
    "another word for it": ("a kitten in the woods", ["cat (for kitten)", "in the forest"]),
    "misspelt": ("a rocet", ["rocket (for rocet)"]),
    "no thing": ("a red dragon in the snow", ["dragon"]),
    "hardly anything": ("a cat of marble wearing gilded armour", ["marble"]),
    "other letters": ("凍った川の上の赤い船", ["凍った川の上の赤い船"]),
}


@pytest.mark.parametrize(("prompt", "words"), STRANGE.values(), ids=STRANGE.keys())
def test_a_prompt_with_few_or_none_of_its_words_gets_a_sentence(
    prompt: str, words: list[str]
) -> None:
    note = words_note("tiny-sd", [prompt])
    assert all(word in note for word in words)
    assert "`python main.py words`" in note
    assert "\n" not in note


def test_what_it_was_trained_on_gets_none() -> None:
    prompts = [str(factors) for factors in all_factors()]
    for prompt in [*prompts, *SCENES, "Two RED boats!", "a drawing of a cup", "", "a boat at sea"]:
        assert words_note("tiny-sd", [prompt]) == "", prompt


@pytest.mark.parametrize("model", ["sdxl", "sd15", "exact", "some/folder"])
def test_other_models_get_none(model: str) -> None:
    assert words_note(model, ["a dragon"]) == ""


def test_several_prompts_get_one_sentence_with_each_word_once() -> None:
    note = words_note("tiny-sdxl", ["a dragon", "a dragon and a wizard", "a red boat"])
    assert note.count("dragon") == 1
    assert "wizard" in note


def test_words_that_stand_for_others_are_not_known_themselves_and_lead_to_known_ones() -> None:
    phrases = {*THINGS, *COLOURS, *SCENES}
    assert set(NEAR.values()) == phrases
    assert not [word for word in NEAR if is_known(word)]
    assert nearest("kittens") == "cat"


def test_the_list_is_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["words"]) == 0
    shown = capsys.readouterr().out
    assert shown.strip() == listed()
    assert all(word in shown for word in (*THINGS, *COLOURS, *SCENES))
