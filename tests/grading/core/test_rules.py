"""The rules of a course, and what being late costs by them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from distillery.core.errors import CourseError
from grading.core.rules import NAME, Rules, settle
from grading.gradebook.late_penalty import DAY, penalty


def test_rules_are_read_back_as_they_were_written(tmp_path):
    rules = Rules(
        seed=7,
        points={"sds.sds_grad": 6, "sds.pictures": 1.5},
        optional=("vsd.vsd_grad",),
        not_reproduced="all",
        late_grace_minutes=30,
    )

    rules.save(tmp_path / NAME)

    assert Rules.load(tmp_path / NAME) == rules


def test_every_rule_stands_under_what_it_is():
    lines = Rules().to_yaml().split("\n")

    settings = [index for index, line in enumerate(lines) if line and not line.startswith("#")]

    assert len(settings) > 10
    assert all(lines[index - 1].startswith("# ") for index in settings)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("seed: -1", "seed must be a whole number"),
        ("points: 5", "points must map tasks to points, e.g. {sds.sds_grad: 6}; it is 5"),
        ("points: {sds.sds_gard: 5}", "sds.sds_gard"),
        ("points: {sds.sds_grad: -5}", "points of sds.sds_grad must be a finite number from 0"),
        ("optional: vsd.vsd_grad", "optional must be a list of tasks"),
        ("partial_credit: perhaps", "partial_credit must be true or false"),
        ("missing_item_off: 10", "missing_item_off must be a finite number from 0 up to 1"),
        ("not_reproduced: some", "not_reproduced must be one of pictures, all"),
        ("late_off_per_day: .nan", "late_off_per_day must be"),
        (
            "time_zone: Berlin",
            "time_zone: there is no time zone 'Berlin'.*did you mean Europe/Berlin",
        ),
        ("time_zone: -5", "time_zone: there is no time zone '-5'"),
        ("wall_s: 0", "wall_s must be a finite number above 0"),
        ("memory_mb: 10", "memory_mb must be a whole number from 64"),
        ("sede: 4", "unknown setting sede"),
        ("seed: [", "not YAML"),
    ],
)
def test_an_unfit_rule_is_refused_in_a_sentence_that_names_the_file(tmp_path, wrong, says):
    (tmp_path / NAME).write_text(wrong)

    with pytest.raises(CourseError, match=says) as error:
        Rules.load(tmp_path / NAME)

    assert NAME in str(error.value)


def test_rules_have_another_digest_only_if_a_value_differs(tmp_path):
    points = {"sds.sds_grad": 6, "sds.pictures": 1}
    rules = Rules(seed=7, points=points)
    (tmp_path / NAME).write_text(f"# a remark\npoints: {points}\nseed: 7  # another\n")

    assert Rules.load(tmp_path / NAME).digest == rules.digest
    assert Rules(seed=7, points=dict(reversed(points.items()))).digest == rules.digest
    assert Rules(seed=8, points=points).digest != rules.digest
    assert Rules(seed=7, points=points, wall_s=21.0).digest != rules.digest
    assert Rules(seed=7, points={**points, "sds.pictures": 2}).digest != rules.digest


def test_without_rules_it_is_said_how_to_get_them(tmp_path):
    with pytest.raises(CourseError, match="python -m grading release"):
        Rules.load(tmp_path / NAME)


def test_a_task_is_worth_what_its_stage_says_unless_the_rules_say_otherwise():
    rules = Rules(points={"sds.sds_grad": 6}, optional=("sds.sds_loss",))

    assert rules.worth("sds.sds_grad") == 6
    assert rules.worth("sds.sample_timesteps") == 2
    assert (rules.worth("sds.sds_loss"), rules.maximum("sds.sds_loss")) == (3, 0)
    with pytest.raises(CourseError, match=r"no task 'sds\.none'"):
        rules.worth("sds.none")


@pytest.mark.parametrize(
    "written",
    ["seed: null  # drawn\n", "seed:\n", "seed: ~\n", ""],
)
def test_a_seed_is_drawn_once_and_all_else_in_the_file_stays(tmp_path, written):
    own = "# my own remark\nwall_s: 5  # and another\n"
    (tmp_path / NAME).write_text(own + written)

    rules = settle(tmp_path)
    again = settle(tmp_path)

    assert rules.seed is not None
    assert again == rules
    assert rules.wall_s == 5
    assert own in (tmp_path / NAME).read_text()


@pytest.mark.parametrize("written", ["time_zone: null  # chosen\n", "time_zone:\n", ""])
def test_the_machines_time_zone_is_written_once_and_then_stays(tmp_path, monkeypatch, written):
    own = "# my own remark\nseed: 5\n"
    (tmp_path / NAME).write_text(own + written)
    monkeypatch.setenv("TZ", "Asia/Seoul")

    assert settle(tmp_path).zone.key == "Asia/Seoul"
    monkeypatch.setenv("TZ", "America/New_York")

    assert settle(tmp_path).zone.key == "Asia/Seoul"
    text = (tmp_path / NAME).read_text()
    assert own in text
    assert text.count("time_zone: Asia/Seoul\n") == 1


def test_another_time_zone_grades_nothing_again():
    assert Rules(time_zone="Asia/Seoul").digest == Rules(time_zone="Europe/Berlin").digest


def test_a_seed_that_is_given_is_kept(tmp_path):
    Rules(seed=0, time_zone="Asia/Seoul").save(tmp_path / NAME)
    before = (tmp_path / NAME).read_bytes()

    assert settle(tmp_path).seed == 0
    assert (tmp_path / NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("late", "off"),
    [
        (0, 0.0),
        (600, 0.0),  # the grace
        (601, 1.5),
        (600 + DAY, 1.5),
        (600 + DAY + 1, 3.0),
        (600 + 3 * DAY, 4.5),
        (600 + 100 * DAY, 6.0),  # the most
    ],
)
def test_each_day_begun_after_the_grace_costs_its_part_up_to_the_most(late, off):
    rules = Rules(late_grace_minutes=10, late_off_per_day=0.15, late_most_off=0.6)

    assert math.isclose(penalty(10.0, late, rules), off)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_rules_with_a_byte_order_mark_are_read_and_completed(tmp_path: Path, encoding: str) -> None:
    (tmp_path / NAME).write_bytes("late_grace_minutes: 3\n".encode(encoding))

    settled = settle(tmp_path)

    assert settled.late_grace_minutes == 3
    assert Rules.load(tmp_path / NAME) == settled
