"""`python -m website build`: from the course's texts and notebooks to a folder of plain files."""

from __future__ import annotations

import argparse
import io
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distillery.core.cli import Arguments, exit_status
from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.core.folders import put_in_place
from distillery.notebook.effort import effort
from grading.authoring.repository import repository_named
from website.answers import Answers
from website.made_before import MadeBefore
from website.mathjax import mathjax
from website.sources import write_sources

STATIC = Path(__file__).parent / "static"
MATHJAX = "mathjax/tex-svg.js"
COMMAND = "python -m website"
LOADED = re.compile(
    r"<(?:script|img|source|iframe|video|audio|link)\b[^>]*"
    r"\s(?:src|srcset|href)\s*=\s*[\"']?(?:https?:)?//[^>]*>"
)


@dataclass(frozen=True)
class Wanted:
    """How a site is built.

    out:        its folder; what is there from an earlier build is replaced.
    work:       the folder of sources, of what was executed and drawn, and of fetched packages.
    repository: "owner/name" on GitHub for the buttons that open a notebook there, or "".
    execute:    whether notebooks and moving pictures that were not made before are made.
    math:       whether formulas are drawn, by MathJax, which is fetched from npm's registry once.
    distil:     whether the page that distils in the reader's browser is built too.
    only:       folders of the stages that are shown; empty: all.
    """

    out: Path
    work: Path
    repository: str = ""
    execute: bool = True
    math: bool = True
    distil: bool = True
    only: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    return exit_status(partial(_build, options))


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(prog=f"{COMMAND} build", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("build/site"), help="folder (default: build/site)"
    )
    parser.add_argument(
        "--repository",
        default="",
        metavar="URL",
        help="address of the repository on GitHub: every page then gets a button that leads there, "
        "and a notebook's page one that opens it on Colab and Binder",
    )
    parser.add_argument(
        "--as-cached",
        action="store_true",
        help="execute nothing: a notebook that has not been executed since its code, the course's "
        "or the data changed is shown without outputs",
    )
    return parser


def _build(options: argparse.Namespace) -> None:
    wanted = Wanted(
        options.out,
        REPOSITORY / "build",
        repository_named(options.repository),
        execute=not options.as_cached,
    )
    build(wanted)
    print(f"{size_of(wanted.out) / 1e6:.1f} MB in {wanted.out}")


def build(wanted: Wanted) -> None:
    """Build the site, and refuse one that tells an answer or asks anything of another host.

    Raises:
        CourseError: the folder holds something else, a page cannot be built, an answer is in it,
            or a page loads from another host.
    """
    if wanted.out.exists() and any(wanted.out.iterdir()) and not _is_site(wanted.out):
        raise CourseError(f"{wanted.out} holds other files than a site; choose another folder.")
    sources = wanted.work / "site-sources"
    write_sources(
        sources,
        MadeBefore.under(wanted.work / "site-cache"),
        effort=effort(),
        execute=wanted.execute,
        distil=wanted.distil,
        only=wanted.only,
    )
    made = wanted.work / "site-made"
    shutil.rmtree(made, ignore_errors=True)
    if wanted.math:
        mathjax(sources / "_static" / "mathjax")
    _run_sphinx(sources, made, settings(wanted.repository))
    if wanted.distil:
        from website.page import build_page  # it needs ONNX

        build_page(made / "distil")
    told, asked = answers_in(made), loaded_from_others(made)
    if told:
        raise CourseError(f"the site is not written, since it tells answers: {'; '.join(told)}")
    if asked:
        raise CourseError(
            f"the site is not written, since it loads from other hosts: {'; '.join(asked)}"
        )
    replace_site(made, wanted.out)


