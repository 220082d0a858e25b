# %% [markdown]
# # Stage 1 · Score distillation: asking a denoiser what is wrong with a picture
#
# *{summary}. Everything here runs on
# a laptop's CPU.*
#
# {graded}
#
# A sampler walks from noise to a picture and lets you choose where it starts. But suppose that you
# have something of your own, a latent, a grid of pixels, one day a palette or a 3D scene, and want
# to make *that* fit a prompt. You need a gradient. In this stage you
#
# - derive the gradient that **DreamFusion** (arXiv 2209.14988) takes out of a frozen denoiser,
# - turn it into a **loss** whose `backward()` gives exactly this gradient,
# - **distil** pictures with it, and find out what it is good at, what it costs, and why its colours
#   burn.
#
# You can start with this stage. If you have not done stage 0, you only need to know that $x_t =
# \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 - \bar\alpha_t}\,\varepsilon$ is a picture with noise in it,
# that the network's $\hat\varepsilon(x_t, t)$ is its guess of that noise, and that guidance is
# $\hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,(\hat\varepsilon_{\text{text}} -
# \hat\varepsilon_{\text{uncond}})$.

# %%
MODEL = "tiny-sd"  # on a GPU: "sd15"
CLIP = "tiny-clip"  # for "sd15": "ViT-B-32:openai"

# %%
# %load_ext distillery.todo
from collections.abc import Callable

import torch
from PIL import Image

from distillery import (
    ClipScorer,
    GaussianMixturePrior,
    Judge,
    LatentCanvas,
    LineUp,
    Settings,
    answer,
    check,
    compare_picture,
    curves,
    distill,
    from_pil,
    guidance_default,
    hand_in,
    live,
    load_prior,
    show,
    to_pil,
)
from distillery.models.prior import Condition, Prior
from distillery.notebook.effort import effort
from distillery.notebook.figures import scatter
from distillery.runs.canvas import PixelCanvas
from distillery.toybox import Factors, draw
from guidance import sds

prior = load_prior(MODEL)
scorer, judge = ClipScorer(CLIP), Judge.load()
EFFORT = effort()  # share of each run's steps to compute; 1 unless the environment says less

# %% [markdown]
# ## The idea
#
# A denoiser is trained on the loss
#
# $$\mathcal L = \mathbb E_{t,\varepsilon}\Big[\tfrac12\, w(t)\,
# \big\|\hat\varepsilon(x_t; y, t) - \varepsilon\big\|^2\Big],
# \qquad x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon ,$$
#
# over the network's weights, with pictures $x_0$ from the data and their captions $y$. Now turn it
# round: freeze the network and let the *picture* move. A picture on which the network predicts the
# noise well is one that it believes in. The gradient has three factors:
#
# $$\nabla_{x_0}\mathcal L = \mathbb E_{t,\varepsilon}\Big[\; w(t)\,
# \underbrace{\big(\hat\varepsilon(x_t; y, t) - \varepsilon\big)}_{\text{what is wrong}}\;
# \underbrace{\frac{\partial\hat\varepsilon}{\partial x_t}}_{\text{the network's Jacobian}}\;
# \underbrace{\frac{\partial x_t}{\partial x_0}}_{\sqrt{\bar\alpha_t}}\;\Big]$$
#
# **DreamFusion's step is to leave the middle factor out.** What is left, with the constant
# $\sqrt{\bar\alpha_t}$ taken into $w$, is the *score distillation* gradient:
#
# $$\nabla_{x_0}\mathcal L_{\text{SDS}} = \mathbb E_{t,\varepsilon}\Big[\,w(t)\,
# \big(\hat\varepsilon(x_t; y, t) - \varepsilon\big)\Big],
# \qquad w(t) = 1 - \bar\alpha_t .$$
#
# It looks like a trick to save work, and it is more than that.
#
# - **It is cheap.** The Jacobian would need a backward pass through the whole network, with all its
#   activations in memory. Without it, one forward pass under `no_grad` is everything.
# - **It is better behaved.** At low noise the Jacobian is the curvature of the data's density,
#   wildly different from direction to direction. DreamFusion found the full gradient hard to
#   optimise with.
# - **It is still a gradient.** Not of the loss above, but of a distance between distributions,
#   $\mathbb E_t\big[\,c(t)\;\mathrm{KL}\big(q(x_t \mid x_0)\,\|\,p(x_t \mid y)\big)\big]$: make the
#   noisy versions of *your one picture* likely under the model (appendix A.4 of the paper).
#   Remember the order of the two in this KL. It explains what you will see at the end of this
#   notebook.
#
# And the $-\varepsilon$? Its expectation is zero, so it does not change the mean direction. But it
# removes most of the *variance*: where the picture is already right, $\hat\varepsilon$ is nearly
# $\varepsilon$, and the two cancel sample by sample.

