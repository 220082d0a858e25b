"""On hidden inputs what is right gets full marks, and nothing else does, whatever a reply says."""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from distillery.core.errors import CourseError
from distillery.course import sentences
from distillery.course.check import check
from distillery.course.kinds import all_from_wire, all_to_wire
from distillery.course.kinds.draws import DRAWS
from distillery.course.observe import UNREADABLE, conclude, observe
from distillery.course.record import Recording, record, under
from distillery.course.tasks import load_task
from grading.judge import judge_task
from grading.judge.judge_task import Key, judge
from grading.sandbox.jobs import Limits, Raised, Reply
from grading.stages import STAGES
from grading.stages.misconceptions import MISCONCEPTIONS
from grading.stages.variants import VARIANTS

SEEDS = (11, 12)
WORTH = 4.0
TASKS = [f"{stage.module}.{function}" for stage in STAGES for function in stage.points]
KEYS = {seed: Key(seed) for seed in SEEDS}
PNG = b"\x89PNG\r\n"


def reply_to(function, task) -> Reply:
    """What a sandbox would give back, everything in it having been through JSON and safetensors."""
    facts, tensors = all_to_wire([trial.case for trial in task.trials])
    cases = all_from_wire(json.loads(json.dumps(facts)), load(save(tensors)))
    recordings = []
    try:
        recordings.extend(record(function, case) for case in cases)
    except (Exception, SystemExit) as error:
        raised = Raised(type(error).__name__, str(error), "a line")
        return replace(returned(*recordings), ending="raised", raised=raised)
    return returned(*recordings)


def returned(*recordings: Recording) -> Reply:
    facts = json.loads(json.dumps({"recordings": [one.facts for one in recordings]}))
    # safetensors refuses tensors that share memory.
    tensors = {name: tensor.clone() for name, tensor in _prefixed(recordings).items()}
    return Reply("returned", facts, load(save(tensors)))


def forged(*recordings: Recording) -> Reply:
    """A reply with these recordings just as they are, which may be nonsense."""
    facts = {"recordings": [one.facts for one in recordings]}
    return Reply("returned", facts, _prefixed(recordings))


def _prefixed(recordings) -> dict:
    return {
        f"{place}/{name}": tensor
        for place, one in enumerate(recordings)
        for name, tensor in one.tensors.items()
    }


def first_trial(task):
    """The task with its first trial alone."""
    return replace(task, trials=task.trials[:1], hidden=0)


def reference(task: str):
    module, function = task.split(".")
    return getattr(importlib.import_module(f"reference.{module}"), function)


def answers(task: str, among=MISCONCEPTIONS):
    return [answer for answer in among if answer.task == task]


def misconception(name: str):
    return next(answer for answer in MISCONCEPTIONS if answer.name == name)


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr(judge_task, "_drawing", lambda found: PNG)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("task", TASKS)
def test_every_misconception_fails_on_hidden_inputs_and_is_named(without_figures, task, seed):
    hidden = KEYS[seed].task(task)
    for answer in answers(task):
        verdict, _ = judge(hidden, reply_to(answer.function, hidden), WORTH)
        assert verdict.outcome == "wrong"
        assert verdict.points < WORTH
        assert verdict.misconception == answer.name
        assert f"  This is what you get when {answer.sentence}" in verdict.lines


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("task", TASKS)
def test_right_answers_get_full_marks_on_hidden_inputs(task, seed):
    hidden = KEYS[seed].task(task)
    for function in [reference(task), *(answer.function for answer in answers(task, VARIANTS))]:
        verdict, figure = judge(hidden, reply_to(function, hidden), WORTH)
        assert (verdict.outcome, verdict.points, figure) == ("right", WORTH, None)
        assert len(verdict.lines) == 1


