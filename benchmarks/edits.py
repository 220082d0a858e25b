"""What an edit changes, and what it keeps: `python -m benchmarks.edits [--frontier FILE]`.

PDS at its defaults, compared with SDEdit at many strengths, on fresh drawings, by the judge; with
--frontier, SDEdit, SDS, DDS and PDS over their knobs, on fewer drawings, as a figure. Every change
of pixels is measured from the source as the VAE gives it back, so the VAE's own blur does not
count.
"""

from __future__ import annotations

import argparse
import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from distillery.core.files import atomic_write
from distillery.core.images import from_pil
from distillery.core.measured import Figure as Kept
from distillery.core.measured import add_record_option, record, share
from distillery.methods.sdedit import sdedit
from distillery.methods.settings import Settings
from distillery.methods.source_image import Source
from distillery.metrics.judge import Judge
from distillery.metrics.source_similarity import inside_mask, outside_mask
from distillery.models.load import load_prior
from distillery.models.presets import suits
from distillery.models.prior import Prior
from distillery.runs.latents import LatentMethod, from_source
from distillery.runs.optimise import CanvasStep
from distillery.toybox import COLOURS, SCENES, THINGS, Factors, draw, held_out
from reference import pds, sds

SEED = 11
MODULES: dict[str, LatentMethod] = {"sds": sds, "pds": pds, "dds": pds}
WORDS = {"thing": THINGS, "colour": COLOURS, "scene": SCENES}
KINDS = (("colour",), ("thing",), ("scene",), ("colour", "thing"), ("colour",), ("thing",))
STRENGTHS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
IDENTITIES = (0.05, suits("tiny-sd", "draw")["identity"], 0.5)
FRONTIER_EDITS = 8
METHODS = ("SDEdit, guidance 3", "SDEdit, guidance 5", "PDS", "DDS", "SDS")  # of the figure
LINES_APART = 2.5  # points between lines of the same height
MARGIN = 2  # pixels about a thing that still count to it: its outline is blurred


@dataclass(frozen=True)
class Edit:
    """A drawing and its edit.

    changes: "thing", "colour", "scene", one or several. image (1, 3, H, W); mask (1, 1, H, W).
    """

    changes: tuple[str, ...]
    source: Factors
    target: Factors
    image: Tensor
    mask: Tensor

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(name for name in WORDS if name not in self.changes)


def fresh_edits(count: int, judge: Judge) -> list[Edit]:
    """Edits of drawings that no training saw, whose source the judge reads as it was meant."""
    g = random.Random(SEED)
    edits: list[Edit] = []
    while len(edits) < count:
        changes = KINDS[len(edits) % len(KINDS)]
        source = Factors(*(g.choice(words) for words in WORDS.values()))
        new = {name: g.choice(WORDS[name]) for name in changes}
        target = Factors(**{**vars(source), **new})
        same = any(getattr(source, name) == getattr(target, name) for name in changes)
        drawing = draw(source, seed=g.randrange(10**6, 10**9))
        image = from_pil(Image.fromarray(drawing.image))
        if same or held_out(source) or held_out(target) or judge.factors(image)[0] != source:
            continue
        edits.append(
            Edit(changes, source, target, image, torch.from_numpy(drawing.mask)[None, None])
        )
    return edits


@dataclass(frozen=True)
class Outcome:
    """Shares of edits in which all edited factors are right, and all others kept; mean change.

    Changes are mean absolute differences of pixels in [-1, 1], outside the source thing's mask
    where the scene stays, and inside it where only the scene changes.
    """

    edited: float
    kept: float
    outside: float
    inside: float

    def __str__(self) -> str:
        return (
            f"edited {self.edited:4.0%}  kept {self.kept:4.0%}  "
            f"change outside the thing {self.outside:.3f}  inside {self.inside:.3f}"
        )


def outcome(images: Tensor, before: Tensor, edits: Sequence[Edit], judge: Judge) -> Outcome:
    """Judge pictures (B, 3, H, W), the edits of `before`."""
    images, before = images.clamp(-1, 1), before.clamp(-1, 1)
    edited, kept = [], []
    for edit, seen in zip(edits, judge.factors(images), strict=True):
        right = {name: getattr(seen, name) == getattr(edit.target, name) for name in WORDS}
        edited.append(all(right[name] for name in edit.changes))
        kept.append(all(right[name] for name in edit.kept))
    thing = F.max_pool2d(torch.cat([edit.mask for edit in edits]), 2 * MARGIN + 1, 1, MARGIN)
    scene = torch.tensor(["scene" in edit.changes for edit in edits])
    return Outcome(
        edited=sum(edited) / len(edits),
        kept=sum(kept) / len(edits),
        outside=float(outside_mask(images, before, thing)[~scene].mean()),
        inside=float(inside_mask(images, before, thing)[scene].mean()),
    )


def steps(prior: Prior, method: str, edits: Sequence[Edit], **choices: Any) -> Iterator[CanvasStep]:
    """Distil all edits on one canvas."""
    settings = Settings("edits", loss_type=method, seed=SEED, **choices)
    x0, _ = _before(prior, edits)
    run = from_source(
        prior,
        MODULES[method],
        Source(x0, prior.embed([str(edit.source) for edit in edits])),
        [str(edit.target) for edit in edits],
        settings,
        generator=torch.Generator(prior.device).manual_seed(settings.seed),
    )
    return run.steps()


Point = tuple[str, str, Outcome]  # a method, its knob, and what came of it


