"""Whether a class survives a SIGKILL at any moment.

`python -m benchmarks.crash_recovery [--trials 20]`

A small class is graded undisturbed. Then, trial by trial, it is graded again, and at a random
moment the grader, a dask worker or the dask scheduler is killed; the same command is given again.
Every grade must be as undisturbed, every student must be there once, and every record in the
gradebook.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.grading_speed import NAME, ROOT, STAGE, make_class
from benchmarks.sample_class import cluster, grades
from distillery.core.measured import Figure, add_record_option, record
from grading.core.records import Store
from grading.release.course_folder import release

VICTIMS = ("grader", "dask worker", "dask scheduler")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crash_recovery", description=__doc__
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--students", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    add_record_option(parser)
    return parser


def main() -> None:
    """Run the trials, and print a line for each and one for all."""
    options = parser().parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        handed_in = Path(scratch) / "class"
        release([STAGE], handed_in, say=lambda line: None)
        make_class(handed_in, options.students, chance)
        course = Path(scratch) / "trial"
        shutil.copytree(handed_in, course)
        began = time.perf_counter()
        finished(started(course))
        seconds = time.perf_counter() - began
        wanted = grades(course)
        print(f"{options.students} submissions, undisturbed in {seconds:.1f} s")
        bad = 0
        for trial, victim in zip(range(options.trials), itertools.cycle(VICTIMS), strict=False):
            shutil.rmtree(course)
            shutil.copytree(handed_in, course)
            moment = chance.uniform(0, seconds)
            done = disturbed(course, victim, moment, Path(scratch) / f"{trial}.json")
            wrong = faults(course, wanted)
            bad += bool(wrong)
            print(
                f"{trial + 1:2}: {victim} killed after {moment:.1f} s with {done} booked: "
                f"{wrong or 'nothing lost, nothing doubled'}",
                flush=True,
            )
        print(f"{options.trials} trials, {bad} of them with something lost or doubled")
    if options.record:
        record(
            "crash_recovery",
            {"bad": Figure(bad)},
            n=options.trials,
            of=f"kills, in a class of {options.students}",
            seeds=[options.seed],
        )
    sys.exit(bool(bad))


def disturbed(course: Path, victim: str, moment: float, file: Path) -> int:
    """Grade a class, kill at a moment, and go on; returns how many were booked by then."""
    with contextlib.ExitStack() as stack:
        processes: dict[str, Any] = {}
        options: list[str] = []
        if victim != "grader":
            address, scheduler, workers = stack.enter_context(cluster(file))
            processes = {"dask scheduler": scheduler, "dask worker": workers[0]}
            options = ["--scheduler", address]
        process = started(course, *options)
        stack.callback(process.kill)
        time.sleep(moment)
        (processes | {"grader": process})[victim].kill()
        done = len(booked(course))
        process.wait()
    if process.returncode:
        finished(started(course))
    return done


def started(course: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "grading", "autograde", NAME, "--course", str(course)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, "--jobs", "2", *options],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
    )


def finished(process: subprocess.Popen[bytes]) -> None:
    # 1 says that there were grader errors; they are compared like grades.
    if process.wait() not in (0, 1):
        sys.exit(f"grading ended with {process.returncode}")


def booked(course: Path) -> list[str]:
    store = Store(course)
    return [record.student for record in store.all(NAME) if store.is_booked(record)]


def faults(course: Path, wanted: dict[str, Any]) -> str:
    """What is not as in the undisturbed run, in words."""
    found, there = grades(course), booked(course)
    different = sorted(name for name in wanted if found.get(name) != wanted[name])
    unbooked = sorted(set(wanted) - set(there))
    twice = sorted({name for name in there if there.count(name) > 1} | (set(found) - set(wanted)))
    parts = {"different": different, "not booked": unbooked, "twice": twice}
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)


if __name__ == "__main__":
    main()
