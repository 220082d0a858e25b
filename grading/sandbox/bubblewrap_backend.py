"""The strongest sandbox: bubblewrap around the fork server, and namespaces around each job.

Bubblewrap needs no rights and no daemon. The fork server sees a file system with only the folders
named here, all read-only. It has no network and sees no other processes.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grading.sandbox import mounts
from grading.sandbox.backend import Backend, inside_settings
from grading.sandbox.jobs import SandboxError

COURSE = "/course"  # its path inside, whatever its path outside
INSIDE = "/sandbox/inside"
SCRATCH = "/scratch"  # of the inside's own `isolation`, too
FIRST_USER, USERS = 2**30, 2**28  # numbers that no account on a real machine has


def backend(*, program: bool = False) -> Backend:
    """The command line of bubblewrap.

    Raises:
        SandboxError: it is not installed.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxError("bubblewrap is not installed: apt-get install bubblewrap")
    user = _another_user()
    settings = inside_settings("namespaces", COURSE, user=user, program=program)
    given = mounts.environment(SCRATCH) | ({"PYTHONPATH": COURSE} if program else {})
    command = [found, *_away_from_everything(user), *_file_system(), *_environment(given)]
    return Backend("bubblewrap", [*command, *python_command(settings, INSIDE)])


def python_command(settings: dict[str, Any], inside: str) -> list[str]:
    """-I: neither the environment nor the working directory decides what is imported."""
    return [sys.executable, "-I", "-u", inside, json.dumps(settings)]


def _another_user() -> int | None:
    """A new user number for this sandbox if the grader is root; otherwise None."""
    return FIRST_USER + secrets.randbelow(USERS) if _is_real_root() else None


def _is_real_root() -> bool:
    """Root of the machine, not of a user namespace such as a rootless container's."""
    try:
        mapped = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return False
    return os.geteuid() == 0 and mapped == ["0", "0", "4294967295"]


def _away_from_everything(user: int | None) -> list[str]:
    rights = ["--cap-drop", "ALL"]
    if user is None:
        apart = ["--unshare-user"]
    else:
        # Only the rights to become that user, which `inside` does first.
        apart, rights = [], [*rights, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [
        *apart,
        "--unshare-pid",  # no process of the machine can be seen or signalled
        "--unshare-net",  # no network, the machine's own loopback included
        "--unshare-ipc",  # no shared memory with others
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--die-with-parent",  # killing the grader kills all of it
        "--new-session",  # no typing into the instructor's terminal
        "--hostname",
        "sandbox",
        *rights,
    ]


def _file_system() -> list[str]:
    """Only these folders; home, the class and the answers do not exist inside."""
    shown = [(path, str(path)) for path in mounts.python_folders()]
    shown += [(path, f"{COURSE}/{name}") for name, path in mounts.course_parts().items()]
    shown.append((mounts.INSIDE, INSIDE))
    binds = [word for path, place in shown for word in ("--ro-bind", str(path), place)]
    system, links = mounts.system_paths(), mounts.python_links()
    names = [word for name, path in links.items() for word in ("--symlink", str(path), str(name))]
    return [
        *_folders_above([*map(str, [*system, *links]), *(place for _, place in shown)]),
        *_system(system),
        *binds,
        *names,
        "--dir",
        f"{COURSE}/guidance",  # `distillery` recognises a course by it
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--perms",
        "1777",
        "--tmpfs",
        SCRATCH,  # the fork server's; each job gets its own on top
        # So that a job can neither leave anything behind for the next one nor fill memory with it.
        "--remount-ro",
        "/dev",
        "--remount-ro",
        "/",
        "--chdir",
        "/",
    ]


def _folders_above(places: Iterable[str]) -> list[str]:
    """Named one by one: folders that bubblewrap adds by itself may be readable only by root."""
    above = {str(folder) for place in places for folder in list(Path(place).parents)[:-1]}
    return [word for folder in sorted(above) for word in ("--dir", folder)]


def _system(paths: Iterable[Path]) -> list[str]:
    words = []
    for path in paths:
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        else:
            words += ["--ro-bind", str(path), str(path)]
    return words


def _environment(given: dict[str, str]) -> list[str]:
    """The whole environment: the grader's own may hold tokens and passwords."""
    words = ["--clearenv"]
    for name, value in given.items():
        words += ["--setenv", name, value]
    return words
