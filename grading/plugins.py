"""The plugin classes that nbgrader_config.py names; they are defined in gradebook/plugins.py."""

from grading.gradebook.plugins import (
    GradeOutside,
    SaveGrades,
    book_hook,
    configure,
    take_in_hook,
)
from grading.gradebook.plugins import RepairNotebook as Mend

__all__ = ["GradeOutside", "Mend", "SaveGrades", "book_hook", "configure", "take_in_hook"]
