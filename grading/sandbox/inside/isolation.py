"""Isolates the process of one job: `prepare` in its supervisor, then `isolate` in the job itself.

The isolation is one of
    "namespaces"  the job has its own users, processes, mounts, network and IPC;
    "landlock"    it shares them with the supervisor, but can open only the files that it is given;
    "limits"      it has only limits and the filter of system calls.
"""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import kernel, landlock, seccomp

IS_LINUX = platform.system() == "Linux"
NOBODY = 65534
SCRATCH = "/scratch"  # not /tmp: Python itself may be installed there
MOST_FILES = 4096


def prepare(settings: dict[str, Any], bounds: dict[str, Any]) -> str:
    """Called by the supervisor before it forks the job; returns the job's folder."""
    if settings["isolation"] != "namespaces":
        return tempfile.mkdtemp(dir=settings["scratch"])
    _own_namespaces()
    _own_mounts(bounds["scratch_mb"])
    return SCRATCH


def isolate(settings: dict[str, Any], folder: str, *, processes: bool = False) -> None:
    """Called by the job's process. Nothing that it does afterwards can undo it."""
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder)
    tempfile.tempdir = None
    if settings["isolation"] == "landlock":
        # Against reading the grader's files and writing anywhere but in scratch.
        readable = [*settings["readable"], sys.prefix, sys.base_prefix]
        landlock.restrict(readable, [folder, "/dev/null"])
    if IS_LINUX:
        # Against a reader of this memory among the processes of the same user.
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        # Against the rights that a user namespace gives, such as root's right to mount.
        kernel.drop_capabilities()
    try:
        seccomp.forbid(processes=processes)
    except seccomp.UnsupportedError:
        if settings["isolation"] != "limits":
            raise


def _own_namespaces() -> None:
    """New namespaces for this process, and a process namespace for its children: the first is pid
    1.

    Own pids: a job cannot see or signal other processes, and everything that it starts dies with
        it. Own network: not even the loopback is up. Own IPC: no shared memory.
    """
    user, group = os.getuid(), os.getgid()
    kernel.unshare(kernel.OF_ITS_OWN)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


def _own_mounts(scratch_mb: int) -> None:
    bare = kernel.NO_SETUID | kernel.NO_DEVICES
    kernel.mount(
        "", "/", kernel.PRIVATE | kernel.RECURSIVE
    )  # our mounts do not reach other processes
    # A file system in memory with a size limit: every job gets an empty scratch and cannot fill a
    # disk.
    options = f"size={scratch_mb}m,nr_inodes={MOST_FILES},mode=0700"
    kernel.mount("tmpfs", SCRATCH, bare, options)
    # Against reading other processes' memory, environment and open files, especially the
    # supervisor's. Only one file of /proc is left; without it torch prints a warning and is slower.
    processor = Path("/proc/cpuinfo").read_bytes()
    hidden = bare | kernel.NO_PROGRAMS
    kernel.mount("tmpfs", "/proc", hidden, "size=4m,nr_inodes=4,mode=0755")
    Path("/proc/cpuinfo").write_bytes(processor)
    kernel.mount("", "/proc", hidden | kernel.READ_ONLY | kernel.CHANGED)


def keep_only(printed: int, *kept: int) -> None:
    """Leave open only an empty stdin, stdout and stderr to `printed`, and then `kept`.

    This closes everything else that the supervisor has open, especially the pipe to the grader.
    """
    empty = os.open(os.devnull, os.O_RDONLY)
    # First move them away from the descriptors that they are copied to.
    wanted = [fcntl.fcntl(fd, fcntl.F_DUPFD, 16) for fd in (empty, printed, printed, *kept)]
    for place, fd in enumerate(wanted):
        os.dup2(fd, place)
    os.closerange(len(wanted), os.sysconf("SC_OPEN_MAX"))


def become(user: int | None) -> None:
    """Change from root to a user that owns nothing on this machine.

    A job that escapes from its namespaces is then not root. The kernel also limits the number of
    threads of every user but root.
    """
    if user is None:
        return
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    # A process that changed its user cannot write its own map of users until this is set.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)


def die_with_parent() -> None:
    """End with the parent: a job with its supervisor, that with the fork server, and so on."""
    if IS_LINUX:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
