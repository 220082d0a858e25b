"""The facts of the stage: its notebook, its tasks and their points, its pictures."""

from grading.stages.stage import Stage

STAGE = Stage(
    "04_pixelart",
    "pixelart",
    {
        "paint": 1,
        "gumbel_softmax": 2,
        "straight_through": 2,
        "logits_from_image": 2,
        "kmeans_step": 2,
        "fft_loss": 2,
        "bounded_timesteps": 1,
        "sdxl_grad": 4,
    },
    pictures=4,
)
