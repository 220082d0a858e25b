"""Titles in letters of many scripts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pypdfium2
import pystitch
import pytest

from distillery.crafts import fonts
from distillery.crafts.beads import write_beads
from distillery.crafts.embroidery import write_dst

CELLS, PALETTE = np.array([[0, 1], [1, 0]]), np.array([[0.9, 0.1, 0.1], [0.1, 0.2, 0.8]])


def made(path: Path, title: str) -> pypdfium2.PdfDocument:
    write_beads(path, CELLS, PALETTE, title=title)
    return pypdfium2.PdfDocument(path)


def words_on(pdf: pypdfium2.PdfDocument) -> str:
    return " ".join(pdf[0].get_textpage().get_text_range().split())


def test_cyrillic_and_greek_are_drawn(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    pdf = made(tmp_path / "a.pdf", "Синяя лодка, μπλε")

    assert "Синяя лодка, μπλε" in words_on(pdf)
    assert not recwarn.list


def test_letters_that_no_font_has_are_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts.lettering, "machine_fonts", lambda: ())
    fonts._other_font.cache_clear()

    with pytest.warns(UserWarning, match="no font here has the letters 船 🚀; the title is"):
        pdf = made(tmp_path / "a.pdf", "a 船 boat 🚀")

    assert re.search("a boat", words_on(pdf))
    assert pdf.get_metadata_dict()["Title"] == "a 船 boat 🚀"


def test_a_letter_is_drawn_in_another_font_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    math = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "STIXSizOneSymReg.ttf"
    letter = "\u2a00"
    monkeypatch.setattr(fonts, "_letters", lambda: (frozenset("ab"), frozenset("ab")))
    monkeypatch.setattr(fonts.lettering, "machine_fonts", lambda: (math,))
    fonts._other_font.cache_clear()

    assert fonts.runs(f"a{letter}b", bold=False) == [
        ("DejaVuSans", "a"),
        ("Other0", letter),
        ("DejaVuSans", "b"),
    ]
    fonts._other_font.cache_clear()


def test_a_machine_shows_plain_letters_and_that_it_shows_none_is_said(tmp_path: Path) -> None:
    write_dst(tmp_path / "a.dst", CELLS, PALETTE, title="Zoë")
    assert pystitch.read(str(tmp_path / "a.dst")).get_metadata("name") == "Zoe"

    with pytest.warns(UserWarning, match="can show no letter of the title '船'"):
        write_dst(tmp_path / "b.dst", CELLS, PALETTE, title="船")


def test_words_on_a_picture_have_a_font_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts.lettering, "machine_fonts", lambda: ())

    font, words = fonts.lettering.lettering("лодка", 13)
    assert (font.getname()[0], words) == ("DejaVu Sans", "лодка")
    with pytest.warns(UserWarning, match="no font here has the letters 船 of 'a 船'"):
        assert fonts.lettering.lettering("a 船", 13)[1] == "a "
