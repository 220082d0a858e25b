"""What the doctor says of a machine, and when it says no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grading.sandbox import doctor, select_backend
from grading.sandbox.doctor import Finding
from grading.sandbox.escape_cases import ESCAPES
from grading.sandbox.jobs import Job, Limits, Reply, SandboxError


class FakeSandbox:
    """Answers every job at once."""

    def __init__(
        self, name: str = "bubblewrap", leaves_open: tuple[str, ...] = (), found: object = "here"
    ) -> None:
        self.name = name
        self.leaves_open = leaves_open
        self.found = found

    def run(self, job: Job, limits: Limits | None = None) -> Reply:
        return Reply("returned", {"found": self.found})

    def __enter__(self) -> FakeSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def examined(
    monkeypatch: pytest.MonkeyPatch,
    outcomes: list[str],
    sandbox: FakeSandbox | None = None,
) -> None:
    """A machine with that sandbox, in which the escapes got away with that."""

    def attempts(*_: object) -> Iterator[tuple[Any, str]]:
        yield from zip(ESCAPES, outcomes, strict=False)

    monkeypatch.setattr(doctor, "machine", lambda: iter([Finding("Python", "ok", "3.11")]))
    monkeypatch.setattr(select_backend, "tried", lambda name: sandbox or FakeSandbox())
    monkeypatch.setattr(doctor, "_whole_program", lambda: Finding("a whole program", "ok"))
    monkeypatch.setattr(doctor, "attempt_all", attempts)


def test_a_sandbox_that_holds_is_status_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined(monkeypatch, ["", ""])

    assert doctor.main([]) == 0
    assert "The sandbox bubblewrap holds against all 2 attacks." in capsys.readouterr().out


def test_one_way_out_is_status_1_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined(monkeypatch, ["", "gradebook", ""])

    assert doctor.main([]) == 1
    said = capsys.readouterr().out
    assert f"{ESCAPES[1].name:<52} NO    gradebook" in said
    assert "DOES NOT HOLD: 1 of 3 attacks got out" in said


def test_what_a_weaker_sandbox_leaves_open_is_said_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = ["64 MB" if escape.name == "fill the disk" else "" for escape in ESCAPES]
    weaker = FakeSandbox("landlock", ("Scratch lies on the disk.",))
    examined(monkeypatch, outcomes, weaker)

    assert doctor.main(["--sandbox", "landlock"]) == 0
    said = capsys.readouterr().out
    assert "LEFT OPEN" in said
    assert "-> Scratch lies on the disk." in said
    assert f"{'fill the disk':<52} open  64 MB" in said
    assert "what is marked open above is not protected" in said


def test_limits_alone_are_never_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    examined(monkeypatch, ["", ""], FakeSandbox("limits", ("NOT ISOLATED",)))

    assert doctor.main(["--sandbox", "limits"]) == 1


def test_no_sandbox_at_all_is_status_1_with_the_reasons_and_remedies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined(monkeypatch, [])

    def fails(name: str) -> Any:
        raise SandboxError("bubblewrap is not installed: apt-get install bubblewrap")

    monkeypatch.setattr(select_backend, "tried", fails)

    assert doctor.main([]) == 1
    said = capsys.readouterr().out
    assert "install bubblewrap: apt-get install bubblewrap" in said
    assert "Do not run students' code on this machine" in said
    assert "limits" not in said


def test_a_package_that_is_too_old_or_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda package: "0.9.4")

    found = doctor._package("nbgrader", "0.9.5")

    assert (found.state, found.fix) == ("NO", "pip install 'nbgrader>=0.9.5'")
    assert doctor._package("nbgrader", "0.9.4").state == "ok"
    monkeypatch.undo()
    assert doctor._package("no-such-package-here", "1").said == "not installed"


def test_a_version_counts_by_its_numbers() -> None:
    assert doctor._numbers("0.10.1") > doctor._numbers("0.9.5")
    assert doctor._numbers("2.6.0+cpu") >= doctor._numbers("2.6")


def test_a_program_that_is_not_on_the_path_says_how_to_put_it_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert doctor._program("alembic").fix.startswith('export PATH="')


def test_a_model_that_is_cut_short_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "models" / "tiny-sd"
    folder.mkdir(parents=True)
    (folder / "unet.safetensors").write_bytes(b"\x08\0\0\0")
    monkeypatch.setattr(doctor.mounts, "COURSE", tmp_path)

    (found,) = doctor._models()

    assert (found.what, found.state) == ("model tiny-sd", "NO")
    assert "unet.safetensors" in found.said


def test_weights_that_a_job_cannot_read_are_named_with_what_makes_them_readable() -> None:
    hidden: Any = FakeSandbox(found=["weights.safetensors"])
    finding = doctor._models_inside(hidden)
    assert (finding.state, finding.said) == ("NO", "cannot read weights.safetensors")
    assert "chmod -R a+rX" in finding.fix


def test_this_machine_is_described_without_a_fault_of_the_doctors_own() -> None:
    found = list(doctor.machine())

    assert {"Python", "nbgrader", "GPU", "model tiny-sd"} <= {one.what for one in found}
    assert all(one.state in ("ok", "NO", "-") for one in found)
