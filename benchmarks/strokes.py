"""Pictures from stroke paintings: `python -m benchmarks.strokes`.

Prints how faithful and how real the pictures of every method are (see `strokes_frontier`), by how
much the best of ours is better than SDEdit, what a picture costs, and how often words stay in their
regions (see `strokes_regions`). --figure draws the frontier, --points keeps its numbers; with
--points of an earlier run and --redraw only the figure is drawn, again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import strokes_regions
from benchmarks.strokes_frontier import (
    GUIDANCE,
    ROWS,
    SEED,
    STEPS,
    WIDTH,
    Bench,
    Row,
    draw_frontier,
    draw_sheet,
    gains,
    loaded,
    points,
    ratio_at,
    saved,
    scene_of,
)
from distillery.core.measured import Figure, add_record_option, record
from distillery.methods.gradop import loss_on
from distillery.methods.stroke_methods import Knobs
from distillery.metrics.judge import Judge
from distillery.models.load import load_prior
from distillery.models.prior import guided_noise
from reference import strokes

COUNT, SEEDS = 64, 3
AT_MSE = 0.095  # at which the frontiers are compared in the record
TIMED = 4  # pictures at once, for the costs
DEFAULT = Knobs(0.8)  # of GradOP+, as published
COSTS: tuple[Row, ...] = (
    ("sdedit", "linear", Knobs(0.7)),
    ("low-frequencies", "linear", Knobs(0.95, 0.7)),
    ("gradop+", "linear", DEFAULT),
    ("gradop+", "decoder", DEFAULT),
    ("gradop+x0", "linear", DEFAULT),
    ("gradop+x0", "decoder", DEFAULT),
)
SHEET: tuple[Row, ...] = (
    ("sdedit", "linear", Knobs(0.75)),
    ("sdedit-stochastic", "linear", Knobs(0.6, 0.5)),
    ("low-frequencies", "linear", Knobs(0.95, 0.7)),
    ("gradop+", "decoder", DEFAULT),
    ("gradop+x0", "decoder", DEFAULT),
)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of a piece of work, the better of two."""
    found = []
    for _ in range(2):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def costs(bench: Bench) -> Iterator[str]:
    """What a picture costs in the course's own precision, float32."""
    prior, scene = bench.prior, bench.scene
    bench.predict = guided_noise(
        prior,
        text=prior.embed([str(one) for one in scene.factors]),
        uncond=prior.embed([""] * TIMED),
        guidance_scale=GUIDANCE,
    )
    xt, t = bench.noise(1)(-1), bench.timesteps[:1].expand(TIMED)
    call = seconds(lambda: bench.predict(xt, t))
    decode = seconds(lambda: prior.decode(xt))
    drawn = {row[:2]: seconds(partial(bench.pictures, row, 1)) for row in COSTS}
    for (name, guide), its in drawn.items():
        yield f"{name:<19} {guide:<8} {its / TIMED:.2f} s of CPU a picture"
    passes = DEFAULT.num_iterative_steps * DEFAULT.grad_steps_per_iter
    for guide, decode_one in bench.decoders.items():
        loss_of = loss_on(
            strokes,
            scene.painting,
            decode=decode_one,
            paint=partial(strokes.paint, width=WIDTH),
        )
        there = passes * seconds(partial(one_pass, loss_of, xt))
        ratio = drawn["gradop+", guide] / (STEPS * call + there + decode)
        yield f"gradop+, {guide}: {ratio:.2f} of {STEPS} network calls and {passes} passes there"


def one_pass(loss_of: Callable[[Tensor], Tensor], latents: Tensor) -> None:
    """Forth and back through the guide, once."""
    latents = latents.clone().requires_grad_()
    torch.autograd.grad(loss_of(latents).sum(), latents)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strokes", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="paintings (default: 64)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of noise (default: 3)")
    parser.add_argument("--points", type=Path, help="a JSON file for the numbers of the frontier")
    parser.add_argument("--figure", type=Path, help="a PNG file for the frontier")
    parser.add_argument("--sheet", type=Path, help="a PNG file for pictures of some methods")
    parser.add_argument("--redraw", action="store_true", help="only draw the figure of --points")
    parser.add_argument("--no-regions", action="store_true", help="leave the regions out")
    add_record_option(parser)
    return parser


def main() -> None:
    """Parse the command line and print all."""
    options = parser().parse_args()
    if options.redraw:
        found = loaded(options.points)
        draw_frontier(found, options.figure)
        print("\n".join([*map(str, found), *gains(found)]))
        return
    prior, judge = load_prior("tiny-sd", device="cpu"), Judge.load()
    print("\n".join(costs(Bench(prior, judge, scene_of(prior, TIMED)))), flush=True)
    bench, found = Bench(prior, judge, scene_of(prior, options.count)), []
    for point in points(bench, options.seeds, ROWS):
        print(point, flush=True)
        found.append(point)
        if options.points:
            saved(found, options.points)
    print("\n".join(gains(found)), flush=True)
    if options.figure:
        draw_frontier(found, options.figure)
    if options.sheet:
        draw_sheet(bench, SHEET, options.sheet)
    if options.record:
        record(
            "strokes",
            {"pfd_over_sdedit": Figure(ratio_at(AT_MSE, found))},
            n=options.count * options.seeds,
            of=f"pictures, {options.seeds} of each painting",
            seeds=[SEED],
            models=("tiny-sd", "judge"),
        )
    if not options.no_regions:
        strokes_regions.report()


if __name__ == "__main__":
    main()
