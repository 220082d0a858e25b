"""What a student's code can do in a sandbox, and what it cannot."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from ctypes.util import find_library
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from distillery.core.errors import CourseError
from distillery.course.kinds import all_to_wire
from distillery.course.observe import Observation, conclude
from distillery.course.record import Recording, under
from distillery.course.tasks import Task, load_task
from grading.sandbox import container_backend, doctor, fixes, mounts, select_backend
from grading.sandbox.escape_cases import ESCAPES, LEAVES, LOOKS, TIGHT, Escape
from grading.sandbox.escapes import laid_bait
from grading.sandbox.fork_server_client import ForkServer
from grading.sandbox.inside import payload, seccomp
from grading.sandbox.jobs import Job, Limits, Raised, Reply, SandboxError
from grading.sandbox.parse_reply import read_reply
from grading.sandbox.program import run_program
from grading.sandbox.select_backend import open_sandbox

FAST = [escape for escape in ESCAPES if "timed out" not in escape.endings]
NAMES = [escape.name for escape in ESCAPES]


def opened(name: str) -> ForkServer:
    try:
        return select_backend.tried(name)
    except SandboxError as error:
        pytest.skip(f"no {name} here: {error}")


@pytest.fixture(scope="module")
def bait() -> Iterator[dict[str, Any]]:
    with laid_bait() as laid:
        yield laid


@pytest.fixture(scope="module")
def sandbox(bait: dict[str, Any]) -> Iterator[ForkServer]:
    with opened("bubblewrap") as one:
        yield one


@pytest.fixture(scope="module")
def landlock(bait: dict[str, Any]) -> Iterator[ForkServer]:
    with opened("landlock") as one:
        yield one


def probe(source: str) -> Job:
    return Job("probe", "probe", source, {})


def task(source: str, name: str = "sds.sds_grad") -> tuple[Job, Any]:
    stored = load_task(name)
    module, function = name.split(".")
    cases, tensors = all_to_wire([trial.case for trial in stored.trials])
    return Job("task", module, source, {"function": function, "cases": cases}, tensors), stored


def observations(reply: Reply, stored: Task) -> list[Observation]:
    pairs = enumerate(zip(reply.facts["recordings"], stored.trials, strict=False))
    return [
        conclude(Recording(facts, under(f"{place}/", reply.tensors)), trial.case)
        for place, (facts, trial) in pairs
    ]


def test_a_right_answer_comes_out_as_the_numbers_that_are_wanted(
    sandbox: ForkServer,
) -> None:
    job, stored = task((mounts.COURSE / "reference" / "sds.py").read_text())

    reply = sandbox.run(job)

    assert reply.ending == "returned"
    assert stored.passes(observations(reply, stored))


def test_an_exception_comes_with_its_message_and_the_students_own_line(
    sandbox: ForkServer,
) -> None:
    source = "def sds_grad(*arguments):\n    here = {}\n    return here['gone']\n"

    reply = sandbox.run(task(source)[0])

    assert reply.ending == "raised"
    assert reply.raised == Raised("KeyError", "'gone'", "return here['gone']")


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        ("def sds_grad(:\n", "SyntaxError", "def sds_grad(:"),
        ("import nowhere_to_be_found\n", "ModuleNotFoundError", "import nowhere_to_be_found"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt", "raise KeyboardInterrupt"),
        ("x = 1\n", "AttributeError", ""),
        ("x = '\ud800'\n", "UnicodeEncodeError", ""),
        (
            "class E(Exception):\n    def __str__(self): raise self\ndef sds_grad(*a): raise E\n",
            "E",
            "def sds_grad(*a): raise E",
        ),
    ],
)
def test_a_module_that_cannot_be_used_says_why(
    sandbox: ForkServer, source: str, kind: str, line: str
) -> None:
    reply = sandbox.run(task(source)[0])

    assert reply.raised is not None
    assert (reply.raised.kind, reply.raised.line) == (kind, line)


def test_what_is_printed_is_kept_up_to_its_limit(sandbox: ForkServer) -> None:
    source = "import sys\ndef probe():\n    print('out' * 9); print('err', file=sys.stderr)\n"

    reply = sandbox.run(probe(source), replace(TIGHT, printed_bytes=12))

    assert reply.printed == "err\noutoutou" or reply.printed == "outoutoutout"


def test_a_job_computes_gradients_and_starts_threads(sandbox: ForkServer) -> None:
    source = """
