"""Files of an animation hold every frame, one palette and the right times, as other programs see.

They are read back by Pillow, by ffmpeg and by the course's own reader.
"""

from __future__ import annotations

import io
import json
import resource
import struct
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from distillery.core.errors import CourseError
from distillery.core.files import atomic_write
from distillery.palettes import from_hex, lattice
from distillery.pixelart.animation import Animation, background, shown_factor
from distillery.pixelart.animation_files import (
    Segment,
    apng_bytes,
    contact_sheet_bytes,
    sprite_sheet,
    video_bytes,
)
from distillery.pixelart.gif_file import gif_bytes, parsed, read_animation

FIVE = from_hex(["1a1c2c", "b13e53", "41a6f6", "f4f4f4", "38b764"])
RATES = [0.1, 0.5, 3, 12, 23.976, 24, 30, 48, 50]


def animation(count: int = 6, **changes: Any) -> Animation:
    """Random cells of 5 x 7; the second and third frame, and the last two, are equal."""
    indices = torch.randint(5, (count, 5, 7), generator=torch.Generator().manual_seed(0))
    if count > 3:
        indices[2], indices[-1] = indices[1], indices[-2]
    return replace(Animation(indices, FIVE, fps=12), **changes)


def with_hole(**changes: Any) -> Animation:
    """A block of the second colour that wanders over a transparent field."""
    indices = torch.zeros(4, 6, 9, dtype=torch.int64)
    for k in range(4):
        indices[k, 1:4, k : k + 3] = 1
    return replace(Animation(indices, FIVE, fps=10), clear=background(indices), **changes)


def wanted(its: Animation) -> np.ndarray[Any, Any]:
    """What each frame shows, (F, H, W, 4)."""
    levels = (its.palette * 255).round().to(torch.uint8)
    clear = torch.zeros_like(its.indices, dtype=torch.bool) if its.clear is None else its.clear
    alphas = (255 * ~clear).to(torch.uint8)[..., None]
    cells = torch.cat([levels[its.indices] * (alphas > 0), alphas], dim=3)
    whole = cells.repeat_interleave(its.factor, 1).repeat_interleave(its.factor, 2)
    return whole.numpy()


def as_pillow_sees(data: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(data)) as picture:
        frames = [np.array(frame.convert("RGBA")) for frame in ImageSequence.Iterator(picture)]
    return np.stack([frame * (frame[..., 3:] > 0) for frame in frames])


def as_ffmpeg_sees(path: Path) -> np.ndarray[Any, Any]:
    reader = imageio_ffmpeg.read_frames(
        str(path), pix_fmt="rgba", bits_per_pixel=32, output_params=["-fps_mode", "passthrough"]
    )
    meta = next(reader)
    width, height = meta["size"]
    return np.stack([np.frombuffer(raw, np.uint8).reshape(height, width, 4) for raw in reader])


def as_we_see(data: bytes) -> np.ndarray[Any, Any]:
    return np.stack(list(parsed(data, "it").pictures()))


# GIF.


@pytest.mark.parametrize("its", [animation(), animation(2, factor=3), with_hole(factor=2)])
def test_a_gif_shows_every_frame_to_everybody(tmp_path, its) -> None:
    data = gif_bytes(its)
    atomic_write(tmp_path / "its.gif", data)
    assert np.array_equal(as_we_see(data), wanted(its))
    assert np.array_equal(as_pillow_sees(data), wanted(its))
    by_ffmpeg = as_ffmpeg_sees(tmp_path / "its.gif")
    assert by_ffmpeg.shape == wanted(its).shape
    assert np.array_equal(by_ffmpeg[..., 3], wanted(its)[..., 3])
    seen = by_ffmpeg[..., 3:] > 0
    assert np.array_equal(by_ffmpeg * seen, wanted(its))


@pytest.mark.parametrize("fps", RATES)
def test_the_hundredths_of_a_gif_add_up_and_none_is_slowed_down(fps) -> None:
    gif = parsed(gif_bytes(animation(37, fps=fps)), "it")
    ticks = [frame.duration for frame in gif.frames]
    assert sum(ticks) == round(3700 / fps)
    assert max(ticks) - min(ticks) <= 1
    assert min(ticks) >= 2
    early = np.cumsum(ticks) - 100 / fps * np.arange(1, 38)
    assert np.abs(early).max() <= 0.5 + 1e-9


