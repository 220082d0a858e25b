"""The pictures that a stage hands in with its notebook: fixed settings, and their scores.

    python main.py hand_in 01_sds

draws the pictures of data/hand_in.yaml with the student's own code into outputs/01_sds/ and scores
them:

    outputs/01_sds/a_red_boat.png   one of them, named after its prompt
    outputs/01_sds/a_red_boat/      how it came about
    outputs/01_sds/eval.json        what eval.py says of them
    outputs/01_sds/drawn.json       which code drew which picture; what is done stays done

A stage of animations hands in GIFs in the place of PNGs, and their keyframes are scored.

In a notebook `hand_in("01_sds")` says what is there and what it is worth.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import yaml
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError, in_short
from distillery.core.files import (
    REPOSITORY,
    atomic_write,
    decoded,
    prompt_to_filename,
    read_record,
)
from distillery.core.gif import film_of, parsed, read_animation
from distillery.core.images import enlarged, from_pil
from distillery.core.program import TYPED
from distillery.core.settings import Declared, Real
from distillery.core.yaml_text import values_of
from distillery.course.films import (
    Motion,
    film_kind,
    flaws_of,
    keyframes_of,
    rules_of,
    strip_of,
)
from distillery.course.progress import PICTURES, keep
from distillery.course.student_files import course_root, student_file
from distillery.metrics.clip_score import ClipScorer
from distillery.metrics.evaluate import as_shown, evaluate, load_picture
from distillery.models.prior import Prior
from distillery.notebook.validate import Points, fail_in_validate, no_stderr_in_validate
from distillery.runs import kind as runs
from distillery.runs.place import set_aside
from distillery.runs.registry import KINDS, kind_of, name_of, settings_of

HAND_INS = REPOSITORY / "data" / "hand_in.yaml"
THRESHOLDS = REPOSITORY / "data" / "thresholds.yaml"
EVALUATION = "eval.json"
RECORD = "drawn.json"
MISSING_ITEM = 0.1  # of the points, for each picture that is missing, and for eval.json

PictureSettings = Any  # the settings of a kind of run
# What a kind of run is called in data/hand_in.yaml and in a grade's records.
KIND_NAMES = {"picture": "draw"}


@dataclass(frozen=True)
class HandIn:
    """The pictures of one stage.

    stage:    folder of its notebook.
    scorer:   the id of the CLIP that they are scored by.
    size:     height and width of the PNGs in pixels; pixel art is handed in as its grid.
    pictures: the settings of each; nothing of them may be changed.
    motion:   how they must move, of animations alone.
    """

    stage: str
    scorer: str
    size: tuple[int, int]
    pictures: tuple[PictureSettings, ...]
    motion: Motion | None = None

    @property
    def folder(self) -> Path:
        """Where they lie, under the course folder."""
        return Path("outputs", self.stage)

    @property
    def command(self) -> str:
        return f"{TYPED} hand_in {self.stage}"

    @property
    def files(self) -> dict[str, PictureSettings]:
        """File name -> what it shows, in the order of the file."""
        return {picture_name(settings): settings for settings in self.pictures}

    @property
    def module(self) -> str:
        """The stage's module in guidance/."""
        first = self.pictures[0]
        return kind_of(first).module_name(first).split(".")[-1]


@dataclass(frozen=True)
class Thresholds:
    """Mean scores of one scorer from which on a stage's pictures earn all, or half, the points."""

    full: float
    half: float

    def share(self, mean: float) -> float:
        """1, 1/2 or 0."""
        return 1.0 if mean >= self.full else 0.5 if mean >= self.half else 0.0


def title_of(settings: PictureSettings) -> str:
    """The prompt that names the picture and that it is scored against."""
    return str(settings.title)


def picture_name(settings: PictureSettings) -> str:
    ending = "png" if film_kind(settings) is None else "gif"
    return f"{prompt_to_filename(title_of(settings))}.{ending}"


def load_hand_in(stage: str, path: Path | None = None) -> HandIn:
    """What data/hand_in.yaml, or another file like it, says of a stage.

    Raises:
        CourseError: the file is missing or damaged, or the stage hands in no pictures.
    """
    path = path or HAND_INS
    entries = _mapping(path)
    if stage not in entries:
        raise CourseError(
            f"{stage!r} hands in no pictures; the stages that do are {', '.join(entries)}."
        )
    try:
        entry = entries[stage]
        make = _settings(entry.get("kind", "picture"))
        pictures = [make(**{**entry["settings"], **picture}) for picture in entry["pictures"]]
        height, width = map(int, entry["size"])
        rooted = tuple(map(_rooted, pictures))
        moves = any(film_kind(picture) for picture in rooted)
        motion = Motion(**entry["motion"]) if moves else None
        hand_in = HandIn(stage, str(entry["scorer"]), (height, width), rooted, motion)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise CourseError(
            f"{path} does not say what {stage} hands in ({in_short(error)}); fetch it again."
        ) from error
    if not pictures or len(hand_in.files) < len(pictures):
        raise CourseError(f"{path} must name pictures for {stage}, each with a prompt of its own.")
    return hand_in


