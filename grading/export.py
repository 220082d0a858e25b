"""The exporter that nbgrader_config.py names; it is defined in report/export.py."""

from grading.report.export import CourseExport

__all__ = ["CourseExport"]
