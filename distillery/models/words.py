"""The words that the embedded models know, and what to say of a prompt that has others.

They were trained on captions of `distillery.toybox` alone. A word that was in none of them steers
nothing, and the picture shows something of the toybox all the same.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from distillery.core.program import TYPED
from distillery.models.presets import PRESETS
from distillery.toybox.vocabulary import COLOURS, SCENES, THINGS

COMMAND = f"{TYPED} words"
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
# What captions are made of beside things, colours and scenes, and what says nothing by itself.
_PLAIN = """
a an the of in on at by to with and or some one two its his her my this that is are next left right
beside under over above below behind near very picture pictures drawing image photo photograph
painting pixel art sticker style small big large little
"""
PLAIN = frozenset(_PLAIN.split())
# Words of a prompt that are not known -> the word that is.
NEAR: Mapping[str, str] = {
    word: known
    for known, words in {
        "house": "home cabin cottage hut villa building barn farmhouse bungalow shed",
        "castle": "palace tower fortress fort cathedral church temple",
        "boat": "ship sailboat yacht vessel ferry canoe raft sail kayak steamer",
        "car": "automobile truck van bus taxi vehicle jeep limousine bicycle motorcycle train",
        "tree": "oak pine palm birch bush fir plant willow",
        "mushroom": "toadstool fungus",
        "fish": "shark whale goldfish dolphin salmon trout",
        "rocket": "spaceship spacecraft shuttle missile aeroplane airplane plane jet",
        "flower": "rose tulip daisy sunflower blossom lily bouquet poppy",
        "cup": "mug coffee tea teacup glass bowl teapot",
        "cat": "kitten kitty tiger lion dog puppy fox animal",
        "balloon": "airship zeppelin kite",
        "red": "crimson scarlet ruby maroon",
        "orange": "amber rust copper",
        "yellow": "golden gold lemon",
        "green": "emerald olive lime",
        "blue": "azure navy turquoise cyan teal",
        "purple": "violet lilac mauve lavender",
        "pink": "magenta rosy salmon-pink",
        "white": "silver ivory pale grey gray",
        "on the grass": "meadow field lawn park garden prairie hill",
        "in the desert": "dune dunes sand sahara canyon",
        "on a frozen river": "ice glacier lake iceberg icy",
        "beside a waterfall": "cascade cliff cliffs stream",
        "in the night sky": "stars space moon galaxy clouds midnight",
        "in the snow": "snowy winter blizzard mountain mountains arctic",
        "on the beach": "sea ocean shore coast island bay harbour seaside",
        "in the forest": "wood woods jungle woodland rainforest",
    }.items()
    for word in words.split()
}
SPELLED_ALIKE = 0.75  # of difflib's ratio, from which on one word may be the other misspelt
MOST = 4  # words that a note names


def _in(phrases: Iterable[str]) -> frozenset[str]:
    return frozenset(word for phrase in phrases for word in phrase.split()) - PLAIN


NOUNS = frozenset(THINGS)
KNOWN = NOUNS | _in(COLOURS) | _in(SCENES)


def words_of(prompt: str) -> list[str]:
    """The words of a prompt that say something, in small letters and each once."""
    found = (word.casefold() for word in WORD.findall(prompt))
    return [word for word in dict.fromkeys(found) if word not in PLAIN]


def is_known(word: str) -> bool:
    """Whether the captions had the word, or its singular."""
    return not KNOWN.isdisjoint((word, word.removesuffix("s"), word.removesuffix("es")))


def nearest(word: str) -> str:
    """The word or scene that an unknown word may stand for, "" where there is none."""
    for form in (word, word.removesuffix("s"), word.removesuffix("es")):
        if form in NEAR:
            return NEAR[form]
    alike = difflib.get_close_matches(word, sorted(KNOWN), n=1, cutoff=SPELLED_ALIKE)
    return alike[0] if alike else ""


def words_note(model: str | Path, prompts: Iterable[str]) -> str:
    """A sentence on the prompts that an embedded model has no words for, or hardly any.

    Those are prompts of which it knows no word, or fewer than it does not know, or no thing. Of
    other models, which know far more, nothing is said.
    """
    preset = PRESETS.get(str(model))
    if preset is None or not preset.embedded:
        return ""
    asked = [words_of(prompt) for prompt in dict.fromkeys(prompts)]
    hard = [words for words in asked if _is_hard(words)]
    unknown = list(dict.fromkeys(word for words in hard for word in words if not is_known(word)))
    if not unknown:
        return ""
    alone = not any(is_known(word) for words in hard for word in words)
    knows = "knows no word of what is asked for" if alone else "does not know all of the words"
    named = ", ".join(unknown[:MOST]) + (", ..." if len(unknown) > MOST else "")
    near = [f"{nearest(word)} (for {word})" for word in unknown if nearest(word)][:MOST]
    nearby = (
        f"the nearest it knows are {', '.join(near)}"
        if near
        else f"it knows things such as {', '.join(THINGS[:3])}"
    )
    return (
        f"{model} {knows}: {named} will steer nothing; {nearby}. `{COMMAND}` lists its "
        f"{len(THINGS)} things, {len(COLOURS)} colours and {len(SCENES)} scenes."
    )


def _is_hard(words: list[str]) -> bool:
    known = [word for word in words if is_known(word)]
    has_thing = any(not NOUNS.isdisjoint((word, word.removesuffix("s"))) for word in known)
    return len(known) < len(words) - len(known) or not has_thing


def listed() -> str:
    """All that the embedded models know, for the terminal."""
    embedded = ", ".join(name for name, preset in PRESETS.items() if preset.embedded)
    return "\n".join(
        [
            f"The embedded models ({embedded}) know these words.",
            f"things   {', '.join(THINGS)}",
            f"colours  {', '.join(COLOURS)}",
            f"scenes   {', '.join(SCENES)}",
            'Prompts are made of them: "a red boat on a frozen river", "a cat", "a blue cup in the '
            'snow".',
            "Other models, such as sd15 and sdxl, know far more.",
        ]
    )