def test_pillow_counts_the_frames_and_times_of_a_gif() -> None:
    with Image.open(io.BytesIO(gif_bytes(animation(fps=30)))) as picture:
        assert picture.n_frames == 6
        times = []
        for frame in ImageSequence.Iterator(picture):
            times.append(frame.info["duration"])
        assert times == [30, 40, 30, 30, 40, 30]
        assert picture.info["loop"] == 0


def test_a_gif_has_the_palettes_colours_and_no_other_in_one_table() -> None:
    its = animation()
    gif = parsed(gif_bytes(its), "it")
    levels = (FIVE * 255).round().to(torch.uint8).numpy()
    assert gif.palette is not None
    assert gif.palette.shape == (8, 3)  # tables have a power of two of rows
    assert np.array_equal(gif.palette[:5], levels)
    assert {tuple(row) for row in gif.palette.tolist()} == {tuple(row) for row in levels.tolist()}
    assert all(frame.palette is None for frame in gif.frames)
    assert all(frame.disposal == 1 for frame in gif.frames)
    for frame, indices in zip(gif.frames, its.indices, strict=True):
        assert np.array_equal(frame.indices, indices.numpy())


@pytest.mark.parametrize("plays", [0, 1, 2, 7])
def test_a_gif_plays_as_often_as_asked(plays) -> None:
    data = gif_bytes(animation(plays=plays))
    assert parsed(data, "it").plays == plays
    with Image.open(io.BytesIO(data)) as picture:
        # Pillow says how often the loop is taken, which is once less; or nothing.
        assert picture.info.get("loop") == {0: 0, 1: None}.get(plays, plays - 1)


@pytest.mark.parametrize("colours", [2, 3, 16, 255, 256])
def test_every_size_of_palette_is_kept(colours) -> None:
    palette = lattice(7)[:colours]
    indices = torch.arange(2 * 16 * 17).view(2, 16, 17) % colours
    its = Animation(indices, palette, fps=10)
    for data in (gif_bytes(its), apng_bytes(its)):
        assert np.array_equal(as_pillow_sees(data), wanted(its))


def test_a_cleared_frame_leaves_no_ghost() -> None:
    its = with_hole()
    gif = parsed(gif_bytes(its), "it")
    assert {frame.disposal for frame in gif.frames} == {2}
    assert {frame.clear for frame in gif.frames} == {5}
    assert np.array_equal(as_we_see(gif_bytes(its))[..., 3] > 0, (its.indices == 1).numpy())


# What is transparent.


def test_the_background_is_what_the_border_reaches() -> None:
    ring = torch.tensor(
        [
            [0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 1, 1, 1, 0, 0, 0, 0, 0],
            [0, 1, 0, 1, 0, 0, 0, 0, 0],  # the zero inside is part of the thing
            [0, 1, 1, 1, 0, 0, 0, 0, 0],
            [3, 0, 0, 0, 0, 0, 0, 0, 0],  # 1 of 24 cells of the border
        ]
    )
    other = ring.clone()
    other[ring == 0] = 4  # of another colour in another frame
    both = background(torch.stack([ring, other]))
    inside = torch.zeros_like(both[0])
    inside[2, 2] = True
    assert torch.equal(both[0], (ring == 0) & ~inside)
    assert torch.equal(both[1], both[0])


def test_a_sky_and_a_ground_are_both_behind_the_thing() -> None:
    scene = torch.zeros(1, 8, 9, dtype=torch.int64)
    scene[:, 5:] = 1
    scene[:, 3:7, 3:6] = 2
    assert torch.equal(background(scene), scene != 2)


def test_the_background_finds_its_way_through_a_snake() -> None:
    field = torch.zeros(1, 9, 11, dtype=torch.int64)
    field[:, 1:-1, 1:-1] = 1
    field[:, 2:7:2, 2:9] = 0  # three corridors, joined at one end each
    field[:, 1, 2], field[:, 3, 8], field[:, 5, 2] = 0, 0, 0
    assert torch.equal(background(field), field == 0)


# APNG and MP4.


