"""Stepping stones: prompts on the way from one prompt to the next, each a change of one thing.

Between "a red boat on a frozen river" and "a yellow castle in the night sky" lie "a red boat in the
night sky" and "a yellow boat in the night sky". The model can draw each of them, and only one thing
at a time is ever between two states. Nothing is asked of a model to find them: prompts are taken
apart by English words.
"""

from __future__ import annotations

from collections.abc import Sequence

PREPOSITIONS = (
    "above across against along among around at behind below beneath beside between by during from "
    "in inside into near on onto outside over through under upon with within"
)
PLACES = frozenset(PREPOSITIONS.split())
ARTICLES = frozenset(("a", "an", "the", "some", "one"))

Part = Sequence[str]


def stepping_stones(first: str, second: str) -> list[str]:
    """The prompts between two; none if they differ in one thing alone, or in their first part.

    A prompt is cut before its prepositions and after its commas. All but the first part change
    first, the last one before the others, so that the place changes before the thing; if the
    prompts have not equally many parts, they change at once. The first part is changed word by
    word, if both have as many, and an article goes with the word after it.
    """
    now, then = _parts(first), _parts(second)
    if not (now[0] and then[0]):
        return []
    ways: list[list[Part]] = [now]
    if len(now) == len(then):
        ways += [[*now[:k], *then[k:]] for k in range(len(now) - 1, 0, -1)]
    else:
        ways.append([now[0], *then[1:]])
    if len(now[0]) == len(then[0]):
        heads = [[*then[0][:k], *now[0][k:]] for k in range(1, len(now[0]))]
        ways += [[head, *then[1:]] for head in heads]
    said = [" ".join(word for part in way for word in part) for way in ways]
    known = {" ".join(first.split()), " ".join(second.split())}
    return [stone for stone in dict.fromkeys(said) if stone not in known]


def _parts(prompt: str) -> list[Part]:
    """The parts of a prompt, each of words; an article or preposition is one word with the next."""
    parts: list[list[str]] = [[]]
    before = ""
    for word in prompt.split():
        in_place = word.lower() in PLACES
        if parts[-1] and not before and (in_place or parts[-1][-1].endswith(",")):
            parts.append([])
        if in_place or word.lower() in ARTICLES:
            before += f"{word} "
            continue
        parts[-1].append(before + word)
        before = ""
    return [*parts[:-1], [*parts[-1], before.strip()]] if before else list(parts)
