"""The plugin classes that nbgrader_config.py names; they are defined in gradebook/plugins.py."""

from grading.gradebook.plugins import (
    GradeOutside,
    Mend,
    SaveGrades,
    book_hook,
    configure,
    take_in_hook,
)

__all__ = ["GradeOutside", "Mend", "SaveGrades", "book_hook", "configure", "take_in_hook"]
