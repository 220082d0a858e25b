# %% [markdown]
# # Stage 6 · Elastic: any size from a model that knows one
#
# *{summary}. Everything here runs on
# a laptop's CPU.*
#
# {graded}
#
# A diffusion model is trained at one size. Ask it for a picture twice as wide, and you get the boat
# you asked for. Twice. At twice the size each way you get a fleet. In this stage you
# - **count** what comes out, and find out which part of the model's answer is to blame,
# - split the answer in two: *what is where* from a small picture, *how neighbours fit together*
#   from windows, as **ElasticDiffusion** does (CVPR 2024,
#   [arXiv 2311.18822](https://arxiv.org/abs/2311.18822)),
# - build its parts: a cover of windows that shows no seams, a small picture made of a large one's
#   own cells, rounds that read other cells, a pull that ends in time,
# - write the mean that **MultiDiffusion** ([arXiv 2302.08113](https://arxiv.org/abs/2302.08113)) is
#   made of, and see what it is good for,
# - and compare all of them, with what people really do in their place: draw it small and enlarge
#   it.
#
# You can start with this stage. If you have not done the others, you need to know three things. A
# picture with noise in it is $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 -
# \bar\alpha_t}\,\varepsilon$, and a network guesses that noise: $\hat\varepsilon(x_t, t)$. Guidance
# is $\hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,(\hat\varepsilon_{\text{text}} -
# \hat\varepsilon_{\text{uncond}})$. And DDIM, the sampler, goes from noise to a picture in $N$
# steps: each one guesses the finished picture $\hat x_0$, and noises it with the same
# $\hat\varepsilon$ to the next, lower level. All of this happens in latents, whose **cells** stand
# for 4 × 4 pixels here (8 × 8 in Stable Diffusion). A decoder turns them into pixels.

# %%
MODEL = "tiny-sd"  # on a GPU: "sd15"
ADAPTER = "data/models/tiny-sd-any-size"  # for section 9; for "sd15": ""
# The next cell loads the libraries and the models, in about ten seconds.

# %%
# %load_ext distillery.todo
import time
from collections.abc import Callable
from dataclasses import replace

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
from distillery.core.images import to_pil
from distillery.methods.any_size import Wanted
from distillery.methods.elastic import ElasticKnobs
from distillery.methods.elastic_methods import Knobs, Task, begin
from distillery.methods.guided_ddim import BEGINNING, fresh_noise, steered
from distillery.methods.multidiffusion import starts, view_weights
from distillery.methods.network_samples import network_samples
from distillery.methods.reference_cells import all_reads, cells, reference_size
from distillery.metrics.contents import named
from distillery.metrics.counter import Counter
from distillery.models.load import load_lora
from distillery.models.parameterization import add_noise, x0_from_eps
from distillery.models.prior import cat as joined
from distillery.notebook.effort import effort
from distillery.notebook.elastic.recording import recorded
from distillery.notebook.elastic.scores import ScorePlayer
from distillery.notebook.elastic.sizes import SizeExplorer
from distillery.notebook.elastic.viewer import StepViewer
from distillery.notebook.elastic_figures import (
    alike,
    at_one_scale,
    covers,
    in_colours,
    maps,
    measured_table,
    reads_drawn,
    windows_over,
)
from distillery.notebook.figures import curves
from distillery.notebook.progress import progress
from distillery.toybox import Factors, draw
from guidance import elastic

prior = load_prior(MODEL)
if ADAPTER:
    adapted = load_prior(MODEL)
    load_lora(adapted, str(REPOSITORY / ADAPTER))
else:
    adapted = prior
judge, counter = Judge.load(), Counter.load()
EFFORT = effort()  # share of each run's steps to compute; 1 unless the environment says less
STEPS = max(2, round(20 * EFFORT))
SCALE = 5.0  # of guidance; for "sd15": 10.0
STORY = 3  # the seed of all pictures below

# %% [markdown]
# ## 1 · Ask for more
#
# `method` draws pictures of a size by any method of this stage. `direct` is none of them: it is the
# plain sampler, and it does not care how large the latents are. Nothing in the network says how
# many cells there should be. (Cells that draw show a bar. This one takes about 15 seconds.)

# %%
WISHES = [
    Factors("boat", "red", "on a frozen river"),
    Factors("cat", "orange", "on the beach"),
    Factors("car", "blue", "in the desert"),
    Factors("tree", "green", "in the snow"),
][: 4 if EFFORT == 1 else 2]
FEW = WISHES[: 3 if EFFORT == 1 else 1]  # for what is expensive
TIMESTEPS = prior.timesteps(STEPS)
SCHEDULE = {"timesteps": TIMESTEPS, "alphas_cumprod": prior.alphas_cumprod}
KNOWN, CELL = prior.latent_size, prior.image_size[0] // prior.latent_size[0]
BASE, WIDE, LARGE = ((a * KNOWN[0], b * KNOWN[1]) for a, b in ((1, 1), (1, 2), (2, 2)))


def task(wishes: list, size: tuple[int, int], knobs: Knobs, seed: int = STORY, local=None) -> Task:
    """Pictures of these prompts with (h, w) cells, each with a seed of its own.

    `local` is another model for the large picture and its windows.
    """
    prompts = [str(wish) for wish in wishes]
    wanted = Wanted(size, prior.embed(prompts), prior.embed([""] * len(prompts)), SCALE)
    seeds = tuple(1000 * seed + k for k in range(len(prompts)))
    return Task(prior, local or prior, elastic, wanted, knobs, TIMESTEPS, seeds)


def method(
    name: str,
    wishes: list,
    size: tuple[int, int],
    knobs: Knobs | None = None,
    seed: int = STORY,
    local=None,
) -> torch.Tensor:
    """Images (B, 3, H, W) in [-1, 1]."""
    begun = begin(name, task(wishes, size, knobs or Knobs(), seed, local))
    latents = begun.xt
    steps = steered(begun.predict, latents, **SCHEDULE, start=begun.start, change=begun.change)
    for step in progress(steps, f"{name}, {size[0]} x {size[1]} cells", total=STEPS - begun.start):
        latents = step.xt
    return prior.decode(latents).clamp(-1, 1)


def counted(images: torch.Tensor) -> list[str]:
    """How many things the counter finds in each picture."""
    numbers = [len(things) for things in counter.things(images.cpu())]
    return [f"{n} thing{'s' * (n != 1)}" for n in numbers]


