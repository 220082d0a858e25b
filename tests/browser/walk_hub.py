"""A class on JupyterHub from release to feedback, with accounts: two students and an instructor.

    python tests/browser/walk_hub.py --screenshots FOLDER

It needs root, npm and Chromium. Accounts and passwords are in files of its own, which only it and
what it starts see in place of the machine's. Everything is done in the browser but making the hub:
the instructor releases, collects, grades and gives feedback in formgrader. In the end a student's
kernel tries to read what is not theirs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from driven import chromium, until
from hub_pages import (
    NOTEBOOK,
    PASSWORD,
    STAGE,
    Assignments,
    answered,
    hub,
    is_refused,
    log_in,
    open_lab,
    opened_notebook,
    quiet_lab,
    saved,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))
ACCOUNTS = {"iris": 6001, "ada": 6002, "bea": 6003}
STUDENTS = ("ada", "bea")
STAFF = 6100  # the group that may read the clone
INSIDE = "WALK_HUB_INSIDE"
RIGHT = {
    "add_noise": """%%todo tour.add_noise
def add_noise(x0, eps, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
""",
    "predict_x0": """%%todo tour.predict_x0
def predict_x0(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
""",
    "classifier_free_guidance": """%%todo tour.classifier_free_guidance
def classifier_free_guidance(eps_uncond, eps_text, guidance_scale):
    return eps_uncond + guidance_scale * (eps_text - eps_uncond)
""",
}
WRONG = {
    "add_noise": """%%todo tour.add_noise
def add_noise(x0, eps, alpha_bar):
    return alpha_bar * x0 + (1 - alpha_bar) * eps
""",
}
ANSWERS = {"ada": RIGHT, "bea": RIGHT | WRONG}
FIRST = ("0", "1")  # the notebook's cells that choose the model and import
MISTAKE = "This is what you get when"
# What a student's kernel tries: each path must be refused, and each name unknown.
ATTACK = """
import os, importlib.util
def can_read(path):
    try:
        os.listdir(path) if os.path.isdir(path) else open(path).close()
    except OSError:
        return False
    return True
for path in {paths!r}:
    print("READ" if can_read(path) else "kept", path)
for name in ("reference", "grading.stages", "grading.judge"):
    print("READ" if importlib.util.find_spec(name) else "kept", name)
"""


def as_user(name: str, *command: str | Path, cwd: Path, home: Path) -> None:
    """Run a command as an account; it must end well."""
    environment = {**os.environ, "HOME": str(home), "USER": name}
    subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        user=ACCOUNTS[name],
        group=ACCOUNTS[name],
        extra_groups=[STAFF] if name == "iris" else [],
        check=True,
    )


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def make_accounts(scratch: Path) -> None:
    """Put accounts, with homes, in the place of the machine's own."""
    people = {
        "passwd": [
            f"{name}:x:{number}:{number}::{scratch / 'home' / name}:/bin/bash"
            for name, number in ACCOUNTS.items()
        ],
        "group": [f"{name}:x:{number}:" for name, number in ACCOUNTS.items()]
        + [f"staff-of-course:x:{STAFF}:iris"],
    }
    word = subprocess.run(
        ["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True
    ).stdout.strip()
    people["shadow"] = [f"{name}:{word}:20000:0:99999:7:::" for name in ACCOUNTS]
    for name, lines in people.items():
        own = scratch / "etc" / name
        own.parent.mkdir(exist_ok=True)
        shutil.copy2(Path("/etc", name), own)
        with own.open("a") as file:
            file.write("\n".join(lines) + "\n")
        mount("--bind", own, Path("/etc", name))
    for name, number in ACCOUNTS.items():
        home = scratch / "home" / name
        home.mkdir(parents=True)
        quiet_lab(home)
        for path in (home, *home.rglob("*")):
            os.chown(path, number, number)
        home.chmod(0o700)


def expose(folder: Path, scratch: Path) -> None:
    """Let every account read a folder that lies in somebody's home, such as Python's own."""
    closed = [place for place in folder.parents if not place.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return
    kept = scratch / "exposed"
    kept.mkdir()
    mount("--bind", folder, kept)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", closed[-1])
    folder.mkdir(parents=True)
    mount("--bind", kept, folder)


def copy_clone(clone: Path) -> None:
    """A clone that only root and the staff may read."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    os.chown(clone, 0, STAFF)
    clone.chmod(0o750)


def environment(folder: Path) -> Path:
    """An environment with the libraries of this one and JupyterLab's files; returns its Python."""
    from tests.own_environment import made

    python = made(folder)
    for part in ("share", "etc"):
        (folder / part).symlink_to(Path(sys.prefix, part))
    return python


def shoot(browser: WebDriver, shots: Path | None, name: str) -> None:
    """Keep a picture of the page, if there is a folder for it."""
    if shots:
        time.sleep(2)  # what comes and goes on a page has come and gone
        browser.save_screenshot(str(shots / f"{name}.png"))


class Formgrader:
    """nbgrader's pages for instructors, on the hub."""

    def __init__(self, browser: WebDriver, address: str, shots: Path | None) -> None:
        self.browser, self.shots = browser, shots
        self.address = f"{address}user/iris/formgrader"

    def press(self, page: str, row: str, column: str) -> None:
        """Press the link in a column of the row with a text, and wait for the success."""

        def link() -> object:
            rows = self.browser.find_elements(By.CSS_SELECTOR, "tbody tr")
            its = next(one for one in rows if row in one.text)
            return its.find_element(By.CSS_SELECTOR, f".{column} a")

        self.browser.get(f"{self.address}/{page}")
        until(lambda: row in self.browser.page_source, f"{row} is on {page}")
        until(lambda: link().click() or True, f"press {column} of {row}")
        modal = until(
            lambda: next(
                (
                    one
                    for one in self.browser.find_elements(By.CSS_SELECTOR, ".modal")
                    if one.is_displayed() and one.text
                ),
                None,
            ),
            f"formgrader answers {column} of {row}",
        )
        assert "Success" in until(lambda: modal.text, "it says what came of it"), modal.text
        shoot(self.browser, self.shots, f"formgrader_{column}_{row}")


def study(browser: WebDriver, address: str, user: str, home: Path, shots: Path | None) -> None:
    """Fetch the stage, answer its tasks and submit it."""
    log_in(browser, address, user)
    assignments = Assignments(browser)
    assignments.press("released", "Fetch")
    until(lambda: STAGE in assignments.text("fetched"), "the stage is fetched")
    notebook = opened_notebook(browser, address, user, home)
    for name in FIRST:
        notebook.run(name)
    for function, code in ANSWERS[user].items():
        print(user, function, answered(notebook, function, code).splitlines()[:2], flush=True)
        shoot(browser, shots, f"{user}_{function}")
    saved(browser, home, "(eps_text - eps_uncond)")
    open_lab(browser, address, user)
    assignments = Assignments(browser)
    assignments.press("fetched", "Submit")
    until(lambda: STAGE in assignments.text("submitted"), "the stage is submitted")
    shoot(browser, shots, f"{user}_submitted")


def read_feedback(
    browser: WebDriver, address: str, user: str, home: Path, shots: Path | None
) -> str:
    """Fetch the feedback and open it in JupyterLab; returns its page."""
    log_in(browser, address, user)
    assignments = Assignments(browser)
    assignments.press("submitted", "Fetch Feedback")
    course = home / "score-distillery"
    (page,) = until(lambda: list(course.glob("notebooks/*/feedback/*/*.html")), "it is there")
    until(lambda: "view feedback" in assignments.text("submitted"), "the list offers it")
    assignments.follow("submitted", "(view feedback)")

    def listed() -> WebElement | None:
        files = browser.find_elements(By.CSS_SELECTOR, ".jp-DirListing-itemName")
        return next((one for one in files if one.text == page.name), None)

    file = until(listed, "its file is listed")
    ActionChains(browser).double_click(file).perform()
    until(lambda: browser.find_elements(By.CSS_SELECTOR, ".jp-HTMLViewer iframe"), "it is open")
    shoot(browser, shots, f"{user}_feedback")
    return page.read_text("utf-8")


def attack(
    browser: WebDriver, address: str, user: str, home: Path, paths: Sequence[Path]
) -> list[str]:
    """Let a cell of a student's notebook try to read what is not theirs; returns what it could."""
    notebook = opened_notebook(browser, address, user, home)
    name = notebook.names[1]
    notebook.write(name, ATTACK.format(paths=list(map(str, paths))))
    printed = notebook.run(name).splitlines()
    tried = [line for line in printed if line.split(" ")[0] in ("READ", "kept")]
    assert len(tried) == len(paths) + 3, printed
    return [line for line in tried if line.startswith("READ")]


def walk(scratch: Path, shots: Path | None) -> None:
    """The whole way; it stops where something is not as it should be."""
    from grading.hub.proxy import fetched

    proxy = fetched()
    make_accounts(scratch)
    expose(Path(sys.base_prefix), scratch)
    clone, course, place = scratch / "course", scratch / "class", scratch / "hub"
    homes = {name: scratch / "home" / name for name in ACCOUNTS}
    copy_clone(clone)
    course.mkdir(mode=0o700)
    os.chown(course, ACCOUNTS["iris"], ACCOUNTS["iris"])
    # The libraries' environment, but the clone's packages: their folder comes first.
    os.environ["PYTHONPATH"] = str(clone)
    python = Path(sys.executable)
    as_user(
        "iris",
        python,
        "-m",
        "grading",
        "release",
        STAGE,
        "--course",
        course,
        cwd=clone,
        home=homes["iris"],
    )
    who = ["--course", course, "--instructor", "iris", "--students", *STUDENTS]
    making = [python, "-m", "grading", "hub", place, *who]
    subprocess.run(list(map(str, making)), cwd=clone, check=True)
    student_python = environment(place / "students" / "env")
    settings = (place / "hub.yaml").read_text("utf-8")
    kept = settings.split("student_python:")[0]
    (place / "hub.yaml").write_text(f"{kept}student_python: {student_python}\n", "utf-8")

    with hub(place, "jupyterhub_config.py", proxy, python=python) as address:
        with chromium() as browser:
            log_in(browser, address, "iris")
            Formgrader(browser, address, shots).press("manage_assignments", STAGE, "release")
        for user in STUDENTS:
            with chromium() as browser:
                study(browser, address, user, homes[user], shots)
        with chromium() as browser:
            log_in(browser, address, "iris")
            formgrader = Formgrader(browser, address, shots)
            formgrader.press("manage_assignments", STAGE, "collect")
            for user in STUDENTS:
                formgrader.press(f"manage_submissions/{STAGE}", user, "autograde")
            formgrader.press("manage_assignments", STAGE, "generate-feedback")
            formgrader.press("manage_assignments", STAGE, "release-feedback")
            browser.get(f"{formgrader.address}/manage_submissions/{STAGE}")
            until(lambda: "6 / 6" in browser.page_source, "ada has all points")
            until(lambda: "4 / 6" in browser.page_source, "bea has those of two tasks")
            shoot(browser, shots, "formgrader_points")
        for user in STUDENTS:
            other = next(one for one in STUDENTS if one != user)
            secret = [homes[other], homes[other] / "score-distillery" / NOTEBOOK, course]
            secret += [course / "gradebook.db", clone, clone / "reference" / "tour.py"]
            secret += [
                place / "hub.yaml",
                place / "state",
                place / "exchange" / "class" / "inbound",
            ]
            secret += [place / "exchange" / "class" / "feedback", Path("/etc/shadow")]
            with chromium() as browser:
                page = read_feedback(browser, address, user, homes[user], shots)
                assert (MISTAKE in page) == (user == "bea"), f"{user} reads {page[:300]}"
                read = attack(browser, address, user, homes[user], secret)
                assert not read, f"{user} could read {read}"
                assert is_refused(browser, address, other), f"{user} gets into {other}'s server"
    print("Both students have read their own feedback, and nothing else.")


def main() -> None:
    """Walk inside a mount namespace of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenshots", type=Path, help="a folder for pictures")
    options = parser.parse_args()
    if os.getuid() != 0:
        sys.exit("walk_hub.py needs root: a hub starts servers as other accounts.")
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    mount("--make-rprivate", "/")
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="walk-hub-"))
    scratch.chmod(0o755)
    try:
        walk(scratch, options.screenshots)
    except BaseException:
        log = scratch / "hub" / "state" / "log"
        print(log.read_text(errors="replace")[-5000:] if log.is_file() else "", file=sys.stderr)
        raise
    finally:
        subprocess.run(["umount", "--lazy", str(scratch / "exposed")], check=False)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
