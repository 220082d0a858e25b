"""The two scores of ElasticDiffusion at every step, as colours."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from distillery.methods.score_pca import principal_axes, rgb_components
from distillery.notebook.elastic.panels import Frame, Panels
from distillery.notebook.elastic.recording import Moment

LARGEST = 384  # pixels of a picture's longer side on the screen, about
NAMES = ("estimate of x0", "direction, eps_text - eps_uncond", "unconditional score")


class ScorePlayer(Panels):
    """The picture of a step, and beside it three principal components of its two scores.

    Cells of one colour are pulled the same way. The components are those of each step, turned to
    fit the step before. The score is the noise without its factor, so it has the same colours.

    Args:
        moments: of `recorded`.

    Raises:
        CourseError: there is no moment.
    """

    def __init__(self, moments: Sequence[Moment]) -> None:
        self._moments = moments
        self._scores = list(
            zip(
                _coloured([moment.direction for moment in moments]),
                _coloured([moment.local for moment in moments]),
                strict=True,
            )
        )
        super().__init__(NAMES, len(moments))

    def frame(self, index: int) -> Frame:
        """What is shown of a step."""
        moment, scores = self._moments[index], self._scores[index]
        factor = max(1, round(LARGEST / max(moment.picture.size)))
        size = (moment.picture.width * factor, moment.picture.height * factor)
        pictures = (
            moment.picture.resize(size, Image.Resampling.BICUBIC),
            *(score.resize(size, Image.Resampling.NEAREST) for score in scores),
        )
        return Frame(pictures, f"step {moment.index + 1} of {self.count}")


def _coloured(values: Sequence[Tensor]) -> list[Image.Image]:
    """Each (C, h, w) as a picture of h x w pixels."""
    pictures, axes = [], None
    for its in values:
        axes = principal_axes(its, like=axes)
        pictures.append(Image.fromarray(rgb_components(its, axes)))
    return pictures
