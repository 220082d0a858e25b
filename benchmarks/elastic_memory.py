"""Peak memory of pictures of any size: `python -m benchmarks.elastic_memory`.

Prints for each size and view_batch_size how much memory the steps of `python main.py elastic` need
on top of what the process holds before them, beside that of direct sampling, which asks about the
whole picture at once, and that of the decoder, for the whole and in tiles. What counts is whether
it stays when views become more: a batch of views must be full for that, so the last lines compare
the sizes that have at least view_batch_size views in a step.

Each number is from a process of its own. The work is done once to warm up, as libraries then make
what they keep. Free memory is given back, and Linux is asked to forget the peak so far ("5" to
/proc/self/clear_refs; getrusage cannot forget it). Then the same work is done again: VmHWM after
it, less VmRSS before. One thread works, as each thread has buffers of its own.

The C library keeps freed memory for later, in pieces that do not fit what comes next. So there are
two tables:

- "returned": blocks from 64 KiB on are taken from the system and given back each by itself
  (MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_, MALLOC_ARENA_MAX). The peak is that of the
  tensors, and steady. It takes about twice the time.
- "kept": as the command runs, with the pieces.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from distillery.core.files import REPOSITORY, atomic_write
from distillery.models.prior import Condition, Control, Prior
from distillery.runs import elastic
from distillery.runs.elastic_settings import ElasticSettings
from reference import elastic as functions

PROMPT = "a red boat on a frozen river"
STEPS = 2
PARTS = ("elastic", "direct", "decode", "decode in tiles")
SIZES = ((64, 128), (128, 128), (192, 192), (256, 256))
AT_ONCE = (1, 4, 16)
MALLOC = {
    "returned": {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(2**16),
        "MALLOC_TRIM_THRESHOLD_": "0",
    },
    "kept": {},
}
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
HEAD = (
    "malloc   part            pixels     at once views samples  peak in MiB           of smallest"
)


@dataclass(frozen=True)
class Case:
    """What is measured.

    malloc:          a name in `MALLOC`.
    part:            one of `PARTS`; the first two are steps without decoding.
    height, width:   of the picture, in pixels.
    view_batch_size: 0 for the parts that have none.
    """

    malloc: str
    part: str
    height: int
    width: int
    view_batch_size: int = 0


@dataclass(frozen=True)
class Asked:
    """What came of it in one process.

    views:   windows in the step that has most of them, or tiles; 1 if all is asked about at once.
    samples: in the largest call of the network, one being a picture of the trained size.
    peak:    in MiB, over what the process held before.
    """

    views: int
    samples: float
    peak: float


@dataclass(frozen=True)
class Row(Case):
    """What came of a case: the same in each process, but for the peaks in MiB."""

    views: int = 0
    samples: float = 0
    peaks: Sequence[float] = ()

    @property
    def case(self) -> Case:
        """What was measured."""
        return Case(self.malloc, self.part, self.height, self.width, self.view_batch_size)

    @property
    def peak(self) -> float:
        """The median."""
        return statistics.median(self.peaks)

    def line(self, smallest: float) -> str:
        """A line of the table, `smallest` being the peak of the smallest picture."""
        spread = f"{self.peak:6.1f} ({min(self.peaks):.1f} to {max(self.peaks):.1f})"
        return (
            f"{self.malloc:<8} {self.part:<15} {self.height:>4} x {self.width:<4}"
            f"{self.view_batch_size or '':>6} {self.views:6d} {self.samples:7.1f}  {spread:<22}"
            f"{self.peak / smallest:6.2f}"
        )


class Watched:
    """A prior that notes the largest call of its network, and how often it decodes."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self.samples, self.decoded = 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)

    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, controls: Sequence[Control] = ()
    ) -> tuple[Tensor, ...]:
        """As the prior's own."""
        (h, w), (trained_h, trained_w) = xt.shape[-2:], self._prior.latent_size
        area = h * w / (trained_h * trained_w)
        self.samples = max(self.samples, len(xt) * len(conditions) * area)
        return self._prior.predict_noise(xt, t, *conditions, controls=controls)

    def decode(self, latents: Tensor) -> Tensor:
        """As the prior's own."""
        self.decoded += 1
        return self._prior.decode(latents)