def replace_site(made: Path, out: Path) -> None:
    """Move a site, perhaps from another disk, to the place of an earlier one.

    Raises:
        CourseError: the place cannot be written; the earlier site is still there.
    """
    new, old = (out.with_name(f".{out.name}-{word}") for word in ("new", "old"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(new, ignore_errors=True)
        shutil.move(made, new)
        if out.exists():  # else an interrupted program has left it at `old`
            shutil.rmtree(old, ignore_errors=True)
        put_in_place(new, out, old=old)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise CourseError(
            f"cannot write {out}: {(error.strerror or str(error)).lower()}."
        ) from error


def _is_site(folder: Path) -> bool:
    return (folder / "objects.inv").is_file() and (folder / "index.html").is_file()


def answers_in(site: Path, answers: Answers | None = None) -> list[str]:
    """Files of a site that hold a line of an answer, each with the line."""
    answers = answers or Answers.of_the_course()
    return [
        f"{path.relative_to(site)}: {line}"
        for path in sorted(site.rglob("*"))
        if path.is_file()
        for line in answers.in_bytes(path.read_bytes())
    ]


def loaded_from_others(site: Path) -> list[str]:
    """Pages that load a script, a style or a picture from another host, each with the first one."""
    pages = {page: page.read_text(encoding="utf-8") for page in sorted(site.rglob("*.html"))}
    found = {page: LOADED.search(text) for page, text in pages.items()}
    return [f"{page.relative_to(site)}: {tag[0]}" for page, tag in found.items() if tag]


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def settings(repository: str) -> dict[str, Any]:
    """What Sphinx is told: nothing from other hosts, and no buttons without a repository."""
    theme: dict[str, Any] = {
        "use_download_button": False,
        "use_fullscreen_button": False,
        "show_toc_level": 2,
        "home_page_in_toc": True,
        "navbar_persistent": [],
        "search_bar_text": "Search the course",
    }
    if repository:
        theme |= {
            "repository_url": f"https://github.com/{repository}",
            "repository_branch": "HEAD",
            "use_repository_button": True,
            "path_to_docs": "",
            "launch_buttons": {
                "colab_url": "https://colab.research.google.com",
                "binderhub_url": "https://mybinder.org",
            },
        }
    return {
        "project": "Score Distillery",
        "html_title": "Score Distillery",
        "extensions": ["myst_nb", "sphinx_copybutton"],
        "source_suffix": {".md": "myst-nb", ".ipynb": "myst-nb"},
        "html_theme": "sphinx_book_theme",
        "html_theme_options": theme,
        "html_static_path": ["_static"],
        "html_css_files": ["site.css"],
        "html_js_files": ["site.js"],
        "html_copy_source": False,
        "html_show_sourcelink": False,
        "html_show_sphinx": False,
        "html_last_updated_fmt": None,
        "author": "",
        "copyright": "",
        "language": "en",
        "nb_execution_mode": "off",
        "nb_merge_streams": True,
        "nb_ipywidgets_js": {},
        "myst_enable_extensions": ["dollarmath", "amsmath", "colon_fence", "html_image"],
        "myst_heading_anchors": 3,
        "mathjax_path": MATHJAX,
        "mathjax3_config": {"tex": {"processEscapes": True}},
        # The README begins with a picture, and magics of notebooks are no Python.
        "suppress_warnings": ["myst.header", "misc.highlighting_failure"],
        "exclude_patterns": ["_static"],
    }


def _run_sphinx(sources: Path, made: Path, configured: dict[str, Any]) -> None:
    """Build the pages; a warning is an error, since each is something that a reader would miss."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    warnings = io.StringIO()
    doctrees = made.with_name("site-doctrees")
    shutil.rmtree(doctrees, ignore_errors=True)
    with patch_docutils(), docutils_namespace():
        application = Sphinx(
            str(sources),
            None,
            str(made),
            str(doctrees),
            "html",
            confoverrides=configured,
            status=None,
            warning=warnings,
        )
        application.build()
    shutil.rmtree(doctrees, ignore_errors=True)
    said = warnings.getvalue().strip()
    if application.statuscode or said:
        raise CourseError(f"the pages were not built without a warning: {said[-3000:]}")