asked = {
    "as trained": method("direct", WISHES, BASE),
    "1 : 2": method("direct", WISHES, WIDE),
    "2 × 2": method("direct", FEW, LARGE),
}
at_one_scale(asked, {name: counted(images) for name, images in asked.items()})

# %% [markdown]
# **What you should see.** One thing in each picture of the first row, two in each of the second, up
# to four in the third, where some things have grown together and the horizon is there several times
# too. Most of the things are drawn well. The pictures are not *bad*: they are good pictures of
# something nobody asked for.
#
# The numbers are the **counter's**, a small network that was made for this stage. It finds the
# middle of each thing in a toybox picture of any size, and it has an error of its own: of 40 fresh
# drawings at each of these sizes it counted one thing right in all, and two of a kind in 97.5 to
# 100 % (`data/models/counter/README.md`). What was drawn is known exactly there, because code drew
# it. Of photographs nobody knows it so well, and papers on this problem use none.
#
# (The seed of all pictures here is one at which every picture of the second row has several things.
# Of 24 pictures of these prompts with six seeds, 18 had.)

# %% [markdown]
# ## 2 · Two scores in one
#
# Why? Look at the formula again.
#
# $$\hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,(\hat\varepsilon_{\text{text}} -
# \hat\varepsilon_{\text{uncond}})$$
#
# The second part, the **direction**, is what the prompt changes. The first one is what the network
# says of any picture, whatever it shows. Let us look at both. Three drawings, with more noise from
# below to above; each cell has four numbers, and their three principal components are shown as
# red, green and blue. So cells of one colour are pulled the same way.

# %%
drawings = torch.cat(
    [
        from_pil(Image.fromarray(draw(wish, seed, size=(CELL * WIDE[0], CELL * WIDE[1])).image))
        for seed, wish in enumerate(WISHES[:3], start=3)
    ]
).to(prior.device)
clean = prior.encode(drawings).detach()
text, uncond = (
    prior.embed(prompts) for prompts in ([str(wish) for wish in WISHES[:3]], [""] * len(clean))
)
noise = fresh_noise(tuple(clean.shape[1:]), range(len(clean)), device=prior.device)(BEGINNING)
NOISY = (900, 700, 500, 300)
directions, unconditional, pictures = {}, {}, to_pil(drawings) + to_pil(drawings)
for t in NOISY:
    times = torch.full((len(clean),), t, device=prior.device)
    xt = add_noise(clean, noise, prior.alpha_bar(times))
    eps_uncond, eps_text = prior.predict_noise(xt, times, uncond, text)
    directions[t], unconditional[t] = eps_text - eps_uncond, eps_uncond
    for values in (directions[t], eps_uncond):
        pictures += [in_colours(its, drawings.shape[2:]) for its in values]
show(
    pictures,
    [*["direction"] * len(clean), *["unconditional"] * len(clean)],
    columns=2 * len(clean),
    row_titles=["drawing", *(f"t = {t}" for t in NOISY)],
)

# %%
print("correlation of cells that are      1      2      4      6 apart")
for name, scores in (("direction", directions), ("unconditional", unconditional)):
    for t in NOISY:
        near = alike(scores[t], 6)
        print(f"{name:>14}, t = {t}         " + "".join(f"{near[k]:7.2f}" for k in (0, 1, 3, 5)))

# %% [markdown]
# **What you should see.** The direction is a picture of *what is where*. At high noise it is hardly
# more than spots, such as the two bright ones where the boat could be, and bands for sky and
# ground: large areas say the same, and cells that are neighbours have a correlation of more than
# 0.7. Further down it draws the thing itself. The unconditional part looks like noise, because that
# is what it is a guess of: each cell says something else than its neighbour.
#
# So the direction may be had **coarsely**, from few cells, and the rest **locally**, from parts of
# the picture. Neither asks the network about more cells than it was trained for. That is the whole
# idea: a **reference**, a small picture that knows the prompt, and **windows**, which do not.
#
# ### Exercise 1 · `elastic.elastic_eps`
#
# > **5 minutes · difficulty ●○○ · {points of elastic_eps} · CPU**
#
# **Contract.** `local` is the unconditional noise of the windows, `eps_uncond` and `eps_text` are
# those of the reference, brought to the size of the picture; all are `(B, C, h, w)`. Return the
# noise to follow.

# %%
# TODO elastic.elastic_eps

# %%
check("elastic.elastic_eps")

# %%
compare_picture("elastic.elastic_eps")

# %% [markdown]
# **What you should see.** Noise, and no difference.
#
# <details><summary>Help: which of the three is used once?</summary>
#
# The direction is a difference of two predictions of *one* network about *one* picture, the
# reference. Only what it is added to is the windows'.
#
# </details>
#
# <details><summary>Help: my numbers are right for one scale alone.</summary>
#
# Only the direction is multiplied by s. With s = 0 the windows' noise is left, as it is.
#
# </details>

# %% [markdown]
# ## 3 · A cover
#
# Windows lie side by side, so that every cell is **written once**. Around each of them more is
# **read**, because a cell that has no neighbours in sight is predicted badly. At the border of the
# picture there is nothing to read, so there the stretch that is read moves inward: the network
# always gets as many cells as it was trained for.
#
# Where windows meet, each side was predicted by another call. If they always met at the same
# places, these places would show. So the windows **move**: at each step of the sampler the first
# one ends at another `shift`.
#
# ### Exercise 2 · `elastic.cover`
#
# > **20 minutes · difficulty ●●● · {points of cover} · CPU**
#
# **Contract.** One side of `side` cells. Windows write `window` cells, the network reads `read`.
# The first window ends at `shift`, or at `window` if `shift` is 0; the next ones end `window`
# later each, and the last one with the side. What is read begins `(read - window) // 2` cells
# before a window, moved to where it lies in the picture. If `side <= read`, there is one window.
# Return int64 `(K, 4)`: read from, read to, write from, write to.

# %%
# TODO elastic.cover

# %%
check("elastic.cover")

# %%
compare_picture("elastic.cover")

# %% [markdown]
# **What you should see.** Two tables with the same numbers, a row for each window.
#
# <details><summary>Help: where do the windows end?</summary>
#
# `range(first, side, window)` has all ends but the last one. Each end is where the next window
# begins.
#
# </details>
# <details><summary>Help: how do I move what is read?</summary>
#
# Its begin may be no smaller than 0 and no larger than `side - read`.
#
# </details>
# <details><summary>Help: my windows do not fit into the side.</summary>
#
# They need not. The first and the last one are cut off. Only what is *read* has always the same
# length.
#
# </details>

