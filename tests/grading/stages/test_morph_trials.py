"""Stage 7: what each kind of trial is for, what its inputs are, and that mistakes are named."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from benchmarks.reply_here import reply_here
from distillery.course.observe import observe
from grading.judge.judge_task import Key, judge
from grading.stages.cases import CASES
from grading.stages.inputs.random_inputs import KINDS, SINGLE
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.morph.cases import BATCHES, HELD, LAYERS, NOISES, PALETTES, PROMPTS, VECTORS
from grading.stages.morph.stage import STAGE
from reference import morph

SEEDS = range(31, 35)
EVERY = pytest.mark.parametrize("seed", [0, *SEEDS])
SLERP, PATH, NOISE = "morph.slerp", "morph.prompt_path", "morph.noise_path"
LAYER, LOSS = "morph.lora_forward", "morph.finetune_loss"
PALETTE, HOLD = "morph.shared_palette", "morph.hold_colours"
ALL = tuple(f"morph.{its}" for its in STAGE.points)
KNOWN = {answer.name: answer.function for answer in MISCONCEPTIONS}


@cache
def key(seed: int) -> Key:
    return Key(seed)


def trials(task: str, seed: int) -> dict:
    return {words: draw(seed) for words, draw in CASES[task].items()}


def right(task: str):
    return getattr(morph, task.removeprefix("morph."))


# What each kind of trial is for: wrong answers that no other one is sure to find.


def with_another(task: str, place: int, its):
    """The argument at this place is replaced by what `its` makes of it."""

    def wrong(*arguments):
        given = list(arguments)
        given[place] = its(given[place])
        return right(task)(*given)

    return wrong


def only_if(task: str, is_known):
    """It stops with an error where it meets what its author did not think of."""

    def wrong(*arguments):
        assert is_known(*arguments)
        return right(task)(*arguments)

    return wrong


def slerp_of_three_channels(v0, v1, a):
    return morph.slerp(v0[:, :3], v1[:, :3], a)


def slerp_of_a_half_length(v0, v1, a):
    """Only one of the lengths is computed in float32."""
    long = v0.flatten(1).norm(dim=1)
    finite = long.isfinite().view(-1, *[1] * (v0.dim() - 1))
    return torch.where(finite, morph.slerp(v0, v1, a), v0)


def slerp_in_float16(v0, v1, a):
    turned = morph.slerp(v0, v1, a)
    return turned if v0.dtype == torch.float32 else turned.half()


def slerp_up_to_another_angle(v0, v1, a, most=0.99995):
    """|cos theta| may be 0.99995, or `most`."""
    first, second = v0.double().flatten(1), v1.double().flatten(1)
    lengths = first.norm(dim=1) * second.norm(dim=1)
    cosine = (first * second).sum(1) / lengths.clamp(min=1e-12)
    theta = cosine.clamp(-most, most).acos()[:, None]
    a = a[:, None]
    turned = (((1 - a) * theta).sin() * first + (a * theta).sin() * second) / theta.sin()
    is_line = ((cosine.abs() > most) | (lengths == 0))[:, None]
    line = (1 - a) * first + a * second
    return torch.where(is_line, line, turned).view_as(v0).to(v0.dtype)


def noise_of_different_seeds(seeds, positions, shape):
    return morph.noise_path(list(dict.fromkeys(seeds)), positions, shape)


def noise_of_three_channels(seeds, positions, shape):
    return morph.noise_path(seeds, positions, (3, *shape[1:]))


def lora_as_wide_as_before(x, weight, bias, lora_A, lora_B, alpha):
    y = torch.empty_like(x)
    y[:] = morph.lora_forward(x, weight, bias, lora_A, lora_B, alpha)
    return y


def lora_of_rows(x, weight, bias, lora_A, lora_B, alpha):
    rows = x.flatten(0, -2)
    return morph.lora_forward(rows, weight, bias, lora_A, lora_B, alpha).unflatten(0, x.shape[:-1])


def lora_with_a_bias(x, weight, bias, lora_A, lora_B, alpha):
    return morph.lora_forward(x, weight, None, lora_A, lora_B, alpha) + bias


def lora_that_waits(x, weight, bias, lora_A, lora_B, alpha):
    """An adapter of zeros is left out, and so never learns."""
    if not lora_B.any():
        return torch.nn.functional.linear(x, weight, bias)
    return morph.lora_forward(x, weight, bias, lora_A, lora_B, alpha)


def loss_of_three_channels(denoiser, x0, text, t, eps, *others):
    return morph.finetune_loss(denoiser, x0[:, :3], text, t, eps[:, :3], *others)


def loss_of_v(denoiser, x0, text, t, eps, preserved, prior_weight):
    denoiser.predicts_v, was = True, denoiser.predicts_v
    target = denoiser.target(x0, eps, t)
    denoiser.predicts_v = was
    level = denoiser.alpha_bar(t)
    gap = denoiser.predict(level.sqrt() * x0 + (1 - level).sqrt() * eps, t, text) - target
    new = len(x0) - preserved
    loss = gap[:new].square().mean()
    return loss + prior_weight * gap[new:].square().mean() if preserved else loss


def palette_without_an_axis(frames, palette):
    return morph.shared_palette(frames, palette).squeeze(0)


def hold_merged_colours(frames, palette, margin):
    """Colours that are nearer to each other than the margin are one, if that is small."""
    near = (palette[:, None] - palette).norm(dim=2) <= min(margin, 0.2)
    return near.int().argmax(1)[morph.hold_colours(frames, palette, margin)]


FOUND_BY = {
    (SLERP, KINDS[SINGLE]): slerp_of_three_channels,
    (SLERP, VECTORS["flat"]): only_if(SLERP, lambda v0, v1, a: v0.dim() > 2),
    (SLERP, VECTORS["half"]): slerp_of_a_half_length,
    (SLERP, VECTORS["brain"]): slerp_in_float16,
    (SLERP, VECTORS["parallel"]): KNOWN["slerp_without_the_zeros"],
    (SLERP, VECTORS["opposite"]): slerp_up_to_another_angle,
    (SLERP, VECTORS["ends"]): with_another(SLERP, 2, lambda a: a.clamp(0.05, 0.95)),
    (PATH, PROMPTS["two"]): only_if(PATH, lambda tokens, positions: len(tokens) > 2),
    (PATH, PROMPTS["alone"]): only_if(PATH, lambda tokens, positions: tokens.shape[1] > 1),
    (PATH, PROMPTS["joints"]): with_another(PATH, 1, lambda positions: positions.sort().values),
    (PATH, PROMPTS["half"]): with_another(PATH, 0, lambda tokens: tokens.float()),
    (NOISE, NOISES["single"]): noise_of_three_channels,
    (NOISE, NOISES["two"]): only_if(NOISE, lambda seeds, positions, shape: len(seeds) > 2),
    (NOISE, NOISES["joints"]): with_another(NOISE, 1, lambda positions: positions.sort().values),
    (NOISE, NOISES["same"]): noise_of_different_seeds,
    (LAYER, LAYERS["other"]): lora_as_wide_as_before,
    (LAYER, LAYERS["vector"]): lora_of_rows,
    (LAYER, LAYERS["deep"]): only_if(LAYER, lambda *its: its[0].dim() < 4 and len(its[3]) > 1),
    (LAYER, LAYERS["bare"]): lora_with_a_bias,
    (LAYER, LAYERS["fresh"]): lora_that_waits,
    (LOSS, BATCHES["single"]): loss_of_three_channels,
    (LOSS, BATCHES["noise"]): loss_of_v,
    (LOSS, BATCHES["most"]): with_another(LOSS, 5, lambda preserved: min(preserved, 2)),
    (LOSS, BATCHES["unweighted"]): with_another(LOSS, 6, lambda weight: weight or 1.0),
    (LOSS, BATCHES["early"]): with_another(LOSS, 3, lambda t: t.clamp(min=1)),
    (LOSS, BATCHES["late"]): with_another(LOSS, 3, lambda t: t.clamp(max=998)),
    (PALETTE, PALETTES["frame"]): only_if(PALETTE, lambda frames, palette: len(frames) > 1),
    (PALETTE, PALETTES["unused"]): KNOWN["palette_with_unused_black"],
    (PALETTE, PALETTES["ties"]): KNOWN["palette_of_the_last_of_equals"],
    (PALETTE, PALETTES["colour"]): palette_without_an_axis,
    (PALETTE, PALETTES["outside"]): KNOWN["palette_limited"],
    (HOLD, HELD["frame"]): only_if(HOLD, lambda frames, palette, margin: len(frames) > 1),
    (HOLD, HELD["nearest"]): with_another(HOLD, 2, lambda margin: margin or 0.05),
    (HOLD, HELD["never"]): with_another(HOLD, 2, lambda margin: min(margin, 0.3)),
    (HOLD, HELD["shades"]): hold_merged_colours,
    (HOLD, HELD["equal"]): KNOWN["hold_until_the_margin"],
    (HOLD, HELD["ties"]): KNOWN["hold_the_last_of_equals"],
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


def test_every_kind_of_trial_but_the_ordinary_one_is_there_for_something():
    kinds = {(task, words) for task in ALL for words in CASES[task] if words}
    assert FOUND_BY.keys() == kinds


@pytest.mark.parametrize(("task", "words"), FOUND_BY)
def test_no_other_kind_is_sure_to_find_what_this_one_finds(task, words):
    found = [found_at(task, FOUND_BY[task, words], seed) for seed in SEEDS]
    assert set.intersection(*found) == {words}


@pytest.mark.parametrize(("task", "words"), FOUND_BY)
def test_the_verdict_says_where_an_answer_is_wrong_and_the_mistake_if_it_is_known(task, words):
    function, asked = FOUND_BY[task, words], key(SEEDS[0]).task(task)
    verdict, _ = judge(asked, reply_here(function, asked), 3.0)
    assert verdict.points < 3
    said = " ".join(verdict.lines)
    names = [name for name, its in KNOWN.items() if its is function]
    assert [verdict.misconception] == (names or [None])
    assert names or words in said


def with_pictures_exchanged(task: str, place: int):
    """The argument at this place has its first axis two places further; one and two stay."""
    return with_another(task, place, lambda its: its.roll(2, 0))


ONLY_HIDDEN = {
    SLERP: with_pictures_exchanged(SLERP, 2),
    LAYER: with_pictures_exchanged(LAYER, 0),
}


@pytest.mark.parametrize("task", ONLY_HIDDEN)
def test_ordinary_hidden_inputs_find_what_visible_ones_let_through(task):
    assert "" not in found_at(task, ONLY_HIDDEN[task], 0)
    assert all("" in found_at(task, ONLY_HIDDEN[task], seed) for seed in SEEDS)


def kept_by_shapes(task: str):
    """A result is computed once for all tensors of these shapes."""
    known: dict = {}

    def wrong(*arguments):
        shapes = tuple(its.shape for its in arguments if isinstance(its, torch.Tensor))
        if shapes not in known:
            known[shapes] = right(task)(*arguments)
        return known[shapes]

    return wrong


@pytest.mark.parametrize("task", [task for task in ALL if task != LOSS])
def test_a_result_that_is_kept_for_inputs_of_the_same_shapes_is_seen(task):
    assert all(found_at(task, kept_by_shapes(task), seed) for seed in SEEDS)


def loss_with_a_second_call(denoiser, x0, text, t, *others):
    denoiser.predict(x0, t, text)
    return morph.finetune_loss(denoiser, x0, text, t, *others)


def noise_that_also_seeds(seeds, positions, shape):
    torch.manual_seed(seeds[0])
    return morph.noise_path(seeds, positions, shape)


@pytest.mark.parametrize(
    ("task", "function", "words"),
    [
        (LOSS, loss_with_a_second_call, "2 calls to denoiser"),
        (NOISE, noise_that_also_seeds, "the seed of torch's shared generator is set"),
    ],
)
def test_right_numbers_with_a_needless_effect_cost_half_of_the_points(task, function, words):
    asked = key(SEEDS[0]).task(task)
    verdict, _ = judge(asked, reply_here(function, asked), 3.0)
    assert verdict.points == 1.5
    assert words in " ".join(verdict.lines)


@pytest.mark.parametrize(("most", "points"), [(0.995, 0), (0.9995, 3), (0.99995, 0)])
def test_a_slerp_takes_the_line_neither_too_early_nor_too_late(most, points):
    def turning(v0, v1, a):
        return slerp_up_to_another_angle(v0, v1, a, most)

    asked = key(SEEDS[0]).task(SLERP)
    assert judge(asked, reply_here(turning, asked), 3.0)[0].points == points


def test_an_adapter_with_half_of_its_graph_is_told():
    def half(x, weight, bias, lora_A, lora_B, alpha):
        return morph.lora_forward(x, weight, bias, lora_A.detach(), lora_B, alpha)

    asked = key(SEEDS[0]).task(LAYER)
    verdict, _ = judge(asked, reply_here(half, asked), 3.0)
    assert verdict.points == 0
    assert "a gradient for x, lora_B" in " ".join(verdict.lines)


# What the inputs are.


def cosines(v0, v1):
    first, second = v0.double().flatten(1), v1.double().flatten(1)
    return (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))


@EVERY
def test_vectors_are_at_angles_that_no_rounding_takes_to_the_other_side(seed):
    for words, case in trials(SLERP, seed).items():
        v0, v1, a = (case.tensors[name] for name in ("v0", "v1", "a"))
        its = cosines(v0, v1)
        assert ((its.abs() - 0.9995).abs()[its.isfinite()] > 2e-4).all()
        assert bool(its.isnan().any()) == (words == VECTORS["parallel"])
        assert bool(((a == 0) | (a == 1)).any()) == (words == VECTORS["ends"])
        square = v0.flatten(1).float().square().sum(1)
        assert bool((square > 65504).all()) == (words == VECTORS["half"])


@EVERY
def test_paths_reach_both_ends_and_go_through_every_part(seed):
    for task, name in ((PATH, "tokens"), (NOISE, "seeds")):
        for words, case in trials(task, seed).items():
            its = case.values[name] if name == "seeds" else case.tensors[name]
            positions, last = case.tensors["positions"], len(its) - 1
            assert positions.min() >= 0
            assert positions.max() <= last
            if len(positions) > 1:
                assert {0.0, float(last)} <= set(positions.tolist())
            in_order = bool((positions.diff() >= 0).all())
            assert in_order == (words != PROMPTS["joints"])


@EVERY
def test_texts_begin_with_the_same_token(seed):
    for words, case in trials(PATH, seed).items():
        first = case.tensors["tokens"][:, 0]
        assert bool((first == first[0]).all()) == (words != PROMPTS["alone"])


@EVERY
def test_the_factor_of_an_adapter_is_neither_alpha_nor_one(seed):
    for words, case in trials(LAYER, seed).items():
        alpha, rank = case.values["alpha"], len(case.tensors["lora_A"])
        assert abs(alpha - rank) > 0.2
        assert abs(alpha - 1) > 0.15
        square = case.tensors["weight"].shape[0] == case.tensors["weight"].shape[1]
        assert square == (words != LAYERS["other"])


@EVERY
def test_batches_have_preserved_pictures_at_their_end_or_none(seed):
    for words, case in trials(LOSS, seed).items():
        batch, preserved = len(case.tensors["x0"]), case.values["preserved"]
        assert 0 <= preserved < batch
        assert (preserved == 0) == (words == BATCHES["single"])
        assert 0 <= case.tensors["t"].min() <= case.tensors["t"].max() <= 999


@EVERY
def test_no_pixel_is_equally_near_to_two_colours_but_where_it_should_be(seed):
    for task in (PALETTE, HOLD):
        for words, case in trials(task, seed).items():
            frames, palette = case.tensors["frames"].double(), case.tensors["palette"].double()
            two = (frames[..., None, :] - palette).norm(dim=-1).sort(dim=-1).values[..., :2]
            tied = len(palette) > 1 and bool((two.diff(dim=-1) < 3e-7).any())
            assert tied == (words in (PALETTES["ties"], HELD["equal"])) or words == HELD["equal"]


@EVERY
def test_held_colours_change_somewhere_and_stay_somewhere(seed):
    for words, case in trials(HOLD, seed).items():
        held = morph.hold_colours(*case.fresh().values())
        nearest = morph.hold_colours(case.tensors["frames"], case.tensors["palette"], 0.0)
        changes = bool((held[1:] != held[:-1]).any())
        assert changes == (words not in (HELD["frame"], HELD["never"]))
        stays = bool((held != nearest).any())
        assert stays == (words not in (HELD["frame"], HELD["nearest"])) or words == HELD["ties"]
