"""The late-penalty plugin that nbgrader_config.py names; see gradebook/late_penalty.py."""

from grading.gradebook.late_penalty import LatePenalty

__all__ = ["LatePenalty"]
