"""A small site: no answer in it, every picture with words, and no request to another host."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from distillery.core.errors import CourseError
from website.answers import Answers
from website.executed_notebooks import text_without_answers
from website.outputs import printed, shown_outputs

pytest.importorskip("myst_nb", reason='the site needs pip install -e ".[site]"')
pytest.importorskip("sphinx_book_theme", reason='the site needs pip install -e ".[site]"')

from grading.stages import STAGES
from tests.website.small_site import build_small_site
from website.build import Wanted, answers_in, build

IMAGE = re.compile(r"<img\b[^>]*>")
LOADED = r"(?:<script[^>]*\bsrc|<link[^>]*\bhref|<img[^>]*\bsrc)"
OUTSIDE = re.compile(LOADED + r"=[\x22'](?:https?:)?//")


@pytest.fixture(scope="module")
def site(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The built site, in which nobody may write."""
    return once("small_site", build_small_site) / "site"


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers.of_the_course()


def test_the_site_holds_no_answer_and_one_that_is_put_in_is_found(site, answers, tmp_path):
    assert answers_in(site, answers) == []
    assert len(answers.lines) > 300
    secret = min(answers.lines, key=len).decode()
    page = f"<code><b>{html.escape(secret[:9])}</b>{html.escape(secret[9:])}</code>"
    (tmp_path / "index.html").write_text(page, "utf-8")
    assert answers_in(tmp_path, answers) == [f"index.html: {secret}"]


def test_every_picture_has_an_alternative_text(site):
    images = [
        image for page in site.rglob("*.html") for image in IMAGE.findall(page.read_text("utf-8"))
    ]
    assert len(images) > 10
    assert [image for image in images if not re.search(r'\balt="[^"]+"', image)] == []


def test_no_page_names_a_script_a_style_or_a_picture_of_another_host(site):
    pages = {page.name: page.read_text("utf-8") for page in site.rglob("*.html")}
    assert [name for name, text in pages.items() if OUTSIDE.search(text)] == []


def test_a_folder_with_other_files_is_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(CourseError, match="holds other files than a site"):
        build(Wanted(tmp_path, tmp_path / "work", execute=False))
    assert (tmp_path / "thesis.txt").read_text("utf-8") == "mine"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.folder)
def test_what_is_shown_of_a_notebook_has_stubs_in_the_place_of_answers(stage, answers):
    text = text_without_answers(stage, stage.notebook)
    assert answers.in_text(text) == []
    cells = nbformat.reads(text, 4).cells
    todo = [cell.source for cell in cells if cell.source.startswith("%%todo")]
    assert len(todo) == len(stage.points)
    assert all("NotImplementedError" in source for source in todo)


def test_an_output_that_tells_an_answer_is_left_out(answers):
    secret = min(answers.lines, key=len).decode()
    outputs = [
        nbformat.v4.new_output("stream", text="right\n"),
        nbformat.v4.new_output("display_data", {"text/plain": secret}),
        nbformat.v4.new_output("error", ename="E", evalue=secret, traceback=[secret]),
    ]
    assert [one.get("text") for one in shown_outputs(outputs, answers, "")] == ["right\n"]


def test_a_bar_that_was_drawn_over_is_not_shown():
    assert printed("\r10 %\r100 %\rdone\nnext") == "done\nnext"
