"""main.py pixelart and main.py recolour, on a random SDXL with random ControlNets."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

import main
from distillery.core.images import load_image, prompt_of
from distillery.palettes import from_hex, load_palette, save_palette
from distillery.pixelart import begin, cli, clip_choice
from distillery.pixelart.settings import PixelSettings
from distillery.runs import cli as runs_cli
from distillery.runs import engine, optimise
from reference import pixelart

ROOT = Path(__file__).resolve().parents[1]
STEPS = 5
Tree = Callable[[Path], dict[str, bytes]]
Refusal = Callable[..., str]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture in more than eight colours, not square."""
    y, x = np.mgrid[0:60, 0:90]
    pixels = np.stack(
        [255 * x / 90, 255 * y / 60, 40 + 150 * ((x - 40) ** 2 + (y - 30) ** 2 < 400)]
    )
    Image.fromarray(pixels.transpose(1, 2, 0).astype(np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def red_boat(tiny_repository: Path, photo: Path) -> list[str]:
    """Arguments for a short run of the reference from a picture; `--out` is left to the test."""
    options = {
        "--prompt": "a red boat",
        "--input_image": str(photo),
        "--size": "8,12",
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": str(STEPS),
        "--set": "side=64",
    }
    words = (word for option in options.items() for word in option)
    return ["pixelart", *words, "--set", "choices=1"]


def at_step(monkeypatch: pytest.MonkeyPatch, index: int, happens: Callable[[], None]) -> None:
    """Let something happen within one step of the reference."""
    loss = pixelart.loss

    def disturbed(*args: object, step: int, **options: object) -> torch.Tensor:
        if step == index:
            happens()
        return loss(*args, step=step, **options)

    monkeypatch.setattr(pixelart, "loss", disturbed)


def stub(path: Path) -> ModuleType:
    """A student's module whose first function is still to do."""
    path.write_text(
        "def logits_from_image(*args): "
        "raise NotImplementedError('pixelart.x is still to do: y.')\n"
        "from reference.pixelart import kmeans_step\n"
    )
    spec = importlib.util.spec_from_file_location("guidance.pixelart", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def die() -> None:
    raise KeyboardInterrupt


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def undisturbed(red_boat: list[str], tmp_path: Path, tree: Tree) -> dict[str, bytes]:
    """What a run leaves that nobody stops."""
    out = tmp_path / "undisturbed"
    assert main.main([*red_boat, "--out", str(out)]) == 0
    return tree(out)


def test_everything_that_a_run_makes_lies_beside_the_picture(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], tree: Tree
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    picture = tmp_path / "out" / "a_red_boat.png"
    assert capsys.readouterr().out.strip() == str(picture)
    made = {name.removeprefix("a_red_boat/") for name in tree(tmp_path / "out")}
    assert made == {
        "a_red_boat.png",
        "agreement.json",
        "control_canny.png",
        "control_depth.png",
        "large.png",
        "loss.csv",
        "loss.png",
        "making.gif",
        "palette.hex",
        "run.yaml",
        "soft.png",
        "start.png",
        *(f"layers/{k:03d}.png" for k in range(8)),
        *(f"frames/{k + 1:05d}.png" for k in range(STEPS)),
    }


def test_the_picture_is_indexed_in_exactly_its_palette_and_knows_its_prompt(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "undisturbed"
    levels = (load_palette(folder / "a_red_boat" / "palette.hex") * 255).round().int()

    with Image.open(folder / "a_red_boat.png") as picture:
        assert (picture.mode, picture.size) == ("P", (12, 8))
        assert picture.getpalette() == levels.flatten().tolist()
        indices = np.array(picture)
    assert indices.max() < 8
    read = load_image(folder / "a_red_boat.png")
    assert prompt_of(folder / "a_red_boat.png", read) == "a red boat"
    with Image.open(folder / "a_red_boat" / "large.png") as large:
        factor = large.width // 12
        assert np.array_equal(np.array(large), indices.repeat(factor, 0).repeat(factor, 1))
    last = folder / "a_red_boat" / "frames" / f"{STEPS:05d}.png"
    assert last.read_bytes() == (folder / "a_red_boat.png").read_bytes()


def test_the_layers_together_are_the_soft_picture(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "undisturbed" / "a_red_boat"

    layers = [np.array(Image.open(path)).astype(float) for path in (folder / "layers").iterdir()]
    together = sum(layer[..., :3] * layer[..., 3:] / 255 for layer in layers)

    soft = np.array(Image.open(folder / "soft.png")).astype(float)
    assert np.abs(together - soft).max() <= 0.5 * 8 + 1


def test_gif_and_losses_tell_the_whole_run(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "undisturbed" / "a_red_boat"
    levels = (load_palette(folder / "palette.hex") * 255).round().int().tolist()
    colours = {tuple(colour) for colour in levels}

    header, *rows = (folder / "loss.csv").read_text().splitlines()
    duration = 0
    with Image.open(folder / "making.gif") as gif:
        for index in range(gif.n_frames):  # PIL joins frames that are alike
            gif.seek(index)
            duration += gif.info["duration"]
            assert {c for _, c in gif.convert("RGB").getcolors()} <= colours

    assert header == "step,loss"
    assert len(rows) == STEPS
    assert abs(duration - STEPS * 1000 / 12) < 10 * STEPS  # a GIF counts in hundredths


@pytest.mark.parametrize("stopped", [False, True])
def test_the_moment_that_clip_likes_best_is_kept_and_ends_the_film(
    stopped: bool,
    red_boat: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def liking(images: list[Image.Image], prompts: list[str]) -> list[float]:
        assert len(images) == len(prompts) == 2
        return [0.3, 0.1]

    monkeypatch.setattr(
        clip_choice, "ClipScorer", lambda *args, **options: SimpleNamespace(score=liking)
    )
    monkeypatch.setattr(
        optimise, "learning_rate_at", lambda index, _: 1000.0 if index == STEPS - 1 else 0.1
    )
    command = [*red_boat, "--set", "choices=2", "--out", str(tmp_path / "out")]
    if stopped:
        with monkeypatch.context() as disturbance:
            at_step(disturbance, STEPS - 1, press_ctrl_c)
            assert main.main(command) == 130

    assert main.main(command) == 0

    folder = tmp_path / "out" / "a_red_boat"
    picture, last = tmp_path / "out" / "a_red_boat.png", folder / "frames" / f"{STEPS:05d}.png"
    assert json.loads((folder / "agreement.json").read_text())["steps_to_result"] == STEPS - 1
    assert picture.read_bytes() == (folder / "frames" / f"{STEPS - 1:05d}.png").read_bytes()
    assert picture.read_bytes() != last.read_bytes()
    with Image.open(folder / "making.gif") as gif, Image.open(folder / "large.png") as large:
        gif.seek(gif.n_frames - 1)
        assert np.array_equal(np.array(gif.convert("RGB")), np.array(large.convert("RGB")))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path / "again")]) == 0
    assert main.main([*red_boat, "--seed", "1", "--out", str(tmp_path / "other")]) == 0

    assert tree(tmp_path / "again") == undisturbed
    changed = {name for name, data in tree(tmp_path / "other").items() if data != undisturbed[name]}
    assert "a_red_boat/loss.csv" in changed


def test_a_runs_settings_repeat_it_to_the_byte(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    config = tmp_path / "undisturbed" / "a_red_boat" / "run.yaml"

    assert main.main(["pixelart", "-c", str(config), "--out", str(tmp_path / "again")]) == 0

    assert tree(tmp_path / "again") == undisturbed


@pytest.mark.parametrize("index", [0, 2, STEPS - 1])
@pytest.mark.parametrize("stop", [die, press_ctrl_c], ids=["killed", "ctrl-c"])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_files(
    index: int,
    stop: Callable[[], None],
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [*red_boat, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0)
    with monkeypatch.context() as disturbance:
        at_step(disturbance, index, stop)
        assert main.main(command) == 130
    left = tree(tmp_path / "out") if (tmp_path / "out").exists() else {}
    assert all(name.startswith("a_red_boat~unfinished/") for name in left)
    assert not any(name.endswith(".part") for name in left)

    # A held-back Ctrl-C lets the step finish, so the next one is the first to be done again.
    first = index + 1 if stop is press_ctrl_c else index
    at_step(monkeypatch, first - 1, lambda: pytest.fail("a step is done twice"))
    assert main.main(command) == 0

    assert tree(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("name", ["save_gif", "figures_table", "figures_curve", "_remove_others"])
def test_a_run_stopped_while_it_writes_its_results_goes_on_to_the_same_files(
    name: str,
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [*red_boat, "--out", str(tmp_path / "out")]
    with monkeypatch.context() as disturbance:
        disturbance.setattr(engine, name, lambda *args: die())
        assert main.main(command) == 130
    assert not (tmp_path / "out" / "a_red_boat.png").exists()

    assert main.main(command) == 0

    assert tree(tmp_path / "out") == undisturbed


def test_a_checkpoint_of_another_run_is_refused_and_kept(
    red_boat: list[str],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [*red_boat, "--out", str(tmp_path / "out")]
    with monkeypatch.context() as disturbance:
        at_step(disturbance, 2, press_ctrl_c)
        assert main.main(command) == 130
    before = tree(tmp_path / "out")
    capsys.readouterr()

    assert main.main([*command, "--set", "tau=0.5"]) == 2

    assert "its tau is 1.0 and the run's is 0.5" in capsys.readouterr().err
    assert tree(tmp_path / "out") == before


def test_another_palette_under_the_same_name_starts_anew(
    red_boat: list[str], tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dithered logits are the same for both, only the colours differ."""
    command = [*red_boat, "--palette", str(tmp_path / "mine.hex"), "--set", "fill=nearest"]
    save_palette(from_hex(["000000", "ffffff"]), tmp_path / "mine.hex")
    with monkeypatch.context() as disturbance:
        at_step(disturbance, 2, press_ctrl_c)
        assert main.main([*command, "--out", str(tmp_path / "out")]) == 130
    save_palette(from_hex(["010101", "fefefe"]), tmp_path / "mine.hex")

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0
    assert main.main([*command, "--out", str(tmp_path / "fresh")]) == 0

    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_verbose_video_and_curves_change_nothing_else(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    extras = ["--verbose", "--make_video", "--video_size", "96,128", "--fps", "12"]

    assert main.main([*red_boat, *extras, "--tensorboard", "--out", str(tmp_path / "out")]) == 0

    made = tree(tmp_path / "out")
    added = {name for name in made if name not in undisturbed}
    assert {name: made[name] for name in undisturbed} == undisturbed
    kinds = {name.removeprefix("a_red_boat/").split("/")[0] for name in added}
    assert kinds == {"verbose", "tensorboard", "making.mp4"}
    folder = tmp_path / "out" / "a_red_boat"
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(folder / "making.mp4"))
    assert count == STEPS
    assert next(imageio_ffmpeg.read_frames(str(folder / "making.mp4")))["size"] == (128, 96)
    (events,) = (folder / "tensorboard").iterdir()
    assert {"loss", "entropy", "agreement"} == tags_in(events)
    assert any(name.endswith("_entropy.png") for name in added)


def tags_in(file: Path) -> set[str]:
    """The scalars of an event file: records of length, checksum, content, checksum."""
    data, place, tags = file.read_bytes(), 0, set()
    while place < len(data):
        length = int.from_bytes(data[place : place + 8], "little")
        event = Event.FromString(data[place + 12 : place + 12 + length])
        tags |= {value.tag for value in event.summary.value}
        place += 12 + length + 4
    return tags


def test_a_plainer_run_removes_what_a_richer_one_before_it_left(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    out = ["--out", str(tmp_path / "out")]
    rich = ["--verbose", "--make_video", "--tensorboard", "-knc", "12", "--steps", "7"]
    assert main.main([*red_boat, *out, *rich]) == 0

    assert main.main([*red_boat, *out]) == 0

    assert tree(tmp_path / "out") == undisturbed


def test_both_controlnets_off_leave_no_control_picture(
    red_boat: list[str], tmp_path: Path, tree: Tree
) -> None:
    off = ["--set", "canny=0", "--set", "depth=0", "--out", str(tmp_path / "out")]

    assert main.main([*red_boat, *off]) == 0

    names = tree(tmp_path / "out")
    assert "a_red_boat/start.png" in names
    assert not any("control" in name for name in names)


def test_a_start_from_noise_needs_no_picture_and_no_controlnet(
    red_boat: list[str], tmp_path: Path, tree: Tree
) -> None:
    flags = ["--start", "noise", "--palette", "pocket", "--out", str(tmp_path / "out")]

    assert main.main([*red_boat, *flags]) == 0

    names = tree(tmp_path / "out")
    assert not any("control" in name or "start" in name for name in names)


def test_what_is_transparent_stays_so_in_every_file(red_boat: list[str], tmp_path: Path) -> None:
    image = Image.open(tmp_path / "photo.png").convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 45, 60))
    image.save(tmp_path / "photo.png")

    assert main.main([*red_boat, "--set", "transparent=true", "--out", str(tmp_path / "out")]) == 0

    folder = tmp_path / "out" / "a_red_boat"
    for path in (tmp_path / "out" / "a_red_boat.png", folder / "layers" / "000.png"):
        alpha = np.array(Image.open(path).convert("RGBA"))[..., 3]
        assert (alpha[:, :6] == 0).all()
        assert (alpha[:, 6:] > 0).any()
    assert (np.array(Image.open(folder / "soft.png"))[:, :6] == 255).all()


def test_without_a_prompt_the_pictures_caption_is_drawn(
    red_boat: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "distillery.models.annotators.caption", lambda picture, model: "a blue cat on the beach"
    )
    place = red_boat.index("--prompt")
    del red_boat[place : place + 2]

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    folder = tmp_path / "out" / "a_blue_cat_on_the_beach"
    assert yaml.safe_load((folder / "run.yaml").read_text())["prompt"] == "a blue cat on the beach"


def test_memory_says_in_a_line_what_it_changes(
    red_boat: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = []
    monkeypatch.setattr(begin, "load", lambda settings: seen.append(settings) or die())

    assert main.main([*red_boat, "--memory", "12", "--out", str(tmp_path / "out")]) == 130

    first, *_ = capsys.readouterr().err.splitlines()
    assert first == (
        "note: for 12 GB the model is sdxl, the VAE is taesdxl and the depth ControlNet is left "
        "out."
    )
    assert (seen[0].model, seen[0].side, seen[0].vae) == ("sdxl", 64, "taesdxl")


def test_what_is_still_to_do_the_reference_draws_with_the_same_model_and_says_each_note_once(
    red_boat: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tree: Tree,
) -> None:
    assert main.main([*red_boat, "--set", "side=512", "--out", str(tmp_path / "other")]) == 0
    wanted = tree(tmp_path / "other")
    capsys.readouterr()
    loaded, load = [], begin.load
    monkeypatch.setattr(begin, "load", lambda settings: loaded.append(1) or load(settings))
    monkeypatch.setitem(sys.modules, "guidance.pixelart", stub(tmp_path / "stub.py"))
    flag = red_boat.index("--implementation")
    del red_boat[flag : flag + 2]

    assert main.main([*red_boat, "--set", "side=512", "--out", str(tmp_path / "out")]) == 0

    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note:")]
    assert len(said) == 2
    assert "is enlarged" in said[0]
    assert said[1] == "note: pixelart.x is still to do: y. The reference draws instead."
    assert loaded == [1]
    assert tree(tmp_path / "out")["a_red_boat.png"] == wanted["a_red_boat.png"]
    settings = yaml.safe_load((tmp_path / "out/a_red_boat/run.yaml").read_text())
    assert settings["implementation"] == "reference"


def test_what_the_reference_began_for_a_stub_the_same_command_goes_on_with(
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tree: Tree,
) -> None:
    monkeypatch.setitem(sys.modules, "guidance.pixelart", stub(tmp_path / "stub.py"))
    flag = red_boat.index("--implementation")
    del red_boat[flag : flag + 2]
    command = [*red_boat, "--out", str(tmp_path / "out")]
    with monkeypatch.context() as disturbance:
        at_step(disturbance, 2, press_ctrl_c)
        assert main.main(command) == 130
    at_step(monkeypatch, 2, lambda: pytest.fail("a step is done twice"))

    assert main.main(command) == 0

    assert tree(tmp_path / "out") == undisturbed


def test_what_is_still_to_do_ends_the_run_where_the_students_code_was_asked_for(
    red_boat: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "guidance.pixelart", stub(tmp_path / "stub.py"))
    red_boat[red_boat.index("--implementation") + 1] = "guidance"

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 2

    assert capsys.readouterr().err.splitlines()[-1] == "pixelart.x is still to do: y."
    assert not list((tmp_path / "out").glob("*.png"))


# Flags


def settings_of(*words: str):
    flags = vars(cli.arguments().parse_args(words))
    del flags["out"]
    return runs_cli.settings_from(PixelSettings, flags)


def test_the_published_flags_are_understood(tmp_path: Path) -> None:
    line = "-d 3 -pt boat -npt grey --input_image a.png --size 16,24 --palette dusk -knc 5"

    settings = settings_of(*line.split(), "--set", "tau=0.5")

    assert (settings.prompt, settings.negative_prompt, settings.seed) == ("boat", "grey", 3)
    assert (settings.size, settings.palette, settings.colours) == ((16, 24), "dusk", 5)
    assert (settings.start, settings.input_image, settings.tau) == ("image", "a.png", 0.5)
    assert settings.device != "auto"


def test_flags_prevail_over_the_config_also_a_picture_over_its_start(tmp_path: Path) -> None:
    cli_made = settings_of("-pt", "a boat", "--seed", "7", "--steps", "50")
    cli_made.save(tmp_path / "run.yaml")
    config = ("-c", str(tmp_path / "run.yaml"))

    assert settings_of(*config) == cli_made
    changed = settings_of(*config, "--input_image", "a.png", "--steps", "20")
    assert (changed.seed, changed.steps, changed.warmup) == (7, 20, 2)
    assert (changed.start, changed.input_image) == ("image", "a.png")
    kept = settings_of(*config, "--input_image", "a.png", "--start", "generated")
    assert kept.start == "generated"


def test_help_does_not_wait_for_torch() -> None:
    code = "from distillery.pixelart import cli; import sys; cli.arguments().format_help();"
    code += "cli.recolour_arguments().format_help(); print('torch' in sys.modules)"

    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert answer.stdout == "False\n"


# Recolouring


def test_recolouring_changes_the_colours_alone(
    undisturbed: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "undisturbed" / "a_red_boat.png"
    capsys.readouterr()

    line = ["recolour", str(picture), "--palette", "rgb-2", "--out", str(tmp_path / "new.png")]
    assert main.main(line) == 0

    assert capsys.readouterr().out == f"{tmp_path / 'new.png'}\n"
    with Image.open(picture) as old, Image.open(tmp_path / "new.png") as new:
        assert np.array_equal(np.array(old), np.array(new))
        levels = (load_palette("rgb-2") * 255).round().int()
        assert new.getpalette() == levels.flatten().tolist()
        assert new.info["prompt"] == "a red boat"


@pytest.mark.parametrize(
    ("palette", "out", "words"),
    [
        ("rgb-3", "new.png", "has 8 colours and the new palette 27"),
        ("rgb-99", "new.png", "rgb-99|2 to 10 levels"),
        ("none.hex", "new.png", "none.hex"),
        ("rgb-2", "new.jpg", "saved as .png"),
    ],
)
def test_an_unfit_recolouring_is_refused(
    palette: str,
    out: str,
    words: str,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture = tmp_path / "undisturbed" / "a_red_boat.png"
    capsys.readouterr()

    line = ["recolour", str(picture), "--palette", palette, "--out", str(tmp_path / out)]
    assert main.main(line) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    (sentence,) = shown.err.splitlines()
    assert any(word in sentence for word in words.split("|"))
    assert not (tmp_path / out).exists()


# Bad input


@pytest.fixture
def refusal(
    red_boat: list[str], tmp_path: Path, tree: Tree, capsys: pytest.CaptureFixture[str]
) -> Refusal:
    """A function that runs pixelart into a folder with earlier results, and gives its sentence."""
    out = tmp_path / "outputs"
    (out / "a_red_boat").mkdir(parents=True)
    (out / "a_red_boat.png").write_bytes(b"an earlier picture")
    (out / "a_red_boat" / "run.yaml").write_text("its settings")
    before = tree(out)

    def refuse(*changes: str) -> str:
        try:
            status = main.main([*red_boat, "--out", str(out), *changes])
        except SystemExit as stopped:  # argparse stops so
            status = stopped.code
        shown = capsys.readouterr()
        assert status == 2
        assert shown.out == ""
        assert tree(out) == before
        (line,) = shown.err.splitlines()
        assert line.startswith("error: ")
        return line

    return refuse


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no colour"),
        ("ff8800\n", "holds one colour"),
        ("ff8800\n00ff00\n#FF8800\n", "has #ff8800 twice, at line 1 and line 3"),
        ("".join(f"{k:06x}\n" for k in range(10_000)), "holds 10,000 colours"),
        ("ff8800\nred\n", "line 2: 'red' is not a colour"),
        ("".join(f"{k:06x}\n" for k in range(257)), "holds 256 colours; this palette needs 257"),
    ],
)
def test_an_unfit_palette_file(refusal: Refusal, tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "mine.hex").write_text(content)

    assert words in refusal("--palette", str(tmp_path / "mine.hex"))


@pytest.mark.parametrize(
    "content", [b"ff8800\r\n00ff00\r\n", b"#ff8800\n#00ff00", b"FF8800\n00FF00"]
)
def test_palette_files_with_any_line_ends_are_read(
    red_boat: list[str], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "mine.hex").write_bytes(content)
    command = [*red_boat, "--palette", str(tmp_path / "mine.hex"), "--steps", "1"]

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    kept = (tmp_path / "out" / "a_red_boat" / "palette.hex").read_text()
    assert kept == "ff8800\n00ff00\n"


@pytest.mark.parametrize("size", ["0,0", "1,1", "4096,4096", "-8,8", "16,100"])
def test_a_size_that_no_grid_has(refusal: Refusal, size: str) -> None:
    # An option that begins with a minus sign must be written with "=".
    assert refusal(f"--size={size}").startswith("error: size ")


@pytest.mark.parametrize("size", ["32", "32x32", "a,b", "1,2,3", "8.5,8"])
def test_a_size_that_is_none(refusal: Refusal, size: str) -> None:
    sentence = refusal("--size", size)

    assert "--size" in sentence
    assert "H,W" in sentence


def test_a_truncated_picture(refusal: Refusal, photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:200])

    assert "photo.png cannot be read as a picture" in refusal()


def test_a_missing_picture(refusal: Refusal, photo: Path) -> None:
    photo.unlink()

    assert "photo.png" in refusal()


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "I;16", "LA", "L"])
def test_pictures_of_any_mode_are_drawn_from(red_boat: list[str], photo: Path, mode: str) -> None:
    image, path = Image.open(photo), photo.with_suffix(".tif" if mode == "CMYK" else ".png")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(path)
    command = [*red_boat, "--input_image", str(path), "-knc", "3", "--steps", "1"]

    assert main.main([*command, "--out", str(photo.parent / "out")]) == 0


@pytest.mark.parametrize("fps", ["0", "-1", "nan", "1e-9", "fast"])
def test_a_pace_that_no_video_has(refusal: Refusal, fps: str) -> None:
    assert "fps" in refusal("--make_video", f"--fps={fps}")


@pytest.mark.parametrize("size", ["0,0", "101,100", "wide"])
def test_a_video_size_that_none_has(refusal: Refusal, size: str) -> None:
    assert "video_size" in refusal("--make_video", "--video_size", size)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--set", "colour=3"), "there is no setting 'colour'; the settings are prompt"),
        (("--set", "tau"), "write NAME=VALUE, not 'tau'"),
        (("--set", "tau=[1"), "cannot be read as a value"),
        (("--set", "seed=2001-99-99"), "cannot be read as a value"),
        (("--set", "tau=warm"), "tau must be a finite number above 0; it is 'warm'"),
        (("--prompt", "", "--input_image", ""), "the prompt is empty"),
        (("--start", "middle"), "start must be one of generated, image, painted, noise"),
        (("--start", "noise"), "name a palette"),
        (("--start", "painted"), "a painted start is an indexed PNG"),
        (("--model", "sd99"), "unknown model 'sd99'"),
        (("--model", "tiny-clip"), "unknown model 'tiny-clip'"),
        (("--device", "tpu"), "no device 'tpu'"),
        (("--memory", "10"), "memory must be one of 8, 12, 16, 24 GB; it is 10"),
        (("--implementation", "mine"), "implementation must be one of"),
        (("--palette", "none"), "'none' is not a palette"),
        (("-knc", "1"), "colours must be a whole number from 2"),
        (("--colour", "red"), "--colour"),
        (("--config", "none.yaml"), "none.yaml"),
    ],
)
def test_other_unfit_flags(refusal: Refusal, flags: tuple[str, ...], words: str) -> None:
    assert words in refusal(*flags)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompt: a boat\nsedd: 3\n", "has the unknown setting sedd"),
        ("prompt: a boat\nfft: strong\n", "fft must be"),
        ("prompt: [", "run.yaml"),
    ],
)
def test_an_unfit_config(refusal: Refusal, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "run.yaml").write_text(text)

    assert words in refusal("--config", str(tmp_path / "run.yaml"))


def test_an_unknown_setting_beside_a_config(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("prompt: a boat\n")

    sentence = refusal("--config", str(tmp_path / "run.yaml"), "--set", "sedd=3")

    assert "there is no setting 'sedd'" in sentence


def test_missing_controlnets(refusal: Refusal, tiny_repository: Path) -> None:
    (tiny_repository / "data/models/tiny-controlnet-depth").unlink()

    assert "cannot load the depth ControlNet of tiny-sdxl" in refusal()


def test_a_lora_that_is_none(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "lora.safetensors").write_bytes(b"none")

    assert "cannot use the LoRA weights" in refusal("--set", f"lora={tmp_path}/lora.safetensors")


def test_an_output_folder_that_is_a_file(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file in the place of the folder")

    assert main.main([*red_boat, "--tensorboard", "--out", str(tmp_path / "taken")]) == 2

    *_, sentence = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: cannot write")
    assert (tmp_path / "taken").read_text() == "a file in the place of the folder"


def test_the_process_ends_with_the_sentence_and_the_status() -> None:
    command = [sys.executable, "main.py", "pixelart", "--prompt", "a boat", "--size", "1,1"]

    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: size must be")
    assert answer.stderr.count("\n") == 1
