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
# - derive the gradient that **DreamFusion** ([arXiv 2209.14988](https://arxiv.org/abs/2209.14988))
#   takes out of a frozen denoiser,
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
    finished,
    from_pil,
    guidance_default,
    hand_in,
    live,
    load_prior,
    progress,
    show,
    to_pil,
)
from distillery.methods.sdedit import sdedit
from distillery.models.parameterization import add_noise
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
# Take a picture, a drawing of a red house. You would like a *blue* one. Hide the picture under
# noise, tell a denoiser what you want to see, and let it guess what is behind the noise. Its guess
# differs from the picture, and the difference says what is wrong.

# %%
drawing = draw(Factors("house", "red", "in the snow"), seed=3, size=prior.image_size)
house = from_pil(Image.fromarray(drawing.image)).to(prior.device)
wish, t = "a blue house in the snow", torch.tensor([550], device=prior.device)

x0 = prior.encode(house)
generator = torch.Generator(prior.device).manual_seed(0)
eps = torch.randn(x0.shape, generator=generator, device=prior.device)
generator.manual_seed(0)  # the same noise once more, for the guess
guess = sdedit(prior, x0, [wish], strength=0.55, guidance_scale=4.0, steps=1, generator=generator)
xt = add_noise(x0, eps, prior.alpha_bar(t))
moved = x0 + 0.5 * (guess - x0)
show(
    prior.decode(torch.cat([x0, xt, guess, moved])),
    [
        "your picture",
        "with noise in it",
        "the network's guess,\ntold “blue”",
        "half a step\ntowards it",
    ],
)

# %% [markdown]
# **What you should see.** A red house, the same under noise, a guess that is blue, and a house on
# its way from red to blue. That is the whole method: *many small steps, each towards the guess,
# each with new noise of another level.* You need neither a blue house to begin with (noise will do)
# nor a sampler. And nothing says that the picture must be made of latents: whatever can be rendered
# to latents can be pulled in this way.
#
# ### The same as a formula
#
# Write $\hat\varepsilon(x_t; y, t)$ for the network's guess of the noise in $x_t$, given the prompt
# $y$. It was trained by making this guess good on average, over the pictures $x_0$ of a data set,
# their captions $y$, random levels $t$ and random noise $\varepsilon$:
#
# $$\mathcal L = \mathbb E_{t,\varepsilon}\Big[\tfrac12\, w(t)\,
# \big\|\hat\varepsilon(x_t; y, t) - \varepsilon\big\|^2\Big],
# \qquad x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon .$$
#
# Here $\mathbb E_{t,\varepsilon}$ is the mean over draws of $t$ and $\varepsilon$, and the weight
# $w(t) > 0$ says how much each level counts. In training, $\mathcal L$ is a function of the
# network's weights. Now turn it round: freeze the network and let the *picture* $x_0$ move. A
# picture on which the network guesses the noise well is one that it believes in. By the chain rule,
# the gradient $\nabla_{x_0}$ with respect to the picture has three factors:
#
# $$\nabla_{x_0}\mathcal L = \mathbb E_{t,\varepsilon}\Big[\; w(t)\,
# \underbrace{\big(\hat\varepsilon(x_t; y, t) - \varepsilon\big)}_{\text{what is wrong}}\;
# \underbrace{\frac{\partial\hat\varepsilon}{\partial x_t}}_{\text{the network's Jacobian}}\;
# \underbrace{\frac{\partial x_t}{\partial x_0}}_{\sqrt{\bar\alpha_t}}\;\Big]$$
#
# (The Jacobian is the matrix of all derivatives of the guess with respect to what the network
# sees.) **DreamFusion's step is to leave this middle factor out.** What is left, with the factor
# $\sqrt{\bar\alpha_t}$ taken into $w$, is the *score distillation sampling* gradient, SDS:
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
# - **It is still a gradient.** Not of the loss above, but of a distance between two distributions
#   of noisy pictures: $q(x_t \mid x_0)$, your *one* picture with all the noise that it could get,
#   and $p(x_t \mid y)$, the model's pictures of the prompt with noise in them. The distance is
#   $\mathrm{KL}(q\,\|\,p)$, the Kullback-Leibler divergence: the mean of $\log q - \log p$ over
#   draws from $q$. It is zero if the two are equal, and large if $q$ has draws that are unlikely
#   under $p$. SDS descends its weighted mean over the levels, $\mathbb E_t\big[\,c(t)\,
#   \mathrm{KL}(q\,\|\,p)\,\big]$ with weights $c(t) > 0$ (appendix A.4 of the paper): it makes the
#   noisy versions of *your one picture* likely. Remember the order of the two in this KL. It
#   explains what you will see at the end of this notebook.
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
# strongly each place is told to change, averaged over some draws of noise; bright is strong. Above
# them is the mean strength on the house and around it.

