"""A palette's colours: as hex codes, on a lattice, and where the eye sees them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from distillery.core.errors import CourseError

MOST = 1000  # colours, those of the lattice rgb-10
HEX = re.compile(r"#?([0-9a-fA-F]{6})")

# Ottosson, "A perceptual color space for image processing" (2020), with the matrices of 2021:
# https://bottosson.github.io/posts/oklab/. Linear sRGB to cones, and their cube roots to OKLab.
CONES = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=torch.float64,
)
LAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=torch.float64,
)


def from_hex(
    codes: Sequence[str], *, what: str = "the palette", places: Sequence[str] | None = None
) -> Tensor:
    """The palette `(K, 3)` of hex codes, with or without "#".

    Args:
        codes: six hexadecimal digits each.
        what: the palette's name in an error.
        places: where in it each code stands; by default "colour 1" and so on.

    Raises:
        CourseError: a code is none, two are the same, or there are not 2 to 1,000.
    """
    places = places or [f"colour {number}" for number in range(1, len(codes) + 1)]
    digits = [_digits(code, f"{what}, {place}") for code, place in zip(codes, places, strict=True)]
    if not 2 <= len(digits) <= MOST:
        held = {0: "no colour", 1: "one colour"}.get(len(digits), f"{len(digits):,} colours")
        raise CourseError(f"{what} holds {held}; a palette has 2 to {MOST:,} different ones.")
    seen: dict[str, str] = {}
    for code, place in zip(digits, places, strict=True):
        if code in seen:
            raise CourseError(
                f"{what} has #{code} twice, at {seen[code]} and {place}; remove or change one."
            )
        seen[code] = place
    levels = torch.tensor([list(bytes.fromhex(code)) for code in digits], dtype=torch.uint8)
    return levels.float() / 255


def _digits(code: str, place: str) -> str:
    match = HEX.fullmatch(code.strip())
    if match is None:
        raise CourseError(
            f"{place}: {code.strip()[:40]!r} is not a colour; write six hex digits, such as ff8800."
        )
    return match[1].lower()


def to_hex(colours: Tensor) -> list[str]:
    """Codes as "#ff8800" of colours `(K, 3)`, which are rounded to 8 bits and clamped."""
    levels = (colours.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return ["#" + bytes(row).hex() for row in levels.tolist()]


def checked(colours: Tensor, *, what: str = "the palette") -> Tensor:
    """The palette that `colours` `(K, 3)` are in 8 bits, on the CPU.

    Raises:
        CourseError: they have another shape, leave [0, 1], or are not a palette in the sense of
            `from_hex`.
    """
    if colours.ndim != 2 or colours.shape[1] != 3:
        raise CourseError(f"{what} must be (K, 3), red, green, blue; it is {tuple(colours.shape)}.")
    # Comparisons that are true where all is well catch NaN too.
    if not ((colours >= 0) & (colours <= 1)).all():
        raise CourseError(f"{what} must stay in [0, 1]; divide 8-bit levels by 255.")
    return from_hex(to_hex(colours), what=what)


def lattice(side: int) -> Tensor:
    """The side³ colours of an even lattice in the RGB cube, black first, blue changing fastest.

    Raises:
        CourseError: `side` is not 2 to 10.
    """
    if not 2 <= side <= 10:
        raise CourseError(f"an RGB lattice has 2 to 10 levels, rgb-2 to rgb-10; it was {side}.")
    levels = torch.linspace(0, 255, side).round() / 255
    return torch.tensor(list(itertools.product(levels.tolist(), repeat=3)))


def srgb_to_oklab(rgb: Tensor) -> Tensor:
    """OKLab `(..., 3)` of sRGB `(..., 3)` in [0, 1]: lightness in [0, 1], green-red, blue-yellow.

    Distances there are about as large as they look. Colours outside the cube go through as well.
    """
    curved = ((rgb.abs() + 0.055) / 1.055) ** 2.4 * rgb.sign()
    linear = torch.where(rgb.abs() <= 0.04045, rgb / 12.92, curved)
    cones = _through(CONES, linear)
    return _through(LAB, cones.abs() ** (1 / 3) * cones.sign())


def oklab_to_srgb(lab: Tensor) -> Tensor:
    """The inverse of `srgb_to_oklab`; what lies outside sRGB is not clamped."""
    linear = _through(CONES.inverse(), _through(LAB.inverse(), lab) ** 3)
    curved = 1.055 * linear.abs() ** (1 / 2.4) - 0.055
    return torch.where(linear.abs() <= 0.0031308, 12.92 * linear, curved * linear.sign())


def _through(matrix: Tensor, colours: Tensor) -> Tensor:
    # Not by a matrix product, which keeps 10 bits under autocast or TF32.
    return (colours[..., None, :] * matrix.to(colours)).sum(dim=-1)
