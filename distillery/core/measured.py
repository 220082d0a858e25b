"""What a benchmark found, kept in a small file of docs/measured/, which docs/results.md is made of.

A benchmark that is given --record writes one, complete or not at all, when it has come to its end.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import math
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY, atomic_write, read_text

FOLDER = REPOSITORY / "docs" / "measured"
MODELS = REPOSITORY / "data" / "models"
STARTED = time.time()


@dataclass(frozen=True)
class Figure:
    """A figure and its spread, in the figure's own unit; None where it has none.

    Raises:
        CourseError: one of them is not finite, so nothing was measured.
    """

    value: float
    spread: float | None = None

    def __post_init__(self) -> None:
        for number in (self.value, self.spread or 0.0):
            if not math.isfinite(number):
                raise CourseError(f"a figure must be a finite number, not {number}.")


@dataclass(frozen=True)
class Record:
    """One run of a benchmark.

    command: as it is typed, without --record.
    date:    of its end, such as "2026-11-30".
    machine: cores, device and torch, in words.
    n, of:   how many of what were measured: 192, "pictures".
    seeds:   that the run's randomness came from.
    spread:  what the figures' spreads are, in words.
    models:  a hash of the weights of each embedded model that it used, by the model's name.
    seconds: that it took.
    busy:    how many processes wanted a core at its end, itself among them, for each core; above 1
             its times say little.
    carried_over: its figures are from before there were records, and were copied by hand.
    """

    command: str
    date: str
    machine: str
    n: int
    of: str
    seeds: list[int]
    spread: str
    figures: dict[str, Figure]
    models: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    busy: float | None = None
    carried_over: bool = False


def add_record_option(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark its --record."""
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"keep the figures in {FOLDER.relative_to(REPOSITORY)}, for docs/results.md",
    )


def record(
    name: str,
    figures: Mapping[str, Figure],
    *,
    n: int,
    of: str,
    seeds: Sequence[int],
    spread: str = "none",
    models: Sequence[str] = (),
    folder: Path = FOLDER,
) -> None:
    """Keep the figures of a run that is done as `folder`/`name`.yaml, and say so.

    A run that measured less than what is kept there replaces nothing.

    Args:
        models: that it used; of those that do not come with the course nothing is kept.
    """
    path = folder / f"{name}.yaml"
    new = Record(
        command=_typed(),
        date=datetime.date.today().isoformat(),
        machine=machine(),
        n=n,
        of=of,
        seeds=list(seeds),
        spread=spread,
        figures=dict(figures),
        models={model: weights_hash(MODELS / model) for model in models if _embedded(model)},
        seconds=round(time.time() - STARTED),
        busy=_busy(),
    )
    lacks = less_than_kept(new, read_measured(path)) if path.exists() else ""
    if lacks:
        print(f"{path.name} stays as it is: {lacks}. Delete it first to keep this run instead.")
        return
    write_measured(path, new)
    print(f"kept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def less_than_kept(new: Record, kept: Record) -> str:
    """What `new` lacks that the kept record has, in words; "" for nothing."""
    gone = sorted(set(kept.figures) - set(new.figures))
    if gone:
        return f"this run has no figure of {', '.join(gone)}"
    if new.n < kept.n:
        return f"it is of {kept.n} {kept.of}, and this run is of {new.n}"
    return ""


def read_measured(path: Path) -> Record:
    """The record in a file.

    Raises:
        CourseError: it is missing or is no such record.
    """
    try:
        given: dict[str, Any] = yaml.safe_load(read_text(path))
        figures = {name: Figure(**its) for name, its in given.pop("figures").items()}
        return Record(**given, figures=figures)
    except (yaml.YAMLError, TypeError, AttributeError, KeyError) as error:
        raise CourseError(
            f"{path.name} is no record of a benchmark ({error}); "
            "run the benchmark again with --record."
        ) from error


def write_measured(path: Path, kept: Record) -> None:
    """Write a record, as `read_measured` reads it; what is None is left out."""
    given = asdict(kept)
    for key in ("models", "seconds", "busy", "carried_over"):
        if given[key] is None or given[key] is False or given[key] == {}:
            del given[key]
    given["figures"] = {
        name: {
            key: float(f"{value:.6g}") for key, value in asdict(its).items() if value is not None
        }
        for name, its in kept.figures.items()
    }
    text = yaml.safe_dump(
        given, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )
    atomic_write(path, text)


def share(right: float, n: int) -> Figure:
    """A share in [0, 1] of n things, with its standard error."""
    return Figure(right, math.sqrt(right * (1 - right) / n))


def mean(values: Sequence[float]) -> Figure:
    """The mean of values with its standard error, of two at least."""
    middle = sum(values) / len(values)
    if len(values) < 2:
        return Figure(middle)
    variance = sum((value - middle) ** 2 for value in values) / (len(values) - 1)
    return Figure(middle, math.sqrt(variance / len(values)))


def machine() -> str:
    """Cores, device and torch, in words: "2 CPU cores (x86_64), no GPU, torch 2.9.1, 1 thread"."""
    torch = sys.modules.get("torch")
    if torch is None:
        return f"{os.cpu_count()} CPU cores ({platform.machine()})"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    threads = torch.get_num_threads()
    return (
        f"{os.cpu_count()} CPU cores ({platform.machine()}), {gpu}, torch {version('torch')}, "
        f"{threads} thread{'s' * (threads > 1)}"
    )


def _embedded(model: str) -> bool:
    return (MODELS / model).is_dir()


def weights_hash(folder: Path) -> str:
    """16 hexadecimal digits of a model's files of weights.

    Raises:
        CourseError: there are none.
    """
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise CourseError(f"there are no weights in {folder}; name a folder of data/models.")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder).as_posix()}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _busy() -> float | None:
    averages = getattr(os, "getloadavg", None)  # Windows has none
    return round(averages()[0] / (os.cpu_count() or 1), 1) if averages else None


def _typed() -> str:
    words = [word for word in sys.orig_argv[1:] if word != "--record"]
    return shlex.join(["python", *words])
