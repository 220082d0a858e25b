"""Write tiny-sd as ONNX, for readers whose browser is all they have.

    python -m website.export_onnx OUT

writes text_encoder.onnx, unet.onnx, vae_decoder.onnx, vae_encoder.onnx and model.json into the
folder OUT, 22 MB in all. The weights lie in half precision, as they do in data/models/tiny-sd, and
are cast to float32 when the file is loaded: every number is then the one that Python computes with.
Each network is compared with PyTorch's before its file is written.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distillery.core.cli import documented, exit_status
from distillery.core.errors import CourseError
from distillery.core.files import atomic_write, shown
from distillery.models.load import load_prior
from distillery.models.stable_diffusion import StableDiffusionPrior
from distillery.models.words import PLAIN
from distillery.toybox import COLOURS, SCENES, THINGS

MODEL = "tiny-sd"
OPSET = 17
BRANCHES = 2  # the empty prompt and the prompt, in one call
LARGEST_ERROR = 1e-4  # of outputs that are about 1; 1e-6 to 1e-5 is usual
SMALL = 64  # tensors with fewer numbers stay as they are


class _TextEncoder(nn.Module):
    def __init__(self, prior: StableDiffusionPrior) -> None:
        super().__init__()
        self.network = prior.pipeline.text_encoder

    def forward(self, ids: Tensor) -> Tensor:
        hidden: Tensor = self.network(ids, return_dict=False)[0]
        return hidden


class _UNet(nn.Module):
    def __init__(self, prior: StableDiffusionPrior) -> None:
        super().__init__()
        self.network = prior.unet

    def forward(self, xt: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        eps: Tensor = self.network(xt, t, tokens, return_dict=False)[0]
        return eps


class _Decoder(nn.Module):
    def __init__(self, prior: StableDiffusionPrior) -> None:
        super().__init__()
        self.vae = prior.vae

    def forward(self, latents: Tensor) -> Tensor:
        image: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return image


class _Encoder(nn.Module):
    def __init__(self, prior: StableDiffusionPrior) -> None:
        super().__init__()
        self.vae = prior.vae

    def forward(self, image: Tensor) -> Tensor:
        mean: Tensor = self.vae.encode(image).latent_dist.mode()
        return mean * self.vae.config.scaling_factor


def networks(
    prior: StableDiffusionPrior,
) -> dict[str, tuple[nn.Module, dict[str, Tensor], str]]:
    """File name -> the network, its inputs by name as an example, and its output's name.

    ids:    int32 (2, L), tokens of the empty prompt and of the prompt.
    xt:     float32 (2, C, h, w), noisy latents; t float32 (2,), timesteps; tokens (2, L, D).
    latents, image: (1, C, h, w) scaled as the UNet wants them, (1, 3, H, W) in [-1, 1].
    """
    generator = torch.Generator().manual_seed(0)
    latent = (prior.latent_channels, *prior.latent_size)
    length = prior.pipeline.tokenizer.model_max_length
    width = prior.unet.config.cross_attention_dim
    ids = torch.tensor(tokens_of(prior, ["", "a red boat"]), dtype=torch.int32)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    told = {"t": torch.tensor([20.0, 980.0]), "tokens": noise(BRANCHES, length, width)}
    return {
        "text_encoder": (_TextEncoder(prior), {"ids": ids}, "tokens"),
        "unet": (_UNet(prior), {"xt": noise(BRANCHES, *latent), **told}, "eps"),
        "vae_decoder": (_Decoder(prior), {"latents": noise(1, *latent)}, "image"),
        "vae_encoder": (
            _Encoder(prior),
            {"image": noise(1, 3, *prior.image_size).clamp(-1, 1)},
            "latents",
        ),
    }


def tokens_of(prior: StableDiffusionPrior, prompts: list[str]) -> list[list[int]]:
    """The token numbers of each prompt, filled up to the model's length, cut where it is longer."""
    tokenizer = prior.pipeline.tokenizer
    found: list[list[int]] = tokenizer(prompts, padding="max_length", truncation=True).input_ids
    return found


