"""Formulas come out whole where notebooks are read: JupyterLab, nbconvert's pages, elsewhere."""

from __future__ import annotations

import re

import nbformat
import pytest
from markdown_it import MarkdownIt
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from grading.authoring.build import ROOT
from grading.stages import STAGES

# JupyterLab takes formulas out of a cell's raw text before it reads its Markdown, code spans aside.
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
FORMULA = re.compile(r"\$\$.+?\$\$|(?<![\\$])\$[^$]+?(?<!\\)\$(?!\$)", re.DOTALL)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # "\a" of a "\alpha" that was no raw string
SHOWN = re.compile(r'<math|class="math|\\\(|\\\[')


def faults(text: str) -> list[str]:
    """What goes wrong with the formulas of a Markdown cell, in one renderer or another."""
    bare = CODE.sub("", text)
    found = FORMULA.findall(bare)
    said = [f"a character that nobody sees, {one!r}" for one in CONTROL.findall(text)]
    said += [f"JupyterLab puts a quote's > into {f!r}" for f in found if re.search(r"\n\s*>", f)]
    said += [f"a $ without its partner in {FORMULA.sub('', bare)!r}"] * (
        "$" in FORMULA.sub("", bare).replace(r"\$", "")
    )
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "inline" and "$" in FORMULA.sub("", CODE.sub("", token.content)):
            said.append(f"a formula is cut into bullets, quotes or cells: {token.content!r}")
    whole = markdown2html_mistune(text)
    squeezed = re.sub(r"\s+", "", re.sub(r"<[^>]*>", "", whole))
    for formula in found:
        escaped = formula.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if re.sub(r"\s+", "", escaped) not in squeezed:
            said.append(f"nbconvert does not show {formula!r} as it is written")
    return said


@pytest.mark.parametrize(
    "path",
    [path for stage in STAGES for path in (stage.notebook, *stage.ungraded)],
    ids=lambda path: path.stem,
)
def test_every_formula_is_whole_in_every_reader(path):
    cells = nbformat.read(ROOT / path, as_version=4).cells
    said = [
        fault for cell in cells if cell.cell_type == "markdown" for fault in faults(cell.source)
    ]
    assert said == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("> The loss on $v =\n> w$ is known.", "JupyterLab puts"),
        ("$$a\n- b$$", "cut into"),
        ("Then $a\n+ b$ is it.", "cut into"),
        ("| a |\n|---|\n| $a|b$ |", "cut into"),
        ("It costs $5.", "without its partner"),
        ("It counts $\alpha / r$.", "nobody sees"),
        ("$$a\n= b \\;-\\; c$$ and `$x`, for $t < 3$", None),
    ],
)
def test_the_faults_are_found(text, fault):
    said = faults(text)
    assert bool(said) == (fault is not None)
    assert fault is None or any(fault in one for one in said)
