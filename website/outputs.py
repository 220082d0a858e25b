"""What a page shows of a cell's outputs: pictures and text, no widgets, no answers."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable

from nbformat import NotebookNode
from nbformat.v4 import new_output

from website.answers import Answers

IMAGE = re.compile(r"<img (?![^>]*\balt=)")
VIEW = "application/vnd.jupyter.widget-view+json"
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")
OBJECT = re.compile(r"^\s*(<IPython|\w+\(children=|<Figure)")  # the text of a widget or a figure


def shown_outputs(
    outputs: Iterable[NotebookNode], answers: Answers, alt: str
) -> list[NotebookNode]:
    """Those of a cell that can be shown without a kernel, and that tell no answer.

    Args:
        outputs: of the executed cell.
        alt: the alternative text of its pictures.
    """
    kept = _joined(filter(None, (_still(output, alt) for output in outputs)))
    return [one for one in kept if not answers.in_bytes(json.dumps(one).encode())]


def _still(output: NotebookNode, alt: str) -> NotebookNode | None:
    """An output as it was at the end, or nothing."""
    if output.output_type == "stream":
        return output
    if output.output_type == "error":
        return None
    data = output.data
    picture = next((kind for kind in PICTURES if kind in data), None)
    if picture:
        kept = {picture: data[picture]}
    elif "text/html" in data:
        kept = {"text/html": IMAGE.sub(f'<img alt="{html.escape(alt)}" ', data["text/html"])}
    elif VIEW in data or OBJECT.match(data.get("text/plain", "")):
        return None
    else:
        kept = {"text/plain": data.get("text/plain", "")}
    return new_output("display_data", kept)


def _joined(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """With what was printed one after the other as one output, as a terminal shows it."""
    joined: list[NotebookNode] = []
    for output in outputs:
        stream = output.output_type == "stream"
        if stream and joined and joined[-1].output_type == "stream":
            joined[-1] = new_output("stream", name="stdout", text=joined[-1].text + output.text)
        else:
            joined.append(output)
    for one in joined:
        if one.output_type == "stream":
            one.text = printed(one.text)
    return [one for one in joined if one.output_type != "stream" or one.text.strip()]


def printed(text: str) -> str:
    """What stays of a text in a terminal: a carriage return begins its line anew."""
    return "\n".join(line.rpartition("\r")[2] for line in text.split("\n"))