def _settings(name: str) -> type[Declared]:
    """The settings of a kind of run by its name in data/hand_in.yaml or in a grade's records."""
    return settings_of(KIND_NAMES.get(name, name))


def _rooted(settings: PictureSettings) -> PictureSettings:
    """The same settings, a source picture found from wherever the command is run."""
    names = [name for name in kind_of(settings).SOURCE_FIELDS if getattr(settings, name)]
    return replace(settings, **{name: str(REPOSITORY / getattr(settings, name)) for name in names})


def load_thresholds(path: Path | None = None) -> dict[str, Thresholds]:
    """Scorer id, perhaps with a size, such as "tiny-clip 64x128" -> its thresholds.

    Raises:
        CourseError: the file is missing or damaged.
    """
    path = path or THRESHOLDS
    try:
        found = {str(scorer): Thresholds(**entry) for scorer, entry in _mapping(path).items()}
    except TypeError as error:
        raise CourseError(
            f"{path} must give each scorer its thresholds 'full' and 'half' ({in_short(error)})."
        ) from error
    for scorer, thresholds in found.items():
        Real(low=-1, high=1).check(f"half of {scorer}", thresholds.half)
        Real(low=thresholds.half, high=1).check(f"full of {scorer}", thresholds.full)
    return found


def thresholds_for(
    thresholds: Mapping[str, Thresholds], scorer: str, size: tuple[int, int]
) -> Thresholds:
    """Those of a scorer for pictures of that height and width.

    A size may have an entry of its own, such as "tiny-clip 64x128": CLIP sees every picture
    squeezed into a square, and scores wide ones lower.

    Raises:
        CourseError: the scorer has none.
    """
    for name in (f"{scorer} {size[0]}x{size[1]}", scorer):
        if name in thresholds:
            return thresholds[name]
    raise CourseError(f"data/thresholds.yaml has no thresholds for {scorer!r}; add them.")


def _mapping(path: Path) -> dict[str, Any]:
    try:
        found = values_of(decoded(path.read_bytes()))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CourseError(
            f"{path} is missing or damaged ({in_short(error)}); fetch it again."
        ) from error
    if not isinstance(found, dict) or not found:
        raise CourseError(f"{path} must hold an entry for each name; fetch it again.")
    return found


def as_facts(settings: PictureSettings) -> dict[str, Any]:
    """The settings as plain JSON that means the same in another copy of the course."""
    values = asdict(settings)
    for name in kind_of(settings).SOURCE_FIELDS:
        source = Path(values[name])
        if source.is_absolute():
            values[name] = source.relative_to(REPOSITORY).as_posix()
    names = {kind: name for name, kind in KIND_NAMES.items()}
    name = name_of(settings)
    return {"prompt": title_of(settings), "kind": names.get(name, name), "settings": values}


def from_facts(facts: Mapping[str, Any]) -> PictureSettings:
    """The settings that `as_facts` wrote.

    Raises:
        CourseError: a value is unfit.
    """
    return _rooted(_settings(facts["kind"])(**facts["settings"]))


def kind_module(facts: Mapping[str, Any]) -> str:
    """The name of the module that draws by the settings that `as_facts` wrote."""
    return KINDS[KIND_NAMES.get(facts["kind"], facts["kind"])].module


def load_model(settings: PictureSettings) -> Prior:
    """The prior that a picture is drawn with; it serves all pictures of its stage."""
    return kind_of(settings).load(settings)


def drawn(prior: Prior, method: ModuleType, settings: PictureSettings) -> Tensor:
    """The picture alone, without files: (1, 3, H, W) in [-1, 1]; of an animation its strip.

    Args:
        method: the stage's module.
    """
    film = film_kind(settings)
    if film is None:
        return runs.drawn(kind_of(settings), prior, method, settings)
    run = runs.finished(film, prior, method, settings, out=Path("outputs"))
    # A sandbox has no ffmpeg, which some products need.
    gif = parsed(film.film(run, settings), film.FILM)
    return from_pil(strip_of(film_of(gif), rules_of(settings)))


