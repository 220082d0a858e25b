"""A JupyterLab of one's own and a Chromium before it, for tests that press and drag."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import TypeVar

import nbformat
import psutil
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180  # seconds; only what hangs takes so long
LOADING = 400  # seconds for a page
LOST = 20  # seconds after which a key press that shows nothing was lost
TOKEN = "course"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
NAME = "driven.ipynb"
SETTINGS = {
    # Every cell stays in the page, so that it can be found, and nothing is looked up elsewhere.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
PIXELS = """
const [shown] = arguments;
if (shown.tagName === "IMG" && !(shown.complete && shown.naturalWidth)) return "";
const canvas = document.createElement("canvas");
canvas.width = shown.naturalWidth || shown.width;
canvas.height = shown.naturalHeight || shown.height;
canvas.getContext("2d").drawImage(shown, 0, 0);
return canvas.toDataURL();
"""
PASTE = """
const [editor, text] = arguments;
const clipboardData = new DataTransfer();
clipboardData.setData("text/plain", text);
const options = { clipboardData, bubbles: true, cancelable: true };
editor.dispatchEvent(new ClipboardEvent("paste", options));
"""
Found = TypeVar("Found")


def browser_programs() -> tuple[str, str] | None:
    """Where Chromium and its driver are, or None."""
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


def until(true: Callable[[], Found], what: str) -> Found:
    """Ask again and again until the answer is true; returns it."""
    end = time.monotonic() + PATIENCE
    trouble = None
    while time.monotonic() < end:
        try:
            answer = true()
            if answer:
                return answer
            trouble = None
        except WebDriverException as error:  # the page is drawn again while it is asked
            trouble = error
        time.sleep(0.1)
    raise AssertionError(f"it never came to pass: {what}") from trouble


@contextlib.contextmanager
def course(folder: Path, cells: dict[str, str]) -> Iterator[str]:
    """A student's copy of the course with one notebook more, served; yields that one's address."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for part in ("distillery", "guidance", "data/checks", "data/palettes"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    (folder / "data" / "models").symlink_to(ROOT / "data" / "models")
    (folder / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells.values()],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, folder / "notebooks" / NAME)
    state = folder / ".state"
    for name, values in SETTINGS.items():
        path = state / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with served(folder, state) as address:
        yield f"{address}doc/tree/notebooks/{NAME}?token={TOKEN}"


@contextlib.contextmanager
def served(folder: Path, state: Path, *flags: str, **variables: str) -> Iterator[str]:
    """JupyterLab in a folder, with settings of its own in `state`; yields its address.

    Args:
        flags: for JupyterLab.
        variables: of its environment.
    """
    state.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "JUPYTER_TOKEN": TOKEN,
        "JUPYTER_CONFIG_DIR": str(state / "config"),
        "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(state / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces"),
        "IPYTHONDIR": str(state / "ipython"),
        **variables,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={free_port()}", f"--ServerApp.root_dir={folder}", *flags]
    with (state / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield until(lambda: _address(state, server), "the server writes where it listens")
    finally:
        end_server(server)


@contextlib.contextmanager
def paged(notebook: str, folder: Path) -> Iterator[str]:
    """A notebook of the repository as a page of Voila, with logs in `folder`; yields its address.

    Args:
        notebook: its path below the root.
    """
    address = f"http://127.0.0.1:{(port := free_port())}/"
    command = [sys.executable, "-m", "voila", notebook, "--no-browser", f"--port={port}"]
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder), "IPYTHONDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )

    def answers() -> bool:
        said = (folder / "log").read_text(errors="replace")
        assert server.poll() is None, said[-2000:]
        return "running at" in said

    try:
        until(answers, "the page is served")
        yield address
    finally:
        end_server(server)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _address(state: Path, server: subprocess.Popen[bytes]) -> str | None:
    if server.poll() is not None:
        raise AssertionError(f"the server ended: {(state / 'log').read_text()[-2000:]}")
    for path in (state / "runtime").glob("jpserver-*.json"):
        with contextlib.suppress(ValueError):  # half-written
            return str(json.loads(path.read_text())["url"])
    return None


def end_server(server: subprocess.Popen[bytes]) -> None:
    """End the server and the kernels that it started, and nothing else."""
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=20)
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    server.kill()
    server.wait()


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[WebDriver]:
    """A browser of its own; `flags` come to those that it always has."""
    programs = browser_programs()
    assert programs is not None
    options = webdriver.ChromeOptions()
    options.binary_location, driver = programs
    for flag in (
        "--headless=new",
        "--no-sandbox",  # a container's root may have no other
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-proxy-server",
        "--window-size=1300,1000",
        *flags,
    ):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    # A demo's page is there when its notebook has run, which takes minutes on a busy machine.
    browser.set_page_load_timeout(LOADING)
    browser.command_executor.client_config.timeout = LOADING + 20
    try:
        yield browser
    finally:
        browser.quit()


