"""The page of stage 6: what is asked for, what it costs, and the picture that becomes."""

from __future__ import annotations

import asyncio
import html
import io
import json
import sys
import warnings
from collections.abc import Iterator

import pytest
import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.core.images import to_png_bytes
from distillery.methods.elastic_methods import METHODS
from distillery.notebook.elastic.drawing import drawn_by, settings_of
from distillery.notebook.elastic.fields import unknown
from distillery.notebook.elastic.page import course_pictures
from distillery.notebook.elastic.request import SAMPLES, Drawer, Request
from distillery.notebook.elastic.studio import PROMPT, ElasticStudio
from distillery.runs import elastic
from distillery.runs.elastic_settings import ANY_SIZE, ElasticSettings
from distillery.runs.run import Step
from distillery.toybox.vocabulary import COLOURS, SCENES, THINGS, all_factors
from reference import elastic as functions

STEPS = 4


class Runs:
    """Stands in for a model; step k of seed s is a picture of the grey level 10 s + k."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.seen_of: list[Request] = []

    def steps(self, request: Request) -> Iterator[Step]:
        self.asked.append(request)
        for index in range(STEPS):
            picture = Image.new("RGB", request.size[::-1], (10 * request.seed + index,) * 3)
            figures = {SAMPLES: torch.tensor(5.0 * (index + 1))}
            yield Step(index, STEPS, lambda picture=picture: picture, figures=figures)

    def seen(self, request: Request) -> Image.Image:
        self.seen_of.append(request)
        return Image.new("L", request.size[::-1], 200 if request.control == "canny" else 100)

    def defaults(self, size: tuple[int, int]) -> dict[str, float]:
        return {"resampling_steps": size[1] // 16, "guidance_scale": 5.0}

    def samples(self, request: Request) -> float:
        if request.resampling_steps == 9:
            raise CourseError("nine rounds are too many; take fewer.")
        return 4.0 * (1 + request.resampling_steps)

    @property
    def drawer(self) -> Drawer:
        sizes = ((16, 16), (16, 32), (32, 16), (32, 32))
        return Drawer(self.steps, self.samples, 8.0, self.seen, self.defaults, sizes)


def studio(runs: Runs | None = None, **options) -> ElasticStudio:
    return ElasticStudio((runs or Runs()).drawer, **options)


def pictures() -> dict[str, Image.Image]:
    return {"a red boat in the snow": Image.new("RGB", (8, 8)), "a cat": Image.new("RGB", (16, 8))}


def level(png: bytes) -> tuple[int, tuple[int, int]]:
    picture = Image.open(io.BytesIO(png)).convert("L")
    return picture.getpixel((0, 0)), picture.size


def test_what_is_asked_for_stands_on_the_page():
    runs = Runs()
    made = studio(runs)
    made.fields["prompt"].value = "  a red   boat "
    made.fields["size"].value = (32, 16)
    made.fields["method"].value = "multidiffusion"
    made.fields["guidance_scale"].value = 7.0
    made.fields["resampling_steps"].value = 3
    made.fields["new_p"].value = 0.5
    made.fields["rrg_weight"].value = 0.25
    made.fields["strength"].value = 0.75
    made.fields["seed"].value = 12
    made.button.click()
    asked = Request("a red boat", (32, 16), "multidiffusion", 7.0, 3, 0.5, 0.25, 12, strength=0.75)
    assert runs.asked == [asked]
    assert level(made.image.value) == (123, (256, 512))
    assert made.caption.startswith("seed 12: step 4 of 4, 20 network samples in ")
    assert made.progress.value == made.progress.max == STEPS


def test_every_method_can_be_chosen_and_only_its_own_settings_count():
    made = studio()
    assert sorted(made.fields["method"].options) == sorted(METHODS)
    for method in METHODS:
        made.fields["method"].value = method
        assert made.fields["new_p"].disabled == (method != "elastic")
        draws_over = method in ("elastic", "upsample-guidance", "upscale")
        assert made.fields["strength"].disabled == (not draws_over)


def test_the_cost_follows_the_settings_and_knows_this_machine_after_a_run():
    made = studio()
    assert made.note.value == (
        "It takes 12 network samples, 1.5 times those of a picture of the trained size."
    )
    made.fields["resampling_steps"].value = 5
    assert made.note.value.startswith("It takes 24 network samples, 3.0 times those of ")
    made.draw()
    assert "trained size, about " in made.note.value
    made.fields["resampling_steps"].value = 9
    assert made.note.value == "Nine rounds are too many; take fewer."
    made.draw()
    assert made.caption == "nine rounds are too many; take fewer."
    assert not made.running


def test_the_rounds_are_those_that_suit_a_new_size():
    made = studio()
    assert made.request.resampling_steps == 2
    made.fields["size"].value = (16, 16)
    assert made.request.resampling_steps == 1


def test_chosen_words_make_the_prompt_and_unknown_ones_are_named():
    made = studio()
    assert made.request.prompt == str(PROMPT)
    made.words[1].value = "cat"
    made.words[0].value = "orange"
    assert made.request.prompt == "an orange cat on a frozen river"
    assert made.hint.value == ""
    made.fields["prompt"].value = "an orange <dragon>, a cat"
    assert html.unescape(made.hint.value) == "No training picture showed '<dragon>'."
    assert unknown("A Picture of two dogs, two cats.") == ["two", "dogs", "cats"]
    assert [str(its) for its in all_factors() if unknown(str(its))] == []


def test_an_empty_prompt_is_said_and_not_drawn():
    runs = Runs()
    made = studio(runs)
    made.fields["prompt"].value = "  "
    assert made.note.value == "The prompt is empty; say there what the picture shows."
    made.draw()
    assert made.caption == "the prompt is empty; say there what the picture shows."
    assert runs.asked == []


def test_again_takes_the_next_seed():
    runs = Runs()
    made = studio(runs)
    made.draw()
    made.other.click()
    assert [request.seed for request in runs.asked] == [0, 1]
    assert made.fields["seed"].value == 1


def test_the_button_stops_the_run_under_way():
    runs = Runs()
    made = studio(runs)

    async def stop_it() -> None:
        made.button.click()
        await asyncio.sleep(0)  # its first turn
        assert made.button.description == "stop"
        while "step 2" not in made.caption:
            await asyncio.sleep(0)
        made.button.click()
        await made.runner.task

    asyncio.run(stop_it())
    assert made.caption.startswith("stopped at seed 0: step 2 of 4, 10 of 12 network samples")
    assert made.button.description == "draw"
    assert level(made.image.value)[0] == 1  # the picture of the second step
    assert not made.running


def test_a_run_that_was_replaced_shows_nothing_more():
    class Interrupted(Runs):
        def steps(self, request: Request) -> Iterator[Step]:
            if request.seed == 0:
                made._again()  # comes in between, to the end
            yield from super().steps(request)

    made = studio(Interrupted())
    made.draw()
    assert made.caption.startswith("seed 1: step 4 of 4")
    assert level(made.image.value)[0] == 13


def test_what_goes_wrong_and_what_is_warned_of_is_said_in_a_sentence():
    class Failing(Runs):
        def steps(self, request: Request) -> Iterator[Step]:
            warnings.warn("the end of the prompt is ignored", stacklevel=1)
            yield from super().steps(request)
            if request.seed:
                raise ValueError("shapes <b>1</b>\n and 2 differ")

    made = studio(Failing())
    made.draw()
    assert made.caption.endswith("; the end of the prompt is ignored")
    made._again()
    assert made.caption == "ValueError: shapes <b>1</b>"
    assert "&lt;b&gt;" in made.label.value


def test_the_picture_is_handed_to_the_browser_once_there_is_one(monkeypatch):
    made, sent = studio(), []
    monkeypatch.setattr(made.file.box, "send", lambda message, buffers: sent.append(buffers))
    assert made.keep.disabled
    made.draw()
    made.keep.click()
    [[content]] = sent
    assert level(content) == (3, (32, 16))


def test_a_picture_of_the_course_brings_its_prompt_and_is_seen_as_the_network_does():
    runs = Runs()
    made = studio(runs, pictures=pictures())
    assert made.request.size == (32, 32)  # of the picture's aspect, and larger than trained
    assert level(made.seen.value) == (200, (192, 192))
    made.fields["control"].value = "depth"
    assert level(made.seen.value)[0] == 100
    made.fields["picture"].value = "a cat"
    assert made.request.prompt == "a cat"
    assert made.request.picture.size == (16, 8)
    made.fields["size"].value = (16, 32)
    assert level(made.seen.value) == (100, (192, 96))
    made.draw()
    assert runs.asked[0].picture.size == (16, 8)
    assert len(runs.seen_of) == 4


def test_a_picture_of_the_readers_own_is_taken_and_a_broken_one_refused_in_a_sentence():
    runs = Runs()
    made = studio(runs, pictures=pictures())
    made.fields["picture"].value = "a cat"
    runs.seen_of.clear()
    picture = Image.new("RGBA", (9, 7), (0, 0, 0, 0))
    message = {"kind": "open", "name": "../mine.png"}
    made.file._heard(made.file.box, message, [to_png_bytes(picture)])
    assert made.fields["picture"].value == "mine.png"
    assert made.request.picture.getpixel((0, 0)) == (255, 255, 255)  # over white
    assert made.request.prompt == "a cat"
    assert [request.picture.size for request in runs.seen_of] == [(9, 7)]
    again = Image.new("RGB", (4, 4), "red")
    made.file._heard(made.file.box, message, [to_png_bytes(again)])
    assert made.request.picture.size == (4, 4)
    made.file._heard(made.file.box, {"kind": "open", "name": "bad.png"}, [b"no picture"])
    assert made.file.box.said.startswith("bad.png cannot be read as a picture")


def test_without_widgets_it_draws_what_it_begins_with(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    made = studio()
    assert made.box is None
    made.draw()
    bundle = made._repr_mimebundle_()
    assert level(bundle["image/png"]) == (3, (512, 256))
    assert bundle["text/plain"].startswith("seed 0: step 4 of 4")


def test_a_request_becomes_the_settings_of_the_command():
    request = Request("a cat", (64, 128), "elastic", 4.0, 3, 0.5, 0.25, 7, None, "depth", 0.75)
    settings = settings_of(request, "tiny-sdxl")
    assert (settings.height, settings.width, settings.seed) == (64, 128, 7)
    assert (settings.guidance_scale, settings.resampling_steps) == (4.0, 3)
    assert (settings.new_p, settings.rrg_weight, settings.method) == (0.5, 0.25, "elastic")
    assert (settings.control, settings.controlnet_conditioning_scale) == ("depth", 0.75)


@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sdxl"])
def test_a_page_begins_with_what_suits_its_model(model):
    made = ElasticStudio(drawn_by(model, functions))
    settings = settings_of(made.request, model)
    usual = ElasticSettings(
        model=model, prompt=settings.prompt, height=settings.height, width=settings.width
    )
    unlike = {name for name in vars(usual) if getattr(settings, name) != getattr(usual, name)}
    assert unlike <= {
        "controlnet_conditioning_scale"
    }  # which a page without pictures has no use for
    assert (made.request.strength, made.request.rrg_weight) == (0.5, 0.0)


def test_the_adapted_model_is_loaded_once(monkeypatch):
    loaded = []
    monkeypatch.setattr(elastic, "load_lora", lambda prior, source: loaded.append(source))
    drawer = drawn_by("tiny-sd", functions)
    for method in ("direct", "elastic", "upsample-guidance", "upscale", "elastic"):
        next(iter(drawer.steps(Request("a red boat", (72, 80), method))))
    assert loaded == [ANY_SIZE]


def test_on_a_model_the_network_is_asked_as_often_as_was_said():
    drawer = drawn_by("tiny-sd", functions)
    assert drawer.sizes[:2] == [(64, 64), (64, 128)]
    request = Request("a red boat", (64, 96), "multidiffusion", **drawer.defaults((64, 96)))
    expected = drawer.samples(request)
    steps = drawer.steps(request)
    step = next(iter(steps))
    assert float(step.figures[SAMPLES]) * step.total == pytest.approx(expected)
    assert step.picture().shape == (1, 3, 64, 96)
    with pytest.raises(CourseError, match="new_p"):
        drawer.samples(Request("a boat", (64, 96), new_p=2.0))


def test_the_pictures_of_the_course_are_named_by_what_they_show():
    its = course_pictures()
    assert next(iter(its)) == str(PROMPT)
    assert len(its) == 21
    assert [name for name in its if unknown(name)] == []
    assert {picture.mode for picture in its.values()} == {"RGB"}


def test_the_text_of_the_page_names_all_that_the_models_know_and_every_method():
    notebook = json.loads((REPOSITORY / "elastic_demo.ipynb").read_text("utf-8"))
    text = " ".join("".join(cell["source"]) for cell in notebook["cells"]).replace("\n", " ")
    assert [word for word in (*THINGS, *COLOURS, *SCENES, *METHODS) if word not in text] == []
