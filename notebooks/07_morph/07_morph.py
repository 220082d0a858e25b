# %% [markdown]
# # Stage 7 · Morph: teach the model a style, then make it move
#
# *{summary}. Everything here runs on
# a laptop's CPU.*
#
# {graded}
#
# Two prompts go in, a looping pixel-art GIF comes out, in which one becomes the other. That is
# **Pixel Giffusion**, text to pixel GIF. It has three parts, and you build each of them. In this
# stage you
# - **teach** the model a style with a small file of weights, a **LoRA** (Hu et al. 2021,
#   [arXiv 2106.09685](https://arxiv.org/abs/2106.09685)), and find out which part of a model a
#   style is in,
# - walk from prompt to prompt and from noise to noise (**slerp**), see the film jump, find out why,
#   and cure it,
# - and make **pixels** of it: one palette for all frames, and colours that stay where nothing
#   moves.
#
# You can start with this stage. If you have not done the others, you need to know three things. A
# picture with noise in it is $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 -
# \bar\alpha_t}\,\varepsilon$, and a network guesses that noise: $\hat\varepsilon(x_t, t)$. Guidance
# is $\hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,(\hat\varepsilon_{\text{text}} -
# \hat\varepsilon_{\text{uncond}})$. And DDIM, the sampler, goes from noise to a picture in $N$
# steps, and draws no noise on the way: the same noise and the same prompt give the same picture.
# All of this happens in latents, small pictures of four channels. An encoder makes them, and a
# decoder turns them into pixels.

# %%
MODEL = "tiny-sd"  # on a GPU: "sd15"
STICKER, PIXEL = "data/models/tiny-sd-sticker", "data/models/tiny-sd-pixel"  # LoRAs of this model

# %%
# %load_ext distillery.todo
import itertools
import random
from collections.abc import Sequence
from copy import deepcopy
from io import BytesIO

import torch
from peft import LoraConfig, inject_adapter_in_model
from PIL import Image

from distillery import (
    LineUp,
    answer,
    check,
    compare_picture,
    curves,
    from_pil,
    hand_in,
    load_prior,
)
from distillery.core.files import REPOSITORY
from distillery.methods.guided_ddim import steered
from distillery.methods.morph import all_prompts, path_of
from distillery.methods.morph_drawing import Drawing, decoded, keyframes_drawn, steps_between
from distillery.methods.morph_spacing import EvenFilm
from distillery.metrics.style_judge import KINDS, StyleJudge
from distillery.models.load import load_lora
from distillery.models.lora import ALL_LAYERS, LoraDenoiser
from distillery.models.prior import Condition
from distillery.models.style import load_style
from distillery.notebook.effort import effort
from distillery.notebook.elastic_figures import maps
from distillery.notebook.figures import overlaid
from distillery.notebook.morph.page import morph_studio
from distillery.notebook.morph_figures import (
    chroma,
    errors_passed_on,
    evenness,
    measured_table,
    pixel_steps,
    played,
    playing,
    psnr,
    restless,
    sharpness,
    steps_drawn,
    strips,
    within_cells,
)
from distillery.notebook.progress import progress
from distillery.palettes.colours import srgb_to_oklab
from distillery.pixelart.animation import Animation
from distillery.pixelart.frame_grid import on_grid
from distillery.pixelart.gif_file import gif_bytes
from distillery.pixelart.sequence import changes, indices_of, palette_of
from distillery.runs.training import train_steps
from distillery.toybox import Factors, all_factors, draw
from distillery.toybox.styles import STYLES, styled
from guidance import morph

prior = load_prior(MODEL)
EFFORT = effort()  # share of each run's steps to compute; 1 unless the environment says less
STEPS = max(2, round(15 * EFFORT))
SCALE = 5.0  # of guidance; for "sd15": 7.5

# %% [markdown]
# ## 1 · What it will be
#
# Four prompts, and back to the first. This film was made by `python main.py morph` with the style
# that section 3 is about, and with answers to the exercises of this notebook.

# %%
played(REPOSITORY / "data/morph/film.gif")

# %% [markdown]
# ## 2 · A style
#
# The model has seen one kind of picture. Here are six of them, as the toybox draws them, and the
# same in two other styles.

# %%
FACTS = [
    Factors("boat", "red", "on a frozen river"),
    Factors("castle", "yellow", "in the night sky"),
    Factors("mushroom", "purple", "in the forest"),
    Factors("cat", "orange", "on the beach"),
    Factors("car", "blue", "in the desert"),
    Factors("house", "white", "in the snow"),
]


def drawings(style: str, seeds: list[int]) -> torch.Tensor:
    """Drawings of FACTS, one for each seed, (B, 3, H, W); the style is "drawing" or another one."""
    some = [draw(facts, seed) for facts, seed in zip(itertools.cycle(FACTS), seeds)]
    pictures = [one.image if style == "drawing" else styled(one, style).image for one in some]
    return torch.cat([from_pil(Image.fromarray(picture)) for picture in pictures])


strips({style: drawings(style, list(range(6))) for style in ("drawing", *STYLES)})

# %% [markdown]
# **What you should see.** Three rows of the same scenes. Stickers have few flat colours, and their
# things are cut out with a white border. The pixel style is made of cells of 2 × 2 pixels, with a
# dark outline, and where two colours meet there is a chequerboard.
#
# How do you teach that to a model? Train it further on such pictures: a *fine-tuning*. But a copy
# of all its weights for every style is a lot to keep. A **LoRA** leaves the weights $W$ alone, and
# adds to each layer a matrix that is the product of two thin ones:
#
# $$y = W x + b + \frac{\alpha}{r}\, B A x$$
#
# $A$ has $r$ rows and $B$ has $r$ columns; $r$ is the **rank**. At the beginning $B$ is zero: the
# model is what it was. Only $A$ and $B$ learn.
#
# ### Exercise 1 · `morph.lora_forward`
#
# > **10 minutes · difficulty ●○○ · {points of lora_forward} · CPU**
#
# **Contract.** `x` is `(..., n)`, `weight` `(m, n)`, `bias` `(m,)` or `None`, `lora_A` `(r, n)`,
# `lora_B` `(m, r)`. Return $y$, `(..., m)`. Never make the matrix $B A$: it is as large as $W$.

