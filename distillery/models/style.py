"""What a fine-tuned style adds to a model: LoRA weights for its UNet, and maybe a decoder.

A decoder of its own draws what the model's own cannot, such as cells of pixel art.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.models.load import load_lora
from distillery.models.prior import Prior
from distillery.models.weight_files import course_path, fault_of

DECODER = ("decoder.", "post_quant_conv.")
DECODER_FILE = "vae_decoder.safetensors"  # in a style's folder, if it has one


def load_style(prior: Prior, source: str, *, scale: float = 1.0) -> None:
    """Add a style to a prior: LoRA weights, and the decoder that lies beside them, if one does.

    At a scale of 0 the prior draws what it drew; the decoder goes `scale` of the way from the
    prior's own weights to the style's, and no farther than these.

    Args:
        source: a file, a folder or a hub id; only a folder can have a decoder. Paths of the course
            work from any working directory.
        scale: factor on what the LoRA adds.

    Raises:
        CourseError: the weights cannot be loaded, or are for another model.
    """
    load_lora(prior, source, scale=scale)
    file = course_path(source) / DECODER_FILE
    if not file.is_file():
        return
    from distillery.models.stable_diffusion import StableDiffusionPrior

    assert isinstance(prior, StableDiffusionPrior)  # load_lora has taken no other
    own = {name: weight.clone() for name, weight in _decoder_of(prior.vae).items()}
    load_decoder(prior, file)
    for name, weight in _decoder_of(prior.vae).items():
        weight.copy_(own[name].lerp(weight, min(max(scale, 0.0), 1.0)))


def _decoder_of(vae: nn.Module) -> dict[str, Tensor]:
    return {k: w for k, w in vae.state_dict().items() if k.startswith(DECODER)}


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
    if fault := fault_of(Path(file)):
        raise CourseError(
            f"cannot read the decoder {str(file)!r} (it {fault}); give a safetensors file."
        )
    weights = load_file(file)
    _check_fit(_decoder_of(prior.vae), weights, str(file))
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
