"""What the inputs of a case offer as a factor, so that a factor that is found can be named."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import permutations
from typing import TypeGuard

import torch
from torch import Tensor

from distillery.course.call_case import NETWORKS, CallCase
from distillery.course.case import Case
from distillery.course.probes.views import NEGLIGIBLE, View

LATENT_FACTOR = 0.18215  # of Stable Diffusion's autoencoder
NEAR = 3e-4  # relative; a factor is fitted to float32 numbers
APART = 1e-2  # relative; factors that are nearer to 1 or to each other cannot be told apart


def has_networks(case: Case) -> TypeGuard[CallCase]:
    """Whether networks are asked about x0 noised by eps to t, under all the prompts they need."""
    if not isinstance(case, CallCase) or not set(NETWORKS) & set(case.arguments):
        return False
    prompts = {"text"}
    if "prior" in case.arguments:
        prompts |= {"uncond"} | ({"text_src"} if "x0_src" in case.tensors else set())
    return {"x0", "eps", "t"} <= case.tensors.keys() and prompts <= case.prompts.keys()


def constant_named(case: Case, view: View, factor: float) -> str:
    """The name of a factor that is the same everywhere, or "" if it has none or more than one."""
    names = [name for name, value in _constants(case) if _near(factor, value)]
    if not names and view.pictures == 1:
        names = [
            name
            for name, value in _singles(_levels(case, 1))
            if _near(factor, float(value)) and abs(float(value) - 1) > APART
        ]
    return names[0] if len(names) == 1 else ""


def each_named(case: Case, factors: Tensor) -> str:
    """The name of factors (B,) that differ from picture to picture, or "" if they have none."""
    factors = factors.double()
    if len(factors) < 2 or _alike(factors):
        return ""
    levels = _levels(case, len(factors))
    for offered in (_singles(levels), _pairs(levels), _multiples(case, levels)):
        names, values = zip(*offered, strict=True) if offered else ((), ())
        for sign, minus in ((1, ""), (-1, "-")):
            if values and (found := _nearest(sign * factors, torch.stack(values))) is not None:
                name = names[found]
                return f"{minus}({name})" if minus and " " in name else f"{minus}{name}"
    return ""


def _nearest(factors: Tensor, offered: Tensor) -> int | None:
    """The first of (N, B) that is equal to (B,)."""
    near = ((factors - offered).abs() <= NEAR * offered.abs()).all(dim=1)
    return int(near.int().argmax()) if bool(near.any()) else None


def _multiples(case: Case, levels: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    """Singles times a plain number or a form of the guidance scale."""
    scale = case.values.get("guidance_scale")
    times = {"2": 2.0, "0.5": 0.5, "0.18215": LATENT_FACTOR}
    if scale:
        times |= {"guidance_scale": scale, "(1 - guidance_scale)": 1 - scale}
        times |= {"(guidance_scale - 1)": scale - 1, "(guidance_scale + 1)": scale + 1}
    found = []
    for name, value in _singles(levels):
        bracketed = f"({name})" if " " in name and not name.startswith(("sqrt", "1 /")) else name
        found += [(f"{words} {bracketed}", number * value) for words, number in times.items()]
    return found


def _constants(case: Case) -> Iterator[tuple[str, float]]:
    scale = case.values.get("guidance_scale")
    offered: dict[str, float] = {"0.18215, the latents' factor": LATENT_FACTOR}
    if scale:
        offered |= {"guidance_scale": scale, "guidance_scale - 1": scale - 1}
        offered |= {"guidance_scale + 1": scale + 1, "1 - guidance_scale": 1 - scale}
    pictures = next((one for one in case.tensors.values() if one.dim() == 4), None)
    if pictures is not None and len(pictures[0]) > 1:
        offered |= {
            "the number of numbers in a picture": pictures[0].numel(),
            "the number of all numbers": pictures.numel(),
            "the number of pixels of a picture": math.prod(pictures.shape[2:]),
            "the root of the number of pixels": math.prod(pictures.shape[2:]) ** 0.5,
        }
    palette = case.tensors.get("palette")
    if palette is not None:
        offered |= {"K, the number of colours": len(palette), "sqrt(K)": len(palette) ** 0.5}
    offered |= {
        f"the length of {name}": float(its.norm())
        for name, its in case.tensors.items()
        if its.dim() == 4 and its.is_floating_point() and len(its[0]) > 1
    }
    offered |= {"sqrt(2)": 2**0.5, "255": 255.0, "1000, the number of timesteps": 1000.0}
    for name, value in offered.items():
        if value and abs(abs(value) - 1) > APART:
            plain = _shown(name, inverse=False), _shown(name, inverse=True)
            yield plain[0], value
            yield plain[1], 1 / value
            if " " not in plain[0]:
                yield f"-{plain[0]}", -value


def _shown(name: str, *, inverse: bool) -> str:
    short = name.split(",")[0]
    bracketed = f"({short})" if " " in short and "the" not in short else short
    return f"1 / {bracketed}" if inverse else short


def _levels(case: Case, pictures: int) -> dict[str, Tensor]:
    """What each picture has a number of its own for, (B,) in float64."""
    found: dict[str, Tensor] = {}
    if has_networks(case):
        found["alpha_bar"] = case.alphas_cumprod[case.tensors["t"]]
    for name, tensor in case.tensors.items():
        if tensor.shape == (pictures, 1, 1, 1):
            found[name] = tensor.flatten()
    members = getattr(case, "triples", {})
    for name, parts in members.items():
        found |= {part: its.flatten() for part, its in zip(parts, case.tensors[name], strict=True)}
    if {"alpha_bar", "alpha_bar_prev"} <= found.keys():
        found["alpha_bar / alpha_bar_prev"] = found["alpha_bar"] / found["alpha_bar_prev"]
    return {name: its.double() for name, its in found.items() if its.shape == (pictures,)}


def _forms(levels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of each share between 0 and 1 also the rest and both roots, as formulas have them."""
    found: dict[str, Tensor] = {}
    for name, its in levels.items():
        found |= {name: its, f"sqrt({name})": its.clamp(min=0).sqrt()}
        if name not in ("c0", "c1", "sigma"):
            found |= {f"(1 - {name})": 1 - its, f"sqrt(1 - {name})": (1 - its).clamp(min=0).sqrt()}
            found |= {f"(1 - sqrt({name}))": 1 - its.clamp(min=0).sqrt()}
    return {name: its for name, its in found.items() if bool((its > NEGLIGIBLE).all())}


def _singles(levels: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    found = []
    for name, its in _forms(levels).items():
        found.append((name[1:-1] if name.startswith("(") else name, its))
        found.append((f"1 / {name}", 1 / its))
    return found


def _pairs(levels: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    found = []
    for (name, its), (other, others) in permutations(_forms(levels).items(), 2):
        found.append((f"{name} / {other}", its / others))
        if name < other:
            found.append((f"{name} {other}", its * others))
            found.append((f"1 / ({name} {other})", 1 / (its * others)))
    return found


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= NEAR * abs(other)


def _alike(factors: Tensor) -> bool:
    return bool((factors - factors.mean()).abs().max() <= APART * factors.abs().max())
