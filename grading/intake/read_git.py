"""Read a student's git repository, without trusting anything in it.

git runs in a repository of its own, which only borrows the student's objects. So it reads neither
their settings nor their hooks, attributes, filters, replaced objects or indexes; nothing is checked
out, and nothing is fetched. Of a commit only plain files are read.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from distillery.core.errors import CourseError
from grading.intake.archives import ArchiveLimits, SubmissionError, quoted

GIT = ("HEAD", "objects", "refs")  # what a repository has, whatever its files are called
PATIENCE_S = 60  # for one command of git
LARGEST_REFS = 2**22  # bytes of a file with names of commits
LARGEST_FILE = 64 * 2**20  # bytes, as of a notebook
MOST_OBJECT_FILES = 200_000
DEEPEST = 64  # folders in folders; git itself calls itself once for each
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
BRANCH = re.compile(r"ref: (refs/[\w./@+-]{1,200})")
ALWAYS = ("-c", "core.commitGraph=false", "-c", "core.multiPackIndex=false")
CLONE_AGAIN = "clone it again with git clone"
NEVER = datetime(9000, 1, 1, tzinfo=timezone.utc)
NEITHER_FILE = {"120000": "a link", "160000": "a repository in the repository"}


@dataclass(frozen=True)
class Commit:
    """A commit, as the computer where it was made describes it.

    time:      when it was made, in UTC.
    by:        its committer's name and address.
    backwards: whether a commit that it stands on says that it is younger.
    later:     how many commits came after the due date.
    """

    name: str
    time: datetime
    by: str
    backwards: bool
    later: int


class Repository:
    """A student's clone, or a bare repository, opened for reading.

    Args:
        folder: of the student; not trusted.
        work:   an empty folder of ours.

    Raises:
        SubmissionError: it is no repository that can be read.
        CourseError: this machine has no git.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        program = shutil.which("git")
        if program is None:
            raise CourseError("collect --git needs the program git: install it.")
        place = _git_folder(folder)
        _check_objects(place / "objects")
        self.tips = _tips(place)
        self._work = work
        self._command = [program, *ALWAYS]
        kind = "sha256" if len(self.tips[0]) == 64 else "sha1"
        self._run("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", str(work))
        borrowed = str((place / "objects").resolve())
        if "\n" in borrowed or borrowed.startswith(('"', "#")):
            raise SubmissionError("its folder has a name that git cannot read: give it another")
        alternates = work / "objects" / "info" / "alternates"
        alternates.parent.mkdir(parents=True, exist_ok=True)
        alternates.write_text(f"{borrowed}\n", encoding="utf-8", errors="surrogateescape")

    def last_commit(self, due: datetime | None) -> Commit:
        """The last commit on or before the due date, or the last of all where there is none.

        Raises:
            SubmissionError: the history cannot be read.
        """
        form = "--format=%H%x00%ct%x00%cn <%ce>%x00"
        lines = self._run("log", "--date-order", "-z", form, *self.tips).split(b"\0")
        rows = [lines[at : at + 3] for at in range(0, len(lines) - 3, 4)]
        if not rows:
            raise SubmissionError("it has no commit")
        times = [_time(row[1]) for row in rows]
        on_time = [at for at, time in enumerate(times) if due is None or time <= due]
        at = on_time[0] if on_time else 0
        name, by = (rows[at][part].decode("utf-8", "replace").strip() for part in (0, 2))
        before = self._run("log", "-z", "--format=%ct", name).split(b"\0")
        backwards = any(_time(text) > times[at] for text in before if text.strip())
        return Commit(name, times[at], by, backwards, at if on_time else 0)

    def pack(self, commit: Commit, archive: Path, limits: ArchiveLimits) -> list[str]:
        """Write the plain files of a commit into a zip.

        Returns:
            A sentence for each thing that was left out.

        Raises:
            SubmissionError: it holds more than the limits allow.
        """
        left_out, wanted, total = [], [], 0
        for mode, kind, name, size, path in self._entries(commit, limits):
            if kind != "blob" or mode not in ("100644", "100755"):
                what = NEITHER_FILE.get(mode, "no plain file")
                left_out.append(f"{quoted(path)} is {what} and was left out.")
            elif size > LARGEST_FILE:
                left_out.append(f"{quoted(path)} has {size / 2**20:.0f} MB and was left out.")
            else:
                total += size
                if total > limits.bytes:
                    raise SubmissionError(
                        f"its files have more than {limits.bytes // 2**20} MB: remove those that "
                        "are not yours from the repository"
                    )
                wanted.append((name, path))
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
            for name, path in wanted:
                target.writestr(zipfile.ZipInfo(path), self._run("cat-file", "blob", name))
        return left_out

    def _entries(
        self, commit: Commit, limits: ArchiveLimits
    ) -> Iterator[tuple[str, str, str, int, str]]:
        """Mode, kind, name, bytes and path of everything in a commit.

        Folders are read one by one, because one that holds itself ten times, ten folders deep, has
        more entries than git could ever list.
        """
        waiting, count = [(f"{commit.name}^{{tree}}", PurePosixPath())], 0
        while waiting:
            tree, above = waiting.pop()
            for line in self._run("ls-tree", "-z", "-l", tree).split(b"\0")[:-1]:
                count += 1
                if count > limits.entries or len(above.parts) > DEEPEST:
                    raise SubmissionError(
                        f"it holds more than {limits.entries} files, or folders too deep in others"
                    )
                facts, _, name = line.partition(b"\t")
                mode, kind, blob, size = facts.decode("ascii").split()
                path = above / _plain_name(name)
                if kind == "tree":
                    waiting.append((blob, path))
                else:
                    number = int(size) if size.isdecimal() else 0
                    yield mode, kind, blob, number, path.as_posix()

    def _run(self, *arguments: str) -> bytes:
        """What a command of git prints.

        Raises:
            SubmissionError: it failed, or took too long.
        """
        repository = [] if arguments[0] == "init" else [f"--git-dir={self._work}"]
        try:
            done = subprocess.run(
                [*self._command, *repository, *arguments],
                env=_environment(self._work),
                cwd=self._work,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE_S,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise SubmissionError(f"git could not read it in {PATIENCE_S} seconds") from None
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode("utf-8", "replace").strip().splitlines()[:1]
            raise SubmissionError(
                f"git cannot read it ({quoted(' '.join(said))}): {CLONE_AGAIN}"
            ) from None
        return done.stdout


def _environment(work: Path) -> dict[str, str]:
    """No settings but ours, no network, no program of another's, and an end to memory."""
    return {
        "PATH": os.defpath,
        "HOME": str(work),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOC_LIMIT": "1g",
    }


def _git_folder(folder: Path) -> Path:
    """Where the repository's own files are."""
    for place in (folder / ".git", folder):
        if place.is_symlink() or not place.is_dir():
            continue
        if all(os.path.lexists(place / name) for name in GIT):
            if any((place / name).is_symlink() for name in GIT):
                raise SubmissionError(f"it is made of links: {CLONE_AGAIN}")
            return place
    raise SubmissionError(f"it is no clone of a repository: {CLONE_AGAIN}")


def _check_objects(objects: Path) -> None:
    """Refuse a store of objects with anything but plain files in it.

    A pipe would make git wait for ever; a link or a list of other stores would lead to files that
    are not the student's.
    """
    count = 0
    for above, folders, names in os.walk(objects):
        for name in (*folders, *names):
            count += 1
            mode = os.lstat(os.path.join(above, name)).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise SubmissionError(f"its .git holds a link or a pipe: {CLONE_AGAIN}")
            if count > MOST_OBJECT_FILES:
                raise SubmissionError(f"its .git has too many files: {CLONE_AGAIN}")
    if any((objects / "info" / name).exists() for name in ("alternates", "http-alternates")):
        raise SubmissionError(f"it borrows the files of another repository: {CLONE_AGAIN}")


def _tips(place: Path) -> list[str]:
    """The commits of the current branch, here and as it was last fetched.

    Raises:
        SubmissionError: there is none.
    """
    packed: dict[str, str] = {}
    for line in _text(place / "packed-refs").splitlines():
        name, _, branch = line.partition(" ")
        packed[branch] = name
    found: list[str] = []
    if (place / "shallow").exists():
        raise SubmissionError("it is a shallow clone: type git fetch --unshallow in it")
    for start in ("HEAD", "refs/remotes/origin/HEAD"):
        branch, said = start, _text(place / start).strip()
        if match := BRANCH.fullmatch(said):
            branch = match[1]
            safe = ".." not in PurePosixPath(branch).parts
            said = (_text(place / branch).strip() if safe else "") or packed.get(branch, "")
        if COMMIT.fullmatch(said):
            found.append(said)
        fetched = branch.replace("refs/heads/", "refs/remotes/origin/", 1)
        if start == "HEAD" and fetched != branch:
            said = _text(place / fetched).strip() or packed.get(fetched, "")
            found += [said] if COMMIT.fullmatch(said) else []
    if not found:
        raise SubmissionError("it has no commit")
    return list(dict.fromkeys(found))


def _text(path: Path) -> str:
    """A small file of the repository; empty where it is missing or no plain file."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                return ""
            return file.read(LARGEST_REFS).decode("utf-8", "replace")
    except OSError:
        return ""


def _time(seconds: bytes) -> datetime:
    """A commit's time; far in the future where it is none."""
    try:
        return min(datetime.fromtimestamp(int(seconds), timezone.utc), NEVER)
    except (ValueError, OverflowError, OSError):
        return NEVER


def _plain_name(name: bytes) -> str:
    """A file's name, which cannot lead out of its folder.

    Raises:
        SubmissionError: git itself would write no such name.
    """
    text = name.decode("utf-8", "replace")
    if text in ("", ".", "..") or re.search(r"[/\\\x00-\x1f]", text) or text.lower() == ".git":
        raise SubmissionError(f"it holds a file that is called {quoted(text)}: remove it")
    return text
