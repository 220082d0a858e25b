"""Folders of captioned pictures: what is understood, what is refused, how sizes are made one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import fit
from distillery.runs.finetune_data import cell_side, fitted, load_pictures, read_folder

Folder = Callable[..., Path]
TEXTS = {"a.png": "a red boat", "b.png": "a blue tree"}


def noisy(height: int, width: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def pixel_art(rows: int, columns: int, cell: int, seed: int = 0) -> Image.Image:
    """Cells of eight colours, next to cells of other colours."""
    g = np.random.default_rng(seed)
    colours = g.choice(256, (8, 3), replace=False).astype(np.uint8)
    numbers = (np.add.outer(np.arange(rows), np.arange(columns)) * 3 + g.integers(8)) % 8
    return Image.fromarray(colours[numbers].repeat(cell, 0).repeat(cell, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A function that makes a folder of two pictures with metadata, and gives its path."""

    def made(metadata: str | bytes | None, name: str = "metadata.jsonl") -> Path:
        base = tmp_path / "pictures"
        base.mkdir(exist_ok=True)
        for seed, file in enumerate(TEXTS):
            noisy(8, 12, seed).save(base / file)
        if metadata is not None:
            data = metadata.encode() if isinstance(metadata, str) else metadata
            (base / name).write_bytes(data)
        return base

    return made


def lines(texts: dict[str, str], key: str = "text") -> str:
    return "".join(json.dumps({"file_name": k, key: v}) + "\n" for k, v in texts.items())


def found(folder: Path) -> dict[str, str]:
    return {one.path.relative_to(folder).as_posix(): one.caption for one in read_folder(folder)}


@pytest.mark.parametrize("key", ["text", "caption", "prompt"])
def test_a_line_of_json_for_each_picture(folder: Folder, key: str) -> None:
    assert found(folder(lines(TEXTS, key) + "\n")) == TEXTS


@pytest.mark.parametrize(
    "table",
    [
        "file_name,text\na.png,a red boat\nb.png,a blue tree\n",
        "file_name, prompt\na.png, a red boat\nb.png, a blue tree\n",  # Pixel Giffusion's own
        ' text , file_name\n"a red boat", a.png\r\na blue tree,b.png',
        "\ufefffile_name,text\na.png,a red boat\nb.png,a blue tree\n",
        "file_name;text\na.png;a red boat\nb.png;a blue tree\n",  # Excel, where a comma is decimal
        "\ufefffile_name; text\r\na.png; a red boat\r\nb.png; a blue tree\r\n",
        "file_name\ttext\na.png\ta red boat\nb.png\ta blue tree\n",
    ],
    ids=["plain", "spaces", "quoted", "mark", "semicolons", "semicolons and mark", "tabs"],
)
def test_a_table_also_with_spaces_before_its_columns_or_a_mark(folder: Folder, table: str) -> None:
    assert found(folder(table, "metadata.csv")) == TEXTS


def test_a_comma_in_a_quoted_caption_stays(folder: Folder) -> None:
    table = 'file_name, text\na.png, "a boat, red"\nb.png,a tree'
    assert found(folder(table, "metadata.csv"))["a.png"] == "a boat, red"


def test_a_comma_in_a_caption_of_a_table_with_semicolons_stays(folder: Folder) -> None:
    table = "file_name;text\na.png;a boat, red, on a river, by day\nb.png;a tree"
    assert found(folder(table, "metadata.csv"))["a.png"] == "a boat, red, on a river, by day"


def test_texts_beside_the_pictures(folder: Folder) -> None:
    base = folder(None)
    for name, text in TEXTS.items():
        (base / name).with_suffix(".txt").write_text(f"{text}\n")
    assert found(base) == TEXTS


def test_folders_in_the_folder_and_capitals_and_hidden_files(folder: Folder) -> None:
    base = folder(None)
    (base / "more").mkdir()
    noisy(9, 9).save(base / "more" / "C.JPG", format="JPEG")
    noisy(9, 9).save(base / "D.PNG")
    (base / "._a.png").write_bytes(b"of macOS")
    (base / ".hidden").mkdir()
    (base / ".hidden" / "e.png").write_bytes(b"no picture")
    more = {"more\\C.JPG": "a house", "D.PNG": "a cat"}
    (base / "metadata.jsonl").write_text(lines(TEXTS | more))

    assert found(base) == TEXTS | {"more/C.JPG": "a house", "D.PNG": "a cat"}


def test_what_lies_in_a_folder_called_train(folder: Folder) -> None:
    base = folder(lines(TEXTS))
    (base.parent / "set").mkdir()
    base.rename(base.parent / "set" / "train")
    assert found(base.parent / "set" / "train") == TEXTS
    assert len(read_folder(base.parent / "set")) == 2


def refused(folder: Path) -> str:
    with pytest.raises(CourseError) as error:
        read_folder(folder)
    assert str(error.value).count(". ") == 0
    return str(error.value)


def test_a_folder_that_is_not_there_or_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there is no folder" in refused(tmp_path / "none")
    assert "holds no pictures" in refused(tmp_path / "empty")


def test_a_folder_without_captions(folder: Folder) -> None:
    assert "holds pictures without captions" in refused(folder(None))


def test_a_folder_with_one_picture(folder: Folder) -> None:
    base = folder(lines({"a.png": "a red boat"}))
    (base / "b.png").unlink()
    assert "holds one picture; a style needs at least 2" in refused(base)