@pytest.mark.parametrize("task", TASKS)
def test_hidden_inputs_are_others_than_the_visible_ones(task):
    asked = KEYS[SEEDS[0]].task(task)
    assert len(asked.trials) == 2 * asked.hidden
    visible, hidden = asked.trials[0].case, asked.trials[asked.hidden].case
    assert visible.tensors.keys() == hidden.tensors.keys()
    for name, tensor in hidden.tensors.items():
        assert not torch.equal(tensor, visible.tensors[name])
        if tensor.ndim == 4 and tensor.numel() > 20:
            assert tensor.shape[0] != visible.tensors[name].shape[0]
            assert tensor.shape[2:] != visible.tensors[name].shape[2:]
            assert tensor.shape[2] != tensor.shape[3]
    assert hidden.values != visible.values or not visible.values


@pytest.mark.parametrize("task", ["sds.sds_grad", "pixelart.paint", "vsd.alternating_step"])
def test_a_visible_answer_learnt_by_heart_is_worth_nothing(without_figures, task):
    known = [record(reference(task), trial.case) for trial in load_task(task).trials]
    verdict, _ = judge(KEYS[SEEDS[0]].task(task), returned(*known, *known), WORTH)
    assert verdict.points == 0
    assert verdict.lines[-1].startswith("  Grading uses other pictures")


@pytest.mark.parametrize("task", TASKS)
def test_one_seed_hides_the_same_inputs_every_time_and_another_seed_others(task):
    first, again, other = (key.task(task) for key in (KEYS[11], Key(11), KEYS[12]))
    assert first is KEYS[11].task(task)
    for place, trial in enumerate(first.trials):
        assert _alike(trial.case, again.trials[place].case)
        is_hidden = place >= len(first.trials) - first.hidden
        assert _alike(trial.case, other.trials[place].case) == (not is_hidden)


def _alike(one, other) -> bool:
    return one.values == other.values and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )


def test_an_unknown_task_is_one_clear_sentence():
    with pytest.raises(CourseError, match="no task"):
        Key(1).task("tour.nothing")


@pytest.mark.parametrize("task", TASKS)
def test_a_recording_that_went_by_wire_shows_what_observe_sees(task):
    for trial in load_task(task).trials:
        assert observe(reference(task), trial.case).equals(trial.wanted)
        seen = returned(record(reference(task), trial.case))
        recording = Recording(seen.facts["recordings"][0], under("0/", seen.tensors))
        assert conclude(recording, trial.case).equals(trial.wanted)


# What a forger may write in the place of a fact, whatever the fact is.
NONSENSE = (None, "x" * 10**6, 10**5000, -1, 1.5, math.nan, {}, [], [[]], {"a": object()}, object())
# Tasks of every kind of case, and with every fact that may be reported.
KINDS = (
    *("vsd.vsd_grad", "vsd.lora_loss", "pds.dds_loss"),
    *("sds.sds_grad", "pds.pds_loss", "pixelart.straight_through", "sds.sample_timesteps"),
    *("pixelart.gumbel_softmax", "vsd.alternating_step", "pixelart.sdxl_grad"),
)


@pytest.mark.parametrize("task", KINDS)
def test_a_forged_fact_is_never_right_and_never_stops_the_grader(without_figures, task):
    asked = first_trial(KEYS[11].task(task))
    right = record(reference(task), asked.trials[0].case)
    for name, honest in right.facts.items():
        for nonsense in NONSENSE:
            if nonsense == honest:
                continue
            reply = forged(replace(right, facts=right.facts | {name: nonsense}))
            verdict, _ = judge(asked, reply, WORTH)
            assert verdict.outcome == "wrong"
            assert verdict.points == 0
            assert all(len(line) < 300 for line in verdict.lines)
        left_out = {other: fact for other, fact in right.facts.items() if other != name}
        assert judge(asked, forged(replace(right, facts=left_out)), WORTH)[0].points == 0
    for facts in (None, [], "facts", right.facts | {"uniform": True}, {}, {1: 2}):
        assert judge(asked, forged(replace(right, facts=facts)), WORTH)[0].points == 0
    for recordings in (None, {}, "recordings", [], [None], 7):
        reply = Reply("returned", {"recordings": recordings}, _prefixed([right]))
        assert judge(asked, reply, WORTH)[0].points == 0


