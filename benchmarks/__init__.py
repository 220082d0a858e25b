"""Speed, memory and quality of the course and of its grading."""

import distillery  # noqa: F401  # before torch: it says how waiting threads wait
