"""Words in their regions: four ways, against closed forms of the exact prior and on the models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.methods.region_control import (
    WAYS,
    Way,
    disjoint,
    region_predict,
    region_prompts,
)
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.models.prior import Prior, guided_noise
from distillery.models.stable_diffusion import StableDiffusionPrior
from reference import strokes

PROMPT = "a red boat and a blue house in the snow"
WORDS = ("a red boat", "a blue house")
ALL: tuple[Way, ...] = ("attention", "hard", "regional", "composed")
EXACT: tuple[Way, ...] = ("attention", "hard", "composed")
FOLDERS = ["tiny_sd_folder", "tiny_sd_v_folder", "tiny_sdxl_folder"]


def halves(height: int = 12, width: int = 20) -> Tensor:
    """The left and the right half, (2, height, width)."""
    left = torch.zeros(height, width)
    left[:, : width // 2] = 1
    return torch.stack([left, 1 - left])


def predicted(
    prior: Prior,
    way: Way,
    xt: Tensor,
    t: Tensor,
    masks: Tensor,
    *,
    prompt: str = PROMPT,
    words: tuple[str, ...] = WORDS,
    strength: float = 1.0,
    guidance_scale: float = 3.0,
) -> Tensor:
    predict = region_predict(
        prior,
        strokes,
        prompt=prompt,
        words=words,
        masks=masks,
        way=way,
        guidance_scale=guidance_scale,
        strength=strength,
    )
    return predict(xt, t)


def guided(prior: Prior, prompt: str, xt: Tensor, t: Tensor, guidance_scale: float = 3.0) -> Tensor:
    text, uncond = prior.embed([prompt] * len(xt)), prior.embed([""] * len(xt))
    return guided_noise(prior, text=text, uncond=uncond, guidance_scale=guidance_scale)(xt, t)


# -------------------------------------------------------------------------------- the exact prior


def mixture() -> GaussianMixturePrior:
    means = torch.randn(4, 4, 6, 10, generator=torch.Generator().manual_seed(3))
    names = {"boat": [0], "house": [1, 2], "both": [0, 1, 2]}
    return GaussianMixturePrior(means, 0.8, torch.tensor([0.4, 0.2, 0.3, 0.1]), names)


def noisy(batch: int = 2, size: tuple[int, int] = (6, 10)) -> tuple[Tensor, Tensor]:
    xt = torch.randn(batch, 4, *size, generator=torch.Generator().manual_seed(4))
    return xt, torch.tensor([420, 801, 950])[:batch]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("way", ["hard", "composed"])
def test_each_half_of_an_exact_prior_is_that_of_its_own_words(way: Way, batch: int) -> None:
    """Components of "both" that a half's words lack have no weight there, whichever way."""
    prior, (xt, t) = mixture(), noisy(batch)

    eps = predicted(prior, way, xt, t, halves(), prompt="both", words=("boat", "house"))

    boat, house = (guided(prior, name, xt, t) for name in ("boat", "house"))
    expected = torch.cat([boat[..., :5], house[..., 5:]], dim=3)
    torch.testing.assert_close(eps, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("strength", [0.7, 2.0])
def test_paint_with_words_weighs_the_components_by_the_noise_of_the_step(strength: float) -> None:
    prior, (xt, t) = mixture(), noisy()

    eps = predicted(
        prior, "attention", xt, t, halves(), prompt="both", words=("boat", "house"),
        strength=strength,
    )  # fmt: skip

    (uncond,) = prior.predict_noise(xt, t, prior.embed([""] * 2))
    for b, alpha_bar in enumerate(prior.alphas_cumprod[t].tolist()):
        more = (1 + ((1 - alpha_bar) / alpha_bar) ** 0.5) ** strength
        for columns, factors in ((slice(0, 5), [more, 1, 1]), (slice(5, 10), [1, more, more])):
            weights = torch.tensor(factors) * torch.tensor([0.4, 0.2, 0.3])
            biased = GaussianMixturePrior(prior.means[:3], prior.std, weights)
            (text,) = biased.predict_noise(xt[b : b + 1], t[b : b + 1], biased.embed([""]))
            expected = uncond[b] + 3.0 * (text[0] - uncond[b])
            torch.testing.assert_close(
                eps[b, :, :, columns], expected[:, :, columns], atol=1e-5, rtol=0
            )


def test_composed_scores_share_a_place_by_its_masks() -> None:
    prior, (xt, t) = mixture(), noisy()
    masks = torch.stack([torch.full((6, 10), 0.5), torch.full((6, 10), 0.5)])

    eps = predicted(
        prior, "composed", xt, t, masks, prompt="both", words=("boat", "house"), strength=0.8
    )

    boat, house, both = (guided(prior, name, xt, t) for name in ("boat", "house", "both"))
    # Of what the first region leaves, half, the second one takes half.
    expected = 0.8 * (0.5 * boat + 0.25 * house) + (1 - 0.8 * 0.75) * both
    torch.testing.assert_close(eps, expected, atol=1e-5, rtol=0)


def test_a_latent_follows_each_region_by_its_share_of_what_the_latent_stands_for() -> None:
    prior, (xt, t) = mixture(), noisy()
    left = torch.zeros(1, 12, 20)
    left[..., :9] = 1  # four latents and half of the fifth

    eps = predicted(prior, "composed", xt, t, left, prompt="both", words=("boat",))

    boat, both = (guided(prior, name, xt, t) for name in ("boat", "both"))
    torch.testing.assert_close(
        eps[..., 3:6],
        torch.stack([boat[..., 3], (boat + both)[..., 4] / 2, both[..., 5]], dim=3),
        atol=1e-5,
        rtol=0,
    )


def test_a_prior_without_attention_has_no_regional_attention() -> None:
    with pytest.raises(CourseError, match="choose attention, hard or composed"):
        predicted(mixture(), "regional", *noisy(), halves(), prompt="both", words=("boat", "house"))


# ------------------------------------------------------------------------------------- the models


@pytest.fixture(params=FOLDERS)
def prior(request: pytest.FixtureRequest) -> Prior:
    return load_prior(request.getfixturevalue(request.param), device="cpu")


@pytest.fixture(scope="module")
def tiny_sd() -> StableDiffusionPrior:
    prior = load_prior("tiny-sd", device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


@pytest.mark.parametrize("way", ALL)
def test_without_strength_it_is_plain_guidance(prior: Prior, way: Way) -> None:
    xt, t = noisy(2, (9, 14))

    eps = predicted(prior, way, xt, t, halves(), strength=0.0)

    torch.testing.assert_close(eps, guided(prior, PROMPT, xt, t), atol=1e-4, rtol=1e-4)
    assert (predicted(prior, way, xt, t, halves()) - eps).abs().max() > 1e-3


@pytest.mark.parametrize("way", ["hard", "regional", "composed"])
def test_one_region_of_the_whole_picture_is_plain_guidance(prior: Prior, way: Way) -> None:
    xt, t = noisy(2, (9, 14))

    eps = predicted(
        prior, way, xt, t, torch.ones(1, 12, 20), prompt="a red boat", words=("a red boat",)
    )

    torch.testing.assert_close(eps, guided(prior, "a red boat", xt, t), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("way", ALL)
def test_each_picture_of_a_batch_may_have_its_own_masks(prior: Prior, way: Way) -> None:
    xt, t = noisy(2)
    both = torch.stack([halves(), halves().flip(0)])

    eps = predicted(prior, way, xt, t, both)

    for b in (0, 1):
        alone = predicted(prior, way, xt[b : b + 1], t[b : b + 1], both[b])
        torch.testing.assert_close(eps[b : b + 1], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("way", ALL)
def test_half_precision_stays_finite_where_no_word_applies(
    tiny_sdxl_folder: Path, way: Way, dtype: str
) -> None:
    prior = load_prior(tiny_sdxl_folder, device="cpu", dtype=dtype)
    corners = torch.zeros(2, 12, 20)
    corners[0, :6, :9] = corners[1, 6:, 11:] = 1

    assert predicted(prior, way, *noisy(), corners).isfinite().all()


def test_words_of_one_region_reach_less_of_the_other(tiny_sd: StableDiffusionPrior) -> None:
    """Composed scores keep them out. Attention alone does not: layers between carry them on, and
    with a hard mask the mark of the sentence's end tells of them everywhere."""
    xt, t = noisy(1, (16, 32))
    other = "a red boat and a white cat in the snow"
    leak = {}
    for way in ("hard", "regional", "composed"):
        before = predicted(tiny_sd, way, xt, t, halves(64, 128))
        after = predicted(
            tiny_sd, way, xt, t, halves(64, 128), prompt=other, words=("a red boat", "a white cat")
        )
        change = (after - before).square().mean((0, 1, 2)).sqrt()
        leak[way] = float(change[:12].mean() / change[20:].mean())

    assert leak["composed"] == 0
    assert 0.02 < leak["regional"] < 0.5
    assert 0.5 < leak["hard"] < 1


def test_where_regions_overlap_the_first_one_has_the_place() -> None:
    masks = torch.tensor([[1.0, 1, 0, 0, 0.5], [0, 1, 1, 0, 1], [0, 1, 1, 1, 1]]).view(1, 3, 1, 5)

    left = disjoint(masks)

    expected = torch.tensor([[1.0, 1, 0, 0, 0.5], [0, 0, 1, 0, 0.5], [0, 0, 0, 1, 0]])
    assert torch.equal(left, expected.view(1, 3, 1, 5))
    assert torch.equal(disjoint(masks[0]), left[0])


# ------------------------------------------------------------------------- prompts of the regions


@pytest.mark.parametrize(
    ("prompt", "words", "parts"),
    [
        (PROMPT, WORDS, ["a red boat in the snow", "a blue house in the snow"]),
        (PROMPT, ("house", "boat"), ["a blue house in the snow", "a red boat in the snow"]),
        (
            "A red boat, a cup, and a cat",
            ("boat", "cat", "a cup"),
            ["A red boat", "a cat", "a cup"],
        ),
        ("a drawing of a boat in the forest", ("boat",), ["a drawing of a boat in the forest"]),
        ("in the snow", ("a boat",), ["a boat"]),
        (
            "a red boat in the snow",
            ("boat", "a cat"),
            ["a red boat in the snow", "a cat in the snow"],
        ),
        ("a boathouse and a boat", ("boat",), ["a boathouse and a boat"]),
        ("a car and a car", ("car", "car"), ["a car and a car", "a car and a car"]),
    ],
)
def test_a_regions_prompt_is_what_is_said_of_its_words_and_how_the_sentence_ends(
    prompt: str, words: tuple[str, ...], parts: list[str]
) -> None:
    assert region_prompts(prompt, words) == parts


@pytest.mark.parametrize("way", ["regional", "composed"])
def test_what_the_regions_leave_hears_how_the_sentence_ends(
    tiny_sd: StableDiffusionPrior, way: Way
) -> None:
    xt, t = noisy(1, (16, 32))
    left = halves(64, 128)[:1]

    eps = predicted(tiny_sd, way, xt, t, left, words=WORDS[:1], prompt="a red boat in the snow")

    words = ("a red boat in the snow", "in the snow")
    split = predicted(tiny_sd, way, xt, t, halves(64, 128), prompt="a tree", words=words)
    torch.testing.assert_close(eps, split, atol=1e-4, rtol=1e-4)


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("way", ["attention", "hard"])
def test_words_that_the_prompt_lacks_are_refused(tiny_sd: StableDiffusionPrior, way: Way) -> None:
    with pytest.raises(CourseError, match="'a green cat' is not in the prompt"):
        predicted(tiny_sd, way, *noisy(), halves(), words=("a red boat", "a green cat"))


@pytest.mark.parametrize("way", ["regional", "composed"])
def test_regions_with_prompts_of_their_own_need_not_be_in_the_whole(
    tiny_sd: StableDiffusionPrior, way: Way
) -> None:
    eps = predicted(tiny_sd, way, *noisy(), halves(), words=("a red boat", "a green cat"))
    assert eps.isfinite().all()


@pytest.mark.parametrize(
    ("masks", "words", "message"),
    [
        (halves(), ("a red boat",), r"the masks are \(2, 12, 20\) and the words \['a red boat'\]"),
        (halves()[:1], WORDS, "words for each of the K"),
        (torch.zeros(0, 12, 20), (), "words for each of the K"),
        (torch.ones(12, 20), WORDS, r"need masks \(K, H, W\)"),
        (2 * halves(), WORDS, "must be from 0 to 1"),
        (halves() * torch.nan, WORDS, "must be from 0 to 1"),
        (torch.stack([halves()] * 3), WORDS, "for 3 pictures, and there are 2"),
        (torch.ones(2, 12, 20), WORDS, "'a blue house' has 0.0 of the 2 x 3 cells"),
    ],
)
def test_masks_that_fit_nothing_are_refused(
    tiny_sd: StableDiffusionPrior, masks: Tensor, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CourseError, match=message):
        predicted(tiny_sd, "hard", *noisy(), masks, words=words)


def test_a_region_needs_half_a_cell_of_the_coarsest_attention(
    tiny_sd: StableDiffusionPrior,
) -> None:
    masks = torch.zeros(1, 12, 20)  # for 2 x 3 cells of 40 pixels
    masks[0, 0] = 1
    assert predicted(tiny_sd, "hard", *noisy(), masks, words=WORDS[:1]).isfinite().all()
    masks[0, 0, 0] = 0
    with pytest.raises(CourseError, match=r"'a red boat' has 0\.5 of the 2 x 3 cells"):
        predicted(tiny_sd, "hard", *noisy(), masks, words=WORDS[:1])


@pytest.mark.parametrize("way", ALL)
def test_a_strength_out_of_range_is_refused(tiny_sd: StableDiffusionPrior, way: Way) -> None:
    for strength in (-0.1, float("nan"), float("inf"), *([1.5] if way != "attention" else [])):
        with pytest.raises(CourseError, match="strength of regions must be"):
            predicted(tiny_sd, way, *noisy(), halves(), strength=strength)


def test_an_unknown_way_is_refused(tiny_sd: StableDiffusionPrior) -> None:
    with pytest.raises(CourseError, match="choose attention, hard, regional, composed"):
        predicted(tiny_sd, "soft", *noisy(), halves())  # type: ignore[arg-type]
    assert list(WAYS) == list(ALL)
