"""Checkpoints in one file, and folders of other pipelines, load as the same model does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.models.clip_tokenizer import END_OF_TEXT, clip_tokenizer
from distillery.models.ldm_names import ldm_blocks, ldm_name
from distillery.models.load import load_prior
from distillery.models.presets import find_preset, trained_side
from distillery.models.single_file import CONFIGS, config_of, predicts_v
from distillery.models.stable_diffusion import StableDiffusionPrior

TINY_SD = Path("data/models/tiny-sd")
TINY_SDXL = Path("data/models/tiny-sdxl")


def prior_of(model: Path | str) -> StableDiffusionPrior:
    prior = load_prior(model, device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


def same(one: StableDiffusionPrior, other: StableDiffusionPrior) -> bool:
    """Whether two priors give the same eps and the same picture."""
    latents = torch.randn(1, 4, 8, 6, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([500])
    eps = [
        prior.predict_noise(latents, t, prior.embed(["a red boat"]))[0] for prior in (one, other)
    ]
    images = [prior.decode(latents) for prior in (one, other)]
    # The last bit depends on where the weights lie in memory.
    return torch.allclose(*eps, atol=1e-5) and torch.allclose(*images, atol=1e-5)


def weights_of(prior: StableDiffusionPrior) -> dict[str, Tensor]:
    """The checkpoint of a prior in the original names."""
    blocks = ldm_blocks(prior.unet)
    tensors = {}
    for name, weight in prior.unet.state_dict().items():
        layer, _, kind = name.rpartition(".")
        tensors[f"model.diffusion_model.{ldm_name(layer, blocks)}.{kind}"] = weight
    for name, weight in prior.vae.state_dict().items():
        tensors[f"first_stage_model.{vae_name(name, len(prior.vae.config.block_out_channels))}"] = (
            weight
        )
    for name, weight in prior.pipeline.text_encoder.state_dict().items():
        bare = name.removeprefix("text_model.")
        tensors[f"cond_stage_model.transformer.text_model.{bare}"] = weight
    return {name: weight.clone().contiguous() for name, weight in tensors.items()}


def vae_name(name: str, levels: int) -> str:
    parts = name.split(".")
    if parts[1] in ("down_blocks", "up_blocks"):
        level = int(parts[2]) if parts[1] == "down_blocks" else levels - 1 - int(parts[2])
        inner = {"resnets": "block", "downsamplers": "downsample", "upsamplers": "upsample"}
        kind = inner[parts[3]]
        rest = parts[4:] if kind == "block" else parts[5:]
        parts = [parts[0], parts[1].removesuffix("_blocks"), str(level), kind, *rest]
    elif parts[1:3] == ["mid_block", "attentions"]:
        inner = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}
        parts = [parts[0], "mid", "attn_1", inner[parts[4]], parts[-1]]
    elif parts[1] == "mid_block":
        parts = [parts[0], "mid", f"block_{int(parts[3]) + 1}", *parts[4:]]
    return (
        ".".join(parts)
        .replace("conv_shortcut", "nin_shortcut")
        .replace("conv_norm_out", "norm_out")
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny-sd` in one file, in the original names."""
    file = tmp_path_factory.mktemp("checkpoint") / "my model.v1.safetensors"
    save_file(weights_of(prior_of("tiny-sd")), file)
    return file


def test_a_checkpoint_in_one_file_is_the_same_model(checkpoint: Path) -> None:
    assert config_of(checkpoint).name == "tiny-sd"
    assert trained_side(checkpoint) == 64
    assert same(prior_of(checkpoint), prior_of("tiny-sd"))