@pytest.mark.parametrize("task", TASKS)
def test_recordings_of_some_trials_are_not_enough(without_figures, task):
    asked = KEYS[11].task(task)
    right = [record(reference(task), trial.case) for trial in asked.trials]
    assert judge(asked, returned(*right), WORTH)[0].points == WORTH
    verdict, _ = judge(asked, returned(*right[:-1]), WORTH)
    assert (verdict.outcome, verdict.points) == ("wrong", 0)
    again = returned(*right, *right)
    assert judge(asked, again, WORTH)[0].points == WORTH  # what nobody asked for is not read


def forgeries(tensor: torch.Tensor):
    yield tensor.double() if tensor.is_floating_point() else tensor.to(torch.int32)
    yield torch.full(tensor.shape, math.nan)
    yield torch.full(tensor.shape, math.inf)
    yield torch.zeros_like(tensor)
    yield tensor[None]
    yield tensor.flatten()[:0]
    yield torch.zeros(2_000_001)
    yield torch.zeros(0, 3)
    yield torch.zeros(2, 2).to_sparse()
    yield torch.zeros(3, dtype=torch.complex64)
    yield torch.zeros(3, device="meta")
    yield "a tensor"
    yield None


def _may_differ(case, name: str) -> bool:
    """Another draw or call is to have another result; the number of most losses is free.

    What networks were asked and answered is for messages alone.
    """
    of_networks = name.startswith(("prior/", "lora/"))
    is_another = name in ("second", "earlier")
    return of_networks or is_another or (name == "result" and case.kind == "gradient")


@pytest.mark.parametrize("task", KINDS)
def test_a_forged_array_is_never_right_and_never_stops_the_grader(without_figures, task):
    asked = first_trial(KEYS[11].task(task))
    case = asked.trials[0].case
    right = record(reference(task), case)
    for name, honest in right.tensors.items():
        for forgery in forgeries(honest):
            reply = forged(replace(right, tensors=right.tensors | {name: forgery}))
            verdict, _ = judge(asked, reply, WORTH)
            assert verdict.points == 0 or _may_differ(case, name)
    assert judge(asked, forged(replace(right, tensors={})), WORTH)[0].points == 0
    assert judge(asked, forged(replace(right, facts={})), WORTH)[0].points == 0


MORE_FACTS = {
    "calls": 3,
    "lora_calls": [1, 2],
    "leaks": [],
    "told": {},
    "events": [],
    "drawn": True,
    "untouched": True,
    "changed": [],
    "graph": False,
}


@pytest.mark.parametrize("task", TASKS)
def test_a_fact_that_nobody_asked_for_never_stops_the_grader(without_figures, task):
    asked = first_trial(KEYS[11].task(task))
    right = record(reference(task), asked.trials[0].case)
    for name in MORE_FACTS.keys() - right.facts.keys():
        facts = right.facts | {name: MORE_FACTS[name]}
        verdict, _ = judge(asked, forged(replace(right, facts=facts)), WORTH)
        assert verdict.outcome in ("wrong", "right")
        assert "differ most" not in verdict.lines[-1]


@pytest.mark.parametrize("task", ["sds.sds_grad", "vsd.vsd_grad", "pds.dds_loss", "vsd.lora_loss"])
def test_forged_questions_to_a_network_never_stop_the_grader(without_figures, monkeypatch, task):
    def unguarded(found):
        return sentences._told_of(found)

    monkeypatch.setattr(sentences, "_of_unknown", unguarded)
    asked = first_trial(KEYS[11].task(task))
    right = record(reference(task), asked.trials[0].case)
    wrong = {n: its if "/" in n else 1.5 * its + 1 for n, its in right.tensors.items()}
    for network in ("prior", "lora"):
        for shape in ((4, 3, 5, 5), (4, 1, 2000, 10), (4,), (0, 3, 10, 14), (4, 3, 10, 14), ()):
            for tokens in ((4, 8, 4), (4,), (4, 0), ()):
                questions = {
                    f"{network}/xt": torch.ones(shape),
                    f"{network}/answers": torch.ones(shape),
                    f"{network}/t": torch.ones(shape[:1]),
                    f"{network}/tokens": torch.ones(tokens),
                }
                reply = forged(replace(right, tensors=wrong | questions))
                assert judge(asked, reply, WORTH)[0].points == 0


