"""A caption in the place of a prompt, and whether it can be believed."""

from __future__ import annotations

from PIL import Image

from distillery.models.presets import Preset

# On 22 photographs and figures of scikit-image and scikit-learn and 66 cuts of them, and on 211
# drawings of the toybox, these doubt 22, 65 and 5; of 50 drawings in its other styles, 10. Of what
# they were not chosen on: 12 of 12 cuts of matplotlib's photograph, and none of 100 drawings.
# Cosine of picture and caption by tiny-clip, and the product of the judge's three chances.
LEAST_SCORE, LEAST_CHANCE = 0.63, 0.6
EMBEDDED = "tiny-caption"


def described(picture: Image.Image, preset: Preset) -> tuple[str, bool]:
    """A caption of the picture by the preset's captioner, and whether it can be believed.

    The embedded captioner knows the toybox alone, and gives any picture a caption of it. It is
    believed where CLIP finds the caption in the picture and the judge is sure of what it sees.
    Other captioners are always believed.

    Raises:
        CourseError: a model cannot be loaded.
    """
    from distillery.models.annotators import caption

    words = caption(picture, model=preset.captioner)
    return words, preset.captioner != EMBEDDED or _is_toybox(picture, words, preset.clip_scorer)


def _is_toybox(picture: Image.Image, words: str, scorer: str) -> bool:
    from distillery.metrics.clip_score import ClipScorer
    from distillery.metrics.judge import Judge

    (score,) = ClipScorer(scorer, device="cpu").score([picture], [words])
    return score >= LEAST_SCORE and Judge.load().sureness([picture])[0] >= LEAST_CHANCE
