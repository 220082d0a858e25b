# %% [markdown]
# # Stage 0 · The tour: noise, and the way back
#
# *{summary}. Everything here runs on a laptop's CPU.*
#
# {graded}
#
# A diffusion model draws by taking noise away. In this stage you
#
# - put noise **into** a picture, as much as you like, in one step,
# - take it **out** again, with a network that guesses what the noise was,
# - make the network **listen** to a prompt more closely than it does by itself,
#
# and you will have written the three lines that every later stage builds on. (Words that are the
# course's own, such as *prior* or *toybox*, are explained in the
# [glossary](../../docs/glossary.md).)

# %% [markdown]
# ## A picture first
#
# One cell names the model. `tiny-sd` is a real Stable Diffusion pipeline, only a small one: it came
# with the course and draws 64 × 64 pixels. If you have a GPU, write `"sd15"`, and every cell below
# does the same with Stable Diffusion 1.5. Loading takes a few seconds. Times in this course are for
# a laptop with two quiet cores; where a cell takes longer than about five seconds, its text says so
# and a bar shows how far it is.

# %%
MODEL = "tiny-sd"  # on a GPU: "sd15"

# %%
# %load_ext distillery.todo
from itertools import pairwise

import torch
from PIL import Image

from distillery import (
    Judge,
    LineUp,
    answer,
    check,
    compare_picture,
    curves,
    from_pil,
    load_prior,
    progress,
    show,
)
from distillery.notebook.effort import effort
from distillery.notebook.widgets import Explorer
from distillery.toybox import COLOURS, SCENES, THINGS, Factors, draw
from guidance import tour

prior = load_prior(MODEL)
EFFORT = effort()  # share of each run's steps to compute; 1 unless the environment says less
STEPS = max(2, round(25 * EFFORT))  # from noise to a picture

# %% [markdown]
# Now type what you would like to see. `tiny-sd` grew up in a small world, the *toybox*, so it knows
# twelve things, eight colours and eight scenes:
#
# - **things** · house, castle, boat, car, tree, mushroom, fish, rocket, flower, cup, cat, balloon
# - **colours** · red, orange, yellow, green, blue, purple, pink, white
# - **scenes** · on the grass, in the desert, on a frozen river, beside a waterfall, in the night
#   sky, in the snow, on the beach, in the forest
#
# You may leave things open: "a house" is a prompt, and so is "a boat on the beach". (About 5
# seconds.)

# %%
PROMPT = "a red boat on a frozen river"

generator = torch.Generator(prior.device).manual_seed(0)
latents = prior.sample([PROMPT] * 6, guidance_scale=4.0, steps=STEPS, generator=generator)
show(prior.decode(latents), columns=6)

# %% [markdown]
# Six pictures of one prompt, from six draws of noise. Change `PROMPT` and run the cell again; this
# is the whole of text-to-image, and by the end of this stage you will have written it yourself.

# %% [markdown]
# ### The world it comes from
#
# The toybox draws its scenes from code, so we know the truth about each drawing: what it shows, in
# which colour, and where. These are some of the pictures that `tiny-sd` learnt from.

# %%
drawings = [
    draw(Factors(thing, COLOURS[(3 * row + column) % 8], SCENES[(row + column) % 8]), seed=row)
    for row in range(2)
    for column, thing in enumerate(THINGS)
]
show([Image.fromarray(drawing.image) for drawing in drawings], list(THINGS), columns=12)

# %% [markdown]
# ### Latents
#
# A *latent* diffusion model never sees pixels. An autoencoder (the VAE) squeezes a picture into a
# small stack of maps, the latents `(C, h, w)`; diffusion happens there, and the VAE turns the
# result back into a picture. Whenever you read `x0` in this course, think of a picture, and know
# that it is a latent.


# %%
def picture(thing: str, colour: str, scene: str, seed: int) -> torch.Tensor:
    """A drawing of the toybox as an image (1, 3, H, W) in [-1, 1]."""
    drawing = draw(Factors(thing, colour, scene), seed, size=prior.image_size)
    return from_pil(Image.fromarray(drawing.image)).to(prior.device)