# %% [markdown]
# ## 1 · Which noise levels?
#
# Every step asks the network at one random noise level. High $t$ speaks about the layout, low $t$
# about details, and a picture needs both. The two ends are left out: below $t = 20$ there is almost
# no noise, and above 980 almost only noise.
#
# $$t \sim \mathcal U\{t_{\min}, \dots, t_{\max}\}, \qquad t_{\min} = 20,\quad t_{\max} = 980$$
#
# ### Exercise 1 · `sds.sample_timesteps`
#
# > **5 minutes · difficulty ●○○ · {points of sample_timesteps} · CPU**
#
# **Contract.** Return `batch` whole numbers, an int64 tensor `(batch,)` on the generator's device,
# each of $t_{\min}, \dots, t_{\max}$ equally likely and *both ends included*, each drawn
# independently of the others. All the randomness comes from `generator`: the same state, the same
# timesteps, and a draw moves it on. `step` and `steps` tell how far the run has come; uniform
# sampling ignores them, later schedules will use them.

# %%
# TODO sds.sample_timesteps

# %%
check("sds.sample_timesteps")

# %%
compare_picture("sds.sample_timesteps")

# %% [markdown]
# **What you should see.** Orange bars about as high as the line, from 20 to 40; the first and the
# last one are as high as the others.
#
# <details><summary>Help: which function draws whole numbers?</summary>
#
# `torch.randint`. Read in its documentation whether the upper end is included.
#
# </details>
# <details><summary>Help: it works here, but what is the generator for?</summary>
#
# Without it the numbers come from a global generator that all other code uses too, and no seed
# repeats your picture. Pass it to the function that draws, and say on which device to draw: a
# generator has a `.device`.
#
# </details>

# %%
generator = torch.Generator(prior.device).manual_seed(0)
sds.sample_timesteps(8, step=0, steps=400, t_min=20, t_max=980, generator=generator)

# %% [markdown]
# Eight pictures in a batch, each with its own noise level. One level for the whole batch would be
# right on average. But then all pictures would work on their layout, or on their details, at the
# same time, and the gradient would be noisier than necessary.

# %% [markdown]
# ## 2 · The gradient
#
# For one draw of $t$ and $\varepsilon$ the gradient is
#
# $$\text{grad} = (1 - \bar\alpha_t)\,\big(\hat\varepsilon - \varepsilon\big),
# \qquad \hat\varepsilon = \hat\varepsilon_{\text{uncond}} +
# s\,(\hat\varepsilon_{\text{text}} - \hat\varepsilon_{\text{uncond}})$$
#
# where both predictions are made at $x_t$, the picture with *this* $\varepsilon$ in it. As code it
# is five lines: the level, the noisy latent, one call of the network, guidance, the weighted
# difference.
#
# ### Exercise 2 · `sds.sds_grad`
#
# > **15 minutes · difficulty ●●○ · {points of sds_grad} · CPU**
#
# **Contract.** `prior.alpha_bar(t)` gives $\bar\alpha_t$ as `(B, 1, 1, 1)`.
# `prior.predict_noise(xt, t, first, second)` gives two predictions `(B, C, h, w)`, in the order of
# the conditions, for the price of a single call. `uncond` may be a negative prompt. Return
# `(B, C, h, w)` *without a graph*: nothing in here is differentiated. Do not change the arguments.

# %%
# TODO sds.sds_grad

# %%
check("sds.sds_grad")

# %%
compare_picture("sds.sds_grad")