# %%
covers(
    {
        "32 cells": elastic.cover(32, 8, 16, 0),
        "shifted by 5": elastic.cover(32, 8, 16, 5),
        "44 cells, windows of 12, shifted by 4": elastic.cover(44, 12, 16, 4),
    }
)

# %% [markdown]
# **What you should see.** Dark is what a window writes, pale what is read for it. Follow the dark
# bars: they touch, and do not overlap. The pale ones do, and none sticks out.
#
# ## 4 · The local score
#
# The same down and across, and you have windows of a picture. All are put into one call of the
# network, and of each answer only the window is kept.
#
# ### Exercise 3 · `elastic.local_score`
#
# > **15 minutes · difficulty ●●○ · {points of local_score} · CPU**
#
# **Contract.** `rows` and `columns` are covers of the height and of the width of `xt`, `(B, C, h,
# w)`. `predict` takes what all windows read, `(M * N, B, C, a, b)`, rows first, and returns noise
# of the same shape. Call it once. Keep of each window what it is to write.

# %%
# TODO elastic.local_score

# %%
check("elastic.local_score")

# %%
compare_picture("elastic.local_score")

# %% [markdown]
# **What you should see.** Noise put together from windows, and no difference at their borders
# neither.
#
# <details><summary>Help: where is the window in what was read?</summary>
#
# A window that reads from `a` and writes from `top` has what it writes at `top - a`.
#
# </details>
# <details><summary>Help: the shapes do not fit.</summary>
#
# Windows come first, then the pictures of the batch: `torch.stack` of parts `(B, C, a, b)`.
#
# </details>

# %% [markdown]
# A drawing twice as large each way, and three of its windows:

