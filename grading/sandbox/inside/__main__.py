"""`python -I .../inside '<settings as JSON>'`, as grading/sandbox starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    # Isolated mode (-I) ignores PYTHONPATH and the working directory, so the two paths are added
    # here.
    sys.path[:0] = [settings["course"], str(Path(__file__).resolve().parents[1])]
    if settings.get("program"):
        from inside.program import main
    else:
        from inside.fork_server import main
    main(settings)
