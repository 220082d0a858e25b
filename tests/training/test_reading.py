"""What tiny-depth and tiny-caption learn from, and the folders that a short training makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors import safe_open

from distillery.core.files import REPOSITORY
from distillery.metrics.judge import Judge
from distillery.toybox import Factors, all_factors, draw
from training import measure_controls, tiny_caption, tiny_depth
from training.data import LargeDrawings
from training.degrade import on_cells, shifted, worn_large


@pytest.fixture(scope="module")
def drawings() -> LargeDrawings:
    """Six large drawings with their depths."""
    factors = all_factors()[::128]
    drawn = [draw(f, k, size=(128, 128)) for k, f in enumerate(factors)]
    depths = np.stack([(d.depth * 255).astype(np.uint8) for d in drawn])
    labels = torch.tensor([f.indices for f in factors])
    return LargeDrawings(np.stack([d.image for d in drawn]), depths, labels, factors)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_wear_is_drawn_anew_by_each_seed_and_for_each_picture() -> None:
    images = noise(1, 3, 64, 96).expand(5, -1, -1, -1)

    worn = worn_large(images, seed=3)

    assert worn.shape == images.shape
    assert torch.equal(worn, worn_large(images, seed=3))
    assert not torch.equal(worn, worn_large(images, seed=4))
    assert not torch.equal(worn[0], worn[1])


def test_wear_keeps_the_picture_recognisable(drawings: LargeDrawings) -> None:
    images, _ = drawings.some([0, 1, 2, 3, 4, 5], device=torch.device("cpu"))
    images = images[:, :, :96]

    for seed in range(8):
        worn = worn_large(images, seed=seed, tint=0.1)
        assert tiny_depth.correlations(worn, images).min() > 0.8


def test_tint_moves_the_channels_apart_and_no_tint_does_not() -> None:
    grey = torch.zeros(6, 3, 64, 96)

    def apart(tint: float) -> float:
        means = worn_large(grey, seed=0, tint=tint).mean((2, 3))
        return float((means.amax(1) - means.amin(1)).mean())

    assert apart(0.0) < 0.01
    assert apart(0.3) > 0.1


def test_cells_hold_the_mean_of_what_was_there() -> None:
    images = noise(2, 3, 64, 96)

    squares = on_cells(images, 16, smooth=False)

    cells = squares.reshape(2, 3, 16, 4, 16, 6)
    means = images.reshape(2, 3, 16, 4, 16, 6).mean((3, 5))
    assert torch.allclose(cells, means[:, :, :, None, :, None].expand_as(cells), atol=1e-6)
    smooth = on_cells(images, 16, smooth=True)
    assert smooth.shape == images.shape
    assert not torch.allclose(smooth, squares)


def test_a_picture_and_its_depth_are_shifted_together() -> None:
    rows = torch.arange(20.0).view(1, 1, 20, 1) + torch.arange(30.0) / 100
    both = torch.cat([rows, 2 * rows], dim=1).expand(50, -1, -1, -1)

    moved = shifted(both, seed=1, reach=3)

    assert moved.shape == both.shape
    assert torch.allclose(2 * moved[:, 0], moved[:, 1])
    down = moved[:, 0, 10, 15] - both[:, 0, 10, 15]
    assert set(down.round().int().tolist()) == set(range(-3, 4))


def test_the_correlation_is_pearsons_and_nought_for_a_flat_map() -> None:
    a, b = noise(3, 1, 8, 12), noise(2, 3, 8, 12).reshape(6, 1, 8, 12)[:3]
    b = 0.5 * a + b
    a[2] = 0.7

    result = tiny_depth.correlations(a, b)

    for k in range(2):
        expected = np.corrcoef(a[k].flatten(), b[k].flatten())[0, 1]
        assert result[k] == pytest.approx(expected, abs=1e-5)
    assert abs(result[2]) < 1e-3


def test_every_word_of_a_caption_is_one_piece_and_nothing_is_unknown() -> None:
    tokenizer = tiny_caption.new_processor().tokenizer

    for factors in all_factors():
        text = str(factors)
        assert len(tokenizer(text).input_ids) == len(text.split()) + 2
    pieces = tokenizer("Zebra, 12.5 km!").input_ids
    assert tokenizer.unk_token_id not in pieces
    assert tokenizer.decode(pieces, skip_special_tokens=True).replace(" ", "") == "zebra,12.5km!"


def test_a_caption_is_told_from_its_start_to_its_end_and_padding_is_not_learnt() -> None:
    tokenizer = tiny_caption.new_processor().tokenizer
    captions = ["a red boat on a frozen river", "a red cat in the snow"]

    tokens, labels = tiny_caption.told(tokenizer, captions)

    assert tokens[:, 0].tolist() == [tokenizer.bos_token_id] * 2
    assert tokens[0, -1] == tokenizer.sep_token_id
    assert tokens[1].tolist().index(tokenizer.sep_token_id) == 7
    assert (labels[1, 8:] == -100).all()
    assert torch.equal(labels[1, :8], tokens[1, :8])
    assert tokenizer.batch_decode(tokens, skip_special_tokens=True) == captions


def test_hints_are_what_the_judge_sees_patch_by_patch(drawings: LargeDrawings) -> None:
    """The patches run row by row, as those of a vision transformer do."""
    judge = Judge.load()
    images, _ = drawings.some([0, 1], device=torch.device("cpu"))
    with torch.no_grad():
        seen = judge.net.trunk[:12](torch.nn.functional.avg_pool2d(images, 2))

    found = tiny_caption.hints(judge, images)

    assert found.shape == (2, 64, 4 * judge.net.width)
    assert torch.allclose(found[:, 2 * 8 + 5], seen[:, :, 2, 5], atol=1e-5)


def test_an_untrained_depth_estimator_can_learn(drawings: LargeDrawings) -> None:
    """Its head ends in a ReLU, which must not begin shut."""
    torch.manual_seed(tiny_depth.SEED)
    images, _ = drawings.some([0, 1, 2], device=torch.device("cpu"))

    predicted = tiny_depth.new_model()(pixel_values=images).predicted_depth

    assert predicted.shape == (3, 128, 128)
    assert (predicted > 0).all()


@pytest.mark.parametrize("name", ["tiny-depth", "tiny-caption"])
def test_a_short_training_writes_a_folder_that_its_pipeline_loads(
    name: str, drawings: LargeDrawings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"tiny-depth": tiny_depth, "tiny-caption": tiny_caption}[name]
    monkeypatch.setattr(module, "STEPS", 2)
    monkeypatch.setattr(module, "BATCH", 3)
    models = tmp_path / "models"
    (models / name).mkdir(parents=True)
    (models / name / "README.md").write_text("the card")
    (models / "judge").symlink_to(REPOSITORY / "data" / "models" / "judge")

    module.train(drawings, build=tmp_path / "build", models=models)

    assert (models / name / "README.md").read_text() == "the card"
    with safe_open(models / name / "model.safetensors", framework="pt") as weights:
        kinds = {weights.get_slice(key).get_dtype() for key in weights.keys()}  # noqa: SIM118
    assert kinds == {"F16"}
    picture = Image.fromarray(drawings.images[0][:, :96])
    if name == "tiny-depth":
        answer = transformers.pipeline("depth-estimation", model=str(models / name))(picture)
        assert answer["depth"].size == (96, 128)
    else:
        answer = transformers.pipeline("image-text-to-text", model=str(models / name))(
            picture, text=""
        )
        assert isinstance(answer[0]["generated_text"], str)


def test_fresh_drawings_take_turns_among_their_combinations() -> None:
    images, drawn = measure_controls.fresh_large_drawings(held_out_ones=True, count=12)

    assert images.shape == (12, 3, 128, 128)
    factors: list[Factors] = [drawing.factors[0] for drawing in drawn]
    assert len(set(factors)) == 12
    assert len({f.thing for f in factors}) >= 6
