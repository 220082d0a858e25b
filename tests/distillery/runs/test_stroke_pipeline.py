"""GradOP+'s pipeline by its published names: what its calls take, and what they refuse."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import to_png_bytes
from distillery.runs.painting_file import as_painting, read_painting
from distillery.runs.stroke_pipeline import ELSEWHERE, GradOPStroke2ImgPipeline

SHORT = {"steps": 4}
PROMPT = "a red boat"


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pipeline(tiny_sd_folder: Path) -> GradOPStroke2ImgPipeline:
    return GradOPStroke2ImgPipeline.from_pretrained(tiny_sd_folder, implementation="reference")


@pytest.fixture
def painting() -> Image.Image:
    """24 x 16 pixels, red on the left and blue on the right."""
    levels = np.full((16, 24, 3), (200, 30, 30), np.uint8)
    levels[:, 12:] = (30, 30, 200)
    return Image.fromarray(levels)


def pixels(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(image) for image in images])


def test_the_published_arguments_count_by_position_and_by_name(
    pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    drawn = pipeline.gradop_plus_stroke2img
    one = drawn(PROMPT, painting, 0.8, 1, 2, seeded(), **SHORT).images
    named = {"strength": 0.8, "num_iterative_steps": 1, "grad_steps_per_iter": 2}
    same = drawn(prompt=PROMPT, image=painting, generator=seeded(), **named, **SHORT).images

    assert [image.size for image in one] == [(24, 16)]
    np.testing.assert_array_equal(pixels(one), pixels(same))
    for change in ({"strength": 0.6}, {"num_iterative_steps": 2}, {"grad_steps_per_iter": 3}):
        other = drawn(PROMPT, painting, generator=seeded(), **{**named, **change}, **SHORT).images
        assert not np.array_equal(pixels(one), pixels(other))


def test_sdedit_takes_the_published_arguments_too(
    pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    drawn = pipeline.sdedit_img2img
    one = drawn(PROMPT, painting, 0.5, seeded(), **SHORT).images

    same = drawn(prompt=PROMPT, image=painting, strength=0.5, generator=seeded(), **SHORT).images
    np.testing.assert_array_equal(pixels(one), pixels(same))
    for other in (
        drawn(PROMPT, painting, 0.8, seeded(), **SHORT),
        drawn(PROMPT, painting, 0.5, seeded(1), **SHORT),
    ):
        assert not np.array_equal(pixels(one), pixels(other.images))


def test_the_prompt_alone_is_drawn_several_times(pipeline: GradOPStroke2ImgPipeline) -> None:
    result = pipeline.text2img_prediction([PROMPT, "a cat"], 2, seeded(), True, **SHORT)

    assert len(result.images) == 4
    assert result.latents is not None
    assert result.latents.shape[0] == 4
    assert len({image.tobytes() for image in result.images}) == 4
    assert pipeline.text2img_prediction(PROMPT, **SHORT).latents is None


def test_two_prompts_with_a_painting_each(
    pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    paintings = [painting, painting.resize((16, 16))]

    images = pipeline.sdedit_img2img(
        [PROMPT, "a cat"], paintings, generator=[seeded(1), seeded(2)], **SHORT
    ).images

    assert [image.size for image in images] == [(24, 16), (16, 16)]
    (alone,) = pipeline.sdedit_img2img("a cat", paintings[1], generator=seeded(2), **SHORT).images
    assert images[1].tobytes() == alone.tobytes()


# Pictures that are open already


def deep(painting: Image.Image) -> bytes:
    """As a PNG with 16 bits, grey."""
    levels = np.asarray(painting.convert("L")).astype(np.uint16) * 257
    return to_png_bytes(Image.fromarray(levels))


def turned(painting: Image.Image) -> bytes:
    """As a PNG that lies on its side, and says so."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x112] = 6
    painting.save(buffer, format="PNG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("saved", [deep, turned])
def test_an_open_picture_is_what_its_file_is(
    saved: object, painting: Image.Image, tmp_path: Path
) -> None:
    (tmp_path / "painting.png").write_bytes(saved(painting))  # type: ignore[operator]

    with Image.open(tmp_path / "painting.png") as picture:
        mine = as_painting(picture)

    read = read_painting(tmp_path / "painting.png")
    assert mine.size == read.size
    np.testing.assert_array_equal(np.asarray(mine), np.asarray(read))
    assert len(np.unique(np.asarray(mine)[..., 0])) > 1


def moving(painting: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    painting.save(buffer, "GIF", save_all=True, append_images=[painting.rotate(180)])
    return Image.open(buffer)


def cut_short(painting: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return Image.open(io.BytesIO(to_png_bytes(Image.fromarray(noise))[:700]))


@pytest.mark.parametrize(
    ("broken", "words"),
    [(moving, "the painting holds 2 pictures"), (cut_short, "the painting cannot be read")],
)
def test_an_open_picture_is_refused_as_its_file_is(
    broken: object, words: str, painting: Image.Image, pipeline: GradOPStroke2ImgPipeline
) -> None:
    with pytest.raises(CourseError, match=words):
        pipeline.sdedit_img2img(PROMPT, broken(painting), **SHORT)  # type: ignore[operator]


# Bad input


@pytest.mark.parametrize("prompt", [None, 5, b"a boat", [], {"a boat"}])
def test_a_prompt_that_is_no_text(
    prompt: object, pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    for draw in (
        lambda: pipeline.sdedit_img2img(prompt, painting, **SHORT),
        lambda: pipeline.text2img_prediction(prompt, **SHORT),
    ):
        with pytest.raises(CourseError, match="prompt must be text, or a list of texts; it is"):
            draw()


@pytest.mark.parametrize("count", [0, -1, "2", 1.5, True])
def test_a_number_of_pictures_that_cannot_be(
    count: object, pipeline: GradOPStroke2ImgPipeline
) -> None:
    with pytest.raises(CourseError, match="num_images_per_prompt must be a whole number from 1"):
        pipeline.text2img_prediction(PROMPT, count, **SHORT)


@pytest.mark.parametrize("generator", [5, "cpu", [5], np.random.default_rng(0)])
def test_a_generator_of_another_kind(
    generator: object, pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    with pytest.raises(CourseError, match=r"must be a torch\.Generator.*manual_seed"):
        pipeline.sdedit_img2img(PROMPT, painting, generator=generator, **SHORT)


def test_generators_and_paintings_that_are_too_many(
    pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    with pytest.raises(CourseError, match="there are 2 generators for 1 picture; give one for"):
        pipeline.sdedit_img2img(PROMPT, painting, generator=[seeded(), seeded()], **SHORT)
    with pytest.raises(CourseError, match="there are 2 paintings for 1 prompt; give one for all"):
        pipeline.sdedit_img2img(PROMPT, [painting, painting], **SHORT)


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_what_is_decided_elsewhere_is_not_taken_and_left_unused(
    name: str, pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    for draw in (
        lambda: pipeline.gradop_plus_stroke2img(PROMPT, painting, **{name: 1}),
        lambda: pipeline.text2img_prediction(PROMPT, **{name: 1}),
    ):
        with pytest.raises(CourseError, match=f"{name} is no option of a call of the pipeline"):
            draw()


def test_a_painters_options_mean_nothing_to_the_prompt_alone(
    pipeline: GradOPStroke2ImgPipeline,
) -> None:
    with pytest.raises(CourseError, match="'strength' is no option where the prompt alone"):
        pipeline.text2img_prediction(PROMPT, strength=0.5)


def test_pictures_and_models_of_another_kind(
    pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    levels = np.zeros((16, 24), np.uint8)
    with pytest.raises(CourseError, match="image must be a picture of PIL or the path"):
        pipeline.sdedit_img2img(PROMPT, levels, **SHORT)
    with pytest.raises(CourseError, match="regions must be a picture of PIL or the path"):
        pipeline.sdedit_img2img(PROMPT, painting, regions=levels, words="boat", **SHORT)
    with pytest.raises(CourseError, match="model must be the name or the folder of a model"):
        GradOPStroke2ImgPipeline.from_pretrained(None)
    with pytest.raises(CourseError, match="to moves the pipeline to a device"):
        pipeline.to(torch.float16)
    with pytest.raises(CourseError, match="torch_dtype must be one of float32"):
        GradOPStroke2ImgPipeline.from_pretrained("tiny-sd", torch.int8)


def test_numbers_that_are_not_finite_make_no_picture(
    pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    for draw in (
        lambda: pipeline.sdedit_img2img(PROMPT, painting, guidance_scale=1e38, **SHORT),
        lambda: pipeline.text2img_prediction(PROMPT, guidance_scale=1e38, **SHORT),
    ):
        with pytest.raises(CourseError, match=r"after step \d of 4 the latents are no longer"):
            draw()


def test_a_painting_amid_a_very_long_picture_is_drawn(
    pipeline: GradOPStroke2ImgPipeline, painting: Image.Image
) -> None:
    (image,) = pipeline.sdedit_img2img(PROMPT, painting, size=(16, 512), **SHORT).images

    assert image.size == (512, 16)
    assert len(np.unique(np.asarray(image))) > 1
