from __future__ import annotations

import shutil
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.metrics import clip_score
from distillery.metrics.clip_score import ClipScorer

COLOURS = ["red", "green", "blue"]


def pictures() -> list[Image.Image]:
    """Three pictures of other sizes and modes than CLIP's own."""
    return [Image.new("RGB", (40, 24), colour) for colour in COLOURS]


@pytest.fixture(scope="module")
def scorer(tiny_clip_folder: Path) -> ClipScorer:
    return ClipScorer(tiny_clip_folder, device="cpu")


def test_a_score_is_the_cosine_of_open_clips_features(
    scorer: ClipScorer, tiny_clip_folder: Path
) -> None:
    name = f"local-dir:{tiny_clip_folder}"
    model, preprocess = open_clip.create_model_from_pretrained(name)
    tokens = open_clip.get_tokenizer(name)(COLOURS)
    with torch.no_grad():
        pixels = torch.stack([preprocess(picture) for picture in pictures()])
        image = model.encode_image(pixels, normalize=True)
        text = model.encode_text(tokens, normalize=True)

    result = scorer.score(pictures(), COLOURS)

    assert result == pytest.approx((image * text).sum(dim=1).tolist(), abs=1e-6)


def test_scores_do_not_depend_on_the_batch(
    scorer: ClipScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scorer.score(pictures(), COLOURS)
    monkeypatch.setattr(clip_score, "BATCH", 2)

    assert scorer.score(pictures(), COLOURS) == pytest.approx(whole, abs=1e-6)


def test_a_picture_with_transparency_and_a_long_prompt_are_scored(scorer: ClipScorer) -> None:
    picture = Image.new("RGBA", (20, 30), (255, 0, 0, 128))

    (score,) = scorer.score([picture], ["a very long story " * 50])

    assert -1 <= score <= 1


def test_no_pictures_have_no_scores(scorer: ClipScorer) -> None:
    assert scorer.score([], []) == []


def test_a_prompt_for_every_picture_is_required(scorer: ClipScorer) -> None:
    with pytest.raises(CourseError, match="3 images and 1 prompts"):
        scorer.score(pictures(), ["red"])


def test_the_embedded_scorer_comes_from_the_repository(
    tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_score, "TINY_CLIP", tiny_clip_folder)

    assert ClipScorer(device="cpu").id == "tiny-clip"


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32:nobody", "ViT-Z:openai", ""])
def test_an_unknown_name_says_what_names_look_like(name: str) -> None:
    with pytest.raises(CourseError, match="such as ViT-B-32:openai"):
        ClipScorer(name)


def test_a_known_name_is_asked_of_open_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*names: object) -> None:
        raise RuntimeError(f"Failed to download weights for {names}\nDetails")

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", unreachable)

    with pytest.raises(CourseError, match=r"\('ViT-B-32', 'openai'\)"):
        ClipScorer("ViT-B-32:openai", device="cpu")


@pytest.mark.parametrize("damage", ["truncated", "missing weights", "missing config"])
def test_a_damaged_folder_is_refused(tiny_clip_folder: Path, tmp_path: Path, damage: str) -> None:
    folder = shutil.copytree(tiny_clip_folder, tmp_path / "clip")
    weights = folder / "open_clip_model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "missing weights":
        weights.unlink()
    else:
        (folder / "open_clip_config.json").unlink()

    with pytest.raises(CourseError, match=r"scorer .*; make or fetch|unknown scorer"):
        ClipScorer(folder, device="cpu")
