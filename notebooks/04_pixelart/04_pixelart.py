# %% [markdown]
# # Stage 4 · Pixel art: every pixel one of eight colours
#
# *{summary}. Everything here runs on
# a laptop's CPU.*
#
# {graded}
#
# A palette is a promise: these colours and no others. It is what makes a picture that you can
# stitch, lay in beads or build from bricks. A model like SDXL knows nothing about such promises; it
# draws a million colours in a million pixels. In this stage you
#
# - write a picture as a **choice**, a colour for each pixel, that still has a gradient,
# - keep it smooth, and start it from a picture that is nearly right,
# - distil it through **SDXL**, guided by two **ControlNets**, as SD-πXL does
#   ([arXiv 2410.06236](https://arxiv.org/abs/2410.06236)),
# - and in a second sitting measure what the method is better at than scaling a picture down, read
#   its published program, and make your own, down to the **chart to stitch it from**.
#
# The stage has two notebooks. In this one you write the eight functions and hand them in. In
# `04_pixelart_part2.ipynb`, beside it, you use them; it takes about 50 minutes, and nothing in it
# is graded.
#
# You can start with this stage. If you have not done the others, you need to know three things. A
# picture with noise in it is $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 -
# \bar\alpha_t}\,\varepsilon$, and a network guesses that noise: $\hat\varepsilon(x_t, t)$. Guidance
# is $\hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,(\hat\varepsilon_{\text{text}} -
# \hat\varepsilon_{\text{uncond}})$. And score distillation moves a picture along $-(1 -
# \bar\alpha_t)(\hat\varepsilon - \varepsilon)$, for a new $t$ and $\varepsilon$ at each step, which
# asks the network what is wrong with it.

# %%
MODEL = "tiny-sdxl"  # on a GPU: "sdxl"
CLIP = "tiny-clip"  # for "sdxl": "ViT-B-32:openai"
SAMPLE_SCALE = 4.0  # for "sdxl": 7.5
# The next cell loads the libraries and the models, in about ten seconds.

# %%
# %load_ext distillery.todo
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from distillery import (
    ClipScorer,
    answer,
    check,
    compare_picture,
    hand_in,
    load_prior,
    show,
    to_pil,
)
from distillery.core.files import REPOSITORY
from distillery.core.images import enlarged, save_png
from distillery.course.student_files import course_root
from distillery.models.load import load_controlnets
from distillery.models.prior import Condition, Control, Prior
from distillery.notebook.effort import effort
from distillery.notebook.figures import overlaid
from distillery.notebook.pixelart.widgets import TauExplorer, live_pixels
from distillery.palettes import load_palette, sheet
from distillery.pixelart.begin import begin_from
from distillery.pixelart.indexed_png import indexed
from distillery.pixelart.initial_grid import Start, controls_for, fitted_palette
from distillery.pixelart.settings import PixelSettings
from distillery.pixelart.smoothness_losses import mirrored
from guidance import pixelart

prior = load_prior(MODEL)
load_controlnets(prior, MODEL, ["canny", "depth"])
scorer = ClipScorer(CLIP)
EFFORT = effort()  # share of each run's steps to compute; 1 unless the environment says less

# %% [markdown]
# ## What you will be able to make
#
# This is one example. You make one like it in section 9.

# %%
finished = Image.open(REPOSITORY / "data/pixelart/red_boat.png")
pixels = np.array(finished.convert("RGB")).reshape(-1, 3)
print(f"{finished.width} x {finished.height} pixels, {len(np.unique(pixels, axis=0))} colours")
enlarged(finished)

# %% [markdown]
# The file is an *indexed* PNG: for each pixel it holds not a colour but a number, a row of the
# palette, which is stored too. No colour in between can get in, not even by accident.

# %%
palette = torch.tensor(finished.getpalette()).view(-1, 3).to(prior.device) / 255  # in [0, 1]
indices = torch.from_numpy(np.array(finished)).long().to(prior.device)  # rows of the palette
print(indices[12:16, 8:24])
sheet({"its palette": palette})

# %% [markdown]
# ## The idea
#
# How many such pictures are there? With $K = 8$ colours and 32 × 32 pixels, $8^{1024}$. Somewhere
# among them are good red boats. A search by gradient cannot walk there, because there is nothing
# between colour 3 and colour 4: an index has no derivative. So we optimise how much each colour is
# **wanted** in each pixel, $K$ numbers for each pixel, the *logits*. A step goes through the whole
# chain, and the number at each link is the exercise that makes it.
#
# ```text
# logits ── weights ── small picture ── canvas ── latents ── SDXL, ControlNets ── gradient
#  4, 5      2, 3        1 │             enlarged   VAE         7, 8                 8
#                          └── smoothness 6
# ```
#
# In the end each pixel takes the colour that is wanted most. That is the whole method. The art is
# not to be cheated on the way, because *mixtures* of colours are a great temptation.

# %% [markdown]
# ## 1 · Paint
#
# A pixel's weights $w_k$ are not negative and their sum is 1. The pixel's colour is the mean of the
# palette's colours, weighted by them. If one weight is 1, the pixel has that palette colour
# *exactly*. Otherwise its colour is somewhere between. The gradient reaches the weights; the
# palette never learns.
#
# There is no formula here: you write it. Two things to think of. The palette is in $[0, 1]$ and
# pictures, as everywhere in the course, in $[-1, 1]$. And several pictures may share one palette,
# or bring a palette each.
#
# ### Exercise 1 · `pixelart.paint`
#
# > **5 minutes · difficulty ●○○ · {points of paint} · CPU**
#
# **Contract.** `weights` is `(B, K, h, w)`; `palette`, in $[0, 1]$, is `(K, 3)` for all pictures or
# `(B, K, 3)`, one for each. Return the pictures, `(B, 3, h, w)` in $[-1, 1]$, with a graph to the
# weights. Pictures need not be square.

# %%
# TODO pixelart.paint

# %%
check("pixelart.paint")

# %%
compare_picture("pixelart.paint")

