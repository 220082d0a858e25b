"""A picture of any size from a model that was trained for one. `python main.py elastic`.

The frames show the estimate of the finished picture. The folder has pictures/ where there are
several pictures, control_canny.png or control_depth.png where there is a condition image, and where
they are asked for frames.png, a sheet of the steps, and pca.png and pca/, the scores of every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from distillery.core.notes import warnings_in_a_line
from distillery.methods.any_size import ElasticFunctions
from distillery.models.load import load_controlnets, load_lora, load_prior
from distillery.models.prior import Prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.runs.control_picture import read_picture
from distillery.runs.elastic_run import ElasticRun
from distillery.runs.elastic_settings import NO_LORA, OF_A_REFERENCE, ElasticSettings
from distillery.runs.strokes import say_replaced_scheduler

SOURCE_FIELDS = ("condition_image",)
OF_THE_STUDENT = ("elastic", "multidiffusion")  # the methods that call the student's functions


def module_name(settings: ElasticSettings) -> str:
    """The module of the seven functions; nothing where the method calls none of them."""
    return f"{settings.implementation}.elastic" if settings.method in OF_THE_STUDENT else ""


def check(settings: ElasticSettings) -> None:
    """Read the condition image, before any model is loaded.

    Raises:
        CourseError: it cannot be used.
    """
    read_picture(settings)


def completed(settings: ElasticSettings) -> ElasticSettings:
    """The settings unchanged; nothing has to be filled in."""
    return settings


def load(settings: ElasticSettings) -> Prior:
    """The prior of the settings' model; it is sampled by DDIM whatever it came with.

    Raises:
        CourseError: a part of it cannot be loaded.
    """
    prior = load_prior(settings.model, device=settings.device)
    if settings.condition_image:
        load_controlnets(prior, settings.model, [settings.control])
    with warnings_in_a_line():
        say_replaced_scheduler(prior)
    return prior


def adapter(settings: ElasticSettings) -> str:
    """The LoRA weights that the method asks about the large picture, or nothing."""
    has_one = settings.method in OF_A_REFERENCE and settings.lora != NO_LORA
    return settings.lora if has_one else ""


def load_local(prior: Prior, settings: ElasticSettings) -> Prior:
    """What is asked about the large picture: the prior itself, or one with the `adapter`.

    It is as precise as the prior, and has the same ControlNets, later ones too.

    Raises:
        CourseError: the LoRA does not fit the model.
    """
    if not adapter(settings):
        return prior
    dtype = None
    if isinstance(prior, StableDiffusionPrior):
        dtype = str(prior.dtype).removeprefix("torch.")
    local = load_prior(settings.model, device=prior.device, dtype=dtype)
    load_lora(local, adapter(settings))
    if isinstance(prior, StableDiffusionPrior) and isinstance(local, StableDiffusionPrior):
        local.controlnets = prior.controlnets
    return local


def begin(
    prior: Prior,
    method: ElasticFunctions | None,
    settings: ElasticSettings,
    *,
    out: Path | None = None,
) -> ElasticRun:
    """The run before its first step.

    Raises:
        CourseError: settings and prior do not fit together.
    """
    return of_picture(
        prior,
        method,
        settings,
        read_picture(settings),
        local=load_local(prior, settings),
        seeds=range(settings.seed, settings.seed + settings.count),
    )


def of_picture(
    prior: Prior,
    functions: ElasticFunctions | None,
    settings: ElasticSettings,
    condition: Image.Image | None,
    *,
    local: Prior,
    seeds: Sequence[int],
) -> ElasticRun:
    """The run of a condition image that is read already, or of none."""
    with warnings_in_a_line():
        run = ElasticRun(prior, functions, settings, condition, local=local, seeds=seeds)
    for one in (prior, local):
        if isinstance(one, StableDiffusionPrior):
            one.rest_text_encoders()
    return run
