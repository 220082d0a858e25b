"""The folder of a hub: what students may read of it, and what becomes of it when made again."""

from __future__ import annotations

import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from traitlets.config.loader import Config, PyFileConfigLoader

from distillery.core.errors import CourseError
from grading.__main__ import main as grading
from grading.core.manifest import NAME as MANIFEST
from grading.core.manifest import TOP, Manifest, StageManifest, bundle_of
from grading.core.nbgrader_config import settings_of, write_settings
from grading.hub.hub_settings import load_hub
from grading.hub.make_hub import CONFIGS, STARTED, make_hub
from grading.hub.proxy import program
from grading.hub.servers import check_closed, configure, prepare, student_environment

MODULE = "tour"


def put_into(bundle: Path, **files: str) -> None:
    bundle.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{TOP}/{name.replace('__', '/')}.py", text)
        archive.writestr(f"{TOP}/notebooks/00_tour/00_tour.ipynb", "{}")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course folder with nbgrader's settings and one stage released."""
    folder = tmp_path / "class"
    folder.mkdir()
    write_settings(folder, root=tmp_path, replace_yours=False, say=print)
    stage = StageManifest(MODULE, (), "", "", "", (), {})
    (folder / MANIFEST).write_text(Manifest("1", {"00_tour": stage}).text())
    put_into(bundle_of(folder, "00_tour"), main="first = 1", guidance__tour="stub = 1")
    return folder


@pytest.fixture
def made(course: Path, tmp_path: Path) -> Path:
    """The hub's folder, made under a umask that would let nobody read anything."""
    before = os.umask(0o077)
    try:
        who = ["--course", str(course), "--instructor", "iris", "--students", "ada", "bea"]
        assert grading(["hub", str(tmp_path / "hub"), *who]) == 0
    finally:
        os.umask(before)
    return tmp_path / "hub"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_students_may_read_what_they_share_and_nobody_reads_the_rest(made):
    shared = load_hub(made).shared
    assert (shared / "main.py").read_text() == "first = 1"
    assert {mode(path) for path in shared.rglob("*") if path.is_file()} == {0o644}
    assert {mode(path) for path in (shared, *shared.rglob("*")) if path.is_dir()} == {0o755}
    assert mode(made / "hub.yaml") == 0o600
    assert mode(made / "state") == 0o700


def test_notebooks_come_by_the_exchange_alone(made):
    assert not (load_hub(made).shared / "notebooks").exists()


def test_the_exchange_lets_students_add_and_neither_list_nor_remove(made):
    exchange = made / "exchange"
    read, write, enter = stat.S_IROTH, stat.S_IWOTH, stat.S_IXOTH
    others = {"": read | write | enter, "class": read | enter, "class/outbound": read | enter}
    others |= {"class/inbound": write | enter, "class/feedback": enter}
    for name, wanted in others.items():
        assert mode(exchange / name) & stat.S_IRWXO == wanted, name
    for name in ("", "class/inbound"):
        assert mode(exchange / name) & stat.S_ISVTX, name


def test_the_course_names_the_exchange_once(made, course):
    assert settings_of(course).Exchange.root == str(made / "exchange")
    make_hub(load_hub(made))
    assert (course / "nbgrader_config.py").read_text().count("Exchange.root") == 1


def test_another_exchange_is_not_replaced(made, course, tmp_path, capsys):
    who = ["--course", str(course), "--instructor", "iris", "--students", "ada"]
    assert grading(["hub", str(tmp_path / "second"), *who]) == 2
    assert str(made / "exchange") in capsys.readouterr().err


def test_a_later_release_is_added_and_what_was_changed_by_hand_stays(made, course):
    put_into(bundle_of(course, "00_tour"), main="second = 2", guidance__sds="stub = 2")
    (made / "jupyterhub_config.py").write_text("mine")
    assert grading(["hub", str(made)]) == 0
    shared = load_hub(made).shared
    assert (shared / "main.py").read_text() == "second = 2"
    assert sorted(path.name for path in (shared / "guidance").iterdir()) == ["sds.py", "tour.py"]
    assert (made / "jupyterhub_config.py").read_text() == "mine"


def test_who_is_in_the_class_is_changed_in_its_file(made, capsys):
    assert grading(["hub", str(made), "--students", "eve"]) == 2
    assert "hub.yaml says who is in the class: change it there" in capsys.readouterr().err


def test_a_course_without_a_release_is_refused(course, tmp_path, capsys):
    (course / MANIFEST).unlink()
    who = ["--course", str(course), "--instructor", "iris", "--students", "ada"]
    assert grading(["hub", str(tmp_path / "hub"), *who]) == 2
    assert "run python -m grading release" in capsys.readouterr().err
    assert not (tmp_path / "hub").exists()


def test_a_hub_does_not_start_while_students_could_read_answers(made, course, tmp_path):
    clone = tmp_path / "clone"
    (clone / "reference").mkdir(parents=True)
    (clone / "grading").mkdir()
    for folder in (course, clone):
        folder.chmod(0o700)
    # pytest has closed folders above them, which here must not be what keeps others out.
    closed = [place for place in tmp_path.parents if mode(place) == 0o700]
    try:
        for place in (*closed, tmp_path):
            place.chmod(0o755)
        check_closed(load_hub(made), clone)
        for folder in (course, clone):
            folder.chmod(0o755)
            with pytest.raises(CourseError, match=rf"does not start: chmod o= {folder}$"):
                check_closed(load_hub(made), clone)
            folder.chmod(0o700)
    finally:
        for place in closed:
            place.chmod(0o700)


def test_each_server_runs_in_its_users_environment_and_folder(made):
    hub = replace(load_hub(made), student_python=made / "students" / "env" / "bin" / "python")
    servers = {}
    for name in ("iris", "ada"):
        servers[name] = SimpleNamespace(user=SimpleNamespace(name=name), environment={})
        prepare(hub, servers[name])
    assert servers["iris"].notebook_dir == str(hub.course)
    assert servers["iris"].environment["JUPYTER_CONFIG_PATH"] == str(hub.course)
    assert servers["ada"].cmd[0] == str(hub.student_python)
    assert str(hub.course) not in servers["ada"].environment.values()


def test_students_servers_find_the_shared_course_and_nothing_of_the_clone(made):
    environment = student_environment(load_hub(made))
    assert environment["PYTHONPATH"] == str(made / "students" / TOP)
    assert not [name for name, value in environment.items() if str(CONFIGS) in value]


@pytest.mark.parametrize(
    ("name", "spawner"),
    list(zip(STARTED, ("LocalProcessSpawner", "SimpleLocalProcessSpawner"), strict=True)),
)
def test_a_hub_admits_only_its_class(made, name, spawner, monkeypatch):
    app = pytest.importorskip("jupyterhub.app", reason="no JupyterHub here")
    monkeypatch.setenv("HUB_PASSWORD", "a password")
    monkeypatch.setattr("grading.hub.servers.is_open", lambda folder: False)
    config = PyFileConfigLoader(name, path=str(made)).load_config()
    hub = app.JupyterHub(config=config)
    assert hub.spawner_class.__name__ == spawner
    assert hub.authenticator_class(config=config).allowed_users == {"iris", "ada", "bea"}
    assert str(made / "state") in hub.db_url


def test_a_proxy_that_was_fetched_is_used_where_the_machine_has_none(made, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    config = Config()
    configure(config, load_hub(made))
    assert config.ConfigurableHTTPProxy.command == [str(program())]