def with_sdedit(prior: Prior, edits: Sequence[Edit], judge: Judge) -> Iterator[Point]:
    """SDEdit at every strength, for two guidance scales."""
    x0, before = _before(prior, edits)
    for scale in (3.0, 5.0):
        for strength in STRENGTHS:
            latents = sdedit(
                prior,
                x0,
                [str(edit.target) for edit in edits],
                strength=strength,
                guidance_scale=scale,
                generator=torch.Generator(prior.device).manual_seed(SEED),
            )
            came = outcome(prior.decode(latents), before, edits, judge)
            yield f"SDEdit, guidance {scale:g}", f"strength {strength:g}", came


def with_pds(
    prior: Prior, edits: Sequence[Edit], judge: Judge, identities: Sequence[float]
) -> Iterator[Point]:
    """PDS with weaker and stronger pulls towards the source."""
    _, before = _before(prior, edits)
    for identity in identities:
        *_, last = steps(prior, "pds", edits, identity=identity)
        images = prior.decode(last.canvas.render())
        yield "PDS", f"identity {identity:g}", outcome(images, before, edits, judge)


def with_steps(prior: Prior, edits: Sequence[Edit], judge: Judge, method: str) -> Iterator[Point]:
    """DDS or SDS, which have no other knob, at five moments of their run."""
    _, before = _before(prior, edits)
    for step in steps(prior, method, edits):
        if (step.index + 1) % (step.total // 5) == 0:
            images = prior.decode(step.canvas.render())
            came = outcome(images, before, edits, judge)
            yield method.upper(), f"step {step.index + 1}", came


def _before(prior: Prior, edits: Sequence[Edit]) -> tuple[Tensor, Tensor]:
    """The sources' latents, and their pictures as the VAE gives them back."""
    with torch.no_grad():
        x0 = prior.encode(torch.cat([edit.image for edit in edits]))
    return x0, prior.decode(x0)


def least_change(sdedits: Sequence[Outcome], edited: float) -> float:
    """The smallest change outside the thing among SDEdits that are right as often as `edited`."""
    return min((o.outside for o in sdedits if o.edited >= edited), default=float("nan"))


def draw_frontier(found: Sequence[Point], path: Path) -> None:
    """Write the figure: how often an edit is right, over how much else it changes.

    Most methods reach every edit in the end; their lines stand one below the other there.
    """
    from matplotlib.figure import Figure
    from matplotlib.transforms import offset_copy

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    for number, (method, marker) in enumerate(zip(METHODS, "os^vD", strict=True)):
        line = sorted((o.outside, o.edited) for name, _, o in found if name == method)
        apart = offset_copy(axes.transData, figure, y=-LINES_APART * number, units="points")
        axes.plot(
            *zip(*line, strict=True), marker=marker, markersize=5, label=method, transform=apart
        )
    axes.set(
        xlabel="change outside the edited thing (mean |difference|, of 2)",
        ylabel="edits in which all edited facts are right",
        xlim=(0, 1.05 * max(o.outside for _, _, o in found)),
        ylim=(0, 1.05),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    atomic_write(path, buffer.getvalue())


def shown(points: Iterator[Point]) -> list[Point]:
    """Print a line for each point as it comes."""
    found = []
    for method, knob, came in points:
        print(f"{method:<19} {knob:<14} {came}", flush=True)
        found.append((method, knob, came))
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edits", description=__doc__)
    parser.add_argument("--count", type=int, default=48, help="edits (default: 48)")
    parser.add_argument("--frontier", type=Path, help="draw only the figure, into this file")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line, print a line for each knob, and draw the frontier."""
    options = parser().parse_args()
    prior, judge = load_prior("tiny-sd"), Judge.load()
    if options.frontier is not None:
        edits = fresh_edits(FRONTIER_EDITS, judge)
        found = shown(with_sdedit(prior, edits, judge))
        found += shown(with_pds(prior, edits, judge, IDENTITIES))
        for method in ("dds", "sds"):
            found += shown(with_steps(prior, edits, judge, method))
        draw_frontier(found, options.frontier)
        if options.record:
            _record("edits_frontier", _of_points(found), FRONTIER_EDITS)
        return
    edits = fresh_edits(options.count, judge)
    ((_, _, ours),) = shown(with_pds(prior, edits, judge, [suits("tiny-sd", "draw")["identity"]]))
    theirs = [came for _, _, came in shown(with_sdedit(prior, edits, judge))]
    ratio = ours.outside / least_change(theirs, ours.edited)
    print(f"PDS changes {ratio:.2f} of what the best SDEdit changes that edits as often")
    if options.record:
        figures = {
            "pds_edited": share(ours.edited, len(edits)),
            "pds_kept": share(ours.kept, len(edits)),
            "pds_change": Kept(ours.outside),
            "change_over_sdedit": Kept(ratio),
        }
        _record("edits", figures, len(edits))


def _of_points(found: Sequence[Point]) -> dict[str, Kept]:
    """How often each point of the figure edits, and what it changes besides."""
    figures = {}
    for method, knob, came in found:
        name = f"{method} {knob}".lower().replace(",", "").replace(" ", "_").replace(".", "_")
        figures[f"{name}_edited"] = share(came.edited, FRONTIER_EDITS)
        figures[f"{name}_change"] = Kept(came.outside)
    return figures


def _record(name: str, figures: dict[str, Kept], count: int) -> None:
    record(
        name,
        figures,
        n=count,
        of="edits",
        seeds=[SEED],
        spread="standard error of a share",
        models=("tiny-sd", "judge"),
    )


if __name__ == "__main__":
    main()
