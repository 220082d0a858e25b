"""The outer half of a sandbox: starts the fork server, sends it jobs, reads its reports."""

from __future__ import annotations

import json
import os
import secrets
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from types import TracebackType
from typing import IO, Any

from grading.sandbox.backend import Backend
from grading.sandbox.inside.frames import FRAME, LONGEST_HEADER
from grading.sandbox.inside.payload import pack
from grading.sandbox.jobs import Job, Limits, Reply, SandboxError
from grading.sandbox.parse_reply import read_reply
from grading.stages import imports_of

START_S = 300.0  # a cold disk, and models to be loaded
# The fork server loads them before the first job that needs them.
FOR_PICTURES = (
    "distillery.models.stable_diffusion",
    "distillery.course.submission_pictures",
)
# The supervisor ends a job that takes too long. If it does not, the sandbox is at fault, not the
# job.
GRACE_S = 60.0
USUAL = Limits()
CHUNK = 1 << 16
LAST_WORDS = 2000


class ForkServer:
    """A `Sandbox` with one fork server, which starts with the first job."""

    def __init__(self, backend: Backend) -> None:
        self.name = backend.name
        self.leaves_open = backend.leaves_open
        self._backend = backend
        self._wanted: set[str] = set()  # modules to be imported before the next job
        self._warm: set[str] = set()  # those that are
        self._parent: Process | None = None
        self._lock = threading.Lock()

    def run(self, job: Job, limits: Limits = USUAL) -> Reply:
        """Run one job; see `Sandbox.run`."""
        with self._lock:
            self._wanted |= imports_of(job.module)
            if job.kind == "picture":
                from distillery.course.submission_pictures import kind_module

                self._wanted |= {*FOR_PICTURES, kind_module(job.facts)}
            self._make_warm()
            return self._run(job, limits)

    def _make_warm(self) -> None:
        if self._parent is None:
            self._parent, self._warm = Process(self._backend), set()
        elif self._wanted <= self._warm:
            return
        with self._fatal():
            deadline = time.monotonic() + START_S
            self._parent.send({"warm": sorted(self._wanted)}, b"", deadline)
            if self._parent.receive(deadline, 0)[0] != {"ready": True}:
                raise SandboxError("it did not report that it is ready")
            self._warm = set(self._wanted)

    def _run(self, job: Job, limits: Limits) -> Reply:
        assert self._parent is not None
        nonce = secrets.token_hex(16)
        asked = {"kind": job.kind, "module": job.module, "source": job.source, "facts": job.facts}
        deadline = time.monotonic() + limits.wall_s + GRACE_S
        with self._fatal():
            body = pack(asked, job.tensors)
            self._parent.send({"nonce": nonce, "limits": asdict(limits)}, body, deadline)
            report, reply = self._parent.receive(deadline, limits.reply_bytes)
            if report.get("nonce") != nonce:
                raise SandboxError("it answered another request")
            if report["ending"] == "fault":
                raise SandboxError(report["why"])
        if report["ending"] == "ended":
            return read_reply(reply, report["printed"])
        return Reply(report["ending"], printed=report["printed"])

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        """After a failure the pipes are unusable: the next job gets a new fork server."""
        try:
            yield
        except (OSError, EOFError, ValueError, SandboxError) as error:
            said = self._parent.last_words() if self._parent else ""
            self._stop()
            raise SandboxError(f"{self.name}: {error}{f' ({said})' if said else ''}") from error
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        if self._parent is not None:
            self._parent.kill()
            self._parent = None

    def close(self) -> None:
        self._stop()
        self._backend.remove()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Process:
    """What the backend's command started, and the frames to and from it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._said = tempfile.TemporaryFile()  # noqa: SIM115, closed by kill()
        self._process = _started(backend, self._said)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)

    def send(self, header: dict[str, Any], body: bytes, deadline: float) -> None:
        head = json.dumps(header).encode()
        left = memoryview(FRAME.pack(len(head), len(body)) + head + body)
        while left:
            _wait(self._to, selectors.EVENT_WRITE, deadline)
            left = left[os.write(self._to, left[:CHUNK]) :]

    def receive(self, deadline: float, most: int) -> tuple[dict[str, Any], bytes]:
        """A frame whose body has at most `most` bytes."""
        head, body = FRAME.unpack(self._read(FRAME.size, deadline))
        if head > LONGEST_HEADER or body > most:
            raise ValueError("a frame that is too long")
        return json.loads(self._read(head, deadline)), self._read(body, deadline)

    def _read(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            _wait(self._from, selectors.EVENT_READ, deadline)
            part = os.read(self._from, min(count - len(data), CHUNK))
            if not part:
                raise EOFError("it ended unexpectedly")
            data += part
        return bytes(data)

    def last_words(self) -> str:
        """The last characters that it wrote to standard error."""
        self._process.poll()
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - LAST_WORDS))
        return " ".join(self._said.read().decode("utf-8", "replace").split())

    def kill(self) -> None:
        self._backend.kill()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        self._process.wait()
        self._said.close()


def _started(backend: Backend, said: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start it from a thread that lives as long as it does.

    For the kernel's "die with the parent" the parent is the thread that forked, and a caller's
    thread may end early.
    """
    made: list[subprocess.Popen[bytes] | OSError] = []
    ready = threading.Event()

    def live() -> None:
        try:
            process = subprocess.Popen(
                backend.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=backend.environment,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is the grader's to handle
            )
        except OSError as error:
            made.append(error)
            ready.set()
            return
        made.append(process)
        ready.set()
        process.wait()

    threading.Thread(target=live, daemon=True, name="sandbox").start()
    ready.wait()
    if isinstance(made[0], OSError):
        raise SandboxError(f"{backend.command[0]} cannot be started: {made[0]}") from made[0]
    return made[0]


def _wait(fd: int, event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(fd, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError("it did not answer in time")
