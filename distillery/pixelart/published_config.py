"""SD-πXL's configuration files, by the names of their fields.

Binninger and Sorkine-Hornung, "SD-πXL" (SIGGRAPH Asia 2024, arXiv 2410.06236), publish runs as YAML
in sections. A file with sections is read field by field, whatever section a field stands in; what
this course does in another way is said in a sentence, and so is a field that is not known.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Container, Iterator, Mapping
from typing import Any

from distillery.core.errors import CourseError
from distillery.core.program import TYPED

SAME = {  # their name -> ours, of values that mean the same
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "seed": "seed",
    "image": "input_image",
    "input_image": "input_image",
    "palette": "palette",
    "tau": "tau",
    "steps": "steps",
    "lr": "learning_rate",
    "learning_rate": "learning_rate",
    "lr_warmup_steps": "warmup",
    "warmup_steps": "warmup",
    "resize_mode": "enlarge",
    "tv_scale": "tv",
    "laplacian_scale": "laplacian",
    "bilateral_scale": "bilateral",
    "hflip": "mirror",
    "hflip_prob": "mirror",
    "flip": "mirror",
    "grayscale": "grayscale",
    "greyscale": "grayscale",
    "grayscale_prob": "grayscale",
    "perspective": "perspective",
    "perspective_prob": "perspective",
    "perspective_scale": "perspective_scale",
    "distortion_scale": "perspective_scale",
    "lora_scale": "lora_scale",
    "t_bound_reached": "bound_reached",
    "control_guidance_start": "control_start",
    "control_guidance_end": "control_end",
}
MODELS = {"sdxl": "sdxl", "ssd1b": "ssd-1b"}
AUTOENCODERS = {"taesdxl": "taesdxl", "vae-16-fix": "fp16-fix"}
TIMESTEPS = ("t_min", "t_max", "t_bound_max")
FILLS = {  # how a start fills the grid
    "palette-bilinear": "distance",
    "palette-nearest": "distance",
    "palette": "nearest",
    "nearest": "nearest",
    "kmeans": "nearest",
}
LEFT_OUT = {
    "saving_resize": "every run also writes large.png",
    "save_steps": "the frames are chosen for you, and --verbose keeps pictures of each moment",
    "init_distance": "fill says how colours are compared with the picture",
    "std": "sureness says how sure the start is",
    "softmax_regularizer": "sureness says how sure the start is",
    "grad_scale": "the gradient is clipped, so a factor on it changes nothing",
    "clip_grad": "clip_norm says it; 0 is no clipping",
    "automatic_caption": "a run without a prompt takes the caption of its picture",
    "im_size": "side is the side of the canvas",
}
SETUP = {  # of their program alone
    "torch_compile",
    "compile",
    "enable_xformers_memory_efficient_attention",
    "xformers",
    "gradient_checkpoint",
    "gradient_checkpointing",
    "mixed_precision",
    "lr_scheduler",
    "w_mode",
}


def is_published(values: Mapping[Any, Any], ours: Container[str]) -> bool:
    """Whether these are SD-πXL's: they stand in sections, which are no settings of `ours`."""
    return any(isinstance(value, dict) and name not in ours for name, value in values.items())


