"""Stage 5, pictures from stroke paintings: keep the layout and colours, let the model do the rest.

SDEdit (Meng et al. 2021, arXiv 2108.01073), GradOP+ (Singh, Gould and Zheng 2023, "High-Fidelity
Guided Image Synthesis with Latent Diffusion Models", arXiv 2211.17084), paint-with-words (Balaji et
al. 2022, arXiv 2211.01324) and composed scores (Liu et al. 2022, arXiv 2206.01714).

A painting y and a prompt are given. Among the pictures x that the model can draw from the prompt,
one is wanted that looks like y once it is painted coarsely itself: f(x) close to f(y), with f the
*painting operator*.

Images are float32 (B, 3, H, W) in [-1, 1], latents float32 (B, C, h, w), masks in [0, 1], noise
levels (B, 1, 1, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch


def paint(images: torch.Tensor, width: float) -> torch.Tensor:
    """The painting operator f: a Gaussian blur whose width follows the size of the picture.

    With sigma = width * min(H, W) in pixels, the pixel at row i and column j becomes the weighted
    mean of all pixels (k, l), with the weights

        exp(-((i - k)^2 + (j - l)^2) / (2 sigma^2)).

    The weights of each pixel sum to 1: beyond the border there is nothing to average. So a picture
    of one colour stays what it is, to the corner. Weights below exp(-8), 4 sigma away, may be left
    out.

    Args:
        images: (B, C, H, W) of any size, square or not.
        width: of the blur, as a part of the shorter side; above 0.

    Returns:
        The painted images, (B, C, H, W), differentiable in `images`.
    """
    # your code here
    raise NotImplementedError(
        "strokes.paint is still to do: notebooks/05_strokes/05_strokes.ipynb, task 1."
    )


def faithfulness_loss(
    paint: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    painting: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    """How far each picture, painted coarsely, is from the painting, where there is paint.

    GradOP+, arXiv 2211.17084, its loss L(f(x), y); here f is on both sides. With m the mask,

        L = sum of (f(m x) - f(m y))^2 / (number of channels * sum of m)

    for each picture: a mean over what is painted. What is not painted counts for nothing, and a
    picture's loss does not depend on the others of the batch.

    Args:
        paint: the painting operator f, linear, from images to images.
        images: x, (B, 3, H, W), with a graph. They may be outside [-1, 1]; do not clamp them, a
            clamped pixel gets no gradient.
        painting: y, (B, 3, H, W).
        mask: m, (B, 1, H, W), 1 where there is paint and 0 where not. Without any paint the loss
            is 0.

    Returns:
        The loss of each picture, float32 (B,).
    """
    # your code here
    raise NotImplementedError(
        "strokes.faithfulness_loss is still to do: notebooks/05_strokes/05_strokes.ipynb, task 2."
    )


def sdedit_start(
    x0_src: torch.Tensor,
    eps: torch.Tensor,
    strength: float,
    timesteps: torch.Tensor,
    alphas_cumprod: torch.Tensor,
) -> torch.Tensor:
    """The latents that SDEdit begins with: the source under the noise that its first step expects.

    SDEdit, arXiv 2108.01073, algorithm 1, which adds sigma * eps (VE); the latents here keep the
    variance 1 (VP). Of a way of N steps the last n are taken, with n the whole number nearest to
    strength * N. The step i asks the network about timesteps[i].

    Args:
        x0_src: the latents of the painting, (B, C, h, w).
        eps: the noise, (B, C, h, w).
        strength: above 0 and up to 1; 1 takes the whole way. n is at least 1.
        timesteps: int64 (N + 1,), falling; the last one is where the way ends.
        alphas_cumprod: alpha_bar of every timestep, (T,).

    Returns:
        xt, (B, C, h, w).
    """
    # your code here
    raise NotImplementedError(
        "strokes.sdedit_start is still to do: notebooks/05_strokes/05_strokes.ipynb, task 3."
    )


def x0_estimate(xt: torch.Tensor, eps: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
    """The finished latents that a predicted noise implies, with a graph to xt alone.

    Ho et al. 2020, arXiv 2006.11239, equation 15:

        x0 = (xt - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar)

    Guidance differentiates a loss of x0 with respect to xt. The network behind eps is a constant in
    it, which saves its memory and most of the time.

    Args:
        xt: (B, C, h, w), with a graph.
        eps: the predicted noise (B, C, h, w). It may carry a graph; nothing goes back through it.
        alpha_bar: the level of xt, (B, 1, 1, 1).

    Returns:
        x0, (B, C, h, w).
    """
    # your code here
    raise NotImplementedError(
        "strokes.x0_estimate is still to do: notebooks/05_strokes/05_strokes.ipynb, task 4."
    )


def burst(
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    x0: torch.Tensor,
    eps: torch.Tensor,
    timesteps: torch.Tensor,
    index: int,
    alphas_cumprod: torch.Tensor,
    grad_steps: int,
    learning_rate: float,
) -> torch.Tensor:
    """One burst of GradOP+: pull x0 to the painting, then noise it for the network's next call.

    GradOP+, arXiv 2211.17084, as its published code does it. A copy of x0 takes `grad_steps` steps
    of a new `torch.optim.Adam` with this learning rate on the sum of the losses. The result lies
    off what the model knows. Fresh noise hides that: the next step sees only what is coarser than
    the noise.

    The step `index` has just been taken. The next one, `index + 1`, expects latents at the level of
    timesteps[index + 1]; -1 there means no noise.

    Args:
        loss_of: gives the loss (B,) of latents (B, C, h, w), with a graph.
        x0: the latents to begin with, (B, C, h, w); they do not change.
        eps: the noise to add, (B, C, h, w).
        timesteps: int64 (N + 1,), falling.
        index: of the step just taken, from 0.
        alphas_cumprod: alpha_bar of every timestep, (T,).
        grad_steps: at least 0.
        learning_rate: in units of the latents.

    Returns:
        The latents (B, C, h, w) for the step `index + 1`, without a graph.
    """
    # your code here
    raise NotImplementedError(
        "strokes.burst is still to do: notebooks/05_strokes/05_strokes.ipynb, task 5."
    )


def region_bias(
    masks: torch.Tensor,
    tokens: Sequence[Sequence[int]],
    count: int,
    inside: float,
    outside: float,
) -> torch.Tensor:
    """What is added to the attention logits of each token at each place, to bind words to regions.

    Paint-with-words, eDiff-I, arXiv 2211.01324, section 4.3, where the weights of cross-attention
    are the softmax over the tokens of Q K^T / sqrt(d) + bias. The bias of a token goes from
    `outside` where the mask of its region is 0 to `inside` where it is 1, in proportion to the
    mask. A token of several regions takes the largest of their masks. A token of no region has the
    bias 0 everywhere.

    Args:
        masks: where the K regions are, (K, H, W) in [0, 1].
        tokens: the indices of the tokens of each region.
        count: the number of tokens of the prompt, L.
        inside: above 0 to draw attention to the words there.
        outside: far below 0 to keep the words away from there; 0 to leave it as it is.

    Returns:
        The bias, (1, L, H, W), as `Condition.attention_bias` takes it.
    """
    # your code here
    raise NotImplementedError(
        "strokes.region_bias is still to do: notebooks/05_strokes/05_strokes.ipynb, task 6."
    )


def compose_scores(
    eps_uncond: torch.Tensor,
    eps_whole: torch.Tensor,
    eps_parts: torch.Tensor,
    masks: torch.Tensor,
    guidance_scale: float,
) -> torch.Tensor:
    """The noise to follow when every region has a prompt of its own.

    Composed scores, after Liu et al. 2022, arXiv 2206.01714, equation 11, with masks as weights:

        eps = eps_uncond + s (m_0 (eps_whole - eps_uncond) + sum over k of m_k (eps_k - eps_uncond))

    The weights of each place sum to 1. Where regions overlap, so that their masks sum to more than
    1, each is divided by the sum. What they leave, m_0, belongs to the prompt of the whole picture.

    Args:
        eps_uncond: the noise predicted without a prompt, (B, C, h, w).
        eps_whole: with the prompt of the whole picture, (B, C, h, w).
        eps_parts: with the prompt of each region, (K, B, C, h, w).
        masks: where the regions are, (K, 1, h, w) in [0, 1].
        guidance_scale: s.

    Returns:
        eps, (B, C, h, w).
    """
    # your code here
    raise NotImplementedError(
        "strokes.compose_scores is still to do: notebooks/05_strokes/05_strokes.ipynb, task 7."
    )
