"""The facts of the stage: its notebook, its tasks and their points, and what they need."""

from grading.stages.stage import Stage

STAGE = Stage(
    "06_elastic",
    "elastic",
    {
        "elastic_eps": 2,
        "cover": 4,
        "local_score": 3,
        "from_reference": 4,
        "next_read": 3,
        "reduced_resolution_guidance": 3,
        "merge_views": 2,
    },
    title="pictures of any size: ElasticDiffusion, MultiDiffusion and what they are for",
    minutes=150,
    makes="a panorama, and pictures of any size from a model that knows one",
    pictures=4,
    models=("tiny-sd", "tiny-sd-any-size", "counter"),
    data=("elastic",),
    tried=(
        "eps_away_from_the_windows",
        "local_from_the_middle",
        "rrg_away",
        "eps_of_the_reference",
    ),
)
