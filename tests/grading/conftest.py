"""A small course in a temporary folder, with a notebook of its own for stage 0."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from grading.authoring.build import ROOT

PERCENT = """\
# %% [markdown]
# # A small tour

# %%
# %load_ext distillery.todo
import torch

from distillery.course.check import check, compare_picture

# %%
# TODO tour.add_noise

# %%
check("tour.add_noise")

# %%
compare_picture("tour.add_noise")

# %% tags=["again"]
# TODO tour.predict_x0

# %%
check("tour.predict_x0")

# %%
# TODO tour.classifier_free_guidance

# %%
check("tour.classifier_free_guidance")

# %%
x0 = torch.zeros(2, 3, 4, 6)
add_noise(x0, torch.ones_like(x0), torch.full((2, 1, 1, 1), 0.75)).max().item()
"""


@pytest.fixture
def small_course(tmp_path: Path) -> Path:
    for folder in ("reference", "guidance", "data/checks"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc", "*.md")
        )
    (tmp_path / "distillery").mkdir()
    source = tmp_path / "notebooks" / "00_tour" / "00_tour.py"
    source.parent.mkdir(parents=True)
    source.write_text(PERCENT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def inside_course(small_course, monkeypatch):
    """Work inside the small course; `guidance` is its own until the test ends."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(small_course / "notebooks" / "00_tour")
    yield small_course
    for name in [name for name in sys.modules if name.split(".")[0] == "guidance"]:
        del sys.modules[name]
