"""What is said of a wrong answer that nobody has seen: what is true of it, and specific."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from distillery.course.call_case import CallCase
from distillery.course.kinds.value import ValueCase
from distillery.course.labels import ALSO, CAUSE, TWO
from distillery.course.observe import Observation, observe
from distillery.course.probes import Together, facts_about, together
from distillery.course.probes.factors import scaled
from distillery.course.probes.views import LONGEST, PICTURES, View
from distillery.course.sentences import LONGEST_LINE, say
from distillery.course.tasks import Task, Trial, compare, load_task
from grading.stages.cases import CASES
from grading.stages.known_answers import Answer
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.variants import VARIANTS
from tests.distillery.course.probe_truths import is_true

Function = Callable[..., Any]
NOISE, GRAD, LOSS = "tour.add_noise", "sds.sds_grad", "sds.sds_loss"
MOST_LINES = 6
WITHOUT_PROBES = "pixelart.gumbel_softmax"  # its facts say all that differs


@cache
def task_of(name: str) -> Task:
    return load_task(name)


def trial_of(task: str, *, single: bool = False) -> Trial:
    trials = task_of(task).trials
    return (
        next(one for one in trials if "one picture" in one.circumstances) if single else trials[0]
    )


def right(task: str) -> Function:
    module, function = task.split(".")
    return getattr(importlib.import_module(f"reference.{module}"), function)


def facts(task: str, wrong: Function, *, single: bool = False) -> list[str]:
    trial = trial_of(task, single=single)
    came = observe(wrong, trial.case)
    return facts_about(trial.case, trial.nearest(came), came)


def changed(task: str, change: Callable[[Tensor], Any]) -> Function:
    """The right answer, and then this."""
    return lambda *args: change(right(task)(*args))


def noised(signal: Callable[[Tensor], Tensor], noise: Callable[[Tensor], Tensor]) -> Function:
    return lambda x0, eps, alpha_bar: signal(alpha_bar) * x0 + noise(alpha_bar) * eps


# The visible pictures of tour.add_noise are (2, 3, 10, 14), their alpha_bar 0.85 and 0.35.
SAID: list[tuple[Function, str]] = [
    (changed(NOISE, lambda x: 0 * x), "Yours is zero everywhere."),
    (changed(NOISE, lambda x: 0 * x + 0.25), "Yours is 0.25 everywhere."),
    (changed(NOISE, lambda x: -x), "Yours is what is wanted with the other sign."),
    (changed(NOISE, lambda x: 0.37 * x), "Yours is 0.37 times what is wanted."),
    (
        changed(NOISE, lambda x: x / x.numel()),
        "Yours is 0.00119 times what is wanted, which is 1 / the number of all numbers.",
    ),
    (
        changed(NOISE, lambda x: x / 0.18215),
        "Yours is 5.49 times what is wanted, which is 1 / 0.18215.",
    ),
    (
        lambda x0, eps, alpha_bar: right(NOISE)(x0, eps, alpha_bar) / alpha_bar,
        "Yours is right up to a factor for each picture, and the factor is 1 / alpha_bar.",
    ),
    (
        changed(NOISE, lambda x: x * torch.tensor([1.0, 0.9]).view(2, 1, 1, 1)),
        "Yours is right up to a factor for each picture: 1 and 0.9.",
    ),
    (
        changed(NOISE, lambda x: x * torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)),
        "Yours is right up to a factor for each channel: 1, 2 and 3.",
    ),
    (changed(NOISE, lambda x: x + 0.5), "Yours is what is wanted plus a number: 0.5."),
    (
        changed(NOISE, lambda x: 0.5 * x + 0.5),
        "Yours is 0.5 times what is wanted, plus 0.5: its range is another.",
    ),
    (
        changed(NOISE, torch.square),
        "Yours is the square of what is wanted, number by number.",
    ),
    (changed(NOISE, lambda x: x.clamp(-1, 1)), "Yours is right, but cut off below -1 and above 1."),
    (changed(NOISE, lambda x: x.clamp(min=-1)), "Yours is right, but cut off below -1."),
    (
        changed(NOISE, lambda x: x.flip(0)),
        "Yours has the right pictures, but in another order: 2 and 1.",
    ),
    (changed(NOISE, lambda x: x.flip(3)), "Yours has the right columns, but in reverse order."),
    (
        changed(NOISE, lambda x: x[:, [2, 0, 1]]),
        "Yours has the right channels, but in another order: 3, 1 and 2.",
    ),
    (
        changed(NOISE, lambda x: x[:1].expand_as(x)),
        "Yours has picture 1 of what is wanted for every picture.",
    ),
    (lambda x0, eps, alpha_bar: eps, "Yours is eps itself."),
    (
        lambda x0, eps, alpha_bar: alpha_bar.sqrt() * x0,
        "Yours is x0 and nothing else, times sqrt(alpha_bar).",
    ),
    (
        noised(torch.sqrt, lambda a: 1 - a),
        "Yours is a sum of x0 and eps: x0 has the right weight; eps has the weight 1 - alpha_bar.",
    ),
    (
        noised(lambda a: (1 - a).sqrt(), torch.sqrt),
        "Yours is a sum of x0 and eps: x0 has the weight of eps; eps has the weight of x0.",
    ),
    (
        changed(NOISE, lambda x: torch.cat([x[:1], x[1:] ** 3])),
        "Yours is right only for picture 1 of 2.",
    ),
    (
        changed(NOISE, lambda x: torch.cat([x[:, :2], x[:, 2:] ** 3], dim=1)),
        "Yours is wrong only for channel 3 of 3.",
    ),
    (changed(NOISE, lambda x: x[0]), "It is only index 0 of what is wanted along axis 0."),
    (changed(NOISE, lambda x: x.mean(dim=0)), "It is the mean of what is wanted along axis 0."),
    (
        changed(NOISE, lambda x: x.movedim(1, -1)),
        "It holds the right numbers with the axes in another order: 0, 2, 3 and 1.",
    ),
    (
        changed(NOISE, lambda x: x.flatten(2)),
        "It holds the right numbers in the right order; only the shape is another.",
    ),
    (changed(NOISE, torch.Tensor.double), "The numbers are right."),
]


@pytest.mark.parametrize(("wrong", "sentence"), SAID)
def test_the_first_fact_is_this(wrong, sentence):
    assert facts(NOISE, wrong)[0] == sentence


# With one picture (1, 4, h, w) nothing is said for each picture.
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            lambda x0, eps, alpha_bar: right(NOISE)(x0, eps, alpha_bar) / alpha_bar.sqrt(),
            "which is 1 / sqrt(alpha_bar).",
        ),
        (changed(NOISE, lambda x: 0.37 * x), "Yours is 0.37 times what is wanted."),
        (
            changed(NOISE, lambda x: x.squeeze()),
            "It holds the right numbers; only axes of length 1 are too many or missing.",
        ),
        (
            noised(torch.sqrt, lambda a: 1 - a),
            "Yours is a sum of x0 and eps: x0 has the right weight; eps has the weight 1 - alpha",
        ),
    ],
)
def test_of_a_single_picture_the_same_is_said_without_each(wrong, sentence):
    said = facts(NOISE, wrong, single=True)
    assert sentence in said[0]
    assert not any("each" in one for one in said)


def grad_of(
    *,
    xt: Function = lambda x0, eps, level: level.sqrt() * x0 + (1 - level).sqrt() * eps,
    times: Function = lambda t: t,
    weight: Function = lambda level: 1 - level,
    text: Function = lambda text, uncond: (uncond, text),
    guided: Function = lambda uncond, text, s: uncond + s * (text - uncond),
) -> Function:
    """sds_grad with some of its parts replaced."""

    def grad(prior, x0, t, eps, prompt, empty, s):
        with torch.no_grad():
            level = prior.alpha_bar(t)
            two = prior.predict_noise(xt(x0, eps, level), times(t), *text(prompt, empty))
            return weight(level) * (guided(*two, s) - eps)

    return grad


@pytest.mark.parametrize(
    ("parts", "sentences"),
    [
        ({"xt": lambda x0, eps, a: x0}, ["The xt that the prior sees is x0 itself."]),
        (
            {"xt": lambda x0, eps, a: a * x0 + (1 - a) * eps},
            [
                "The xt that the prior sees is a sum of x0 and eps: x0 has the weight alpha_bar; "
                "eps has the weight 1 - alpha_bar."
            ],
        ),
        (
            {"times": lambda t: t - 1},
            ["The prior is asked at t = 349 and 699; the pictures are at 350 and 700."],
        ),
        (
            {"times": lambda t: t - 1, "xt": lambda x0, eps, a: x0 + eps},
            [
                "The xt that the prior sees is a sum of x0 and eps: x0 and eps have the weight 1.",
                "The prior is asked at t = 349 and 699; the pictures are at 350 and 700.",
                "What is made of the answers is right.",
            ],
        ),
        (
            {"guided": lambda uncond, text, s: text + s * (text - uncond)},
            [
                "Yours is a sum of eps_uncond, eps_text and eps: eps has the right weight; "
                "eps_uncond has minus the weight of eps_text.",
                "Yours: eps_text has the weight (guidance_scale + 1) (1 - alpha_bar).",
            ],
        ),
        (
            {"guided": lambda uncond, text, s: text, "weight": torch.sqrt},
            [
                "Yours is a sum of eps_uncond, eps_text and eps: eps_uncond is missing; eps_text "
                "has the weight sqrt(alpha_bar); eps has the weight -sqrt(alpha_bar).",
            ],
        ),
        (
            {"weight": lambda level: (1 - level) * torch.tensor([1.0, 0.913]).view(2, 1, 1, 1)},
            [
                "Yours is right up to a factor for each picture: 1 and 0.913. So look at the "
                "weight.",
            ],
        ),
        (
            {"text": lambda text, uncond: (uncond, uncond)},
            [],
        ),
    ],
)
def test_what_a_network_was_asked_and_what_was_made_of_it(parts, sentences):
    said = facts(GRAD, grad_of(**parts))
    assert said[: len(sentences)] == sentences
    assert said


def of_new_task(case: ValueCase, right: Function, wrong: Function) -> list[str]:
    """The facts about a wrong answer to a task that is in no stage."""
    came = observe(wrong, case)
    return facts_about(case, observe(right, case), came)


@pytest.mark.parametrize("t", [torch.tensor([350, 700]), torch.tensor([0.35, 0.7])])
def test_a_task_with_x0_eps_and_t_may_have_no_network(t):
    generator = torch.Generator().manual_seed(3)
    x0, eps = torch.randn(2, 2, 3, 6, 7, generator=generator)
    case = ValueCase(("x0", "eps", "t"), {"x0": x0, "eps": eps, "t": t})

    def moved(x0, eps, t):
        return x0 + t.view(2, 1, 1, 1) / 1000 * (eps - x0)

    assert of_new_task(case, moved, lambda *given: 3 * moved(*given)) == [
        "Yours is 3 times what is wanted."
    ]
    each = torch.tensor([1.0, 0.913]).view(2, 1, 1, 1)
    assert of_new_task(case, moved, lambda *given: each * moved(*given)) == [
        "Yours is right up to a factor for each picture: 1 and 0.913."
    ]
    assert of_new_task(case, moved, lambda *given: moved(*given) + torch.sin(9 * eps))


@pytest.mark.parametrize(
    "names", [("prior", "x0", "t", "eps", "text"), ("x0", "t", "eps", "text", "uncond")]
)
def test_a_task_may_lack_a_prompt_or_have_prompts_without_a_network(names):
    case = trial_of(GRAD).case
    tensors = {name: case.tensors[name] for name in ("x0", "t", "eps")}
    prompts = {name: its for name, its in case.prompts.items() if name in names}
    case = ValueCase(names, tensors, prompts=prompts, mixture=case.mixture)

    def residual(*given):
        named = dict(zip(names, given, strict=True))
        x0, t, eps = (named[name] for name in ("x0", "t", "eps"))
        with torch.no_grad():
            if "prior" not in named:
                return x0 - 0.3 * eps
            return named["prior"].predict_noise(x0 + eps, t, named["text"])[0] - eps

    assert of_new_task(case, residual, lambda *given: 3 * residual(*given)) == [
        "Yours is 3 times what is wanted."
    ]


def test_parts_may_be_single_numbers():
    x0 = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(3))
    case = ValueCase(("x0",), {"x0": x0}, parts=("the loss", "the penalty"))

    def losses(x0):
        return x0.square().mean(), x0.abs().mean()

    def wrong(x0):
        loss, penalty = losses(x0)
        return loss, 3 * penalty

    assert of_new_task(case, losses, wrong) == [
        "the loss is right.",
        "the penalty is 3 times what is wanted.",
    ]
    assert case.where((1,)) == "for the penalty"


def test_what_is_vague_comes_after_what_is_said_of_other_parts():
    x0, eps = torch.randn(2, 2, 3, 6, 7, generator=torch.Generator().manual_seed(3))
    names = ("the first", "the angle (cosine rule)", "the third")
    case = ValueCase(("x0", "eps"), {"x0": x0, "eps": eps}, parts=names)

    def wanted(x0, eps):
        return x0, eps, x0 - eps

    def wrong(x0, eps):
        return torch.sin(30 * x0 * eps) * 9, 3 * eps, (x0 - eps) * 2

    first, second, third = of_new_task(case, wanted, wrong)
    assert first == "the angle (cosine rule) is 3 times what is wanted."
    assert second == "the third is 2 times what is wanted."
    assert third.startswith("the first runs from ")


@pytest.mark.parametrize(
    ("label", "advice"), [("Yours", " So look at the weight."), ("The xt that the prior sees", "")]
)
def test_only_a_result_has_a_weight_to_look_at(label, advice):
    trial = trial_of(GRAD)
    each = torch.tensor([1.1, 0.913]).view(2, 1, 1, 1)
    view = View(label, trial.wanted.value, each * trial.wanted.value, PICTURES, 1e-4)
    (said,) = scaled(trial.case, view)
    assert said == f"{label} is right up to a factor for each picture: 1.1 and 0.913.{advice}"


def test_of_parts_it_is_said_which_are_right():
    task = "pds.posterior_coefficients"

    def variance(alpha_bar, alpha_bar_prev, beta):
        c0, c1, sigma = right(task)(alpha_bar, alpha_bar_prev, beta)
        return c1, c0, sigma**2

    assert facts(task, variance) == [
        "c0 is what c1 should be.",
        "c1 is what c0 should be.",
        "sigma is the square of what is wanted, number by number.",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda part: part.flip(0),
            "All parts are right, but the pictures are in another order: 2 and 1.",
        ),
        (lambda part: 1.5 * part.flip(0).square() + 1, "times what it should be."),
    ],
)
def test_of_a_number_for_each_picture_there_is_something_to_say(change, sentence):
    task = "pds.posterior_coefficients"
    said = facts(task, lambda *args: tuple(map(change, right(task)(*args))))
    assert said[0].endswith(sentence)


def test_a_gradient_and_a_loss_are_told_apart():
    said = facts("vsd.lora_loss", lambda *args: 3 * right("vsd.lora_loss")(*args))
    assert said == [
        "The gradient is 3 times what is wanted.",
        "The loss is 3 times what is wanted.",
    ]
    shifted = facts("vsd.lora_loss", lambda *args: right("vsd.lora_loss")(*args) + 1)
    assert shifted[0] == "The gradient is right."


def test_of_draws_the_ends_and_the_shares_are_said():
    def draws(low: int, high: int) -> Function:
        def drawn(batch, step, steps, *, t_min, t_max, generator):
            return torch.randint(t_min + low, t_max + 1 + high, (batch,), generator=generator)

        return drawn

    task = "sds.sample_timesteps"
    assert facts(task, draws(1, -2)) == [
        "The smallest t is 1 too large at every step.",
        "The largest t is 2 too small at every step.",
    ]

    def rounded(batch, step, steps, *, t_min, t_max, generator):
        drawn = torch.rand(batch, generator=generator)
        return (t_min + (t_max - t_min) * drawn).round().long()

    assert facts(task, rounded) == ["Both ends, 20 and 40, come half as often as the others."]


def test_a_result_of_chance_says_nothing():
    assert facts(NOISE, lambda x0, eps, alpha_bar: torch.randn_like(x0)) == []


@pytest.mark.parametrize("answer", VARIANTS, ids=lambda answer: answer.name)
def test_nothing_is_said_of_a_right_answer(answer):
    for trial in task_of(answer.task).trials:
        came = observe(answer.function, trial.case)
        accepted = trial.matching(came)
        wanted = replace(trial.wanted, value=accepted.value) if accepted else trial.wanted
        assert facts_about(trial.case, wanted, came) == []


def observations(function: Function, task: Task) -> list[Observation]:
    came = []
    for trial in task.trials:
        try:
            came.append(observe(function, trial.case))
        except Exception:
            break
    return came


@cache
def known_observations(answer: Answer) -> list[Observation]:
    return observations(answer.function, task_of(answer.task))


@pytest.mark.parametrize("name", [name for name in CASES if name != WITHOUT_PROBES])
def test_every_sentence_on_every_known_mistake_is_true(name):
    task, said = task_of(name), 0
    for answer in MISCONCEPTIONS:
        came = known_observations(answer) if answer.task == name else []
        for trial, its in zip(task.trials, came, strict=False):
            if trial.passes(its):
                continue
            wanted = trial.nearest(its)
            for sentence in facts_about(trial.case, wanted, its):
                assert is_true(sentence, trial.case, wanted, its), (answer.name, sentence)
                assert len(sentence) <= LONGEST
                said += 1
    assert said


@pytest.mark.parametrize("name", CASES)
def test_of_every_known_mistake_something_would_be_said_if_it_were_unknown(name):
    task = task_of(name)
    for answer in MISCONCEPTIONS:
        if answer.task != name:
            continue
        others = tuple(one for one in task.misconceptions if one.name != answer.name)
        found = compare(replace(task, misconceptions=others), known_observations(answer))
        if found.misconception or found.came is None:
            continue
        lines = say(found)
        assert len(lines) > 3 or found.trial.differing(found.came), answer.name
        assert len(lines) <= MOST_LINES
        # What is wanted, and the sentence of a known mistake, are as long as they are.
        own = [line for line in lines[3:] if not line.strip().startswith((CAUSE, ALSO))]
        assert all(len(line) <= LONGEST_LINE for line in own)


@pytest.mark.parametrize("name", CASES)
def test_wild_numbers_stop_nothing(name):
    """A recording may be forged: whatever is in it, a sentence or nothing is said."""
    trial = trial_of(name)
    known = [one.observations[0] for one in task_of(name).misconceptions]
    honest = observe(right(name), trial.case) if "timesteps" not in name else trial.wanted
    for make in (
        lambda x: torch.full_like(x, 3e38),
        lambda x: torch.full_like(x, 1e-42),
        lambda x: torch.where(x > 0, 3e38, -3e38).float(),
        lambda x: torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) * 1e30,
        lambda x: x[:0],
        lambda x: x.flatten()[:1],
        lambda x: x[None, None, None],
        lambda x: x.flatten().repeat(3),
    ):
        fields = {
            field: make(its)
            for field in ("value", "loss", "samples")
            if (its := getattr(honest, field)) is not None and its.dim()
        }
        asked = {name: make(its) for name, its in honest.asked.items()}
        asked = trial.case.asked(asked) if isinstance(trial.case, CallCase) else {}
        for facts_of in (trial.wanted.facts, trial.wanted.facts | {"shape": [3, 1, 2]}):
            came = replace(honest, facts=facts_of, **fields)
            facts_about(trial.case, trial.nearest(came), came)
            together(trial.case, trial.wanted, known, came)
        facts_about(trial.case, trial.wanted, replace(honest, asked=asked, **fields))


PAIRS: list[tuple[str, Function, set[str]]] = [
    (
        GRAD,
        grad_of(
            weight=lambda level: 1.0, guided=lambda uncond, text, s: text + s * (uncond - text)
        ),
        {"grad_without_weight", "grad_with_swapped_branches"},
    ),
    (
        GRAD,
        lambda prior, x0, *rest: 0 * x0 - right(GRAD)(prior, x0, *rest),
        {"grad_flipped", "grad_with_graph"},
    ),
    (
        NOISE,
        noised(lambda a: a, lambda a: -((1 - a).sqrt())),
        {"noise_root_missing_on_signal", "noise_subtracted"},
    ),
    (
        "pds.posterior_coefficients",
        lambda a, a_prev, beta: (
            a_prev * beta / (1 - a),
            (1 - beta).sqrt() * (1 - a_prev) / (1 - a),
            beta * (1 - a_prev) / (1 - a),
        ),
        {"posterior_c0_without_root", "posterior_with_variance"},
    ),
]


@pytest.mark.parametrize(("task", "wrong", "names"), PAIRS)
def test_two_known_mistakes_at_once_are_both_named(task, wrong, names):
    stored = task_of(task)
    found = compare(stored, observations(wrong, stored))
    assert found.misconception is None
    single = [one for one in stored.misconceptions if not one.sentence.startswith(TWO)]
    known = [one.observations[found.place] for one in single]
    both = together(found.trial.case, found.trial.wanted, known, found.came)
    assert {single[place].name for place in both.known} == names
    sentences = {one.sentence for one in stored.misconceptions if one.name in names}
    for sentence in sentences:
        assert any(line.endswith(sentence) for line in say(found))


def test_of_one_known_mistake_and_an_unknown_fact_the_one_is_named():
    def doubled(prior, x0, *rest):
        return -right(GRAD)(prior, x0, *rest).double()

    stored = task_of(GRAD)
    found = compare(stored, observations(doubled, stored))
    known = [one.observations[0] for one in stored.misconceptions]
    both = together(found.trial.case, found.trial.wanted, known, found.came)
    flipped = [one.name for one in stored.misconceptions].index("grad_flipped")
    assert both == Together((flipped,), has_other=True)


@pytest.mark.parametrize("name", [NOISE, GRAD, LOSS, "pds.dds_loss", "pixelart.paint"])
def test_what_no_two_mistakes_give_is_not_called_so(name):
    trial = trial_of(name)
    known = [one.observations[0] for one in task_of(name).misconceptions]
    generator = torch.Generator().manual_seed(5)
    for scale in (1e-3, 1.0, 100.0):
        noise = scale * torch.randn(trial.wanted.value.shape, generator=generator)
        came = replace(trial.wanted, value=trial.wanted.value + noise)
        assert together(trial.case, trial.wanted, known, came) is None


def test_where_two_pairs_give_the_same_none_is_named():
    task, wrong, names = PAIRS[0]
    trial = trial_of(task)
    single = [one for one in task_of(task).misconceptions if one.name in names]
    known = [one.observations[0] for one in single]
    came = observe(wrong, trial.case)
    assert together(trial.case, trial.wanted, known, came) == Together((1, 0))
    assert together(trial.case, trial.wanted, [*known, known[0]], came) is None


def test_a_single_mistake_is_not_explained_by_two_others():
    """Along one line every sum of two is the sum of others; nothing is named then."""
    task = task_of("tour.classifier_free_guidance")
    trial = task.trials[0]
    for place, one in enumerate(task.misconceptions):
        known = [its.observations[0] for its in task.misconceptions]
        known[place] = None
        came = one.observations[0]
        assert together(trial.case, trial.wanted, known, came) is None, one.name
