"""Many edits, one after the other: the pairs of a file that are meant for one model.

    outputs/pairs~unfinished.json   marks of what is done, while there is something left to do

A batch that was stopped, or that could not edit every pair, goes on with what is left; one that is
done is done again, like a single run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from distillery.core.errors import CourseError, in_short
from distillery.core.files import REPOSITORY, atomic_write, decoded, read_record
from distillery.methods.settings import Settings
from distillery.runs.latents import LatentMethod, check
from distillery.runs.place import Place, fingerprint, own_place

RECORD = "pairs~unfinished.json"


@dataclass(frozen=True)
class Pair:
    """A picture's prompt, and what it should show after the edit.

    img_path:  the source picture; None where it is drawn from `prompt`.
    mask_path: grey picture, white on the thing that is edited, or None. An edit keeps it for
               `eval.py` where it lies next to the source and is called `<its stem>_mask.png`.
    model:     the name of the model that the pair is for, or None for any.
    changes:   which of "thing", "colour" and "scene" the edit changes, where that is known.
    """

    prompt: str
    edit_prompt: str
    img_path: Path | None = None
    mask_path: Path | None = None
    model: str | None = None
    changes: tuple[str, ...] = ()


def load_pairs(path: Path) -> list[Pair]:
    """Read pairs from a JSON list of objects with the keys of `Pair`; the two prompts are required.

    Paths may hold variables such as $HOME; those that are not absolute begin at the repository.

    Raises:
        CourseError: the file is missing or damaged, or a pair says something else.
    """
    try:
        entries = json.loads(decoded(Path(path).read_bytes()), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise CourseError(
            f"{path} cannot be read as pairs of prompts ({in_short(error)}); give a JSON file."
        ) from error
    if not isinstance(entries, list) or not entries:
        raise CourseError(f"{path} must hold a JSON list of pairs; write [{{...}}, ...].")
    return [_pair(entry, f"pair {n} of {path}") for n, entry in enumerate(entries, start=1)]


def _once(values: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in values]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"a pair has {twice!r} twice")
    return dict(values)


def _pair(entry: Any, name: str) -> Pair:
    if not isinstance(entry, dict):
        raise CourseError(f'{name} must be an object such as {{"prompt": ...}}; it is {entry!r}.')
    known = [field.name for field in fields(Pair)]
    for key, value in entry.items():
        if key not in known:
            raise CourseError(f"{name} has the unknown key {key!r}; choose {', '.join(known)}.")
        if key == "changes":
            if not (isinstance(value, list) and all(isinstance(word, str) for word in value)):
                raise CourseError(f"{name} must have a list of words as changes, not {value!r}.")
        elif not isinstance(value, str) and (value is not None or key.endswith("prompt")):
            raise CourseError(f"{name} must have text as its {key}; it is {value!r}.")
    for key in ("prompt", "edit_prompt"):
        if not entry.get(key, "").strip():
            raise CourseError(f"{name} has no {key}; say what the picture shows before and after.")
    if entry["prompt"] == entry["edit_prompt"]:
        raise CourseError(f"{name} has the same prompt twice; say what the edit should change.")
    return Pair(
        entry["prompt"],
        entry["edit_prompt"],
        img_path=_located(entry, "img_path"),
        mask_path=_located(entry, "mask_path"),
        model=entry.get("model"),
        changes=tuple(entry.get("changes", ())),
    )


def _located(entry: Mapping[str, Any], key: str) -> Path | None:
    text = entry.get(key)
    return REPOSITORY / os.path.expanduser(os.path.expandvars(text)) if text else None


def pairs_for(path: Path, model: str) -> list[Pair]:
    """The pairs of a JSON file that are meant for `model`, or for any.

    Raises:
        CourseError: the file is unfit, holds none of them, or two with the same edit prompt.
    """
    pairs = load_pairs(path)
    meant = [pair for pair in pairs if pair.model in (None, model)]
    if not meant:
        others = sorted({pair.model for pair in pairs if pair.model is not None})
        raise CourseError(
            f"no pair of {path} is meant for the model {model!r}; "
            f"choose --model {' or '.join(others)}."
        )
    prompts = [pair.edit_prompt for pair in meant]
    for number, prompt in enumerate(prompts):
        if prompt in prompts[:number]:
            raise CourseError(
                f"two pairs of {path} have the edit prompt {prompt!r}, after which their pictures "
                "are named; take one of them into another file and another --out."
            )
    return meant


def edits_of(pairs: Sequence[Pair], common: Settings) -> list[Settings]:
    """The settings of each pair's edit, in all else those that are `common`.

    Raises:
        CourseError: a pair does not suit them.
    """
    settings = [
        replace(
            common,
            prompt=pair.prompt,
            edit_prompt=pair.edit_prompt,
            src_img_path="" if pair.img_path is None else str(pair.img_path),
        )
        for pair in pairs
    ]
    for one in settings:
        check(one)
    return settings


def edit_all(
    edits: Sequence[Settings],
    draw: Callable[[Settings], Place],
    *,
    method: LatentMethod,
    out: Path,
) -> None:
    """Make every edit that is not done yet, and print where each lies.

    What cannot be edited is skipped with a sentence.

    Args:
        draw: makes one edit in the folder `out`, and gives its place there.
        method: the module that does it; where its code has changed, nothing counts as done.

    Raises:
        CourseError: some were skipped.
    """
    done = read_record(out / RECORD)
    skipped = 0
    for settings in edits:
        try:
            mark = _mark(settings, method)
            place = own_place(settings, out, sources=fingerprint(settings))
            if place is None or done.get(settings.title) != mark or not place.picture.exists():
                place = draw(settings)
        except CourseError as error:
            print(f"skipped {settings.title!r}: {error}", file=sys.stderr)
            skipped += 1
            continue
        print(place.picture)
        done[settings.title] = mark
        atomic_write(out / RECORD, json.dumps(done, ensure_ascii=False, indent=1))
    if skipped:
        raise CourseError(
            f"{skipped} of {len(edits)} pairs were not edited; fix the errors above and run the "
            "same command again to edit those."
        )
    (out / RECORD).unlink(missing_ok=True)


def _mark(settings: Settings, method: LatentMethod) -> str:
    """16 digits that tell apart settings, versions of a module's code and source pictures."""
    assert method.__file__ is not None  # only a namespace package has none
    digest = hashlib.sha256(json.dumps(asdict(settings)).encode())
    digest.update(Path(method.__file__).read_bytes())
    if settings.src_img_path:
        with contextlib.suppress(OSError):  # the edit itself says better what is wrong
            digest.update(Path(settings.src_img_path).read_bytes())
    return digest.hexdigest()[:16]