# %% [markdown]
# **What you should see.** Two small pictures in soft colours, and no difference.
#
# <details><summary>Help: which sum is this?</summary>
#
# For each pixel a row of $K$ weights times a $K \times 3$ matrix. `torch.einsum` lets you name the
# axes: `b k h w` and `k c` become `b c h w`. A matrix product over a moved axis does as well.
#
# </details>
# <details><summary>Help: a palette for each picture?</summary>
#
# Then the palette has a letter more, the `b` of its picture. `palette.dim()` says which of the two
# came; or make the first case the second one: `palette.expand(B, K, 3)`.
#
# </details>
# <details><summary>Help: everything is too bright, or too dark.</summary>
#
# Look at the range. A mean of palette colours is in $[0, 1]$; 0 must become $-1$, and 1 must stay
# 1.
#
# </details>

# %% [markdown]
# The finished picture again, now painted by you, first as it is, then with less and less of its own
# colour and more of all the others.

# %%
chosen = F.one_hot(indices, len(palette)).movedim(2, 0)[None].float()  # (1, K, h, w)
shares = (1.0, 0.75, 0.5, 0.25, 0.0)


def crisp(small: torch.Tensor) -> torch.Tensor:
    """Small pictures with every pixel as a square of 8 x 8."""
    return F.interpolate(small.detach(), scale_factor=8, mode="nearest")


def colours_in(picture: torch.Tensor) -> int:
    """How many different colours a picture (1, 3, h, w) has, in 8 bits."""
    return len(np.unique(np.array(to_pil(picture)[0]).reshape(-1, 3), axis=0))


mixed = [pixelart.paint(share * chosen + (1 - share) / len(palette), palette) for share in shares]
show(
    crisp(torch.cat(mixed)),
    [
        f"{share:.0%} its own\n{colours_in(one)} colours"
        for share, one in zip(shares, mixed, strict=True)
    ],
)

# %% [markdown]
# To a gradient all of these are pictures, and the way from the first to the last is smooth. To you,
# only the first one is pixel art. (The others have as few colours, but not those of the palette.)

# %% [markdown]
# ## 2 · Weights that try
#
# From logits $\ell_k$ to weights, the obvious way is
#
# $$p_k = \operatorname{softmax}(\ell)_k = \frac{e^{\ell_k}}{\sum_j e^{\ell_j}} .$$
#
# It has a weakness. If a pixel should be orange and there is only red and yellow, the softmax
# settles for half of each, and is *content*. No gradient asks it to decide. At the end you take the
# largest weight, and get a red that the model never saw.
#
# The remedy is chance. Draw a colour instead, colour $k$ with probability $p_k$, and let the model
# judge what was drawn. There is a neat way to draw: add its own noise $g_k$ to each logit and take
# the largest, where $g_k = -\log(-\log u_k)$ with $u_k \sim \mathcal U(0, 1)$ has a *Gumbel*
# distribution. It can be shown that
#
# $$\Pr\big[\,k = \textstyle\arg\max_j (\ell_j + g_j)\,\big] = p_k \quad\text{exactly.}$$
#
# "Take the largest" has no derivative, so it is softened by a temperature $\tau$ (Jang et al. 2017,
# [arXiv 1611.01144](https://arxiv.org/abs/1611.01144); Maddison et al. 2017):
#
# $$w = \operatorname{softmax}\big((\ell + g) / \tau\big), \qquad g = -\log(-\log u) .$$
#
# For small $\tau$ the weights are nearly 0 and 1, and gradients are rare and large; for large
# $\tau$ all weights are about equal. But for every $\tau$, *which* weight is the largest follows
# $p$.
#
# ### Exercise 2 · `pixelart.gumbel_softmax`
#
# > **10 minutes · difficulty ●●○ · {points of gumbel_softmax} · CPU**
#
# **Contract.** `logits` is `(B, K, h, w)`. Every logit has its own noise, and all of it comes from
# `generator`: the same state, the same weights. Return the weights, with sum 1 *over the colours*
# and a graph to the logits. They must be finite even if the generator draws a 0.

# %%
# TODO pixelart.gumbel_softmax

# %%
check("pixelart.gumbel_softmax")

# %%
compare_picture("pixelart.gumbel_softmax")

# %% [markdown]
# **What you should see.** Random numbers cannot be compared one by one, so the check looks at many
# pixels, at two temperatures: how often a colour's weight is the largest, and how large it is on
# average. In each group of bars the first is of the colour with the largest logit of its pixel, the
# next of the second, and so on. Each bar ends about at its line. The first two groups are alike,
# the last two are not.
#
# <details><summary>Help: NaN or infinity, where the generator draws a 0.</summary>
#
# $\log 0 = -\infty$, and `torch.rand` does draw 0, once in sixteen million times: for 16 colours at
# 64 × 64, at every 256th step. Where $g$ becomes $+\infty$, the softmax divides infinity by
# infinity. Keep the argument of each logarithm above zero, with `clamp(min=...)` and something
# tiny.
#
# </details>
# <details><summary>Help: which axis?</summary>
#
# The colours compete with one another within a pixel. Pixels do not compete.
#
# </details>
# <details><summary>Help: may I use torch.nn.functional.gumbel_softmax?</summary>
#
# It draws from PyTorch's global generator, and you cannot pass another one; so your seed does not
# repeat the picture.
#
# </details>

# %% [markdown]
# One pixel, three colours wanted to 60, 30 and 10 per cent, drawn 40,000 times:

# %%
generator = torch.Generator(prior.device).manual_seed(0)
wanted = torch.tensor([0.6, 0.3, 0.1], device=prior.device).log().view(1, 3, 1, 1)
wanted = wanted.expand(1, 3, 200, 200)
print("          how often each is the largest        mean of the largest weight")
print("   tau        Gumbel          softmax             Gumbel    softmax")
for tau in (0.1, 0.5, 1.0, 2.0, 10.0):
    both = pixelart.gumbel_softmax(wanted, tau, generator), (wanted / tau).softmax(dim=1)
    wins = [F.one_hot(w.argmax(dim=1), 3).float().mean((0, 1, 2)).tolist() for w in both]
    shares = [" ".join(f"{share:4.0%}" for share in won) for won in wins]
    largest = [w.amax(dim=1).mean().item() for w in both]
    print(f"{tau:6g}  {shares[0]}  {shares[1]}  {largest[0]:12.2f} {largest[1]:10.2f}")

