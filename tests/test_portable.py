"""What a student runs uses nothing that only POSIX has, and names its encodings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from distillery.setup import commands, environment_python

ROOT = Path(__file__).resolve().parent.parent
STUDENT = [
    *(ROOT / "distillery").rglob("*.py"),
    *(ROOT / "guidance").rglob("*.py"),
    *(ROOT / name for name in ("main.py", "eval.py", "demo.py")),
]
POSIX_ONLY = re.compile(
    r"os\.(fork|getuid|geteuid|killpg|setsid|symlink|sysconf)\b|\.symlink_to\("
    r"|^\s*(import|from) (fcntl|resource|pwd|grp|termios)\b"
    r"|SIG(KILL|ALRM|HUP)\b|[\"']/(tmp|dev|proc)\b",
    re.MULTILINE,
)
NO_ENCODING = re.compile(r"\.read_text\(\)|\.write_text\([^\"',()]*\)")


def faults(text: str) -> list[str]:
    """The parts of a program's text that work on POSIX alone, or depend on the locale."""
    return [hit[0].strip() for rule in (POSIX_ONLY, NO_ENCODING) for hit in rule.finditer(text)]


def test_what_a_student_runs_is_not_for_posix_alone():
    found = {str(file): faults(file.read_text("utf-8")) for file in STUDENT}
    assert {file: hits for file, hits in found.items() if hits} == {}


@pytest.mark.parametrize(
    "text", ["import fcntl", "os.fork()", 'open("/tmp/a")', "signal.SIGALRM", "a.read_text()"]
)
def test_a_fault_is_seen(text):
    assert faults(text)


def test_the_environment_without_make_has_what_the_makefile_installs():
    install = commands(ROOT)[-1]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f'--editable "{install[install.index("--editable") + 1]}" --group dev' in makefile


def test_windows_has_its_python_in_scripts():
    assert environment_python(Path("c"), "nt") == Path("c/.venv/Scripts/python.exe")
