"""How faithful to a painting a picture is, and how real, for every method of stage 5 and its knobs.

Faithful: the mean squared difference of picture and painting, both blurred with sigma = 1 pixel, in
[-1, 1]. Real: pFD, the distance of patches to those that the model draws from the same prompts
without a painting. Both are better when lower. Right: the judge finds thing, colour and scene.

Paintings are coarse ones of fresh drawings that no training saw, none of them used for tuning. A
method is drawn with several seeds of noise; the spread is that over the seeds. SDEdit of the
drawings themselves stands beside them: it is given the true layout, so its pFD is what a layout
costs that is not the model's own. The network runs in bfloat16 on the CPU, which moves eps by less
than half a percent.
"""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from distillery.core.files import atomic_write
from distillery.core.images import to_pil
from distillery.methods.guided_ddim import BEGINNING, Predict, fresh_noise, steered
from distillery.methods.stroke_methods import KNOBS, NEED_DECODER, Beginning, Knobs, begin
from distillery.methods.strokes import Decode, Painting
from distillery.metrics.judge import Judge
from distillery.metrics.patch_distance import frechet_distance, patch_features
from distillery.models.latent_rgb import latent_rgb
from distillery.models.prior import Prior, guided_noise
from distillery.toybox import Factors, all_factors, draw, held_out
from distillery.toybox.paintings import coarse_painting
from reference import strokes
from training.data import to_images

SEED = 52
STEPS, GUIDANCE = 20, 5.0
BLUR = 1 / 64  # sigma of 1 pixel
TEXT_SEEDS = (1001, 1002)  # of the pictures that pFD compares with
WIDTH = 1 / 64  # of the painting operator in the faithfulness loss
CPU = torch.device("cpu")
OURS = ("low-frequencies", "gradop+", "gradop+x0", "x0-guidance")
THEIRS = ("sdedit", "sdedit-stochastic")
BAND = (0.09, 0.105)
FROM_DRAWINGS = (0.3, 0.5, 0.6, 0.7)  # strengths, for what the measure says of real layouts


Row = tuple[str, str, Knobs]  # a method, "linear" or "decoder" as its guide, and its knobs
ROWS: tuple[Row, ...] = (
    *(("sdedit", "linear", Knobs(s)) for s in (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)),
    *(
        ("sdedit-stochastic", "linear", Knobs(strength, end))
        for strength, end in ((0.5, 0.4), (0.6, 0.5), (0.65, 0.55), (0.7, 0.6), (0.6, 0.4))
    ),
    *(("low-frequencies", "linear", Knobs(0.95, e)) for e in (0.6, 0.65, 0.7, 0.75, 0.8)),
    ("gradop+", "decoder", Knobs(0.8)),
    *(("gradop+", "linear", Knobs(s)) for s in (0.9, 0.8, 0.7)),
    *(("gradop+x0", "linear", Knobs(s)) for s in (0.9, 0.8, 0.7)),
    *(("x0-guidance", "linear", Knobs(0.95, 0.5, weight=w)) for w in (0.3, 1.0)),
)


@dataclass(frozen=True)
class Scene:
    """N paintings with their prompts. image (N, 3, H, W) and latents are in `painting`."""

    factors: list[Factors]
    drawings: Tensor
    painting: Painting


@dataclass(frozen=True)
class Point:
    """What came of a method at one setting: a number for each seed, and CPU seconds a picture."""

    method: str
    guide: str
    knobs: str
    mse: list[float]
    pfd: list[float]
    right: list[float]
    seconds: float

    @property
    def place(self) -> tuple[float, float]:
        """Its mean MSE and pFD."""
        return _mean(self.mse), _mean(self.pfd)

    def __str__(self) -> str:
        return (
            f"{self.method:<19} {self.guide:<8} {self.knobs:<34} MSE {_spread(self.mse)}  "
            f"pFD {_spread(self.pfd)}  right {_mean(self.right):4.0%} "
            f"({min(self.right):.0%} to {max(self.right):.0%})  {self.seconds:.2f} s"
        )


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _spread(numbers: Sequence[float]) -> str:
    return f"{_mean(numbers):.4f} ({min(numbers):.4f} to {max(numbers):.4f})"


@torch.no_grad()
def scene_of(prior: Prior, count: int, *, seed: int = SEED) -> Scene:
    """Coarse paintings of drawings of combinations that the model was trained on."""
    g = random.Random(seed)
    pool = [factors for factors in all_factors() if not held_out(factors)]
    factors = [g.choice(pool) for _ in range(count)]
    seeds = [seed * 10_000_000 + k for k in range(count)]
    drawn = [draw(one, its) for one, its in zip(factors, seeds, strict=True)]
    images = [coarse_painting(drawing, its) for drawing, its in zip(drawn, seeds, strict=True)]
    image = torch.cat([to_images(one[None], CPU) for one in images])
    drawings = torch.cat([to_images(drawing.image[None], CPU) for drawing in drawn])
    mask = torch.ones(count, 1, *image.shape[2:])
    return Scene(factors, drawings, Painting(image, mask, prior.encode(image)))


