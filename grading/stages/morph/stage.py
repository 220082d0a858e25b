"""The facts of the stage: its notebook, its tasks and their points, and what they need."""

from grading.stages.stage import Stage

STAGE = Stage(
    "07_morph",
    "morph",
    {
        "lora_forward": 2,
        "finetune_loss": 4,
        "slerp": 3,
        "noise_path": 3,
        "prompt_path": 2,
        "shared_palette": 3,
        "hold_colours": 3,
    },
    title="from one prompt to the next: a style by LoRA, a path of prompts and noise, pixels that "
    "stay",
    minutes=150,
    makes="a looping pixel-art GIF that goes from prompt to prompt, in a style that you taught",
    pictures=4,
    models=("tiny-sd", "tiny-sd-pixel", "tiny-sd-sticker", "style-judge"),
    data=("morph",),
    tried=(
        "noise_of_every_frame",
        "noise_of_each_part",
        "slerp_along_the_line",
        "hold_the_first_frame",
    ),
)
