"""A small site for tests: every text and one notebook, nothing executed, pictures of one colour."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import nbformat
from nbformat.v4 import new_output
from PIL import Image

from grading.stages import STAGES
from website.build import Wanted, build
from website.executed_notebooks import notebook_key, text_with_answers
from website.made_before import MadeBefore
from website.moving_pictures import MOVING, moving_key
from website.npm_packages import package_folder

TOUR = STAGES[0]


def build_small_site(folder: Path) -> None:
    """Write the site into `folder`/site; formulas are drawn where MathJax was fetched before."""
    math = package_folder("mathjax").is_dir()
    wanted = Wanted(
        folder / "site", folder, execute=False, math=math, distil=False, only=(TOUR.folder,)
    )
    drawn = io.BytesIO()
    Image.new("RGB", (1, 1)).save(drawn, "PNG")
    picture = base64.b64encode(drawn.getvalue()).decode()
    made = MadeBefore.under(folder / "site-cache")
    made.folder.mkdir(parents=True)
    for moving in MOVING:
        name = f"{moving.stage}-{moving_key(moving, made)}.gif"
        Image.new("RGB", (64, 64), "teal").save(made.folder / name)
    notebook = nbformat.reads(text_with_answers(TOUR, TOUR.notebook), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                new_output("stream", text="a line that is wider than a telephone " * 4),
                new_output("display_data", {"image/png": picture}),
            ]
    key = notebook_key(TOUR, TOUR.notebook, made)
    nbformat.write(notebook, made.folder / f"{TOUR.folder}-{key}-1.ipynb")
    build(wanted)
