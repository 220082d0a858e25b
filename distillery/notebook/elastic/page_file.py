"""Files of the reader's browser: a picture to open, and files to save."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import read_any, to_png_bytes, to_rgb
from distillery.notebook.front_end import script, style
from distillery.runs.painting_file import MOST_PIXELS

HERE = Path(__file__).parent


class PageFile:
    """A button that opens a picture; the front end's half is page.js.

    Args:
        text: on the button; without it there is none, and files can only be saved.
        take: is given each picture that is opened, in RGB, and its file's name.

    Raises:
        ImportError: anywidget is not installed.
    """

    def __init__(
        self, text: str = "", take: Callable[[Image.Image, str], None] | None = None
    ) -> None:
        self._take = take
        self.box = _widget_class()(open_text=text)
        self.box.on_msg(self._heard)

    def save(self, name: str, picture: Image.Image) -> None:
        """Let the browser save a picture as a PNG file of this name."""
        self.save_bytes(name, to_png_bytes(picture), "image/png")

    def save_bytes(self, name: str, data: bytes, media_type: str) -> None:
        """Let the browser save a file of this name and kind, such as "image/gif"."""
        self.box.send({"kind": "file", "name": name, "type": media_type}, buffers=[data])

    def _heard(self, box: Any, message: dict[str, Any], buffers: Sequence[Any]) -> None:
        """A file was chosen in the browser."""
        if message.get("kind") != "open" or not buffers or self._take is None:
            return
        box.said = ""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, Path(str(message.get("name"))).name or "picture")
            path.write_bytes(bytes(buffers[0]))
            try:
                self._take(to_rgb(read_any(path, most=MOST_PIXELS)), path.name)
            except CourseError as error:
                box.said = str(error).replace(f"{folder}/", "")


@functools.cache
def _widget_class() -> type[Any]:
    """The front end's half; made on demand, as anywidget may be missing."""
    import anywidget
    import traitlets

    class PageFileWidget(anywidget.AnyWidget):
        """`open_text` stands on the button. `said` is what went wrong with a file."""

        _esm = script(HERE / "page.js")
        _css = style(HERE / "page.css")
        open_text = traitlets.Unicode().tag(sync=True)
        said = traitlets.Unicode().tag(sync=True)

    return PageFileWidget
