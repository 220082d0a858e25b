"""What is measured of the memory of pictures of any size, and what is told of the numbers."""

from __future__ import annotations

import json

import pytest

from benchmarks import elastic_memory
from benchmarks.elastic_memory import CLEAR, Asked, Case, Row, growths, in_a_process, main

pytestmark = pytest.mark.skipif(not CLEAR.exists(), reason="it needs Linux")


@pytest.mark.parametrize("view_batch_size", [1, 3])
def test_the_network_is_never_asked_about_more_views_at_once(view_batch_size):
    found = in_a_process(Case("returned", "elastic", 128, 64, view_batch_size))
    reference = 2 * 12 * 24 / 16**2  # with and without the prompt
    assert found.views == 5
    assert found.samples == view_batch_size * reference
    assert found.peak > 0


def of_its_area(case: Case) -> Asked:
    """Steps that need as much as their batch, and a decoder that needs as much as the picture."""
    views = case.height * case.width // 1024
    peak = float(min(views, case.view_batch_size) if case.part == "elastic" else views)
    return Asked(views, 2.0, peak)


def test_a_table_is_printed_and_kept_beside_what_was_there(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(elastic_memory, "in_a_process", of_its_area)
    file = tmp_path / "memory.json"
    given = ["--malloc", "kept", "--repeats", "2", "--json", str(file), "--view_batch_size", "16"]
    main([*given, "--parts", "elastic", "--sides", "64", "128", "128", "128"])
    main([*given, "--parts", "elastic", "decode", "--sides", "128", "128", "256", "256"])
    kept = [Row(**row) for row in json.loads(file.read_text())]
    assert [(row.part, row.height, row.width, row.peaks) for row in kept] == [
        ("elastic", 64, 128, [8.0, 8.0]),
        ("elastic", 128, 128, [16.0, 16.0]),
        ("elastic", 256, 256, [16.0, 16.0]),
        ("decode", 128, 128, [16.0, 16.0]),
        ("decode", 256, 256, [64.0, 64.0]),
    ]
    printed = capsys.readouterr().out.splitlines()
    assert [float(line.split()[-1]) for line in printed if " x " in line] == [1, 2, 2, 2, 1, 4]
    assert printed[-1] == "kept, view_batch_size 16: 16 to 64 views, 16.0 to 16.0 MiB, 1.00 times"


def test_growth_is_told_between_sizes_whose_batches_are_full_alone():
    sizes = [(64, 2, 3.0), (128, 4, 5.0), (192, 9, 5.5), (256, 16, 6.0)]
    rows = [Row("kept", "elastic", side, side, 4, views, 4, [peak]) for side, views, peak in sizes]
    assert list(growths(rows)) == [
        "kept, view_batch_size 4: 4 to 16 views, 5.0 to 6.0 MiB, 1.20 times"
    ]
    assert list(growths(rows[:2])) == []
