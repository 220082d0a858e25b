"""The facts of the stage: its notebook, its tasks and their points, and what they need."""

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
    title="palette-exact pixel art through SDXL and ControlNets, "
    "down to the chart to stitch it from",
    minutes=100,
    makes="pixel art in a palette of yours, and a chart to stitch it from",
    pictures=4,
    sequels=("04_pixelart_part2",),
    models=(
        "tiny-caption",
        "tiny-controlnet-*",
        "tiny-depth",
        "tiny-sdxl",
    ),
    data=("pixelart",),
    tried=(
        "sdxl_flipped",
        "sdxl_with_swapped_branches",
        "sdxl_without_guidance",
        "painted_from_bytes",
        "gumbel_over_columns",
        "sdxl_without_eps",
    ),
)