# %%
# TODO morph.lora_forward

# %%
check("morph.lora_forward")

# %%
compare_picture("morph.lora_forward")

# %% [markdown]
# **What you should see.** Outputs of the layer as shades of grey, and no difference.
#
# <details><summary>Help: in which order do I multiply?</summary>
#
# First `x @ lora_A.T`, which has r numbers, then `@ lora_B.T`.
#
# </details>
# <details><summary>Help: what is r?</summary>
#
# The number of rows of `lora_A`. A LoRA of rank 16 sums over twice as many terms as one of rank 8;
# $\alpha / r$ keeps the strength alike.
#
# </details>

# %% [markdown]
# The libraries do the same: `peft` wraps layers, and diffusers' `load_lora_weights` reads what it
# saved. Here is one layer of the model's UNet, in `peft`'s words and in yours, and then all of
# them, counted.

# %%
RANK = 8
attention = prior.unet.mid_block.attentions[0].transformer_blocks[0].attn2
config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["to_q"], init_lora_weights=False)
by_peft = inject_adapter_in_model(config, deepcopy(attention)).to_q
A, B = (part["default"].weight for part in (by_peft.lora_A, by_peft.lora_B))
layer = attention.to_q
x = torch.randn(2, 5, layer.in_features, generator=torch.Generator().manual_seed(0)).to(A)
with torch.no_grad():
    untouched = layer(x)
    fresh = morph.lora_forward(x, layer.weight, layer.bias, A, torch.zeros_like(B), 2 * RANK)
    yours = morph.lora_forward(x, layer.weight, layer.bias, A, B, 2 * RANK)
    theirs = by_peft(x)
print(f"with B = 0 the layer's output changes by at most  {(fresh - untouched).abs().max():.1e}")
print(f"with another B it changes by up to                {(yours - untouched).abs().max():.1e}")
print(f"and then yours and peft's differ by at most       {(yours - theirs).abs().max():.1e}")
learner = load_prior(MODEL)  # a second one, which will learn
lora = LoraDenoiser(
    learner, rank=RANK, generator=torch.Generator().manual_seed(0), layers=ALL_LAYERS
)
full, thin = layer.weight.numel(), A.numel() + B.numel()
print(f"this layer has {full:>9,} weights, its adapter {thin:>7,}  ({thin / full:.0%})")
full = sum(weight.numel() for weight in prior.unet.parameters())
thin = sum(factor.numel() for factor in lora.parameters())
print(f"the UNet has   {full:>9,} weights, the LoRA    {thin:>7,}  ({thin / full:.0%})")

# %% [markdown]
# ### What it learns from
#
# Nothing new: noise is put into a picture, and the network is asked for it. Only that the pictures
# are of the new style. If these are few, the model soon draws nothing else: it forgets what its
# words mean. **DreamBooth** (Ruiz et al. 2023) reminds it. A part of each batch are pictures that
# the model itself drew *before*, and their error counts apart, with a weight $\lambda$:
#
# $$\text{loss} = \operatorname{mean}\,\|\text{prediction}(x_t; y, t) - \text{target}\|^2
# \;\big|_{\text{style}} \;+\; \lambda \operatorname{mean}\,\|\dots\|^2\;\big|_{\text{preserved}}$$
#
# ### Exercise 2 · `morph.finetune_loss`
#
# > **20 minutes · difficulty ●●● · {points of finetune_loss} · CPU**
#
# **Contract.** Noise `x0` by `eps` to the level `denoiser.alpha_bar(t)`, ask
# `denoiser.predict(xt, t, text)`, compare with `denoiser.target(x0, eps, t)`. The last `preserved`
# samples of the batch are the preserved ones; the mean over them counts `prior_weight` times. If
# there are none, return the error of the style alone.

# %%
# TODO morph.finetune_loss

# %%
check("morph.finetune_loss")

# %%
compare_picture("morph.finetune_loss")

# %% [markdown]
# **What you should see.** The gradient of your loss, what it would change, and no difference.
#
# <details><summary>Help: why not compare with <code>eps</code>?</summary>
#
# Some models predict the noise, others *v*, a mixture of noise and picture. `denoiser.target`
# knows.
#
# </details>
# <details><summary>Help: my loss is NaN when nothing is preserved.</summary>
#
# The mean of nothing is not a number. And `error[-0:]` is everything, not nothing: count from the
# front.
#
# </details>

# %% [markdown]
# Now teach, for a minute. The captions of the stickers begin with a word that the model has never
# seen, `sticker`. Those of the preserved pictures do not: the model drew them just now, and is to
# draw them like that in future, too. Only the adapters learn. (Cells that teach or draw show a bar.
# The cell after this one draws what came of it, for about 10 seconds.)


