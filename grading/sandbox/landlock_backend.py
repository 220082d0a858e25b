"""Where bubblewrap may not be used: Landlock around each job, or nothing but limits.

Both start the fork server as an ordinary process of the grader's user. Each job then shuts itself
in; what that leaves open stands beside it, for a person to read.
"""

from __future__ import annotations

import platform
import shutil
import tempfile

from grading.sandbox import mounts
from grading.sandbox.backend import Backend, inside_settings
from grading.sandbox.bubblewrap_backend import python_command
from grading.sandbox.inside import landlock as inside_landlock
from grading.sandbox.inside.seccomp import MACHINES
from grading.sandbox.jobs import SandboxError

SHARED = (
    "A job's scratch lies on the grader's disk; only the size of each file is bounded, not of all.",
    "Where the grader is root, nothing bounds the number of a job's threads.",
    "A job can find out which processes there are, but not what they do.",
    "Names, sizes and dates of the grader's files can be asked for, their contents cannot.",
)
SIGNALS = (
    "Only the filter of system calls stands between a job and the grader's processes, "
    "because this kernel's Landlock has no rule for signals (Linux 6.12 has).",
)
NOTHING_BUT_LIMITS = (
    "NOT ISOLATED: a job reads whatever the grader's user may read: the answers, the hidden "
    "checks, the gradebook, other submissions and his home.",
    "NOT ISOLATED: a job writes and deletes whatever the grader's user may.",
    "A job can fill the disk.",
)
NO_FILTER = (
    "NOT ISOLATED: a job has the network, can start processes that outlive it, and can signal "
    "every process of the grader's user, because this system has no filter of system calls.",
)


def landlock() -> Backend:
    """Landlock, the filter of system calls, and limits.

    Raises:
        SandboxError: this kernel has no Landlock, or the filter is not written for this machine.
    """
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        raise SandboxError("Landlock needs Linux on x86_64 or aarch64")
    version = inside_landlock.version()
    if version == 0:
        raise SandboxError("this kernel has no Landlock; Linux 5.13 has, where it is switched on")
    leaves_open = SHARED if version >= 6 else (*SHARED, *SIGNALS)
    return _shared("landlock", leaves_open)


def limits() -> Backend:
    """Limits, and where there is one the filter of system calls."""
    filtered = platform.system() == "Linux" and platform.machine() in MACHINES
    return _shared("limits", NOTHING_BUT_LIMITS if filtered else NOTHING_BUT_LIMITS + NO_FILTER)


def _shared(name: str, leaves_open: tuple[str, ...]) -> Backend:
    scratch = tempfile.mkdtemp(prefix="sandbox-")
    settings = inside_settings(name, str(mounts.COURSE), scratch=scratch, readable=readable_paths())
    return Backend(
        name,
        python_command(settings, str(mounts.INSIDE)),
        environment=mounts.environment(scratch),
        leaves_open=leaves_open,
        remove=lambda: shutil.rmtree(scratch, ignore_errors=True),
    )


def readable_paths() -> list[str]:
    """What Landlock lets a job open: the same that bubblewrap shows, and random numbers."""
    shown = [*mounts.python_folders(), *mounts.system_paths(), *mounts.course_parts().values()]
    devices = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]
    return [str(path) for path in [*shown, mounts.INSIDE]] + devices
