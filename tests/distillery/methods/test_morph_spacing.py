from __future__ import annotations

import pytest
import torch
from torch import Tensor

from distillery.methods.morph_frames import frame_positions
from distillery.methods.morph_spacing import (
    EvenFilm,
    mean_step,
    picked_evenly,
    positions_in_gaps,
    steps_of,
    unevenness,
)


def steep(positions: Tensor) -> Tensor:
    """A path of latents (M, 1, 1, 2) that hardly moves but for a tenth of it, and turns there."""
    angle = torch.pi * torch.sigmoid(40 * (positions % 1 - 0.6)) + torch.pi * positions.floor()
    return torch.stack([angle.cos(), angle.sin()], 1)[:, None, None]


def drawn(wanted: Tensor, *, extra: float = 2.0) -> tuple[EvenFilm, int]:
    keyframes = steep(torch.arange(float(wanted.max()) // 1 + 1))
    film = EvenFilm(wanted, keyframes, lambda latents: [latents], extra=extra)
    rounds = 0
    while len(todo := film.next_positions()):
        film.add(todo, steep(todo))
        rounds += 1
    return film, rounds


def worst(latents: Tensor) -> float:
    return float(steps_of(latents).max()) / mean_step(latents)


def test_frames_become_evenly_far_apart_where_even_positions_are_not():
    wanted = frame_positions(2, 20)
    assert worst(steep(wanted)) > 5
    film, _ = drawn(wanted)
    positions, latents = film.film()
    assert worst(latents) < 1.6
    assert (positions.diff() > 0).all()
    assert torch.equal(latents, steep(positions))


def test_no_more_is_drawn_than_was_allowed():
    wanted = frame_positions(2, 20)
    film, _ = drawn(wanted, extra=0.5)
    assert len(film.positions) <= 20 + 10


def test_keyframes_and_holds_stay_and_joints_are_shared():
    wanted = frame_positions(3, 29, holds=[1, 2, 0])
    film, _ = drawn(wanted)
    positions, latents = film.film()
    still = wanted == wanted.round()
    assert torch.equal(positions[still], wanted[still])
    assert torch.equal(latents[still], steep(wanted[still]))


def test_a_film_that_loops_is_spaced_on_its_way_back_too():
    wanted = frame_positions(2, 24, loop=True)
    keyframes = steep(torch.tensor([0.0, 1.0, 2.0]))
    film = EvenFilm(wanted, keyframes, lambda latents: [latents], extra=2.0)
    while len(todo := film.next_positions()):
        film.add(todo, steep(todo))
    _, latents = film.film()
    assert len(latents) == 24
    assert worst(torch.cat([latents, keyframes[-1:]])) < 1.6


def test_eased_places_become_eased_steps():
    wanted = frame_positions(2, 9, easing="smooth")
    known = torch.linspace(0, 1, 401)
    chosen = picked_evenly(known, [known[:, None]], wanted)
    assert (known[chosen] - wanted).abs().max() < 0.005


def test_a_path_that_stands_still_is_shown_as_it_is():
    wanted = frame_positions(2, 6)
    film = EvenFilm(wanted, torch.ones(2, 1, 1, 1), lambda latents: [latents])
    while len(todo := film.next_positions()):
        film.add(todo, torch.ones(len(todo), 1, 1, 1))
    assert len(film.film()[0]) == 6


def test_a_wide_gap_is_cut_into_as_many_parts_as_it_is_wide():
    seen = torch.tensor([0.0, 1, 2, 12, 13])[:, None]
    positions = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    new = positions_in_gaps(positions, [seen], frames=5, most=9)
    assert torch.allclose(new, 0.5 + 0.25 * torch.arange(1, 6) / 6, atol=1e-6)
    few = positions_in_gaps(positions, [seen], frames=5, most=1)
    assert few.tolist() == [0.625]
    assert not len(positions_in_gaps(positions, [torch.zeros(5, 2)], frames=5, most=9))


def test_a_gap_as_narrow_as_numbers_are_is_left():
    half = torch.tensor(0.5)
    positions = torch.stack([half, half.nextafter(torch.tensor(1.0)), torch.tensor(1.0)])
    new = positions_in_gaps(positions, [torch.tensor([[0.0], [9], [9]])], frames=9, most=5)
    assert not len(new)


def test_steps_become_even_in_every_kind_of_what_is_seen():
    """One kind moves in the first half of the path, another in the second, one a little in both."""
    known = torch.linspace(0, 1, 201)
    kinds = [
        torch.stack([known.clamp(max=0.5), 0.3 * known], 1),
        torch.stack([known.clamp(min=0.5), 0.5 * known], 1),
    ]

    film = EvenFilm(frame_positions(2, 21), torch.zeros(2, 1, 1, 1), lambda _: [])
    film.positions, film.latents = known, known.view(-1, 1, 1, 1)
    film._seen, film._scales = kinds, [1.0, 1.0]
    positions, _ = film.film()
    at = (positions * 200).round().long()
    assert all(unevenness(seen[at], frame_positions(2, 21)) < 1.8 for seen in kinds)


def test_unevenness_is_the_largest_step_over_what_it_should_be():
    seen = torch.tensor([0.0, 1, 1, 2, 6])[:, None]
    assert unevenness(seen, torch.tensor([0.0, 0.25, 0.25, 0.5, 1.0])) == pytest.approx(4 / 3)
    assert unevenness(torch.zeros(3, 2), torch.tensor([0.0, 0.5, 1.0])) == 1
