"""Everything that waits for a GPU, in one command of under ten minutes: `python -m benchmarks.gpu`.

The real architectures with random weights, as none can be fetched where this was written: what half
precision costs, a step of pixel art through SDXL and two ControlNets, its memory, what
`torch.compile` brings, and whether the embedded model draws on the GPU what it draws on the CPU.
Each line says what was measured and what was wanted. On a CPU the same code runs on narrower
networks; what only a GPU can show is then said to be not seen. The exit status is 1 where a figure
is not as wanted.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.utils import logging
from torch import Tensor

from benchmarks import pixelstep
from benchmarks.priors import SD15, SDXL, random_weights
from benchmarks.step_cost import clock, peak_memory
from distillery.models.load import load_prior, pick_device
from distillery.pixelart.settings import MEMORY

SECONDS = 540  # what is not begun by then is not seen
REPEATS = 5
HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
LIMITS = (12, 16)  # GB of `--memory` that are for SDXL itself with TAESDXL, as the networks here
PROMPT = "a red boat on a frozen river"


@dataclass(frozen=True)
class Line:
    """A figure, None if it could not be seen, and the bounds that are wanted of it, if any."""

    what: str
    figure: float | None
    unit: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def as_wanted(self) -> bool:
        if self.figure is None:
            return True
        return (self.least is None or self.figure >= self.least) and (
            self.most is None or self.figure <= self.most
        )

    def __str__(self) -> str:
        if self.figure is None:
            return f"{self.what:<64} not seen"
        bounds = {"at least": self.least, "at most": self.most}
        wanted = " and ".join(f"{word} {its:g}" for word, its in bounds.items() if its is not None)
        verdict = f"wanted {wanted}: {'yes' if self.as_wanted else 'NO'}" if wanted else ""
        return f"{self.what:<64} {self.figure:8.3g} {self.unit:<5} {verdict}".rstrip()


def real_networks(device: torch.device) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and configurations of the UNets; on a CPU the widest layers are a quarter as wide."""
    narrow = device.type != "cuda"
    sd15 = {**SD15, "block_out_channels": (96, 160, 320, 320)} if narrow else SD15
    yield "SD 1.5", sd15
    yield "SDXL", pixelstep.narrow(SDXL) if narrow else SDXL


