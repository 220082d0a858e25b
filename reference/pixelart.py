"""Stage 4, pixel art: every pixel one of K colours, optimised through SDXL and its ControlNets.

After SD-πXL (Binninger and Sorkine-Hornung, arXiv 2410.06236). The variables are logits (B, K, h,
w): for every pixel of a small picture, how much each of K palette colours is wanted. A step turns
them into weights and the weights into colours, enlarges the picture to the model's size, and
distils. In the end each pixel gets the colour with the largest logit.

Palettes are float32 (K, 3), sRGB in [0, 1]; pictures float32 (B, 3, h, w) in [-1, 1]; timesteps
int64 (B,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from distillery.methods.gradient_loss import with_gradient
from distillery.models.prior import Condition, Control, Prior
from distillery.pixelart.augment import augment
from distillery.pixelart.settings import PixelSettings
from distillery.pixelart.smoothness_losses import mirrored, smoothness


def paint(weights: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """The picture of given weights: in every pixel the weighted mean of the palette's colours.

    Args:
        weights: (B, K, h, w), not negative, with sum 1 over the colours in every pixel.
        palette: sRGB in [0, 1], constant: (K, 3), the same for all pictures, or (B, K, 3), one for
            each picture.

    Returns:
        The picture, float32 (B, 3, h, w) in [-1, 1], differentiable in the weights. The arguments
        do not change.
    """
    ### BEGIN SOLUTION
    equation = "bkhw,kc->bchw" if palette.dim() == 2 else "bkhw,bkc->bchw"
    return 2 * torch.einsum(equation, weights, palette) - 1
    ### END SOLUTION


def gumbel_softmax(logits: torch.Tensor, tau: float, generator: torch.Generator) -> torch.Tensor:
    """Random weights that almost choose one colour per pixel and still let gradients through.

    Jang et al. 2017, arXiv 1611.01144, equation 2, and Maddison et al. 2017:

        weights = softmax((logits + g) / tau) over the colours,    g = -log(-log(u)),  u ~ U(0, 1),

    one u for every logit. For every tau, colour k has the largest weight with probability
    softmax(logits)[k]: the noise tries colours as often as they are wanted. A small tau makes the
    weights nearly 0 and 1, a large tau makes them equal.

    Args:
        logits: (B, K, h, w).
        tau: the temperature, above 0.
        generator: the only source of randomness, on the device of the logits. The weights are
            finite even where it draws a 0.

    Returns:
        The weights, (B, K, h, w), with sum 1 over the colours, differentiable in the logits. The
        logits do not change.
    """
    ### BEGIN SOLUTION
    u = torch.rand(logits.shape, generator=generator, device=logits.device)
    tiny = torch.finfo(u.dtype).tiny
    g = -(-u.clamp(min=tiny).log()).clamp(min=tiny).log()
    return ((logits + g) / tau).softmax(dim=1)
    ### END SOLUTION


def straight_through(logits: torch.Tensor) -> torch.Tensor:
    """Only the chosen colour, with the gradient of the softmax.

    Taking the largest logit has no gradient, so nothing would be learnt. The straight-through
    estimator (Bengio et al. 2013, arXiv 1308.3432) uses one forward and the other backward:

        value    = one_hot(argmax of the logits over the colours)
        gradient = that of softmax(logits) over the colours.

    Args:
        logits: (B, K, h, w).

    Returns:
        The weights, (B, K, h, w): exactly 1 for the colour of the largest logit, the first of equal
        ones, and exactly 0 for all others. The logits do not change.
    """
    ### BEGIN SOLUTION
    soft = logits.softmax(dim=1)
    chosen = torch.zeros_like(soft).scatter_(1, logits.argmax(dim=1, keepdim=True), 1.0)
    return chosen + (soft - soft.detach())
    ### END SOLUTION


def logits_from_image(image: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """Logits whose picture is near a given one: the nearer a colour, the larger its logit.

    As SD-πXL starts. With d[k] the L1 distance, over the three channels, of a pixel in [0, 1] from
    colour k:

        1. logits = -d
        2. in every pixel, subtract the mean over the colours;
        3. in every pixel, scale the vector of K logits to the length sqrt(K).

    Without step 3 a pixel between two colours would be almost undecided, and one far from every
    colour would be stubborn. With it, all start equally sure. If all distances are exactly the
    same, the logits are 0; where they differ by rounding alone, they may be anything.

    Args:
        image: (B, 3, h, w) in [-1, 1], already in the small picture's size.
        palette: (K, 3), sRGB in [0, 1].

    Returns:
        The logits, float32 (B, K, h, w). The arguments do not change.
    """
    ### BEGIN SOLUTION
    pixels = (image + 1) / 2
    logits = -(pixels[:, None] - palette[None, :, :, None, None]).abs().sum(dim=2)
    logits = logits - logits.mean(dim=1, keepdim=True)
    length = logits.norm(dim=1, keepdim=True)
    # Distances that are the same differ by rounding, which is not to be scaled up.
    scaled = len(palette) ** 0.5 * logits / length.clamp(min=1e-6)
    return torch.where(length > 1e-5 * len(palette) ** 0.5, scaled, 0.0)
    ### END SOLUTION


def kmeans_step(pixels: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """One step of Lloyd's algorithm: every centre moves to the mean of the pixels nearest to it.

    Repeated until nothing moves, it finds K colours for a picture (Lloyd 1982). Distances are
    Euclidean; of equally near centres the first gets the pixel. A centre without pixels stays where
    it is.

    Args:
        pixels: (N, 3).
        centres: (K, 3).

    Returns:
        The new centres, (K, 3), in the same order. The arguments do not change.
    """
    ### BEGIN SOLUTION
    # The default computes |p|² - 2 p·c + |c|² for many pixels, which rounds ties away.
    distances = torch.cdist(pixels, centres, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.argmin(dim=1)
    belongs = torch.nn.functional.one_hot(nearest, len(centres)).to(pixels.dtype)  # (N, K)
    count = belongs.sum(dim=0)[:, None]
    means = belongs.T @ pixels / count.clamp(min=1)
    return torch.where(count > 0, means, centres)
    ### END SOLUTION


def fft_loss(image: torch.Tensor) -> torch.Tensor:
    """How much speckle a small picture has: the mean amplitude of its high frequencies.

    SD-πXL's smoothness. A pixel that disagrees with its neighbours is in the high frequencies f,
    in cycles per pixel, of the two-dimensional Fourier transform; the low ones are the drawing.

        loss = mean of |F(f)| over the channels and over the frequencies with |f| > 0.1768

    SD-πXL's bound is 1 / (4 sqrt(2)) = 0.17677..., on which (1/8, 1/8) lies; with one just above it
    no rounding decides which frequencies count. With the orthonormal transform, `norm="ortho"`,
    speckle of the same strength costs the same at every size. The published loss does not use it,
    so it grows with the size, and its weight of 20 is right only for 64 × 64. `torch.fft.fftfreq`
    gives the frequency at each place.

    Args:
        image: (B, 3, h, w), square or not, with sides of at least 2.

    Returns:
        The loss, float32 (), the sum over the pictures of the batch, differentiable in the image;
        the gradient is finite for a picture of one colour too. The image does not change.
    """
    ### BEGIN SOLUTION
    height, width = image.shape[-2:]
    down = torch.fft.fftfreq(height, device=image.device)[:, None]
    across = torch.fft.fftfreq(width, device=image.device)[None, :]
    fine = (down.square() + across.square()).sqrt() > 0.1768
    spectrum = torch.fft.fft2(image, norm="ortho").abs()
    return spectrum[..., fine].mean(dim=(1, 2)).sum()
    ### END SOLUTION


def bounded_timesteps(
    batch: int,
    step: int,
    steps: int,
    *,
    t_min: int,
    t_max: int,
    t_bound: int,
    bound_reached: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Draw timesteps with a falling upper bound: first the layout, then only the details.

    SD-πXL's "bounded max". The bound goes linearly from `t_max` at step 0 to `t_bound` at step
    `bound_reached * steps`, and then stays. It is rounded to the nearest whole number. Every whole
    number from `t_min` to the bound, both ends included, is equally likely. Each latent of the
    batch has its own timestep, drawn independently of the others.

    Args:
        batch: B, how many to draw.
        step: the step of the run, 0 to `steps` - 1.
        steps: the length of the run.
        t_min: the smallest timestep.
        t_max: the largest at the start.
        t_bound: the largest at the end, from `t_min` to `t_max`.
        bound_reached: the fraction of the run after which the bound stays, in [0, 1]; with 0 it is
            `t_bound` at every step.
        generator: the only source of randomness.

    Returns:
        t, int64 (B,), on the generator's device.
    """
    ### BEGIN SOLUTION
    falls = bound_reached * steps
    way = step / falls if step < falls else 1.0
    bound = round(t_max + way * (t_bound - t_max))
    return torch.randint(t_min, bound + 1, (batch,), generator=generator, device=generator.device)
    ### END SOLUTION


