"""The warm parent: imports everything once, and then forks a keeper for each job.

It never starts a thread and never runs anything of a student, so that a fork is a faithful copy.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from functools import partial
from typing import Any

from . import isolation, limits
from .frames import read_exactly, read_header, write_frame
from .huge_pages import into_large_pages
from .supervisor import Order, see_through, tidy

RECORD = "distillery.course.record"  # what every job imports


def main(settings: dict[str, Any]) -> None:
    """Serve jobs, one after another, until the other side closes the pipe."""
    isolation.become(settings["user"])
    isolation.die_with_parent()  # after becoming somebody else, which would undo it
    came_in, goes_out = _channel()
    while True:
        try:
            header, length = read_header(came_in)
        except EOFError:
            return
        if "warm" in header:
            _warm_up(header["warm"])
            write_frame(goes_out, {"ready": True})
            continue
        keeper = os.fork()
        if keeper == 0:
            _keep(settings, header, length, came_in, goes_out)
        if os.waitpid(keeper, 0)[1] != 0:
            sys.exit("a keeper failed")  # nobody knows what it left in the pipes


def _channel() -> tuple[int, int]:
    """The two pipes to the grader, moved away from where a stray print would go."""
    came_in, goes_out = os.dup(0), os.dup(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return came_in, goes_out


def _warm_up(named: list[str]) -> None:
    """Import the usual modules and those named; what is no module is a model to be loaded."""
    import torch

    torch.set_num_threads(1)
    modules = [name for name in named if "." in name]
    for module in (RECORD, *modules):
        importlib.import_module(module)
    from . import jobs

    jobs.preload(name for name in named if name not in modules)
    gc.collect()
    gc.freeze()  # a collection in a child would otherwise touch, and so copy, every page
    into_large_pages()


def _keep(
    settings: dict[str, Any], header: dict[str, Any], length: int, came_in: int, goes_out: int
) -> None:
    """See one job through, write one frame on what became of it, and end."""
    from . import jobs

    status = 1
    try:
        isolation.die_with_parent()
        order = Order(
            settings, header["limits"], partial(jobs.perform, read_exactly(came_in, length))
        )
        report, reply = _report(order)
        write_frame(goes_out, {"nonce": header["nonce"], **report}, reply)
        status = 0
    finally:
        os._exit(status)


def _report(order: Order) -> tuple[dict[str, Any], bytes]:
    folder = ""
    try:
        taken = limits.address_space()
        folder = isolation.prepare(order.settings, order.bounds)
        end = see_through(order, folder, taken)
    except OSError as error:
        return {"ending": "fault", "why": str(error)}, b""
    finally:
        if folder:
            tidy(order, folder)
    reply = end.reply if end.ending == "ended" else b""
    return {"ending": end.ending, "printed": end.printed}, reply
