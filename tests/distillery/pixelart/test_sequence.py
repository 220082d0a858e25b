"""Frames become indices of one palette, on one grid, and what stands still keeps its colour."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from distillery.core.errors import CourseError
from distillery.core.images import to_pil
from distillery.palettes import from_hex, nearest, srgb_to_oklab, to_hex
from distillery.pixelart import frame_grid, sequence
from distillery.pixelart.frame_grid import as_frames, cell_side, on_grid
from distillery.pixelart.sequence import changes, indices_of, palette_of, pixel_sequence
from reference import morph

FOUR = from_hex(["1a1c2c", "b13e53", "41a6f6", "f4f4f4"])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixel_style(count: int = 3, size: tuple[int, int] = (6, 9), side: int = 4) -> Tensor:
    """Frames of random cells of four colours, `side` pixels each."""
    indices = torch.randint(4, (count, *size), generator=seeded(3))
    cells = (2 * FOUR[indices] - 1).movedim(-1, 1)
    return cells.repeat_interleave(side, 2).repeat_interleave(side, 3)


def trembling(share: float, count: int = 20) -> Tensor:
    """Flat frames of 6 x 9 at `share` of the way from black to white, each trembling a little."""
    noise = 0.004 * torch.randn(count, 1, 6, 9, generator=seeded(4))
    return (2 * share - 1 + noise).expand(-1, 3, -1, -1)


GREYS = from_hex(["000000", "555555", "aaaaaa", "ffffff"])


def grey(part: float) -> float:
    """The grey that lies at `part` of the way between the two middle ones, in OKLab."""
    low, high = srgb_to_oklab(GREYS)[1:3, 0]
    greys = torch.linspace(0, 1, 10001)
    lightness = srgb_to_oklab(greys[:, None].expand(-1, 3))[:, 0]
    return float(greys[(lightness - torch.lerp(low, high, part)).abs().argmin()])


# The grid.


@pytest.mark.parametrize("reduction", frame_grid.REDUCTIONS)
@pytest.mark.parametrize("count", [1, 3])
def test_pictures_made_of_cells_come_back_as_their_cells(reduction, count) -> None:
    frames = pixel_style(count)
    small = on_grid(frames, (6, 9), reduction=reduction)
    assert torch.allclose(small, frames[..., 1::4, 1::4], atol=1e-6)
    assert torch.equal(
        on_grid(to_pil(frames), (6, 9), reduction="centre"), small
    ) or torch.allclose(on_grid(to_pil(frames), (6, 9), reduction=reduction), small, atol=1e-6)


def test_cells_of_a_decoder_that_trembles_come_back_as_their_means() -> None:
    frames = pixel_style() + 0.02 * torch.randn(3, 3, 24, 36, generator=seeded())
    expected = functional.avg_pool2d(frames.clamp(-1, 1), 4)
    assert torch.allclose(on_grid(frames, (6, 9)), expected, atol=1e-6)
    assert cell_side(frames) == 4


@pytest.mark.parametrize("side", [2, 3, 4])
def test_the_side_of_cells_is_found(side) -> None:
    assert cell_side(pixel_style(side=side)) == side


def test_a_picture_without_cells_has_cells_of_one_pixel() -> None:
    assert cell_side(torch.rand(2, 3, 24, 36, generator=seeded()) * 2 - 1) == 1


def test_the_common_colour_of_a_cell_is_not_mixed_with_a_few_other_pixels() -> None:
    cell = torch.full((1, 3, 5, 5), 0.8)
    cell[:, :, :, 0] = -0.9  # a line of another colour at the edge
    mean, common = (
        float(on_grid(cell, (1, 1), reduction=way).mean()) for way in ("mean", "common")
    )
    assert mean == pytest.approx(0.8 - 1.7 / 5, abs=1e-5)
    assert common == pytest.approx(0.8, abs=0.01)


def test_a_grid_that_divides_nothing_has_its_size_and_stays_among_the_frames_colours() -> None:
    small = on_grid(pixel_style(2, side=5), (11, 13), reduction="centre")
    assert small.shape == (2, 3, 11, 13)
    assert set(to_hex((small.movedim(1, -1).reshape(-1, 3) + 1) / 2)) <= set(to_hex(FOUR))
    assert on_grid(torch.zeros(2, 3, 64, 64), (48, 48)).shape == (2, 3, 48, 48)
    assert on_grid(torch.zeros(2, 3, 64, 64), (20, 20), reduction="common").shape == (2, 3, 20, 20)


def test_other_proportions_are_cut_about_the_centre_and_nothing_is_squashed() -> None:
    frames = torch.arange(12.0).expand(1, 3, 8, 12) / 12  # each column has a value of its own
    assert torch.allclose(on_grid(frames, (8, 8), reduction="mean"), frames[..., 2:10])
    assert on_grid(frames, (2, 8), reduction="mean").shape == (1, 3, 2, 8)


@pytest.mark.parametrize("size", [(0, 4), (4, -1), (25, 36), (24, 37)])
def test_a_grid_that_is_empty_or_finer_than_the_frames_is_refused(size) -> None:
    with pytest.raises(
        CourseError, match="1 x 1 to as many cells as the frames have pixels, 24 x 36"
    ):
        on_grid(pixel_style(), size)


def test_frames_that_are_none_too_many_or_of_mixed_sizes_are_refused() -> None:
    with pytest.raises(CourseError, match="1 to 1,000 frames; 0 came"):
        as_frames([])
    with pytest.raises(CourseError, match="1 to 1,000 frames; 1,001 came"):
        as_frames(torch.zeros(1001, 3, 1, 1))
    with pytest.raises(CourseError, match="of one size; there are 4 x 4 and 5 x 4"):
        as_frames([Image.new("RGB", (5, 4)), Image.new("RGB", (4, 4))])
    with pytest.raises(CourseError, match=r"\(F, 3, H, W\); these are \(2, 4, 8, 8\)"):
        as_frames(torch.zeros(2, 4, 8, 8))
    assert as_frames(torch.zeros(1000, 3, 1, 1)).shape == (1000, 3, 1, 1)


# One palette.


def test_a_palette_of_all_frames_has_the_asked_number_exact_in_8_bits_dark_to_light() -> None:
    frames = torch.rand(4, 3, 8, 12, generator=seeded()) * 2 - 1
    palette = palette_of(frames, 10, morph, generator=seeded())
    assert len(set(to_hex(palette))) == 10
    assert torch.equal((palette * 255).round() / 255, palette)
    lightness = srgb_to_oklab(palette)[:, 0]
    assert torch.equal(lightness, lightness.sort().values)
    assert torch.equal(palette, palette_of(frames, 10, morph, generator=seeded()))


def test_a_colour_of_one_frame_alone_is_in_the_palette_of_all() -> None:
    """The first frame knows nothing of it."""
    noise = 0.03 * torch.randn(6, 3, 8, 12, generator=seeded())
    frames = torch.tensor([0.9, -0.6, -0.6]).view(3, 1, 1) + noise
    frames[5] = torch.tensor([-0.8, 0.1, 0.9]).view(3, 1, 1) + noise[5]
    palette = palette_of(frames, 2, morph, generator=seeded())
    found = {
        nearest(frames[[k]], palette, space="oklab").flatten().mode().values.item() for k in (0, 5)
    }
    assert found == {0, 1}
    blue = palette[palette[:, 2].argmax()]
    assert torch.allclose(2 * blue - 1, torch.tensor([-0.8, 0.1, 0.9]), atol=0.03)


def test_a_palette_is_where_the_students_step_moves_nothing() -> None:
    frames = torch.rand(4, 3, 8, 12, generator=seeded(1)) * 2 - 1
    palette = srgb_to_oklab(palette_of(frames, 6, morph, generator=seeded()))
    moved = morph.shared_palette(srgb_to_oklab((frames.movedim(1, -1) + 1) / 2), palette)
    assert float((moved - palette).norm(dim=1).max()) < 0.01  # 8 bits, and what settled means


def test_frames_of_fewer_colours_give_those_and_say_so() -> None:
    with pytest.warns(UserWarning, match="the frames have 4 colours, fewer than the 16 asked for"):
        palette = palette_of(pixel_style(), 16, morph, generator=seeded())
    assert set(to_hex(palette)) == set(to_hex(FOUR))
    with pytest.raises(CourseError, match="one and the same colour"):
        palette_of(torch.zeros(2, 3, 4, 4), 16, morph, generator=seeded())


@pytest.mark.parametrize("colours", [0, 1, 257, 1000])
def test_a_palette_that_no_animation_has_is_refused(colours) -> None:
    with pytest.raises(CourseError, match=f"2 to 256 colours; it was {colours:,}"):
        palette_of(pixel_style(), colours, morph, generator=seeded())


def test_many_pixels_cost_no_more_than_some_of_them(monkeypatch) -> None:
    monkeypatch.setattr(sequence, "FITTED", 50)
    seen = []

    class Counting:
        @staticmethod
        def shared_palette(frames: Tensor, palette: Tensor) -> Tensor:
            seen.append(frames.numel() // 3)
            return morph.shared_palette(frames, palette)

    frames = torch.rand(4, 3, 8, 12, generator=seeded()) * 0.2 - 1
    frames[3] += 1.8  # also of the last frame
    palette = palette_of(frames, 4, Counting, generator=seeded())  # type: ignore[arg-type]
    assert set(seen) == {50}
    assert palette.min() < 0.2
    assert palette.max() > 0.8


# Indices.


def test_a_sequence_in_a_given_palette_is_the_nearest_colours_where_nothing_is_held() -> None:
    frames = torch.rand(3, 3, 12, 18, generator=seeded()) * 2 - 1
    made = pixel_sequence(
        frames, morph, size=(6, 9), palette=FOUR, generator=seeded(), reduction="mean", margin=0.0
    )
    small = functional.avg_pool2d(frames, 2)
    assert torch.equal(made.indices, nearest(small, FOUR, space="oklab"))
    assert made.indices.dtype == torch.int64
    assert torch.equal(made.palette, FOUR)
    assert torch.allclose(made.frames[1, :, 2, 3], 2 * FOUR[made.indices[1, 2, 3]] - 1)


@pytest.mark.parametrize(("dithering", "part"), [("none", 0.5), ("bayer", 0.375)])
def test_a_trembling_pixel_between_two_colours_flickers_unless_it_is_held(dithering, part) -> None:
    frames = trembling(grey(part))
    loose = indices_of(frames, GREYS, morph, dithering=dithering, margin=0.0)
    held = indices_of(frames, GREYS, morph, dithering=dithering, margin=0.03)
    assert changes(frames, loose) > 0.1
    assert changes(frames, held) == 0
    assert torch.equal(held[0], loose[0])


@pytest.mark.parametrize("dithering", sequence.DITHERINGS)
def test_what_moves_for_good_changes_its_colour(dithering) -> None:
    frames = torch.cat([trembling(grey(0.0), 3), trembling(1.0, 3)])
    indices = indices_of(frames, GREYS, morph, dithering=dithering, margin=0.03)
    assert (indices[:3] == 1).all()
    assert (indices[3:] == 3).all()


def test_frames_that_loop_are_held_across_the_joint() -> None:
    levels = torch.tensor([grey(0.48), grey(0.2), 1.0, grey(0.52)])
    frames = (2 * levels - 1).view(4, 1, 1, 1).expand(-1, 3, 2, 3)
    once = indices_of(frames, GREYS, morph, margin=0.05)[:, 0, 0]
    looped = indices_of(frames, GREYS, morph, margin=0.05, loop=True)[:, 0, 0]
    assert once.tolist() == [1, 1, 3, 2]
    assert looped.tolist() == [2, 1, 3, 2]


def test_stretches_of_frames_are_held_as_the_whole_is(monkeypatch) -> None:
    frames = trembling(grey(0.5))
    whole = indices_of(frames, GREYS, morph, margin=0.01)
    monkeypatch.setattr(sequence, "AT_ONCE", 3 * 6 * 9 * 4)
    assert torch.equal(indices_of(frames, GREYS, morph, margin=0.01), whole)
    assert changes(frames, whole) > 0  # so that there is something to compare


@pytest.mark.parametrize("part", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_pattern_shows_the_colour_on_average_and_stays_on_the_grid(part) -> None:
    frames = torch.full((3, 3, 8, 12), 2 * grey(part) - 1)
    indices = indices_of(frames, GREYS, morph, dithering="bayer", margin=0.0)
    assert set(indices.unique().tolist()) <= {1, 2}
    assert float((indices == 2).float().mean()) == part
    assert torch.equal(indices[0], indices[2])
    assert torch.equal(indices[0, :2, :2], indices[0, 4:6, 6:8])


def test_the_pattern_does_not_turn_round_where_the_other_colour_becomes_the_nearer() -> None:
    levels = torch.tensor([2 * grey(part) - 1 for part in (0.45, 0.55)])
    frames = levels.view(2, 1, 1, 1).expand(-1, 3, 4, 6)
    before, after = indices_of(frames, GREYS, morph, dithering="bayer", margin=0.0)
    assert torch.equal(before, after)


def test_a_colour_beside_the_two_nearest_is_not_mixed_of_them() -> None:
    two = from_hex(["ff0000", "00ff00"])
    blue = torch.tensor([-1.0, -1.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 6)
    mixed = indices_of(blue, two, morph, dithering="bayer")
    assert torch.equal(mixed, nearest(blue, two, space="oklab"))


def test_changes_are_counted_among_static_pixels_alone() -> None:
    frames = torch.zeros(2, 3, 2, 2)
    frames[1, :, 0, 0] = 0.5  # this one moves
    indices = torch.tensor([[[0, 0], [0, 0]], [[1, 1], [0, 0]]])
    assert changes(frames, indices) == pytest.approx(1 / 3)
    assert changes(frames[[0, 0, 1]], indices[[0, 1, 1]], loop=True) == pytest.approx(3 / 10)
    moving = torch.stack([torch.full((3, 2, 2), -1.0), torch.ones(3, 2, 2)])
    assert changes(moving, indices) == 0


def test_an_unknown_way_or_a_margin_that_is_none_is_refused() -> None:
    frames = torch.zeros(2, 3, 4, 4)
    with pytest.raises(CourseError, match="none or bayer; it was 'floyd'"):
        indices_of(frames, GREYS, morph, dithering="floyd")  # type: ignore[arg-type]
    with pytest.raises(CourseError, match="0 to 1, a distance in OKLab; it was -1"):
        indices_of(frames, GREYS, morph, margin=-1.0)
    with pytest.raises(CourseError, match=r"a reduction is one of .*; it was 'box'"):
        on_grid(frames, (2, 2), reduction="box")  # type: ignore[arg-type]
