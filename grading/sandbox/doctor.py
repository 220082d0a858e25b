"""`python -m grading doctor`: what works on this machine, and whether the sandbox holds.

Every known attack is really tried, in the sandbox that grading will use. Exit status 0: it held.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from distillery.core.errors import CourseError, in_short
from grading.sandbox import mounts, select_backend
from grading.sandbox.escapes import attempt_all, laid_bait
from grading.sandbox.fixes import fix_for
from grading.sandbox.fork_server_client import ForkServer
from grading.sandbox.jobs import Job, SandboxError
from grading.sandbox.program import run_program

NEEDED = {"torch": "2.6", "diffusers": "0.35", "transformers": "4.56", "nbgrader": "0.9.5"}
NEEDED |= {"jupytext": "1.16", "copydetect": "0.5", "nh3": "0.3"}
OPTIONAL = {"distributed": "--scheduler", "dask-jobqueue": "--scheduler on a cluster"}
WIDTH, ARROW = 100, "      -> "
TIMED = 7

READS_MODELS = """
from distillery.core.files import REPOSITORY

def is_read(path):
    try:
        return bool(path.open("rb").read(1))
    except OSError:
        return False

def probe():
    files = [path for path in (REPOSITORY / "data" / "models").rglob("*") if path.is_file()]
    return [path.name for path in files if not is_read(path)] if files else ["anything"]
