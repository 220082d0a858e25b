"""main.py elastic: every flag counts, files are as documented, and a stopped run goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from running import Tree, put_students_module, stopped_once, without

import main
from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.core.images import load_image, prompt_of
from distillery.core.settings import declared
from distillery.methods.elastic_methods import METHODS
from distillery.methods.published_weight import of_a_cell
from distillery.models.load import load_prior
from distillery.models.prior import Prior
from distillery.models.schedule import scaled_linear_alphas_cumprod
from distillery.runs import cost, elastic, elastic_run, kind
from distillery.runs.elastic_settings import ElasticSettings
from reference import elastic as reference

STEPS = 4
STEM = "a_red_boat"


@pytest.fixture
def red_boat(tiny_sd_folder: Path) -> list[str]:
    """A short run of the reference; `--out` is left to the test."""
    options = {
        "--prompt": "a red boat",
        "--model": str(tiny_sd_folder),
        "--height": "24",
        "--width": "36",  # is no multiple of 8
        "--resampling_steps": "2",
        "--repaint_sampling": "True",
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": str(STEPS),
    }
    return ["elastic", *(word for option in options.items() for word in option)]


def test_it_leaves_the_picture_and_its_making(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    assert {name.removeprefix(f"{STEM}/") for name in undisturbed} == {
        f"{STEM}.png",
        "making.gif",
        "run.yaml",
        *(f"frames/{number + 1:05d}.png" for number in range(STEPS)),
    }
    picture = tmp_path / "undisturbed" / f"{STEM}.png"
    assert load_image(picture).size == (36, 24)
    assert prompt_of(picture, load_image(picture)) == "a red boat"


@pytest.mark.parametrize("index", [0, STEPS - 1])
def test_a_run_that_goes_on_leaves_the_same_bytes(
    index: int,
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts = stopped_once(monkeypatch, elastic_run, "steered", index)
    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 130

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    assert starts == [0, index + 1]
    assert tree(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("method", ["upscale", "elastic", "upsample-guidance"])
def test_what_begins_with_a_small_picture_goes_on_too(
    method: str, red_boat: list[str], tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*red_boat, "--method", method, "--strength", "0.75"]
    assert main.main([*command, "--out", str(tmp_path / "whole")]) == 0
    stopped_once(monkeypatch, elastic_run, "steered", 2)
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 130
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_runs_settings_repeat_it_to_the_byte(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    config = tmp_path / "undisturbed" / STEM / "run.yaml"

    assert main.main(["elastic", "--config", str(config), "--out", str(tmp_path / "again")]) == 0

    assert tree(tmp_path / "again") == undisturbed


@pytest.fixture(scope="session")
def drawn(tiny_sd_folder: Path) -> Callable[..., torch.Tensor]:
    """A function that draws by changed settings and gives the picture's values, each once."""
    known: dict[str, torch.Tensor] = {}
    prior = load_prior(tiny_sd_folder, device="cpu")

    def draw(**changes: object) -> torch.Tensor:
        settings = ElasticSettings.load(
            None,
            **{
                "prompt": "a boat",
                "height": 24,
                "width": 40,
                "model": str(tiny_sd_folder),
                "steps": STEPS,
                "resampling_steps": 2,
                "repaint_sampling": False,
                "device": "cpu",
                **changes,
            },
        )
        key = settings.to_yaml()
        if key not in known:
            known[key] = kind.drawn(elastic, prior, reference, settings)
        return known[key]

    return draw


CHANGES = [
    ({}, {"seed": 1}),
    ({}, {"height": 32}),
    ({}, {"width": 32}),
    ({}, {"negative_prompt": "grey"}),
    ({}, {"guidance_scale": 2.0}),
    ({}, {"steps": 3}),
    ({}, {"resampling_steps": 3}),
    ({}, {"new_p": 0.8}),
    ({}, {"rrg_weight": 0.3}),
    ({}, {"rrg_weight": None, "rrg_init_weight": 20.0}),
    ({}, {"rrg_stop_t": 0.6}),
    ({}, {"cosine_scale": 1.0}),
    ({}, {"repaint_sampling": True}),
    ({}, {"patch_size": 6}),
    ({}, {"moving_windows": False}),
    ({}, {"reference": "padded"}),
    ({}, {"tiled_decoder": True}),
    ({"method": "multidiffusion"}, {"stride": 2}),
    ({"method": "multidiffusion"}, {"view_weights": "uniform"}),
    ({"method": "upscale"}, {"strength": 0.8}),
    ({"method": "upsample-guidance"}, {"strength": 0.8}),
    ({}, {"strength": 0.5}),
    ({}, {"own_details": True}),
]


