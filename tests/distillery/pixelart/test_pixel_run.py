"""Runs on the exact prior; the command line is in tests/commands/pixelart."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import enlarged
from distillery.models import annotators
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.pixelart import begin
from distillery.pixelart.canvas import PaletteCanvas
from distillery.pixelart.settings import PixelSettings
from distillery.runs.curves import Scalars
from distillery.runs.extras import Extras
from distillery.runs.film import video_frames
from distillery.toybox import Factors, draw
from reference import pixelart


def mixture() -> GaussianMixturePrior:
    """One picture of 32 x 48: red on the left, blue on the right."""
    means = torch.full((1, 4, 32, 48), -0.8)
    means[0, 0, :, :24], means[0, 2, :, 24:] = 0.8, 0.8
    means[0, 3] = 0
    return GaussianMixturePrior(means, std=0.05, names={"halves": [0]})


def settings(**changes: object) -> PixelSettings:
    plain = dict.fromkeys(("mirror", "perspective", "grayscale", "fft"), 0.0)
    values = {"model": "exact", "size": (8, 12), "side": 39, "palette": "rgb-2", "start": "noise"}
    few = {"steps": 4, "guidance_scale": 1.0, "learning_rate": 0.1}
    return PixelSettings(**{"prompt": "halves", **plain, **values, **few, **changes})


@pytest.mark.parametrize("path", ["gumbel", "softmax", "argmax"])
def test_on_the_exact_prior_every_path_comes_to_its_picture(path: str) -> None:
    begun = begin.begin(mixture(), pixelart, settings(path=path, steps=200))

    for _ in begun.steps():
        pass

    indices = begun.canvas.indices()[0]
    red, blue = 4, 1  # of the lattice, blue changing fastest
    assert (indices[:, :6] == red).float().mean() > 0.8
    assert (indices[:, 6:] == blue).float().mean() > 0.8


def test_soft_and_hard_pictures_agree_where_one_colour_has_more_than_half() -> None:
    logits = torch.tensor([0.6, 0.4, 0.5, 0.9]).log()
    rest = (torch.tensor([0.4, 0.6, 0.5, 0.1]) / 2).log()
    canvas = PaletteCanvas(torch.stack([logits, rest, rest])[None, :, None])

    assert canvas.agreement() == 0.5


def test_a_prompt_that_is_there_is_not_replaced() -> None:
    assert begin.completed(settings()).prompt == "halves"


def test_an_empty_prompt_is_the_caption_of_the_input_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boat = draw(Factors("boat", "red", "on a frozen river"), 3, size=(64, 64))
    Image.fromarray(boat.image).convert("CMYK").save(tmp_path / "boat.tif")
    asked = {}

    def caption(picture: Image.Image, *, model: str) -> str:
        asked.update(mode=picture.mode, model=model)
        return asked.get("answer", "a red boat on a frozen river")

    monkeypatch.setattr(annotators, "caption", caption)
    silent = PixelSettings(" ", input_image=str(tmp_path / "boat.tif"))

    with pytest.warns(UserWarning, match='the caption of .* is "a red boat on a frozen river"'):
        assert begin.completed(silent).prompt == "a red boat on a frozen river"
    assert asked == {"mode": "RGB", "model": "tiny-caption"}
    asked["answer"] = ""
    with pytest.raises(CourseError, match="no caption was found"):
        begin.completed(silent)


@pytest.mark.parametrize(
    ("extras", "words"),
    [
        ({"fps": 0}, "fps must be a finite number from 1 up to 60; it is 0"),
        ({"fps": -1}, "fps must be"),
        ({"fps": math.nan}, "fps must be"),
        ({"fps": 1e-9}, "fps must be"),
        (
            {"video_size": (0, 0)},
            "video_size must be height and width of the video, each a multiple of 2",
        ),
        ({"video_size": (101, 100)}, r"video_size must be .* it is \(101, 100\)"),
        ({"video_size": (100, 9000)}, "video_size must be"),
    ],
)
def test_extras_out_of_range_are_refused(extras: dict[str, object], words: str) -> None:
    with pytest.raises(CourseError, match=words):
        Extras(**extras)


def test_the_models_controlnets_are_those_with_a_scale(tiny_repository: Path) -> None:
    def kinds(**changes: object) -> set[str]:
        wanted = PixelSettings("a boat", device="cpu", palette="rgb-2", **changes)
        return set(begin.load(wanted).controlnets)

    assert kinds() == {"canny", "depth"}
    assert kinds(canny=0.0) == {"depth"}
    assert kinds(canny=0.0, depth=0.0) == set()
    assert kinds(start="noise") == set()


def test_a_model_without_controlnets_draws_once_their_scales_are_nought() -> None:
    with pytest.raises(
        CourseError, match=r"tiny-sd has no ControlNet for 'canny'.* scale of canny"
    ):
        begin.load(PixelSettings("a boat", model="tiny-sd", device="cpu"))
    off = PixelSettings("a boat", model="tiny-sd", device="cpu", canny=0.0, depth=0.0)
    assert begin.load(off).controlnets == {}


def test_the_exact_demonstration_is_no_model_for_pixel_art() -> None:
    with pytest.raises(CourseError, match="exact draws only pictures of 16 x 16 pixels"):
        begin.load(PixelSettings("a red disc", model="exact", palette="rgb-2", start="noise"))


def test_controls_reach_the_network_and_weigh_what_they_are_told(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Image.effect_mandelbrot((64, 64), (-3, -2.5, 2, 2.5), 50).save(tmp_path / "picture.png")
    prior = load_prior("tiny-sdxl", device="cpu")
    for kind in ("canny", "depth"):
        prior.add_controlnet(
            kind, str(tiny_repository / f"data/models/tiny-controlnet-{kind}"), offline=True
        )

    def losses(**scales: float) -> float:
        wanted = PixelSettings(
            "a boat",
            input_image=str(tmp_path / "picture.png"),
            side=64,
            size=(8, 8),
            palette="rgb-2",
            steps=1,
            **scales,
        )
        return next(begin.begin(prior, pixelart, wanted).steps()).loss.item()

    off = losses(canny=0.0, depth=0.0)
    assert losses(canny=1.0, depth=0.0) != off
    assert losses(canny=0.0, depth=1.0) != off
    assert losses(canny=1.0, depth=1.0, control_start=1.0) == off


# Videos


def frames(width: int, height: int) -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 2, (3, height, width)).astype(np.uint8)
    made = [Image.fromarray(255 * frame).convert("P") for frame in pixels]
    return made


@pytest.mark.parametrize(
    ("size", "factor", "corner"),
    [(None, 43, (0, 0)), ((128, 128), 10, (4, 24)), ((16, 64), 2, (20, 0)), ((34, 24), 2, (0, 9))],
)
def test_video_frames_are_whole_squares_centred_on_white(
    size: tuple[int, int] | None, factor: int, corner: tuple[int, int]
) -> None:
    grids = frames(12, 8)

    sheets = video_frames(grids, size, enlarged)

    x, y = corner
    box = (x, y, x + 12 * factor, y + 8 * factor)
    for sheet, grid in zip(sheets, grids, strict=True):
        assert sheet.size == ((516, 344) if size is None else size[::-1])
        inside = np.array(sheet.crop(box).convert("L"))
        levels = np.array(grid.convert("L"))
        assert np.array_equal(inside, levels.repeat(factor, 0).repeat(factor, 1))
        sheet.paste("white", box)
        assert np.array(sheet).min() == 255


def test_a_grid_finer_than_the_video_is_scaled_down_whole() -> None:
    (sheet, *_) = video_frames(frames(120, 80), (40, 40), enlarged)

    assert sheet.size == (40, 40)
    levels = np.array(sheet.convert("L"))
    assert (levels[:6] == 255).all()
    assert 110 < levels[8:32].mean() < 145


def test_odd_sides_become_even() -> None:
    (sheet, *_) = video_frames(frames(37, 23), None, enlarged)

    assert sheet.width % 2 == sheet.height % 2 == 0
    assert sheet.width >= 37 * 14


# Scalars


def test_without_a_folder_no_curves_are_written(tmp_path: Path) -> None:
    scalars = Scalars(None, 0)

    assert not scalars.wants(0)
    scalars.add(0, {"loss": 1.0})
    scalars.close()

    assert not list(tmp_path.iterdir())


def test_curves_in_a_place_that_cannot_be_written_are_refused(
    tmp_path: Path, tree: Callable[[Path], dict[str, bytes]]
) -> None:
    (tmp_path / "taken").write_text("a file")
    scalars = Scalars(tmp_path / "taken" / "tensorboard", 0)

    with pytest.raises(CourseError, match="choose a folder that can be written"):
        scalars.add(0, {"loss": 1.0})
    assert tree(tmp_path) == {"taken": b"a file"}
