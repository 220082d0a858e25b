"""The source of an edit: the picture that an editing method starts from.

Any picture may be edited. It is fitted into the frame of the model: it fills it, and what sticks
out is cropped about the centre, so nothing is ever squashed.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError, in_short
from distillery.core.files import REPOSITORY, prompt_to_filename
from distillery.core.images import fit, read_any, save_png, to_rgb
from distillery.models.prior import Condition, Prior

SHORTEST_SIDE = 8  # pixels, one of a Stable Diffusion's latents
LEAST_SHOWN = 0.2  # of a picture; what the frame cuts out of a strip is no longer that picture
WORTH_SAYING_CROPPED, WORTH_SAYING_ENLARGED = 0.1, 4.0


@dataclass(frozen=True)
class Source:
    """The picture that is edited, x0 `(B, C, h, w)`, and the condition that describes it."""

    x0: Tensor
    text: Condition


def zero_noise_prior(prior: Prior) -> Prior:
    """`prior`, except that it always predicts zero noise.

    It shows what a method does without the network.
    """
    return cast("Prior", _ZeroNoisePrior(prior))


class _ZeroNoisePrior:
    def __init__(self, prior: Prior) -> None:
        self._prior = prior

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)

    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, **options: Any
    ) -> tuple[Tensor, ...]:
        return tuple(torch.zeros_like(xt) for _ in conditions)


def load_source(path: Path, size: tuple[int, int]) -> Image.Image:
    """Read any picture as RGB, upright, over white, and fitted into the frame `size` (H, W).

    It warns in a sentence where more than a tenth of a side is cropped away, or where the picture
    is enlarged more than 4 times.

    Raises:
        CourseError: it cannot be read, is animated, has a side below 8 pixels, or is so long that
            the frame would show less than a fifth of it.
    """
    # A JPEG decoded at twice the frame's size loses nothing that the frame could show.
    image = read_any(path, enough=2 * max(size))
    _check_shape(path, image.size, size)
    return to_rgb(fit(image, size))


def _check_shape(path: Path, picture: tuple[int, int], frame: tuple[int, int]) -> None:
    """Refuse what cannot be fitted well, and warn of a loss; `picture` is PIL's (width, height)."""
    (width, height), (H, W) = picture, frame
    if min(width, height) < SHORTEST_SIDE:
        raise CourseError(
            f"{path} is {width} x {height} pixels; an edit needs at least {SHORTEST_SIDE} a side."
        )
    enlarged = max(H / height, W / width)
    shown = {"width": W / (width * enlarged), "height": H / (height * enlarged)}
    side = min(shown, key=lambda name: shown[name])
    if shown[side] < LEAST_SHOWN:
        raise CourseError(
            f"{path} is so long that the model's frame would show only {shown[side]:.1%} of it; "
            "crop it first to what you want to edit."
        )
    if 1 - shown[side] > WORTH_SAYING_CROPPED:
        warnings.warn(
            f"{1 - shown[side]:.0%} of the {side} of {path} is cropped away, half on either side, "
            f"to fill the model's frame of {W} x {H} pixels.",
            stacklevel=3,
        )
    if enlarged > WORTH_SAYING_ENLARGED:
        warnings.warn(
            f"{path} is enlarged {enlarged:.1f} times to fill the model's frame of {W} x {H} "
            "pixels, so it will look soft.",
            stacklevel=3,
        )


@dataclass(frozen=True)
class Pair:
    """A picture's prompt before and after the edit.

    img_path:  the source picture; None where it is drawn from `prompt`.
    mask_path: grey picture, white on the thing that is edited, or None; beside the source and
               called `<its stem>_mask.png`, an edit keeps it for `eval.py`.
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
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CourseError(
            f"{path} cannot be read as pairs of prompts ({in_short(error)}); give a JSON file."
        ) from error
    if not isinstance(entries, list) or not entries:
        raise CourseError(f"{path} must hold a JSON list of pairs; write [{{...}}, ...].")
    return [_pair(entry, f"pair {n} of {path}") for n, entry in enumerate(entries, start=1)]


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
    return REPOSITORY / Path(os.path.expandvars(text)).expanduser() if text else None


def drawn_source(
    prior: Prior,
    prompt: str,
    *,
    model: str | Path,
    guidance_scale: float,
    cache: Path,
    seed: int,
    steps: int = 50,
) -> Path:
    """The file of a source picture that `prior` draws from its prompt by DDIM, once.

    It is kept as a PNG in the folder `cache`, and a warning says so in a sentence. Prompt, model,
    seed, guidance, steps, frame and kind of device name the file, so another of them draws another.

    Args:
        model: the name that `prior` was loaded by.

    Raises:
        CourseError: the cache cannot be written.
    """
    settings = [str(model), seed, guidance_scale, steps, *prior.image_size, prior.device.type]
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    path = cache / f"{prompt_to_filename(prompt)}~{digest}.png"
    if not os.path.exists(path):
        generator = torch.Generator(prior.device).manual_seed(seed)
        latents = prior.sample(
            [prompt], guidance_scale=guidance_scale, steps=steps, generator=generator
        )
        save_png(path, prior.decode(latents), prompt)
        warnings.warn(
            f"no source picture is given; one was drawn from the prompt and is kept as {path}.",
            stacklevel=2,
        )
    return path
