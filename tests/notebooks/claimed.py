"""What the notebooks say of their own figures, with the code that holds them to it.

`claims/STAGE.yaml` is a list. `says` is a piece of a Markdown cell. `holds` is code that is run
in the notebook's kernel when the reader comes to that cell, with asserts about what the cells have
computed by then; with `below: true`, after the cells of code that follow. `always: true` is for
what also holds with a share of a run's steps; all others are asked only where every step is taken,
by `make notebooks-full`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent / "claims"


@dataclass(frozen=True)
class Claim:
    """A piece of text and the code that fails where it is not so."""

    says: str
    holds: str
    always: bool = False
    below: bool = False

    def __post_init__(self) -> None:
        assert "assert" in self.holds, self.says

    def stands_in(self, text: str) -> bool:
        return in_one_line(self.says) in in_one_line(text)

    def asked_at(self, effort: float) -> bool:
        return self.always or effort == 1


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def claims_of(folder: str) -> list[Claim]:
    """Those of a stage's notebook, or none."""
    path = FOLDER / f"{folder}.yaml"
    entries = yaml.safe_load(path.read_text("utf-8")) if path.exists() else []
    return [Claim(**entry) for entry in entries]


def code_of(claims: list[Claim], texts: tuple[str, str], effort: float) -> Iterator[str]:
    """The code to run between two texts: what the first says of what is below it, and the second.

    The last text of a notebook is followed by an empty one.
    """
    for claim in claims:
        if claim.stands_in(texts[0 if claim.below else 1]) and claim.asked_at(effort):
            yield f"if True:  # {in_one_line(claim.says)}\n" + "".join(
                f"    {line}\n" for line in claim.holds.splitlines()
            )