def export(out: Path) -> dict[str, Path]:
    """Write the networks and model.json; returns name -> file.

    Raises:
        CourseError: the libraries of the extra `site` are missing, a network computes other numbers
            than PyTorch's, or a file cannot be written.
    """
    prior = load_prior(MODEL, device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    files: dict[str, Path] = {}
    facts: dict[str, Any] = {}
    for name, (network, inputs, output) in networks(prior).items():
        content = onnx_bytes(network, inputs, output)
        error = difference(content, network, inputs)
        if not error <= LARGEST_ERROR:
            raise CourseError(
                f"{name} computes other numbers as ONNX than in PyTorch: they may differ by "
                f"{LARGEST_ERROR:g} and differ by {error:.2g}; nothing was written of it. Install "
                "the versions in constraints.txt."
            )
        files[name] = out / f"{name}.onnx"
        atomic_write(files[name], content)
        digest = hashlib.sha256(content).hexdigest()
        facts[name] = {"bytes": len(content), "sha256": digest, "largest_error": error}
    files["model"] = out / "model.json"
    atomic_write(files["model"], json.dumps(description(prior, facts), ensure_ascii=False))
    return files


def onnx_bytes(network: nn.Module, inputs: dict[str, Tensor], output: str) -> bytes:
    """The network as one ONNX file with half-precision weights and float32 arithmetic.

    Raises:
        CourseError: the library onnx is missing.
    """
    onnx = _library("onnx")
    with (
        warnings.catch_warnings(),
        torch.no_grad(),
        tempfile.TemporaryDirectory(prefix="onnx-") as scratch,
    ):
        packed = Path(scratch) / "network.onnx"
        # The exporter by tracing is announced to go. It takes 1 second for the UNet where the new
        # one takes 7, and the file computes the same numbers.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            packed,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[output],
        )
        model = onnx.load(packed)
    _halve(model, onnx)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _halve(model: Any, onnx: Any) -> None:
    """Keep weights that half precision holds exactly in it, each with a cast back before its use.

    A runtime does the casts once, when it loads the file.
    """
    casts = []
    for weight in model.graph.initializer:
        whole = onnx.numpy_helper.to_array(weight)
        if whole.dtype != np.float32 or whole.size < SMALL:
            continue
        with np.errstate(over="ignore"):
            half = whole.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), whole):
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def difference(content: bytes, network: nn.Module, inputs: dict[str, Tensor]) -> float:
    """The largest absolute difference between what the file and the network compute.

    Raises:
        CourseError: the library onnxruntime is missing.
    """
    runtime = _library("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (computed,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        expected = network(*inputs.values())
    return float((torch.from_numpy(computed) - expected).abs().max())


def description(prior: StableDiffusionPrior, facts: dict[str, Any]) -> dict[str, Any]:
    """What a program must know beside the networks: schedule, shapes, tokenizer and words."""
    scheduler = prior.pipeline.scheduler.config
    tokenizer = json.loads(prior.pipeline.tokenizer.backend_tokenizer.to_str())
    return {
        "model": MODEL,
        "networks": facts,
        "latent_shape": [prior.latent_channels, *prior.latent_size],
        "image_size": list(prior.image_size),
        "schedule": {
            "timesteps": scheduler.num_train_timesteps,
            "beta_start": scheduler.beta_start,
            "beta_end": scheduler.beta_end,
            "steps_offset": scheduler.steps_offset,
        },
        "tokenizer": {
            "vocabulary": tokenizer["model"]["vocab"],
            "merges": tokenizer["model"]["merges"],
            "word_end": tokenizer["model"]["end_of_word_suffix"],
            "start": prior.pipeline.tokenizer.bos_token_id,
            "end": prior.pipeline.tokenizer.eos_token_id,
            "length": prior.pipeline.tokenizer.model_max_length,
        },
        "words": {"things": THINGS, "colours": COLOURS, "scenes": SCENES, "plain": sorted(PLAIN)},
    }


def _library(name: str) -> Any:
    """A library of the extra `site`, which the course itself does not need."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CourseError(
            f"exporting needs the Python library {name}, which is not installed: "
            'run `pip install -c constraints.txt -e ".[site]"`.'
        ) from error


def main(arguments: Iterable[str] | None = None) -> int:
    """Export, and say what was written."""
    parser = documented("python -m website.export_onnx", __doc__)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for the files")
    given = parser.parse_args(None if arguments is None else list(arguments))
    files = export(given.out)
    facts = json.loads(files["model"].read_text("utf-8"))["networks"]
    for name, path in files.items():
        told = facts.get(name)
        error = f", differs from PyTorch by {told['largest_error']:.1e}" if told else ""
        print(f"{shown(path)}: {path.stat().st_size / 1e6:.1f} MB{error}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
