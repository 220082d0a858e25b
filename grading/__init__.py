"""What instructors run; of it students get `validate` and `pack`, and nothing with an answer."""

import distillery  # noqa: F401  # before torch: it says how waiting threads wait