def read_picture(file: Path, settings: PictureSettings) -> Image.Image:
    """A picture that is to be handed in, as it is graded; of an animation its strip.

    Raises:
        CourseError: it cannot be read, or it is an animation and breaks a rule.
    """
    if film_kind(settings) is None:
        return load_picture(file)
    return strip_of(film_of(read_animation(file)), rules_of(settings))


def scored_parts(picture: Image.Image, settings: PictureSettings) -> list[tuple[Image.Image, str]]:
    """What of a picture is scored, as it is shown, and the prompt that each is scored against."""
    if film_kind(settings) is None:
        return [(as_shown(picture), title_of(settings))]
    keyframes = keyframes_of(picture, rules_of(settings))
    return [(enlarged(frame), prompt) for frame, prompt in keyframes]


def flaws(hand_in: HandIn, pictures: Mapping[str, Image.Image]) -> list[str]:
    """What is wrong with how animations move, in sentences.

    Args:
        pictures: file name -> strip.
    """
    if hand_in.motion is None:
        return []
    return [
        f"{name}: {flaw}"
        for name, picture in pictures.items()
        for flaw in flaws_of(picture, rules_of(hand_in.files[name]), hand_in.motion)
    ]


def animations_of(folder: Path) -> HandIn | None:
    """What a stage of animations hands in, where the folder is named after it and has some of it.

    Raises:
        CourseError: data/hand_in.yaml is missing or damaged.
    """
    stage = folder.resolve().name
    hand_in = load_hand_in(stage) if stage in _mapping(HAND_INS) else None
    if hand_in is None or hand_in.motion is None:
        return None
    return hand_in if any((folder / name).is_file() for name in hand_in.files) else None


def evaluation_of(hand_in: HandIn, folder: Path, clip: str | None = None) -> dict[str, Any]:
    """What is written into eval.json, as `distillery.metrics.evaluate` says it.

    The score of an animation is the mean of its keyframes'.

    Args:
        folder: where the pictures lie.
        clip: the scorer, by default the stage's.

    Raises:
        CourseError: there is nothing to score, or something that cannot be.
    """
    if hand_in.motion is None:
        return evaluate(folder, clip or hand_in.scorer)
    scorer = ClipScorer(clip or hand_in.scorer)
    rows: list[dict[str, Any]] = []
    for name, settings in hand_in.files.items():
        try:
            strip = read_picture(folder / name, settings)
        except CourseError as error:
            raise CourseError(f"{name} cannot be scored: {error}; {hand_in.command}.") from error
        shown, prompts = zip(*scored_parts(strip, settings), strict=True)
        scores = [round(score, 6) for score in scorer.score(shown, prompts)]
        mean = round(fmean(scores), 6)
        row = {"file": name, "prompt": title_of(settings), "score": mean, "keyframes": scores}
        rows.append(row)
    whole = round(fmean(row["score"] for row in rows), 6)
    return {"scorer": scorer.id, "mean": whole, "pictures": rows}


