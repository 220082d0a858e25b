"""A sampler of weights of colours, at two temperatures, with other logits at every pixel.

If weights are softmax((logits + g) / tau), then tau log(w) - logits = g, but for a number that all
colours of a pixel share: the noise can be seen in the weights. Of Gumbel noise, exp(-g) has an
exponential distribution. So the shares exp(-g_k) / sum_j exp(-g_j) of a pixel have a Dirichlet
distribution, each of them a beta distribution, whatever the logits and tau are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from distillery.course.case import Case, Form, Words
from distillery.course.chance import SURPRISING, follows_a_pattern, unevenness
from distillery.course.observe import (
    Observation,
    is_bool,
    picked,
    plain,
    require_one_form,
    same_bits,
    tensor_facts,
)
from distillery.course.record import Facts, Function, Tensors, copied, seeded, type_name

TILES = (12, 16)  # how often the logits stand in the pictures, downwards and across
# Of 4-byte numbers that torch.rand draws on a CPU with this seed, the 191st is 0.
SEED_OF_A_NOUGHT = 28587
# Edges of the bins in which uniform numbers are counted; the tails tell who cuts off the noise.
TAIL = (0.0, 0.0005, 0.002, 0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.4)
EDGES = torch.tensor([*TAIL, 0.5, *(1 - edge for edge in reversed(TAIL))], dtype=torch.float64)
SMALLEST = 1e-37  # of a weight whose logarithm is taken
OTHERWISE, HARDER, SOFTER = "otherwise", "harder", "softer"
UPSIDE_DOWN = "upside down"


@dataclass(frozen=True)
class ChoicesCase(Case):
    """`tensors` has "logits" (B, K, h, w), repeated as `TILES` say, and `values` both "taus".

    The colder tau comes first. The value is (4, K): for each temperature how often a colour has the
    largest weight, from the colour wanted most in a pixel on, then for each their mean weights.
    """

    kind = "choices"

    @property
    def logits(self) -> Tensor:
        """Those that the function gets, (B, K, H, W)."""
        return self.tensors["logits"].repeat(1, 1, *TILES)

    def record(self, function: Function) -> tuple[Facts, Tensors]:
        logits = self.logits
        cold, warm = self.values["taus"]
        generator, shared_before = seeded(), torch.get_rng_state()
        begun = generator.get_state()
        nought = torch.Generator().manual_seed(SEED_OF_A_NOUGHT)
        facts: Facts = {"type": "Tensor"}
        tensors: Tensors = {}
        plan = {"result": (generator, cold), "second": (generator, cold), "again": (seeded(), cold)}
        for name, (its, tau) in (
            plan | {"warm": (seeded(), warm), "nought": (nought, cold)}
        ).items():
            leaf = logits.clone().requires_grad_()
            given = leaf.clone()
            weights = function(given, tau, its)
            if not isinstance(weights, Tensor):
                return {"type": type_name(weights)}, {}
            tensors[name] = copied(weights)
            if weights.shape != logits.shape:
                break
            if name == "result":
                facts["changed"] = [] if torch.equal(given, logits) else ["logits"]
                facts["graph"] = weights.requires_grad
                facts["drawn"] = not torch.equal(generator.get_state(), begun)
                if weights.requires_grad:
                    gradient = self._pulled(weights, leaf)
                    tensors |= {} if gradient is None else {"gradient": copied(gradient)}
        facts["untouched"] = torch.equal(torch.get_rng_state(), shared_before)
        return facts, tensors

    def _pulled(self, weights: Tensor, leaf: Tensor) -> Tensor | None:
        pull = _cotangent(weights)
        return torch.autograd.grad((pull * weights).sum(), leaf, allow_unused=True)[0]

    def conclude(self, reported: Facts, tensors: Tensors) -> Observation:
        first = tensors["result"]
        facts = tensor_facts(first, reported)
        if first.shape != self.logits.shape:
            return Observation(facts)
        # Where another generator decides, no two calls agree.
        require_one_form(first, tensors["second"], tensors["warm"], tensors["nought"])
        own = reported["untouched"] and same_bits(first, tensors.get("again"))
        facts |= picked(reported, "changed")
        facts["sums"] = [axis for axis in range(4) if _is_near(first.sum(dim=axis), 1.0)]
        facts |= picked(reported, "graph")
        facts |= {
            "soft": bool(((first > 0) & (first < 1)).any()),
            "own_generator": own,
            "draws": reported["drawn"],
        }
        facts |= self._seen_in_noise(plain(first), self.values["taus"][0])
        facts["fresh"] = not _is_near(first, tensors["second"])
        if own:
            colds = plain(torch.cat([first, tensors["second"]], dim=3))
            facts |= self._seen_in_shares({"cold": colds, "warm": plain(tensors["warm"])})
        facts["pull"] = self._has_right_gradient(first, tensors.get("gradient"))
        facts["survives"] = _is_near(tensors["nought"].sum(dim=1), 1.0)
        return Observation(facts, self._shares(first, tensors["warm"]) if own else None)

    def _seen_in_noise(self, weights: Tensor, tau: float) -> Facts:
        """Between which axes the noise varies."""
        noise = self._noise(weights, tau)
        facts: Facts = {"varies_among_colours": not _is_near(noise, 0.0)}
        if len(noise) > 1:
            facts["varies_in_batch"] = not _is_near(noise, noise[:1])
        facts["varies_among_pixels"] = not _is_near(noise, noise[..., :1, :1])
        return facts

    def _noise(self, weights: Tensor, tau: float) -> Tensor:
        """Of every logit, (B, K, H, W), float64, with mean 0 over the colours."""
        noise = tau * weights.double().clamp(min=SMALLEST).log() - self._wanted_like(weights)
        return noise - noise.mean(dim=1, keepdim=True)

    def _wanted_like(self, weights: Tensor) -> Tensor:
        """The logits, as often side by side as the weights have results of several calls."""
        return self.logits.double().repeat(1, 1, 1, weights.shape[3] // self.logits.shape[3])

    def _seen_in_shares(self, weights: dict[str, Tensor]) -> Facts:
        """The pictures in which something is off at one of the temperatures, and what."""
        facts: Facts = {}
        independent = True
        for (name, its), tau in zip(weights.items(), self.values["taus"], strict=True):
            wanted, noise = self._wanted_like(its), self._noise(its, tau)
            facts[f"wins_{name}"] = [
                [picture, _which_wins(its[picture], wanted[picture])]
                for picture in _off(_wins_as_often, its, wanted)
            ]
            # The share has the beta distribution of 1 and K - 1.
            uniform = (1 - (-noise).softmax(dim=1)) ** (noise.shape[1] - 1)
            facts[f"spread_{name}"] = [
                [picture, _how(its[picture], wanted[picture], noise[picture], tau)]
                for picture in _off(_is_uniform, uniform)
            ]
            # Differences of colours 1 and 2, 3 and 4 and so on have nothing in common.
            pairs = noise[:, : 2 * (noise.shape[1] // 2)].unflatten(1, (-1, 2)).diff(dim=2)
            independent = independent and not follows_a_pattern(pairs.sigmoid().flatten())
        return facts | {"independent": independent}

    def _shares(self, cold: Tensor, warm: Tensor) -> Tensor:
        """How often a colour wins and its mean weight, from the colour wanted most in a pixel on.

        Cold and warm: (4, K).
        """
        both = torch.stack([plain(cold), plain(warm)])
        largest = both == both.amax(dim=2, keepdim=True)
        order = self.logits.argsort(dim=1, descending=True).expand_as(both)
        shares = [its.gather(2, order).mean(dim=(1, 3, 4)) for its in (largest.float(), both)]
        return torch.cat(shares)

    def _has_right_gradient(self, weights: Tensor, gradient: Tensor | None) -> bool:
        """Whether it is that of a softmax with tau."""
        if gradient is None or not (gradient.shape == weights.shape and gradient.isfinite().all()):
            return False
        require_one_form(weights, gradient)
        weights, pull = plain(weights), _cotangent(weights)
        mean = (weights * pull).sum(dim=1, keepdim=True)
        right = weights * (pull - mean) / self.values["taus"][0]
        return _is_near(plain(gradient), right)

    def forms(self) -> dict[str, Form]:
        return super().forms() | {"untouched": is_bool, "drawn": is_bool}

    def words(self) -> dict[str, Words]:
        cold, warm = self.values["taus"]
        return super().words() | {
            "sums": _sums_in_words,
            "soft": ("weights between 0 and 1", "only the weights 0 and 1"),
            "own_generator": (
                "weights that only the given generator decides",
                "weights that differ for the same generator state",
            ),
            "draws": ("noise drawn from the generator", "nothing drawn from the generator"),
            "varies_among_colours": (
                "different noise for each colour of a pixel",
                "the same noise for all colours of a pixel, or none",
            ),
            "varies_in_batch": (
                "different noise for each picture",
                "the same noise for each picture",
            ),
            "varies_among_pixels": (
                "different noise for each pixel",
                "the same noise at every pixel",
            ),
            "fresh": ("new weights at every call", "the same weights at every call"),
            "wins_cold": partial(self._wins_in_words, cold),
            "spread_cold": partial(self._spread_in_words, cold),
            "wins_warm": partial(self._wins_in_words, warm),
            "spread_warm": partial(self._spread_in_words, warm),
            "independent": (
                "a noise of its own for every logit",
                "noise that repeats itself, or follows a pattern, among colours, pixels or "
                "pictures",
            ),
            "pull": (
                "the gradient of softmax((logits + g) / tau) for the logits",
                "another gradient for the logits",
            ),
            "survives": (
                "finite numbers where the generator draws a 0",
                "NaN or infinity where the generator draws a 0",
            ),
        }

    def _wins_in_words(self, tau: float, off: list[list[Any]]) -> str:
        said = {
            OTHERWISE: "other colours that win",
            HARDER: "the colours wanted most win too often",
            SOFTER: "the colours wanted most win too seldom",
        }
        right = "colours that win as often as softmax(logits) of their pixel says"
        return f"{self._of_all(off, said) if off else right}, at tau {tau:g}"

    def _spread_in_words(self, tau: float, off: list[list[Any]]) -> str:
        said = {
            OTHERWISE: "weights spread otherwise",
            HARDER: "weights that are harder, nearer to 0 and 1",
            SOFTER: "weights that are softer, nearer to one another",
            UPSIDE_DOWN: "weights as of noise of the other sign: its long tail points downwards",
        }
        right = "weights spread as softmax((logits + g) / tau) spreads them"
        return f"{self._of_all(off, said) if off else right}, at tau {tau:g}"

    def _of_all(self, off: list[list[Any]], said: dict[str, str]) -> str:
        """What is the same for all pictures that are off, and which they are."""
        ways = {way for _, way in off}
        way = ways.pop() if len(ways) == 1 else OTHERWISE
        return said[way] + self._in_which([picture for picture, _ in off])

    def _in_which(self, pictures: list[int]) -> str:
        """Said only where other pictures are right."""
        if len(pictures) == len(self.tensors["logits"]):
            return ""
        return f", in picture {', '.join(map(str, pictures))} of the batch only"

    def where(self, place: tuple[int, ...]) -> str:
        which = "wanted most" if place[1] == 0 else f"that is number {place[1] + 1} of the wanted"
        return f"for the {self.parts[place[0]]} of the colour {which}"


def _cotangent(weights: Tensor) -> Tensor:
    return torch.randn(weights.shape, generator=seeded())


def _is_near(one: Tensor, other: Tensor | float) -> bool:
    """The same within rounding."""
    return bool((one - other).abs().max() < 1e-3)


def _off(is_right: Callable[..., bool], *pictures: Tensor) -> list[int]:
    """The pictures (B, K, H, W) for which something is wrong, or all if it is of all together."""
    off = [place for place, its in enumerate(zip(*pictures, strict=True)) if not is_right(*its)]
    if off or is_right(*(torch.cat([*its], dim=2) for its in pictures)):
        return off
    return list(range(len(pictures[0])))


def _wins_as_often(weights: Tensor, logits: Tensor) -> bool:
    """Whether each colour is the largest, over all pixels (K, H, W), as often as is probable.

    Counted once plainly and once by how far its logit is above or below the others.
    """
    expected = logits.softmax(dim=0)
    largest = (weights == weights.amax(dim=0)).double()
    surplus, variance = largest - expected, expected * (1 - expected)
    return all(
        bool(((surplus * by).sum(dim=(1, 2)).abs() <= SURPRISING * _root(variance * by**2)).all())
        for by in (torch.ones_like(logits), logits - logits.mean(dim=0))
    )


def _root(variances: Tensor) -> Tensor:
    """The standard deviation of the sum over the pixels, for each colour."""
    return variances.sum(dim=(1, 2)).sqrt()


def _is_uniform(numbers: Tensor) -> bool:
    """Whether numbers (K, H, W) of 0 to 1 are, for each of the K."""
    expected = EDGES.diff() * numbers[0].numel()
    bins = torch.bucketize(numbers.flatten(1), EDGES[1:-1])
    counts = [torch.bincount(one, minlength=len(expected)) for one in bins]
    return all(abs(unevenness(its.double(), expected)) <= SURPRISING for its in counts)


def _which_wins(weights: Tensor, logits: Tensor) -> str:
    """Whether colours of large logits are the largest in more or in fewer pixels than wanted."""
    largest = (weights == weights.amax(dim=0)).double()
    expected = logits.softmax(dim=0)
    above = logits - logits.mean(dim=0)
    surplus = float(((largest - expected) * above).sum())
    deviation = float((expected * (1 - expected) * above**2).sum().sqrt())
    if abs(surplus) < SURPRISING * deviation:
        return OTHERWISE
    return HARDER if surplus > 0 else SOFTER


def _how(weights: Tensor, logits: Tensor, noise: Tensor, tau: float) -> str:
    """Whether weights (K, H, W) are harder or softer than wanted, or their noise is skew.

    The mean of |m + X|, X logistic, is |m| + 2 log(1 + exp(-|m|)).
    """
    apart = tau * (weights.double().clamp(min=SMALLEST).log().diff(dim=0)).abs()
    between = logits.diff(dim=0).abs()
    ratio = float(apart.mean() / (between + 2 * (-between).exp().log1p()).mean())
    if ratio > 1.15:
        return HARDER
    if ratio < 1 / 1.15:
        return SOFTER
    skewness = float((noise**3).mean() / (noise**2).mean() ** 1.5)
    return UPSIDE_DOWN if skewness < -0.2 else OTHERWISE


def _sums_in_words(axes: list[int]) -> str:
    if not axes:
        return "weights that sum to 1 along no axis"
    return f"weights that sum to 1 along axis {' and '.join(map(str, axes))}"


KIND = ChoicesCase
