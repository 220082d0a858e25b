"""Stage 7, from one prompt to the next: a style, a path, and pixels that stay.

Pixel Giffusion (text to pixel GIF): fine-tune a model on pixel art by LoRA (Hu et al. 2021, arXiv
2106.09685), walk from prompt to prompt and from noise to noise by spherical interpolation (slerp,
Shoemake 1985), and give all frames one palette.

A path has K keyframes, each a prompt with a seed. A *position* is a number from 0 to K - 1: 0 is
the first keyframe, 1 the second, 1.5 the middle between the second and the third. A path of F
frames is a tensor of F positions, float32 (F,).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from distillery.models.lora import LoraDenoiser
from distillery.models.prior import Condition


def lora_forward(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    lora_A: torch.Tensor,
    lora_B: torch.Tensor,
    alpha: float,
) -> torch.Tensor:
    """What a linear layer with a low-rank adapter gives.

    LoRA, arXiv 2106.09685, section 4.1, equation 3. The frozen layer has the weight W and a bias b;
    the adapter adds a matrix of rank r:

        y = W x + b + (alpha / r) B A x

    The r features A x come first: the matrix B A, as large as W, is never made. At the beginning of
    the training B is zero, and the layer gives what it gave.

    Args:
        x: (..., n), any number of leading axes.
        weight: W, (m, n).
        bias: b, (m,), or None.
        lora_A: A, (r, n).
        lora_B: B, (m, r).
        alpha: a factor that is chosen once. Divided by r it keeps the strength alike for all ranks.

    Returns:
        y, (..., m), with a graph to all arguments that have one.
    """
    ### BEGIN SOLUTION
    rank = len(lora_A)
    y = x @ weight.T + (alpha / rank) * (x @ lora_A.T @ lora_B.T)
    return y if bias is None else y + bias
    ### END SOLUTION


def finetune_loss(
    denoiser: LoraDenoiser,
    x0: torch.Tensor,
    text: Condition,
    t: torch.Tensor,
    eps: torch.Tensor,
    preserved: int,
    prior_weight: float,
) -> torch.Tensor:
    """How badly the adapted model denoises a batch: the loss of a fine-tuning.

    The loss of any diffusion model (Ho et al. 2020, equation 14), on xt, which is x0 noised by
    `eps` to the level alpha_bar(t):

        error = mean || prediction(xt; y, t) - target ||^2

    The last `preserved` pictures of the batch are not of the new style: the model drew them before
    it learned. They remind it of what it knew, the *prior preservation* of DreamBooth (Ruiz et al.
    2023, arXiv 2208.12242, equation 2). Each part has a mean of its own:

        loss = error of the style + prior_weight * error of the preserved

    Without preserved pictures it is the error of the style alone. The network is asked once, about
    the whole batch.

    Args:
        denoiser: gives `denoiser.alpha_bar(t)`, (B, 1, 1, 1); `denoiser.predict(xt, t, text)`,
            (B, C, h, w), with a graph to the adapter's weights; and `denoiser.target(x0, eps, t)`,
            what it should predict: eps, or v if the model predicts v.
        x0: latents of the pictures (B, C, h, w).
        text: the condition of their B captions.
        t: timesteps, int64 (B,).
        eps: the noise to put in, (B, C, h, w).
        preserved: from 0 to B - 1.
        prior_weight: at least 0.

    Returns:
        The loss, float32 (). The arguments do not change.
    """
    ### BEGIN SOLUTION
    alpha_bar = denoiser.alpha_bar(t)
    xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
    error = (denoiser.predict(xt, t, text) - denoiser.target(x0, eps, t)).square()
    new = len(x0) - preserved
    loss = error[:new].mean()
    return loss + prior_weight * error[new:].mean() if preserved else loss
    ### END SOLUTION


def slerp(v0: torch.Tensor, v1: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """Turn from v0 to v1, sample by sample, in even steps of the angle.

    Shoemake 1985. Every sample, all but the first axis together, is one vector. With the angle
    theta between the two,

        cos theta = <v0, v1> / (|v0| |v1|),
        v = sin((1 - a) theta) / sin theta * v0 + sin(a theta) / sin theta * v1.

    Gaussian noise so keeps its length; a straight line would pass the middle at 0.71 of it. Where
    the vectors are (nearly) parallel or opposite, |cos theta| > 0.9995, sin theta is (nearly) 0:
    these samples, and those where one of the vectors is zero, take the straight line
    (1 - a) v0 + a v1 instead.

    In half precision a sum of many squares overflows, so everything is computed in float32.

    Args:
        v0: (B, ...), of any floating type. With a = 0 it is the result.
        v1: of the same shape and type. With a = 1 it is the result.
        a: float32 (B,), from 0 to 1, one for each sample.

    Returns:
        As v0, in shape and type. The arguments do not change.
    """
    ### BEGIN SOLUTION
    first, second = v0.float().flatten(1), v1.float().flatten(1)
    a = a[:, None]
    lengths = first.norm(dim=1, keepdim=True) * second.norm(dim=1, keepdim=True)
    cosine = (first * second).sum(1, keepdim=True) / lengths.clamp(min=1e-12)
    parallel = (cosine.abs() > 0.9995) | (lengths < 1e-12)
    theta = cosine.masked_fill(parallel, 0).acos()
    w0, w1 = ((1 - a) * theta).sin() / theta.sin(), (a * theta).sin() / theta.sin()
    turned = w0 * first + w1 * second
    line = (1 - a) * first + a * second
    return torch.where(parallel, line, turned).view_as(v0).to(v0.dtype)
    ### END SOLUTION


def noise_path(
    seeds: Sequence[int], positions: torch.Tensor, shape: tuple[int, ...]
) -> torch.Tensor:
    """The noise that each frame begins with.

    Every keyframe has one noise, drawn by `torch.randn` from a new `torch.Generator` with its seed.
    The path that ends at a keyframe and the one that begins there share it, so nothing jumps at the
    joint; keyframes with the same seed have the same noise. Between two keyframes it turns by
    `slerp`, one vector a frame. Nothing else is drawn, and torch's shared generator stays as it is.

    Args:
        seeds: of the K keyframes, K >= 2.
        positions: float32 (F,), from 0 to K - 1.
        shape: of the latents of one frame, (C, h, w).

    Returns:
        float32 (F, C, h, w), on the CPU. A frame at a keyframe has exactly its noise.
    """
    ### BEGIN SOLUTION
    noise = torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )
    start = positions.floor().clamp(max=len(seeds) - 2).long()
    return slerp(noise[start], noise[start + 1], positions - start)
    ### END SOLUTION


def prompt_path(tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The text embeddings along the path, token by token.

    A text encoder gives each token a vector of its own. Each of them turns by itself from the one
    keyframe to the next, by `slerp`: all tokens as one vector would turn by one common angle.

    Args:
        tokens: (K, L, D), the L tokens of the K keyframes, K >= 2.
        positions: float32 (F,), from 0 to K - 1.

    Returns:
        (F, L, D), in the type of `tokens`. A frame at a keyframe has exactly its tokens.
    """
    ### BEGIN SOLUTION
    start = positions.floor().clamp(max=len(tokens) - 2).long()
    a = (positions - start).repeat_interleave(tokens.shape[1])
    v0, v1 = tokens[start].flatten(0, 1), tokens[start + 1].flatten(0, 1)
    return slerp(v0, v1, a).view(len(positions), *tokens.shape[1:])
    ### END SOLUTION


