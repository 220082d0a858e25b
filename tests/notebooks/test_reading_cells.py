"""What a reader finds in stages 0 to 3: how long cells take, what symbols mean, what to read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import nbformat
import pytest

from grading.authoring.build import ROOT
from grading.authoring.notebooks import LAST_CODE
from grading.stages import STAGES
from grading.stages.stage import Stage

# What takes long, by the notebook's own functions; everything else is done in a few seconds.
SLOW = {
    "00_tour": {"sample"},
    "01_sds": {"distilled", "by_hand"},
    "02_pds": {"edited", "painted_over", "by_hand"},
    "03_vsd": {"distilled", "by_hand"},
}
BARS = {"progress", "finished", "live"}
READ = [stage for stage in STAGES if stage.folder in SLOW]
DURATION = re.compile(
    r"about (half a minute|a minute and a quarter|a minute|(\d+) seconds)|a few seconds", re.I
)
SECONDS = {"half a minute": 30, "a minute": 60, "a minute and a quarter": 75}
LONGEST = 90  # seconds on two quiet cores
LETTERS = re.compile(r"\\(varepsilon|alpha|beta|sigma|mu|psi|chi|mathcal L|mathrm\{KL\})")


def cells_of(stage: Stage) -> list[nbformat.NotebookNode]:
    return nbformat.read(ROOT / stage.notebook, as_version=4).cells


def called(node: ast.AST) -> set[str]:
    """The names of the functions that are called in it."""
    calls = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name)}


def slow_cells(stage: Stage) -> Iterator[tuple[str, str, set[str]]]:
    """The text before each cell that takes long, its code, and the bars that it shows."""
    barred, text = set(BARS), ""
    for cell in cells_of(stage):
        if cell.cell_type == "markdown":
            text = cell.source
            continue
        if cell.source.startswith("%%"):
            continue
        lines = [line for line in cell.source.split("\n") if not line.startswith("%")]
        statements = ast.parse("\n".join(lines)).body
        functions = [node for node in statements if isinstance(node, ast.FunctionDef)]
        barred |= {node.name for node in functions if called(node) & barred}
        rest = [node for node in statements if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        calls = set().union(*map(called, rest))
        if calls & SLOW[stage.folder]:
            yield text, cell.source, calls & barred


@pytest.mark.parametrize("stage", READ, ids=lambda stage: stage.folder)
def test_cells_that_take_long_have_a_bar_and_say_about_how_long_beforehand(stage):
    found = list(slow_cells(stage))
    assert len(found) >= 2
    for text, code, bars in found:
        assert bars, f"no bar: {code}"
        duration = DURATION.search(" ".join(text.split()))
        assert duration, f"no duration before: {code}"
        words, number = duration.groups()
        assert (int(number) if number else SECONDS.get(words, 5)) <= LONGEST


@pytest.mark.parametrize("stage", READ, ids=lambda stage: stage.folder)
def test_the_end_explains_the_symbols_and_links_to_papers(stage):
    *_, end, _, last = cells_of(stage)
    assert last.source == LAST_CODE
    symbols, reading = end.source.split("## Further reading")
    assert symbols.startswith("## Symbols\n\n| symbol | in code | what it is |\n|---|---|---|\n")
    assert len(re.findall(r"\]\(https://arxiv\.org/abs/\d{4}\.\d{5}\)", reading)) >= 4
    texts = [cell.source for cell in cells_of(stage) if cell.cell_type == "markdown"]
    shown = [formula for text in texts for formula in re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)]
    used = {letter for formula in shown for letter in LETTERS.findall(formula)}
    assert used - set(LETTERS.findall(symbols)) == set()


@pytest.mark.parametrize("stage", READ, ids=lambda stage: stage.folder)
def test_papers_are_links(stage):
    for cell in cells_of(stage):
        if cell.cell_type == "markdown":
            bare = re.sub(r"\[arXiv\s+\d{4}\.\d{5}\]\(https://arxiv\.org/\S+?\)", "", cell.source)
            assert not re.search(r"arXiv|\d{4}\.\d{5}", bare), cell.source


@pytest.mark.parametrize("name", ["01_sds", "03_vsd"])
def test_the_idea_begins_with_a_picture_and_not_with_a_formula(name):
    cells = cells_of(next(stage for stage in STAGES if stage.folder == name))
    place = next(i for i, cell in enumerate(cells) if cell.source.startswith("## The idea"))
    before, figure, after = cells[place : place + 3]
    assert "$$" not in before.source
    assert re.search(r"^(show|scatter)\(", figure.source, re.MULTILINE)
    assert after.source.startswith("**What you should see.**")
