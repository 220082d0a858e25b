"""Make the autograder of a stage for Gradescope: one zip to upload there.

python -m grading gradescope 01_sds
python -m grading gradescope 01_sds --course class --out 01_sds_gradescope.zip
python -m grading gradescope 01_sds --minutes 20 --show visible

The stage must be released. The zip holds the rules and the seed of your course folder, the answer
key and the models of the stage, so a grade there is the grade here. Give it to nobody. In
Gradescope, choose the memory and the time that this command prints.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from distillery.core.cli import documented
from distillery.core.errors import CourseError
from distillery.core.files import shown, written
from grading.authoring.build import ROOT
from grading.autograder.course_parts import (
    answer_files,
    class_files,
    code_files,
    data_files,
    longest_minutes,
    requirements,
)
from grading.core.due_dates import due_date
from grading.core.rules import NAME as RULES
from grading.core.rules import Rules, settle
from grading.intake.released import check_released
from grading.report.gradescope import SHOWN_WHEN
from grading.stages import stage_of
from grading.stages.stage import Stage
from grading.student.pack import EPOCH, STORED

NEEDED_MB = 3000  # of memory; choose at least this in the autograder's settings
MINUTES = (10, 40)  # Gradescope's default, and the most that it allows
SETTINGS = "autograder.json"
SCRIPTS = ("setup.sh", "run_autograder")

SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the autograder. TORCH_INDEX may name an index
# of PyTorch's wheels: those without CUDA have a tenth of the others' size.
set -e
TORCH_INDEX=""
cd /autograder/source
apt-get update
apt-get install -y --no-install-recommends python3 python3-venv
python3 -m venv /autograder/env
/autograder/env/bin/python -m pip install --quiet --upgrade "pip>=25.1"
PIP_EXTRA_INDEX_URL="$TORCH_INDEX" /autograder/env/bin/python -m pip install --quiet \\
    --constraint constraints.txt --requirement requirements.txt
"""
RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for each submission.
cd /autograder/source
export HOME="${HOME:-/root}"
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
exec /autograder/env/bin/python -m grading.autograder.run_gradescope /autograder
"""


def autograder_zip(stage: Stage, course: Path, *, minutes: int, show: str) -> bytes:
    """The zip, always the same bytes for the same course folder.

    Args:
        minutes: that one submission may take, as chosen in Gradescope.
        show: when students see the result, one of `SHOWN_WHEN`.

    Raises:
        CourseError: the stage is not released with these rules, the minutes are out of range, or
            a file cannot be read.
    """
    least, most = MINUTES[0], MINUTES[1]
    if not least <= minutes <= most:
        raise CourseError(f"--minutes must be {least} to {most}; it is {minutes}.")
    rules = settle(course)
    check_released(course, stage.folder, rules)
    files = code_files(ROOT) | answer_files(ROOT) | data_files([stage], ROOT)
    files |= class_files(stage, course, rules)
    settings = {
        "stage": stage.folder,
        "needed_mb": NEEDED_MB,
        "minutes": minutes,
        "show": show,
    }
    files[SETTINGS] = (json.dumps(settings, indent=1) + "\n").encode()
    files["requirements.txt"] = requirements(ROOT)
    files |= {"setup.sh": SETUP.encode(), "run_autograder": RUN.encode()}
    return _zipped(files)


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip without a folder above, in which the two scripts can be executed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, which has modes
            entry.external_attr = (0o100755 if name in SCRIPTS else 0o100644) << 16
            packed = PurePosixPath(name).suffix not in STORED
            entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def _parser() -> argparse.ArgumentParser:
    parser = documented("python -m grading gradescope", __doc__)
    parser.add_argument("stage", metavar="STAGE", help="such as 01_sds")
    parser.add_argument(
        "--course", type=Path, default=Path("class"), help="the course folder (default: class)"
    )
    parser.add_argument("--out", type=Path, help="the zip (default: STAGE_gradescope.zip)")
    parser.add_argument(
        "--overwrite", action="store_true", help="write over another zip of that name"
    )
    parser.add_argument(
        "--minutes",
        type=int,
        default=20,
        help="as chosen in Gradescope for one submission, 10 to 40 (default: 20)",
    )
    parser.add_argument(
        "--show",
        choices=SHOWN_WHEN,
        default="after_published",
        help="when students see the result (default: after_published)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Write the zip, and say what to choose in Gradescope."""
    options = _parser().parse_args(arguments)
    stage, course = stage_of(options.stage), options.course.resolve()
    rules = Rules.load(course / RULES)
    packed = autograder_zip(stage, course, minutes=options.minutes, show=options.show)
    out = options.out or Path(f"{stage.folder}_gradescope.zip")
    out = written(out, packed, overwrite=options.overwrite)
    print(f"{shown(out)} ({len(packed) / 1e6:.0f} MB): upload it as the autograder. It holds the")
    print("answers and the hidden inputs: give it to nobody.")
    print(f"Choose at least {NEEDED_MB / 1000:g} GB of memory and {options.minutes} minutes there.")
    longest = longest_minutes(stage, rules)
    if longest > options.minutes:
        print(
            f"A submission whose jobs all run to their limits takes {longest:.0f} minutes; those "
            "that need more than chosen are not graded, and say so."
        )
    if due_date(course, stage.folder) is not None:
        print("The due date there counts, and not the one of your gradebook.")
    return 0
