"""A moving picture of every stage, drawn by the course's own commands and kept."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageSequence

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from website.made_before import MadeBefore

MOST = 36  # frames
PAUSE = 90  # milliseconds of a frame
HELD = 2000  # and of the last one
READ = ("main.py", "reference")  # beside what everything reads
LAST_ERROR = 300  # signs of what a command said


@dataclass(frozen=True)
class Moving:
    """One moving picture.

    stage:   folder of its notebook.
    title:   over the picture.
    says:    one sentence under it.
    alt:     what somebody hears who cannot see it.
    command: for main.py, without the folder of the files.
    """

    stage: str
    title: str
    says: str
    alt: str
    command: tuple[str, ...]

    @property
    def typed(self) -> str:
        """The command as a reader types it."""
        words = [f'"{word}"' if " " in word else word for word in self.command]
        return " ".join(["python main.py", *words])


BOAT, BLUE = "a red boat on a frozen river", "a blue boat on a frozen river"
HOUSE = "a red house in the snow"
SOURCE = ("--src_img_path", "data/imgs/a_red_boat_on_a_frozen_river.png")
PAINTING = ("--img_path", "data/strokes/castle_brush.png")
MOVING = (
    Moving(
        "00_tour",
        "Sample",
        "From noise to a picture, by the plain sampler.",
        "Grey noise turns into a pixel picture of a yellow castle under a night sky.",
        ("sample", "--prompt", "a yellow castle in the night sky", "-mv"),
    ),
    Moving(
        "01_sds",
        "Distil",
        "A picture that the model pulls towards a prompt, step by step.",
        "A blurred patch becomes a red boat on a frozen river.",
        ("--prompt", BOAT, "--steps", "150", "-mv"),
    ),
    Moving(
        "02_pds",
        "Edit",
        "The same picture, with one thing changed and the rest kept.",
        "A red boat on a frozen river turns blue, and the river stays as it is.",
        ("--prompt", BOAT, "--edit_prompt", BLUE, "--loss_type", "pds", *SOURCE, "-mv"),
    ),
    Moving(
        "03_vsd",
        "Distil many",
        "Several pictures at once that do not all become the same one.",
        "Four blurred patches become four different red houses in the snow.",
        ("--prompt", HOUSE, "--loss_type", "vsd", "--particles", "4", "--steps", "120", "-mv"),
    ),
    Moving(
        "04_pixelart",
        "Pixel art",
        "Every pixel is one of a few colours, while the picture is still moving.",
        "A grid of eight colours settles into a small picture of a red boat on ice.",
        ("pixelart", "--prompt", BOAT, "--size", "32,32", "--steps", "120", "-mv"),
    ),
    Moving(
        "05_strokes",
        "Paint",
        "A few strokes and some words; the picture keeps where the strokes are.",
        "Noise becomes a purple castle in the snow, where the painted strokes were.",
        ("strokes", *PAINTING, "--prompt", "a purple castle in the snow", "-mv"),
    ),
    Moving(
        "06_elastic",
        "Any size",
        "Twice as wide as anything that the model was trained on, and still one thing.",
        "Noise becomes a wide picture with a single red boat on a frozen river.",
        ("elastic", "--prompt", BOAT, "--height", "64", "--width", "128", "-mv"),
    ),
    Moving(
        "07_morph",
        "Morph",
        "From one prompt to the next and back, in pixels and one palette.",
        "A red boat changes into a yellow castle and back, without a jump.",
        ("morph", BOAT, "a yellow castle in the night sky", "--loop"),
    ),
)


def moving_picture(moving: Moving, made: MadeBefore, *, draw: bool) -> Path | None:
    """Its GIF; if it was not drawn before, it is drawn first, or None without `draw`.

    Raises:
        CourseError: the command that draws it fails.
    """
    gif = made.folder / f"{moving.stage}-{moving_key(moving, made)}.gif"
    if not gif.exists():
        if not draw:
            return None
        print(f"drawing {moving.typed} ...", file=sys.stderr, flush=True)
        gif.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as out:
            _draw(moving, Path(out))
            _save(_frames(Path(out), moving), gif)
    return gif


def moving_key(moving: Moving, made: MadeBefore) -> str:
    """The key of a moving picture: it shows what this command draws today."""
    return made.key(" ".join(moving.command), *(made.root / name for name in READ))


def still_picture(gif: Path) -> Path:
    """The last frame of a moving picture, for readers who want nothing to move."""
    png = gif.with_suffix(".png")
    if not png.exists():
        with Image.open(gif) as moving:
            moving.seek(getattr(moving, "n_frames", 1) - 1)
            moving.convert("RGB").save(png)
    return png


def _draw(moving: Moving, out: Path) -> None:
    command = [sys.executable, "main.py", *moving.command]
    if moving.command[0] != "sample":  # which has nothing that students write
        command += ["--implementation", "reference"]
    command += ["--out", str(out)]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = ran.stderr.strip()[-LAST_ERROR:]
        raise CourseError(f"the picture of {moving.stage} was not drawn: {moving.typed}: {said}")


def _frames(out: Path, moving: Moving) -> list[Image.Image]:
    """What a run left: its own GIF, or its frames."""
    for gif in sorted(out.rglob("*.gif")):
        with Image.open(gif) as opened:
            return [frame.convert("RGB") for frame in ImageSequence.Iterator(opened)]
    paths = sorted(out.rglob("frames/*.png")) or sorted(out.rglob("*.png"))
    if not paths:
        raise CourseError(f"the picture of {moving.stage} was not drawn: {moving.typed} left none.")
    return [Image.open(path).convert("RGB") for path in paths]


def _save(frames: list[Image.Image], gif: Path) -> None:
    chosen = frames
    if len(frames) > MOST:
        chosen = [frames[round(i * (len(frames) - 1) / (MOST - 1))] for i in range(MOST)]
    partial = gif.with_suffix(".part")
    chosen[0].save(
        partial,
        format="GIF",
        save_all=True,
        append_images=chosen[1:],
        duration=[PAUSE] * (len(chosen) - 1) + [HELD],
        loop=0,
    )
    partial.rename(gif)
