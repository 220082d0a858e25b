"""The facts of the stage: its notebook, its tasks and their points, its pictures."""

from grading.stages.stage import Stage

STAGE = Stage("01_sds", "sds", {"sample_timesteps": 2, "sds_grad": 4, "sds_loss": 3}, pictures=4)