# %% [markdown]
# A softmax gives the second colour no chance at any temperature. Gumbel tries all three as often as
# they are wanted, for every $\tau$ from 0.1 to 10.
#
# In pictures: the logits are 4 for the finished picture's colours (a $p$ of 0.89) and 0 for the
# others. Columns are temperatures; the two lower rows are two seeds.

# %%
taus = (0.1, 0.5, 1.0, 2.0, 5.0)
rows = [pixelart.paint((4 * chosen / tau).softmax(dim=1), palette) for tau in taus]
for seed in (0, 1):
    for tau in taus:
        generator = torch.Generator(prior.device).manual_seed(seed)
        rows.append(pixelart.paint(pixelart.gumbel_softmax(4 * chosen, tau, generator), palette))
show(
    crisp(torch.cat(rows)),
    [f"tau = {tau:g}" for tau in taus],
    columns=len(taus),
    row_titles=["softmax", "Gumbel,\nseed 0", "Gumbel,\nseed 1"],
)

# %% [markdown]
# **What you should see.** Down a column, the seed says *which* pixels try another colour; along a
# row, $\tau$ says only *how far* they go. It is the same 11 per cent in all five. One step sees one
# such picture, the next step another one, so the model sees a pixel that is not sure in all its
# colours, one after the other. SD-πXL draws a new $\tau$ between 0.5 and 1.5 at each step.
#
# With a live kernel, move the temperature yourself. (Without one you see a sheet.)

# %%
TauExplorer(4 * chosen, palette, pixelart.gumbel_softmax, seed=(0, 1))

# %% [markdown]
# ## 3 · Straight through
#
# The other remedy is more direct. Go *forward* with the choice itself, 1 for the colour of the
# largest logit and 0 for all others, so that the model only ever sees pixel art. *Backward*, where
# the choice has no derivative, use the softmax's:
#
# $$\text{value} = \operatorname{onehot}\big(\textstyle\arg\max_k \ell_k\big), \qquad
# \text{gradient} = \text{that of } \operatorname{softmax}(\ell) .$$
#
# This is the *straight-through* estimator (Bengio et al. 2013,
# [arXiv 1308.3432](https://arxiv.org/abs/1308.3432)). It is not the derivative of anything; it is a
# wire that bypasses the switch.
#
# ### Exercise 3 · `pixelart.straight_through`
#
# > **10 minutes · difficulty ●●○ · {points of straight_through} · CPU**
#
# **Contract.** `logits` is `(B, K, h, w)`. Return weights of the same shape that are *exactly* 0 or
# 1, with a 1 for the largest logit of each pixel, the first of equal ones, and whose gradient is
# the softmax's over the colours.

# %%
# TODO pixelart.straight_through

# %%
check("pixelart.straight_through")

# %%
compare_picture("pixelart.straight_through")

# %% [markdown]
# **What you should see.** Above, the weights of the first three colours as red, green and blue (so
# that the fourth colour is grey): two drawings with one plain colour for each pixel, nothing in
# between. Below is what the weights send back to the logits, and that is not plain at all.
#
# <details><summary>Help: how can value and gradient differ?</summary>
#
# `a + b - b.detach()` has the value of `a`. And its gradient?
#
# </details>
# <details><summary>Help: my ones are 0.99999994.</summary>
#
# Floating-point sums depend on the order. $(1 + p) - p$ is 1 in exact arithmetic, but perhaps not
# in float32; $1 + (p - p)$ always is. If the check complains, change the brackets.
#
# </details>

# %% [markdown]
# ### Why the chosen picture may differ from the optimised one
#
# Pixel art of 8 × 24 pixels should look like a ramp from red to yellow. There are four colours for
# it, and orange is not among them. All three ways of making weights get the same loss, the squared
# distance from the ramp, and the same number of steps.

# %%
four = load_palette("crayons")[[2, 6, 3, 7]].to(prior.device)  # red, yellow, blue, white
way = torch.linspace(0, 1, 24, device=prior.device).expand(1, 1, 8, 24)
ramp = torch.lerp(*(2 * four[k].view(1, 3, 1, 1) - 1 for k in (0, 1)), way)


