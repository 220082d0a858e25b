"""A folder of pages on the loopback: served, what it asks of whom, and what keeps readers out."""

from __future__ import annotations

import contextlib
import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium.webdriver.remote.webdriver import WebDriver

from website.npm_packages import package_folder

AXE = package_folder("axe-core") / "axe.min.js"
NO_AXE = "no axe-core: run `python -m website.npm_packages`"
FAULTS = """
const [rules, done] = arguments;
axe.run(rules ? { runOnly: rules } : {}).then(({ violations }) =>
  done(violations.map(({ id, nodes }) => `${id}: ${nodes.length} times, first ${nodes[0].html}`)));
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extra: dict[str, str]

    def end_headers(self) -> None:
        for name, value in self.extra.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def file_server(folder: Path, headers: dict[str, str] | None = None) -> Iterator[str]:
    """A folder served on the loopback, with more headers if wanted; yields its address."""
    handler = type("Handler", (_Quiet,), {"extra": headers or {}})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def logging_requests(log: Path) -> tuple[str, ...]:
    """Flags with which Chromium writes down whatever it asks of the network; see `requested`."""
    return (f"--log-net-log={log}", "--net-log-capture-mode=Everything")


def requested(log: Path, address: str) -> set[str]:
    """What pages of an address, and their workers, have asked for, once the browser has ended."""
    initiator = f'"initiator":"{address.rstrip("/")}'
    lines = [line for line in log.read_text().splitlines() if initiator in line]
    return {url for line in lines for url in re.findall(r'"url":"(\w+://[^"]*)"', line)}


def axe_faults(browser: WebDriver, *rules: str) -> list[str]:
    """What axe-core finds on the open page, by these rules or by all; it must be there."""
    browser.set_script_timeout(300)
    browser.execute_script(AXE.read_text("utf-8"))
    faults: list[str] = browser.execute_async_script(FAULTS, list(rules) or None)
    return faults
