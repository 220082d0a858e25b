"""The engine, on a run that is neither a distillation nor a sampler: a random walk of greys."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import imageio_ffmpeg
import pytest
import torch
from PIL import Image
from running import Tree, die, press_ctrl_c

from distillery.core.errors import CourseError
from distillery.core.images import load_image, prompt_of, to_png_bytes
from distillery.core.settings import Declared, Text, Whole, setting
from distillery.runs import engine
from distillery.runs.engine import carry_out
from distillery.runs.extras import Extras
from distillery.runs.film import video_frames
from distillery.runs.run import PICTURE, Checkpoint, Run, Step, code_of

STEPS = 50


@dataclass(frozen=True)
class WalkSettings(Declared):
    title: str = setting("a walk", Text(), "what it is called")
    steps: int = setting(STEPS, Whole(1, 1000), "number of steps")
    seed: int = setting(0, Whole(0, 100), "of the random numbers")


class Walk(Run):
    """Pictures (2, 3, 8, 12) whose grey walks; `at(index)` happens within a step."""

    may_make = ("kept/*.txt",)

    def __init__(
        self,
        settings: WalkSettings,
        *,
        at: Callable[[int], object] = lambda index: None,
        code: bytes = b"",
        figures: tuple[str, ...] = ("loss",),
        kept: int = 0,
    ) -> None:
        self.total, self.ingredients = settings.steps, [code]
        self.grey = torch.zeros(2)
        self.done: list[int] = []
        self._at, self._names, self._kept = at, figures, kept
        self._generator = torch.Generator().manual_seed(settings.seed)

    def steps(self, resume: Checkpoint | None = None) -> Iterator[Step]:
        start = 0
        if resume is not None:
            self.grey = resume.state["grey"]
            self._generator.set_state(resume.state["generator"])
            start = resume.index + 1
        for index in range(start, self.total):
            self._at(index)
            self.done.append(index)
            self.grey = self.grey + 0.1 * torch.randn(2, generator=self._generator)
            figures = {name: self.grey.abs().sum() for name in self._names}
            yield Step(index, self.total, self.images, figures, self._state)

    def _state(self) -> dict[str, torch.Tensor]:
        return {"grey": self.grey, "generator": self._generator.get_state()}

    def images(self) -> torch.Tensor:
        return self.grey.clamp(-1, 1).view(2, 1, 1, 1).expand(2, 3, 8, 12)

    def debug_pictures(self, index: int) -> dict[str, torch.Tensor]:
        return {"inside": self.images()}

    def products(self) -> dict[str, bytes]:
        kept = {f"kept/{number}.txt": b"kept" for number in range(self._kept)}
        return {**kept, PICTURE: to_png_bytes(self.images()[0], "a walk")}


def at(index: int, happens: Callable[[], object]) -> Callable[[int], object]:
    return lambda step: happens() if step == index else None


@pytest.fixture
def undisturbed(tmp_path: Path, tree: Tree) -> dict[str, bytes]:
    """What a walk leaves that nobody stops."""
    carry_out(Walk(WalkSettings()), WalkSettings(), out=tmp_path / "undisturbed")
    return tree(tmp_path / "undisturbed")


def test_a_run_leaves_its_picture_and_in_a_folder_how_it_came_about(tmp_path: Path) -> None:
    walk = Walk(WalkSettings(), kept=2)

    place = carry_out(walk, WalkSettings(), out=tmp_path)

    assert prompt_of(place.picture, load_image(place.picture)) == "a walk"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_walk", "a_walk.png"]
    made = {path.name for path in place.folder.iterdir()}
    assert made == {"frames", "kept", "loss.csv", "loss.png", "making.gif", "run.yaml"}
    assert WalkSettings.load(place.folder / "run.yaml") == WalkSettings()
    frames = sorted(path.name for path in (place.folder / "frames").iterdir())
    assert frames == [f"{number:05d}.png" for number in range(2, STEPS + 1, 2)]
    assert load_image(place.folder / "frames" / frames[-1]).size == (2 * 12 + 2, 8)


def test_what_a_run_has_to_say_is_said_before_and_after_it_and_not_again_when_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Talker(Walk):
        def foreword(self) -> str:
            return "it takes long"

        def afterword(self) -> str:
            return "it took longer"

    with pytest.raises(KeyboardInterrupt):
        carry_out(Talker(WalkSettings(), at=at(2, press_ctrl_c)), WalkSettings(), out=tmp_path)
    said = capsys.readouterr().err
    assert said.startswith("it takes long\n")
    assert "it took longer" not in said

    carry_out(Talker(WalkSettings()), WalkSettings(), out=tmp_path)

    said = capsys.readouterr().err
    assert "it takes long" not in said
    assert said.endswith("it took longer\n")


def test_the_table_has_a_column_for_each_figure_and_a_row_for_each_step(tmp_path: Path) -> None:
    walk = Walk(WalkSettings(steps=3), figures=("loss", "distance"))

    place = carry_out(walk, WalkSettings(steps=3), out=tmp_path)

    header, *rows = (place.folder / "loss.csv").read_text().splitlines()
    assert header == "step,loss,distance"
    assert [row.split(",")[0] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1].split(",")[2]) == walk.grey.abs().sum().item()


def test_a_run_without_figures_has_neither_table_nor_curve(tmp_path: Path) -> None:
    carry_out(Walk(WalkSettings()), WalkSettings(), out=tmp_path)

    place = carry_out(Walk(WalkSettings(), figures=()), WalkSettings(), out=tmp_path)

    assert {path.name for path in place.folder.iterdir()} == {"frames", "making.gif", "run.yaml"}


@pytest.mark.parametrize("index", [0, 17, STEPS - 1])
@pytest.mark.parametrize("stop", [die, press_ctrl_c], ids=["killed", "ctrl-c"])
def test_a_run_that_goes_on_leaves_the_same_bytes_and_does_no_step_twice(
    index: int,
    stop: Callable[[], object],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0)
    settings, out = WalkSettings(), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        carry_out(Walk(settings, at=at(index, stop)), settings, out=out)
    left = tree(out) if out.exists() else {}
    assert all(name.startswith("a_walk~unfinished/") for name in left)
    again = Walk(settings)

    carry_out(again, settings, out=out)

    first = index + 1 if stop is press_ctrl_c else index
    assert again.done == list(range(first, STEPS))
    assert tree(out) == undisturbed


def test_ctrl_c_keeps_a_checkpoint_although_none_is_due(tmp_path: Path) -> None:
    settings, before = WalkSettings(), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        carry_out(Walk(settings, at=at(5, press_ctrl_c)), settings, out=tmp_path)

    assert len(list((tmp_path / "a_walk~unfinished").glob("checkpoint-*.pt"))) == 1
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("name", ["save_gif", "figures_curve", "_remove_others"])
def test_a_picture_stands_only_beside_whole_results(
    name: str,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, out = WalkSettings(), tmp_path / "out"
    with monkeypatch.context() as disturbance:
        disturbance.setattr(engine, name, lambda *args: die())
        with pytest.raises(KeyboardInterrupt):
            carry_out(Walk(settings), settings, out=out)
    assert not (out / "a_walk.png").exists()

    carry_out(Walk(settings), settings, out=out)

    assert tree(out) == undisturbed


def test_changed_code_starts_again(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    settings, out = WalkSettings(), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        carry_out(Walk(settings, at=at(5, press_ctrl_c), code=b"old"), settings, out=out)
    again = Walk(settings)

    carry_out(again, settings, out=out)

    assert again.done == list(range(STEPS))
    assert tree(out) == undisturbed


def test_an_unfinished_run_of_other_settings_is_refused_and_kept(
    tmp_path: Path, tree: Tree
) -> None:
    settings, other = WalkSettings(), WalkSettings(seed=1)
    with pytest.raises(KeyboardInterrupt):
        carry_out(Walk(settings, at=at(5, press_ctrl_c)), settings, out=tmp_path)
    before = tree(tmp_path)

    with pytest.raises(CourseError, match="its seed is 0 and the run's is 1; repeat its settings"):
        carry_out(Walk(other), other, out=tmp_path)

    assert tree(tmp_path) == before


def test_what_an_earlier_run_left_goes_when_the_next_one_is_done(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    settings, out = WalkSettings(), tmp_path / "out"
    extras = Extras(verbose=True, make_video=True, tensorboard=True)
    longer = WalkSettings(steps=90)
    carry_out(Walk(longer, kept=3), longer, out=out, extras=extras)
    (out / "a_walk" / "notes.txt").write_text("the user's own")

    carry_out(Walk(settings), settings, out=out, overwrite=True)

    assert tree(out) == {**undisturbed, "a_walk/notes.txt": b"the user's own"}


def test_extras_change_nothing_else(
    undisturbed: dict[str, bytes], tmp_path: Path, tree: Tree
) -> None:
    settings, out = WalkSettings(), tmp_path / "out"
    extras = Extras(verbose=True, make_video=True, video_size=(32, 64), tensorboard=True)

    place = carry_out(Walk(settings), settings, out=out, extras=extras)

    made = tree(out)
    assert {name: made[name] for name in undisturbed} == undisturbed
    inside = sorted(path.name for path in (place.folder / "verbose").iterdir())
    assert inside == [f"{number + 1:05d}_inside.png" for number in range(0, STEPS, STEPS // 8)]
    assert len(list((place.folder / "tensorboard").iterdir())) == 1
    video = str(place.folder / "making.mp4")
    assert imageio_ffmpeg.count_frames_and_secs(video)[0] == STEPS // 2
    assert next(imageio_ffmpeg.read_frames(video))["size"] == (64, 32)


@pytest.mark.parametrize("fps", [5, 25])
def test_the_gif_keeps_the_pace_that_is_asked_for(fps: int, tmp_path: Path) -> None:
    settings = WalkSettings(steps=8)

    place = carry_out(Walk(settings), settings, out=tmp_path, extras=Extras(fps=fps))

    with Image.open(place.folder / "making.gif") as gif:
        assert (gif.n_frames, gif.info["duration"]) == (8, 1000 // fps)


def test_a_video_of_pictures_that_are_not_enlarged_has_their_own_size_made_even() -> None:
    frames = [Image.new("RGB", (13, 7), "black")]

    (sheet,) = video_frames(frames, None, lambda frame: frame)

    assert sheet.size == (14, 8)
    assert sheet.getpixel((0, 0)) == (0, 0, 0)
    assert sheet.getpixel((13, 7)) == (255, 255, 255)


def test_the_code_of_a_module_is_its_files_or_nothing_where_it_has_none() -> None:
    assert code_of(engine) == Path(engine.__file__).read_bytes()
    assert code_of(ModuleType("assembled")) == b""
