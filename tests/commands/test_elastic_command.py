"""main.py elastic: every flag counts, files are as documented, and a stopped run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from running import Tree, stopped_once, without

import main
from distillery.core.images import load_image, prompt_of
from distillery.methods.elastic_methods import METHODS
from distillery.models.load import load_prior
from distillery.runs import elastic, elastic_run, kind
from distillery.runs.elastic_settings import ElasticSettings
from reference import elastic as reference

STEPS = 4
STEM = "a_red_boat"


@pytest.fixture
def red_boat(tiny_sd_folder: Path) -> list[str]:
    """A short run of the reference; `--out` is left to the test."""
    options = {
        "--prompt": "a red boat",
        "--model": str(tiny_sd_folder),
        "--height": "24",
        "--width": "36",  # is no multiple of 8
        "--resampling_steps": "2",
        "--repaint_sampling": "True",
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": str(STEPS),
    }
    return ["elastic", *(word for option in options.items() for word in option)]


def test_it_leaves_the_picture_and_its_making(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    assert {name.removeprefix(f"{STEM}/") for name in undisturbed} == {
        f"{STEM}.png",
        "making.gif",
        "run.yaml",
        *(f"frames/{number + 1:05d}.png" for number in range(STEPS)),
    }
    picture = tmp_path / "undisturbed" / f"{STEM}.png"
    assert load_image(picture).size == (36, 24)
    assert prompt_of(picture, load_image(picture)) == "a red boat"


@pytest.mark.parametrize("index", [0, STEPS - 1])
def test_a_run_that_goes_on_leaves_the_same_bytes(
    index: int,
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts = stopped_once(monkeypatch, elastic_run, "steered", index)
    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 130

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    assert starts == [0, index + 1]
    assert tree(tmp_path / "out") == undisturbed


def test_a_runs_settings_repeat_it_to_the_byte(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    config = tmp_path / "undisturbed" / STEM / "run.yaml"

    assert main.main(["elastic", "--config", str(config), "--out", str(tmp_path / "again")]) == 0

    assert tree(tmp_path / "again") == undisturbed


@pytest.fixture(scope="session")
def drawn(tiny_sd_folder: Path) -> Callable[..., torch.Tensor]:
    """A function that draws by changed settings and gives the picture's values, each once."""
    known: dict[str, torch.Tensor] = {}
    prior = load_prior(tiny_sd_folder, device="cpu")

    def draw(**changes: object) -> torch.Tensor:
        settings = ElasticSettings.load(
            None,
            **{
                "prompt": "a boat",
                "height": 24,
                "width": 40,
                "model": str(tiny_sd_folder),
                "steps": STEPS,
                "resampling_steps": 2,
                "repaint_sampling": False,
                "device": "cpu",
                **changes,
            },
        )
        key = settings.to_yaml()
        if key not in known:
            known[key] = kind.drawn(elastic, prior, reference, settings)
        return known[key]

    return draw


CHANGES = [
    ({}, {"seed": 1}),
    ({}, {"height": 32}),
    ({}, {"width": 32}),
    ({}, {"negative_prompt": "grey"}),
    ({}, {"guidance_scale": 2.0}),
    ({}, {"steps": 3}),
    ({}, {"resampling_steps": 3}),
    ({}, {"new_p": 0.8}),
    ({}, {"rrg_weight": 0.3}),
    ({}, {"rrg_weight": None, "rrg_init_weight": 20.0}),
    ({}, {"rrg_stop_t": 0.6}),
    ({}, {"cosine_scale": 1.0}),
    ({}, {"repaint_sampling": True}),
    ({}, {"patch_size": 6}),
    ({}, {"moving_windows": False}),
    ({}, {"reference": "padded"}),
    ({"method": "multidiffusion"}, {"stride": 2}),
    ({"method": "multidiffusion"}, {"view_weights": "uniform"}),
    ({"method": "upscale"}, {"strength": 0.8}),
]


@pytest.mark.parametrize(("base", "change"), CHANGES, ids=[str({**b, **c}) for b, c in CHANGES])
def test_every_setting_counts(base: dict[str, object], change: dict[str, object], drawn) -> None:
    assert not torch.equal(drawn(**base), drawn(**{**base, **change}))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_several_pictures_of_any_size(method: str, drawn) -> None:
    images = drawn(method=method, count=2, height=19, width=45)

    assert images.shape == (2, 3, 19, 45)
    assert images.isfinite().all()
    alone = drawn(method=method, seed=1, height=19, width=45)
    assert torch.allclose(images[1], alone[0], atol=1e-4)


@pytest.mark.parametrize("method", ["direct", "upscale"])
def test_what_calls_none_of_the_functions_needs_none(
    method: str, red_boat: list[str], tmp_path: Path
) -> None:
    command = without(red_boat, "--implementation")

    assert main.main([*command, "--method", method, "--out", str(tmp_path)]) == 0