def question(config: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
    """What a UNet is asked, for two latents; on a CPU of a quarter of the side."""
    side = config["sample_size"] // (1 if device.type == "cuda" else 4)
    g = torch.Generator().manual_seed(0)
    asked = {
        "sample": torch.randn(2, 4, side, side, generator=g),
        "encoder_hidden_states": torch.randn(2, 77, config["cross_attention_dim"], generator=g),
        "text_embeds": torch.randn(2, 1280, generator=g),
        "time_ids": torch.tensor([[8.0 * side, 8.0 * side, 0, 0, 8.0 * side, 8.0 * side]] * 2),
    }
    return {name: its.to(device) for name, its in asked.items()}


@torch.no_grad()
def answer(unet: Any, asked: dict[str, Tensor]) -> Tensor:
    """Its eps (2, 4, h, w), float32."""
    told = {name: its.to(unet.dtype) for name, its in asked.items()}
    added = {name: told.pop(name) for name in ("text_embeds", "time_ids")}
    t = torch.tensor([300, 700], device=told["sample"].device)
    return unet(timestep=t, added_cond_kwargs=added, **told).sample.float()


def precision(device: torch.device) -> Iterator[Line]:
    """How far eps in half precision is from that in float32, as a share of its norm."""
    for name, config in real_networks(device):
        full = random_weights("unet", config, device, torch.float32)
        asked = question(config, device)
        exact = answer(full, asked)
        for half, dtype in HALVES.items():
            unet = random_weights("unet", config, device, dtype)
            unet.load_state_dict(full.state_dict())
            error = float((answer(unet, asked) - exact).norm() / exact.norm())
            yield Line(f"{name}: error of eps in {half}", 100 * error, "%", most=3.0)


def compilation(device: torch.device) -> Iterator[Line]:
    """Time of a call by itself over that of the compiled network, in half precision."""
    compilable = device.type == "cuda" or shutil.which("c++") is not None
    for name, config in real_networks(device):
        what = f"{name}: plain over compiled, time of a call in bfloat16"
        if not compilable:
            yield Line(what, None)
            continue
        unet = random_weights("unet", config, device)
        asked = question(config, device)
        plain = median_seconds(lambda: answer(unet, asked))  # noqa: B023  called at once
        began = time.perf_counter()
        unet.compile()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's, of diffusers' code
            answer(unet, asked)
        yield Line(f"{name}: compiling it", time.perf_counter() - began, "s")
        compiled = median_seconds(lambda: answer(unet, asked))  # noqa: B023  called at once
        yield Line(what, plain / compiled, "x")


def median_seconds(call: Callable[[], object]) -> float:
    """Of five calls after two others."""
    clock(call)
    clock(call)
    return statistics.median(clock(call) for _ in range(REPEATS))


def pixel_art(device: torch.device) -> Iterator[Line]:
    """A step as SD-πXL published it against ours, and what `--memory` promises."""
    cuda = device.type == "cuda"
    faster, share = pixelstep.measured(device)
    size = "" if cuda else ", a quarter of the width"
    yield Line(
        f"SDXL, two ControlNets{size}: published over our time",
        faster,
        "x",
        least=3.0 if cuda else None,
    )
    yield Line("the same: our memory over the published", share, "x", most=1.0)
    for limit in LIMITS:
        what = f"SDXL: peak memory of a step of `--memory {limit}`"
        command = [sys.executable, "-m", "benchmarks.gpu", "--peak", str(limit)]
        if not cuda:
            yield Line(what, None)
            continue
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        yield Line(what, float(told), "GB", most=float(limit))


def print_peak(limit: int) -> None:
    """Take two steps as `--memory` leaves them and print this GPU's peak memory in GB."""
    given_up = MEMORY[limit]
    side = given_up.get("side", 1024)
    kinds = [kind for kind in pixelstep.KINDS if given_up.get(kind) != 0]
    step = pixelstep.our_step(pixelstep.Bench(pick_device(), torch.float16, side=side, kinds=kinds))
    step()
    step()
    print(peak_memory() / 1e9)


def same_picture(device: torch.device) -> Iterator[Line]:
    """How far apart the pictures are that the embedded model draws here and on the CPU."""
    what = "tiny-sd: largest difference of a picture from the CPU's, of 255 levels"
    if device.type != "cuda":
        yield Line(what, None)
        return
    pictures = [drawn(torch.device("cpu")), drawn(device)]
    difference = (pictures[0] - pictures[1]).abs().max()
    yield Line(what, float(difference) * 255 / 2, "", most=8.0)


@torch.no_grad()
def drawn(device: torch.device) -> Tensor:
    """A picture of 20 steps of DDIM from noise that is made on the CPU."""
    from distillery.methods import ddim

    prior = load_prior("tiny-sd", device=device, dtype="float32")
    noise = torch.randn(
        1, prior.latent_channels, *prior.latent_size, generator=torch.Generator().manual_seed(7)
    )
    *_, last = ddim.sample(
        prior,
        noise.to(device),
        text=prior.embed([PROMPT]),
        uncond=prior.embed([""]),
        guidance_scale=5.0,
        timesteps=prior.timesteps(20),
    )
    return prior.decode(last.xt).clamp(-1, 1).cpu()


SECTIONS = (same_picture, precision, pixel_art, compilation)


def main() -> int:
    """Measure and print everything; returns the exit status."""
    device, began, lines = pick_device(), time.monotonic(), list[Line]()
    logging.set_verbosity_error()  # it warns of every cast; of random weights nothing is lost
    name = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU"
    print(f"torch {torch.__version__}, {device} ({name})", flush=True)
    for section in SECTIONS:
        if time.monotonic() - began > SECONDS:
            print(f"{section.__name__.replace('_', ' '):<64} not seen, time is up", flush=True)
            continue
        for line in section(device):
            lines.append(line)
            print(line, flush=True)
    unseen = sum(line.figure is None for line in lines)
    bad = sum(not line.as_wanted for line in lines)
    print(f"{len(lines) - unseen} seen, {unseen} not, {bad} not as wanted")
    return int(bad > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(int(sys.argv[2]))
    else:
        sys.exit(main())