def predict_of(prior: Prior, factors: Sequence[Factors]) -> Predict:
    """The noise to follow to draw them."""
    follow = guided_noise(
        prior,
        text=prior.embed([str(one) for one in factors]),
        uncond=prior.embed([""] * len(factors)),
        guidance_scale=GUIDANCE,
    )

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return follow(xt, t).float()

    return predict


class Bench:
    """The model, the paintings, and what pictures of them are compared with."""

    def __init__(self, prior: Prior, judge: Judge, scene: Scene) -> None:
        self.prior, self.judge, self.scene = prior, judge, scene
        self.predict = predict_of(prior, scene.factors)
        self.timesteps = prior.timesteps(STEPS)
        decoders: dict[str, Decode] = {
            "linear": latent_rgb(prior),
            "decoder": prior.decode_with_grad,
        }
        self.decoders = decoders
        text_only = torch.cat([self.text_only(seed) for seed in TEXT_SEEDS])
        self._patches = patch_features(text_only, judge)

    def noise(self, seed: int) -> Callable[[int], Tensor]:
        """Every picture has noise of its own."""
        count = len(self.scene.factors)
        seeds = [seed * 100_000 + k for k in range(count)]
        return fresh_noise(tuple(self.scene.painting.latents.shape[1:]), seeds, device=CPU)

    def text_only(self, seed: int) -> Tensor:
        """Pictures (N, 3, H, W) of the prompts alone."""
        xt = self.noise(seed)(BEGINNING)
        return self._drawn(Beginning(xt, 0, lambda its: its.xt_next))

    def from_drawings(self, strength: float, seed: int) -> Tensor:
        """Pictures (N, 3, H, W) by SDEdit of the drawings themselves, for comparison."""
        latents = self.prior.encode(self.scene.drawings)
        as_painted = replace(self.scene.painting, latents=latents)
        return self.pictures(("sdedit", "linear", Knobs(strength)), seed, as_painted)

    def pictures(self, row: Row, seed: int, painting: Painting | None = None) -> Tensor:
        """Pictures (N, 3, H, W) of the paintings by a method."""
        name, guide, knobs = row
        begun = begin(
            name,
            strokes,
            self.scene.painting if painting is None else painting,
            knobs,
            timesteps=self.timesteps,
            alphas_cumprod=self.prior.alphas_cumprod,
            noise=self.noise(seed),
            decode=self.decoders[guide],
            paint=partial(strokes.paint, width=WIDTH),
        )
        return self._drawn(begun)

    def _drawn(self, begun: Beginning) -> Tensor:
        *_, last = steered(
            self.predict,
            begun.xt,
            timesteps=self.timesteps,
            alphas_cumprod=self.prior.alphas_cumprod,
            start=begun.start,
            change=begun.change,
        )
        return self.prior.decode(last.xt).clamp(-1, 1)

    def measured(self, images: Tensor) -> tuple[float, float, float]:
        """MSE, pFD and the share that the judge finds right."""
        painting = self.scene.painting.image
        mse = strokes.paint(images - painting, BLUR).square().mean()
        pfd = frechet_distance(patch_features(images, self.judge), self._patches)
        seen = self.judge.factors(images)
        right = [its == asked for its, asked in zip(seen, self.scene.factors, strict=True)]
        return float(mse), pfd, sum(right) / len(right)

    def point(
        self, label: tuple[str, str, str], drawn: Callable[[int], Tensor], seeds: int
    ) -> Point:
        """What comes of a way to draw, over the seeds from 1 on."""
        began, found = time.process_time(), []
        for seed in range(1, seeds + 1):
            images = drawn(seed)
            found.append((images, time.process_time() - began))
        seconds = found[-1][1] / (seeds * len(self.scene.factors))
        numbers = [self.measured(images) for images, _ in found]
        mse, pfd, right = (list(column) for column in zip(*numbers, strict=True))
        return Point(*label, mse, pfd, right, seconds)


def points(bench: Bench, seeds: int, rows: Sequence[Row] = ROWS) -> Iterator[Point]:
    """The anchors first, then every row."""
    scene = bench.scene
    for name, images in (("paintings", scene.painting.image), ("drawings", scene.drawings)):
        yield bench.point((name, "", "as they are"), partial(_same, images), 1)
    yield bench.point(("text-only", "", ""), bench.text_only, seeds)
    for strength in FROM_DRAWINGS:
        label = ("sdedit of drawings", "", f"strength {strength}")
        yield bench.point(label, partial(bench.from_drawings, strength), seeds)
    for name, guide, knobs in rows:
        shown = ", ".join(f"{knob} {getattr(knobs, knob):.3g}" for knob in _told(name))
        guide_shown = guide if name in NEED_DECODER else ""
        drawn = partial(bench.pictures, (name, guide, knobs))
        yield bench.point((name, guide_shown, shown), drawn, seeds)


