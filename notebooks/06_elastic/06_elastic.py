# %% [markdown]
# # Stage 6 · Elastic: any size from a model that knows one
#
# *{summary}. Everything here runs on
# a laptop's CPU.*
#
# {graded}
#
# A diffusion model is trained at one size. Ask it for a picture twice as wide, and it draws the
# thing twice: each part of the picture looks to it like a whole one. In this stage you write the
# parts of **ElasticDiffusion** (CVPR 2024, arXiv 2311.18822), which takes *what is where* from a
# small picture and *how neighbours fit together* from windows, and the mean that
# **MultiDiffusion** (arXiv 2302.08113) is made of.

# %%
MODEL = "tiny-sd"  # on a GPU: "sd15"

# %%
# %load_ext distillery.todo
from distillery import check, compare_picture

# %% [markdown]
# ## 1 · The score, split
#
# Guidance is a sum of two parts,
#
# $$\hat\varepsilon = \hat\varepsilon_{\text{uncond}} + s\,(\hat\varepsilon_{\text{text}} -
# \hat\varepsilon_{\text{uncond}}).$$
#
# The second one says *what* is *where*. It can be had from a small picture, the **reference**. The
# first one says how neighbouring cells fit together. It can be had window by window.
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
# <details><summary>Help: which of the three is used once?</summary>
#
# The direction is a difference of two predictions of *one* network about *one* picture, the
# reference. Only what it is added to is the windows'.
#
# </details>

# %% [markdown]
# ## 2 · A cover
#
# Windows lie side by side, so that every cell is **written once**. Around each of them more is
# **read**, because a cell that has no neighbours in sight is predicted badly. At the border of the
# picture there is nothing to read, so there the stretch that is read moves inward.
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

# %% [markdown]
# ## 3 · The local score
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
# <details><summary>Help: where is the window in what was read?</summary>
#
# A window that reads from `a` and writes from `top` has what it writes at `top - a`.
#
# </details>

# %% [markdown]
# ## 4 · The reference
#
# A reference is made of *cells of the picture as they are*. The mean of four cells of noise has
# half the standard deviation, and a network that expects noise sees hardly any. So each cell of the
# reference reads one of the cells that it stands for. Several rounds read others.
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
# <details><summary>Help: how do I read cells by their number?</summary>
#
# `xt.flatten(2)` has them in one row; `xt.flatten(2)[..., read]` is `(B, C, hr, wr)`.
#
# </details>
# <details><summary>Help: in which order do I write?</summary>
#
# First what fills everything, then round after round. What is written later stays.
#
# </details>

# %% [markdown]
# ## 5 · Resampling
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
# <details><summary>Help: two rules in one order?</summary>
#
# `order` is below 1. Add 1 to what is not used yet, and take 2 from what is not there.
#
# </details>

# %% [markdown]
# ## 6 · A pull towards the reference
#
# ### Exercise 6 · `elastic.reduced_resolution_guidance`
#
# > **15 minutes · difficulty ●●○ · {points of reduced_resolution_guidance} · CPU**
#
# With $r$ the estimate of the reference, each of its cells repeated for the cells that belong to
# it, and $p$ the progress,
#
# $$\hat x_0 + w(p)\,(r - \hat x_0), \qquad w(p) = w_0 \left(\frac{1 + \cos \frac{\pi p}{1 -
# \text{stop}}}{2}\right)^{k} \text{ up to } p = 1 - \text{stop, then } 0.$$
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
# <details><summary>Help: the formula goes up again.</summary>
#
# Beyond $1 - \text{stop}$ the cosine rises. There nothing is pulled: return `x0`.
#
# </details>

# %% [markdown]
# ## 7 · MultiDiffusion's mean
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
# <details><summary>Help: what is divided?</summary>
#
# Add up weight times value in one picture, and the weights in another. Then divide.
#
# </details>

# %% [markdown]
# ## What you now have
#
# Your functions are in `guidance/elastic.py`.