"""


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    state: "ok", "NO" (something does not work), "open" (a known gap) or "-" (not needed).
    fix:   what to do.
    """

    what: str
    state: str
    said: str = ""
    fix: str = ""

    def __str__(self) -> str:
        line = f"  {self.what:<52} {self.state:<5} {self.said}".rstrip()
        if not self.fix:
            return line
        return line + "\n" + fill(self.fix, WIDTH, initial_indent=ARROW, subsequent_indent=" " * 9)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 if the sandbox holds, else 1."""
    parser = argparse.ArgumentParser("python -m grading doctor", description=__doc__)
    parser.add_argument("--sandbox", choices=select_backend.BACKENDS, help="try this one")
    asked = parser.parse_args(arguments)
    _section("This machine", machine())
    with laid_bait() as bait:
        sandbox, tried = find_sandbox(asked.sandbox)
        _section("Sandbox", tried)
        if sandbox is None:
            print("\nNo sandbox works here. Do not run students' code on this machine.")
            return 1
        with sandbox:
            _section("In the sandbox", about(sandbox))
            escapes = _section("Attacks, each of them tried", ways_out(sandbox, bait))
    return _verdict(sandbox, escapes)


def _section(title: str, findings: Iterable[Finding]) -> list[Finding]:
    """Print each as soon as it is found."""
    print(f"\n{title}", flush=True)
    shown = []
    for finding in findings:
        print(finding, flush=True)
        shown.append(finding)
    return shown


def _verdict(sandbox: ForkServer, escapes: list[Finding]) -> int:
    out = [escape for escape in escapes if escape.state == "NO"]
    if out:
        count = f"{len(out)} of {len(escapes)} attacks got out"
        print(f"\nThe sandbox {sandbox.name} DOES NOT HOLD: {count}.")
        return 1
    left = [escape for escape in escapes if escape.state == "open"]
    if left:
        print(f"\nThe sandbox {sandbox.name} holds; what is marked open above is not protected.")
    else:
        print(f"\nThe sandbox {sandbox.name} holds against all {len(escapes)} attacks.")
    return int(sandbox.name == select_backend.ON_REQUEST)


def machine() -> Iterator[Finding]:
    """Python, packages, programs, kernel, GPU, models, database."""
    yield Finding("Python", "ok", f"{platform.python_version()} in {sys.prefix}")
    for package, least in NEEDED.items():
        yield _package(package, least)
    for package, use in OPTIONAL.items():
        found = importlib.util.find_spec(package.replace("-", "_")) is not None
        yield Finding(package, "ok" if found else "-", "" if found else f"only needed for {use}")
    for program in ("nbgrader", "alembic"):
        yield _program(program)
    yield _kernel()
    yield _gpu()
    yield from _models()
    found = importlib.util.find_spec("psycopg") is not None
    yield Finding(
        "PostgreSQL client", "ok" if found else "-", "" if found else "not needed for SQLite"
    )


def _package(package: str, least: str) -> Finding:
    fix = f"pip install '{package}>={least}'"
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return Finding(package, "NO", "not installed", fix)
    if _numbers(version) < _numbers(least):
        return Finding(package, "NO", f"{version}, {least} or later is needed", fix)
    return Finding(package, "ok", version)


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split(".")[:3]
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in parts)


def _program(program: str) -> Finding:
    found = shutil.which(program)
    if found:
        return Finding(f"{program} on PATH", "ok", found)
    fix = f'export PATH="{Path(sys.prefix) / "bin"}:$PATH"'
    return Finding(f"{program} on PATH", "NO", "nbgrader starts it by name", fix)


def _kernel() -> Finding:
    from jupyter_client.kernelspec import find_kernel_specs

    if "python3" in find_kernel_specs():
        return Finding("Jupyter kernel python3", "ok")
    fix = f"{sys.executable} -m ipykernel install --sys-prefix --name python3"
    return Finding("Jupyter kernel python3", "NO", "not installed", fix)


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", "ok", f"{torch.cuda.get_device_name()}; scores pictures faster")
    return Finding("GPU", "-", "none; pictures are scored on the CPU")


def _models() -> Iterator[Finding]:
    from distillery.models.weight_files import is_whole

    for folder in sorted((mounts.COURSE / "data" / "models").iterdir()):
        files = sorted(folder.rglob("*.safetensors"))
        broken = [file.name for file in files if not is_whole(file)]
        if files and not broken:
            yield Finding(f"model {folder.name}", "ok")
            continue
        said = f"cannot read {', '.join(broken)}" if broken else "no weights"
        yield Finding(f"model {folder.name}", "NO", said, "get data/models again with the course")


def find_sandbox(name: str | None) -> tuple[ForkServer | None, list[Finding]]:
    """The sandbox that grading would use, and why stronger ones do not work."""
    tried = []
    for one in (
        [name] if name else [n for n in select_backend.BACKENDS if n != select_backend.ON_REQUEST]
    ):
        try:
            sandbox = select_backend.tried(one)
        except SandboxError as error:
            tried.append(Finding(one, "NO", in_short(error), fix_for(str(error))))
        else:
            return sandbox, [*tried, Finding(sandbox.name, "ok", "a job ran in it")]
    return None, tried


def about(sandbox: ForkServer) -> Iterator[Finding]:
    """What a job costs, and what the sandbox leaves open."""
    times = []
    for _ in range(TIMED):
        started = time.perf_counter()
        sandbox.run(select_backend.NOTHING)
        times.append(time.perf_counter() - started)
    yield Finding("a job that does nothing", "ok", f"{1000 * statistics.median(times):.0f} ms")
    yield _models_inside(sandbox)
    yield _whole_program()
    for sentence in sandbox.leaves_open:
        yield Finding("LEFT OPEN", "open", "", sentence)


def _models_inside(sandbox: ForkServer) -> Finding:
    """Whether a job can read the weights as the user that it runs as."""
    what = "the models, read from inside"
    unread = sandbox.run(Job("probe", "probe", READS_MODELS, {})).facts.get("found")
    if unread == []:
        return Finding(what, "ok")
    said = f"cannot read {', '.join(unread)}" if unread else "the models could not be searched"
    return Finding(what, "NO", said, "chmod -R a+rX data/models, and the folders above it")


def _whole_program() -> Finding:
    what = "a whole program, for --execute"
    with tempfile.TemporaryDirectory() as folder:
        try:
            ran = run_program([sys.executable, "-c", "print('here')"], Path(folder))
        except SandboxError as error:
            return Finding(what, "NO", in_short(error), fix_for(str(error)))
    return Finding(what, "ok" if ran.printed == "here\n" else "NO", f"it {ran.ending}")


def ways_out(sandbox: ForkServer, bait: dict[str, object]) -> Iterator[Finding]:
    """Each attack, and whether the sandbox held."""
    try:
        for escape, found in attempt_all(sandbox, bait):
            if not found:
                yield Finding(escape.name, "ok", "held")
            elif sandbox.name in escape.open_in:
                yield Finding(escape.name, "open", found)
            else:
                yield Finding(escape.name, "NO", found)
    except SandboxError as error:
        raise CourseError(f"the sandbox failed while it was tried: {error}") from error
