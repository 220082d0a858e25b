"""The weight of the reduced-resolution guidance as published, and as it is here."""

from __future__ import annotations

from math import prod, sqrt


def of_a_cell(rrg_init_weight: float, shape: tuple[int, int, int], alpha_bar_next: float) -> float:
    """The part of the way to the reference that each cell of x0 is pulled at the first step.

    ElasticDiffusion (arXiv 2311.18822) subtracts from the latents after a step the gradient of the
    weight times a mean of squares. So a cell moves by 2 w / n of its distance, n the number of all
    elements, and the same weight means less in a larger picture. Here x0 is pulled, which is in
    those latents sqrt(alpha_bar_next) times.

    Args:
        rrg_init_weight: w, from 0.
        shape: (C, h, w) of the latents.
        alpha_bar_next: of the level after the first step, above 0.
    """
    return 2 * rrg_init_weight / prod(shape) / sqrt(alpha_bar_next)
