"""What students are given: models, schedules, canvases, the optimisation loop and scores.

The names that every notebook needs can be imported from here:
`from distillery import load_prior`.
Each is imported when it is first asked for, so that a command line can say --help without waiting
for torch.
"""

import os

TYPE_CHECKING = False  # `typing` would take longer to import than all else here
if TYPE_CHECKING:
    from typing import Any

    from distillery.core.images import from_pil, to_pil
    from distillery.course.answers import answer
    from distillery.course.check import check, compare_picture
    from distillery.course.line_up import LineUp
    from distillery.course.progress import my_progress
    from distillery.course.submission_pictures import hand_in
    from distillery.methods.settings import Settings
    from distillery.metrics.clip_score import ClipScorer
    from distillery.metrics.judge import Judge
    from distillery.models.exact import GaussianMixturePrior
    from distillery.models.load import load_prior
    from distillery.models.presets import guidance_default
    from distillery.notebook.figures import curves, show
    from distillery.notebook.progress import finished, progress
    from distillery.notebook.widgets import live
    from distillery.runs.canvas import LatentCanvas
    from distillery.runs.optimise import distill, objective

__all__ = [
    "ClipScorer",
    "GaussianMixturePrior",
    "Judge",
    "LatentCanvas",
    "LineUp",
    "Settings",
    "answer",
    "check",
    "compare_picture",
    "curves",
    "distill",
    "finished",
    "from_pil",
    "guidance_default",
    "hand_in",
    "live",
    "load_prior",
    "my_progress",
    "objective",
    "progress",
    "show",
    "to_pil",
]

_HOMES = {
    "distillery.core.images": ["from_pil", "to_pil"],
    "distillery.course.answers": ["answer"],
    "distillery.course.check": ["check", "compare_picture"],
    "distillery.course.line_up": ["LineUp"],
    "distillery.course.progress": ["my_progress"],
    "distillery.course.submission_pictures": ["hand_in"],
    "distillery.methods.settings": ["Settings"],
    "distillery.metrics.clip_score": ["ClipScorer"],
    "distillery.metrics.judge": ["Judge"],
    "distillery.models.exact": ["GaussianMixturePrior"],
    "distillery.models.load": ["load_prior"],
    "distillery.models.presets": ["guidance_default"],
    "distillery.notebook.figures": ["curves", "show"],
    "distillery.notebook.progress": ["finished", "progress"],
    "distillery.notebook.widgets": ["live"],
    "distillery.runs.canvas": ["LatentCanvas"],
    "distillery.runs.optimise": ["distill", "objective"],
}

# Threads of OpenMP that wait should soon sleep: next to other work, spinning takes the processors
# from the thread they wait for. Sleeping at once costs more than a small network's operations, so
# they look for work some microseconds first. OpenMP reads this once, when torch is loaded: GNU's
# counts looks, those of LLVM and Intel count milliseconds.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    os.environ.setdefault("KMP_BLOCKTIME", "1")


def __getattr__(name: str) -> "Any":
    """Import one of `__all__` from the module it lives in (PEP 562)."""
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