# %%
TALL = tuple(CELL * side for side in LARGE)
large = draw(WISHES[0], 12, size=TALL).image
rows, columns = (elastic.cover(side, KNOWN[0] // 2, KNOWN[0], 5) for side in LARGE)
middle = len(columns) * (len(rows) // 2) + len(columns) // 2
windows_over(
    from_pil(Image.fromarray(large)),
    rows,
    columns,
    numbers=[0, middle, len(rows) * len(columns) - 1],
    cell=CELL,
)

# %% [markdown]
# Is it worth while to read more than is written? We know the answer, because we know the noise. Add
# noise to large drawings, let your windows guess it, once with neighbours and once without, and
# look where in a window the guess is wrong: the mean over all windows and twelve drawings. (About
# five seconds.)

# %%
many = [
    from_pil(Image.fromarray(draw(wish, seed, size=TALL).image))
    for seed in range(3 if EFFORT == 1 else 1)
    for wish in WISHES
]
clean = prior.encode(torch.cat(many).to(prior.device)).detach()
noise = fresh_noise(tuple(clean.shape[1:]), range(len(clean)), device=prior.device)(BEGINNING)
times = torch.full((len(clean),), 300, device=prior.device)
noisy = add_noise(clean, noise, prior.alpha_bar(times))
nothing = prior.embed([""])


def asked_at(t: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """The unconditional noise of many views (K, B, C, a, b) at one timestep, in one call."""

    def predict(views: torch.Tensor) -> torch.Tensor:
        flat = views.flatten(0, 1)
        eps = []
        for some in flat.split(64):  # not more at once, for the memory's sake
            times = torch.full((len(some),), t, device=some.device)
            eps += prior.predict_noise(some, times, joined([nothing] * len(some)))
        return torch.cat(eps).view_as(views)

    return predict


errors = {}
for name, read in (("windows alone", KNOWN[0] // 2), ("with neighbours", KNOWN[0])):
    rows, columns = (elastic.cover(side, KNOWN[0] // 2, read, 0) for side in LARGE)
    with torch.no_grad():
        eps = elastic.local_score(asked_at(300), noisy, rows, columns)
    errors[name] = (eps - noise).square().mean((0, 1)).sqrt()
side = KNOWN[0] // 2
in_window = {
    name: error.unflatten(1, (-1, side)).unflatten(0, (-1, side)).mean((0, 2))
    for name, error in errors.items()
}
maps(in_window, label="error of the noise")

# %%
h, w = LARGE
across = errors["windows alone"]
at_border = torch.zeros(h, w, dtype=torch.bool)
for place in range(KNOWN[0] // 2, h, KNOWN[0] // 2):
    at_border[place - 1 : place + 1], at_border[:, place - 1 : place + 1] = True, True
print("error of the noise     at the windows' borders   elsewhere")
for name, error in errors.items():
    print(f"{name:22}{error[at_border].mean():18.3f}{error[~at_border].mean():17.3f}")

# %% [markdown]
# **What you should see.** On the left a window that sees nothing but itself: it guesses badly, and
# worst along its border. Sampled with such windows, a picture shows a lattice, because at every
# step the two sides of a border are pulled apart. On the right, with neighbours, a window guesses
# nearly as well at its border as in its middle, and everywhere better.
#
# ## 5 · The reference
#
# Now the direction. It is asked of a picture as small as the network likes, of the same aspect. But
# what *is* the small picture of a large noisy one? Not the small picture of the finished one, that
# does not exist yet. And not a mean of cells. The mean of four independent numbers of variance 1
# has variance $1/4$: a noisy picture that is averaged has too little noise in it, and the network,
# which is told the timestep, takes what is left of the noise for a part of the picture.
#
# So a reference is made of *cells of the picture as they are*: each of its cells **reads** one of
# the cells that it stands for. What the network says of it is **written back**, to the cell that
# was read, and to the cells that stand for the same.
#
# ### Exercise 4 · `elastic.from_reference`
#
# > **20 minutes · difficulty ●●● · {points of from_reference} · CPU**
#
# **Contract.** `reads` `(R, hr, wr)` has the number of the cell that each cell of a reference
# reads, `owner` `(h, w)` that of the reference's cell that each cell belongs to; the number of a
# cell is row times width plus column. `predict` takes `(R, B, C, hr, wr)` and returns `(R, B, D,
# hr, wr)`. Call it once. A cell that was read has what was predicted for it, in the last round that
# read it. Another one has what the last round says of its owner.

# %%
# TODO elastic.from_reference

# %%
check("elastic.from_reference")

# %%
compare_picture("elastic.from_reference")

# %% [markdown]
# **What you should see.** Blocks of equal cells, with other cells strewn in where a round has read
# them.
#
# <details><summary>Help: how do I read cells by their number?</summary>
#
# `xt.flatten(2)` has them in one row; `xt.flatten(2)[..., read]` is `(B, C, hr, wr)`.
#
# </details>
# <details><summary>Help: how do I spread a reference over the picture?</summary>
#
# The same way: `predicted.flatten(2)[..., owner]` is `(B, D, h, w)`, because `owner` has a number
# for each cell of the picture.
#
# </details>
# <details><summary>Help: in which order do I write?</summary>
#
# First what fills everything, then round after round. What is written later stays.
#
# </details>

# %% [markdown]
# What a mean does. The large drawings with noise, the small picture of each made in two ways, and
# what the network believes to be in it:

# %%
T_SEEN = 800
times = torch.full((len(FEW),), T_SEEN, device=prior.device)
seen = add_noise(clean[: len(FEW)], noise[: len(FEW)], prior.alpha_bar(times))
reference = reference_size(prior, LARGE)
share = cells(LARGE, reference)
first = share.groups[..., 0]  # the upper left cell of each group
small = {"cells as they are": seen.flatten(2)[..., first]}
small["means of cells"] = F.adaptive_avg_pool2d(seen, reference)
text, uncond = prior.embed([str(wish) for wish in FEW]), prior.embed([""] * len(FEW))
believed = {"drawing": F.avg_pool2d(torch.cat(many[: len(FEW)]), 2)}
for name, xt in small.items():
    eps_uncond, eps_text = prior.predict_noise(xt, times, uncond, text)
    x0 = x0_from_eps(xt, eps_uncond + SCALE * (eps_text - eps_uncond), prior.alpha_bar(times))
    believed[name] = prior.decode(x0).clamp(-1, 1).cpu()
    print(
        f"{name:18} standard deviation {xt.std():.2f}; the network finds noise of "
        f"{eps_text.std():.2f}"
    )
show(
    torch.cat(list(believed.values())),
    columns=len(FEW),
    row_titles=["drawing,\nsmaller", "x0 from\ncells", "x0 from\nmeans"],
)

# %% [markdown]
# **What you should see.** The two lower rows are guesses through a thick fog; this is an
# early step. But the middle row is *smooth*, and the last one is mottled. The network was told that
# there is noise of standard deviation 1. Among the means it finds six tenths of that, and what it
# does not find, it takes for grains of the picture.
#
# ## 6 · Resampling
#
# A reference of 16 × 16 cells for a picture of 32 × 32 reads a quarter of them. The others get what
# was said of a neighbour, and the direction is made of blocks. So read again, other cells, and
# again. To keep the layout still from round to round, not all cells change at once: a part `new_p`
# of them does, and what was read in an earlier round comes last.
#
# ### Exercise 5 · `elastic.next_read`
#
# > **15 minutes · difficulty ●●○ · {points of next_read} · CPU**
#
# **Contract.** Where `chance < new_p`, a cell of the reference reads the cell of its group that has
# the largest `order` among those not `used`; if all were used, among all. Elsewhere it reads what
# it `read` before. Groups are filled up with -1, which is no cell.

# %%
# TODO elastic.next_read

# %%
check("elastic.next_read")

# %%
compare_picture("elastic.next_read")

# %% [markdown]
# **What you should see.** Numbers of cells, as shades of grey, and no difference.
#
# <details><summary>Help: two rules in one order?</summary>
#
# `order` is below 1. Add 1 to what is not used yet, and take 2 from what is not there.
#
# </details>
# <details><summary>Help: how do I look up whether a cell was used?</summary>
#
# `used[groups]` would take -1 for the last cell. `used[groups.clamp(min=0)]`, and mask the -1s.
#
# </details>


# %%
def reads_of(size: tuple[int, int], rounds: int, new_p: float, seed: int = 0) -> torch.Tensor:
    """What the reference of a picture of that size reads, (rounds + 1, hr, wr)."""
    its = cells(size, reference_size(prior, size))
    return all_reads(elastic, its, rounds=rounds, new_p=new_p, seed=seed)


reads_drawn(
    {
        "one round": reads_of(LARGE, 0, 0.3),
        "2 more, new_p = 0.3": reads_of(LARGE, 2, 0.3),
        "2 more, new_p = 1": reads_of(LARGE, 2, 1.0),
        "10 more, new_p = 0.3": reads_of(LARGE, 10, 0.3),
    },
    share.owner,
    side=16,
)

# %%
print("cells that were read    rounds after the first:   0     1     2     4     8")
for new_p in (0.1, 0.3, 1.0):
    part = [len(reads_of(LARGE, n, new_p).unique()) / (h * w) for n in (0, 1, 2, 4, 8)]
    print(f"new_p = {new_p:<40}" + "".join(f"{one:6.0%}" for one in part))

# %% [markdown]
# **What you should see.** Lines part the groups of four. Orange was read first, blue later, grey
# never. With `new_p = 1` three more rounds read everything, because nothing is read twice before
# all has been read once. Every round costs two more questions, and they are the larger part of the
# cost: the published settings have seven to twenty of them.
#
# ### Who draws it twice?
#
# Now you can ask which part is to blame. The direction, or the unconditional score? Take each from
# the whole picture, as `direct` does, or in your way. (About half a minute.)


# %%
def by_parts(wishes: list, size: tuple[int, int], *, windows: bool, small: bool) -> torch.Tensor:
    """Images whose local score comes from windows, and whose direction from a reference, or not."""
    text, uncond = (prior.embed(its) for its in ([str(one) for one in wishes], [""] * len(wishes)))
    its = cells(size, reference_size(prior, size))

    def both(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Unconditional and with the prompt, side by side, (B, 2 C, h, w)."""
        return torch.cat(prior.predict_noise(xt, t, uncond, text), dim=1)

    def predict(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        index = TIMESTEPS.tolist().index(int(t[0]))
        whole = both(xt, t) if not (windows and small) else None
        noise = whole
        if small:
            reads = all_reads(elastic, its, rounds=2, new_p=0.3, seed=index)
            noise = elastic.from_reference(
                lambda asked: torch.stack([both(one, t) for one in asked]), xt, reads, its.owner
            )
        eps_uncond, eps_text = noise.chunk(2, dim=1)
        if windows:
            shift = 3 * index % (KNOWN[0] // 2)
            rows, columns = (elastic.cover(side, KNOWN[0] // 2, KNOWN[0], shift) for side in size)
            local = elastic.local_score(asked_at(int(t[0])), xt, rows, columns)
        else:
            local = whole.chunk(2, dim=1)[0]
        return elastic.elastic_eps(local, eps_uncond, eps_text, SCALE)

    seeds = [1000 * STORY + k for k in range(len(wishes))]
    latents = fresh_noise((4, *size), seeds, device=prior.device)(BEGINNING)
    what = "windows" * windows + " and reference" * small
    for step in progress(steered(predict, latents, **SCHEDULE), what.lstrip(), total=STEPS):
        latents = step.xt
    return prior.decode(latents).clamp(-1, 1)


parts = {
    "both of the\nwhole": asked["1 : 2"],
    "windows,\ndirection of\nthe whole": by_parts(WISHES, WIDE, windows=True, small=False),
    "whole,\ndirection of a\nreference": by_parts(WISHES, WIDE, windows=False, small=True),
    "windows and\nreference": by_parts(WISHES, WIDE, windows=True, small=True),
}
at_one_scale(parts, {name: counted(images) for name, images in parts.items()})

# %% [markdown]
# **What you should see.** Read the rows from above to below.
#
# - Windows, but the direction of the whole picture: the things are as many as before, or more. So
#   **the direction decides what is where**, and asked of a picture that is too wide, it says it
#   twice.
# - The whole picture, but the direction of a reference: larger things, and fewer of them. Cat and
#   tree are alone now, and of the second car little is left. (The boat keeps its second one. A
#   reference of a wide picture is wide itself.)
# - Both from small parts: the same, and next to it **something else**, pale and in nobody's
#   colour. It is the windows'. No prompt tells them what to draw, but every picture that this model
#   was trained on shows a whole scene with a thing in its middle. So each window wants one too.
#
# ## 7 · A pull towards the reference
#
# The reference knows better: in *its* picture there is one thing. So pull. The reference, as a
# picture of its own, has an estimate $\hat x_0$ too. Enlarge it, $r$, each cell repeated for the
# cells that belong to it, and go a part of the way from the picture's estimate to it. Early on,
# where layout is decided, that part is large. Later it must be small, or the picture becomes what
# $r$ is: blocks.
#
# $$\hat x_0 + w(p)\,(r - \hat x_0), \qquad w(p) = w_0 \left(\frac{1 + \cos \frac{\pi p}{1 -
# \text{stop}}}{2}\right)^{k} \text{ up to } p = 1 - \text{stop, then } 0.$$
#
# (The paper writes it as a step along the gradient of a squared error; that gradient *is* this
# difference, so no autograd is needed. Its program divides the error by the number of cells. So the
# same weight pulls a quarter as much in a picture of four times the area, and users are told
# another weight for every size. Ours is that of a cell.)
#
# ### Exercise 6 · `elastic.reduced_resolution_guidance`
#
# > **15 minutes · difficulty ●●○ · {points of reduced_resolution_guidance} · CPU**
#
# **Contract.** `x0` is `(B, C, h, w)`, `x0_reference` `(B, C, hr, wr)`, `owner` `(h, w)`; `weight`
# is $w_0$ and `cosine_scale` is $k$. Return the new estimate.

# %%
# TODO elastic.reduced_resolution_guidance

# %%
check("elastic.reduced_resolution_guidance")

# %%
compare_picture("elastic.reduced_resolution_guidance")

# %% [markdown]
# **What you should see.** Latents in which the blocks of the reference show, and no difference.
#
# <details><summary>Help: the formula goes up again.</summary>
#
# Beyond $1 - \text{stop}$ the cosine rises. There nothing is pulled: return `x0`.
#
# </details>
# <details><summary>Help: how do I repeat the cells?</summary>
#
# As in exercise 4: `x0_reference.flatten(2)[..., owner]`.
#
# </details>

# %%
part_done = [k / 100 for k in range(101)]
one, other = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 1, 1)
owner = torch.zeros(2, 2, dtype=torch.long)
pull = {
    f"stop {stop}, cosine_scale {k}": [
        float(elastic.reduced_resolution_guidance(one, other, owner, 1.0, p, stop, float(k)).mean())
        for p in part_done
    ]
    for stop, k in ((0.2, 1), (0.2, 3), (0.2, 10))
}
curves(part_done, pull, x_label="progress")

# %% [markdown]
# Now all six functions work together in `distillery/methods/elastic.py`. At $2 \times 2$, with a
# pull and without (this takes most of a minute):

# %%
WEIGHTS = (0.0, 1.0)
by_weight = {
    f"weight {weight}": method(
        "elastic", FEW, LARGE, Knobs(elastic=ElasticKnobs(rrg_weight=weight))
    )
    for weight in WEIGHTS
}
at_one_scale(by_weight, {name: counted(images) for name, images in by_weight.items()})

# %% [markdown]
# **What you should see.** Above, without a pull, a big thing of the right colour in the right
# place, and what the windows have added: balloons, flags, wheels. The counter finds ten things in
# the three pictures. Below, with the whole pull at the beginning, it finds four (two of them in the
# boat), and the scene behind them is at rest. The thing itself is still *garbled*. More of this in
# a moment.
#
# ## 8 · MultiDiffusion
#
# The other family keeps the prompt in the windows. Views overlap, each is asked as a whole picture
# with the prompt and with guidance, and where they overlap, they must agree: the new picture is the
# one that is closest to all of them. In squared distance this is a mean, cell by cell.
#
# $$\hat\varepsilon_{ij} = \frac{\sum_k w^k_{ij}\, \hat\varepsilon^k_{ij}}{\sum_k w^k_{ij}}$$
#
# The published weights are all 1. Weights that are small at a view's border hide the border.
#
# ### Exercise 7 · `elastic.merge_views`
#
# > **10 minutes · difficulty ●○○ · {points of merge_views} · CPU**
#
# **Contract.** `views` is `(K, B, C, a, b)`; each lies at its `tops` and `lefts` in a picture of
# `size`. `weights` `(a, b)` say what each place of a view counts. Return the weighted mean of the
# views at every cell, `(B, C, h, w)`.

# %%
# TODO elastic.merge_views

# %%
check("elastic.merge_views")

# %%
compare_picture("elastic.merge_views")

# %% [markdown]
# **What you should see.** Where views overlap, the numbers are smaller than elsewhere: the mean of
# several noises has less variance than one of them.
#
# <details><summary>Help: what is divided?</summary>
#
# Add up weight times value in one picture, and the weights in another. Then divide.
#
# </details>
# <details><summary>Help: it is right, except where views overlap.</summary>
#
# `+=`, not `=`.
#
# </details>

# %% [markdown]
# How much of a cell of the large picture comes from the nearest view? And what is left of noise, if
# every view brings noise of its own?

# %%
tops = starts(LARGE[0], KNOWN[0], KNOWN[0] // 2)
corners = torch.cartesian_prod(tops, tops)
weights = {
    "all alike": view_weights(KNOWN, gaussian=False),
    "Gaussian": view_weights(KNOWN, gaussian=True),
}
left = {}
for name, weight in weights.items():
    own = torch.randn(len(corners), 200, 1, *KNOWN, generator=torch.Generator().manual_seed(0))
    merged = elastic.merge_views(own, corners[:, 0], corners[:, 1], weight, LARGE)
    left[f"noise, weights {name}"] = merged.std(0)[0]
maps(left, label="standard deviation")

# %% [markdown]
# **What you should see.** On the left, with weights that are all alike: at the corners, where there
# is one view, all of the noise; in the middle four views overlap, and half of the standard
# deviation is left. On the right, with Gaussian weights, the nearest view decides nearly alone, and
# noise is lost only between two views. If views *agreed*, nothing would be
# lost; a mean of things that have nothing to do with each other is grey. MultiDiffusion escapes,
# because all views share one noise: at each step they look at the same cells. But where two of them
# want a boat at different places, both are blurred.
#
# ## 9 · What garbles it, and what helps
#
# One thing in the right place, and garbled. There are three suspects.
#
# 1. **The first steps.** They settle what is where. In noise, the reference and the windows settle
#    it together, and they do not agree. A finished small picture would settle it alone: draw one of
#    the same aspect, enlarge it, cover it with noise, and begin half way (SDEdit, stage 5).
# 2. **The reference's direction.** It says one thing for all cells of a group, and guidance makes
#    these blocks five times as strong. The windows can be asked with the prompt too. They do not
#    know what is where, but they know how the cells of a group differ. So take the direction of the
#    reference, and add what that of the windows has above and below the mean of each group.
# 3. **The windows.** All pictures that the model was trained on are whole scenes. A window of blue
#    sky wants a thing. An **adapter** (LoRA, stage 3) has seen windows of larger drawings, most of
#    them without a caption. It is asked for windows only; the small pictures stay with the model.
#
# (About a minute.)

# %%
FROM_SMALL = ElasticKnobs(strength=0.5, rrg_weight=0.0, patch_size=3 * KNOWN[0] // 4)
OWN_DETAILS = replace(FROM_SMALL, own_details=True)
helped = {
    "elastic": method("elastic", FEW, LARGE),
    "1: from a small picture": method("elastic", FEW, LARGE, Knobs(elastic=FROM_SMALL)),
    "1 + 2: details of their own": method("elastic", FEW, LARGE, Knobs(elastic=OWN_DETAILS)),
    "1 + 2 + 3: and the adapter": method(
        "elastic", FEW, LARGE, Knobs(elastic=OWN_DETAILS), local=adapted
    ),
}
at_one_scale(helped, {name: counted(images) for name, images in helped.items()})

# %% [markdown]
# **What you should see.** From above to below. *Elastic* alone: things in pieces, so that the
# counter takes the boat for two. Below, it finds one thing in each picture. *From a small picture*:
# whole shapes with soft edges, and stray colours, as large as the reference's cells. *Details of
# their own*: sharper, but now each window wants something of its own again; look at what the cat is
# made of, and at the bottle in the boat's sky. *With the adapter*: one cat, and no bottle. What the
# small picture had wrong stays wrong, such as the post behind the car.
#
# ## 10 · All together
#
# People who have no time for papers take the first cure alone: draw small, enlarge, cover it with
# noise, and let the model draw over the whole of it. Programs call it *hires fix*, here it is
# `upscale`. A method is worth what it gains over *that*, not over `direct`. A newer way keeps it
# nearly as simple: **Upsample Guidance** (Hwang, Park and Jo 2024) gives the noise, at each step,
# the low frequencies that the model predicts in a small picture. Here it begins with the enlarged
# picture, too.
#
# All of them, with what each costs. The unit is a **network sample**: a picture of the trained
# size, asked about once, so that plain guidance at the trained size takes 2 a step. First pictures
# twice as wide, about half a minute.

# %%
LATER = Knobs(strength=0.5, elastic=OWN_DETAILS)
METHODS = {  # which method, its knobs, and who is asked about the large picture
    "direct": ("direct", Knobs(), prior),
    "MultiDiffusion": ("multidiffusion", Knobs(), prior),
    "upscale": ("upscale", Knobs(strength=0.4), prior),
    "upscale, adapter": ("upscale", LATER, adapted),
    "upsample guidance": ("upsample-guidance", LATER, adapted),
    "elastic": ("elastic", LATER, adapted),
}
MANY = {"1 : 2": (WISHES, WIDE), "2 × 2": (FEW, LARGE)}
made, seconds = {}, {}


def sheet(size_name: str):
    """Pictures by each method, a row for each, with its counts."""
    wishes, size = MANY[size_name]
    for name, (kind, knobs, local) in METHODS.items():
        clock = time.perf_counter()
        made[name, size_name] = method(kind, wishes, size, knobs, local=local)
        seconds[name, size_name] = (time.perf_counter() - clock) / len(wishes)
    rows = {name: made[name, size_name] for name in METHODS}
    return at_one_scale(rows, {name: counted(images) for name, images in rows.items()})


sheet("1 : 2")

# %% [markdown]
# And twice as large each way, most of a minute:

# %%
sheet("2 × 2")

# %% [markdown]
# To measure: **things**, the counter's number; **one right**, exactly one thing, and the
# judge says it is the one of the prompt in its colour; **sharpness**, the mean step between
# neighbouring pixels, beside that of `direct`.


# %%
def sharpness(images: torch.Tensor) -> float:
    """The mean absolute difference of neighbouring pixels."""
    return float(images.diff(dim=2).abs().mean() + images.diff(dim=3).abs().mean())


print("                         things   one right   sharpness   samples a step   seconds")
for size_name, (wishes, size) in MANY.items():
    for name, (kind, knobs, _) in METHODS.items():
        images = made[name, size_name].cpu()
        inside = named(images, counter=counter, judge=judge)
        things = sum(len(one.things) for one in inside) / len(inside)
        right = sum(one.one_right(wish) for one, wish in zip(inside, wishes, strict=True))
        relative = sharpness(images) / sharpness(made["direct", size_name])
        samples = sum(network_samples(prior, kind, size, knobs, steps=STEPS).values()) / STEPS
        print(
            f"{size_name}  {name:18}{things:7.1f}{right:7} of {len(wishes)}{relative:11.2f}"
            f"{samples:15.1f}{seconds[name, size_name]:13.1f}"
        )

# %% [markdown]
# **What you should see.** `direct` mostly repeats the thing, and MultiDiffusion repeats it more:
# each of its views is told the prompt. (For a fleet that is just right.) All others begin with a
# small picture, and have one thing in 23 of 28 pictures. `upscale` alone spoils some at 2 × 2: it
# draws small cats into the large one, and tears the car. With the adapter it does not, though
# at 1 : 2 the counter still finds two things in the cat and in the car. Upsample guidance and
# elastic are about as clean. Not all that is odd comes from them: at 2 × 2 with the adapter, the
# mast is green by every method.
#
# Seven pictures decide nothing. Here are more prompts, measured by `python -m benchmarks.elastic`,
# and the drawings of the toybox, through the same autoencoder, as what a perfect model would draw.
# The numbers behind the names are strengths. (Its sharpness is another one, by the Laplacian.)

# %%
print(measured_table(REPOSITORY / "data/elastic/benchmark.json", size="2x"))

# %% [markdown]
# **What it says.** `direct` and MultiDiffusion never draw the one thing that was asked for.
# Whatever begins with a small picture mostly does. Then the adapter counts for more than the
# method: with it, `upscale` rises from 77 to 92 %, and nothing is drawn twice. Elastic is *not*
# ahead of it. It has one thing nearly as often, but the wrong colour more often, for three times
# the samples.
# So what was wrong with `upscale` was the model, which knew no parts of pictures; asking it in
# windows, with a direction from elsewhere, cured less than teaching it.
#
# With the adapter pictures are no sharper than drawings; what makes them sharper without it is
# clutter. At 3 × 3 it is the same: 54 % for `upscale`, 79 % with the adapter, 67 % for elastic (24
# prompts). At 1 : 2 windows are as high as the picture, nearly whole scenes, and the adapter gains
# nothing: `upscale` has 77 % without it and 60 % with it, elastic 56 %, so `main.py elastic` leaves
# it out there. (With 48 prompts, a share may be off by 12 to 14 %.)
#
# ## 11 · Look inside
#
# A run of your functions, step by step: move the slider, or press play. Left the windows; the
# network read the bright part to write the orange one. In the middle the cells that the reference
# read, orange in the first round, blue in a later one. Right the reference's own estimate, to which
# the picture is pulled. (Recording the run takes some seconds.)

# %%
moments = recorded(task(WISHES[:1], WIDE, Knobs()))
StepViewer(moments)

# %% [markdown]
# The same run, its direction and its unconditional score in colours, as in section 2.

# %%
ScorePlayer(moments)

# %% [markdown]
# ## 12 · Yours
#
# Any prompt of the toybox (`distillery.toybox` has `THINGS`, `COLOURS` and `SCENES`), any size
# whose sides are multiples of 8 pixels. Two pictures by each of the six methods take about half a
# minute.

# %%
YOUR_PROMPT = "a purple castle in the snow"
YOUR_SIZE = (64, 160)  # height and width in pixels
YOUR_SEEDS = [0, 1]

# %%
yours = {}
cells_of_it = tuple(side // CELL for side in YOUR_SIZE)
for name, (kind, knobs, local) in METHODS.items():
    yours[name, YOUR_SIZE] = torch.cat(
        [
            method(kind, [YOUR_PROMPT], cells_of_it, knobs, seed=seed, local=local)
            for seed in YOUR_SEEDS
        ]
    )
SizeExplorer(yours, counter=counter)

# %% [markdown]
# In a terminal, `python main.py elastic --prompt "a purple castle in the snow" --height 64 --width
# 160` draws one with your functions, says before it begins what it will cost, and has a flag for
# every knob. `--pca` saves the pictures of section 11.
#
# ## Bug hunt
#
# Ungraded, and worth more than the points.
#
# ### Case 1 · The line-up
#
# Five students wrote `local_score`, each with one mistake. Here is the noise that their functions
# put together in the check, and a list of the five mistakes. Who made which?

# %%
suspects = LineUp(
    "elastic.local_score",
    (
        "local_without_context",
        "local_with_context_written",
        "local_averaged",
        "local_from_the_middle",
        "local_without_the_last",
    ),
    seed=5,
)
suspects.figure()

# %%
suspects.accuse(A=None, B=None, C=None, D=None, E=None)  # write a number in place of each None

# %% [markdown]
# {answer to bug_hunt_1}
#
# ### Case 2 · Bricks, seams and stray pieces
#
# A colleague wrote ElasticDiffusion by hand, with your functions, which are right. There are
# **three** bugs in the loop. None of them raises an error. One makes bricks, one makes seams, and
# one brings along pieces of other things. Once all three are gone, the pictures look like those of
# "elastic" below, which the course drew.


# %%
def by_hand(wishes: list, size: tuple[int, int]) -> torch.Tensor:
    """Images (B, 3, H, W), or so the author believes."""
    text, uncond = (prior.embed(its) for its in ([str(one) for one in wishes], [""] * len(wishes)))
    its = cells(size, reference_size(prior, size))
    seeds = [1000 * STORY + k for k in range(len(wishes))]
    xt = fresh_noise((4, *size), seeds, device=prior.device)(BEGINNING)
    window = KNOWN[0] // 2

    def small(references: torch.Tensor) -> torch.Tensor:
        """Unconditional and with the prompt, of references (R, B, C, hr, wr)."""
        return torch.stack(
            [torch.cat(prior.predict_noise(one, times, uncond, text), dim=1) for one in references]
        )

    def windows(views: torch.Tensor) -> torch.Tensor:
        """The noise of views (K, B, C, a, b)."""
        return torch.stack([prior.predict_noise(one, times, text)[0] for one in views])

    for index in range(STEPS):
        t, t_next = TIMESTEPS[index], TIMESTEPS[index + 1]
        alpha_bar = prior.alphas_cumprod[t]
        alpha_bar_next = prior.alphas_cumprod[t_next] if t_next >= 0 else torch.ones(())
        times = t.expand(len(xt))
        reads = all_reads(elastic, its, rounds=2, new_p=0.3, seed=index)
        rows, columns = (elastic.cover(side, window, window, 0) for side in size)
        with torch.no_grad():
            eps_uncond, eps_text = elastic.from_reference(small, xt, reads, its.owner).chunk(2, 1)
            local = elastic.local_score(windows, xt, rows, columns)
        eps = elastic.elastic_eps(local, eps_uncond, eps_text, SCALE)
        x0 = x0_from_eps(xt, eps, alpha_bar)
        guided = eps_uncond + SCALE * (eps_text - eps_uncond)
        x0_reference = x0_from_eps(xt, guided, alpha_bar).flatten(2)[..., reads[-1]]
        progress = index // STEPS
        x0 = elastic.reduced_resolution_guidance(
            x0, x0_reference, its.owner, 1.0, progress, 0.2, 3.0
        )
        xt = add_noise(x0, eps, alpha_bar_next)
    return prior.decode(xt).clamp(-1, 1)


hunted = by_hand(WISHES[:2], WIDE)
at_one_scale({"by hand?": hunted, "elastic": method("elastic", WISHES[:2], WIDE)})

# %% [markdown]
# <details><summary>Help: how do I find out which line it is?</summary>
#
# One suspicion, one experiment. Print the progress at every step. Print the rows of the cover. Ask
# what each call of the network is told, and compare with the figure of section 6.
#
# </details>
# <details><summary>Help: I have two of the three.</summary>
#
# A pull that never ends makes the picture as coarse as what it is pulled to. A window that reads
# what it writes has no neighbours in sight. A window that hears the prompt draws what it says.
#
# </details>
#
# {answer to bug_hunt_2}

# %% [markdown]
# ## Dares
#
# Ungraded. The first comes with code that runs; the others are yours.
#
# ### Dare 1 · Windows of another size
#
# Small windows with many neighbours, or large ones with few?

# %%
by_window = {
    f"windows of {window}": method(
        "elastic", WISHES[:2], WIDE, Knobs(elastic=ElasticKnobs(patch_size=window))
    )
    for window in (4, 8, 14)
}
at_one_scale(by_window, {name: counted(images) for name, images in by_window.items()})

# %% [markdown]
# ### Nine more
#
# 2. **A panorama.** A picture four times as wide as high. Which method do you want, and why another
#    one than for a boat? (`"the desert"` is no prompt of the toybox. Try it.)
# 3. **As published.** Seven rounds, a padded reference, the step taken twice. What do you pay, what
#    do you get?
# 4. **Seams, measured.** Stop the windows from moving. Shift them by half a window: where they
#    moved away, is the picture smoother than before?
# 5. **Prompts for windows.** Give each window the prompt too, at a tenth of the scale. When does
#    the second boat come back?
# 6. **Later.** Use the reference's direction only for the first half of the steps, and the whole
#    picture's after that. What does it cost? Count.
# 7. **Upscale with windows.** Draw over the enlarged picture with your `local_score` in place of
#    the whole. Sharper? How many things?
# 8. **Cheaper.** Same quality for half the samples: fewer rounds late, or early?
# 9. **Three times.** 3 × 3, with groups of nine cells. What breaks first?
# 10. **The real one.** With a GPU, `MODEL = "sd15"` and 512 × 1024. Is it the same part that draws
#     it twice?
#
# {answers to dares}

# %% [markdown]
# ## What you hand in
#
# > **a minute of waiting · {points of pictures} · CPU**
#
# Together with this notebook you hand in pictures of 64 × 128, drawn by your own functions, and
# their CLIP scores. Prompts, seeds and settings are the same for everybody; they are in
# `data/hand_in.yaml`. In a terminal, in the course folder:
#
# ```sh
# python main.py hand_in 06_elastic
# ```
#
# Then the pictures and `eval.json` are in `outputs/06_elastic/`. A run that was stopped continues
# where it stopped. Finished pictures are drawn again only if your code has changed. The grader
# scores the pictures again, and draws some of them again with the code that you hand in. (CLIP does
# not count: most of the mistakes that draw a second thing earn these points too. Your functions are
# graded by their checks.)

# %%
hand_in("06_elastic")

# %% [markdown]
# ## What you now have
#
# - You split a score in two, and know which part says *what is where*.
# - You tiled a picture without seams: written once, read with neighbours, moved at every step.
# - You know why noise must not be averaged, and what is lost where it is.
# - You **counted**, and did not believe a method because its pictures look better than no method.
#
# Your functions are in `guidance/elastic.py`.

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
# | $h$, $w$ | `side` | height and width of the latents, in cells |
# | $r$ | | the reference's $\hat x_0$, each cell repeated for the cells that belong to it |
# | $p$ | `progress` | how much of the run is done, from 0 to 1 |
# | $w(p)$, $w_0$ | `weight` | how strong the pull to the reference is, now and at the beginning |
# | $\text{stop}$ | `stop` | the last part of the run, without a pull |
# | $k$ (section 7) | `cosine_scale` | how quickly the pull fades |
# | $k$ (section 8) | | the number of a view |
# | $w^k_{ij}$ | `weights` | how much the view $k$ counts at row $i$ and column $j$ |
# | $\hat\varepsilon^k_{ij}$ | `views[k]` | what the view $k$ says there |
#
# ## Further reading
#
# - M. Haji-Ali, G. Balakrishnan, V. Ordonez, *ElasticDiffusion: training-free arbitrary size image
#   generation*, [arXiv 2311.18822](https://arxiv.org/abs/2311.18822): sections 2 to 7.
# - O. Bar-Tal and others, *MultiDiffusion: fusing diffusion paths for controlled image
#   generation*, [arXiv 2302.08113](https://arxiv.org/abs/2302.08113): section 8.
# - J. Hwang, Y.-H. Park, J. Jo, *Upsample guidance: scale up diffusion models without training*,
#   [arXiv 2404.01709](https://arxiv.org/abs/2404.01709): section 10.
# - Y. He and others, *ScaleCrafter: tuning-free higher-resolution visual generation with diffusion
#   models*, [arXiv 2310.07702](https://arxiv.org/abs/2310.07702): another cure: dilated
#   convolutions in the network itself.
# - R. Du and others, *DemoFusion: democratising high-resolution image generation*,
#   [arXiv 2311.16973](https://arxiv.org/abs/2311.16973): larger step by step, each from the one
#   before.
# - E. Hu and others, *LoRA: low-rank adaptation of large language models*,
#   [arXiv 2106.09685](https://arxiv.org/abs/2106.09685): the adapter of section 9.
