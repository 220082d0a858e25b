"""The facts of the stage: its notebook, its tasks and their points, and what they need."""

from grading.stages.stage import Stage

STAGE = Stage(
    "00_tour",
    "tour",
    {
        "add_noise": 2,
        "predict_x0": 2,
        "classifier_free_guidance": 2,
    },
    title="noise, denoising, classifier-free guidance",
    minutes=50,
    makes="a sampler of your own, and pictures of your prompt drawn by it",
    models=("tiny-sd",),
)
