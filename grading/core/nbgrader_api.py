"""nbgrader's own API for a course folder."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from traitlets.log import get_logger

from distillery.core.errors import CourseError
from grading.core.nbgrader_config import settings_of


@contextlib.contextmanager
def nbgrader(course: Path) -> Iterator[Any]:
    """nbgrader's API for a course folder, with its settings and its programs on the path.

    Raises:
        CourseError: nbgrader is not installed, or the settings cannot be read.
    """
    if importlib.util.find_spec("nbgrader") is None:
        raise CourseError("nbgrader is missing: pip install --editable .[instructor]")
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    config = settings_of(course)
    path = os.environ.get("PATH", "")
    scripts = sysconfig.get_path("scripts")
    os.environ["PATH"] = os.pathsep.join([scripts, path])
    try:
        with logged():  # nbgrader warns about a missing exchange, which is not needed
            api = NbGraderAPI(CourseDirectory(config=config), config=config)
        yield api
    finally:
        os.environ["PATH"] = path


@contextlib.contextmanager
def logged() -> Iterator[io.StringIO]:
    """Collect what nbgrader logs, and print none of it."""
    text, found = io.StringIO(), get_logger()
    logger = found.logger if isinstance(found, logging.LoggerAdapter) else found
    handler, level, loud = logging.StreamHandler(text), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield text
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = loud
