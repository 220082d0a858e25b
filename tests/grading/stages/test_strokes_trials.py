"""Stage 5: what each kind of trial is for, what its inputs are, and that mistakes are named."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from benchmarks.reply_here import reply_here
from distillery.course.functions import named
from distillery.course.observe import observe
from grading.judge.judge_task import Key, judge
from grading.stages.cases import CASES
from grading.stages.inputs.random_inputs import KINDS, SINGLE
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.strokes.cases import BRUSHES, BURSTS, FLAT, MASKS, PARTS, REGIONS, STRENGTHS
from grading.stages.strokes.stage import STAGE
from reference import strokes

SEEDS = range(31, 37)
EVERY = pytest.mark.parametrize("seed", [0, *SEEDS])
PAINT, LOSS, START, X0, BURST, BIAS, COMPOSE = (f"strokes.{its}" for its in STAGE.points)
ALL = (PAINT, LOSS, START, X0, BURST, BIAS, COMPOSE)
KNOWN = {answer.name: answer.function for answer in MISCONCEPTIONS}


@cache
def key(seed: int) -> Key:
    return Key(seed)


def trials(task: str, seed: int) -> dict:
    return {words: draw(seed) for words, draw in CASES[task].items()}


def right(task: str):
    return getattr(strokes, task.removeprefix("strokes."))


# What each kind of trial is for: wrong answers that no other one is sure to find.


def with_pictures_exchanged(task: str, place: int, axis: int = 0):
    """The argument at this place has its pictures two places further; one and two stay."""

    def wrong(*arguments):
        moved = arguments[place].roll(2, axis)
        return right(task)(*arguments[:place], moved, *arguments[place + 1 :])

    return wrong


def paint_of_three_channels(images, width):
    return strokes.paint(images[:, :3], width)


def paint_by_a_kernel_as_large_as_the_shorter_side(images, width):
    shorter = min(images.shape[-2:])

    def weights(side):
        away = torch.arange(side)[:, None] - torch.arange(side)
        each = torch.exp(-0.5 * (away / (width * shorter)) ** 2) * (away.abs() < shorter)
        return each / each.sum(1, keepdim=True)

    return weights(images.shape[2]) @ images @ weights(images.shape[3]).T


def loss_of_three_channels(paint, images, painting, mask):
    return images.shape[1] / 3 * strokes.faithfulness_loss(paint, images, painting, mask)


def loss_less_that_of_the_rest(paint, images, painting, mask):
    rest = (1 - mask).sum((1, 2, 3))
    return strokes.faithfulness_loss(paint, images, painting, mask) * rest / rest


def start_of_1000_timesteps(x0_src, eps, strength, timesteps, alphas_cumprod):
    first = len(timesteps) - 1 - round(strength * (len(timesteps) - 1))
    alpha_bar = alphas_cumprod[timesteps[first] - 1000]
    return alpha_bar.sqrt() * x0_src + (1 - alpha_bar).sqrt() * eps


def start_of(number):
    """Of a way of N steps, `number(strength * N, N)` are taken."""

    def wrong(x0_src, eps, strength, timesteps, alphas_cumprod):
        count = len(timesteps) - 1
        alpha_bar = alphas_cumprod[timesteps[count - number(strength * count, count)]]
        return alpha_bar.sqrt() * x0_src + (1 - alpha_bar).sqrt() * eps

    return wrong


def estimate_of_three_channels(xt, eps, alpha_bar):
    return strokes.x0_estimate(xt[:, :3], eps[:, :3], alpha_bar)


def estimate_between(low, high):
    def wrong(xt, eps, alpha_bar):
        return strokes.x0_estimate(xt, eps, alpha_bar.clamp(low, high))

    return wrong


def burst_of_three_channels(loss_of, x0, eps, *others):
    return strokes.burst(loss_of, x0[:, :3], eps[:, :3], *others)


def burst_of_at_least_one_step(
    loss_of, x0, eps, timesteps, index, alphas_cumprod, grad_steps, learning_rate
):
    least = max(1, grad_steps)
    return strokes.burst(loss_of, x0, eps, timesteps, index, alphas_cumprod, least, learning_rate)


def burst_that_takes_index_0_for_1(loss_of, x0, eps, timesteps, index, *others):
    return strokes.burst(loss_of, x0, eps, timesteps, index or 1, *others)


def bias_with_another_outside_for_0(masks, tokens, count, inside, outside):
    return strokes.region_bias(masks, tokens, count, inside, outside or -4.0)


def bias_of_regions_that_have_words(masks, tokens, count, inside, outside):
    assert count > max(max(region) for region in tokens)
    return strokes.region_bias(masks, tokens, count, inside, outside)


def composed_of_uncond_up_to_scale_1(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    if guidance_scale <= 1:
        return eps_uncond.clone()
    return strokes.compose_scores(eps_uncond, eps_whole, eps_parts, masks, guidance_scale)


def composed_without_guidance_up_to_scale_1(
    eps_uncond, eps_whole, eps_parts, masks, guidance_scale
):
    scale = max(1.0, guidance_scale)
    return strokes.compose_scores(eps_uncond, eps_whole, eps_parts, masks, scale)


def composed_up_to_scale_30(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    scale = min(30.0, guidance_scale)
    return strokes.compose_scores(eps_uncond, eps_whole, eps_parts, masks, scale)


def composed_by_the_mean_of_the_rest(eps_uncond, eps_whole, eps_parts, masks, guidance_scale):
    rest = (1 - masks.sum(0)).clamp(min=0)
    eps_whole = eps_whole * rest.sum() / rest.sum()
    return strokes.compose_scores(eps_uncond, eps_whole, eps_parts, masks, guidance_scale)


FOUND_BY = {
    (PAINT, ""): with_pictures_exchanged(PAINT, 0),
    (PAINT, KINDS[SINGLE]): paint_of_three_channels,
    (PAINT, BRUSHES["wide"]): paint_by_a_kernel_as_large_as_the_shorter_side,
    (PAINT, BRUSHES["fine"]): KNOWN["paint_by_the_height"],
    (LOSS, ""): with_pictures_exchanged(LOSS, 3),
    (LOSS, KINDS[SINGLE]): loss_of_three_channels,
    (LOSS, MASKS["full"]): loss_less_that_of_the_rest,
    (LOSS, MASKS["bare"]): KNOWN["loss_of_nothing"],
    (START, ""): with_pictures_exchanged(START, 1),
    (START, KINDS[SINGLE]): start_of_1000_timesteps,
    (START, STRENGTHS["early"]): start_of(lambda n, count: min(count, max(2, round(n)))),
    (START, STRENGTHS["late"]): start_of(lambda n, count: max(1, min(count - 1, round(n)))),
    (START, STRENGTHS["one step"]): start_of(
        lambda n, count: round(n) * (count - 1) // (count - 1)
    ),
    (START, STRENGTHS["near half"]): start_of(lambda n, count: int(n + 0.53)),
    (START, STRENGTHS["low"]): start_of(lambda n, count: round(n) if not 1 < n < 3 else 3),
    (X0, ""): with_pictures_exchanged(X0, 1),
    (X0, KINDS[SINGLE]): estimate_of_three_channels,
    (X0, KINDS["early"]): estimate_between(0.0, 0.95),
    (X0, KINDS["late"]): estimate_between(0.05, 1.0),
    (BURST, ""): with_pictures_exchanged(BURST, 2),
    (BURST, KINDS[SINGLE]): burst_of_three_channels,
    (BURST, BURSTS["none"]): burst_of_at_least_one_step,
    (BURST, BURSTS["last"]): KNOWN["burst_from_the_end_of_the_levels"],
    (BURST, BURSTS["at nought"]): KNOWN["burst_without_noise_at_nought"],
    (BURST, BURSTS["late"]): burst_that_takes_index_0_for_1,
    (BIAS, REGIONS["shared"]): KNOWN["bias_of_the_last_region"],
    (BIAS, REGIONS["hard"]): bias_with_another_outside_for_0,
    (BIAS, REGIONS["wordless"]): bias_of_regions_that_have_words,
    (COMPOSE, ""): with_pictures_exchanged(COMPOSE, 2, axis=1),
    (COMPOSE, KINDS[SINGLE]): composed_of_uncond_up_to_scale_1,
    (COMPOSE, KINDS["early"]): composed_without_guidance_up_to_scale_1,
    (COMPOSE, KINDS["late"]): composed_up_to_scale_30,
    (COMPOSE, PARTS["overlap"]): KNOWN["composed_with_overlaps_added"],
    (COMPOSE, PARTS["covered"]): composed_by_the_mean_of_the_rest,
}


def found_at(task: str, function, seed: int) -> set[str]:
    """The circumstances under which a function does not do what the reference does."""
    found = set()
    for words, case in trials(task, seed).items():
        try:
            same = observe(function, case).equals(observe(right(task), case))
        except Exception:
            same = False
        found |= set() if same else {words}
    return found


def test_every_kind_of_trial_is_there_for_something():
    """Only the ordinary words have nothing that others do not have, but sizes of their own."""
    kinds = {(task, words) for task in ALL for words in CASES[task]}
    assert FOUND_BY.keys() == kinds - {(BIAS, "")}


@pytest.mark.parametrize(("task", "words"), FOUND_BY)
def test_no_other_kind_is_sure_to_find_what_this_one_finds(task, words):
    found = [found_at(task, FOUND_BY[task, words], seed) for seed in SEEDS]
    assert set.intersection(*found) == {words}


WITH_WORDS = [(task, words) for task, words in FOUND_BY if words]


@pytest.mark.parametrize(("task", "words"), WITH_WORDS)
def test_the_verdict_says_where_an_answer_is_wrong_and_the_mistake_if_it_is_known(task, words):
    function, asked = FOUND_BY[task, words], key(SEEDS[0]).task(task)
    verdict, _ = judge(asked, reply_here(function, asked), 3.0)
    assert verdict.points < 3
    said = " ".join(verdict.lines)
    names = [name for name, its in KNOWN.items() if its is function]
    assert [verdict.misconception] == (names or [None])
    assert names or words in said


# What the inputs are.


@EVERY
def test_brushes_paint_wide_and_tall_pictures_broadly_and_finely(seed):
    ordinary, single, wide, fine = trials(PAINT, seed).values()
    assert single.tensors["images"].shape[:2] == (1, 4)
    for case, low, high in ((wide, 0.6, 1.2), (fine, 0.08, 0.12)):
        assert low <= case.values["width"] <= high
    assert wide.tensors["images"].shape[2] < wide.tensors["images"].shape[3]
    assert fine.tensors["images"].shape[2] > fine.tensors["images"].shape[3]
    for case in (ordinary, single, wide, fine):
        images = case.tensors["images"]
        assert images.shape[2] != images.shape[3]
        border = torch.cat([images[..., :1].flatten(2), images[..., :1, :].flatten(2)], dim=-1)
        assert border.abs().mean() > 0.2  # grey borders are seen


def paint_by_a_round_kernel_up_to(sigmas: float):
    """What is further away than so many sigma is left out."""

    def paint(images, width):
        height, across = images.shape[-2:]
        sigma = width * min(height, across)
        places = torch.cartesian_prod(torch.arange(height), torch.arange(across)).float()
        away = torch.cdist(places, places) / sigma
        weights = torch.exp(-0.5 * away**2) * (away <= sigmas)
        weights = weights / weights.sum(1, keepdim=True)
        return (images.flatten(2) @ weights.T).unflatten(2, (height, across))

    return paint


@pytest.mark.parametrize("seed", [1042, 1075, *SEEDS])  # of the first two a tail weighs most
def test_a_kernel_may_end_where_the_task_says_it_may(seed):
    assert not found_at(PAINT, paint_by_a_round_kernel_up_to(4), seed)
    assert found_at(PAINT, paint_by_a_round_kernel_up_to(3), seed)


@EVERY
def test_masks_are_whole_soft_or_empty_and_pictures_go_beyond_what_can_be_shown(seed):
    its = trials(LOSS, seed)
    for case in its.values():
        images = case.tensors["images"]
        assert (images.abs() > 1).flatten(1).any(1).all()
        assert not torch.equal(images, case.tensors["painting"])
    sums = [case.tensors["mask"].sum((1, 2, 3)) for case in its.values()]
    ordinary, single, _, bare = sums
    assert single.shape == (1,)
    assert (its[MASKS["full"]].tensors["mask"] == 1).all()
    assert sorted(bare == 0) == [False, True]
    assert len(ordinary.unique()) == len(ordinary)  # no picture's paint stands in for another's
    assert all((its[(its > 0)] > 1).all() for its in sums)


def test_a_painting_of_less_than_a_pixel_is_no_question():
    def by_at_least_one(paint, images, painting, mask):
        difference = paint(mask * images) - paint(mask * painting)
        painted = (images.shape[1] * mask.sum((1, 2, 3))).clamp(min=1)
        return difference.square().sum((1, 2, 3)) / painted

    assert all(not found_at(LOSS, by_at_least_one, seed) for seed in SEEDS)


@EVERY
def test_strengths_take_the_steps_they_should_and_none_lies_near_a_half(seed):
    taken, counts = {}, {}
    for words, case in trials(START, seed).items():
        timesteps = case.tensors["timesteps"]
        assert (timesteps.diff() < 0).all()
        assert timesteps[0] < len(case.tensors["alphas_cumprod"])
        assert timesteps[-1] in (-1, 0)
        counts[words] = len(timesteps) - 1
        exact = case.values["strength"] * counts[words]
        assert abs(exact % 1 - 0.5) > 0.01
        assert 0 < case.values["strength"] <= 1
        taken[words] = round(exact)
    assert taken[STRENGTHS["early"]] == 1
    assert taken[STRENGTHS["low"]] == 2
    assert taken[STRENGTHS["late"]] == counts[STRENGTHS["late"]]
    assert counts[STRENGTHS["one step"]] == taken[STRENGTHS["one step"]] == 1


@EVERY
def test_bursts_reach_the_ends_of_the_way_and_begin_where_no_rounding_decides(seed):
    next_timesteps = {}
    for words, case in trials(BURST, seed).items():
        timesteps, index = case.tensors["timesteps"], case.values["index"]
        assert (timesteps.diff() < 0).all()
        next_timesteps[words] = int(timesteps[index + 1])
        loss_of = named(case.functions["loss_of"])
        slope = torch.func.grad(lambda its, of=loss_of: of(its).sum())(case.tensors["x0"])
        assert slope.abs().min() > 0.99 * FLAT
        assert case.values["grad_steps"] == 0 or words != BURSTS["none"]
    assert next_timesteps.pop(BURSTS["last"]) == -1
    assert next_timesteps.pop(BURSTS["at nought"]) == 0
    assert min(next_timesteps.values()) > 0
    assert trials(BURST, seed)[BURSTS["late"]].values["index"] == 0


def test_a_factor_of_all_losses_is_nothing_to_adam():
    def of_small_losses(loss_of, *others):
        return strokes.burst(lambda latents: 0.05 * loss_of(latents), *others)

    assert all(not found_at(BURST, of_small_losses, seed) for seed in SEEDS)


@EVERY
def test_tokens_have_one_region_two_or_none(seed):
    its = trials(BIAS, seed)
    for case in its.values():
        tokens, count = case.values["tokens"], case.values["count"]
        used = [token for region in tokens for token in region]
        assert 0 < min(used) <= max(used) < count - 1
        assert len(case.tensors["masks"]) == len(tokens)
        assert case.values["inside"] > 0 >= case.values["outside"]
    shared, hard, wordless = (its[REGIONS[kind]] for kind in ("shared", "hard", "wordless"))
    used = [token for region in shared.values["tokens"] for token in region]
    assert max(used.count(token) for token in used) == 3
    assert [] in wordless.values["tokens"]
    assert set(hard.tensors["masks"].unique().tolist()) == {0, 1}
    assert hard.values["outside"] == 0
    masks = its[""].tensors["masks"]
    assert ((masks > 0.1) & (masks < 0.9)).any()
    assert (masks.sum(0) > 1).any()


@EVERY
def test_regions_overlap_or_leave_nothing_only_where_they_are_said_to(seed):
    sums = {words: case.tensors["masks"].sum(0) for words, case in trials(COMPOSE, seed).items()}
    covered, overlap = sums.pop(PARTS["covered"]), sums.pop(PARTS["overlap"])
    assert (covered == 1).all()
    assert (overlap > 1.1).any()
    for its in sums.values():
        assert its.max() < 1 + 1e-6
        assert its.min() < 0.9
    scales = [case.values["guidance_scale"] for case in trials(COMPOSE, seed).values()]
    assert scales[1:4] == [1, 0, 100]


@EVERY
def test_noise_levels_of_the_estimate_reach_both_ends(seed):
    for words, case in trials(X0, seed).items():
        alpha_bar = case.tensors["alpha_bar"]
        assert (alpha_bar > 0.95).all() or words != KINDS["early"]
        assert (alpha_bar < 0.05).all() or words != KINDS["late"]
