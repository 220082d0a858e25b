"""main.py finetune: its files, the same bytes after a stop or a kill, refusals in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import Refusal, Tree, press_ctrl_c, put_students_module, status_of
from safetensors.torch import load_file

import main
from distillery.core.images import load_image, read_any
from distillery.runs import engine, finetune, finetune_data
from reference import morph

STEPS = 4
FRAMES = {f"frames/{number + 1:05d}.png" for number in range(STEPS)}
MADE = {"making.gif", "run.yaml", "README.md", "loss.csv", "loss.png", *FRAMES}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of two sizes, and a table with a space before a column's name."""
    folder = tmp_path_factory.mktemp("data") / "pixels"
    folder.mkdir()
    for seed, size in enumerate([(16, 24), (16, 24), (40, 60)]):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    rows = ["file_name, text", "0.png, a red boat", "1.png, a blue tree", "2.png, a cat"]
    (folder / "metadata.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def red_boat(pictures: Path, tiny_sd_folder: Path) -> list[str]:
    """A short fine-tuning; `--out` is left to the test."""
    options = {
        "--model": str(tiny_sd_folder),
        "--rank": "2",
        "--steps": str(STEPS),
        "--batch_size": "2",
        "--learning_rate": "0.02",
        "--size": "16,24",
        "--prior_weight": "0.5",
        "--prior_pictures": "2",
        "--validation_prompts": "a red boat; a cat",
        "--implementation": "reference",
        "--device": "cpu",
    }
    words = [word for option in options.items() for word in option]
    return ["finetune", str(pictures), *words]


def test_it_leaves_a_lora_with_its_card_and_a_sheet(
    red_boat: list[str], tmp_path: Path, tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*red_boat, "--tensorboard", "--out", str(tmp_path)]) == 0

    shown = capsys.readouterr()
    folder = tmp_path / "pixels-lora"
    assert shown.out == f"{tmp_path / 'pixels-lora.png'}\n"
    assert "3 pictures with captions; the LoRA has" in shown.err
    assert f'main.py sample --prompt "a red boat" --model {red_boat[3]} --lora' in shown.err
    made = {name for name in tree(folder) if not name.startswith("tensorboard/")}
    assert made == {*MADE, "pytorch_lora_weights.safetensors"}
    assert len(list((folder / "tensorboard").iterdir())) == 1
    assert load_image(tmp_path / "pixels-lora.png").size == (2 * 24 + 2, 2 * 16 + 2)
    weights = load_file(folder / "pytorch_lora_weights.safetensors")
    assert {str(weight.dtype) for weight in weights.values()} == {"torch.float16"}
    assert any(weight.any() for name, weight in weights.items() if "lora_B" in name)
    card = (folder / "README.md").read_text()
    assert all(f"**{word}.**" in card for word in ("Data", "Recipe", "Figures", "Limits"))
    assert "3 pictures with captions from `pixels`" in card
    assert len((folder / "loss.csv").read_text().splitlines()) == STEPS + 1


def at_call(monkeypatch: pytest.MonkeyPatch, number: int, happens: object) -> None:
    """Let something happen in the loss of the step of that number, once."""
    calls, own = iter(range(100)), morph.finetune_loss

    def disturbed(*args: object) -> object:
        if next(calls) == number:
            happens()  # type: ignore[operator]
        return own(*args)

    monkeypatch.setattr(morph, "finetune_loss", disturbed)


