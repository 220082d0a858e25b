"""From what a page asks for to the steps of a run."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from PIL import Image

from distillery.core.images import to_pil
from distillery.methods.any_size import ElasticFunctions
from distillery.methods.network_samples import network_samples
from distillery.models.load import load_controlnets, load_prior
from distillery.models.presets import find_preset
from distillery.models.prior import Prior
from distillery.notebook.elastic.request import SAMPLES, Drawer, Request, Size
from distillery.runs.control_picture import controls_for
from distillery.runs.elastic import adapter, load_local, of_picture
from distillery.runs.elastic_fit import drawn_size
from distillery.runs.elastic_settings import CONTROLS, ElasticSettings
from distillery.runs.run import Step

SHAPES = ((1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 3))  # times the trained height and width
KNOBS = ("strength", "resampling_steps", "new_p", "rrg_weight")  # fields that are also settings
ANY_PROMPT = "a boat"


def drawn_by(model: str, functions: ElasticFunctions) -> Drawer:
    """What a page draws with: the run of `python main.py elastic`, on one of the course's models.

    The model is loaded when it is first needed.

    Args:
        model: a name of the presets.
        functions: the module of the seven functions.
    """
    its = _Loaded(model)
    trained = find_preset(model).image_size

    def steps(request: Request) -> Iterator[Step]:
        settings = settings_of(request, model)
        prior = its.prior(bool(request.picture))
        run = of_picture(
            prior,
            functions,
            settings,
            request.picture,
            local=its.local(settings),
            seeds=[request.seed],
        )
        for step in run.steps():
            yield replace(step, figures={SAMPLES: torch.tensor(run.samples)})

    def samples(request: Request) -> float:
        settings, prior = settings_of(request, model), its.prior(False)
        size = prior.latent_size_of(drawn_size(prior, settings))
        knobs = settings.knobs(rrg_weight=request.rrg_weight)
        parts = network_samples(prior, settings.method, size, knobs, steps=settings.steps)
        return sum(parts.values())

    def seen(request: Request) -> Image.Image:
        settings, prior = settings_of(request, model), its.prior(False)
        size = drawn_size(prior, settings)
        (control,) = controls_for(prior, settings, request.picture, size)
        return to_pil(2 * control.image - 1)[0]

    def defaults(size: Size) -> Mapping[str, Any]:
        settings = ElasticSettings(model=model, prompt=ANY_PROMPT, height=size[0], width=size[1])
        scale = settings.controlnet_conditioning_scale
        names = ("guidance_scale", *KNOBS)
        return {**{name: getattr(settings, name) for name in names}, "control_scale": scale}

    a_step = ElasticSettings(model=model, prompt=ANY_PROMPT).steps
    sizes = [(down * trained, across * trained) for down, across in SHAPES]
    return Drawer(steps, samples, 2.0 * a_step, seen, defaults, sizes)


def settings_of(request: Request, model: str) -> ElasticSettings:
    """The settings of `python main.py elastic` that draw what is asked for.

    Raises:
        CourseError: a value is out of its range.
    """
    return ElasticSettings(
        model=model,
        prompt=request.prompt,
        height=request.size[0],
        width=request.size[1],
        method=request.method,
        guidance_scale=request.guidance_scale,
        seed=request.seed,
        control=request.control,
        controlnet_conditioning_scale=request.control_scale,
        **{name: getattr(request, name) for name in KNOBS},
    )


class _Loaded:
    """A model with its parts, each loaded once."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._base = functools.cache(lambda: load_prior(model))
        self._hold = functools.cache(lambda: load_controlnets(self._base(), model, CONTROLS))
        self._local: dict[str, Prior] = {}

    def prior(self, is_held: bool) -> Prior:
        """The model, with its ControlNets if they are needed."""
        if is_held:
            self._hold()
        return self._base()

    def local(self, settings: ElasticSettings) -> Prior:
        """What is asked about the large picture."""
        its = adapter(settings)
        if its not in self._local:
            self._local[its] = load_local(self._base(), settings)
        return self._local[its]
