"""Forbids system calls to a job, with a filter that the kernel itself runs.

Namespaces, limits and file rights already restrict what a job can reach. The filter adds what they
do not cover (new processes, signals), and parts of the kernel that a numerical function never needs
and that have had security holes.
"""

from __future__ import annotations

import ctypes
import errno
import platform
from collections.abc import Iterable

from . import kernel

# name -> numbers on x86_64 and aarch64; None if the call does not exist there.
Numbers = dict[str, tuple[int | None, int | None]]

REACHING_INTO_OTHERS: Numbers = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
}
CHANGING_THE_WORLD_AROUND: Numbers = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "mknod": (133, None),
    "mknodat": (259, 33),
}
PARTS_OF_THE_KERNEL: Numbers = {
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "memfd_secret": (447, 447),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "syslog": (103, 116),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "vhangup": (153, 58),
    "fanotify_init": (300, 262),
}
MAKING_PROCESSES: Numbers = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
}
# If a job has no namespaces, only these protect the grader's processes from it.
TOUCHING_OTHERS: Numbers = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "socket": (41, 198),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}
# Landlock always allows these to the owner of a file.
CHANGING_WHOSE_A_FILE_IS: Numbers = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "utime": (132, None),
    "utimes": (235, None),
    "utimensat": (280, 88),
    "futimesat": (261, None),
}
BY_ARGUMENT: Numbers = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "prlimit64": (302, 261),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "prctl": (157, 167),
    "socket": (41, 198),
}
FOR_EVERYTHING = REACHING_INTO_OTHERS | CHANGING_THE_WORLD_AROUND | PARTS_OF_THE_KERNEL
FOR_JOBS = MAKING_PROCESSES | TOUCHING_OTHERS | CHANGING_WHOSE_A_FILE_IS

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column and AUDIT_ARCH_*
X32 = 0x40000000  # bit of x32's system calls, a second interface of x86_64
CLONE_THREAD = 0x00010000
CLONE_NAMESPACES = 0x7E020000
# Through these a file can be told to send any signal to any process of the same user.
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15
FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # type into a terminal
FAMILIES = (1, 2, 10, 16)  # unix, IPv4, IPv6, netlink: those that a network namespace isolates

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in what the kernel hands to the filter
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_DENY = _ERROR | errno.EPERM
_ABSENT = _ERROR | errno.ENOSYS

Line = tuple[int, int, int, int]  # code, lines to skip if true, lines to skip if false, value


class UnsupportedError(Exception):
    """This machine has no filters, or not the ones written here."""


def forbid(*, processes: bool) -> None:
    """Apply the filter to this thread and everything it starts; it cannot be removed.

    processes: allow new processes and sockets, which a whole program needs, but no new namespaces.

    Raises:
        UnsupportedError: this is not Linux on x86_64 or aarch64.
        OSError: the kernel refuses.
    """
    lines = _program(processes)
    filters = (_Filter * len(lines))(*(_Filter(*line) for line in lines))
    program = _Program(len(lines), ctypes.cast(filters, ctypes.c_void_p))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(22, 2, ctypes.addressof(program))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


class _Filter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filters", ctypes.c_void_p))


def _program(processes: bool) -> list[Line]:
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in MACHINES:
        raise UnsupportedError(f"no filter of system calls for {platform.system()} on {machine}")
    column, architecture = MACHINES[machine]
    number = {name: numbers[column] for name, numbers in BY_ARGUMENT.items()}
    lines: list[Line] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, X32),
        (_RETURN, 0, 0, _DENY),
        # Its flags are in memory, which a filter cannot read; glibc falls back to clone.
        *_when(number["clone3"], _ABSENT),
        *_clone(number["clone"], processes),
        # Its first argument is the process; 0 is the caller itself.
        *_by_argument(number["prlimit64"], 0, allowed=(0,)),
        *_by_argument(number["fcntl"], 1, denied=(F_SETOWN, F_SETSIG, F_SETOWN_EX)),
        *_by_argument(number["ioctl"], 1, denied=(FIOSETOWN, SIOCSPGRP, TIOCSTI, TIOCLINUX)),
    ]
    if not processes:
        own = (kernel.PR_SET_PDEATHSIG, kernel.PR_SET_DUMPABLE)  # only the sandbox may set these
        lines += _by_argument(number["prctl"], 0, denied=own)
    else:
        lines += _by_argument(number["socket"], 0, allowed=FAMILIES)
    for numbers in (FOR_EVERYTHING if processes else FOR_EVERYTHING | FOR_JOBS).values():
        lines += _when(numbers[column], _DENY)
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def _when(number: int | None, answer: int) -> list[Line]:
    if number is None:
        return []
    return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]


def _clone(number: int | None, processes: bool) -> list[Line]:
    """Threads are made by clone too, so its flags decide."""
    if processes:
        test, if_any, if_none = CLONE_NAMESPACES, _DENY, _ALLOW
    else:
        test, if_any, if_none = CLONE_THREAD, _ALLOW, _DENY
    body: list[Line] = [
        (_LOAD, 0, 0, _ARGUMENTS),
        (_ANY_BIT, 0, 1, test),
        (_RETURN, 0, 0, if_any),
        (_RETURN, 0, 0, if_none),
    ]
    return _body(number, body)


def _by_argument(
    number: int | None, argument: int, *, allowed: Iterable[int] = (), denied: Iterable[int] = ()
) -> list[Line]:
    """Decide by the lower half of one argument; give `allowed` or `denied`."""
    body: list[Line] = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]
    for value in allowed:
        body += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    for value in denied:
        body += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _DENY)]
    return _body(number, [*body, (_RETURN, 0, 0, _DENY if allowed else _ALLOW)])


def _body(number: int | None, body: list[Line]) -> list[Line]:
    """Run these lines only for that call; every path through them must end in an answer."""
    assert number is not None
    return [(_EQUAL, 0, len(body), number), *body]
