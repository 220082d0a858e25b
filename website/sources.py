"""The folder that Sphinx reads: the course's own texts at their own paths, and pages made here."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import nbformat

from distillery.core.files import REPOSITORY
from grading.authoring.repository import badged
from grading.stages import STAGES
from website.executed_notebooks import all_notebooks, with_outputs
from website.made_before import MadeBefore
from website.moving_pictures import MOVING, moving_picture, still_picture
from website.public_functions import reference_pages

HERE = Path(__file__).parent
TEXTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PICTURES = ("docs/**/*.png", "data/strokes/finished/*.png")
LINK = re.compile(r"(?<!!)\[([^\]\[]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
DISTIL = (
    '<p><a href="distil/index.html"><strong>Distil in your browser</strong></a>: type a prompt, '
    "and the picture is drawn on your own machine, without Python.</p>"
)
SECTION = re.compile(r"^(#+) ", re.MULTILINE)


def write_sources(
    folder: Path,
    made: MadeBefore,
    *,
    effort: float,
    execute: bool,
    distil: bool,
    only: Iterable[str] = (),
) -> None:
    """Write the folder anew.

    Args:
        folder: replaced as a whole.
        made: the notebooks that were executed and the moving pictures that were drawn before.
        effort: the share of long runs to compute, in (0, 1].
        execute: whether to execute and draw what was not.
        distil: whether the first page leads to the page that distils in the reader's browser.
        only: folders of the stages whose notebooks are shown; empty: all.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(HERE / "static", folder / "_static")
    for pattern in PICTURES:
        for picture in REPOSITORY.glob(pattern):
            _put(folder, picture.relative_to(REPOSITORY), picture.read_bytes())
    chosen = set(only) or {stage.folder for stage in STAGES}
    pages: dict[PurePosixPath, str] = {}
    for stage, path in all_notebooks():
        if stage.folder in chosen:
            notebook = with_outputs(stage, path, made, effort, execute=execute)
            pages[path] = nbformat.writes(notebook)
    pages |= course_texts()
    pages[PurePosixPath("models.md")] = models_page()
    pages |= reference_pages()
    pages[PurePosixPath("gallery.md")] = (HERE / "pages" / "gallery.md").read_text("utf-8")
    pages[PurePosixPath("notebooks.md")] = notebooks_page(sorted(chosen))
    moving = _moving(folder / "_static" / "moving", made, execute=execute)
    template = (HERE / "pages" / "index.md").read_text(encoding="utf-8")
    pages[PurePosixPath("index.md")] = template.replace("{moving}", moving).replace(
        "{documents}", _documents(pages)
    )
    index = PurePosixPath("index.md")
    pages[index] = pages[index].replace("{distil}", DISTIL if distil else "")
    for page, said in pages.items():
        _put(folder, Path(page), _with_own_links(page, said, pages).encode())


def course_texts(root: Path = REPOSITORY) -> dict[PurePosixPath, str]:
    """Page -> its text, of those that stand in the course; without badges, which others draw."""
    paths = [*(root / name for name in TEXTS), *(root / "docs").rglob("*.md")]
    return {
        PurePosixPath(path.relative_to(root).as_posix()): badged(path.read_text("utf-8"), "")
        for path in paths
    }


def _put(folder: Path, path: Path, content: bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


def _with_own_links(path: PurePosixPath, text: str, pages: Iterable[PurePosixPath]) -> str:
    """A text in which what leads to a file that the site has not is no link."""
    known = {str(page) for page in pages}

    def checked(match: re.Match[str]) -> str:
        target = _normal(path.parent / match[2])
        is_there = target in known or (REPOSITORY / target).suffix == ".png"
        return match[0] if is_there and not target.startswith("..") else match[1]

    return LINK.sub(checked, text)


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _moving(folder: Path, made: MadeBefore, *, execute: bool) -> str:
    """The moving pictures as HTML; those that are not drawn yet are left out without `execute`."""
    folder.mkdir(parents=True, exist_ok=True)
    cards = []
    for moving in MOVING:
        gif = moving_picture(moving, made, draw=execute)
        if gif is None:
            continue
        still = still_picture(gif)
        for file in (gif, still):
            shutil.copy(file, folder)
        cards.append(
            f'<figure><a href="notebooks/{moving.stage}/{moving.stage}.html">'
            f'<picture><source media="(prefers-reduced-motion: reduce)" '
            f'srcset="_static/moving/{still.name}">'
            f'<img src="_static/moving/{gif.name}" alt="{html.escape(moving.alt)}">'
            f"</picture></a><figcaption><strong>{html.escape(moving.title)}.</strong> "
            f"{html.escape(moving.says)}<br><code>{html.escape(moving.typed)}</code>"
            "</figcaption></figure>"
        )
    return f'<div class="moving">{"".join(cards)}</div>'


def _documents(pages: Iterable[PurePosixPath]) -> str:
    """The further texts under docs/ for the list of pages, by name."""
    placed = {"docs/results.md", "docs/glossary.md", "docs/instructors.md"}
    found = [str(page) for page in pages if page.parts[0] == "docs" and str(page) not in placed]
    return "\n".join(sorted(name.removesuffix(".md") for name in found))


def notebooks_page(folders: Iterable[str]) -> str:
    """The notebooks with what they make, and as a list of pages."""
    rows, listed = [], []
    for stage in STAGES:
        if stage.folder not in folders:
            continue
        name = f"notebooks/{stage.folder}/{stage.folder}"
        rows.append(f"| [{stage.folder}]({name}.ipynb) | {stage.title} | {stage.makes} |")
        listed += [str(path.with_suffix("")) for path in (stage.notebook, *stage.ungraded)]
    head = ["| stage | what it is about | what you will have made |", "|---|---|---|"]
    table = "\n".join([*head, *rows])
    text = (HERE / "pages" / "notebooks.md").read_text(encoding="utf-8")
    return text.replace("{table}", table).replace("{listed}", "\n".join(listed))


def models_page() -> str:
    """The card of every embedded model, one after the other."""
    parts = [(HERE / "pages" / "models.md").read_text(encoding="utf-8")]
    for card in sorted((REPOSITORY / "data" / "models").glob("*/README.md")):
        text = card.read_text(encoding="utf-8")
        parts.append(SECTION.sub(lambda match: f"#{match[1]} ", text))
    return "\n\n".join(parts)
