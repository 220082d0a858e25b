"""Tries the attacks of `escape_cases` on a sandbox, with bait laid out for them to find."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grading.sandbox.escape_cases import BAIT, ESCAPES, LEAVES, LOOKS, Escape
from grading.sandbox.jobs import Sandbox
from grading.sandbox.mounts import COURSE


@contextmanager
def laid_bait() -> Iterator[dict[str, Any]]:
    """Bait that no job may reach. Open the sandbox to be tested inside this context."""
    token = secrets.token_hex(16)
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with tempfile.TemporaryDirectory(dir=_a_home(), prefix="bait-") as folder, _listener() as port:
        gradebook = Path(folder) / "gradebook.db"
        gradebook.write_text(token)
        os.environ[BAIT] = token
        try:
            yield {
                "token": token,
                "gradebook": str(gradebook),
                "home": str(Path.home()),
                "course": str(COURSE),
                "port": port,
                "victim": victim.pid,
            }
        finally:
            del os.environ[BAIT]
            victim.kill()
            victim.wait()


def _a_home() -> str | None:
    home = Path.home()
    return str(home) if os.access(home, os.W_OK) else None


@contextmanager
def _listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def attempt_all(sandbox: Sandbox, bait: dict[str, Any]) -> Iterator[tuple[Escape, str]]:
    """Every attack, and what it achieved."""
    for escape in ESCAPES:
        yield escape, escape.attempt(sandbox, bait)
    LEAVES.attempt(sandbox, bait)
    yield LOOKS, LOOKS.attempt(sandbox, bait)
