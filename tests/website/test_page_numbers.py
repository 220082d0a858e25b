"""What the page draws in a browser is what Python draws: the same numbers, step by step."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from distillery.core.files import REPOSITORY
from distillery.methods.ddim import sample
from distillery.models.load import load_prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.runs.training import warmup_cosine
from reference.sds import sds_grad
from reference.strokes import sdedit_start
from website.export_onnx import export, tokens_of
from website.npm_packages import package_folder
from website.page_random import PageRandom

pytest.importorskip("onnx", reason="needs the extra `site`")
pytest.importorskip("onnxruntime", reason="needs the extra `site`")
RUNTIME = package_folder("onnxruntime-web")
PROMPT, SEED, TAKEN, AGREES = "a red boat on a frozen river", 7, 10, 1e-3
STEPS = {"sds": 30, "ddim": 12, "sdedit": 14}
TEXTS = [
    "",
    PROMPT,
    "A  Picture of\tan ORANGE mushroom, beside a waterfall!",
    "Übergroße café don't 42 日本語 🙂",
    "red " * 40,
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    export(folder)
    return folder


@pytest.fixture(scope="module")
def prior() -> StableDiffusionPrior:
    loaded = load_prior("tiny-sd", device="cpu")
    assert isinstance(loaded, StableDiffusionPrior)
    return loaded


@pytest.fixture(scope="module")
def painting() -> Tensor:
    """Two flat fields, (1, 3, 64, 64)."""
    image = torch.full((1, 3, 64, 64), 0.6)
    image[:, 1:, 20:44, 16:48] = -0.8
    return image


@pytest.fixture(scope="module")
def page(model: Path, painting: Tensor, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page's modules compute in Node."""
    node = shutil.which("node")
    if node is None or not RUNTIME.is_dir():
        pytest.skip("needs node and the packages of `python -m website.npm_packages`")
    asked = tmp_path_factory.mktemp("asked") / "asked.json"
    settings = {"seed": SEED, "prompt": PROMPT, "guidance": 5.0, "learningRate": 0.1}
    settings |= {"strength": 0.8, "steps": STEPS, "taken": TAKEN, "texts": TEXTS}
    asked.write_text(json.dumps({**settings, "painting": painting.flatten().tolist()}))
    script = Path(__file__).with_name("steps.mjs")
    folder = REPOSITORY / "website" / "browser_page"
    ran = subprocess.run(
        [node, script, RUNTIME, folder, model, asked], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def in_python(method: str, prior: StableDiffusionPrior, painting: Tensor) -> Tensor:
    random, shape = PageRandom(SEED), (1, prior.latent_channels, *prior.latent_size)
    text, uncond = prior.embed([PROMPT]), prior.embed([""])
    xt, first = random.normal(*shape), 0
    if method == "sds":
        return sds_in_python(prior, xt, random)
    timesteps = prior.timesteps(STEPS[method])
    if method == "sdedit":
        first = STEPS[method] - round(0.8 * STEPS[method])
        source = prior.encode(painting)
        xt = sdedit_start(source, xt, 0.8, timesteps, prior.alphas_cumprod)
    way = sample(
        prior, xt, text=text, uncond=uncond, guidance_scale=5.0, timesteps=timesteps, start=first
    )
    return next(step.xt for step in way if step.index + 1 - first == TAKEN)


def sds_in_python(prior: StableDiffusionPrior, x0: Tensor, random: PageRandom) -> Tensor:
    text, uncond = prior.embed([PROMPT]), prior.embed([""])
    latents = torch.nn.Parameter(x0)
    optimiser = torch.optim.AdamW([latents], weight_decay=0)
    for index in range(TAKEN):
        t, eps = torch.tensor([random.integer(20, 980)]), random.normal(*x0.shape)
        latents.grad = sds_grad(prior, latents.detach(), t, eps, text, uncond, 5.0)
        steps = STEPS["sds"]
        optimiser.param_groups[0]["lr"] = warmup_cosine(index, steps=steps, warmup=3, peak=0.1)
        optimiser.step()
    return latents.detach()


@pytest.mark.parametrize("method", STEPS)
def test_latents_after_ten_steps_are_those_of_python(method, page, prior, painting):
    expected = in_python(method, prior, painting)
    computed = torch.tensor(page["latents"][method]).view_as(expected)
    assert (computed - expected).abs().max() < AGREES


def test_the_decoded_picture_is_that_of_python(page, prior):
    shape = (1, prior.latent_channels, *prior.latent_size)
    expected = prior.decode(torch.tensor(page["latents"]["ddim"]).view(shape))
    assert (torch.tensor(page["image"]).view_as(expected) - expected).abs().max() < AGREES


def test_texts_have_the_tokens_of_python(page, prior):
    assert page["tokens"] == tokens_of(prior, TEXTS)


def test_the_weights_lie_in_half_precision(model):
    assert 15e6 < sum(path.stat().st_size for path in model.iterdir()) < 25e6


def test_normal_numbers_are_normal():
    drawn = PageRandom(3).normal(100_000)
    assert drawn.mean().abs() < 0.02
    assert abs(drawn.std() - 1) < 0.02
    assert abs(drawn.pow(4).mean() - 3) < 0.1
