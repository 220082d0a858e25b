"""Which words apply where: four ways to bind parts of a prompt to regions of the picture.

    attention   words are heard more in their region: paint-with-words
    hard        words are heard in their region alone
    regional    each region hears a prompt of its own, inside one prediction
    composed    each region follows the prediction for a prompt of its own

Each is a `Predict`, the noise that any sampler follows, so it goes with every method that starts or
changes the latents. The first two need the words of one sentence alone; the last two cure what that
sentence mixes up, as its tokens know of each other before attention sees them.

Masks are `(B, K, H, W)` in [0, 1] or `(K, H, W)` for the whole batch, 1 inside the k-th region; of
any resolution. Where regions overlap, the first one has the place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from distillery.core.errors import CourseError
from distillery.core.whole_words import places
from distillery.methods.guided_ddim import Predict
from distillery.methods.strokes import StrokeFunctions
from distillery.models.prior import Condition, Prior, guided_noise

AWAY = -30.0  # a logit that leaves a token no weight, and stays finite in half precision

Way = Literal["attention", "hard", "regional", "composed"]


@dataclass(frozen=True)
class Regions:
    """What a picture shows, and where.

    prompt:   of the whole picture.
    words:    for each region the words of the prompt that it shows, such as "a red boat".
    masks:    (1, K, H, W) or (B, K, H, W), where they are; they do not overlap.
    strength: how strongly words are bound, 0 not at all; up to 1, or beyond it for "attention".
    negative: the prompt to stay away from.
    """

    prompt: str
    words: Sequence[str]
    masks: Tensor
    strength: float
    negative: str


def region_predict(
    prior: Prior,
    functions: StrokeFunctions,
    *,
    prompt: str,
    words: Sequence[str],
    masks: Tensor,
    way: Way,
    guidance_scale: float,
    strength: float = 1.0,
    negative_prompt: str = "",
) -> Predict:
    """The noise to follow of xt `(B, C, h, w)` and t `(B,)`, with words bound to regions.

    Args:
        prompt: of the whole picture.
        words: for each region the words of the prompt that apply there, such as "a red boat".
        masks: `(K, H, W)` or `(B, K, H, W)` in [0, 1], of any resolution.
        way: how the words are bound.
        strength: 0 is plain guidance by the prompt, 1 the way as it is published; only "attention"
            takes more.

    Raises:
        CourseError: the way is unknown; the words are not one for each region, or not in the prompt
            ("attention", "hard"); the strength is out of range; the masks are of another shape or
            outside [0, 1]. At the first prediction: a region has less than half a cell of the
            network's coarsest attention, or the masks are for another number of pictures.
    """
    if way not in WAYS:
        raise CourseError(f"unknown way of region control {way!r}; choose {', '.join(WAYS)}.")
    most = math.inf if way == "attention" else 1.0
    if not (0 <= strength <= most and math.isfinite(strength)):
        wanted = "finite and at least 0" if way == "attention" else "from 0 to 1"
        raise CourseError(f"the strength of regions must be {wanted}; it is {strength}.")
    masks = disjoint(_checked(masks, words).to(prior.device))
    regions = Regions(prompt, words, masks, strength, negative_prompt)
    predict = WAYS[way](prior, functions, regions, guidance_scale)

    def checked(xt: Tensor, t: Tensor) -> Tensor:
        _check_cells(prior, regions, xt)
        return predict(xt, t)

    return checked


def attention(
    prior: Prior, functions: StrokeFunctions, regions: Regions, guidance_scale: float
) -> Predict:
    """Paint-with-words (eDiff-I, Balaji et al. 2022, arXiv 2211.01324, section 4.3).

    The logits of a region's words rise inside it by strength * log(1 + sigma_t), with sigma_t =
    sqrt((1 - alpha_bar) / alpha_bar): much while the layout is decided, next to nothing later. The
    paper also multiplies by the largest logit of the layer.
    """

    def inside_at(t: Tensor) -> Tensor:
        alpha_bar = prior.alphas_cumprod[t]
        return regions.strength * ((1 - alpha_bar) / alpha_bar).sqrt().log1p()

    return _biased(prior, functions, regions, guidance_scale, inside_at, outside=0.0)


def hard(
    prior: Prior, functions: StrokeFunctions, regions: Regions, guidance_scale: float
) -> Predict:
    """A region's words have no weight outside it.

    The other tokens, those of the beginning and of the end among them, are heard everywhere, and
    they know the words.
    """
    outside = AWAY * regions.strength
    return _biased(
        prior, functions, regions, guidance_scale, lambda t: torch.zeros(len(t)), outside=outside
    )


def _biased(
    prior: Prior,
    functions: StrokeFunctions,
    regions: Regions,
    guidance_scale: float,
    inside_at: Callable[[Tensor], Tensor],
    *,
    outside: float,
) -> Predict:
    """Guidance by the prompt with a bias on the logits of the words, made again at each step."""
    whole, uncond = prior.embed([regions.prompt]), prior.embed([regions.negative])
    tokens = [prior.token_indices(regions.prompt, words) for words in regions.words]
    # The exact prior has components for tokens, and one vector that tells of them all.
    count = max(whole.tokens.shape[1], 1 + max(map(max, tokens)))

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        masks = regions.masks.expand(len(xt), -1, -1, -1)
        bias = [
            functions.region_bias(mask, tokens, count, inside, outside)
            for mask, inside in zip(masks, inside_at(t).tolist(), strict=True)
        ]
        text = replace(whole.repeat(len(xt)), attention_bias=torch.cat(bias))
        return _guided(prior, uncond, text, guidance_scale, xt, t)

    return predict


def regional(
    prior: Prior, functions: StrokeFunctions, regions: Regions, guidance_scale: float
) -> Predict:
    """Cross-attention of each region to a prompt of its own.

    Raises:
        CourseError: the prior has no attention.
    """
    whole, uncond = prior.embed([regions.prompt]), prior.embed([regions.negative])
    prompts, every_mask = _parts(regions)
    parts = [prior.embed([prompt]) for prompt in prompts]
    if whole.tokens.shape[1] == 1:
        raise CourseError(
            "regional attention needs a network that attends to the tokens of its prompt, and this "
            "prior has none; choose attention, hard or composed."
        )

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        masks = every_mask.expand(len(xt), -1, -1, -1)
        text = regional_attention(
            whole.repeat(len(xt)), [part.repeat(len(xt)) for part in parts], masks
        )
        return _guided(prior, long_as(uncond, text), text, guidance_scale, xt, t)

    return predict


def composed(
    prior: Prior, functions: StrokeFunctions, regions: Regions, guidance_scale: float
) -> Predict:
    """Scores composed by place, after Liu et al. 2022 (arXiv 2206.01714, equation 11).

    Each region has its own direction of guidance; one call of the network predicts all of them.
    """
    prompts, every_mask = _parts(regions)
    conditions = [prior.embed([one]) for one in (regions.negative, regions.prompt, *prompts)]

    def predict(xt: Tensor, t: Tensor) -> Tensor:
        each = [condition.repeat(len(xt)) for condition in conditions]
        eps = torch.stack(prior.predict_noise(xt, t, *each))
        masks = interpolate(every_mask, xt.shape[-2:], mode="area")
        pictures = zip(eps.split(1, dim=1), masks.expand(len(xt), -1, -1, -1), strict=True)
        return torch.cat(
            [
                functions.compose_scores(its[0], its[1], its[2:], mask[:, None], guidance_scale)
                for its, mask in pictures
            ]
        )

    return predict


WAYS: dict[str, Callable[[Prior, StrokeFunctions, Regions, float], Predict]] = {
    "attention": attention,
    "hard": hard,
    "regional": regional,
    "composed": composed,
}


def region_prompts(prompt: str, words: Sequence[str]) -> list[str]:
    """A prompt for each region: its words with what is said of them, and how the sentence ends.

    "a red boat and a blue house in the snow" with the words "boat" and "a blue house" has the parts
    "a red boat in the snow" and "a blue house in the snow". Words that the prompt lacks keep to
    themselves what they say.
    """
    ends, end = _ends(prompt, words), end_of(prompt, words)
    parts = []
    for one in words:
        begin = max((other for other in ends.values() if other < ends.get(one, 0)), default=0)
        said = re.sub(r"^[\s,;]*(and\s)?\s*", "", prompt[begin : ends[one]]) if one in ends else one
        parts.append(f"{said} {end}".strip())
    return parts


def end_of(prompt: str, words: Sequence[str]) -> str:
    """What the prompt says after the last of the words, "in the snow" for example, or nothing."""
    return prompt[max(_ends(prompt, words).values(), default=len(prompt)) :].strip(" ,;.")


def _ends(prompt: str, words: Sequence[str]) -> dict[str, int]:
    """Where in the prompt those words end that it has."""
    found = {one: places(one, prompt) for one in words}
    return {one: spans[0][1] for one, spans in found.items() if spans}


def _parts(regions: Regions) -> tuple[list[str], Tensor]:
    """The prompts of the regions and their masks `(B, n, H, W)`, times the strength.

    What the regions leave is one more, with the end of the sentence for its prompt, if there is
    one: a sentence of several things says less clearly where they are.
    """
    prompts, masks = region_prompts(regions.prompt, regions.words), regions.masks
    if end := end_of(regions.prompt, regions.words):
        rest = (1 - masks.sum(1, keepdim=True)).clamp(min=0)
        prompts, masks = [*prompts, end], torch.cat([masks, rest], dim=1)
    return prompts, regions.strength * masks


def disjoint(masks: Tensor) -> Tensor:
    """The masks with each place left to the first region that has it."""
    taken = torch.cat([torch.zeros_like(masks[..., :1, :, :]), masks[..., :-1, :, :]], dim=-3)
    return masks * (1 - taken).cumprod(dim=-3)


def regional_attention(whole: Condition, parts: Sequence[Condition], masks: Tensor) -> Condition:
    """Each region attends to the tokens of its own prompt, the rest of the picture to the whole's.

    The prompts' tokens stand one after another, so the sentence of one thing says nothing of the
    colour of another one; `long_as` makes the unconditional branch as long. A mask is the share of
    its prompt in the weights of attention, in proportion to what the logits make of it.

    Args:
        masks: `(B, K, H, W)` in [0, 1]; they sum to at most 1.
    """
    rest = (1 - masks.sum(1, keepdim=True)).clamp(min=0)
    conditions = [whole, *parts]
    bias = [
        mask.log().clamp(min=AWAY).unsqueeze(1).expand(-1, part.tokens.shape[1], -1, -1)
        for part, mask in zip(conditions, torch.cat([rest, masks], dim=1).unbind(1), strict=True)
    ]
    tokens = torch.cat([part.tokens for part in conditions], dim=1)
    return replace(whole, tokens=tokens, attention_bias=torch.cat(bias, dim=1))


def long_as(condition: Condition, other: Condition) -> Condition:
    """The condition with its tokens repeated to the number of the other's; attention is unmoved."""
    times = other.tokens.shape[1] // condition.tokens.shape[1]
    return replace(condition, tokens=condition.tokens.repeat(1, times, 1))


