"""demo.py, the work of `make run`, and the prompts that the course is measured on."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

import demo
from distillery.methods.settings import Settings
from distillery.toybox import COLOURS, SCENES, THINGS, all_factors, held_out

PROMPTS = ["a red boat", "a cat at 100% <b>"]


@pytest.fixture(scope="module")
def gallery(
    tiny_sd_folder: Path, tiny_clip_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[demo.Work], Path]:
    out = tmp_path_factory.mktemp("outputs")
    runs = [
        Settings(prompt, model=str(tiny_sd_folder), implementation="reference", steps=3)
        for prompt in PROMPTS
    ]
    works = demo.distil(runs, clip=str(tiny_clip_folder), out=out / "gallery")
    return works, demo.hang(works, out / "gallery.html")


def test_the_page_shows_each_prompt_with_its_score(
    gallery: tuple[list[demo.Work], Path],
) -> None:
    works, page = gallery
    text = page.read_text(encoding="utf-8")

    for work, prompt in zip(works, PROMPTS, strict=True):
        assert f"{html.escape(prompt)}<span>CLIP {work.score:.3f}</span>" in text
    assert "{{" not in text


def test_all_that_the_page_links_to_lies_beside_it_and_is_a_picture(
    gallery: tuple[list[demo.Work], Path],
) -> None:
    _, page = gallery
    links = re.findall(r'src="([^"]*)"', page.read_text(encoding="utf-8"))

    assert len(links) == len(PROMPTS) * (2 + demo.STRIP)
    for link in links:
        with Image.open(page.parent / unquote(link)) as picture:
            assert picture.size == (16, 16)
    assert not any("://" in link or link.startswith("/") for link in links)


def test_the_gallery_is_drawn_by_the_reference_on_the_embedded_model() -> None:
    runs = demo.gallery_settings()

    assert len(runs) == 6
    assert {(run.model, run.implementation, run.loss_type) for run in runs} == {
        ("tiny-sd", "reference", "sds")
    }
    assert "a red boat on a frozen river" in [run.prompt for run in runs]


def prompts() -> dict[str, list[str]]:
    return json.loads(demo.PROMPTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "expected"), [("trained", False), ("held_out", True)])
def test_the_measured_prompts_are_what_they_are_called_and_cover_the_world_evenly(
    name: str, expected: bool
) -> None:
    world = {str(factors): factors for factors in all_factors()}
    chosen = [world[prompt] for prompt in prompts()[name]]

    assert len(set(chosen)) == 20
    assert all(held_out(factors) == expected for factors in chosen)
    for part, words in (("thing", THINGS), ("colour", COLOURS), ("scene", SCENES)):
        counts = Counter(getattr(factors, part) for factors in chosen)
        assert max(counts.values()) - min(counts[word] for word in words) <= 1
        assert min(counts[word] for word in words) >= 1


def test_the_gallery_shows_six_different_things_colours_and_scenes() -> None:
    world = {str(factors): factors for factors in all_factors()}
    chosen = [world[prompt] for prompt in prompts()["gallery"]]

    for part in ("thing", "colour", "scene"):
        assert len({getattr(factors, part) for factors in chosen}) == 6
