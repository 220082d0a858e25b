"""The stroke canvas and the studio around it: their Python side."""

from __future__ import annotations

import asyncio
import io
import itertools
import threading
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.notebook.strokes.canvas import StrokeCanvas
from distillery.notebook.strokes.drawing import regions_of
from distillery.notebook.strokes.page import one_thing, samples, two_things
from distillery.notebook.strokes.request import Request, finished
from distillery.notebook.strokes.studio import StrokeStudio
from distillery.runs.run import Step
from distillery.toybox import COLOURS, SCENES, THINGS

VIEW = "application/vnd.jupyter.widget-view+json"
RED, CLEAR = (255, 0, 0, 255), (0, 0, 0, 0)


def half_painted(width: int = 12, height: int = 8) -> Image.Image:
    """Red on the left half, nothing on the right one."""
    picture = Image.new("RGBA", (width, height), CLEAR)
    picture.paste(RED, (0, 0, width // 2, height))
    return picture


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def opened(canvas: StrokeCanvas, layer: str, content: bytes, name: str = "mine.png") -> None:
    """What arrives when a file was chosen in the browser."""
    message = {"kind": "open", "layer": layer, "name": name}
    canvas.box._handle_custom_msg(message, [memoryview(content)])


# The canvas


def test_an_empty_canvas_is_transparent_and_without_regions():
    canvas = StrokeCanvas((8, 12))
    assert canvas.painting.size == (12, 8)
    assert canvas.painting.getcolors() == [(96, CLEAR)]
    assert not np.asarray(canvas.labels).any()
    assert not canvas.is_painted


def test_what_the_browser_sends_is_read_in_python_and_the_other_way_round():
    canvas = StrokeCanvas((8, 12))
    cells = np.random.default_rng(0).integers(0, 256, (8, 12, 4), np.uint8)
    labels = np.arange(96, dtype=np.uint8).reshape(8, 12) % 3
    state = {"colours": memoryview(cells.tobytes()), "labels": memoryview(labels.tobytes())}
    canvas.box.set_state({**state, "words": ["cat", "car"]})
    assert np.array_equal(np.asarray(canvas.painting), cells)
    assert np.array_equal(np.asarray(canvas.labels), labels)
    assert canvas.words == ("cat", "car")

    canvas.painting = half_painted()
    canvas.labels = labels.T.copy().T[::-1]
    assert bytes(canvas.box.colours) == half_painted().tobytes()
    assert bytes(canvas.box.labels) == labels[::-1].tobytes()


def test_a_painting_is_written_and_read_with_its_unpainted_parts(tmp_path):
    canvas = StrokeCanvas(painting=half_painted())
    canvas.save(tmp_path / "painting.png")
    again = StrokeCanvas((8, 12))
    again.load(tmp_path / "painting.png")
    assert again.painting.tobytes() == half_painted().tobytes()


def test_a_picture_of_another_size_fills_the_canvas_and_each_cell_is_painted_or_not():
    canvas = StrokeCanvas((8, 12), painting=half_painted(100, 50))
    cells = np.asarray(canvas.painting)
    assert set(np.unique(cells[..., 3])) == {0, 255}
    assert (cells[:, :5] == RED).all()
    assert (cells[:, 7:] == CLEAR).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_a_picture_without_alpha_is_painted_everywhere(mode):
    canvas = StrokeCanvas(painting=Image.new("RGB", (12, 8), "white").convert(mode))
    assert canvas.painting.getcolors() == [(96, (255, 255, 255, 255))]


def test_labels_survive_their_file_and_another_size(tmp_path):
    canvas = StrokeCanvas((8, 12), words=["cat", " red car "])
    assert canvas.words == ("cat", "red car")
    labels = np.zeros((8, 12), np.uint8)
    labels[:, 6:], labels[4:, :6] = 2, 1
    canvas.labels = labels
    canvas.save_labels(tmp_path / "labels.png")
    same = StrokeCanvas((8, 12))
    same.load_labels(tmp_path / "labels.png")
    assert np.array_equal(np.asarray(same.labels), labels)
    larger = StrokeCanvas((16, 24))
    larger.load_labels(tmp_path / "labels.png")
    assert np.array_equal(np.asarray(larger.labels), labels.repeat(2, 0).repeat(2, 1))


def test_files_chosen_in_the_browser_go_into_their_layer_and_come_back(monkeypatch):
    canvas, sent = StrokeCanvas((8, 12)), []
    monkeypatch.setattr(
        canvas.box, "send", lambda message, buffers: sent.append((message, buffers))
    )
    opened(canvas, "colours", png(half_painted()))
    assert canvas.painting.tobytes() == half_painted().tobytes()
    opened(canvas, "labels", png(Image.new("L", (12, 8), 2)))
    assert (np.asarray(canvas.labels) == 2).all()
    opened(canvas, "underlay", png(Image.new("RGB", (60, 40), "blue")))
    assert Image.open(io.BytesIO(canvas.box.underlay)).size[0] % 12 == 0
    canvas.trace(None)
    assert not canvas.box.underlay
    for layer in ("colours", "labels"):
        canvas.box._handle_custom_msg({"kind": "save", "layer": layer}, [])
    (first, [painting]), (second, [labels]) = sent
    assert (first["name"], second["name"]) == ("painting.png", "labels.png")
    assert Image.open(io.BytesIO(painting)).tobytes() == half_painted().tobytes()
    assert (np.asarray(Image.open(io.BytesIO(labels))) == 2).all()


@pytest.mark.parametrize(
    ("layer", "content", "said"),
    [
        ("colours", b"no picture", "mine.png cannot be read as a picture"),
        ("labels", png(half_painted()), "RGBA"),
        ("labels", png(Image.new("L", (12, 8), 9)), "0 to 8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence_in_the_canvas(layer, content, said):
    canvas = StrokeCanvas(painting=half_painted())
    opened(canvas, layer, content)
    assert said in canvas.box.said
    assert "/" not in canvas.box.said
    assert canvas.painting.tobytes() == half_painted().tobytes()
    opened(canvas, "colours", png(half_painted()))
    assert canvas.box.said == ""


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (Image.new("RGB", (90, 30), "blue"), "mine.png is 90 wide and 30 high, of another shape"),
        (Image.new("RGBA", (12, 8)), "mine.png has no paint"),
        (Image.new("RGB", (121, 80), "blue"), ""),  # less than a cell is cut off
    ],
)
def test_what_the_canvas_cannot_take_over_from_a_file_is_said_until_something_changes(
    picture, said
):
    canvas = StrokeCanvas((8, 12))
    opened(canvas, "colours", png(picture))
    assert canvas.box.said.startswith(said)
    assert bool(canvas.box.said) == bool(said)
    canvas.painting = half_painted()
    assert canvas.box.said == ""


def test_a_photograph_held_upright_counts_as_it_is_seen():
    canvas = StrokeCanvas((8, 12))
    lying, photograph = Image.new("RGB", (80, 120), "blue"), io.BytesIO()
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    lying.save(photograph, "JPEG", exif=exif)
    opened(canvas, "colours", photograph.getvalue())
    assert canvas.box.said == ""


@pytest.mark.parametrize("size", [(0, 8), (8, 513), (8,), 8, (8.0, 8), ("8", 8)])
def test_a_size_that_no_canvas_has_is_refused(size):
    with pytest.raises(CourseError, match=r"1 to 512"):
        StrokeCanvas(size)


@pytest.mark.parametrize("words", ["cat", [1], ["w"] * 9])
def test_words_of_another_kind_are_refused(words):
    with pytest.raises(CourseError, match="words"):
        StrokeCanvas(words=words)


@pytest.mark.parametrize(
    "painting", ["mine.png", np.zeros((8, 12, 4)), np.zeros((8, 12), np.uint8)]
)
def test_a_painting_of_another_kind_is_refused(painting):
    canvas = StrokeCanvas((8, 12))
    with pytest.raises(CourseError, match="the painting is"):
        canvas.painting = painting


@pytest.mark.parametrize("labels", [np.full((8, 12), 9), np.full((8, 12), -1), np.zeros((8, 12))])
def test_labels_of_another_kind_are_refused(labels):
    canvas = StrokeCanvas((8, 12))
    with pytest.raises(CourseError, match=r"labels|regions"):
        canvas.labels = labels


def test_the_canvas_comes_with_a_picture_and_works_without_widgets(monkeypatch):
    data, _ = StrokeCanvas(painting=half_painted())._repr_mimebundle_()
    assert VIEW in data
    assert Image.open(io.BytesIO(data["image/png"])).width > 100
    monkeypatch.setattr("distillery.notebook.strokes.canvas._widget_class", refuse)
    canvas = StrokeCanvas(painting=half_painted(), words=["cat"])
    canvas.labels = np.ones((8, 12), np.uint8)
    assert canvas.painting.tobytes() == half_painted().tobytes()
    assert (np.asarray(canvas.labels) == 1).all()
    assert canvas.words == ("cat",)
    assert VIEW not in canvas._repr_mimebundle_()[0]


def refuse():
    raise ImportError


# The studio


class Runs:
    """Begins runs of four steps, each step's picture of another grey; knows what was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Iterator[Step]:
        self.asked.append(request)
        for index in range(4):
            yield Step(index, 4, lambda index=index: Image.new("RGB", (12, 8), (index,) * 3))


def studio(runs: Runs, **options: object) -> StrokeStudio:
    return StrokeStudio(runs, canvas=StrokeCanvas(painting=half_painted()), **options)


def test_a_press_draws_what_is_asked_and_shows_the_last_picture():
    runs = Runs()
    made = studio(runs, prompt="a red boat")
    made.controls["strength"].value = 0.3
    made.button.click()
    (request,) = runs.asked[-1:]
    assert (request.prompt, request.strength, request.seed) == ("a red boat", 0.3, 0)
    assert request.painting.tobytes() == half_painted().tobytes()
    assert request.labels is None
    assert made.picture.getpixel((0, 0)) == (3, 3, 3)
    assert made.caption == "seed 0: step 4 of 4"
    assert (made.progress.value, made.progress.max) == (4, 4)
    made.other.click()
    assert runs.asked[-1].seed == 1


def test_the_first_region_binds_its_word_until_that_is_not_wished():
    runs = Runs()
    made = studio(runs)
    made.canvas.words = ["cat"]
    assert runs.asked[-1].words == ()
    made.canvas.labels = np.ones((8, 12), np.uint8)
    assert made.controls["regions"].value
    assert runs.asked[-1].words == ("cat",)
    made.controls["regions"].value = False
    made.canvas.labels = np.eye(8, 12, dtype=np.uint8)
    assert runs.asked[-1].labels is None
    made.controls["regions"].value = True
    assert np.asarray(runs.asked[-1].labels).sum() == 8


def test_a_method_comes_with_the_strength_that_suits_it():
    made = studio(Runs(), methods={"gradop+": 0.8, "sdedit": 0.65})
    made.controls["method"].value = "sdedit"
    assert (made.request.method, made.request.strength) == ("sdedit", 0.65)


def test_a_newer_request_replaces_the_run_under_way():
    runs = Runs()
    made = studio(runs)

    async def hurry() -> None:
        made.draw()
        await asyncio.sleep(0.001)
        made.canvas.painting = half_painted().transpose(Image.Transpose.ROTATE_180)
        assert made.running
        made.other.click()
        await made.task

    asyncio.run(hurry())
    assert runs.asked[-1].seed == 1
    assert runs.asked[-1].painting.getpixel((0, 0)) == CLEAR
    assert made.caption == "seed 1: step 4 of 4"


def test_a_run_is_stopped_from_another_thread_and_says_so():
    """JupyterLab's kernel handles the messages of each widget in a thread of its own."""
    stopping = threading.Thread(target=lambda: made.stop())

    def endless(request: Request) -> Iterator[Step]:
        for index in itertools.count():
            if index == 2:
                stopping.start()
            yield Step(min(index, 8), 10, half_painted)

    made = studio(endless)

    async def wait() -> None:
        made.draw()
        await made.task

    asyncio.run(wait())
    stopping.join()
    assert made.caption.startswith("stopped at seed 0: step")
    assert made.label.value == made.caption
    assert not made.running
    assert made.button.description == "draw"


def test_a_run_that_was_replaced_shows_nothing_more():
    def two(request: Request) -> Iterator[Step]:
        if request.seed == 0:
            made.again()  # comes in between, to the end
        yield Step(0, 1, lambda: Image.new("RGB", (12, 8), (request.seed,) * 3))

    made = studio(two)
    made.draw()
    assert made.caption == "seed 1: step 1 of 1"
    assert made.picture.getpixel((0, 0)) == (1, 1, 1)


def test_it_draws_while_one_paints_unless_it_is_told_not_to():
    runs = Runs()
    made = studio(runs)
    made.canvas.painting = half_painted().transpose(Image.Transpose.ROTATE_180)
    assert len(runs.asked) == 1
    made.live.value = False
    made.canvas.painting = half_painted()
    assert len(runs.asked) == 1


def test_an_example_brings_painting_regions_words_and_prompt_and_is_drawn_once():
    labels = Image.fromarray(np.eye(8, 12, dtype=np.uint8))
    turned = half_painted().transpose(Image.Transpose.ROTATE_180)
    two = Request(turned, "a cat and a car", labels=labels, words=("cat",))
    one = Request(half_painted(), "a cat")
    runs = Runs()
    made = studio(runs, examples=[one, two])
    for example, times in ((two, 1), (one, 2)):
        made.example.value = example.prompt
        asked = runs.asked[-1]
        assert len(runs.asked) == times
        assert (asked.prompt, asked.words) == (example.prompt, example.words)
        assert asked.painting.tobytes() == example.painting.tobytes()
        assert (asked.labels is None) == (example.labels is None)
    assert not made.canvas.has_regions


def test_a_warning_of_the_run_stands_beside_its_steps():
    def warns(request: Request) -> Iterator[Step]:
        warnings.warn("the end of the prompt is ignored", stacklevel=1)
        yield Step(0, 1, half_painted)

    made = studio(warns)
    for _ in range(2):  # not the first time only
        made.draw()
        assert made.caption == "seed 0: step 1 of 1; the end of the prompt is ignored"


def test_the_picture_is_handed_to_the_browser_once_there_is_one(monkeypatch):
    made, sent = studio(Runs()), []
    monkeypatch.setattr(
        made.canvas.box, "send", lambda message, buffers: sent.append((message, buffers))
    )
    assert made.keep.disabled
    made.draw()
    assert not made.keep.disabled
    made.keep.click()
    [(message, [content])] = sent
    assert message == {"kind": "file", "name": "picture.png"}
    assert Image.open(io.BytesIO(content)).getpixel((0, 0)) == (3, 3, 3)


@pytest.mark.parametrize(
    ("canvas", "said"),
    [(StrokeCanvas((8, 12)), "Paint something"), (StrokeCanvas(painting=half_painted()), "Press")],
)
def test_the_line_under_the_picture_says_what_to_do_first(canvas, said):
    assert StrokeStudio(Runs(), canvas=canvas).caption.startswith(said)


def test_the_examples_of_the_page_can_all_be_drawn():
    size = (64, 64)
    for example in (one_thing(size), two_things(size), *samples(size)):
        assert example.painting.size == size
        assert all(word in example.prompt for word in example.words)
        assert len(regions_of(example)) == len(example.words)
    assert len(samples((64, 128))) == 2
    assert len(samples(size)) == 12


def test_the_text_of_the_page_names_all_that_the_model_knows():
    text = (REPOSITORY / "strokes_demo.ipynb").read_text("utf-8")
    assert [word for word in (*THINGS, *COLOURS, *SCENES) if word not in text] == []


def test_what_goes_wrong_stands_in_one_sentence_under_the_picture():
    def fails(request: Request) -> Iterator[Step]:
        raise ValueError(f"the shapes <b>{request.seed}</b> and 1\n differ")
        yield

    made = studio(fails)
    made.draw()
    assert made.caption == "ValueError: the shapes <b>0</b> and 1"
    assert "&lt;b&gt;" in made.label.value
    assert made.button.description == "draw"


def test_a_request_is_fulfilled_without_a_browser():
    assert finished(Runs(), Request(half_painted(), "a boat")).getpixel((0, 0)) == (3, 3, 3)
    with pytest.raises(CourseError, match="no step"):
        finished(lambda request: [], Request(half_painted(), "a boat"))
