"""main.py strokes: every flag counts, files are as documented, and a stopped run goes on."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from running import Tree, put_students_module, stopped_once, without

import main
from distillery.core.files import REPOSITORY
from distillery.core.images import load_image, prompt_of
from distillery.core.settings import declared
from distillery.methods.guided_ddim import first_step
from distillery.methods.stroke_methods import KNOBS, METHODS
from distillery.models.load import load_prior
from distillery.models.presets import suits
from distillery.runs import kind, strokes
from distillery.runs.stroke_settings import NO_LORA, TWO_THINGS, StrokeSettings
from reference import strokes as reference

STEPS = 5
WORDS = ["--words", "boat, house"]


@pytest.fixture(scope="session")
def painting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pixels wide and 16 high: a red thing on the left, a blue one on the right, on grey."""
    levels = np.full((16, 24, 3), 170, np.uint8)
    levels[6:14, 2:10] = (200, 30, 30)
    levels[4:14, 14:22] = (30, 30, 200)
    path = tmp_path_factory.mktemp("painting") / "painting.png"
    Image.fromarray(levels).save(path)
    return path


@pytest.fixture(scope="session")
def labels(painting: Path) -> Path:
    """Where the two things are, twice as large as the painting."""
    numbers = np.zeros((16, 24), np.uint8)
    numbers[6:14, 2:10], numbers[4:14, 14:22] = 1, 2
    path = painting.with_name("labels.png")
    Image.fromarray(numbers).resize((48, 32), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture
def red_boat(tiny_sd_folder: Path, painting: Path) -> list[str]:
    """A short run of the reference; `--out` is left to the test."""
    options = {
        "--prompt": "a boat and a house",
        "--img_path": str(painting),
        "--model": str(tiny_sd_folder),
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": str(STEPS),
        "--num_iterative_steps": "2",
        "--grad_steps_per_iter": "2",
    }
    return ["strokes", *(word for option in options.items() for word in option)]


STEM = "a_boat_and_a_house"


def test_it_leaves_the_picture_its_making_and_what_it_began_from(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    assert {name.removeprefix(f"{STEM}/") for name in undisturbed} == {
        f"{STEM}.png",
        "making.gif",
        "run.yaml",
        "painting.png",
        *(f"frames/{number + 1:05d}.png" for number in range(STEPS)),
    }
    picture = tmp_path / "undisturbed" / f"{STEM}.png"
    assert load_image(picture).size == (24, 16)
    assert prompt_of(picture, load_image(picture)) == "a boat and a house"


def test_several_pictures_a_sheet_of_the_steps_and_the_labels_are_kept_where_asked_for(
    red_boat: list[str],
    labels: Path,
    tmp_path: Path,
    tree: Tree,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["--count", "3", "--frames", "--regions", str(labels), *WORDS]
    assert main.main([*red_boat, *asked, "--out", str(tmp_path)]) == 0

    folder = tmp_path / STEM
    assert {"labels.png", "frames.png", *(f"pictures/00{k}.png" for k in (1, 2, 3))} <= set(
        tree(folder)
    )
    assert len({path.read_bytes() for path in (folder / "pictures").iterdir()}) == 3
    assert (tmp_path / f"{STEM}.png").read_bytes() == (folder / "pictures/001.png").read_bytes()
    assert np.unique(np.asarray(Image.open(folder / "labels.png"))).tolist() == [0, 1, 2]
    said = capsys.readouterr().err
    assert "'boat' belongs to value 1, left, 17% of the picture" in said
    assert "'house' belongs to value 2" in said

    assert main.main([*red_boat, "--overwrite", "--out", str(tmp_path)]) == 0
    assert not {"labels.png", "frames.png", "pictures/001.png"} & set(tree(folder))


def test_the_second_of_several_pictures_is_that_of_the_next_seed(
    red_boat: list[str], tmp_path: Path
) -> None:
    assert main.main([*red_boat, "--count", "2", "--out", str(tmp_path / "two")]) == 0
    assert main.main([*red_boat, "--seed", "1", "--out", str(tmp_path / "one")]) == 0

    pair = (tmp_path / "two" / STEM / "pictures/002.png", tmp_path / "one" / f"{STEM}.png")
    second, alone = (np.asarray(load_image(path)).astype(int) for path in pair)
    assert abs(second - alone).max() <= 1


@pytest.mark.parametrize("index", [0, 2, STEPS - 1])
def test_a_run_that_goes_on_leaves_the_same_bytes(
    index: int,
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts = stopped_once(monkeypatch, strokes, "steered", index)
    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 130

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    assert starts == [0, index + 1]
    assert tree(tmp_path / "out") == undisturbed


def test_sdedit_with_regions_goes_on_too(
    red_boat: list[str], labels: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*red_boat, "--method", "sdedit", "--regions", str(labels), *WORDS]
    assert main.main([*command, "--out", str(tmp_path / "whole")]) == 0
    stopped_once(monkeypatch, strokes, "steered", 3)
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 130
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_stopped_run_starts_again_where_the_painting_has_changed(
    red_boat: list[str], painting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Path(shutil.copy(painting, tmp_path / "mine.png"))
    command = [*red_boat, "--img_path", str(mine), "--out", str(tmp_path / "out")]
    starts = stopped_once(monkeypatch, strokes, "steered", 0)
    assert main.main(command) == 130
    Image.new("RGB", (24, 16), "green").save(mine)

    assert main.main(command) == 0

    assert starts == [0, 0]


def test_a_runs_settings_repeat_it_to_the_byte(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    config = tmp_path / "undisturbed" / STEM / "run.yaml"

    assert main.main(["strokes", "--config", str(config), "--out", str(tmp_path / "again")]) == 0

    assert tree(tmp_path / "again") == undisturbed


@pytest.fixture(scope="session")
def drawn(tiny_sd_folder: Path, painting: Path, labels: Path) -> Callable[..., torch.Tensor]:
    """A function that draws by changed settings and gives the picture's values, each once."""
    known: dict[str, torch.Tensor] = {}
    prior = load_prior(tiny_sd_folder, device="cpu")

    def draw(**changes: object) -> torch.Tensor:
        settings = StrokeSettings.load(
            None,
            **{
                "prompt": "a boat and a house",
                "img_path": str(painting),
                "model": str(tiny_sd_folder),
                "steps": STEPS,
                "grad_steps_per_iter": 2,
                "num_iterative_steps": 2,
                "regions": str(labels) if changes.get("words") else "",
                "device": "cpu",
                **changes,
            },
        )
        key = settings.to_yaml()
        if key not in known:
            known[key] = kind.drawn(strokes, prior, reference, settings)
        return known[key]

    return draw


CHANGES = [
    ({}, {"seed": 1}),
    ({}, {"method": "gradop+x0"}),
    ({}, {"method": "sdedit"}),
    ({}, {"strength": 0.6}),
    ({}, {"num_iterative_steps": 1}),
    ({}, {"grad_steps_per_iter": 3}),
    ({}, {"learning_rate": 0.2}),
    ({}, {"guide": "linear"}),
    ({}, {"operator": "area", "width": 0.1}),
    ({}, {"operator": "median", "width": 0.1}),
    ({}, {"width": 0.2}),
    ({}, {"negative_prompt": "grey"}),
    ({}, {"guidance_scale": 2.0}),
    ({}, {"steps": 4}),
    ({}, {"words": "boat,house"}),
    ({"words": "boat,house"}, {"region_control": "attention"}),
    ({"words": "boat,house"}, {"region_control": "hard"}),
    ({"words": "boat,house"}, {"region_control": "regional"}),
    ({"words": "boat,house"}, {"region_strength": 0.5}),
    ({"words": "boat,house"}, {"words": "house,boat"}),
    ({"method": "sdedit"}, {"strength": 0.6}),
    ({"method": "sdedit-stochastic", "strength": 0.8}, {"end": 0.2}),
    ({"method": "low-frequencies"}, {"end": 0.2}),
    ({"method": "low-frequencies"}, {"width": 0.3}),
    ({"method": "x0-guidance"}, {"weight": 5.0}),
]


@pytest.mark.parametrize(("base", "change"), CHANGES, ids=[str({**b, **c}) for b, c in CHANGES])
def test_every_setting_counts(base: dict[str, object], change: dict[str, object], drawn) -> None:
    assert not torch.equal(drawn(**base), drawn(**{**base, **change}))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_in_the_paintings_frame_with_and_without_regions(
    method: str, drawn
) -> None:
    for words in ("", "boat,house"):
        images = drawn(method=method, words=words, count=2)
        assert images.shape == (2, 3, 16, 24)
        assert images.isfinite().all()


def test_sdedit_takes_the_last_steps_alone(drawn, red_boat: list[str], tmp_path: Path) -> None:
    command = [*red_boat, "--method", "sdedit", "--strength", "0.6", "--out", str(tmp_path)]

    assert main.main(command) == 0

    assert first_step(STEPS, 0.6) == 2
    assert len(list(tmp_path.glob("*/frames/*.png"))) == 3


def test_the_frames_end_with_the_picture(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    *_, last = sorted((tmp_path / "undisturbed" / STEM / "frames").iterdir())

    assert load_image(last).tobytes() == load_image(tmp_path / f"undisturbed/{STEM}.png").tobytes()


def test_what_is_not_painted_is_left_to_the_model(painting: Path, tmp_path: Path, drawn) -> None:
    picture = Image.open(painting).convert("RGBA")
    picture.paste((0, 255, 0, 0), (12, 0, 24, 16))  # green, but nobody sees it
    picture.save(tmp_path / "left.png")
    picture.paste((255, 0, 255, 0), (12, 0, 24, 16))
    picture.save(tmp_path / "other.png")

    for method in ("sdedit", "gradop+"):
        one = drawn(method=method, img_path=str(tmp_path / "left.png"))
        assert torch.equal(one, drawn(method=method, img_path=str(tmp_path / "other.png")))
        assert not torch.equal(one, drawn(method=method))


def test_on_the_exact_prior_the_prompt_is_drawn(tmp_path: Path) -> None:
    Image.new("RGB", (30, 30), (200, 60, 60)).save(tmp_path / "red.png")
    settings = StrokeSettings(
        "a red disc", img_path=str(tmp_path / "red.png"), model="exact", count=2, device="cpu"
    )
    prior = strokes.load(settings)

    images = kind.drawn(strokes, prior, reference, settings)

    (disc,) = prior.names["a red disc"]
    near = (images[:, None] - prior.means).square().mean(dim=(2, 3, 4)).argmin(dim=1)
    assert near.tolist() == [disc, disc]


# Files beside the outputs


@pytest.mark.parametrize("name", ["mine.png", "new/mine.JPG"])
def test_output_img_is_written_too(
    name: str, red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / name

    assert main.main([*red_boat, "--out", str(tmp_path), "--output_img", str(mine)]) == 0

    picture = tmp_path / f"{STEM}.png"
    assert capsys.readouterr().out == f"{picture}\n{mine}\n"
    if name.endswith("png"):
        assert mine.read_bytes() == picture.read_bytes()
    else:
        assert Image.open(io.BytesIO(mine.read_bytes())).format == "JPEG"


def test_output_img_overwrites_nothing(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.png").write_bytes(b"an earlier picture")
    command = [*red_boat, "--out", str(tmp_path / "out")]

    assert main.main([*command, "--output_img", str(tmp_path / "mine.png")]) == 2
    assert "is there already and is not overwritten" in capsys.readouterr().err
    assert main.main([*command, "--output_img", str(tmp_path / "mine.tiff")]) == 2
    assert "must end in .png or .jpg" in capsys.readouterr().err
    assert main.main([*command, "--output_img", str(tmp_path / "mine.png" / "new" / "a.png")]) == 2
    assert "mine.png is no folder that can be written" in capsys.readouterr().err
    assert (tmp_path / "mine.png").read_bytes() == b"an earlier picture"
    assert not (tmp_path / "out").exists()


# Settings


@pytest.mark.parametrize("method", METHODS)
def test_what_is_left_out_suits_the_model_and_the_method(method: str) -> None:
    for model in ("tiny-sd", "sdxl", "exact"):
        settings = StrokeSettings("a boat", model=model, method=method)
        wanted = suits(model, "strokes")
        own = {"width"} & set(KNOBS[method])
        assert {name: getattr(settings, name) for name in set(wanted) - own} == {
            name: value for name, value in wanted.items() if name not in own
        }


def test_what_the_release_calls_its_defaults_are_those_of_its_models() -> None:
    settings = StrokeSettings("a fox", model="sd15")

    assert settings.method == "gradop+"
    assert (settings.strength, settings.num_iterative_steps, settings.grad_steps_per_iter) == (
        0.8,
        3,
        12,
    )
    assert (settings.steps, settings.guidance_scale, settings.learning_rate) == (50, 7.5, 0.1)
    assert StrokeSettings("a fox", method="sdedit").strength == 0.8


def test_the_adapter_for_two_things_is_taken_where_it_helps_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / TWO_THINGS).mkdir(parents=True)
    monkeypatch.setattr("distillery.runs.stroke_settings.REPOSITORY", tmp_path)
    two = {"prompt": "a cat and a car", "regions": "labels.png", "words": "cat,car"}

    with pytest.warns(UserWarning, match="--lora none leaves it out"):
        assert StrokeSettings(**two).lora == str(TWO_THINGS)
    assert StrokeSettings(**two, lora="none").lora == NO_LORA
    assert StrokeSettings(**two, model="sd15").lora == NO_LORA
    assert StrokeSettings("a cat").lora == NO_LORA


def test_flags_that_the_method_does_not_have_are_said_to_be_useless(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*red_boat, "--method", "sdedit", "--width", "0.1", "--out", str(tmp_path)]

    assert main.main(command) == 0

    said = capsys.readouterr().err
    assert "note: sdedit has no use for grad_steps_per_iter, num_iterative_steps, width." in said


def test_region_flags_without_regions_are_said_to_be_useless(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*red_boat, "--region_control", "hard", "--out", str(tmp_path)]) == 0

    assert "note: without regions there is no use for region_control." in capsys.readouterr().err


def test_the_settings_can_be_printed_and_used_as_a_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["strokes", "--prompt", "a boat", "--method", "sdedit", "--print-config"]
    assert main.main([*words, "--out", str(tmp_path / "out")]) == 0

    text = capsys.readouterr().out
    (tmp_path / "config.yaml").write_text(text)
    again = ["strokes", "--config", str(tmp_path / "config.yaml"), "--print-config"]
    assert main.main(again) == 0
    assert capsys.readouterr().out == text
    assert not (tmp_path / "out").exists()


def test_the_help_names_every_method() -> None:
    text = declared(StrokeSettings)["method"].help

    assert all(method in text for method in METHODS)


# The student's code


def test_a_stub_says_so_and_the_reference_draws(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = without(red_boat, "--implementation")

    assert main.main([*command, "--out", str(tmp_path)]) == 0

    assert "is still to do" in capsys.readouterr().err
    assert (tmp_path / f"{STEM}.png").is_file()

    command = [*red_boat, "--implementation", "guidance", "--out", str(tmp_path / "mine")]
    assert main.main(command) == 2
    assert "is still to do" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_the_students_functions_draw(
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (REPOSITORY / "reference" / "strokes.py").read_text()
    wrong = code.replace("loss_of(latents).sum()", "(-loss_of(latents)).sum()")
    assert wrong != code
    put_students_module(monkeypatch, "guidance.strokes", wrong, tmp_path)
    command = [*without(red_boat, "--implementation"), "--implementation", "guidance"]

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    assert (tmp_path / "out" / f"{STEM}.png").read_bytes() != undisturbed[f"{STEM}.png"]


def test_pictures_are_scored_as_others_are(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import eval as evaluation

    assert main.main([*red_boat, "--out", str(tmp_path)]) == 0

    assert evaluation.main(["--fdir1", str(tmp_path)]) == 0

    assert STEM.replace("_", " ") in capsys.readouterr().out