# %%
def sampled(
    denoiser, prompts: list[str], *, what: str, decoder=prior, seed: int = 0
) -> torch.Tensor:
    """Images (B, 3, H, W) that a model, or one with adapters, draws of prompts."""
    texts = decoder.embed(prompts), decoder.embed([""] * len(prompts))
    g = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(prompts), decoder.latent_channels, *decoder.latent_size, generator=g)

    def predict(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        eps_text, eps_uncond = denoiser.predict_noise(xt, t, *texts)
        return eps_uncond + SCALE * (eps_text - eps_uncond)

    steps = steered(predict, noise.to(decoder.device), **schedule(decoder))
    *_, last = progress(steps, what, total=STEPS)
    return decoder.decode(last.xt).detach().clamp(-1, 1).cpu()


def schedule(model) -> dict[str, torch.Tensor]:
    """Which levels of noise the sampler visits, and what they are."""
    return {"timesteps": model.timesteps(STEPS), "alphas_cumprod": model.alphas_cumprod}


LESSONS, BATCH, TAUGHT = (48, 8, 50) if EFFORT == 1 else (4, 2, 3)
NEW = [
    "a green boat on the beach",
    "a red house in the snow",
    "a purple mushroom in the forest",
    "a blue car in the desert",
]
facts = random.Random(0).sample(all_factors(), LESSONS)
captions = [str(one) for one in facts]
pictures = [styled(draw(one, seed), "sticker").image for seed, one in enumerate(facts)]
stickers = torch.cat([from_pil(Image.fromarray(picture)) for picture in pictures])
before = sampled(learner, captions[: LESSONS // 2], what="pictures to preserve")
with torch.no_grad():
    lessons, drawn = (learner.encode(some.to(learner.device)) for some in (stickers, before))
text = learner.embed([*(f"sticker, {caption}" for caption in captions), *captions[: len(before)]])


def loss_of(index: int) -> dict[str, torch.Tensor]:
    """The loss of one step; torch's generator was seeded for it."""
    new, old = torch.randint(len(lessons), (BATCH,)), torch.randint(len(drawn), (BATCH,))
    x0 = torch.cat([lessons[new], drawn[old]])
    which = torch.cat([new, len(lessons) + old])
    t, eps = torch.randint(1000, (2 * BATCH,)), torch.randn(x0.shape)
    its = (text.at(which.to(x0.device)), t.to(x0.device), eps.to(x0.device))
    return {"loss": morph.finetune_loss(lora, x0, *its, BATCH, prior_weight=1.0)}


TRAINING = {"learning_rate": 3e-3, "warmup": 3, "seed": 0, "weight_decay": 0.01}
steps = train_steps(lora, loss_of, steps=TAUGHT, **TRAINING)
taught = progress(steps, "the LoRA learns", total=TAUGHT)
losses = [float(step.figures["loss"]) for step in taught]
curves(range(1, len(losses) + 1), {"loss": losses}, x_label="step")

# %%
asked_for = {
    "before": (learner, NEW),
    "after": (lora, NEW),
    'after, "sticker, ..."': (lora, [f"sticker, {one}" for one in NEW]),
}
taught_or_not = {
    name: sampled(*which, decoder=learner, what=name) for name, which in asked_for.items()
}
strips(taught_or_not)

# %% [markdown]
# **What you should see.** A loss that jumps. Each step draws its own timesteps, and a picture with
# little noise in it is harder to denoise than one with much; so do not judge a training by ten
# steps of its loss. In the pictures there is little to see after so few steps. With the word, a
# pale rim begins to grow around boat, mushroom and car, and the mushroom turns blue. Without the
# word things have changed less.
#
# The whole training is the same with more of everything: `python main.py finetune` on some hundred
# pictures. Its result lies in `data/models/tiny-sd-sticker`, and `load_style` puts it into a model.
# What the adapters add can be multiplied by a *scale*, 0 for nothing. (About 10 seconds.)

# %%
SCALES = (0.0, 0.4, 0.8, 1.2) if EFFORT == 1 else (0.0, 0.8)
style_judge = StyleJudge.load()
at_scale, sure = {}, {}
for scale in SCALES:
    model = load_prior(MODEL)
    load_style(model, STICKER, scale=scale)
    images = sampled(model, NEW, decoder=model, what=f"scale {scale}")
    at_scale[f"scale {scale}"] = images
    shares = style_judge.shares(images)[:, KINDS.index("sticker")]
    sure[f"scale {scale}"] = [f"sticker: {float(one):.0%}" for one in shares]
strips(at_scale, sure)

# %% [markdown]
# **What you should see.** From above to below: the picture as it was, hints of a pale rim, pieces
# of a white border, a border all around. Beyond the scale of the training, 1, the style is
# stronger, and the picture less clean: look for the windows of the house. Above each picture stands
# how sure the **style judge** is, a small classifier of the three kinds of pictures.
#
# ## 3 · Which part of a model knows what
#
# A latent diffusion model has two parts that draw. The UNet makes latents; the **decoder** makes
# pixels of them. Your LoRA is in the UNet. Let us see what the decoder does to a picture that
# nobody generated: encode and decode.

# %%
pixel_model = load_prior(MODEL)
load_style(pixel_model, PIXEL)
through = {}
print("                                        PSNR   within cells")
for name in ("drawing", "sticker", "pixel"):
    originals = drawings(name, list(range(6)))
    with torch.no_grad():
        latents = prior.encode(originals.to(prior.device))
        again = {
            "its own decoder": prior.decode(latents).clamp(-1, 1).cpu(),
            "the style's decoder": pixel_model.decode(latents).clamp(-1, 1).cpu(),
        }
    through[name] = originals
    for decoder, images in again.items():
        through[f"{name}, {decoder}"] = images
        print(
            f"{name:8} through {decoder:20}{psnr(images, originals):5.1f} dB"
            f"{within_cells(images, 2):15.3f}"
        )
shown = ("sticker", "sticker, its own decoder", "pixel", "pixel, its own decoder")
strips({name: through[name] for name in (*shown, "pixel, the style's decoder")})

# %% [markdown]
# **What you should see.** Stickers come back softer, but with border and outline: the decoder that
# never saw one can draw it. Pixel art comes back **without its cells**, with the smooth outlines
# and the shading of a drawing. That is what this decoder has learned to draw, and so it draws it
# from whatever it gets. Pixels that differ within a cell give it away. The last row is a decoder
# that saw pixel art too. Cells are back; the chequerboards are not, because the *encoder* has not
# put them into the latents.
#
# So where must the pixel style be learned? Try it: the LoRA that was trained on pixel art, in the
# UNet alone, and with the decoder that belongs to it. (About 10 seconds.)

# %%
unet_alone = load_prior(MODEL)
load_lora(unet_alone, PIXEL)
parts = {
    "the model": prior,
    "its UNet with the LoRA": unet_alone,
    "and the style's decoder": pixel_model,
}
by_part = {name: sampled(model, NEW, decoder=model, what=name) for name, model in parts.items()}
for name, images in by_part.items():
    print(f"{name:25} within cells {within_cells(images, 2):.3f}")
strips(by_part)

# %% [markdown]
# **What you should see.** With the LoRA alone things change: darker outlines, other details. There
# is no grid, and there cannot be one, whatever the UNet learns: it writes latents, not pixels. With
# the decoder there is, on boat, house and mushroom. The car is still smooth. This decoder can draw
# both, and takes from the latents what it is to be; here they do not say it clearly.
#
# So *what is drawn* is in the UNet, and *what a line looks like from near* is in the decoder.
#
# ## 4 · A path
#
# A **keyframe** is a prompt with a seed. A film goes from keyframe to keyframe; each of its frames
# has a *position*, 0 at the first keyframe, 1 at the second, 1.5 in the middle between the second
# and the third. Two things can change on the way: the noise that the sampler begins with, and what
# it is told.
#
# Begin with the noise. The middle between two noises is not their mean. A sum of independent
# numbers of variance 1, halved, has variance $1/2$: the network is told that this is pure noise,
# and finds too little of it. Noise of many numbers has nearly one length, it lies on a sphere; so
# turn on the sphere:
#
# $$v = \frac{\sin((1 - a)\,\theta)}{\sin\theta}\,v_0 + \frac{\sin(a\,\theta)}{\sin\theta}\,v_1,
# \qquad \cos\theta = \frac{\langle v_0, v_1\rangle}{|v_0|\,|v_1|}.$$
#
# That is **slerp** (Shoemake 1985); the straight line is called *lerp*.
#
# ### Exercise 3 · `morph.slerp`
#
# > **15 minutes · difficulty ●●○ · {points of slerp} · CPU**
#
# **Contract.** `v0` and `v1` are `(B, ...)`, `a` is `(B,)`. Each sample, all but the first axis
# together, is one vector with an angle of its own. Where $|\cos\theta| > 0.9995$, or a vector is
# zero, take the straight line, since $\sin\theta$ is nearly 0. Compute in float32, and return the
# type of `v0`.

# %%
# TODO morph.slerp

# %%
check("morph.slerp")

# %%
compare_picture("morph.slerp")

# %% [markdown]
# **What you should see.** Latents between two noises, as noisy as these, and no difference.
#
# <details><summary>Help: some samples are NaN.</summary>
#
# `torch.where` computes both sides. A side that is not taken may be anything, but where the angle
# is 0 you divide by 0 first: put another angle there before you divide.
#
# </details>
# <details><summary>Help: it fails in half precision.</summary>
#
# Sums of many squares end at 65,504 there. `.float()` first, and `.to(v0.dtype)` last.
#
# </details>

# %%
ways = torch.linspace(0, 1, 21)
ends = torch.randn(2, 4, 64, 64, generator=torch.Generator().manual_seed(0))
v0, v1 = (end.expand(21, -1, -1, -1) for end in ends)
lengths = {
    "slerp": morph.slerp(v0, v1, ways).flatten(1).norm(dim=1) / v0[0].norm(),
    "lerp": torch.lerp(v0, v1, ways.view(-1, 1, 1, 1)).flatten(1).norm(dim=1) / v0[0].norm(),
}
print(f"shortest: slerp {lengths['slerp'].min():.3f}, lerp {lengths['lerp'].min():.3f}")
large = torch.randn(1, 4, 128, 192, generator=torch.Generator().manual_seed(0)).half()
print(f"a sum of squares, SDXL's latents of 1024 × 1536: {large.square().sum():.0f} in float16,")
print(f"{large.float().square().sum():.0f} in float32")
overlaid(ways.tolist(), {"length": {k: v.tolist() for k, v in lengths.items()}}, x_label="a")

# %% [markdown]
# **What you should see.** Slerp stays at 1. The straight line is at 0.71 in the middle, $1 /
# \sqrt 2$. And the sum of squares does not fit into half precision.
#
# ### Exercise 4 · `morph.noise_path`
#
# > **15 minutes · difficulty ●●○ · {points of noise_path} · CPU**
#
# A film of three keyframes is two paths. If each of them draws its own noise, the picture jumps at
# the joint. So there is one noise for each keyframe, drawn from its seed, and both paths share it.
#
# **Contract.** Draw the noise of each of the K `seeds` by `torch.randn(shape,
# generator=torch.Generator().manual_seed(seed))`. Frame $f$ is at `positions[f]`, from 0 to K - 1:
# turn by `slerp` from the keyframe before it to the next one. Return `(F, *shape)`. At a keyframe a
# frame has exactly its noise, at the last one too.

# %%
# TODO morph.noise_path

# %%
check("morph.noise_path")

# %%
compare_picture("morph.noise_path")

# %% [markdown]
# **What you should see.** Noise, frame by frame, and no difference.
#
# <details><summary>Help: there is no keyframe after the last.</summary>
#
# The last position belongs to the last stretch, with a = 1: `clamp` the number of the keyframe
# before it at K - 2.
#
# </details>
# <details><summary>Help: all frames have the same noise, or none has.</summary>
#
# One generator for each *keyframe*, made anew. Not one for each frame, and not one for all.
#
# </details>
#
# ### Exercise 5 · `morph.prompt_path`
#
# > **10 minutes · difficulty ●●○ · {points of prompt_path} · CPU**
#
# The text encoder makes a vector of each token of a prompt. Published programs turn all of them as
# one long vector. But each token is a direction of its own.
#
# **Contract.** `tokens` is `(K, L, D)`, `positions` `(F,)`. Return `(F, L, D)`: each token of each
# frame by `slerp` from the keyframe before to the next one, with an angle of its own.

# %%
# TODO morph.prompt_path

# %%
check("morph.prompt_path")

# %%
compare_picture("morph.prompt_path")

# %% [markdown]
# **What you should see.** Tokens of five frames as shades of grey, a row for each, and no
# difference.
#
# <details><summary>Help: slerp takes one angle for a whole prompt.</summary>
#
# It takes one for each sample of the batch. So make a batch of tokens: `(F, L, D)` becomes
# `(F * L, D)`.
#
# </details>
# <details><summary>Help: then <code>a</code> has the wrong length.</summary>
#
# Each frame's `a`, L times in a row: `repeat_interleave`.
#
# </details>

# %% [markdown]
# ### The published way
#
# Slerp of the noise, slerp of the text, many frames. Here are twelve. (The cell draws 36 more, for
# what comes after them. About half a minute.)

# %%
KEYFRAMES = ["a red boat on a frozen river", "a yellow castle in the night sky"]
SEEDS = [10, 20]


def film(
    frames: int | torch.Tensor,
    *,
    text: str,
    what: str = "",
    noise: str = "slerp",
    prompts: list[str] = KEYFRAMES,
    seeds: list[int] = SEEDS,
    model=prior,
) -> torch.Tensor:
    """Frames (F, 3, H, W) along the path, evenly spaced, or at positions (F,)."""
    path = path_of(model, prompts, seeds, text=text, noise=noise, guidance_scale=SCALE)
    positions = frames if isinstance(frames, torch.Tensor) else torch.linspace(0, 1, frames)
    drawing = Drawing(model, morph, path, model.timesteps(STEPS), model.latent_size)
    steps = steps_between(drawing, positions)
    *_, last = progress(steps, what or f"{len(positions)} frames, text by {text}", total=STEPS)
    return decoded(model, last.xt).clamp(-1, 1).cpu()


FEW, MANY = (12, 36) if EFFORT == 1 else (3, 4)
by_text = {frames: film(frames, text="slerp") for frames in (FEW, MANY)}
strips({"text by slerp": by_text[FEW]})

# %% [markdown]
# **What you should see.** For half of the film a boat loses its shape, by day. Then, from one frame
# to the next, it is night, and there is a castle.
#
# More frames? Three times as many, and how far each is from the next:

# %%
steps_drawn({"text by slerp": {f"{n} frames": pixel_steps(by_text[n]) for n in (FEW, MANY)}})

# %% [markdown]
# **What you should see.** One large step in the middle. With three times as many frames all other
# steps become smaller, and this one hardly does. Nothing that you do with the spacing of the frames
# will help: there are no pictures between these two. The network decides for one scene or the
# other, and at some point of the way it changes its mind.
#
# ### Mixed scores
#
# A text half-way between two is not half of each for the network: it decides. But we need not ask
# it about a text half-way. Ask about both, and mix the *answers*:
#
# $$\hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,\bigl((1 - a)\,\hat\varepsilon_p + a\,
# \hat\varepsilon_q - \hat\varepsilon_{\text{uncond}}\bigr)$$
#
# The picture is pulled to both prompts, with weights that change smoothly. It costs a third
# question at each step. (For two prompts at once that is composed diffusion, Liu et al. 2022.)
# Twelve frames and 36 again take most of a minute.

# %%
by_score = {frames: film(frames, text="mix") for frames in (FEW, MANY)}
strips({"text by slerp": by_text[FEW], "mixed scores": by_score[FEW]})

# %%
both = {"text by slerp": by_text, "mixed scores": by_score}
for way, films in both.items():
    for frames, images in films.items():
        steps = pixel_steps(images)
        print(
            f"{way:14} {frames:3} frames: the largest step is {steps.max():.3f}, "
            f"{evenness(steps):4.1f} times the mean"
        )
steps_drawn(
    {
        way: {f"{n} frames": pixel_steps(one) for n, one in films.items()}
        for way, films in both.items()
    }
)

# %% [markdown]
# **What you should see.** The large step is gone, and with three times as many frames its size goes
# down, too. The frames of the middle show **hybrids**: sails that are towers, dusk. They are less
# clean than the ends. No picture is both a boat and a castle, and these are as near as the model
# gets.

# %%
playing({"text by slerp": by_text[MANY], "mixed scores": by_score[MANY]}, fps=12)

# %% [markdown]
# ### Stepping stones
#
# Now help the model. Between the two prompts there *are* pictures that it can draw: change one
# thing at a time. Each of these prompts is a **stepping stone**, and the film goes from one to the
# next. And a cross of two things is pale because two opinions are mixed to the last step. What is
# where is settled while there is much noise. So scores are mixed only there; in the second half of
# the steps the text goes by your `prompt_path`, and the network decides, for one thing, clearly.
# (It changes its mind there too, but the picture has its composition by then. The cell takes about
# 10 seconds.)

# %%
said, stands = all_prompts(KEYFRAMES)
for prompt, stand in zip(said, stands, strict=True):
    print(f"{stand:.2f}  {prompt}")
by_stones = film(FEW, text="stones")
strips({"mixed scores": by_score[FEW], "with stepping stones": by_stones})

# %% [markdown]
# **What you should see.** It grows dark around the boat, the boat turns yellow, and then it becomes
# a castle. One thing is on its way at a time, and nearly every frame shows something that has a
# name. The steps are less even now: it gets dark fast.
#
# ### Even steps
#
# Now that there are pictures on the way, spacing helps. Where a film moves fast it needs more
# frames. So draw some, halve the widest gaps, and of all that was drawn pick as many as you want,
# so that their steps are alike. (About 15 seconds.)

# %%
path = path_of(prior, KEYFRAMES, SEEDS, text="stones", guidance_scale=SCALE)
drawing = Drawing(prior, morph, path, prior.timesteps(STEPS), prior.latent_size)
spacing = EvenFilm(
    torch.linspace(0, 1, FEW), keyframes_drawn(drawing), lambda latents: [decoded(prior, latents)]
)
while len(positions := spacing.next_positions()):
    steps = steps_between(drawing, positions)
    *_, last = progress(steps, f"{len(positions)} more frames", total=STEPS)
    spacing.add(positions, last.xt)
positions, latents = spacing.film()
by_sight = decoded(prior, latents).clamp(-1, 1).cpu()
print(f"drawn: {len(spacing.positions)}, shown: {len(by_sight)}")
for name, images in (("evenly in positions", by_stones), ("evenly in what is seen", by_sight)):
    print(f"{name:23} the largest step is {evenness(pixel_steps(images)):.1f} times the mean")
strips(
    {"evenly in positions": by_stones, "evenly in what is seen": by_sight},
    {"evenly in what is seen": [f"{float(one):.2f}" for one in positions]},
)

# %% [markdown]
# **What you should see.** The same film, but frames are crowded where it gets dark and where the
# boat becomes a castle. (Above them are their positions.) Where little happens, there are few.
#
# One film decides nothing. Here are twelve pairs of prompts, measured by `python -m
# benchmarks.morph`. "One thing" is the share of frames in the middle third that show one thing that
# the judge recognises.

# %%
print(measured_table(REPOSITORY / "data/morph/benchmark.json"))

# %% [markdown]
# **What it says.** Mixed scores jump less than the published way, and show one thing less often:
# hybrids. Stepping stones with even steps jump least of all, and show one thing most often. They
# cost twice the frames.
#
# And the straight line for the noise, in place of slerp? To see the noise alone, keep the prompt: a
# path between two seeds of one prompt, and the frame in its middle. (About 15 seconds.)

# %%
own_middle = {"the first seed": [], "middle by slerp": [], "middle by lerp": [], "the second": []}
for number, one in enumerate(FACTS if EFFORT == 1 else FACTS[:1]):
    same = {"text": "hold", "prompts": [str(one)] * 2, "seeds": [number, number + 50]}
    same["what"] = str(one)
    first, middle, second = film(torch.tensor([0.0, 0.5, 1.0]), noise="slerp", **same).split(1)
    by_line = film(torch.tensor([0.5]), noise="lerp", **same)
    for row, image in zip(own_middle.values(), (first, middle, by_line, second), strict=True):
        row.append(image)
own_middle = {name: torch.cat(images) for name, images in own_middle.items()}
its_ends = torch.cat([own_middle["the first seed"], own_middle["the second"]])
print("of the ends':      colour   sharpness")
for name in ("middle by slerp", "middle by lerp"):
    images = own_middle[name]
    print(
        f"{name:17}{chroma(images).mean() / chroma(its_ends).mean():8.2f}"
        f"{sharpness(images).mean() / sharpness(its_ends).mean():12.2f}"
    )
strips(own_middle)

# %% [markdown]
# **What you should see.** Both middles have their colours. But what is drawn of a noise that is too
# short has fewer *details*: look for the stars, the spots of the mushroom, the cacti by
# the car.
#
# ## 5 · Pixels
#
# Now the style and the path together, and the frames become pixels: a cell of 2 × 2 is a pixel.
# (About 15 seconds.)

# %%
TRIP = ["a red boat on a frozen river", "a purple castle in the snow"]
frames = film(
    24 if EFFORT == 1 else 4, text="stones", prompts=TRIP, seeds=[3, 4], model=pixel_model
)
cells = on_grid(frames, (frames.shape[2] // 2, frames.shape[3] // 2), reduction="mean")
strips({"frames": cells[:: max(1, len(cells) // 8)][:8]})

# %% [markdown]
# A GIF has at most 256 colours, and pixel art a dozen or two. The colours that fit a picture best
# are found by **k-means**: each pixel goes to its nearest colour, each colour to the mean of its
# pixels, again and again. Programs do it for each frame by itself.
#
# ### Exercise 6 · `morph.shared_palette`
#
# > **15 minutes · difficulty ●●○ · {points of shared_palette} · CPU**
#
# **Contract.** One step of k-means over the pixels of *all* frames. `frames` is `(F, H, W, 3)`,
# `palette` `(K, 3)`. Each colour moves to the mean of the pixels that are nearest to it; one that
# has none stays. Return the K colours in their order.

# %%
# TODO morph.shared_palette

# %%
check("morph.shared_palette")

# %%
compare_picture("morph.shared_palette")

# %% [markdown]
# **What you should see.** Two equal strips of colours.
#
# <details><summary>Help: how do I add up the pixels of each colour?</summary>
#
# `torch.zeros_like(palette).index_add_(0, nearest, pixels)`, and `torch.bincount` counts them.
#
# </details>
# <details><summary>Help: an unused colour becomes NaN.</summary>
#
# Nothing divided by nothing. `torch.where(counts > 0, means, palette)`.
#
# </details>

# %%
COLOURS, FPS = 16, 8


def fitting(some: torch.Tensor) -> torch.Tensor:
    """The palette (COLOURS, 3), sRGB in [0, 1], that suits frames (F, 3, h, w), by your k-means."""
    return palette_of(some, COLOURS, morph, generator=torch.Generator().manual_seed(0))


def lab(some: torch.Tensor) -> torch.Tensor:
    """Frames (F, 3, h, w) in [-1, 1] as colours (F, h, w, 3) in OKLab, where distances are seen."""
    return srgb_to_oklab((some.movedim(1, -1) + 1) / 2)


def nearest(some: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """The number of the nearest colour for each pixel, (F, h, w)."""
    return (lab(some)[..., None, :] - srgb_to_oklab(palette)).square().sum(-1).argmin(-1)


def coloured(indices: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """Frames (F, 3, h, w) in [-1, 1]."""
    return 2 * palette[indices].movedim(-1, 1) - 1


def colours_in(some: torch.Tensor) -> int:
    """How many colours there are in frames (F, 3, h, w)."""
    return len((some * 127.5).round().movedim(1, -1).reshape(-1, 3).unique(dim=0))


palette = fitting(cells)
one_palette = coloured(nearest(cells, palette), palette)
own = [fitting(frame[None]) for frame in cells]
own_palettes = torch.cat(
    [coloured(nearest(frame[None], its), its) for frame, its in zip(cells, own, strict=True)]
)
for name, some in (("a palette for each frame", own_palettes), ("one palette", one_palette)):
    print(f"{name:25} {colours_in(some):4} colours in the film")
playing({"a palette for each frame": own_palettes, "one palette": one_palette}, fps=FPS)

# %% [markdown]
# **What you should see.** Left every frame is right for itself, and the film flickers: what stands
# still changes its shade with each frame. Right it does not, and there are as many colours in the
# whole film as were asked for. What one palette costs: each frame has fewer colours that suit it,
# and the blue of the river is grey.
#
# ### Exercise 7 · `morph.hold_colours`
#
# > **20 minutes · difficulty ●●○ · {points of hold_colours} · CPU**
#
# Some pixels lie half-way between two colours of the palette. The least change, and they switch;
# the next one, and they switch back. So do not switch at once. A pixel keeps the colour that it has
# until another one is *clearly* nearer, by more than a margin. Thermostats do the same; it is
# called **hysteresis**.
#
# **Contract.** `frames` is `(F, H, W, 3)`, `palette` `(K, 3)`. In the first frame each pixel takes
# the nearest colour. Later it keeps its colour of the frame before, unless its distance to the
# nearest colour is smaller than the one to the kept colour by more than `margin`; then it takes the
# nearest. Return the numbers of the colours, int64 `(F, H, W)`.

# %%
# TODO morph.hold_colours

# %%
check("morph.hold_colours")

# %%
compare_picture("morph.hold_colours")

# %% [markdown]
# **What you should see.** Frames in the colours of a palette, and no difference.
#
# <details><summary>Help: which frame is the one before?</summary>
#
# The one that you *returned*: what a pixel shows, not what was nearest there.
#
# </details>
# <details><summary>Help: how do I get the distance to the kept colour?</summary>
#
# `distances.gather(2, kept[..., None])[..., 0]`, with `distances` `(H, W, K)`.
#
# </details>

# %%
MARGIN = 0.04  # in OKLab; half of it is about what the eye can tell apart
held = morph.hold_colours(lab(cells), srgb_to_oklab(palette), MARGIN)
ways = {"nearest colour": nearest(cells, palette), "held": held}
for name, indices in ways.items():
    print(f"{name:15} {changes(cells, indices):6.2%} of the pixels that stand still change")
maps({name: restless(cells, indices) for name, indices in ways.items()}, label="share of steps")

# %% [markdown]
# **What you should see.** The brighter a pixel, the more often it changed though it stood still.
# Most of it lies along the borders between two shades of sky and snow. Held, hardly any pixel does
# so twice. Once may be right: a sky that gets darker slowly, less in each step than "stands still"
# allows, must change its colour at some time.

# %%
playing({name: coloured(indices, palette) for name, indices in ways.items()}, fps=FPS)

# %% [markdown]
# **Dithering** mixes two colours in a pattern, where the one between them is missing. It must not
# crawl. Programs that pass on each pixel's error to its neighbours (Floyd and Steinberg 1976) make
# a pattern that depends on everything before it: one pixel changes, and all that follows is another
# pattern. A pattern that is fixed to the grid (Bayer 1973) stays.

# %%
few = palette[::2]  # so few colours that something is missing
crawling = errors_passed_on(cells, few)
fixed = indices_of(cells, few, morph, dithering="bayer", margin=MARGIN)
for name, indices in (("errors passed on", crawling), ("a fixed pattern", fixed)):
    print(f"{name:18} {changes(cells, indices):6.2%} of the pixels that stand still change")
playing(
    {
        "no dithering": coloured(indices_of(cells, few, morph, margin=MARGIN), few),
        "errors passed on": coloured(crawling, few),
        "a fixed pattern": coloured(fixed, few),
    },
    fps=FPS,
)

# %% [markdown]
# **What you should see.** Half as many colours. Without dithering the sky has steps. With errors
# passed on, the dots of the sky crawl from frame to frame. The fixed pattern appears and goes where
# the sky changes, and stands still elsewhere.
#
# ### The file
#
# A GIF stores numbers of colours, one palette for all, and how long each frame is shown, in
# hundredths of a second. Pillow's own writer drops frames that equal the one before, and may give
# each frame a palette of its own. So here is another one; its file is read back, and compared.

# %%
looped = torch.cat([held, held.flip(0)[1:-1]])  # there and back
animation = Animation(looped, palette, fps=FPS, factor=4)
data = gif_bytes(animation)
seen = Image.open(BytesIO(data))
print(f"{len(data):,} bytes, {seen.n_frames} frames of {seen.size}")
stills, milliseconds = [], []
for number in range(seen.n_frames):
    seen.seek(number)
    stills.append(from_pil(seen.convert("RGB"))), milliseconds.append(seen.info["duration"])
read = torch.cat(stills)[:, :, ::4, ::4]
print(f"{colours_in(read)} colours")
print(f"shown for {sum(milliseconds) / 1000:g} s; asked for {len(looped) / FPS:g} s")
print(
    f"largest difference to what was written: {(read - coloured(looped, palette)).abs().max():.3f}"
)

# %% [markdown]
# ## 6 · Yours
#
# Put keyframes in order, say how long each is held, and draw. Below the picture you can go from
# frame to frame, and lay its neighbours over it.

# %%
morph_studio(morph)

# %% [markdown]
# In a terminal, `python main.py morph "a red boat on the beach" "a red cat on the beach" --loop`
# does all of it with your functions, and writes GIF, MP4, APNG and a sprite sheet. `--lora
# data/models/tiny-sd-pixel` is the style.
#
# ## Bug hunt
#
# Ungraded, and worth more than the points.
#
# ### Case 1 · The line-up
#
# Five students wrote `noise_path`, each with one mistake. Here is what their functions gave in the
# check, the noise of five frames from above to below, and a list of the five mistakes. Who made
# which?

# %%
suspects = LineUp(
    "morph.noise_path",
    (
        "noise_along_the_line",
        "noise_of_every_frame",
        "noise_of_the_first",
        "noise_of_the_nearest",
        "noise_backwards",
    ),
    seed=5,
)
suspects.figure()

# %%
suspects.accuse(A=None, B=None, C=None, D=None, E=None)  # write a number in place of each None

# %% [markdown]
# {answer to bug_hunt_1}
#
# ### Case 2 · A cross-fade, a bare middle, a flicker
#
# A colleague made a GIF by hand, with your functions, which are right. There are **three** bugs.
# None of them raises an error. In the middle of the film you see both pictures, one through the
# other. What is drawn there has few details. And it flickers. Once all three are gone, it looks
# like the film of section 5. (The cell draws for about 10 seconds.)


# %%
def by_hand(number: int, colours: int) -> torch.Tensor:
    """Frames (F, 3, h, w) of a film from TRIP[0] to TRIP[1], or so the author believes."""
    a = torch.linspace(0, 1, number)
    seeds, model = [3, 4], pixel_model
    noise = morph.noise_path(seeds, torch.tensor([0.0, 1.0]), (4, *model.latent_size))
    xt = torch.lerp(noise[:1], noise[1:], a.view(-1, 1, 1, 1)).to(model.device)
    uncond = model.embed([""] * number)
    ends = []
    for prompt in TRIP:
        text = model.embed([prompt] * number)

        def predict(xt: torch.Tensor, t: torch.Tensor, text=text) -> torch.Tensor:
            eps_uncond, eps_text = model.predict_noise(xt, t, uncond, text)
            return eps_uncond + SCALE * (eps_text - eps_uncond)

        *_, last = progress(steered(predict, xt, **schedule(model)), prompt, total=STEPS)
        ends.append(last.xt)
    latents = torch.lerp(*ends, a.view(-1, 1, 1, 1).to(model.device))
    images = model.decode(latents).clamp(-1, 1).cpu()
    small = on_grid(images, (images.shape[2] // 2, images.shape[3] // 2), reduction="mean")
    film = []
    for frame in small.split(1):
        palette = palette_of(frame, colours, morph, generator=torch.Generator().manual_seed(0))
        indices = morph.hold_colours(lab(frame), srgb_to_oklab(palette), MARGIN)
        film.append(coloured(indices, palette))
    return torch.cat(film)


hunted = by_hand(12 if EFFORT == 1 else 3, COLOURS)
playing({"by hand?": hunted, "section 5": coloured(held, palette)}, fps=FPS)

# %%
strips({"by hand?": hunted})

# %% [markdown]
# <details><summary>Help: how do I find out which line it is?</summary>
#
# One suspicion, one experiment. Print the standard deviation of `xt` in the middle of the film.
# Look at what the two runs draw for the middle, before they are mixed. Count the palettes.
#
# </details>
# <details><summary>Help: I have two of the three.</summary>
#
# What is mixed after the last step is two pictures. What is mixed at each step is two opinions
# about one.
#
# </details>
#
# {answer to bug_hunt_2}

# %% [markdown]
# ## Dares
#
# Ungraded. The first comes with code that runs; the others are yours.
#
# ### Dare 1 · The same seed
#
# One noise for both keyframes: the scene stays where it is, and only the words change. (About 15
# seconds.)

# %%
PAIR = ["a red car in the desert", "a blue car in the desert"]
by_seed = {
    f"seeds {seeds}": film(FEW, text="mix", prompts=PAIR, seeds=seeds) for seeds in ([7, 7], [7, 8])
}
print({name: f"{evenness(pixel_steps(images)):.1f}" for name, images in by_seed.items()})
strips(by_seed)

# %% [markdown]
# ### Nine more
#
# 2. **A loop of four.** One house in four scenes, and back to the first. What do you have to do so
#    that the last frame leads to the first one?
# 3. **Mixed early.** Mix scores in the first half of the steps, and interpolate the text after
#    that. Cheaper? As smooth?
# 4. **Easing.** Slow at the keyframes, fast between. Where do you put the curve: into the
#    positions, or into the durations of the GIF?
# 5. **Your own style.** Twenty pictures of your own in a folder with `metadata.jsonl`, and `python
#    main.py finetune`. How many steps until you recognise it? When does it forget colours?
# 6. **Two styles.** Load both LoRAs, half of each. Is it half of each?
# 7. **A style along the path.** Scale 0 at the first keyframe, 1 at the last.
# 8. **Rank.** 1, 4, 32. What can the sticker style do without?
# 9. **Margin.** From which margin on do you see trails behind what moves?
# 10. **The real one.** With a GPU, `MODEL = "sd15"` and a pixel-art LoRA from the hub. Does it need
#     a decoder of its own? (Think of section 3.)
#
# {answers to dares}

# %% [markdown]
# ## What you hand in
#
# > **a minute or two of waiting · {points of pictures} · CPU**
#
# Together with this notebook you hand in two films as GIFs, one that loops, drawn by your own
# functions. Prompts, seeds and settings are the same for everybody; they are in
# `data/hand_in.yaml`. In a terminal, in the course folder:
#
# ```sh
# python main.py hand_in 07_morph
# ```
#
# Then the GIFs and `eval.json` are in `outputs/07_morph/`. The grader reads the files themselves:
# number of frames, one palette, how long each frame is shown, whether a film jumps at a keyframe or
# where it closes, and whether it is more than a cross-fade. CLIP scores the keyframes.

# %%
hand_in("07_morph")

# %% [markdown]
# ## What you now have
#
# - You taught a model a style with a few per cent of its weights, and know what each part of it can
#   learn.
# - You know why a film of prompts jumps, and that more frames do not help.
# - You can make colours hold still.
#
# Your functions are in `guidance/morph.py`.

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
# | $W$, $b$ | `weight`, `bias` | the weights of a layer; they stay as they are |
# | $A$, $B$ | `lora_A`, `lora_B` | the two thin matrices of a LoRA |
# | $r$, $\alpha$ | `alpha` | how thin they are, and how much their product counts: $\alpha / r$ |
# | $y$ (section 2) | `text` | the prompt |
# | $\lambda$ | `prior_weight` | how much the preserved pictures count |
# | $v_0$, $v_1$ | `v0`, `v1` | the noises of two keyframes |
# | $a$ | `a` | how far the way from one keyframe to the next is done, from 0 to 1 |
# | $\theta$ | | the angle between two noises |
# | $\hat\varepsilon_p$, $\hat\varepsilon_q$ | | the guesses with the prompts of two keyframes |
#
# ## Further reading
#
# - E. Hu and others, *LoRA: low-rank adaptation of large language models*,
#   [arXiv 2106.09685](https://arxiv.org/abs/2106.09685): section 2.
# - N. Ruiz and others, *DreamBooth: fine tuning text-to-image diffusion models for subject-driven
#   generation*, [arXiv 2208.12242](https://arxiv.org/abs/2208.12242): pictures that are preserved,
#   section 2.
# - K. Shoemake, *Animating rotation with quaternion curves*,
#   [SIGGRAPH 1985](https://doi.org/10.1145/325334.325242): slerp.
# - J. Song, C. Meng, S. Ermon, *Denoising diffusion implicit models*,
#   [arXiv 2010.02502](https://arxiv.org/abs/2010.02502): slerp of noise, in its section 5.3.
# - C. Wang, P. Golland, *Interpolating between images with diffusion models*,
#   [arXiv 2307.12560](https://arxiv.org/abs/2307.12560): films between two given pictures.
# - K. Zhang and others, *DiffMorpher: unleashing the capability of diffusion models for image
#   morphing*, [arXiv 2312.07409](https://arxiv.org/abs/2312.07409): a LoRA for each end, and
#   attention in between.
