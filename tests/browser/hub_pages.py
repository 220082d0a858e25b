"""A JupyterHub of one's own, and what its users press on its pages."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from driven import SETTINGS, Notebook, end_server, free_port, until
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

PASSWORD = "try-it-out"
STAGE = "00_tour"
NOTEBOOK = f"notebooks/{STAGE}/{STAGE}.ipynb"


@contextlib.contextmanager
def hub(
    folder: Path, config: str, proxy: Path, python: Path = Path(sys.executable)
) -> Iterator[str]:
    """JupyterHub in a folder that `python -m grading hub` has made; yields its address.

    Args:
        config: a file in the folder.
        proxy: the program configurable-http-proxy.
        python: of the hub's environment.
    """
    address, inside, api = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    command = [str(python), "-m", "jupyterhub", "--config", config]
    command += [f"--JupyterHub.bind_url={address}", f"--JupyterHub.hub_bind_url={inside}"]
    command += [
        f"--ConfigurableHTTPProxy.api_url={api}",
        f"--ConfigurableHTTPProxy.command={proxy}",
    ]
    environment = {**os.environ, "HUB_PASSWORD": PASSWORD}
    log = folder / "state" / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT
        )

    def answers() -> bool:
        said = log.read_text(errors="replace")
        assert server.poll() is None, said[-3000:]
        return "JupyterHub is now running" in said

    try:
        until(answers, "the hub is running")
        yield f"{address}/"
    finally:
        end_server(server)


def quiet_lab(home: Path) -> None:
    """Let a user's JupyterLab keep every cell in its page, and ask about no news."""
    for name, values in SETTINGS.items():
        path = home / ".jupyter/lab/user-settings/@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def log_in(browser: WebDriver, address: str, user: str) -> None:
    """Log in and wait for what the user's server shows first."""
    browser.get(address)
    name = until(lambda: browser.find_element(By.ID, "username_input"), "the hub asks who comes")
    name.send_keys(user)
    browser.find_element(By.ID, "password_input").send_keys(PASSWORD, Keys.ENTER)
    _wait_for_menus(browser)


def open_lab(browser: WebDriver, address: str, user: str) -> None:
    """Open JupyterLab of a user who has logged in, without what was open there."""
    browser.get(f"{address}user/{user}/lab/tree/notebooks?reset")
    _wait_for_menus(browser)


def _wait_for_menus(browser: WebDriver) -> None:
    def there() -> bool:
        found = browser.find_elements(By.CSS_SELECTOR, ".lm-MenuBar-item")
        return "Nbgrader" in [one.text for one in found]

    until(there, "JupyterLab shows its menus")


def is_refused(browser: WebDriver, address: str, other: str) -> bool:
    """Whether the hub keeps the one who has logged in from the server of another."""
    browser.get(f"{address}user/{other}/lab")
    until(lambda: browser.find_elements(By.TAG_NAME, "h1"), "the hub answers")
    said = browser.find_element(By.TAG_NAME, "body").text
    # The one is said of a server that runs, the other of one that does not.
    return "do not have permission" in said or "No access to resources" in said


class Assignments:
    """nbgrader's assignment list, open in JupyterLab; its lists go by their names.

    The names are "released", "fetched" and "submitted".
    """

    def __init__(self, browser: WebDriver) -> None:
        self.browser = browser
        until(lambda: self._chosen("Nbgrader", ".lm-MenuBar-item"), "the menu opens")
        until(lambda: self._chosen("Assignment List", ".lm-Menu-item"), "the list opens")
        until(lambda: STAGE in self.text("all"), "the stage is listed")

    def _chosen(self, text: str, selector: str) -> bool:
        found = self.browser.find_elements(By.CSS_SELECTOR, selector)
        for one in found:
            if one.text == text:
                one.click()
                return True
        return False

    def text(self, name: str) -> str:
        found = "assignments" if name == "all" else f"{name}_assignments_list"
        return self.browser.find_element(By.ID, found).text

    def follow(self, name: str, link: str) -> None:
        """Click a link in a list, once it is there."""
        until(lambda: self._chosen(link, f"#{name}_assignments_list a"), f"click {link}")

    def press(self, name: str, button: str) -> None:
        """Press a button of a list, once it is there."""
        until(lambda: self._chosen(button, f"#{name}_assignments_list button"), f"press {button}")


def opened_notebook(browser: WebDriver, address: str, user: str, home: Path) -> Notebook:
    """The stage's notebook; its code cells go by nbgrader's ids, and others by their numbers."""
    cells = json.loads((home / "score-distillery" / NOTEBOOK).read_text("utf-8"))["cells"]
    codes = [cell["metadata"] for cell in cells if cell["cell_type"] == "code"]
    ids = [its.get("nbgrader", {}).get("grade_id") for its in codes]
    names = [its or str(number) for number, its in enumerate(ids)]
    return Notebook(browser, f"{address}user/{user}/lab/tree/{NOTEBOOK}?reset", names)


def answered(notebook: Notebook, function: str, code: str) -> str:
    """Write and run a TODO cell and its check; returns what the check says."""
    notebook.write(f"tour-{function}", code)
    notebook.run(f"tour-{function}")
    return notebook.run(f"tour-{function}-check")


def saved(browser: WebDriver, home: Path, text: str) -> None:
    """Press Ctrl+S, and wait until the notebook's file holds the text."""
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("s").key_up(Keys.CONTROL).perform()
    file = home / "score-distillery" / NOTEBOOK
    until(lambda: text in file.read_text("utf-8"), "the notebook is saved")
