"""What students run works on Windows and macOS too, as far as its text can tell."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.setup import commands, environment_python

ROOT = Path(__file__).resolve().parents[1]
STUDENTS = (
    "distillery/**/*.py",
    "guidance/*.py",
    "main.py",
    "eval.py",
    "demo.py",
    "grading/__init__.py",
    "grading/__main__.py",
    "grading/student/*.py",
    "grading/core/__init__.py",
    "grading/core/limits.py",
    "grading/core/manifest.py",
    "grading/core/notebook_cells.py",
)
FILES = [path for pattern in STUDENTS for path in sorted(ROOT.glob(pattern))]
POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_CALLS = {
    *(f"os.{name}" for name in ("fork", "geteuid", "getuid", "killpg", "mkfifo", "setsid", "wait")),
    *(f"os.{name}" for name in ("symlink", "uname", "sched_getaffinity", "getloadavg", "nice")),
    *(f"signal.{name}" for name in ("SIGALRM", "SIGKILL", "SIGHUP", "SIGUSR1", "alarm")),
    *(f"signal.{name}" for name in ("setitimer", "pthread_sigmask", "sigwait")),
    "time.tzset",
}
POSIX_FOLDERS = ("/dev/", "/etc/", "/home/", "/proc/", "/tmp", "/usr/", "/var/")
TEXT_FILES = {"read_text", "write_text", "open"}


def faults(source: str) -> Iterator[str]:
    """What of a module is POSIX alone, or depends on the system's encoding; with its line."""
    for node in ast.walk(ast.parse(source)):
        for fault in [*_names(node), *_folders(node), *_encodings(node)]:
            yield f"line {node.lineno}: {fault}"


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in POSIX_MODULES)
    if isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES:
        yield str(node.module)
    if isinstance(node, ast.ImportFrom) and node.module in ("os", "signal", "time"):
        names = (f"{node.module}.{alias.name}" for alias in node.names)
        yield from (name for name in names if name in POSIX_CALLS)
    if isinstance(node, ast.Attribute) and ast.unparse(node) in POSIX_CALLS:
        yield ast.unparse(node)
    if isinstance(node, ast.Attribute) and node.attr in ("symlink_to", "hardlink_to"):
        yield node.attr


def _folders(node: ast.AST) -> Iterator[str]:
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, str) and value.startswith(POSIX_FOLDERS):
        yield value


def _encodings(node: ast.AST) -> Iterator[str]:
    """Text files without an encoding, which on Windows are not UTF-8."""
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    if name not in TEXT_FILES or (not owner and name != "open"):
        return
    if owner in ("Image", "os", "webbrowser", "tarfile", "zipfile"):
        return
    modes = [*node.args, *(word.value for word in node.keywords if word.arg == "mode")]
    texts = [one.value for one in modes if isinstance(one, ast.Constant)]
    if any("b" in text for text in texts if isinstance(text, str) and len(text) < 4):
        return
    encoded = any(word.arg == "encoding" for word in node.keywords)
    if not encoded and "utf-8" not in texts and "utf-8-sig" not in texts:
        yield f"{name}() without encoding"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_students_run_is_not_for_posix_alone(path):
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl",
        "from pwd import getpwnam",
        "import os\nos.fork()",
        "from signal import SIGKILL",
        "path.symlink_to(other)",
        "folder = '/tmp/x'",
        "open('a')",
        "open('a', 'w')",
        "path.read_text()",
        "path.write_text(text)",
    ],
)
def test_each_kind_of_fault_is_found(source):
    assert list(faults(source))


@pytest.mark.parametrize(
    "source",
    [
        "open('a', 'rb')",
        "path.read_text(encoding='utf-8')",
        "path.read_text('utf-8')",
        "os.replace",
    ],
)
def test_what_works_everywhere_is_no_fault(source):
    assert not list(faults(source))


@pytest.mark.parametrize("command", [["words"], ["progress"], ["--help"], ["palettes"]], ids=str)
def test_commands_print_on_a_console_of_few_letters(command):
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "main.py", *command], cwd=ROOT, env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_path_that_the_console_cannot_print_is_spelt_out():
    code = "from distillery.core.program import run_program\nrun_program(lambda: print('лодка'))"
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(rb"\u043b")


def test_the_setup_needs_no_other_package():
    """It is read by a Python that has nothing installed, and refuses an older one."""
    code = "import sys; sys.version_info = (3, 9, 1); import distillery.setup as s; s.main()"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Python 3.10 or newer is needed" in done.stderr


def test_the_environment_without_make_has_what_the_makefile_installs():
    install = commands(ROOT)[-1]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f'--editable "{install[install.index("--editable") + 1]}" --group dev' in makefile


def test_windows_has_its_python_in_scripts():
    assert environment_python(Path("c"), "nt") == Path("c/.venv/Scripts/python.exe")
