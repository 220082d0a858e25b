"""A LoRA is the same in every spelling that other programs write, and lands whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.models.ldm_names import ldm_blocks, ldm_name
from distillery.models.load import load_lora, load_prior
from distillery.models.lora_file import read_lora
from distillery.models.stable_diffusion import StableDiffusionPrior

ALPHA = 3.0  # of every layer
Factors = dict[tuple[str, str], tuple[Tensor, Tensor]]  # (part, layer) -> down, up
ENDS = ("attn1.to_q", "attn2.to_v", "attn2.to_out.0", "proj_in", "conv1", "time_emb_proj", "q_proj")


def prior_of(folder: Path) -> StableDiffusionPrior:
    prior = load_prior(folder, device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


def parts_of(prior: StableDiffusionPrior) -> dict[str, torch.nn.Module]:
    names = ("unet", "text_encoder", "text_encoder_2")
    return {name: getattr(prior.pipeline, name) for name in names if hasattr(prior.pipeline, name)}


def factors_of(prior: StableDiffusionPrior) -> Factors:
    """Factors of ranks 1 to 3 for some linear layers and convolutions of all networks."""
    g = torch.Generator().manual_seed(0)
    factors: Factors = {}
    for part, module in parts_of(prior).items():
        for layer, kind in module.named_modules():
            if layer.endswith(ENDS) and hasattr(kind, "weight"):
                rank, weight = 1 + len(factors) % 3, kind.weight
                down = 0.3 * torch.randn(rank, *weight.shape[1:], generator=g)
                up = torch.randn(len(weight), rank, *[1] * (weight.ndim - 2), generator=g)
                factors[part, layer] = down, up
    return factors


def scaled(factors: Factors) -> Factors:
    """With alpha in the second factor, for spellings that do not say it."""
    return {key: (down, up * (ALPHA / len(down))) for key, (down, up) in factors.items()}


def diffusers(factors: Factors, prior: StableDiffusionPrior) -> dict[str, Tensor]:
    return {
        f"{part}.{layer}.{end}.weight": factor
        for (part, layer), pair in scaled(factors).items()
        for end, factor in zip(("lora_A", "lora_B"), pair, strict=True)
    }


def diffusers_with_prefixes_of_transformers(factors, prior) -> dict[str, Tensor]:
    return {
        re.sub(r"^(text_encoder(_2)?)\.(text_model\.)?", r"\1.text_model.", name)
        .replace("lora_A", "lora.down")
        .replace("lora_B", "lora.up"): factor
        for name, factor in diffusers(factors, prior).items()
    }


def old_diffusers(factors: Factors, prior: StableDiffusionPrior) -> dict[str, Tensor]:
    """Attention processors, as diffusers wrote before 0.22; other layers as later."""
    tensors = {}
    for name, factor in diffusers(factors, prior).items():
        direction = "down" if "lora_A" in name else "up"
        stem = name.partition(".lora_")[0]
        head, _, last = stem.removesuffix(".0").rpartition(".")
        if last.startswith("to_"):
            name = f"{head}.processor.{last}_lora.{direction}.weight"
        elif last == "q_proj":
            name = f"{head}.to_q_lora.{direction}.weight"
        else:
            name = f"{stem}.lora_linear_layer.{direction}.weight"
        tensors[name] = factor
    return tensors


def peft(factors: Factors, prior: StableDiffusionPrior) -> dict[str, Tensor]:
    """One network, as peft's `save_pretrained`: the name of the network is not in the file."""
    return {
        name.replace("unet.", "base_model.model."): factor
        for name, factor in diffusers(factors, prior).items()
        if name.startswith("unet.")
    }


def peft_with_adapter_names(factors: Factors, prior: StableDiffusionPrior) -> dict[str, Tensor]:
    return {
        f"base_model.model.{name.replace('.weight', '.default.weight')}": factor
        for name, factor in diffusers(factors, prior).items()
    }


def bare(factors: Factors, prior: StableDiffusionPrior) -> dict[str, Tensor]:
    return {
        name.removeprefix("unet."): factor
        for name, factor in diffusers(factors, prior).items()
        if name.startswith("unet.")
    }


