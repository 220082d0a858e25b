"""Find answers of a class that are more similar than right answers usually are.

python -m grading.judge.similarity 01_sds

A task of five lines has few right answers, so similarity is a hint and not a proof. There are two
kinds of hints. The stronger one is text that nobody writes twice by chance: a long text that is the
same letter for letter, including comments and spaces, or comments and names that hardly anybody
else has. The weaker one is copydetect's similarity, which ignores comments and names; it is
reported only where it is unusual among the pairs of that task. No student's code is run.
"""

from __future__ import annotations

import ast
import json
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

from distillery.core.cli import documented
from distillery.core.errors import CourseError
from distillery.core.program import run_program
from distillery.course.todo_cell import python_in
from grading.authoring.build import ROOT
from grading.authoring.make_stubs import BEGIN, END, function_text
from grading.core.notebook_cells import grade_id_of, source_of
from grading.core.parse_code import parsed
from grading.core.submission import Submission, released_notebook, submissions
from grading.judge.assemble_module import released_module
from grading.stages import STAGES, stage_of
from grading.stages.stage import Stage

REFERENCE = "the reference"
HINT = "Similarity is a hint and not a proof: read both answers, and talk with both students."
GRAM = 12  # characters of code without names: the shortest passage that counts
LEAST_CODE = 60  # such characters; shorter answers are always similar
LEAST_ALIKE = 0.85
ABOVE_MEDIAN = 0.25
FEW = 0.1  # part of a task's pairs; similarity of more pairs is not unusual
LEAST_TEXT = 150  # characters of an equal answer that is not chance, without a comment
LEAST_COMMENT = 12  # characters of an equal comment that is not chance
LEAST_NAMES, LEAST_LETTERS = 3, 20  # of rare names in two answers
LONGEST = 20_000  # characters of one answer
MOST_PAIRS = 200
WORDS = re.compile(r"#[^\n]*|[A-Za-z_]\w{2,}|\d*\.\d{3,}|\d{4,}")

Answers = Mapping[str, str]


@dataclass(frozen=True)
class SimilarPair:
    """Two answers to one task that are unusually similar.

    one, other: two students, or a student and `REFERENCE`.
    alike:      similarity by copydetect, 0 to 1.
    median:     of all pairs of this task.
    same:       a clause on what is exactly the same; "" where nothing is.
    """

    task: str
    one: str
    other: str
    alike: float = 0.0
    median: float = 0.0
    same: str = ""

    @property
    def sentence(self) -> str:
        alike = (
            f"{self.alike:.0%} alike apart from names and comments, where half of all pairs are "
            f"no more than {self.median:.0%}"
        )
        clauses = [self.same] * bool(self.same) + [alike] * bool(self.alike)
        return "; ".join(clauses) + "."


def unusual_pairs(course: Path, stage: Stage, students: Sequence[str]) -> list[SimilarPair]:
    """The unusually similar answers to the tasks of a stage, the strongest hints first."""
    notebooks = {student: _cells(Submission(course, student, stage.folder)) for student in students}
    stub_text = released_module(stage)
    reference = (ROOT / "reference" / f"{stage.module}.py").read_text("utf-8")
    known = set(WORDS.findall(stub_text + _prose(course, stage)))
    found = []
    for function in stage.points:
        stub = function_text(stub_text, function)
        codes = {
            name: cells.get(f"{stage.module}-{function}", "") for name, cells in notebooks.items()
        }
        answers = {name: own_text(code, stub) for name, code in codes.items() if code}
        right = own_text(function_text(reference, function), stub)
        found += alike(f"{stage.module}.{function}", answers, right, known)
    found.sort(key=lambda pair: (not pair.same, -pair.alike, pair.task, pair.one, pair.other))
    return found[:MOST_PAIRS]


def alike(task: str, answers: Answers, reference: str, known: set[str]) -> list[SimilarPair]:
    """The unusually similar pairs among the answers to one task and the reference.

    Args:
        answers: student -> `own_text`.
        reference: the same of the reference.
        known: words that the course itself uses.
    """
    kept = {name: text for name, text in answers.items() if text.strip()}
    texts = kept | {REFERENCE: reference}
    found: dict[tuple[str, str], SimilarPair] = {}
    for clauses in (_same_texts(texts), _rare_words(kept, known, reference)):
        for (one, other), clause in clauses.items():
            pair = found.get((one, other), SimilarPair(task, one, other))
            both = [said for said in (pair.same, clause) if said]
            found[one, other] = replace(pair, same=", and ".join(both))
    for one, other, likeness, median in _by_copydetect(texts):
        pair = found.get((one, other), SimilarPair(task, one, other))
        found[one, other] = replace(pair, alike=likeness, median=median)
    return list(found.values())


def own_text(code: str, stub: str) -> str:
    """The lines of a cell that are not in the released one, without docstrings."""
    released = {line.strip() for line in stub.split("\n")} | {BEGIN, END}
    lines = code[:LONGEST].replace("\r\n", "\n").split("\n")
    docstrings = _docstrings("\n".join(lines))
    return "\n".join(
        line.rstrip()
        for number, line in enumerate(lines, start=1)
        if line.strip() and line.strip() not in released and number not in docstrings
    )


def _docstrings(code: str) -> set[int]:
    """The line numbers of docstrings, from 1."""
    texts = (
        node.body[0]
        for node in ast.walk(parsed(code))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None
    )
    return {number for text in texts for number in range(text.lineno, (text.end_lineno or 0) + 1)}


