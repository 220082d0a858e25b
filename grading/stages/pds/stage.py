"""The facts of the stage: its notebook, its tasks and their points, its pictures."""

from grading.stages.stage import Stage

STAGE = Stage(
    "02_pds",
    "pds",
    {"posterior_coefficients": 2, "stochastic_latent": 3, "pds_loss": 5, "dds_loss": 2},
    pictures=4,
)
