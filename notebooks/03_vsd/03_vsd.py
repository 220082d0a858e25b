# %% [markdown]
# # Stage 3 · Variational score distillation: the distribution, not the mode
#
# *{summary}. Everything here runs on
# a laptop's CPU.*
#
# {graded}
#
# Score distillation (stage 1) asks a denoiser what is wrong with *one* picture, and gets back the
# smooth, typical, average picture of the prompt, the same one every time. In this stage you
#
# - find out **why** it must be so, and what to ask instead: not "is this picture likely?" but "are
#   *these pictures together* spread as the model's are?" (ProlificDreamer, [arXiv
#   2305.16213](https://arxiv.org/abs/2305.16213)),
# - write the gradient, which is the difference of **two denoisers**,
# - train the second one, a **LoRA**, while the pictures that it looks at are still changing.
#
# You can start with this stage. If you have not done the others, you only need to know that $x_t =
# \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 - \bar\alpha_t}\,\varepsilon$ is a picture with noise in it,
# that the network's $\hat\varepsilon(x_t, t)$ is its guess of that noise, that guidance is
# $\hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,(\hat\varepsilon_{\text{text}} -
# \hat\varepsilon_{\text{uncond}})$, and that score distillation (SDS) moves a picture along
# $-(1 - \bar\alpha_t)(\hat\varepsilon - \varepsilon)$, for new $t$ and $\varepsilon$ at each step.

# %%
MODEL = "tiny-sd"  # on a GPU: "sd15"
CLIP = "tiny-clip"  # for "sd15": "ViT-B-32:openai"

# %%
# %load_ext distillery.todo
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import SimpleNamespace

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
    distill,
    finished,
    from_pil,
    guidance_default,
    hand_in,
    live,
    load_prior,
    objective,
    progress,
    show,
    to_pil,
)
from distillery.methods.gradient_loss import with_gradient
from distillery.models.lora import LoraDenoiser
from distillery.models.prior import Condition, Prior
from distillery.notebook.effort import effort
from distillery.notebook.figures import scatter
from distillery.runs.companion import lora_companion
from distillery.runs.optimise import CanvasStep
from distillery.toybox import COLOURS, SCENES, Factors, draw
from guidance import vsd

prior = load_prior(MODEL)
scorer, judge = ClipScorer(CLIP), Judge.load()
EFFORT = effort()  # share of each run's steps to compute; 1 unless the environment says less

# %% [markdown]
# ## The idea
#
# Think of a world so small that it can be drawn: a "picture" is two numbers, a point in a plane.
# The blue points on the left are the pictures of a prompt, three clouds of them. (The crosses are
# the middles of the clouds, and grey ones belong to other prompts.) Now say something about them
# with *one* picture and a little noise around it: that is the round heap in the middle panel. It
# has a fixed size, and all that you can choose is where it lies. Or say it with a *crowd* of
# pictures, each of which you can put where you like: on the right.

# %%
centres = 8 * torch.tensor([[-2.0, 1.0], [0.0, -1.6], [2.0, 1.2], [-1.0, 3.2], [3.4, -1.5]])
flat = GaussianMixturePrior(
    centres[:, :, None, None], std=2.8, names={"one of three": [0, 1, 2]}, device=prior.device
)
generator = torch.Generator(prior.device).manual_seed(0)
drawn = flat.sample(["one of three"] * 300, guidance_scale=1.0, generator=generator)
noise = torch.randn(2, 300, 2, generator=generator, device=prior.device)
heap = centres[1].to(prior.device) + noise[0]
crowd = drawn.flatten(1) + noise[1]
scatter(
    {
        "p: the prompt's pictures": drawn.flatten(1),
        "q: one picture and noise": heap,
        "q: a crowd and noise": crowd,
    },
    centres[:3],
    centres[3:],
)

# %% [markdown]
# **What you should see.** The heap lies in the middle of one cloud. It could lie in another, but
# nowhere would it look like all three, and it has none of their width. The crowd looks like the
# left panel.
#
# Score distillation (SDS) moves the heap, and looks for the place where it fits best. This stage
# moves the crowd. In symbols: $y$ is the prompt, $x_0$ a picture, and $x_t$ is it with noise of the
# level $t$ in it. On one side stands $p(x_t \mid y)$, all pictures of the prompt with noise in
# them; on the other $q(x_t \mid x_0)$, your *one* picture with noise in it. How badly $q$ fits is
# measured by the Kullback-Leibler divergence $\mathrm{KL}(q\,\|\,p)$: the mean of $\log q - \log p$
# over draws from $q$. It is zero if both are equal, and large if $q$ has draws that $p$ has not.
# SDS descends its mean over the noise levels, $\mathbb E_t$, with some weight $c(t) > 0$:
#
# $$\mathcal L_{\text{SDS}}(x_0) = \mathbb E_t\Big[\,c(t)\;
# \mathrm{KL}\big(q(x_t \mid x_0)\,\big\|\,p(x_t \mid y)\big)\Big]$$
#
# A KL in this direction punishes $q$ for being where $p$ is not. It never punishes $q$ for what it
# leaves out: two of the three clouds. And $q$ cannot do much: it can only be moved. The best it can
# do is to sit where $p$ is densest, at a **mode**. A mode of a million pictures is the one that has
# the least of everything: soft, symmetric, average. This is not the fault of the optimiser or of
# the network; it is what we asked for.
#
# **So ask for something else.** Let the variable be a whole distribution $\mu$ of pictures, the
# crowd, and $q$ what it becomes with noise added: the mean of the heaps of all its pictures,
# $q^\mu(x_t) = \mathbb E_{x_0 \sim \mu}\,q(x_t \mid x_0)$:
#
# $$\mathcal L_{\text{VSD}}(\mu) = \mathbb E_t\Big[\,c(t)\;
# \mathrm{KL}\big(q^\mu(x_t)\,\big\|\,p(x_t \mid y)\big)\Big]$$
#
# It is the same KL, in the same direction. But now $q$ is completely free, and a KL is zero only if
# both sides are equal: the minimum is $\mu = p$, **all the pictures of the prompt, each as often as
# the model would draw it**.
#
# We represent a distribution by a crowd of *particles*, pictures that we optimise together. The
# downhill direction for each of them is a difference of two *scores*, $\nabla\log$ of a density:
# the direction in which it grows fastest (this is the gradient flow of a KL; the paper's theorem
# 2). And a score is a denoiser's $\hat\varepsilon$ up to a factor, $\nabla\log p(x_t \mid y) =
# -\hat\varepsilon / \sqrt{1 - \bar\alpha_t}$:
#
# $$\nabla\log q^\mu(x_t) - \nabla\log p(x_t\mid y)
# \;=\; \frac{\hat\varepsilon_{p}(x_t) - \hat\varepsilon_{\mu}(x_t)}{\sqrt{1 - \bar\alpha_t}}$$
#
# Here $\hat\varepsilon_p$ is the denoiser that you know, and $\hat\varepsilon_\mu$ is **a denoiser
# for the particles**: it looks at $x_t$ and says which noise is in it, knowing that the picture
# behind it is one of the crowd. The first pulls each particle to where pictures are likely. The
# second pushes it away from where the crowd is already dense. Where the two agree, nothing moves.

