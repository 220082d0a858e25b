"""Run the steps of the Dockerfile in a fresh Debian root, where there is no Docker.

python -m tests.try_dockerfile /tmp/root [--bind /etc/pip.conf ...]

It needs root, debootstrap, bubblewrap and an empty folder. At the end the container's command is
started, and its page is asked for. Run by hand: it takes many minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ("PIP_", "NPM_", "SSL_CERT_FILE")  # of this machine, that reach its package registry
HOME = "/root"


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The lines of a Dockerfile: keyword and the rest."""
    text = text.replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            keyword, _, rest = line.partition(" ")
            yield keyword, rest.strip()


class Container:
    """What the steps of a Dockerfile have made so far."""

    def __init__(self, folder: Path, binds: Sequence[str]) -> None:
        self.folder, self.binds = folder, binds
        self.user, self.place = "root", "/"
        own = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **own}

    def command(self, words: Sequence[str]) -> list[str]:
        """The words that run a command inside, as the user of the moment."""
        inside = ["bwrap", "--bind", str(self.folder), "/", "--proc", "/proc", "--dev", "/dev"]
        for path in ("/etc/resolv.conf", *self.binds):
            inside += ["--ro-bind", path, path]
        inside += ["--clearenv", "--chdir", self.place]
        home = HOME if self.user == "root" else f"/home/{self.user}"
        for name, value in {**self.environment, "HOME": home}.items():
            inside += ["--setenv", name, value]
        if self.user != "root":
            ids = (f"--reuid={self.user}", f"--regid={self.user}", "--init-groups")
            words = ["setpriv", *ids, *words]
        return [*inside, *words]

    def step(self, keyword: str, rest: str) -> None:
        if keyword == "RUN":
            subprocess.run(self.command(["/bin/sh", "-c", rest]), check=True)
        elif keyword in ("ENV", "ARG"):
            name, _, value = rest.partition("=")
            self.environment[name] = value.strip('"').replace("$PATH", self.environment["PATH"])
        elif keyword == "WORKDIR":
            self.place = rest
            inside = self.folder / rest.lstrip("/")
            inside.mkdir(parents=True, exist_ok=True)
        elif keyword == "COPY":
            self.copy()
        elif keyword == "USER":
            self.user = rest
        elif keyword not in ("FROM", "EXPOSE", "CMD"):
            raise SystemExit(f"the Dockerfile has {keyword}, which this script does not know.")

    def copy(self) -> None:
        """`COPY --chown=student . .`: what git keeps, which is less than .dockerignore leaves."""
        names = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split("\0")
        target = self.folder / self.place.lstrip("/")
        for name in filter(None, names):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
        subprocess.run(self.command(["chown", "-R", "student:student", self.place]), check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--bind", nargs="*", default=[], help="files of this machine to show inside"
    )
    options = parser.parse_args()
    steps = list(instructions((ROOT / "Dockerfile").read_text(encoding="utf-8")))
    suite = steps[0][1].split()[0].removeprefix("debian:").removesuffix("-slim")
    bootstrap = ["debootstrap", "--variant=minbase", suite, str(options.folder)]
    subprocess.run(bootstrap, check=True, stdout=subprocess.DEVNULL)
    container = Container(options.folder.resolve(), options.bind)
    for keyword, rest in steps:
        begun = time.monotonic()
        container.step(keyword, rest)
        print(f"{time.monotonic() - begun:6.1f} s  {keyword} {rest[:80]}", flush=True)
    draw = "python main.py --prompt 'a red boat' --steps 3 && python -m grading doctor; true"
    subprocess.run(container.command(["/bin/sh", "-c", draw]), check=True)
    answers(container, json.loads(dict(steps)["CMD"]))


def answers(container: Container, words: Sequence[str]) -> None:
    """Start the container's command and ask for its page."""
    print("starts:", shlex.join(words))
    port = "18888"
    with subprocess.Popen(container.command([*words, f"--port={port}"])) as server:
        try:
            for _ in range(60):
                time.sleep(1)
                try:
                    with urlopen(f"http://127.0.0.1:{port}/api", timeout=5) as reply:
                        print("JupyterLab answers:", json.load(reply))
                        return
                except OSError:
                    continue
            raise SystemExit("JupyterLab did not answer within a minute.")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
