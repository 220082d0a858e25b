"""main.py: what it leaves behind, that it repeats itself, and that it goes on where it stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image
from running import (
    Tree,
    at_step,
    die,
    press_ctrl_c,
    put_students_module,
    status_of,
    stop_at_step,
    stop_in_engine,
    without,
)

import main
from distillery.core.files import REPOSITORY, prompt_to_filename
from distillery.core.images import load_image, prompt_of
from distillery.methods.settings import Settings
from distillery.models.presets import PRESETS
from distillery.runs import cli, engine, latents
from distillery.runs.film import frame_indices
from distillery.runs.interrupt import interrupts_held_back
from reference import sds

STEPS = 8


def test_the_picture_stands_alone_and_its_making_lies_in_a_folder_beside_it(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*red_boat, "--out", str(tmp_path)]) == 0

    picture, folder = tmp_path / "a_red_boat.png", tmp_path / "a_red_boat"
    assert capsys.readouterr().out.strip() == str(picture)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_red_boat", "a_red_boat.png"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "frames",
        "latents.safetensors",
        "loss.csv",
        "loss.png",
        "making.gif",
        "run.yaml",
    ]
    assert load_image(picture).info["prompt"] == "a red boat"
    last = folder / "frames" / f"{STEPS:05d}.png"
    assert load_image(last).tobytes() == load_image(picture).tobytes()


def test_frames_gif_and_losses_tell_the_whole_run(undisturbed: dict[str, bytes], tmp_path: Path):
    folder = tmp_path / "undisturbed" / "a_red_boat"

    header, *rows = (folder / "loss.csv").read_text().splitlines()
    with Image.open(folder / "making.gif") as gif:
        frames_in_gif = gif.n_frames

    assert header == "step,loss"
    assert [row.split(",")[0] for row in rows] == [str(number + 1) for number in range(STEPS)]
    assert all(float(row.split(",")[1]) > 0 for row in rows)
    assert frames_in_gif == len(list((folder / "frames").iterdir())) == STEPS


@pytest.mark.parametrize("steps", [1, 39, 40, 41, 400, 999])
def test_a_run_of_any_length_has_about_forty_frames_and_ends_with_one(steps: int) -> None:
    indices = frame_indices(steps)

    assert indices == sorted(set(indices))
    assert min(steps, 20) <= len(indices) <= 41
    assert indices[-1] == steps - 1
    assert indices[0] >= 0


def test_the_original_command_line_works_as_written(tmp_path: Path) -> None:
    line = ["--prompt", "a red boat on a frozen river", "--loss_type", "sds"]
    line += ["--guidance_scale", "25"]
    added = ["--implementation", "reference", "--steps", "2", "--out", str(tmp_path)]

    assert main.main([*line, *added]) == 0

    stem = "a_red_boat_on_a_frozen_river"
    assert load_image(tmp_path / f"{stem}.png").size == (64, 64)
    settings = yaml.safe_load((tmp_path / stem / "run.yaml").read_text())
    assert (settings["model"], settings["guidance_scale"]) == ("tiny-sd", 25)


def test_the_same_seed_gives_the_same_bytes_in_two_processes(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    command = [sys.executable, "main.py", *red_boat, "--out", str(tmp_path / "other")]

    subprocess.run(command, cwd=REPOSITORY, check=True)

    assert tree(tmp_path / "other") == undisturbed


@pytest.mark.parametrize(
    "change", [["--seed", "1"], ["--guidance_scale", "3"], ["--negative_prompt", "grey"]]
)
def test_every_setting_counts(
    change: list[str], red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    assert main.main([*red_boat, *change, "--out", str(tmp_path / "other")]) == 0

    other = (tmp_path / "other" / "a_red_boat.png").read_bytes()
    assert other != undisturbed["a_red_boat.png"]


def test_the_guidance_scale_is_the_presets_unless_a_flag_says_otherwise() -> None:
    flags = {"prompt": "a boat", "model": "tiny-sd", "loss_type": "sds"}

    chosen = cli.settings_from(Settings, dict(flags))
    assert chosen.guidance_scale == PRESETS["tiny-sd"].guidance["sds"]
    assert cli.settings_from(Settings, {**flags, "guidance_scale": 0.0}).guidance_scale == 0


def test_a_runs_settings_repeat_it_to_the_byte(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    config = tmp_path / "undisturbed" / "a_red_boat" / "run.yaml"

    assert main.main(["--config", str(config), "--out", str(tmp_path / "again")]) == 0

    assert tree(tmp_path / "again") == undisturbed


def test_flags_prevail_over_the_settings_they_stand_beside(tmp_path: Path) -> None:
    Settings("a boat", model="exact", steps=100, seed=3, device="cpu").save(tmp_path / "run.yaml")
    words = ["--config", str(tmp_path / "run.yaml"), "--steps", "5"]
    flags = vars(main.draw_arguments().parse_args([*words, "--implementation", "reference"]))
    del flags["out"]

    settings = cli.settings_from(Settings, flags)

    assert (settings.seed, settings.steps, settings.warmup) == (3, 5, 0)
    assert settings.implementation == "reference"


def test_a_run_that_is_done_again_replaces_what_the_longer_one_before_it_left(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main.main([*red_boat, *out, "--steps", "12"]) == 0

    assert main.main([*red_boat, *out, "--overwrite"]) == 0

    assert tree(tmp_path / "out") == undisturbed


def test_a_finished_run_of_other_settings_is_kept_and_the_new_one_says_where_it_is(
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "undisturbed"
    other = [*red_boat, "--seed", "7", "--out", str(out)]
    capsys.readouterr()

    assert main.main(other) == 0

    shown = capsys.readouterr()
    assert shown.out == f"{out / 'a_red_boat~2.png'}\n"
    (note,) = (line for line in shown.err.splitlines() if line.startswith("note: "))
    assert "a_red_boat.png is kept, because it was made with seed 0, this run has 7" in note
    made = tree(out)
    assert {name: made[name] for name in undisturbed} == undisturbed
    assert main.main(other) == 0
    assert tree(out) == made


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["smaple", "--prompt", "a boat"], "no command 'smaple' (did you mean 'sample'?)"),
        (["pixel-art"], "did you mean 'pixelart'?"),
        (["--promt", "a boat"], "(did you mean --prompt?)"),
        (["sample", "--prompt", "a boat", "--sede", "1"], "(did you mean --seed?)"),
        (["a red boat"], 'say --prompt before what to draw: --prompt "a red boat"'),
        (["--prompt", "a boat", "--model", "tiny-sdd"], "(did you mean 'tiny-sd'?)"),
        (["--prompt", "a boat", "--set", "sed=1"], "(did you mean 'seed'?)"),
        (["--prompt", "a boat", "--loss_type", "sdss"], "(did you mean 'sds'?)"),
        (["elastic", "--prompt", "a boat", "--method", "elastik"], "(did you mean 'elastic'?)"),
    ],
    ids=lambda typed: typed[0] if isinstance(typed, list) else "",
)
def test_what_is_misspelt_is_answered_with_the_nearest(
    typed: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(typed) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_the_help_shows_every_command() -> None:
    shown = main.draw_arguments().format_help()
    for name in set(main.COMMANDS) - {"draw"}:
        assert f"\n  {name} " in shown


@pytest.mark.parametrize("index", [0, 3, STEPS - 1])
@pytest.mark.parametrize("stop", [die, press_ctrl_c], ids=["killed", "ctrl-c"])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_files(
    index: int,
    stop: Callable[[], None],
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [*red_boat, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0)
    stop_at_step(command, sds, index, stop)
    left = tree(tmp_path / "out") if (tmp_path / "out").exists() else {}
    assert capsys.readouterr().err.endswith(
        "interrupted: the same command goes on where this run stopped.\n"
    )
    assert all(name.startswith("a_red_boat~unfinished/") for name in left)
    assert not any(name.endswith(".part") for name in left)

    # A held-back Ctrl-C lets the step finish, so the next one is the first to be done again.
    first = index + 1 if stop is press_ctrl_c else index
    at_step(monkeypatch, sds, first - 1, lambda: pytest.fail("a step is done twice"))
    assert main.main(command) == 0

    assert tree(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("name", ["save_gif", "_remove_others", "figures_curve"])
def test_a_run_stopped_while_it_writes_its_results_goes_on_to_the_same_files(
    name: str, red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    command = [*red_boat, "--out", str(tmp_path / "out")]
    stop_in_engine(command, name)

    assert main.main(command) == 0

    assert tree(tmp_path / "out") == undisturbed


def test_a_real_interrupt_stops_the_process_in_one_sentence(
    red_boat: list[str], tmp_path: Path, tree: Tree
) -> None:
    command = [*red_boat, "--steps", "1000", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "main.py", *command], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob("*/frames/*.png")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert errors.endswith("interrupted: the same command goes on where this run stopped.\n")
    assert "Traceback" not in errors
    left = tree(tmp_path)
    assert all(name.startswith("a_red_boat~unfinished/") for name in left)
    assert any("checkpoint" in name for name in left)


def test_a_second_ctrl_c_does_not_wait_for_the_step() -> None:
    before = signal.getsignal(signal.SIGINT)

    with interrupts_held_back() as interrupted:
        press_ctrl_c()
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()

    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_run_leaves_the_results_of_the_one_before_it(
    red_boat: list[str], tmp_path: Path, tree: Tree
) -> None:
    command = [*red_boat, "--out", str(tmp_path)]
    assert main.main(command) == 0
    before = tree(tmp_path)

    stop_at_step([*command, "--seed", "1"], sds, 5)

    after = tree(tmp_path)
    assert {name: after[name] for name in before} == before


def test_a_checkpoint_of_other_settings_is_refused_with_what_to_do(
    red_boat: list[str], tmp_path: Path, tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*red_boat, "--out", str(tmp_path)]
    stop_at_step(command, sds, 3)
    before = tree(tmp_path)
    capsys.readouterr()

    assert main.main([*command, "--seed", "1"]) == 2

    sentence = capsys.readouterr().err
    assert "its seed is 0 and the run's is 1; repeat its settings, or remove the file" in sentence
    assert tree(tmp_path) == before
    (checkpoint,) = tmp_path.glob("*/checkpoint-*.pt")
    checkpoint.unlink()
    assert main.main([*command, "--seed", "1"]) == 0


def test_a_stub_says_calmly_what_is_to_do_and_nothing_is_written(
    red_boat: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sentence = "sds.sds_grad is still to do: notebooks/01_sds/01_sds.ipynb, task 2."
    code = f"def loss(*args, **options):\n    raise NotImplementedError({sentence!r})\n"
    put_students_module(monkeypatch, "guidance.sds", code, tmp_path)
    red_boat[red_boat.index("reference")] = "guidance"

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 2

    assert capsys.readouterr().err == f"{sentence}\n"
    assert not (tmp_path / "out").exists()


def test_before_there_is_students_code_the_reference_draws_and_says_so(
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No word about the implementation, as in the original assignment."""
    code = "def loss(*args, **options): raise NotImplementedError('sds.x is still to do: y.')\n"
    put_students_module(monkeypatch, "guidance.sds", code, tmp_path)
    command = without(red_boat, "--implementation")

    assert main.main([*command, "--out", str(tmp_path / "out")]) == 0

    assert "note: sds.x is still to do: y. The reference draws instead." in capsys.readouterr().err
    assert (tmp_path / "out/a_red_boat.png").read_bytes() == undisturbed["a_red_boat.png"]
    settings = yaml.safe_load((tmp_path / "out/a_red_boat/run.yaml").read_text())
    assert settings["implementation"] == "reference"