@pytest.mark.parametrize("its", [animation(), animation(2, factor=3), with_hole(factor=2)])
def test_an_apng_shows_every_frame(its) -> None:
    data = apng_bytes(its)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.n_frames == len(its.indices)
        assert picture.mode == "P"
    assert np.array_equal(as_pillow_sees(data), wanted(its))


@pytest.mark.parametrize("fps", RATES)
def test_a_frame_of_an_apng_is_shown_for_exactly_its_time(fps) -> None:
    data = apng_bytes(animation(fps=fps, plays=3))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.info["loop"] == 3
        assert picture.info["duration"] == pytest.approx(1000 / fps, rel=1e-9)


def test_an_apng_counts_its_chunks_as_the_format_wants() -> None:
    data, at, kinds, numbers = apng_bytes(animation()), 8, [], []
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        kinds.append(kind)
        if kind in (b"fcTL", b"fdAT"):
            numbers.append(struct.unpack_from(">I", data, at + 8)[0])
        at += length + 12
    assert kinds[:5] == [b"IHDR", b"acTL", b"PLTE", b"fcTL", b"IDAT"]
    assert kinds[5:] == [b"fcTL", b"fdAT"] * 5 + [b"IEND"]
    assert numbers == list(range(11))


def test_an_apng_can_be_read_by_ffmpeg(tmp_path) -> None:
    its = animation(factor=2)
    atomic_write(tmp_path / "its.apng", apng_bytes(its))
    assert np.array_equal(as_ffmpeg_sees(tmp_path / "its.apng"), wanted(its))


def test_a_video_has_all_frames_also_of_an_odd_grid_and_white_where_it_is_clear(tmp_path) -> None:
    its = with_hole(factor=3)
    atomic_write(tmp_path / "its.mp4", video_bytes(its))
    seen = as_ffmpeg_sees(tmp_path / "its.mp4")
    assert seen.shape == (4, 24, 36, 4)
    corner = seen[:, -8:, -8:, :3].astype(int)
    assert corner.min() > 245
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "its.mp4"))
    assert count == 4
    assert seconds == pytest.approx(0.4, abs=0.05)


# Sheets.


def test_a_sprite_sheet_has_every_frame_where_its_json_says() -> None:
    its = with_hole()
    data, text = sprite_sheet(
        its, name="fox", segments=[Segment("stand", 0, 1), Segment("go", 2, 3)]
    )
    described = json.loads(text)
    with Image.open(io.BytesIO(data)) as sheet:
        assert sheet.mode == "P"
        assert len(sheet.getpalette() or []) == 3 * 6
        whole = np.array(sheet.convert("RGBA"))
        assert described["meta"]["size"] == {"w": sheet.width, "h": sheet.height}
    whole = whole * (whole[..., 3:] > 0)
    assert list(described["frames"]) == [f"fox {index}.png" for index in range(4)]
    for frame, expected in zip(described["frames"].values(), wanted(its), strict=True):
        x, y, w, h = (frame["frame"][side] for side in "xywh")
        assert np.array_equal(whole[y : y + h, x : x + w], expected)
        assert frame["sourceSize"] == {"w": 9, "h": 6}
        assert frame["spriteSourceSize"] == {"x": 0, "y": 0, "w": 9, "h": 6}
        assert not frame["rotated"]
        assert not frame["trimmed"]
        assert frame["duration"] == 100
    assert described["meta"]["image"] == "fox.png"
    assert described["meta"]["format"] == "I8"
    assert described["meta"]["scale"] == "1"
    assert described["meta"]["frameTags"] == [
        {"name": "stand", "from": 0, "to": 1, "direction": "forward"},
        {"name": "go", "from": 2, "to": 3, "direction": "forward"},
    ]


def test_the_milliseconds_of_a_sprite_sheet_add_up() -> None:
    _, text = sprite_sheet(animation(fps=24), name="its")
    assert [its["duration"] for its in json.loads(text)["frames"].values()] == [
        42,
        41,
        42,
        42,
        41,
        42,
    ]


def test_the_places_of_a_sheet_that_no_frame_takes_hold_a_colour_of_the_palette() -> None:
    data, _ = sprite_sheet(animation(5), name="its")
    with Image.open(io.BytesIO(data)) as sheet:
        assert sheet.size == (21, 10)
        assert len(sheet.getpalette() or []) == 3 * 5
        assert np.array(sheet).max() <= 4


