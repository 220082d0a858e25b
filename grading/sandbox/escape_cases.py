"""Attacks on the sandbox: a list of cases, tried by the tests and by `python -m grading doctor`.

Each is what a hostile student might submit. It returns a list of what it achieved, which should be
empty, or the sandbox should end it in a given way. It is harmless even without a sandbox: it only
reads bait, kills only a process that was started for it, and fills little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from textwrap import dedent
from typing import Any

from grading.sandbox.jobs import Ending, Job, Limits, Reply, Sandbox

TIGHT = Limits(
    wall_s=20, cpu_s=10, memory_mb=512, scratch_mb=8, printed_bytes=1000, reply_bytes=2**20
)
HASTY = replace(TIGHT, wall_s=1.5)  # for what runs until it is stopped
BAIT = "SANDBOX_BAIT"


@dataclass(frozen=True)
class Escape:
    """One attack.

    name:    for a table.
    source:  a module with `probe()` that looks for `BAIT`.
    endings: how it should end; if "returned", with nothing found.
    open_in: the weaker sandboxes that do not stop it; they say so in `leaves_open`.
    limits:  what it may use.
    """

    name: str
    source: str
    endings: tuple[Ending, ...] = ("returned",)
    open_in: tuple[str, ...] = ()
    limits: Limits = TIGHT

    def attempt(self, sandbox: Sandbox, bait: dict[str, Any]) -> str:
        """What it achieved; empty if the sandbox held."""
        return self.found(sandbox.run(self.job(bait), self.limits))

    def job(self, bait: dict[str, Any]) -> Job:
        return Job("probe", "probe", f"BAIT = {bait!r}\n{COMMON}{dedent(self.source)}", {})

    def found(self, reply: Reply) -> str:
        if reply.ending not in self.endings:
            return f"it {reply.ending} {reply.raised or ''}".strip()
        if len(reply.printed) > TIGHT.printed_bytes:
            return "it printed more than it may"
        found = reply.facts.get("found")
        return ", ".join(map(str, found)) if isinstance(found, list) else ""


COMMON = dedent(
    """
    import ctypes, os, platform, signal, socket, subprocess, sys, threading, time
    libc = ctypes.CDLL(None, use_errno=True)
    X86 = platform.machine() == "x86_64"

    def got(**attempts):
        found = []
        for name, attempt in attempts.items():
            try:
                if attempt() is not False:
                    found.append(name)
            except BaseException:
                pass
        return found

    def call(x86, arm, *arguments):
        return libc.syscall(ctypes.c_long(x86 if X86 else arm), *arguments) >= 0
    """
)

ESCAPES = (
    Escape(
        "reach the network",
        """
        def probe():
            def connect(where):
                socket.create_connection(where, timeout=0.5).close()
            def datagram():
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                    one.sendto(b"x", ("127.0.0.1", 9))
            return got(
                this_machine=lambda: connect(("127.0.0.1", BAIT["port"])),
                another=lambda: connect(("1.1.1.1", 53)),
                metadata=lambda: connect(("169.254.169.254", 80)),
                datagram=datagram,
                netlink=lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
                virtual_machine=lambda: socket.socket(40, socket.SOCK_STREAM),
            )
        """,
    ),
    Escape(
        "read home, gradebook, answers, hidden checks",
        """
        def probe():
            course = BAIT["course"]
            files = {
                "gradebook": BAIT["gradebook"],
                "answers": course + "/reference/sds.py",
                "answers_beside": "/course/reference/sds.py",
                "checks": course + "/data/checks/sds.json",
                "checks_beside": "/course/data/checks/sds.json",
                "misconceptions": course + "/grading/stages/sds/misconceptions.py",
                "history": course + "/.git/HEAD",
                "tests": course + "/tests/conftest.py",
                "passwords": "/etc/shadow",
                "users": "/etc/passwd",
                "another_way": "/proc/self/root" + BAIT["gradebook"],
                "the_disk": "/dev/vda",
            }
            folders = got(
                home=lambda: bool(os.listdir(BAIT["home"]))
                and not set(os.listdir(BAIT["home"])) <= {".pyenv", ".local", "miniconda3"},
                course=lambda: "reference" in os.listdir(course),
            )
            return folders + got(**{name: lambda path=path: open(path, "rb").read(1)
                                    for name, path in files.items()})
        """,
        open_in=("limits",),
    ),
    Escape(
        "import the answers",
        """
        def probe():
            import importlib
            names = (
                "reference.sds",
                "grading.stages.known_answers",
                "grading.core.records",
                "tests.conftest",
            )
            return got(**{name: lambda name=name: importlib.import_module(name) for name in names})
        """,
        open_in=("limits",),
    ),
    Escape(
        "read the grader's environment",
        """
        def probe():
            found = got(inherited=lambda: BAIT["token"] in str(dict(os.environ)))
            for pid in ("1", "2", str(os.getppid()), str(BAIT["victim"])):
                path = "/proc/" + pid + "/environ"
                found += got(**{"of_" + pid: lambda: open(path, "rb").read(1) and True})
            return found
        """,
        open_in=("limits",),
    ),
    Escape(
        "see other processes",
        """
        def probe():
            def signalled(pid):
                return got(it=lambda: os.kill(pid, 0)) != []
            others = {*range(2, 300), BAIT["victim"]} - {os.getpid()}
            return got(
                listed=lambda: any(name.isdigit() for name in os.listdir("/proc")),
                signalled=lambda: any(signalled(pid) for pid in others),
                group=lambda: os.getpgid(BAIT["victim"]),
            )
        """,
        open_in=("landlock", "limits", "docker", "podman"),
    ),
    Escape(
        "kill the parent, or every process",
        """
        def probe():
            parent, victim = os.getppid(), BAIT["victim"]
            limit = (ctypes.c_ulong * 2)(0, 0)
            def own_file():
                import fcntl
                read, write = os.pipe()
                fcntl.fcntl(read, 10, signal.SIGKILL)
                fcntl.fcntl(read, fcntl.F_SETOWN, victim)
            return got(
                the_victim=lambda: os.kill(victim, signal.SIGKILL),
                the_parent=lambda: parent > 1 and os.kill(parent, signal.SIGKILL),
                everybody=lambda: False if os.getpid() != 1 else os.kill(-1, signal.SIGKILL),
                by_thread=lambda: call(200, 130, victim, 9),
                by_queue=lambda: call(129, 138, victim, 9, (ctypes.c_char * 128)()),
                by_limit=lambda: call(302, 261, parent or victim, 0, limit, None),
                by_file=own_file,
            )
        """,
    ),
    Escape(
        "reach into another process",
        """
        def probe():
            here = (ctypes.c_char * 64)()
            part = (ctypes.c_size_t * 2)(ctypes.addressof(here), 64)
            found = []
            for name, pid in (("parent", os.getppid()), ("victim", BAIT["victim"])):
                found += got(**{
                    "ptrace_" + name: lambda: call(101, 117, 16, pid, None, None),
                    "seize_" + name: lambda: call(101, 117, 0x4206, pid, None, None),
                    "read_" + name: lambda: call(310, 270, pid, part, 1, part, 1, 0),
                    "write_" + name: lambda: call(311, 271, pid, part, 1, part, 1, 0),
                    "mem_" + name: lambda: open("/proc/" + str(pid) + "/mem", "rb"),
                })
            return found + got(own_mem=lambda: open("/proc/self/mem", "rb"))
        """,
        open_in=("limits",),
    ),
    Escape(
        "start processes: fork bomb, daemon, shell",
        """
        def probe():
            def fork(make):
                child = make()
                if child == 0:
                    os._exit(0)
                return child > 0
            return got(
                fork=lambda: fork(os.fork),
                raw_fork=lambda: X86 and fork(lambda: libc.syscall(57)),
                raw_vfork_number=lambda: X86 and fork(lambda: libc.syscall(ctypes.c_long(58))),
                clone=lambda: fork(lambda: libc.syscall(56 if X86 else 220, 17, 0, 0, 0, 0)),
                clone3=lambda: fork(lambda: libc.syscall(
                    435, (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17), 88)),
                spawn=lambda: os.posix_spawn(sys.executable, ["python", "-c", "0"], {}),
                subprocess=lambda: subprocess.run([sys.executable, "-c", "0"]),
                shell=lambda: os.system("true") == 0,
                session=lambda: os.setsid(),
                old_numbers=lambda: X86 and fork(lambda: libc.syscall(0x40000000 + 57)),
            )
        """,
    ),
    Escape(
        "start threads without end",
        """
        def probe():
            threading.stack_size(65536)
            started = 0
            try:
                while started < 1000:
                    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                    started += 1
            except RuntimeError:
                pass
            return [str(started) + " threads"] if started > 200 else []
        """,
        # A limit on threads counts all threads of a user, and here a job has no user of its own.
        open_in=("landlock", "limits", "docker", "podman"),
    ),
    Escape(
        "take all memory",
        """
        def probe():
            hog = []
            while len(hog) < 64:
                hog.append(bytearray(b"x") * (64 << 20))
            return ["4 GB"]
        """,
        endings=("out of memory",),
    ),
    Escape(
        "take all memory by torch",
        """
        def probe():
            import torch
            return [str(torch.ones(2**30).numel())]
        """,
        endings=("out of memory",),
    ),
    Escape(
        "lift the limits",
        """
        def probe():
            import resource
            far = resource.RLIM_INFINITY
            names = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NPROC", "RLIMIT_CORE")
            return got(**{name: lambda name=name: resource.setrlimit(
                getattr(resource, name), (far, far)) for name in names})
        """,
    ),
    Escape(
        "fill the disk",
        """
        def probe():
            written, part = 0, b"x" * (1 << 20)
            try:
                for number in range(64):
                    with open("filler-%d" % number, "wb", buffering=0) as file:
                        written += file.write(part)
            except OSError:
                pass
            return [str(written >> 20) + " MB"] if written > 9 << 20 else []
        """,
        open_in=("landlock", "limits", "docker", "podman"),
    ),
    Escape(
        "write one file without end",
        """
        def probe():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            written, part = 0, b"x" * (1 << 20)
            try:
                with open("filler", "wb", buffering=0) as file:
                    while written < 64 << 20:
                        written += file.write(part)
            except OSError:
                pass
            return [str(written >> 20) + " MB"] if written > 9 << 20 else []
        """,
    ),
    Escape(
        "write outside its scratch",
        """
        def probe():
            import distillery
            places = ["/", "/course", "/dev", "/dev/shm", "/sandbox", "/usr/lib", "/etc",
                      "/var/tmp", sys.prefix, sys.base_prefix, os.path.dirname(distillery.__file__),
                      BAIT["home"], BAIT["course"], os.path.dirname(BAIT["gradebook"]),
                      os.path.dirname(os.getcwd())]
            def put(place):
                if os.path.realpath(place) == os.getcwd():
                    return False
                path = place + "/left-behind"
                open(path, "w").close()
                os.unlink(path)
            found = got(**{place: lambda place=place: put(place) for place in places})
            return found + got(
                rights=lambda: os.chmod(BAIT["gradebook"], 0o777),
                dates=lambda: os.utime(BAIT["gradebook"]),
                gone=lambda: os.rename(BAIT["gradebook"], BAIT["gradebook"] + "2"),
                link=lambda: os.link(BAIT["gradebook"], "copy"),
            )
        """,
        open_in=("limits",),
    ),
    Escape(
        "run forever and ignore signals",
        """
        def probe():
            for number in range(1, 65):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            while True:
                pass
        """,
        endings=("timed out",),
        limits=HASTY,
    ),
    Escape(
        "sleep forever",
        "def probe(): time.sleep(1e9)",
        endings=("timed out",),
        limits=HASTY,
    ),
    Escape(
        "print without end",
        """
        def probe():
            while True:
                print("x" * 10_000)
        """,
        endings=("timed out",),
        limits=HASTY,
    ),
    Escape("wait for somebody to type", "def probe(): return [input()]", endings=("raised",)),
    Escape(
        "answer without end",
        """
        def probe():
            return ["x" * (1 << 24)]
        """,
        endings=("too much",),
    ),
    Escape(
        "answer with bytes that are not an answer",
        """
        def probe():
            os.write(3, b"\\0\\0\\0\\5" + b"[" * 5 + b"not safetensors")
            os._exit(0)
        """,
        endings=("died",),
    ),
    Escape(
        "answer too deep",
        """
        def probe():
            deep = []
            for _ in range(500):
                deep = [deep]
            return deep
        """,
        endings=("died",),
    ),
    Escape(
        "answer in the grader's name, through open descriptors",
        """
        def probe():
            import json, struct
            head = json.dumps({"nonce": "0", "ending": "ended", "printed": "forged"}).encode()
            frame = struct.pack("!IQ", len(head), 0) + head
            found = []
            for fd in range(4, 1024):
                try:
                    os.fstat(fd)
                    found.append("descriptor %d" % fd)
                    os.write(fd, frame)
                except OSError:
                    pass
            return found + got(input=lambda: os.write(0, frame))
        """,
    ),
    Escape(
        "leave its namespaces",
        """
        def probe():
            return got(
                unshare=lambda: call(272, 97, 0x10000000),
                unshare_mounts=lambda: call(272, 97, 0x00020000),
                setns=lambda: call(308, 268, 0, 0),
                mount=lambda: call(165, 40, b"none", os.getcwd().encode(), b"tmpfs", 0, None),
                uncover=lambda: call(166, 39, b"/proc", 2),
                chroot=lambda: os.chroot("/"),
                pivot=lambda: call(155, 41, b"/", b"/"),
                device=lambda: os.mknod("disk", 0o60600, os.makedev(254, 0)),
                handle=lambda: call(304, 265, 0, None, 0),
                root=lambda: os.setuid(0) if os.getuid() else False,
                host=lambda: libc.sethostname(b"x", 1) == 0,
            )
        """,
    ),
    Escape(
        "use rare parts of the kernel",
        """
        def probe():
            zeros = (ctypes.c_char * 256)()
            return got(
                bpf=lambda: call(321, 280, 0, zeros, 120),
                perf=lambda: call(298, 241, zeros, 0, -1, -1, 0),
                io_uring=lambda: call(425, 425, 8, zeros),
                userfaultfd=lambda: call(323, 282, 1),
                keyring=lambda: call(250, 219, 0, -3, 1),
                key=lambda: call(248, 217, b"user", b"x", b"y", 1, -3),
                personality=lambda: call(135, 92, 0x0040000),
                shared_memory=lambda: call(29, 194, 4711, 4096, 0o1666),
                kernel_log=lambda: call(103, 116, 3, zeros, 256),
                clock=lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
            )
        """,
    ),
    Escape("crash", "def probe(): ctypes.string_at(0)", endings=("died",)),
    Escape("exit without an answer", "def probe(): os._exit(0)", endings=("died",)),
    Escape("abort", "def probe(): os.abort()", endings=("died",)),
    Escape("raise SystemExit", "def probe(): raise SystemExit", endings=("raised",)),
)

# One job leaves things behind; the next looks for them and removes them.
LEAVES = Escape(
    "leave something for the next job",
    """
    import builtins, torch
    def probe():
        sys.modules["left"] = builtins.left = torch.left = BAIT["token"]
        os.environ["LEFT"] = BAIT["token"]
        for place in (os.getcwd(), "/tmp", "/scratch", "/dev/shm", "/var/tmp"):
            got(left=lambda: open(place + "/left-" + BAIT["token"], "w").close())
        return []
    """,
)
LOOKS = Escape(
    LEAVES.name,
    """
    import builtins, torch
    def probe():
        found = got(
            module=lambda: "left" in sys.modules or hasattr(builtins, "left"),
            torch=lambda: hasattr(torch, "left"),
            environment=lambda: "LEFT" in os.environ,
            scratch=lambda: os.listdir(".") != [],
        )
        for place in ("/tmp", "/scratch", "/dev/shm", "/var/tmp"):
            found += got(**{place: lambda: os.unlink(place + "/left-" + BAIT["token"])})
        return found
    """,
    open_in=("limits",),
)
