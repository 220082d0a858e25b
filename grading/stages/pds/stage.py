"""The facts of the stage: its notebook, its tasks and their points, and what they need."""

from grading.stages.stage import Stage

STAGE = Stage(
    "02_pds",
    "pds",
    {
        "posterior_coefficients": 2,
        "stochastic_latent": 3,
        "pds_loss": 5,
        "dds_loss": 2,
    },
    title="editing: what keeps the source, and how it depends on the stride",
    minutes=105,
    makes="a picture that you edited by a sentence, with the rest kept",
    pictures=4,
    models=("tiny-sd",),
    tried=(
        "pds_flipped",
        "pds_with_swapped_prompts",
        "pds_with_source_prompt_twice",
        "pds_with_edit_prompt_twice",
        "pds_without_guidance",
        "pds_with_swapped_branches",
        "pds_with_unguided_source",
        "pds_without_source",
        "pds_with_fresh_noise",
        "pds_one_step_up",
    ),
)
