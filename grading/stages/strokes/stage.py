"""The facts of the stage: its notebook, its tasks and their points, and what they need."""

from grading.stages.stage import Stage

STAGE = Stage(
    "05_strokes",
    "strokes",
    {
        "paint": 2,
        "faithfulness_loss": 3,
        "sdedit_start": 2,
        "x0_estimate": 2,
        "burst": 5,
        "region_bias": 3,
        "compose_scores": 3,
    },
    title="stroke paintings: SDEdit, GradOP+ and words that are bound to regions",
    minutes=150,
    makes="a real picture from your own coarse painting",
    pictures=4,
    models=("tiny-sd", "tiny-sd-two-things"),
    data=("strokes",),
    tried=(
        "start_inverted",
        "start_without_noise",
        "burst_uphill",
        "burst_without_noise",
    ),
)
