"""A frozen network on the CPU without the Python between its operations.

Small networks spend a quarter of their time in Python: in calls of modules, checks and arguments.
`torch.jit.trace` writes down the operations of one call, and runs them again for other numbers of
the same shapes. They are the same operations in the same order, so the result is the same to the
bit. It needs no compiler.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

CALLS_BEFORE = 24  # a trace takes as long as about fifty calls save


class TracedNetwork:
    """Calls a network of tensors, by a trace where its inputs have had these shapes before.

    Wherever a trace could differ it asks the network itself: with gradients, under autocast, beside
    the CPU, with hooks, or in a training mode. Adapters that are on have traces of their own, whose
    inputs are their weights too, because they learn.

    Args:
        network: tensors in, a tensor or a tuple of tensors out.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._calls: Counter[tuple[object, ...]] = Counter()
        self._traces: dict[tuple[object, ...], torch.jit.ScriptFunction] = {}

    def __call__(self, *inputs: Tensor) -> Any:
        """What the network gives for these inputs."""
        if not self._may_trace(inputs):
            return self.network(*inputs)
        adapters = tuple(
            _adapters_of(module) for module in self.network.modules() if _is_on(module)
        )
        learning = self._learning() if adapters else {}
        given = (*inputs, *learning.values())
        key = (adapters, *((its.shape, its.dtype, its.is_contiguous()) for its in given))
        self._calls[key] += 1
        if self._calls[key] <= CALLS_BEFORE:
            return self.network(*inputs)
        if key not in self._traces:
            self._traces[key] = self._traced(given, tuple(learning))
        return self._traces[key](*given)

    def forget(self) -> None:
        """Trace anew; for a network whose weights or parts are no longer the same."""
        self._calls.clear()
        self._traces.clear()

    def _learning(self) -> dict[str, Tensor]:
        named = self.network.named_parameters()
        return {name: weight.detach() for name, weight in named if weight.requires_grad}

    def _traced(self, given: tuple[Tensor, ...], learning: tuple[str, ...]) -> Any:
        def asked(*given: Tensor) -> Any:
            inputs = given[: len(given) - len(learning)]
            weights = dict(zip(learning, given[len(inputs) :], strict=True))
            with _holding(self.network, weights):
                return self.network(*inputs)

        # A function is traced in half the time of a module: its other weights are constants.
        # torch advises torch.compile in its place, which needs a compiler.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.trace(asked, given, check_trace=False)

    def _may_trace(self, inputs: tuple[Tensor, ...]) -> bool:
        return (
            inputs[0].device.type == "cpu"
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and all(_is_plain(module) for module in self.network.modules())
        )


@contextmanager
def _holding(network: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    # torch.func.functional_call does this too, but refuses to be traced.
    own = dict(network.named_parameters())
    try:
        for name, weight in weights.items():
            _put(network, name, weight)
        yield
    finally:
        for name in weights:
            _put(network, name, own[name])


def _put(network: nn.Module, name: str, weight: Any) -> None:
    path, _, leaf = name.rpartition(".")
    network.get_submodule(path)._parameters[leaf] = weight


def _is_plain(module: nn.Module) -> bool:
    return not (module.training or module._forward_hooks or module._forward_pre_hooks)


def _is_on(module: nn.Module) -> bool:
    # peft's layers say of themselves whether their adapters are on.
    return "lora_A" in module._modules and not module.disable_adapters


def _adapters_of(layer: Any) -> tuple[object, ...]:
    return (*layer.active_adapters, *layer.scaling.items(), *layer.merged_adapters)


class UNetOfTensors(nn.Module):
    """diffusers' UNet as a function of tensors alone, which can be traced.

    After the tokens come, for SDXL, the pooled embedding and the size, then what ControlNets add.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, xt: Tensor, t: Tensor, tokens: Tensor, *rest: Tensor) -> Tensor:
        added, residuals = _added(self.unet.config, rest)
        prediction: Tensor = self.unet(
            xt,
            t,
            tokens,
            added_cond_kwargs=added,
            down_block_additional_residuals=residuals[:-1] or None,
            mid_block_additional_residual=residuals[-1] if residuals else None,
            return_dict=False,
        )[0]
        return prediction


class ControlNetOfTensors(nn.Module):
    """diffusers' ControlNet as a function of tensors alone; the last one is the picture.

    It gives what it adds to the skip connections and, the last, to the middle.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, xt: Tensor, t: Tensor, tokens: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        added, (picture,) = _added(self.net.config, rest)
        down, middle = self.net(
            xt, t, tokens, controlnet_cond=picture, added_cond_kwargs=added, return_dict=False
        )
        return *down, middle


def _added(
    config: Any, tensors: tuple[Tensor, ...]
) -> tuple[dict[str, Tensor] | None, tuple[Tensor, ...]]:
    """SDXL's further conditions by diffusers' names, and the tensors after them."""
    if config.addition_embed_type != "text_time":
        return None, tensors
    pooled, time_ids, *others = tensors
    return {"text_embeds": pooled, "time_ids": time_ids}, tuple(others)