image = picture("house", "red", "in the snow", seed=3)
x0 = prior.encode(image)
print(f"image {tuple(image.shape)} -> latents {tuple(x0.shape)}")
show(torch.cat([image, prior.decode(x0)]), ["drawing", "there and back"])

# %% [markdown]
# And this is what the model itself looks at, one channel after the other:

# %%
show(
    (x0[0, :, None] / x0.abs().max()).expand(-1, 3, -1, -1),
    [f"channel {k}" for k in range(prior.latent_channels)],
)

# %% [markdown]
# ## 1 · Noise
#
# Training destroys pictures on purpose. A picture $x_0$ is mixed with Gaussian noise $\varepsilon
# \sim \mathcal N(0, I)$ of the same shape, more and more of it as the *timestep* $t$ grows from 0
# to 999. A single number decides the mixture: $\bar\alpha_t$, the share of the picture in the
# variance of the result. The model carries the table of all thousand.

# %%
curves(
    range(1000),
    {
        "alpha_bar: the picture's share": prior.alphas_cumprod.tolist(),
        "its root: the picture's factor": prior.alphas_cumprod.sqrt().tolist(),
        "root of the rest: the noise's factor": (1 - prior.alphas_cumprod).sqrt().tolist(),
    },
    x_label="t",
)

# %% [markdown]
# The noisy latent at any level has a closed form; you need not add noise a thousand times:
#
# $$q(x_t \mid x_0) = \mathcal N\!\left(\sqrt{\bar\alpha_t}\,x_0,\; (1 - \bar\alpha_t)\,I\right)$$
#
# Mind the convention: the second argument of $\mathcal N$ is a *variance*. The two variances add up
# to one, so if the latents have unit variance (they do, roughly), $x_t$ has it too, at every $t$.
# The network always sees numbers of the same size.
#
# ### Exercise 1 · `tour.add_noise`
#
# > **5 minutes · difficulty ●○○ · {points of add_noise} · CPU**
#
# **Contract.** Given `x0` and `eps` `(B, C, h, w)` and `alpha_bar` `(B, 1, 1, 1)`, one level for
# each latent of the batch and anywhere in (0, 1), return the `xt` that `eps` draws from this
# distribution. Do not change the arguments. If you are stuck for ten minutes, unfold a hint; that
# is what they are for.
#
# Running the cell saves your function into `guidance/tour.py`. The later cells, the other notebooks
# and the command line all use what you write here.

# %%
# TODO tour.add_noise

# %%
check("tour.add_noise")

# %%
compare_picture("tour.add_noise")

# %% [markdown]
# **What you should see.** A boat behind a veil of noise, and a heart that has almost drowned in it:
# the two latents have different levels. The last column is black.
#
# <details><summary>Help: I don't know where to begin.</summary>
#
# To draw from a normal distribution with mean $\mu$ and standard deviation $\sigma$, take a
# standard normal $\varepsilon$ and return $\mu + \sigma\varepsilon$. Read off $\mu$ and $\sigma$.
#
# </details>
# <details><summary>Help: my pictures look right but the check disagrees.</summary>
#
# The formula gives the variance. What multiplies the noise is the standard deviation.
#
# </details>
# <details><summary>Help: what do I do about the shapes?</summary>
#
# Nothing. `(B, 1, 1, 1)` against `(B, C, h, w)` broadcasts by itself: one number for each latent.
#
# </details>

# %% [markdown]
# ### Your noise at work
#
# The red house, at six levels. From which $t$ on can you no longer say what it is?

# %%
levels = torch.tensor([0, 150, 350, 550, 750, 980], device=prior.device)
generator = torch.Generator(prior.device).manual_seed(1)
eps = torch.randn(x0.shape, generator=generator, device=prior.device).repeat(len(levels), 1, 1, 1)
clean = x0.repeat(len(levels), 1, 1, 1)