def test_the_sheet_to_look_at_has_each_frame_once_under_its_number() -> None:
    its = animation(6)
    with Image.open(io.BytesIO(contact_sheet_bytes(its))) as sheet:
        pixels = np.array(sheet)
    factor = round(96 / 7)
    height, width = 5 * factor + 12, 7 * factor
    tops = [row * (height + 2) for row in (0, 1)]
    lefts = [column * (width + 2) for column in (0, 1, 2)]
    places = [(top, left) for top in tops for left in lefts]
    heads = []
    for (top, left), colours in zip(places, wanted(its), strict=True):
        cells = pixels[top + 12 : top + height, left : left + width][factor // 2 :: factor]
        assert np.array_equal(cells[:, factor // 2 :: factor], colours[..., :3])
        heads.append(pixels[top : top + 12, left : left + width].tobytes())
    assert len(set(heads)) == 6


# What cannot be.


@pytest.mark.parametrize("fps", [0, -1, 0.09, 50.1, 100, float("nan"), float("inf")])
def test_a_rate_that_browsers_would_change_is_refused(fps) -> None:
    with pytest.raises(CourseError, match=r"fps must be 0\.1 to 50 frames a second; it was"):
        animation(fps=fps)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: animation(1), "2 to 1,000 frames; it was one: ask for more"),
        (lambda: animation(0), "2 to 1,000 frames; it was 0: ask for more"),
        (lambda: animation(1001), "2 to 1,000 frames; it was 1,001: ask for fewer"),
        (lambda: animation(palette=lattice(7)), "2 to 256 colours; it was 343"),
        (lambda: animation(palette=FIVE[:1]), "2 to 256 colours; it was 1"),
        (lambda: animation(palette=FIVE[:3]), "rows of the palette, 0 to 2; they are 0 to 4"),
        (lambda: animation(plays=-1), "0 for ever; it was -1"),
        (lambda: animation(factor=0), "enlarged by 1 at least; they were 5 x 7, enlarged by 0"),
        (lambda: animation(factor=600), "3000 x 4200 pixels are too many"),
        (lambda: animation(indices=torch.zeros(2, 0, 7).long()), "they were 0 x 7"),
        (
            lambda: animation(clear=torch.zeros(6, 5, 6, dtype=torch.bool)),
            r"of the frames' shape \(6, 5, 7\); it was \(6, 5, 6\)",
        ),
    ],
)
def test_what_no_file_can_hold_is_refused_in_a_sentence(
    make: Callable[[], Animation], words
) -> None:
    with pytest.raises(CourseError, match=words) as caught:
        make()
    assert str(caught.value).count(". ") == 0


def test_a_transparent_colour_needs_a_row_of_its_own() -> None:
    its = Animation(torch.zeros(2, 4, 5).long(), lattice(7)[:256], fps=10)
    with pytest.raises(CourseError, match="2 to 256 colours; it was 257"):
        replace(its, clear=torch.zeros(2, 4, 5, dtype=torch.bool))


def test_a_thousand_frames_are_kept_and_half_a_frame_a_second_is_two_seconds() -> None:
    indices = torch.arange(1000).view(1000, 1, 1).expand(-1, 4, 5) % 5
    gif = parsed(gif_bytes(Animation(indices, FIVE, fps=0.5)), "it")
    assert len(gif.frames) == 1000
    assert {frame.duration for frame in gif.frames} == {200}


@pytest.mark.parametrize(("count", "size"), [(2, (5, 7)), (40, (48, 48)), (1000, (64, 64))])
def test_frames_are_enlarged_to_be_seen_as_far_as_a_file_may_be_large(count, size) -> None:
    factor = shown_factor(count, size)
    assert factor == {2: 73, 40: 11, 1000: 4}[count]
    Animation(torch.zeros(1, *size).long().expand(count, -1, -1), FIVE, fps=10, factor=factor)


