"""The stages: which notebook asks for which functions, and what each is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from distillery.errors import CourseError


@dataclass(frozen=True)
class Stage:
    """One notebook and the module that its answers are saved in.

    folder: of the notebook under notebooks/, and its name; also the nbgrader assignment.
    module: name in guidance/ and reference/.
    points: function -> points, in the order of the notebook.
    pictures: points of the pictures that data/hand_in.yaml asks for; 0 where it asks for none.
    """

    folder: str
    module: str
    points: dict[str, float]
    pictures: float = 0

    @property
    def notebook(self) -> PurePosixPath:
        return PurePosixPath("notebooks", self.folder, f"{self.folder}.ipynb")

    def sentence(self, function: str) -> str:
        """What a stub says when it is called."""
        number = list(self.points).index(function) + 1
        return f"{self.module}.{function} is still to do: {self.notebook}, task {number}."


STAGES = (
    Stage("00_tour", "tour", {"add_noise": 2, "predict_x0": 2, "classifier_free_guidance": 2}),
    Stage("01_sds", "sds", {"sample_timesteps": 2, "sds_grad": 4, "sds_loss": 3}, pictures=4),
    Stage(
        "02_pds",
        "pds",
        {"posterior_coefficients": 2, "stochastic_latent": 3, "pds_loss": 5, "dds_loss": 2},
        pictures=4,
    ),
    Stage("03_vsd", "vsd", {"vsd_grad": 4, "lora_loss": 3, "alternating_step": 3}, pictures=4),
    Stage(
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
    ),
)


def stage_of(assignment: str) -> Stage:
    """The stage of an nbgrader assignment, such as 01_sds.

    Raises:
        CourseError: there is none of this name.
    """
    for stage in STAGES:
        if stage.folder == assignment:
            return stage
    names = ", ".join(stage.folder for stage in STAGES)
    raise CourseError(f"there is no stage {assignment!r}; there are {names}.")