def kohya(factors: Factors, prior: StableDiffusionPrior) -> dict[str, Tensor]:
    return _kohya(factors, lambda layer: layer.replace(".", "_"))


def kohya_in_the_original_names(factors, prior) -> dict[str, Tensor]:
    """As kohya's scripts write for SDXL."""
    blocks = ldm_blocks(prior.unet)
    return _kohya(factors, lambda layer: ldm_name(layer, blocks).replace(".", "_"))


def _kohya(factors: Factors, named: Callable[[str], str]) -> dict[str, Tensor]:
    second = any(part == "text_encoder_2" for part, _ in factors)
    heads = {
        "unet": "lora_unet_",
        "text_encoder": "lora_te1_text_model_" if second else "lora_te_text_model_",
        "text_encoder_2": "lora_te2_text_model_",
    }
    tensors = {}
    for (part, layer), (down, up) in factors.items():
        name = named(layer) if part == "unet" else layer.replace(".", "_")
        stem = heads[part] + name.removeprefix("text_model_")
        tensors[f"{stem}.lora_down.weight"] = down
        tensors[f"{stem}.lora_up.weight"] = up
        tensors[f"{stem}.alpha"] = torch.tensor(ALPHA)
    return tensors


def comfy(factors: Factors, prior: StableDiffusionPrior) -> dict[str, Tensor]:
    blocks = ldm_blocks(prior.unet)
    return {
        f"diffusion_model.{ldm_name(layer, blocks)}.{end}.weight": factor
        for (part, layer), pair in scaled(factors).items()
        for end, factor in zip(("lora_A", "lora_B"), pair, strict=True)
        if part == "unet"
    }


ONE_NETWORK = [peft, bare, comfy]
SPELLINGS = [
    diffusers,
    diffusers_with_prefixes_of_transformers,
    old_diffusers,
    peft_with_adapter_names,
    kohya,
    kohya_in_the_original_names,
    *ONE_NETWORK,
]


def eps_of(prior: StableDiffusionPrior) -> Tensor:
    latents = torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(1))
    text = prior.embed(["a boat", "a tree"])
    return prior.predict_noise(latents, torch.tensor([100, 700]), text)[0]


def by_hand(folder: Path, factors: Factors, scale: float = 1.0) -> Tensor:
    """Eps with scale × alpha / rank × up @ down added to every weight."""
    prior = prior_of(folder)
    for (part, layer), (down, up) in factors.items():
        weight = parts_of(prior)[part].get_submodule(layer).weight
        added = torch.einsum("or,r...->o...", up.flatten(1), down)
        weight.data += scale * ALPHA / len(down) * added
    return eps_of(prior)