def test_a_sentence_more_never_costs_a_grade(without_figures, monkeypatch):
    def failing(*_):
        raise RuntimeError

    monkeypatch.setattr(sentences, "facts_about", failing)
    asked = KEYS[11].task("tour.add_noise")
    verdict, _ = judge(asked, reply_to(lambda x0, eps, _: x0 - 0.3 * eps, asked), WORTH)
    assert verdict.outcome == "wrong"
    assert len(verdict.lines) == 3


def test_an_array_of_nothing_in_many_dimensions_does_not_stop_the_drawing():
    asked = first_trial(KEYS[11].task("sds.sample_timesteps"))
    right = record(reference(asked.name), asked.trials[0].case)
    wrong = {name: tensor + 1 for name, tensor in right.tensors.items()}
    wrong["nothing"] = torch.empty(0).reshape([0] + [2**31] * 7)
    verdict, figure = judge(asked, forged(replace(right, tensors=wrong)), WORTH)
    assert verdict.outcome == "wrong"
    assert figure is not None


@pytest.mark.parametrize("task", ["sds.sample_timesteps", "pixelart.bounded_timesteps"])
def test_a_sampler_that_only_claims_to_be_right_is_not(without_figures, task):
    asked = first_trial(KEYS[12].task(task))
    trial = asked.trials[0]
    claims = {"untouched": True, "type": "Tensor"}
    names = record(reference(task), trial.case).tensors
    for draws in (
        torch.zeros(DRAWS, dtype=torch.int64),
        torch.full((DRAWS,), trial.case.values["t_min"]),
        torch.arange(DRAWS) % 1000,
    ):
        arrays = dict.fromkeys(names, draws)
        for facts, tensors in (
            (claims, arrays),
            (claims | trial.wanted.facts, arrays),
            (trial.wanted.facts, {}),
        ):
            assert judge(asked, forged(Recording(facts, tensors)), WORTH)[0].points == 0


def test_what_does_not_hold_together_is_said_so(without_figures):
    asked = KEYS[11].task("sds.sds_grad")
    came = conclude(Recording({"type": ["Tensor"]}, {}), asked.trials[0].case)
    assert came.facts == {"type": UNREADABLE}
    verdict, figure = judge(asked, forged(Recording({"type": 3}, {})), WORTH)
    assert "  got:    a result that cannot be read" in verdict.lines
    assert figure is None


SIDE = {
    "grad_in_two_calls": 2,
    "grad_with_graph": 2,
    "grad_noised_in_place": 2,
    "pds_moving_the_source": 2,
    "lora_loss_moving_particles": 2,
    "step_returning_a_graph": 2,
    # Not aside: without a graph nothing learns, and what SDXL is told is the task.
    "painted_without_graph": 0,
    "gumbel_without_graph": 0,
    "sdxl_with_width_first": 0,
    "sdxl_without_numbers": 0,
    "t_without_generator": 0,
    "grad_flipped": 0,
}


@pytest.mark.parametrize("name", SIDE)
def test_right_numbers_with_a_broken_side_condition_earn_half(without_figures, name):
    answer = misconception(name)
    hidden = KEYS[11].task(answer.task)
    reply = reply_to(answer.function, hidden)
    verdict, figure = judge(hidden, reply, WORTH)
    assert verdict.points == SIDE[name]
    assert (verdict.lines[-1] == "  The numbers are right: 2 of 4 points.") == (SIDE[name] == 2)
    assert figure is None or SIDE[name] == 0
    assert judge(hidden, reply, WORTH, partial=False)[0].points == 0