def sdxl_grad(
    prior: Prior,
    x0: torch.Tensor,
    t: torch.Tensor,
    eps: torch.Tensor,
    text: Condition,
    uncond: Condition,
    guidance_scale: float,
    size: tuple[int, int],
    controls: Sequence[Control],
) -> torch.Tensor:
    """The score distillation gradient through SDXL and its ControlNets.

    Stage 1's gradient, grad = (1 - alpha_bar(t)) (eps_hat - eps), with all the inputs of SDXL
    (Podell et al. 2023, arXiv 2307.01952, section 2.2):
    - the pooled vector of the prompt, which `text` and `uncond` already have;
    - six numbers about the picture: its original height and width, top and left of the crop, the
      target's height and width. A canvas is a whole picture: (H, W, 0, 0, H, W), for both branches;
    - `controls`, the edges and depths that the drawing should follow, for both branches.

    SD-πXL writes eps_text + s (eps_text - eps_negative), so its scale of 40 is 41 here.

    Args:
        prior: `prior.predict_noise(xt, t, first, second, controls=controls)` gives a pair of eps
            (B, C, h, w), in one call of the network. One call with both branches joined into a
            batch of 2 B is as good.
        x0: latents (B, C, h, w).
        t: timesteps, int64 (B,).
        eps: the noise to put in, (B, C, h, w).
        text: the condition of the B prompts. `replace(text, time_ids=...)` of `dataclasses` adds
            the six numbers, float32 (B, 6).
        uncond: the condition of the empty prompt, or of a negative prompt.
        guidance_scale: s in eps_uncond + s * (eps_text - eps_uncond).
        size: (H, W), the canvas in pixels.
        controls: the inputs of the ControlNets; may be empty.

    Returns:
        grad, float32 (B, C, h, w), with `requires_grad` False. The arguments do not change.
    """
    ### BEGIN SOLUTION
    height, width = size
    whole = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32)
    time_ids = whole.expand(len(x0), 6).to(x0.device)
    text, uncond = replace(text, time_ids=time_ids), replace(uncond, time_ids=time_ids)
    with torch.no_grad():
        alpha_bar = prior.alpha_bar(t)
        xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
        eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text, controls=controls)
        eps_hat = eps_uncond + guidance_scale * (eps_text - eps_uncond)
        return (1 - alpha_bar) * (eps_hat - eps)
    ### END SOLUTION