@pytest.fixture(params=["tiny_sd_folder", "tiny_sdxl_folder"], scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_same_lora_in_every_spelling_gives_the_same_eps(
    spelling, folder: Path, tmp_path: Path
) -> None:
    prior = prior_of(folder)
    before = eps_of(prior)
    factors = factors_of(prior)
    if spelling in ONE_NETWORK:
        factors = {key: pair for key, pair in factors.items() if key[0] == "unet"}
    save_file(spelling(factors, prior), tmp_path / "lora.safetensors")

    load_lora(prior, str(tmp_path / "lora.safetensors"), scale=0.5)

    torch.testing.assert_close(eps_of(prior), by_hand(folder, factors, 0.5), atol=1e-5, rtol=1e-4)
    assert (eps_of(prior) - before).abs().max() > 0.01


@pytest.mark.parametrize(
    ("said", "scale"),
    [
        ({}, 1.0),
        ({"lora_alpha": 6}, 2.0),
        ({"lora_alpha": 6, "use_rslora": True}, 6 / 3**0.5),
        ({"lora_alpha": 6, "alpha_pattern": {"attn1.to_q": 3}}, 1.0),
        ({"lora_alpha": 6, "alpha_pattern": {"attn2.to_k": 3}}, 2.0),
    ],
)
@pytest.mark.parametrize("where", ["header", "adapter_config.json"])
def test_what_is_said_of_alpha_counts(
    said: dict, scale: float, where: str, folder: Path, tmp_path: Path
) -> None:
    prior = prior_of(folder)
    layer = next(n for n, _ in prior.unet.named_modules() if n.endswith("attn1.to_q"))
    weight = prior.unet.get_submodule(layer).weight
    down, up = torch.ones(3, weight.shape[1]), torch.full((len(weight), 3), 0.1)
    tensors = {f"unet.{layer}.lora_A.weight": down, f"unet.{layer}.lora_B.weight": up}
    told = json.dumps({f"unet.{name}": value for name, value in said.items()})
    if where == "header":
        header = {"lora_adapter_metadata": told} if said else None
        save_file(tensors, tmp_path / "pytorch_lora_weights.safetensors", header)
    else:
        save_file(tensors, tmp_path / "adapter_model.safetensors")
        (tmp_path / where).write_text(json.dumps(said))
    before = weight.clone()

    load_lora(prior, str(tmp_path))

    torch.testing.assert_close(weight - before, torch.full_like(before, 0.3 * scale))


def refusal(folder: Path, source: Path | str) -> str:
    prior = prior_of(folder)
    before = eps_of(prior)
    with pytest.raises(CourseError, match="cannot use the LoRA weights") as caught:
        load_lora(prior, str(source))
    assert torch.equal(eps_of(prior), before)  # nothing of it landed
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("spelling", [diffusers, peft, kohya])
def test_a_lora_with_one_key_too_many_is_refused_with_how_many_landed(
    spelling, folder: Path, tmp_path: Path
) -> None:
    prior = prior_of(folder)
    tensors = spelling(factors_of(prior), prior)
    total = len(tensors)
    file = tmp_path / "lora.safetensors"

    save_file({**tensors, "unet.nowhere.lora_A.weight": torch.ones(1, 2)}, file)
    assert f"{total} of its {total + 1} tensors fit this model" in refusal(folder, file)

    first = next(iter(tensors))
    save_file({**tensors, first: torch.ones(1, 999)}, file)
    beside = 3 if spelling is kohya else 2  # its pair, and its alpha
    assert f"{total - beside} of its {total} tensors fit this model" in refusal(folder, file)

    save_file({**tensors, "loss": torch.ones(1)}, file)
    assert "loss is none of a LoRA's" in refusal(folder, file)

    save_file({**tensors, first: tensors[first] * float("nan")}, file)
    assert "not finite" in refusal(folder, file)


@pytest.mark.parametrize("alpha", [[float("nan")], [float("inf")], [0.0], [1.0, 2.0]])
def test_an_alpha_that_is_no_number_or_undoes_the_lora_is_refused(
    alpha: list[float], tiny_sd_folder: Path, tmp_path: Path
) -> None:
    prior = prior_of(tiny_sd_folder)
    tensors = kohya(factors_of(prior), prior)
    name = next(name for name in tensors if name.endswith(".alpha"))
    save_file({**tensors, name: torch.tensor(alpha)}, tmp_path / "lora.safetensors")

    sentence = refusal(tiny_sd_folder, tmp_path / "lora.safetensors")

    assert f"{len(tensors) - 3} of its {len(tensors)} tensors fit this model: the alpha" in sentence


@pytest.mark.parametrize(
    "said",
    [
        '{"lora_alpha": "much"}',
        "[1]",
        '{"alpha_pattern": ["a"]}',
        '{"lora_alpha": 2, "alpha_pattern": {"(": 1}}',
        "7",
    ],
)
def test_settings_of_peft_that_make_no_sense_are_one_sentence(
    said: str, tiny_sd_folder: Path, tmp_path: Path
) -> None:
    prior = prior_of(tiny_sd_folder)
    save_file(peft(factors_of(prior), prior), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(said)

    assert "alpha" in refusal(tiny_sd_folder, tmp_path)


@pytest.mark.parametrize("shape", [(), (8,)])
def test_a_factor_that_is_no_matrix_is_refused(
    shape: tuple[int, ...], tiny_sd_folder: Path, tmp_path: Path
) -> None:
    prior = prior_of(tiny_sd_folder)
    tensors = diffusers(factors_of(prior), prior)
    first = next(iter(tensors))
    save_file({**tensors, first: torch.ones(shape)}, tmp_path / "lora.safetensors")

    assert "no matrix" in refusal(tiny_sd_folder, tmp_path / "lora.safetensors")


@pytest.mark.parametrize(
    ("end", "method"),
    [
        ("dora_scale", "DoRA"),
        ("lora_magnitude_vector", "DoRA"),
        ("hada_w1_a", "LoHa"),
        ("lokr_w1", "LoKr"),
        ("oft_blocks", "OFT"),
        ("lora_mid.weight", "LoCon"),
    ],
)
def test_methods_beside_lora_are_named(
    end: str, method: str, tiny_sd_folder: Path, tmp_path: Path
) -> None:
    prior = prior_of(tiny_sd_folder)
    tensors = kohya(factors_of(prior), prior)
    stem = next(iter(tensors)).partition(".")[0]
    save_file({**tensors, f"{stem}.{end}": torch.ones(2)}, tmp_path / "lora.safetensors")

    sentence = refusal(tiny_sd_folder, tmp_path / "lora.safetensors")

    assert method in sentence
    assert f"0 of its {len(tensors) + 1} tensors were used" in sentence


def test_dora_that_peft_says_beside_the_file_is_named(tiny_sd_folder: Path, tmp_path: Path) -> None:
    prior = prior_of(tiny_sd_folder)
    save_file(peft(factors_of(prior), prior), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text('{"use_dora": true}')

    assert "DoRA" in refusal(tiny_sd_folder, tmp_path)


def test_a_lora_of_flux_is_named(tiny_sd_folder: Path, tmp_path: Path) -> None:
    names = ("lora_A", "lora_B")
    save_file(
        {
            f"transformer.single_transformer_blocks.0.attn.to_q.{n}.weight": torch.ones(2, 2)
            for n in names
        },
        tmp_path / "lora.safetensors",
    )

    sentence = refusal(tiny_sd_folder, tmp_path / "lora.safetensors")

    assert "0 of its 2 tensors fit this model: it is for Flux" in sentence


def test_files_that_cannot_be_read_are_refused_with_the_reason(
    tiny_sd_folder: Path, tmp_path: Path
) -> None:
    prior = prior_of(tiny_sd_folder)
    whole = tmp_path / "lora.safetensors"
    save_file(kohya(factors_of(prior), prior), whole)
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-9])
    (tmp_path / "lfs.safetensors").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    )
    (tmp_path / "lora.bin").write_bytes(b"\x80\x02")
    (tmp_path / "none").mkdir()

    assert "cut.safetensors is cut short or damaged" in refusal(
        tiny_sd_folder, tmp_path / "cut.safetensors"
    )
    assert "git lfs pull" in refusal(tiny_sd_folder, tmp_path / "lfs.safetensors")
    assert "is a pickle" in refusal(tiny_sd_folder, tmp_path / "lora.bin")
    assert "there is no such file" in refusal(tiny_sd_folder, "~nobody-here/lora.safetensors")
    assert "the folder holds no weights" in refusal(tiny_sd_folder, tmp_path / "none")
    assert "name the file" in refusal(tiny_sd_folder, tmp_path)


def test_paths_may_begin_at_home_and_have_any_letters(
    tiny_sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = prior_of(tiny_sd_folder)
    (tmp_path / "Stil für Bär").mkdir()
    save_file(kohya(factors_of(prior), prior), tmp_path / "Stil für Bär" / "学習.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    counts = {
        len(read_lora(source).tensors)
        for source in (
            "~/Stil für Bär",
            "~/Stil für Bär/学習.safetensors",
            "Stil für Bär/",
            "./Stil für Bär/../Stil für Bär/学習.safetensors",
        )
    }

    assert len(counts) == 1