xt = tour.add_noise(clean, eps, prior.alpha_bar(levels))
print("standard deviation:", [round(latent.std().item(), 2) for latent in xt])
show(prior.decode(xt), [f"t = {t}" for t in levels.tolist()])

# %% [markdown]
# **What you should see.** The door, the window and the trees are lost while the red block in the
# middle can still be made out; then it goes too. Remember that order: noise hides the small before
# the large, so a model that works at high $t$ decides the layout, and one that works at low $t$ the
# details. (The standard deviation printed above is about 1 at every level, as promised.)

# %% [markdown]
# ## 2 · The way back
#
# The network $\hat\varepsilon(x_t, t)$ was trained on one task: look at $x_t$ and say which noise
# is in it. If you know the noise, you know the picture: solve the formula above for $x_0$.
#
# $$x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 - \bar\alpha_t}\,\varepsilon
# \qquad\Longrightarrow\qquad \hat x_0 = \;?$$
#
# ### Exercise 2 · `tour.predict_x0`
#
# > **5 minutes · difficulty ●○○ · {points of predict_x0} · CPU**
#
# **Contract.** Given `xt` and `eps` `(B, C, h, w)` and `alpha_bar` `(B, 1, 1, 1)`, return the clean
# latents that `xt` was made from if `eps` is the noise in it. Do not clamp: latents have no fixed
# range. Do not change the arguments.

# %%
# TODO tour.predict_x0

# %%
check("tour.predict_x0")

# %%
compare_picture("tour.predict_x0")

# %% [markdown]
# **What you should see.** Boat and heart are back, though not quite clean: the check gives you
# noise that is slightly wrong, as a network's guess always is. The error is larger on the heart,
# which had more noise.
#
# <details><summary>Help: I get the right picture, only too faint or too strong.</summary>
#
# $x_0$ is still multiplied by something. Subtract first, then divide *all* of it.
#
# </details>
# <details><summary>Help: how can I test it without the check?</summary>
#
# Send something through `tour.add_noise` and back. With the same `eps` you must get exactly what
# you started from.
#
# </details>

# %% [markdown]
# ### With the true noise, and with a guess
#
# With exactly the noise that you put in, the way back is exact. That is no achievement: you told it
# the answer.

# %%
back = tour.predict_x0(xt, eps, prior.alpha_bar(levels))
print(f"largest error: {(back - clean).abs().max():.1e}")

# %% [markdown]
# Now let the network guess. Above: what it is given. Below: the picture that it guesses behind the
# noise.

# %%
text = prior.embed(["a red house in the snow"] * len(levels))
(eps_text,) = prior.predict_noise(xt, levels, text)
guess = tour.predict_x0(xt, eps_text, prior.alpha_bar(levels))

show(
    torch.cat([prior.decode(xt), prior.decode(guess)]),
    [f"t = {t}" for t in levels.tolist()],
    columns=len(levels),
    row_titles=["noisy", "guess"],
)

# %% [markdown]
# **What you should see.** At low $t$ the guess is the drawing. Further right it is *a* red house in
# the snow, of roughly the right place and size, with details of its own. At $t = 980$ little but
# the prompt is left to go by, and the guess turns soft: it is the *average* of all pictures that
# could be behind this noise. A network trained on squared error cannot do better than the average,
# and averages are blurred. The whole art of diffusion is to ask again and again at lower and lower
# $t$, so that the average narrows down to one picture.
#
# ### Explore: the noise level
#
# Twenty levels, computed once; the slider only swaps pictures. Without a live kernel you see them
# all on one sheet, from low $t$ to high: noisy to the left, the guess to the right.

# %%
ladder = torch.arange(20, 1000, 50, device=prior.device)
noisy = tour.add_noise(x0, eps[:1].expand(len(ladder), -1, -1, -1), prior.alpha_bar(ladder))
(guessed_eps,) = prior.predict_noise(
    noisy, ladder, prior.embed(["a red house in the snow"] * len(ladder))
)
guessed = tour.predict_x0(noisy, guessed_eps, prior.alpha_bar(ladder))
Explorer(torch.cat([prior.decode(noisy), prior.decode(guessed)], dim=3), t=ladder.tolist())

