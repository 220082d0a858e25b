"""A run that was broken off goes on from the prompts that it has, and only from those."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import vsd_variety
from benchmarks.vsd_variety import Outcome, distilled, figures
from distillery.methods.settings import Settings
from distillery.toybox import Factors

BOAT = Factors("boat", "red", "on a frozen river")
CAT = Factors("cat", "blue", "in the forest")
CPU = SimpleNamespace(device="cpu")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that were drawn, each as pictures of its length."""
    prompts: list[str] = []

    class Run:
        def __init__(self, prompt: str, count: int) -> None:
            self.pictures = torch.full((count, 3, 2, 2), float(len(prompt)))

        def steps(self) -> Iterator[None]:
            return iter(())

        def images(self) -> torch.Tensor:
            return self.pictures

    def from_noise(prior: Any, module: Any, asked: list[str], settings: Settings, **_: Any) -> Run:
        prompts.append(asked[0])
        return Run(asked[0], len(asked))

    monkeypatch.setattr(vsd_variety, "from_noise", from_noise)
    return prompts


def run(wanted: list[Factors], keep: Path | None, *, method: str = "vsd", seeds: int = 2) -> Any:
    return list(distilled(CPU, method, wanted, seeds, keep))  # type: ignore[arg-type]


def test_what_is_finished_is_not_drawn_again(drawn: list[str], tmp_path: Path) -> None:
    (first,) = run([BOAT], tmp_path)
    again, other = run([BOAT, CAT], tmp_path)
    assert drawn == [str(BOAT), str(CAT)]
    assert torch.equal(first, again)
    assert not torch.equal(again, other)


def test_other_particles_methods_and_runs_that_keep_nothing_are_drawn(
    drawn: list[str], tmp_path: Path
) -> None:
    run([BOAT], tmp_path)
    run([BOAT], tmp_path, seeds=3)
    run([BOAT], tmp_path, method="sds")
    run([BOAT], None)
    assert drawn == [str(BOAT)] * 4


def test_other_weights_are_drawn_with(
    drawn: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run([BOAT], tmp_path)
    monkeypatch.setattr(vsd_variety, "weights_hash", lambda folder: "other")
    run([BOAT], tmp_path)
    assert drawn == [str(BOAT)] * 2


def test_variety_is_kept_relative_to_drawings() -> None:
    real = Outcome(right=1.0, clip=0.8, aparts=(2.0, 6.0), chroma=0.4, sharpness=0.1)
    ours = Outcome(right=0.75, clip=0.7, aparts=(2.0, 4.0), chroma=0.2, sharpness=0.05)
    kept = figures({"VSD": ours}, real, 16)
    assert kept["vsd_variety"].value == pytest.approx(3 / 4)
    # 2/4 and 4/4: their sample deviation is 0.3536, over the root of two.
    assert kept["vsd_variety"].spread == pytest.approx(0.25)
    assert kept["vsd_chroma"].value == kept["vsd_sharpness"].value == pytest.approx(0.5)
    assert kept["vsd_right"].spread == pytest.approx((0.75 * 0.25 / 16) ** 0.5)
