"""Classes in git: the last commit until the due date counts, and no repository can do harm."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import yaml
from nbgrader.api import Gradebook

from grading.authoring.build import ROOT
from grading.core.nbgrader_config import write_settings
from grading.core.submission import Submission
from grading.intake import collect
from grading.intake.clean_folder import load_intake
from grading.stages import STAGES

NAME = STAGES[0].folder
BEFORE, DUE, AFTER = "2026-11-20T12:00+00:00", "2026-11-22T00:00Z", "2026-11-23T12:00+00:00"
PROGRAMS = (  # settings that name a program, which git runs when it meets them
    "core.fsmonitor",
    "core.pager",
    "core.sshCommand",
    "core.alternateRefsCommand",
    "gpg.program",
    "filter.trap.smudge",
    "filter.trap.process",
    "diff.trap.textconv",
    "diff.external",
    "uploadpack.packObjectsHook",
)

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "class" / "release" / NAME
    folder.mkdir(parents=True)
    shutil.copy(ROOT / STAGES[0].notebook, folder)
    return tmp_path / "class"


def git(folder: Path, *arguments: str, when: str = BEFORE, stdin: bytes = b"") -> str:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "Ada Lovelace"), ("EMAIL", "ada@example.org"), ("DATE", when))}  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **who}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def write(folder: Path, mark: str) -> None:
    notebook = nbformat.read(ROOT / STAGES[0].notebook, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell(mark))
    nbformat.write(notebook, folder / f"{NAME}.ipynb")


def commit(folder: Path, mark: str, when: str = BEFORE) -> None:
    write(folder, mark)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", mark, when=when)


@pytest.fixture
def ada(tmp_path: Path) -> Path:
    """A repository with one commit in time."""
    folder = tmp_path / "clones" / f"{NAME}-al1815"
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "in time")
    return folder


def run(course: Path, clones: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    options = [NAME, "--course", str(course), "--git", str(clones), "--until", DUE, *more]
    assert collect.main(options) == 0
    return capsys.readouterr().out


def mark_of(course: Path, student: str = "al1815") -> str:
    path = course / "submitted" / student / NAME / f"{NAME}.ipynb"
    return nbformat.read(path, as_version=4).cells[-1].source


def kinds(course: Path) -> list[str]:
    intake = load_intake(Submission(course, "al1815", NAME))
    assert intake is not None
    return [flag.kind for flag in intake.flags]


def test_the_last_commit_until_the_due_date_counts_and_says_by_whom(course, ada, capsys):
    commit(ada, "too late", AFTER)
    said = run(course, ada.parent, capsys)
    assert mark_of(course) == "in time"
    assert "by 'Ada Lovelace <ada@example.org>', 1 later not counted" in said
    assert "Fri 20 Nov 2026 12:00" in said
    assert "what the student's own computer wrote" in said
    assert "unchanged" in run(course, ada.parent, capsys)


def test_an_extension_moves_the_due_date_of_its_student_alone(course, ada, capsys):
    shutil.copytree(ada, ada.with_name("grace"))
    for clone in (ada, ada.with_name("grace")):
        commit(clone, "a day later", AFTER)
    write_settings(course, root=ROOT, replace_yours=False, say=print)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "class") as gradebook:
        gradebook.add_assignment(NAME, duedate=DUE)
        for student in ("al1815", "grace"):
            gradebook.add_student(student)
            gradebook.add_submission(NAME, student)
        gradebook.grant_extension(NAME, "al1815", days=2)
    run(course, ada.parent, capsys)  # --until is for everybody
    assert mark_of(course) == "in time"
    collect.main([NAME, "--course", str(course), "--git", str(ada.parent)])
    assert mark_of(course) == "a day later"
    assert mark_of(course, "grace") == "in time"


def test_without_a_commit_in_time_the_last_one_counts_and_keeps_its_time(course, ada, capsys):
    git(ada, "commit", "-q", "--amend", "-m", "late", when=AFTER)
    assert "Mon 23 Nov 2026 12:00" in run(course, ada.parent, capsys)


def test_what_was_fetched_and_not_merged_counts_too(course, ada, capsys, tmp_path):
    clones = tmp_path / "teacher"
    clones.mkdir()
    git(clones, "clone", "-q", str(ada), "al1815")
    commit(ada, "second", "2026-11-21T12:00+00:00")
    git(clones / "al1815", "fetch", "-q")
    run(course, clones, capsys)
    assert mark_of(course) == "second"


def test_a_bare_and_packed_repository_is_read(course, ada, capsys, tmp_path):
    git(ada, "gc", "-q")
    clones = tmp_path / "teacher"
    clones.mkdir()
    git(clones, "clone", "-q", "--bare", str(ada), "al1815.git")
    assert "accepted  al1815" in run(course, clones, capsys)


def test_a_commit_dated_back_is_flagged(course, ada, capsys):
    commit(ada, "honest", AFTER)
    commit(ada, "dated back", "2026-11-21T12:00+00:00")
    run(course, ada.parent, capsys)
    assert "commit time" in kinds(course)


def test_no_program_of_a_repository_runs(course, ada, capsys, tmp_path):
    trap = tmp_path / "trapped"
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch '{trap}'\ncat\n")
    script.chmod(0o755)
    (ada / ".gitattributes").write_text("* filter=trap diff=trap\n")
    commit(ada, "trapped")
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        shutil.copy(script, ada / ".git" / "hooks" / hook)
    for name in PROGRAMS:
        git(ada, "config", name, str(script))
    git(ada, "config", "log.showSignature", "true")
    git(ada, "config", "extensions.partialClone", "origin")
    git(ada, "config", "remote.origin.url", f"ext::{script}")
    trap.unlink(missing_ok=True)
    run(course, ada.parent, capsys)
    assert mark_of(course) == "trapped"
    assert not trap.exists()
    with contextlib.suppress(subprocess.CalledProcessError):
        git(ada, "status")
    assert trap.exists()  # git itself, in the student's folder, falls into it


def test_links_and_repositories_inside_are_left_out_and_said(course, ada, capsys, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_text("of the grader")
    (ada / "link.png").symlink_to(secret)
    git(ada, "add", "-A")
    head = git(ada, "rev-parse", "HEAD")
    git(ada, "update-index", "--add", "--cacheinfo", f"160000,{head},module")
    git(ada, "commit", "-q", "-m", "links")
    run(course, ada.parent, capsys)
    assert kinds(course).count("left out") == 2
    assert not list((course / "submitted").rglob("link.png"))


def _bomb(ada: Path) -> None:
    """A folder that holds itself ten times, ten folders deep: ten milliards of files."""
    kind, name = "100644 blob", git(ada, "hash-object", "-w", "--stdin", stdin=b"x")
    for _ in range(10):
        rows = "".join(f"{kind} {name}\tf{place}\n" for place in range(10))
        kind, name = "040000 tree", git(ada, "mktree", stdin=rows.encode())
    git(ada, "update-ref", "HEAD", git(ada, "commit-tree", name, "-m", "bomb"))


def _outside(ada: Path) -> None:
    """A tree with a name that leads out of its folder, which git's own commands do not write."""
    blob = bytes.fromhex(git(ada, "hash-object", "-w", "--stdin", stdin=b"x"))
    tree = b"100644 ../../../escaped\0" + blob
    name = git(ada, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=tree)
    git(ada, "update-ref", "HEAD", git(ada, "commit-tree", name, "-m", "out"))


