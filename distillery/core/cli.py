"""A command line that answers a wrong flag in one sentence."""

from __future__ import annotations

import argparse
from typing import NoReturn


class Arguments(argparse.ArgumentParser):
    """argparse's parser, without its usage lines before an error."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with status 2."""
        self.exit(2, f"error: {message}; see {self.prog} --help.\n")
