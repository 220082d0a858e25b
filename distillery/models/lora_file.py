"""LoRA weights as other programs save them, laid on a model's own layers.

Kohya's scripts, peft and diffusers write the same two factors under different names, with a factor
on their product said in other places. A layer is found by its name without prefixes and with "_"
for every ".", so that all of these spellings are one.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.models.ldm_names import ldm_blocks, ldm_name
from distillery.models.weight_files import course_path, fault_of

NAMES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")  # diffusers', peft's
PEFT_CONFIG = "adapter_config.json"
METADATA = "lora_adapter_metadata"  # diffusers' key in the header of the file
HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]*\w")
# The ends of the names, with or without the name of an adapter.
DOWN = r"lora_A|lora_down|lora\.down|lora_linear_layer\.down|_lora\.down|down"
UP = DOWN.replace("lora_A", "lora_B").replace("down", "up")
FACTOR = re.compile(rf"(?P<stem>.+?)\.?(?:(?P<down>{DOWN})|(?P<up>{UP}))(?:\.\w+)?\.weight")
ALPHA = re.compile(r"(?P<stem>.+)\.alpha")
OTHER_METHODS = {
    r"dora_scale|lora_magnitude_vector": "DoRA",
    r"hada_w\d": "LoHa",
    r"lokr_w\d": "LoKr",
    r"oft_(blocks|diag|r)|boft_": "OFT",
    r"ia3_|on_input$": "IA3",
    r"lora_mid|lora_[tT]\d": "a LoCon with a factor in the middle",
    r"\.diff(_b)?$|lora_(A|B|up|down)(\.\w+)?\.bias$|lora_bias": "LoRA with biases",
    r"lora_embedding_": "LoRA of embeddings",
}
OTHER_MODELS = re.compile(r"double_blocks|single_blocks|joint_blocks|single_transformer_blocks")
PREFIXES = {  # of names with "_" for "."; the longest first
    "base_model_model_": "",
    "lycoris_": "",
    "model_diffusion_model_": "unet",
    "diffusion_model_": "unet",
    "lora_unet_": "unet",
    "unet_": "unet",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "lora_te_": "text_encoder",
    "text_encoders_clip_l_transformer_": "text_encoder",
    "text_encoders_clip_g_transformer_": "text_encoder_2",
    "text_encoder_2_": "text_encoder_2",
    "text_encoder_": "text_encoder",
    "te1_": "text_encoder",
    "te2_": "text_encoder_2",
}
IN_TEXT_ENCODER = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}


@dataclass(frozen=True)
class Update:
    """What a LoRA adds to one layer: scale × up @ down.

    part: "unet", "text_encoder" or "text_encoder_2".
    layer: its name in that part.
    down: (rank, inputs), float32; a convolution's inputs are channels × height × width.
    up: (outputs, rank), float32.
    """

    part: str
    layer: str
    down: Tensor
    up: Tensor
    scale: float


@dataclass(frozen=True)
class LoraFile:
    """Tensors by their written names, and what the file or its folder says of them.

    told: part of the model ("" for the first) -> settings of peft, as "lora_alpha".
    """

    source: str
    tensors: Mapping[str, Tensor]
    told: Mapping[str, Mapping[str, Any]]


def refused(source: str, why: str, remedy: str = "") -> CourseError:
    """The sentence about LoRA weights that cannot be used."""
    remedy = remedy or "give a safetensors file that was trained for this model"
    return CourseError(f"cannot use the LoRA weights {source!r} ({why}); {remedy}.")


def read_lora(source: str | Path) -> LoraFile:
    """Read a file, a folder with one, or the file of a hub id.

    Raises:
        CourseError: there is none, it is damaged, or it is of another method than LoRA.
    """
    source = str(source)
    file = _file_of(source)
    if fault := fault_of(file):
        raise refused(source, f"{file.name} {fault}")
    with safe_open(file, framework="pt") as opened:
        written = (opened.metadata() or {}).get(METADATA, "")
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    if not tensors:
        raise refused(source, f"{file.name} is empty")
    for pattern, method in OTHER_METHODS.items():
        found = sum(re.search(pattern, name) is not None for name in tensors)
        if found:
            raise refused(
                source,
                f"0 of its {len(tensors)} tensors were used, as {found} are of {method}, which "
                "is not supported",
                "give a plain LoRA",
            )
    return LoraFile(source, tensors, _told(source, file, written))


def _file_of(source: str) -> Path:
    place = course_path(source)
    if place.is_dir():
        return place / _one_of(source, sorted(file.name for file in place.glob("*.safetensors")))
    if place.exists():
        return place
    if HUB_ID.fullmatch(source) and not source.endswith(".safetensors"):
        return _fetched(source)
    raise refused(source, "there is no such file or folder")


def _one_of(source: str, names: list[str]) -> str:
    """The file of weights among those of a folder."""
    named = [name for name in NAMES if name in names]
    others = [name for name in names if not name.startswith(("vae", "."))]
    if named:
        return named[0]
    if len(others) == 1:
        return others[0]
    if not others:
        raise refused(source, "the folder holds no weights in safetensors")
    raise refused(source, f"the folder has {', '.join(others)}", "name the file")


def _fetched(source: str) -> Path:
    from huggingface_hub import hf_hub_download, list_repo_files

    try:
        names = [name for name in list_repo_files(source) if name.endswith(".safetensors")]
        name = _one_of(source, names)
        if name == NAMES[1]:
            hf_hub_download(source, PEFT_CONFIG)
        return Path(hf_hub_download(source, name))
    except CourseError:
        raise
    # The hub fails in its own dozen ways; a file that was fetched before is still here.
    except Exception as error:
        for name in NAMES:
            try:
                return Path(hf_hub_download(source, name, local_files_only=True))
            except Exception:
                continue
        raise refused(
            source,
            "there is no such file or folder, and the hub cannot be asked",
            "give a safetensors file, or connect to the internet",
        ) from error


def _told(source: str, file: Path, written: str) -> dict[str, dict[str, Any]]:
    """Settings of peft by part of the model, from the header or from the file beside it."""
    told: dict[str, dict[str, Any]] = {}
    config = file.parent / PEFT_CONFIG
    try:
        for name, value in (json.loads(written) if written else {}).items():
            part, _, key = name.partition(".")
            told.setdefault(part, {})[key] = value
        if not told and file.name == NAMES[1] and config.exists():
            told = {"": json.loads(config.read_text(encoding="utf-8-sig"))}
        patterns = [(settings.get("alpha_pattern") or {}).items() for settings in told.values()]
        for pattern, _ in itertools.chain(*patterns):
            re.compile(pattern)
    except (ValueError, OSError, AttributeError, re.error) as error:
        raise refused(source, "what it says of its rank and alpha cannot be read") from error
    if any(settings.get("use_dora") for settings in told.values()):
        raise refused(
            source,
            f"0 of {file.name}'s tensors were used, as they are of DoRA, which is not supported",
            "give a plain LoRA",
        )
    return told


Places = dict[str, tuple[str, Tensor]]  # name with "_" for "." -> name of a layer, its weight


def updates_for(lora: LoraFile, parts: Mapping[str, nn.Module]) -> list[Update]:
    """Lay the weights on a model's layers, all of them.

    Args:
        lora: of `read_lora`.
        parts: "unet" and, where the model has them, "text_encoder" and "text_encoder_2".

    Raises:
        CourseError: a tensor fits no layer; the sentence says how many of how many do.
    """
    places = {part: dict(_layers(part, module)) for part, module in parts.items()}
    stems = _stems(lora.tensors)
    updates, landed, misfits = [], 0, []
    for stem, names in stems.items():
        update = _update(lora, stem, names, places)
        if isinstance(update, Update):
            updates.append(update)
            landed += len(names)
        else:
            misfits.append(update)
    if landed < len(lora.tensors):
        written = {name for names in stems.values() for name in names.values()}
        misfits += [f"{name} is none of a LoRA's" for name in lora.tensors if name not in written]
        if any(map(OTHER_MODELS.search, lora.tensors)):
            misfits = ["it is for Flux, SD3 or the like"]
        raise refused(
            lora.source, f"{landed} of its {len(lora.tensors)} tensors fit this model: {misfits[0]}"
        )
    return updates


def fuse(updates: list[Update], parts: Mapping[str, nn.Module], scale: float) -> None:
    """Add the updates to the weights of the parts, `scale` times."""
    for update in updates:
        weight = parts[update.part].get_submodule(update.layer).weight
        assert isinstance(weight, Tensor)
        added = (update.up.to(weight.device) @ update.down.to(weight.device)).view(weight.shape)
        weight.data += (added * (update.scale * scale)).to(weight.dtype)


def _layers(part: str, module: nn.Module) -> Iterator[tuple[str, tuple[str, Tensor]]]:
    blocks = ldm_blocks(module) if part == "unet" else {}
    for path, layer in module.named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d) or ".lora_" in path:
            continue
        name = path.removesuffix(".base_layer")  # of a layer with adapters
        for spelling in (name.removeprefix("text_model."), ldm_name(name, blocks)):
            if spelling:
                yield spelling.replace(".", "_"), (name, layer.weight)


def _stems(names: Mapping[str, Tensor]) -> dict[str, dict[str, str]]:
    """Name without its end -> "down", "up" and "alpha" -> the whole name."""
    stems: dict[str, dict[str, str]] = {}
    for name in names:
        if match := FACTOR.fullmatch(name):
            stems.setdefault(match["stem"], {})["down" if match["down"] else "up"] = name
        elif match := ALPHA.fullmatch(name):
            stems.setdefault(match["stem"], {})["alpha"] = name
    return stems


def _update(
    lora: LoraFile, stem: str, names: Mapping[str, str], places: Mapping[str, Places]
) -> Update | str:
    """The update that these tensors are, or in words why they are none."""
    first = next(iter(names.values()))
    if not {"down", "up"} <= names.keys():
        return f"{first} is alone, a LoRA has two factors for a layer"
    found = _place(stem, places)
    if found is None:
        return f"{first} is for a layer that this model lacks"
    part, (layer, weight) = found
    if min(lora.tensors[names[end]].ndim for end in ("down", "up")) < 2:
        return f"{first} or its partner is no matrix"
    down, up = (lora.tensors[names[end]].float().flatten(1) for end in ("down", "up"))
    if (len(up), down.shape[1]) != (len(weight), weight[0].numel()) or up.shape[1] != len(down):
        return (
            f"{first} is for a layer from {down.shape[1]} to {len(up)} numbers, and this model's "
            f"goes from {weight[0].numel()} to {len(weight)}"
        )
    if not (down.isfinite().all() and up.isfinite().all()):
        return f"{first} has numbers that are not finite"
    alpha = lora.tensors.get(names.get("alpha", ""))
    rank = len(down)
    scale = _told_scale(lora, part, layer, rank) if alpha is None else _number(alpha) / rank
    if not (math.isfinite(scale) and scale):
        return f"the alpha for {stem} is not one number other than 0"
    return Update(part, layer, down, up, scale)


def _number(value: Any) -> float:
    """NaN of what is no single number."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan


def _place(stem: str, places: Mapping[str, Places]) -> tuple[str, tuple[str, Tensor]] | None:
    """The part of the model and the layer of a name in any spelling."""
    flat, part = stem.replace(".", "_"), ""
    while prefix := next((prefix for prefix in PREFIXES if flat.startswith(prefix)), ""):
        flat, part = flat.removeprefix(prefix), PREFIXES[prefix] or part
    flat = flat.removeprefix("text_model_").replace("_processor_", "_")  # diffusers before 0.22
    spellings = [flat, f"{flat}_0"]
    for old, new in IN_TEXT_ENCODER.items():
        if flat.endswith(f"self_attn_{old}"):
            spellings.append(flat.removesuffix(old) + new)
    for where in (part,) if part else places:
        for spelling in spellings:
            if spelling in places.get(where, {}):
                return where, places[where][spelling]
    return None


def _told_scale(lora: LoraFile, part: str, layer: str, rank: int) -> float:
    """Alpha divided by the rank, or by its root; 1 where nothing is said, as in diffusers."""
    told = lora.told.get(part) or lora.told.get("", {})
    alpha = told.get("lora_alpha")
    for pattern, own in (told.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", layer):
            alpha = own
    if alpha is None:
        return 1.0
    return _number(alpha) / (rank**0.5 if told.get("use_rslora") else rank)