@pytest.mark.parametrize(("base", "change"), CHANGES, ids=[str({**b, **c}) for b, c in CHANGES])
def test_every_setting_counts(base: dict[str, object], change: dict[str, object], drawn) -> None:
    assert not torch.equal(drawn(**base), drawn(**{**base, **change}))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_several_pictures_of_any_size(method: str, drawn) -> None:
    images = drawn(method=method, count=2, height=19, width=45)

    assert images.shape == (2, 3, 19, 45)
    assert images.isfinite().all()
    alone = drawn(method=method, seed=1, height=19, width=45)
    assert torch.allclose(images[1], alone[0], atol=1e-4)


def test_what_is_no_multiple_of_8_is_the_middle_of_a_larger_picture(drawn) -> None:
    assert torch.equal(drawn(height=19, width=36), drawn(height=24, width=40)[..., 2:21, 2:38])


def test_what_is_its_own_reference_is_drawn_from_noise(drawn) -> None:
    its = {"height": 16, "width": 16}
    assert torch.equal(drawn(**its, strength=0.5), drawn(**its))


@pytest.mark.parametrize("method", ["direct", "upscale", "upsample-guidance"])
def test_what_calls_none_of_the_functions_needs_none(
    method: str, red_boat: list[str], tmp_path: Path
) -> None:
    command = without(red_boat, "--implementation")

    assert main.main([*command, "--method", method, "--out", str(tmp_path)]) == 0


def test_the_scores_of_every_step_are_kept_and_a_stopped_run_leaves_the_same(
    red_boat: list[str], tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*red_boat, "--pca", "--frames", "--count", "2"]
    assert main.main([*command, "--out", str(tmp_path / "whole")]) == 0
    folder = tmp_path / "whole" / STEM
    assert {path.name for path in (folder / "pca").iterdir()} == {
        f"0000{step}_{name}.png" for step in (1, 2, 3, 4) for name in ("direction", "unconditional")
    }
    score = load_image(folder / "pca" / "00002_direction.png")
    assert score.size == (40, 24)  # as it is drawn, with 2 x 2 pixels for a cell
    values = np.asarray(score)
    assert (values[0::2, 0::2] == values[1::2, 1::2]).all()
    assert values.min((0, 1)).tolist() == [0, 0, 0]
    assert values.max((0, 1)).tolist() == [255, 255, 255]
    assert {"pca.png", "frames.png", "pictures/002.png"} <= set(tree(folder))

    stopped_once(monkeypatch, elastic_run, "steered", 1)
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 130
    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")

    assert main.main([*red_boat, "--overwrite", "--out", str(tmp_path / "whole")]) == 0
    assert not {"pca.png", "pca/00002_direction.png", "frames.png"} & set(tree(folder))


@pytest.mark.parametrize("method", ["direct", "upscale", "upsample-guidance"])
def test_the_scores_of_plain_guidance_are_kept_too(
    method: str, red_boat: list[str], tmp_path: Path
) -> None:
    assert main.main([*red_boat, "--method", method, "--pca", "--out", str(tmp_path)]) == 0

    assert len(list((tmp_path / STEM / "pca").iterdir())) == 2 * (4 if method == "direct" else 2)


# What it costs


def test_a_long_run_says_beforehand_what_it_costs(
    red_boat: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path / "short")]) == 0
    assert "network samples" not in capsys.readouterr().err
    monkeypatch.setattr(cost, "LONG", 0.0)

    assert main.main([*red_boat, "--count", "2", "--out", str(tmp_path / "long")]) == 0

    said = capsys.readouterr().err
    table, _, rest = said.partition("2 pictures take about ")
    assert [line.rsplit(maxsplit=2)[0].strip() for line in table.splitlines()[-6:]] == [
        "the reference",
        "its other rounds",
        "windows",
        "steps taken again",
        "together",
        "plain guidance",
    ]
    assert " a sample" in rest.splitlines()[0]
    assert "by the formula" not in said


