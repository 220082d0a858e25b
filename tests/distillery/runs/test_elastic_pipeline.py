"""ElasticDiffusion by the names of its release, in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import main
from distillery.core.errors import CourseError
from distillery.core.images import load_image
from distillery.runs.elastic_pipeline import ElasticDiffusion

SIZE = {"height": 24, "width": 40}
SHORT: dict[str, Any] = {**SIZE, "num_inference_steps": 3, "resampling_steps": 2, "seed": 4}


@pytest.fixture(scope="session")
def pipe(tiny_sd_folder: Path) -> ElasticDiffusion:
    return ElasticDiffusion(
        device="cpu",
        sd_version=tiny_sd_folder,
        view_batch_size=16,
        low_vram=False,
        implementation="reference",
    )


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def test_the_call_of_the_readme_draws(pipe: ElasticDiffusion) -> None:
    images, verbose_info = pipe.generate_image(
        prompts=["a red boat", "a castle"],
        negative_prompts=["grey", ""],
        height=16,
        width=32,
        num_inference_steps=4,
        guidance_scale=10.0,
        resampling_steps=7,
        drop_p=0.7,
        rrg_init_weight=10,
        cosine_scale=10,
        log_freq=3,
    )

    assert [image.size for image in images] == [(32, 16), (32, 16)]
    assert {name: len(its) for name, its in verbose_info.items()} == {
        "x0": 2,
        "network_samples": 2,
        "settings": 2,
    }
    assert verbose_info["settings"][0].new_p == 0.3
    assert [len(film) for film in verbose_info["x0"]] == [2, 2]  # after steps 3 and 4
    assert (pixels(verbose_info["x0"][1][-1]) == pixels(images[1])).all()


def test_it_is_the_commands_picture(
    pipe: ElasticDiffusion, tiny_sd_folder: Path, tmp_path: Path
) -> None:
    flags = {
        "--prompt": "a red boat",
        "--height": "24",
        "--width": "40",
        "--steps": "3",
        "--resampling_steps": "2",
        "--seed": "4",
        "--new_p": "0.4",
        "--model": str(tiny_sd_folder),
        "--implementation": "reference",
        "--device": "cpu",
        "--out": str(tmp_path),
    }
    words = [word for flag in flags.items() for word in flag]
    assert main.main(["elastic", *words]) == 0

    (image,), _ = pipe.generate_image("a red boat", drop_p=0.6, **SHORT)

    assert (pixels(image) == pixels(load_image(tmp_path / "a_red_boat.png"))).all()


def test_each_picture_depends_on_its_prompt_and_its_seed_alone(pipe: ElasticDiffusion) -> None:
    pair, _ = pipe.generate_image(["a boat", "a castle"], "grey", **SHORT)
    alone, _ = pipe.generate_image("a castle", "grey", **{**SHORT, "seed": 5})

    assert (pixels(pair[1]) == pixels(alone[0])).all()


@pytest.mark.parametrize("method", ["direct", "upscale", "multidiffusion"])
def test_the_other_methods_are_there_too(pipe: ElasticDiffusion, method: str) -> None:
    images, info = pipe.generate_image("a boat", method=method, count=2, **SHORT)

    assert [image.size for image in images] == [(40, 24)] * 2
    assert info["network_samples"][0] > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"prompts": 3}, "prompts must be text, or a list of texts; it is 3"),
        ({"prompts": []}, "prompts must be text, or a list of texts"),
        ({"prompts": ""}, "the prompt is empty"),
        ({"negative_prompts": ["a", "b"]}, "2 negative_prompts for 1 prompts"),
        ({"drop_p": 0.7, "new_p": 0.4}, "0.7 and 0.4 are not"),
        ({"drop_p": 7}, "drop_p must be a finite number from 0 up to 1"),
        ({"height": 0}, "height must be a whole number from 16 to 4096; it is 0"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"log_freq": 0}, "log_freq must be a whole number from 1"),
        ({"steps": 3}, "steps is no option of generate_image: give num_inference_steps"),
        ({"patch_size": 4}, "patch_size is no option of generate_image: give it to Elastic"),
        ({"colour": 3}, "there is no setting 'colour'"),
        ({"condition_image": 3}, "condition_image must be a picture of PIL or the path of one"),
        ({"condition_image": Image.new("RGB", (9, 9))}, "has no ControlNet for canny"),
    ],
)
def test_what_it_cannot_do_is_a_sentence(
    pipe: ElasticDiffusion, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CourseError, match=sentence):
        pipe.generate_image(**{"prompts": "a boat", **arguments})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"sd_version": "3.0"}, "unknown model '3.0'"),
        ({"device": "tpu"}, "there is no device 'tpu' here"),
        ({"view_batch_size": 0}, "view_batch_size must be a whole number from 1"),
        ({"low_vram": "no"}, "low_vram must be true or false"),
        ({"torch_dtype": "int8"}, "unknown precision 'int8'"),
        ({"implementation": "mine"}, "implementation must be one of"),
    ],
)
def test_what_cannot_be_loaded_is_a_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CourseError, match=sentence):
        ElasticDiffusion(**{"device": "cpu", **arguments})