def test_a_disk_that_fills_up_in_the_middle_of_a_gif_leaves_nothing(tmp_path) -> None:
    path, earlier = tmp_path / "morph.gif", gif_bytes(animation(2))
    data = gif_bytes(animation(40, factor=40))
    assert len(data) > 20_000
    atomic_write(path, earlier)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(CourseError, match=r"cannot write .*morph\.gif"):
            atomic_write(path, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == earlier
    assert [its.name for its in tmp_path.iterdir()] == ["morph.gif"]


# Files of others.


def saved(frames: list[Image.Image], **options: Any) -> bytes:
    buffer = io.BytesIO()
    first, *rest = frames
    first.save(buffer, format="GIF", save_all=True, append_images=rest, **options)
    return buffer.getvalue()


def noise(count: int, mode: str = "RGB") -> list[Image.Image]:
    levels = np.random.default_rng(0).integers(0, 256, (count, 20, 30, 3)).astype(np.uint8)
    for one, other in pairwise(levels):
        other[:, :20] = one[:, :20]  # so that other programs write the right third alone
    return [Image.fromarray(its).convert(mode) for its in levels]


@pytest.mark.parametrize("options", [{}, {"disposal": 2}, {"interlace": 1}, {"loop": 4}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_gif_that_pillow_wrote_is_read_as_pillow_reads_it(mode, options) -> None:
    data = saved(noise(4, mode), duration=70, **options)
    gif = parsed(data, "it")
    assert np.array_equal(np.stack(list(gif.pictures())), as_pillow_sees(data))
    assert [frame.duration for frame in gif.frames] == [7] * 4
    assert gif.plays == (5 if "loop" in options else 1)
    if mode == "RGB":
        assert any(frame.palette is not None for frame in gif.frames)


def test_a_frame_that_puts_back_what_was_before_it_is_read_so() -> None:
    data = bytearray(gif_bytes(with_hole()))
    control = data.index(b"\x21\xf9\x04")
    data[control + 3] = 3 << 2 | 1
    assert np.array_equal(as_we_see(bytes(data)), as_pillow_sees(bytes(data)))


def good() -> bytes:
    return gif_bytes(animation(factor=3))


def with_size(width: int, height: int) -> bytes:
    return good()[:6] + struct.pack("<HH", width, height) + good()[10:]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not begin as one"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "does not begin as one"),
        (b"GIF89a", "cut short"),
        (good()[:20], "cut short"),
        (good()[:-1], "cut short"),
        (good()[: len(good()) // 2], "cut short"),
        (good()[:-1] + b"\x77", "is of no kind of block"),
        (good()[:37] + b"\x3b", "it has no frames"),
        (with_size(0, 15), "it has 15 x 0 pixels"),
        (with_size(65535, 65535), "65535 x 65535 pixels"),
        (with_size(20, 15), "a frame is empty or leaves the picture"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_whole_gif_is_refused_in_a_sentence(tmp_path, data, words) -> None:
    (tmp_path / "its.gif").write_bytes(data)
    with pytest.raises(CourseError, match=words):
        read_animation(tmp_path / "its.gif")


def test_bombs_are_not_unpacked(tmp_path, monkeypatch) -> None:
    """Few bytes for many pixels, many frames, and a file of many bytes."""
    data = gif_bytes(Animation(torch.zeros(2, 1024, 1024).long(), FIVE, fps=10, factor=4))
    start, second = data.index(b"\x21\xf9\x04"), data.rindex(b"\x21\xf9\x04")
    bomb = data[:start] + 12 * data[start:second] + b"\x3b"
    assert len(bomb) < 2**19
    with pytest.raises(CourseError, match="more than 1,000 frames, or 67 million pixels"):
        parsed(bomb, "bomb")
    (tmp_path / "large.gif").write_bytes(good() + bytes(2**25))
    with pytest.raises(CourseError, match="more than 32 MiB"):
        read_animation(tmp_path / "large.gif")


def test_damage_anywhere_ends_in_a_sentence_or_a_gif() -> None:
    """No byte of a file makes the reader fail in another way."""
    data, draws, refused = good(), np.random.default_rng(1), 0
    for _ in range(300):
        damaged = bytearray(data)
        for at in draws.integers(0, len(data), 3):
            damaged[at] = draws.integers(0, 256)
        try:
            list(parsed(bytes(damaged), "it").pictures())
        except CourseError:
            refused += 1
    assert 0 < refused < 300


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path) -> None:
    for path in (tmp_path / "none.gif", tmp_path, Path("a\0b")):
        with pytest.raises(CourseError, match=r"cannot read .*; give the path of a GIF"):
            read_animation(path)
