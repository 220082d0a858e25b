"""What one job's process is shut into. Two halves: what its supervisor prepares, and what it does last.

A cell is one of
    "namespaces"  the job has users, processes, mounts, network and IPC of its own;
    "landlock"    it shares them with the supervisor, but opens only the files that it is given;
    "limits"      it has nothing but limits and the filter of system calls.
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
SCRATCH = "/scratch"  # not /tmp: Python itself may lie there
MOST_FILES = 4096


def prepare(settings: dict[str, Any], bounds: dict[str, Any]) -> str:
    """Called by the supervisor before it forks the job; returns the folder that the job may fill."""
    if settings["cell"] != "namespaces":
        return tempfile.mkdtemp(dir=settings["scratch"])
    _own_namespaces()
    _own_mounts(bounds["scratch_mb"])
    return SCRATCH


def shut(settings: dict[str, Any], folder: str, *, processes: bool = False) -> None:
    """Called by the job's process; nothing that it does afterwards can take any of it back."""
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder)
    tempfile.tempdir = None
    if settings["cell"] == "landlock":
        # Against reading the grader's files and writing anywhere but in scratch.
        readable = [*settings["readable"], sys.prefix, sys.base_prefix]
        landlock.restrict(readable, [folder, "/dev/null"])
    if IS_LINUX:
        # Against a reader of this memory among the processes of the same user.
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        # Against what a user namespace gives: root's rights within it, such as to mount.
        kernel.drop_capabilities()
    try:
        seccomp.forbid(processes=processes)
    except seccomp.UnsupportedError:
        if settings["cell"] != "limits":
            raise


def _own_namespaces() -> None:
    """Of this process, and for processes those of its children: the first of them is pid 1.

    Pids of its own: a job sees and signals nobody else, and all it leaves behind dies with it.
    Network of its own: there is not even a loopback that is up. IPC of its own: no shared memory.
    """
    user, group = os.getuid(), os.getgid()
    kernel.unshare(kernel.OF_ITS_OWN)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


def _own_mounts(scratch_mb: int) -> None:
    bare = kernel.NO_SETUID | kernel.NO_DEVICES
    kernel.mount("", "/", kernel.PRIVATE | kernel.RECURSIVE)  # no mount of ours reaches others
    # Memory with a size: an untouched scratch for each job, and a filled one fills no disk.
    options = f"size={scratch_mb}m,nr_inodes={MOST_FILES},mode=0700"
    kernel.mount("tmpfs", SCRATCH, bare, options)
    # Against reading other processes' memory, environment and open files, the supervisor's above all.
    # What is left of /proc is one file, without which torch complains and calculates more slowly.
    processor = Path("/proc/cpuinfo").read_bytes()
    hidden = bare | kernel.NO_PROGRAMS
    kernel.mount("tmpfs", "/proc", hidden, "size=4m,nr_inodes=4,mode=0755")
    Path("/proc/cpuinfo").write_bytes(processor)
    kernel.mount("", "/proc", hidden | kernel.READ_ONLY | kernel.CHANGED)


def keep_only(printed: int, *kept: int) -> None:
    """An empty standard input, both outputs into `printed`, then `kept`, and no other open file.

    Whatever else the supervisor has open, the way back to the grader above all, is closed here.
    """
    empty = os.open(os.devnull, os.O_RDONLY)
    # First out of the way of the places that they are copied to.
    wanted = [fcntl.fcntl(fd, fcntl.F_DUPFD, 16) for fd in (empty, printed, printed, *kept)]
    for place, fd in enumerate(wanted):
        os.dup2(fd, place)
    os.closerange(len(wanted), os.sysconf("SC_OPEN_MAX"))


def become(user: int | None) -> None:
    """From real root to a user that owns nothing on this machine.

    Against a hole in the namespaces, behind which the job would be root; and the kernel bounds the
    number of anybody's threads but root's.
    """
    if user is None:
        return
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    # A process that changed its user may not write its own map of users until it says so.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)


def die_with_parent() -> None:
    """Against a job that outlives its supervisor, a supervisor its fork server, and that one the grader."""
    if IS_LINUX:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
