"""Run a whole program, such as a notebook, in its own sandbox."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from grading.sandbox import bubblewrap_backend
from grading.sandbox.fork_server_client import GRACE_S, Process
from grading.sandbox.inside.program import pack_files, unpack_files
from grading.sandbox.jobs import Ending, Limits, SandboxError

# The limit applies to each of its processes, and importing torch alone takes gigabytes of
# addresses.
USUAL = Limits(wall_s=600, cpu_s=600, memory_mb=12_288, scratch_mb=256, reply_bytes=64 * 2**20)


@dataclass(frozen=True)
class Ran:
    """The result of a program.

    ending:  "returned" even if its exit status is not 0.
    status:  its exit status; negative for the signal that ended it.
    printed: stdout and stderr, cut at the limit.
    files:   name within the folder -> contents, of all new and changed regular files. They are
        bytes that a student may have made: the caller decides where they go.
    """

    ending: Ending
    status: int
    printed: str
    files: dict[str, bytes] = field(default_factory=dict)


def run_program(argv: Sequence[str], folder: Path, limits: Limits = USUAL) -> Ran:
    """Run `argv` in a copy of the folder, with no network and none of this machine's files.

    Args:
        argv: the program and its arguments; `sys.executable` is there, with all its packages.
        folder: the program finds its regular files in its working directory and may write there.
            The folder itself does not change.
        limits: for the whole program; memory and processor time are for each of its processes.

    Raises:
        SandboxError: bubblewrap does not work here; weaker sandboxes cannot hold a program that
            starts processes. Nothing that the program does makes this raise.
    """
    nonce = secrets.token_hex(16)
    header = {"nonce": nonce, "limits": asdict(limits), "argv": list(argv)}
    deadline = time.monotonic() + limits.wall_s + GRACE_S
    process = Process(bubblewrap_backend.backend(program=True))
    try:
        process.send(header, pack_files(_files(folder)), deadline)
        report, body = process.receive(deadline, 2 * limits.reply_bytes)
        if report.get("nonce") != nonce or report["ending"] == "fault":
            raise SandboxError(f"bubblewrap: {report.get('why', 'a wrong answer')}")
        files = _checked(unpack_files(body))
        return Ran(report["ending"], report["status"], report["printed"], files)
    except (OSError, EOFError, ValueError) as error:
        raise SandboxError(f"bubblewrap: {error} ({process.last_words()})") from error
    finally:
        process.kill()


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _checked(files: dict[str, bytes]) -> dict[str, bytes]:
    """Only names that stay inside the folder."""
    return {
        name: data
        for name, data in files.items()
        if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
    }
