"""What the page "Distil in your browser" computes is what Python computes; its modules in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("onnx", reason="needs the extra `site`")
pytest.importorskip("onnxruntime", reason="needs the extra `site`")

from distil_in_python import (
    AGREES,
    NO_RUNTIME,
    PROMPT,
    RUNTIME,
    STEPS,
    TAKEN,
    asked,
    latents_in_python,
    mask,
    prior_of_page,
)

from distillery.methods.guided_ddim import first_step
from distillery.models.stable_diffusion import StableDiffusionPrior
from website.export_onnx import tokens_of
from website.page import SOURCE
from website.page_random import PageRandom

Once = Callable[[str, Callable[[Path], object]], Path]
TEXTS = [
    "",
    PROMPT,
    "A  Picture of\tan ORANGE mushroom, beside a waterfall!",
    "Übergroße café don't 42 日本語 🙂",
    "red " * 40,
]
FIRST = [(steps, tenths / 20) for steps in range(2, 51) for tenths in range(5, 21)]

pytestmark = pytest.mark.skipif(not RUNTIME.is_dir(), reason=NO_RUNTIME)


@pytest.fixture(scope="module")
def prior() -> StableDiffusionPrior:
    return prior_of_page()


@pytest.fixture(scope="module")
def page(built_page: Path, once: Once) -> dict[str, Any]:
    """What the page's modules compute in Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on the PATH")

    def ask(there: Path) -> None:
        there.mkdir()
        more = {"taken": TAKEN, "texts": TEXTS, "first": FIRST}
        whole = {**asked(), "mask": mask().flatten().tolist(), **more}
        (there / "asked.json").write_text(json.dumps(whole))
        script = Path(__file__).with_name("distil_steps.mjs")
        ran = subprocess.run(
            [node, script, RUNTIME, SOURCE, built_page / "model", there / "asked.json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        (there / "answer.json").write_text(ran.stdout)

    answer: dict[str, Any] = json.loads((once("distil_numbers", ask) / "answer.json").read_text())
    return answer


@pytest.mark.parametrize("method", [*STEPS, "open"])
def test_latents_after_ten_steps_in_node_are_those_of_python(method, page, prior):
    expected = latents_in_python(method, prior)
    computed = torch.tensor(page["latents"][method]).view_as(expected)
    assert (computed - expected).abs().max() < AGREES


def test_a_picture_decoded_in_node_is_that_of_python(page, prior):
    shape = (1, prior.latent_channels, *prior.latent_size)
    expected = prior.decode(torch.tensor(page["latents"]["ddim"]).view(shape))
    assert (torch.tensor(page["image"]).view_as(expected) - expected).abs().max() < AGREES


def test_texts_have_the_tokens_of_python(page, prior):
    assert page["tokens"] == tokens_of(prior, TEXTS)


def test_sdedit_begins_at_the_step_where_python_begins(page):
    expected = [min(first_step(steps, strength), steps - 1) for steps, strength in FIRST]
    assert page["first"] == expected


def test_the_weights_lie_in_half_precision(built_page):
    size = sum(path.stat().st_size for path in (built_page / "model").iterdir())
    assert 15e6 < size < 25e6


def test_the_numbers_of_the_page_are_normal():
    drawn = PageRandom(3).normal(100_000)
    assert drawn.mean().abs() < 0.02
    assert abs(drawn.std() - 1) < 0.02
    assert abs(drawn.pow(4).mean() - 3) < 0.1