def _huge(ada: Path) -> None:
    for place in range(5):
        with open(ada / f"zeros{place}", "wb") as file:
            file.truncate(60 * 2**20)
    commit(ada, "huge")


def _pipe(ada: Path) -> None:
    os.mkfifo(ada / ".git" / "objects" / "pack" / "pack-1.idx")


def _borrowed(ada: Path) -> None:
    (ada / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (ada / ".git" / "objects" / "info" / "alternates").write_text("/somewhere/else\n")


def _linked(ada: Path) -> None:
    os.rename(ada / ".git", ada.parent / ".store")
    (ada / ".git").symlink_to(ada.parent / ".store")


def _damaged(ada: Path) -> None:
    for path in (ada / ".git" / "objects").glob("??/*"):
        path.chmod(0o644)
        path.write_bytes(b"no object")


def _wild_branch(ada: Path) -> None:
    (ada / ".git" / "HEAD").write_text("ref: refs/../../../../etc/passwd\n")


def _option(ada: Path) -> None:
    (ada / ".git" / "HEAD").write_text("--output=/tmp/written\n")


def _shallow(ada: Path) -> None:
    (ada / ".git" / "shallow").write_text(git(ada, "rev-parse", "HEAD") + "\n")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(_bomb, "more than 4000 files", id="bomb"),
        pytest.param(_outside, "called '../../../escaped'", id="outside"),
        pytest.param(_huge, "more than 256 MB", id="huge"),
        pytest.param(_pipe, "a link or a pipe", id="pipe"),
        pytest.param(_borrowed, "borrows the files", id="borrowed"),
        pytest.param(_linked, "no clone", id="linked"),
        pytest.param(_damaged, "git cannot read it", id="damaged"),
        pytest.param(_wild_branch, "no commit", id="branch"),
        pytest.param(_option, "no commit", id="option"),
        pytest.param(_shallow, "git fetch --unshallow", id="shallow"),
    ],
)
def test_a_hostile_repository_is_listed_and_the_others_are_taken_in(
    course, ada, capsys, spoil: Callable[[Path], None], reason: str
):
    other = ada.parent / "at1912"
    git(ada.parent, "clone", "-q", "--no-hardlinks", str(ada), str(other))
    spoil(ada)
    said = run(course, ada.parent, capsys)
    [line] = [line for line in said.splitlines() if line.startswith("unknown")]
    assert "al1815" in line
    assert reason in line
    assert "accepted  at1912" in said
    assert not list(course.parent.rglob("escaped"))


def test_the_workflow_runs_the_visible_checks_only():
    steps = yaml.safe_load(
        (ROOT / "docs" / "instructors" / "visible-checks.yml").read_text("utf-8")
    )
    commands = [step["run"] for step in steps["jobs"]["checks"]["steps"] if "run" in step]
    assert commands == ["make", ".venv/bin/python -m grading validate"]
    assert steps["permissions"] == {"contents": "read"}
