"""A PostgreSQL server for one test: empty, in a folder that goes with it, on no network."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DEBIAN = Path("/usr/lib/postgresql")  # where its packages put what is not on the PATH


def _folders() -> str:
    """The PATH, and Debian's folders of the server's programs, the newest first."""
    versions = sorted(DEBIAN.glob("*/bin"), key=lambda folder: -float(folder.parent.name))
    return os.pathsep.join([os.environ.get("PATH", ""), *map(str, versions)])


@contextlib.contextmanager
def scratch_postgres() -> Iterator[str]:
    """Yields the URL of an empty database; skips the test where there is no server to start."""
    pytest.importorskip("psycopg", reason="no psycopg: pip install .[postgres]")
    initdb, pg_ctl = (shutil.which(name, path=_folders()) for name in ("initdb", "pg_ctl"))
    if not (initdb and pg_ctl):
        pytest.skip("no PostgreSQL here")
    # The server refuses to run as root.
    nobody = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}
    rights = nobody if os.getuid() == 0 else {}

    def run(*command: str) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=True, cwd=folder, **rights, **quiet)

    # pytest's own folders are closed to nobody.
    folder = tempfile.mkdtemp(prefix="postgresql-")
    try:
        if rights:
            shutil.chown(folder, "nobody")
        data, options = f"{folder}/data", f"-c listen_addresses='' -c fsync=off -k {folder}"
        run(initdb, "-D", data, "-U", "course", "--auth", "trust", "--no-sync")
        run(pg_ctl, "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql://course@/postgres?host={folder}"
        finally:
            run(pg_ctl, "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
