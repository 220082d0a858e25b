"""Which words apply where: four ways to bind parts of a prompt to regions of the picture.

Masks are `(B, K, H, W)` in [0, 1] or `(K, H, W)` for the whole batch, 1 inside the k-th region; of
any resolution. Where regions overlap, the first one has the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from distillery.models.prior import Condition

AWAY = -30.0  # a logit that leaves a token no weight, and stays finite in half precision


def disjoint(masks: Tensor) -> Tensor:
    """The masks with each place left to the first region that has it."""
    taken = torch.cat([torch.zeros_like(masks[..., :1, :, :]), masks[..., :-1, :, :]], dim=-3)
    return masks * (1 - taken).clamp(min=0).cumprod(dim=-3)


def regional_attention(whole: Condition, parts: Sequence[Condition], masks: Tensor) -> Condition:
    """Each region attends to the tokens of its own prompt, the rest of the picture to the whole's.

    The prompts' tokens stand one after another, so the sentence of one thing says nothing of the
    colour of another one; `long_as` makes the unconditional branch as long.
    """
    masks = disjoint(masks.expand(len(whole), -1, -1, -1))
    rest = (1 - masks.sum(1, keepdim=True)).clamp(min=0)
    conditions = [whole, *parts]
    bias = [
        AWAY * (1 - mask).unsqueeze(1).expand(-1, part.tokens.shape[1], -1, -1)
        for part, mask in zip(conditions, torch.cat([rest, masks], dim=1).unbind(1), strict=True)
    ]
    tokens = torch.cat([part.tokens for part in conditions], dim=1)
    return replace(whole, tokens=tokens, attention_bias=torch.cat(bias, dim=1))


def long_as(condition: Condition, other: Condition) -> Condition:
    """The condition with its tokens repeated to the number of the other's; attention is unmoved."""
    times = other.tokens.shape[1] // condition.tokens.shape[1]
    return replace(condition, tokens=condition.tokens.repeat(1, times, 1))
