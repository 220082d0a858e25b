"""Where in the picture words of a prompt apply: a bias on the logits of cross-attention.

With Q of the picture's positions p and K of the prompt's tokens j, a cross-attention layer weighs
the tokens by softmax over j of

    Q_p . K_j / sqrt(d) + bias[j, p],        bias[j, p] = sum of strength * mask[p]

over the regions that hold token j. This is the paint-with-words of eDiff-I (Balaji et al. 2022,
arXiv 2211.01324), whose strength follows the noise level and the largest logit. Here it is a plain
number; a sampler that wants it to fall makes the condition again at each step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from distillery.core.errors import CourseError


@dataclass(frozen=True)
class Region:
    """Tokens of a prompt, and where in the picture they apply.

    tokens:   their indices, as `Prior.token_indices` finds them. CLIP's mark of the end carries the
              whole prompt too; no region holds it unless its index is named.
    mask:     `(H, W)` or `(B, 1, H, W)` in [0, 1], 1 where they apply; of any resolution.
    strength: what is added to their logits where the mask is 1. At 0 nothing changes; below 0 it
              keeps the tokens away: `Region(tokens, 1 - mask, -20)` leaves them to the mask alone.
    """

    tokens: Sequence[int]
    mask: Tensor
    strength: float = 1.0


def attention_bias(regions: Sequence[Region], batch: int) -> Tensor:
    """The bias `(B, n, H, W)` of the regions, for the tokens up to the highest that one names.

    Raises:
        CourseError: there is no region, or one has no token, an index below 0, an infinite
            strength, a mask of another shape or outside [0, 1], or masks differ in size.
    """
    if not regions:
        raise CourseError("there is no region; give at least one, or leave the regions out.")
    masks = [_checked_mask(region, batch) for region in regions]
    sizes = {tuple(mask.shape[-2:]) for mask in masks}
    if len(sizes) > 1:
        raise CourseError(f"the masks of all regions must have one size; they have {sizes}.")
    count = 1 + max(max(region.tokens) for region in regions)
    bias = masks[0].new_zeros(batch, count, *masks[0].shape[-2:])
    for region, mask in zip(regions, masks, strict=True):
        for token in set(region.tokens):
            bias[:, token] += region.strength * mask[:, 0]
    return bias


def _checked_mask(region: Region, batch: int) -> Tensor:
    if not region.tokens or min(region.tokens) < 0:
        raise CourseError(
            "a region needs the indices of its tokens, from 0 on; "
            f"it has {list(region.tokens)}: take those of `token_indices`."
        )
    if not math.isfinite(region.strength):
        raise CourseError(f"a region's strength must be finite; it is {region.strength}.")
    mask = region.mask.float()
    if mask.ndim == 2:
        mask = mask.expand(batch, 1, -1, -1)
    if mask.ndim != 4 or mask.shape[:2] != (batch, 1):
        raise CourseError(
            f"a region's mask must be (H, W) or ({batch}, 1, H, W); "
            f"it is {tuple(region.mask.shape)}."
        )
    if not ((mask >= 0) & (mask <= 1)).all():
        raise CourseError("a region's mask must be from 0 to 1; scale it.")
    return mask


def fit_bias(bias: Tensor, tokens: int, size: tuple[int, int]) -> Tensor:
    """The bias `(B, n, H, W)` for all `tokens` of a condition and for latents of `size` (h, w).

    Positions take the average of what they cover; tokens without a region take 0.

    Raises:
        CourseError: a region names a token that the condition lacks.
    """
    if bias.shape[1] > tokens:
        raise CourseError(
            f"a region names token {bias.shape[1] - 1}, but the prompt has {tokens}; "
            "take the indices that `token_indices` gives."
        )
    return pad(interpolate(bias, size, mode="area"), (0, 0, 0, 0, 0, tokens - bias.shape[1]))


@contextmanager
def biased_attention(unet: nn.Module, bias: Tensor, size: tuple[int, int]) -> Iterator[None]:
    """Add a bias `(B, L, h, w)` to all cross-attention of diffusers' UNet, until the block is left.

    It reaches the layers as their attention mask, so scaled_dot_product_attention never holds the
    matrix of weights. The layers have their own processors back in the end, whatever happens.

    Args:
        size: (h, w) of the latents.
    """
    layers: list[Any] = [layer for name, layer in unet.named_modules() if name.endswith(".attn2")]
    before = [layer.processor for layer in layers]
    masks = _Masks(bias, size)
    try:
        for layer, processor in zip(layers, before, strict=True):
            layer.set_processor(_BiasedProcessor(processor, masks))
        yield
    finally:
        for layer, processor in zip(layers, before, strict=True):
            layer.set_processor(processor)


class _Masks:
    """A bias as attention masks, one for each number of positions that a layer asks for."""

    def __init__(self, bias: Tensor, size: tuple[int, int]) -> None:
        self._bias, self._size = bias, size
        self._known: dict[int, Tensor] = {}

    def of(self, positions: int) -> Tensor:
        """The mask `(B, positions, L)`."""
        if positions not in self._known:
            height, width = self._size
            while height * width > positions:  # each level of the UNet halves both, rounding up
                height, width = -(-height // 2), -(-width // 2)
            assert height * width == positions
            pooled = interpolate(self._bias, (height, width), mode="area")
            self._known[positions] = pooled.flatten(2).transpose(1, 2).contiguous()
        return self._known[positions]


class _BiasedProcessor:
    """Calls a layer's own processor with an attention mask."""

    def __init__(self, processor: Any, masks: _Masks) -> None:
        self._processor, self._masks = processor, masks

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        mask = self._masks.of(hidden_states.shape[1]).to(hidden_states.dtype)
        return self._processor(attn, hidden_states, encoder_hidden_states, mask, **options)