# %% [markdown]
# ### A question to think about
#
# The network's error in $\varepsilon$ falls as $t$ grows, while the error of the picture rises (two
# curves below). How can both be true? (Look at what `predict_x0` does to an error in `eps`.)

# %%
curves(
    ladder.tolist(),
    {
        "error of the guessed noise": (guessed_eps - eps[:1])
        .square()
        .mean((1, 2, 3))
        .sqrt()
        .tolist(),
        "error of the guessed picture": (guessed - x0).square().mean((1, 2, 3)).sqrt().tolist(),
    },
    x_label="t",
)

# %% [markdown]
# {answer to question_1}
#
# ## 3 · Guidance
#
# Ask the network twice: once with the prompt, once with the empty prompt.

# %%
t = torch.tensor([700], device=prior.device)
generator = torch.Generator(prior.device).manual_seed(5)
noise = torch.randn(x0.shape, generator=generator, device=prior.device)
xt = tour.add_noise(x0, noise, prior.alpha_bar(t))
text, uncond = prior.embed(["a blue castle in the night sky"]), prior.embed([""])
eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)

guesses = [tour.predict_x0(xt, eps, prior.alpha_bar(t)) for eps in (eps_uncond, eps_text)]
show(
    prior.decode(torch.cat([xt, *guesses])),
    ["red house, t = 700", "no prompt", "a blue castle in\nthe night sky"],
)

# %% [markdown]
# The picture behind the noise was the red house, and without a prompt the network sees just that,
# roughly. Told to look for a blue castle by night, it finds towers, and no red any more; but there
# is neither blue nor night yet. The difference
# $\hat\varepsilon_{\text{text}} - \hat\varepsilon_{\text{uncond}}$ is what the prompt says *on top*
# of everything else. **Classifier-free guidance** walks along that difference, and further than the
# network would by itself. It has a scale $s$ such that
#
# - $s = 0$ is the prediction without the prompt,
# - $s = 1$ is the prediction with it, and
# - every further unit of $s$ is one more step of the same length in the same direction.
#
# These three lines determine the formula; find it. (The paper, [arXiv
# 2207.12598](https://arxiv.org/abs/2207.12598), counts from the other end: its $w$ is $s - 1$. This
# course counts as diffusers does, everywhere.)
#
# ### Exercise 3 · `tour.classifier_free_guidance`
#
# > **5 minutes · difficulty ●○○ · {points of classifier_free_guidance} · CPU**
#
# **Contract.** Given `eps_uncond` and `eps_text` `(B, C, h, w)` and a number `guidance_scale`, 0 or
# more and not always whole, return the guided `eps_hat` `(B, C, h, w)`. Do not change the
# arguments.

# %%
# TODO tour.classifier_free_guidance

# %%
check("tour.classifier_free_guidance")

# %%
compare_picture("tour.classifier_free_guidance")

# %% [markdown]
# **What you should see.** A boat and a heart, in reversed colours, step out of what looks like
# plain noise: the difference between the branches was faint, and guidance made it loud.
#
# <details><summary>Help: how do three sentences give a formula?</summary>
#
# It is a straight line through two points. Where is it at $s = 0$? Which vector leads from there to
# where it is at $s = 1$?
#
# </details>
# <details><summary>Help: it is right at s = 0 and s = 1, and the check still says no.</summary>
#
# Then it is not a straight line, or one of the two ends is swapped. Try $s = 2$ on paper with
# `eps_uncond = 1` and `eps_text = 3`: the answer is 5.
#
# </details>

# %% [markdown]
# ### Your guidance at work
#
# The same noisy latent and the same two predictions, at seven scales.

