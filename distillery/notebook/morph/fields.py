"""The controls of a page that are settings of the whole animation, by the settings' names."""

from __future__ import annotations

from typing import Any

from distillery.core.files import REPOSITORY
from distillery.morph.settings import (
    DITHERINGS,
    EASINGS,
    MOST_FPS,
    MOST_FRAMES,
    NOISE,
    SPACINGS,
    TEXT,
    MorphSettings,
)
from distillery.palettes import palette_names

SIDES = (16, 24, 32, 48, 64)
STYLES = {"pixel art": "tiny-sd-pixel", "sticker": "tiny-sd-sticker"}  # folders of data/models
GRIDS = {"data/models/tiny-sd-pixel": (32, 32)}  # the cells that a style draws
WIDE = {"width": "100%"}


def styles() -> list[tuple[str, str]]:
    """Name and source of each style to choose from."""
    there = [
        (name, f"data/models/{folder}")
        for name, folder in STYLES.items()
        if (REPOSITORY / "data" / "models" / folder).is_dir()
    ]
    return [("as the model draws", ""), *there]


def setting_fields(first: MorphSettings) -> dict[str, Any]:
    """Name of a setting -> its control; `size` is of (h, w)."""
    import ipywidgets as w

    def choice(name: str, options: Any, label: str, tooltip: str) -> Any:
        return w.Dropdown(
            options=options,
            value=getattr(first, name),
            description=label,
            tooltip=tooltip,
            layout=WIDE,
        )

    sizes = [(f"{side} x {side}", (side, side)) for side in SIDES]
    if first.size not in dict(sizes).values():
        sizes = [(f"{first.size[0]} x {first.size[1]}", first.size), *sizes]
    return {
        "frames": w.BoundedIntText(
            value=first.frames,
            min=2,
            max=MOST_FRAMES,
            description="frames",
            tooltip="of the whole animation, keyframes included",
            layout=WIDE,
        ),
        "fps": w.BoundedFloatText(
            value=first.fps,
            min=1,
            max=MOST_FPS,
            description="a second",
            tooltip="how many of them are shown in a second",
            layout=WIDE,
        ),
        "loop": w.Checkbox(
            value=first.loop,
            description="loop",
            tooltip="go on from the last prompt to the first",
            layout=WIDE,
        ),
        "easing": choice("easing", EASINGS, "easing", "the pace from one keyframe to the next"),
        "text": choice("text", TEXT, "text", "how it goes from prompt to prompt"),
        "noise": choice("noise", NOISE, "noise", "how it goes from noise to noise"),
        "spacing": choice(
            "spacing", SPACINGS, "spacing", "even in what is seen, or in the way from key to key"
        ),
        "smoothing": w.BoundedFloatText(
            value=first.smoothing,
            min=0,
            max=20,
            step=0.5,
            description="smoothing",
            tooltip="of each frame with its neighbours while it is drawn, in frames; 0 is none",
            layout=WIDE,
        ),
        "strength": w.BoundedFloatText(
            value=first.strength,
            min=0.05,
            max=1,
            step=0.05,
            description="strength",
            tooltip="below 1, a frame begins with the one before it, and moves less",
            layout=WIDE,
        ),
        "lora": choice("lora", styles(), "style", "what the model was taught besides"),
        "size": choice("size", sizes, "grid", "height x width of the pixel art, in pixels"),
        "palette": w.Combobox(
            value=first.palette,
            options=palette_names(),
            description="palette",
            tooltip="of all frames: a name, a file, or how many colours to find",
            continuous_update=False,
            layout=WIDE,
        ),
        "dithering": choice("dithering", DITHERINGS, "dithering", "a pattern between two colours"),
    }
