"""`pytest guidance` checks every function of this folder, as `check` does in the notebooks."""

from distillery.course.pytest_tasks import (
    pytest_collect_file,
    pytest_runtest_makereport,
    pytest_terminal_summary,
)
