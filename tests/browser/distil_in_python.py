"""What the methods of the page "Distil in your browser" give in Python, from the page's noise."""

from __future__ import annotations

import torch
from torch import Tensor

from distillery.methods.ddim import sample
from distillery.methods.guided_ddim import first_step, steered
from distillery.methods.sdedit import started
from distillery.methods.strokes import Painting
from distillery.models.load import load_prior
from distillery.models.prior import guided_noise
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.runs.painting_file import continued
from distillery.runs.training import warmup_cosine
from reference import strokes
from reference.sds import sds_grad
from website.npm_packages import package_folder
from website.page_random import PageRandom

RUNTIME = package_folder("onnxruntime-web")
NO_RUNTIME = "no onnxruntime-web: run `python -m website.npm_packages`"
PROMPT, SEED, GUIDANCE, STRENGTH, PEAK = "a red boat on a frozen river", 7, 5.0, 0.8, 0.1
STEPS = {"sds": 30, "ddim": 12, "sdedit": 14}
TAKEN = 10
AGREES = 1e-3


def prior_of_page() -> StableDiffusionPrior:
    prior = load_prior("tiny-sd", device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


def painting() -> Tensor:
    """Two flat fields, (1, 3, 64, 64)."""
    image = torch.full((1, 3, 64, 64), 0.6)
    image[:, 1:, 20:44, 16:48] = -0.8
    return image


def mask() -> Tensor:
    """Paint in the middle of the second field, and half of it beside, (1, 1, 64, 64)."""
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 22:50, 10:40] = 1
    mask[..., 50:57, 10:40] = 0.5
    return mask


def asked(*, painted: bool = True) -> dict[str, object]:
    """The same for the page's worker; not painted, it takes what is painted on the page."""
    return {
        "prompt": PROMPT,
        "seed": SEED,
        "guidance": GUIDANCE,
        "strength": STRENGTH,
        "learningRate": PEAK,
        "steps": STEPS,
        "painting": painting().flatten().tolist() if painted else None,
        "mask": [1] * 64**2,
        "device": "wasm",
    }


def latents_in_python(method: str, prior: StableDiffusionPrior) -> Tensor:
    """The latents after TAKEN steps, (1, C, h, w).

    Args:
        method: of the page, or "open": SDEdit from a painting that leaves a part to the model.
    """
    random, shape = PageRandom(SEED), (1, prior.latent_channels, *prior.latent_size)
    text, uncond = prior.embed([PROMPT]), prior.embed([""])
    xt = random.normal(*shape)
    if method == "sds":
        return _sds(prior, xt, random)
    if method in ("sdedit", "open"):
        return _sdedit(prior, xt, mask() if method == "open" else torch.ones(1, 1, 64, 64))
    timesteps = prior.timesteps(STEPS[method])
    way = sample(prior, xt, text=text, uncond=uncond, guidance_scale=GUIDANCE, timesteps=timesteps)
    return next(step.xt for step in way if step.index + 1 == TAKEN)


def _sdedit(prior: StableDiffusionPrior, eps: Tensor, mask: Tensor) -> Tensor:
    timesteps = prior.timesteps(STEPS["sdedit"])
    levels = {"timesteps": timesteps, "alphas_cumprod": prior.alphas_cumprod}
    image = continued(painting(), mask)
    given = Painting(image, mask, prior.encode(image))
    first = first_step(STEPS["sdedit"], STRENGTH)
    xt, start, change = started(strokes, given, first, **levels, noise=lambda index: eps)
    predict = guided_noise(
        prior,
        text=prior.embed([PROMPT]),
        uncond=prior.embed([""]),
        guidance_scale=GUIDANCE,
    )
    way = steered(predict, xt, **levels, start=start, change=change)
    return next(step.xt for step in way if step.index + 1 - start == TAKEN)


def _sds(prior: StableDiffusionPrior, x0: Tensor, random: PageRandom) -> Tensor:
    text, uncond = prior.embed([PROMPT]), prior.embed([""])
    latents = torch.nn.Parameter(x0)
    optimiser = torch.optim.AdamW([latents], weight_decay=0)
    steps = STEPS["sds"]
    for index in range(TAKEN):
        t, eps = torch.tensor([random.integer(20, 980)]), random.normal(*x0.shape)
        latents.grad = sds_grad(prior, latents.detach(), t, eps, text, uncond, GUIDANCE)
        rate = warmup_cosine(index, steps=steps, warmup=steps // 10, peak=PEAK)
        optimiser.param_groups[0]["lr"] = rate
        optimiser.step()
    return latents.detach()
