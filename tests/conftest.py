"""Tiny pipelines with random weights, saved by diffusers itself, one folder of each format."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import string
from collections.abc import Callable
from pathlib import Path

# Before torch is loaded, for this process and all that tests start: tensors of tests are small, and
# threads of several workers would wait for each other's processors.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import diffusers
import open_clip
import pytest
import torch
import transformers
from course_copies import copied_course
from safetensors.torch import save_file

from distillery.models import annotators, load

pytest.register_assert_rewrite("running")  # so that a failure there shows its values

START, END = "<|startoftext|>", "<|endoftext|>"
MOST_WORKERS = 4  # each has torch and its models in memory
LONGEST = (  # in the names of those that take longest
    "built_checked_and_graded",
    "nothing_to_say",
    "runs_to_its_end",
)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, because many tests wait for a process or a limit."""
    return min((os.cpu_count() or 1) + 1, MOST_WORKERS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first, so that no worker is left with one when the others are done.

    Each worker begins with a stretch of the list as long as any other's, so every stretch has its
    share of them.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    longest = [item for item in items if any(name in item.name for name in LONGEST)]
    others = [item for item in items if item not in longest]
    items.clear()
    left = len(longest) + len(others)
    for worker in range(workers):
        own = longest[worker::workers]
        size = left // (workers - worker)
        more = max(0, size - len(own))
        items += own + others[:more]
        del others[:more]
        left -= size
    items += others


def clip_tokenizer(folder: Path) -> transformers.CLIPTokenizer:
    """A tokenizer that spells: one token for each letter, in CLIP's own file format."""
    folder.mkdir(parents=True)
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    tokens = [*letters, *(letter + "</w>" for letter in letters), START, END]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def clip_text_config(
    tokenizer: transformers.CLIPTokenizer, hidden_size: int
) -> transformers.CLIPTextConfig:
    return transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=8,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def autoencoder() -> diffusers.AutoencoderKL:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
        scaling_factor=0.7,
    )


def unet(cross_attention_dim: int, **options: object) -> diffusers.UNet2DConditionModel:
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=4,
        cross_attention_dim=cross_attention_dim,
        **options,
    )


def scheduler(prediction_type: str) -> diffusers.DDIMScheduler:
    return diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )


def save_sd(folder: Path, prediction_type: str) -> Path:
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    diffusers.StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=transformers.CLIPTextModel(clip_text_config(tokenizer, hidden_size=8)),
        tokenizer=tokenizer,
        unet=unet(cross_attention_dim=8),
        scheduler=scheduler(prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_sd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion's format, predicting eps."""
    return save_sd(tmp_path_factory.mktemp("models") / "sd", "epsilon")


@pytest.fixture(scope="session")
def tiny_sd_v_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion's format, predicting v; the weights are those of `tiny_sd_folder`."""
    return save_sd(tmp_path_factory.mktemp("models") / "sd-v", "v_prediction")


def save_sdxl(folder: Path, vae: diffusers.ModelMixin) -> Path:
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    config = clip_text_config(tokenizer, hidden_size=8)
    diffusers.StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(config),
        text_encoder_2=transformers.CLIPTextModelWithProjection(config),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet(
            cross_attention_dim=16,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=6 * 4 + 8,
        ),
        scheduler=scheduler("epsilon"),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SDXL's format: two text encoders, a pooled embedding and time ids."""
    return save_sdxl(tmp_path_factory.mktemp("models") / "sdxl", autoencoder())


@pytest.fixture(scope="session")
def tiny_sdxl_tiny_vae_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SDXL's format with an `AutoencoderTiny` of factor 8, as `data/models/tiny-sdxl` has."""
    torch.manual_seed(1)
    vae = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    )
    return save_sdxl(tmp_path_factory.mktemp("models") / "sdxl", vae)


@pytest.fixture(scope="session")
def tiny_controlnet_folders(
    tiny_sdxl_tiny_vae_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """ControlNets for `tiny_sdxl_tiny_vae_folder` that have learnt something, by kind."""
    reader = diffusers.UNet2DConditionModel.from_pretrained(tiny_sdxl_tiny_vae_folder / "unet")
    folders = {}
    for seed, kind in enumerate(("canny", "depth")):
        torch.manual_seed(seed)
        net = diffusers.ControlNetModel.from_unet(
            reader, conditioning_embedding_out_channels=(4, 4, 8, 8)
        )
        # Their convolutions start at zero and add nothing.
        silent = [net.controlnet_cond_embedding.conv_out, net.controlnet_mid_block]
        for convolution in (*silent, *net.controlnet_down_blocks):
            torch.nn.init.normal_(convolution.weight, std=0.3)
        folders[kind] = tmp_path_factory.mktemp("models") / f"controlnet-{kind}"
        net.save_pretrained(folders[kind])
    return folders


@pytest.fixture
def tiny_repository(
    tiny_sdxl_tiny_vae_folder: Path,
    tiny_controlnet_folders: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A repository whose tiny-sdxl and ControlNets are random, and whose depths are a ramp."""
    repository = tmp_path_factory.mktemp("repository")
    models = repository / "data" / "models"
    models.mkdir(parents=True)
    (models / "tiny-sdxl").symlink_to(tiny_sdxl_tiny_vae_folder)
    for kind, folder in tiny_controlnet_folders.items():
        (models / f"tiny-controlnet-{kind}").symlink_to(folder)

    def ramp(images: torch.Tensor, *, model: str) -> torch.Tensor:
        return torch.linspace(0, 1, images.shape[-1]).expand_as(images)

    monkeypatch.setattr(load, "REPOSITORY", repository)
    monkeypatch.setattr(annotators, "depths", ramp)
    return repository


@pytest.fixture(scope="session")
def tiny_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """open_clip's format, with the tokenizer beside the weights."""
    folder = tmp_path_factory.mktemp("models") / "clip"
    tokenizer = clip_tokenizer(folder)
    tokenizer.save_pretrained(folder)
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "beside the weights",
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    return folder


@pytest.fixture
def red_boat(tiny_sd_folder: Path) -> list[str]:
    """Arguments of main.py for a short run of the reference; `--out` is left to the test."""
    options = {
        "--prompt": "a red boat",
        "--model": str(tiny_sd_folder),
        "--implementation": "reference",
        "--device": "cpu",
        "--steps": "8",
    }
    return [word for option in options.items() for word in option]


@pytest.fixture
def tree() -> Callable[[Path], dict[str, bytes]]:
    """A function that reads every file under a folder, hidden ones too, by relative path."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            file.relative_to(folder).as_posix(): file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file()
        }

    return read


@pytest.fixture(scope="session")
def once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str, Callable[[Path], object]], Path]:
    """A function that makes a folder once in a run, for all workers and files of tests.

    `once(name, make)` calls `make(folder)` in the worker that comes first; the others wait for it.
    It returns the folder, in which nobody may write.
    """
    base = tmp_path_factory.getbasetemp()
    # Workers have folders of their own within the run's.
    base = base if worker_id == "master" else base.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = base / "once" / name
        folder.parent.mkdir(exist_ok=True)
        with open(base / "once" / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (base / "once" / f"{name}.done").exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a test that failed here
                make(folder)
                (base / "once" / f"{name}.done").touch()
        return folder

    return made


@pytest.fixture(scope="session")
def released(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A course folder with stages 0 and 1 released; nobody may write in it."""
    from grading.release.course_folder import release
    from grading.stages import STAGES

    return once("class", lambda course: release(STAGES[:2], course, say=lambda line: None))


@pytest.fixture
def released_course(released: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return copied_course(released, tmp_path / "class")
