"""Stage 0, the tour: add noise, remove it again, and follow a prompt.

Throughout, `x0` is a clean latent, `eps` is Gaussian noise, `xt` is the two mixed, and `alpha_bar`
in (0, 1) is the share of the signal in the variance of `xt`: near 1 almost clean, near 0 almost
noise. Latents are float32 (B, C, h, w), for any B, C, h and w. `alpha_bar` is (B, 1, 1, 1), one
level for each latent of the batch. No argument has a graph, and nothing here needs one. A result
may be one of the arguments itself, where the formula says so.
"""

from __future__ import annotations

import torch


def add_noise(x0: torch.Tensor, eps: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
    """Noise clean latents to the level `alpha_bar`.

    The forward process has a closed form (DDPM, arXiv 2006.11239, equation 4),

        q(xt | x0) = N(sqrt(alpha_bar) x0, (1 - alpha_bar) I),

    where the second argument of N is a variance. Draw xt from it, with `eps` ~ N(0, I) as the draw.

    Args:
        x0: clean latents (B, C, h, w).
        eps: standard normal noise (B, C, h, w).
        alpha_bar: (B, 1, 1, 1), in (0, 1).

    Returns:
        xt, float32 (B, C, h, w), for every level in (0, 1). The arguments do not change.
    """
    # your code here
    raise NotImplementedError(
        "tour.add_noise is still to do: notebooks/00_tour/00_tour.ipynb, task 1."
    )


def predict_x0(xt: torch.Tensor, eps: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
    """The clean latents that `xt` was made from, if `eps` is the noise in it.

    It undoes `add_noise` (DDPM, arXiv 2006.11239, equation 15). With the eps of a network it is the
    network's best guess of the picture behind the noise, and it may leave the range of pictures.

    Args:
        xt: noisy latents (B, C, h, w).
        eps: the noise in them, known or predicted, (B, C, h, w).
        alpha_bar: (B, 1, 1, 1), in (0, 1).

    Returns:
        x0, float32 (B, C, h, w), for every level in (0, 1), not clamped. The arguments do not
        change.
    """
    # your code here
    raise NotImplementedError(
        "tour.predict_x0 is still to do: notebooks/00_tour/00_tour.ipynb, task 2."
    )


def classifier_free_guidance(
    eps_uncond: torch.Tensor, eps_text: torch.Tensor, guidance_scale: float
) -> torch.Tensor:
    """Follow the prompt more strongly than the model does by itself.

    Classifier-free guidance (arXiv 2207.12598, equation 6) moves along the line through two
    predictions. We count as diffusers does: `guidance_scale` s = 0 gives `eps_uncond`, s = 1 gives
    `eps_text`, s between them divides the way in proportion, and s > 1 goes beyond `eps_text` by
    the same steps. The paper's w is s - 1.

    Args:
        eps_uncond: noise predicted without the prompt, (B, C, h, w).
        eps_text: noise predicted with it, (B, C, h, w).
        guidance_scale: s, 0 or more, whole or not, usually 1 to 100.

    Returns:
        eps_hat, float32 (B, C, h, w). The arguments do not change.
    """
    # your code here
    raise NotImplementedError(
        "tour.classifier_free_guidance is still to do: notebooks/00_tour/00_tour.ipynb, task 3."
    )
