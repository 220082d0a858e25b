"""One step of pixel art at SDXL's size against the same step as the published code does it.

    python -m benchmarks.pixelstep

Random weights in the real architecture: SDXL's UNet, two ControlNets with one transformer layer a
block as the "mid" ones have, TAESD. On CUDA at full width and 1024 pixels; on a CPU at a quarter of
the width and 768 pixels, so that a step takes seconds. Both steps run in turn in one process; peak
memory is read in a process of its own for each.

The published step (facts of SD-πXL's code): float32, three branches of which the third is never
used, the ControlNets on all three, a tiled autoencoder whose weights collect gradients, and control
pictures that PIL warps and uploads again at every step.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionXLPipeline
from PIL import Image
from torch import Tensor

from benchmarks.priors import SDXL, random_weights
from benchmarks.step_cost import Call, clock, peak_memory
from distillery.core.measured import Figure, add_record_option, record
from distillery.models.load import pick_device
from distillery.models.prior import Condition, Control
from distillery.models.stable_diffusion import StableDiffusionXLPrior
from distillery.pixelart.canvas import PaletteCanvas
from distillery.pixelart.settings import PixelSettings
from distillery.runs.optimise import distill
from reference import pixelart

KINDS = ("canny", "depth")
REPEATS = 3
COLOURS, GRID = 8, 64
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


class Bench:
    """The networks of one precision, and what they are asked.

    Args:
        side: of the canvas in pixels, by default 1024 on CUDA and 768 elsewhere.
        kinds: of the ControlNets.
    """

    def __init__(
        self,
        device: torch.device,
        dtype: torch.dtype,
        *,
        side: int | None = None,
        kinds: Sequence[str] = KINDS,
    ) -> None:
        self.device, cuda = device, device.type == "cuda"
        self.side, self.kinds = side or (1024 if cuda else 768), kinds
        config = SDXL if cuda else narrow(SDXL)
        unet = random_weights("unet", config, device, dtype)
        shared = {name: config[name] for name in CONTROLNET_FIELDS}
        pipeline = StableDiffusionXLPipeline(
            vae=AutoencoderTiny().to(device, dtype),
            unet=unet,
            text_encoder=None,
            text_encoder_2=None,
            tokenizer=None,
            tokenizer_2=None,
            scheduler=DDIMScheduler(**SCHEDULE, clip_sample=False),
        )
        self.prior = StableDiffusionXLPrior(pipeline, device=device)
        for kind in kinds:
            net = random_weights(
                "controlnet", {**shared, "transformer_layers_per_block": 1}, device, dtype
            )
            self.prior.controlnets[kind] = net.eval().requires_grad_(False)
        g = torch.Generator().manual_seed(0)
        tokens = torch.randn(3, 77, config["cross_attention_dim"], generator=g)
        pooled = torch.randn(3, 1280, generator=g)
        self.conditions = [
            Condition(tokens[k : k + 1].to(device, dtype), pooled[k : k + 1].to(device, dtype))
            for k in range(3)
        ]
        self.maps = torch.rand(1, 3, self.side, self.side, generator=g)
        self.logits = torch.randn(1, COLOURS, GRID, GRID, generator=g).to(device)
        self.palette = torch.rand(COLOURS, 3, generator=g).to(device)
        self.settings = PixelSettings(
            "a benchmark", model="sdxl", steps=1000, size=(GRID, GRID), side=self.side, warmup=0
        )


CONTROLNET_FIELDS = (
    "down_block_types",
    "block_out_channels",
    "attention_head_dim",
    "cross_attention_dim",
    "use_linear_projection",
    "addition_embed_type",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
)


def narrow(config: dict[str, Any]) -> dict[str, Any]:
    """A quarter of the channels, two heads of the narrowest block."""
    return {**config, "block_out_channels": (96, 160, 320), "attention_head_dim": (2, 5, 5)}


def our_step(bench: Bench) -> Call:
    """The course's own loop, with everything at its default."""
    generator = torch.Generator(bench.device).manual_seed(0)
    canvas = PaletteCanvas(bench.logits, clip_norm=bench.settings.clip_norm)
    maps = bench.maps.to(bench.device)
    controls = [Control(kind, maps, 0.15) for kind in bench.kinds]

    def loss(logits: Tensor, index: int) -> Tensor:
        return pixelart.loss(
            bench.prior,
            logits,
            palette=bench.palette,
            text=bench.conditions[0],
            uncond=bench.conditions[1],
            controls=controls,
            step=index,
            settings=bench.settings,
            generator=generator,
        )

    stream = distill(canvas, loss, prior=bench.prior, settings=bench.settings, generator=generator)
    return lambda: next(stream)