def _same(images: Tensor, seed: int) -> Tensor:
    return images


def _told(name: str) -> tuple[str, ...]:
    """The knobs that rows of a method differ in."""
    if name == "low-frequencies":
        return ("end",)
    return tuple(knob for knob in KNOBS[name] if knob in ("strength", "end", "weight"))


def frontier(found: Sequence[Point], methods: Sequence[str]) -> list[tuple[float, float]]:
    """Places (MSE, pFD) of these methods that none of their others beats in both, by MSE."""
    places = sorted(point.place for point in found if point.method in methods)
    best: list[tuple[float, float]] = []
    for mse, pfd in places:
        if not best or pfd < best[-1][1]:
            best.append((mse, pfd))
    return best


def pfd_at(mse: float, line: Sequence[tuple[float, float]]) -> float:
    """The pFD of a frontier at an MSE, between its places on straight lines; nan outside of it."""
    for (left, high), (right, low) in pairwise(line):
        if left <= mse <= right:
            return high + (low - high) * (mse - left) / (right - left)
    return float("nan")


def ratio_at(mse: float, found: Sequence[Point]) -> float:
    """Our frontier's pFD over SDEdit's at an MSE; nan where one of them has none."""
    return pfd_at(mse, frontier(found, OURS)) / pfd_at(mse, frontier(found, THEIRS))


def gains(found: Sequence[Point]) -> Iterator[str]:
    """How far our frontier lies below SDEdit's, at MSEs from 0.075 on."""
    ours, theirs = frontier(found, OURS), frontier(found, THEIRS)
    for mse in (0.075, 0.08, 0.085, *BAND, 0.095, 0.1, 0.11):
        our, their = pfd_at(mse, ours), pfd_at(mse, theirs)
        yield f"at MSE {mse:.3f}: ours {our:.4f}, SDEdit's {their:.4f}, {our / their - 1:+.0%}"


def saved(found: Sequence[Point], path: Path) -> None:
    """Write the points as JSON, from which the figure can be drawn again."""
    text = json.dumps([asdict(point) for point in found], indent=1)
    atomic_write(path, f"{text}\n".encode())


def loaded(path: Path) -> list[Point]:
    """The points of a file that `saved` wrote."""
    return [Point(**fields) for fields in json.loads(path.read_text())]


STYLES = {  # colour, marker and line
    "sdedit": ("#555555", "o", "-"),
    "sdedit-stochastic": ("#999999", "s", ""),
    "low-frequencies": ("#1560bd", "o", "-"),
    "gradop+": ("#d1495b", "^", ""),
    "gradop+x0": ("#edae49", "v", ""),
    "text-only": ("#2e8b57", "*", ""),
    "sdedit of drawings": ("#2e8b57", ".", ":"),
    "drawings": ("#2e8b57", "P", ""),
}


def draw_frontier(found: Sequence[Point], path: Path) -> None:
    """Write the figure: pFD over MSE, a mark for each setting, with the spread over the seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(*BAND, color="#f2f2f2", zorder=0)
    for name, (colour, marker, line) in STYLES.items():
        its = sorted((point for point in found if point.method == name), key=lambda p: p.place)
        if not its:
            continue
        mse, pfd = zip(*(point.place for point in its), strict=True)
        low = [place - min(point.pfd) for place, point in zip(pfd, its, strict=True)]
        high = [max(point.pfd) - place for place, point in zip(pfd, its, strict=True)]
        axes.errorbar(
            mse,
            pfd,
            (low, high),
            color=colour,
            marker=marker,
            linestyle=line or "none",
            markersize=5,
            elinewidth=0.8,
            label=name,
        )
    axes.set(
        xlabel="from the painting: MSE, both blurred (lower is more faithful)",
        ylabel="from the model's own patches: pFD (lower is more real)",
        ylim=(0, 0.15),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    atomic_write(path, buffer.getvalue())


def draw_sheet(bench: Bench, rows: Sequence[Row], path: Path, *, shown: int = 12) -> None:
    """Write a picture: the paintings on top, then a row for each setting."""
    strips = [bench.scene.painting.image, *(bench.pictures(row, 1) for row in rows)]
    sheet = torch.cat([torch.cat(list(strip[:shown]), dim=2) for strip in strips], dim=1)
    buffer = io.BytesIO()
    to_pil(sheet[None])[0].save(buffer, format="png")
    atomic_write(path, buffer.getvalue())
