"""Removes from untrusted markdown, HTML and outputs everything that could run or be loaded."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from html import escape
from typing import Any

import nbformat
import nh3
from nbconvert.exporters.exporter import ResourcesDict
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from grading.core.notebook_cells import NOTEBOOK_METADATA
from grading.feedback.text import LONGEST, plain

FOR_INSTRUCTOR = "for-instructor"  # tag of a cell that must not reach a student
TAGS = {
    *("a", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "ol", "p", "pre", "s"),
    *("small", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead"),
    *("tr", "u", "ul"),
}
ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
DROPPED_WHOLE = {"script", "style", "template", "noscript", "iframe", "object", "textarea", "title"}
LINK = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)
PICTURE = re.compile(r"data:image/(png|jpeg|gif);base64,[A-Za-z0-9+/=\s]+")
PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
BIGGEST_PICTURE = 4 * 2**20  # bytes
MOST_TAGS = 5_000
# The markdown parser needs quadratic time for some repetitions.
LONGEST_MARKDOWN = 8_000  # characters of one cell that are rendered
MOST_MARKDOWN = 200_000  # and of a notebook
BEGIN, END = "<div>", "</div>"  # of a cell that has been sanitised
CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Sanitise(NbGraderPreprocessor):
    """Remove from a notebook everything that could run or load anything in a grader's browser.

    For the end of nbgrader's Autograde, because the formgrader shows those notebooks unchanged, and
    for GenerateFeedback. What nbgrader needs stays: cells, their order, nbgrader's metadata, and
    the plain text of every output.
    """

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict
    ) -> tuple[NotebookNode, ResourcesDict]:
        sanitise(nb)
        return nb, resources


def sanitise(nb: NotebookNode) -> None:
    """Sanitise in place; a second time changes nothing."""
    nb.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    left = MOST_MARKDOWN
    for index, cell in enumerate(nb.cells):
        done = _is_done(cell.source)
        if cell.cell_type == "markdown" and not done:
            left -= len(cell.source)
        _sanitise_cell(cell, index, render=done or left > 0)


def safe_markdown(source: str) -> str:
    """Markdown as HTML without active content."""
    if _is_done(source):
        return safe_html(source)
    source = plain(source)
    if len(source) > LONGEST_MARKDOWN:
        return as_text(source)
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    try:
        html = MarkdownWithMath(renderer=renderer).render(source)
    # Missing attachments or unbalanced nesting: what cannot be rendered is shown as text.
    except Exception:
        return as_text(source)
    return safe_html(html)


def safe_html(html: str) -> str:
    """HTML with only harmless tags, links to the web, and pictures inside the page."""
    html = plain(html, BIGGEST_PICTURE)
    if html.count("<") - html.count("</") > MOST_TAGS:
        return as_text(html)
    return nh3.clean(
        html,
        tags=TAGS,
        clean_content_tags=DROPPED_WHOLE,
        attributes=ATTRIBUTES,
        attribute_filter=_safe_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer nofollow",
    )


def as_text(text: str) -> str:
    """The text itself, as HTML."""
    return f"<pre>{escape(plain(text), quote=False)}</pre>"


def as_markdown(html: str) -> str:
    """Harmless HTML as markdown that renders to the same HTML.

    On one line, the parser takes it as a single block of HTML and reads nothing in it as markdown.
    """
    html = html.replace("\n", "&#10;").replace("$", "&#36;").replace("\\", "&#92;")
    return html if html.startswith(BEGIN) else BEGIN + html + END


def _is_done(source: str) -> bool:
    """Whether `as_markdown` made it."""
    return source.startswith(BEGIN) and "\n" not in source


def _safe_attribute(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "href":
        return value if LINK.match(value) else None
    if attribute == "src":
        return value if PICTURE.fullmatch(value) else None
    if attribute in ("colspan", "rowspan"):
        return value if value.isascii() and value.isdigit() and len(value) < 3 else None
    return value


def is_for_instructor(cell: NotebookNode) -> bool:
    tags = cell.metadata.get("tags")
    return isinstance(tags, list) and FOR_INSTRUCTOR in tags


def _sanitise_cell(cell: NotebookNode, index: int, *, render: bool) -> None:
    if not CELL_ID.fullmatch(str(cell.get("id", ""))):
        cell["id"] = hashlib.sha256(f"{index}".encode()).hexdigest()[:12]
    kept = {name: cell.metadata[name] for name in ("nbgrader",) if name in cell.metadata}
    if is_for_instructor(cell):
        kept["tags"] = [FOR_INSTRUCTOR]
    cell.metadata = nbformat.from_dict(kept)
    cell.pop("attachments", None)
    if cell.cell_type == "code":
        cell.source = plain(cell.source, 10 * LONGEST)
        found = (_safe_output(output) for output in cell.outputs)
        cell.outputs = [output for output in found if output is not None]
    elif cell.cell_type == "raw":
        # nbconvert passes a raw cell through as HTML.
        cell.cell_type, cell.source = "markdown", as_markdown(as_text(cell.source))
    else:
        html = safe_markdown(cell.source) if render else as_text(cell.source)
        cell.source = as_markdown(html)


def _safe_output(output: NotebookNode) -> NotebookNode | None:
    kind = output.output_type
    if kind == "stream":
        name = "stderr" if output.name == "stderr" else "stdout"
        return nbformat.v4.new_output("stream", name=name, text=plain(output.text))
    if kind == "error":
        lines = [plain(line) for line in output.traceback[:100]]
        ename, evalue = plain(output.ename, 200), plain(output.evalue, 2000)
        return nbformat.v4.new_output("error", ename=ename, evalue=evalue, traceback=lines)
    if kind not in ("display_data", "execute_result"):
        return None
    data = _safe_data(output.data)
    count = {"execution_count": None} if kind == "execute_result" else {}
    return nbformat.v4.new_output(kind, data, **count)


def _safe_data(data: dict[str, Any]) -> dict[str, str]:
    """Plain text, PNG, JPEG, and HTML without active content; everything else is left out."""
    pictures = {kind: _picture(kind, data.get(kind)) for kind in PICTURES}
    kept = {kind: encoded for kind, encoded in pictures.items() if encoded}
    if "text/html" in data:
        kept["text/html"] = safe_html(_joined(data["text/html"]))
    elif "text/markdown" in data:
        kept["text/html"] = safe_markdown(_joined(data["text/markdown"]))
    if "text/plain" in data:
        kept["text/plain"] = plain(_joined(data["text/plain"]))
    return kept or {"text/plain": "(an output of a kind that is not shown)"}


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def _picture(kind: str, encoded: Any) -> str:
    """The picture, encoded again, if its first bytes match its type; otherwise ""."""
    if not isinstance(encoded, str) or len(encoded) > 2 * BIGGEST_PICTURE:
        return ""
    try:
        decoded = base64.b64decode(encoded)
    except (binascii.Error, ValueError):
        return ""
    return base64.b64encode(decoded).decode() if decoded.startswith(PICTURES[kind]) else ""
