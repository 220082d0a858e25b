"""Where the files of a run lie, and which earlier results stay beside them.

A finished run is never written over by one of other settings. The later one takes the next free
name, `a_red_boat~2.png`. The same settings find their own place again. So do stopped runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, cast

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, prompt_to_filename, shown
from distillery.core.names import name_key, names_in, numbered
from distillery.core.settings import Declared, FileName, declared
from distillery.models.presets import PRESETS, VAES
from distillery.models.weight_files import course_path
from distillery.runs.checkpoint import RunSettings, checkpoints_in

SETTINGS = "run.yaml"
MADE_FROM = "# made from files of sha256 "  # the last line of run.yaml, where there are any
READ_WHOLE = 2**25  # bytes; larger files are told apart by size and date


@dataclass(frozen=True)
class Place:
    """Where the files of a prompt lie, under the folder `out`.

    number: which of several results of that name; the first has no number in its name.
    """

    out: Path
    prompt: str
    number: int = 1

    @property
    def picture(self) -> Path:
        return self.out / f"{self._stem}.png"

    @property
    def folder(self) -> Path:
        return self.out / self._stem

    @property
    def unfinished(self) -> Path:
        # No stem can end so, because the encoding escapes the tilde of a prompt.
        return self.out / f"{self._stem}~unfinished"

    @property
    def _stem(self) -> str:
        return numbered(prompt_to_filename(self.prompt), self.number)

    def taken(self, names: set[str]) -> bool:
        """Whether something of that name is finished, or is just being made.

        Args:
            names: what lies in `out`, by `name_key`.
        """
        return self.holds_result(names) or name_key(self.unfinished.name) in names

    def holds_result(self, names: set[str]) -> bool:
        return not names.isdisjoint((name_key(self.picture.name), name_key(self.folder.name)))


def place_for(
    settings: RunSettings, out: Path, *, sources: str = "", overwrite: bool = False
) -> Place:
    """Where a run by these settings puts its files, in the folder `out`.

    Args:
        sources: what `fingerprint` gives; a result of other files is another result.
        overwrite: at the first of its names, whatever is there.
    """
    first = Place(out, settings.title)
    if overwrite:
        return first
    own = own_place(settings, out, sources=sources)
    if own is not None:
        return own
    names = {name_key(name) for name in names_in(out)}
    # A run that was stopped may be meant by one of other settings; `load_checkpoint` refuses that.
    stopped = not first.holds_result(names) and checkpoints_in(first.unfinished)
    return first if stopped else free_place(settings.title, out)


def free_place(title: str, out: Path) -> Place:
    """The first place of that name in the folder `out` that nothing has."""
    names = {name_key(name) for name in names_in(out)}
    places = (Place(out, title, number) for number in count(1))
    return next(place for place in places if not place.taken(names))


def own_place(
    settings: RunSettings, out: Path, *, sources: str = "", stopped: bool = False
) -> Place | None:
    """Where a run by the same settings was finished or stopped; None where none was.

    Args:
        stopped: look for one that was stopped alone.
    """
    for place in _there(Place(out, settings.title)):
        if _settings_in(place.unfinished, settings) == settings:
            return place
        if stopped or _settings_in(place.folder, settings) != settings:
            continue
        noted = sources_in(place.folder)
        if not sources or not noted or noted == sources:
            return place
    return None


def _there(first: Place) -> list[Place]:
    """The results of that name, in the order of their numbers."""
    name = re.compile(re.escape(name_key(first.folder.name)) + r"(?:~(\d+))?(?:\.png|~unfinished)?")
    found = (name.fullmatch(name_key(one)) for one in names_in(first.out))
    numbers = {int(one[1] or 1) for one in found if one}
    return [Place(first.out, first.prompt, number) for number in sorted(numbers)]


def _settings_in(folder: Path, like: RunSettings) -> object:
    """The settings of a run's folder, of the kind of `like`; None where there are none such."""
    with contextlib.suppress(CourseError):
        return cast("type[Declared]", type(like)).load(folder / SETTINGS)
    return None


def sources_in(folder: Path) -> str:
    """The fingerprint of the files that a run was made from, "" where none is noted."""
    with contextlib.suppress(OSError, ValueError):
        *_, last = (folder / SETTINGS).read_text(encoding="utf-8").splitlines() or [""]
        return last.removeprefix(MADE_FROM) if last.startswith(MADE_FROM) else ""
    return ""


def save_settings(settings: RunSettings, folder: Path, sources: str = "") -> None:
    """Write the settings of a run into its folder, with the fingerprint of its files.

    Raises:
        CourseError: the folder cannot be written.
    """
    file = folder / SETTINGS
    settings.save(file)
    if sources:
        atomic_write(file, f"{file.read_text(encoding='utf-8')}{MADE_FROM}{sources}\n")