# %% [markdown]
# **What you should see.** The check gives your function a boat that is half a heart, and a heart
# that is half a boat, and asks for the one that is shown less. In the first row the heart has its
# own colours and the boat has reversed colours: gradient descent *subtracts* this picture, so it
# removes the heart and brings out the boat. The second row is the other way round.
#
# <details><summary>Help: where do I start?</summary>
#
# Write the five lines in words first: what is the level of each latent? What does the network see?
# Which prompts does it get? How are the two answers combined? What is compared with what?
#
# </details>
# <details><summary>Help: the check says that a graph comes along.</summary>
#
# `x0` arrives with `requires_grad`, so PyTorch records everything that you compute from it.
# `predict_noise` cuts this record; so your result holds `x0` in some other way too.
# `torch.no_grad()` works as a `with` block and as a decorator.
#
# </details>
# <details><summary>Help: the numbers differ, and I can't see why.</summary>
#
# Look at the last line of the check first: it knows many mistakes by name. If it names none, set
# things to simple values. With $s = 0$ the prompt must not matter. With $t$ near 0 the weight
# is nearly 0. And the noise that you subtract must be the noise that you put in.
#
# </details>

# %% [markdown]
# ### What the gradient sees
#
# Take a drawing of a red house in the snow and ask for different things. The pictures show how
# strongly each place is told to change, averaged over a few draws of noise; bright is strong.

# %%
drawing = draw(Factors("house", "red", "in the snow"), seed=3, size=prior.image_size)
house = from_pil(Image.fromarray(drawing.image)).to(prior.device)
wishes = [
    "a red house in the snow",
    "a blue house in the snow",
    "a red boat in the snow",
    "a red house in the night sky",
]


def complaint(x0: torch.Tensor, prompt: str, draws: int = 16) -> torch.Tensor:
    """The mean SDS gradient at `x0` (1, C, h, w) over some draws of t and eps."""
    generator = torch.Generator(prior.device).manual_seed(0)
    t = torch.linspace(200, 800, draws, device=prior.device).long()
    x0 = x0.expand(draws, -1, -1, -1)
    eps = torch.randn(x0.shape, generator=generator, device=prior.device)
    text, uncond = prior.embed([prompt] * draws), prior.embed([""] * draws)
    return sds.sds_grad(prior, x0, t, eps, text, uncond, 7.5).mean(dim=0, keepdim=True)


x0 = prior.encode(house)
strength = torch.stack([complaint(x0, wish).square().mean((0, 1)).sqrt() for wish in wishes])
heat = (2 * strength / strength.max() - 1)[:, None].expand(-1, 3, -1, -1)
heat = torch.nn.functional.interpolate(heat, house.shape[-2:])
show(torch.cat([house, heat]), ["the picture", *(wish.replace(" in", "\nin") for wish in wishes)])

# %% [markdown]
# **What you should see.** The drawing's own prompt leaves it nearly in peace. Another colour lights
# up the walls, another thing the whole outline. Another scene is a fainter complaint, spread over
# the picture. The model was never told where the house is.

# %% [markdown]
# ### What one step wants
#
# There is a second way to read the gradient. Solve $x_t = \sqrt{\bar\alpha_t}\,\hat x_0 + \sqrt{1 -
# \bar\alpha_t}\,\hat\varepsilon$ for $\hat x_0$, the clean picture that the network believes in at
# this moment, and the gradient turns into
#
# $$\text{grad} = \sqrt{\bar\alpha_t\,(1 - \bar\alpha_t)}\;\big(x_0 - \hat x_0\big) .$$
#
# *Each step pulls your picture towards the network's one-step guess $\hat x_0$.* So you can compute
# the guess from your gradient:


# %%
def one_step_guess(x0: torch.Tensor, prompts: list[str], level: int, scale: float) -> torch.Tensor:
    """The clean latents that the network believes in, for the noise level `level`."""
    generator = torch.Generator(prior.device).manual_seed(level)
    eps = torch.randn(x0.shape, generator=generator, device=prior.device)
    t = torch.full((len(x0),), level, device=prior.device)
    text, uncond = prior.embed(prompts), prior.embed([""] * len(x0))
    grad = sds.sds_grad(prior, x0, t, eps, text, uncond, scale)
    alpha_bar = prior.alpha_bar(t)
    return x0 - grad / (alpha_bar * (1 - alpha_bar)).sqrt()


levels = [100, 300, 500, 700, 900]
rows = [one_step_guess(x0, [wish], level, 7.5) for wish in wishes[:3] for level in levels]
show(
    prior.decode(torch.cat(rows)),
    [f"t = {level}" for level in levels],
    columns=len(levels),
    row_titles=[wish.replace(" in", "\nin") for wish in wishes[:3]],
)

