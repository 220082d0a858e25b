# %% [markdown]
# # Stage 5 · Strokes: paint it coarsely, get it real
#
# *{summary}. Everything here runs on
# a laptop's CPU.*
#
# {graded}
#
# A prompt says *what*. It is bad at saying *where*: "a red boat, a little left of the middle, below
# the horizon, and the sky more yellow" is not how these models were taught. But you can show it.
# Ten strokes with a thick brush say where everything is and which colour it has, and the model
# knows how boats look. In this stage you
#
# - say what it means that a picture *looks like a painting*, with the **painting operator**,
# - start the sampler from the painting (**SDEdit**,
#   [arXiv 2108.01073](https://arxiv.org/abs/2108.01073)), and see what that must cost,
# - optimise on the way down, as **GradOP+** does (CVPR 2023,
#   [arXiv 2211.17084](https://arxiv.org/abs/2211.17084)), and find out why a picture that is
#   optimised turns to mush, and why noise heals it,
# - measure who gets what for which price,
# - and **bind words to regions**, so that the boat is red and the house is blue and not the other
#   way round.
#
# You can start with this stage. If you have not done the others, you need to know three things. A
# picture with noise in it is $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 -
# \bar\alpha_t}\,\varepsilon$, and a network guesses that noise: $\hat\varepsilon(x_t, t)$. Guidance
# is $\hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,(\hat\varepsilon_{\text{text}} -
# \hat\varepsilon_{\text{uncond}})$. And DDIM, the sampler, goes from noise to a picture in $N$
# steps: each one guesses the finished picture $\hat x_0$, and noises it with the same
# $\hat\varepsilon$ to the next, lower level. All of this happens in latents $x$, which a decoder
# turns into pixels.

# %%
MODEL = "tiny-sd"  # on a GPU: "sd15"
ADAPTER = "data/models/tiny-sd-two-things"  # for scenes of two things; for "sd15": ""
# The next cell loads the libraries and the model, in about ten seconds.

# %%
# %load_ext distillery.todo
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from distillery import (
    Judge,
    LineUp,
    answer,
    check,
    compare_picture,
    from_pil,
    hand_in,
    load_prior,
    show,
)
from distillery.core.files import REPOSITORY
from distillery.core.images import enlarged, grid, read_any
from distillery.methods import gradop, stroke_methods
from distillery.methods.guided_ddim import BEGINNING, fresh_noise, steered
from distillery.methods.region_control import region_predict
from distillery.methods.strokes import Painting
from distillery.metrics.patch_distance import patch_distance
from distillery.models.load import load_lora
from distillery.models.prior import Condition, guided_noise
from distillery.notebook.effort import effort
from distillery.notebook.figures import frontier
from distillery.notebook.progress import progress
from distillery.notebook.stroke_figures import dimmed_outside, power_and_coherence
from distillery.notebook.strokes.page import page
from distillery.notebook.widgets import Explorer, Preview
from distillery.runs.run import Step
from distillery.toybox import Factors, draw, draw_two
from distillery.toybox.paintings import coarse_painting, few_colours, scribbles
from guidance import strokes

prior = load_prior(MODEL)
judge = Judge.load()
EFFORT = effort()  # share of each run's steps to compute; 1 unless the environment says less

# %% [markdown]
# ## What you will be able to make
#
# Above, paintings of a few strokes. Below, what functions like yours make of them and of a
# sentence. The last one is twice as wide, and each of its words has a place of its own.

# %%
enlarged(Image.open(REPOSITORY / "data/strokes/finished/sheet.png"), 900)

# %% [markdown]
# ## The idea
#
# Let $f$ turn a picture into a coarse painting of itself. You are given a painting $y$ and a
# prompt. Among all pictures that the model can draw from this prompt, you want the one that would
# be painted like $y$:
#
# $$x^* = \arg\min_{x}\; L\big(f(x),\, f(y)\big) \qquad \text{where the model can draw } x .$$
#
# The first half pulls towards flat colours, the second half towards boats with masts. Every method
# of this stage does a little of one, then a little of the other. They differ in *when*.
#
# Six paintings. The toybox makes drawings, and from each drawing a painting as somebody would paint
# it who means the same scene: an ellipse for the thing, three bands for the rest.

# %%
WISHES = [
    Factors("boat", "red", "on a frozen river"),
    Factors("castle", "purple", "in the desert"),
    Factors("mushroom", "blue", "in the forest"),
    Factors("house", "yellow", "in the snow"),
    Factors("car", "green", "on the beach"),
    Factors("balloon", "orange", "in the night sky"),
]
prompts = [str(wish) for wish in WISHES]
drawn = [draw(wish, seed, size=prior.image_size) for seed, wish in enumerate(WISHES, start=3)]


def as_images(arrays: list) -> torch.Tensor:
    """Pictures (H, W, 3) uint8 as images (B, 3, H, W) in [-1, 1]."""
    return torch.cat([from_pil(Image.fromarray(array)) for array in arrays]).to(prior.device)


drawings = as_images([one.image for one in drawn])
paintings = as_images([coarse_painting(one, seed) for seed, one in enumerate(drawn)])
titles = [f"{wish.colour} {wish.thing}\n{wish.scene}" for wish in WISHES]
show(torch.cat([drawings, paintings]), titles, columns=6, row_titles=["drawing", "painting"])

# %% [markdown]
# ## 1 · The painting operator
#
# How far is a picture from a painting? Not the distance pixel by pixel: a good boat has a mast, and
# the painting has none, so a good boat would be far away from its own painting. Blur both, and the
# mast hardly counts. What is left is the layout and the colours.
#
# A blur is a weighted mean. With $\sigma = \text{width} \cdot \min(H, W)$, the pixel at row $i$ and
# column $j$ becomes
#
# $$f(x)_{ij} = \sum_{k,l} w_{ik}\, w_{jl}\; x_{kl} , \qquad
# w_{ik} = \frac{e^{-(i - k)^2 / 2\sigma^2}}{\sum_{k'} e^{-(i - k')^2 / 2\sigma^2}} .$$
#
# Two things are easy to get wrong. The **width** is a part of the picture, not a number of pixels:
# GradOP+'s program has 7 pixels for 512, and at 64 the same 7 pixels would wipe out the boat. And
# at the **border** there are fewer pixels to average. The weights must still sum to 1. With zeros
# beyond the border (what a convolution with padding does), every painting gets a grey frame.
#
# ### Exercise 1 · `strokes.paint`
#
# > **10 minutes · difficulty ●○○ · {points of paint} · CPU**
#
# **Contract.** `images` is `(B, C, H, W)`, square or not, with any number of channels; `width` is
# above 0. Return the blurred images, of the same shape and differentiable. The weights of each
# pixel sum to 1, to the corner. Weights below $e^{-8}$ may be left out.

# %%
# TODO strokes.paint

# %%
check("strokes.paint")

# %%
compare_picture("strokes.paint")

# %% [markdown]
# **What you should see.** The pictures of the check, blurred, and no difference, at the borders
# neither.
#
# <details><summary>Help: where do I start?</summary>
#
# The sum over rows and the sum over columns are independent. So it is two matrix products: an `(H,
# H)` matrix of weights from the left and a `(W, W)` matrix from the right, `rows @ images @
# columns.T`. PyTorch takes the last two axes, and the batch is for free.
#
# </details>
# <details><summary>Help: how do I make the weights?</summary>
#
# `place = torch.arange(H)`, and `place[:, None] - place` are all differences $i - k$. A `softmax`
# of the exponents over the right axis gives the exponential *and* the sum of 1.
#
# </details>
# <details><summary>Help: my frame is grey.</summary>
#
# Then something beyond the border is averaged in. Divide by the sum of the weights *inside* the
# picture.
#
# </details>

# %% [markdown]
# Drawings and paintings through your blur, wider from left to right:

# %%
widths = (1 / 64, 1 / 32, 1 / 16, 1 / 8)
rows = []
for images in (drawings[:2], paintings[:2]):
    for k in range(2):
        one = images[k : k + 1]
        rows += [one, *(strokes.paint(one, width) for width in widths)]
