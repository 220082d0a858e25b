"""A Gaussian model of pictures of any size in which neighbours matter, twice.

`GaussianField` is the model as a prior. `eps_of` is its noise written out with dense matrices, for
tests that write out a method in float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distillery.models.exact import GaussianMixturePrior
from distillery.models.prior import Condition, Control

Array = npt.NDArray[np.float64]

CHANNELS = 3
MEANS = np.array([[0.3, -0.8, 0.5], [-0.6, 0.4, 1.1]])  # without a prompt, and with it
NEIGHBOURS = (0.5, 0.8)  # the correlation of two neighbours, without a prompt and with it


class GaussianField(GaussianMixturePrior):
    """x0 ~ N(mean, S_h (x) S_w) in every channel, with S[i, j] = r^|i - j|.

    A part of such a picture is such a picture. The prompt "a thing" has a mean and a correlation r
    of its own. A control adds its picture to the mean. `asked` keeps the shapes of the latents of
    all calls, once for each branch.
    """

    def __init__(self, latent_size: tuple[int, int]) -> None:
        means = torch.from_numpy(MEANS)[:, :, None, None]
        names = {"": [0], "a thing": [1]}
        super().__init__(means, 1.0, names=names, latent_size=latent_size)
        self.asked: list[tuple[int, ...]] = []

    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, controls: Sequence[Control] = ()
    ) -> tuple[Tensor, ...]:
        self.asked += [tuple(xt.shape)] * len(conditions)
        return tuple(self._said(xt, t, condition, controls) for condition in conditions)

    def _said(
        self, xt: Tensor, t: Tensor, condition: Condition, controls: Sequence[Control]
    ) -> Tensor:
        prompts = condition.tokens[:, 0].argmax(dim=1).tolist()
        its = zip(xt, self.alphas_cumprod[t].tolist(), prompts, strict=True)
        shifts = sum((c.scale * c.image for c in controls), torch.zeros_like(xt))
        return torch.stack(
            [
                torch.from_numpy(eps_of(x.numpy(), alpha_bar, k, shift.numpy())).float()
                for (x, alpha_bar, k), shift in zip(its, shifts, strict=True)
            ]
        )


def eps_of(xt: Array, alpha_bar: float, prompt: int, shift: Array | float = 0.0) -> Array:
    """The noise in one xt (C, h, w): the square root of 1 - alpha_bar times minus the score."""
    xt = np.asarray(xt, np.float64)
    channels, h, w = xt.shape
    rows, columns = (
        NEIGHBOURS[prompt] ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))) for n in (h, w)
    )
    covariance = alpha_bar * np.kron(rows, columns) + (1 - alpha_bar) * np.eye(h * w)
    mean = np.sqrt(alpha_bar) * (MEANS[prompt][:, None, None] + shift)
    away = (xt - mean).reshape(channels, h * w)
    return np.sqrt(1 - alpha_bar) * np.linalg.solve(covariance, away.T).T.reshape(xt.shape)