def test_functions_that_ask_for_more_than_the_formula_says_are_told_so(
    red_boat: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (REPOSITORY / "reference" / "elastic.py").read_text()
    wrong = code.replace("range(shift or window, side, window)", "range(1, side)")
    assert wrong != code
    put_students_module(monkeypatch, "guidance.elastic", wrong, tmp_path)
    command = [*without(red_boat, "--implementation"), "--implementation", "guidance"]

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    assert "samples a picture, and by the formula it is" in capsys.readouterr().err


def test_durations_have_two_figures() -> None:
    seconds = (0.0152, 1.4, 40.4, 89, 700, 9000)
    assert [cost.duration(one) for one in seconds] == [
        "15 ms",
        "1400 ms",
        "40 s",
        "89 s",
        "12 min",
        "2.5 h",
    ]


# Flags of ElasticDiffusion's own script


def test_the_flags_of_the_release_mean_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = ["--sd_version", "XL1.0", "--drop_p", "0.7", "--num_sampled", "2"]
    published += ["--rrg_init_weight", "4000", "--low_vram", "False", "--tiled_decoder", "True"]
    words = ["elastic", "--prompt", "a boat", "--print-config", *published]
    words += ["--height", "2048", "--width", "2048", "--outdir", str(tmp_path)]

    assert main.main(words) == 0

    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["model"] == "sdxl"
    assert (settings["new_p"], settings["count"], settings["low_vram"]) == (0.3, 2, False)
    assert settings["tiled_decoder"]
    assert (settings["rrg_weight"], settings["rrg_init_weight"]) == (None, 4000.0)
    assert (settings["resampling_steps"], settings["repaint_sampling"]) == (10, True)


def test_a_version_without_a_preset_takes_the_nearest_one_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["elastic", "--prompt", "a", "--sd_version", "1.4", "--print-config"]) == 0

    shown = capsys.readouterr()
    assert yaml.safe_load(shown.out)["model"] == "sd15"
    assert "note: sd15 is the same network as 1.4, trained longer." in shown.err


# Settings


PUBLISHED = [  # of its demonstration: size, rounds, and the weight of a mean over the picture
    ((2048, 2048), 10, 2000),
    ((2048, 1536), 10, 1500),
    ((1536, 1536), 7, 1000),
    ((1024, 2048), 7, 1000),
    ((768, 2048), 7, 1000),
    ((512, 512), 0, 0),
    ((768, 768), 0, 0),
]


