"""What tests of the page "Distil in your browser" share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def built_page(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The built page, in which nobody may write; its tests need ONNX."""
    from website.page import build_page

    return once("distil_page", build_page)