def published_step(bench: Bench) -> Call:
    """The same optimisation, with the published costs."""
    prior, side = bench.prior, bench.side
    prior.vae.requires_grad_(True)
    prior.vae.enable_tiling()
    logits = torch.nn.Parameter(bench.logits.clone())
    optimiser = torch.optim.AdamW([logits], 0.025)
    levels = (bench.maps[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    pictures = [Image.fromarray(levels) for _ in bench.kinds]
    tokens = torch.cat([c.tokens for c in bench.conditions])
    pooled = torch.cat([c.pooled for c in bench.conditions if c.pooled is not None])
    time_ids = torch.tensor([[side, side, 0, 0, side, side]], device=bench.device).float()
    told = {
        "encoder_hidden_states": tokens,
        "added_cond_kwargs": {"text_embeds": pooled, "time_ids": time_ids.expand(3, 6)},
    }

    def step() -> None:
        uniform = torch.rand_like(logits).clamp(min=1e-20)
        weights = (logits - (-uniform.log()).log()).softmax(dim=1)
        small = 2 * torch.einsum("bkhw,kc->bchw", weights, bench.palette) - 1
        large = F.interpolate(small, (side, side), mode="bilinear")
        shift = np.random.default_rng(0).uniform(0, 0.15 * side, 8).tolist()
        shown = []
        for picture in pictures:
            warped = picture.transform(
                picture.size,
                Image.Transform.QUAD,
                shift_quad(side, shift),
                Image.Resampling.BILINEAR,
            )
            pixels = torch.from_numpy(np.asarray(warped).copy()).to(bench.device)
            shown.append(pixels.permute(2, 0, 1)[None].float().expand(3, -1, -1, -1) / 255)
        x0 = prior.vae.encode(large).latents
        t = torch.randint(20, 981, (1,), device=bench.device)
        eps = torch.randn_like(x0)
        alpha_bar = prior.alpha_bar(t)
        with torch.no_grad():
            xt = (alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps).expand(3, -1, -1, -1)
            down, middle = None, None
            for kind, image in zip(bench.kinds, shown, strict=True):
                more, mid = prior.controlnets[kind](
                    xt, t.expand(3), controlnet_cond=image, conditioning_scale=0.15,
                    return_dict=False, **told,
                )  # fmt: skip
                down = more if down is None else [a + b for a, b in zip(down, more, strict=True)]
                middle = mid if middle is None else middle + mid
            eps_text, eps_uncond, _ = prior.unet(
                xt, t.expand(3), down_block_additional_residuals=down,
                mid_block_additional_residual=middle, **told,
            ).sample.chunk(3)  # fmt: skip
            grad = (1 - alpha_bar) * (eps_text - eps + 40 * (eps_text - eps_uncond))
        loss = 20 * pixelart.fft_loss(small) + 0.5 * (x0 - (x0 - grad).detach()).square().sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([logits], 1.0)
        optimiser.step()
        loss.item()

    return step


def shift_quad(side: int, shift: list[float]) -> tuple[float, ...]:
    """Four corners, upper left first and down, moved inwards."""
    a, b, c, d, e, f, g, h = shift
    return (a, b, c, side - d, side - e, side - f, side - g, h)


PATHS = {"ours": (our_step, torch.bfloat16), "published": (published_step, torch.float32)}


def measured(device: torch.device) -> tuple[float, float]:
    """How many times as fast ours is, and its share of the memory; the figures are printed."""
    calls = {name: path(Bench(device, dtype)) for name, (path, dtype) in PATHS.items()}
    for call in calls.values():
        clock(call)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(REPEATS):
        for name, call in calls.items():
            times[name].append(clock(call))
    ours, published = (1000 * statistics.median(times[name]) for name in PATHS)
    print(f"{device}: published {published:9.0f} ms   ours {ours:9.0f} ms   "
          f"{published / ours:.2f} times as fast", flush=True)  # fmt: skip
    peaks = {}
    for name in PATHS:
        command = [sys.executable, "-m", "benchmarks.pixelstep", "--peak", name]
        peaks[name] = float(subprocess.run(command, check=True, capture_output=True).stdout)
    share = peaks["ours"] / peaks["published"]
    print(f"{device}: published {peaks['published']:9.2f} GB   ours {peaks['ours']:9.2f} GB   "
          f"{share:.2f} of the memory", flush=True)  # fmt: skip
    return published / ours, share


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pixelstep", description=__doc__)
    parser.add_argument("--peak", choices=PATHS, help="only the peak memory of one, in GB")
    add_record_option(parser)
    return parser


def main() -> None:
    """Measure on the device that there is."""
    options = parser().parse_args()
    if options.peak:
        print_peak(options.peak)
        return
    faster, memory = measured(pick_device())
    if options.record:
        record(
            "pixelstep",
            {"faster": Figure(faster), "memory": Figure(1 / memory)},
            n=REPEATS,
            of="steps of each",
            seeds=[0],
        )


def print_peak(name: str) -> None:
    """Take two steps of one path and print the peak memory of this process or its GPU, in GB."""
    path, dtype = PATHS[name]
    call = path(Bench(pick_device(), dtype))
    call()
    call()
    print(peak_memory() / 1e9)


if __name__ == "__main__":
    main()