def shared_palette(frames: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """One step towards the palette that fits all frames best: a step of k-means (Lloyd 1982).

    Every pixel of every frame goes to its nearest colour of the palette, by Euclidean distance.
    Then each colour moves to the mean of all pixels that came to it, whichever frame they are of.
    A colour to which none came stays. A palette for each frame would flicker.

    Args:
        frames: colours of F frames, float32 (F, H, W, 3), in any colour space: numbers below 0 or
            above 1 are possible.
        palette: K colours, float32 (K, 3), in the same colour space. Of colours that are equally
            near, the first counts.

    Returns:
        The K moved colours, float32 (K, 3), in their order. The arguments do not change.
    """
    ### BEGIN SOLUTION
    pixels = frames.reshape(-1, 3)
    nearest = (pixels[:, None] - palette).square().sum(2).argmin(1)
    counts = torch.bincount(nearest, minlength=len(palette))[:, None]
    sums = torch.zeros_like(palette).index_add_(0, nearest, pixels)
    return torch.where(counts > 0, sums / counts.clamp(min=1), palette)
    ### END SOLUTION


def hold_colours(frames: torch.Tensor, palette: torch.Tensor, margin: float) -> torch.Tensor:
    """The palette's colour of every pixel, which changes only for a reason: hysteresis.

    A pixel half-way between two colours would flicker between them at the least change. So it keeps
    the colour that it had in the frame before, until another one is clearly nearer:

        distance to the kept colour - distance to the nearest colour > margin.

    Then it takes the nearest. In the first frame every pixel takes the nearest. Each pixel decides
    by itself.

    Args:
        frames: colours of F frames in their order, float32 (F, H, W, 3).
        palette: K colours, float32 (K, 3), in the same colour space. Of colours that are equally
            near, the first counts.
        margin: at least 0, in units of the Euclidean distance. With 0 a pixel changes as soon as
            another colour is nearer, but not where it is as near.

    Returns:
        Numbers of the palette's colours, int64 (F, H, W).
    """
    ### BEGIN SOLUTION
    held: list[torch.Tensor] = []
    for frame in frames:
        distances = (frame[:, :, None] - palette).norm(dim=3)
        nearest, index = distances.min(2)
        if held:
            kept = distances.gather(2, held[-1][..., None])[..., 0]
            index = torch.where(kept - nearest > margin, index, held[-1])
        held.append(index)
    return torch.stack(held)
    ### END SOLUTION
