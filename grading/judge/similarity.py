"""Which answers of a class are more alike than right answers to the same task are anyhow.

python -m grading.judge.similarity 01_sds

A task of five lines has few right answers, so likeness is a hint and no proof, and two things are
told apart. The stronger hint is what nobody writes alike by chance: a long text that is the same
letter for letter, comments and spaces included, or comments and names that hardly anybody else has.
The weaker one is copydetect's likeness, which does not see comments and names; it is only told
where it stands out among the pairs of that task. Nothing that a student wrote is run.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import statistics
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

from distillery.core.errors import CourseError
from grading.authoring.build import ROOT
from grading.authoring.make_stubs import BEGIN, END, function_text
from grading.core.notebook_cells import answer_in, grade_id_of, source_of
from grading.judge.assemble_module import released_module
from grading.stages import STAGES, stage_of
from grading.stages.stage import Stage

REFERENCE = "the reference"
HINT = "Likeness is a hint and no proof: read both answers, and talk with both students."
GRAM = 12  # characters of code without names: the shortest passage that counts
LEAST_CODE = 60  # such characters; shorter answers are alike by nature
LEAST_ALIKE = 0.85
ABOVE_MEDIAN = 0.25
FEW = 0.1  # part of a task's pairs; what more pairs show is not unusual
LEAST_TEXT = 150  # letters and signs of an answer that is no chance, without a comment
LEAST_COMMENT = 12  # letters and signs of a comment that is no chance
LEAST_NAMES, LEAST_LETTERS = 3, 20  # of rare names that two answers share
LONGEST = 20_000  # characters of one answer
MOST_PAIRS = 200
WORDS = re.compile(r"#[^\n]*|[A-Za-z_]\w{2,}|\d*\.\d{3,}|\d{4,}")

Answers = Mapping[str, str]


@dataclass(frozen=True)
class Pair:
    """Two answers to one task that are unusually alike.

    one, other: two students, or a student and `REFERENCE`.
    alike:      0 to 1, by copydetect.
    median:     of all pairs of this task.
    same:       a clause on what is the very same; "" where there is no such thing.
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


def unusual_pairs(course: Path, stage: Stage, students: Sequence[str]) -> list[Pair]:
    """Of every task of a stage, the strongest hints first."""
    notebooks = {student: _cells(course, stage, student) for student in students}
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


def alike(task: str, answers: Answers, reference: str, known: set[str]) -> list[Pair]:
    """The unusually alike pairs among the answers to one task, and with the reference.

    Args:
        answers: student -> `own_text`.
        reference: the same of the reference.
        known: words that the course itself uses.
    """
    kept = {name: text for name, text in answers.items() if text.strip()}
    texts = kept | {REFERENCE: reference}
    found: dict[tuple[str, str], Pair] = {}
    for clauses in (_same_texts(texts), _rare_words(kept, known, reference)):
        for (one, other), clause in clauses.items():
            pair = found.get((one, other), Pair(task, one, other))
            both = [said for said in (pair.same, clause) if said]
            found[one, other] = replace(pair, same=", and ".join(both))
    for one, other, likeness, median in _by_copydetect(texts):
        pair = found.get((one, other), Pair(task, one, other))
        found[one, other] = replace(pair, alike=likeness, median=median)
    return list(found.values())


def own_text(code: str, stub: str) -> str:
    """What a cell holds beyond the released one: comments stay, docstrings go."""
    released = {line.strip() for line in stub.split("\n")} | {BEGIN, END}
    lines = code[:LONGEST].replace("\r\n", "\n").split("\n")
    docstrings = _docstrings("\n".join(lines))
    return "\n".join(
        line.rstrip()
        for number, line in enumerate(lines, start=1)
        if line.strip() and line.strip() not in released and number not in docstrings
    )


def _docstrings(code: str) -> set[int]:
    """The numbers of their lines, from 1."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    texts = (
        node.body[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None
    )
    return {number for text in texts for number in range(text.lineno, (text.end_lineno or 0) + 1)}


def _same_texts(texts: Answers) -> dict[tuple[str, str], str]:
    """Pairs whose texts are the same letter for letter, where that can hardly be chance."""
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
    """Pairs that share comments or several names which hardly anybody else has."""
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
    """On words that two answers share and hardly anybody else has; "" if that can be chance."""
    comments = [word for word in words if word.startswith("#") and len(word) >= LEAST_COMMENT]
    names = [word for word in words if not word.startswith("#")]
    if comments:
        return f"the same comment, {max(comments, key=len)[:100]!r}"
    if len(names) >= LEAST_NAMES and sum(map(len, names)) >= LEAST_LETTERS:
        return f"the same rare names, {', '.join(name[:40] for name in names[:5])}"
    return ""


def _few(count: int) -> int:
    """How many of so many answers may hold what is still called rare."""
    return max(2, count // 50 + 1)


def _by_copydetect(texts: Answers) -> list[tuple[str, str, float, float]]:
    """Pairs that stand out, with their likeness and the median of their kind.

    Pairs of students are measured against pairs of students, and those with the reference against
    one another: whoever is right is near the reference.
    """
    likeness = _likeness(texts)
    found = []
    for with_reference in (False, True):
        kind = {
            pair: value for pair, value in likeness.items() if (REFERENCE in pair) == with_reference
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


def _likeness(texts: Answers) -> dict[tuple[str, str], float]:
    """copydetect's likeness of each two answers that are long enough, the smaller of both ways."""
    # It brings pyplot along, which takes a second to load.
    from copydetect import CopyDetector

    names = [name for name, text in texts.items() if len(text) >= LEAST_CODE]
    if len(names) < 2:
        return {}
    with TemporaryDirectory() as folder:
        files = [str(Path(folder, f"{index}.py")) for index in range(len(names))]
        for file, name in zip(files, names, strict=True):
            Path(file).write_text(texts[name], encoding="utf-8", errors="replace")
        # Equal thresholds take every passage, so that nothing hangs on the hash seed.
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


def _cells(course: Path, stage: Stage, student: str) -> dict[str, str]:
    """grade_id -> code of a student's cells, without the %%todo line."""
    path = course / "submitted" / student / stage.folder / f"{stage.folder}.ipynb"
    return {name: answer_in(code) for name, code in _sources(path).items() if name}


def _prose(course: Path, stage: Stage) -> str:
    """All that the released notebook says."""
    path = course / "release" / stage.folder / f"{stage.folder}.ipynb"
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        return "\n".join("".join(cell["source"]) for cell in cells)
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _sources(path: Path) -> dict[str, str]:
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        return {grade_id_of(cell): source_of(cell) for cell in cells if cell["cell_type"] == "code"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def main(arguments: list[str] | None = None) -> int:
    """Print the unusually alike answers to a stage's tasks."""
    parser = argparse.ArgumentParser(
        prog="python -m grading.judge.similarity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=[stage.folder for stage in STAGES])
    parser.add_argument(
        "--course", type=Path, default=Path("class"), help="the course folder (default: class)"
    )
    options = parser.parse_args(arguments)
    stage = stage_of(options.stage)
    handed_in = sorted((options.course / "submitted").glob(f"*/{stage.folder}"))
    if not handed_in:
        raise CourseError(f"nobody has handed in {stage.folder} in {options.course}.")
    for pair in unusual_pairs(options.course, stage, [path.parent.name for path in handed_in]):
        print(f"{pair.task}: {pair.one} and {pair.other}: {pair.sentence}")
    print(HINT)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
