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

from grading.core.limits import LARGEST_EVALUATION, LARGEST_PICTURE
from grading.core.records import Flag
from grading.intake.archives import SubmissionError, is_archive, quoted, unpack
from grading.intake.clean_folder import FACTS, SECRET, TIMESTAMP
from grading.intake.read_notebook import read_notebook
from grading.intake.receipts import check_kind, check_size, files_in
from grading.intake.repair_notebook import belongs
from grading.stages.stage import Stage

EVALUATION = "eval.json"
PICTURES = "pictures"
MOST_NOTEBOOKS = 50
MOST_PICTURES = 64
MOST_PIXELS = 2048 * 2048
PNG = b"\x89PNG\r\n\x1a\n"


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


def plain_files(source: Path, folder: Path) -> tuple[Path, list[str]]:
    """Copy or unpack a student's file or folder into the new `folder`.

    Returns:
        The folder with the files, and a sentence for each file that was left out.

    Raises:
        SubmissionError: the source cannot be used.
    """
    check_kind(source)
    if not source.is_dir():
        return _from_file(source, folder)
    left_out = unpack(source, folder)
    packed = _only_archive(folder)
    if packed is None:
        return folder, left_out
    above = folder.with_name("packed")
    os.rename(folder, above)
    return _from_file(above / packed.relative_to(folder), folder)


def kept_files(kept: Path, folder: Path) -> tuple[Path, list[str]]:
    """The same for what `receipts.keep` has copied: its files are plain, and are not copied again.

    Raises:
        SubmissionError: the source cannot be used.
    """
    packed = _only_archive(kept) if kept.is_dir() else kept
    return (kept, []) if packed is None else _from_file(packed, folder)


def _only_archive(folder: Path) -> Path | None:
    """The archive in a folder of ours that holds nothing else, apart from nbgrader's files."""
    files = [file for file in files_in(folder) if file.name not in (TIMESTAMP, SECRET, FACTS)]
    return files[0] if len(files) == 1 and is_archive(files[0].name) else None


def _from_file(source: Path, folder: Path) -> tuple[Path, list[str]]:
    """Put an archive's files, or a notebook alone, into the new `folder`."""
    if is_archive(source.name):
        try:
            return folder, unpack(source, folder)
        except SubmissionError as error:
            raise SubmissionError(
                f"the archive {quoted(source.name)} cannot be used: {error}"
            ) from None
    if ".ipynb" not in source.name.lower():
        raise SubmissionError(
            f"{quoted(source.name)} is neither a zip nor a notebook: hand in the file that "
            "python -m grading pack makes."
        )
    check_size(source)
    folder.mkdir()
    shutil.copyfile(source, folder / "handed_in.ipynb")
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


def _notebook(
    top: Path, files: Sequence[Path], stage: Stage, released: NotebookNode
) -> tuple[Path, dict[str, Any], list[Flag]]:
    candidates = [path for path in files if ".ipynb" in path.name.lower()]
    wanted = f"{stage.folder}.ipynb"
    if not candidates:
        raise SubmissionError(f"there is no notebook in what was handed in: hand in {wanted}.")
    if len(candidates) > MOST_NOTEBOOKS:
        raise SubmissionError(f"there are {len(candidates)} notebooks: hand in only {wanted}.")
    found, reasons = [], []
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
    if len(found) > 1:
        names = " and ".join(quoted(one[0].relative_to(top).as_posix()) for one in found[:2])
        count = "two" if len(found) == 2 else str(len(found))
        raise SubmissionError(
            f"there are {count} notebooks of {stage.folder}, {names}: hand in only the one that "
            "should be graded."
        )
    return found[0]


def submitted_pictures(opened: Opened, stage: Stage) -> tuple[dict[str, bytes], Path, list[Flag]]:
    """The pictures by their path in the clean folder, the folder they were in, and flags."""
    for folder in _picture_folders(opened, stage):
        pngs = [p for p in opened.files if p.parent == folder and p.suffix.lower() == ".png"]
        if pngs:
            break
    else:
        return {}, opened.root, []
    flags = []
    if len(pngs) > MOST_PICTURES:
        sentence = f"of {len(pngs)} pictures, only {MOST_PICTURES} were used."
        flags.append(Flag("picture", sentence))
    good = {}
    for path in pngs[:MOST_PICTURES]:
        reason = _no_picture(path)
        if reason:
            flags.append(Flag("picture", f"{quoted(path.name)} {reason}."))
        else:
            good[f"{PICTURES}/{path.stem}.png"] = path.read_bytes()
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
    if head[:8] != PNG or head[12:16] != b"IHDR":
        return "is not a PNG and was left out"
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
