"""Docker or podman around the fork server, if an engine answers and has an image for it.

The image contains Python and the packages that the course depends on, for example

    FROM python:3.11-slim
    COPY pyproject.toml constraints.txt ./
    RUN pip install -c constraints.txt \\
        accelerate diffusers numpy open-clip-torch opencv-python-headless peft pillow pyyaml \\
        safetensors torch torchvision tqdm transformers

Build it with `docker build -t score-distillery .`; for another name set $SCORE_DISTILLERY_IMAGE. A
CPU build of torch makes it several GB smaller. Engines forbid namespaces within a container, so
Landlock isolates each job there.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess

from grading.sandbox import mounts
from grading.sandbox.backend import Backend, inside_settings
from grading.sandbox.jobs import SandboxError

COURSE, INSIDE, HOME = "/course", "/sandbox/inside", "/scratch"
NOBODY = 65534
ANSWERS_S = 20
LEAVES_OPEN = (
    "Jobs of one container share its processes: the filter of system calls and Landlock, and no "
    "namespaces, stand between a job and the fork server.",
    "The jobs of one container share the size of its scratch.",
)
# What a job may open in the image, in addition to its Python.
READABLE = (COURSE, INSIDE, "/usr/lib", "/lib", "/lib64", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def backend() -> Backend:
    """The command line of the first engine that answers.

    Raises:
        SandboxError: no engine answers, or it does not have the image.
    """
    engine, image = _engine(), os.environ.get("SCORE_DISTILLERY_IMAGE", "score-distillery")
    if not _succeeds(engine, "image", "inspect", image):
        raise SandboxError(
            f"{engine} has no image {image}; grading/sandbox/container_backend.py says how to "
            "build it"
        )
    name = f"sandbox-{secrets.token_hex(8)}"
    settings = inside_settings("landlock", COURSE, scratch=HOME, readable=[*READABLE, *DEVICES])
    python = ["python", "-I", "-u", INSIDE, json.dumps(settings)]
    return Backend(
        engine,
        [engine, "run", *_options(name), *_volumes(), *_environment(), image, *python],
        environment={key: os.environ[key] for key in _ENGINES_OWN if key in os.environ},
        leaves_open=LEAVES_OPEN,
        # Killing the client does not kill the container.
        kill=lambda: _kill(engine, name),
    )


# Where the engine is and how to reach it; the container does not get these.
_ENGINES_OWN = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR")


def _engine() -> str:
    for engine in ("docker", "podman"):
        if shutil.which(engine) and _succeeds(engine, "info"):
            return engine
    raise SandboxError("no container engine answers: neither docker nor podman")


def _options(name: str) -> list[str]:
    return [
        "--rm",
        "--interactive",
        "--init",
        f"--name={name}",
        "--network=none",  # no route to anywhere
        "--read-only",  # nothing is left behind for the next job
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--user={NOBODY}:{NOBODY}",
        "--pids-limit=256",  # against fork bombs
        # An engine's default may be more than it is allowed to give.
        "--ulimit=nofile=1024:1024",
        "--ulimit=nproc=4096:4096",
        "--memory=4g",  # against memory hogs
        "--memory-swap=4g",
        "--ipc=none",
        f"--tmpfs={HOME}:rw,nosuid,nodev,size=256m,mode=1777",  # against disk fillers
        f"--workdir={HOME}",
        "--pull=never",
    ]


def _volumes() -> list[str]:
    shown = [(path, f"{COURSE}/{name}") for name, path in mounts.course_parts().items()]
    shown.append((mounts.INSIDE, INSIDE))
    return [f"--volume={path}:{place}:ro" for path, place in shown]


def _environment() -> list[str]:
    given = mounts.environment(HOME)
    del given["PATH"]  # the image knows where its Python is
    return [f"--env={name}={value}" for name, value in given.items()]


def _succeeds(*command: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=ANSWERS_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _kill(engine: str, name: str) -> None:
    _succeeds(engine, "kill", name)
