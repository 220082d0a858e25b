"""A release is verified, whole and repeatable, and it leaves an instructor's own settings alone."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import nbformat
import pytest
import yaml
from nbgrader.api import Gradebook
from traitlets import import_item

from distillery.core.errors import CourseError
from grading import __main__ as command
from grading.authoring.build import ROOT, class_text, sequel_texts, student_text
from grading.authoring.make_stubs import BEGIN, END
from grading.authoring.written_answers import said
from grading.core import nbgrader_config as settings_module
from grading.core.manifest import Manifest, bundle_of
from grading.core.nbgrader_config import NEEDED, settings_of, write_settings
from grading.core.rules import Rules
from grading.judge import grade as grade_module
from grading.release import bundle as bundle_module
from grading.release import course_folder as module
from grading.release.course_folder import release, stages_named, trial_grader, verify
from grading.stages import STAGES
from grading.stages.stage import Stage

TOUR, SDS = STAGES[:2]


def quick(monkeypatch) -> None:
    """Leave out what other tests have seen to: grading the reference takes seconds."""
    monkeypatch.setattr(module, "verify", lambda *_: 0.0)


def verified(stage: Stage, root: Path = ROOT) -> float:
    """The points of the reference."""
    with trial_grader(Rules(seed=0)) as grader:
        return verify(stage, root, grader)


def cells_in(path: Path) -> dict[str, nbformat.NotebookNode]:
    cells = nbformat.read(path, as_version=4).cells
    known = [cell for cell in cells if "nbgrader" in cell.metadata]
    return {cell.metadata.nbgrader.grade_id: cell for cell in known}


def broken_course(tmp_path: Path, old: str, new: str) -> Path:
    """The repository with another reference for stage 0."""
    root = tmp_path / "repository"
    for folder in ("reference", "notebooks"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", root)
    path = root / "reference" / "tour.py"
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")
    return root


def test_what_is_released_is_what_is_committed_and_source_alone_has_the_answers(released):
    for stage in (TOUR, SDS):
        notebook = f"{stage.folder}/{stage.folder}.ipynb"
        text = (released / "release" / notebook).read_text("utf-8")
        assert "SOLUTION" not in text
        ours = nbformat.reads(class_text(stage), as_version=4).cells
        theirs = nbformat.reads(text, as_version=4).cells
        assert [(c.id, c.source) for c in theirs] == [(c.id, c.source) for c in ours]
        source = (released / "source" / notebook).read_text("utf-8")
        assert source.count(BEGIN) == source.count(END) == len(stage.points)


def test_the_gradebook_knows_every_task_and_what_it_is_worth(released_course):
    with Gradebook(f"sqlite:///{released_course / 'gradebook.db'}", "class") as gradebook:
        for stage in (TOUR, SDS):
            notebook = gradebook.find_notebook(stage.folder, stage.folder)
            worth = {cell.name: cell.max_score for cell in notebook.grade_cells}
            pictures = {f"{stage.module}-pictures": stage.pictures} if stage.pictures else {}
            assert worth == pictures | {
                f"{stage.module}-{name}-check": points for name, points in stage.points.items()
            }


def test_a_further_notebook_is_released_beside_the_graded_one_that_nbgrader_alone_knows(
    tmp_path, monkeypatch
):
    quick(monkeypatch)
    (stage,) = [stage for stage in STAGES if stage.sequels]
    release([stage], tmp_path / "class", say=lambda line: None)
    folder = tmp_path / "class" / "release" / stage.folder
    texts = sequel_texts(stage, ROOT, said(stage))
    assert list(texts) == list(stage.ungraded)
    for path, text in texts.items():
        assert (folder / path.name).read_text("utf-8") == text
    with Gradebook(f"sqlite:///{tmp_path / 'class' / 'gradebook.db'}", "class") as gradebook:
        notebooks = gradebook.find_assignment(stage.folder).notebooks
        assert [notebook.name for notebook in notebooks] == [stage.folder]


def test_the_manifest_hashes_everything_fixed_and_nothing_that_students_write(released):
    manifest = Manifest.load(released / "manifest.json")
    assert list(manifest.stages) == [TOUR.folder, SDS.folder]
    for stage in (TOUR, SDS):
        its = manifest.stage(stage.folder)
        files = set(its.files)
        assert {"distillery/course/check.py", "main.py", "eval.py", "data/thresholds.yaml"} <= files
        assert {"data/hand_in.yaml", "data/models/tiny-clip/open_clip_model.safetensors"} <= files
        assert not files & {str(stage.notebook), f"guidance/{stage.module}.py", "README.md"}
        locked = [cell.grade_id for cell in its.cells if cell.locked]
        pictures = [f"{stage.module}-pictures"] * bool(stage.pictures)
        assert locked == [f"{stage.module}-{name}-check" for name in stage.points] + pictures


def test_every_class_that_the_settings_name_can_be_had(released):
    settings = settings_of(released)
    assert Path(settings.CourseDirectory.root) == released
    named = [
        *settings.Autograde.sanitize_preprocessors,
        *settings.Autograde.autograde_preprocessors,
        *settings.GenerateFeedback.preprocessors,
        settings.Autograde.pre_convert_hook,
        settings.GenerateFeedback.exporter_class,
        settings.GenerateFeedback.post_convert_hook,
        settings.AssignLatePenalties.plugin_class,
        settings.ExportApp.plugin_class,
    ]
    assert all(callable(import_item(name)) for name in named)
    assert NEEDED in named
    assert "nbgrader.preprocessors.Execute" not in named


def test_releasing_again_changes_no_byte_and_keeps_an_instructors_settings(
    released_course, monkeypatch
):
    quick(monkeypatch)
    kept = ["manifest.json", "bundles/00_tour.zip", "bundles/01_sds.zip", "rules.yaml"]
    before = {name: (released_course / name).read_bytes() for name in kept}
    settings = released_course / "nbgrader_config.py"
    settings.write_text(settings.read_text() + "\nc.Exchange.root = '/srv/exchange'\n")
    said: list[str] = []
    release([TOUR], released_course, say=said.append)
    assert {name: (released_course / name).read_bytes() for name in kept} == before
    assert "/srv/exchange" in settings.read_text()
    assert [line for line in said if "is your own and stays" in line]
    assert not [line for line in said if "warning" in line]
    assert not list(released_course.rglob("*.part"))


def test_settings_that_would_run_students_code_are_warned_of_and_can_be_replaced(tmp_path):
    path, said = tmp_path / "nbgrader_config.py", []
    path.write_text("c = get_config()\n")
    write_settings(tmp_path, root=ROOT, replace_yours=False, say=said.append)
    assert path.read_text() == "c = get_config()\n"
    assert "would run students' code with your rights" in said[-1]
    write_settings(tmp_path, root=ROOT, replace_yours=True, say=said.append)
    assert (tmp_path / "nbgrader_config.py.old").read_text() == "c = get_config()\n"
    assert NEEDED in settings_of(tmp_path).Autograde.autograde_preprocessors


def test_a_gradebook_that_does_not_answer_is_one_sentence():
    with pytest.raises(CourseError, match=r"cannot be used \(.*correct db_url"):
        module._ready_gradebook("sqlite+nothing://nowhere/class", "class")


def test_settings_that_nobody_touched_follow_the_course(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(settings_module, "TEXT", "c = get_config()  # {root}\n")
    write_settings(tmp_path, root=ROOT, replace_yours=False, say=said.append)
    monkeypatch.undo()
    write_settings(tmp_path, root=ROOT, replace_yours=False, say=said.append)
    assert NEEDED in settings_of(tmp_path).Autograde.autograde_preprocessors
    assert not (tmp_path / "nbgrader_config.py.old").exists()
    assert said == []


def test_points_and_optional_tasks_are_released_as_the_rules_say(released_course, monkeypatch):
    quick(monkeypatch)
    path = released_course / "rules.yaml"
    rules = yaml.safe_load(path.read_text())
    rules |= {"points": {"tour.add_noise": 5}, "optional": ["tour.predict_x0"]}
    path.write_text(yaml.safe_dump(rules))
    manifest = release([TOUR], released_course, say=lambda line: None)
    cells = cells_in(released_course / "release" / "00_tour" / "00_tour.ipynb")
    points = [cells[f"tour-{name}-check"].metadata.nbgrader.points for name in TOUR.points]
    assert points == [5, 0, 2]
    assert cells["tour-add_noise-check"].source == 'check("tour.add_noise").points(5)'
    assert [c.points for c in manifest.stage("00_tour").cells if c.locked] == [5, 0, 2]
    assert list(manifest.stages) == [TOUR.folder, SDS.folder]


def test_a_reference_that_is_wrong_is_not_released(tmp_path):
    root = broken_course(
        tmp_path, "+ (1 - alpha_bar).sqrt() * eps", "- (1 - alpha_bar).sqrt() * eps"
    )
    with pytest.raises(CourseError, match=r"fails the visible checks of tour\.add_noise"):
        release([TOUR], tmp_path / "class", root=root, say=lambda line: None)
    assert not (tmp_path / "class" / "release").exists()
    assert not bundle_of(tmp_path / "class", TOUR.folder).exists()


def test_a_stub_that_is_right_is_not_released(tmp_path):
    answer = "    return (xt - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()\n"
    old = f"    {BEGIN}\n{answer}"
    with pytest.raises(
        CourseError, match=r"the stub passes the visible checks of tour\.predict_x0"
    ):
        verified(TOUR, broken_course(tmp_path, old, f"{answer}{old}"))


def test_what_the_hidden_checks_say_counts_too(monkeypatch):
    right = {f"tour.{name}": points for name, points in TOUR.points.items()}
    none = dict.fromkeys(right, 0.0)
    for graded, says in (
        (
            (right | {"tour.add_noise": 1}, none),
            "the reference fails the hidden checks of tour.add",
        ),
        ((right, none | {"tour.predict_x0": 1}), "the stub passes the hidden checks of tour.pred"),
    ):
        monkeypatch.setattr(module, "_graded", lambda *_, graded=graded: graded)
        with pytest.raises(CourseError, match=says):
            verified(TOUR)


def test_a_release_that_is_interrupted_leaves_the_old_one_whole(released_course, monkeypatch, tree):
    quick(monkeypatch)
    kept = ("manifest.json", "bundles/00_tour.zip")
    before = {name: (released_course / name).read_bytes() for name in kept}

    def interrupted(*_):
        raise KeyboardInterrupt

    for step in ("contents", "bundle"):
        monkeypatch.setattr(module, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            release([TOUR], released_course, say=lambda line: None)
        monkeypatch.setattr(module, step, getattr(bundle_module, step))
    assert {name: (released_course / name).read_bytes() for name in kept} == before
    assert not [name for name in tree(released_course) if name.endswith(".part")]
    release([TOUR], released_course, say=lambda line: None)
    assert (released_course / "bundles/00_tour.zip").read_bytes() == before["bundles/00_tour.zip"]


def test_a_gradebook_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"

    def no_alembic():
        raise FileNotFoundError("alembic")

    with monkeypatch.context() as patch:
        patch.setattr("nbgrader.api.get_alembic_version", no_alembic)
        with pytest.raises(FileNotFoundError):
            module._ready_gradebook(url, "class")
    assert not (tmp_path / "gradebook.db").exists()
    monkeypatch.setattr("nbgrader.api.get_alembic_version", lambda: "724cde206c17")
    module._ready_gradebook(url, "class")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gradebook.db"]
    module._ready_gradebook(url, "class")


def test_half_a_gradebook_is_not_built_upon(tmp_path):
    path = tmp_path / "gradebook.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE assignment (id INTEGER)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CourseError, match="not a complete gradebook; move it away"):
        module._ready_gradebook(f"sqlite:///{path}", "class")
    assert path.read_bytes() == before


def test_what_nbgrader_refuses_is_said(released_course, monkeypatch):
    quick(monkeypatch)
    broken = json.loads(student_text(TOUR))
    broken["cells"][-1]["source"] = BEGIN
    broken["cells"][-1]["cell_type"] = "markdown"
    files = {Path("source/00_tour/00_tour.ipynb"): json.dumps(broken).encode()}
    monkeypatch.setattr(module, "nbgrader_files", lambda *_: files)
    with pytest.raises(CourseError, match=r"nbgrader does not release 00_tour: .*no end solution"):
        release([TOUR], released_course, say=lambda line: None)


def test_stages_go_by_folder_or_module_and_come_in_order():
    assert stages_named([]) == list(STAGES)
    assert stages_named(["sds", "00_tour", "01_sds"]) == [TOUR, SDS]
    with pytest.raises(CourseError, match="there is no stage 'vds'; there are 00_tour, "):
        stages_named(["vds"])


def test_rules_are_written_once_with_a_seed_and_then_are_the_instructors(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Seoul")
    said: list[str] = []
    rules = module._rules(tmp_path, said.append)
    assert rules.seed is not None
    assert rules.time_zone == "Asia/Seoul"
    assert len(said) == 2
    assert "Times without a zone are read in Asia/Seoul" in said[1]
    own = Rules(seed=3, partial_credit=False, time_zone="America/New_York")
    own.save(tmp_path / "rules.yaml")
    assert module._rules(tmp_path, said.append) == own
    assert len(said) == 3
    assert "Times without a zone are read in America/New_York" in said[2]


def test_a_machine_without_a_zone_of_its_own_says_that_it_takes_utc(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "<-03>3")
    said: list[str] = []
    assert module._rules(tmp_path, said.append).time_zone == "UTC"
    assert "because this machine names no zone of its own" in said[1]


def test_a_release_says_what_it_does_how_long_it_takes_and_when_it_is_due(
    released_course, monkeypatch
):
    quick(monkeypatch)
    Rules(seed=3, time_zone="America/New_York").save(released_course / "rules.yaml")
    with Gradebook(f"sqlite:///{released_course / 'gradebook.db'}", "class") as gradebook:
        gradebook.update_or_create_assignment(TOUR.folder, duedate="2026-11-23 04:59:00 UTC")
    said: list[str] = []
    release([TOUR], released_course, say=said.append)
    text = "\n".join(said)
    assert "1 stage to release; each takes" in text
    assert "00_tour (1 of 1): grading the reference and the stubs" in text
    assert re.search(r"students get .*00_tour\.zip \(\d+\.\d s\)\.", text)
    assert "00_tour is due Sun 22 Nov 2026 23:59 America/New_York (Mon 04:59 UTC)." in text
    assert re.search(r"1 stage released in \d+ s\.$", text)


def test_all_stages_are_verified_in_one_sandbox_and_no_picture_is_drawn(monkeypatch):
    opened, drawn = [], []
    as_ever = grade_module.open_sandbox
    monkeypatch.setattr(
        grade_module, "open_sandbox", lambda name: opened.append(name) or as_ever(name)
    )
    monkeypatch.setattr(grade_module, "expected_pictures", lambda *_: drawn.append(1))
    with trial_grader(Rules(seed=0)) as grader:
        for stage in (TOUR, SDS):
            assert verify(stage, ROOT, grader) == sum(stage.points.values())
    assert len(opened) == 1
    assert drawn == []


def test_the_command_says_in_one_sentence_what_is_wrong(capsys):
    assert command.main(["release", "nothing"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no stage 'nothing'; ")
    assert command.main(["relaese"]) == 2
    assert "choose a command: " in capsys.readouterr().err
    assert command.main(["--help"]) == 0
    assert "validate" in capsys.readouterr().out
