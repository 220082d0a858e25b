"""What the network is asked about parts of a picture, and about small pictures of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gaussian_field import GaussianField
from torch import Tensor

from distillery.methods.any_size import Corner, Wanted, predict_views, predict_whole
from distillery.methods.elastic import Elastic, ElasticKnobs
from distillery.methods.elastic_methods import Knobs, Task, begin
from distillery.methods.guided_ddim import BEGINNING, fresh_noise, steered
from distillery.methods.reference_frame import Frame
from distillery.models import load
from distillery.models.prior import Condition, Control
from reference import elastic as functions

PROMPTS = ("a thing", "", "a thing")
CORNERS = (Corner(0, 0), Corner(0, 4), Corner(3, 0), Corner(3, 4), Corner(2, 1))
SIZE, VIEW = (7, 10), (4, 6)
T = torch.tensor([900, 400, 20])
CHUNKS = pytest.mark.parametrize("view_batch_size", [1, 3, 100])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def wanted(prior: GaussianField, **settings) -> Wanted:
    return Wanted(SIZE, prior.embed(PROMPTS), prior.embed([""] * 3), 2.0, **settings)


def views_of(xt: Tensor) -> Tensor:
    a, b = VIEW
    return torch.stack([xt[..., c.top : c.top + a, c.left : c.left + b] for c in CORNERS])


def control(size: tuple[int, int], **settings) -> Control:
    return Control("canny", random(3, 3, *size, seed=9), **settings)


@CHUNKS
def test_views_are_asked_about_a_few_at_once_and_each_gets_its_own_answer(
    view_batch_size: int,
) -> None:
    prior = GaussianField(VIEW)
    its = wanted(prior, view_batch_size=view_batch_size)
    views = views_of(random(3, 3, *SIZE))
    text, uncond = predict_views(prior, its, views, T, (its.text, its.uncond), CORNERS)
    assert max(shape[0] for shape in prior.asked) == 3 * min(view_batch_size, 5)
    assert sum(shape[0] for shape in prior.asked) == 3 * 5 * 2
    for k, view in enumerate(views):
        alone = prior.predict_noise(view, T, its.text, its.uncond)
        torch.testing.assert_close((text[k], uncond[k]), alone)


@CHUNKS
def test_small_pictures_are_asked_about_a_few_at_once_too(view_batch_size: int) -> None:
    prior = GaussianField(VIEW)
    its = wanted(prior, view_batch_size=view_batch_size, controls=[control((3, 5), scale=0.5)])
    pictures = random(5, 3, 3, 3, 5)
    text, uncond = predict_whole(prior, its, pictures, T, (its.text, its.uncond))
    assert max(shape[0] for shape in prior.asked) == 3 * min(view_batch_size, 5)
    for k, picture in enumerate(pictures):
        alone = prior.predict_noise(picture, T, its.text, its.uncond, controls=its.controls)
        torch.testing.assert_close((text[k], uncond[k]), alone)


@pytest.mark.parametrize("view_batch_size", [1, 2, 5])
@pytest.mark.parametrize(
    ("method", "knobs"),
    [
        ("multidiffusion", Knobs()),
        ("elastic", Knobs()),
        ("elastic", Knobs(elastic=ElasticKnobs(reference="padded", repaint_sampling=True))),
        ("elastic", Knobs(elastic=ElasticKnobs(strength=0.5))),
    ],
)
def test_no_call_is_about_more_cells_than_so_many_views_have(
    method: str, knobs: Knobs, view_batch_size: int
) -> None:
    """Whatever is asked about, views or small pictures, for each of two pictures."""
    (h, w), size = VIEW, (9, 13)
    prior = GaussianField(VIEW)
    text, uncond = prior.embed(["a thing"] * 2), prior.embed([""] * 2)
    its = Wanted(size, text, uncond, 2.0, view_batch_size=view_batch_size)
    timesteps = prior.timesteps(4)
    begun = begin(method, Task(prior, prior, functions, its, knobs, timesteps, seeds=(1, 2)))
    for _ in steered(
        begun.predict,
        begun.xt,
        timesteps=timesteps,
        alphas_cumprod=prior.alphas_cumprod,
        start=begun.start,
        change=begun.change,
    ):
        pass
    assert max(a * b * count for count, _, a, b in prior.asked) == 2 * view_batch_size * h * w


@CHUNKS
def test_a_view_is_held_to_its_own_part_of_a_control(view_batch_size: int) -> None:
    prior = GaussianField(VIEW)
    whole = control(SIZE, scale=0.7)
    its = wanted(prior, view_batch_size=view_batch_size, controls=[whole])
    views = views_of(random(3, 3, *SIZE))
    (eps,) = predict_views(prior, its, views, T, (its.text,), CORNERS)
    for view, image, one in zip(views, views_of(whole.image), eps, strict=True):
        part = replace(whole, image=image)
        torch.testing.assert_close((one,), prior.predict_noise(view, T, its.text, controls=[part]))


def test_a_small_picture_is_held_to_what_all_its_pixels_stand_for() -> None:
    """The mean of depths; of edges the largest, so that one white pixel is not grey."""
    prior = GaussianField(VIEW)
    edges, depths = control((6, 10)), replace(control((6, 10)), kind="depth")
    its = wanted(prior, controls=[edges, depths])
    means = replace(depths, image=depths.image.view(3, 3, 3, 2, 5, 2).mean((3, 5)))
    largest = replace(edges, image=edges.image.view(3, 3, 3, 2, 5, 2).amax((3, 5)))
    picture = random(3, 3, 3, 5)
    (eps,) = predict_whole(prior, its, picture[None], T, (its.text,))
    alone = prior.predict_noise(picture, T, its.text, controls=[largest, means])
    torch.testing.assert_close((eps[0],), alone)


def test_a_padded_reference_is_held_to_a_control_where_it_is_and_to_nothing_around() -> None:
    prior = GaussianField((6, 6))
    frame = Frame((3, 6), random(2, 3, 6, 6), lambda index: random(2, 3, 6, 6))
    whole = Control("depth", random(2, 3, 6, 12), 0.5)
    framed = frame.control(whole, prior)
    assert framed.image.shape == (2, 3, 6, 6)
    means = whole.image.view(2, 3, 3, 2, 6, 2).mean((3, 5))
    torch.testing.assert_close(framed.image[:, :, 1:4], means)
    assert framed.image[:, :, [0, 4, 5]].eq(0).all()
    assert framed.scale == 0.5
    frame = Frame((6, 3), random(2, 3, 6, 6), lambda index: random(2, 3, 6, 6))
    framed = frame.control(Control("depth", whole.image.mT), prior)
    torch.testing.assert_close(framed.image[..., 1:4], means.mT)
    assert framed.image[..., [0, 4, 5]].eq(0).all()


def test_controls_change_the_picture_in_every_step_and_at_any_size() -> None:
    """A step of Elastic with controls in the padded and in the unpadded reference."""
    prior = GaussianField((4, 6))
    for padded in (False, True):
        noise = fresh_noise((3, 8, 6), (1, 2), device="cpu")
        drawn = []
        for controls in ((), (Control("canny", random(2, 3, 8, 6, seed=5)),)):
            its = Wanted((8, 6), prior.embed(["a thing"] * 2), prior.embed([""] * 2), 2.0, controls)
            frame = Frame((4, 3), random(2, 3, 4, 6), lambda index: random(2, 3, 4, 6))
            elastic = Elastic(
                prior,
                functions,
                its,
                ElasticKnobs(),
                timesteps=prior.timesteps(4),
                noise=noise,
                frame=frame if padded else None,
            )
            drawn.append(elastic.predict(noise(BEGINNING), prior.timesteps(4)[:1].expand(2)))
        assert (drawn[0] - drawn[1]).abs().flatten(1).amax(1).min() > 0.01


class Told:
    """A prior that keeps the conditions that it was asked with."""

    device = torch.device("cpu")
    latent_channels, latent_size, image_size = 4, (16, 16), (128, 64)
    asked: Sequence[Condition] = ()

    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, controls: Sequence[Control] = ()
    ) -> tuple[Tensor, ...]:
        self.asked = conditions
        return (xt,) * len(conditions)


def test_sdxl_is_told_the_size_of_the_whole_and_the_place_of_each_view() -> None:
    prior = Told()
    condition = Condition(torch.zeros(2, 5, 8), torch.zeros(2, 6))
    its = Wanted((20, 30), condition, condition, 1.0)
    corners = (Corner(0, 14), Corner(4, 3))
    predict_views(prior, its, torch.zeros(2, 2, 4, 16, 16), T[:2], (condition,) * 2, corners)
    scale = 8, 4  # pixels down and across in a cell
    whole, part = [20 * 8, 30 * 4], [16 * 8, 16 * 4]
    rows = [[*whole, c.top * scale[0], c.left * scale[1], *part] for c in corners for _ in "BB"]
    for told in prior.asked:
        assert told.time_ids is not None
        assert told.time_ids.tolist() == rows


def test_a_model_that_takes_no_sizes_is_told_none() -> None:
    prior = Told()
    condition = Condition(torch.zeros(1, 5, 8))
    its = Wanted((20, 30), condition, condition, 1.0)
    predict_views(prior, its, torch.zeros(1, 1, 4, 16, 16), T[:1], (condition,), (Corner(2, 2),))
    assert prior.asked[0].time_ids is None


def test_sdxl_draws_views_and_whole_small_pictures(tiny_sdxl_folder: Path) -> None:
    prior = load.load_prior(str(tiny_sdxl_folder), device="cpu")
    text, uncond = prior.embed(["a red boat"] * 2), prior.embed([""] * 2)
    its = Wanted((16, 24), text, uncond, 3.0, view_batch_size=2)
    xt = random(2, prior.latent_channels, 16, 24)
    views = torch.stack([xt[..., :8, :8], xt[..., :8, 16:], xt[..., 8:, 4:12]])
    corners = (Corner(0, 0), Corner(0, 16), Corner(8, 4))
    eps = predict_views(prior, its, views, T[:2], (uncond, text), corners)
    moved = predict_views(prior, its, views, T[:2], (uncond, text), corners[::-1])
    for one, other in zip(eps, moved, strict=True):
        assert one.shape == views.shape
        assert not torch.allclose(one[0], other[0])
    whole = predict_whole(prior, its, xt[None], T[:2], (uncond, text))
    torch.testing.assert_close(
        [w[0] for w in whole], list(prior.predict_noise(xt, T[:2], uncond, text))
    )
