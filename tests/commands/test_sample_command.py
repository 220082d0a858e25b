"""main.py sample: plain DDIM samples, in batches and at any size, that go on where they stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from running import Tree, status_of, stopped_once

import main
from distillery.core.images import load_image, prompt_of, to_pil
from distillery.methods import ddim
from distillery.models.load import load_prior
from distillery.models.presets import suits
from distillery.runs import kind, sample
from distillery.runs.sample_settings import SampleSettings

STEPS = 5


@pytest.fixture
def red_boat(tiny_sd_folder: Path) -> list[str]:
    """Three pictures that are not square; `--out` is left to the test."""
    options = {
        "--prompt": "a red boat",
        "--model": str(tiny_sd_folder),
        "--device": "cpu",
        "--steps": str(STEPS),
        "--count": "3",
        "--size": "16,24",
    }
    return ["sample", *(word for option in options.items() for word in option)]


def test_every_picture_of_a_batch_is_kept_and_the_first_is_the_result(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], tree: Tree
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path)]) == 0

    picture, folder = tmp_path / "a_red_boat.png", tmp_path / "a_red_boat"
    assert capsys.readouterr().out == f"{picture}\n"
    made = {name.removeprefix("a_red_boat/") for name in tree(folder)}
    assert made == {
        "latents.safetensors",
        "making.gif",
        "run.yaml",
        *(f"frames/{number + 1:05d}.png" for number in range(STEPS)),
        *(f"pictures/{number + 1:03d}.png" for number in range(3)),
    }
    assert load_image(picture).size == (24, 16)
    assert prompt_of(picture, load_image(picture)) == "a red boat"
    assert picture.read_bytes() == (folder / "pictures" / "001.png").read_bytes()
    assert len({path.read_bytes() for path in (folder / "pictures").iterdir()}) == 3

    assert main.main([*red_boat, "--count", "1", "--overwrite", "--out", str(tmp_path)]) == 0
    assert not list((folder / "pictures").iterdir())


@pytest.mark.parametrize(("size", "count"), [((16, 24), 3), (None, 1)])
def test_the_pictures_are_those_of_the_priors_own_sampler(
    size: tuple[int, int] | None, count: int, tiny_sd_folder: Path
) -> None:
    settings = SampleSettings(
        "a red boat",
        negative_prompt="grey",
        model=str(tiny_sd_folder),
        guidance_scale=3.0,
        steps=STEPS,
        seed=2,
        count=count,
        size=size,
        device="cpu",
    )
    prior = load_prior(settings.model, device="cpu")
    expected = prior.sample(
        ["a red boat"] * count,
        guidance_scale=3.0,
        steps=STEPS,
        generator=torch.Generator().manual_seed(2),
        negative="grey",
        size=size,
    )

    images = kind.drawn(sample, prior, None, settings)

    torch.testing.assert_close(images, prior.decode(expected), atol=1e-3, rtol=1e-3)


def test_on_the_exact_prior_the_prompt_is_drawn(tmp_path: Path) -> None:
    settings = SampleSettings("a red disc", model="exact", count=2, device="cpu")
    prior = sample.load(settings)

    images = kind.drawn(sample, prior, None, settings)

    (disc,) = prior.names["a red disc"]
    near = (images[:, None] - prior.means).square().mean(dim=(2, 3, 4)).argmin(dim=1)
    assert near.tolist() == [disc, disc]


def test_the_frames_show_the_estimate_of_x0_and_end_with_the_picture(
    red_boat: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, own = [], ddim.sample

    def noted(*args: object, **options: object) -> object:
        for step in own(*args, **options):
            steps.append(step)
            yield step

    monkeypatch.setattr(ddim, "sample", noted)
    assert main.main([*red_boat, "--count", "1", "--out", str(tmp_path)]) == 0

    prior = load_prior(red_boat[red_boat.index("--model") + 1], device="cpu")
    frames = [load_image(path) for path in sorted(tmp_path.glob("*/frames/*.png"))]
    for frame, step in zip(frames[:-1], steps[:-1], strict=True):
        assert frame.tobytes() == to_pil(prior.decode(step.x0))[0].tobytes()
    assert frames[-1].tobytes() == load_image(tmp_path / "a_red_boat.png").tobytes()
    assert frames[-1].tobytes() == to_pil(prior.decode(steps[-1].xt))[0].tobytes()


@pytest.mark.parametrize("index", [0, 2, STEPS - 1])
def test_a_sample_that_goes_on_leaves_the_same_bytes(
    index: int,
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts = stopped_once(monkeypatch, ddim, "sample", index)
    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 130

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    assert starts == [0, index + 1]
    assert tree(tmp_path / "out") == undisturbed


def test_a_runs_settings_repeat_it_to_the_byte(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    config = tmp_path / "undisturbed" / "a_red_boat" / "run.yaml"

    assert main.main(["sample", "--config", str(config), "--out", str(tmp_path / "again")]) == 0

    assert tree(tmp_path / "again") == undisturbed


@pytest.mark.parametrize(
    "change", [["--seed", "1"], ["--guidance_scale", "2"], ["--negative_prompt", "grey"]]
)
def test_every_setting_counts(
    change: list[str], red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    assert main.main([*red_boat, *change, "--out", str(tmp_path / "other")]) == 0

    assert (tmp_path / "other/a_red_boat.png").read_bytes() != undisturbed["a_red_boat.png"]


def test_what_is_left_out_suits_the_model() -> None:
    for model in ("tiny-sd", "sdxl", "exact"):
        settings = SampleSettings("a boat", model=model)
        wanted = suits(model, "sample")
        assert {name: getattr(settings, name) for name in wanted} == dict(wanted)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--size", "20,24"], "size must be height and width of the picture, each a multiple of 8"),
        (["--size", "0,8"], "size must be"),
        (["--size", "24"], "write height and width as H,W"),
        (["--count", "0"], "count must be a whole number from 1"),
        (["--steps", "1001"], "steps must be a whole number from 1 to 1000"),
        (["--prompt", " "], "the prompt is empty"),
        (["--model", "sd99"], "unknown model 'sd99'"),
        (["--model", "exact", "--size", "32,32"], "exact draws only pictures of 16 x 16 pixels"),
        (["--set", "sizes=3"], "there is no setting 'sizes'"),
    ],
)
def test_what_cannot_be_sampled_is_refused_in_one_sentence(
    flags: list[str],
    words: str,
    red_boat: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = status_of([*red_boat, *flags, "--out", str(tmp_path / "out")])

    (line,) = capsys.readouterr().err.splitlines()
    assert (status, line.startswith("error: ")) == (2, True)
    assert words in line
    assert not (tmp_path / "out").exists()


def test_numbers_that_are_not_finite_make_no_picture(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*red_boat, "--guidance_scale", "1e38", "--out", str(tmp_path)]) == 2

    assert "the latents are no longer finite numbers; lower" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def test_nothing_to_draw_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main.main(["sample"])

    assert stopped.value.code == 2
    assert "say what to draw" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "pixelart", "sample"])
def test_the_settings_can_be_printed_and_used_as_a_config(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*([name] if name else []), "--prompt", "a boat", "--seed", "3"]

    assert main.main([*words, "--print-config", "--out", str(tmp_path / "out")]) == 0

    text = capsys.readouterr().out
    assert "# what to draw" in text
    assert not (tmp_path / "out").exists()
    (tmp_path / "config.yaml").write_text(text)
    again = [*words[:1]] if name else []
    assert main.main([*again, "--config", str(tmp_path / "config.yaml"), "--print-config"]) == 0
    assert capsys.readouterr().out == text