# %%
scales = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
guided = [tour.classifier_free_guidance(eps_uncond, eps_text, scale) for scale in scales]
guesses = torch.cat([tour.predict_x0(xt, eps_hat, prior.alpha_bar(t)) for eps_hat in guided])
show(prior.decode(guesses), [f"s = {scale:g}" for scale in scales])

# %% [markdown]
# ### Explore: noise level and guidance together
#
# Two sliders, fifty-six pictures, one call of the network for each noise level. (Without a live
# kernel: a row for each $t$, from 200 to 900, and a column for each scale.) At high $t$ guidance
# replaces the whole picture, snow and all. At low $t$ the outline of the house holds its ground,
# and guidance can only repaint it.

# %%
ladder = torch.arange(200, 1000, 100, device=prior.device)
rows = []
for t in ladder.split(1):
    alpha_bar = prior.alpha_bar(t)
    xt = tour.add_noise(x0, noise, alpha_bar)
    eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
    for scale in scales:
        eps_hat = tour.classifier_free_guidance(eps_uncond, eps_text, scale)
        rows.append(prior.decode(tour.predict_x0(xt, eps_hat, alpha_bar)))
Explorer(torch.cat(rows), t=ladder.tolist(), guidance_scale=scales)

# %% [markdown]
# ## 4 · Your own sampler
#
# You have everything. Start from pure noise. Predict the noise, guess the picture, and put *less*
# noise back on the guess than there was before. Repeat until none is left. This is DDIM ([arXiv
# 2010.02502](https://arxiv.org/abs/2010.02502)), and the three lines that matter are yours. (About
# 5 seconds; the bar counts the steps.)


# %%
@torch.no_grad()
def sample(
    prompts: list[str], guidance_scale: float, steps: int = STEPS, seed: int = 0
) -> torch.Tensor:
    """A latent for each prompt, by DDIM."""
    generator = torch.Generator(prior.device).manual_seed(seed)
    shape = (len(prompts), prior.latent_channels, *prior.latent_size)
    xt = torch.randn(shape, generator=generator, device=prior.device)
    text, uncond = prior.embed(prompts), prior.embed([""] * len(prompts))
    levels = torch.linspace(980, 0, steps + 1, device=prior.device).round().long()
    pairs = list(pairwise(levels[:, None].expand(-1, len(prompts))))
    for t, t_next in progress(pairs, f"s = {guidance_scale:g}"):
        eps_uncond, eps_text = prior.predict_noise(xt, t, uncond, text)
        eps_hat = tour.classifier_free_guidance(eps_uncond, eps_text, guidance_scale)
        guess = tour.predict_x0(xt, eps_hat, prior.alpha_bar(t))
        xt = tour.add_noise(guess, eps_hat, prior.alpha_bar(t_next))
    return guess


show(prior.decode(sample([PROMPT] * 6, guidance_scale=4.0)), columns=6)

# %% [markdown]
# That is text-to-image, from noise to picture, with your own functions.
#
# ### How much guidance?
#
# Each row below is one scale; each column starts from the same noise and has the same prompt.
# (About 30 seconds, 5 for each scale; each has its own bar.)

# %%
wanted = [
    Factors("house", "red", "in the snow"),
    Factors("castle", "pink", "in the night sky"),
    Factors("boat", "yellow", "on a frozen river"),
    Factors("mushroom", "blue", "in the forest"),
    Factors("car", "green", "in the desert"),
    Factors("balloon", "purple", "on the beach"),
    Factors("fish", "orange", "beside a waterfall"),
    Factors("cat", "white", "on the grass"),
]
prompts = [str(factors) for factors in wanted]
scales = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
sweep = [prior.decode(sample(prompts, guidance_scale=scale)) for scale in scales]
show(
    torch.cat(sweep),
    [f"{factors.colour} {factors.thing}\n{factors.scene}" for factors in wanted],
    columns=len(prompts),
    row_titles=[f"s = {scale:g}" for scale in scales],
)