@pytest.mark.parametrize(("size", "rounds", "weight"), PUBLISHED)
def test_the_defaults_of_a_size_are_those_of_the_demonstration(
    size: tuple[int, int], rounds: int, weight: float
) -> None:
    settings = ElasticSettings("a boat", height=size[0], width=size[1], model="sdxl")

    assert (settings.resampling_steps, settings.new_p) == (rounds, 0.3)
    if rounds and size[0] > 768:
        level = scaled_linear_alphas_cumprod()[961]  # after the first of SDXL's 50 steps
        converted = of_a_cell(weight, (4, size[0] // 8, size[1] // 8), float(level))
        assert settings.rrg_weight == pytest.approx(converted, rel=0.15)


def test_a_weight_given_in_one_way_replaces_that_of_a_file_in_the_other(tmp_path: Path) -> None:
    ElasticSettings("a boat").save(tmp_path / "cell.yaml")
    ElasticSettings("a boat", rrg_init_weight=5.0).save(tmp_path / "mean.yaml")

    mean = ElasticSettings.load(tmp_path / "cell.yaml", rrg_init_weight=20.0)
    cell = ElasticSettings.load(tmp_path / "mean.yaml", rrg_weight=0.3)

    assert (mean.rrg_weight, mean.rrg_init_weight) == (None, 20.0)
    assert (cell.rrg_weight, cell.rrg_init_weight) == (0.3, None)


def test_the_weight_of_a_file_is_that_of_a_strength_which_replaces_its_own(tmp_path: Path) -> None:
    ElasticSettings("a boat").save(tmp_path / "half.yaml")

    whole = ElasticSettings.load(tmp_path / "half.yaml", strength=1.0)
    half = ElasticSettings.load(tmp_path / "half.yaml", strength=0.3)
    given = ElasticSettings.load(tmp_path / "half.yaml", strength=1.0, rrg_weight=0.4)

    assert [its.rrg_weight for its in (whole, half, given)] == [1.0, 0.0, 0.4]


def test_a_published_weight_is_the_gradient_of_a_mean() -> None:
    x0, target, alpha_bar_next = torch.randn(1, 4, 3, 5), torch.randn(1, 4, 3, 5), 0.1
    x0.requires_grad_()
    (20.0 * (x0 - target).square().mean()).backward()
    assert x0.grad is not None

    moved = of_a_cell(20.0, (4, 3, 5), alpha_bar_next) * (target - x0)

    torch.testing.assert_close(alpha_bar_next**0.5 * moved, -x0.grad)


def test_a_size_is_the_height_and_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["elastic", "--prompt", "a boat", "--size", "72,40", "--print-config"]) == 0

    settings = yaml.safe_load(capsys.readouterr().out)
    assert (settings["height"], settings["width"]) == (72, 40)


def test_little_memory_means_one_view_at_a_time_and_tiles_unless_they_are_given() -> None:
    little = ElasticSettings("a boat", low_vram=True)
    given = ElasticSettings("a boat", low_vram=True, view_batch_size=4, tiled_decoder=False)

    assert (little.view_batch_size, little.tiled_decoder) == (1, True)
    assert (given.view_batch_size, given.tiled_decoder) == (4, False)
    assert not ElasticSettings("a boat").tiled_decoder


def test_a_size_that_is_left_out_is_twice_as_wide_as_the_models() -> None:
    sizes = {
        model: (settings.height, settings.width)
        for model in ("tiny-sd", "sdxl", "exact")
        for settings in [ElasticSettings("a boat", model=model)]
    }
    assert sizes == {"tiny-sd": (64, 128), "sdxl": (1024, 2048), "exact": (16, 16)}


def test_on_the_exact_prior_the_prompt_is_drawn() -> None:
    settings = ElasticSettings("a red disc", model="exact", count=2, device="cpu")
    prior = elastic.load(settings)

    images = kind.drawn(elastic, prior, reference, settings)

    (disc,) = prior.names["a red disc"]
    near = (images[:, None] - prior.means).square().mean(dim=(2, 3, 4)).argmin(dim=1)
    assert near.tolist() == [disc, disc]
    with pytest.raises(CourseError, match="the exact prior draws only pictures of 16 x 16"):
        elastic.begin(prior, reference, replace(settings, width=32))


def test_the_help_names_every_method() -> None:
    text = declared(ElasticSettings)["method"].help

    assert all(method in text for method in METHODS)


# A picture for a ControlNet


@pytest.fixture(scope="session")
def condition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blue square on the right of a grey picture, 96 pixels wide and 48 high."""
    picture = Image.new("RGB", (96, 48), (180, 180, 180))
    picture.paste((20, 20, 160), (60, 10, 90, 40))
    path = tmp_path_factory.mktemp("condition") / "square.png"
    picture.save(path)
    return path


@pytest.fixture(scope="session")
def held() -> Callable[..., torch.Tensor]:
    """A function that draws with tiny-sdxl and a condition image."""
    loaded: dict[str, Prior] = {}

    def draw(**changes: object) -> torch.Tensor:
        settings = ElasticSettings.load(
            None, **{"prompt": "a blue house", "steps": 2, "device": "cpu", **changes}
        )
        if settings.control not in loaded:
            loaded[settings.control] = elastic.load(settings)
        return kind.drawn(elastic, loaded[settings.control], reference, settings)

    return draw


@pytest.mark.parametrize(
    ("method", "control"), [*((method, "canny") for method in METHODS), ("elastic", "depth")]
)
def test_every_method_follows_a_picture_of_any_size(
    method: str, control: str, condition: Path, held
) -> None:
    its = {"condition_image": str(condition), "control": control, "method": method}
    its |= {"height": 136, "width": 144, "resampling_steps": 0}

    images = held(**its)

    assert images.shape == (1, 3, 136, 144)
    free = held(**its, controlnet_conditioning_scale=0.0)
    assert (images - free).abs().max() > 0.05


def test_a_drawing_has_the_aspect_of_its_picture_and_the_picture_is_kept(
    condition: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["elastic", "--prompt", "a blue house", "--condition_image", str(condition)]
    words += ["--method", "direct", "--steps", "1", "--device", "cpu", "--out", str(tmp_path)]
    assert main.main(words) == 0

    assert load_image(tmp_path / "a_blue_house.png").size == (256, 128)
    assert load_image(tmp_path / "a_blue_house" / "control_canny.png").size == (256, 128)
    assert "another aspect" not in capsys.readouterr().err

    square = ["--height", "128", "--width", "128", "--control", "depth", "--overwrite"]
    assert main.main([*words, *square]) == 0

    said = capsys.readouterr().err
    assert "condition_image is 48 x 96 pixels and the picture 128 x 128, another aspect: " in said
    assert "50% of it, left and right, is cut off." in said
    assert not (tmp_path / "a_blue_house" / "control_canny.png").exists()
    assert (tmp_path / "a_blue_house" / "control_depth.png").exists()


def test_of_a_single_step_all_is_drawn_unless_a_strength_is_given() -> None:
    assert ElasticSettings("a boat", steps=1).strength == 1
    assert ElasticSettings("a boat", steps=20).strength == 0.5
    with pytest.raises(CourseError, match="leaves none of the 1 steps"):
        ElasticSettings("a boat", steps=1, strength=0.3)