def own_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings for those of a published file; a warning names what has no use here.

    Their guidance 40 is 41 here, for it is counted from the prompt; their timesteps are parts of
    1000; their weight of high frequencies depends on the size, ours does not.

    Raises:
        CourseError: a value has no counterpart, and leaving it out would change the picture.
    """
    fields = dict(_fields(values))
    settings = {SAME[name]: _plain(value) for name, value in fields.items() if name in SAME}
    settings |= _computed(fields)
    known = {*SAME, *COMPUTED, *TIMESTEPS, *LEFT_OUT, *SETUP}
    notes = [f"{name}: {LEFT_OUT[name]}" for name in fields if name in LEFT_OUT]
    unknown = sorted(name for name in fields if name not in known)
    if unknown:
        notes.append(f"{', '.join(unknown)}: not known here")
    if notes:
        warnings.warn(f"left out of the published settings: {'; '.join(notes)}.", stacklevel=2)
    return {name: value for name, value in settings.items() if value is not None}


def _fields(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of each field in any section."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _fields(value)
        else:
            yield str(name), value


def _plain(value: Any) -> Any:
    """Their "none" for nothing."""
    return None if value is None or value in ("none", "None") else value


def _number(fields: Mapping[str, Any], name: str, default: float = 0.0) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CourseError(f"{name} must be a number; it is {value!r}.")
    return value


COMPUTED = (
    "image_H",
    "image_W",
    "guidance_scale",
    "fft_scale",
    "model_id",
    "vae",
    "lora_path",
    "initialize_renderer",
    "initialization_method",
    "kmeans_nb_colors",
    "gumbel",
    "smooth_softmax",
    "random_tau",
    "random_tau_min",
    "random_tau_max",
    "sampling_method_t",
    "use_controlnet",
    "controlnet_canny_scale",
    "controlnet_depth_scale",
    "canny_scale",
    "depth_scale",
    "canny_id",
    "depth_id",
    "clip_grad_norm",
)


def _computed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The settings whose values are other ones than the published fields'."""
    made: dict[str, Any] = {}
    size = (fields.get("image_H"), fields.get("image_W"))
    if None not in size:
        made["size"] = size
    if "guidance_scale" in fields:
        made["guidance_scale"] = _number(fields, "guidance_scale") + 1
    if "fft_scale" in fields:
        height, width = (_number(fields, name, 64) for name in ("image_H", "image_W"))
        made["fft"] = _number(fields, "fft_scale") * math.sqrt(height * width)
    if "model_id" in fields:
        made["model"] = MODELS.get(fields["model_id"], fields["model_id"])
    if _plain(fields.get("vae")):
        made["vae"] = AUTOENCODERS.get(fields["vae"], fields["vae"])
    made["lora"] = _plain(fields.get("lora_path"))
    made["clip_norm"] = fields.get("clip_grad_norm")
    return made | _start(fields) | _weights(fields) | _timesteps(fields) | _controls(fields)


def _start(fields: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if fields.get("initialize_renderer") is False:
        made["start"] = "noise"
    how = fields.get("initialization_method")
    if how is not None:
        if how not in FILLS:
            known = ", ".join(FILLS)
            raise CourseError(f"initialization_method must be one of {known}; it is {how!r}.")
        made["fill"] = FILLS[how]
    if how == "kmeans":
        made |= {"palette": "", "colours": fields.get("kmeans_nb_colors")}
    return made


def _weights(fields: Mapping[str, Any]) -> dict[str, Any]:
    """From logits to weights, and the temperature's chance."""
    made: dict[str, Any] = {}
    if "gumbel" in fields:
        smooth = fields.get("smooth_softmax", True)
        made["path"] = "gumbel" if fields["gumbel"] else "softmax" if smooth else "argmax"
        if fields["gumbel"] and not smooth:
            raise CourseError(
                "smooth_softmax: false with gumbel: true, one colour a pixel by chance, is not "
                "here; leave smooth_softmax out, or take path: argmax."
            )
    if fields.get("random_tau") is False:
        made["tau_spread"] = 0.0
    elif {"random_tau_min", "random_tau_max"} & fields.keys():
        low, high = _number(fields, "random_tau_min", 0.5), _number(fields, "random_tau_max", 1.5)
        made |= {"tau": (low + high) / 2, "tau_spread": (high - low) / (high + low)}
    return made


def _timesteps(fields: Mapping[str, Any]) -> dict[str, Any]:
    own = {"t_min": "t_min", "t_max": "t_max", "t_bound_max": "t_bound"}
    made = {own[name]: int(1000 * _number(fields, name)) for name in TIMESTEPS if name in fields}
    how = fields.get("sampling_method_t", "bounded_max")
    if how == "uniform":
        made["t_bound"] = made.get("t_max", 980)
    elif how != "bounded_max":
        raise CourseError(
            f"sampling_method_t {how!r} is not here; take bounded_max, or uniform, or draw with "
            f"`{TYPED} --loss_type sdi`, whose timesteps fall in a line."
        )
    return made


def _controls(fields: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for kind in ("canny", "depth"):
        scales = (fields.get(f"controlnet_{kind}_scale"), fields.get(f"{kind}_scale"))
        made[kind] = next((scale for scale in scales if scale is not None), None)
        gone = f"{kind}_id" in fields and _plain(fields[f"{kind}_id"]) is None
        if gone or fields.get("use_controlnet") is False:
            made[kind] = 0.0
    return made
