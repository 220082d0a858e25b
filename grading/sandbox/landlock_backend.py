"""For machines without bubblewrap: Landlock around each job, or only limits.

Both start the fork server as an ordinary process of the grader's user. Each job then isolates
itself. Sentences for the instructor say what this leaves open.
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
    "A job's scratch is on the grader's disk; the size of each file is limited, but not their sum.",
    "If the grader is root, the number of a job's threads is not limited.",
    "A job can find out which processes there are, but not what they do.",
    "A job can find out names, sizes and dates of the grader's files, but not their contents.",
)
SIGNALS = (
    "Only the filter of system calls stands between a job and the grader's processes, "
    "because this kernel's Landlock has no rule for signals (Linux 6.12 has).",
)
NOTHING_BUT_LIMITS = (
    "NOT ISOLATED: a job can read every file that the grader's user can: the answers, the hidden "
    "checks, the gradebook, other submissions and the home folder.",
    "NOT ISOLATED: a job can write and delete every file that the grader's user can.",
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
        raise SandboxError(
            "this kernel has no Landlock; Linux 5.13 or later has it, if it is switched on"
        )
    leaves_open = SHARED if version >= 6 else (*SHARED, *SIGNALS)
    return _shared("landlock", leaves_open)


def limits() -> Backend:
    """Limits, and the filter of system calls where the system has one."""
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
    """What Landlock lets a job open: the same as with bubblewrap, which has a /proc and /dev."""
    shown = [*mounts.python_folders(), *mounts.system_paths(), *mounts.course_parts().values()]
    devices = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]
    # Without /proc/cpuinfo torch cannot load the weights of a model.
    return [str(path) for path in [*shown, mounts.INSIDE]] + [*devices, "/proc/cpuinfo"]
