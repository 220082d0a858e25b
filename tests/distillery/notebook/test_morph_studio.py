"""The page of stage 7: what it draws, keeps, recolours and saves; a stand-in draws."""

from __future__ import annotations

import asyncio
import base64
import html
import io
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.morph.run import film_positions
from distillery.morph.settings import MorphSettings
from distillery.notebook.morph.drawing import drawn_by, film_so_far
from distillery.notebook.morph.page import morph_studio
from distillery.notebook.morph.path_editor import Keyframe, PathEditor
from distillery.notebook.morph.studio import MorphStudio
from distillery.pixelart.sequence import PixelSequence
from distillery.runs.run import Step
from reference import morph as functions

VIEW = "application/vnd.jupyter.widget-view+json"
PALETTE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 1, 1]])
FIRST = MorphSettings(
    prompts=("a cat", "a dog"),
    frames=6,
    steps=4,
    holds=(0, 0),
    size=(8, 12),
    spacing="uniform",
    implementation="reference",
)


class Runs:
    """Draws with no model: frame f is the row f % 4 of the palette, with one pixel of the next.

    hold: whether each step waits for `go`.
    """

    def __init__(self, *, rounds: int = 1, hold: bool = False) -> None:
        self.asked: list[MorphSettings] = []
        self.rounds, self.fails = rounds, ""
        self.go = threading.Semaphore(0) if hold else None

    def __call__(self, settings: MorphSettings) -> Runs:
        self.asked.append(settings)
        self.settings, self.total = settings, self.rounds * settings.steps
        return self

    def steps(self) -> Iterator[Step]:
        for index in range(self.total):
            if self.go is not None:
                assert self.go.acquire(timeout=60)
            if self.fails:
                raise CourseError(self.fails)
            self.done = index + 1
            yield Step(index, self.total, self.preview)

    def preview(self) -> torch.Tensor:
        return torch.zeros(2, 3, 16, 24)

    def finished(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each round that is done a frame, evenly apart."""
        count = self.done // self.settings.steps
        return torch.linspace(0, 1, count), torch.zeros(count, 3, 16, 24)

    def images(self) -> torch.Tensor:
        return torch.zeros(self.settings.frames, 3, 16, 24)

    def pixels(self, images: torch.Tensor) -> PixelSequence:
        rows = torch.arange(len(images)) % 4
        indices = rows.view(-1, 1, 1).repeat(1, *self.settings.size)
        indices[:, 0, 0] = (rows + 1) % 4
        return PixelSequence(indices, PALETTE)


def studio(runs: Runs | None = None, first: MorphSettings = FIRST, **options) -> MorphStudio:
    return MorphStudio(runs or Runs(), first, **options)


def picture_of(path: PathEditor, number: int) -> Image.Image:
    """What a card shows."""
    data = path._cards[number].picture.value.split("base64,")[1].split('"')[0]
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def note(page: MorphStudio) -> str:
    return page.note.value


# Keyframes


def test_keyframes_are_added_moved_and_removed():
    told = []
    path = PathEditor([Keyframe("a"), Keyframe("b", 5, 2)], changed=lambda: told.append(1))
    path.add()
    assert path.keyframes == (Keyframe("a"), Keyframe("b", 5, 2), Keyframe("", 6))
    path.move(2, -2)
    assert [one.prompt for one in path.keyframes] == ["", "a", "b"]
    path.move(0, 9)
    assert [one.prompt for one in path.keyframes] == ["a", "b", ""]
    path.remove(1)
    assert [one.prompt for one in path.keyframes] == ["a", ""]
    assert len(told) == 4
    path.remove(1)
    path.remove(0)
    assert path.keyframes == (Keyframe("a"),)


def test_the_cards_follow_the_keyframes_and_the_keyframes_what_is_typed():
    path = PathEditor([Keyframe("a"), Keyframe("b", 5, 2)])
    first, second = path.list.children
    assert (len(path.list.children), path._cards[1].seed.value) == (2, 5)
    path._cards[0].prompt.value = "  a   red cat "
    path._cards[1].hold.value = 3
    assert path.keyframes == (Keyframe("a red cat"), Keyframe("b", 5, 3))
    path._cards[0].down.click()
    assert path.keyframes == (Keyframe("b", 5, 3), Keyframe("a red cat"))
    assert path._cards[0].prompt.value == "b"
    assert path._cards[0].up.disabled
    assert path._cards[1].down.disabled
    assert not path._cards[0].down.disabled
    path._cards[1].off.click()
    assert path.list.children == (first,)
    assert path._cards[0].off.disabled
    path.adding.click()
    assert path.list.children == (first, second)
    assert path._cards[1].prompt.value == ""


def test_a_picture_stands_beside_its_keyframe_wherever_that_goes():
    path = PathEditor([Keyframe("a <b>"), Keyframe("b", 5)])
    path.put_pictures({("a <b>", 0): Image.new("RGB", (8, 8), "red")})
    shown = [card.picture.value for card in path._cards]
    assert 'alt="keyframe 1: a &lt;b&gt;"' in shown[0]
    picture = picture_of(path, 0)
    assert (picture.size, picture.getpixel((0, 0))) == ((72, 72), (255, 0, 0))
    assert 'aria-label="keyframe 2, not drawn yet"' in shown[1]
    path.move(0, 1)
    assert 'alt="keyframe 2: a &lt;b&gt;"' in path._cards[1].picture.value
    path._cards[1].seed.value = 3
    assert "not drawn yet" in path._cards[1].picture.value


# What is asked for, and what is wrong with it


def test_the_fields_are_the_settings():
    page = studio()
    assert page.settings == FIRST
    assert note(page) == "6 frames: a film of 0.5 seconds."
    for name, value in {"frames": 9, "fps": 25.0, "loop": True, "easing": "smooth"}.items():
        page.fields[name].value = value
    for name, value in {"text": "lerp", "noise": "hold", "spacing": "even"}.items():
        page.fields[name].value = value
    page.fields["size"].value, page.fields["palette"].value = (32, 32), " dusk "
    page.path.keyframes = [Keyframe("a", 4), Keyframe("b", 5, 1), Keyframe("c", 6)]
    made = replace(
        FIRST,
        **{"prompts": ("a", "b", "c"), "seeds": (4, 5, 6), "holds": (0, 1, 0)},
        **{"frames": 9, "fps": 25.0, "loop": True, "easing": "smooth", "text": "lerp"},
        **{"noise": "hold", "spacing": "even", "size": (32, 32), "palette": "dusk"},
        scale=None,
    )
    assert page.settings == made


@pytest.mark.parametrize(
    ("keyframes", "fields", "words"),
    [
        ([("a", 0, 0)], {}, "there is one; give a second"),
        ([("a", 0, 0), (" ", 1, 0)], {}, "rompt 2 of 2 is empty"),
        ([("a", 0, 0), ("a", 0, 0)], {}, "equal and so are their seeds"),
        ([("a", 0, 5), ("b", 1, 0)], {}, "need at least 7 frames; frames is 6"),
        ([("a", 0, 0), ("b", 1, 0)], {"palette": "257"}, "2 to 256 colours"),
        ([("a", 0, 0), ("b", 1, 0)], {"palette": "no such"}, "no such"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_and_nothing_can_be_drawn(keyframes, fields, words):
    runs = Runs()
    page = studio(runs)
    page.path.keyframes = [Keyframe(*one) for one in keyframes]
    for name, value in fields.items():
        page.fields[name].value = value
    assert words in note(page)
    assert re.fullmatch(r"[^a-z].*\.", html.unescape(note(page)))
    assert page.button.disabled
    assert page.keys.disabled
    assert "wrong" in page.note._dom_classes
    page.draw()
    assert words in page.caption
    assert runs.asked == []
    page.path.keyframes = [Keyframe("a"), Keyframe("b", 1)]
    page.fields["palette"].value = "16"
    assert not page.button.disabled
    assert "wrong" not in page.note._dom_classes


# Drawing


def test_a_drawing_becomes_a_film_with_its_palette_and_the_keyframes_pictures():
    runs = Runs()
    page = studio(runs)
    assert page.colours.layout.display == "none"
    page.draw()
    assert runs.asked == [FIRST]
    film = page.scrubber.film
    assert torch.equal(film.pictures[4, :, 7, 11], 2 * PALETTE[0] - 1)
    assert (len(film), film.fps, film.prompts) == (6, 12, ("a cat", "a dog"))
    assert film.positions == film_positions(FIRST).tolist()
    assert torch.equal(page.palette.palette, PALETTE)
    assert page.colours.layout.display == ""
    assert all("data:image/png" in card.picture.value for card in page.path._cards)
    assert page.caption.startswith("6 frames in ")
    assert (page.progress.value, page.progress.max) == (4, 4)
    page.path._cards[0].prompt.value = "a fox"
    assert "not drawn yet" in page.path._cards[0].picture.value
    page.path._cards[0].prompt.value = "a cat"
    page.fields["size"].value = (32, 32)
    assert "not drawn yet" in page.path._cards[0].picture.value


def test_keyframes_can_be_drawn_alone():
    runs = Runs()
    page = studio(runs, replace(FIRST, holds=(1, 0), loop=True, spacing="even"))
    page.keys.click()
    asked = runs.asked[0]
    assert (asked.frames, asked.waits, asked.loop, asked.spacing) == (2, (0, 0), False, "uniform")
    assert page.scrubber.film.positions == [0, 1]
    assert all("data:image/png" in card.picture.value for card in page.path._cards)


def test_what_goes_wrong_meanwhile_is_said_and_the_film_before_stays():
    runs = Runs()
    page = studio(runs)
    page.draw()
    before = page.scrubber.film
    runs.fails = "the disk is full; free some."
    page.draw()
    assert page.caption == runs.fails
    assert page.scrubber.film is before
    assert not page.running
    assert page.button.description == "draw"


def in_a_loop(act) -> None:
    """What a page does where an event loop runs, as in a kernel."""

    async def main() -> None:
        await act()

    asyncio.run(main())


async def came_to_pass(true) -> None:
    for _ in range(3000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to pass")


@pytest.mark.parametrize(("done", "frames", "positions"), [(1, 1, []), (4, 2, []), (17, 2, [0, 1])])
def test_stopped_it_keeps_what_is_finished_or_begun(done, frames, positions):
    """The empty page, a look at two drawings under way, a frame of each of two rounds."""
    runs = Runs(rounds=3, hold=True)
    page = studio(runs, replace(FIRST, steps=8))

    async def act() -> None:
        page.draw()
        assert page.running
        assert page.button.description == "stop"
        page.draw()  # is not begun
        for _ in range(done):
            runs.go.release()
        await came_to_pass(lambda: page._done == done)
        page.button.click()
        assert page.button.disabled  # until it has come to an end
        runs.go.release()
        await came_to_pass(lambda: not page.running)
        page.wait()

    in_a_loop(act)
    assert len(runs.asked) == 1
    assert re.match(rf"Stopped at step ({done}|{done + 1}) of 24", page.caption)
    assert len(page.scrubber.film) == frames
    assert list(page.scrubber.film.positions) == positions
    assert page.result is None
    assert all(button.disabled for button in page.saving)
    assert page.button.description == "draw"
    assert not page.button.disabled


def test_the_page_is_alive_while_it_draws():
    runs = Runs(hold=True)
    page = studio(runs)

    async def act() -> None:
        page.draw()
        page.path.add()
        assert "rompt 3 of 3 is empty" in note(page)
        assert not page.button.disabled  # it is the one that stops
        for _ in range(4):
            runs.go.release()
        await came_to_pass(lambda: not page.running)
        page.wait()

    in_a_loop(act)
    assert page.caption.startswith("6 frames in ")
    assert page.button.disabled


# Colours


def test_another_colour_is_another_colour_in_all_frames():
    page = studio()
    page.draw()
    page.palette.select(1)
    page.palette.picker.value = "#00ff00"
    film = page.scrubber.film
    assert film.codes == page.scrubber.box.palette == ["#000000", "#00ff00", "#0000ff", "#ffffff"]
    green = torch.tensor([-1.0, 1, -1])
    assert torch.equal(film.pictures[1, :, 7, 11], green)
    assert torch.equal(film.pictures[5, :, 7, 11], green)
    assert torch.equal(film.pictures[0, :, 0, 0], green)
    assert picture_of(page.path, 1).getpixel((71, 47)) == (0, 255, 0)


@pytest.mark.parametrize("act", ["move", "add"])
def test_a_colour_that_is_moved_or_added_changes_no_frame(act):
    page = studio()
    page.draw()
    before = page.scrubber.film.pictures
    page.palette.select(0)
    page.palette.move(2) if act == "move" else page.palette.add()
    assert torch.equal(page.scrubber.film.pictures, before)
    assert page.scrubber.film.codes != ["#000000", "#ff0000", "#0000ff", "#ffffff"]


def test_pixels_of_a_colour_that_is_removed_take_the_nearest():
    page = studio()
    page.draw()
    page.palette.select(2)  # blue; in OKLab red is nearer than black and white
    page.palette.remove()
    film = page.scrubber.film
    assert film.codes == ["#000000", "#ff0000", "#ffffff"]
    assert torch.equal(film.pictures[2, :, 7, 11], torch.tensor([1.0, -1, -1]))
    assert torch.equal(film.pictures[3, :, 7, 11], torch.ones(3))


# Files


def test_files_are_handed_to_the_browser_as_they_are_in_the_end():
    page = studio()
    sent = []
    page.file.box.send = lambda content, buffers: sent.append((content, bytes(buffers[0])))
    for button in page.saving[:3]:
        assert button.disabled
    page.draw()
    page.palette.select(1)
    page.palette.change("#00ff00")
    for button in page.saving[:3]:
        button.click()
    assert [its["name"] for its, _ in sent] == ["morph.gif", "sprites.png", "sprites.json"]
    assert [its["type"] for its, _ in sent] == ["image/gif", "image/png", "application/json"]
    (_, gif), (_, sheet), (_, places) = sent
    with Image.open(io.BytesIO(gif)) as picture:
        assert picture.n_frames == 6
        picture.seek(1)
        assert picture.convert("RGB").getpixel((picture.width - 1, picture.height - 1)) == (
            0,
            255,
            0,
        )
    with Image.open(io.BytesIO(sheet)) as picture:
        assert picture.size == (3 * 12, 2 * 8)
    assert len(json.loads(places)["frames"]) == 6


def test_all_is_saved_where_the_command_saves_and_never_over_anything(tmp_path):
    page = studio(out=tmp_path)
    page.draw()
    page.saving[3].click()
    folder = tmp_path / "a_cat_to_a_dog"
    assert str(folder) in page.caption
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "morph.gif",
        "morph.mp4",
        "sprites.png",
        "sprites.json",
        "palette.hex",
        "run.yaml",
    } <= names
    assert len(list(folder.glob("pictures/*.png"))) == 6
    assert (tmp_path / "a_cat_to_a_dog.png").is_file()
    assert MorphSettings.load(folder / "run.yaml") == FIRST
    kept = (folder / "morph.gif").read_bytes()
    page.palette.select(1)
    page.palette.change("#00ff00")
    page.save()
    assert (folder / "morph.gif").read_bytes() == kept
    assert (tmp_path / "a_cat_to_a_dog~2" / "morph.gif").read_bytes() != kept
    (tmp_path / "a_cat_to_a_dog~3~unfinished").mkdir()  # of a command that was stopped
    page.save()
    assert (tmp_path / "a_cat_to_a_dog~4.png").is_file()


def test_where_nothing_can_be_written_a_sentence_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    page = studio(out=tmp_path / "file")
    page.save()  # there is nothing yet
    page.draw()
    page.save()
    assert page.caption.startswith("cannot write ")


# Front ends, and the real run


def test_where_there_are_no_widgets_it_draws_with_the_settings_it_begins_with(monkeypatch):
    assert VIEW in studio()._repr_mimebundle_()
    for name in ("ipywidgets", "anywidget"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("distillery.notebook.morph.scrubber._widget_class", _no_widget)
    page = studio()
    page.draw()
    bundle = page._repr_mimebundle_()
    assert VIEW not in bundle
    assert bundle["text/plain"].startswith("6 frames in ")
    assert Image.open(io.BytesIO(bundle["image/png"])).width > 4 * 96


def _no_widget():
    raise ImportError


def test_the_page_draws_what_the_command_draws(tmp_path):
    page = morph_studio(functions, out=tmp_path)
    first = replace(page.settings, frames=3, steps=2, size=(16, 16), spacing="uniform", scale=None)
    assert first.implementation == "reference"
    page = MorphStudio(drawn_by(functions), first, out=tmp_path)
    page.draw()
    assert page.caption.startswith("3 frames in ")
    run = drawn_by(functions)(first)
    for _ in run.steps():
        pass
    assert torch.equal(page.result.images, run.images())
    page.save()
    stopped = drawn_by(functions)(first)
    assert film_so_far(stopped, first) is None
    next(steps := stopped.steps())
    assert film_so_far(stopped, first) is None
    next(steps)
    film = film_so_far(stopped, first)
    assert (len(film), film.positions) == (2, [0, 1])  # the keyframes, of which a film begins
    assert torch.equal(stopped.finished()[1], run.images()[[0, 2]])
    (folder,) = Path(tmp_path).glob("*_to_*/")
    assert (folder / "morph.gif").read_bytes() == run.products()["morph.gif"]
