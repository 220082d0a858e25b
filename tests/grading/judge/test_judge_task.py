"""On hidden inputs what is right gets full marks, and nothing else does, whatever a reply says."""

from __future__ import annotations

import importlib
import json
import math

import pytest
import torch
from safetensors.torch import load, save

from distillery.core.errors import CourseError
from distillery.course.check import check
from distillery.course.kinds import from_wire, to_wire
from distillery.course.kinds.draws import DRAWS
from distillery.course.observe import UNREADABLE, conclude, observe
from distillery.course.record import Recording, record
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
    facts, tensors = to_wire(task.case)
    case = from_wire(json.loads(json.dumps(facts)), load(save(tensors)))
    try:
        recording = record(function, case)
    except (Exception, SystemExit) as error:
        return Reply("raised", raised=Raised(type(error).__name__, str(error), "a line"))
    return returned(recording)


def returned(recording: Recording) -> Reply:
    facts = json.loads(json.dumps(recording.facts))
    return Reply("returned", facts, load(save(recording.tensors)))


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
    visible, hidden = load_task(task).case, KEYS[SEEDS[0]].task(task).case
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
    known = record(reference(task), load_task(task).case)
    hidden = KEYS[SEEDS[0]].task(task)
    assert judge(hidden, returned(known), WORTH)[0].points == 0


@pytest.mark.parametrize("task", TASKS)
def test_one_seed_hides_the_same_inputs_every_time_and_another_seed_others(task):
    first, again, other = (key.task(task) for key in (KEYS[11], Key(11), KEYS[12]))
    assert first.case.values == again.case.values
    assert all(
        torch.equal(first.case.tensors[n], again.case.tensors[n]) for n in first.case.tensors
    )
    assert first is KEYS[11].task(task)
    assert first.case.values != other.case.values or any(
        not torch.equal(tensor, other.case.tensors[name])
        for name, tensor in first.case.tensors.items()
    )


def test_inputs_that_cannot_tell_a_misconception_are_drawn_anew(monkeypatch):
    seeds = []
    observed = judge_task.observed_task

    def blind_at_first(stage, function, right, seed):
        seeds.append(seed)
        if len(seeds) < 3:
            raise CourseError("the check cannot tell them apart.")
        return observed(stage, function, right, seed)

    monkeypatch.setattr(judge_task, "observed_task", blind_at_first)
    Key(11).task("tour.add_noise")
    assert len(set(seeds)) == 3
    assert 0 not in seeds


def test_an_unknown_task_is_one_clear_sentence():
    with pytest.raises(CourseError, match="no task"):
        Key(1).task("tour.nothing")


@pytest.mark.parametrize("task", TASKS)
def test_a_recording_that_went_by_wire_shows_what_observe_sees(task):
    case = load_task(task).case
    assert observe(reference(task), case).equals(load_task(task).wanted)
    seen = returned(record(reference(task), case))
    assert conclude(Recording(seen.facts, seen.tensors), case).equals(load_task(task).wanted)


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
    hidden = KEYS[11].task(task)
    right = record(reference(task), hidden.case)
    for name, honest in right.facts.items():
        for forged in NONSENSE:
            if forged == honest:
                continue
            reply = Reply("returned", right.facts | {name: forged}, right.tensors)
            verdict, _ = judge(hidden, reply, WORTH)
            assert verdict.outcome == "wrong"
            assert verdict.points == 0
            assert all(len(line) < 300 for line in verdict.lines)
        left_out = {other: fact for other, fact in right.facts.items() if other != name}
        assert judge(hidden, Reply("returned", left_out, right.tensors), WORTH)[0].points == 0
    for facts in (None, [], "facts", right.facts | {"uniform": True}, {}, {1: 2}):
        assert judge(hidden, Reply("returned", facts, right.tensors), WORTH)[0].points == 0


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
    """A second draw is to be another, and the number of most losses is nobody's concern."""
    return name == "second" or (name == "result" and case.kind == "gradient")


@pytest.mark.parametrize("task", KINDS)
def test_a_forged_array_is_never_right_and_never_stops_the_grader(without_figures, task):
    hidden = KEYS[11].task(task)
    right = record(reference(task), hidden.case)
    for name, honest in right.tensors.items():
        for forged in forgeries(honest):
            reply = Reply("returned", right.facts, right.tensors | {name: forged})
            verdict, _ = judge(hidden, reply, WORTH)
            assert verdict.points == 0 or _may_differ(hidden.case, name)
    assert judge(hidden, Reply("returned", right.facts, {}), WORTH)[0].points == 0
    assert judge(hidden, Reply("returned", {}, right.tensors), WORTH)[0].points == 0


def test_an_array_of_nothing_in_many_dimensions_does_not_stop_the_drawing():
    hidden = KEYS[11].task("sds.sample_timesteps")
    right = record(reference(hidden.name), hidden.case)
    wrong = {name: tensor + 1 for name, tensor in right.tensors.items()}
    wrong["nothing"] = torch.empty(0).reshape([0] + [2**31] * 7)
    verdict, figure = judge(hidden, Reply("returned", right.facts, wrong), WORTH)
    assert verdict.outcome == "wrong"
    assert figure is not None


@pytest.mark.parametrize("task", ["sds.sample_timesteps", "pixelart.bounded_timesteps"])
def test_a_sampler_that_only_claims_to_be_right_is_not(without_figures, task):
    hidden = KEYS[12].task(task)
    claims = {"untouched": True, "type": "Tensor"}
    names = record(reference(task), hidden.case).tensors
    for forged in (
        torch.zeros(DRAWS, dtype=torch.int64),
        torch.full((DRAWS,), hidden.case.values["t_min"]),
        torch.arange(DRAWS) % 1000,
    ):
        arrays = dict.fromkeys(names, forged)
        assert judge(hidden, Reply("returned", claims, arrays), WORTH)[0].points == 0
        boasting = claims | hidden.wanted.facts
        assert judge(hidden, Reply("returned", boasting, arrays), WORTH)[0].points == 0
        assert judge(hidden, Reply("returned", hidden.wanted.facts, {}), WORTH)[0].points == 0


def test_what_does_not_hold_together_is_said_so(without_figures):
    hidden = KEYS[11].task("sds.sds_grad")
    came = conclude(Recording({"type": ["Tensor"]}, {}), hidden.case)
    assert came.facts == {"type": UNREADABLE}
    verdict, figure = judge(hidden, Reply("returned", {"type": 3}, {}), WORTH)
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
    "anything": (("ValueError", "no"), "  Grading uses other pictures, sizes and levels"),
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

    case = load_task("tour.add_noise").case
    recording = record(reusing, case)
    assert torch.equal(recording.tensors["result"], case.tensors["x0"] + 1)