import threading, torch
def probe():
    x = torch.ones(3, 5, requires_grad=True)
    torch.nn.functional.conv1d((x * x)[None], torch.ones(2, 3, 3)).sum().backward()
    done = []
    thread = threading.Thread(target=done.append, args=(1,))
    thread.start(), thread.join()
    return [float(x.grad.sum()), done]
"""
    assert sandbox.run(probe(source)).facts == {"found": [2 * 2.0 * 27, [1]]}


def test_a_job_finds_the_models_of_the_course(sandbox: ForkServer) -> None:
    source = """
from distillery.core.files import REPOSITORY
from distillery.models.presets import find_preset
def probe():
    folder = REPOSITORY / find_preset("tiny-sd").ids[0]
    return sorted(path.name for path in folder.iterdir())
"""
    assert "unet" in sandbox.run(probe(source)).facts["found"]
    assert doctor._models_inside(sandbox).state == "ok"


@pytest.mark.parametrize("escape", [*ESCAPES, LOOKS], ids=[*NAMES, LOOKS.name])
def test_bubblewrap_holds(escape: Escape, sandbox: ForkServer, bait: dict[str, Any]) -> None:
    if escape is LOOKS:
        LEAVES.attempt(sandbox, bait)

    assert escape.attempt(sandbox, bait) == ""


def test_the_victim_and_the_gradebook_are_unharmed(bait: dict[str, Any]) -> None:
    assert psutil.pid_exists(bait["victim"])
    assert psutil.Process(bait["victim"]).status() != psutil.STATUS_ZOMBIE
    assert Path(bait["gradebook"]).read_text() == bait["token"]


def test_bubblewrap_finds_a_python_that_is_known_by_a_link(tmp_path: Path) -> None:
    opened("bubblewrap").close()
    (tmp_path / "linked").symlink_to(sys.prefix)
    program = tmp_path / "linked" / Path(sys.executable).relative_to(sys.prefix)
    code = "from grading.sandbox import select_backend; select_backend.tried('bubblewrap').close()"
    ran = subprocess.run(
        [program, "-c", code], cwd=mounts.COURSE, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_bubblewrap_leaves_nothing_open(sandbox: ForkServer) -> None:
    assert sandbox.leaves_open == ()


@pytest.mark.parametrize("escape", [*FAST, LOOKS], ids=lambda escape: escape.name)
def test_landlock_holds_what_it_promises(
    escape: Escape, landlock: ForkServer, bait: dict[str, Any]
) -> None:
    if "landlock" in escape.open_in:
        assert landlock.leaves_open
        return
    if escape is LOOKS:
        LEAVES.attempt(landlock, bait)

    assert escape.attempt(landlock, bait) == ""


def test_two_sandboxes_do_not_see_each_other(sandbox: ForkServer, bait: dict[str, Any]) -> None:
    stay = "import time\ndef probe():\n    open('/scratch/left-' + BAIT['token'], 'w').close()\n"
    stay = f"BAIT = {bait!r}\n{stay}    time.sleep(2)\n    return 'still here'\n"
    replies: list[Reply] = []
    with opened("bubblewrap") as other:
        thread = threading.Thread(target=lambda: replies.append(other.run(probe(stay))))
        thread.start()
        while not _jobs_of(other):
            time.sleep(0.02)
        seen = [
            escape.attempt(sandbox, bait)
            for escape in (LOOKS, *ESCAPES)
            if escape is LOOKS or escape.name.startswith(("see", "kill", "reach into"))
        ]
        thread.join()

    assert seen == [""] * 4
    assert replies[0].facts == {"found": "still here"}


def _fork_server(sandbox: ForkServer) -> psutil.Process:
    assert sandbox._parent is not None
    started = psutil.Process(sandbox._parent._process.pid)
    family = [started, *started.children(recursive=True)]
    return next(one for one in family if "python" in one.name())


def _jobs_of(sandbox: ForkServer) -> list[psutil.Process]:
    if sandbox._parent is None:
        return []
    return _fork_server(sandbox).children(recursive=True)


def test_fifty_jobs_leave_the_warm_parent_as_large_as_it_was(sandbox: ForkServer) -> None:
    payload = {"x": torch.randn(256, 1000)}
    job = Job("probe", "probe", f"def probe():\n    return {'y' * 100_000!r}\n", {}, payload)
    sandbox.run(job)
    parent = _fork_server(sandbox)
    before = parent.memory_info().rss
    for _ in range(50):
        assert sandbox.run(job).ending == "returned"

    assert parent.memory_info().rss - before < 2 * 2**20
    assert len(parent.children()) <= 1  # the last supervisor, which may be about to end


def test_a_sandbox_whose_parent_was_killed_says_so_and_works_again(
    landlock: ForkServer,
) -> None:
    parent = _fork_server(landlock)
    parent.kill()
    with pytest.raises(SandboxError, match="landlock: "):
        landlock.run(select_backend.NOTHING)

    assert landlock.run(select_backend.NOTHING).ending == "returned"
    assert _fork_server(landlock).pid != parent.pid


SUPERVISOR = """
import sys
from grading.sandbox import select_backend
from grading.sandbox.jobs import Job, Limits
sandbox = select_backend.tried(sys.argv[1])
print("open", flush=True)
sandbox.run(Job("probe", "probe", "def probe():\\n    while True: pass\\n", {}), Limits(wall_s=60))
"""


@pytest.mark.parametrize(("name", "processes"), [("bubblewrap", 5), ("landlock", 3)])
def test_killing_the_grader_kills_everything(
    name: str, processes: int, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("sandbox" if name == "bubblewrap" else name)
    command = [sys.executable, "-c", SUPERVISOR, name]
    grader = subprocess.Popen(command, cwd=mounts.COURSE, stdout=subprocess.PIPE, text=True)
    assert grader.stdout is not None
    assert grader.stdout.readline() == "open\n"
    family: list[psutil.Process] = []
    while len(family) < processes:  # up to the supervisor and the job
        family = psutil.Process(grader.pid).children(recursive=True)
        time.sleep(0.1)
    grader.send_signal(signal.SIGKILL)
    grader.communicate()
    _, alive = psutil.wait_procs(family, timeout=20)

    assert alive == []


def test_a_sandbox_opened_in_a_thread_outlives_it(sandbox: ForkServer) -> None:
    """The kernel's "die with the parent" means the thread; sandboxes are started by one that stays.

    The module's own was opened by the main thread, so a fresh parent is started by another.
    """
    sandbox._stop()
    thread = threading.Thread(target=sandbox.run, args=(select_backend.NOTHING,))
    thread.start(), thread.join()
    parent = _fork_server(sandbox)
    time.sleep(0.2)

    assert parent.is_running()
    assert sandbox.run(select_backend.NOTHING).ending == "returned"
    assert _fork_server(sandbox) == parent


def test_a_program_runs_in_a_copy_of_its_folder_and_hands_back_what_it_made(
    sandbox: ForkServer, tmp_path: Path, bait: dict[str, Any]
) -> None:
    (tmp_path / "in.txt").write_text("given")
    (tmp_path / "gone.txt").symlink_to(bait["gradebook"])
    source = f"""