def draw_all(hand_in: HandIn, method_named: Callable[[str], ModuleType], root: Path) -> list[Path]:
    """Draw what is not drawn yet by the code as it is now; returns the pictures.

    A picture that was stopped goes on where it stopped.

    Args:
        method_named: gives the module of a name such as "guidance.sds".
        root: the course folder.

    Raises:
        CourseError: a picture cannot be drawn or written.
        NotImplementedError: a function of the student's is still to do.
        KeyboardInterrupt: Ctrl-C, after the step under way.
    """
    method = method_named(f"guidance.{hand_in.module}")
    assert method.__file__ is not None
    code, folder = Path(method.__file__), root / hand_in.folder
    record = read_record(folder / RECORD)
    prior: Prior | None = None
    for name, settings in hand_in.files.items():
        if not _is_drawn(folder / name, settings, code, record):
            prior = prior or load_model(settings)
            set_aside(settings, folder, folder / name)
            place = runs.draw(
                kind_of(settings), prior, method, settings, out=folder, overwrite=True
            )
            film = film_kind(settings)
            if film is not None:
                atomic_write(folder / name, (place.folder / film.FILM).read_bytes())
            record[name] = _mark(folder / name, settings, code)
            atomic_write(folder / RECORD, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    return [folder / name for name in hand_in.files]


def _is_drawn(file: Path, settings: PictureSettings, code: Path, record: Mapping[str, str]) -> bool:
    try:
        return record.get(file.name) == _mark(file, settings, code)
    except OSError:
        return False


def _mark(file: Path, settings: PictureSettings, code: Path) -> str:
    """16 digits that tell apart pictures, settings and versions of a module's code."""
    digest = hashlib.sha256(json.dumps(asdict(settings)).encode())
    digest.update(code.read_bytes())
    digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Prospect:
    """What a stage's pictures are worth as they lie there; its lines are printed already.

    share: of the points, 0 to 1.
    """

    share: float
    lines: tuple[str, ...]

    def points(self, worth: float) -> Points:
        """As the last value of a cell it is what nbgrader reads.

        Raises:
            CourseError: they earn less, and nbgrader's Validate asks; that shows the lines.
        """
        if self.share < 1:
            fail_in_validate(self.lines)
        return Points(round(worth * self.share, 4), worth)

    def _ipython_display_(self) -> None:
        """Nothing more to show under the cell."""


def hand_in(stage: str) -> Prospect:
    """Say which pictures of a stage are there, and what they would earn; it never raises.

    The grader scores them again, and draws some of them again with the submitted code.
    """
    try:
        with no_stderr_in_validate():
            wanted, root = load_hand_in(stage), course_root()
            prospect = _prospect(wanted, root)
            is_any = any((root / wanted.folder / name).is_file() for name in wanted.files)
            keep(f"{wanted.module}.{PICTURES}", prospect.share if is_any else None)
    except Exception as error:
        prospect = Prospect(0.0, (f"{stage}: the pictures cannot be scored: {in_short(error)}",))
    print("\n".join(prospect.lines))
    return prospect


def _prospect(wanted: HandIn, root: Path) -> Prospect:
    folder = root / wanted.folder
    items = [*wanted.files, EVALUATION]
    missing = [name for name in items if not (folder / name).is_file()]
    there = [name for name in wanted.files if name not in missing]
    lines = [
        f"{wanted.stage}: {len(there)} of {len(wanted.files)} pictures are in {wanted.folder}."
    ]
    if missing:
        lines += [f"  missing: {', '.join(missing)}", f"  draws them: {wanted.command}"]
    pictures, unfit = _readable(wanted, folder, there)
    lines += unfit
    if not pictures:
        return Prospect(0.0, tuple(lines))
    scorer = ClipScorer(wanted.scorer, device="cpu")
    scores = []
    for name, picture in pictures.items():
        shown, prompts = zip(*scored_parts(picture, wanted.files[name]), strict=True)
        scores.append(fmean(scorer.score(shown, prompts)))
    mean, wrong = fmean(scores), flaws(wanted, pictures)
    lines += [f"  {flaw}" for flaw in wrong]
    thresholds = thresholds_for(load_thresholds(), wanted.scorer, wanted.size)
    lines.append(
        f"  mean score {mean:.3f} by {wanted.scorer}; from {thresholds.full:g} on it earns all "
        f"points, from {thresholds.half:g} on half."
    )
    count = len(missing) + len(unfit) + len(wrong)
    share = share_of(thresholds.share(mean), count)
    kind = "missing or wrong" if unfit or wrong else "missing"
    off = f", 10 % less for each of {count} {kind}" if count else ""
    lines.append(f"  As they are they earn {share:.0%} of the points{off}.")
    lines += _older(wanted, folder, there)
    return Prospect(share, tuple(lines))


def _readable(
    wanted: HandIn, folder: Path, names: Sequence[str]
) -> tuple[dict[str, Image.Image], list[str]]:
    """The pictures of these files, and a line on each animation that does not count."""
    pictures, lines = {}, []
    for name in names:
        try:
            pictures[name] = read_picture(folder / name, wanted.files[name])
        except CourseError as error:
            if wanted.motion is None:
                raise
            lines.append(f"  {name} does not count: {error}; {wanted.command}")
    return pictures, lines


def share_of(reached: float, missing: int, each: float = MISSING_ITEM) -> float:
    """What remains of a share when `missing` items each take a part of all points off it."""
    return max(0.0, reached - each * missing) if reached else 0.0


def _older(wanted: HandIn, folder: Path, there: Sequence[str]) -> list[str]:
    """A line on pictures that the code as it is now has not drawn."""
    code, record = student_file(wanted.module), read_record(folder / RECORD)
    older = [
        name for name in there if not _is_drawn(folder / name, wanted.files[name], code, record)
    ]
    if not older:
        return []
    return [f"  Not drawn by your code as it is now: {', '.join(older)}; {wanted.command}"]
