"""What strangers packed is unpacked within limits, or refused as a whole."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from grading.intake.archives import (
    ArchiveLimits,
    SubmissionError,
    is_archive,
    quoted,
    safe_name,
    unpack,
)

SMALL = ArchiveLimits(bytes=2**20, entries=20, ratio=50, free_bytes=2**16, name_bytes=255, depth=4)
Fill = Callable[[zipfile.ZipFile], object]


def zipped(path: Path, fill: Fill, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        fill(archive)
    return path


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def several(*names: str) -> Fill:
    return lambda archive: [archive.writestr(name, "x") for name in names]


def files_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


REFUSED: dict[str, tuple[Fill, str]] = {
    "leads out": (several("ok", "../x"), "leads out"),
    "leads out below": (several("a/b/../../../x"), "leads out"),
    "absolute": (several("/tmp/x"), "not a path inside"),
    "drive": (several("C:/x"), "not a path inside"),
    "backslashes lead out": (several("..\\x"), "leads out"),
    "backslashes lead out below": (several("a\\b\\..\\..\\..\\x"), "leads out"),
    "both lead out": (several("a/..\\..\\x"), "leads out"),
    "backslash first": (several("\\x"), "not a path inside"),
    "drive and backslashes": (several("C:\\x"), "not a path inside"),
    "network path": (several("\\\\host\\share\\x"), "not a path inside"),
    "link": (lambda a: a.writestr(entry("x", 0o120777), "/etc/passwd"), "link"),
    "device": (lambda a: a.writestr(entry("x", 0o020666), ""), "device"),
    "pipe": (lambda a: a.writestr(entry("x", 0o010666), ""), "device"),
    "collision": (several("a/Notes", "a/notes"), "upper and lower case"),
    "folders collide": (several("Pictures/a", "pictures/b"), "upper and lower case"),
    "composed twice": (several("caf\u00e9", "cafe\u0301"), "twice"),
    "hidden twin": (several("a.txt", "a\u200b.txt"), "twice"),
    "file and folder": (several("a", "a/b"), "twice"),
    "nested": (several("ok", "more/inner.ZIP"), "another archive"),
    "nested tar": (several("x.tar.gz"), "another archive"),
    "many": (several(*map(str, range(21))), "more than 20 files"),
    "deep": (several("a/b/c/d/e"), "deep"),
    "long name": (several("n" * 256), "too long"),
    "large": (
        lambda a: a.writestr("x", random.Random(0).randbytes(2**19 + 1).hex()),
        "more than 1 MB",
    ),
    "bomb": (lambda a: a.writestr("x", bytes(2**19)), "times its size"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", REFUSED)
def test_a_zip_that_is_not_plain_is_refused_as_a_whole(name, tmp_path):
    fill, says = REFUSED[name]
    archive = zipped(tmp_path / "a.zip", fill)

    with pytest.raises(SubmissionError, match=says):
        unpack(archive, tmp_path / "out", SMALL)

    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", several("x", "x"))
    with pytest.raises(SubmissionError, match="twice"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_can_ask_for_any_memory_is_refused(packing, tmp_path):
    archive = zipped(tmp_path / "a.zip", several("x"), packing)
    with pytest.raises(SubmissionError, match="compression is not supported"):
        unpack(archive, tmp_path / "out")


def test_a_zip_with_a_password_says_so(tmp_path):
    archive = zipped(tmp_path / "a.zip", several("x"))
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(SubmissionError, match="password"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("claimed", [1, 2**31 - 1])
def test_a_size_that_lies_is_found_out(claimed, tmp_path):
    archive = zipped(tmp_path / "a.zip", lambda a: a.writestr("x", b"0123456789" * 99))
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, claimed)
    archive.write_bytes(data)
    with pytest.raises(SubmissionError, match="damaged"):
        unpack(archive, tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()


def test_entries_are_counted_before_their_list_is_read(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", several(*map(str, range(99))), zipfile.ZIP_STORED)
    monkeypatch.setattr(zipfile, "ZipFile", lambda file: pytest.fail("the list was read"))
    with pytest.raises(SubmissionError, match="more than 20 files"):
        unpack(archive, tmp_path / "out", SMALL)


def test_a_plain_zip_is_unpacked_and_what_systems_leave_is_not(tmp_path):
    names = ("my folder/a b.txt", "ü.txt", "__MACOSX/._a", ".DS_Store", "./c.txt", "empty/")
    archive = zipped(tmp_path / "a.zip", several(*names))
    assert unpack(archive, tmp_path / "out") == []
    assert files_in(tmp_path / "out") == ["c.txt", "my folder/a b.txt", "ü.txt"]


def test_names_in_utf_8_that_do_not_say_so_are_read(tmp_path):
    archive = zipped(tmp_path / "a.zip", several("\u00fc.txt"))
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        data[data.index(signature) + offset] &= ~8
    archive.write_bytes(data)
    unpack(archive, tmp_path / "out")
    assert files_in(tmp_path / "out") == ["\u00fc.txt"]


def test_times_and_modes_inside_are_not_taken_over(tmp_path):
    archive = zipped(tmp_path / "a.zip", lambda a: a.writestr(entry("x", 0o106777), "x"))
    unpack(archive, tmp_path / "out")
    found = (tmp_path / "out" / "x").stat()
    assert found.st_mode & 0o7111 == 0
    assert found.st_mtime > 10**9


def tarred(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_a_plain_tar_is_unpacked(tmp_path):
    archive = tarred(
        tmp_path / "a.tar.gz",
        (member("a", tarfile.DIRTYPE), b""),
        (member("a/b.txt"), b"text"),
    )
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / "a" / "b.txt").read_bytes() == b"text"


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("x", tarfile.SYMTYPE, "link"),
        ("x", tarfile.LNKTYPE, "link"),
        ("x", tarfile.FIFOTYPE, "device"),
        ("x", tarfile.CHRTYPE, "device"),
        ("../x", tarfile.REGTYPE, "leads out"),
        ("/x", tarfile.REGTYPE, "not a path inside"),
    ],
)
def test_a_tar_that_is_not_plain_is_refused(name, kind, says, tmp_path):
    archive = tarred(tmp_path / "a.tgz", (member(name, kind, "/etc/passwd"), b""))
    with pytest.raises(SubmissionError, match=says):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tar_is_stopped_at_the_limit(tmp_path):
    archive = tarred(tmp_path / "a.tgz", (member("x"), bytes(2**22)))
    with pytest.raises(SubmissionError, match="times its size"):
        unpack(archive, tmp_path / "out", SMALL)


def test_a_name_of_many_gigabytes_is_not_waited_for(tmp_path):
    info = member("x", tarfile.GNUTYPE_LONGNAME)
    info.size = 2**33
    data = info.tobuf(tarfile.GNU_FORMAT) + bytes(2**22)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(data))
    with pytest.raises(SubmissionError, match="more than the limit"):
        unpack(tmp_path / "a.tgz", tmp_path / "out", SMALL)


def test_of_a_folder_only_regular_files_are_taken(tmp_path):
    source = tmp_path / "in"
    (source / "a").mkdir(parents=True)
    (source / "a" / "kept.txt").write_text("kept")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (source / "link.txt").symlink_to(secret / "key")
    (source / "folder").symlink_to(secret)
    (source / "round").symlink_to(source)
    os.mkfifo(source / "pipe")

    left_out = unpack(source, tmp_path / "out")

    assert files_in(tmp_path / "out") == ["a/kept.txt"]
    assert sorted(line.split("'")[1] for line in left_out) == [
        "folder",
        "link.txt",
        "pipe",
        "round",
    ]


def test_of_a_folder_odd_names_are_made_plain(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a\nb", "\u202egnp.x", os.fsdecode(b"c\xff"), "-rf", "A", "a"):
        (source / name).write_text("x")
    left_out = unpack(source, tmp_path / "out")
    assert files_in(tmp_path / "out") == ["-rf", "A", "ab", "c", "gnp.x"]
    assert len(left_out) == 1


def test_a_folder_of_too_many_files_is_refused(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for index in range(21):
        (source / str(index)).write_text("")
    with pytest.raises(SubmissionError, match="more than 20 files"):
        unpack(source, tmp_path / "out", SMALL)


def test_a_folder_that_is_bottomless_is_taken_to_the_depth_allowed(tmp_path):
    (tmp_path / "in" / "/".join("abcdefgh")).mkdir(parents=True)
    (tmp_path / "in" / "a" / "x").write_text("x")
    left_out = unpack(tmp_path / "in", tmp_path / "out", SMALL)
    assert files_in(tmp_path / "out") == ["a/x"]
    assert "too deep" in left_out[0]


def test_a_damaged_zip_is_unpacked_or_refused_and_nothing_else(tmp_path):
    source = zipped(tmp_path / "a.zip", several("a.txt", "b/c.txt", "b/d.txt"))
    good, chance = source.read_bytes(), random.Random(5)
    outcomes = set()
    for trial in range(400):
        data = bytearray(good)
        if trial % 2:
            data = data[: chance.randrange(len(good))]
        else:
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(good))] = chance.randrange(256)
        source.write_bytes(data)
        out = tmp_path / f"out{trial}"
        with suppress(SubmissionError):
            unpack(source, out, SMALL)
        outcomes.add(out.exists())
    assert outcomes == {True, False}


def test_a_full_disk_is_not_blamed_on_the_hand_in(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", several("x"))
    real = open

    def full(path, mode="r", *args, **kwargs):
        if "x" in mode:
            raise OSError(28, "No space left on device")
        return real(path, mode, *args, **kwargs)

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(OSError, match="No space"):
        unpack(archive, tmp_path / "out")


def test_names_are_shown_in_one_short_printable_line():
    text = quoted("a\n\u202e\x1b[31m" + "n" * 300)
    assert text.isprintable()
    assert len(text) <= 80
    assert safe_name("..") == "_"
    assert is_archive("A.TAR.GZ")
    assert not is_archive("a.rar")
