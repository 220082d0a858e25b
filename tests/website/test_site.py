"""A small site: no answer in it, every picture with words, and no request to another host."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import nbformat
import pytest

from distillery.core.errors import CourseError
from website.answers import Answers
from website.executed_notebooks import text_without_answers
from website.outputs import printed, shown_outputs

pytest.importorskip("myst_nb", reason='the site needs pip install -e ".[site]"')
pytest.importorskip("sphinx_book_theme", reason='the site needs pip install -e ".[site]"')

from grading.authoring.repository import badged
from grading.stages import STAGES
from tests.website.small_site import build_small_site
from website.build import Wanted, answers_in, build, loaded_from_others, replace_site
from website.sources import TEXTS, course_texts

IMAGE = re.compile(r"<img\b[^>]*>")
OF_OTHERS = [
    '<script async src="https://example.org/a.js">',
    "<link rel=stylesheet href='//example.org/a.css'>",
    '<img alt="A badge" src="https://example.org/a.svg">',
]


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


def test_no_page_loads_from_another_host_and_one_that_does_is_found(site, tmp_path):
    assert loaded_from_others(site) == []
    for number, tag in enumerate(OF_OTHERS):
        (tmp_path / f"{number}.html").write_text(f"<p>{tag}</p>", "utf-8")
    assert [found.partition(": ")[2] for found in loaded_from_others(tmp_path)] == OF_OTHERS
    (tmp_path / "0.html").write_text('<a href="https://example.org">a link</a>', "utf-8")
    assert len(loaded_from_others(tmp_path)) == len(OF_OTHERS) - 1


def test_badges_stay_in_the_readme_for_others_draw_them(tmp_path):
    for name in TEXTS:
        (tmp_path / name).write_text(f"# Score Distillery\n\n{name}\n", "utf-8")
    readme = tmp_path / "README.md"
    readme.write_text(badged(readme.read_text("utf-8"), "someone/course"), "utf-8")
    assert "https://" in readme.read_text("utf-8")
    pages = course_texts(tmp_path)
    assert pages[PurePosixPath("README.md")] == "# Score Distillery\n\nREADME.md\n"
    assert len(pages) == len(TEXTS)


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


def test_an_earlier_site_is_replaced_whole_or_stays(tmp_path, monkeypatch):
    made, out = tmp_path / "made", tmp_path / "pages" / "site"
    for word in ("first", "second"):
        made.mkdir()
        (made / "index.html").write_text(word)
        replace_site(made, out)
        assert (out / "index.html").read_text() == word
    made.mkdir()

    def full(*_: Path, **__: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("website.build.put_in_place", full)
    with pytest.raises(CourseError, match=r"cannot write .*: no space left on device"):
        replace_site(made, out)
    assert (out / "index.html").read_text() == "second"
    monkeypatch.undo()
    made.mkdir()
    (made / "index.html").write_text("third")
    replace_site(made, out)
    assert [path.name for path in out.parent.iterdir()] == ["site"]