show(
    torch.cat(rows),
    ["as it is", *(f"width 1/{round(1 / width)}" for width in widths)],
    columns=5,
    row_titles=["drawing", "drawing", "painting", "painting"],
)

# %%
mirrored = drawings.flip(-1)
print("mean squared distance from the painting to:   its drawing   the drawing mirrored   ratio")
for width in (0, *widths):
    soft = [strokes.paint(x, width) if width else x for x in (paintings, drawings, mirrored)]
    near, far = ((soft[0] - other).square().mean().item() for other in soft[1:])
    name = f"blurred by 1/{round(1 / width)}" if width else "not blurred"
    print(f"{name:45}{near:12.4f}{far:23.4f}{far / near:8.1f}")

# %% [markdown]
# **What you should see.** From left to right, drawing and painting become alike, which is what $f$
# is for. The mirrored drawing has the same colours in the wrong place, and it stays away longer:
# the wider the blur, the more of the distance is layout, and the less is detail. (But the wider,
# the less of the layout is asked for.) The course measures with $1/64$, one pixel at $64 \times
# 64$, which is strict.

# %% [markdown]
# ## 2 · The faithfulness loss
#
# With $m$ the mask of what has been painted (1 where there is paint, 0 where you left the canvas
# empty), the loss of a picture $x$ is
#
# $$L = \frac{\sum \big(f(m\,x) - f(m\,y)\big)^2}{C \cdot \sum m} .$$
#
# It is a mean over what is painted. What you did not paint is not white, it is *yours to decide*,
# said to the model: nothing there counts. (The division by $\sum m$ makes a small painting as
# important as a large one.)
#
# The $f$ stands on both sides. GradOP+'s program blurs only the picture and leaves the painting
# sharp. Then not even the painting itself has a loss of 0, and the optimiser works on the sharp
# edges of your brush.
#
# ### Exercise 2 · `strokes.faithfulness_loss`
#
# > **10 minutes · difficulty ●●○ · {points of faithfulness_loss} · CPU**
#
# **Contract.** `paint` is a linear operator from images to images. `images` is `(B, 3, H, W)` with
# a graph, and may lie outside $[-1, 1]$: do not clamp it, a clamped pixel gets no gradient.
# `painting` is `(B, 3, H, W)` and `mask` `(B, 1, H, W)`. Return the loss of each picture, `(B,)`.
# Without any paint it is 0, not NaN.

# %%
# TODO strokes.faithfulness_loss

# %%
check("strokes.faithfulness_loss")

# %%
compare_picture("strokes.faithfulness_loss")

# %% [markdown]
# **What you should see.** The losses, and the gradient with respect to the pictures, as in the
# target. Where there is no paint and none nearby, the gradient is zero.
#
# <details><summary>Help: which axes does the mean go over?</summary>
#
# All but the batch. Sum over `(1, 2, 3)`, and divide each picture's sum by *its* number of painted
# values: the channels times the sum of its mask.
#
# </details>
# <details><summary>Help: 0 / 0.</summary>
#
# If nothing is painted, the numerator is 0 already. Make the denominator at least something tiny.
#
# </details>

# %% [markdown]
# Six drawings against six paintings:


# %%
def paint(images: torch.Tensor) -> torch.Tensor:
    """The painting operator of this notebook, one pixel wide at 64 x 64."""
    return strokes.paint(images, 1 / 64)


def faithfulness(images: torch.Tensor, painting: torch.Tensor = paintings) -> torch.Tensor:
    """The loss of each picture (B,), with a painting that leaves nothing open."""
    return strokes.faithfulness_loss(paint, images, painting, torch.ones_like(painting[:, :1]))


print("painting of       " + "".join(f"{wish.thing:>10}" for wish in WISHES))
for k, wish in enumerate(WISHES):
    losses = faithfulness(drawings, paintings[k : k + 1].expand_as(drawings))
    print(f"{wish.colour + ' ' + wish.thing:18}" + "".join(f"{loss:10.3f}" for loss in losses))

# %% [markdown]
# In each row the smallest number belongs to the painting's own drawing: the loss knows which
# drawing was meant. And it is not 0 there. Even the toybox's own drawing is at about 0.1 from its
# painting, because a boat is not an ellipse. **Nobody should want a loss of 0.** Remember this
# number. A method that gets far below it has not drawn a better boat, but an ellipse.
#
# Not everything need be painted. A scribble, its mask, and where your loss pulls at a grey picture:

# %%
scribbled = [torch.from_numpy(scribbles(one, seed)) for seed, one in enumerate(drawn[:3])]
scribble = as_images([one[..., :3].numpy() for one in scribbled])
mask = torch.stack([one[..., 3:].movedim(2, 0) / 255 for one in scribbled]).to(prior.device)
grey = torch.zeros_like(scribble, requires_grad=True)
strokes.faithfulness_loss(paint, grey, scribble, mask).sum().backward()
pull = grey.grad.abs().sum(1, keepdim=True)
pull = 2 * pull / pull.amax((1, 2, 3), keepdim=True) - 1
rows = [mask * scribble + 1 - mask, 2 * mask - 1, pull]
show(
    torch.cat([row.expand(-1, 3, -1, -1) for row in rows]),
    titles[:3],
    columns=3,
    row_titles=["scribble", "mask", "pull"],
)

# %% [markdown]
# ## 3 · SDEdit: begin with the painting
#
# The simplest method asks for no gradient. Noise the painting, but only part of the way, and let
# the model sample from there. Noise covers fine things first: the flatness goes, the layout stays,
# and the model draws what it believes to be below.
#
# A sampler of $N$ steps asks the network at the timesteps $t_0 > t_1 > \dots > t_{N-1}$. With
# **strength** $s$, take only the last $n = \operatorname{round}(s N)$ of them, and begin with
#
# $$x_{t_i} = \sqrt{\bar\alpha_{t_i}}\; x_0^{\text{painting}} + \sqrt{1 - \bar\alpha_{t_i}}\;
# \varepsilon , \qquad i = N - n .$$
#
# So 1 forgets the painting, or nearly, and 0.1 keeps it, flat as it is. The level must be *exactly*
# the one that the first step expects. One step too much noise and grain remains; one step too
# little and the network smooths away what is not noise.
#
# ### Exercise 3 · `strokes.sdedit_start`
#
# > **10 minutes · difficulty ●●○ · {points of sdedit_start} · CPU**
#
# **Contract.** `x0_src` and `eps` are `(B, C, h, w)`. `timesteps` is int64 `(N + 1,)` and falls;
# its last number is where the way *ends*, and the network is not asked there. $n$ is at least 1.
# `strength` times $N$ may be 13.999999999999998: take the nearest whole number, not the next one
# below. Return the latents at the level of the first step.

# %%
# TODO strokes.sdedit_start

# %%
check("strokes.sdedit_start")

# %%
compare_picture("strokes.sdedit_start")

# %% [markdown]
# **What you should see.** Noise with a drawing in it, and no difference.
#
# <details><summary>Help: how many steps are there?</summary>
#
# `len(timesteps) - 1`. Seven fence posts, six gaps.
#
# </details>
# <details><summary>Help: int or round?</summary>
#
# In floating point $50 \cdot (1 - 0.8)$ is $9.999\dots$, and `int` makes 9 of it. GradOP+'s program
# has that line, and its own SDEdit another one, so the two start one step apart at the same
# strength.
#
# </details>

# %% [markdown]
# All runs of this notebook go through the next two functions. `method` knows all methods of this
# stage by name; they call your functions, and each begins a little differently and changes some of
# DDIM's steps.

# %%
STEPS = max(2, round(20 * EFFORT))
SCALE = 5.0  # of guidance; for "sd15": 7.5
TIMESTEPS = prior.timesteps(STEPS)
SCHEDULE = {"timesteps": TIMESTEPS, "alphas_cumprod": prior.alphas_cumprod}


