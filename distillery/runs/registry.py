"""The kinds of run by name. A new kind is one line here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from distillery.core.settings import Declared

if TYPE_CHECKING:
    from distillery.runs.kind import Kind


@dataclass(frozen=True)
class Entry:
    """Where a kind lies. Only names, so that a command line can be read before torch is loaded.

    settings: module and class of its settings.
    module:   the module that is the kind.
    summary:  what its command does, in one sentence.
    """

    settings: str
    module: str
    summary: str = ""


KINDS = {
    "draw": Entry("distillery.methods.settings.Settings", "distillery.runs.latents"),
    "pixelart": Entry("distillery.pixelart.settings.PixelSettings", "distillery.pixelart.begin"),
    "sample": Entry(
        "distillery.runs.sample_settings.SampleSettings",
        "distillery.runs.sample",
        "Draw pictures of a prompt by DDIM, the plain sampler that all else is compared with.",
    ),
    "strokes": Entry(
        "distillery.runs.stroke_settings.StrokeSettings",
        "distillery.runs.strokes",
        "Turn a stroke painting and a prompt into a picture that keeps the painting's layout.",
    ),
    "elastic": Entry(
        "distillery.runs.elastic_settings.ElasticSettings",
        "distillery.runs.elastic",
        "Draw a picture of any size with a model that was trained for one.",
    ),
    "morph": Entry(
        "distillery.morph.settings.MorphSettings",
        "distillery.morph.begin",
        "Go from prompt to prompt, as a looping animation in pixels.",
    ),
    "finetune": Entry(
        "distillery.runs.finetune_settings.FinetuneSettings",
        "distillery.runs.finetune",
        "Teach a model a style: train a LoRA on a folder of pictures with captions.",
    ),
}


def settings_of(name: str) -> type[Declared]:
    """The class of the settings of the kind of that name."""
    module, _, settings = KINDS[name].settings.rpartition(".")
    return cast("type[Declared]", getattr(importlib.import_module(module), settings))


def kind_named(name: str) -> Kind:
    """The kind of that name; its modules, and torch, are loaded here."""
    return cast("Kind", importlib.import_module(KINDS[name].module))


def name_of(settings: Any) -> str:
    """The name of the kind that the settings are of."""
    known = f"{type(settings).__module__}.{type(settings).__qualname__}"
    return next(name for name, entry in KINDS.items() if entry.settings == known)


def kind_of(settings: Any) -> Kind:
    """The kind that the settings are of."""
    return kind_named(name_of(settings))
