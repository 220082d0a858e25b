"""A mock of PrairieLearn's grading job: a fresh root with only the image, the question and Python.

python tests/grading/autograder/mock_prairielearn.py OUT SUBMISSION

OUT is what `python -m grading prairielearn` wrote, with one question. It prints results.json
without its pictures, the seconds, and the peak memory of all processes.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from mock_root import measured, run_inside

LARGEST = 1024 * 1024  # bytes of results.json
KEYS = {"gradable", "score", "message", "output", "images", "tests", "format_errors"}
TEST_KEYS = {"name", "description", "points", "max_points", "message", "output", "images"}
NOT_COPIED = ("Dockerfile",)


def installed(context: Path, folder: Path) -> Path:
    """What the image's recipe copies into it; the files are the recipe's own."""
    shutil.copytree(context, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (folder / "grade").chmod(0o755)
    (folder / "env").mkdir()
    return folder


def job(question: Path, submission: Path, folder: Path) -> Path:
    """/grade as PrairieLearn has it before the grader starts."""
    for name in ("serverFilesCourse", "data"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(question / "tests", folder / "tests")
    if submission.is_dir():
        shutil.copytree(submission, folder / "student")
    else:
        (folder / "student").mkdir()
        shutil.copy2(submission, folder / "student")
    names = [{"name": path.name, "contents": ""} for path in (folder / "student").iterdir()]
    facts = {"params": {}, "correct_answers": {}, "submitted_answers": {"_files": names}}
    (folder / "data" / "data.json").write_text(json.dumps(facts | {"variant_seed": 1}))
    return folder


def graded(image: Path, grade: Path, *, timeout: float = 600) -> tuple[dict[str, Any], str]:
    """Run the entry point in the fresh root: results.json, and what was printed.

    The environment of the tests stands for the one that the image's recipe installs.
    """
    binds = {"/score-distillery": image, "/grade": grade}
    environment = "/score-distillery/env"
    ran = run_inside("/score-distillery/grade", binds, environment, timeout=timeout)
    assert ran.returncode == 0, ran.stderr
    content = (grade / "results" / "results.json").read_bytes()
    assert len(content) <= LARGEST
    return as_documented(json.loads(content)), ran.stdout + ran.stderr


def as_documented(content: dict[str, Any]) -> dict[str, Any]:
    """The same results, if they have the form that PrairieLearn documents."""
    assert set(content) <= KEYS
    if not content.get("gradable", True):
        assert all(isinstance(one, str) for one in content["format_errors"])
        return content
    assert 0.0 <= content["score"] <= 1.0
    for test in content["tests"]:
        assert set(test) <= TEST_KEYS
        assert 0 <= test["points"] <= test["max_points"]
        for image in test.get("images", []):
            assert set(image) == {"label", "url"}
            assert image["url"].startswith("data:image/png;base64,")
    return content


def main() -> None:
    out, submission = map(Path, sys.argv[1:])
    (question,) = (out / "questions").iterdir()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = installed(out / "image", folder / "image")
        grade = job(question, submission, folder / "grade")
        with measured() as cost:
            content, said = graded(image, grade)
    for one in content.get("tests", []):
        for picture in one.get("images", []):
            picture["url"] = picture["url"][:30] + "..."
    print(json.dumps(content, indent=1), said, cost, sep="\n")


if __name__ == "__main__":
    main()
