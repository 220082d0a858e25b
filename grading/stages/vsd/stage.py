"""The facts of the stage: its notebook, its tasks and their points, and what they need."""

from grading.stages.stage import Stage

STAGE = Stage(
    "03_vsd",
    "vsd",
    {
        "vsd_grad": 4,
        "lora_loss": 3,
        "alternating_step": 3,
    },
    title="the distribution, not the mode: a LoRA that learns what the pictures look like",
    minutes=80,
    makes="several different pictures of one prompt, and the LoRA that kept them apart",
    pictures=4,
    models=("tiny-sd",),
    tried=(
        "grad_of_vsd_flipped",
        "grad_of_vsd_with_lora_as_prior",
        "grad_of_vsd_with_swapped_branches",
        "grad_of_vsd_squared",
        "step_of_particles_alone",
        "step_of_lora_alone",
    ),
)
