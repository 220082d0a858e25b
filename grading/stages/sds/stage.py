"""The facts of the stage: its notebook, its tasks and their points, and what they need."""

from grading.stages.stage import Stage

STAGE = Stage(
    "01_sds",
    "sds",
    {
        "sample_timesteps": 2,
        "sds_grad": 4,
        "sds_loss": 3,
    },
    title="score distillation: from DreamFusion's formula to a picture",
    minutes=80,
    makes="a picture distilled from a prompt, and the curve of how it came about",
    pictures=4,
    models=("tiny-sd",),
    tried=(
        "t_always_the_middle",
        "grad_with_swapped_branches",
        "grad_guided_from_text",
        "grad_without_guidance",
        "grad_without_eps",
        "grad_flipped",
        "grad_weighted_by_signal",
        "grad_predicted_at_x0",
        "grad_against_fresh_noise",
        "grad_with_alpha_of_one_step",
        "grad_squared",
        "loss_towards_grad",
    ),
)
