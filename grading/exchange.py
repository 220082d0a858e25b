"""The exchange that nbgrader_config.py names; it is defined in intake/exchange.py."""

from grading.intake.exchange import SafeCollect

__all__ = ["SafeCollect"]