# %% [markdown]
# The red house is pulled towards these pictures. At low $t$ the guess keeps the house and can only
# repaint; at high $t$ it forgets the house and sees what it wants to see. A run draws from all of
# them in turn.

# %% [markdown]
# ## 3 · From a gradient to a loss
#
# PyTorch's optimisers want a scalar to call `backward()` on. We have a gradient, but we know no
# scalar that it belongs to: $\hat\varepsilon - \varepsilon$ is not the derivative of anything that
# we could write down in `x0`. The way out is short enough for a postcard. Half the squared distance
# to a point that *stands still* has a simple gradient,
#
# $$\ell(x_0) = \tfrac12\,\big\|x_0 - \text{target}\big\|^2
# \qquad\Longrightarrow\qquad \frac{\partial\ell}{\partial x_0} = x_0 - \text{target},$$
#
# so choose the target such that the right side is `grad`, and *detach* it. From then on autograd
# does the rest of the chain, through a VAE, a palette or a renderer, without knowing where the
# gradient came from.
#
# ### Exercise 3 · `sds.sds_loss`
#
# > **10 minutes · difficulty ●●○ · {points of sds_loss} · CPU**
#
# **Contract.** Given `x0` `(B, C, h, w)`, which has a graph, and `grad` of the same shape,
# return a scalar whose gradient with respect to `x0` is *exactly* `grad`: not half of it, not
# divided by the batch or by the number of pixels. The caller calls `.backward()`; the value of the
# loss is free.

# %%
# TODO sds.sds_loss

# %%
check("sds.sds_loss")

# %%
compare_picture("sds.sds_loss")

# %% [markdown]
# **What you should see.** What autograd returns for your loss. It is exactly the gradient that was
# given: a boat minus a heart, and a heart minus a boat.
#
# <details><summary>Help: what does "stands still" mean?</summary>
#
# The target is computed from `x0`, so autograd would follow it and find that the distance never
# changes: a gradient of zero. `.detach()` gives the same numbers as a constant.
#
# </details>
# <details><summary>Help: my gradient is right except for a factor.</summary>
#
# Which factor? If it is 2, the half is missing. If it is the number of values, or of pictures, you
# have a mean where the formula has a sum. `mse_loss` averages by default.
#
# </details>
# <details><summary>Help: is this the only loss with that gradient?</summary>
#
# No. The check looks at the gradient alone and accepts every loss that has the right one. The
# squared form tells you a little more: its value is half the squared length of the gradient.
#
# </details>

# %%
x0 = torch.randn(2, 4, 8, 6, requires_grad=True)
grad = torch.randn(2, 4, 8, 6)
sds.sds_loss(x0, grad).backward()
print("largest difference:", (x0.grad - grad).abs().max().item())

# %% [markdown]
# ## 4 · A picture
#
# Now everything is there. One step of a run is
#
# ```text
# canvas.render() ─ x0 ─ sample_timesteps ─ sds_grad ─ sds_loss ─ backward ─ AdamW
# ```
#
# `sds.loss` in your module chains your three functions. `distill` is the loop. It gives you one
# step after the other, and you decide when to look and when to stop. The next cell is the whole
# program.


# %%
def distilled(
    prompts: list[str],
    *,
    prior: Prior = prior,
    canvas: LatentCanvas | PixelCanvas | None = None,
    loss: Callable[..., torch.Tensor] | None = None,
    seed: int = 0,
    **choices: float,
):
    """The steps of one distillation: one picture for each prompt, from noise."""
    settings = Settings(
        " | ".join(dict.fromkeys(prompts)),
        model=MODEL,
        implementation="guidance",
        seed=seed,
        **choices,
    )
    generator = torch.Generator(prior.device).manual_seed(seed)
    if canvas is None:
        shape = (len(prompts), prior.latent_channels, *prior.latent_size)
        canvas = LatentCanvas(*shape, generator=generator)
    text = prior.embed(prompts)
    uncond = prior.embed([settings.negative_prompt] * len(prompts))

    def loss_fn(x0: torch.Tensor, index: int) -> torch.Tensor:
        return (loss or sds.loss)(
            prior,
            x0,
            text=text,
            uncond=uncond,
            step=index,
            settings=settings,
            generator=generator,
        )

    return distill(
        canvas, loss_fn, prior=prior, settings=settings, generator=generator, effort=EFFORT
    )


