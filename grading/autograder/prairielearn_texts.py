"""The texts of a PrairieLearn question and of the image that grades it."""

from __future__ import annotations

import hashlib
import json
import uuid
from html import escape

from distillery.core.counting import counted
from grading.core.rules import Rules
from grading.stages.stage import Stage

PLACE = "/score-distillery"  # of the course in the image
ENTRYPOINT = f"{PLACE}/grade"
UPLOAD_MB = 5  # that PrairieLearn takes with one answer

DOCKERFILE = f"""\
# The grader of Score Distillery for PrairieLearn: the course and its packages, and no answers.
# PyTorch comes from the package registry, whose build for Linux has CUDA. TORCH_INDEX may name an
# index of PyTorch's wheels: those without CUDA have a tenth of the others' size.
FROM debian:bookworm-slim

RUN apt-get update \\
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \\
    && rm -rf /var/lib/apt/lists/*
WORKDIR {PLACE}
ARG TORCH_INDEX=""
COPY requirements.txt constraints.txt ./
RUN python3 -m venv env \\
    && env/bin/python -m pip install --quiet --no-cache-dir --upgrade "pip>=25.1" \\
    && PIP_EXTRA_INDEX_URL="$TORCH_INDEX" env/bin/python -m pip install --quiet --no-cache-dir \\
        --constraint constraints.txt --requirement requirements.txt
COPY . .
RUN chmod 755 grade
ENTRYPOINT ["{ENTRYPOINT}"]
"""
GRADE = f"""\
#!/bin/sh
# PrairieLearn starts this for each submission. It ends with 0 even where the system stops the
# grader, so that PrairieLearn shows the result that says so.
cd {PLACE} || exit 1
export HOME=/root PYTHONDONTWRITEBYTECODE=1
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
env/bin/python -m grading.autograder.run_prairielearn /grade
exit 0
"""
QUESTION = """\
<pl-question-panel>
  <p>Your work on the notebook <code>{notebook}.ipynb</code>:</p>
  <ul>
{tasks}
  </ul>
  <p>Upload {what}. At most {upload} MB can be uploaded.</p>
  <pl-file-upload optional-file-patterns="*.ipynb,*.zip,{module}.py"></pl-file-upload>
</pl-question-panel>

<pl-submission-panel>
  <pl-external-grader-results></pl-external-grader-results>
  <pl-file-preview></pl-file-preview>
</pl-submission-panel>
"""
PACKED = "the zip that <code>python -m grading pack</code> makes"


def question_html(stage: Stage, rules: Rules) -> str:
    """question.html: the tasks with their points, an upload, and the results."""
    names = [f"{stage.module}.{name}" for name in stage.points]
    names += [f"{stage.module}.pictures"] * bool(stage.pictures)
    tasks = [
        f"    <li><code>{escape(name)}</code>: {counted(rules.worth(name), 'point')}</li>"
        for name in names
    ]
    what = f"{PACKED}; it has your pictures too" if stage.pictures else f"it, or {PACKED}"
    return QUESTION.format(
        notebook=stage.folder,
        tasks="\n".join(tasks),
        what=what,
        upload=UPLOAD_MB,
        module=stage.module,
    )


def info_json(stage: Stage, image: str, timeout: int) -> str:
    """info.json. A stage has the same uuid whenever its question is made.

    Args:
        image: as `docker pull` understands it.
        timeout: seconds for one submission.
    """
    known = hashlib.sha256(f"score-distillery {stage.folder}".encode()).digest()
    facts = {
        "uuid": str(uuid.UUID(bytes=known[:16], version=4)),
        "title": stage.title[:1].upper() + stage.title[1:],
        "topic": "Score Distillery",
        "type": "v3",
        "singleVariant": True,
        "showCorrectAnswer": False,
        "partialCredit": True,
        "gradingMethod": "External",
        "externalGradingOptions": {
            "enabled": True,
            "image": image,
            "entrypoint": ENTRYPOINT,
            "timeout": timeout,
        },
    }
    return json.dumps(facts, indent=2) + "\n"