def _guided(
    prior: Prior, uncond: Condition, text: Condition, guidance_scale: float, xt: Tensor, t: Tensor
) -> Tensor:
    uncond = uncond.repeat(len(xt))
    return guided_noise(prior, text=text, uncond=uncond, guidance_scale=guidance_scale)(xt, t)


def _checked(masks: Tensor, words: Sequence[str]) -> Tensor:
    """The masks as (B, K, H, W) float32."""
    if masks.ndim not in (3, 4) or not words or masks.shape[-3] != len(words):
        raise CourseError(
            "regions need masks (K, H, W) or (B, K, H, W) and words for each of the K; the masks "
            f"are {tuple(masks.shape)} and the words {list(words)}."
        )
    masks = masks.float()
    if not ((masks >= 0) & (masks <= 1)).all():
        raise CourseError("the masks of regions must be from 0 to 1; scale them.")
    return masks if masks.ndim == 4 else masks[None]


def _check_cells(prior: Prior, regions: Regions, xt: Tensor) -> None:
    """Refuse a region too small for the network to hear of it everywhere."""
    if len(regions.masks) not in (1, len(xt)):
        raise CourseError(
            f"the regions have masks for {len(regions.masks)} pictures, and there are {len(xt)}; "
            "give them for one or for all."
        )
    rows, columns = prior.coarsest_attention((xt.shape[-2], xt.shape[-1]))
    cells = regions.masks.mean((2, 3)).amin(0) * rows * columns
    for words, count in zip(regions.words, cells.tolist(), strict=True):
        if count < 0.5:
            raise CourseError(
                f"the region of {words!r} has {count:.1f} of the {rows} x {columns} cells of the "
                "coarsest attention, which is none; paint it larger."
            )