# %% [markdown]
# Choose a prompt. The picture appears while it grows. If you have seen enough, *interrupt the
# kernel* (the ■ above, or `I` `I`): the run stops and keeps what it has.

# %%
PROMPT = "a red boat on a frozen river"


def clip_score(images: torch.Tensor) -> float:
    """How well the first image fits the prompt, by CLIP."""
    return scorer.score(to_pil(images[:1]), [PROMPT])[0]


run = live(distilled([PROMPT]), every=20, score=clip_score)

# %% [markdown]
# No sampler was involved. The network never drew anything. It was asked a few hundred times what
# was wrong with a picture, and the picture listened. Drag through the run (without a live kernel
# you see all frames on one sheet):

# %%
run.film()

# %% [markdown]
# **What you should see.** The layout comes first, out of a fog; then colours; edges come last. If
# your picture is neon, look at your guidance. If it stays noise, look at signs. If it is grey mush,
# the prompt has no effect.
#
# ### The loss says nothing
#
# On the left, the loss of every step; on the right, the CLIP score of the frames.

# %%
curves(range(len(run.losses)), {"loss": run.losses}, x_label="step")

# %%
curves(
    [frame.index for frame in run.frames],
    {"CLIP score": [frame.score for frame in run.frames]},
    x_label="step",
)

# %% [markdown]
# The loss jumps by orders of magnitude and hardly falls, because it mostly shows which $t$ was
# drawn. It only carries a gradient; its value means nothing. Judge a run by its pictures, or by a
# score made for that.
#
# ### What the network believed on the way
#
# The same run once more, stopped at six moments. Above is the canvas itself. Below, the network
# sees this canvas with noise in it, at a high and at a low level, and guesses the clean picture.

# %%
moments = [0, 30, 80, 150, 250, 399]
scale = guidance_default(MODEL, "sds")
seen = [
    step.canvas.render().detach().clone()
    for step in distilled([PROMPT], steps=400)
    if step.index in moments
]
guesses = [one_step_guess(x0, [PROMPT], t, scale) for t in (800, 300) for x0 in seen]
show(
    prior.decode(torch.cat(seen + guesses)),
    [f"step {index + 1}" for index in moments],
    columns=len(moments),
    row_titles=["canvas", "guess at\nt = 800", "guess at\nt = 300"],
)

# %% [markdown]
# At the first moment the guess at $t = 800$ already shows what the prompt asks for, in whatever
# place it happens to see it. The canvas follows; then the guess sees it *there*, with more
# certainty; and so the two talk themselves into a picture. By the end they agree, and the gradient
# has little left to say.

# %% [markdown]
# ## 5 · What it looks for: modes
#
# Let us look at the same thing in a world so small that it can be drawn: "pictures" of two numbers.
# The exact prior is a mixture of Gaussians whose denoiser is a closed formula, so nothing below is
# the fault of a network. The prompt means three of its five clouds. They are far apart, as
# different pictures are in their many dimensions, and the runs start from everywhere.

# %%
centres = 8 * torch.tensor([[-2.0, 1.0], [0.0, -1.6], [2.0, 1.2], [-1.0, 3.2], [3.4, -1.5]])
flat = GaussianMixturePrior(
    centres[:, :, None, None], std=2.8, names={"one of three": [0, 1, 2]}, device=prior.device
)
prompts = ["one of three"] * 400
generator = torch.Generator(prior.device).manual_seed(0)
worlds = {"sampled, s = 1": flat.sample(prompts, guidance_scale=1.0, generator=generator)}
for s in (1.0, 7.5, 30.0):
    canvas = LatentCanvas(400, 2, 1, 1, generator=generator, init_scale=16)
    run_of_400 = distilled(
        prompts, prior=flat, canvas=canvas, guidance_scale=s, steps=300, learning_rate=0.4
    )
    for _ in run_of_400:
        pass
    worlds[f"distilled, s = {s:g}"] = canvas.render().detach()
scatter({name: x0.flatten(1) for name, x0 in worlds.items()}, centres[:3], centres[3:])