# %% [markdown]
# ## 1 · Two denoisers, one difference
#
# $$\text{grad} = (1 - \bar\alpha_t)\,\big(\hat\varepsilon_p(x_t; y, t) -
# \hat\varepsilon_{\mu}(x_t; y, t)\big)$$
#
# Both see the same $x_t$, the particle with fresh noise in it. The first is guided by a scale $s$.
# The second is *not*: it should describe the particles as they are, and guidance would make it
# describe an exaggeration of them.
#
# In code the second denoiser is called `lora`, for a reason that section 2 gives. For now you only
# need to know that you can ask it.
#
# ### Exercise 1 · `vsd.vsd_grad`
#
# > **15 minutes · difficulty ●●○ · {points of vsd_grad} · CPU**
#
# **Contract.** `prior.alpha_bar(t)` gives $\bar\alpha_t$ as `(B, 1, 1, 1)`.
# `prior.predict_noise(xt, t, first, second)` gives two predictions `(B, C, h, w)`, in the order of
# the conditions, for the price of a single call; `lora.predict_noise(xt, t, text)` gives a *tuple
# of one*. Ask each of them once. Return `(B, C, h, w)` *without a graph*, neither to the particles
# nor to the weights of either network. Do not change the arguments.

# %%
# TODO vsd.vsd_grad

# %%
check("vsd.vsd_grad")

# %%
compare_picture("vsd.vsd_grad")

# %% [markdown]
# **What you should see.** Two particles, each a mixture of a boat and a heart. The first is asked
# for the heart, and there the heart has reversed colours; it is faint, because $w(t)$ is small at
# its level. The second is asked for the boat, and the heart has its own colours. Gradient descent
# *subtracts* these pictures. The speckles are what the two denoisers think differently about the
# noise.
#
# <details><summary>Help: where do I start?</summary>
#
# In words: what is the level of each particle? What do both networks see? Which prompts does the
# first one get, and how are its two answers combined? Which prompt does the second one get? What is
# compared with what?
#
# </details>
# <details><summary>Help: where is the noise that I put in?</summary>
#
# Only inside $x_t$. SDS subtracts it; here the second denoiser's opinion takes its place.
#
# </details>
# <details><summary>Help: it says something about a tuple.</summary>
#
# `predict_noise` returns one prediction for each condition, always as a tuple. Unpack a tuple of
# one like this: `(eps_lora,) = ...`.
#
# </details>

# %% [markdown]
# ### A crowd of one
#
# Before we train anything: suppose that the crowd is one picture, $x_0$ itself. Then its denoiser
# does not have to guess. Behind every $x_t$ there can only be $x_0$, and the noise is what is left:
# exactly the $\varepsilon$ that was put in. **SDS is VSD with a crowd of one**, each particle alone
# in the world. Here is this denoiser. We use it for all SDS in this notebook:


# %%
class Alone:
    """The exact denoiser of a crowd of one: it knows for certain which picture is behind xt."""

    def __init__(self, prior: Prior, canvas: LatentCanvas) -> None:
        self.prior, self.canvas = prior, canvas

    def predict_noise(self, xt: torch.Tensor, t: torch.Tensor, text: Condition):
        x0, alpha_bar = self.canvas.render().detach(), self.prior.alpha_bar(t)
        return ((xt - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt(),)


# %% [markdown]
# ### A crowd that knows itself
#
# And if there are many? In a world of two numbers we can write down the crowd's denoiser too. Put a
# small Gaussian around each particle and you have a mixture, and a mixture's denoiser is a formula.
# (The course's exact prior is such a formula, so the crowd gets its own exact prior.) This is VSD
# with a perfect second denoiser.


# %%
class Crowd:
    """The exact denoiser of all particles together, each a small Gaussian of width `std`."""

    def __init__(self, prior: Prior, canvas: LatentCanvas, std: float = 0.5) -> None:
        self.canvas, self.std = canvas, std

    def predict_noise(self, xt: torch.Tensor, t: torch.Tensor, text: Condition):
        crowd = GaussianMixturePrior(self.canvas.render().detach(), self.std, device=xt.device)
        return crowd.predict_noise(xt, t, crowd.embed([""]).repeat(len(xt)))


# %% [markdown]
# The next cell is the whole program of this stage. `vsd.loss` in your module draws $t$ and
# $\varepsilon$, asks your `vsd_grad` and passes the gradient to autograd. `second` makes the second
# denoiser. If you give none, it will be a LoRA that learns (you have not written that yet).


# %%
def distilled(
    prompt: str,
    *,
    second: Callable[[Prior, LatentCanvas], object] | None = None,
    prior: Prior = prior,
    canvas: LatentCanvas | None = None,
    loss: Callable[..., torch.Tensor] | None = None,
    seed: int = 0,
    **choices: float,
) -> Iterator[CanvasStep]:
    """The steps of one distillation: several particles of one prompt, from noise."""
    settings = Settings(
        prompt, loss_type="vsd", model=MODEL, implementation="guidance", seed=seed, **choices
    )
    generator = torch.Generator(prior.device).manual_seed(seed)
    if canvas is None:
        shape = (settings.particles, prior.latent_channels, *prior.latent_size)
        canvas = LatentCanvas(*shape, generator=generator)
    prompts, companion = [prompt] * settings.particles, None
    if second is None:
        companion = lora_companion(
            vsd, prior, prompts=prompts, settings=settings, generator=generator
        )
    loss_fn = objective(
        loss or vsd.loss,
        prior,
        prompts=prompts,
        settings=settings,
        generator=generator,
        lora=companion.model if companion else second(prior, canvas),
    )
    return distill(
        canvas,
        loss_fn,
        prior=prior,
        settings=settings,
        generator=generator,
        companion=companion,
        effort=EFFORT,
    )


# %% [markdown]
# Back to the plane of the beginning: five clouds, of which the prompt means three. Three hundred
# particles start from everywhere. (About 10 seconds.)

# %%
generator = torch.Generator(prior.device).manual_seed(0)
worlds = {"sampled, s = 1": drawn}
for name, second, s in (
    ("SDS, s = 1", Alone, 1.0),
    ("VSD, s = 1", Crowd, 1.0),
    ("VSD, s = 7.5", Crowd, 7.5),
):
    canvas = LatentCanvas(300, 2, 1, 1, generator=generator, init_scale=16)
    steps = distilled(
        "one of three",
        second=second,
        prior=flat,
        canvas=canvas,
        particles=300,
        guidance_scale=s,
        steps=300,
        learning_rate=0.4,
    )
    for _ in progress(steps, name):
        pass
    worlds[name] = canvas.render().detach()
scatter({name: x0.flatten(1) for name, x0 in worlds.items()}, centres[:3], centres[3:])


# %%
def spread(points: torch.Tensor) -> float:
    """How far points lie from the middle of their own cloud, per coordinate."""
    nearest = torch.cdist(points, centres[:3].to(points.device)).argmin(dim=1)
    clouds = [points[nearest == k] for k in range(3)]
    return torch.cat([cloud - cloud.mean(dim=0) for cloud in clouds]).square().mean().sqrt().item()


for name, x0 in worlds.items():
    print(f"{name}: {spread(x0.flatten(1)):.1f} around the middles (the clouds themselves: 2.8)")

# %% [markdown]
# **What you should see.** Red crosses mark the three wanted clouds, grey ones the two others.
#
# - *Sampling* fills the clouds. This is the truth.
# - *SDS* collapses each cloud to its middle. (A few points from far away have not arrived after
#   300 steps; without them its number would be 0.6.)
# - *VSD*, with the same prior, the same draws and one line changed, fills them again. No noise is
#   ever added to a particle; the crowd's own push keeps them apart.
# - *VSD with guidance* also fills clouds, but different ones. Guidance describes another world,
#   farther from the grey crosses, and VSD draws the world that is described to it.
#
# ### Why this does not work with pictures
#
# In the plane, three hundred noisy particles overlap, and each has to share its place with
# neighbours. A latent has a thousand numbers, and eight pictures in a thousand dimensions are far
# apart. The next cell makes a crowd of eight *different* drawings and compares your gradient with
# their exact denoiser to that of SDS.

# %%
THING = "house"
PROMPT = f"a {THING}"


def drawings(things: list[Factors]) -> torch.Tensor:
    """A drawing of each, as images (B, 3, H, W) in [-1, 1]."""
    drawn = [draw(factors, seed, size=prior.image_size) for seed, factors in enumerate(things)]
    return torch.cat([from_pil(Image.fromarray(one.image)) for one in drawn]).to(prior.device)


houses = drawings(
    [Factors(THING, COLOURS[(3 * k + 1) % 8], scene) for k, scene in enumerate(SCENES)]
)
x0 = prior.encode(houses)
eight, text, uncond = LatentCanvas.starting_at(x0), *map(prior.embed, ([PROMPT] * 8, [""] * 8))
for level in (200, 500, 800, 900, 980):
    t = torch.full((8,), level, device=prior.device)
    eps = torch.randn(x0.shape, generator=generator, device=prior.device)
    as_one, as_crowd = (
        vsd.vsd_grad(prior, second, x0, t, eps, text, uncond, 1.0)
        for second in (Alone(prior, eight), Crowd(prior, eight, std=0.01))
    )
    print(f"t = {level}: differing by {(as_crowd - as_one).norm() / as_one.norm():.1%}")
show(houses)

# %% [markdown]
# Up to $t = 800$ the two do not differ: a denoiser that knows the eight pictures exactly also knows
# *which* of them it is looking at, so each is alone, and nothing keeps them apart. That is SDS
# again. (At 980, where hardly anything of a picture is left, they do differ.) We want a denoiser
# that does **not** know the eight by heart, but knows what they have in common: for example that
# they are all red, or all soft. It must generalise. There is a machine for that.

# %% [markdown]
# ## 2 · A denoiser that learns what the pictures look like
#
# Take the prior's own network, which knows all pictures, and let it learn a little: what *these*
# pictures are like. To learn only a little, it gets few new weights. **LoRA** ([arXiv
# 2106.09685](https://arxiv.org/abs/2106.09685)) leaves every matrix $W$ as it is, and adds the
# product of two thin ones:
#
# $$W \;\to\; W + B A, \qquad A: (r \times \text{in}),\quad B: (\text{out} \times r),
# \qquad r = 4$$
#
# $A$ starts random and $B$ starts at **zero**. So at first the adapted network equals the prior.
# But the gradient with respect to $B$ is not zero, so it can learn. There is only *one* network in
# memory. The adapters are switched on while we ask the second denoiser, and off again for the
# prior.

# %%
generator = torch.Generator(prior.device).manual_seed(0)
lora = LoraDenoiser(prior, rank=4, generator=generator)
adapters = sum(weight.numel() for weight in lora.parameters())
network = sum(weight.numel() for weight in prior.unet.parameters()) - adapters
factor_a, factor_b = list(lora.parameters())[:2]
print(f"{network:,} weights stand still, {adapters:,} learn ({adapters / network:.1%})")
print(f"one layer's A {tuple(factor_a.shape)}, mean size {factor_a.abs().mean():.2f}")
print(f"one layer's B {tuple(factor_b.shape)}, mean size {factor_b.abs().mean():.2f}")

t = torch.full((8,), 500, device=prior.device)
(by_prior,), (by_lora,) = (one.predict_noise(x0, t, text) for one in (prior, lora))
print("prior and LoRA differ by", (by_prior - by_lora).abs().max().item())

# %% [markdown]
# So at the first step $\hat\varepsilon_\mu$ is $\hat\varepsilon_{\text{text}}$, and your gradient
# is
#
# $$(1 - \bar\alpha_t)\,(s - 1)\,
# (\hat\varepsilon_{\text{text}} - \hat\varepsilon_{\text{uncond}}) ,$$
#
# guidance and nothing else. (That is a method too, classifier score distillation. Section 5 shows
# what happens if the LoRA never learns.) At $s = 1$ it is zero, and nothing moves until the LoRA
# has noticed what the particles are: noise, so far.
#
# **How it learns.** It is a diffusion model and the particles are its data, so it has the loss of
# all diffusion models: put noise in, and let it say which noise,
#
# $$\mathcal L_{\text{LoRA}} = \mathbb E_{t,\varepsilon}\Big[\tfrac1n
# \big\|\hat\varepsilon_\mu(x_t; y, t) - \varepsilon\big\|^2\Big],
# \qquad t \sim \mathcal U\{0, \dots, 999\},$$
#
# where $n$ is the number of values, so it is a *mean*, with its own $t$ and $\varepsilon$. The
# pictures are **data** here. This loss must not move them: a picture that makes itself easy to
# denoise becomes blurred.
#
# > **v or eps.** Some models (`"sd21"`) do not predict $\varepsilon$ but
# > $v = \sqrt{\bar\alpha_t}\,\varepsilon - \sqrt{1 - \bar\alpha_t}\,x_0$, from which $\varepsilon$
# > follows. In exercise 1 you did not notice: `predict_noise` always returns $\varepsilon$. In
# > training it matters, because a loss on $v$ weights the noise levels in the way the network was
# > trained. So the LoRA itself says what it should have predicted: `lora.target(x0, eps, t)`. A
# > classic mistake is to subtract $v$ from $\varepsilon$ without conversion: you get pictures of
# > coloured noise.
#
# ### Exercise 2 · `vsd.lora_loss`
#
# > **10 minutes · difficulty ●●○ · {points of lora_loss} · CPU**
#
# **Contract.** `lora.alpha_bar(t)` gives $\bar\alpha_t$ as `(B, 1, 1, 1)`; `lora.predict(xt, t,
# text)` gives what the adapted network predicts, `(B, C, h, w)`, *with a graph* to its weights;
# `lora.target(x0, eps, t)` gives what it should predict. Return the mean squared difference, a
# scalar. Its gradient must reach the LoRA and must not reach `x0`, although `x0` arrives with a
# graph.

# %%
# TODO vsd.lora_loss

# %%
check("vsd.lora_loss")

# %%
compare_picture("vsd.lora_loss")

# %% [markdown]
# **What you should see.** The gradient that your loss sends into a very small "LoRA", which learns
# only a mean picture for each prompt. It is mostly speckle, most of all in the second row, where
# there is more noise. A single draw teaches a denoiser little, and mostly noise; the picture
# appears over many draws.
#
# <details><summary>Help: the check says that a gradient reaches x0.</summary>
#
# Everything computed from `x0` keeps its graph, $x_t$ as well as the target. `.detach()` it before
# you compute either of them.
#
# </details>
# <details><summary>Help: may I write this under torch.no_grad()?</summary>
#
# No, then nothing could learn. The graph to the *weights* must stay; only the one to the pictures
# must go.
#
# </details>
# <details><summary>Help: which of lora.predict and lora.predict_noise?</summary>
#
# `predict_noise` is for asking: it has no graph and always returns $\varepsilon$. `predict` is for
# learning.
#
# </details>

# %% [markdown]
# ## 3 · Taking turns
#
# Now two things move. The particles follow a gradient in which the LoRA is frozen, and the LoRA
# follows a gradient in which the particles are frozen. There is no loss that both could descend:
# what is good for one is bad for the other, because the LoRA wants to recognise the crowd, and the
# crowd moves away from what the LoRA recognises. So they take turns, and each has its own
# optimiser.
#
# ```text
# particles:  particle_loss() ─ backward ─ particle_optimiser
# LoRA:       lora_loss()     ─ backward ─ lora_optimiser
# ```
#
# PyTorch *adds* each new gradient to the one that is already there. Two losses and two optimisers
# are two places to forget that, and Adam hides it well.
#
# ### Exercise 3 · `vsd.alternating_step`
#
# > **10 minutes · difficulty ●●○ · {points of alternating_step} · CPU**
#
# **Contract.** `particle_loss` and `lora_loss` are functions: each call computes the scalar from
# the values *at that moment*. First take one step of the particles against the LoRA as it is, then
# one step of the LoRA on the particles as they are then. Compute each loss once. Older gradients
# must have no effect on either step. Return the particles' loss from before their step, without a
# graph.

# %%
# TODO vsd.alternating_step

# %%
check("vsd.alternating_step")

# %%
compare_picture("vsd.alternating_step")

# %% [markdown]
# **What you should see.** The check lets two single numbers play against each other for a few steps
# and draws where they went and what was returned. Each bar ends at its line.
#
# <details><summary>Help: what does "as they are then" rule out?</summary>
#
# It rules out computing both losses first and stepping afterwards: the LoRA would learn what the
# particles were before. After one step the difference is small, but it is not the algorithm.
#
# </details>
# <details><summary>Help: the numbers are right at first, and then drift.</summary>
#
# Which gradient was still there? Each optimiser can clear its own, and must do so *before* its
# `backward()`.
#
# </details>

# %% [markdown]
# ### Your LoRA at work
#
# Let us see the LoRA learn before anything else moves. The crowd is eight drawings of red houses in
# the snow. They do not move (their loss is zero), and the LoRA learns them under the prompt "a
# house". Every few steps we ask both denoisers what they see in the *same* noisy picture. You can
# compute their answers from your gradient: with $\hat x_0$ for the clean picture that belongs to an
# $\hat\varepsilon$,
#
# $$\text{grad} = \sqrt{\bar\alpha_t(1 - \bar\alpha_t)}\;
# \big(\hat x_0^{\,\mu} - \hat x_0^{\,p}\big) .$$
#
# This is worth a second look. **Each step moves a particle away from what the LoRA sees, towards
# what the prior sees.** And with the denoiser of a crowd of one, $\hat x_0^{\,\mu}$ is $x_0$
# itself. (The cell after the next takes about 20 seconds.)


# %%
def beliefs(
    lora: object, x0: torch.Tensor, prompt: str, *, level: int, guidance_scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the guided prior and the LoRA each believe to be behind `x0` with noise in it."""
    generator = torch.Generator(prior.device).manual_seed(level)
    eps = torch.randn(x0.shape, generator=generator, device=prior.device)
    t = torch.full((len(x0),), level, device=prior.device)
    text, uncond = prior.embed([prompt] * len(x0)), prior.embed([""] * len(x0))
    alone = Alone(prior, LatentCanvas.starting_at(x0))
    from_self, from_lora = (
        vsd.vsd_grad(prior, second, x0, t, eps, text, uncond, guidance_scale)
        / (prior.alpha_bar(t) * (1 - prior.alpha_bar(t))).sqrt()
        for second in (alone, lora)
    )
    by_prior = x0 - from_self
    return by_prior, by_prior + from_lora


# %%
def standing_still(prior: Prior, x0: torch.Tensor, **_: object) -> torch.Tensor:
    """A particle loss without any pull."""
    return 0 * x0.sum()


crowd = prior.encode(drawings([Factors(THING, "red", "in the snow")] * 8))
stranger = prior.encode(houses[4:5])
moments, seen = (0, 10, 30, 59), []
steps = distilled(
    PROMPT,
    canvas=LatentCanvas.starting_at(crowd),
    loss=standing_still,
    particles=8,
    steps=60,
)
for step in progress(steps, "the LoRA learns"):
    if step.index in moments:
        by_prior, by_lora = beliefs(
            step.companion.model, stranger, PROMPT, level=930, guidance_scale=1.0
        )
        seen.append(by_lora)
show(
    torch.cat([prior.decode(crowd[:3]), prior.decode(torch.cat([stranger, by_prior, *seen]))]),
    [
        *["the crowd"] * 3,
        "a stranger",
        "what the\nprior sees",
        *[f"the LoRA,\nafter {index + 1}" for index in moments],
    ],
    columns=9,
)

# %% [markdown]
# **What you should see.** With noise at $t = 930$ almost nothing is left of the stranger, and both
# must rely on what they know. The prior sees some house in the night and is not sure of its colour.
# The LoRA has met only red houses on white ground. At first it *is* the prior; then the house turns
# red, and in the end the night turns pale. The difference tells a particle: *leave the red, leave
# the snow, there are enough of those*.

# %% [markdown]
# ## 4 · Pictures
#
# A prompt that leaves much open shows best what VSD is for. We take six particles of one prompt,
# and one LoRA for all of them.
#
# The guidance scale is the course's default for this model. For `tiny-sd` it is **1**, no guidance
# at all: a method that draws the whole distribution needs the model's own distribution, without
# exaggeration. (With SDS, $s = 1$ gives a fog: try it.) Stable Diffusion at $s = 1$ follows its
# prompts loosely even when it samples, so there the default is the paper's 7.5. The LoRA's learning
# rate was found by trying; dare 3 tries others.
#
# While it runs we watch the first particle, and what the two denoisers see in it. (About a minute:
# each step also trains the LoRA.)

# %%
PARTICLES, STEPS = 6, 150
SCALE = guidance_default(MODEL, "vsd")
moments, diary = (0, 24, 49, 74, 99, 149), []


def watched(steps: Iterable[CanvasStep]) -> Iterator[CanvasStep]:
    """The same steps; at some moments the first particle and both beliefs go into the diary."""
    for step in steps:
        if step.index in moments:
            x0 = step.canvas.render().detach()[:1].clone()
            sights = beliefs(step.companion.model, x0, PROMPT, level=600, guidance_scale=SCALE)
            diary.append((x0, *sights))
        yield step


run = live(watched(distilled(PROMPT, particles=PARTICLES, steps=STEPS)), every=20)

# %%
run.film()

# %% [markdown]
# ### What the LoRA believes
#
# The first particle, with noise at $t = 600$, at six moments. Each step goes from the third row to
# the second.

# %%
show(
    prior.decode(torch.cat([torch.cat(row) for row in zip(*diary, strict=True)])),
    [f"step {index + 1}" for index in moments],
    columns=len(moments),
    row_titles=["the particle", "what the\nprior sees", "what the\nLoRA sees"],
)

# %% [markdown]
# **What you should see.** At the first step the LoRA is the prior, and sees what the prior sees. By
# step 25 it has learnt what the particles are: noise. The prior still sees a house, and the
# difference between them says: *less noise, more house*. Now the particle moves, the LoRA follows,
# and from step 100 on it sees the particle itself, softly, with the colour of its roof. The prior
# would have another roof; about the rest the two agree. They do not have to agree in every single
# draw; they only have to cancel on average.

# %% [markdown]
# ## 5 · What it repairs
#
# The same six seeds with SDS at 7.5, the scale that the paper gives for VSD with Stable Diffusion,
# and at a high scale, as SDS is mostly used; with VSD at the same 7.5; and once with a LoRA that
# never learns. First the runs that train nothing. (About a minute and a quarter.)


# %%
def untrained(prior: Prior, canvas: LatentCanvas) -> LoraDenoiser:
    """A LoRA as it is in the beginning; without a companion it stays so."""
    generator = torch.Generator(prior.device).manual_seed(0)
    return LoraDenoiser(prior, rank=4, generator=generator)


SIX = {"particles": PARTICLES, "steps": STEPS}
fixed = finished(
    {
        "SDS, s = 7.5": distilled(PROMPT, second=Alone, guidance_scale=7.5, **SIX),
        "SDS, s = 30": distilled(PROMPT, second=Alone, guidance_scale=30.0, **SIX),
        "no learning, s = 7.5": distilled(PROMPT, second=untrained, guidance_scale=7.5, **SIX),
    }
)

# %% [markdown]
# Now VSD with guidance (about a minute), and all of it on one sheet.

# %%
learning = finished({"VSD, s = 7.5": distilled(PROMPT, guidance_scale=7.5, **SIX)})
chance = random.Random(0)
typical = [Factors(THING, chance.choice(COLOURS), chance.choice(SCENES)) for _ in range(PARTICLES)]
generator = torch.Generator(prior.device).manual_seed(0)
sampled = prior.sample([PROMPT] * PARTICLES, guidance_scale=3.0, generator=generator)
results = {
    "drawings (by the VAE)": prior.decode(prior.encode(drawings(typical))),
    "sampled, s = 3": prior.decode(sampled),
    "SDS, s = 7.5": fixed["SDS, s = 7.5"],
    "SDS, s = 30": fixed["SDS, s = 30"],
    "VSD, s = 7.5": learning["VSD, s = 7.5"],
    f"VSD, s = {SCALE:g} (above)": run.frames[-1].images.to(prior.device),
    "no learning, s = 7.5": fixed["no learning, s = 7.5"],
}
show(
    torch.cat(list(results.values())),
    columns=PARTICLES,
    row_titles=[name.replace(", ", "\n").replace(" (", "\n(") for name in results],
)

# %% [markdown]
# Six numbers for each row. *Chroma* is the distance between a pixel's largest and smallest channel,
# *burnt* the share of values outside $[-1, 1]$, *sharpness* the mean difference between
# neighbouring pixels, *variety* the mean distance between two of the pictures in the features of
# the toybox's judge. *CLIP* compares with the prompt, and *right* is the share in which the judge
# finds the thing. For all but the last two, neither large nor small is good: they should be close
# to the drawings' numbers. (The judge has seen only the toybox: with `"sd15"`, believe your eyes.)


# %%
@torch.no_grad()
def measures(images: torch.Tensor) -> dict[str, float]:
    """The numbers of one row of pictures (B, 3, H, W)."""
    burnt = (images.abs() > 1).float().mean().item()
    images = images.clamp(-1, 1).cpu()
    small = torch.nn.functional.interpolate(images, (64, 64), mode="area")
    grey = images.mean(dim=1)
    steps = [grey.diff(dim=dim).abs().mean() for dim in (1, 2)]
    return {
        "chroma": ((images.amax(dim=1) - images.amin(dim=1)).mean() / 2).item(),
        "burnt": burnt,
        "sharpness": (sum(steps) / 2).item(),
        "variety": torch.pdist(judge.net.features(small)).mean().item(),
        "CLIP": sum(scorer.score(to_pil(images), [PROMPT] * len(images))) / len(images),
        "right": sum(f.thing == THING for f in judge.factors(images)) / len(images),
    }


table = {name: measures(images) for name, images in results.items()}
print(" " * 22, *(f"{name:>9}" for name in next(iter(table.values()))))
for name, numbers in table.items():
    print(f"{name:22}", *(f"{number:9.3f}" for number in numbers.values()))

# %% [markdown]
# **What you should see.**
#
# - *SDS* at 7.5 is a house, softer than any drawing, and six times nearly the same, in the same
#   forest: its variety is the smallest. At 30 it is the same house again, louder, with stains. They
#   make it sharper than the drawings: sharpness is not detail.
# - *VSD* at 7.5 has edges and trunks of trees where SDS at 7.5 has fog, and stains too. The houses
#   are still nearly the same: guidance describes a narrow world, and VSD draws the world that is
#   described to it, as in the plane above.
# - *VSD* at the default scale draws different houses in different scenes. Of all distilled rows it
#   comes nearest to the samples in variety and in chroma. In sharpness it lies between the two rows
#   of SDS. It is not perfect: outlines are rough, purple and the desert come too often, where the
#   colour is left open some houses have two, and CLIP likes this row least of all.
# - *Without learning* there is only guidance, and nothing says "enough of that". The six houses are
#   SDS's, overdone. But look at the numbers of this row: CLIP gives it what it gives SDS at 7.5,
#   and the judge finds as many houses in it as in VSD's best. That is why this course shows both
#   next to pictures, and not instead of them.

# %% [markdown]
# ## Bug hunt
#
# Ungraded, and worth more than the points.
#
# ### Case 1 · The line-up
#
# Five students wrote `vsd_grad`, each with one mistake. Here is what their functions return on the
# check's latents, and a list of the five mistakes. Who made which?

# %%
suspects = LineUp(
    "vsd.vsd_grad",
    (
        "grad_of_vsd_flipped",
        "grad_of_vsd_squared",
        "grad_of_vsd_with_prior_as_lora",
        "grad_of_vsd_guided_from_lora",
        "grad_of_vsd_without_guidance",
    ),
    seed=5,
)
suspects.figure()

# %%
suspects.accuse(A=None, B=None, C=None, D=None, E=None)  # write a number in place of each None

# %% [markdown]
# {answer to bug_hunt_1}
#
# ### Case 2 · The LoRA that would not learn
#
# A colleague wrote the loop by hand, with your three functions, which are right. There are
# **three** bugs in the loop, and none of them raises an error. The pictures only help until you
# have found the first; with two bugs left they look like pictures. What helps is to ask the LoRA
# what it has learnt. Put noise into the finished particles: who finds it better, the LoRA, or the
# prior, which has never seen them? The loop is right when the LoRA's error is clearly the smaller
# one, by a tenth or so. (About half a minute.)


# %%
def by_hand(prompt: str, *, particles: int = 4, steps: int = 100) -> tuple[torch.Tensor, object]:
    """Particles (B, C, h, w) and their LoRA, or so its author believes."""
    generator = torch.Generator(prior.device).manual_seed(0)
    settings = Settings(prompt, loss_type="vsd", model=MODEL)
    shape = (particles, prior.latent_channels, *prior.latent_size)
    x0 = torch.randn(shape, generator=generator, device=prior.device).requires_grad_()
    text, uncond = prior.embed([prompt] * particles), prior.embed([""] * particles)
    lora = LoraDenoiser(prior, rank=settings.lora_rank, generator=generator)
    data = x0.detach().clone()  # the LoRA's loss must not reach the particles
    weights = [factor for factor in lora.parameters() if factor.any()]
    particle_optimiser = torch.optim.AdamW([x0], lr=settings.learning_rate, weight_decay=0)
    lora_optimiser = torch.optim.AdamW(weights, lr=settings.lora_learning_rate)
    for _ in progress(range(steps), "by hand"):
        t = torch.randint(20, 981, (particles,), generator=generator, device=prior.device)
        eps = torch.randn(shape, generator=generator, device=prior.device)

        def particle_loss(t: torch.Tensor = t, eps: torch.Tensor = eps) -> torch.Tensor:
            scale = settings.guidance_scale
            grad = vsd.vsd_grad(prior, lora, x0, t, eps, text, uncond, scale)
            return with_gradient(x0, grad)

        def lora_loss() -> torch.Tensor:
            t = torch.randint(0, 100, (particles,), generator=generator, device=prior.device)
            eps = torch.randn(shape, generator=generator, device=prior.device)
            return vsd.lora_loss(lora, data, t, eps, text)

        vsd.alternating_step(particle_loss, lora_loss, particle_optimiser, lora_optimiser)
    return x0.detach(), lora


@torch.no_grad()
def error(lora: object, x0: torch.Tensor, prompt: str, draws: int = 8) -> float:
    """How badly the denoiser finds the noise in `x0`, over some noise levels."""
    generator = torch.Generator(prior.device).manual_seed(1)
    x0 = x0.repeat(draws, 1, 1, 1)
    t = torch.linspace(100, 900, len(x0), device=prior.device).long()
    eps = torch.randn(x0.shape, generator=generator, device=prior.device)
    return vsd.lora_loss(lora, x0, t, eps, prior.embed([prompt] * len(x0))).item()


hunted, hunted_lora = by_hand(PROMPT, steps=round(100 * EFFORT))
bare = SimpleNamespace(  # the prior, to be asked as a LoRA is
    alpha_bar=prior.alpha_bar, predict=prior.network, target=hunted_lora.target
)
print(f"the prior's error {error(bare, hunted, PROMPT):.4f}")
print(f"the LoRA's error  {error(hunted_lora, hunted, PROMPT):.4f}")
show(prior.decode(hunted))

# %% [markdown]
# <details><summary>Help: how do I find out which line it is?</summary>
#
# Follow the LoRA from its creation. Which of its weights can move at all? Which pictures does it
# learn, and which pictures are there to be learnt? At which noise levels does it practise?
#
# </details>
# <details><summary>Help: the weights look fine to me.</summary>
#
# How many are in the list, and how many does the LoRA have? Print `len(weights)`. Half of the
# factors start at zero, and `.any()` of a matrix of zeros is `False`. Is the gradient of the other
# half ever anything but zero?
#
# </details>
#
# {answer to bug_hunt_2}

# %% [markdown]
# ## Dares
#
# Ungraded. The first comes with code that runs; the others are yours.
#
# ### Dare 1 · Falling noise
#
# ProlificDreamer lets $t_{\max}$ fall: first all levels, for the layout, then only the lower half,
# for the detail. Users of it report more detail, and sometimes chaos. Which is it here? (About half
# a minute.)


# %%
def annealed(prior: Prior, x0: torch.Tensor, *, step: int, settings: Settings, **rest: object):
    """`vsd.loss`, with t_max falling from 980 to 500."""
    t_max = 980 - 480 * step // settings.steps
    return vsd.loss(prior, x0, step=step, settings=replace(settings, t_max=t_max), **rest)


steps = distilled(PROMPT, loss=annealed, particles=4, steps=100)
(fallen,) = finished({"falling noise": steps}).values()
for name, number in measures(fallen).items():
    print(f"{name}: {number:.3f}")
show(fallen)

# %% [markdown]
# **What you should see.** Four houses, and the judge finds each: no chaos in the layout. But their
# outlines are thick and there are lumps around them, and so the sharpness is half as much again as
# that of the drawings in section 5, and larger than VSD's without the fall. Does it get better with
# `steps=300`, or if the fall starts only after half of the run?
#
# ### Eight more
#
# 2. **One particle.** `particles=1`: the LoRA has one picture to learn. Is it SDS again? Why not
#    quite? (What did it know before it began?)
# 3. **A faster, or a slower, LoRA.** `lora_learning_rate` times ten, and a tenth. With the first
#    the LoRA overshoots and the pictures never settle; with the second it never catches up. Find
#    both limits.
# 4. **A wider one.** `lora_rank` 1, 4 and 16. How much must a LoRA be able to say?
# 5. **Guide both.** Wrap the LoRA in a class whose `predict_noise` guides it with the prior's own
#    scale. What does the difference of two exaggerations draw?
# 6. **CSD**, [arXiv 2310.19415](https://arxiv.org/abs/2310.19415): guidance alone, the row without
#    learning as a method. `python main.py --prompt "a house" --loss_type csd`; the file
#    `distillery/methods/csd.py` reads like the paper.
# 7. **SDI**, [arXiv 2405.15891](https://arxiv.org/abs/2405.15891): keep SDS, but do not draw
#    $\varepsilon$: find the noise that the picture itself could have come from, by running the
#    sampler backwards. `--loss_type sdi`.
# 8. **ISM**, [arXiv 2311.11284](https://arxiv.org/abs/2311.11284): the same thought with two
#    neighbouring levels. `--loss_type ism`.
# 9. **DDS**, [arXiv 2304.07090](https://arxiv.org/abs/2304.07090): again the difference of two
#    denoisings; here the second belongs to a *source picture*. It is in stage 2. Say in one
#    sentence what DDS, VSD and SDS subtract.
#
# {answers to dares}

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
# python main.py hand_in 03_vsd
# ```
#
# Then the pictures and `eval.json` are in `outputs/03_vsd/`. A run that was stopped continues where
# it stopped. Finished pictures are drawn again only if your code has changed. The grader scores the
# pictures again, and draws some of them again with the code that you hand in.

# %%
hand_in("03_vsd")

# %% [markdown]
# ## What you now have
#
# - You know that SDS seeks **modes** because its question is about one picture, and that the answer
#   to the same KL about a **distribution** is the whole distribution.
# - You wrote its gradient, the difference of **two denoisers**, and saw it fill the clouds.
# - You trained a **LoRA** on pictures that move, in turns with them, and neither leaks into the
#   other.
#
# Your functions are in `guidance/vsd.py`, and the command line draws with them:
#
# ```sh
# python main.py --prompt "a house" --loss_type vsd --particles 6 --implementation guidance
# ```

# %% [markdown]
# ## Symbols
#
# | symbol | in code | what it is |
# |---|---|---|
# | $x_0$ | `x0` | a particle: one of the pictures that are optimised together, as latents |
# | $\mu$ | `canvas` | the crowd of particles, as a distribution |
# | $y$ | `prompt`, `text` | the prompt, and the network's condition made of it |
# | $t$, $\varepsilon$ | `t`, `eps` | a noise level from 0 to 999, and the noise that is put in |
# | $\bar\alpha_t$ | `alpha_bar` | the picture's share in the variance of $x_t$ |
# | $x_t$ | `xt` | the particle with noise of the level $t$ in it |
# | $\hat\varepsilon_p$ | `eps_hat` | the noise that the prior finds in $x_t$, guided by $s$ |
# | $\hat\varepsilon_\mu$ | `eps_lora` | the noise that the crowd's own denoiser finds, not guided |
# | $\hat\varepsilon_{\text{text}}$ | `eps_text` | the prior's guess with the prompt |
# | $\hat\varepsilon_{\text{uncond}}$ | `eps_uncond` | the prior's guess with the empty prompt |
# | $\hat x_0^{\,p}$, $\hat x_0^{\,\mu}$ | | the clean pictures that belong to the two guesses |
# | $p(x_t \mid y)$ | | the prompt's pictures with noise in them |
# | $q(x_t \mid x_0)$, $q^\mu(x_t)$ | | one picture, or the whole crowd, with noise |
# | $\mathrm{KL}(q\,\|\,p)$ | | the mean of $\log q - \log p$ over draws from $q$ |
# | $\nabla\log p$ | | the score: where a density grows fastest |
# | $c(t)$, $\mathbb E$ | | how much a level counts; a mean over draws |
# | $\mathcal L$, $n$ | | a loss; the number of values in the latents |
# | $W$, $A$, $B$, $r$ | `rank` | a layer's matrix, LoRA's two thin factors, and their rank |
# | $v$ | `lora.target` | what some networks predict in place of $\varepsilon$ |
#
# ## Further reading
#
# - Z. Wang and others, *ProlificDreamer*,
#   [arXiv 2305.16213](https://arxiv.org/abs/2305.16213): VSD; theorem 2 is the gradient flow.
# - E. Hu and others, *LoRA*, [arXiv 2106.09685](https://arxiv.org/abs/2106.09685): the adapters of
#   section 2.
# - B. Poole, A. Jain, J. Barron, B. Mildenhall, *DreamFusion*,
#   [arXiv 2209.14988](https://arxiv.org/abs/2209.14988): SDS and its KL.
# - T. Yin and others, *One-step diffusion with distribution matching distillation*,
#   [arXiv 2311.18828](https://arxiv.org/abs/2311.18828): the same gradient, for a generator.
# - A. Lukoianov and others, *Score distillation via reparametrized DDIM*,
#   [arXiv 2405.15891](https://arxiv.org/abs/2405.15891): another cure, dare 7.