def test_the_configuration_may_lie_beside_the_file(tiny_sd_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    save_file(weights_of(prior_of(tiny_sd_folder)), file)
    with pytest.raises(CourseError, match="put the configuration of its pipeline into the folder"):
        load_prior(file, device="cpu")

    shutil.copytree(
        tiny_sd_folder, tmp_path / "own", ignore=shutil.ignore_patterns("*.safetensors")
    )

    assert same(prior_of(file), prior_of(tiny_sd_folder))


def changed(checkpoint: Path, file: Path, **tensors: Tensor | None) -> Path:
    """The checkpoint with other tensors: names with "__" for ".", None to leave one out."""
    weights = load_file(checkpoint)
    for name, tensor in tensors.items():
        for own in [key for key in weights if key.startswith(name.replace("__", "."))]:
            del weights[own]
        if tensor is not None:
            weights[name.replace("__", ".")] = tensor
    save_file(weights, file)
    return file


FIRST = "model__diffusion_model__input_blocks__0__0__weight"
REFUSED: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "inpaint": (
        lambda whole, file: changed(whole, file, **{FIRST: torch.zeros(64, 9, 3, 3)}),
        "its UNet takes 9 channels, as for inpainting",
    ),
    "no vae": (
        lambda whole, file: changed(whole, file, first_stage_model__=None),
        "it has not an autoencoder",
    ),
    "no text": (
        lambda whole, file: changed(whole, file, cond_stage_model__=None),
        "it has not a text encoder",
    ),
    "ztsnr": (
        lambda whole, file: changed(whole, file, ztsnr=torch.zeros(1)),
        "another noise schedule",
    ),
    "flux": (
        lambda whole, file: save_file(
            {"double_blocks.0.img_attn.proj.weight": torch.ones(1)}, file
        ),
        "it is of Flux",
    ),
    "lora": (
        lambda whole, file: save_file({"lora_unet_x.lora_up.weight": torch.ones(1)}, file),
        "it is a LoRA, which the setting lora takes",
    ),
    "one network": (
        lambda whole, file: shutil.copy(TINY_SD / "unet/diffusion_pytorch_model.safetensors", file),
        "it holds one network",
    ),
    "other": (
        lambda whole, file: save_file({"a": torch.ones(1)}, file),
        "it is not in the names",
    ),
    "cut": (
        lambda whole, file: file.write_bytes(whole.read_bytes()[:-1]),
        "cut short or damaged",
    ),
    "very short": (lambda whole, file: file.write_bytes(b"\x01"), "cut short or damaged"),
    "empty": (lambda whole, file: file.write_bytes(b""), "cut short or damaged"),
    "pointer": (
        lambda whole, file: file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
        "git lfs pull",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_checkpoint_for_us_is_refused_in_a_sentence(
    case: str, checkpoint: Path, tmp_path: Path
) -> None:
    make, sentence = REFUSED[case]
    make(checkpoint, tmp_path / "x.safetensors")

    with pytest.raises(CourseError, match="cannot load") as caught:
        load_prior(tmp_path / "x.safetensors", device="cpu")

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_lacks_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    gone = "first_stage_model.decoder.conv_out.bias"
    file = changed(checkpoint, tmp_path / "x.safetensors", **{gone.replace(".", "__"): None})

    with pytest.raises(CourseError, match="it lacks weights of its networks; give the whole"):
        load_prior(file, device="cpu")


def test_a_checkpoint_whose_text_encoder_lacks_weights_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    tensors = load_file(checkpoint)
    gone = next(name for name in tensors if name.endswith("layers.0.mlp.fc1.weight"))
    save_file({name: t for name, t in tensors.items() if name != gone}, tmp_path / "x.safetensors")

    with pytest.raises(CourseError, match="lacks"):
        load_prior(tmp_path / "x.safetensors", device="cpu")


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(b"PK\x03\x04" + b"\0" * 99)

    with pytest.raises(CourseError, match="is a pickle"):
        load_prior(tmp_path / "x.ckpt", device="cpu")


@pytest.mark.parametrize(
    ("name", "spread", "config"),
    [
        ("sd15", 0.05, "sd15"),
        ("sd21", 0.2, "sd21"),
        ("sd21", 0.05, "sd21-base"),
        ("sdxl", 1, "sdxl"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_real_checkpoints_are_known_by_their_sizes(
    name: str, spread: float, config: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    """Names and shapes of the whole UNet; all but what must be read have no numbers."""
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel.from_config(
            diffusers.UNet2DConditionModel.load_config(CONFIGS / name / "unet")
        )
    blocks = ldm_blocks(unet)
    bias = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
    shapes = {
        f"model.diffusion_model.{ldm_name(layer, blocks)}.{kind}": weight.shape
        for layer, _, kind, weight in (
            (*key.rpartition("."), weight) for key, weight in unet.state_dict().items()
        )
    }
    text = "conditioner.embedders.1." if name == "sdxl" else "cond_stage_model."
    shapes |= {"first_stage_model.x": (1,), f"{text}x": (1,)}
    header, data = {}, b""
    for key, shape in shapes.items():
        content = b""
        if key == bias and name != "sdxl":
            values = torch.tensor([-spread, spread]).repeat(shape[0] // 2).to(dtype)
            content = bytes(values.view(torch.uint8).numpy())
        header[key] = {
            "dtype": {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}[dtype],
            "shape": list(shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    written = json.dumps(header).encode()
    file = tmp_path / "real.safetensors"
    file.write_bytes(len(written).to_bytes(8, "little") + written + data)

    assert config_of(file) == CONFIGS / config
    assert predicts_v(file) == (name == "sd21" and config == "sd21")
    assert find_preset(file).family == ("sdxl" if name == "sdxl" else "sd")
    assert trained_side(file) == {"sd15": 512, "sd21": 768, "sd21-base": 512, "sdxl": 1024}[config]


def test_clips_tokenizer_is_the_published_one() -> None:
    own = clip_tokenizer(END_OF_TEXT)

    assert own("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert own("a", padding="max_length").input_ids[2:] == [49407] * 75
    assert clip_tokenizer("!")("a", padding="max_length").input_ids[3:] == [0] * 74


PIPELINES = [
    (TINY_SD, "StableDiffusionImg2ImgPipeline"),
    (TINY_SD, "StableDiffusionInpaintPipeline"),
    (TINY_SD, "StableDiffusionControlNetPipeline"),
    (TINY_SDXL, "StableDiffusionXLImg2ImgPipeline"),
    (TINY_SDXL, "StableDiffusionXLInpaintPipeline"),
    (TINY_SDXL, "StableDiffusionXLControlNetPipeline"),
]


@pytest.mark.parametrize(("source", "kind"), PIPELINES, ids=[kind for _, kind in PIPELINES])
@pytest.mark.parametrize("variant", [None, "fp16"])
def test_folders_of_other_pipelines_and_variants_are_the_same_model(
    source: Path, kind: str, variant: str | None, tmp_path: Path
) -> None:
    plain = prior_of(source)
    folder = tmp_path / "Modèle 模型"
    parts = {"vae": plain.vae}  # an AutoencoderTiny is not switched over unasked
    if "ControlNet" in kind:
        parts["controlnet"] = diffusers.ControlNetModel.from_pretrained(
            "data/models/tiny-controlnet-canny"
        )
    getattr(diffusers, kind).from_pipe(plain.pipeline, **parts).save_pretrained(
        folder, variant=variant
    )

    assert same(prior_of(folder), prior_of(source))
    assert any("fp16" in file.name for file in folder.glob("unet/*")) == (variant == "fp16")


def test_an_inpainting_unet_in_a_folder_is_refused(tiny_sd_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_sd_folder, tmp_path / "inpaint")
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps({**config, "in_channels": 9}))

    with pytest.raises(CourseError, match="its UNet takes 9 channels, as for inpainting"):
        load_prior(folder, device="cpu")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "text_encoder_2"])
def test_a_folder_with_a_tensor_less_is_refused_and_not_filled_with_noise(
    part: str, tiny_sdxl_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_sdxl_folder, tmp_path / "lacking")
    (file,) = (folder / part).glob("*.safetensors")
    tensors = load_file(file)
    gone = next(name for name in tensors if name.endswith(("to_q.weight", "q_proj.weight", "bias")))
    save_file({name: t for name, t in tensors.items() if name != gone}, file, {"format": "pt"})

    with pytest.raises(CourseError, match=r"lacks") as caught:
        load_prior(folder, device="cpu")

    assert "meta" not in str(caught.value)


def test_a_pointer_of_git_lfs_in_a_folder_is_named(tiny_sd_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_sd_folder, tmp_path / "clone")
    (weights,) = (folder / "unet").glob("*.safetensors")
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")

    with pytest.raises(CourseError, match=r"is a pointer of Git LFS .* `git lfs pull`"):
        load_prior(folder, device="cpu")


def test_a_model_may_be_named_from_home_or_from_here(
    tiny_sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_sd_folder, tmp_path / "mödel")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    for name in ("~/mödel", "mödel", "mödel/", "./mödel/../mödel"):
        assert trained_side(name) == 16
        assert isinstance(load_prior(name, device="cpu"), StableDiffusionPrior)