def measure(case: Case) -> Asked:
    """Do the work of a case in this process, twice, and say what the second time needed."""
    settings = ElasticSettings(
        PROMPT,
        height=case.height,
        width=case.width,
        method="direct" if case.part == "direct" else "elastic",
        steps=STEPS,
        patch_size=8,  # half of the trained size, for many views
        view_batch_size=case.view_batch_size or 1,
        tiled_decoder=case.part == "decode in tiles",
        implementation="reference",
        device="cpu",
    )
    views = [1]

    def local_score(predict: Any, xt: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        views.append(len(rows) * len(columns))
        return functions.local_score(predict, xt, rows, columns)

    watched = Watched(elastic.load(settings))
    its_functions = SimpleNamespace(**{**vars(functions), "local_score": local_score})
    run = elastic.begin(watched, its_functions, settings)
    if case.part in ("elastic", "direct"):

        def work() -> None:
            for _ in run.steps():
                pass
    else:
        size = watched.latent_size_of((case.height, case.width))
        run.latents = torch.randn(1, watched.latent_channels, *size)

        def work() -> None:
            run.images()

    peak = peak_of(work)
    return Asked(max(*views, watched.decoded // 2), watched.samples, peak)


def peak_of(work: Callable[[], None]) -> float:
    """The most memory that work takes when it is done a second time, in MiB."""
    work()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR.write_text("5")
    before = resident("VmRSS")
    work()
    return resident("VmHWM") - before


def resident(name: str) -> float:
    """The memory of this process now (VmRSS) or at its peak (VmHWM), in MiB."""
    (line,) = (x for x in STATUS.read_text().splitlines() if x.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def in_a_process(case: Case) -> Asked:
    """What `measure` says in a fresh process, with the case's C library settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [
        sys.executable,
        "-m",
        "benchmarks.elastic_memory",
        "--case",
        json.dumps(asdict(case)),
    ]
    ran = subprocess.run(
        command,
        env={**kept, "OMP_NUM_THREADS": "1", **MALLOC[case.malloc]},
        cwd=REPOSITORY,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    return Asked(**json.loads(ran.stdout))


def cases(
    malloc: Sequence[str],
    parts: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    at_once: Sequence[int],
) -> Iterator[Case]:
    """All that is to be measured, the sizes of each curve one after another."""
    for how in malloc:
        for part in parts:
            for count in at_once if part == "elastic" else (0,):
                for size in sizes:
                    yield Case(how, part, *size, count)


def row_of(case: Case, repeats: int) -> Row:
    """A case measured in so many processes, one after another."""
    found = [in_a_process(case) for _ in range(repeats)]
    peaks = [round(one.peak, 2) for one in found]
    return Row(**asdict(case), views=found[0].views, samples=found[0].samples, peaks=peaks)


def curve(rows: Sequence[Row], like: Row) -> list[Row]:
    """The rows that differ from one in the picture's size alone, the smallest first."""
    same = [
        row
        for row in rows
        if (row.malloc, row.part, row.view_batch_size)
        == (like.malloc, like.part, like.view_batch_size)
    ]
    return sorted(same, key=lambda row: row.height * row.width)


def growths(rows: Sequence[Row]) -> Iterator[str]:
    """For each view_batch_size, how memory grows with views once there are enough of them."""
    for first in rows:
        same = curve(rows, first)
        full = [row for row in same if row.views >= row.view_batch_size > 0]
        if first is same[0] and len(full) > 1:
            small, large = full[0], full[-1]
            yield (
                f"{small.malloc}, view_batch_size {small.view_batch_size}: {small.views} to "
                f"{large.views} views, {small.peak:.1f} to {large.peak:.1f} MiB, "
                f"{large.peak / small.peak:.2f} times"
            )


def read(file: Path | None) -> list[Row]:
    """The rows of a file; none if it is not there."""
    if file is None or not file.exists():
        return []
    return [Row(**row) for row in json.loads(file.read_text(encoding="utf-8"))]


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and print all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.elastic_memory")
    parser.add_argument("--malloc", nargs="+", choices=MALLOC, default=list(MALLOC))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sides", nargs="+", type=int, default=[], help="H W H W ..., in pixels")
    parser.add_argument("--view_batch_size", nargs="+", type=int, default=AT_ONCE)
    parser.add_argument("--repeats", type=int, default=3, help="processes (default: 3)")
    parser.add_argument("--json", type=Path, help="a file for the numbers; others in it stay")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # of a process that measures
    options = parser.parse_args(argv)
    if not CLEAR.exists():
        parser.error(f"the peak can be forgotten on Linux alone, by {CLEAR}")
    if options.case:
        warnings.simplefilter("ignore")  # of pictures that are no larger than the trained size
        print(json.dumps(asdict(measure(Case(**json.loads(options.case))))))
        return
    sizes = list(zip(options.sides[::2], options.sides[1::2], strict=True)) or SIZES
    found = read(options.json)
    print(HEAD)
    for case in cases(options.malloc, options.parts, sizes, options.view_batch_size):
        row = row_of(case, options.repeats)
        found = [*(one for one in found if one.case != case), row]
        print(row.line(curve(found, row)[0].peak), flush=True)
        if options.json:
            told = json.dumps([asdict(one) for one in found], indent=1)
            atomic_write(options.json, f"{told}\n")
    print(*growths(found), sep="\n")


if __name__ == "__main__":
    main()
