"""Pictures of target, answer and difference in results that are one JSON file of limited size."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

LABEL = "target, yours, difference"
TOO_LARGE = "\nIts picture is too large for this page."


def data_url(png: bytes) -> str:
    """A PNG as the address of itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def add_pictures(
    content: Mapping[str, Any],
    figures: Mapping[str, bytes],
    *,
    largest: int,
    show: Callable[[Mapping[str, Any], bytes], dict[str, Any]],
) -> None:
    """Put pictures into content["tests"], as far as there is room.

    Where there is none, the output of the test says so.

    Args:
        figures: name of a test -> PNG.
        largest: bytes that the whole may have as JSON.
        show: the fields of a test that show its picture, of the test and the PNG.
    """
    left = largest - len(json.dumps(content)) - 200 * len(content["tests"])
    for test in content["tests"]:
        png = figures.get(test["name"])
        if png is None:
            continue
        fields = show(test, png)
        more = len(json.dumps(test | fields)) - len(json.dumps(test))
        if more > left:
            test["output"] = test.get("output", "") + TOO_LARGE
            continue
        left -= more
        test |= fields
