"""Open the strongest sandbox that works on this machine."""

from __future__ import annotations

from collections.abc import Callable

from distillery.core.errors import CourseError
from grading.sandbox import bubblewrap_backend, container_backend, landlock_backend
from grading.sandbox.backend import Backend
from grading.sandbox.fork_server_client import ForkServer
from grading.sandbox.jobs import Job, SandboxError

# The strongest first. The last is used only if it is named.
BACKENDS: dict[str, Callable[[], Backend]] = {
    "bubblewrap": bubblewrap_backend.backend,
    "container": container_backend.backend,
    "landlock": landlock_backend.landlock,
    "limits": landlock_backend.limits,
}
ON_REQUEST = "limits"
NOTHING = Job("probe", "probe", "def probe():\n    return 'here'\n", {})


def open_sandbox(name: str | None = None) -> ForkServer:
    """A sandbox that has run a first, empty job.

    Args:
        name: a name of `BACKENDS`; by default the strongest that works here, but never "limits",
            which does not keep a job from reading the answers and the gradebook.

    Raises:
        CourseError: the name is unknown, or no sandbox works here.
    """
    if name is not None and name not in BACKENDS:
        raise CourseError(f"no sandbox is called {name!r}: choose {', '.join(BACKENDS)}.")
    names = [name] if name else [one for one in BACKENDS if one != ON_REQUEST]
    reasons = []
    for one in names:
        try:
            return tried(one)
        except SandboxError as error:
            reasons.append(f"{one} ({error})")
    raise CourseError(
        f"no sandbox works here: {'; '.join(reasons)}. `python -m grading doctor` says what to do."
    )


def tried(name: str) -> ForkServer:
    """The sandbox of that name, after it has run a first job.

    Raises:
        SandboxError: it does not work here.
    """
    sandbox = ForkServer(BACKENDS[name]())
    try:
        reply = sandbox.run(NOTHING)
        if reply.facts != {"found": "here"}:
            raise SandboxError(f"a job that does nothing {reply.ending} in it")
    except BaseException:
        sandbox.close()
        raise
    return sandbox
