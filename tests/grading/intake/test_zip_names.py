"""Zips of every system come out with the folders and names that their writer meant."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from grading.intake.archives import SubmissionError, unpack
from grading.intake.zip_names import code_page

UTF_8 = 0x800


def zip_of(path: Path, *names: bytes, flags: int = 0, extra: bytes = b"", local: str = "") -> Path:
    """A zip of files without content, whose names are written as the bytes they are.

    local: what the name before the content has in place of each backslash.
    """
    parts, listed = [], []
    offset = 0
    for name in names:
        before = name.replace(b"\\", local.encode()) if local else name
        sizes = struct.pack("<HHLLLHH", 0, 0x5C21, 0, 0, 0, len(before), 0)
        parts.append(b"PK\x03\x04" + struct.pack("<HHH", 20, flags, 0) + sizes + before)
        sizes = struct.pack("<HHLLLHH", 0, 0x5C21, 0, 0, 0, len(name), len(extra))
        rest = struct.pack("<HHHLL", 0, 0, 0, 0, offset)
        listed.append(b"PK\x01\x02" + struct.pack("<HHHH", 20, 20, flags, 0) + sizes + rest)
        listed[-1] += name + extra
        offset += len(parts[-1])
    body, central = b"".join(parts), b"".join(listed)
    end = struct.pack("<HHHHLLH", 0, 0, len(names), len(names), len(central), len(body), 0)
    path.write_bytes(body + central + b"PK\x05\x06" + end)
    return path


def unpacked(path: Path, *names: bytes, **changes: object) -> list[str]:
    zip_of(path / "a.zip", *names, **changes)  # type: ignore[arg-type]
    unpack(path / "a.zip", path / "out")
    found = (path / "out").rglob("*")
    return sorted(p.relative_to(path / "out").as_posix() for p in found if p.is_file())


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("cp932", ["表.ipynb", "予測/ソース.ipynb"]),  # the second bytes of 表, 予 and ソ are 0x5C
        ("cp932", ["report表紙.ipynb"]),
        ("gbk", ["作业/项目.ipynb"]),
        ("big5", ["功課.ipynb"]),
        ("cp437", ["Übung/Müller.ipynb"]),
        ("cp850", ["Größe/Ñandú.ipynb"]),
        ("cp1252", ["Prüfung/naïve.ipynb"]),
        ("cp866", ["Работа/ответ.ipynb"]),
        ("utf-8", ["Übung/表.ipynb", "과제.ipynb"]),
    ],
)
def test_names_in_any_code_page_are_read_as_they_were_meant(page, names, tmp_path):
    assert unpacked(tmp_path, *(name.encode(page) for name in names)) == sorted(names)


def test_korean_letters_divide_no_folders(tmp_path):
    (name,) = unpacked(tmp_path, "과제/제출.ipynb".encode("cp949"))
    assert name.count("/") == 1
    assert name.endswith(".ipynb")


@pytest.mark.parametrize("page", ["cp850", "cp1252"])
def test_a_backslash_behind_an_accent_divides_folders(page, tmp_path):
    (name,) = unpacked(tmp_path, "Café\\00_tour.ipynb".encode(page))
    assert name.split("/")[1:] == ["00_tour.ipynb"]


def test_backslashes_divide_folders_also_beside_letters_that_hold_their_byte(tmp_path):
    assert unpacked(tmp_path, "課題\\表\\予.ipynb".encode("cp932"), b"empty\\") == [
        "課題/表/予.ipynb"
    ]


def test_a_flag_and_an_extra_field_say_what_a_name_is(tmp_path):
    (tmp_path / "a").mkdir()
    assert unpacked(tmp_path / "a", "hw\\Übung.ipynb".encode(), flags=UTF_8) == ["hw/Übung.ipynb"]
    raw, said = b"hw/?bung.ipynb", "hw/Übung.ipynb".encode()
    for crc, expected in ((zlib.crc32(raw), "hw/Übung.ipynb"), (0, "hw/?bung.ipynb")):
        field = struct.pack("<BI", 1, crc) + said
        extra = b"\x01\x00\x02\x00xx" + struct.pack("<HH", 0x7075, len(field)) + field
        folder = tmp_path / f"b{crc}"
        folder.mkdir()
        assert unpacked(folder, raw, extra=extra) == [expected]


def test_an_extra_field_leads_nobody_out(tmp_path):
    raw = b"hw/x.ipynb"
    field = struct.pack("<BI", 1, zlib.crc32(raw)) + b"..\\..\\x.ipynb"
    extra = struct.pack("<HH", 0x7075, len(field)) + field
    with pytest.raises(SubmissionError, match="leads out"):
        unpacked(tmp_path, raw, extra=extra)


def test_a_name_that_is_written_in_two_ways_is_read(tmp_path):
    assert unpacked(tmp_path, b"hw\\a.txt", b"hw\\b.txt", local="/") == ["hw/a.txt", "hw/b.txt"]


def test_a_mac_leaves_nothing_of_its_own_and_its_letters_are_composed(tmp_path):
    names = [b"__MACOSX/hw/._x.ipynb", b"hw/._y", b"hw/.DS_Store", "hw/U\u0308bung.ipynb".encode()]
    assert unpacked(tmp_path, *names) == ["hw/Übung.ipynb"]


def test_a_zip_is_known_by_its_content_and_other_archives_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writestr("x", "")
    unpack(tmp_path / "a.7z", tmp_path / "out")
    (tmp_path / "b.zip").write_bytes(b"7z\xbc\xaf\x27\x1c")
    with pytest.raises(SubmissionError, match=r"it is a 7z archive: hand in a \.zip"):
        unpack(tmp_path / "b.zip", tmp_path / "other")


def test_a_code_page_fits_all_names_of_a_zip():
    assert code_page(["表".encode("cp932"), "Übung".encode("cp850")]) in ("cp932", "cp850")
    assert code_page([b"plain"]) == "cp932"
    assert code_page([bytes(range(128, 256))]) in ("cp850", "cp437", "cp866")
