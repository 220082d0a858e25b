"""Words in their places: a bias on cross-attention, against attention written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from distillery.core.errors import CourseError
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.models.prior import Condition, cat
from distillery.models.regions import Region, attention_bias, fit_bias
from distillery.models.stable_diffusion import StableDiffusionPrior

FOLDERS = ["tiny_sd_folder", "tiny_sd_v_folder", "tiny_sdxl_folder"]
PROMPTS = ["a red boat", "a blue house"]


@pytest.fixture(params=FOLDERS)
def prior(request: pytest.FixtureRequest) -> StableDiffusionPrior:
    prior = load_prior(request.getfixturevalue(request.param), device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


@pytest.fixture(scope="module")
def embedded() -> StableDiffusionPrior:
    prior = load_prior("tiny-sd", device="cpu")
    assert isinstance(prior, StableDiffusionPrior)
    return prior


def left_half(height: int = 12, width: int = 20) -> Tensor:
    mask = torch.zeros(height, width)
    mask[:, : width // 2] = 1
    return mask


def branches(
    prior: StableDiffusionPrior, size: tuple[int, int] = (6, 10), batch: int = 2
) -> tuple[Tensor, Tensor, Condition, Condition]:
    xt = torch.randn(batch, 4, *size, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([37, 801])[:batch]
    return xt, t, prior.embed([""] * batch), prior.embed(PROMPTS[:batch])


class WrittenOut:
    """Cross-attention as the paper writes it, with the whole matrix of weights."""

    def __init__(self, bias: Tensor, size: tuple[int, int]) -> None:
        self.bias, self.size = bias, size

    def __call__(
        self, attn: Any, x: Tensor, encoder_hidden_states: Tensor, **options: Any
    ) -> Tensor:
        def heads(values: Tensor) -> Tensor:
            return values.unflatten(2, (attn.heads, -1)).transpose(1, 2)

        context = encoder_hidden_states
        q, k, v = heads(attn.to_q(x)), heads(attn.to_k(context)), heads(attn.to_v(context))
        height, width = self.size
        if x.shape[1] != height * width:
            height, width = (height + 1) // 2, (width + 1) // 2
        bias = F.adaptive_avg_pool2d(self.bias, (height, width)).flatten(2).transpose(1, 2)
        weights = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5 + bias[:, None]).softmax(dim=3)
        return attn.to_out[0]((weights @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("size", [(6, 10), (8, 8), (9, 7)])
@pytest.mark.parametrize("batch", [1, 2])
def test_eps_is_that_of_biased_attention_written_out(
    prior: StableDiffusionPrior, size: tuple[int, int], batch: int
) -> None:
    xt, t, uncond, text = branches(prior, size, batch)
    masks = torch.rand(batch, 1, 12, 20, generator=torch.Generator().manual_seed(1))
    regions = [Region([3, 4], masks, 4.0), Region([4, 9], left_half(), -3.0)]

    _, eps = prior.predict_noise(xt, t, uncond, text.with_regions(regions))

    bias = torch.zeros(batch, 77, 12, 20)
    bias[:, 3:5] += 4 * masks
    bias[:, [4, 9]] -= 3 * left_half()
    written_out = WrittenOut(F.adaptive_avg_pool2d(bias, size), size)
    for name, layer in prior.unet.named_modules():
        if name.endswith("attn2"):
            layer.set_processor(written_out)
    (expected,) = prior.predict_noise(xt, t, text)
    torch.testing.assert_close(eps, expected, atol=1e-5, rtol=1e-4)


def test_the_unconditional_branch_and_a_strength_of_zero_change_nothing(
    prior: StableDiffusionPrior,
) -> None:
    xt, t, uncond, text = branches(prior)
    plain_uncond, plain = prior.predict_noise(xt, t, uncond, text)

    strong = text.with_regions([Region([3, 4], left_half(), 6.0)])
    zero = text.with_regions([Region([3, 4], left_half(), 0.0)])

    told_uncond, told = prior.predict_noise(xt, t, uncond, strong)
    torch.testing.assert_close(told_uncond, plain_uncond, atol=1e-5, rtol=1e-4)
    assert (told - plain).abs().max() > 1e-3
    _, same = prior.predict_noise(xt, t, uncond, zero)
    torch.testing.assert_close(same, plain, atol=1e-5, rtol=1e-4)


def test_it_leaves_no_trace(prior: StableDiffusionPrior) -> None:
    xt, t, uncond, text = branches(prior)
    before = dict(prior.unet.attn_processors)
    plain = prior.predict_noise(xt, t, uncond, text)

    prior.predict_noise(xt, t, uncond, text.with_regions([Region([3], left_half(), 5.0)]))

    after = prior.unet.attn_processors
    assert all(after[name] is processor for name, processor in before.items())
    again = prior.predict_noise(xt, t, uncond, text)
    assert all(torch.equal(one, other) for one, other in zip(again, plain, strict=True))


def test_it_leaves_no_trace_of_a_call_that_failed(
    prior: StableDiffusionPrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    xt, t, _, text = branches(prior)
    before = dict(prior.unet.attn_processors)

    def fails(*args: object, **options: object) -> Tensor:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", fails)
        with pytest.raises(KeyboardInterrupt):
            prior.predict_noise(xt, t, text.with_regions([Region([3], left_half(), 5.0)]))

    after = prior.unet.attn_processors
    assert all(after[name] is processor for name, processor in before.items())


def test_the_bias_is_the_attention_mask_of_cross_attention_alone(
    prior: StableDiffusionPrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    xt, t, uncond, text = branches(prior)
    own, calls = F.scaled_dot_product_attention, []

    def noting(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None, **rest: Any) -> Tensor:
        calls.append((k.shape[2] == 77, attn_mask))
        return own(q, k, v, attn_mask=attn_mask, **rest)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noting)

    prior.predict_noise(xt, t, uncond, text.with_regions([Region([3], left_half(), 5.0)]))

    assert {crosses for crosses, _ in calls} == {True, False}
    for crosses, mask in calls:
        assert (mask is not None) == crosses
        if mask is not None:
            assert not mask[:2].any()
            assert set(mask[2:, :, :, 3].unique().tolist()) <= {0, 2.5, 5}  # 2.5 across the middle
            assert mask[2:, :, :, 3].amax() == 5
            assert not mask[:, :, :, 4:].any()


@pytest.mark.parametrize("size", [(8, 12), (9, 14)])
def test_the_coarsest_attention_has_the_fewest_positions_of_all_layers(
    prior: StableDiffusionPrior, size: tuple[int, int]
) -> None:
    positions = []
    for name, layer in prior.unet.named_modules():
        if name.endswith(".attn2"):
            layer.register_forward_pre_hook(
                lambda layer, inputs: positions.append(inputs[0].shape[1])
            )

    prior.predict_noise(torch.randn(1, 4, *size), torch.tensor([500]), prior.embed([""]))

    rows, columns = prior.coarsest_attention(size)
    assert rows * columns == min(positions)
    assert rows < columns


def test_half_precision_takes_regions_too(tiny_sdxl_folder: Path) -> None:
    prior = load_prior(tiny_sdxl_folder, device="cpu", dtype="bfloat16")
    xt, t = torch.randn(1, 4, 6, 10), torch.tensor([500])
    condition = prior.embed(["a red boat"]).with_regions([Region([3], left_half(), 5.0)])

    (eps,) = prior.predict_noise(xt, t, condition)

    assert eps.dtype == torch.float32
    assert eps.isfinite().all()


# ---------------------------------------------------------------------------------- words to tokens


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        ("boat", ["boat"]),
        ("Red boat", ["red", "boat"]),
        ("a", ["a", "a"]),
        ("blue house", ["blue", "house"]),
        (" river", ["river"]),
    ],
)
def test_words_are_found_among_the_tokens(
    embedded: StableDiffusionPrior, words: str, tokens: list[str]
) -> None:
    prompt = "A red boat, a blue house near the river"

    indices = embedded.token_indices(prompt, words)

    tokenizer = embedded.pipeline.tokenizer
    ids = torch.tensor(tokenizer(prompt).input_ids)
    found = tokenizer.convert_ids_to_tokens(ids[list(indices)])
    assert [token.removesuffix("</w>") for token in found] == tokens
    assert embedded.embed([prompt]).tokens.shape[1] > max(indices)


def test_a_word_of_several_tokens_has_them_all(prior: StableDiffusionPrior) -> None:
    """The tokenizer of the random models spells."""
    assert prior.token_indices("a red boat", "red") == (2, 3, 4)


@pytest.mark.parametrize("words", ["green", "boa", "oat", "", "  ", "red house"])
def test_words_that_are_not_in_the_prompt_are_refused(
    embedded: StableDiffusionPrior, words: str
) -> None:
    with pytest.raises(CourseError, match=rf"{words!r} is not in the prompt 'a red boat'"):
        embedded.token_indices("a red boat", words)


def test_words_beyond_what_the_model_reads_are_refused(embedded: StableDiffusionPrior) -> None:
    prompt = "a red boat " * 7 + "and a house"

    with pytest.raises(CourseError, match="lies beyond the 22 tokens that the model reads"):
        embedded.token_indices(prompt, "house")


# -------------------------------------------------------------------------------- the exact prior


def mixture() -> GaussianMixturePrior:
    means = torch.randn(3, 4, 4, 6, generator=torch.Generator().manual_seed(3))
    weights = torch.tensor([0.5, 0.2, 0.3])
    names = {"boat": [0], "house": [1, 2], "all": [0, 1, 2]}
    return GaussianMixturePrior(means, 0.8, weights, names)


def test_a_region_of_the_whole_picture_multiplies_the_weights() -> None:
    prior, xt, t = mixture(), torch.randn(2, 4, 4, 6), torch.tensor([700, 950])
    regions = [Region(prior.token_indices("all", "house"), torch.ones(8, 12), 1.5)]
    factors = torch.tensor([1.0, 4.481689, 4.481689])
    expected = GaussianMixturePrior(prior.means, prior.std, factors * torch.tensor([0.5, 0.2, 0.3]))

    (eps,) = prior.predict_noise(xt, t, prior.embed(["all"] * 2).with_regions(regions))

    (wanted,) = expected.predict_noise(xt, t, expected.embed(["", ""]))
    torch.testing.assert_close(eps, wanted, atol=1e-5, rtol=1e-4)


def test_a_strong_region_holds_the_components_inside_and_nothing_outside() -> None:
    prior, xt, t = mixture(), torch.randn(1, 4, 4, 6), torch.tensor([900])
    boat = Region(prior.token_indices("all", "boat"), left_half(4, 6), 200.0)

    (eps,) = prior.predict_noise(xt, t, prior.embed(["all"]).with_regions([boat]))

    (inside,) = prior.predict_noise(xt, t, prior.embed(["boat"]))
    (outside,) = prior.predict_noise(xt, t, prior.embed(["all"]))
    torch.testing.assert_close(eps[..., :3], inside[..., :3], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(eps[..., 3:], outside[..., 3:], atol=1e-5, rtol=1e-4)


def test_the_exact_priors_other_branches_are_left_alone() -> None:
    prior, xt, t = mixture(), torch.randn(2, 4, 4, 6), torch.tensor([700, 950])
    text, uncond = prior.embed(["all"] * 2), prior.embed(["", ""])
    told = text.with_regions([Region([0], left_half(4, 6), 5.0)])

    plain, _ = prior.predict_noise(xt, t, uncond, text)
    beside, _ = prior.predict_noise(xt, t, uncond, told)

    torch.testing.assert_close(beside, plain)


def test_the_exact_priors_attention_is_as_fine_as_its_latents() -> None:
    assert mixture().coarsest_attention((4, 6)) == (4, 6)


def test_the_exact_prior_knows_its_components_by_name() -> None:
    prior = mixture()

    assert prior.token_indices("all", "house") == (1, 2)
    with pytest.raises(CourseError, match="'house' is not in the prompt 'boat'"):
        prior.token_indices("boat", "house")
    with pytest.raises(CourseError, match="knows the prompts"):
        prior.token_indices("all", "tree")


# ------------------------------------------------------------------------------ bad input, joining


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (Region([], torch.ones(4, 6)), "needs the indices of its tokens"),
        (Region([-1], torch.ones(4, 6)), "needs the indices of its tokens"),
        (Region([1], torch.ones(4, 6), float("inf")), "must be finite; it is inf"),
        (Region([1], torch.ones(4, 6), float("nan")), "must be finite; it is nan"),
        (Region([1], torch.ones(3, 1, 4, 6)), r"\(H, W\) or \(2, 1, H, W\); it is \(3, 1, 4, 6\)"),
        (Region([1], torch.ones(1, 4, 6)), r"it is \(1, 4, 6\)"),
        (Region([1], 2 * torch.ones(4, 6)), "must be from 0 to 1"),
        (Region([1], torch.full((4, 6), float("nan"))), "must be from 0 to 1"),
    ],
)
def test_a_region_that_fits_nothing_is_refused(region: Region, words: str) -> None:
    with pytest.raises(CourseError, match=words):
        attention_bias([region], 2)


def test_regions_of_two_resolutions_or_none_are_refused() -> None:
    with pytest.raises(CourseError, match="must have one size"):
        attention_bias([Region([1], torch.ones(4, 6)), Region([1], torch.ones(6, 4))], 1)
    with pytest.raises(CourseError, match="there is no region"):
        attention_bias([], 1)


def test_a_token_that_the_prompt_lacks_is_refused(prior: StableDiffusionPrior) -> None:
    xt, t, _, text = branches(prior)

    with pytest.raises(CourseError, match="names token 77, but the prompt has 77"):
        prior.predict_noise(xt, t, text.with_regions([Region([77], left_half())]))


def test_conditions_keep_their_regions_when_they_repeat_and_join() -> None:
    plain = Condition(torch.zeros(1, 5, 2))
    masks = torch.stack([left_half(4, 6), 1 - left_half(4, 6)])[:, None]
    one = Condition(torch.zeros(2, 5, 2)).with_regions([Region([2], masks, 3.0)])
    two = plain.with_regions([Region([0], left_half(4, 6), 1.0)])

    joined = cat([one.repeat(2), plain, two]).to("cpu")

    assert joined.attention_bias is not None
    assert joined.attention_bias.shape == (6, 3, 4, 6)
    expected = [3 * masks[0, 0], 3 * masks[0, 0], 3 * masks[1, 0], 3 * masks[1, 0]]
    assert torch.equal(joined.attention_bias[:4, 2], torch.stack(expected))
    assert not joined.attention_bias[4].any()
    assert torch.equal(joined.attention_bias[5, 0], left_half(4, 6))
    with pytest.raises(CourseError, match="one resolution"):
        cat([one, plain.with_regions([Region([0], left_half(8, 6))])])


def test_a_bias_is_averaged_over_what_a_position_covers() -> None:
    bias = torch.arange(8.0).view(1, 1, 2, 4)

    fitted = fit_bias(bias, 3, (1, 2))

    assert fitted.tolist() == [[[[2.5, 4.5]], [[0, 0]], [[0, 0]]]]