# %% [markdown]
# **What you should see.** Red crosses mark the three wanted clouds, grey ones the two others.
#
# - *Sampling* fills the clouds: each point is another picture, and the spread is the variety of the
#   world.
# - *Distilling* collapses each cloud to its middle. The KL of the beginning is the reason: it asks
#   that your one picture be likely, and the likeliest picture of a cloud is its centre. This is
#   **mode seeking**: smooth, typical, without variety.
# - *Guidance* drives the points away from the grey clouds, and in doing so past the red ones, to
#   places where this world has no pictures. This is **saturation**: in a latent, such places are
#   colours that no picture has.
#
# Now in pictures. A prompt that leaves much open, six seeds each:

# %%
OPEN = "a house"
generator = torch.Generator(prior.device).manual_seed(0)
sampled = prior.decode(prior.sample([OPEN] * 6, guidance_scale=4.0, generator=generator))
*_, last = distilled([OPEN] * 6, steps=250)
modes = prior.decode(last.canvas.render())
show(torch.cat([sampled, modes]), columns=6, row_titles=["sampled", "distilled"])

# %%
for name, images in {"sampled": sampled, "distilled": modes}.items():
    print(f"{name}: mean distance between two pictures {torch.pdist(images.flatten(1)).mean():.1f}")

# %% [markdown]
# The six distilled pictures are closer to each other than the six samples, and calmer. Each starts
# from different noise and sees different draws; still they end at the same typical places.

# %% [markdown]
# ## 6 · How much guidance?
#
# With a sampler, a scale of 3 or 4 was plenty. DreamFusion used 100. The reason is in the picture
# above: at a low scale the gradient is weak compared with its own noise and the typical picture of
# *anything* is a good compromise, so little is decided. A large scale makes the prompt win, and
# pays with colour. Where the balance lies depends on the model, and the way to find it is to look.
# Four prompts, five scales:

# %%
wanted = [
    Factors("house", "red", "in the snow"),
    Factors("castle", "pink", "in the night sky"),
    Factors("mushroom", "blue", "in the forest"),
    Factors("car", "green", "in the desert"),
]
prompts = [str(factors) for factors in wanted]
scales = [1.0, 2.5, 5.0, 15.0, 50.0]
sweep = []
for s in scales:
    *_, last = distilled(prompts, guidance_scale=s, steps=200)
    sweep.append(prior.decode(last.canvas.render()))
show(
    torch.cat(sweep),
    [f"{factors.colour} {factors.thing}\n{factors.scene}" for factors in wanted],
    columns=len(prompts),
    row_titles=[f"s = {s:g}" for s in scales],
)

# %% [markdown]
# Three numbers for each row. The *judge* finds thing, colour and scene in a toybox picture, and we
# count how often all three are right; *CLIP* compares picture and prompt; and the share of values
# outside $[-1, 1]$ measures burnt colour. The dashed line is the default that the course uses for
# this model. It was found by a sweep like this one, with more prompts and more steps. (The judge
# has seen only the toybox: with `"sd15"`, trust CLIP and your eyes.)


# %%
def right(images: torch.Tensor) -> float:
    """The share of the images that show what was wanted, by the judge."""
    found = judge.factors(images.cpu())
    return sum(f == w for f, w in zip(found, wanted, strict=True)) / len(wanted)


curves(
    scales,
    {
        "all three facts right": [right(images) for images in sweep],
        "CLIP score": [sum(scorer.score(to_pil(images), prompts)) / 4 for images in sweep],
        "values outside [-1, 1]": [(images.abs() > 1).float().mean().item() for images in sweep],
    },
    x_label="guidance scale",
    mark=guidance_default(MODEL, "sds"),
    log_x=True,
)

# %% [markdown]
# **What you should see.** Too little guidance and pictures are undecided; too much and they are
# loud. A famous number from a paper about another model is where you *begin* a sweep, not where you
# end one.

# %% [markdown]
# ## Bug hunt
#
# Ungraded, and worth more than the points.
#
# ### Case 1 · The line-up
#
# Five students wrote `sds_grad`, each with one mistake. Here is what their functions return on the
# check's two latents, and a list of the five mistakes. Who made which?

# %%
suspects = LineUp(
    "sds.sds_grad",
    (
        "grad_flipped",
        "grad_squared",
        "grad_averaged",
        "grad_without_eps",
        "grad_noised_with_swapped_factors",
    ),
    seed=3,
)
suspects.figure()

