"""What students read about their hand-in, and what makes other people's text fit to be shown."""

from grading.feedback.explain import Explain, only_the_page
from grading.feedback.exporter import FeedbackExporter
from grading.feedback.sanitise import Sanitise

__all__ = ["Explain", "FeedbackExporter", "Sanitise", "only_the_page"]
