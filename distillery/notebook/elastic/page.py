"""Pages of their own: text to a picture of any size, and the same held to a picture."""

from __future__ import annotations

from typing import Any

from PIL import Image

from distillery.core.files import REPOSITORY
from distillery.core.folders import files_of
from distillery.core.images import read_any, to_rgb
from distillery.methods.any_size import ElasticFunctions
from distillery.notebook.elastic.drawing import drawn_by
from distillery.notebook.elastic.studio import PROMPT, ElasticStudio

PICTURES = REPOSITORY / "data" / "imgs"
TITLES = ("text", "text and a picture")


def text_page(functions: ElasticFunctions) -> ElasticStudio:
    """The studio on tiny-sd.

    Args:
        functions: the module of the seven functions of stage 6.
    """
    return ElasticStudio(drawn_by("tiny-sd", functions))


def picture_page(functions: ElasticFunctions) -> ElasticStudio:
    """The studio on tiny-sdxl, with its ControlNets and the course's pictures."""
    return ElasticStudio(drawn_by("tiny-sdxl", functions), pictures=course_pictures())


def pages(functions: ElasticFunctions) -> Any:
    """Both, each behind a tab; a widget of ipywidgets."""
    import ipywidgets

    studios = [text_page(functions), picture_page(functions)]
    return ipywidgets.Tab([studio.box for studio in studios], titles=TITLES)


def course_pictures() -> dict[str, Image.Image]:
    """Prompt -> picture of data/imgs, without the masks; that of the page's prompt comes first."""
    first = str(PROMPT).replace(" ", "_")
    found = files_of(PICTURES.iterdir(), (".png",), under=PICTURES)
    paths = sorted(found, key=lambda path: (path.stem != first, path))
    return {
        path.stem.replace("_", " "): to_rgb(read_any(path))
        for path in paths
        if not path.stem.endswith("_mask")
    }
