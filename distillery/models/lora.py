"""The second denoiser of VSD: the prior's own UNet with low-rank adapters in its attention.

There is one UNet in memory. The adapters (LoRA, Hu et al. 2021, arXiv 2106.09685, by peft) are on
only while the adapted network is asked, so the prior stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.models.parameterization import v_from_eps
from distillery.models.prior import Condition, Prior
from distillery.models.stable_diffusion import StableDiffusionPrior

ADAPTER = "distillery"
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


class LoraDenoiser(nn.Module):
    """The UNet of `prior` with adapters of `rank` in all its attention layers.

    It begins as the prior itself, because the second factor of every adapter begins at zero; the
    first is drawn from `generator`, with variance 1 / (width of its input). Its parameters and its
    state are those of the adapters alone, in float32. A new one takes the place of an earlier one
    on the same prior.

    Raises:
        CourseError: the prior has no UNet, or the rank is below 1 or above a layer's width.
    """

    def __init__(self, prior: Prior, *, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        if not isinstance(prior, StableDiffusionPrior):
            raise CourseError(
                "VSD trains a LoRA in a UNet and this model has none; choose a Stable Diffusion "
                "or SDXL model."
            )
        self._prior = prior
        self._layers = _with_adapters(prior.unet, rank)
        self.factors = nn.ParameterList()
        for layer in self._layers:
            first: Tensor = layer.lora_A[ADAPTER].weight
            second: Tensor = layer.lora_B[ADAPTER].weight
            noise = torch.randn(first.shape, generator=generator, device=generator.device)
            first.data.copy_(noise / first.shape[1] ** 0.5)
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


def _with_adapters(unet: Any, rank: int) -> list[Any]:
    """Put adapters into the attention of `unet`, in place of earlier ones."""
    if ADAPTER in getattr(unet, "peft_config", {}):
        unet.delete_adapters(ADAPTER)
    widest = min(
        min(layer.in_features, layer.out_features)
        for name, layer in unet.named_modules()
        if name.endswith(tuple(ATTENTION))
    )
    if not 1 <= rank <= widest:
        raise CourseError(
            f"lora_rank must be from 1 to {widest}, the width of the narrowest attention layer of "
            f"this model; it is {rank}."
        )
    unet.add_adapter(
        LoraConfig(r=rank, lora_alpha=rank, target_modules=ATTENTION), adapter_name=ADAPTER
    )
    layers = [layer for layer in unet.modules() if isinstance(layer, LoraLayer)]
    for layer in layers:
        for factor in (layer.lora_A[ADAPTER], layer.lora_B[ADAPTER]):
            factor.float().requires_grad_(True)
    return layers