def fitted_to(picture: torch.Tensor, weights_of: Callable[[torch.Tensor], torch.Tensor]):
    """The logits that look most like a picture, by 300 steps of Adam."""
    logits = torch.zeros(1, 4, 8, 24, device=prior.device, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        loss = (pixelart.paint(weights_of(logits), four) - picture).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return logits.detach()


generator = torch.Generator(prior.device).manual_seed(0)
ways = {
    "softmax": lambda logits: logits.softmax(dim=1),
    "Gumbel, tau = 1": lambda logits: pixelart.gumbel_softmax(logits, 1.0, generator),
    "Gumbel, tau = 0.2": lambda logits: pixelart.gumbel_softmax(logits, 0.2, generator),
    "straight through": pixelart.straight_through,
}
rows, names = [ramp, ramp], ["wanted"]
for name, weights_of in ways.items():
    logits = fitted_to(ramp, weights_of)
    soft = pixelart.paint(logits.softmax(dim=1), four)
    hard = pixelart.paint(pixelart.straight_through(logits), four)
    away = [(one - other).abs().mean() for one, other in ((soft, ramp), (hard, ramp), (soft, hard))]
    print(f"{name:18} soft {away[0]:.3f} off, hard {away[1]:.3f} off, {away[2]:.3f} between them")
    rows, names = [*rows, soft, hard], [*names, name.replace(", ", "\n")]
show(
    crisp(torch.cat([*rows[::2], *rows[1::2]])),
    names,
    columns=len(names),
    row_titles=["soft", "hard"],
)

# %% [markdown]
# **What you should see.**
#
# - *Softmax*: the soft picture is the ramp, nearly perfect, and it is **not** what you will get.
#   The loss never saw the hard one.
# - *Gumbel*: mixtures are shaken at every step, so they do not pay. Soft and hard picture come
#   together, and closer for lower temperatures.
# - *Straight through* always looks at the hard picture. But its gradient belongs to another
#   picture, and pixels keep jumping back and forth; the soft picture means nothing.
#
# SD-πXL takes Gumbel, the middle way. Watch two numbers in a run: how *sure* the pixels are, and
# how far apart the soft and the hard picture are at the end.

# %% [markdown]
# ## 4 · Start from a picture
#
# Logits of noise are far away from any picture. So start from a picture: a photograph, a painting,
# or a drawing that the model makes in the ordinary way. Four drawings, of which CLIP picks one
# (about five seconds):

# %%
PROMPT = "a red boat on a frozen river"
SEED = 0


def drawings_of(prompts: list[str], size: tuple[int, int] | None = None) -> torch.Tensor:
    """One sample of the model for each prompt, (B, 3, H, W) in [-1, 1]."""
    generator = torch.Generator(prior.device).manual_seed(SEED)
    latents = prior.sample(prompts, guidance_scale=SAMPLE_SCALE, generator=generator, size=size)
    return prior.decode(latents).clamp(-1, 1)


four_drawings = drawings_of([PROMPT] * 4)
scores = scorer.score(to_pil(four_drawings), [PROMPT] * 4)
drawing = four_drawings[int(np.argmax(scores))][None]
small = F.interpolate(drawing, (32, 32), mode="area")
show(four_drawings, [f"CLIP {score:.3f}" for score in scores])

# %% [markdown]
# The small picture is the drawing's *area mean*: each of its 32 × 32 pixels is the mean of the
# pixels it replaces. (Interpolation without averaging would look at a few pixels only, and alias.)
# It has a thousand colours, and we want logits that come near it. Take distances: with
#
# $$d_k = \sum_{c} \big|\,\text{pixel}_c - \text{palette}_{k,c}\,\big|$$
#
# for pixel *and* palette in $[0, 1]$,
#
# 1. $\ell_k = -d_k$: the nearer a colour, the more it is wanted;
# 2. in every pixel, subtract the mean over the colours (a softmax does not notice, weight decay and
#    the eye do);
# 3. in every pixel, scale the vector of $K$ logits to the length $\sqrt K$.
#
# The third step is the clever one. A pixel *between* two colours has nearly equal distances; a
# pixel near one colour does not. Without the third step, the first would be almost undecided and
# the second stubborn. With it, all are about equally sure.
#
# ### Exercise 4 · `pixelart.logits_from_image`
#
# > **15 minutes · difficulty ●●○ · {points of logits_from_image} · CPU**
#
# **Contract.** `image` is `(B, 3, h, w)` in $[-1, 1]$, of the small picture's size already;
# `palette` is `(K, 3)` in $[0, 1]$. Return the logits, `(B, K, h, w)`. If a pixel is equally far
# from all colours, they must be 0, not NaN.

# %%
# TODO pixelart.logits_from_image

# %%
check("pixelart.logits_from_image")

# %%
compare_picture("pixelart.logits_from_image")

# %% [markdown]
# **What you should see.** The logits of the first three colours as red, green and blue.
#
# <details><summary>Help: how do I get all distances at once?</summary>
#
# Broadcasting. The picture as `(B, 1, 3, h, w)`, the palette as `(1, K, 3, 1, 1)`; their difference
# is `(B, K, 3, h, w)`, and the sum over the channels is over axis 2.
#
# </details>
# <details><summary>Help: NaN where all distances are the same.</summary>
#
# There the vector has length 0 after step 2, and 0 / 0 is NaN. Make the length that you divide by
# at least something tiny.
#
# </details>
# <details><summary>Help: it looks right but the numbers are off.</summary>
#
# Is the picture in $[0, 1]$ when you compare? Is the distance the sum of absolute values, and the
# length the root of the sum of squares? Over which axis?
#
# </details>

# %%
CRAYONS = load_palette("crayons").to(prior.device)
logits = pixelart.logits_from_image(small, CRAYONS)


def sureness(logits: torch.Tensor) -> str:
    """How surely the colours are chosen: the largest weight, least, median and greatest."""
    largest = logits.softmax(dim=1).amax(dim=1).flatten()
    return " to ".join(f"{largest.quantile(q):.2f}" for q in (0, 0.5, 1))


distances = (small[:, None] - (2 * CRAYONS - 1)[None, :, :, None, None]).abs().sum(dim=2) / 2
print("largest weight, least to greatest:")
print("  of the distances as they are:", sureness(-distances))
print("  of your logits:              ", sureness(logits))
soft = pixelart.paint(logits.softmax(dim=1), CRAYONS)
hard = pixelart.paint(pixelart.straight_through(logits), CRAYONS)
show(
    crisp(torch.cat([small, soft, hard])),
    ["small", "soft start", "hard start,\nthe crayons"],
)

# %% [markdown]
# **What you should see.** The soft start is paler than the picture, because every pixel contains
# all colours; the hard one has the nearest colours. For a palette that was not made for this
# picture, that is a beginning.

# %% [markdown]
# ## 5 · A palette of its own
#
# Or find the palette in the picture. **K-means** (Lloyd 1982) looks for $K$ centres that are close
# to the pixels. It repeats two things: every pixel belongs to the nearest centre, and every centre
# moves to the mean of its pixels,
#
# $$c_k \;\leftarrow\; \frac{1}{|P_k|} \sum_{p \in P_k} p , \qquad
# P_k = \big\{\,p : k = \textstyle\arg\min_j \|p - c_j\|\,\big\} .$$
#
# Neither can make the sum of squared distances larger, so it converges.
#
# ### Exercise 5 · `pixelart.kmeans_step`
#
# > **10 minutes · difficulty ●●○ · {points of kmeans_step} · CPU**
#
# **Contract.** `pixels` is `(N, 3)`, `centres` is `(K, 3)`. Return the new centres, `(K, 3)`, in
# the same order. Distances are Euclidean; of equally near centres the first gets the pixel. A
# centre without pixels stays where it is. Do not change the arguments.

# %%
# TODO pixelart.kmeans_step

# %%
check("pixelart.kmeans_step")

# %%
compare_picture("pixelart.kmeans_step")

# %% [markdown]
# **What you should see.** Five centres as colours, side by side. Two of them started at the same
# place, and the second of these got no pixels. The last, loud one got none either, because nothing
# is near it. Both have stayed where they were.
#
# <details><summary>Help: where do I start?</summary>
#
# `torch.cdist` gives all distances, `(N, K)`; `argmin` says whose each pixel is. For the means, a
# loop over $K$ with a mask is fine. Without a loop: the one-hot matrix of the labels, `(N, K)`,
# transposed, times the pixels, is the sum for each centre.
#
# </details>
# <details><summary>Help: NaN for one of the centres.</summary>
#
# It has no pixels: a sum of nothing divided by 0. `torch.where` keeps the old one there.
#
# </details>

# %%
points = (small[0].flatten(1).T + 1) / 2
generator = torch.Generator(prior.device).manual_seed(SEED)
centres = points[torch.randperm(len(points), generator=generator, device=prior.device)[:8]]
for step in range(31):
    if step in (0, 1, 2, 5, 10, 30):
        apart = torch.cdist(points, centres).amin(dim=1).square().mean().sqrt()
        print(f"after {step:2} steps: {apart:.4f} from the nearest centre")
    centres = pixelart.kmeans_step(points, centres)

# %% [markdown]
# It converges to *a* minimum, and which one depends on the start. The course's `fitted_palette`
# takes the best of four starts, each with centres far apart (k-means++, Arthur and Vassilvitskii
# 2007), and calls your step in OKLab, a space in which distances are about as large as they look.

# %%
generator = torch.Generator(prior.device).manual_seed(SEED)
found = {count: fitted_palette(small, count, pixelart, generator) for count in (4, 8, 16)}
PALETTE = found[8]
rows = [
    pixelart.paint(pixelart.straight_through(pixelart.logits_from_image(small, one)), one)
    for one in (CRAYONS, *found.values())
]
show(crisp(torch.cat([small, *rows])), ["small", "crayons", *(f"{k} found" for k in found)])

# %%
sheet({"crayons": CRAYONS, **{f"{count} found": one for count, one in found.items()}})

# %% [markdown]
# ## 6 · Calm
#
# Score distillation pushes each pixel with the noise of the moment, and it leaves **speckle**:
# pixels that disagree with all their neighbours. At 32 × 32 one pixel is an eye or a window, so
# speckle is expensive. SD-πXL measures it with a Fourier transform. A drawing is in the coarse
# frequencies $f$ (in cycles per pixel). Speckle is in all of them, so also in the fine ones:
#
# $$\mathcal L_{\text{FFT}} = \operatorname*{mean}_{c,\; |f| > 0.1768} \big|F_c(f)\big| ,
# \qquad |f| = \sqrt{f_y^2 + f_x^2}$$
#
# (SD-πXL's bound is $1/(4\sqrt 2) = 0.17677\dots$ At many sizes the frequency $(1/8, 1/8)$ lies
# exactly on it, and rounding would decide whether it counts. Ours lies just above.)
#
# There is a trap in $F$. A Fourier transform sums over all pixels, so for *the same* noise it is
# larger in larger pictures. The published loss is like this, and its weight of 20 was chosen for 64
# × 64. With the *orthonormal* transform, which divides by $\sqrt{hw}$, speckle of the same strength
# costs the same at any size, and one weight is enough.
#
# ### Exercise 6 · `pixelart.fft_loss`
#
# > **15 minutes · difficulty ●●● · {points of fft_loss} · CPU**
#
# **Contract.** `image` is `(B, 3, h, w)`, square or not. `torch.fft.fft2` with `norm="ortho"` gives
# $F$, and `torch.fft.fftfreq(n)` the frequency at each place of an axis of length $n$, in cycles
# per pixel. Take the *mean* over the channels and over the frequencies above the bound, and the
# *sum* over the batch; return a scalar, differentiable in the image.

# %%
# TODO pixelart.fft_loss

# %%
check("pixelart.fft_loss")

# %%
compare_picture("pixelart.fft_loss")

# %% [markdown]
# **What you should see.** The gradient of your loss looks like confetti: the drawing is hardly in
# it, but the speckle that the check has added is. Gradient descent removes it.
#
# <details><summary>Help: how do I say which frequencies are fine?</summary>
#
# `fftfreq(h)` as a column and `fftfreq(w)` as a row broadcast to `(h, w)`, in the order in which
# `fft2` has them. Compute $|f|$ from them, and a boolean mask, which can index a tensor:
# `spectrum[..., mask]`.
#
# </details>
# <details><summary>Help: do I have to shift the zero frequency to the middle?</summary>
#
# Only to look at it. If you shift the spectrum, shift the mask too.
#
# </details>
# <details><summary>Help: my loss is right for one picture, and not for two.</summary>
#
# With a mean over the batch, each picture's loss would become smaller the more pictures there are.
# All pictures are optimised together, and none should notice the others: add.
#
# </details>

# %% [markdown]
# The same speckle at three sizes, by your loss and as published (the same, without
# `norm="ortho"`):


# %%
def as_published(image: torch.Tensor) -> float:
    """The loss of SD-πXL's program on one picture."""
    height, width = image.shape[-2:]
    return pixelart.fft_loss(image).item() * (height * width) ** 0.5


generator = torch.Generator(prior.device).manual_seed(0)
print("speckle of strength 0.2      yours    as published")
for height, width in ((32, 32), (64, 64), (24, 96)):
    noise = torch.randn(1, 3, height, width, generator=generator, device=prior.device)
    ours, theirs = pixelart.fft_loss(0.2 * noise).item(), as_published(0.2 * noise)
    print(f"at {height} x {width}:{ours:19.4f}{theirs:16.2f}")
for side in (32, 64):
    one = F.interpolate(drawing, (side, side), mode="area")
    print(f"the drawing at {side} x {side}: yours {pixelart.fft_loss(one).item():.4f}, ", end="")
    print(f"as published {as_published(one):.2f}")

# %% [markdown]
# At twice the side, the published loss counts the same speckle twice, and with the weight of 20 you
# would smooth twice as hard without knowing it. (Your loss needs the weight 20 · 64 = 1280 for the
# same effect at 64 × 64.) With your loss the drawing costs less at 64 × 64, and rightly: at twice
# the resolution it *is* smoother.
#
# What does the loss want if it is alone? We change one pixel in twelve to a random colour, and then
# the logits follow only your loss.

# %%
generator = torch.Generator(prior.device).manual_seed(1)
start = pixelart.logits_from_image(small, PALETTE)
hit = torch.rand(1, 1, 32, 32, generator=generator, device=prior.device) < 1 / 12
other = torch.randn(start.shape, generator=generator, device=prior.device)
logits = torch.where(hit, other, start).requires_grad_()
optimiser = torch.optim.Adam([logits], lr=0.1)
seen = {}
for step in range(61):
    weights = logits.softmax(dim=1)
    loss = pixelart.fft_loss(pixelart.paint(weights, PALETTE))
    if step in (0, 5, 15, 60):
        with torch.no_grad():
            seen[step] = pixelart.paint(pixelart.straight_through(logits), PALETTE)
        print(f"after {step:2} steps: {loss.item():.4f}")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
show(crisp(torch.cat(list(seen.values()))), [f"after {step} steps" for step in seen])

# %% [markdown]
# **What you should see.** The loss falls to less than a twentieth. Dark specks become pale blobs,
# and the outlines of the boat go with them. (The loss sees mixtures; the pictures show what each
# pixel has most of.) A smoothness loss knows nothing about boats; something that does must outweigh
# it.

# %% [markdown]
# There is a second trap, and the published program is caught in it. A Fourier transform takes a
# picture for one tile of a wallpaper: on top of its top row lies the bottom row of the next tile.
# To the loss, sky above sand is *two* edges, one at the horizon and one around the border, and it
# smooths both. If the picture is laid beside its mirror images first, equal rows meet at the
# border. Sky and sand follow the loss alone, as they are and mirrored:


# %%
def sky_and_sand(laid: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """What 20 steps along the loss of the picture, laid out by `laid`, make of two colours."""
    colours = torch.tensor([[0.45, 0.65, 0.95], [0.90, 0.55, 0.25]], device=prior.device)
    logits = torch.full((1, 2, 32, 32), -2.0, device=prior.device)
    logits[:, 0, :20], logits[:, 1, 20:] = 2.0, 2.0
    logits.requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(20):
        loss = pixelart.fft_loss(laid(pixelart.paint(logits.softmax(dim=1), colours)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return pixelart.paint(logits.detach().softmax(dim=1), colours)


alone, laid_out = sky_and_sand(lambda image: image), sky_and_sand(mirrored)
for name, one in {"as it is": alone, "mirrored": laid_out}.items():
    top, sky, horizon = (one[0, 0, row].mean().item() for row in (0, 10, 19))
    print(f"{name}: red in the top row {top:+.2f}, in the sky {sky:+.2f}, ", end="")
    print(f"above the horizon {horizon:+.2f}")
show(crisp(torch.cat([alone, laid_out])), ["as it is", "mirrored"])

# %% [markdown]
# **What you should see.** As it is, the top row turns to sand exactly as far as the row above the
# horizon does, and the bottom row turns to sky. Mirrored, the top stays sky and the bottom sand. In
# pixel art that line becomes a stripe of another colour. So the course's `loss`, which calls
# your function, gives it the picture `mirrored`.

# %% [markdown]
# ## 7 · From the layout to the details
#
# At high noise a model decides the layout, at low noise the details (stage 1). A picture
# that starts from a drawing has its layout. SD-πXL lets the upper bound of $t$ fall linearly, from
# $t_{\max} = 980$ at the first step to $t_{\text{bound}} = 800$ after half of the run. Then it
# stays where it is. Each $t$ is drawn up to it:
#
# $$t \sim \mathcal U\{t_{\min}, \dots, \text{bound}\} .$$
#
# You find the line: where is the bound after a quarter of the run, and after three quarters? The
# part $r$ of the run in which it falls is an argument, and it may be 1, so that the bound falls to
# the end, or **0**: then it is down from the beginning.
#
# ### Exercise 7 · `pixelart.bounded_timesteps`
#
# > **10 minutes · difficulty ●○○ · {points of bounded_timesteps} · CPU**
#
# **Contract.** `step` counts from 0 to `steps - 1`; $r$, in $[0, 1]$, is `bound_reached`, and the
# bound has arrived at step $r \cdot$ `steps`. It is rounded to the nearest whole number. Return
# `batch` whole numbers, an int64 tensor `(batch,)` on the generator's device, each of $t_{\min},
# \dots, \text{bound}$ equally likely and *both ends included*, each drawn independently of the
# others. All the randomness comes from `generator`.

# %%
# TODO pixelart.bounded_timesteps

# %%
check("pixelart.bounded_timesteps")

# %%
compare_picture("pixelart.bounded_timesteps")

# %% [markdown]
# **What you should see.** A step on the way down: orange bars about as high as the line, up to the
# bound of that step and not beyond, both ends included.
#
# <details><summary>Help: my bound goes on falling.</summary>
#
# From the step `bound_reached * steps` on it must stay. How far it has come is a number from 0 to
# 1, never more.
#
# </details>
# <details><summary>Help: ZeroDivisionError.</summary>
#
# With `bound_reached` 0 there is no way to go, so nothing can be said of how much of it is done.
# Ask first whether the step is still on the way. (A tiny number added to the divisor would be
# wrong at step 0.)
#
# </details>
# <details><summary>Help: is there a loop that redraws what is too large?</summary>
#
# In some programs there is, and it waits for the GPU in every round. `torch.randint` takes a bound;
# read in its documentation whether the upper end is included.
#
# </details>

# %%
STEPS = 200
generator = torch.Generator(prior.device).manual_seed(0)
bounds = {"t_min": 20, "t_max": 980, "t_bound": 800, "bound_reached": 0.5}
drawn = [
    pixelart.bounded_timesteps(64, step, STEPS, **bounds, generator=generator).cpu()
    for step in range(STEPS)
]
overlaid(
    range(STEPS),
    {
        "t over a run": {
            "largest of 64": [int(t.max()) for t in drawn],
            "mean": [float(t.float().mean()) for t in drawn],
            "smallest of 64": [int(t.min()) for t in drawn],
        }
    },
    x_label="step",
)

# %%
eps = torch.randn(prior.encode(drawing).shape, generator=generator, device=prior.device)
noisy = []
for level in (980, 800, 600, 400, 200):
    alpha_bar = prior.alpha_bar(torch.tensor([level], device=prior.device))
    xt = alpha_bar.sqrt() * prior.encode(drawing) + (1 - alpha_bar).sqrt() * eps
    noisy.append(prior.decode(xt))
show(torch.cat(noisy), [f"t = {level}" for level in (980, 800, 600, 400, 200)])

# %%
for level in (980, 800, 600, 400, 200):
    alpha_bar = prior.alphas_cumprod[level]
    share = (alpha_bar / (1 - alpha_bar)).sqrt()
    print(f"t = {level}: {share:.2f} parts of picture to one of noise")

# %% [markdown]
# At 980 there is hardly any picture left, and the model would say so: "how about a boat over
# *there*?" At 800 there is a fifth, which is not much to the eye. But the layout is the last thing
# that noise removes, and the network can see it.

# %% [markdown]
# ## 8 · SDXL and its ControlNets
#
# **SDXL** (Podell et al. 2023, [arXiv 2307.01952](https://arxiv.org/abs/2307.01952)) is a latent
# diffusion model like Stable Diffusion, with a UNet three times as large, for 1024 × 1024 pixels.
# New for you are its inputs. A prompt goes through *two* text encoders, whose vectors for each
# token are concatenated. The second one also gives a single vector for the whole prompt, the
# **pooled** one, which joins the timestep's embedding and so reaches every block. And with it come
# **six numbers about the picture**: its original height and width, the top and left corner of the
# crop, and the height and width to draw. In training they told the model which pictures had been
# small, and which were cut out of larger ones, so that it could learn from all of them and still
# draw whole and sharp ones on request. A canvas of $H \times W$ is a whole picture:
# $(H, W, 0, 0, H, W)$, for *both* branches of guidance. Without a prompt, the unconditional branch
# has zeros as vectors, not the embedding of an empty text: SDXL was trained like this, and the
# prior does it for you.
#
# `tiny-sdxl` has all of this, and is far smaller than the real one with its 2,600 million weights.
# It draws 128 × 128 pixels, in latents of 16 × 16.

# %%
text, uncond = prior.embed([PROMPT]), prior.embed([""])
print(f"{sum(weight.numel() for weight in prior.unet.parameters()) / 1e6:.1f} million weights")
print("vectors for tokens", tuple(text.tokens.shape), "pooled vector", tuple(text.pooled.shape))
print("without a prompt they are at most", uncond.tokens.abs().max().item())

# %% [markdown]
# **A ControlNet** (Zhang et al. 2023, [arXiv 2302.05543](https://arxiv.org/abs/2302.05543)) is a
# copy of the first half of the UNet that looks at one more thing, for example a picture of edges.
# Its output, multiplied by `scale`, is added to the skip connections and the middle of the UNet,
# which itself stays frozen. Its last layers started at zero, so before training it changed nothing,
# and in training it learnt to say only what the UNet did not know. The outputs of two ControlNets
# simply add up. Here they keep the picture *where it is* while its colours are found.
#
# This is what the two see of our drawing: its edges (Canny 1986), and how near everything is, as a
# small network estimates it.

# %%
settings = PixelSettings(PROMPT, model=MODEL, palette="crayons")
controls = controls_for(drawing, settings)
show(
    torch.cat([drawing, *(2 * control.image - 1 for control in controls)]),
    ["drawing", *(f"{control.kind},\nscale {control.scale:g}" for control in controls)],
)

# %% [markdown]
# **The gradient** is that of stage 1:
#
# $$\text{grad} = (1 - \bar\alpha_t)\,\big(\hat\varepsilon - \varepsilon\big), \qquad
# \hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,(\hat\varepsilon_{\text{text}} -
# \hat\varepsilon_{\text{uncond}})$$
#
# **Why 40 is 41.** SD-πXL writes the same in another way, $\hat\varepsilon_{\text{text}} + s\,
# (\hat\varepsilon_{\text{text}} - \hat\varepsilon_{\text{uncond}})$, and sets $s = 40$. Add and
# subtract $\hat\varepsilon_{\text{uncond}}$, and you find $\hat\varepsilon_{\text{uncond}} + (s +
# 1)(\hat\varepsilon_{\text{text}} - \hat\varepsilon_{\text{uncond}})$: what is 40 there is 41 here.
# At 40 nobody sees that. At 1 it is the difference between guidance and none.
#
# ### Exercise 8 · `pixelart.sdxl_grad`
#
# > **20 minutes · difficulty ●●● · {points of sdxl_grad} · CPU**
#
# **Contract.** `prior.alpha_bar(t)` gives $\bar\alpha_t$ as `(B, 1, 1, 1)`.
# `prior.predict_noise(xt, t, first, second, controls=controls)` gives two predictions in the order
# of the conditions, in one call, with the ControlNets applied to both. `text` and `uncond` have the
# pooled vectors already; you add the six numbers to both, from `size`, which is (H, W):
# `replace(text, time_ids=...)`, which the first cell imports, float32 `(B, 6)` on the latents'
# device. Return `(B, C, h, w)` *without a graph*. Do not change the arguments.

# %%
# TODO pixelart.sdxl_grad

# %%
check("pixelart.sdxl_grad")

# %%
compare_picture("pixelart.sdxl_grad")

# %% [markdown]
# **What you should see.** Each latent is a mushroom and a house laid over each other, and the
# prompt asks for the one that it shows less of. As in stage 1, this is what a step would
# *subtract*. Where the two drawings agree there is nothing to do, and all is grey.
#
# <details><summary>Help: where do I start?</summary>
#
# With stage 1's five lines: the level, the noisy latent, one call of the network, guidance, the
# weighted difference. If you have `guidance/sds.py`, they are there. Then add the sizes to both
# conditions before the call, and pass the controls to it.
#
# </details>
# <details><summary>Help: six numbers for B pictures?</summary>
#
# `torch.tensor([[H, W, 0, 0, H, W]], dtype=torch.float32)` is `(1, 6)`; `.expand(B, 6)` repeats it.
# Height before width, everywhere.
#
# </details>
# <details><summary>Help: it stops with a sentence about conditions and time ids.</summary>
#
# Only one of the two has them. Both branches are one batch to the network.
#
# </details>

# %% [markdown]
# ### The forty-first
#
# The published formula at 40 from the two predictions themselves, and yours at 41 and at 40:

# %%
x0 = prior.encode(drawing)
H, W = prior.image_size
t = torch.tensor([600], device=prior.device)
alpha_bar = prior.alpha_bar(t)
noised = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
eps_uncond, eps_text = prior.predict_noise(noised, t, uncond, text, controls=controls)
published = (1 - alpha_bar) * (eps_text + 40 * (eps_text - eps_uncond) - eps)
for s in (41.0, 40.0):
    grad = pixelart.sdxl_grad(prior, x0, t, eps, text, uncond, s, (H, W), controls)
    print(f"yours at {s:g}: {(grad - published).norm() / published.norm():.1e} from the published")

# %% [markdown]
# ## 9 · Your first picture
#
# Everything is there. `pixelart.loss` in your module is your eight functions in a row, and the next
# cell is the whole program. It starts from the drawing in its own eight colours. The picture
# appears while it grows, for about half a minute. If you have seen enough, *interrupt the kernel*:
# the picture so far is kept.

# %%
settings = PixelSettings(PROMPT, model=MODEL, palette="crayons", steps=100, choices=1)
start = Start(pixelart.logits_from_image(small, PALETTE), PALETTE, drawing)
begun = begin_from(prior, pixelart, settings, start, effort=EFFORT)
run = live_pixels(begun, every=10)

# %% [markdown]
# **The promise.** Write it, read it, count.

# %%
OUT = course_root() / "outputs" / "stage_4"
picture = indexed(begun.canvas.indices()[0], PALETTE)
save_png(OUT / "first.png", picture)
with Image.open(OUT / "first.png") as written:
    pixels = np.array(written.convert("RGB")).reshape(-1, 3)
allowed = {tuple(row) for row in (PALETTE * 255).round().int().tolist()}
inside = np.mean([tuple(pixel) in allowed for pixel in pixels.tolist()])
print(f"{inside:.0%} of the pixels have a colour of the palette")
enlarged(picture)

# %% [markdown]
# ## What you hand in
#
# > **two or three minutes of waiting · {points of pictures} · CPU**
#
# Together with this notebook you hand in two pictures, drawn by your own functions, and their CLIP
# scores. Prompts, seeds and settings are the same for everybody; they are in `data/hand_in.yaml`.
# In a terminal, in the course folder:
#
# ```sh
# python main.py hand_in 04_pixelart
# ```
#
# Then the pictures and `eval.json` are in `outputs/04_pixelart/`. A run that was stopped continues
# where it stopped. Finished pictures are drawn again only if your code has changed. The grader
# scores the pictures again, and draws some of them again with the code that you hand in.

# %%
hand_in("04_pixelart")

# %% [markdown]
# ## What you now have
#
# - You turned a **choice** into something with a gradient, in three ways, and you know what each of
#   them hides.
# - You made a **palette**, a start and a smoothness loss that does not depend on the size.
# - You told **SDXL** all it needs to know, and guided it with two **ControlNets**.
#
# Your functions are in `guidance/pixelart.py`, and the command line draws with them:
#
# ```sh
# python main.py pixelart --prompt "a red boat on a frozen river" --implementation guidance
# ```
#
# Go on in `04_pixelart_part2.ipynb`, now or on another day: it needs only the file
# `guidance/pixelart.py`.

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
# | $K$ | `len(palette)` | how many colours the palette has |
# | $\ell$, $\ell_k$ | `logits` | how much each colour is wanted in a pixel, `(B, K, h, w)` |
# | $w$, $w_k$ | `weights` | the weights of the colours in a pixel; not negative, with the sum 1 |
# | $p_k$ | `logits.softmax(1)` | with which probability a colour is drawn |
# | $g_k$, $u_k$ | `g`, `u` | Gumbel noise, and the uniform number in (0, 1) that it is made of |
# | $\tau$ | `tau` | the temperature: how far the weights are from 0 and 1 |
# | $d_k$ | | the distance of a pixel from the colour $k$, summed over red, green and blue |
# | $c_k$, $P_k$ | `centres` | a centre of k-means, and the pixels that are nearest to it |
# | $\mathcal L_{\text{FFT}}$ | `fft_loss` | how much speckle a picture has |
# | $F_c(f)$ | `spectrum` | the Fourier transform of the channel $c$ at the frequency $f$ |
# | $r$ | `bound_reached` | the part of the run in which the bound of $t$ falls |
# | $H$, $W$ | `size` | height and width of the canvas, in pixels |
# | $h$, $w$ | | height and width of the small picture, or of latents |
#
# ## Further reading
#
# - A. Binninger, O. Sorkine-Hornung, *SD-πXL: generating low-resolution quantized imagery via
#   score distillation*, [arXiv 2410.06236](https://arxiv.org/abs/2410.06236): the method of this
#   stage.
# - E. Jang, S. Gu, B. Poole, *Categorical reparameterization with Gumbel-softmax*,
#   [arXiv 1611.01144](https://arxiv.org/abs/1611.01144): section 2.
# - C. Maddison, A. Mnih, Y. W. Teh, *The concrete distribution*,
#   [arXiv 1611.00712](https://arxiv.org/abs/1611.00712): the same, found at the same time.
# - Y. Bengio, N. Léonard, A. Courville, *Estimating or propagating gradients through stochastic
#   neurons*,
#   [arXiv 1308.3432](https://arxiv.org/abs/1308.3432): the straight-through estimator of section 3.
# - D. Podell and others, *SDXL: improving latent diffusion models for high-resolution image
#   synthesis*, [arXiv 2307.01952](https://arxiv.org/abs/2307.01952): what the six numbers of
#   section 8 are for.
# - L. Zhang, A. Rao, M. Agrawala, *Adding conditional control to text-to-image diffusion models*,
#   [arXiv 2302.05543](https://arxiv.org/abs/2302.05543): ControlNets.
# - B. Poole and others, *DreamFusion: text-to-3D using 2D diffusion*,
#   [arXiv 2209.14988](https://arxiv.org/abs/2209.14988): where score distillation comes from.