class Notebook:
    """The open notebook; its cells go by their names.

    Args:
        browser: with the page still to be opened.
        address: of the notebook.
        names: of the cells in their order.
    """

    def __init__(self, browser: WebDriver, address: str, names: list[str]) -> None:
        self.browser, self.names = browser, names
        browser.get(address)
        until(lambda: len(self._cells()) == len(names), "the notebook is open")
        until(
            lambda: browser.find_elements(By.CSS_SELECTOR, "[data-status='idle']"),
            "the kernel is idle",
        )

    @classmethod
    @contextlib.contextmanager
    def opened(cls, address: str, names: list[str], *first: str) -> Iterator[Notebook]:
        """The notebook in a browser of its own, with the cells `first` run.

        A page that does not come to life, as when its tab crashed, is opened in a second browser.
        """
        for may_fail in (True, False):
            with chromium() as browser:
                try:
                    notebook = cls(browser, address, names)
                    for name in first:
                        notebook.run(name)
                except (AssertionError, WebDriverException):
                    if may_fail:
                        continue
                    raise
                yield notebook
                return

    def _cells(self) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell")

    def cell(self, name: str) -> WebElement:
        return self._cells()[self.names.index(name)]

    def run(self, name: str) -> str:
        """Run a cell with Ctrl+Enter, as a student does; returns what it printed."""
        before = self._prompt(name)
        pressed = float("-inf")

        def has_run() -> bool:
            nonlocal pressed
            now = self._prompt(name)
            # A page that is still busy with itself does not hear every key.
            if now == before and time.monotonic() - pressed > LOST:
                self._editor(name).send_keys(Keys.CONTROL, Keys.ENTER)
                pressed = time.monotonic()
            return now != before and re.fullmatch(r"\[\d+\]:", now) is not None

        until(has_run, f"the cell {name} has run")
        return self.printed(name)

    def write(self, name: str, source: str) -> None:
        """Replace what stands in a cell, by pasting."""
        editor = self._editor(name)
        editor.send_keys(Keys.CONTROL, "a")
        self.browser.execute_script(PASTE, editor, source)
        last = source.strip().splitlines()[-1].strip()
        until(lambda: last in editor.text, f"the cell {name} holds the new text")

    def _prompt(self, name: str) -> str:
        return self.cell(name).find_element(By.CSS_SELECTOR, ".jp-InputPrompt").text.strip()

    def _editor(self, name: str) -> WebElement:
        editor = self.cell(name).find_element(By.CSS_SELECTOR, ".cm-content")
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", editor)
        editor.click()
        return editor

    def printed(self, name: str) -> str:
        outputs = self.cell(name).find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output")
        return "\n".join(output.text for output in outputs)

    def find(self, name: str, selector: str, text: str | None = None) -> WebElement:
        """The first element in a cell's output that fits, once there is one; in view."""

        def found() -> WebElement | None:
            elements = self.cell(name).find_elements(By.CSS_SELECTOR, selector)
            fitting = (e for e in elements if e.is_displayed() and text in (None, e.text))
            return next(fitting, None)

        element = until(found, f"{selector} {text or ''} in the output of {name}")
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        return element

    def press(self, name: str, text: str) -> None:
        self.find(name, "button", text).click()

    def drag_slider(self, name: str, *, number: int = 0, by: int) -> None:
        """Drag a slider's handle `by` pixels."""
        until(lambda: len(self._handles(name)) > number, f"slider {number} of {name}")
        self.find(name, ".noUi-handle")
        handle = self._handles(name)[number]
        self.mouse().drag_and_drop_by_offset(handle, by, 0).perform()

    def _handles(self, name: str) -> list[WebElement]:
        return self.cell(name).find_elements(By.CSS_SELECTOR, ".noUi-handle")

    def mouse(self) -> ActionChains:
        return ActionChains(self.browser, duration=50)

    def pixels(self, name: str, selector: str = ".widget-image, img.jupyter-widgets") -> str:
        """What an image or a canvas in a cell's output shows, as a data URL."""
        element = self.find(name, selector)
        return until(lambda: self.browser.execute_script(PIXELS, element), f"{name} is drawn")

    def changed(self, name: str, before: str) -> str:
        """Wait until the image of a cell shows something else; returns it."""

        def other() -> str | None:
            now = self.pixels(name)
            return None if now == before else now

        return until(other, f"the picture of {name} changes")


@contextlib.contextmanager
def opened_notebook(folder: Path, cells: dict[str, str], *first: str) -> Iterator[Notebook]:
    """A notebook of these cells in a student's copy of the course, open in a browser of its own.

    Args:
        folder: an empty one, for the copy.
        cells: name -> source, which may be indented.
        first: the names of those that are run.
    """
    sources = {name: dedent(source).strip() for name, source in cells.items()}
    with (
        course(folder, sources) as address,
        Notebook.opened(address, list(sources), *first) as opened,
    ):
        yield opened