# %%
suspects.accuse(A=None, B=None, C=None, D=None, E=None)  # write a number in place of each None

# %% [markdown]
# {answer to bug_hunt_1}
#
# ### Case 2 · The loop that learns to cheat
#
# A colleague does not trust generators and wrote the loop by hand, with your three functions, which
# are right. The result is below; it should be a red boat on a frozen river. There are **three**
# bugs in the loop. None of them raises an error, and AdamW can hide one of them for a long time.


# %%
def by_hand(prompt: str, *, steps: int = 200, guidance_scale: float = scale) -> torch.Tensor:
    """A distilled latent (1, C, h, w), or so its author believes."""
    generator = torch.Generator(prior.device).manual_seed(0)
    shape = (1, prior.latent_channels, *prior.latent_size)
    x0 = torch.randn(shape, generator=generator, device=prior.device).requires_grad_()
    eps = torch.randn(shape, generator=generator, device=prior.device)
    uncond, text = prior.embed([prompt]), prior.embed([""])
    optimiser = torch.optim.AdamW([x0], lr=0.05, weight_decay=0)
    for step in range(steps):
        t = sds.sample_timesteps(1, step, steps, t_min=20, t_max=980, generator=generator)
        grad = sds.sds_grad(prior, x0, t, eps, text, uncond, guidance_scale)
        sds.sds_loss(x0, grad).backward()
        optimiser.step()
    return x0.detach()


hunted = prior.decode(by_hand(PROMPT, steps=round(200 * EFFORT)))
print("the judge sees:", judge.factors(hunted.cpu())[0])
show(hunted, columns=1)

# %% [markdown]
# <details><summary>Help: how do I find out which line it is?</summary>
#
# Test one suspicion at a time, with one experiment each. Does the prompt matter, and in which
# direction? Is anything the same in all steps that should be new in each? Print `x0.grad` at two
# consecutive steps with the same `t`: what else is in it?
#
# </details>
# <details><summary>Help: I have two of the three.</summary>
#
# The one that hides is about what `backward()` does to a gradient that is already there. Adam
# divides by the size of the gradient, so growing sums look harmless. They act as a momentum that
# never forgets.
#
# </details>
#
# {answer to bug_hunt_2}

# %% [markdown]
# ## Dares
#
# Ungraded. The first three come with code that runs; the others are yours from scratch.
#
# ### Dare 1 · Another weight
#
# $w(t) = 1 - \bar\alpha_t$ is a choice. Divide it out, multiply another in, and compare. What does
# the run care about with each weight?

# %%
WEIGHTS = {
    "1 - alpha_bar\n(DreamFusion)": lambda alpha_bar: 1 - alpha_bar,
    "1": torch.ones_like,
    "sqrt(alpha_bar)\n(1 - alpha_bar)": lambda alpha_bar: alpha_bar.sqrt() * (1 - alpha_bar),
}


