"""Limits the files that a process may open; Landlock needs neither root nor namespaces."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from . import kernel

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every machine
_EXECUTE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # since version
_MAKE_DEVICES = 1 << 6 | 1 << 11
_TCP = 0b11  # bind and connect, since version 4
_SCOPES = 0b11  # abstract sockets and signals, since version 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Version of the kernel's Landlock; 0 if the kernel has none."""
    try:
        return kernel.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def restrict(readable: Iterable[str], writable: Iterable[str]) -> None:
    """From now on this process can open only what is under these paths. It cannot undo this.

    What is under `writable` can neither be executed nor made into a device.

    Raises:
        OSError: there is no Landlock here, or one of `writable` is missing.
    """
    now = version()
    rights = next((_RIGHTS[v] for v in sorted(_RIGHTS, reverse=True) if v <= now), 0)
    ruleset = _Ruleset(rights, _TCP if now >= 4 else 0, _SCOPES if now >= 6 else 0)
    size = 24 if now >= 6 else 16 if now >= 4 else 8
    rules = kernel.syscall(
        _CREATE, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0)
    )
    for path in readable:
        if Path(path).exists():
            _allow(rules, path, _EXECUTE | _READ_FILE | _READ_FOLDER)
    for path in writable:
        _allow(rules, path, rights & ~_MAKE_DEVICES & ~_EXECUTE)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.syscall(_RESTRICT, ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not Path(path).is_dir():
        rights &= _FILE_RIGHTS
    beneath = _Beneath(rights, folder)
    try:
        kernel.syscall(
            _ADD_RULE,
            ctypes.c_int(rules),
            ctypes.c_int(1),
            ctypes.byref(beneath),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(folder)
