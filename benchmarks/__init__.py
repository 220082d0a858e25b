"""Speed and memory of the methods, each as a ratio against something in the same run."""

import distillery  # noqa: F401  # before torch: it says how waiting threads wait
