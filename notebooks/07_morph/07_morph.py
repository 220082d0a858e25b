# %% [markdown]
# # Stage 7 · Morph: teach the model a style, then make it move
#
# *{summary}. Everything here runs on
# a laptop's CPU.*
#
# {graded}

# %%
MODEL = "tiny-sd"  # on a GPU: "sd15"

# %%
# %load_ext distillery.todo
from distillery import check, compare_picture

# %% [markdown]
# ## 1 · Turn, do not cross
#
# ### Exercise 1 · `morph.slerp`
#
# > **15 minutes · difficulty ●●○ · {points of slerp} · CPU**

# %%
# TODO morph.slerp

# %%
check("morph.slerp")

# %%
compare_picture("morph.slerp")

# %% [markdown]
# ## 2 · A path of prompts
#
# ### Exercise 2 · `morph.prompt_path`
#
# > **10 minutes · difficulty ●●○ · {points of prompt_path} · CPU**

# %%
# TODO morph.prompt_path

# %%
check("morph.prompt_path")

# %%
compare_picture("morph.prompt_path")

# %% [markdown]
# ## 3 · A path of noise
#
# ### Exercise 3 · `morph.noise_path`
#
# > **15 minutes · difficulty ●●○ · {points of noise_path} · CPU**

# %%
# TODO morph.noise_path

# %%
check("morph.noise_path")

# %%
compare_picture("morph.noise_path")

# %% [markdown]
# ## 4 · A layer that learns a little
#
# ### Exercise 4 · `morph.lora_forward`
#
# > **10 minutes · difficulty ●○○ · {points of lora_forward} · CPU**

# %%
# TODO morph.lora_forward

# %%
check("morph.lora_forward")

# %%
compare_picture("morph.lora_forward")

# %% [markdown]
# ## 5 · The loss of a fine-tuning
#
# ### Exercise 5 · `morph.finetune_loss`
#
# > **20 minutes · difficulty ●●● · {points of finetune_loss} · CPU**

# %%
# TODO morph.finetune_loss

# %%
check("morph.finetune_loss")

# %%
compare_picture("morph.finetune_loss")

# %% [markdown]
# ## 6 · One palette for all frames
#
# ### Exercise 6 · `morph.shared_palette`
#
# > **15 minutes · difficulty ●●○ · {points of shared_palette} · CPU**

# %%
# TODO morph.shared_palette

# %%
check("morph.shared_palette")

# %%
compare_picture("morph.shared_palette")

# %% [markdown]
# ## 7 · Pixels that stay
#
# ### Exercise 7 · `morph.hold_colours`
#
# > **20 minutes · difficulty ●●○ · {points of hold_colours} · CPU**

# %%
# TODO morph.hold_colours

# %%
check("morph.hold_colours")

# %%
compare_picture("morph.hold_colours")

# %% [markdown]
# ## What you now have
#
# Your functions are in `guidance/morph.py`.
