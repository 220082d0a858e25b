"""What all our pages share: their style, and a policy that allows only this style."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from grading.feedback.text import plain

TEMPLATES = Path(__file__).parent / "templates"


@cache
def style() -> Markup:
    """The CSS of a page: ours, and the colours of code."""
    ours = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    return Markup(ours + HtmlFormatter(style="friendly").get_style_defs("pre.code"))


@cache
def policy() -> Markup:
    """The page's Content-Security-Policy: this style, and pictures inside the page."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return Markup(
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def highlighted(code: str) -> Markup:
    """Python code in colours."""
    return Markup(highlight(plain(code), PythonLexer(), HtmlFormatter(nowrap=True)))


def picture(png: bytes) -> str:
    """The data URL of a PNG."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def number(points: float) -> str:
    """Points as people write them: 3, 2.5, 0.33."""
    return f"{round(points, 2):g}"