def _same_texts(texts: Answers) -> dict[tuple[str, str], str]:
    """Pairs whose texts are the same letter for letter, where this is hardly chance."""
    holders: dict[str, list[str]] = defaultdict(list)
    for name, text in texts.items():
        holders[text].append(name)
    found: dict[tuple[str, str], str] = {}
    for text, names in holders.items():
        comments = [word for word in WORDS.findall(text) if word.startswith("#")]
        says = max((len(comment) for comment in comments), default=0)
        if len(text) < LEAST_TEXT and says < LEAST_COMMENT:
            continue
        if 1 < len(names) <= _few(len(texts)):
            clause = f"the same text letter for letter, {len(text)} characters of it their own"
            found |= dict.fromkeys(combinations(names, 2), clause)
    return found


def _rare_words(answers: Answers, known: set[str], reference: str) -> dict[tuple[str, str], str]:
    """Pairs that share comments or several names that hardly anybody else has."""
    common = known | set(WORDS.findall(reference))
    holders: dict[str, list[str]] = defaultdict(list)
    for name, text in answers.items():
        for word in sorted(set(WORDS.findall(text)) - common):
            holders[word].append(name)
    shared: dict[tuple[str, str], list[str]] = defaultdict(list)
    for word, names in holders.items():
        if 1 < len(names) <= _few(len(answers)):
            for pair in combinations(names, 2):
                shared[pair].append(word)
    clauses = {pair: _clause(words) for pair, words in shared.items()}
    return {pair: clause for pair, clause in clauses.items() if clause}


def _clause(words: list[str]) -> str:
    """A clause on rare words that two answers share; "" if this can be chance."""
    comments = [word for word in words if word.startswith("#") and len(word) >= LEAST_COMMENT]
    names = [word for word in words if not word.startswith("#")]
    if comments:
        return f"the same comment, {max(comments, key=len)[:100]!r}"
    if len(names) >= LEAST_NAMES and sum(map(len, names)) >= LEAST_LETTERS:
        return f"the same rare names, {', '.join(name[:40] for name in names[:5])}"
    return ""


def _few(count: int) -> int:
    """How many of `count` answers may contain something that still counts as rare."""
    return max(2, count // 50 + 1)


def _by_copydetect(texts: Answers) -> list[tuple[str, str, float, float]]:
    """Unusual pairs, with their similarity and the median of their kind.

    Pairs of students are compared with pairs of students, and pairs with the reference with one
    another, because every right answer is similar to the reference.
    """
    similarity = _similarity(texts)
    found = []
    for with_reference in (False, True):
        kind = {
            pair: value
            for pair, value in similarity.items()
            if (REFERENCE in pair) == with_reference
        }
        if not kind:
            continue
        median = statistics.median(kind.values())
        unusual = {
            pair: value
            for pair, value in kind.items()
            if value >= max(LEAST_ALIKE, median + ABOVE_MEDIAN)
        }
        if len(unusual) <= max(1, FEW * len(kind)):
            found += [(*pair, value, median) for pair, value in unusual.items()]
    return found


def _similarity(texts: Answers) -> dict[tuple[str, str], float]:
    """copydetect's similarity of all pairs of long enough answers, the smaller of both ways."""
    # It imports pyplot, which takes a second.
    from copydetect import CopyDetector

    names = [name for name, text in texts.items() if len(text) >= LEAST_CODE]
    if len(names) < 2:
        return {}
    with TemporaryDirectory() as folder:
        files = [str(Path(folder, f"{index}.py")) for index in range(len(names))]
        for file, name in zip(files, names, strict=True):
            Path(file).write_text(texts[name], encoding="utf-8", errors="replace")
        # Equal thresholds use every passage, so that the result does not depend on the hash seed.
        detector = CopyDetector(noise_t=GRAM, guarantee_t=GRAM, display_t=0.0, silent=True)
        for file in files:
            detector.add_file(file)
        detector.run()
        rows = {file: row for row, file in enumerate(detector.test_files)}
        long = {
            index
            for index, file in enumerate(files)
            if file in detector.file_data
            and len(detector.file_data[file].filtered_code) >= LEAST_CODE
        }
        return {
            (names[i], names[j]): float(
                min(detector.similarity_matrix[rows[files[i]], rows[files[j]]])
            )
            for i, j in combinations(range(len(names)), 2)
            if i in long and j in long
        }


def _cells(submission: Submission) -> dict[str, str]:
    """grade_id -> code of a student's cells, without the %%todo line."""
    return {name: python_in(code) for name, code in _sources(submission.notebook).items() if name}


def _prose(course: Path, stage: Stage) -> str:
    """The text of the released notebook."""
    path = released_notebook(course, stage.folder)
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        return "\n".join(source_of(cell) for cell in cells)
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _sources(path: Path) -> dict[str, str]:
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        return {grade_id_of(cell): source_of(cell) for cell in cells if cell["cell_type"] == "code"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def main(arguments: list[str] | None = None) -> int:
    """Print the unusually similar answers to a stage's tasks."""
    parser = documented("python -m grading.judge.similarity", __doc__)
    parser.add_argument("stage", choices=[stage.folder for stage in STAGES])
    parser.add_argument(
        "--course", type=Path, default=Path("class"), help="the course folder (default: class)"
    )
    options = parser.parse_args(arguments)
    stage = stage_of(options.stage)
    students = [one.student for one in submissions(options.course, stage.folder)]
    if not students:
        raise CourseError(f"nobody has handed in {stage.folder} in {options.course}.")
    for pair in unusual_pairs(options.course, stage, students):
        print(f"{pair.task}: {pair.one} and {pair.other}: {pair.sentence}")
    print(HINT)
    return 0


if __name__ == "__main__":
    run_program(main)
