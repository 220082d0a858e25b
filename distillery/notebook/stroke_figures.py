"""Figures of stage 5: what noise hides of latents, and where a word is heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from distillery.notebook.whole_titles import with_whole_titles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAND = 1 / 16  # cycles per cell, the width of a band of frequencies
LEAST_DIMMED = 0.25  # of the brightness that is left where a map is 0


def spectrum(latents: Tensor) -> tuple[Tensor, Tensor]:
    """The mean power of latents `(B, C, h, w)` in bands of spatial frequency.

    Frequencies are counted in cycles per cell, from 0 to 1/2 whatever the direction. White noise of
    variance 1 has the power 1 in each band.

    Returns:
        The middle of each band, and its power, both `(bands,)`.
    """
    return _in_bands(_transformed(latents).abs().square())


def coherence(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """How much of one is in the other, in bands of spatial frequency, from -1 to 1.

    Re(F conj(G)) over the root of the product of both powers, each summed over the band, the
    channels and the batch: 1 if they differ by a factor at most, about 0 if they have nothing in
    common. The means over all cells are left out.

    Args:
        one: latents `(B, C, h, w)`.
        other: of the same shape.

    Returns:
        The middle of each band, and its coherence, both `(bands,)`.
    """
    first, second = _transformed(one), _transformed(other)
    first[..., 0, 0], second[..., 0, 0] = 0, 0
    middles, both = _in_bands((first * second.conj()).real)
    powers = [_in_bands(each.abs().square())[1] for each in (first, second)]
    return middles, both / (powers[0] * powers[1]).sqrt().clamp(min=1e-12)


def _transformed(latents: Tensor) -> Tensor:
    return torch.fft.fft2(latents.detach().float().cpu(), norm="ortho")


def _in_bands(power: Tensor) -> tuple[Tensor, Tensor]:
    """The means over all but the frequencies, and over each band of these."""
    rows, columns = (torch.fft.fftfreq(side) for side in power.shape[-2:])
    radius = (rows[:, None].square() + columns.square()).sqrt()
    band = (radius / BAND).round().long()
    inside = band <= round(0.5 / BAND)  # beyond 1/2 there are only diagonals
    sums = torch.zeros(int(band[inside].max()) + 1)
    counts = sums.index_add(0, band[inside], torch.ones(int(inside.sum())))
    sums = sums.index_add(0, band[inside], power.mean((0, 1))[inside])
    kept = counts > 0
    return BAND * torch.arange(len(sums))[kept], (sums / counts.clamp(min=1))[kept]


def power_and_coherence(
    latents: Mapping[str, Tensor],
    pairs: Mapping[int, tuple[Tensor, Tensor]],
    levels: Mapping[int, float],
) -> Figure:
    """Left the power of latents against noise, right what of them has survived noise.

    Args:
        latents: name -> `(B, C, h, w)`, a line each on the left.
        pairs: timestep -> latents before noise of that level, and what was drawn from there; a line
            of their coherence each on the right.
        levels: timestep -> alpha_bar; its noise is a dashed line on the left, on the scale of x0.
    """
    from matplotlib import colormaps, pyplot

    figure = pyplot.figure(figsize=(10.4, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    shades = dict(zip(pairs, colormaps["viridis"](torch.linspace(0, 0.9, len(pairs))), strict=True))
    for name, one in latents.items():
        left.plot(*(part.numpy() for part in spectrum(one)), marker="o", markersize=3, label=name)
    for t, alpha_bar in levels.items():
        left.axhline((1 - alpha_bar) / alpha_bar, color=shades[t], linestyle="--", linewidth=1)
        left.annotate(
            f"t = {t}",
            (0.53, (1 - alpha_bar) / alpha_bar),
            fontsize=7,
            color=shades[t],
            va="center",
            annotation_clip=False,
        )
    left.set(
        title="power, and that of noise", xlabel="cycles per cell", yscale="log", xlim=(-0.02, 0.52)
    )
    left.legend(fontsize=8, loc="lower left")
    for t, (before, after) in pairs.items():
        middles, share = coherence(before, after)
        right.plot(
            middles[1:].numpy(), share[1:].numpy(), marker="o", color=shades[t], label=f"t = {t}"
        )
    right.set(title="coherence with what was pulled", xlabel="cycles per cell", ylim=(-0.3, 1.05))
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    pyplot.close(figure)
    return with_whole_titles(figure)


def dimmed_outside(images: Tensor, maps: Tensor) -> Tensor:
    """Images `(B, 3, H, W)` as they are where a map is 1, and dark and grey where it is 0.

    Args:
        maps: `(B, h, w)` in [0, 1], of any resolution.
    """
    shares = interpolate(maps[:, None].to(images), images.shape[-2:], mode="nearest")
    grey = LEAST_DIMMED * (images.mean(1, keepdim=True) + 1) - 1
    return shares * images + (1 - shares) * grey
