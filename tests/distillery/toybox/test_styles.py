"""Pixel art lies on its grid in few colours, stickers are flat, and both stay the thing drawn."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.metrics.judge import Judge
from distillery.toybox import Factors, all_factors, draw, draw_scene, draw_two, held_out
from distillery.toybox.__main__ import main
from distillery.toybox.styles import BORDER, CELL, INK, STYLES, pixel_art, sticker, styled

BOAT = Factors("boat", "red", "on a frozen river")
SIZES = [(64, 64), (64, 128), (128, 64), (36, 50)]
INKED = (INK * 255 + 0.5).astype(np.uint8)


def colours(image: np.ndarray) -> np.ndarray:
    return np.unique(image.reshape(-1, 3), axis=0)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixel_art_is_constant_in_its_cells_and_has_few_colours(size):
    for factors in all_factors()[::97]:
        image = styled(draw(factors, 5, size=size), "pixel").image
        assert image.shape == (*size, 3)
        assert image.dtype == np.uint8
        cells = image[::CELL, ::CELL]
        assert np.array_equal(cells.repeat(CELL, 0).repeat(CELL, 1), image)
        assert 6 <= len(colours(image)) <= 24


def test_things_in_pixel_art_have_a_dark_outline_all_round():
    """From a cell of the thing one step leads to the scene only out of the outline."""
    for seed, factors in enumerate(all_factors()[::61]):
        drawing = draw(factors, seed)
        scene = replace(drawing, factors=(), caption=factors.scene)
        with_thing, without = pixel_art(drawing)[::CELL, ::CELL], pixel_art(scene)[::CELL, ::CELL]
        ink = (with_thing == INKED).all(-1)
        here = drawing.mask.reshape(32, 2, 32, 2).mean((1, 3)) >= 0.3
        body = here & (drawing.labels.reshape(32, 2, 32, 2).max((1, 3)) > 0) & ~ink
        outside = ~body & ~ink
        assert ink.sum() > 10
        assert not (body[1:] & outside[:-1]).any()
        assert not (body[:, 1:] & outside[:, :-1]).any()
        assert np.array_equal(with_thing[outside], without[outside])


def test_between_two_bands_of_a_sky_stands_a_line_of_both():
    """Cell by cell it takes turns between the colour above it and the colour below."""
    cells = pixel_art(draw_scene("on the grass", 0))[::CELL, ::CELL].astype(int)
    turns = (cells[:, 2:] == cells[:, :-2]).all(-1) & (cells[:, 1:-1] != cells[:, :-2]).any(-1)
    lines = np.flatnonzero(turns.mean(1) > 0.9)
    assert len(lines) >= 2
    for row in lines:
        above, mixed, below = (set(map(tuple, cells[row + k, 12:20])) for k in (-1, 0, 1))
        assert len(above) == len(below) == 1
        assert mixed == above | below


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_stickers_are_flat(size):
    """Most neighbouring pixels are exactly equal; in the drawing few are."""
    for factors in all_factors()[::97]:
        drawing = draw(factors, 5, size=size)
        flat, shaded = sticker(drawing), drawing.image
        assert flat.shape == (*size, 3)
        assert (flat[1:, 1:] == flat[:-1, :-1]).all(-1).mean() > 0.5
        assert (shaded[1:, 1:] == shaded[:-1, :-1]).all(-1).mean() < 0.5


def test_stickers_have_a_white_border_of_its_width():
    drawing = draw(Factors("cup", "blue", "in the desert"), 3)
    image = sticker(drawing)
    inside = drawing.mask >= 0.5
    rows, columns = np.nonzero(inside)
    row = (rows.min() + rows.max()) // 2
    left = int(np.flatnonzero(inside[row]).min())
    assert (image[row, left - int(BORDER) + 1 : left - 1] >= 250).all()
    assert (image[row, left - int(BORDER) - 2] < 250).any()
    assert (image[row, left] < 120).all()
    assert columns.min() > BORDER + 2


@pytest.mark.parametrize("style", STYLES)
def test_styles_differ_from_the_drawing_and_keep_its_truth(style):
    drawing = draw(BOAT, 7)
    other = styled(drawing, style)
    assert np.array_equal(other.image, styled(draw(BOAT, 7), style).image)
    assert np.abs(other.image.astype(int) - drawing.image).mean() > 6
    assert other.caption == drawing.caption
    assert other.factors == drawing.factors
    assert other.mask is drawing.mask


@pytest.mark.parametrize("style", STYLES)
def test_each_of_two_things_keeps_its_colour_and_a_scene_may_be_empty(style):
    drawing = draw_two(BOAT, Factors("cat", "yellow", BOAT.scene), 3, size=(64, 128))
    image = styled(drawing, style).image.astype(int)
    red, yellow = (image[drawing.labels == k] for k in (1, 2))
    assert np.median(yellow[:, 1]) > np.median(red[:, 1]) + 60
    empty = styled(draw_scene("in the snow", 3, size=(64, 128)), style).image
    assert empty.std() > 5


@pytest.mark.parametrize("style", STYLES)
def test_the_judge_still_reads_the_three_facts(style):
    """It was trained on ordinary drawings alone."""
    some = all_factors()[::13]
    images = np.stack([styled(draw(f, 900 + k), style).image for k, f in enumerate(some)])
    seen = Judge.load().factors(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
    assert np.mean([a == b for a, b in zip(seen, some, strict=True)]) >= 0.8


def test_unknown_styles_and_odd_sides_are_refused():
    with pytest.raises(ValueError, match="no style 'oil'"):
        styled(draw(BOAT, 1), "oil")
    with pytest.raises(ValueError, match="even sides, got 41 × 56"):
        styled(draw(BOAT, 1, size=(41, 56)), "pixel")


def read(folder) -> tuple[list[str], list[str], list[np.ndarray]]:
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    names = [row["file_name"] for row in rows]
    return names, [row["text"] for row in rows], [np.asarray(Image.open(folder / n)) for n in names]


def test_a_folder_has_every_picture_and_its_caption(tmp_path, capsys):
    folder = tmp_path / "set"
    words = ["pixel", str(folder), "--count", "5", "--size", "32,48"]
    assert main([*words, "--seed", "2"]) == 0
    names, texts, images = read(folder)
    assert sorted(names) == sorted(p.name for p in folder.iterdir() if p.name != "metadata.jsonl")
    assert len(names) == len(set(texts)) == 5
    assert all(image.shape == (32, 48, 3) for image in images)
    assert capsys.readouterr().out.strip() == str(folder)

    assert main(["pixel", str(folder), "--count", "5"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert read(folder)[1] == texts

    words[1] = str(tmp_path / "other")
    assert main([*words, "--seed", "3"]) == 0
    assert read(tmp_path / "other")[1] != texts


@pytest.mark.parametrize("also_held_out", [False, True])
def test_held_out_combinations_come_only_when_asked(tmp_path, monkeypatch, also_held_out):
    drawn: list[Factors] = []

    def noted(factors, seed, **size):
        drawn.append(factors)
        return draw(factors, seed, **size)

    monkeypatch.setattr("distillery.toybox.style_folder.draw", noted)
    words = ["pixel", str(tmp_path / "set"), "--count", "90", "--size", "32,32"]
    assert main(words + ["--held-out"] * also_held_out) == 0
    assert any(held_out(factors) for factors in drawn) is also_held_out
    assert len(set(drawn)) == 90


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--count", "0"], "at least one picture"),
        (["--size", "33,64"], "must be even"),
        (["--size", "16,64"], "at least 32"),
    ],
)
def test_bad_wishes_are_one_sentence_and_nothing_is_written(tmp_path, capsys, words, complaint):
    assert main(["sticker", str(tmp_path / "set"), *words]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_stops_half_way_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("distillery.toybox.style_folder.styled", stop)
    assert main(["pixel", str(tmp_path / "set"), "--count", "2"]) == 130
    assert not list(tmp_path.iterdir())
