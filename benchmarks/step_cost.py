"""A method's step against the bare network calls that it cannot do without: time, and peak memory.

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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.priors import Bench, load
from distillery.methods.settings import Settings
from distillery.methods.source_image import Source
from distillery.models.load import pick_device
from distillery.models.lora import LoraDenoiser
from distillery.runs.canvas import LatentCanvas
from distillery.runs.companion import lora_optimiser
from distillery.runs.optimise import Companion, Step, distill
from reference import pds, sds, vsd

REPEATS = {"tiny-sd": 60, "sd15": 4, "sdxl": 3}
Call = Callable[[], object]
Pair = tuple[Call, Iterator[Step]]  # the bare calls, and the steps of the course's own loop


def sds_pair(bench: Bench, count: int) -> Pair:
    """One forward of a batch of 2."""
    xt, t = _question(bench)
    return (
        lambda: bench.prior.predict_noise(xt, t, bench.uncond, bench.text),
        _stream("sds", sds.loss, bench, count),
    )


def pds_pair(bench: Bench, count: int) -> Pair:
    """One forward of a batch of 4."""
    xt, t = _question(bench)
    conditions = [bench.uncond, bench.uncond, bench.text, bench.text]
    source = Source(torch.randn_like(xt), bench.uncond)
    return (
        lambda: bench.prior.predict_noise(xt, t, *conditions),
        _stream("pds", pds.loss, bench, count, source=source),
    )


def vsd_pair(bench: Bench, count: int, particles: int = 1) -> Pair:
    """A forward of a batch of 3, and a forward and backward of the LoRA, for each particle."""
    bench, lora, stream = _vsd(bench, count, particles)
    xt, t = _question(bench)

    def bare() -> None:
        bench.prior.predict_noise(xt, t, bench.uncond, bench.text, bench.text)
        _learn(lora, xt, t, bench)

    return bare, stream


def vsd_own_calls_pair(bench: Bench, count: int) -> Pair:
    """The calls that VSD makes: the LoRA is asked alone, because the prior's own is without it."""
    bench, lora, stream = _vsd(bench, count, 1)
    xt, t = _question(bench)

    def bare() -> None:
        bench.prior.predict_noise(xt, t, bench.uncond, bench.text)
        lora.predict_noise(xt, t, bench.text)
        _learn(lora, xt, t, bench)

    return bare, stream


def _vsd(bench: Bench, count: int, particles: int) -> tuple[Bench, LoraDenoiser, Iterator[Step]]:
    text, uncond = bench.text.repeat(particles), bench.uncond.repeat(particles)
    bench = replace(bench, text=text, uncond=uncond)
    generator = torch.Generator(bench.prior.device).manual_seed(0)
    lora = LoraDenoiser(bench.prior, rank=4, generator=generator)
    companion = Companion(
        lora,
        lora_optimiser(lora, 1e-4),
        lambda x0, index: vsd.loss_of_lora(lora, x0, text=bench.text, generator=generator),
        vsd.alternating_step,
    )
    return bench, lora, _stream("vsd", vsd.loss, bench, count, companion=companion, lora=lora)


def _learn(lora: LoraDenoiser, xt: Tensor, t: Tensor, bench: Bench) -> None:
    lora.zero_grad()
    lora.predict(xt, t, bench.text).square().mean().backward()


PAIRS: dict[str, Callable[[Bench, int], Pair]] = {
    "sds": sds_pair,
    "pds": pds_pair,
    "vsd": vsd_pair,
    "vsd-of-4": partial(vsd_pair, particles=4),
    "vsd-own-calls": vsd_own_calls_pair,
}


def _question(bench: Bench) -> tuple[Tensor, Tensor]:
    prior, batch = bench.prior, len(bench.text)
    xt = torch.randn(batch, prior.latent_channels, *bench.latent_size, device=prior.device)
    return xt, torch.full((batch,), 500, device=prior.device)


def _stream(
    method: str,
    loss: Callable[..., Tensor],
    bench: Bench,
    count: int,
    *,
    companion: Companion | None = None,
    **given: Any,
) -> Iterator[Step]:
    prior = bench.prior
    generator = torch.Generator(prior.device).manual_seed(0)
    settings = Settings("a benchmark", model="tiny-sd", loss_type=method, steps=count)
    shape = (len(bench.text), prior.latent_channels, *bench.latent_size)
    canvas = LatentCanvas(*shape, generator=generator)

    def loss_fn(x0: Tensor, index: int) -> Tensor:
        return loss(
            prior,
            x0,
            text=bench.text,
            uncond=bench.uncond,
            step=index,
            settings=settings,
            generator=generator,
            **given,
        )

    return distill(
        canvas,
        loss_fn,
        prior=prior,
        settings=settings,
        generator=generator,
        companion=companion,
    )


def measure_time(method: str, model: str) -> float:
    """Print milliseconds of both, and print and return the ratio of their medians."""
    repeats = REPEATS[model]
    call, stream = PAIRS[method](load(model, pick_device()), repeats + 1)
    clock(call)
    clock(lambda: next(stream))
    pairs = [(clock(call), clock(lambda: next(stream))) for _ in range(repeats)]
    bare, step = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"{model:<8} {method:<8}  time        bare {bare:9.1f} ms   step {step:9.1f} ms   "
        f"ratio {step / bare:.3f}",
        flush=True,
    )
    return step / bare


def clock(call: Call) -> float:
    """Seconds one call takes, the device's work included."""
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure_memory(method: str, model: str) -> float:
    """Print the peak memory of both, each in a fresh process, and print and return the ratio."""
    peaks = []
    for what in ("bare", "step"):
        command = [sys.executable, "-m", "benchmarks.step_cost", method, model, what]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True).stdout))
    bare, step = peaks
    print(
        f"{model:<8} {method:<8}  peak memory bare {bare:9.1f} MB   step {step:9.1f} MB   "
        f"ratio {step / bare:.3f}",
        flush=True,
    )
    return step / bare


def print_peak(method: str, model: str, what: str) -> None:
    """Run one of the two twice and print the peak memory of this process or its GPU, in MB."""
    bare, stream = PAIRS[method](load(model, pick_device()), 2)
    call = bare if what == "bare" else lambda: next(stream)
    call()
    call()
    print(peak_memory() / 1e6)


def peak_memory() -> float:
    """The most bytes that this process, or its GPU, has held at once."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would tell the parent's peak: Linux hands it on to what a process starts.
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return 1024 * float(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print_peak(*sys.argv[1:])