def guided(prompts: list[str]) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The noise that a sampler follows."""
    text, uncond = prior.embed(prompts), prior.embed([""] * len(prompts))
    return guided_noise(prior, text=text, uncond=uncond, guidance_scale=SCALE)


def finished(predict, xt, start=0, change=None, name: str = "denoising") -> torch.Tensor:
    """The latents at the end of a way that begins at the step `start`; a bar has the name."""
    steps = steered(predict, xt, **SCHEDULE, start=start, change=change)
    for step in progress(steps, name, total=STEPS - start):
        xt = step.xt
    return xt


def whole_painting(images: torch.Tensor) -> Painting:
    """A painting that leaves nothing open."""
    return Painting(images, torch.ones_like(images[:, :1]), prior.encode(images).detach())


def method(
    name: str,
    painting: Painting,
    predict: Callable,
    *,
    seed: int = 0,
    **knobs: float,
) -> torch.Tensor:
    """The latents that a method of the stage makes of a painting."""
    seeds = [1000 * seed + k for k in range(len(painting.latents))]
    shape = tuple(painting.latents.shape[1:])
    begun = stroke_methods.begin(
        name,
        strokes,
        painting,
        stroke_methods.Knobs(**knobs),
        **SCHEDULE,
        noise=fresh_noise(shape, seeds, device=prior.device),
        decode=prior.decode_with_grad,
        paint=paint,
    )
    shown = ", ".join([name, *(f"{knob} {value:g}" for knob, value in knobs.items())])
    return finished(predict, begun.xt, begun.start, begun.change, shown)


y = whole_painting(paintings)
predict = guided(prompts)


def measured(images: torch.Tensor) -> str:
    """How far from the paintings, and how often the judge finds what the prompt says."""
    seen = judge.factors(images.cpu())
    right = sum(a == b for a, b in zip(seen, WISHES, strict=True))
    return f"{faithfulness(images).mean():.3f} from the painting, {right} of {len(WISHES)} right"


# %% [markdown]
# Move the slider, or look at the sheet: a row for each strength. (Cells that draw show a bar, with
# the name of what it draws. This one takes about 20 seconds.)

# %%
STRENGTHS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
by_sdedit = {
    s: prior.decode(method("sdedit", y, predict, strength=s)).clamp(-1, 1) for s in STRENGTHS
}
Explorer(
    [grid(torch.cat([paintings, images]), columns=6) for images in by_sdedit.values()],
    sheet=grid(torch.cat([paintings, *by_sdedit.values()]), columns=6),
    strength=STRENGTHS,
)

# %%
for strength, images in by_sdedit.items():
    print(f"strength {strength:.1f}: {measured(images)}")
print(f"the drawings:  {measured(drawings)}")

# %% [markdown]
# **What you should see.** From above to below, balls turn into things: four of six are what was
# asked for at 0.3, and all six from 0.5 to 0.9. At 0.3 the boat is a ball with a mast; in the
# middle things stand where you painted them, in your colours, but squeezed into the shape of the
# ball; at 0.9 they are the model's own, as large as the model likes them.
#
# One knob decides two things. How much of the painting is covered decides how much the model may
# change *and* how much it can still see. **More real is less faithful**, at any strength: noise
# does not know which part of the painting you meant (where things are) and which you did not (that
# everything is flat). The rest of this stage tries to keep one and drop the other.

# %% [markdown]
# ## 4 · What the network believes
#
# On the way down we never have a picture, only a noisy one. But each prediction of the noise
# implies a clean picture, and on that we can measure the loss:
#
# $$\hat x_0 = \frac{x_t - \sqrt{1 - \bar\alpha_t}\;\hat\varepsilon}{\sqrt{\bar\alpha_t}}$$
#
# To *change* $x_t$ so that its $\hat x_0$ looks more like the painting, we need the derivative with
# respect to $x_t$. There are two ways from $x_t$ to $\hat x_0$: straight through the formula, and
# through the network, which made $\hat\varepsilon$ of $x_t$. The second one is long and expensive.
# Leave it out: take $\hat\varepsilon$ as a number that happens to be there.
#
# ### Exercise 4 · `strokes.x0_estimate`
#
# > **5 minutes · difficulty ●○○ · {points of x0_estimate} · CPU**
#
# **Contract.** `xt` is `(B, C, h, w)` and has a graph, `eps` has the same shape and may have one,
# `alpha_bar` is `(B, 1, 1, 1)`. Return $\hat x_0$ with a graph to `xt` alone: nothing goes back
# through `eps`.

# %%
# TODO strokes.x0_estimate

# %%
check("strokes.x0_estimate")

# %%
compare_picture("strokes.x0_estimate")

# %% [markdown]
# **What you should see.** Clean latents from noisy ones, and no difference.
#
# <details><summary>Help: which noise level divides?</summary>
#
# Solve $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 - \bar\alpha_t}\,\varepsilon$ for $x_0$. Roots,
# not $\bar\alpha_t$ itself.
#
# </details>
# <details><summary>Help: the check says that the graph goes through eps.</summary>
#
# `.detach()` gives the same numbers without a history.
#
# </details>

# %% [markdown]
# A plain run, without any painting, and what the network believes on its way. Below each belief is
# the change that your loss asks for: the gradient with respect to $x_t$, bright where it is strong.
# (About ten seconds.)

# %%
loss_of = gradop.loss_on(strokes, y, decode=prior.decode_with_grad, paint=paint)
eps0 = fresh_noise(tuple(y.latents.shape[1:]), range(6), device=prior.device)(BEGINNING)
SHOWN = sorted({round(share * (STEPS - 1)) for share in (0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85)})
beliefs, asked = {}, {}


def look(its):
    """Keep the belief of a step, and what the loss asks for; change nothing."""
    if its.index in SHOWN:
        alpha_bar = prior.alpha_bar(TIMESTEPS[its.index].expand(len(its.xt)))
        with torch.enable_grad():
            xt = its.xt.detach().requires_grad_()
            x0 = strokes.x0_estimate(xt, its.eps, alpha_bar)
            (gradient,) = torch.autograd.grad(loss_of(x0).sum(), xt)
        beliefs[its.index], asked[its.index] = x0.detach(), gradient
    return its.xt_next


text_only = finished(predict, eps0, change=look)
TWO = [0, 1]  # the boat and the castle
rows = []
for k in TWO:
    strength = torch.stack([one[k] for one in asked.values()]).square().mean(1, keepdim=True).sqrt()
    strength = 2 * strength / strength.amax((1, 2, 3), keepdim=True) - 1
    maps = F.interpolate(strength, drawings.shape[-2:]).expand(-1, 3, -1, -1)
    rows += [prior.decode(torch.stack([one[k] for one in beliefs.values()])), maps]
show(
    torch.cat(rows),
    [f"t = {TIMESTEPS[index]}" for index in SHOWN],
    columns=len(SHOWN),
    row_titles=["x0", "asked for", "x0", "asked for"],
)

# %% [markdown]
# **What you should see.** The first belief is a fog, something like the mean of all boats. Where
# things are is decided early, details come later. The loss asks for changes where belief and
# painting disagree, which is mostly round the thing: paint here, no paint there. If you want to
# move something, you have to ask early.

# %% [markdown]
# ## 5 · One burst
#
# GradOP+ asks not for one step but for many. Take $\hat x_0$ out of the sampler, optimise it for a
# while as a free variable, and put it back:
#
# 1. a copy of $\hat x_0$ takes $M$ steps of **Adam** on the faithfulness loss,
# 2. **fresh noise** brings it to the level that the *next* call of the network expects:
#
# $$x_{t_{i+1}} = \sqrt{\bar\alpha_{t_{i+1}}}\;\tilde x_0 + \sqrt{1 - \bar\alpha_{t_{i+1}}}\;
# \varepsilon .$$
#
# The step $i$ has been taken already, so its own level $t_i$ is the past. After the last step there
# is no next one; `timesteps[-1]` may be $-1$, and means no noise at all.
#
# ### Exercise 5 · `strokes.burst`
#
# > **20 minutes · difficulty ●●● · {points of burst} · CPU**
#
# **Contract.** `loss_of(latents)` gives `(B,)`; minimise its *sum*, so that no picture notices the
# others, with a new `torch.optim.Adam([copy], lr=learning_rate)` each time. `grad_steps` may be 0.
# The arguments do not change. The sampler runs without gradients: switch them on for yourself.
# Return the noised latents `(B, C, h, w)` for step `index + 1`, without a graph.

# %%
# TODO strokes.burst

# %%
check("strokes.burst")

# %%
compare_picture("strokes.burst")

# %% [markdown]
# **What you should see.** Latents that were pulled some way towards what the check's loss wants,
# and noised.
#
# <details><summary>Help: element 0 of tensors does not require grad.</summary>
#
# Two reasons. The copy must ask for a gradient, `x0.detach().clone().requires_grad_()`; and under
# `torch.no_grad()` nothing is recorded: `with torch.enable_grad():`.
#
# </details>
# <details><summary>Help: NaN, or a wrong level, after the last step.</summary>
#
# `alphas_cumprod[-1]` is the *noisiest* level of all, because Python counts from the end. Where the
# timestep is $-1$, $\bar\alpha$ is 1.
#
# </details>
# <details><summary>Help: it works, but the picture stays grainy.</summary>
#
# The level is that of `timesteps[index + 1]`, for both factors.
#
# </details>

# %% [markdown]
# ## 6 · Why it turns to mush, and why noise heals it
#
# Let us take the beliefs of section 4, at every level, and pull each one to the painting as hard as
# we can: forty steps of Adam. This is your `burst` with a schedule that ends at once ($-1$: no
# noise). Then noise the result to the level that it came from, and let the model go on from there.
# (About half a minute.)

# %%
HARD = 40 if EFFORT == 1 else 4
two = whole_painting(paintings[TWO])
loss_two = gradop.loss_on(strokes, two, decode=prior.decode_with_grad, paint=paint)
predict_two = guided([prompts[k] for k in TWO])
other_noise = fresh_noise(tuple(y.latents.shape[1:]), [70, 71], device=prior.device)(BEGINNING)
nowhere = torch.tensor([0, -1], device=prior.device)
pulled, healed = {}, {}
for index in SHOWN:
    x0 = beliefs[index][TWO]
    pulled[index] = strokes.burst(
        loss_two, x0, torch.zeros_like(x0), nowhere, 0, prior.alphas_cumprod, HARD, 0.1
    )
    strength = (STEPS - index) / STEPS
    xt = strokes.sdedit_start(pulled[index], other_noise, strength, **SCHEDULE)
    healed[index] = finished(predict_two, xt, start=index)
rows = []
for k in range(len(TWO)):
    for latents in ({i: beliefs[i][TWO] for i in SHOWN}, pulled, healed):
        rows.append(prior.decode(torch.stack([one[k] for one in latents.values()])))
show(
    torch.cat(rows),
    [f"t = {TIMESTEPS[index]}" for index in SHOWN],
    columns=len(SHOWN),
    row_titles=["x0", "pulled", "noised to t,\ndenoised"] * 2,
)

# %%
print("      mean loss of   x0      pulled   noised and denoised")
for index in SHOWN:
    three = (beliefs[index][TWO], pulled[index], healed[index])
    with torch.no_grad():
        losses = [loss_two(latents).mean().item() for latents in three]
    print(f"t = {TIMESTEPS[index]:4}{losses[0]:14.3f}{losses[1]:12.3f}{losses[2]:12.3f}")

# %% [markdown]
# **What you should see.** Second row: **mush**. From the third column on the loss is tiny, less
# than a third of that of a good drawing, and what we see is a ball with the remains of a castle
# scratched into it. The loss got all it asked for. It never asked for a castle.
#
# Why scratches and grids? The decoder has seen latents of *pictures* only; they lie on a thin sheet
# in the space of all latents. Adam left this sheet, because the loss points out of it as happily as
# along it. Off the sheet the decoder answers with whatever it does: grids of its own upsampling,
# torn edges. And Adam divides each gradient by its own size, so that all numbers of the latent move
# equally fast, those that the loss cares about and those that it hardly notices. A loss that sees
# only coarse things causes fine changes.
#
# Third row: **noise heals it**. At the highest levels a clean castle comes back, but of the size
# and in the place that the model likes. In the middle it is still a castle, and it fills the place
# that you painted. Further down the scratches survive. The spectrum says why.

# %%
start = beliefs[SHOWN[-1]][TWO]
levels = {int(TIMESTEPS[i]): float(prior.alphas_cumprod[TIMESTEPS[i]]) for i in SHOWN}
power_and_coherence(
    {
        "a drawing's latents": prior.encode(drawings[TWO]).detach(),
        "the pulled latents": pulled[SHOWN[-1]],
        "what Adam changed": pulled[SHOWN[-1]] - start,
    },
    {int(TIMESTEPS[i]): (pulled[i], healed[i]) for i in SHOWN},
    levels,
)

# %% [markdown]
# **What you should see.** Left, the power of latents at each spatial frequency, from coarse to
# fine. Pictures have much power where they are coarse and little where they are fine. Noise has the
# same power everywhere: the dashed lines are the noise of some levels, $(1 - \bar\alpha_t) /
# \bar\alpha_t$ on this scale. **Where a line is below the noise, the network cannot see it**, and
# must draw something of its own, which lies on the sheet. Adam's change has power at all
# frequencies: its fine part is no better than dirt, and noise of the middle levels covers it, while
# the coarse part sticks out.
#
# Right, how much of what was pulled is in what came back, at each frequency (the *coherence*: 1 is
# all of it). At high levels only the coarsest frequencies survive, if any; at low levels all do,
# the dirt too. So the level of the noise is a **low-pass filter for the changes**, and one has to
# choose: too high and the layout is gone with the dirt, too low and the dirt stays.

# %% [markdown]
# ## 7 · GradOP+
#
# The whole method is this: sample from pure noise; after a few early steps, one burst each; then go
# on without. Two forms, with the same bursts:
#
# - **as released**: the published program decodes and optimises the *noisy* latents $x_t$, as if
#   they were a picture. The decoder has never seen such latents,
# - **on x0**: your $\hat x_0$ is optimised, which at least looks like a picture.
#
# And a third, which has no bursts: **inside the step**. At each step the noise to follow is bent a
# little along the gradient through your `x0_estimate`, $\hat\varepsilon + w \sqrt{1 -
# \bar\alpha_t}\, \nabla_{x_t} L$, as in classifier guidance.
#
# (All of them, about a minute.)

# %%
CHOICES = {
    "SDEdit": ("sdedit", {"strength": 0.7}),
    "released": ("gradop+", {"strength": 0.8}),
    "x0 form": ("gradop+x0", {"strength": 0.8}),
    "x0, later\nand longer": (
        "gradop+x0",
        {"strength": 0.5, "num_iterative_steps": 4, "grad_steps_per_iter": 20},
    ),
    "inside\nthe step": ("x0-guidance", {"strength": 1.0, "end": 0.5, "weight": 0.15}),
}
made, seconds = {"text only": prior.decode(text_only).clamp(-1, 1)}, {}
for name, (kind, knobs) in CHOICES.items():
    clock = time.perf_counter()
    made[name] = prior.decode(method(kind, y, predict, **knobs)).clamp(-1, 1)
    seconds[name] = time.perf_counter() - clock
show(
    torch.cat([paintings, *made.values()]),
    titles,
    columns=6,
    row_titles=["painting", *made],
)

# %%
for name, images in made.items():
    took = f", {seconds[name] / len(prompts):.2f} s a picture" if name in seconds else ""
    print(f"{name.replace(chr(10), ' '):22}{measured(images)}{took}")

# %% [markdown]
# **What you should see.** The released settings give pictures nearly as good as the model's own,
# and nearer to the painting than with text alone. So does SDEdit, at a fraction of the time. "Later
# and longer" leads into the mush: the distance falls to less than half of a drawing's, and things
# are balls again, although the judge still finds all six. Inside the step it is the same with a
# larger weight; try it.
#
# ## 8 · Without optimiser
#
# Adam changed what nobody asked for. If all that we want is the painting's coarse part in the place
# of the belief's own, we can just *put it there*. With $f$ a blur *of latents* this time,
#
# $$\tilde x_0 = \hat x_0 + f(x_0^{\text{painting}}) - f(\hat x_0) ,$$
#
# and then fresh noise for the next level, as in your burst. That is the solution that a burst looks
# for, in one line: no decoder, no gradient, and nothing fine is touched. It can be done at *every*
# step of the early way, from the first one down to some level, and that level is its knob. (Its
# relatives for pictures without latents are ILVR,
# [arXiv 2108.02938](https://arxiv.org/abs/2108.02938), and DDNM,
# [arXiv 2212.00490](https://arxiv.org/abs/2212.00490). The cell takes about 20 seconds.)

# %%
ENDS = (0.8, 0.7, 0.6, 0.5, 0.4)  # the part of the way that is left when it ceases
clock = time.perf_counter()
by_ends = {
    end: prior.decode(method("low-frequencies", y, predict, strength=1.0, end=end)).clamp(-1, 1)
    for end in ENDS
}
seconds["low frequencies"] = (time.perf_counter() - clock) / len(ENDS)
show(
    torch.cat([paintings, *by_ends.values()]),
    titles,
    columns=6,
    row_titles=["painting", *(f"down to {end}" for end in ENDS)],
)

# %%
for end, images in by_ends.items():
    print(f"down to {end}: {measured(images)}")
print(f"{seconds['low frequencies'] / len(prompts):.2f} s a picture")

# %% [markdown]
# **What you should see.** Things move to their places from row to row, and their outlines stay
# clean, because what is put in is coarse, and the fine parts are always the model's own.

# %% [markdown]
# ## 9 · Who wins? The frontier
#
# Every method has a knob that trades faithfulness for realism, so two methods at one setting each
# say nothing (stage 2). We need a number for realism that sees mush and flatness. **pFD** is a
# Fréchet distance of *patches*: take the features of the judge's second block, at every position,
# as a sample; describe those of your pictures and those of the model's own, drawn from the same
# prompts without any painting, by mean and covariance; and take the distance of these two
# Gaussians. 0 would be: patch for patch as real as the model can. (The same distance of the judge's
# *last* features, which would be the usual FID, ranks flat paintings above drawings here. A measure
# must be measured.)
#
# Eighteen settings of five methods, twelve pictures each. First the paintings, and the model's own
# pictures: about half a minute.

# %%
COUNT = 12 if EFFORT == 1 else 4
MORE = [
    Factors("tree", "green", "on the grass"),
    Factors("cat", "orange", "in the snow"),
    Factors("flower", "pink", "on the grass"),
    Factors("rocket", "red", "in the night sky"),
    Factors("boat", "blue", "on the beach"),
    Factors("house", "red", "in the forest"),
]
FRONTIER = (WISHES + MORE)[:COUNT]
many = [draw(wish, 40 + k, size=prior.image_size) for k, wish in enumerate(FRONTIER)]
many_drawings = as_images([one.image for one in many])
many_y = whole_painting(as_images([coarse_painting(one, k) for k, one in enumerate(many)]))
many_prompts = [str(wish) for wish in FRONTIER]
predict_many = guided(many_prompts)
own = []
for seed in (7, 8, 9) if EFFORT == 1 else (7,):
    shape, seeds = tuple(many_y.latents.shape[1:]), range(100 * seed, 100 * seed + COUNT)
    pure = fresh_noise(shape, seeds, device=prior.device)(BEGINNING)
    own.append(prior.decode(finished(predict_many, pure)).clamp(-1, 1))
model_own = torch.cat(own)


def point(images: torch.Tensor) -> tuple[float, float]:
    """Faithfulness and realism of twelve pictures."""
    return faithfulness(images, many_y.image).mean().item(), patch_distance(
        images, model_own, judge
    )


GRIDS = {
    "SDEdit": ("sdedit", [{"strength": s} for s in (0.5, 0.6, 0.7, 0.8, 0.9)]),
    "SDEdit, fresh noise": (
        "sdedit-stochastic",
        [{"strength": s, "end": s - 0.1} for s in (0.5, 0.6, 0.7)],
    ),
    "GradOP+ as released": ("gradop+", [{"strength": s} for s in (0.9, 0.8, 0.7)]),
    "GradOP+ on x0": ("gradop+x0", [{"strength": s} for s in (0.9, 0.8, 0.7)]),
    "low frequencies": (
        "low-frequencies",
        [{"end": end, "strength": 1.0} for end in (0.75, 0.65, 0.55, 0.45)],
    ),
}


def line(name: str) -> dict[float, tuple[float, float]]:
    """The points of a method, by its knob."""
    kind, settings = GRIDS[name]
    points = {}
    for knobs in settings if EFFORT == 1 else settings[:1]:
        latents = method(kind, many_y, predict_many, seed=1, **knobs)
        shown = next(iter(knobs.values()))
        points[shown] = point(prior.decode(latents).clamp(-1, 1))
    return points


# %% [markdown]
# The methods without an optimiser, about a minute; then both forms of GradOP+, about a minute each.

# %%
lines = {name: line(name) for name in GRIDS if "GradOP+" not in name}

# %%
lines["GradOP+ as released"] = line("GradOP+ as released")

# %%
lines["GradOP+ on x0"] = line("GradOP+ on x0")
frontier(
    {name: list(points.values()) for name, points in lines.items()},
    knobs={name: list(points) for name, points in lines.items()},
    x_label="distance from the painting",
    y_label="pFD, distance from the model's own pictures",
    legend="upper right",
)

# %%
for name, images in {
    "the paintings": many_y.image,
    "the drawings": many_drawings,
    "other samples": own[0],
}.items():
    mse, pfd = point(images)
    print(f"{name:15}{mse:.3f} from the painting, pFD {pfd:.3f}")

# %% [markdown]
# **What you should see.** Down and to the left is good: near to the painting *and* drawn like the
# model's own pictures. The lines fall: what is nearer is less real. But do not believe the rest.
# Twelve pictures are few: with four seeds, the fresh noise at 0.6 had a pFD of 0.08, 0.11,
# 0.11 and 0.14. So here is the same measurement with 64 paintings and three seeds, which takes half
# an hour (`python -m benchmarks.strokes --no-regions`). The bars are the smallest and the largest
# of the seeds.

# %%
enlarged(Image.open(REPOSITORY / "data/strokes/finished/frontier.png"), 840)

# %% [markdown]
# **What it says.** Nothing beats SDEdit. Both forms of GradOP+ lie above its line, at a higher
# price: **here the released settings gain nothing over SDEdit.** What they were made for is another
# model, eight times as large at each side; whether it is different there, this figure does not say.
# The low frequencies end up on SDEdit's line. Only fresh noise between two levels, SDEdit's
# stochastic form, gets a little below it.
#
# And look at the dotted line. It is SDEdit of the *drawings*: the method is given the true layout,
# which nobody has. It lies above the line of SDEdit of the paintings! So pFD does not only ask
# whether a picture is well drawn. It asks whether it is drawn as the model would have drawn it
# *without* a painting: with the model's own colours, sizes and places. Whoever follows a painting
# pays for that, however well the picture is drawn. Be careful what you measure.

# %% [markdown]
# ## 10 · Words have places
#
# Colours say where, but not *what*. If two ellipses are painted, which one is the house? The
# sentence "a red boat and a blue house" does not tell, and these models are bad at keeping its
# adjectives apart. So paint a second layer, **labels**, and bind a few words of the prompt to each.
#
# In the network, text comes in through cross-attention: each place $p$ of the picture weighs the
# tokens $j$ by
#
# $$A_{pj} = \operatorname{softmax}_j\Big(\frac{Q_p \cdot K_j}{\sqrt d} + b_{jp}\Big) .$$
#
# With $b = 0$ each place listens to whatever it likes. With a **bias** we can say to what. For a
# token of the $k$-th region, whose mask is $m_k$,
#
# $$b_{jp} = \text{outside} + (\text{inside} - \text{outside})\; m_k(p) ,$$
#
# and 0 for all tokens that belong to no region. *Paint-with-words* (eDiff-I,
# [arXiv 2211.01324](https://arxiv.org/abs/2211.01324)) takes `inside` above 0 and `outside` 0: come
# here. A *hard mask* takes 0 and a large negative number: stay away from there.
#
# ### Exercise 6 · `strokes.region_bias`
#
# > **15 minutes · difficulty ●●○ · {points of region_bias} · CPU**
#
# **Contract.** `masks` is `(K, H, W)` in $[0, 1]$; `tokens` has the indices of the tokens of each
# of the $K$ regions; `count` is the number of tokens of the prompt. A token of several regions
# takes the largest of their masks. Return the bias `(1, count, H, W)`.

# %%
# TODO strokes.region_bias

# %%
check("strokes.region_bias")

# %%
compare_picture("strokes.region_bias")

# %% [markdown]
# **What you should see.** One map for each token: grey where it is 0, brighter or darker inside and
# outside of the regions.
#
# <details><summary>Help: why can I not add the regions up?</summary>
#
# A token of two regions would be pushed away from each by the other. The word belongs to both: take
# the maximum of the masks first, and the bias afterwards.
#
# </details>
# <details><summary>Help: which index has a word?</summary>
#
# Not its place in the sentence. The first token is a mark of the beginning, and a long word is
# several tokens. `prior.token_indices(prompt, words)` finds them.
#
# </details>

# %% [markdown]
# Four scenes of two things, 64 × 128, with their paintings and labels. Nobody paints labels
# exactly, and they need not be exact: ours are ellipses, a little larger than the things.

# %%
PAIRS = [
    (Factors("boat", "red", "on the beach"), Factors("house", "blue", "on the beach")),
    (Factors("castle", "purple", "in the desert"), Factors("car", "yellow", "in the desert")),
    (Factors("mushroom", "red", "in the forest"), Factors("cat", "orange", "in the forest")),
    (Factors("balloon", "pink", "in the snow"), Factors("tree", "green", "in the snow")),
]
H, W = prior.image_size
scenes = [draw_two(*pair, seed, size=(H, 2 * W)) for seed, pair in enumerate(PAIRS, start=10)]
wide = whole_painting(as_images([coarse_painting(one, k) for k, one in enumerate(scenes)]))


def ellipse_around(seen: torch.Tensor) -> torch.Tensor:
    """An ellipse (H, W) round what is seen (H, W)."""
    places = seen.nonzero().float()
    middle, reach = (places.amax(0) + places.amin(0)) / 2, (places.amax(0) - places.amin(0)) / 2
    every = torch.ones_like(seen).nonzero().float()
    away = ((every - middle) / (1.25 * reach + 2)).square().sum(1)
    return (away <= 1).float().view_as(seen)


things = [[torch.from_numpy(one.labels == k) for k in (1, 2)] for one in scenes]
masks = torch.stack([torch.stack([ellipse_around(one) for one in pair]) for pair in things])
masks = masks.to(prior.device)


def named(factors: Factors) -> str:
    """The words of one thing, such as "a red boat"."""
    return f"{'an' if factors.colour == 'orange' else 'a'} {factors.colour} {factors.thing}"


words = [[named(one) for one in pair] for pair in PAIRS]
sentences = [
    f"{first} and {second} {pair[0].scene}"
    for (first, second), pair in zip(words, PAIRS, strict=True)
]
pair_titles = [f"{a.colour} {a.thing},\n{b.colour} {b.thing}" for a, b in PAIRS]

# %%
biases = []
for k, sentence in enumerate(sentences):
    tokens = [prior.token_indices(sentence, one) for one in words[k]]
    bias = strokes.region_bias(masks[k], tokens, 24, 0.0, -30.0)
    biases.append([bias[0, its[-1]].exp() for its in tokens])
overlays = [dimmed_outside(wide.image, torch.stack([its[n] for its in biases])) for n in (0, 1)]
show(
    torch.cat([wide.image, *overlays]),
    pair_titles,
    columns=4,
    row_titles=["painting", "first words", "second words"],
)

# %% [markdown]
# **What you should see.** Your bias of a hard mask, as the factor $e^b$ on the weights of
# attention: the painting is lit where the words are heard. (The toybox puts the first thing on
# either side.)
#
# There is a problem that no bias cures. A token knows its sentence: "boat" has already heard of
# "red" and "blue" and "house" in the text encoder, before attention sees it. A cure is to give each
# region *a sentence of its own*. **Regional attention** puts the tokens of all sentences into one
# long row, and lets each region see only its own. **Composed scores** go further: one prediction
# for each sentence, and the picture is put together from them, place by place. With weights $m_k$
# that are divided by their sum where that is above 1, and $m_0 = 1 - \sum_k m_k$ for what is left:
#
# $$\hat\varepsilon = \hat\varepsilon_{\text{uncond}} +
# s \Big( m_0\,(\hat\varepsilon_{\text{whole}} - \hat\varepsilon_{\text{uncond}}) +
# \sum_k m_k\,(\hat\varepsilon_k - \hat\varepsilon_{\text{uncond}}) \Big)$$
#
# ### Exercise 7 · `strokes.compose_scores`
#
# > **15 minutes · difficulty ●●○ · {points of compose_scores} · CPU**
#
# **Contract.** `eps_uncond` and `eps_whole` are `(B, C, h, w)`, `eps_parts` is `(K, B, C, h, w)`,
# `masks` is `(K, 1, h, w)` in $[0, 1]$ and may overlap. Return $\hat\varepsilon$, `(B, C, h, w)`.

# %%
# TODO strokes.compose_scores

# %%
check("strokes.compose_scores")

# %%
compare_picture("strokes.compose_scores")

# %% [markdown]
# **What you should see.** Noise put together from several, and no difference, where regions overlap
# neither.
#
# <details><summary>Help: how do I divide only where the sum is above 1?</summary>
#
# Divide by the sum, but by at least 1: `masks.sum(0).clamp(min=1)`.
#
# </details>
# <details><summary>Help: the shapes do not fit.</summary>
#
# The masks have no axis for the batch: `masks[:, None]` is `(K, 1, 1, h, w)`.
#
# </details>

# %% [markdown]
# Each way of binding words, without any painting: pure noise, only the labels. The upper half is
# `tiny-sd` as it is, which has never seen a picture with two things. The lower half has an
# **adapter** (LoRA, stage 3) that was trained on such scenes. (About a minute.)

# %%
adapted = load_prior(MODEL)
if ADAPTER:
    load_lora(adapted, str(REPOSITORY / ADAPTER))
WAYS = {"sentence\nalone": None, "bias": "attention", "hard\nmask": "hard"}
WAYS |= {"regional\nattention": "regional", "composed\nscores": "composed"}


def bound(model, way: str | None):
    """The noise to follow for the four scenes, with their words bound in one of the ways."""
    if way is None:
        text, uncond = model.embed(sentences), model.embed([""] * len(sentences))
        return guided_noise(model, text=text, uncond=uncond, guidance_scale=SCALE)
    each = [
        region_predict(
            model,
            strokes,
            prompt=sentences[k],
            words=words[k],
            masks=masks[k : k + 1],
            way=way,
            guidance_scale=SCALE,
        )
        for k in range(len(sentences))
    ]
    return lambda xt, t: torch.cat([one(xt[k : k + 1], t[k : k + 1]) for k, one in enumerate(each)])


def things_right(images: torch.Tensor) -> str:
    """In how many regions the judge finds the thing, and the thing in its colour."""
    thing, colour = 0, 0
    for k, pair in enumerate(PAIRS):
        for n, wanted in enumerate(pair):
            columns = masks[k, n].amax(0).nonzero()
            left = int(columns.float().mean().round()) - W // 2
            left = min(max(left, 0), W)
            seen = judge.factors(images[k : k + 1, :, :, left : left + W].cpu())[0]
            thing += seen.thing == wanted.thing
            colour += (seen.thing, seen.colour) == (wanted.thing, wanted.colour)
    total = 2 * len(PAIRS)
    return f"{thing} of {total} things in their places, {colour} in their colours too"


wide_noise = fresh_noise(tuple(wide.latents.shape[1:]), [1, 2, 3, 4], device=prior.device)
by_way = {}
for model, whose in ((prior, ""), (adapted, "\n(adapter)")):
    for name, way in WAYS.items():
        label = " ".join((name + whose).split())
        latents = finished(bound(model, way), wide_noise(BEGINNING), name=label)
        by_way[name + whose] = prior.decode(latents).clamp(-1, 1)
show(torch.cat(list(by_way.values())), pair_titles, columns=4, row_titles=list(by_way))

# %%
for name, images in by_way.items():
    print(f"{name.replace(chr(10), ' '):30} {things_right(images)}")

# %% [markdown]
# **What you should see.** The sentence alone gives two of the same, or a house with a bit of
# another: none of the models keeps two things apart by grammar. A bias on the words of *one*
# sentence helps little, because these words know each other. A sentence for each region helps at
# once, even where the network has never seen two things. The adapter draws cleaner things where it
# is told so.
#
# ## 11 · Both together
#
# Labels say what, colours say where and how. They do not get in each other's way: one is the noise
# that is followed, the other a change of the latents, so any method goes with any binding. (About
# fifteen seconds.)

# %%
together = {"painting": wide.image}
for name, way in (("sentence\nalone", None), ("composed\nscores", "composed")):
    latents = method("low-frequencies", wide, bound(adapted, way), strength=1.0, end=0.6, seed=2)
    together[name] = prior.decode(latents).clamp(-1, 1)
show(torch.cat(list(together.values())), pair_titles, columns=4, row_titles=list(together))

# %%
for name, images in together.items():
    if name != "painting":
        loss = faithfulness(images, wide.image).mean()
        print(
            f"{name.replace(chr(10), ' '):20} {loss:.3f} from the painting, {things_right(images)}"
        )

# %% [markdown]
# **What you should see.** The same balls of colour become the right things, each in its place. This
# is what the paper promises and its program never had.


# %% [markdown]
# ## 12 · Yours
#
# Paint in any program, and save a PNG. What is transparent is not painted, and left to the model.
# Labels are a second PNG of the same size, one grey for each region in the order of the words (1,
# 2, ...), 0 for none. Without a file, a scribble of the toybox takes its place.

# %%
YOUR_PAINTING = ""  # the path of a PNG
YOUR_PROMPT = "a pink flower on the grass"
YOUR_LABELS = ""  # the path of a PNG, or no regions
YOUR_WORDS = ["a pink flower"]  # one for each region
YOUR_STRENGTH = 0.7

# %%
if YOUR_PAINTING:
    brushed = read_any(Path(YOUR_PAINTING)).convert("RGBA")
else:
    flower = draw(Factors("flower", "pink", "on the grass"), 5, size=prior.image_size)
    brushed = Image.fromarray(scribbles(flower, 5))
height, width = (8 * max(2, round(side / 8)) for side in (brushed.height, brushed.width))
brushed = brushed.resize((width, height))
painted = (torch.from_numpy(np.array(brushed))[..., 3] >= 128).float()[None, None].to(prior.device)
colours = from_pil(brushed).to(prior.device)
mean = (painted * colours).sum((2, 3), keepdim=True) / painted.sum().clamp(min=1)
filled = torch.where(painted > 0, colours, mean)  # something plausible where there is no paint
yours = Painting(filled, painted, prior.encode(filled).detach())
if YOUR_LABELS:
    labels = torch.from_numpy(np.array(Image.open(YOUR_LABELS).resize((width, height), 0)))
    places = torch.stack([(labels == k + 1).float() for k in range(len(YOUR_WORDS))])
    your_predict = region_predict(
        adapted,
        strokes,
        prompt=YOUR_PROMPT,
        words=YOUR_WORDS,
        masks=places.to(prior.device),
        way="composed",
        guidance_scale=SCALE,
    )
else:
    your_predict = guided([YOUR_PROMPT])
made = {"painted": painted * filled + 1 - painted}
for seed in range(3):
    latents = method("sdedit", yours, your_predict, strength=YOUR_STRENGTH, seed=seed)
    made[f"seed {seed}"] = prior.decode(latents).clamp(-1, 1)
show(torch.cat(list(made.values())), list(made))

# %% [markdown]
# With a live kernel, turn the knobs. (Without one you see the painting.)


# %%
def begin(strength: float = YOUR_STRENGTH, seed: int = 0):
    """The steps of SDEdit on your painting."""
    begun = stroke_methods.begin(
        "sdedit",
        strokes,
        yours,
        stroke_methods.Knobs(strength=strength),
        **SCHEDULE,
        noise=fresh_noise(tuple(yours.latents.shape[1:]), [1000 * seed], device=prior.device),
        decode=prior.decode_with_grad,
        paint=paint,
    )
    total = STEPS - begun.start
    for step in steered(your_predict, begun.xt, **SCHEDULE, start=begun.start, change=begun.change):
        image = prior.decode(step.x0)
        yield Step(step.index - begun.start, total, lambda image=image: image)


Preview(
    begin,
    first=made["painted"],
    every=1,
    strength=sorted({0.4, 0.5, 0.6, 0.8, 0.9, YOUR_STRENGTH}),
    seed=[0, 1, 2, 3],
)

# %% [markdown]
# ### Paint here
#
# Without a PNG: a brush, a second layer for the regions and their words, and a button that draws.
# It uses your functions, on `tiny-sd`. In a terminal, `make strokes-demo` opens the same page with
# the course's functions.

# %%
studio = page(strokes)
studio

# %% [markdown]
# ## Bug hunt
#
# Ungraded, and worth more than the points.
#
# ### Case 1 · The line-up
#
# Five students wrote `burst`, each with one mistake. Here are the latents that their functions make
# of the check's pictures, and a list of the five mistakes. Who made which?

# %%
suspects = LineUp(
    "strokes.burst",
    (
        "burst_uphill",
        "burst_without_noise",
        "burst_at_the_level_before",
        "burst_without_roots",
        "burst_by_sgd",
    ),
    seed=4,
)
suspects.figure()

# %%
suspects.accuse(A=None, B=None, C=None, D=None, E=None)  # write a number in place of each None

# %% [markdown]
# {answer to bug_hunt_1}
#
# ### Case 2 · The balls that stayed
#
# A colleague wrote GradOP+ on x0 by hand, with your functions, which are right. There are **three**
# bugs in the loop. None of them raises an error. Once all three are gone, the judge finds what the
# prompt says in all pictures, and they look like those of "x0 form" in section 7.


# %%
def by_hand(images: torch.Tensor, prompts: list[str], *, strength: float = 0.8) -> torch.Tensor:
    """Latents (B, C, h, w), or so the author believes."""
    painting = (images + 1) / 2
    predict = guided(prompts)
    mask = torch.ones_like(painting[:, :1])
    first = round(strength * STEPS)

    def loss_of(latents):
        return strokes.faithfulness_loss(paint, prior.decode_with_grad(latents), painting, mask)

    def change(its):
        if not first <= its.index < first + 3:
            return its.xt_next
        eps = torch.randn(its.x0.shape, generator=generator, device=prior.device)
        given = TIMESTEPS, its.index - 1, prior.alphas_cumprod
        return strokes.burst(loss_of, its.x0, eps, *given, 12, 0.1)

    generator = torch.Generator(prior.device).manual_seed(0)
    xt = torch.randn(y.latents[: len(images)].shape, generator=generator, device=prior.device)
    return finished(predict, xt, change=change)


hunted = prior.decode(by_hand(paintings, prompts)).clamp(-1, 1)
print(measured(hunted))
show(torch.cat([paintings, hunted]), titles, columns=6, row_titles=["painting", "by hand?"])

# %% [markdown]
# <details><summary>Help: how do I find out which line it is?</summary>
#
# One suspicion, one experiment. Print the smallest and the largest number of the painting that the
# loss sees. Print the timesteps at which bursts happen. Print the timestep that a burst noises to,
# and the one that the network is asked about next.
#
# </details>
# <details><summary>Help: I have two of the three.</summary>
#
# What is left if the pictures are pale? If they are balls? If they are grainy?
#
# </details>
#
# {answer to bug_hunt_2}

# %% [markdown]
# ## Dares
#
# Ungraded. The first comes with code that runs; the others are yours.
#
# ### Dare 1 · A better painter
#
# The same drawings, painted with a median filter in six colours: no ellipses any more, but shapes.
# (About 10 seconds.)

# %%
finer = as_images([few_colours(one) for one in drawn])
better = {"painting": finer}
for s in (0.4, 0.6):
    latents = method("sdedit", whole_painting(finer), predict, strength=s)
    better[f"SDEdit {s}"] = prior.decode(latents).clamp(-1, 1)
latents = method("low-frequencies", whole_painting(finer), predict, strength=1.0, end=0.5)
better["low\nfrequencies"] = prior.decode(latents).clamp(-1, 1)
show(torch.cat(list(better.values())), titles, columns=6, row_titles=list(better))

# %% [markdown]
# **What you should see.** The better the painting, the earlier is the model content with it. Which
# method profits most?
#
# ### Nine more
#
# 2. **Wider brushes.** The loss with a width of $1/16$ asks for less. Does GradOP+ get better if it
#    may ask for less? Draw it into the frontier.
# 3. **Decoder or map.** Replace `prior.decode_with_grad` by a linear map from 4 channels to RGB,
#    fitted by least squares. How much faster is a burst, and is the mush the same?
# 4. **Hold on to the text.** Add $\gamma\,\|x - \hat x_0\|^2$ to the loss of a burst, as in the
#    paper's first method. Which $\gamma$ keeps the scratches out?
# 5. **Gradient descent.** Take SGD in place of Adam in a copy of your `burst`, and look at the
#    spectrum of what it changes.
# 6. **Another schedule.** Bursts at every second step; fewer steps of Adam the later they are.
# 7. **To and fro.** After a burst, denoise two steps, noise two steps back, and again. What does
#    the frontier say?
# 8. **Three things.** Paint three regions. Which of the ways still holds?
# 9. **Words against colours.** Paint a green ellipse and write "a red boat". Who wins, at which
#    strength?
# 10. **The real one.** With a GPU, `MODEL = "sd15"` and a photograph's worth of pixels.
#
# {answers to dares}

# %% [markdown]
# ## What you hand in
#
# > **a minute or two of waiting · {points of pictures} · CPU**
#
# Together with this notebook you hand in pictures, drawn by your own functions from paintings of
# the course, and their CLIP scores. Paintings, prompts, seeds and settings are the same for
# everybody; they are in `data/hand_in.yaml`. In a terminal, in the course folder:
#
# ```sh
# python main.py hand_in 05_strokes
# ```
#
# Then the pictures and `eval.json` are in `outputs/05_strokes/`. A run that was stopped continues
# where it stopped. Finished pictures are drawn again only if your code has changed. The grader
# scores the pictures again, and draws some of them again with the code that you hand in.

# %%
hand_in("05_strokes")

# %% [markdown]
# ## What you now have
#
# - You said what "looks like" means: an operator, a loss, a mask.
# - You know what **noise** does to a picture, frequency by frequency: it hides the fine parts, and
#   with them the dirt of an optimiser.
# - You compared published methods with a simple one, and told the truth about them, and about the
#   measure.
# - You bound **words to places**, in the attention and in the scores.
#
# Your functions are in `guidance/strokes.py`.

# %% [markdown]
# ## Symbols
#
# | symbol | in code | what it is |
# |---|---|---|
# | $x_0$ | `x0` | a clean picture, as latents `(B, C, h, w)` |
# | $t$ | `t` | the timestep, a whole number from 0 (clean) to 999 (nearly all noise) |
# | $\varepsilon$ | `eps` | the noise that was put in, of the shape of $x_0$ |
# | $\bar\alpha_t$ | `alpha_bar` | the picture's share in the variance at $t$, between 0 and 1 |
# | $x_t$ | `xt` | the picture with noise of the level $t$ in it |
# | $\hat\varepsilon$ | `eps_hat`, `eps` | the network's guess of the noise in $x_t$ |
# | $\hat\varepsilon_{\text{text}}$ | `eps_text` | the guess with the prompt |
# | $\hat\varepsilon_{\text{uncond}}$ | `eps_uncond` | the guess with the empty prompt |
# | $s$ | `guidance_scale` | how far to walk from the empty prompt to the prompt, and beyond |
# | $\hat x_0$ | `x0` | the clean picture that belongs to a guess of the noise |
# | $y$, $m$ | `painting`, `mask` | the painting, and where there is paint (1) and where none (0) |
# | $f$ | `paint` | the painting operator: a blur |
# | $\sigma$ | | the blur's standard deviation, in pixels: `width` times the shorter side |
# | $L$ | `faithfulness_loss` | how far a picture is from the painting, where there is paint |
# | $N$, $n$ | `len(timesteps) - 1` | the steps of the sampler, and how many of them are taken |
# | $t_i$ | `timesteps[i]` | the timestep of step $i$; they fall |
# | $\tilde x_0$ | `x0` | the guess $\hat x_0$ after it was changed |
# | $w$ | `weight` | how much the noise is bent along the gradient of $L$ |
# | $A_{pj}$ | | how much the place $p$ of the picture listens to the token $j$ |
# | $Q_p$, $K_j$, $d$ | | query of a place, key of a token, and how many numbers each has |
# | $b_{jp}$ | `bias` | what is added to the attention of the place $p$ to the token $j$ |
# | $m_k$ | `masks[k]` | the mask of the region $k$; $m_0$ is what no region covers |
# | $\hat\varepsilon_k$ | `eps_parts[k]` | the guess with the sentence of the region $k$ |
#
# ## Further reading
#
# - C. Meng and others, *SDEdit: guided image synthesis and editing with stochastic differential
#   equations*, [arXiv 2108.01073](https://arxiv.org/abs/2108.01073): section 3.
# - J. Singh, S. Gould, L. Zheng, *High-fidelity guided image synthesis with latent diffusion
#   models*, [arXiv 2211.17084](https://arxiv.org/abs/2211.17084): GradOP+, sections 5 to 7.
# - J. Choi and others, *ILVR: conditioning method for denoising diffusion probabilistic models*,
#   [arXiv 2108.02938](https://arxiv.org/abs/2108.02938): low frequencies put in at every step.
# - Y. Wang, J. Yu, J. Zhang, *Zero-shot image restoration using denoising diffusion null-space
#   model*, [arXiv 2212.00490](https://arxiv.org/abs/2212.00490): the same for any linear operator.
# - P. Dhariwal, A. Nichol, *Diffusion models beat GANs on image synthesis*,
#   [arXiv 2105.05233](https://arxiv.org/abs/2105.05233): classifier guidance: a gradient inside
#   the step.
# - Y. Balaji and others, *eDiff-I: text-to-image diffusion models with an ensemble of expert
#   denoisers*, [arXiv 2211.01324](https://arxiv.org/abs/2211.01324): paint-with-words.
# - N. Liu and others, *Compositional visual generation with composable diffusion models*,
#   [arXiv 2206.01714](https://arxiv.org/abs/2206.01714): composed scores, section 10.
# - M. Heusel and others, *GANs trained by a two time-scale update rule converge to a local Nash
#   equilibrium*, [arXiv 1706.08500](https://arxiv.org/abs/1706.08500): the Fréchet distance of
#   section 9.