@pytest.mark.parametrize(
    ("metadata", "name", "words"),
    [
        (lines({"a.png": "a"}), "metadata.jsonl", "1 of the 2 pictures"),
        (lines(TEXTS | {"c.png": "c"}), "metadata.jsonl", "line 3 of"),
        (lines(TEXTS | {"../a.png": "c"}), "metadata.jsonl", "holds no such picture"),
        (lines(TEXTS) + lines(TEXTS), "metadata.jsonl", "a.png a second time"),
        (lines(TEXTS) + "oops", "metadata.jsonl", "line 3 of"),
        (lines(TEXTS) + "[1]", "metadata.jsonl", "is not an object in JSON"),
        ('{"file_name": "a.png"}', "metadata.jsonl", "has file_name; file_name and text are"),
        ('{"file_name": "a.png", "text": 3}', "metadata.jsonl", "a caption of it as text"),
        ("file_name,text\na.png,\nb.png,b", "metadata.csv", "line 2 of"),
        ("file_name,text\na.png\nb.png,b", "metadata.csv", "a caption of it as text"),
        ("name,words\na.png,a", "metadata.csv", "has name, words; file_name and text"),
        ("name;words\na.png;a", "metadata.csv", "has name, words; file_name and text"),
        ("ä".encode("latin-1"), "metadata.csv", "cannot be read as text in UTF-8"),
        ("", "metadata.csv", "holds pictures without captions"),
        ('file_name,text\na.png,"a' + 200_000 * " " + "\n", "metadata.csv", "line 2 of"),
        (100_000 * "[", "metadata.jsonl", "is not an object in JSON"),
        ('{"file_name": "a.png", "text": "\\ud800"}', "metadata.jsonl", "not valid text in UTF-8"),
    ],
    ids=lambda its: its[:60] if isinstance(its, str) else "latin-1",
)
def test_metadata_that_does_not_fit_is_refused(
    folder: Folder, metadata: str | bytes, name: str, words: str
) -> None:
    assert words in refused(folder(metadata, name))


def test_a_broken_picture_is_named(folder: Folder) -> None:
    base = folder(lines(TEXTS))
    (base / "b.png").write_bytes((base / "b.png").read_bytes()[:70])

    with pytest.raises(CourseError, match=r"b\.png cannot be read as a picture"):
        load_pictures(read_folder(base), (8, 12))


def test_pictures_of_mixed_sizes_are_brought_to_one(folder: Folder) -> None:
    base = folder(lines(TEXTS))
    noisy(40, 30, 3).save(base / "b.png")

    small, large = load_pictures(read_folder(base), (16, 24))

    whole = np.asarray(Image.open(base / "a.png").resize((24, 16), Image.Resampling.NEAREST))
    levels = ((small + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert (levels == whole).all()  # of few colours and cells: each pixel four times
    assert np.abs(levels - ((large + 1) * 127.5).permute(1, 2, 0).numpy()).mean() > 10


def test_transparent_parts_are_white(folder: Folder) -> None:
    base = folder(lines(TEXTS))
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(base / "a.png")
    assert (load_pictures(read_folder(base), (8, 8))[0] == 1).all()


@pytest.mark.parametrize(("rows", "columns", "cell"), [(8, 12, 1), (8, 12, 3), (6, 10, 4)])
def test_the_side_of_cells_is_found(rows: int, columns: int, cell: int) -> None:
    assert cell_side(np.asarray(pixel_art(rows, columns, cell))) == cell


@pytest.mark.parametrize(
    ("art", "size", "kept"),
    [
        ((8, 12, 1), (32, 48), (8, 12)),  # enlarged four times
        ((8, 12, 6), (32, 48), (8, 12)),  # made smaller, because its cells are larger
        ((12, 12, 2), (32, 32), (8, 8)),  # four pixels a cell, a third cut off
        ((10, 16, 1), (16, 32), (8, 16)),  # a cell above and below
    ],
)
def test_pixel_art_keeps_its_grid(
    art: tuple[int, int, int], size: tuple[int, int], kept: tuple[int, int]
) -> None:
    picture = pixel_art(*art)

    made = np.asarray(fitted(picture, size))

    cells = np.asarray(picture)[:: art[2], :: art[2]]
    top, left = (art[0] - kept[0]) // 2, (art[1] - kept[1]) // 2
    cells = cells[top : top + kept[0], left : left + kept[1]]
    side = size[0] // kept[0]
    assert made.shape == (*size, 3)
    assert (made == cells.repeat(side, 0).repeat(side, 1)).all()


@pytest.mark.parametrize(("art", "size"), [((31, 31, 2), (64, 64)), ((16, 32, 1), (64, 64))])
def test_pixel_art_that_would_lose_much_is_refused(
    art: tuple[int, int, int], size: tuple[int, int]
) -> None:
    with pytest.raises(CourseError, match="no whole factor brings it to 64 x 64"):
        fitted(pixel_art(*art), size)


@pytest.mark.parametrize("picture", [noisy(30, 50), pixel_art(40, 40, 1)])
def test_other_pictures_are_resampled_well(picture: Image.Image) -> None:
    """Also those of few colours that have more pixels than they are to have: most are no art."""
    assert fitted(picture, (24, 16)).tobytes() == fit(picture, (24, 16)).tobytes()


def test_a_picture_of_the_size_is_not_touched() -> None:
    picture = noisy(8, 12)
    assert fitted(picture, (8, 12)) is picture
