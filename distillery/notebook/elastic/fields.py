"""The controls of a page, one for each field of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distillery.core.settings import LARGEST_SEED
from distillery.methods.elastic_methods import METHODS
from distillery.notebook.elastic.request import Request, Size
from distillery.runs.elastic_settings import OF_A_REFERENCE
from distillery.toybox.vocabulary import COLOURS, SCENES, THINGS, Factors

MOST_ROUNDS = 10
# The fields that count for some methods alone.
OF_METHODS = {
    "strength": OF_A_REFERENCE,
    **dict.fromkeys(("resampling_steps", "new_p", "rrg_weight"), ("elastic",)),
}
FIRST = "elastic"  # of the methods in the list
KNOWN = {
    *(word for phrase in (*THINGS, *COLOURS, *SCENES) for word in phrase.split()),
    *["a", "an", "the", "of", "picture", "drawing"],
}
WIDE = {"width": "100%"}


def request_fields(first: Request, sizes: Sequence[Size]) -> dict[str, Any]:
    """Field of a request -> its control, without those of a ControlNet."""
    import ipywidgets as w

    def real(
        value: float, most: float, step: float, description: str, tooltip: str, least: float = 0
    ) -> Any:
        return w.FloatSlider(
            value=value,
            min=least,
            max=most,
            step=step,
            description=description,
            tooltip=tooltip,
            continuous_update=False,
            readout_format=".2f",
            layout=WIDE,
        )

    methods = [FIRST, *(name for name in METHODS if name != FIRST)]
    return {
        "prompt": w.Text(
            value=first.prompt, continuous_update=False, description="prompt", layout=WIDE
        ),
        "size": w.Dropdown(
            options=[(f"{size[0]} x {size[1]}", size) for size in sizes],
            value=first.size,
            description="size",
            tooltip="height x width, in pixels",
            layout=WIDE,
        ),
        "method": w.Dropdown(
            options=methods, value=first.method, description="method", layout=WIDE
        ),
        "guidance_scale": real(
            first.guidance_scale, 15, 0.5, "guidance", "how much the prompt counts"
        ),
        "strength": real(
            first.strength,
            1,
            0.05,
            "strength",
            "part of the way that is drawn over the enlarged small picture",
            least=0.05,
        ),
        "resampling_steps": w.IntSlider(
            value=first.resampling_steps,
            min=0,
            max=MOST_ROUNDS,
            description="R",
            tooltip="rounds in which the reference reads other cells, at each step",
            continuous_update=False,
            layout=WIDE,
        ),
        "new_p": real(
            first.new_p, 1, 0.05, "new_p", "part of the reference's cells that are new in a round"
        ),
        "rrg_weight": real(
            first.rrg_weight,
            1,
            0.05,
            "RRG",
            "how far the first step of a whole way is pulled to the reference; later ones less",
        ),
        "seed": w.BoundedIntText(
            value=first.seed, min=0, max=LARGEST_SEED, description="seed", layout=WIDE
        ),
    }


def control_fields(first: Request, names: Sequence[str]) -> dict[str, Any]:
    """The same of a ControlNet; `picture` is a name."""
    import ipywidgets as w

    return {
        "picture": w.Dropdown(options=names, description="picture", layout=WIDE),
        "control": w.Dropdown(
            options=["canny", "depth"],
            value=first.control,
            description="held to",
            tooltip="the edges of the picture, or how near its parts are",
            layout=WIDE,
        ),
        "control_scale": w.FloatSlider(
            value=first.control_scale,
            min=0,
            max=2,
            step=0.05,
            description="how much",
            continuous_update=False,
            layout=WIDE,
        ),
    }


def word_fields(first: Factors) -> list[Any]:
    """A colour, a thing and a scene to choose, for a prompt of words that the model knows."""
    import ipywidgets as w

    lists = ((COLOURS, first.colour), (THINGS, first.thing), (SCENES, first.scene))
    return [
        w.Dropdown(options=words, value=value, layout={"width": "auto"}) for words, value in lists
    ]


def unknown(prompt: str) -> list[str]:
    """The words of a prompt that no training picture had, in their order, each once."""
    words = (word.strip(".,;:!?\"'()").lower() for word in prompt.split())
    return list(dict.fromkeys(word for word in words if word and word not in KNOWN))
