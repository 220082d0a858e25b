"""What tests of runs share: ways to stop a run, and a student's module."""

from __future__ import annotations

import errno
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import main
from distillery.runs import engine

PIXELART_STEPS = 5
Tree = Callable[[Path], dict[str, bytes]]
Refusal = Callable[..., str]


def die() -> None:
    raise KeyboardInterrupt


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def at_step(
    monkeypatch: pytest.MonkeyPatch, method: ModuleType, index: int, happens: Callable[[], None]
) -> None:
    """Let something happen within one step of `method`, a module of the reference."""
    loss = method.loss

    def disturbed(*args: object, step: int, **options: object) -> torch.Tensor:
        if step == index:
            happens()
        return loss(*args, step=step, **options)

    monkeypatch.setattr(method, "loss", disturbed)


def stop_at_step(
    command: list[str], method: ModuleType, index: int, stop: Callable[[], None] = press_ctrl_c
) -> None:
    """Run main.py and stop it within one step of `method`."""
    with pytest.MonkeyPatch.context() as disturbance:
        at_step(disturbance, method, index, stop)
        assert main.main(command) == 130


def stopped_once(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, sampler: str, index: int
) -> list[int]:
    """Press Ctrl-C after the sampler's step `index`, the first time; where each of its runs began.

    The list grows with every run.
    """
    starts: list[int] = []
    own = getattr(module, sampler)

    def disturbed(*args: object, start: int, **options: object) -> Iterator[object]:
        starts.append(start)
        for step in own(*args, start=start, **options):
            if step.index == index and len(starts) == 1:
                press_ctrl_c()
            yield step

    monkeypatch.setattr(module, sampler, disturbed)
    return starts


def stop_in_engine(command: list[str], name: str) -> None:
    """Run main.py and stop it where the engine calls its function `name`."""
    with pytest.MonkeyPatch.context() as disturbance:
        disturbance.setattr(engine, name, lambda *args: die())
        assert main.main(command) == 130


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Let `room` more files be written, and no other."""
    fsync, written = os.fsync, []

    def write(descriptor: int) -> None:
        if len(written) >= room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", write)


def status_of(argv: list[str]) -> object:
    """The exit status of main.py, also where its parser ends the program."""
    try:
        return main.main(argv)
    except SystemExit as stopped:
        return stopped.code


def put_students_module(
    monkeypatch: pytest.MonkeyPatch, name: str, code: str, folder: Path
) -> None:
    """Let `name` be the student's module with this code, which is saved in `folder`."""
    file = folder / "students_module.py"
    file.write_text(code)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, name, module)


def without(command: list[str], flag: str) -> list[str]:
    """The command without a flag and its value."""
    place = command.index(flag)
    return [*command[:place], *command[place + 2 :]]
