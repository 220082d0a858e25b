"""Finds what a page would run or load; a finished feedback page must have none of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from grading.feedback.sanitise import LINK, PICTURE, TAGS

OURS = {
    *("article", "bdi", "body", "caption", "figcaption", "figure", "footer", "head", "header"),
    *("html", "main", "meta", "nav", "section", "style", "tfoot", "title"),
    *("circle", "g", "line", "path", "rect", "svg", "text"),
}
LOADS = {"action", "background", "cite", "data", "formaction", "longdesc", "ping", "poster"} | {
    *("srcdoc", "srcset", "style", "target", "usemap", "xlink:href"),
}
IN_STYLE = re.compile(r"url\s*\(|@import|expression\s*\(|\\", re.IGNORECASE)


def active_parts(html: str) -> list[str]:
    """Every tag, attribute, address and style that a page without active content must not have."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser.found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        if tag not in TAGS | OURS:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if _is_active(tag, name, value or ""):
                self.found.append(f"<{tag} {name}={(value or '')[:80]!r}>")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style and IN_STYLE.search(data):
            self.found.append(f"style: {data[:80]!r}")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"<!--{data[:80]}-->")

    def handle_pi(self, data: str) -> None:
        self.found.append(f"<?{data[:80]}>")


def _is_active(tag: str, name: str, value: str) -> bool:
    if name.startswith("on") or name in LOADS:
        return True
    if name == "href":
        return tag != "a" or not LINK.match(value)
    if name == "src":
        return tag != "img" or not PICTURE.fullmatch(value)
    if name == "http-equiv":
        return value != "Content-Security-Policy"
    return False
