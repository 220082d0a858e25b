"""Where the files of a run lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distillery.core.files import prompt_to_filename


@dataclass(frozen=True)
class Place:
    """Where the files of a prompt lie, under the folder `out`."""

    out: Path
    prompt: str

    @property
    def picture(self) -> Path:
        return self.out / f"{self._stem}.png"

    @property
    def folder(self) -> Path:
        return self.out / self._stem

    @property
    def unfinished(self) -> Path:
        # No stem can end so, because the encoding escapes the tilde of a prompt.
        return self.out / f"{self._stem}~unfinished"

    @property
    def _stem(self) -> str:
        return prompt_to_filename(self.prompt)
