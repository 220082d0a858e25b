"""Find the notebook, the pictures and eval.json among the files that a student sent."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nbformat import NotebookNode

from distillery.core.counting import counted
from grading.core.limits import LARGEST_EVALUATION, LARGEST_PICTURE
from grading.core.records import Flag
from grading.intake.archives import SubmissionError, is_archive, quoted, safe_name, unpack
from grading.intake.clean_folder import FACTS, SECRET, TIMESTAMP
from grading.intake.file_kinds import form_of, why_not_opened
from grading.intake.read_notebook import read_notebook
from grading.intake.receipts import check_kind, check_size, files_in
from grading.intake.repair_notebook import belongs
from grading.stages.stage import Stage

EVALUATION = "eval.json"
PICTURES = "pictures"
MOST_NOTEBOOKS = 50
MOST_PICTURES = 64
ENDINGS = (".png", ".gif")
MOST_PIXELS = 2048 * 2048
PNG, GIF = b"\x89PNG\r\n\x1a\n", b"GIF8"


@dataclass(frozen=True)
class Opened:
    """A submission as plain files in a folder of ours.

    top:      the folder that holds all files.
    root:     the folder that stands for the course's own, as far as there is one.
    path:     of the notebook.
    notebook: as `read_notebook` returns it.
    flags:    what was found while reading the notebook.
    """

    top: Path
    root: Path
    files: Sequence[Path]
    path: Path
    notebook: dict[str, Any]
    flags: list[Flag]


Found = tuple[Path, dict[str, Any], list[Flag]]  # a notebook with its path and flags


def plain_files(source: Path, folder: Path) -> tuple[Path, list[str]]:
    """Copy or unpack a student's file or folder into the new `folder`.

    Returns:
        The folder with the files, and a sentence for each file that was left out.

    Raises:
        SubmissionError: the source cannot be used.
    """
    check_kind(source)
    if not source.is_dir():
        return _from_file(source, folder, source.name)
    left_out = unpack(source, folder)
    packed = _only_archive(folder)
    if packed is None:
        return folder, left_out
    above = folder.with_name("packed")
    os.rename(folder, above)
    return _from_file(above / packed.relative_to(folder), folder, packed.name)


def kept_files(kept: Path, name: str, folder: Path) -> tuple[Path, list[str]]:
    """The same for what `receipts.keep` has copied: its files are plain, and are not copied again.

    Args:
        name: of what was kept, as it came.

    Raises:
        SubmissionError: the source cannot be used.
    """
    if not kept.is_dir():
        return _from_file(kept, folder, name)
    packed = _only_archive(kept)
    return (kept, []) if packed is None else _from_file(packed, folder, packed.name)


def _only_archive(folder: Path) -> Path | None:
    """The archive in a folder of ours that holds nothing else, apart from nbgrader's files."""
    files = [file for file in files_in(folder) if file.name not in (TIMESTAMP, SECRET, FACTS)]
    is_one = len(files) == 1 and _is_to_unpack(files[0], files[0].name)
    return files[0] if is_one else None


def _is_to_unpack(path: Path, name: str) -> bool:
    """Whether a file is an archive by its name, or by its content where it has another name."""
    return is_archive(name) or (".ipynb" not in name.lower() and form_of(path) != "")


def _from_file(source: Path, folder: Path, name: str) -> tuple[Path, list[str]]:
    """Put an archive's files, or a notebook alone, into the new `folder`."""
    if _is_to_unpack(source, name):
        try:
            return folder, unpack(source, folder)
        except SubmissionError as error:
            raise SubmissionError(f"the archive {quoted(name)} cannot be used: {error}") from None
    if ".ipynb" not in name.lower():
        reason = why_not_opened(source) or (
            "is neither a zip nor a notebook: hand in the file that python -m grading pack makes"
        )
        raise SubmissionError(f"{quoted(name)} {reason}.")
    check_size(source)
    folder.mkdir()
    shutil.copyfile(source, folder / safe_name(name))
    return folder, []


def open_submission(top: Path, stage: Stage, released: NotebookNode) -> Opened:
    """Find the notebook of the assignment among the plain files below `top`.

    Raises:
        SubmissionError: there is no such notebook, or more than one.
    """
    files = files_in(top)
    path, notebook, flags = _notebook(top, files, stage, released)
    root = path.parent
    if PurePosixPath(*root.parts[-2:]) == stage.notebook.parent:
        root = root.parents[1]
    return Opened(top, root, files, path, notebook, flags)


