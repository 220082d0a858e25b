"""The kinds of run by name. A new kind is one line here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from distillery.runs.kind import Kind

# Only names, so that a command line can be read before torch is loaded.
KINDS = {
    "draw": "distillery.runs.latents",
    "pixelart": "distillery.pixelart.begin",
}


def kind_named(name: str) -> Kind:
    """The kind of that name; its modules, and torch, are loaded here."""
    return cast("Kind", importlib.import_module(KINDS[name]))


def name_of(settings: Any) -> str:
    """The name of the kind that the settings are of."""
    return next(name for name in KINDS if type(settings) is kind_named(name).SETTINGS)


def kind_of(settings: Any) -> Kind:
    """The kind that the settings are of."""
    return kind_named(name_of(settings))