import os, subprocess, sys
print(open("in.txt").read(), os.path.exists("gone.txt"), os.path.exists({bait["gradebook"]!r}))
subprocess.run([sys.executable, "-c", "import distillery; open('out.txt', 'w').write('made')"])
os.symlink("/etc/hostname", "link")
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
sys.exit(3)
"""
    ran = run_program([sys.executable, "-c", source], tmp_path)

    assert (ran.ending, ran.status) == ("returned", 3)
    assert ran.printed == "given False False\n"
    assert ran.files == {"out.txt": b"made"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gone.txt", "in.txt"]


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        ("import os\nwhile True:\n try: os.fork()\n except OSError: pass", "timed out"),
        ("import time; time.sleep(1e9)", "timed out"),
        ("open('big', 'wb').write(bytes(6 << 20))", "too much"),
        ("import os; os.kill(os.getppid() or 1, 9); os.abort()", "died"),
    ],
)
def test_a_program_that_does_not_end_well_is_ended(
    sandbox: ForkServer, tmp_path: Path, source: str, ending: str
) -> None:
    limits = Limits(wall_s=2, cpu_s=2, memory_mb=4096, scratch_mb=64, reply_bytes=2**20)

    ran = run_program([sys.executable, "-c", source], tmp_path, limits)

    assert ran.ending == ending


def body(said: Any, arrays: bytes = b"\x02\0\0\0\0\0\0\0{}") -> bytes:
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    return payload.LENGTH.pack(len(text)) + text + arrays


def safetensors(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


GOOD = {"ending": "returned", "facts": {"calls": 2}}


def test_a_reply_is_read() -> None:
    tensors = {"value": torch.randn(3, 2, 5), "some": torch.tensor([True, False])}

    reply = read_reply(payload.pack(GOOD, tensors), "printed")

    assert (reply.ending, reply.facts, reply.printed) == ("returned", {"calls": 2}, "printed")
    assert torch.equal(reply.tensors["value"], tensors["value"])
    assert torch.equal(reply.tensors["some"], tensors["some"])


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\0\0",
        b"\xff\xff\xff\xff",
        body(b"[" * 100_000),
        body(b"9" * 10_000),
        body(b"\xff\xfe"),
        body(b'{"ending": "returned", "facts": {"x": "\\ud800"}}'),
        body([]),
        body({"ending": "ended", "facts": {}}),
        body({"ending": "returned", "facts": []}),
        body({"ending": "returned", "facts": {"x": [0] * 200_000}}),
        body({"ending": "raised", "raised": {"kind": "E", "message": 3, "line": ""}}),
        body(GOOD, b""),
        body(GOOD, b"\xff" * 64),
        body(GOOD, b"\x80\x05pickle"),
        body(
            GOOD,
            safetensors({"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}, b"1"),
        ),
        body(
            GOOD,
            safetensors({"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, b"1234"),
        ),
        body(
            GOOD,
            safetensors(
                {"x": {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}}, b""
            ),
        ),
    ],
    ids=range(18),
)
def test_what_is_no_reply_ends_as_died(hostile: bytes) -> None:
    assert read_reply(hostile, "") == Reply("died")


def test_half_characters_of_a_message_are_replaced() -> None:
    raised = {"kind": "E", "message": "a\ud800b", "line": ""}
    said = {"ending": "raised", "raised": raised, "facts": {}}

    assert read_reply(body(said), "").raised == Raised("E", "a?b", "")


def test_bytes_of_a_boolean_tensor_count_as_true_unless_zero() -> None:
    header = {"x": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]}}

    reply = read_reply(body(GOOD, safetensors(header, b"\0\1\x40")), "")

    assert reply.tensors["x"].tolist() == [False, True, True]
    assert reply.tensors["x"].dtype == torch.bool


def test_the_numbers_of_system_calls_are_those_of_libseccomp() -> None:
    import ctypes

    found = find_library("seccomp")
    if found is None:
        pytest.skip("libseccomp is not installed")
    resolve = ctypes.CDLL(found).seccomp_syscall_resolve_name_arch
    newer = {"setxattrat", "removexattrat", "open_tree_attr", "file_setattr", "fchmodat2"}
    known = seccomp.FOR_EVERYTHING | seccomp.FOR_JOBS | seccomp.BY_ARGUMENT
    for column, architecture in seccomp.MACHINES.values():
        for name in known.keys() - newer:
            number = resolve(ctypes.c_uint32(architecture), name.encode())
            assert known[name][column] == (number if number >= 0 else None), name


def test_only_names_of_sandboxes_are_sandboxes() -> None:
    with pytest.raises(CourseError, match="no sandbox is called 'sandcastle': choose bubblewrap"):
        open_sandbox("sandcastle")


def test_limits_alone_are_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise SandboxError("broken")

    for name in select_backend.BACKENDS:
        if name != "limits":
            monkeypatch.setitem(select_backend.BACKENDS, name, broken)
    with pytest.raises(CourseError, match=r"bubblewrap \(broken\).*landlock \(broken\)"):
        open_sandbox()


def test_the_next_sandbox_is_opened_where_the_strongest_does_not_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    tried = []
    monkeypatch.setattr(select_backend, "tried", lambda name: tried.append(name) or _fail(name))
    with pytest.raises(CourseError):
        open_sandbox()

    assert tried == ["bubblewrap", "container", "landlock"]


def _fail(name: str) -> Any:
    raise SandboxError(name)


FAKE_ENGINE = """#!{python}
# Understands what is asked of an engine, and does it by bubblewrap; the log says what was asked.
import json, os, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    print(json.dumps(words), file=log)
if words[0] != "run":
    sys.exit(0)