# %% [markdown]
# Two numbers say the same. The *judge* is a small classifier that reads thing, colour and scene off
# a toybox picture; it counts in how many all three are right. The second number is the share of
# values that the VAE had to put outside $[-1, 1]$, more than black or more than white: saturation.
# (The judge has seen only the toybox. With `"sd15"`, believe your eyes.)

# %%
judge = Judge.load()


def right(images: torch.Tensor) -> float:
    """The share of the images that show what was wanted."""
    found = judge.factors(images.cpu())
    return sum(f == w for f, w in zip(found, wanted, strict=True)) / len(wanted)


curves(
    scales,
    {
        "all three facts right": [right(images) for images in sweep],
        "values outside [-1, 1]": [(images.abs() > 1).float().mean().item() for images in sweep],
    },
    x_label="guidance scale",
)

# %% [markdown]
# **What you should see.** At $s = 0$ the prompt has no effect: these are pictures of anything. At
# $s = 1$ the model shows honestly what it learnt, mistakes included: the mushroom is purple and the
# cat sits in a forest. At 2 and 4 all eight pictures are right; at 8 the judge takes the balloon
# for a rocket. From 1 on, every doubling of the scale sends more values out of range, and at 16 it
# shows: outlines are harsh, shadows are black, and the purple balloon has lost its purple. Guidance
# buys agreement with the prompt and pays with colour.
# In the next stage the price will be much higher, so remember what a good scale is *here*.

# %% [markdown]
# ## Bug hunt
#
# Ungraded, and the most useful quarter of an hour of the stage.
#
# ### Case 1 · The line-up
#
# Five students wrote `add_noise`, each with one mistake. Here is what each function makes of the
# check's two pictures, and a list of the five mistakes. Who made which?

# %%
suspects = LineUp(
    "tour.add_noise",
    (
        "noise_without_roots",
        "noise_with_swapped_factors",
        "noise_on_unscaled_signal",
        "noise_subtracted",
        "noise_level_of_the_first",
    ),
    seed=7,
)
suspects.figure()

# %%
suspects.accuse(A=None, B=None, C=None, D=None, E=None)  # write a number in place of each None

# %% [markdown]
# {answer to bug_hunt_1}
#
# ### Case 2 · The forgetful painter
#
# `repaint` should paint one picture over with another prompt (SDEdit, [arXiv
# 2108.01073](https://arxiv.org/abs/2108.01073)): noise it part of the way, so that the layout
# survives, then sample from there. With `strength=0.65` a red house in the snow should become a
# *blue* house, standing in the same place. What comes out is below. There are **three** bugs in the
# function; each is one line.


# %%
@torch.no_grad()
def repaint(
    x0: torch.Tensor,
    prompt: str,
    *,
    strength: float,
    guidance_scale: float = 4.0,
    steps: int = STEPS,
) -> torch.Tensor:
    """`x0` (1, C, h, w) painted over; `strength` from 0 (left alone) to 1 (forgotten)."""
    generator = torch.Generator(prior.device).manual_seed(0)
    noise = torch.randn(x0.shape, generator=generator, device=prior.device)
    text, uncond = prior.embed([prompt]), prior.embed([""])
    start = torch.tensor([round(strength * 980)], device=prior.device)
    xt = tour.add_noise(x0, noise, prior.alpha_bar(start))
    levels = torch.linspace(980, 0, steps + 1, device=prior.device).round().long()
    for t, t_next in pairwise(levels[:, None]):
        eps_uncond, eps_text = prior.predict_noise(xt, t, text, uncond)
        eps_hat = tour.classifier_free_guidance(eps_uncond, eps_text, guidance_scale)
        guess = tour.predict_x0(xt, eps_hat, prior.alpha_bar(t_next))
        xt = tour.add_noise(guess, eps_hat, prior.alpha_bar(t_next))
    return guess


repainted = repaint(x0, "a blue house in the snow", strength=0.65)
print("the judge sees:", judge.factors(prior.decode(repainted).cpu())[0])
show(prior.decode(torch.cat([x0, repainted])), ["before", "repainted"])

