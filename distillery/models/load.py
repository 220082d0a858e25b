"""Loading the models of the course, and what is added to them, with errors in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from distillery.core.errors import CourseError, in_short
from distillery.core.files import REPOSITORY
from distillery.core.folders import files_of
from distillery.core.program import collection_paused
from distillery.models.exact import demonstration_mixture
from distillery.models.presets import PRESETS, VAES, Preset, find_preset
from distillery.models.prior import Prior
from distillery.models.single_file import channels_sentence, config_of, shapes_in
from distillery.models.weight_files import fault_of

if TYPE_CHECKING:
    from distillery.models.stable_diffusion import StableDiffusionPrior

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
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
    """Add the LoRA weights of a file, a folder or a hub id to the prior's networks, `scale` times.

    Every spelling of kohya, peft and diffusers is read, and all weights land or none.

    The path of a file or folder of the course works from any working directory.

    Raises:
        CourseError: they cannot be loaded, or not all of them are for this model.
    """
    from distillery.models.stable_diffusion import StableDiffusionPrior

    if not isinstance(prior, StableDiffusionPrior):
        raise CourseError("LoRA weights need a diffusion model; leave the setting lora out.")
    prior.add_lora(source, scale=scale)


def _load(
    preset: Preset, source: str, device: torch.device, precision: torch.dtype, vae: str | None
) -> Prior:
    # Importing diffusers takes seconds, which neither --help nor the exact prior should wait for.
    with collection_paused():
        from distillery.models import stable_diffusion

    variant = preset.variant
    if preset.local:
        place = REPOSITORY / source  # an absolute path stays itself
        source = str(place)
        if place.is_file():
            _check_file(preset, place)
            config = str(config_of(place))
            return stable_diffusion.load_single_file(
                preset.family, source, config, device=device, dtype=precision, vae=vae
            )
        _check_folder(preset, place)
        variant = _variant(place, WEIGHTED_PARTS[preset.family])
    loaded = stable_diffusion.load(
        preset.family,
        source,
        device=device,
        dtype=precision,
        vae=vae,
        variant=variant,
        offline=preset.local,
    )
    if preset.local:
        _check_text_encoders(preset, Path(source), loaded)
    return loaded


def _check_text_encoders(preset: Preset, folder: Path, loaded: StableDiffusionPrior) -> None:
    # transformers would begin what is not in the file with random numbers, and go on.
    for part in WEIGHTED_PARTS[preset.family][2:]:
        files = files_of((folder / part).iterdir(), (".safetensors",), under=folder)
        there = {_bare(name) for file in files for name in shapes_in(file)}
        wanted = [name for name, _ in getattr(loaded.pipeline, part).named_parameters()]
        lacking = [name for name in wanted if _bare(name) not in there]
        if lacking:
            raise CourseError(
                f"cannot load {preset.name}: its {part} lacks {len(lacking)} of "
                f"{len(wanted)} tensors, such as {lacking[0]}; {_remedy(preset)}."
            )


def _bare(name: str) -> str:
    # Some versions of transformers have one level more.
    return name.removeprefix("text_model.")


def _check_file(preset: Preset, file: Path) -> None:
    if fault := fault_of(file):
        raise CourseError(f"cannot load {preset.name}: it {fault}; {_remedy(preset)}.")


def _variant(folder: Path, parts: tuple[str, ...]) -> str | None:
    """The variant that the weights were saved as, "fp16" or another, or None for the plain ones.

    Parts that have plain weights are loaded from these.
    """
    for part in parts:
        names = [file.name.split(".") for file in (folder / part).glob("*.safetensors")]
        variants = sorted({words[1].partition("-")[0] for words in names if len(words) == 3})
        if variants and all(len(words) == 3 for words in names):
            return "fp16" if "fp16" in variants else variants[0]
    return None


def _check_folder(preset: Preset, folder: Path) -> None:
    # The libraries would report it at length, or ignore a missing tokenizer without a message.
    problem = next(_problems(folder, WEIGHTED_PARTS[preset.family]), None)
    if problem is not None:
        raise CourseError(f"cannot load {preset.name}: its {problem}; {_remedy(preset)}.")
    channels = _input_channels(folder)
    if channels not in (None, 4):
        raise CourseError(
            f"cannot load {preset.name}: {channels_sentence(channels)}; choose another model."
        )


def _input_channels(folder: Path) -> int | None:
    """Of a folder's UNet; None where that cannot be read, which diffusers then words."""
    try:
        return int(json.loads((folder / "unet" / "config.json").read_text("utf-8"))["in_channels"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
            if fault := fault_of(file):
                yield f"{part}/{file.name} {fault}"


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
