"""Any picture as the source of an edit, and the pairs of prompts that edits are tried on."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.core.images import load_image, to_pil
from distillery.methods.source_image import drawn_source, load_source
from distillery.models.exact import demonstration_mixture
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.runs.edit_pairs import Pair, load_pairs


def saved(folder: Path, size: tuple[int, int], name: str = "source.png") -> Path:
    """A picture of `size` (width, height), redder to the right and greener to the bottom."""
    across, down = (np.linspace(0, 255, side).round().astype(np.uint8) for side in size)
    red, green = np.meshgrid(across, down)
    Image.fromarray(np.stack([red, green, red], axis=2)).save(folder / name)
    return folder / name


@pytest.mark.parametrize("size", [(48, 32), (40, 32), (480, 320), (50, 32), (700, 400)])
def test_a_picture_fills_the_frame_about_its_centre_and_keeps_its_proportions(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    disc = Image.new("L", size, 0)
    y, x = np.mgrid[: size[1], : size[0]]
    r = 0.35 * size[1]
    inside = np.hypot(x + 0.5 - size[0] / 2, y + 0.5 - size[1] / 2) < r
    disc.putdata((inside * 255).ravel().tolist())
    disc.save(tmp_path / "disc.png")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = np.asarray(load_source(tmp_path / "disc.png", (32, 48)))[..., 0] > 127

    assert fitted.shape == (32, 48)
    wide, high = fitted.any(axis=0).sum(), fitted.any(axis=1).sum()
    assert abs(wide - high) <= 1
    middle = [np.flatnonzero(fitted.any(axis=axis)).mean() for axis in (0, 1)]
    np.testing.assert_allclose(middle, (23.5, 15.5), atol=0.6)


def test_a_picture_of_the_frame_s_size_keeps_every_pixel_in_silence(tmp_path: Path) -> None:
    path = saved(tmp_path, (48, 32))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_source(path, (32, 48)).tobytes() == load_image(path).tobytes()


def test_a_tenth_cropped_away_is_silent_and_more_is_said(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_source(saved(tmp_path, (110, 100)), (50, 50))

    with pytest.warns(UserWarning, match=r"^25% of the width of .*source\.png is cropped") as told:
        load_source(saved(tmp_path, (200, 150)), (50, 50))
    assert len(told) == 1
    with pytest.warns(UserWarning, match=r"^20% of the height of .*is cropped away"):
        load_source(saved(tmp_path, (100, 100)), (40, 50))


def test_a_fourfold_enlargement_is_silent_and_more_is_said(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_source(saved(tmp_path, (16, 16)), (64, 64)).size == (64, 64)

    with pytest.warns(UserWarning, match=r"is enlarged 5\.0 times to fill .* 50 x 40 pixels"):
        load_source(saved(tmp_path, (10, 8)), (40, 50))


def sprite(height: int, width: int, *, clear: bool = False) -> Image.Image:
    """Pixel art of eight colours in no order, its first row transparent if asked."""
    colours = np.random.default_rng(4).integers(0, 256, (8, 3))
    pixels = colours[np.random.default_rng(5).integers(0, 8, (height, width))]
    alpha = np.full((height, width, 1), 255)
    alpha[: int(clear)] = 0
    return Image.fromarray(np.concatenate([pixels, alpha], 2).astype(np.uint8), "RGBA")


@pytest.mark.parametrize("enlarged", [1, 16], ids=["as it is", "enlarged for the web"])
def test_the_cells_of_pixel_art_become_squares_of_their_colour(
    enlarged: int, tmp_path: Path
) -> None:
    art = sprite(16, 24, clear=True)
    art.resize((24 * enlarged, 16 * enlarged), Image.Resampling.NEAREST).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = np.asarray(load_source(tmp_path / "a.png", (64, 96)))
    assert (source[::4, ::4].repeat(4, 0).repeat(4, 1) == source).all()
    wanted = np.asarray(art.convert("RGB")).copy()
    wanted[0] = 255
    assert (source[::4, ::4] == wanted).all()


def test_pixel_art_whose_cells_do_not_go_into_the_frame_blurs_along_their_borders_alone(
    tmp_path: Path,
) -> None:
    sprite(24, 24).save(tmp_path / "a.png")
    source = load_source(tmp_path / "a.png", (64, 64))
    colours = np.asarray(sprite(24, 24).convert("RGB")).reshape(-1, 3)
    pixels = np.asarray(source).astype(int).reshape(-1, 1, 3)
    off = np.abs(pixels - np.unique(colours, axis=0)[None]).max(-1).min(-1)
    assert (off <= 24).mean() > 0.5  # enlarged smoothly, hardly any is near


def test_a_small_photograph_is_still_enlarged_smoothly(tmp_path: Path) -> None:
    levels = np.add.outer(np.arange(16) * 7, np.arange(16) * 5)
    photograph = np.stack([levels, levels.T, levels // 2], 2).astype(np.uint8)
    Image.fromarray(photograph).save(tmp_path / "a.png")
    source = np.asarray(load_source(tmp_path / "a.png", (64, 64))).astype(int)
    assert np.abs(np.diff(source[..., 0], axis=1)).max() < 5


def test_a_transparent_photograph_on_its_side_is_fitted_upright_over_white(tmp_path: Path) -> None:
    stored = Image.new("RGBA", (32, 48), (255, 0, 0, 255))
    stored.paste((0, 0, 0, 0), (0, 0, 32, 24))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by a quarter to the right
    stored.save(tmp_path / "photo.png", exif=exif)

    fitted = np.asarray(load_source(tmp_path / "photo.png", (16, 24)))

    halves = fitted[:, :10], fitted[:, 14:]
    np.testing.assert_allclose(halves[0], np.broadcast_to((255, 0, 0), (16, 10, 3)), atol=1)
    np.testing.assert_allclose(halves[1], np.full((16, 10, 3), 255), atol=1)


def test_a_large_jpeg_in_four_inks_is_fitted(tmp_path: Path) -> None:
    Image.new("CMYK", (1200, 800), (255, 0, 0, 0)).save(tmp_path / "print.jpg")

    fitted = np.asarray(load_source(tmp_path / "print.jpg", (32, 48)))

    np.testing.assert_allclose(fitted, np.broadcast_to((0, 255, 255), (32, 48, 3)), atol=3)


def test_ten_thousand_pixels_a_side_are_accepted(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000), 1).save(tmp_path / "huge.png")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = load_source(tmp_path / "huge.png", (64, 64))

    assert fitted.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7)])
def test_a_picture_below_8_pixels_a_side_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(CourseError, match=rf"is {size[0]} x {size[1]} pixels; .* at least 8 a sid"):
        load_source(saved(tmp_path, size), (64, 64))


@pytest.mark.parametrize("size", [(10_000, 10), (10, 10_000)])
def test_a_strip_of_which_the_frame_would_show_next_to_nothing_is_refused(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with pytest.raises(CourseError, match=r"would show only 0\.1% of it; crop it first"):
        load_source(saved(tmp_path, size), (64, 64))


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "essay.png").write_text("not a picture")

    with pytest.raises(CourseError, match="cannot be read as a picture"):
        load_source(tmp_path / "essay.png", (64, 64))
    with pytest.raises(CourseError, match="there is no file"):
        load_source(tmp_path / "none.png", (64, 64))


def written(folder: Path, content: Any) -> Path:
    path = folder / "pairs.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_pairs_of_the_original_s_three_keys_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    words = {"prompt": "a boat", "edit_prompt": "a golden boat"}
    original = {**words, "img_path": "$HOME/imgs/boat.png"}

    pairs = load_pairs(written(tmp_path, [original, words, {**words, "img_path": "data/boat.png"}]))

    assert pairs == [
        Pair("a boat", "a golden boat", Path("/home/someone/imgs/boat.png")),
        Pair("a boat", "a golden boat"),
        Pair("a boat", "a golden boat", REPOSITORY / "data" / "boat.png"),
    ]


PROMPTS = {"prompt": "a boat", "edit_prompt": "a golden boat"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[{", "cannot be read as pairs of prompts"),
        ("[" * 5000, "cannot be read as pairs of prompts"),
        ('[{"prompt": "a", "prompt": "b", "edit_prompt": "c"}]', "a pair has 'prompt' twice"),
        (PROMPTS, "must hold a JSON list of pairs"),
        ([], "must hold a JSON list of pairs"),
        ([PROMPTS, "a boat"], "pair 2 of .* must be an object"),
        ([{"prompt": "a boat"}], "pair 1 of .* has no edit_prompt"),
        ([{**PROMPTS, "prompt": " "}], "pair 1 of .* has no prompt"),
        ([{**PROMPTS, "prompt": None}], "must have text as its prompt; it is None"),
        ([{**PROMPTS, "edit_prompt": "a boat"}], "pair 1 of .* has the same prompt twice"),
        ([{**PROMPTS, "img_path": 3}], "must have text as its img_path; it is 3"),
        ([{**PROMPTS, "changes": "colour"}], "must have a list of words as changes"),
        ([{**PROMPTS, "img": "boat.png"}], "has the unknown key 'img'; choose prompt, edit_prompt"),
    ],
)
def test_a_damaged_file_of_pairs_is_refused_in_one_sentence(
    tmp_path: Path, content: Any, sentence: str
) -> None:
    with pytest.raises(CourseError, match=sentence):
        load_pairs(written(tmp_path, content))


def test_a_missing_file_of_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="cannot be read as pairs of prompts"):
        load_pairs(tmp_path / "none.json")


def drawn(prior: Prior, cache: Path, **changes: Any) -> Path:
    options = {
        "prompt": "a red disc",
        "model": "exact",
        "guidance_scale": 1.0,
        "seed": 0,
        "steps": 5,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return drawn_source(prior, cache=cache, **{**options, **changes})


def test_a_source_is_drawn_once_from_its_prompt_kept_and_said(tmp_path: Path) -> None:
    prior = demonstration_mixture()

    with pytest.warns(
        UserWarning, match=r"^no source picture is given; one was drawn .*disc~"
    ) as said:
        file = drawn_source(
            prior, "a red disc", model="exact", guidance_scale=1.0, cache=tmp_path, seed=3
        )

    assert len(said) == 1
    latents = prior.sample(
        ["a red disc"], guidance_scale=1.0, steps=50, generator=torch.Generator().manual_seed(3)
    )
    assert load_image(file).tobytes() == to_pil(prior.decode(latents))[0].tobytes()
    assert load_image(file).info["prompt"] == "a red disc"
    file.write_bytes(b"a mark")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = drawn_source(
            prior, "a red disc", model="exact", guidance_scale=1.0, cache=tmp_path, seed=3
        )
    assert again.read_bytes() == b"a mark"


def test_prompt_model_seed_guidance_and_steps_each_have_a_source_of_their_own(
    tmp_path: Path,
) -> None:
    others: list[dict[str, Any]] = [
        {"prompt": "a green disc"},
        {"model": "some/folder"},
        {"seed": 1},
        {"guidance_scale": 2.0},
        {"steps": 6},
    ]

    files = {drawn(demonstration_mixture(), tmp_path, **other) for other in [{}, *others]}

    assert files == set(tmp_path.glob("*.png"))
    assert len(files) == 6


def test_a_pipeline_draws_a_source_in_its_own_frame(tiny_sd_folder: Path, tmp_path: Path) -> None:
    prior = load_prior(tiny_sd_folder, device="cpu")

    source = load_image(drawn(prior, tmp_path, model=tiny_sd_folder))

    assert source.size == prior.image_size[::-1]


def test_a_sprite_that_fits_no_whole_number_of_times_gets_no_halo(tmp_path: Path) -> None:
    hard = Image.fromarray(np.kron(np.eye(12, dtype=bool), np.ones((2, 2), bool)))
    grey = hard.point(lambda is_on: 180 if is_on else 60, mode="L").convert("RGB")
    grey.save(tmp_path / "sprite.png")

    fitted = load_source(tmp_path / "sprite.png", (64, 64))

    assert fitted.getextrema() == ((60, 180),) * 3
