"""Pages of the site in Chromium: nothing is asked of other hosts, and nobody is kept out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("myst_nb", reason='the site needs pip install -e ".[site]"')
pytest.importorskip("sphinx_book_theme", reason='the site needs pip install -e ".[site]"')

from driven import browser_programs, chromium, until
from selenium.webdriver.remote.webdriver import WebDriver
from static_pages import AXE, NO_AXE, axe_faults, file_server, logging_requests, requested

from tests.website.small_site import build_small_site

pytestmark = pytest.mark.skipif(
    browser_programs() is None, reason="no chromium with chromedriver on the PATH"
)
PAGES = {
    "first": "index.html",
    "notebook": "notebooks/00_tour/00_tour.html",
    "gallery": "gallery.html",
    "results": "docs/results.html",
    "functions": "reference/palettes.html",
    "search": "search.html?q=noise",
}
NARROW = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
OUTSIDE = "http://127.0.0.1:9/"
THEME = "document.documentElement.dataset.theme = arguments[0]"
SETTLED = """
const done = arguments[0];
Promise.resolve(window.MathJax?.startup?.promise).then(() => requestAnimationFrame(done));
"""
ASKED_OUTSIDE = "fetch(arguments[0]).catch(() => {}).then(arguments[1])"


@dataclass
class Seen:
    """What was seen of the pages in one browser.

    address:  of the site.
    widths:   page -> how wide it is on a screen of 390 pixels.
    faults:   page and theme -> what axe-core says.
    requests: of all pages.
    """

    address: str
    widths: dict[str, int]
    faults: dict[str, list[str]]
    requests: set[str]


@pytest.fixture(scope="module")
def seen(
    once: Callable[[str, Callable[[Path], object]], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Seen:
    log = tmp_path_factory.mktemp("network") / "log.json"
    site = once("small_site", build_small_site) / "site"
    flags = ("--hide-scrollbars", *logging_requests(log))
    with file_server(site) as address, chromium(*flags) as browser:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", NARROW)
        seen = Seen(address, {}, {}, set())
        for name, page in PAGES.items():
            look_at(browser, name, page, seen)
        browser.execute_async_script(ASKED_OUTSIDE, OUTSIDE)
    seen.requests = requested(log, address)
    return seen


def look_at(browser: WebDriver, name: str, page: str, seen: Seen) -> None:
    browser.get(seen.address + page)
    browser.execute_async_script(SETTLED)
    if name == "search":
        found = "return document.querySelectorAll('#search-results li').length"
        until(lambda: browser.execute_script(found), "something is found")
    seen.widths[name] = browser.execute_script("return document.documentElement.scrollWidth")
    if AXE.is_file():
        seen.faults[f"{name}, light"] = axe_faults(browser)
        browser.execute_script(THEME, "dark")
        seen.faults[f"{name}, dark"] = axe_faults(browser, "color-contrast")


def test_pages_ask_nothing_of_another_host(seen):
    assert f"{seen.address}searchindex.js" in {url.partition("?")[0] for url in seen.requests}
    # The last one is the test's own, so what is asked of others is seen.
    assert {url for url in seen.requests if not url.startswith(seen.address)} == {OUTSIDE}


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways_on_a_telephone(seen, name):
    assert seen.widths[name] == NARROW["width"]


@pytest.mark.skipif(not AXE.is_file(), reason=NO_AXE)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_a_reader_out(seen, name, theme):
    assert seen.faults[f"{name}, {theme}"] == []
