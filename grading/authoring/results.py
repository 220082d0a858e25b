"""docs/results.md, and what model cards repeat of it, from the records that benchmarks wrote.

The text stands in docs/results.md.in, with a place in braces for each figure: {record.figure:.1%},
where `record` is a file of docs/measured/ and the rounding is Python's. {record.command} is what
was typed, {record.n} how many were measured, {record.when} the day, and {record.timed} the day with
a word on whether the machine was busy, for figures that are times.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from distillery.core.errors import CourseError
from distillery.core.files import read_text
from distillery.core.measured import Figure, Record, read_measured, weights_hash

SOURCE, RESULTS = Path("docs/results.md.in"), Path("docs/results.md")
RECORDS, MODELS = Path("docs/measured"), Path("data/models")
PLACE = re.compile(r"\{(\w+)\.(\w+)(?::([^{}]+))?\}")
MADE = f"\n<!-- Made from {SOURCE} by `python -m grading build`: change it there. -->\n"
CARRIED = "carried over"
SCALES, SIZES = ("1", "3", "5"), ("64x64", "64x128", "128x64", "128x128", "192x192")


def _of_scales(figure: str) -> list[str]:
    return [f"{{{figure}_cfg_{scale}:.1%}}" for scale in SCALES]


def _of_sizes(number: str, reading: str) -> list[str]:
    both = "{{counter.{0}_{1}_drawn_{2}:.1%}} / {{counter.{0}_{1}_vae_{2}:.1%}}"
    return [both.format(number, size, reading) for size in SIZES]


CARDS = {  # by model: a line of its card begins with this, and the build writes its further cells
    "tiny-sd": {
        "| DDIM 30 steps, 64 prompts of trained combinations |": _of_scales("tiny_sd.sd_trained"),
        "| the same, of held-out combinations |": _of_scales("tiny_sd.sd_held_out"),
    },
    "tiny-sdxl": {
        "| trained combinations |": _of_scales("tiny_sdxl.sdxl_trained"),
        "| held-out combinations |": _of_scales("tiny_sdxl.sdxl_held_out"),
    },
    "counter": {
        "| no thing |": _of_sizes("none", "count"),
        "| one thing |": _of_sizes("one", "count"),
        "| two of a kind |": _of_sizes("two", "count"),
        "| three things |": _of_sizes("three", "count"),
        "| one right |": _of_sizes("one", "one_right"),
        "| one of the kind |": _of_sizes("one", "one_of_the_kind"),
        "| twice, of two |": _of_sizes("two", "twice"),
        "| twice, of one |": _of_sizes("one", "twice"),
    },
}


def results_texts(root: Path) -> dict[Path, bytes]:
    """docs/results.md and the cards that are there, by their path, with the figures of today.

    Raises:
        CourseError: a place names no record or no figure of one, or a record is damaged.
    """
    records = all_records(root)
    texts = {}
    if (root / SOURCE).exists():
        texts[RESULTS] = filled(read_text(root / SOURCE), records, root) + MADE
    for model, rows in CARDS.items():
        card = MODELS / model / "README.md"
        if (root / card).exists() and records:
            texts[card] = _with_rows(read_text(root / card), rows, records, root)
    return {path: text.encode() for path, text in texts.items()}


def all_records(root: Path) -> dict[str, Record]:
    """Every record by its name."""
    return {path.stem: read_measured(path) for path in sorted((root / RECORDS).glob("*.yaml"))}


def filled(text: str, records: dict[str, Record], root: Path) -> str:
    """A text with the figures of records in its places."""

    def put(match: re.Match[str]) -> str:
        name, what, rounding = match.groups()
        if name not in records:
            raise CourseError(
                f"{SOURCE} has a place {match[0]}, but there is no {RECORDS / name}.yaml; "
                "run the benchmark with --record."
            )
        return _told(records[name], what, rounding, match[0], root)

    return PLACE.sub(put, text)


def _told(record: Record, what: str, rounding: str | None, place: str, root: Path) -> str:
    if what == "command":
        return f"`{record.command}`"
    if what == "n":
        return str(record.n)
    if what == "when":
        return when(record, root)
    if what == "timed":
        return when(record, root) + busy(record)
    if what not in record.figures:
        known = ", ".join(record.figures)
        raise CourseError(f"the place {place} names no figure of its record; it has {known}.")
    if rounding is None:
        raise CourseError(f"the place {place} needs its rounding, such as {place[:-1]}:.2f}}.")
    return rounded(record.figures[what], rounding)


def rounded(figure: Figure, rounding: str) -> str:
    """The figure as it is read: a share with a blank before its sign, 95.8 %."""
    return f"{figure.value:{rounding}}".replace("%", " %")


def when(record: Record, root: Path) -> str:
    """The day of a record, and whether its models have been trained on since."""
    if record.carried_over:
        return CARRIED
    changed = [
        model for model, was in record.models.items() if _weights(root / MODELS / model) != was
    ]
    return record.date + f", with earlier weights of {', '.join(changed)}" * bool(changed)


def busy(record: Record) -> str:
    """A word where more wanted a core at the end of the run than there were cores."""
    return ", on a busy machine" if record.busy and record.busy > 1 else ""


@cache
def _weights(folder: Path) -> str:
    return weights_hash(folder) if folder.is_dir() else ""  # a model that is gone has changed


def _with_rows(
    card: str, rows: dict[str, list[str]], records: dict[str, Record], root: Path
) -> str:
    lines = []
    for line in card.split("\n"):
        for begins, cells in rows.items():
            if line.startswith(begins):
                line = filled(f"{begins} {' | '.join(cells)} |", records, root)
        lines.append(line)
    return "\n".join(lines)
