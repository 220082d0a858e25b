"""The plugin classes that nbgrader_config.py names; they are defined in gradebook/plugins.py."""

from grading.gradebook.plugins import (
    GradeOutside,
    RepairNotebook,
    SaveGrades,
    book_hook,
    configure,
    take_in_hook,
)


class Mend(RepairNotebook):
    """`RepairNotebook` by the name that instructors' settings give it, as in `c.Mend.enabled`."""


__all__ = ["GradeOutside", "Mend", "SaveGrades", "book_hook", "configure", "take_in_hook"]