def reweighted(weight: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`sds.loss` with another w(t)."""

    def loss(prior, x0, *, text, uncond, step, settings, generator):
        t = sds.sample_timesteps(
            len(x0), step, settings.steps, t_min=20, t_max=980, generator=generator
        )
        eps = torch.randn(x0.shape, generator=generator, device=x0.device)
        grad = sds.sds_grad(prior, x0, t, eps, text, uncond, settings.guidance_scale)
        alpha_bar = prior.alpha_bar(t)
        return sds.sds_loss(x0, grad / (1 - alpha_bar) * weight(alpha_bar))

    return loss


rows = []
for weight in WEIGHTS.values():
    *_, last = distilled(prompts[:3], loss=reweighted(weight), steps=150)
    rows.append(prior.decode(last.canvas.render()))
show(torch.cat(rows), columns=3, row_titles=list(WEIGHTS))

# %% [markdown]
# ### Dare 2 · CSD, a variant of one line
#
# The gradient is a straight line in the guidance scale:
#
# $$\text{grad}(s) = w(t)\,(\hat\varepsilon_{\text{uncond}} - \varepsilon)
# \;+\; s\; w(t)\,(\hat\varepsilon_{\text{text}} - \hat\varepsilon_{\text{uncond}})$$
#
# With $s = 100$ the second term is nearly all of it. *Classifier score distillation* (arXiv
# 2310.19415) keeps only that term, without the noise residual. The authors' line and yours differ
# only in what is subtracted. Here it is made from your own gradient, as the slope of the line.
# Write it with one call of the network. Then find out what it does to colours, and whether a little
# of the other term repairs them.


# %%
def csd_loss(prior, x0, *, text, uncond, step, settings, generator):
    """CSD, from two calls of `sds_grad` where one call of the network would do."""
    t = sds.sample_timesteps(
        len(x0), step, settings.steps, t_min=20, t_max=980, generator=generator
    )
    eps = torch.randn(x0.shape, generator=generator, device=x0.device)
    ends = [sds.sds_grad(prior, x0, t, eps, text, uncond, s) for s in (0.0, 1.0)]
    return sds.sds_loss(x0, ends[1] - ends[0])


*_, last = distilled(prompts[:3], loss=csd_loss, steps=150)
show(torch.cat([rows[0], prior.decode(last.canvas.render())]), columns=3, row_titles=["SDS", "CSD"])

# %% [markdown]
# ### Dare 3 · Pixels in place of latents
#
# Nothing in your functions knows what a canvas is. Optimise pixels, encode them, and let autograd
# take the gradient through the VAE. Same seed, same prompts. The third row shows the pixels again,
# encoded and decoded: this is what the network sees of them.

# %%
generator = torch.Generator(prior.device).manual_seed(0)
canvas = PixelCanvas(3, *prior.image_size, generator=generator)
*_, last = distilled(prompts[:3], canvas=canvas, steps=150, learning_rate=0.2)
pixels = last.canvas.render().detach()
show(
    torch.cat([rows[0], pixels, prior.decode(prior.encode(pixels))]),
    columns=3,
    row_titles=["latents", "pixels", "the pixels,\nas the VAE sees them"],
)

# %% [markdown]
# **What you should see.** Confetti, and behind the confetti a picture. The gradient only asks for
# the right *latent*, and thousands of pixel patterns share one latent; nothing prefers the smooth
# ones. What would? The stage on pixel art has three answers.

# %% [markdown]
# ### Five more
#
# 4. **Falling noise.** Let $t_{\max}$ fall during the run, from layout to detail (HiFA, DreamTime).
#    You have `step` and `steps`. Is the picture sharper? Is it more often right?
# 5. **What you do not want.** `Settings` has a `negative_prompt`. Distil "in the snow" with "a
#    house" forbidden.
# 6. **A calm start.** Begin with `init_scale=0.1`, or with the encoded drawing of the red house
#    (`LatentCanvas.starting_at`) and the prompt of a blue one. What stays, what goes? Stage 2 is
#    about this question.
# 7. **Closer clouds.** In the flat world, write `1 *` for `8 *`, `std=0.35` and `init_scale=2`. At
#    $s = 1$ all points gather where there is *no* cloud. Which noise levels see the three as one?
#    Which weight would you choose?
# 8. **Without $-\varepsilon$.** Its mean is zero, so leave it out (in a copy!) and look at a run.
#    Then say again why it is there.
#
# {answers to dares}

# %% [markdown]
# ## What you hand in
#
# > **a minute or two of waiting · {points of pictures} · CPU**
#
# Together with this notebook you hand in three pictures, drawn by your own functions, and their
# CLIP scores. Prompts, seeds and settings are the same for everybody; they are in
# `data/hand_in.yaml`. In a terminal, in the course folder:
#
# ```sh
# python main.py hand_in 01_sds
# ```
#
# Then the pictures and `eval.json` are in `outputs/01_sds/`. A run that was stopped continues where
# it stopped. Finished pictures are drawn again only if your code has changed. The grader scores the
# pictures again, and draws some of them again with the code that you hand in.

# %%
hand_in("01_sds")

# %% [markdown]
# ## What you now have
#
# - You derived a gradient that asks a frozen denoiser **what is wrong** with a picture, and you
#   know why the Jacobian can be left out.
# - You wrote a **loss** that passes any gradient you like to autograd.
# - You distilled pictures, saw that the method **seeks modes**, and found by a sweep where guidance
#   helps and where it burns.
#
# Your functions are in `guidance/sds.py`, and the command line draws with them:
#
# ```sh
# python main.py --prompt "a red boat on a frozen river" --loss_type sds --implementation guidance
# ```
