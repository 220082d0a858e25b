"""Threads that wait soon sleep in whatever starts torch, unless the user has chosen otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from distillery.core.files import REPOSITORY

COMMANDS = [
    ["main.py", "--prompt", "a red boat"],
    ["main.py", "pixelart", "--prompt", "a red boat"],
    ["main.py", "hand_in", "01_sds"],
    ["eval.py", "--fdir1", "."],
    ["demo.py", "--out", "."],
]
# Each program goes on in a fork of its own up to its first import of torch.
PROBE = """
import json, os, runpy, sys

class AtTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            leave()

def leave():
    chosen = [os.environ.get(name, "") for name in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")]
    os.write(writer, " ".join(chosen).encode())
    os._exit(0)

answers = []
for program in json.load(sys.stdin):
    reader, writer = os.pipe()
    if not os.fork():
        sys.meta_path.insert(0, AtTorch())
        sys.stdout = sys.stderr = open(os.devnull, "w")
        sys.argv = program
        try:
            if program[0].endswith(".py"):
                runpy.run_path(program[0], run_name="__main__")
            else:
                runpy.run_module(program[0])
        finally:
            leave()
    os.close(writer)
    with open(reader) as said:
        answers.append(said.read())
    os.wait()
print(json.dumps(answers))
"""


def programs() -> list[list[str]]:
    """Every program there is; of those that are modules, as much as importing them runs."""
    modules = [["distillery.todo"], ["grading.plugins"]]
    for package in ("distillery", "grading", "training", "benchmarks"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            inside = "inside" in path.parts  # a sandbox: it has an environment of its own
            if not inside and '__name__ == "__main__"' in path.read_text(encoding="utf-8"):
                modules.append([".".join(path.relative_to(REPOSITORY).with_suffix("").parts)])
    return COMMANDS + modules


def said(programs: list[list[str]], folder: Path, **chosen: str) -> dict[str, str]:
    """Program -> how its threads wait when it loads torch."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        environment.pop(name, None)
    started = [[str(REPOSITORY / p[0]), *p[1:]] if len(p) > 1 else p for p in programs]
    ran = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=json.dumps(started),
        env=environment | chosen,
        cwd=folder,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    return dict(zip(map(" ".join, programs), json.loads(ran.stdout), strict=True))


def test_every_program_says_how_threads_wait_before_it_loads_torch(tmp_path: Path):
    answers = said(programs(), tmp_path)
    assert len(answers) > 12
    assert answers == dict.fromkeys(answers, "2000 1")


def test_what_the_user_has_chosen_stays(tmp_path: Path):
    answers = said(COMMANDS[:1], tmp_path, OMP_WAIT_POLICY="active")
    assert list(answers.values()) == [" "]
    answers = said(COMMANDS[:1], tmp_path, GOMP_SPINCOUNT="30")
    assert list(answers.values()) == ["30 1"]