def fingerprint(settings: object) -> str:
    """16 digits that tell apart the files and folders that settings name; "" where they name none.

    Photographs, models, palettes and adapters may change under the same name.
    """
    named = _files_named(settings) if isinstance(settings, Declared) else {}
    if not named:
        return ""
    digest = hashlib.sha256()
    for name, path in named.items():
        digest.update(name.encode())
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            digest.update(file.relative_to(path).as_posix().encode() + _content(file))
    return digest.hexdigest()[:16]


def _files_named(settings: Declared) -> dict[str, Path]:
    """Setting -> the file or folder that it names; a preset is none, whatever lies beside."""
    found = {}
    for name, one in declared(type(settings)).items():
        value = getattr(settings, name)
        if not isinstance(one.values, FileName) or not value or value in (*PRESETS, *VAES):
            continue
        path = course_path(value)
        if path.is_file() or (one.values.folders and path.is_dir()):
            found[name] = path
    return found


def _content(file: Path) -> bytes:
    with contextlib.suppress(OSError):  # whoever reads it for the run says better what is wrong
        facts = file.stat()
        if not file.is_file():
            return b""
        if facts.st_size <= READ_WHOLE:
            return hashlib.sha256(file.read_bytes()).digest()
        return f"{facts.st_size} {facts.st_mtime_ns}".encode()
    return b""


def kept_sentence(place: Place, settings: RunSettings, sources: str = "") -> str:
    """What stays beside a result that has not the first of its names; "" where it has."""
    if place.number == 1:
        return ""
    first = Place(place.out, place.prompt)
    keys = {name_key(first.picture.name), name_key(first.folder.name)}
    there = next((name for name in names_in(place.out) if name_key(name) in keys), "")
    if not there:
        return (
            f"note: {shown(first.picture)} is being made by another run; this run's picture is "
            f"{shown(place.picture)}."
        )
    earlier = place.out / (f"{there}.png" if not there.endswith(".png") else there)
    return (
        f"note: {shown(earlier)} is kept, because {_difference(first, settings, sources)}; this "
        f"run's picture is {shown(place.picture)} (--overwrite writes over the earlier one)."
    )


def _difference(first: Place, settings: RunSettings, sources: str) -> str:
    earlier = _settings_in(first.folder, settings)
    if earlier is None:
        return "it is there already"
    was, wanted = asdict(cast(Any, earlier)), asdict(settings)
    for name, value in wanted.items():
        if was.get(name) != value:
            return f"it was made with {name} {_short(was.get(name))}, this run has {_short(value)}"
    return "it was made from other files of the same names"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@contextlib.contextmanager
def claimed(place: Place, settings: RunSettings, sources: str = "") -> Iterator[None]:
    """Hold the place against other runs that begin meanwhile; nothing stays of one that cannot.

    Raises:
        CourseError: the folder cannot be written.
    """
    folder = place.unfinished
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        save_settings(settings, folder, sources)
        yield
    except BaseException:
        # What a step has left is what the run goes on from.
        if new and set(names_in(folder)) <= {SETTINGS}:
            shutil.rmtree(folder, ignore_errors=True)
            for path in new[1:]:
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        raise


def make_room(place: Place, settings: RunSettings) -> None:
    """Remove what a stopped run of other settings left there; whoever overwrites wants that."""
    if _settings_in(place.unfinished, settings) != settings:
        shutil.rmtree(place.unfinished, ignore_errors=True)


def set_aside(settings: RunSettings, out: Path, *files: Path) -> None:
    """Move a result of other settings out of the way of a run whose names are fixed, and say so.

    It goes into the folder `earlier`, and keeps its name there, or gets the next free one.

    Args:
        files: further ones of that run, beside its picture and its folder.

    Raises:
        CourseError: it cannot be moved.
    """
    first = Place(out, settings.title)
    there = [path for path in dict.fromkeys((*files, first.picture, first.folder)) if path.exists()]
    if not there or _settings_in(first.folder, settings) == settings:
        return
    aside = free_place(settings.title, out / "earlier")
    try:
        aside.out.mkdir(parents=True, exist_ok=True)
        for path in there:
            ending = "" if path == first.folder else path.suffix
            os.replace(path, aside.out / f"{aside.folder.name}{ending}")
    except OSError as error:
        raise CourseError(
            f"{there[0]} is of other settings and cannot be moved away; move or remove it."
        ) from error
    print(
        f"note: {shown(there[0])} is of other settings; it is kept in {shown(aside.out)}.",
        file=sys.stderr,
    )
