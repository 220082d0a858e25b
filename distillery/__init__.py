"""What students are given: models, schedules, canvases, the optimisation loop and scores."""

from distillery.canvas import LatentCanvas, PixelCanvas
from distillery.distill import Settings, distill
from distillery.errors import CourseError
from distillery.presets import guidance_default, load_prior

__all__ = [
    "CourseError",
    "LatentCanvas",
    "PixelCanvas",
    "Settings",
    "distill",
    "guidance_default",
    "load_prior",
]