image = words.index("score-distillery")
bwrap = [{bwrap!r}, "--unshare-pid", "--unshare-net", "--die-with-parent", "--clearenv", *{image!r}]
for word in words[1:image]:
    kind, _, value = word.partition("=")
    if kind == "--volume":
        source, place, mode = value.split(":")
        bwrap += ["--ro-bind", source, place]
    if kind == "--tmpfs":
        bwrap += ["--tmpfs", value.split(":")[0]]
    if kind == "--env":
        bwrap += ["--setenv", *value.split("=", 1)]
os.execv(bwrap[0], [*bwrap, {python!r}, *words[image + 2:]])
"""


def image() -> list[str]:
    """What stands for the image: this machine's Python."""
    binds = [word for path in mounts.python_folders() for word in ("--ro-bind", path, path)]
    libraries = ["--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib"]
    libraries += ["--symlink", "usr/lib64", "/lib64"]
    return [*map(str, binds), *libraries, "--dev", "/dev", "--proc", "/proc"]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a `docker` on PATH that is none; its containers are bubblewrap's."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("the fake engine needs bubblewrap")
    with opened("bubblewrap"):
        pass  # it may be here and not be allowed to do anything
    fake, log = tmp_path / "docker", tmp_path / "log"
    fake.write_text(
        FAKE_ENGINE.format(python=sys.executable, log=str(log), bwrap=bwrap, image=image())
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return log


def test_a_container_gets_nothing_but_what_a_job_needs(engine: Path) -> None:
    command = container_backend.backend().command
    volumes = [word for word in command if word.startswith("--volume=")]

    assert {"--network=none", "--read-only", "--cap-drop=ALL", "--pids-limit=256"} <= {*command}
    assert all(volume.endswith(":ro") for volume in volumes)
    assert not any(part in " ".join(volumes) for part in ("reference", "checks", ".git", "tests"))
    assert [json.loads(line)[0] for line in engine.read_text().splitlines()] == ["info", "image"]


def test_a_job_in_a_container_is_shut_in_like_one_of_landlock(
    engine: Path, bait: dict[str, Any]
) -> None:
    with select_backend.tried("container") as one:
        left = {
            escape.name: escape.attempt(one, bait)
            for escape in FAST
            if escape.name.startswith(
                ("read", "import", "kill", "start processes", "write outside")
            )
        }

    assert one.name == "docker"
    assert one.leaves_open
    assert set(left.values()) == {""}
    last = json.loads(engine.read_text().splitlines()[-1])
    assert last[0] == "kill"
    assert last[1].startswith("sandbox-")


def test_no_engine_means_no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match="no container engine answers"):
        container_backend.backend()


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("bubblewrap is not installed: apt-get", "apt-get install bubblewrap"),
        ("bwrap: Unknown option --perms", "older than 0.5"),
        ("bwrap: setting up uid map: Permission denied", "namespaces"),
        ("unshare: Operation not permitted", "namespaces"),
        ("it ended unasked (ModuleNotFoundError)", None),
    ],
)
def test_a_known_reason_has_a_remedy(reason: str, advice: str | None) -> None:
    said = fixes.fix_for(reason)

    assert (advice in said) if advice else said == ""


@pytest.mark.parametrize(
    ("setting", "value", "advice"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "restrict_unprivileged_userns=0"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone"),
        ("none", "", "--security-opt seccomp=unconfined"),
    ],
)
def test_the_remedy_is_that_of_this_system(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, advice: str
) -> None:
    monkeypatch.setattr(fixes, "_setting", lambda name: value if name == setting else "")

    assert advice in fixes.fix_for("bwrap: setting up uid map: Permission denied")


def test_no_answer_and_no_check_is_shown_to_a_sandbox() -> None:
    shown = mounts.course_parts()

    assert {"distillery", "data/models"} <= shown.keys()
    assert "data/checks" not in shown
    assert all(path.exists() for path in shown.values())
    assert os.path.commonpath([mounts.INSIDE, mounts.COURSE / "grading"]) not in map(
        str, shown.values()
    )
