"""Feedback pages for students, and functions that make untrusted text safe to show."""

from grading.feedback.explain import Explain, only_the_page
from grading.feedback.exporter import FeedbackExporter
from grading.feedback.sanitise import Sanitise

__all__ = ["Explain", "FeedbackExporter", "Sanitise", "only_the_page"]