# %% [markdown]
# <details><summary>Help: I don't know how to look for a bug in such a thing.</summary>
#
# Take what should be true and test one thing at a time. With `strength=0.05` almost nothing should
# change: does it? With `guidance_scale=0` the prompt should have no effect: does it? Wherever a
# noise level is used: which level does `xt` really have there?
#
# </details>
# <details><summary>Help: which lines deserve suspicion?</summary>
#
# Where does the walk begin, and how noisy is `xt` there? In which order do the predictions come
# back, and in which order were they asked for? `predict_x0` undoes the noise of *this* round; which
# level is that?
#
# </details>
#
# {answer to bug_hunt_2}

# %% [markdown]
# ## Dares
#
# Ungraded, in no order, each a few lines in a cell of your own.
#
# 1. **The negative prompt.** Nothing says that the other branch must be the empty prompt. Embed `"a
#    house"` there and ask for `"in the snow"`. What is drawn in a world where houses are forbidden?
# 2. **A restless sampler.** In `sample`, put *fresh* noise on the guess in place of `eps_hat`. Is
#    that a bug? Look at the pictures before you answer.
# 3. **Guidance only where it matters.** Use the scale only for $200 < t < 800$, and $s = 1$
#    elsewhere. How large can the scale be before colours burn?
# 4. **Never seen.** A tenth of the combinations was left out of all training
#    (`distillery.toybox.held_out` tells which). Can the model compose them anyway?
# 5. **One step.** How good a picture can you get from a single call of the network? From two, from
#    four?
#
# {answers to dares}

# %% [markdown]
# ## What you now have
#
# - You put noise **into** a picture at any level, in one step.
# - You took it **out** with a guess of the noise, and saw why the guess is an average.
# - You made the model **listen**, at a price, and joined the three into a sampler.
#
# **Where this goes next.** The sampler walks from noise to a picture, and all you can choose is
# where it starts. In stage 1 there will be no walk: you hold *any* picture, ask the denoiser what
# is wrong with it, and follow the answer. Every stage stands alone, so take them in any order that
# you like:
#
# {stages}
#
# In a class your instructor hands out each stage by itself, and a link works where its stage is.

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
# | $q(x_t \mid x_0)$ | | how $x_t$ is distributed if the picture is $x_0$ |
# | $\mathcal N(\mu, \sigma^2 I)$ | | normal values with means $\mu$ and variance $\sigma^2$ |
# | $\hat\varepsilon$ | `eps_hat` | the network's guess of the noise in $x_t$ |
# | $\hat\varepsilon_{\text{text}}$ | `eps_text` | the guess with the prompt |
# | $\hat\varepsilon_{\text{uncond}}$ | `eps_uncond` | the guess with the empty prompt |
# | $\hat x_0$ | `guess` | the clean picture that belongs to a guess of the noise |
# | $s$ | `guidance_scale` | how far to walk from the empty prompt to the prompt, and beyond |
#
# ## Further reading
#
# - J. Ho, A. Jain, P. Abbeel, *Denoising diffusion probabilistic models*,
#   [arXiv 2006.11239](https://arxiv.org/abs/2006.11239): the noise of section 1 and the training.
# - J. Song, C. Meng, S. Ermon, *Denoising diffusion implicit models*,
#   [arXiv 2010.02502](https://arxiv.org/abs/2010.02502): the sampler of section 4.
# - J. Ho, T. Salimans, *Classifier-free diffusion guidance*,
#   [arXiv 2207.12598](https://arxiv.org/abs/2207.12598): section 3.
# - R. Rombach and others, *High-resolution image synthesis with latent diffusion models*,
#   [arXiv 2112.10752](https://arxiv.org/abs/2112.10752): why diffusion runs on latents.
# - S. Chan, *Tutorial on diffusion models for imaging and vision*,
#   [arXiv 2403.18103](https://arxiv.org/abs/2403.18103): all of it, slowly and with proofs.