def test_the_students_own_code_draws_unless_a_flag_says_otherwise() -> None:
    own = cli.settings_from(Settings, {"prompt": "a boat", "model": "exact"})
    courses = cli.settings_from(
        Settings, {"prompt": "a boat", "model": "exact", "implementation": "reference"}
    )

    assert main.method_of(latents, own).__name__ == "guidance.sds"
    assert main.method_of(latents, courses).__name__ == "reference.sds"


def test_changed_code_starts_anew_instead_of_going_on_from_the_old_codes_checkpoint(
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    red_boat[red_boat.index("reference")] = "guidance"
    command = [*red_boat, "--out", str(tmp_path / "out")]
    broken = "import signal\ndef loss(prior, x0, step, **options):\n"
    broken += "    if step == 3: signal.raise_signal(signal.SIGINT)\n    return x0.sum()\n"
    mended = "from reference.sds import loss\n"

    for code, status in ((broken, 130), (mended, 0)):
        put_students_module(monkeypatch, "guidance.sds", code, tmp_path)
        assert main.main(command) == status

    assert (tmp_path / "out/a_red_boat.png").read_bytes() == undisturbed["a_red_boat.png"]


PROMPTS = {
    "dots": "a house by St. Mary. v1.5...",
    "slashes": "../black/white \\ grey",
    "capitals": "A Red BOAT",
    "200 characters": ("a boat " * 40)[:199] + "!",
    "Japanese": "凍った川の上の赤い船",
    "long Hindi": "जमी हुई नदी पर लाल नाव " * 8,
    "Arabic": "قارب أحمر على نهر متجمد",
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_a_prompt_survives_the_round_trip_through_its_picture(
    prompt: str, red_boat: list[str], tmp_path: Path
) -> None:
    assert main.main([*red_boat, "--prompt", prompt, "--steps", "1", "--out", str(tmp_path)]) == 0

    (picture,) = tmp_path.glob("*.png")
    assert picture.stem == prompt_to_filename(prompt)
    assert prompt_of(picture, load_image(picture)) == prompt


def test_a_film_curves_and_any_setting_can_be_had(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    extras = ["--make_video", "--video_size", "32,64", "--fps", "12", "--tensorboard"]

    assert main.main([*red_boat, *extras, "--out", str(tmp_path / "out")]) == 0

    made = tree(tmp_path / "out")
    assert {name: made[name] for name in undisturbed} == undisturbed
    added = {name.split("/")[1] for name in made if name not in undisturbed}
    assert added == {"making.mp4", "tensorboard"}
    assert (
        main.main([*red_boat, "--set", "t_max=500", "--overwrite", "--out", str(tmp_path / "out")])
        == 0
    )
    folder = tmp_path / "out" / "a_red_boat"
    assert yaml.safe_load((folder / "run.yaml").read_text())["t_max"] == 500
    assert not (folder / "making.mp4").exists()


def test_a_prompt_longer_than_the_model_reads_is_drawn_with_a_note(
    red_boat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = "a boat " * 40

    assert main.main([*red_boat, "--prompt", prompt, "--steps", "1", "--out", str(tmp_path)]) == 0

    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("note: the model reads 75 tokens of a prompt")


def test_who_waits_at_a_terminal_reads_at_once_what_is_loaded(
    red_boat: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)

    assert main.main([*red_boat, "--steps", "1", "--out", str(tmp_path)]) == 0

    assert capsys.readouterr().err.startswith(f"loading {red_boat[red_boat.index('--model') + 1]}")
