"""What a fine-tuned style adds to a model: here a decoder of its own, which draws what the model's
own decoder cannot, such as cells of pixel art."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from distillery.core.errors import CourseError, in_short
from distillery.models.prior import Prior

DECODER = ("decoder.", "post_quant_conv.")


def load_decoder(prior: Prior, file: str | Path) -> None:
    """Put the weights of a decoder into the prior's autoencoder; its encoder stays as it is.

    Args:
        file: safetensors with diffusers' names of an `AutoencoderKL`, those that begin with
            "decoder." and "post_quant_conv." alone. The weights take the precision of the prior's.

    Raises:
        CourseError: the prior has no autoencoder, the file cannot be read, or its names or shapes
            are not those of the prior's decoder.
    """
    from distillery.models.stable_diffusion import StableDiffusionPrior

    if not isinstance(prior, StableDiffusionPrior):
        raise CourseError(
            f"the decoder {str(file)!r} needs a model with an autoencoder; choose a Stable "
            "Diffusion or SDXL model."
        )
    try:
        weights = load_file(file)
    except Exception as error:  # safetensors and the disk fail in their own ways
        raise CourseError(
            f"cannot read the decoder {str(file)!r} ({in_short(error)}); give a safetensors file."
        ) from error
    wanted = {k: w for k, w in prior.vae.state_dict().items() if k.startswith(DECODER)}
    _check_fit(wanted, weights, str(file))
    prior.vae.load_state_dict(weights, strict=False)


def _check_fit(wanted: dict[str, Tensor], given: dict[str, Tensor], file: str) -> None:
    unfit = [
        name
        for name in sorted(wanted.keys() | given.keys())
        if name not in wanted or name not in given or wanted[name].shape != given[name].shape
    ]
    if unfit:
        raise CourseError(
            f"the decoder {file!r} is not for this model ({len(unfit)} of its weights do not fit, "
            f"the first is {unfit[0]}); give one that was trained for this model's autoencoder."
        )