# %%
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
mask = torch.from_numpy(drawing.mask)[None, None].to(prior.device)
inside = torch.nn.functional.interpolate(mask, strength.shape[-2:], mode="area")[0, 0] > 0.5
for wish, places in zip(wishes, strength, strict=True):
    on_it, around_it = places[inside].mean(), places[~inside].mean()
    print(f"{wish:30} on the house {on_it:.2f}, around it {around_it:.2f}")
show(torch.cat([house, heat]), ["the picture", *(wish.replace(" in", "\nin") for wish in wishes)])

# %% [markdown]
# **What you should see.** Another colour and another thing light up the house, twice as bright as
# its own prompt does. Another scene leaves the house as it is with its own prompt, and lights up
# what is around it, twice as bright too. The model was never told where the house is. But the own
# prompt does not leave the drawing in peace: with guidance even a red house in the snow is not red,
# not house and not snow enough. (Stage 2 takes this bias away.)

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
# kernel* (the ■ above, or `I` `I`): the run stops and keeps what it has. (About 10 seconds.)

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
# **What you should see.** Layout and colours come first, out of the noise; clean outlines come
# last. If your picture is neon, look at your guidance. If it stays noise, look at signs. If it is
# grey mush, the prompt has no effect.
#
# ### The loss says little
#
# First the loss: of every step, and the mean of the last 25 (mind the logarithmic scale). Below,
# the CLIP score of the frames.

# %%
WINDOW = min(25, len(run.losses))
means = torch.tensor(run.losses).unfold(0, WINDOW, 1).mean(dim=1).tolist()
curves(
    range(WINDOW - 1, len(run.losses)),
    {"loss of each step": run.losses[WINDOW - 1 :], f"mean of {WINDOW} steps": means},
    x_label="step",
    log_y=True,
)

# %%
curves(
    [frame.index for frame in run.frames],
    {"CLIP score": [frame.score for frame in run.frames]},
    x_label="step",
)

# %% [markdown]
# **What you should see.** From one step to the next the loss jumps, often tenfold, because it
# mostly shows which $t$ was drawn. Its mean does fall, about eightfold in this run: it is half the
# squared length of the gradient, and the further the run is, the less there is to complain about.
# But it knows nothing of right or wrong. With a sign turned round the same formula gives the same
# value; with more guidance it is larger, and the picture may be better. CLIP has seen enough after
# 80 steps; the outlines, which it hardly notices, took all of them. So judge a run by its pictures,
# and by a score only where you know what that score sees.
#
# ### What the network believed on the way
#
# The same run once more, stopped at six moments. Above is the canvas itself. Below, the network
# sees this canvas with noise in it, at a high and at a low level, and guesses the clean picture.
# (About 10 seconds.)

