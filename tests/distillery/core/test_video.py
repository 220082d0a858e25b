from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.video import save_mp4

Tree = Callable[[Path], dict[str, bytes]]
COLOURS = ("red", "lime", "blue", "white", "black", "red")


def frames(width: int, height: int) -> list[Image.Image]:
    return [Image.new("RGB", (width, height), colour) for colour in COLOURS]


@pytest.mark.parametrize("fps", [3, 12.5, 60])
def test_a_video_has_every_frame_at_its_pace(tmp_path: Path, fps: float) -> None:
    save_mp4(tmp_path / "folder" / "making.mp4", frames(64, 36), fps)

    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "folder" / "making.mp4"))
    assert count == len(COLOURS)
    assert seconds == pytest.approx(len(COLOURS) / fps, abs=0.05)


def test_a_video_shows_the_frames_in_order_and_size(tmp_path: Path) -> None:
    save_mp4(tmp_path / "making.mp4", frames(64, 36), 12)

    reader = imageio_ffmpeg.read_frames(str(tmp_path / "making.mp4"))
    meta, *shown = reader

    assert meta["source_size"] == (64, 36)
    assert meta["codec"] == "h264"
    assert meta["pix_fmt"].startswith("yuv420p")  # what browsers play
    for raw, colour in zip(shown, COLOURS, strict=True):
        middle = Image.frombytes("RGB", (64, 36), raw).getpixel((32, 18))
        wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
        assert max(abs(a - b) for a, b in zip(middle, wanted, strict=True)) < 20


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        save_mp4(tmp_path / name, frames(64, 36), 12)

    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


@pytest.mark.parametrize("size", [(63, 36), (64, 35)])
def test_odd_sides_are_refused(tmp_path: Path, tree: Tree, size: tuple[int, int]) -> None:
    with pytest.raises(CourseError, match="even sides; these are"):
        save_mp4(tmp_path / "making.mp4", frames(*size), 12)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("error", [OSError("Broken pipe\nand more"), RuntimeError("No ffmpeg exe")])
def test_a_failing_ffmpeg_is_one_sentence_and_leaves_the_earlier_video(
    tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    (tmp_path / "making.mp4").write_bytes(b"an earlier video")

    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(imageio_ffmpeg, "write_frames", fail)

    with pytest.raises(CourseError, match="ffmpeg could not write") as caught:
        save_mp4(tmp_path / "making.mp4", frames(64, 36), 12)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == {"making.mp4": b"an earlier video"}


def test_a_video_that_ffmpeg_could_not_finish_is_refused(
    tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the folder of temporary files is full: imageio-ffmpeg says nothing of it."""
    save_mp4(tmp_path / "whole.mp4", frames(64, 36), 12)
    before = tree(tmp_path)

    def cut_short(path: str, *args: object, **options: object) -> Iterator[None]:
        whole = before["whole.mp4"]
        Path(path).write_bytes(whole[: len(whole) // 2])
        while True:
            yield

    monkeypatch.setattr(imageio_ffmpeg, "write_frames", cut_short)

    with pytest.raises(CourseError, match=r"could not write all of .*; free some space there"):
        save_mp4(tmp_path / "whole.mp4", frames(64, 36), 12)
    assert tree(tmp_path) == before
