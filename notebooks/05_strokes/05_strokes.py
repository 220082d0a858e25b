# %% [markdown]
# # Stage 5 · Stroke paintings: paint it coarsely, get it real
#
# *{summary}. Everything here runs on a laptop's CPU.*
#
# {graded}

# %%
from distillery.course.check import check, compare_picture
from distillery.course.submission_pictures import hand_in

# %load_ext distillery.todo

# %% [markdown]
# ### Exercise 1 · `strokes.paint`
#
# > **10 minutes · difficulty ●●○ · {points of paint} · CPU**

# %%
# TODO strokes.paint

# %%
check("strokes.paint")

# %%
compare_picture("strokes.paint")

# %% [markdown]
# ### Exercise 2 · `strokes.faithfulness_loss`
#
# > **10 minutes · difficulty ●●○ · {points of faithfulness_loss} · CPU**

# %%
# TODO strokes.faithfulness_loss

# %%
check("strokes.faithfulness_loss")

# %%
compare_picture("strokes.faithfulness_loss")

# %% [markdown]
# ### Exercise 3 · `strokes.sdedit_start`
#
# > **10 minutes · difficulty ●●○ · {points of sdedit_start} · CPU**

# %%
# TODO strokes.sdedit_start

# %%
check("strokes.sdedit_start")

# %%
compare_picture("strokes.sdedit_start")

# %% [markdown]
# ### Exercise 4 · `strokes.x0_estimate`
#
# > **10 minutes · difficulty ●●○ · {points of x0_estimate} · CPU**

# %%
# TODO strokes.x0_estimate

# %%
check("strokes.x0_estimate")

# %%
compare_picture("strokes.x0_estimate")

# %% [markdown]
# ### Exercise 5 · `strokes.burst`
#
# > **10 minutes · difficulty ●●○ · {points of burst} · CPU**

# %%
# TODO strokes.burst

# %%
check("strokes.burst")

# %%
compare_picture("strokes.burst")

# %% [markdown]
# ### Exercise 6 · `strokes.region_bias`
#
# > **10 minutes · difficulty ●●○ · {points of region_bias} · CPU**

# %%
# TODO strokes.region_bias

# %%
check("strokes.region_bias")

# %%
compare_picture("strokes.region_bias")

# %% [markdown]
# ### Exercise 7 · `strokes.compose_scores`
#
# > **10 minutes · difficulty ●●○ · {points of compose_scores} · CPU**

# %%
# TODO strokes.compose_scores

# %%
check("strokes.compose_scores")

# %%
compare_picture("strokes.compose_scores")

# %% [markdown]
# ## What you hand in
#
# > **a minute or two of waiting · {points of pictures} · CPU**
#
# In a terminal, in the course folder: `python main.py hand_in 05_strokes`

# %%
hand_in("05_strokes")
