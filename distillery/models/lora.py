"""A second denoiser, the prior's own UNet with low-rank adapters: VSD's, and that of a fine-tuning.

There is one UNet in memory. The adapters (LoRA, Hu et al. 2021, arXiv 2106.09685, by peft) are on
only while the adapted network is asked, so the prior stays what it was.

peft and diffusers are imported where they are used: they take seconds, and the answers that name a
`LoraDenoiser` are mostly checked without one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from distillery.core.errors import CourseError, in_short
from distillery.models.lora_file import read_lora, updates_for
from distillery.models.parameterization import v_from_eps
from distillery.models.prior import Condition, Prior

ADAPTER = "distillery"
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
# And the convolutions of the residual blocks, and the layers after the attention.
ALL_LAYERS = (*ATTENTION, "conv1", "conv2", "ff.net.0.proj", "ff.net.2")
WEIGHTS = "pytorch_lora_weights.safetensors"  # diffusers' own name


class LoraDenoiser(nn.Module):
    """The UNet of `prior` with adapters of `rank` in all its attention layers, or in others too.

    It begins as the prior itself, because the second factor of every adapter begins at zero; the
    first is drawn from `generator`, with variance 1 / (width of its input). Its parameters and its
    state are those of the adapters alone, in float32. A new one takes the place of an earlier one
    on the same prior.

    Args:
        layers: the ends of the names of the layers to adapt, `ATTENTION` or `ALL_LAYERS`.
        named: what a sentence calls the rank.

    Raises:
        CourseError: the prior has no UNet, or the rank is below 1 or above the narrowest attention
            layer's width.
    """

    def __init__(
        self,
        prior: Prior,
        *,
        rank: int,
        generator: torch.Generator,
        layers: Sequence[str] = ATTENTION,
        named: str = "lora_rank",
    ) -> None:
        from distillery.models.stable_diffusion import StableDiffusionPrior

        super().__init__()
        if not isinstance(prior, StableDiffusionPrior):
            raise CourseError(
                "a LoRA is trained in a UNet and this model has none; choose a Stable Diffusion "
                "or SDXL model."
            )
        self._prior = prior
        _check_rank(prior.unet, rank, named)
        self._layers = _with_adapters(prior.unet, rank, layers)
        self.factors = nn.ParameterList()
        for layer in self._layers:
            first: Tensor = layer.lora_A[ADAPTER].weight
            second: Tensor = layer.lora_B[ADAPTER].weight
            noise = torch.randn(first.shape, generator=generator, device=generator.device)
            first.data.copy_(noise / first[0].numel() ** 0.5)
            second.data.zero_()
            self.factors += [first, second]
        self._turn(on=False)

    def alpha_bar(self, t: Tensor) -> Tensor:
        """Noise level of the timesteps `t` `(B,)` as `(B, 1, 1, 1)`."""
        return self._prior.alpha_bar(t)

    def predict_noise(self, xt: Tensor, t: Tensor, *conditions: Condition) -> tuple[Tensor, ...]:
        """As a prior's `predict_noise`, by the adapted network and without gradient."""
        with self._adapted():
            return self._prior.predict_noise(xt, t, *conditions)

    def predict(self, xt: Tensor, t: Tensor, text: Condition) -> Tensor:
        """What the adapted network itself predicts, eps or v `(B, C, h, w)`, with its graph."""
        with self._adapted():
            return self._prior.network(xt, t, text)

    def target(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """What `predict` should have given for x0 noised by `eps` to `t`: eps, or v."""
        return v_from_eps(x0, eps, self.alpha_bar(t)) if self._prior.predicts_v else eps

    def go_on_from(self, file: Path) -> None:
        """Take the adapters that `saved` wrote, or any of the same layers and rank.

        Raises:
            CourseError: the file cannot be read, or is of other layers or another rank.
        """
        from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict

        own = get_peft_model_state_dict(self._prior.unet, adapter_name=ADAPTER)
        state = {}
        for update in updates_for(read_lora(file), {"unet": self._prior.unet}):
            down, up = f"{update.layer}.lora_A.weight", f"{update.layer}.lora_B.weight"
            # A convolution's factors are flat in an update, and alpha is the rank here.
            state[down] = update.down.view(-1, *own.get(down, update.down).shape[1:])
            state[up] = (update.scale * update.up).view(
                *update.up.shape, *own.get(up, update.up).shape[2:]
            )
        if {name: f.shape for name, f in own.items()} != {
            name: f.shape for name, f in state.items()
        }:
            raise CourseError(
                f"the LoRA weights {str(file)!r} are of another model, rank or other layers; take "
                "the settings that they were trained with."
            )
        set_peft_model_state_dict(self._prior.unet, state, adapter_name=ADAPTER)

    def saved(self) -> bytes:
        """The adapters in half precision, a file that diffusers' `load_lora_weights` reads.

        Its metadata says rank and alpha; the same adapters give the same bytes.

        Raises:
            CourseError: the folder of temporary files is full.
        """
        from peft.utils import get_peft_model_state_dict

        config = self._prior.unet.peft_config[ADAPTER]
        told = {
            "r": config.r,
            "lora_alpha": config.lora_alpha,
            "target_modules": sorted(config.target_modules),
        }
        state = get_peft_model_state_dict(self._prior.unet, adapter_name=ADAPTER)
        half = {name: factor.detach().half().cpu().contiguous() for name, factor in state.items()}
        with TemporaryDirectory() as folder:
            try:
                self._prior.pipeline.save_lora_weights(
                    folder, unet_lora_layers=half, unet_lora_adapter_metadata=told
                )
            except (OSError, SafetensorError) as error:
                raise CourseError(
                    f"cannot write the LoRA into {gettempdir()} ({in_short(error)}); free some "
                    "space there and run again."
                ) from error
            return in_order((Path(folder) / WEIGHTS).read_bytes())

    @contextmanager
    def _adapted(self) -> Iterator[None]:
        self._turn(on=True)
        try:
            yield
        finally:
            self._turn(on=False)

    def _turn(self, *, on: bool) -> None:
        # Only the switch itself: peft's own method also takes requires_grad from the adapters.
        for layer in self._layers:
            layer._disable_adapters = not on


def in_order(file: bytes) -> bytes:
    """The bytes of a safetensors file with sorted metadata; the library writes a random order."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + file[start:]


def _check_rank(unet: Any, rank: int, named: str) -> None:
    widest = min(
        min(layer.in_features, layer.out_features)
        for name, layer in unet.named_modules()
        if name.endswith(ATTENTION)
    )
    if not 1 <= rank <= widest:
        raise CourseError(
            f"{named} must be from 1 to {widest}, the width of the narrowest attention layer of "
            f"this model; it is {rank}."
        )


def _with_adapters(unet: Any, rank: int, names: Sequence[str]) -> list[Any]:
    """Put adapters into these layers of `unet`, in place of earlier ones."""
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer

    if ADAPTER in getattr(unet, "peft_config", {}):
        unet.delete_adapters(ADAPTER)
    unet.add_adapter(
        LoraConfig(r=rank, lora_alpha=rank, target_modules=[*names]), adapter_name=ADAPTER
    )
    layers: list[Any] = [layer for layer in unet.modules() if isinstance(layer, LoraLayer)]
    for layer in layers:
        layer.train(unet.training)  # peft's are in training mode, and so could not be traced
        for factor in (layer.lora_A[ADAPTER], layer.lora_B[ADAPTER]):
            factor.float().requires_grad_(True)
    return layers