def _notebook(top: Path, files: Sequence[Path], stage: Stage, released: NotebookNode) -> Found:
    candidates = [path for path in files if ".ipynb" in path.name.lower()]
    wanted = f"{stage.folder}.ipynb"
    if not candidates:
        reason = _instead_of_notebook(top, files) or f": hand in {wanted}"
        raise SubmissionError(f"there is no notebook in what was handed in{reason}.")
    if len(candidates) > MOST_NOTEBOOKS:
        raise SubmissionError(f"there are {len(candidates)} notebooks: hand in only {wanted}.")
    found: list[Found] = []
    reasons = []
    # The file with the right name comes first, so its reason is the one that the student reads.
    for path in sorted(candidates, key=lambda path: (path.name != wanted, path)):
        name = quoted(path.relative_to(top).as_posix())
        try:
            notebook, flags = read_notebook(path.read_bytes())
        except SubmissionError as error:
            reasons.append(f"{name} {error}")
            continue
        if belongs(notebook, released):
            found.append((path, notebook, flags))
        else:
            reasons.append(f"{name} has no cell of {stage.folder}: hand in {wanted}")
    if not found:
        raise SubmissionError(f"{reasons[0]}.")
    path, notebook, flags = _chosen(found, top, wanted)
    ignored = [other for other in candidates if other != path and other.name == wanted]
    copies = [other for other, _, _ in found if other != path]
    if copies or ignored:
        flags = [*flags, _not_graded_flag(path, [*copies, *ignored], top)]
    return path, notebook, flags


def _chosen(found: Sequence[Found], top: Path, wanted: str) -> Found:
    """The notebook that is graded: the only one, or the only one with exactly the right name."""
    exact = [one for one in found if one[0].name == wanted]
    if len(found) == 1 or len(exact) == 1:
        return exact[0] if exact else found[0]
    names = " and ".join(quoted(one[0].relative_to(top).as_posix()) for one in (exact or found)[:2])
    count = len(exact or found)
    kind = f"notebooks {wanted}" if exact else f"notebooks of {wanted.removesuffix('.ipynb')}"
    advice = "" if exact else f", under the name {wanted}"
    raise SubmissionError(
        f"there are {'two' if count == 2 else count} {kind}, {names}: hand in only the one that "
        f"should be graded{advice}."
    )


def _not_graded_flag(path: Path, others: Sequence[Path], top: Path) -> Flag:
    names = ", ".join(quoted(other.relative_to(top).as_posix()) for other in others[:9])
    graded = quoted(path.relative_to(top).as_posix())
    return Flag("other notebook", f"{graded} was graded, and not {names}.")


def _instead_of_notebook(top: Path, files: Sequence[Path]) -> str:
    """What there is in place of a notebook and what to do, to continue a sentence; or ""."""
    for path in files:
        reason = "" if path.suffix.lower() == ".png" else why_not_opened(path)
        if form_of(path):
            reason = "is an archive in it: unpack that, and hand in its files"
        if reason:
            return f", and {quoted(path.relative_to(top).as_posix())} {reason}"
    return ""


def submitted_pictures(opened: Opened, stage: Stage) -> tuple[dict[str, bytes], Path, list[Flag]]:
    """The pictures by their path in the clean folder, the folder they were in, and flags.

    They are PNGs, and GIFs, for which some stages ask.
    """
    for folder in _picture_folders(opened, stage):
        there = [p for p in opened.files if p.parent == folder and p.suffix.lower() in ENDINGS]
        if there:
            break
    else:
        return {}, opened.root, []
    flags = []
    if len(there) > MOST_PICTURES:
        sentence = f"of {counted(len(there), 'picture')}, only {MOST_PICTURES} were used."
        flags.append(Flag("picture", sentence))
    good = {}
    for path in there[:MOST_PICTURES]:
        reason = _no_picture(path)
        if reason:
            flags.append(Flag("picture", f"{quoted(path.name)} {reason}."))
        else:
            good[f"{PICTURES}/{path.stem}{path.suffix.lower()}"] = path.read_bytes()
    return good, folder, flags


def submitted_evaluation(
    opened: Opened, stage: Stage, pictures: Path
) -> tuple[bytes | None, list[Flag]]:
    """The content of eval.json, which is first looked for where the pictures were."""
    places = [pictures, pictures.parent, *_picture_folders(opened, stage)]
    for path in (place / EVALUATION for place in places):
        if path in opened.files:
            if isinstance(read_json(path), dict):
                return path.read_bytes(), []
            return None, [Flag(EVALUATION, "eval.json is not what eval.py writes.")]
    return None, []


def _picture_folders(opened: Opened, stage: Stage) -> list[Path]:
    """Where pictures may be, the likeliest place first."""
    tops = list(dict.fromkeys([opened.root, opened.path.parent, opened.top]))
    inside = (PICTURES, f"outputs/{stage.folder}", "outputs")
    return [top / name for name in inside for top in tops] + tops


def _no_picture(path: Path) -> str:
    """Why a picture file cannot be used, from its size and header; nothing is decoded."""
    if path.stat().st_size > LARGEST_PICTURE:
        return f"has more than {LARGEST_PICTURE // 2**20} MB and was left out"
    with open(path, "rb") as file:
        head = file.read(24)
    if path.suffix.lower() == ".gif":
        if head[:4] != GIF:
            return "is not a GIF and was left out"
        width, height = (int.from_bytes(head[at : at + 2], "little") for at in (6, 8))
    elif head[:8] != PNG or head[12:16] != b"IHDR":
        return "is not a PNG and was left out"
    else:
        width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    if not 0 < width * height <= MOST_PIXELS:
        return f"claims to be {width} by {height} pixels and was left out"
    return ""


def read_json(path: Path) -> Any:
    """The content of a small JSON file of a student's; None where it cannot be read."""
    try:
        if path.stat().st_size > LARGEST_EVALUATION:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError, MemoryError):
        return None
