from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.core.images import from_pil
from distillery.models import annotators
from distillery.models.annotators import caption, depths, edges, stretched
from training import tiny_caption, tiny_depth
from training.export import save_transformer


def square(height: int, width: int, *, inside: float = 1.0, outside: float = -1.0) -> Tensor:
    """A square of half the height in the middle of a plain picture, (1, 3, H, W)."""
    image = torch.full((1, 3, height, width), outside)
    top, left, side = height // 4, width // 2 - height // 4, height // 2
    image[:, :, top : top + side, left : left + side] = inside
    return image


@pytest.fixture(scope="module")
def depth_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A depth estimator with random weights, large enough that it sees any relief."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("depth") / "tiny-depth"
    model = tiny_depth.new_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    save_transformer(model, tiny_depth.new_processor(), folder)
    return folder


@pytest.fixture(scope="module")
def caption_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner with random weights, which knows the words and says them in any order."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("caption") / "tiny-caption"
    processor = tiny_caption.new_processor()
    save_transformer(tiny_caption.new_model(processor.tokenizer), processor, folder)
    return folder


def test_edges_are_opencvs_canny_after_a_gaussian_blur() -> None:
    g = torch.Generator().manual_seed(0)
    image = torch.nn.functional.interpolate(
        torch.rand(1, 3, 5, 7, generator=g) * 2 - 1, (40, 56), mode="nearest"
    )
    levels = ((image[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    soft = cv2.GaussianBlur(levels, (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE)
    expected = torch.from_numpy(cv2.Canny(soft, 60, 120)) / 255

    found = edges(image, low=60, high=120, blur=1.5)

    assert 0.05 < expected.mean() < 0.5
    assert torch.equal(found[0], expected.expand(3, -1, -1))


def test_edges_of_a_batch_are_those_of_its_pictures() -> None:
    images = torch.cat([square(48, 80), square(48, 80, inside=0.2), torch.zeros(1, 3, 48, 80)])

    found = edges(images)

    assert found.shape == (3, 3, 48, 80)
    assert found.dtype == torch.float32
    assert all(torch.equal(found[k : k + 1], edges(images[k : k + 1])) for k in range(3))
    assert found[2].sum() == 0


@pytest.mark.parametrize("height", [128, 1024])
def test_an_edge_is_one_pixel_wide_at_every_size(height: int) -> None:
    """The outline of a square of half the height has twice the height in pixels."""
    found = edges(square(height, height * 3 // 2))[0, 0]

    assert found.sum() == pytest.approx(2 * height, rel=0.03)
    assert found.unique().tolist() == [0, 1]


def test_colours_of_one_brightness_still_have_an_edge_between_them() -> None:
    image = torch.zeros(1, 3, 32, 48)
    image[:, 0, :, :24], image[:, 1, :, 24:] = 0.9, 0.9 * 0.299 / 0.587

    assert edges(image)[0, 0, :, 20:28].sum() >= 30


def test_lower_thresholds_find_fainter_edges_and_blur_removes_fine_ones() -> None:
    faint = square(64, 96, inside=0.1, outside=-0.1)
    noisy = square(64, 96) + 0.5 * torch.randn(
        1, 3, 64, 96, generator=torch.Generator().manual_seed(0)
    )

    assert edges(faint).sum() == 0
    assert edges(faint, low=10, high=20).sum() > 0
    assert edges(noisy, blur=3).sum() < 0.5 * edges(noisy, blur=0).sum()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 200, "high": 100}, "got low 200 and high 100"),
        ({"low": -1}, "got low -1"),
        ({"low": float("nan")}, "got low nan"),
        ({"blur": -0.5}, "got -0.5"),
        ({"blur": float("nan")}, "got nan"),
    ],
)
def test_numbers_that_make_no_edges_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(CourseError, match=message):
        edges(square(16, 24), **options)


def test_maps_are_stretched_each_to_its_own_range_and_flat_ones_stay_black() -> None:
    ramp = torch.linspace(0, 1, 12).reshape(1, 1, 3, 4)
    flat = [torch.full_like(ramp, value) for value in (0.0, 7.0, -3.0)]
    rounding = 900 + 1e-4 * ramp

    result = stretched(torch.cat([ramp, 5 + 300 * ramp, -2 - ramp, *flat, rounding]))

    assert torch.allclose(result[:2], ramp.expand(2, 1, 3, 4), atol=1e-5)
    assert torch.allclose(result[2:3], 1 - ramp, atol=1e-5)
    assert torch.equal(result[3:], torch.zeros(4, 1, 3, 4))


def test_depths_are_those_of_transformers_own_pipeline(depth_folder: Path) -> None:
    """The pipeline answers in 8 bits, one picture at a time."""
    images = from_pil(Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 60).convert("RGB"))
    images = torch.cat([images, images.flip(3), square(40, 60)])
    pipeline = transformers.pipeline(
        "depth-estimation", model=str(depth_folder), dtype=torch.float32
    )

    found = depths(images, model=depth_folder)

    assert found.shape == (3, 3, 40, 60)
    assert found.amin((1, 2, 3)).tolist() == [0, 0, 0]
    assert found.amax((1, 2, 3)).tolist() == [1, 1, 1]
    for one, image in zip(found, annotators.to_pil(images), strict=True):
        expected = torch.from_numpy(np.array(pipeline(image)["depth"])).float() / 255
        assert torch.allclose(one[0], expected, atol=1 / 255)
        assert torch.equal(one[0], one[1])


def test_the_depth_of_a_picture_does_not_depend_on_the_others(depth_folder: Path) -> None:
    images = torch.cat([square(40, 60), square(40, 60, inside=0.3)])

    both = depths(images, model=depth_folder)

    assert torch.allclose(both[1:], depths(images[1:], model=depth_folder), atol=1e-5)


def test_a_caption_is_that_of_transformers_own_pipeline(caption_folder: Path) -> None:
    image = square(40, 60, inside=0.4)
    pipeline = transformers.pipeline(
        "image-text-to-text", model=str(caption_folder), dtype=torch.float32
    )
    (answer,) = pipeline(annotators.to_pil(image)[0], text="", max_new_tokens=40)

    assert caption(image, model=caption_folder) == answer["generated_text"].strip()
    assert caption(annotators.to_pil(image)[0], model=caption_folder) == caption(
        image, model=caption_folder
    )


def test_a_picture_of_any_mode_has_a_caption(caption_folder: Path) -> None:
    for mode in ("L", "RGBA", "P", "CMYK"):
        assert isinstance(caption(Image.new(mode, (30, 20)), model=caption_folder), str)


def test_two_pictures_have_no_caption_in_common(caption_folder: Path) -> None:
    with pytest.raises(CourseError, match="got 2"):
        caption(torch.zeros(2, 3, 16, 16), model=caption_folder)


@pytest.mark.parametrize("read", [depths, caption])
def test_no_network_stays_in_memory(
    read: object, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    load = annotators._load

    def noting(*arguments: object) -> object:
        pair = load(*arguments)
        kept.append(weakref.ref(pair[1]))
        return pair

    monkeypatch.setattr(annotators, "_load", noting)
    folder = request.getfixturevalue("depth_folder" if read is depths else "caption_folder")

    read(square(32, 48), model=folder)

    gc.collect()
    assert [reference() for reference in kept] == [None]


@pytest.mark.parametrize("name", ["midas", "", "tiny-depths", "a/b/c"])
def test_an_unknown_model_says_which_there_are(name: str) -> None:
    with pytest.raises(CourseError, match=r"choose tiny-depth, .* such as Intel/dpt-large"):
        depths(square(16, 24), model=name)


def test_names_of_the_real_models_are_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unreachable(source: str, *, local_files_only: bool, **options: object) -> None:
        asked.append((source, local_files_only))
        raise OSError("We couldn't connect to the hub\nDetails")

    monkeypatch.setattr(transformers.AutoModelForDepthEstimation, "from_pretrained", unreachable)
    monkeypatch.setattr(transformers.AutoModelForImageTextToText, "from_pretrained", unreachable)

    with pytest.raises(CourseError, match=r"cannot load dpt-hybrid \(We .* hub\); connect"):
        depths(square(16, 24), model="dpt-hybrid")
    with pytest.raises(CourseError, match=r"cannot load blip .*; connect"):
        caption(square(16, 24), model="blip")
    with pytest.raises(CourseError, match="cannot load someone/other"):
        caption(square(16, 24), model="someone/other")

    assert asked == [
        ("Intel/dpt-hybrid-midas", False),
        ("Salesforce/blip-image-captioning-base", False),
        ("someone/other", False),
    ]


def test_the_embedded_models_come_from_the_repository(
    depth_folder: Path, caption_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotators, "REPOSITORY", tmp_path)
    with pytest.raises(CourseError, match=r"cannot load tiny-depth .*`make train`"):
        depths(square(32, 48))
    for folder in (depth_folder, caption_folder):
        shutil.copytree(folder, tmp_path / "data/models" / folder.name)

    assert depths(square(32, 48)).shape == (1, 3, 32, 48)
    assert isinstance(caption(square(32, 48)), str)


@pytest.mark.parametrize("damage", ["truncated", "no weights", "no config", "no processor"])
def test_a_damaged_folder_is_refused(depth_folder: Path, tmp_path: Path, damage: str) -> None:
    folder = shutil.copytree(depth_folder, tmp_path / "depth")
    weights = folder / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "no weights":
        weights.unlink()
    elif damage == "no config":
        (folder / "config.json").unlink()
    else:
        (folder / "preprocessor_config.json").unlink()

    with pytest.raises(CourseError, match=r"cannot load .*; connect to the internet, or give"):
        depths(square(16, 24), model=folder)


def test_a_captioner_gives_no_depths(caption_folder: Path) -> None:
    with pytest.raises(CourseError, match="cannot load"):
        depths(square(16, 24), model=caption_folder)
