"""Loading the models of the course, and what is added to them, with errors in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from distillery.core.errors import CourseError, in_short
from distillery.core.files import REPOSITORY
from distillery.core.folders import files_of
from distillery.models.exact import demonstration_mixture
from distillery.models.presets import PRESETS, VAES, Preset, find_preset
from distillery.models.prior import Prior

if TYPE_CHECKING:
    from distillery.models.stable_diffusion import StableDiffusionPrior

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
WEIGHTED_PARTS = {
    "sd": ("unet", "vae", "text_encoder"),
    "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2"),
}


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
        CourseError: the model, device or precision is unknown, or the weights cannot be loaded.
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
        CourseError: the model has none of a kind, or its weights cannot be loaded.
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

    The path of a file or folder of the course works from any working directory.

    Raises:
        CourseError: they cannot be loaded, or are for another model.
    """
    from distillery.models.stable_diffusion import StableDiffusionPrior

    if not isinstance(prior, StableDiffusionPrior):
        raise CourseError("LoRA weights need a diffusion model; leave the setting lora out.")
    ours = REPOSITORY / source
    there = str(ours) if ours.exists() and not Path(source).exists() else source
    is_hub_id = HUB_ID.fullmatch(source) and not source.endswith(".safetensors")
    try:
        if not (Path(there).exists() or is_hub_id):
            raise FileNotFoundError("there is no such file or folder")
        prior.add_lora(there, scale=scale)
    # peft, diffusers, the hub and safetensors fail in their own dozen ways.
    except Exception as error:
        raise CourseError(
            f"cannot use the LoRA weights {source!r} ({_why_no_lora(error, Path(there))}); give a "
            "safetensors file that was trained for this model."
        ) from error


def _why_no_lora(error: Exception, source: Path) -> str:
    """What the libraries say at length, or in words of their own files, and else what they say."""
    if "size mismatch" in str(error):
        return "they are of another model"
    kinds = {".safetensors", ".bin"}
    if source.is_dir() and not any(file.suffix in kinds for file in source.iterdir()):
        return "the folder holds no weights"
    return in_short(error)


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
    # The libraries would report it at length, or ignore a missing tokenizer without a message.
    problem = next(_problems(folder, WEIGHTED_PARTS[preset.family]), None)
    if problem is not None:
        raise CourseError(f"cannot load {preset.name}: its {problem}; {_remedy(preset)}.")


def _problems(folder: Path, weighted_parts: tuple[str, ...]) -> Iterator[str]:
    """What is missing or damaged in a pipeline folder."""
    for part in ("scheduler", "tokenizer", *weighted_parts):
        if not (folder / part).is_dir():
            yield f"{part} is missing"
    for part in weighted_parts:
        files = files_of((folder / part).iterdir(), (".safetensors",), under=folder)
        if not files:
            yield f"{part} has no safetensors weights"
        for file in files:
            if not is_whole(file):
                yield f"{part}/{file.name} is cut short or damaged"


def is_whole(file: Path) -> bool:
    """Whether a file of weights in safetensors can be read."""
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
