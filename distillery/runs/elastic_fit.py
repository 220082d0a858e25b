"""How the settings of a picture of any size fit a model: what is refused, what is only said."""

from __future__ import annotations

import warnings
from math import ceil

import torch

from distillery.core.errors import CourseError
from distillery.methods.any_size import ElasticFunctions
from distillery.methods.guided_ddim import level
from distillery.methods.published_weight import of_a_cell
from distillery.methods.reference_cells import cells, reference_of, small_size
from distillery.models.exact import GaussianMixturePrior
from distillery.models.presets import suits
from distillery.models.prior import Prior
from distillery.runs.elastic_settings import UNIT, ElasticSettings

Size = tuple[int, int]
OF_ITS_OWN = ("elastic", "upsample-guidance")  # draw what is its own reference from noise
ENOUGH = 3  # times the rounds in which a cell's group is read on average


def drawn_size(prior: Prior, settings: ElasticSettings) -> Size:
    """(H, W) of the picture before it is cropped: multiples of 8 pixels.

    Raises:
        CourseError: the prior draws only pictures of one size.
    """
    size = settings.height, settings.width
    if isinstance(prior, GaussianMixturePrior):
        if size != prior.image_size:
            high, wide = prior.image_size
            raise CourseError(
                f"the exact prior draws only pictures of {high} x {wide} pixels; leave height and "
                "width out, or choose another model."
            )
        return size
    high, wide = (ceil(side / UNIT) * UNIT for side in size)
    return high, wide


def cell_weight(prior: Prior, settings: ElasticSettings, size: Size) -> float:
    """The weight of a cell, for latents of `size`; a warning says what a published one became."""
    if settings.rrg_weight is not None:
        return settings.rrg_weight
    assert settings.rrg_init_weight is not None
    alpha_bar_next = level(prior.alphas_cumprod, prior.timesteps(settings.steps)[1])
    weight = of_a_cell(
        settings.rrg_init_weight, (prior.latent_channels, *size), float(alpha_bar_next)
    )
    became = f"rrg_init_weight {settings.rrg_init_weight:g} is an rrg_weight of {weight:.3g} here"
    if weight > 1:
        became += ", more than all of the way; 1 is taken"
    _say(f"{became}.")
    return min(1.0, weight)


def check_fit(prior: Prior, settings: ElasticSettings, size: Size) -> None:
    """Refuse what a model cannot do, and say what is of no use, for latents of `size`.

    Raises:
        CourseError: windows are larger than what the network reads, or views leave gaps.
    """
    read = min(prior.latent_size)
    if settings.method in OF_ITS_OWN and is_whole(prior, settings, size):
        _say(
            "the picture is no larger than those that the model was trained on, so it is its own "
            "reference and plain guidance draws it."
        )
    if settings.method == "elastic":
        _check_windows(settings, read)
        _check_rounds(prior, settings, size)
        _check_pull(settings)
    view = min(*size, read)
    if settings.method == "multidiffusion" and (settings.stride or 1) > view < max(size):
        raise CourseError(
            f"stride is {settings.stride} cells and a view has {view}, so views would leave gaps; "
            f"take up to {view}."
        )
    if max(size) < read or size[0] * size[1] < prior.latent_size[0] * prior.latent_size[1] / 2:
        high, wide = prior.image_size
        _say(
            f"the model was trained on pictures of {high} x {wide} pixels and draws small ones "
            "badly; draw a larger one and scale it down."
        )


def _check_windows(settings: ElasticSettings, read: int) -> None:
    if settings.patch_size is not None and settings.patch_size > read:
        raise CourseError(
            f"patch_size is {settings.patch_size} cells and the network reads {read}; take fewer, "
            f"half of it or less so that a window has surroundings on both sides."
        )


def _check_rounds(prior: Prior, settings: ElasticSettings, size: Size) -> None:
    """Say where rounds of resampling change nothing."""
    if is_whole(prior, settings, size) or not settings.resampling_steps:
        return
    if not settings.new_p:
        _say(
            "new_p is 0, so the rounds of resampling read no other cells, and change nothing; "
            "--resampling_steps 0 is cheaper."
        )
        return
    reference = reference_of(prior, size, padded=settings.reference == "padded")
    others = cells(size, reference).groups.shape[-1] - 1
    enough = ceil(ENOUGH * others / settings.new_p)
    if settings.resampling_steps > enough:
        _say(
            f"a cell of the reference has up to {others} others to read, for which {enough} "
            f"rounds are plenty; most of the {settings.resampling_steps} read some again."
        )


def _check_pull(settings: ElasticSettings) -> None:
    """Say what of the pull is set where there is none."""
    usual = {"rrg_stop_t": 0.2, "cosine_scale": suits(settings.model, "elastic")["cosine_scale"]}
    given = [name for name, value in usual.items() if getattr(settings, name) != value]
    if settings.rrg_weight == 0 and given:
        _say(
            f"rrg_weight is 0, so nothing is pulled, and {' and '.join(given)} "
            f"{'change' if len(given) > 1 else 'changes'} nothing."
        )


def is_whole(prior: Prior, settings: ElasticSettings, size: Size) -> bool:
    """Whether the picture is as large as the small one would be, for latents of `size`."""
    if settings.method == "upscale":
        return small_size(prior, size) == size
    padded = settings.method == "elastic" and settings.reference == "padded"
    return reference_of(prior, size, padded=padded) == size


def call_once(functions: ElasticFunctions, settings: ElasticSettings) -> None:
    """Call what the method will call later on, so that a stub speaks before anything long."""
    xt, cell = torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 1, 1)
    zero, owner = torch.tensor([0]), torch.zeros(2, 3, dtype=torch.int64)
    if settings.method == "multidiffusion":
        functions.merge_views(xt[None], zero, zero, torch.ones(2, 3), (2, 3))
    if settings.method == "elastic":
        functions.elastic_eps(xt, xt, xt, 1.0)
        functions.cover(3, 1, 2, 0)
        one_window = (torch.tensor([[0, 2, 0, 2]]), torch.tensor([[0, 3, 0, 3]]))
        functions.local_score(lambda views: views, xt, *one_window)
        functions.from_reference(lambda small: small, xt, zero[None, None], owner)
        if settings.resampling_steps:
            used, chance = torch.zeros(6, dtype=torch.bool), torch.zeros(1, 1)
            group = torch.tensor([[[0, 1]]])
            functions.next_read(group, group[..., 0], used, 1.0, chance, torch.zeros(1, 1, 2))
        functions.reduced_resolution_guidance(xt, cell, owner, 1.0, 0.0, 0.2, 3.0)


def _say(words: str) -> None:
    warnings.warn(words, stacklevel=3)