# %%
moments = [0, 20, 50, 90, 150, 249]
scale = guidance_default(MODEL, "sds")
seen = [
    step.canvas.render().detach().clone()
    for step in progress(distilled([PROMPT], steps=250), "250 steps")
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
# certainty; and so the two talk themselves into a picture. By the end the guess at $t = 300$ is the
# canvas, nearly, and the gradient there has little left to say. The guess at $t = 800$ is still
# louder and coarser: that is guidance, and it pulls until the last step. (The falling learning rate
# ends the run, not agreement.)

# %% [markdown]
# ## 5 · What it looks for: modes
#
# Let us look at the same thing in a world so small that it can be drawn: "pictures" of two numbers.
# The exact prior is a mixture of Gaussians whose denoiser is a closed formula, so nothing below is
# the fault of a network. The prompt means three of its five clouds. They are far apart, as
# different pictures are in their many dimensions, and the runs start from everywhere. (A few
# seconds.)

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
    for _ in progress(run_of_400, f"s = {s:g}"):
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
# Now in pictures. A prompt that leaves much open, six seeds each. (About 30 seconds.)

# %%
OPEN = "a house"
generator = torch.Generator(prior.device).manual_seed(0)
sampled = prior.decode(prior.sample([OPEN] * 6, guidance_scale=4.0, generator=generator))
(modes,) = finished({"distilled": distilled([OPEN] * 6, steps=150)}).values()
show(torch.cat([sampled, modes]), columns=6, row_titles=["sampled", "distilled"])

# %%
for name, images in {"sampled": sampled, "distilled": modes}.items():
    print(f"{name}: mean distance between two pictures {torch.pdist(images.flatten(1)).mean():.1f}")

# %% [markdown]
# **What you should see.** The distilled pictures are closer to each other than the samples: the
# mean distance is less than half. Each starts from different noise and sees different draws; still
# all six end at a similar house in a similar place, where the samples have several scenes.

# %% [markdown]
# ## 6 · How much guidance?
#
# With a sampler, a scale of 3 or 4 was plenty. DreamFusion used 100. The reason is in the picture
# above: at a low scale the gradient is weak compared with its own noise and the typical picture of
# *anything* is a good compromise, so little is decided. A large scale makes the prompt win, and
# pays with colour. Where the balance lies depends on the model, and the way to find it is to look.
# Four prompts, four scales. (About a minute.)

# %%
wanted = [
    Factors("house", "red", "in the snow"),
    Factors("castle", "pink", "in the night sky"),
    Factors("mushroom", "blue", "in the forest"),
    Factors("car", "green", "in the desert"),
]
prompts = [str(factors) for factors in wanted]
scales = [1.0, 5.0, 15.0, 50.0]
sweep = finished({f"s = {s:g}": distilled(prompts, guidance_scale=s, steps=150) for s in scales})
show(
    torch.cat(list(sweep.values())),
    [f"{factors.colour} {factors.thing}\n{factors.scene}" for factors in wanted],
    columns=len(prompts),
    row_titles=list(sweep),
)

# %% [markdown]
# Three numbers for each row. *CLIP* compares picture and prompt. *Sharpness* is the mean difference
# between neighbouring pixels, divided by that of drawings of the same prompts: 1 is right, less is
# fog, more is stains. And the share of values outside $[-1, 1]$ measures burnt colour. The dashed
# line is the default that the course uses for this model. It was found by a sweep like this one,
# with more prompts and more steps, and with the judge, for which four
# pictures are too few.


# %%
def sharpness(images: torch.Tensor) -> float:
    """The mean difference between neighbouring pixels of images (B, 3, H, W)."""
    grey = images.clamp(-1, 1).mean(dim=1)
    return sum(grey.diff(dim=dim).abs().mean().item() for dim in (1, 2)) / 2


drawn = [draw(factors, seed, size=prior.image_size) for seed, factors in enumerate(wanted)]
drawn = torch.cat([from_pil(Image.fromarray(one.image)) for one in drawn]).to(prior.device)
real = sharpness(prior.decode(prior.encode(drawn)))

curves(
    scales,
    {
        "CLIP score": [sum(scorer.score(to_pil(i), prompts)) / 4 for i in sweep.values()],
        "sharpness, drawings = 1": [sharpness(images) / real for images in sweep.values()],
        "values outside [-1, 1]": [(i.abs() > 1).float().mean().item() for i in sweep.values()],
    },
    x_label="guidance scale",
    mark=guidance_default(MODEL, "sds"),
    log_x=True,
    from_zero=True,
)

# %% [markdown]
# **What you should see.** Too little guidance and pictures are soft; too much and they are loud:
# from the first row to the last, sharpness rises from less than half of the drawings' to more than
# theirs, without a single true detail more. CLIP is highest in between, but look at its axis:
# what your eye sees at once costs it a tenth. And in no row are more than 0.4 % of the values
# outside; burnt is what they look like, within the range. A famous number from a paper about
# another model is where you *begin* a sweep, not where you end one.

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
# (About 10 seconds.)


# %%
def by_hand(prompt: str, *, steps: int = 200, guidance_scale: float = scale) -> torch.Tensor:
    """A distilled latent (1, C, h, w), or so its author believes."""
    generator = torch.Generator(prior.device).manual_seed(0)
    shape = (1, prior.latent_channels, *prior.latent_size)
    x0 = torch.randn(shape, generator=generator, device=prior.device).requires_grad_()
    eps = torch.randn(shape, generator=generator, device=prior.device)
    uncond, text = prior.embed([prompt]), prior.embed([""])
    optimiser = torch.optim.AdamW([x0], lr=0.05, weight_decay=0)
    for step in progress(range(steps), "by hand"):
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
# $w(t) = 1 - \bar\alpha_t$ is a choice. Divide it out, multiply another in, and compare. The second
# weight below counts low noise almost alone, the third high noise. (About 40 seconds.)

# %%
WEIGHTS = {
    "1 - alpha_bar\n(DreamFusion)": lambda alpha_bar: 1 - alpha_bar,
    "alpha_bar ** 4\n(low noise)": lambda alpha_bar: alpha_bar**4,
    "(1 - alpha_bar) ** 8\n(high noise)": lambda alpha_bar: (1 - alpha_bar) ** 8,
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


by_weight = finished(
    {
        name: distilled(prompts[:3], loss=reweighted(weight), steps=120)
        for name, weight in WEIGHTS.items()
    }
)
show(torch.cat(list(by_weight.values())), columns=3, row_titles=list(by_weight))

# %% [markdown]
# **What you should see.** Low noise alone never decides on a layout: things have edges and are in
# pieces, between remains of the noise that the run began with. How do the first and the third row
# differ? What would a weight do that moves from the third to the second during the run? And a
# riddle: divide the weight by 2. Why does nothing change? (Ask AdamW.)

# %% [markdown]
# ### Dare 2 · CSD, a variant of one line
#
# The gradient is a straight line in the guidance scale:
#
# $$\text{grad}(s) = w(t)\,(\hat\varepsilon_{\text{uncond}} - \varepsilon)
# \;+\; s\; w(t)\,(\hat\varepsilon_{\text{text}} - \hat\varepsilon_{\text{uncond}})$$
#
# With $s = 100$ the second term is nearly all of it. *Classifier score distillation* ([arXiv
# 2310.19415](https://arxiv.org/abs/2310.19415)) keeps only that term, without the noise residual.
# The authors' line and yours differ only in what is subtracted. Here it is made from your own
# gradient, as the slope of the line. Write it with one call of the network. Then find out what it
# does to colours, and whether a little of the other term repairs them. (About 20 seconds.)


# %%
def csd_loss(prior, x0, *, text, uncond, step, settings, generator):
    """CSD, from two calls of `sds_grad` where one call of the network would do."""
    t = sds.sample_timesteps(
        len(x0), step, settings.steps, t_min=20, t_max=980, generator=generator
    )
    eps = torch.randn(x0.shape, generator=generator, device=x0.device)
    ends = [sds.sds_grad(prior, x0, t, eps, text, uncond, s) for s in (0.0, 1.0)]
    return sds.sds_loss(x0, ends[1] - ends[0])


(by_csd,) = finished({"CSD": distilled(prompts[:3], loss=csd_loss, steps=120)}).values()
by_sds = next(iter(by_weight.values()))
show(torch.cat([by_sds, by_csd]), columns=3, row_titles=["SDS", "CSD"])

# %% [markdown]
# ### Dare 3 · Pixels in place of latents
#
# Nothing in your functions knows what a canvas is. Optimise pixels, encode them, and let autograd
# take the gradient through the VAE. Same seed, same prompts. The third row shows the pixels again,
# encoded and decoded: this is what the network sees of them. (About 30 seconds.)

# %%
generator = torch.Generator(prior.device).manual_seed(0)
canvas = PixelCanvas(3, *prior.image_size, generator=generator)
steps = distilled(prompts[:3], canvas=canvas, steps=120, learning_rate=0.2)
(pixels,) = finished({"pixels": steps}).values()
show(
    torch.cat([by_sds, pixels, prior.decode(prior.encode(pixels))]),
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

# %% [markdown]
# ## Symbols
#
# | symbol | in code | what it is |
# |---|---|---|
# | $x_0$ | `x0` | the picture that you optimise, as latents `(B, C, h, w)` |
# | $y$ | `prompt`, `text` | the prompt, and the network's condition made of it |
# | $t$ | `t` | the noise level, a whole number from $t_{\min} = 20$ to $t_{\max} = 980$ |
# | $\varepsilon$ | `eps` | the noise that is put in, new at every step |
# | $\bar\alpha_t$ | `alpha_bar` | the picture's share in the variance of $x_t$ |
# | $x_t$ | `xt` | the picture with noise of the level $t$ in it |
# | $\hat\varepsilon$ | `eps_hat` | the network's guess of the noise in $x_t$, guided |
# | $\hat\varepsilon_{\text{text}}$ | `eps_text` | the guess with the prompt |
# | $\hat\varepsilon_{\text{uncond}}$ | `eps_uncond` | the guess with the empty prompt |
# | $s$ | `guidance_scale` | how far to walk from the empty prompt to the prompt, and beyond |
# | $\hat x_0$ | `guess` | the clean picture that belongs to the guess |
# | $w(t)$, $c(t)$ | | how much a level counts, in a gradient and in a distance |
# | $\mathcal L$, $\ell$ | | a loss: the network's in training, the one that you hand to autograd |
# | $\mathbb E_{t,\varepsilon}$ | | the mean over draws of $t$ and $\varepsilon$ |
# | $\nabla_{x_0}$, $\partial$ | `x0.grad` | derivatives, with respect to the picture |
# | $p(x_t \mid y)$ | | the model's pictures of the prompt, with noise |
# | $q(x_t \mid x_0)$ | | your one picture, with noise |
# | $\mathrm{KL}(q\,\|\,p)$ | | the mean of $\log q - \log p$ over draws from $q$ |
#
# ## Further reading
#
# - B. Poole, A. Jain, J. Barron, B. Mildenhall, *DreamFusion: text-to-3D using 2D diffusion*,
#   [arXiv 2209.14988](https://arxiv.org/abs/2209.14988): where it comes from; read section 3 and
#   appendix A.4.
# - H. Wang and others, *Score Jacobian chaining*,
#   [arXiv 2212.00774](https://arxiv.org/abs/2212.00774): the same idea, found at the same time.
# - X. Yu and others, *Text-to-3D with classifier score distillation*,
#   [arXiv 2310.19415](https://arxiv.org/abs/2310.19415): dare 2.
# - O. Katzir and others, *Noise-free score distillation*,
#   [arXiv 2310.17590](https://arxiv.org/abs/2310.17590): what each term of the gradient does.
# - Y. Huang and others, *DreamTime*, [arXiv 2306.12422](https://arxiv.org/abs/2306.12422), and J.
#   Zhu, P. Zhuang, *HiFA*, [arXiv 2305.18766](https://arxiv.org/abs/2305.18766): falling noise.
