"""The best of n candidates, by the faithfulness loss in the middle of the way.

SDEdit's knob trades one thing for the other: more noise gives pictures of the model's world, each
with a layout of its own. But among several of them one is nearer to the painting than most. It is
random search over the noise (Ma et al. 2025, arXiv 2501.09732, section 3) with the faithfulness
loss as its verifier. The layout is settled long before the picture is finished, so candidates are
compared by their x0 at a level in between, and the best alone is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from distillery.methods.ddim import DDIMStep
from distillery.methods.guided_ddim import Change, Noise, Prediction


def chosen_after(
    index: int,
    others: Callable[[], Iterable[DDIMStep]],
    loss_of: Callable[[Tensor], Tensor],
    change: Change,
) -> Change:
    """After the step `index`, go on from the best of the latents that came this way and others.

    Args:
        index: of the last step that all candidates take.
        others: draws the other candidates; for each its step of that index.
        loss_of: (B,) of x0 (B, C, h, w); each picture of the batch chooses for itself.
        change: what a candidate changes after each of its steps.
    """

    def changed(its: Prediction) -> Tensor:
        best = change(its)
        if its.index != index:
            return best
        least = loss_of(its.x0)
        for other in others():
            loss = loss_of(other.x0)
            best = torch.where((loss < least).view(-1, 1, 1, 1), other.xt, best)
            least = torch.minimum(loss, least)
        return best

    return changed


def noise_of(candidate: int, noise: Noise, *, steps: int) -> Noise:
    """The noise of one of the candidates, from 0; that of the first is `noise` itself.

    A way has `steps` + 1 indices with its beginning, so each candidate takes the next as many.
    """
    return lambda index: noise(candidate * (steps + 1) + index)
