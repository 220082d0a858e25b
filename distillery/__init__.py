"""What students are given: models, schedules, canvases, the optimisation loop and scores.

Nothing is imported here, so that a command line can say --help without waiting for torch.
"""

import os

# Threads of OpenMP that wait should sleep: next to other work, spinning takes the processors from
# the thread they wait for. OpenMP reads this once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
