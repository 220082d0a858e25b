"""From what a studio asks for to the steps of a method."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distillery.core import whole_words
from distillery.core.errors import CourseError
from distillery.methods.guided_ddim import Predict, fresh_noise, steered
from distillery.methods.region_control import region_predict
from distillery.methods.stroke_methods import DEFAULTS, NEED_DECODER, Knobs
from distillery.methods.stroke_methods import begin as begin_method
from distillery.methods.strokes import Painting, StrokeFunctions
from distillery.models.latent_rgb import LatentRGB, latent_rgb
from distillery.models.prior import Prior, guided_noise
from distillery.notebook.strokes.request import Begin, Request
from distillery.runs.painting_file import UNIT, for_model
from distillery.runs.run import Step

STEPS = 20  # of a whole way from noise
GUIDANCE_SCALE = 5.0
WIDTH = 1 / 64  # of the Gaussian, as a part of the shorter side


def drawn_by(prior: Prior, functions: StrokeFunctions, *, bound: Prior | None = None) -> Begin:
    """What a studio draws with: the methods of stage 5, 20 steps each.

    The methods that need a guide take the linear map, whose gradient costs next to nothing; it is
    fitted when it is first needed. Words are bound to regions by regional attention.

    Args:
        prior: the model.
        functions: the module of the seven functions.
        bound: the model for pictures with regions, for example one with an adapter; by default the
            same one.
    """

    @functools.cache
    def guide() -> LatentRGB:
        return latent_rgb(prior)

    def begin(request: Request) -> Iterator[Step]:
        prompt = _single_blanks(request.prompt)
        if not prompt:
            raise CourseError("the prompt is empty; say there what the picture shows.")
        places = regions_of(request)
        its = prior if not places or bound is None else bound
        painting = painting_for(its, request.painting)
        timesteps = its.timesteps(STEPS)
        beginning = begin_method(
            request.method,
            functions,
            painting,
            knobs_for(request.method, request.strength),
            timesteps=timesteps,
            alphas_cumprod=its.alphas_cumprod,
            noise=fresh_noise(tuple(painting.latents.shape[1:]), [request.seed], device=its.device),
            decode=guide() if request.method in NEED_DECODER else its.decode_with_grad,
            paint=partial(functions.paint, width=WIDTH),
        )
        for step in steered(
            _prediction(its, functions, prompt, places),
            beginning.xt,
            timesteps=timesteps,
            alphas_cumprod=its.alphas_cumprod,
            start=beginning.start,
            change=beginning.change,
        ):
            latents = step.xt if step.index == STEPS - 1 else step.x0
            done, total = step.index - beginning.start, STEPS - beginning.start
            yield Step(done, total, partial(its.decode, latents))

    return begin


def knobs_for(method: str, strength: float) -> Knobs:
    """The method's own knobs at another strength.

    What it does ends in the same proportion of its way, and GradOP+ has no more bursts than steps
    that one may follow.
    """
    knobs = DEFAULTS.get(method, Knobs())
    room = max(1, round(strength * STEPS) - 1)  # after the last step there is none
    return replace(
        knobs,
        strength=strength,
        end=knobs.end * strength / knobs.strength,
        num_iterative_steps=min(knobs.num_iterative_steps, room),
    )


def painting_for(prior: Prior, picture: Image.Image) -> Painting:
    """What the methods are given of a canvas (RGBA), as `python main.py strokes` gives it to them.

    Raises:
        CourseError: there is no paint, or the model draws no picture of this size.
    """
    height, width = picture.height, picture.width
    if height % UNIT or width % UNIT:
        raise CourseError(
            f"the canvas is {height} x {width} cells, and the model draws sides of multiples of "
            f"{UNIT}; make one of {_nearest(height)} x {_nearest(width)}."
        )
    picture = picture.convert("RGBA")
    if not picture.getchannel("A").getbbox():
        raise CourseError("there is no paint on the canvas yet; paint something.")
    return for_model(prior, picture)


def _nearest(side: int) -> int:
    return max(UNIT, UNIT * round(side / UNIT))


def regions_of(request: Request) -> dict[str, Tensor]:
    """Word -> where it applies, (H, W) of 0 and 1; regions with neither word nor cell are left out.

    Raises:
        CourseError: nothing is painted, a region has no word or no cell, or two have the same word.
    """
    if request.labels is None:
        return {}
    labels = np.asarray(request.labels)
    if not labels.any():
        raise CourseError(
            "no region is painted yet; in the layer of regions, paint where each word belongs."
        )
    for label, word in enumerate(request.words, 1):
        if word.strip() and not (labels == label).any():
            raise CourseError(
                f"region {label} ({word.strip()!r}) has no cell yet; paint where it goes."
            )
    places: dict[str, Tensor] = {}
    for label in np.unique(labels[labels > 0]).tolist():
        word = _single_blanks(request.words[label - 1]) if label <= len(request.words) else ""
        if not word:
            raise CourseError(f"region {label} has no word yet; type one of the prompt's.")
        if word in places:
            raise CourseError(f"two regions have the word {word!r}; give each its own.")
        places[word] = torch.from_numpy(labels == label).float()
    return places


def _single_blanks(text: str) -> str:
    """Two blanks between words are meant as one."""
    return " ".join(text.split())


def _prediction(
    prior: Prior, functions: StrokeFunctions, prompt: str, places: dict[str, Tensor]
) -> Predict:
    """The noise to follow, with words bound to their places where there are some."""
    if not places:
        text, uncond = prior.embed([prompt]), prior.embed([""])
        return guided_noise(prior, text=text, uncond=uncond, guidance_scale=GUIDANCE_SCALE)
    for word in places:
        if not whole_words.places(word, prompt):
            raise CourseError(f"the word {word!r} of a region is not in the prompt; add it there.")
    return region_predict(
        prior,
        functions,
        prompt=prompt,
        words=list(places),
        masks=torch.stack(list(places.values())).to(prior.device),
        way="regional",
        guidance_scale=GUIDANCE_SCALE,
    )
