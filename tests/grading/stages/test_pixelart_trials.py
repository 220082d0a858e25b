"""The trials of stage 4 tell apart what its ordinary inputs do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from benchmarks.reply_here import reply_here
from distillery.course.check import check
from distillery.course.kinds.choices import SEED_OF_A_NOUGHT
from distillery.course.observe import observe
from distillery.models.prior import Condition, cat
from grading.judge.judge_task import Key, judge
from grading.stages.cases import CASES
from reference import pixelart

SEEDS = range(21, 24)


def gumbel_noise(shape, generator):
    return -torch.empty(shape).exponential_(generator=generator).log()


def chosen_by(noise):
    """A sampler of colours that is right but for the noise that `noise` makes."""

    def gumbel_softmax(logits, tau, generator):
        return ((logits + noise(logits, generator)) / tau).softmax(dim=1)

    return gumbel_softmax


def of_one_picture(logits, tau, generator):
    noisy = logits[:1] + gumbel_noise(logits.shape, generator)
    return (noisy / tau).softmax(dim=1)


def scrambled(logits, tau, generator):
    moved = logits.transpose(2, 3).reshape(logits.shape)
    return ((moved + gumbel_noise(logits.shape, generator)) / tau).softmax(dim=1)


def nan_at_nought(logits, tau, generator):
    u = 1 - torch.rand(logits.shape, generator=generator)
    return ((logits - (-u.log()).log()) / tau).softmax(dim=1)


def of_normal_noise(logits, generator):
    return 1.28 * torch.randn(logits.shape, generator=generator)


def repeated_noise(logits, generator):
    """Every second row has the noise of the row above it."""
    half = gumbel_noise(logits[:, :, ::2].shape, generator)
    return half.repeat_interleave(2, dim=2)[:, :, : logits.shape[2]]


def with_cut_tails(logits, generator):
    u = torch.rand(logits.shape, generator=generator).clamp(0.01, 0.99)
    return -(-u.log()).log()


SAMPLERS = {
    "the logits of one picture": (of_one_picture, "win", "in picture 1 of the batch only"),
    "scrambled logits": (scrambled, "win", ""),
    "a nought": (nan_at_nought, "NaN or infinity where the generator draws a 0", ""),
    "normal noise": (chosen_by(of_normal_noise), "at tau 0.5", ""),
    "repeated noise": (chosen_by(repeated_noise), "noise that repeats itself", ""),
    "cut tails": (chosen_by(with_cut_tails), "", ""),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_of_colours_that_is_wrong_for_some_is_seen(name, capsys):
    function, *words = SAMPLERS[name]
    assert not check("pixelart.gumbel_softmax", function).passed
    said = capsys.readouterr().out
    assert all(its in said for its in words)


def test_the_generator_that_draws_a_nought_does():
    generator = torch.Generator().manual_seed(SEED_OF_A_NOUGHT)
    assert (torch.rand(200, generator=generator) == 0).any()


def test_a_gradient_that_is_not_that_of_the_noisy_softmax_is_seen(capsys):
    def detached(logits, tau, generator):
        noise = gumbel_noise(logits.shape, generator)
        noisy = ((logits.detach() + noise) / tau).softmax(dim=1)
        return noisy + 0 * logits

    assert not check("pixelart.gumbel_softmax", detached).passed
    assert "another gradient for the logits" in capsys.readouterr().out


def bound_at(step, steps, t_max, t_bound, bound_reached):
    falls = bound_reached * steps
    way = step / falls if step < falls else 1.0
    return round(t_max + way * (t_bound - t_max))


def timesteps(draw, *, later: int = 0, longer: int = 0):
    """Bounded timesteps by `draw(low, high, batch, generator)`, perhaps of another step or run."""

    def bounded_timesteps(batch, step, steps, *, t_min, t_max, t_bound, bound_reached, generator):
        bound = bound_at(step + later, steps + longer, t_max, t_bound, bound_reached)
        return draw(t_min, bound, batch, generator)

    return bounded_timesteps


def fair(low, high, batch, generator):
    return torch.randint(low, high + 1, (batch,), generator=generator)


def in_strata(low, high, batch, generator):
    u = (torch.arange(batch) + torch.rand(batch, generator=generator)) / batch
    order = torch.randperm(batch, generator=generator)
    return (low + u * (high + 1 - low)).long().clamp(max=high)[order]


def in_pairs(low, high, batch, generator):
    half = fair(low, high, (batch + 1) // 2, generator)
    return torch.stack([half, low + high - half], dim=1).flatten()[:batch]


def sometimes_clamped(low, high, batch, generator):
    u = torch.rand(batch, generator=generator).clamp(0.03, 0.97)
    return (low + u * (high + 1 - low)).long()


WRONG_TIMES = {
    "the next step": timesteps(fair, later=1),
    "a shorter run": timesteps(fair, longer=-1),
    "a longer run": timesteps(fair, longer=1),
    "shuffled strata": timesteps(in_strata),
    "mirrored pairs": timesteps(in_pairs),
    "clamped draws": timesteps(sometimes_clamped),
}


@pytest.mark.parametrize("name", WRONG_TIMES)
def test_a_sampler_of_timesteps_that_is_slightly_wrong_fails_on_every_seed(name):
    task = "pixelart.bounded_timesteps"
    assert not check(task, WRONG_TIMES[name]).passed
    for seed in SEEDS:
        asked = Key(seed).task(task)
        assert judge(asked, reply_here(WRONG_TIMES[name], asked), 1.0)[0].points == 0


def test_a_fair_sampler_of_timesteps_passes():
    assert check("pixelart.bounded_timesteps", timesteps(fair)).passed


def test_no_bound_that_is_looked_at_lies_near_a_half():
    for draw in CASES["pixelart.bounded_timesteps"].values():
        for seed in range(40):
            values = draw(seed).values
            for step in values.get("between", ()):
                end = values["bound_reached"] * values["steps"]
                fall = min(1.0, step / end) * (values["t_bound"] - values["t_max"])
                assert abs(fall % 1 - 0.5) > 0.05


@torch.no_grad()
def joined(prior, x0, t, eps, text, uncond, scale, size, controls, *, told=lambda both: both):
    """Both branches as one batch, in one call of the network."""
    both = told(cat([uncond.with_size(size), text.with_size(size)]))
    alpha_bar = prior.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    twice = [replace(c, image=c.image.repeat(2, 1, 1, 1)) for c in controls]
    (noise,) = prior.predict_noise(xt.repeat(2, 1, 1, 1), t.repeat(2), both, controls=twice)
    first, second = noise.chunk(2)
    return (1 - alpha_bar) * (first + scale * (second - first) - eps)


def test_branches_that_are_joined_are_right():
    assert check("pixelart.sdxl_grad", joined).passed


def without_pooled(both: Condition) -> Condition:
    return replace(both, pooled=None)


def with_zeros_for_the_first(both: Condition) -> Condition:
    pooled = both.pooled.clone()
    pooled[: len(both) // 2] = 0
    return replace(both, pooled=pooled)


def in_whole_numbers(both: Condition) -> Condition:
    return replace(both, time_ids=both.time_ids.long())


JOINED = {
    "no pooled vectors": (without_pooled, "40, 56, 0, 0, 40, 56 and no pooled vector"),
    "zeros": (with_zeros_for_the_first, "and a pooled vector of zeros for uncond"),
    "whole numbers": (in_whole_numbers, "40, 56, 0, 0, 40, 56 as int64"),
}


@pytest.mark.parametrize("name", JOINED)
def test_what_joined_branches_are_told_is_said_for_each(name, capsys):
    told, words = JOINED[name]

    def answer(*arguments):
        return joined(*arguments, told=told)

    assert not check("pixelart.sdxl_grad", answer).passed
    assert words in capsys.readouterr().out


def test_a_size_that_is_not_eight_times_the_latents_is_told_as_it_is_given():
    def of_the_latents(prior, x0, t, eps, text, uncond, scale, size, controls):
        size = tuple(8 * side for side in x0.shape[-2:])
        return pixelart.sdxl_grad(prior, x0, t, eps, text, uncond, scale, size, controls)

    assert not check("pixelart.sdxl_grad", of_the_latents).passed


def test_regions_of_the_prompt_are_missed_and_said(capsys):
    def rebuilt(prior, x0, t, eps, text, *others):
        text = Condition(text.tokens, text.pooled)
        return pixelart.sdxl_grad(prior, x0, t, eps, text, *others)

    assert not check("pixelart.sdxl_grad", rebuilt).passed
    assert "and no regions for text" in capsys.readouterr().out


def test_conditions_that_are_changed_are_seen(capsys):
    def changing(prior, x0, t, eps, text, *others):
        grad = pixelart.sdxl_grad(prior, x0, t, eps, text, *others)
        text.tokens.zero_()
        return grad

    assert not check("pixelart.sdxl_grad", changing).passed
    assert "text changed in place" in capsys.readouterr().out


def test_a_gradient_of_paint_counts_but_not_what_all_weights_share(capsys):
    def centred(weights, palette):
        colours = (2 * palette - 1).expand(len(weights), -1, -1)
        return torch.einsum("bkhw,bkc->bchw", weights, colours)

    def without(weights, palette):
        return pixelart.paint(weights.detach(), palette) + 0 * weights.sum()

    assert check("pixelart.paint", centred).passed
    assert not check("pixelart.paint", without).passed
    assert "The gradient is zero everywhere." in capsys.readouterr().out


def test_weights_that_are_only_about_0_and_1_earn_half():
    def rounded(logits):
        soft = logits.softmax(dim=1)
        chosen = F.one_hot(logits.argmax(dim=1), logits.shape[1]).movedim(-1, 1)
        return (chosen + soft) - soft.detach()

    task = Key(21).task("pixelart.straight_through")
    verdict = judge(task, reply_here(rounded, task), 2.0)[0]
    assert verdict.points == 1.0
    assert "weights that are 0 and 1 only up to rounding, or not at all" in verdict.lines[2]


def test_a_gradient_that_is_not_a_number_is_no_gradient_of_zero(capsys):
    def by_a_root(image):
        height, width = image.shape[-2:]
        f = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
        spectrum = torch.fft.fft2(image, norm="ortho")
        length = (spectrum.real**2 + spectrum.imag**2).sqrt()
        return length[..., f > 0.1768].mean(dim=(1, 2)).sum()

    assert not check("pixelart.fft_loss", by_a_root).passed
    assert "NaN or infinity in the gradient" in capsys.readouterr().out


SPELT = {
    "hypot": lambda y, x: torch.hypot(y, x) > 0.1768,
    "squares": lambda y, x: y**2 + x**2 > 0.1768**2,
    "float64": lambda y, x: (y.double() ** 2 + x.double() ** 2).sqrt() > 0.1768,
    "norm": lambda y, x: torch.stack(torch.broadcast_tensors(y, x)).norm(dim=0) > 0.1768,
}


@pytest.mark.parametrize("spelling", SPELT)
def test_no_rounding_decides_which_frequencies_count(spelling):
    for height in range(2, 80):
        for width in (8, 9, 16, 24, 32, 40, 64):
            y, x = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
            right = (y.square() + x.square()).sqrt() > 0.1768
            assert torch.equal(SPELT[spelling](y, x), right)


@pytest.mark.parametrize("colours", [3, 5, 6, 7, 11, 16])
def test_equal_distances_give_logits_of_0_whatever_the_rounding(colours):
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    palette = torch.tensor([0.1, 0.7, 0.3]).expand(colours, 3)
    assert (pixelart.logits_from_image(image, palette) == 0).all()


def test_grey_is_as_far_from_pure_red_green_and_blue():
    grey = torch.full((1, 3, 1, 1), 2 * 0.1 - 1)
    assert (pixelart.logits_from_image(grey, torch.eye(3)) == 0).all()


def test_of_equally_near_centres_the_first_gets_the_pixel_however_many_there_are():
    pixels = torch.rand(400, 3, generator=torch.Generator().manual_seed(2))
    centres = torch.rand(5, 3, generator=torch.Generator().manual_seed(3))
    centres = torch.cat([centres, centres[:2]])
    moved = pixelart.kmeans_step(pixels, centres)
    assert torch.equal(moved[5:], centres[5:])


def by_two(function):
    """The results of a function, twice as large."""
    return lambda *arguments, **named: 2 * function(*arguments, **named)


@pytest.mark.parametrize("task", [name for name in CASES if name.startswith("pixelart.")])
def test_every_trial_can_be_drawn(task):
    right = getattr(pixelart, task.removeprefix("pixelart."))
    for draw in CASES[task].values():
        case = draw(21)
        wanted, came = observe(right, case), observe(by_two(right), case)
        assert case.draw(Figure, wanted, came).axes
