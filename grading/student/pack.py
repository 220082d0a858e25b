"""Put what you hand in into one file, NAME_STUDENT_ID.zip.

python -m grading pack "Ada Lovelace" al1815
python -m grading pack "Ada Lovelace" al1815 --stage 01_sds

The file holds the notebook without its outputs, guidance/<module>.py, the pictures with their
eval.json, and pack.json, which says whose it is. The name of the file keeps only English letters,
digits and hyphens of your name: "Jörg Groß/Müller" becomes Jorg-Gross-Muller. pack.json has your
name as you write it.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from distillery.core.cli import documented
from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.course.student_files import course_root
from grading.core.manifest import sha256
from grading.student.student_notebook import answers_of, read_cells
from grading.student.student_stage import StudentStage, find_stages
from grading.student.validate import Report, look

STUDENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
UNFOLDED = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i"}
)
LONGEST_NAME = 60
LARGEST = 20 * 2**20  # bytes; every learning platform accepts this size
EPOCH = (1980, 1, 1, 0, 0, 0)
STORED = (".safetensors", ".png", ".gif")  # compressed already
PACKED = "pack.json"


def pack(stage: StudentStage, name: str, student_id: str, out: Path) -> Path:
    """Write the zip of one stage into the folder `out`, whole or not at all, and return its path.

    The same work gives the same bytes.

    Raises:
        CourseError: the name or the id cannot be used, there is nothing to hand in, it is too
            large, or it cannot be written.
    """
    file = Path(out) / f"{safe_name(name)}_{checked_id(student_id)}.zip"
    files = files_of(stage)
    facts = {
        "name": name,
        "student_id": student_id,
        "stage": stage.name,
        "version": stage.manifest.version,
        "sha256": {path: sha256(content) for path, content in sorted(files.items())},
    }
    text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    # A lone surrogate from the command line is not valid UTF-8.
    packed = zipped({**files, PACKED: text.encode("utf-8", "replace")})
    if len(packed) > LARGEST:
        largest = max(files, key=lambda path: len(files[path]))
        raise CourseError(
            f"the zip would have {len(packed) / 2**20:.0f} MB, and {LARGEST // 2**20} are allowed; "
            f"the largest in it is {largest}."
        )
    atomic_write(file, packed)
    return file


def safe_name(name: str) -> str:
    """A person's name as part of a file name: ASCII letters, digits and single hyphens.

    Raises:
        CourseError: the name is empty.
    """
    if not name.strip():
        raise CourseError("say your name: python -m grading pack NAME STUDENT_ID.")
    plain = unicodedata.normalize("NFKD", name.translate(UNFOLDED))
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    kept = re.sub(r"[^A-Za-z0-9]+", "-", letters).strip("-")[:LONGEST_NAME].strip("-")
    # Nothing is left of a name in another script; the id says whose it is.
    return kept or "student"


def checked_id(student_id: str) -> str:
    """The same id.

    Raises:
        CourseError: it contains other characters than allowed.
    """
    if not STUDENT_ID.fullmatch(student_id):
        raise CourseError(
            "a student id has at most 64 letters a to z, digits and ._@-, and starts with a letter "
            f"or digit; {student_id!r} does not: write it as your instructor knows it."
        )
    return student_id


def files_of(stage: StudentStage) -> dict[str, bytes]:
    """Everything of a stage that is handed in, by its path.

    Raises:
        CourseError: there is nothing to hand in.
    """
    cells = read_cells(stage)  # raises where the notebook is missing or broken
    pictures = pictures_of(stage)
    if not answers_of(stage, cells)[0] and not pictures:
        raise CourseError(
            f"there is nothing to hand in: every TODO cell of {stage.fixed.notebook} is as it was "
            "given to you, or cannot be graded; python -m grading validate says which. Did you "
            "save the notebook?"
        )
    files = {stage.fixed.notebook: without_outputs(stage.notebook.read_bytes())}
    module = stage.root / stage.fixed.guidance
    if module.is_file():
        files[stage.fixed.guidance] = module.read_bytes()
    return files | pictures


def pictures_of(stage: StudentStage) -> dict[str, bytes]:
    """The pictures that the stage asks for and that exist, and their eval.json."""
    if not stage.pictures:
        return {}
    from distillery.course.submission_pictures import EVALUATION, load_hand_in

    wanted = load_hand_in(stage.name, stage.root / "data" / "hand_in.yaml")
    paths = [wanted.folder / name for name in (*wanted.files, EVALUATION)]
    there = [path for path in paths if (stage.root / path).is_file()]
    return {path.as_posix(): (stage.root / path).read_bytes() for path in there}


def without_outputs(notebook: bytes) -> bytes:
    """The notebook as JSON, without the outputs of its cells."""
    stored: dict[str, Any] = json.loads(notebook.decode("utf-8-sig"))
    for cell in stored["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        cell.pop("attachments", None)
    stored.get("metadata", {}).pop("widgets", None)
    return (json.dumps(stored, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def zipped(files: Mapping[str, bytes], top: str = "") -> bytes:
    """A zip of these files in one folder, sorted and without dates, so always the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(str(PurePosixPath(top, name)), EPOCH)
            entry.create_system = 3  # Unix, or Windows would write another byte
            entry.external_attr = 0o644 << 16
            packed = PurePosixPath(name).suffix not in STORED
            entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def only_stage(root: Path, name: str) -> StudentStage:
    """The stage of this name, or the only one.

    Raises:
        CourseError: there are several and no name is given.
    """
    stages = find_stages(root, name)
    if len(stages) > 1:
        names = ", ".join(one.name for one in stages)
        raise CourseError(f"there are several stages here, {names}: choose one with --stage.")
    return stages[0]


def summary(stage: StudentStage, report: Report, file: Path) -> str:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name != PACKED]
    lines = [f"{file} ({file.stat().st_size / 1000:.0f} kB) holds", *(f"  {n}" for n in names)]
    if not report.ready:
        to_do = (*report.differing, *report.to_do)
        lines += ["still to do:", *(f"  - {sentence}" for sentence in to_do)]
        lines.append("You may hand it in as it is, or do that first and pack again.")
    else:
        lines.append(f"python -m grading validate {stage.name} also runs the checks.")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Pack one stage, and print what is in the file and what is missing."""
    parser = documented("python -m grading pack", __doc__)
    parser.add_argument("name", metavar="NAME", help="yours; in quotes if it has spaces")
    parser.add_argument("student_id", metavar="STUDENT_ID", help="as your instructor knows it")
    parser.add_argument("--stage", default="", help="such as 01_sds, where several are here")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the zip (default: .)")
    options = parser.parse_args(arguments)
    stage = only_stage(course_root(), options.stage)
    file = pack(stage, options.name, options.student_id, options.out)
    print(summary(stage, look(stage, run=False), file))
    return 0