@pytest.mark.parametrize("number", [0, STEPS - 2])
def test_ctrl_c_and_the_same_command_again_leave_the_same_bytes(
    number: int,
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_call(monkeypatch, number, press_ctrl_c)
    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 130

    assert main.main([*red_boat, "--out", str(tmp_path / "out")]) == 0

    assert tree(tmp_path / "out") == undisturbed


class Killed(BaseException):
    """What no part of the program catches, as if the process was gone."""


def killed() -> None:
    raise Killed


def test_a_run_that_was_killed_within_a_step_leaves_the_same_bytes(
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [*red_boat, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0.0)
    at_call(monkeypatch, 2, killed)
    with pytest.raises(Killed):
        main.main(command)
    done = []
    own = engine.save_checkpoint
    monkeypatch.setattr(
        engine, "save_checkpoint", lambda *args: (done.append(args[1].index), own(*args))
    )

    assert main.main(command) == 0

    assert done == [2, 3]
    assert tree(tmp_path / "out") == undisturbed


def test_its_settings_repeat_it_to_the_byte(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    config = tmp_path / "undisturbed" / "pixels-lora" / "run.yaml"
    assert main.main(["finetune", "--config", str(config), "--out", str(tmp_path / "again")]) == 0
    assert tree(tmp_path / "again") == undisturbed


def test_a_style_is_drawn_with_and_at_a_scale_of_0_nothing_changes(
    red_boat: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    model, lora = red_boat[3], str(tmp_path / "undisturbed" / "pixels-lora")
    command = ["sample", "--prompt", "a cat", "--model", model, "--size", "16,24", "--steps", "3"]
    drawn = {}
    for name, flags in {
        "plain": [],
        "styled": ["--lora", lora],
        "more": ["--lora", lora, "--lora_scale", "1.5"],
        "none": ["--lora", lora, "--lora_scale", "0"],
    }.items():
        out = tmp_path / name
        assert main.main([*command, "--device", "cpu", *flags, "--out", str(out)]) == 0
        drawn[name] = (out / "a_cat.png").read_bytes()
    assert drawn["plain"] == drawn["none"]
    assert len(set(drawn.values())) == 3


def test_a_lora_of_another_model_is_refused(
    undisturbed: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sample", "--prompt", "a cat", "--lora", str(tmp_path / "undisturbed/pixels-lora")]
    assert status_of([*command, "--device", "cpu", "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot use the LoRA weights" in line
    assert not (tmp_path / "out").exists()


def test_the_student_s_own_loss_is_learned_by(
    red_boat: list[str],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = "from reference.morph import finetune_loss as own\n"
    code += "def finetune_loss(*args):\n    return 2 * own(*args)\n"
    put_students_module(monkeypatch, "guidance.morph", code, tmp_path)
    command = [*red_boat, "--implementation", "guidance", "--out", str(tmp_path / "out")]
    assert main.main(command) == 0
    first, other = (
        float(files["pixels-lora/loss.csv"].splitlines()[1].split(b",")[1])
        for files in (undisturbed, tree(tmp_path / "out"))
    )
    assert other == pytest.approx(2 * first)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--rank", "9"], "rank must be from 1 to 8, the width of the narrowest attention layer"),
        (["--rank", "0"], "rank must be a whole number from 1"),
        (["--steps", "0"], "steps must be a whole number from 1"),
        (["--learning_rate", "0"], "learning_rate must be a finite number above 0"),
        (["--learning_rate", "1e30"], "the loss is no longer a finite number"),
        (["--prior_weight", "-1"], "prior_weight must be a finite number"),
        (["--caption_dropout", "2"], "caption_dropout must be a finite number"),
        (["--validation_prompts", ";"], "validation_prompts must be from 1 to 16 prompts"),
        (["--set", "validation_prompts=[a, 3]"], "each of validation_prompts must be text"),
        (["--layers", "none"], "layers must be one of attention, all"),
        (["--mixed_precision", "fp8"], "mixed_precision must be one of no, bf16"),
        (["--model", "exact"], "exact has no UNet for a LoRA"),
        (["--size", "20,24"], "each a multiple of 8"),
        (["--set", "folder=''"], "the folder is empty"),
        (["--set", "folder=none"], "there is no folder none"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_sentence(
    flags: list[str],
    words: str,
    red_boat: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = status_of([*red_boat, *flags, "--out", str(tmp_path / "out")])

    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert status == 2
    assert len(errors) == 1
    assert words in errors[0]
    assert not list(tmp_path.glob("out/*.png"))


@pytest.fixture
def copied(pictures: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copied"
    folder.mkdir()
    for file in pictures.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_folders_that_cannot_be_learned_from(
    red_boat: list[str], copied: Path, refusal: Refusal
) -> None:
    given = ["--set", f"folder={copied}"]
    (copied / "1.png").write_bytes(b"broken")
    assert "1.png cannot be read as a picture" in refusal(*given)
    (copied / "1.png").unlink()
    assert "has a caption of 1.png, and" in refusal(*given)
    (copied / "metadata.csv").unlink()
    assert "holds pictures without captions" in refusal(*given)
    lines = [json.dumps({"file_name": "0.png", "text": "a boat"})]
    (copied / "metadata.jsonl").write_text("\n".join(lines))
    assert "1 of the 2 pictures" in refusal(*given)
    (copied / "2.png").unlink()
    assert "holds one picture" in refusal(*given)


def test_a_picture_that_ends_too_early_is_refused(
    red_boat: list[str], copied: Path, refusal: Refusal
) -> None:
    whole = (copied / "1.png").read_bytes()
    (copied / "1.png").write_bytes(whole[: len(whole) // 2])
    assert "1.png cannot be read as a picture" in refusal("--set", f"folder={copied}")


def test_each_picture_is_decoded_once(
    red_boat: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []

    def counted(path: Path) -> Image.Image:
        decoded.append(path.name)
        return read_any(path)

    monkeypatch.setattr(finetune_data, "read_any", counted)

    assert status_of([*red_boat, "--out", str(tmp_path)]) == 0
    assert sorted(decoded) == ["0.png", "1.png", "2.png"]


def test_slow_beginnings_have_a_bar(
    red_boat: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(finetune, "SOON", 0)  # as if every picture took long

    assert status_of([*red_boat, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "pictures encoded: 100%" in said
    assert "pictures drawn before: 100%" in said


def test_files_are_not_made_among_the_pictures(
    red_boat: list[str], pictures: Path, capsys: pytest.CaptureFixture[str], tree: Tree
) -> None:
    before = tree(pictures)
    assert main.main([*red_boat, "--out", str(pictures / "outputs")]) == 2
    assert "lies in the folder of the pictures; choose another --out" in capsys.readouterr().err
    assert tree(pictures) == before


def test_no_folder_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["finetune"]) == 2
    assert "name a folder of pictures with captions" in capsys.readouterr().err