def test_each_right_coefficient_earns_its_share(without_figures):
    task = KEYS[11].task("pds.posterior_coefficients")
    reply = reply_to(misconception("posterior_with_variance").function, task)
    verdict, _ = judge(task, reply, 3)
    assert verdict.points == 2
    assert verdict.lines[-1] == "  c0 and c1 are right: 2 of 3 points."
    assert verdict.misconception == "posterior_with_variance"
    assert judge(task, reply, 3, partial=False)[0].points == 0


def test_statistics_of_one_answer_are_no_parts(without_figures):
    task = KEYS[11].task("pixelart.gumbel_softmax")
    reply = reply_to(misconception("gumbel_without_tau").function, task)
    assert judge(task, reply, 3)[0].points == 0


ENDINGS = {
    "timed out": ("timed out", "within 7 seconds"),
    "out of memory": ("out of memory", "more than 99 MB"),
    "died": ("died", "its process ended"),
    "too much": ("stopped", "wrote or returned more than"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_limit_that_was_reached_is_named(ending):
    expected, words = ENDINGS[ending]
    limits = Limits(wall_s=7, memory_mb=99)
    raised = Raised("", "", "while True: pass")
    verdict, figure = judge(
        KEYS[11].task("tour.add_noise"), Reply(ending, raised=raised), WORTH, limits=limits
    )
    assert (verdict.outcome, verdict.points, figure) == (expected, 0, None)
    assert words in verdict.lines[0]
    assert verdict.lines[1] == "  in the line: while True: pass"


RAISED = {
    "a module": (("ModuleNotFoundError", "No module named 'clip'"), "  clip is not installed"),
    "a path": (("FileNotFoundError", "No such file: '/content/drive/a.pt'"), "  A path on your"),
    "a drive": (("FileNotFoundError", "No such file: 'C:\\\\me\\\\a.pt'"), "  A path on your"),
    "a network": (("OSError", "[Errno 101] Network is unreachable"), "  There is no network"),
    "a question": (("EOFError", "EOF when reading a line"), "  Nobody can answer input()"),
    "a name": (
        ("NameError", "name 'F' is not defined"),
        "  The function is saved in a file",
    ),
}


@pytest.mark.parametrize("case", RAISED)
def test_an_exception_comes_with_the_students_line_and_a_hint(case):
    (kind, message), hint = RAISED[case]
    reply = Reply("raised", raised=Raised(kind, message, "x = 1"))
    verdict, _ = judge(KEYS[11].task("tour.add_noise"), reply, WORTH)
    assert (verdict.outcome, verdict.points) == ("stopped", 0)
    assert verdict.lines[1] == f"  {kind}: {message}"
    assert verdict.lines[2] == "  in the line: x = 1"
    assert verdict.lines[3].startswith(hint)


def test_other_inputs_are_spoken_of_last_and_only_where_the_check_passes(without_figures):
    asked = KEYS[11].task("tour.add_noise")
    right = reference("tour.add_noise")
    visible = len(asked.trials) - asked.hidden

    def wrong_from(place, how):
        calls = iter(range(100))

        def add_noise(*arguments):
            # Every trial calls three times.
            return right(*arguments) if next(calls) < 3 * place else how(*arguments)

        return judge(asked, reply_to(add_noise, asked), WORTH)[0].lines

    for how in (lambda *arguments: 3 * right(*arguments), lambda *arguments: {}["gone"]):
        for place in range(visible):
            assert "Grading uses other" not in "\n".join(wrong_from(place, how))
        assert wrong_from(visible, how)[-1].startswith("  Grading uses other pictures, sizes and")


def test_a_wrong_trial_before_an_exception_is_what_is_told(without_figures):
    asked = KEYS[11].task("tour.add_noise")

    def flipped_and_square_only(x0, eps, alpha_bar):
        return reference("tour.add_noise")(x0, -eps, alpha_bar).squeeze(0).permute(0, 1, 3, 2).mT

    verdict, _ = judge(asked, reply_to(flipped_and_square_only, asked), WORTH)
    assert verdict.outcome == "wrong"


def test_an_exception_says_in_which_circumstances(without_figures):
    asked = KEYS[11].task("tour.add_noise")

    def squeezing(x0, eps, alpha_bar):
        return reference("tour.add_noise")(x0.squeeze().permute(0, 1, 2, 3), eps, alpha_bar)

    verdict, _ = judge(asked, reply_to(squeezing, asked), WORTH)
    assert verdict.outcome == "stopped"
    assert verdict.lines[0] == (
        "tour.add_noise: it stops with an error, with one picture of 4 channels."
    )


def test_a_stub_is_to_do_and_a_failed_allocation_is_memory():
    task = KEYS[11].task("tour.add_noise")
    stub = Raised("NotImplementedError", "tour.add_noise is still to do: somewhere.", "raise")
    verdict, _ = judge(task, Reply("raised", raised=stub), WORTH)
    assert verdict.outcome == "to do"
    assert verdict.lines == (STAGES[0].sentence("add_noise"),)
    hungry = Raised("RuntimeError", "[enforce fail] DefaultCPUAllocator: can't allocate", "x")
    assert judge(task, Reply("raised", raised=hungry), WORTH)[0].outcome == "out of memory"


def test_whatever_is_said_is_cut_and_printable():
    hostile = "\x1b[2J\x00\ud800\u202e<script>" + "y" * 10**7
    reply = Reply("raised", raised=Raised(hostile, hostile, hostile))
    verdict, _ = judge(KEYS[11].task("tour.add_noise"), reply, WORTH)
    assert all(line.isprintable() and len(line) < 300 for line in verdict.lines)
    "\n".join(verdict.lines).encode("utf-8")


@pytest.mark.parametrize(
    "name", ["grad_flipped", "t_rounded", "posterior_with_variance", "start_one_hot"]
)
def test_a_wrong_answer_is_drawn_once_and_without_pyplot(monkeypatch, name):
    from matplotlib import pyplot

    drawn = []
    drawing = judge_task._drawing
    monkeypatch.setattr(judge_task, "_drawing", lambda *given: drawn.append(1) or drawing(*given))
    monkeypatch.setattr(judge_task, "_drawn", {})
    answer, before = misconception(name), pyplot.get_fignums()
    hidden = KEYS[11].task(answer.task)
    for _ in range(2):
        verdict, figure = judge(hidden, reply_to(answer.function, hidden), WORTH)
        assert verdict.figure == f"{answer.task}.png"
        assert figure.startswith(PNG)
    assert len(drawn) == 1
    assert pyplot.get_fignums() == before


def test_numbers_beyond_all_measure_are_drawn_all_the_same():
    hidden = KEYS[11].task("pds.posterior_coefficients")
    huge = lambda *levels: tuple(torch.full_like(level, 3e38) for level in levels)  # noqa: E731
    assert judge(hidden, reply_to(huge, hidden), WORTH)[1].startswith(PNG)
    sampler = KEYS[11].task("sds.sample_timesteps")

    def far(batch, step, steps, *, generator, **bounds):
        return torch.randint(-(2**62), 2**62, (batch,), generator=generator)

    assert judge(sampler, reply_to(far, sampler), WORTH)[1].startswith(PNG)


def test_a_result_too_large_to_carry_is_told_by_its_shape(capsys):
    assert not check("tour.add_noise", lambda x0, *others: x0.new_zeros(1).expand(3_000_000)).passed
    assert "shape (3000000,)" in capsys.readouterr().out


def test_a_result_that_the_next_call_writes_over_is_recorded_as_it_was():
    kept = []

    def reusing(x0, eps, alpha_bar):
        kept.append(x0.clone() if not kept else kept[0])
        return kept[0].add_(1)

    case = load_task("tour.add_noise").trials[0].case
    recording = record(reusing, case)
    assert torch.equal(recording.tensors["result"], case.tensors["x0"] + 1)