def weights_of(
    logits: torch.Tensor, *, step: int, settings: PixelSettings, generator: torch.Generator
) -> torch.Tensor:
    """The weights of one step, by the path in the settings (given)."""
    if settings.path == "gumbel":
        return gumbel_softmax(logits, settings.tau_at(step, generator), generator)
    return straight_through(logits) if settings.path == "argmax" else logits.softmax(dim=1)


def loss(
    prior: Prior,
    logits: torch.Tensor,
    *,
    palette: torch.Tensor,
    text: Condition,
    uncond: Condition,
    controls: Sequence[Control],
    step: int,
    settings: PixelSettings,
    generator: torch.Generator,
    clear: torch.Tensor | None = None,
) -> torch.Tensor:
    """One step of pixel art: all functions above, one after the other (given).

    The logits (B, K, h, w) become a small picture, which is kept smooth (SD-πXL does not mirror it
    for that); enlarged and augmented together with the control pictures, it goes through the
    autoencoder to the model. Cells of `clear`, bool (h, w), are white for the model.
    """
    weights = weights_of(logits, step=step, settings=settings, generator=generator)
    small = paint(weights, palette)
    if clear is not None:
        small = small.masked_fill(clear, 1.0)
    rough = settings.fft * fft_loss(mirrored(small)) + smoothness(small, settings)
    canvas = torch.nn.functional.interpolate(small, settings.canvas, mode=settings.enlarge)
    canvas, controls = augment(canvas, controls, settings=settings, generator=generator)
    x0 = prior.encode(canvas)
    t = bounded_timesteps(
        len(x0),
        step,
        settings.steps,
        t_min=settings.t_min,
        t_max=settings.t_max,
        t_bound=settings.t_bound,
        bound_reached=settings.bound_reached,
        generator=generator,
    )
    eps = torch.randn(x0.shape, generator=generator, device=x0.device)
    grad = sdxl_grad(
        prior, x0, t, eps, text, uncond, settings.guidance_scale, settings.canvas, controls
    )
    return rough + with_gradient(x0, grad)
