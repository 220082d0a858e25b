"""Every step of ElasticDiffusion is its closed form, with a Gaussian model of pictures.

The closed form is written out here cell by cell in float64, from the paper; only what the reference
reads, which is drawn by chance, is taken from the method.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian_field import Array, GaussianField, eps_of
from torch import Tensor

from distillery.methods import ddim
from distillery.methods.any_size import Wanted
from distillery.methods.elastic import Elastic, ElasticKnobs, shifts
from distillery.methods.elastic_methods import Beginning, Knobs, Task, begin
from distillery.methods.guided_ddim import BEGINNING, fresh_noise, steered
from distillery.methods.reference_cells import all_reads, cells, inside_trained, same_aspect
from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import Control
from reference import elastic as functions

TRAINED = (4, 6)
SIZES = ((8, 12), (9, 7), (4, 16), (13, 5))
STEPS, SCALE, SEEDS = 5, 3.0, (3, 11)
WINDOW = 2
KNOBS = ElasticKnobs(resampling_steps=2, new_p=0.6, rrg_weight=0.7, cosine_scale=1.5)


def task(
    size: tuple[int, int],
    knobs: ElasticKnobs,
    *,
    seeds: tuple[int, ...] = SEEDS,
    trained: tuple[int, int] = TRAINED,
    view_batch_size: int = 16,
    controls: tuple[Control, ...] = (),
) -> Task:
    prior = GaussianField(trained)
    wanted = Wanted(
        size,
        prior.embed(["a thing"] * len(seeds)),
        prior.embed([""] * len(seeds)),
        SCALE,
        controls=controls,
        view_batch_size=view_batch_size,
    )
    timesteps = prior.timesteps(STEPS)
    return Task(prior, prior, functions, wanted, Knobs(elastic=knobs), timesteps, seeds)


def steps_of(task: Task, beginning: Beginning | None = None) -> list[Tensor]:
    beginning = beginning or begin("elastic", task)
    steps = steered(
        beginning.predict,
        beginning.xt,
        timesteps=task.timesteps,
        alphas_cumprod=task.prior.alphas_cumprod,
        start=beginning.start,
        change=beginning.change,
    )
    return [step.xt for step in steps]


def place(cell: int, side: int, read: int, shift: int, window: int) -> int:
    """The first cell that is read for the window that `cell` is in."""
    if side <= read:
        return 0
    begin = (cell - shift) // window * window + shift
    return min(max(begin - (read - window) // 2, 0), side - read)


def local_of(
    xt: Array,
    alpha_bar: float,
    shift: tuple[int, int],
    window: tuple[int, int],
    image: Array,
    prompt: int = 0,
) -> Array:
    """The noise of one picture (C, h, w), each cell from its own window; 0 is no prompt."""
    (_, h, w), (a, b) = xt.shape, TRAINED
    local = np.empty_like(xt)
    for i in range(h):
        for j in range(w):
            top = place(i, h, a, shift[0], window[0])
            left = place(j, w, b, shift[1], window[1])
            part = (slice(None), slice(top, top + a), slice(left, left + b))
            its = eps_of(xt[part], alpha_bar, prompt, image[part])
            local[:, i, j] = its[:, i - top, j - left]
    return local


def reference_of(
    xt: Array,
    reads: Array,
    alpha_bar: float,
    frame: Callable[[Array], tuple[Array, slice, slice]],
    image: Array | float,
) -> tuple[Array, Array, Array]:
    """The direction of a picture (C, h, w), and the last reference with its two noises."""
    channels, h, w = xt.shape
    hr, wr = reads.shape[1:]
    direction = np.full_like(xt, np.nan)
    for number, read in enumerate(reads):
        small = xt.reshape(channels, -1)[:, read]
        framed, rows, columns = frame(small)
        uncond, text = (eps_of(framed, alpha_bar, k, image)[:, rows, columns] for k in (0, 1))
        for i in range(h):
            for j in range(w):
                its = np.argwhere(read == i * w + j)
                if len(its):
                    direction[:, i, j] = (text - uncond)[:, its[0][0], its[0][1]]
                elif number == len(reads) - 1 and np.isnan(direction[0, i, j]):
                    direction[:, i, j] = (text - uncond)[:, i * hr // h, j * wr // w]
    return direction, small, np.stack([uncond, text])


def means_of_groups(x: Array, small_size: tuple[int, int]) -> Array:
    """Of (C, h, w), in each cell the mean of the cells that one cell of the reference is for."""
    h, w = x.shape[1:]
    rows, columns = (
        np.arange(side) * few // side for side, few in zip((h, w), small_size, strict=True)
    )
    out = np.empty_like(x)
    for i, j in itertools.product(range(h), range(w)):
        group = x[:, rows == rows[i]][:, :, columns == columns[j]]
        out[:, i, j] = group.mean((1, 2))
    return out


def closed_form(task: Task, xt: Tensor, index: int) -> Array:
    """The latents after the step of that index, (B, C, h, w)."""
    knobs, size = task.knobs.elastic, task.wanted.size
    alphas = task.prior.alphas_cumprod.double().tolist()
    t, t_next = task.timesteps[index : index + 2].tolist()
    a, a_next = alphas[t], alphas[t_next]
    padded = knobs.reference == "padded"
    small_size = inside_trained(size, TRAINED) if padded else same_aspect(size, TRAINED, multiple=1)
    colours = [2 * torch.rand(3, generator=torch.Generator().manual_seed(s)) - 1 for s in SEEDS]
    image, small_image = np.zeros((3, *size)), 0.0
    for control in task.wanted.controls:  # one for all pictures, each of its pixels a cell
        image = control.image[0].double().numpy()
        blocks = (size[0] // small_size[0], size[1] // small_size[1])
        small_image = image.reshape(3, small_size[0], blocks[0], small_size[1], blocks[1])
        small_image = small_image.mean((2, 4))
    around = fresh_noise((3, *TRAINED), SEEDS, device="cpu")(index).double().numpy()

    def eps_and_x0(x: Array, which: int, rounds: int, scale: float) -> tuple[Array, Array]:
        def frame(small: Array) -> tuple[Array, slice, slice]:
            if not padded:
                return small, slice(None), slice(None)
            colour = colours[which].double().numpy()[:, None, None]
            framed = math.sqrt(a) * colour + math.sqrt(1 - a) * around[which]
            top, left = (
                (big - little) // 2 for big, little in zip(TRAINED, small_size, strict=True)
            )
            rows = slice(top, top + small_size[0])
            columns = slice(left, left + small_size[1])
            framed[:, rows, columns] = small
            return framed, rows, columns

        reads = all_reads(
            functions, cells(size, small_size), rounds=rounds, new_p=knobs.new_p, seed=index
        ).numpy()
        direction, small, (uncond, text) = reference_of(x, reads, a, frame, small_image)
        its = uncond + scale * (text - uncond)
        x0_small = (small - math.sqrt(1 - a) * its) / math.sqrt(a)
        x0_large = np.empty_like(x)
        for i in range(size[0]):
            for j in range(size[1]):
                row, column = i * small_size[0] // size[0], j * small_size[1] // size[1]
                x0_large[:, i, j] = x0_small[:, row, column]
        side = knobs.patch_size or WINDOW
        window = min(side, TRAINED[0]), min(side, TRAINED[1])
        shift = shifts(index, window) if knobs.moving_windows else (0, 0)
        local = local_of(x, a, shift, window, image)
        if knobs.own_details:
            own = local_of(x, a, shift, window, image, prompt=1) - local
            direction = direction + own - means_of_groups(own, small_size)
        return local + scale * direction, x0_large

    def step(x: Array, eps: Array) -> tuple[Array, Array]:
        x0 = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
        return x0, math.sqrt(a_next) * x0 + math.sqrt(1 - a_next) * eps

    noise = task.noise(size)(index).double().numpy()
    after = []
    for which, x in enumerate(xt.double().numpy()):
        eps, pulled_to = eps_and_x0(x, which, knobs.resampling_steps, SCALE)
        x0, x_next = step(x, eps)
        if knobs.repaint_sampling and knobs.resampling_steps > 0 and index < STEPS - 1:
            ratio = a / a_next
            x = math.sqrt(ratio) * x_next + math.sqrt(1 - ratio) * noise[which]
            eps, pulled_to = eps_and_x0(x, which, 0, SCALE / 3)
            x0, _ = step(x, eps)
        progress, stop = index / STEPS, knobs.rrg_stop_t
        weight = 0.0
        if progress < 1 - stop:
            angle = math.pi * progress / (1 - stop)
            weight = knobs.rrg_weight * ((1 + math.cos(angle)) / 2) ** knobs.cosine_scale
        x0 = x0 + weight * (pulled_to - x0)
        after.append(math.sqrt(a_next) * x0 + math.sqrt(1 - a_next) * eps)
    return np.stack(after)


def check_all_steps(task: Task) -> None:
    xt = begin("elastic", task).xt
    for index, xt_next in enumerate(steps_of(task)):
        wanted = torch.from_numpy(closed_form(task, xt, index)).float()
        torch.testing.assert_close(xt_next, wanted, atol=1e-5, rtol=1e-5)
        xt = xt_next


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reference", ["unpadded", "padded"])
def test_every_step_is_its_closed_form(size: tuple[int, int], reference: str) -> None:
    check_all_steps(task(size, replace(KNOBS, patch_size=WINDOW, reference=reference)))


@pytest.mark.parametrize(
    "change",
    [
        {"resampling_steps": 0},
        {"new_p": 0.0},
        {"new_p": 1.0, "resampling_steps": 9},
        {"repaint_sampling": True},
        {"repaint_sampling": True, "resampling_steps": 0},
        {"moving_windows": False},
        {"rrg_weight": 0.0},
        {"rrg_stop_t": 0.5, "rrg_weight": 1.0},
        {"own_details": True},
        {"own_details": True, "reference": "padded", "repaint_sampling": True},
    ],
    ids=str,
)
def test_every_step_is_its_closed_form_whatever_is_set(change: dict) -> None:
    check_all_steps(task((7, 11), replace(KNOBS, patch_size=WINDOW, **change)))


def test_every_step_is_its_closed_form_where_a_control_holds_the_picture() -> None:
    image = torch.randn(1, 3, 8, 12, generator=torch.Generator().manual_seed(4))
    control = Control("depth", image.expand(len(SEEDS), -1, -1, -1))
    check_all_steps(task((8, 12), replace(KNOBS, patch_size=WINDOW), controls=(control,)))


def test_a_window_is_half_the_trained_size_where_none_is_set() -> None:
    assert min(TRAINED) // 2 == WINDOW
    check_all_steps(task((8, 12), KNOBS))


@pytest.mark.parametrize("seeds", [(5,), (5, 6, 7)])
@pytest.mark.parametrize("size", [TRAINED, (3, 6), (2, 3), (3, 8)])
@pytest.mark.parametrize("repaint", [False, True])
def test_a_picture_no_larger_than_trained_is_plain_guidance_bit_for_bit(
    size: tuple[int, int], seeds: tuple[int, ...], repaint: bool
) -> None:
    its = task(size, replace(KNOBS, repaint_sampling=repaint), seeds=seeds)
    steps = ddim.sample(
        its.prior,
        fresh_noise((3, *size), seeds, device="cpu")(BEGINNING),
        text=its.wanted.text,
        uncond=its.wanted.uncond,
        guidance_scale=SCALE,
        timesteps=its.timesteps,
    )
    plain = [step.xt for step in steps]
    unchanged = replace(its, knobs=Knobs(elastic=replace(its.knobs.elastic, rrg_weight=0.0)))
    for drawn in (steps_of(its), steps_of(unchanged)):
        assert len(drawn) == len(plain) == STEPS
        assert all(map(torch.equal, drawn, plain))


ODD = replace(KNOBS, reference="padded", repaint_sampling=True)


@pytest.mark.parametrize("knobs", [KNOBS, ODD], ids=["unpadded", "padded"])
def test_a_picture_does_not_depend_on_the_others_of_its_batch(knobs: ElasticKnobs) -> None:
    together = steps_of(task((7, 11), knobs, seeds=(3, 11)))[-1]
    alone = [steps_of(task((7, 11), knobs, seeds=(seed,)))[-1] for seed in (3, 11)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("knobs", [KNOBS, ODD], ids=["unpadded", "padded"])
def test_a_run_goes_on_after_any_step_with_the_same_bits(knobs: ElasticKnobs) -> None:
    its = task((7, 11), knobs)
    drawn = steps_of(its)
    for index in range(STEPS - 1):
        again = replace(begin("elastic", its), xt=drawn[index], start=index + 1)
        rest = steps_of(its, again)
        assert len(rest) == STEPS - 1 - index
        assert all(map(torch.equal, rest, drawn[index + 1 :]))


@pytest.mark.parametrize("view_batch_size", [1, 3, 100])
def test_no_more_views_are_asked_about_at_once_than_is_said(view_batch_size: int) -> None:
    its = task((8, 12), replace(KNOBS, repaint_sampling=True), view_batch_size=view_batch_size)
    drawn = steps_of(its)
    assert isinstance(its.prior, GaussianField)
    assert max(shape[0] for shape in its.prior.asked) <= view_batch_size * len(SEEDS)
    others = steps_of(task((8, 12), replace(KNOBS, repaint_sampling=True)))
    torch.testing.assert_close(drawn[-1], others[-1], atol=1e-5, rtol=1e-5)


def test_windows_ask_the_local_prior_and_the_reference_the_other_one() -> None:
    its = task((8, 12), KNOBS)
    local = GaussianField(TRAINED)
    steps_of(replace(its, local=local))
    assert isinstance(its.prior, GaussianField)
    assert {shape[-2:] for shape in local.asked} == {TRAINED}
    assert {shape[-2:] for shape in its.prior.asked} == {(4, 6)}
    assert sum(shape[0] for shape in its.prior.asked) == STEPS * len(SEEDS) * 3 * 2


def test_the_windows_of_one_step_lie_elsewhere_in_the_next() -> None:
    found = {shifts(index, (8, 5)) for index in range(60)}
    assert len(found) > 25
    for axis, window in enumerate((8, 5)):
        assert {pair[axis] for pair in found} == set(range(window))


def test_a_window_is_no_longer_than_what_the_network_reads() -> None:
    check_all_steps(task((9, 13), replace(KNOBS, patch_size=5)))


@pytest.mark.parametrize("read", [1, 4, 7, 16])
def test_every_cell_is_written_once_and_read_with_what_is_around_it(read: int) -> None:
    for side, window in itertools.product(
        (1, 2, 6, 7, 15, 16, 17, 31, 50), {1, (read + 1) // 2, read}
    ):
        for shift in range(window):
            rows = functions.cover(side, window, read, shift).tolist()
            written = [
                cell for *_, first_cell, beyond in rows for cell in range(first_cell, beyond)
            ]
            assert written == list(range(side)), (side, window, shift)
            for first, last, first_cell, beyond in rows:
                assert last - first == min(side, read)
                assert 0 <= first <= first_cell < beyond <= last <= side
                if first > 0 and last < side and beyond - first_cell == window:
                    before, after = first_cell - first, last - beyond
                    assert before <= after <= before + 1


def test_what_is_read_around_a_window_is_never_written() -> None:
    """Every window says its own number where it writes, and nothing around."""
    its = task((9, 14), replace(KNOBS, patch_size=WINDOW, moving_windows=True))
    elastic = Elastic(
        its.prior,
        functions,
        its.wanted,
        its.knobs.elastic,
        timesteps=its.timesteps,
        noise=its.noise(its.wanted.size),
    )
    for index in range(STEPS):
        rows, columns = elastic.cover(index)
        inside = [
            (r[2] - r[0], r[3] - r[0], c[2] - c[0], c[3] - c[0])
            for r in rows.tolist()
            for c in columns.tolist()
        ]

        def predict(views: Tensor, inside: list[tuple[int, ...]] = inside) -> Tensor:
            said = torch.full_like(views, torch.nan)
            for number, (top, bottom, left, right) in enumerate(inside):
                said[number, ..., top:bottom, left:right] = number
            return said

        told = functions.local_score(predict, torch.zeros(2, 3, 9, 14), rows, columns)
        assert told.isfinite().all()
        assert told.unique().tolist() == list(range(len(inside)))


def mixture(trained: tuple[int, int]) -> GaussianMixturePrior:
    means = torch.tensor([[0.5, -1.0, 0.2], [1.0, 0.3, -0.4]])[:, :, None, None]
    return GaussianMixturePrior(means, 0.5, names={"": [0], "a thing": [1]}, latent_size=trained)


@pytest.mark.parametrize("method", ["multidiffusion", "elastic"])
@pytest.mark.parametrize("size", [(4, 16), (12, 18), (16, 4)])
def test_where_cells_know_nothing_of_each_other_any_way_to_share_them_is_plain_guidance(
    method: str, size: tuple[int, int]
) -> None:
    its = replace(task(size, replace(KNOBS, rrg_weight=0.0)), prior=mixture(TRAINED))
    its = replace(
        its,
        local=its.prior,
        wanted=replace(
            its.wanted, text=its.prior.embed(["a thing"] * 2), uncond=its.prior.embed([""] * 2)
        ),
    )
    drawn, plain = (steps_of(its, begin(name, its)) for name in (method, "direct"))
    torch.testing.assert_close(drawn, plain, atol=1e-5, rtol=1e-5)
