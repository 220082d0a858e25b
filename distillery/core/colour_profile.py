"""Colours as they were meant: an embedded ICC profile is obeyed, and the result is sRGB."""

from __future__ import annotations

import contextlib
import io

from PIL import Image, ImageCms

MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}  # by a profile's colour space


def in_srgb(image: Image.Image) -> Image.Image:
    """A picture in mode RGB, or RGBA where it has alpha, and in sRGB.

    Without a profile its levels are sRGB already. A profile that is damaged, or made for another
    kind of pixels, is ignored.

    Args:
        image: in mode L, LA, RGB, RGBA, CMYK or LAB; its profile is in `info`, and is not in that
            of the result.
    """
    profile = image.info.get("icc_profile")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image.convert({"LA": "L", "RGBA": "RGB"}[image.mode]) if alpha else image
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            colours = _obeyed(colours, profile)
    if colours.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        colours = ImageCms.profileToProfile(colours, lab, srgb, outputMode="RGB") or colours
    made = colours.convert("RGB")
    if alpha:
        made.putalpha(alpha)
    made.info = {name: value for name, value in image.info.items() if name != "icc_profile"}
    return made


def _obeyed(colours: Image.Image, profile: bytes) -> Image.Image:
    described = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = MODES.get(described.profile.xcolor_space.strip())
    if colours.mode == "L" and mode == "RGB":
        colours = colours.convert("RGB")  # grey pixels with a screen's profile
    if colours.mode != mode:
        return colours
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(colours, described, srgb, outputMode="RGB") or colours
