"""The facts of the stage: its notebook, its tasks and their points, its pictures."""

from grading.stages.stage import Stage

STAGE = Stage("03_vsd", "vsd", {"vsd_grad": 4, "lora_loss": 3, "alternating_step": 3}, pictures=4)
