"""The fork server: imports everything once, and then forks a supervisor for each job.

It never starts a thread and never runs a student's code, so that every fork starts from the same
state.
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
from .supervisor import Order, supervise, tidy

EVERY_JOB = "distillery.course.kinds"  # what each imports


def main(settings: dict[str, Any]) -> None:
    """Serve jobs, one after another, until the other side closes the pipe."""
    isolation.become(settings["user"])
    isolation.die_with_parent()  # after becoming another user, which would undo it
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
        supervisor = os.fork()
        if supervisor == 0:
            _be_supervisor(settings, header, length, came_in, goes_out)
        if os.waitpid(supervisor, 0)[1] != 0:
            sys.exit("a supervisor failed")  # what it left in the pipes is unknown


def _channel() -> tuple[int, int]:
    """The two pipes to the grader, moved to where a stray print cannot reach them."""
    came_in, goes_out = os.dup(0), os.dup(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return came_in, goes_out


def _warm_up(named: list[str]) -> None:
    """Import what every job needs, and the modules named."""
    import torch

    torch.set_num_threads(1)
    for module in (EVERY_JOB, *named):
        importlib.import_module(module)
    from . import jobs  # noqa: F401, so that no job waits for it

    gc.collect()
    gc.freeze()  # a collection in a child would otherwise touch, and so copy, every page
    into_large_pages()


def _be_supervisor(
    settings: dict[str, Any], header: dict[str, Any], length: int, came_in: int, goes_out: int
) -> None:
    """Supervise one job, write one frame with its result, and end."""
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
        end = supervise(order, folder, taken)
    except OSError as error:
        return {"ending": "fault", "why": str(error)}, b""
    finally:
        if folder:
            tidy(order, folder)
    reply = end.reply if end.ending == "ended" else b""
    return {"ending": end.ending, "printed": end.printed}, reply
