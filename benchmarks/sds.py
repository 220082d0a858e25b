"""An SDS step against one bare UNet forward of the same batch: time, and peak memory.

Both run in turn in one process, so that whatever else the machine does slows both. Peak memory is
read in a process of its own for each, as the system keeps only one maximum.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.priors import Bench, load
from distillery.canvas import LatentCanvas
from distillery.distill import Settings, distill
from distillery.presets import pick_device
from reference import sds

REPEATS = {"tiny-sd": 60, "sd15": 4, "sdxl": 3}


def forward(bench: Bench) -> Callable[[], object]:
    """One call of the network on the batch of two that guidance needs, and nothing else."""
    prior = bench.prior
    xt = torch.randn(1, prior.latent_channels, *bench.latent_size, device=prior.device)
    t = torch.tensor([500], device=prior.device)
    return lambda: prior.predict_noise(xt, t, bench.uncond, bench.text)


def steps(bench: Bench, count: int) -> Iterator[object]:
    """The course's own loop with the reference SDS."""
    prior = bench.prior
    generator = torch.Generator(prior.device).manual_seed(0)
    settings = Settings(prompt="a benchmark", model="tiny-sd", steps=count)
    canvas = LatentCanvas(1, prior.latent_channels, *bench.latent_size, generator=generator)

    def loss_fn(x0: torch.Tensor, index: int) -> torch.Tensor:
        return sds.loss(
            prior,
            x0,
            text=bench.text,
            uncond=bench.uncond,
            step=index,
            settings=settings,
            generator=generator,
        )

    return distill(canvas, loss_fn, prior=prior, settings=settings, generator=generator)


def measure_time(name: str) -> None:
    """Print milliseconds of both and the ratio of their medians."""
    bench, repeats = load(name, pick_device()), REPEATS[name]
    call, stream = forward(bench), steps(bench, repeats + 1)
    clock(call)
    clock(lambda: next(stream))
    pairs = [(clock(call), clock(lambda: next(stream))) for _ in range(repeats)]
    bare, step = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    size = "×".join(map(str, bench.latent_size))
    print(
        f"{name:<8} latents {size:<8} UNet forward {bare:9.1f} ms   SDS step {step:9.1f} ms   "
        f"ratio {step / bare:.3f}",
        flush=True,
    )


def clock(call: Callable[[], object]) -> float:
    """Seconds one call takes, the device's work included."""
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure_memory(name: str) -> None:
    """Print the peak memory of both and its ratio, each in a fresh process."""
    peaks = []
    for what in ("forward", "step"):
        command = [sys.executable, "-m", "benchmarks.sds", name, what]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True).stdout))
    bare, step = peaks
    print(
        f"{name:<8} peak memory      UNet forward {bare:9.1f} MB   SDS step {step:9.1f} MB   "
        f"ratio {step / bare:.3f}",
        flush=True,
    )


def print_peak(name: str, what: str) -> None:
    """Run one of the two twice and print the peak memory of this process or its GPU, in MB."""
    bench = load(name, pick_device())
    stream = steps(bench, 2)
    call = forward(bench) if what == "forward" else lambda: next(stream)
    call()
    call()
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else 1024
    print(peak / 1e6)


if __name__ == "__main__":
    print_peak(*sys.argv[1:])
