"""Pictures of any size: `python -m benchmarks.elastic`.

Prints for each size and method how often there is one right thing and how often the thing comes
twice, how sharp pictures are, and what one costs; and how much seams show. The counter finds the
things and the judge names them (see `distillery.metrics.contents`). Drawings of the toybox through
the model's autoencoder stand beside the pictures: they are what a perfect model would draw. The
network runs in bfloat16, in about 0.6 of the time that float32 takes.

Sharpness is the mean absolute Laplacian of the luminance, over that of direct sampling. Direct
pictures show several things, so they have more edges than a right picture; that of the drawings is
what to compare with. The 99th percentile ("edges") says how hard the hardest edges are; it depends
less on how many there are. Prompts and seeds were not used to choose any setting. The numbers are
kept in a JSON file after every row, so that a run can be stopped.

`--model tiny-sdxl` draws everything twice as large, which is twice as large as it was trained for,
too. The counter and the judge see those pictures at half their size.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from distillery.core.files import REPOSITORY, atomic_write
from distillery.core.images import to_png_bytes
from distillery.methods.any_size import ElasticFunctions, Wanted
from distillery.methods.elastic import ElasticKnobs
from distillery.methods.elastic_methods import Knobs, Task, begin
from distillery.methods.guided_ddim import steered
from distillery.methods.network_samples import network_samples
from distillery.metrics.contents import named
from distillery.metrics.counter import Counter
from distillery.metrics.judge import Judge
from distillery.models.load import load_lora, load_prior
from distillery.models.prior import Prior
from distillery.toybox import Factors, all_factors, draw, held_out
from reference import elastic as functions
from training.data import to_images

SEED = 61
STEPS, GUIDANCE = 20, 5.0
AT_ONCE = 6  # pictures
CPU = torch.device("cpu")
SIZES = {"1:2": (64, 128), "2:1": (128, 64), "2x": (128, 128), "3x": (192, 192)}
ADAPTER = REPOSITORY / "data" / "models" / "tiny-sd-any-size"
LUMINANCE = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
LAPLACIAN = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
KNOBS = Knobs()
# The command's for the embedded models.
LATER = ElasticKnobs(rrg_weight=0, own_details=True, strength=0.5, patch_size=12)
FIXED = ElasticKnobs(moving_windows=False)  # so that seams would lie where they can be found


@dataclass(frozen=True)
class Way:
    """A way to draw.

    name:     in the table.
    method:   one of `METHODS`.
    knobs:    of it.
    adapted:  the large picture or its windows are asked with the adapter, small pictures without.
    """

    name: str
    method: str
    knobs: Knobs = KNOBS
    adapted: bool = False


WAYS = (
    Way("direct", "direct"),
    Way("multidiffusion", "multidiffusion"),
    Way("upscale 0.3", "upscale", Knobs(0.3)),
    Way("upscale 0.4", "upscale", Knobs(0.4)),
    Way("upscale 0.5", "upscale", Knobs(0.5)),
    Way("upscale 0.5, adapted", "upscale", Knobs(0.5), adapted=True),
    Way("upsample-guidance 0.5", "upsample-guidance", Knobs(0.5)),
    Way("upsample-guidance 0.5, adapted", "upsample-guidance", Knobs(0.5), adapted=True),
    Way("elastic from noise", "elastic"),
    Way("elastic 0.5", "elastic", Knobs(elastic=LATER)),
    Way("elastic 0.5, adapted", "elastic", Knobs(elastic=LATER), adapted=True),
)


@dataclass(frozen=True)
class Row:
    """What came of a way to draw at a size: shares over all pictures, and what one costs."""

    size: str
    name: str
    count: int
    one_right: float
    one_of_the_kind: float
    twice: float
    one_thing: float
    scene: float
    laplacian: float
    hardest: float
    samples: float
    seconds: float

    def line(self, direct: Row) -> str:
        """A line of the table, with the sharpness over that of direct sampling."""
        return (
            f"{self.size:<4} {self.name:<30} {self.one_right:4.0%} {self.one_of_the_kind:4.0%} "
            f"{self.twice:4.0%} {self.one_thing:4.0%} {self.scene:4.0%}  "
            f"{self.laplacian / direct.laplacian:5.2f} {self.hardest / direct.hardest:5.2f}  "
            f"{self.samples:5.0f}  {self.seconds:5.2f} s"
        )


HEAD = (
    "size way                            one kind twice things scene sharp edges samples  "
    "CPU a picture"
)


class InBfloat16:
    """A prior whose network runs in bfloat16, which moves eps by less than half a percent."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)

    def predict_noise(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        """As the prior's own."""
        with torch.autocast("cpu", torch.bfloat16):
            return tuple(eps.float() for eps in self._prior.predict_noise(*args, **kwargs))


class Bench:
    """The models, and what they are asked to draw."""

    def __init__(self, count: int, seeds: int, model: str = "tiny-sd") -> None:
        self.prior: Prior = InBfloat16(load_prior(model, device="cpu"))
        self.adapted = adapted() if model == "tiny-sd" else None
        self.scale = self.prior.image_size[0] // SIZES["1:2"][0]
        self.counter, self.judge = Counter.load(), Judge.load()
        pool = [factors for factors in all_factors() if not held_out(factors)]
        chosen = random.Random(SEED).sample(pool, count)
        self.asked = [(factors, SEED * 10_000 + k) for k, factors in enumerate(chosen * seeds)]

    def can(self, way: Way) -> bool:
        """Whether the model has what the way needs."""
        return self.adapted is not None or not way.adapted

    def drawn(self, way: Way, size: tuple[int, int]) -> Iterator[Tensor]:
        """Pictures (B, 3, H, W) of all that is asked, a few at a time."""
        for some in in_parts(self.asked):
            yield self.pictures(way, size, some)

    def pictures(
        self,
        way: Way,
        size: tuple[int, int],
        asked: Sequence[tuple[Factors, int]],
        its_functions: ElasticFunctions = functions,
    ) -> Tensor:
        """Pictures (B, 3, H, W) of size (H, W) in pixels."""
        prior = self.prior
        wanted = Wanted(
            prior.latent_size_of(size),
            prior.embed([str(factors) for factors, _ in asked]),
            prior.embed([""] * len(asked)),
            GUIDANCE,
        )
        local = self.adapted if way.adapted and self.adapted is not None else prior
        timesteps, seeds = prior.timesteps(STEPS), tuple(seed for _, seed in asked)
        task = Task(prior, local, its_functions, wanted, way.knobs, timesteps, seeds)
        begun = begin(way.method, task)
        *_, last = steered(
            begun.predict,
            begun.xt,
            timesteps=timesteps,
            alphas_cumprod=prior.alphas_cumprod,
            start=begun.start,
            change=begun.change,
        )
        return prior.decode(last.xt).clamp(-1, 1)

    def drawings(self, size: tuple[int, int]) -> Iterator[Tensor]:
        """Drawings of all that is asked, through the autoencoder."""
        for some in in_parts(self.asked):
            drawn = [draw(factors, 990_000_000 + seed, size=size) for factors, seed in some]
            images = torch.cat([to_images(one.image[None], CPU) for one in drawn])
            yield self.prior.decode(self.prior.encode(images)).clamp(-1, 1)

    def row(self, label: str, name: str, pictures: Iterator[Tensor], samples: float) -> Row:
        """What the counter and the judge find in pictures, and what they took to draw."""
        began, seconds, seen = time.process_time(), 0.0, []
        laplacian, hardest = [], []
        for images in pictures:
            seconds += time.process_time() - began
            small = interpolate(images, SIZES[label], mode="area")  # that the counter knows
            seen += named(small, counter=self.counter, judge=self.judge)
            laplacian += edges(images).mean(1).tolist()
            hardest += edges(images).quantile(0.99, dim=1).tolist()
            began = time.process_time()
        pairs = [(found, factors) for found, (factors, _) in zip(seen, self.asked, strict=True)]
        return Row(
            label,
            name,
            len(pairs),
            one_right=share(found.one_right(factors) for found, factors in pairs),
            one_of_the_kind=share(found.one_of_the_kind(factors) for found, factors in pairs),
            twice=share(found.twice(factors) for found, factors in pairs),
            one_thing=share(len(found.things) == 1 for found, _ in pairs),
            scene=share(found.scene_right(factors) for found, factors in pairs),
            laplacian=share(laplacian),
            hardest=share(hardest),
            samples=samples,
            seconds=seconds / len(pairs),
        )

    def rows(self, label: str, ways: Sequence[Way]) -> Iterator[Row]:
        """The drawings first, then every way to draw."""
        size = self.size(label)
        yield self.row(label, "drawings", self.drawings(size), 0)
        for way in ways:
            yield self.row(label, way.name, self.drawn(way, size), self.samples(way, size))

    def size(self, label: str) -> tuple[int, int]:
        """Of pictures, (H, W) in pixels: that of the table, larger where the model draws larger."""
        high, wide = SIZES[label]
        return self.scale * high, self.scale * wide

    def samples(self, way: Way, size: tuple[int, int]) -> float:
        """Network samples of one picture."""
        cells = self.prior.latent_size_of(size)
        parts = network_samples(self.prior, way.method, cells, way.knobs, steps=STEPS)
        return sum(parts.values())

    def seams(self, label: str, count: int) -> float:
        """The gradient at the windows' borders, over that with windows shifted by half a window."""
        way = Way("elastic with fixed windows", "elastic", Knobs(elastic=FIXED))
        found = []
        for its_functions in (functions, shifted_by_half()):
            pictures = [
                self.pictures(way, self.size(label), some, its_functions)
                for some in in_parts(self.asked[:count])
            ]
            found.append(at_borders(torch.cat(pictures), min(self.prior.image_size) // 2))
        return found[0] / found[1]


def adapted() -> Prior:
    """The model with the adapter for parts of pictures."""
    prior = load_prior("tiny-sd", device="cpu")
    load_lora(prior, str(ADAPTER))
    return InBfloat16(prior)


def shifted_by_half() -> ElasticFunctions:
    """The functions, with all windows half a window further on."""

    def cover(side: int, window: int, read: int, shift: int) -> Tensor:
        return functions.cover(side, window, read, (shift + window // 2) % window)

    return SimpleNamespace(**{**vars(functions), "cover": cover})


def at_borders(images: Tensor, window: int) -> float:
    """Mean difference of neighbouring pixels across borders every `window` pixels."""
    high, wide = images.shape[-2:]
    down, across = (torch.arange(window, side, window) for side in (high, wide))
    rows = (images[..., down, :] - images[..., down - 1, :]).abs().mean()
    columns = (images[..., across] - images[..., across - 1]).abs().mean()
    return float(rows + columns) / 2


def edges(images: Tensor) -> Tensor:
    """Absolute Laplacian of the luminance of images (B, 3, H, W), (B, pixels)."""
    luminance = (images * LUMINANCE).sum(1, keepdim=True)
    return conv2d(luminance, LAPLACIAN).abs().flatten(1)


def share(found: Iterable[float]) -> float:
    """The mean."""
    numbers = list(found)
    return sum(numbers) / len(numbers)


def in_parts(asked: Sequence[tuple[Factors, int]]) -> Iterator[Sequence[tuple[Factors, int]]]:
    """A few at a time."""
    return (asked[k : k + AT_ONCE] for k in range(0, len(asked), AT_ONCE))


def sheet(bench: Bench, label: str, ways: Sequence[Way]) -> bytes:
    """Pictures of the first prompts, a row for each way, as PNG."""
    rows = [torch.cat(list(next(bench.drawn(way, bench.size(label)))), 2) for way in ways]
    return to_png_bytes(torch.cat(rows, 1)[None])


def main() -> None:
    """Parse the command line and print all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.elastic", description=__doc__)
    parser.add_argument("--model", choices=("tiny-sd", "tiny-sdxl"), default="tiny-sd")
    parser.add_argument("--count", type=int, default=48, help="prompts (default: 48)")
    parser.add_argument("--seeds", type=int, default=1, help="pictures of each (default: 1)")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--ways", nargs="+", default=[way.name for way in WAYS], help="rows")
    parser.add_argument("--seams", type=int, default=12, help="pictures for the seams at 2x")
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    parser.add_argument("--sheets", type=Path, help="a folder for sheets of pictures")
    options = parser.parse_args()
    bench = Bench(options.count, options.seeds, options.model)
    ways = [way for way in WAYS if way.name in options.ways and bench.can(way)]
    found: list[Row] = []
    print(HEAD)
    for label in options.sizes:
        direct: Row | None = None
        for row in bench.rows(label, ways):
            direct = row if row.name == "direct" else direct
            print(row.line(direct or row), flush=True)
            found.append(row)
            if options.json:
                told = json.dumps([asdict(one) for one in found], indent=1)
                atomic_write(options.json, f"{told}\n".encode())
        if options.sheets:
            options.sheets.mkdir(exist_ok=True)
            file = options.sheets / f"{label.replace(':', '_')}.png"
            atomic_write(file, sheet(bench, label, ways))
    if options.seams:
        print(f"seams at 2x: {bench.seams('2x', options.seams):.3f} of those with shifted windows")


if __name__ == "__main__":
    with torch.no_grad():
        main()
