from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from distillery.core.errors import CourseError
from distillery.models import annotators
from distillery.models.exact import GaussianMixturePrior
from distillery.models.load import load_prior
from distillery.palettes import from_hex, load_palette, nearest, save_palette, srgb_to_oklab
from distillery.pixelart import clip_choice, initial_grid
from distillery.pixelart.initial_grid import Start, begin, controls_for, fitted_palette
from distillery.pixelart.settings import PixelSettings
from reference import pixelart

PALETTE = from_hex(["1a1c2c", "b13e53", "41a6f6", "f4f4f4"])
RED, GREEN, BLUE = (220, 30, 30), (30, 200, 40), (20, 40, 210)


def mixture() -> GaussianMixturePrior:
    """Pictures of 32 x 48: one plainly red, one plainly blue."""
    means = torch.zeros(2, 4, 32, 48)
    means[0, 0], means[1, 2] = 0.8, 0.8
    return GaussianMixturePrior(means, std=0.05, names={"red": [0], "blue": [1]})


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., PixelSettings]:
    """A grid of 8 x 12 in four colours, on a canvas of 32 x 48."""
    save_palette(PALETTE, tmp_path / "four.hex")

    def make(**changes: object) -> PixelSettings:
        values = {"model": "exact", "size": (8, 12), "palette": str(tmp_path / "four.hex")}
        made = PixelSettings(**{"prompt": "red", "side": 39, "candidates": 1, **values, **changes})
        return made

    return make


def begun(settings: PixelSettings, seed: int = 0) -> Start:
    return begin(mixture(), pixelart, settings, generator=torch.Generator().manual_seed(seed))


def quarters(size: tuple[int, int] = (96, 64), mode: str = "RGB") -> Image.Image:
    """Red, green, blue and white in the four corners; `size` is (width, height)."""
    corners = np.array([[RED, GREEN], [BLUE, (255, 255, 255)]], np.uint8)
    return Image.fromarray(corners).resize(size, Image.Resampling.NEAREST).convert(mode)


def colours_at_corners(picture: torch.Tensor) -> list[tuple[int, ...]]:
    """8-bit colours well inside the four corners of (1, 3, H, W)."""
    levels = ((picture[0] + 1) * 127.5).round().int()
    H, W = levels.shape[1:]
    places = [(H // 4, W // 4), (H // 4, -W // 4), (-H // 4, W // 4), (-H // 4, -W // 4)]
    return [tuple(levels[:, y, x].tolist()) for y, x in places]


def alike(one: list[tuple[int, ...]], other: list[tuple[int, ...]], *, within: int) -> bool:
    return bool((np.abs(np.array(one) - np.array(other)) <= within).all())


# From an image


def test_an_image_becomes_logits_palette_and_the_picture_on_the_canvas(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    quarters().save(tmp_path / "quarters.png")
    wanted = settings(input_image=str(tmp_path / "quarters.png"))

    start = begun(wanted)

    assert wanted.canvas == (32, 48)
    assert start.picture.shape == (1, 3, 32, 48)
    assert start.logits.shape == (1, 4, 8, 12)
    assert start.logits.dtype == torch.float32
    assert torch.equal(start.palette, PALETTE)
    assert start.clear is None
    white, red = 3, 1
    assert start.logits[0, :, -1, -1].argmax() == white
    assert start.logits[0, :, 0, 0].argmax() == red


@pytest.mark.parametrize("fill", ["distance", "nearest", "dithered"])
@pytest.mark.parametrize("perceptual", [False, True])
def test_every_pixel_begins_equally_sure(
    settings: Callable[..., PixelSettings], tmp_path: Path, fill: str, perceptual: bool
) -> None:
    quarters().save(tmp_path / "quarters.png")

    logits = begun(
        settings(input_image=str(tmp_path / "quarters.png"), fill=fill, perceptual=perceptual)
    ).logits

    torch.testing.assert_close(logits.mean(dim=1), torch.zeros(1, 8, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits.norm(dim=1), torch.full((1, 8, 12), 2.0))


def test_distances_are_the_methods_own_on_the_area_mean(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    quarters().save(tmp_path / "quarters.png")

    start = begun(settings(input_image=str(tmp_path / "quarters.png"), fill="distance"))

    small = F.interpolate(start.picture, (8, 12), mode="area")
    torch.testing.assert_close(start.logits, pixelart.logits_from_image(small, PALETTE))


def test_perceptual_distances_are_those_of_oklab(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    quarters().save(tmp_path / "quarters.png")

    start = begun(settings(input_image=str(tmp_path / "quarters.png"), perceptual=True))

    small = F.interpolate(start.picture, (8, 12), mode="area")
    lab, colours = srgb_to_oklab((small.movedim(1, 3) + 1) / 2), srgb_to_oklab(PALETTE)
    distance = (lab[..., None, :] - colours).abs().sum(dim=-1)
    assert torch.equal(start.logits.argmax(dim=1), distance.argmin(dim=-1))


@pytest.mark.parametrize(("perceptual", "space"), [(False, "srgb"), (True, "oklab")])
def test_nearest_is_the_vote_of_the_canvas_pixels_in_each_cell(
    settings: Callable[..., PixelSettings], tmp_path: Path, perceptual: bool, space: str
) -> None:
    quarters().save(tmp_path / "quarters.png")

    start = begun(
        settings(input_image=str(tmp_path / "quarters.png"), fill="nearest", perceptual=perceptual)
    )

    labels = nearest(start.picture, PALETTE, space=space)[0]
    cells = labels.view(8, 4, 12, 4).permute(0, 2, 1, 3).reshape(8, 12, 16)
    votes = F.one_hot(cells, 4).float().mean(dim=2).movedim(2, 0)
    centred = votes - votes.mean(dim=0)
    expected = 2 * centred / centred.norm(dim=0)
    torch.testing.assert_close(start.logits[0], expected)


def test_dithering_mixes_colours_where_none_is_near(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    save_palette(from_hex(["000000", "ffffff"]), tmp_path / "two.hex")
    Image.new("RGB", (96, 64), (128, 128, 128)).save(tmp_path / "grey.png")
    grey = {"input_image": str(tmp_path / "grey.png"), "palette": str(tmp_path / "two.hex")}

    dithered = begun(settings(fill="dithered", **grey)).logits.argmax(dim=1)
    plain = begun(settings(fill="distance", **grey)).logits.argmax(dim=1)

    assert 0.4 < dithered.float().mean() < 0.6
    assert plain.unique().numel() == 1


def test_what_sticks_out_of_the_canvas_is_cropped_and_nothing_squashed(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    """A disc stays a disc."""
    y, x = np.mgrid[-50:50, -80:80]
    disc = Image.fromarray(np.where(x**2 + y**2 < 30**2, 0, 255).astype(np.uint8))
    disc.save(tmp_path / "disc.png")

    picture = begun(settings(input_image=str(tmp_path / "disc.png"))).picture[0, 0] < 0

    assert abs(picture.any(dim=0).sum() - picture.any(dim=1).sum()) <= 1
    assert picture.float().mean() == pytest.approx(np.pi * (30 * 32 / 100) ** 2 / 32 / 48, rel=0.05)


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "LA", "I;16", "1"])
def test_pictures_of_any_mode_are_read(
    settings: Callable[..., PixelSettings], tmp_path: Path, mode: str
) -> None:
    path = tmp_path / ("picture.tif" if mode in ("CMYK", "I;16") else "picture.png")
    if mode == "I;16":
        grey = np.asarray(quarters(mode="L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(path)
    else:
        image = quarters().quantize(8) if mode == "P" else quarters(mode=mode)
        image.save(path)
    coloured = mode in ("RGB", "P", "CMYK")
    expected = quarters(size=(2, 2)).convert("RGB" if coloured else "1" if mode == "1" else "L")
    levels = [tuple(pixel) for row in np.asarray(expected.convert("RGB")) for pixel in row]

    start = begun(settings(input_image=str(path)))

    assert alike(colours_at_corners(start.picture), levels, within=3) or mode == "1"
    assert start.logits.isfinite().all()


def test_a_photo_is_turned_upright(settings: Callable[..., PixelSettings], tmp_path: Path) -> None:
    upright = quarters()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise to see it
    upright.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif, quality=95)

    picture = begun(settings(input_image=str(tmp_path / "turned.jpg"))).picture

    assert alike(colours_at_corners(picture), [RED, GREEN, BLUE, (255, 255, 255)], within=12)


def test_what_is_transparent_is_seen_as_white(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    image = quarters(mode="RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 48, 32))
    image.save(tmp_path / "alpha.png")

    start = begun(settings(input_image=str(tmp_path / "alpha.png")))

    assert colours_at_corners(start.picture)[0] == (255, 255, 255)
    assert start.clear is None


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_stays_so_if_asked(
    settings: Callable[..., PixelSettings], tmp_path: Path, mode: str
) -> None:
    image = quarters(mode="RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 48, 32))
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "alpha.png")

    start = begun(settings(input_image=str(tmp_path / "alpha.png"), transparent=True))

    expected = torch.zeros(8, 12, dtype=torch.bool)
    expected[:4, :6] = True
    assert torch.equal(start.clear, expected)


def test_an_opaque_picture_has_nothing_transparent(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    quarters().save(tmp_path / "quarters.png")

    start = begun(settings(input_image=str(tmp_path / "quarters.png"), transparent=True))

    assert start.clear is None


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_damaged_image_is_named(
    settings: Callable[..., PixelSettings], tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "damaged.png"
    quarters().save(path)
    path.write_bytes(path.read_bytes()[:60] if content is None else content)

    for attempt in (begun, initial_grid.check):
        with pytest.raises(CourseError, match=r"damaged\.png cannot be read as a picture"):
            attempt(settings(input_image=str(path)))


# Palettes


def test_kmeans_finds_the_colours_that_there_are_dark_to_light(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    quarters().save(tmp_path / "quarters.png")
    found = begun(
        settings(input_image=str(tmp_path / "quarters.png"), palette="", colours=4, size=(2, 3))
    ).palette

    lightness = srgb_to_oklab(found)[:, 0]
    assert found.shape == (4, 3)
    assert (lightness.diff() > 0).all()
    assert torch.equal((found * 255).round() / 255, found)


def test_kmeans_is_the_same_for_the_same_seed_and_better_than_one_step() -> None:
    small = 2 * torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0)) - 1

    one, again = (
        fitted_palette(small, 5, pixelart, torch.Generator().manual_seed(3)) for _ in range(2)
    )

    assert torch.equal(one, again)
    pixels = srgb_to_oklab((small[0].flatten(1).T + 1) / 2)
    centres = srgb_to_oklab(one)
    moved = pixelart.kmeans_step(pixels, centres)
    assert (moved - centres).abs().max() < 0.01


def test_what_is_transparent_takes_no_colour_of_the_palette(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    image = Image.new("RGBA", (96, 64), (0, 0, 0, 0))
    image.paste(RED, (48, 0, 96, 32))
    image.paste(BLUE, (48, 32, 96, 64))
    image.save(tmp_path / "alpha.png")

    palette = begun(
        settings(input_image=str(tmp_path / "alpha.png"), palette="", colours=2, transparent=True)
    ).palette

    blue, red = (palette * 255).round().int().tolist()
    assert alike([blue, red], [BLUE, RED], within=2)


def test_more_colours_than_the_picture_has_are_refused(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    Image.new("RGB", (96, 64), RED).save(tmp_path / "red.png")

    with pytest.raises(CourseError, match="fewer than 3 different colours; ask for fewer"):
        begun(settings(input_image=str(tmp_path / "red.png"), palette="", colours=3))


def test_a_palette_that_no_indexed_picture_holds_is_refused_before_anything_is_loaded(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    with pytest.raises(CourseError, match="holds 256 colours; this palette needs 343"):
        initial_grid.check(settings(palette="rgb-7"))
    initial_grid.check(settings(palette="rgb-6"))
    image = Image.new("RGBA", (96, 64), (0, 0, 0, 0))
    image.paste(RED, (48, 0, 96, 64))
    image.save(tmp_path / "alpha.png")
    clear = {"input_image": str(tmp_path / "alpha.png"), "transparent": True}
    with pytest.raises(CourseError, match="255 at most"):
        initial_grid.check(settings(palette="", colours=256, **clear))


# Painted


def painting(tmp_path: Path, rows: np.ndarray, colours: torch.Tensor, **options: object) -> str:
    picture = Image.fromarray(rows.astype(np.uint8), mode="P")
    picture.putpalette((colours * 255).round().int().flatten().tolist())
    picture.save(tmp_path / "painting.png", **options)
    return str(tmp_path / "painting.png")


ROWS = np.arange(96).reshape(8, 12) % 4


def test_a_painting_is_taken_to_the_pixel(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    path = painting(tmp_path, ROWS, PALETTE)

    started = begun(settings(start="painted", input_image=path, palette=""))

    assert torch.equal(started.palette, PALETTE)
    assert (started.logits.argmax(dim=1)[0].numpy() == ROWS).all()
    torch.testing.assert_close(started.logits.norm(dim=1), torch.full((1, 8, 12), 2.0))
    expected = 2 * PALETTE[torch.from_numpy(ROWS)].movedim(2, 0)[None] - 1
    assert torch.equal(started.picture, F.interpolate(expected, (32, 48), mode="nearest"))


def test_a_painting_keeps_its_indices_under_another_palette(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    path = painting(tmp_path, ROWS, PALETTE.flip(0))

    started = begun(settings(start="painted", input_image=path))

    assert torch.equal(started.palette, PALETTE)
    assert (started.logits.argmax(dim=1)[0].numpy() == ROWS).all()


@pytest.mark.parametrize("row", [0, 2, 3])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_transparent_row_anywhere_in_a_painting_is_no_colour(
    settings: Callable[..., PixelSettings], tmp_path: Path, row: int, as_bytes: bool
) -> None:
    clear = bytes(10 if k == row else 250 for k in range(4)) if as_bytes else row
    path = painting(tmp_path, ROWS, PALETTE, transparency=clear)
    kept = [k for k in range(4) if k != row]

    started = begun(settings(start="painted", input_image=path, palette="", transparent=True))

    assert torch.equal(started.palette, PALETTE[kept])
    assert (started.clear.numpy() == (row == ROWS)).all()
    colours = started.palette[started.logits.argmax(dim=1)[0]].numpy()
    assert np.array_equal(colours[row != ROWS], PALETTE.numpy()[ROWS[row != ROWS]])
    flat = begun(settings(start="painted", input_image=path, palette=""))
    assert flat.clear is None
    lightest = int(srgb_to_oklab(started.palette)[:, 0].argmax())
    assert (flat.logits.argmax(dim=1)[0].numpy()[row == ROWS] == lightest).all()


def test_a_painting_of_another_size_or_kind_is_refused(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    quarters().save(tmp_path / "rgb.png")
    path = painting(tmp_path, ROWS.T, PALETTE)

    for attempt in (begun, initial_grid.check):
        with pytest.raises(CourseError, match=r"12 x 8 pixels.* is P, 8 x 12"):
            attempt(settings(start="painted", input_image=path))
        with pytest.raises(CourseError, match=r"rgb\.png is RGB, 96 x 64"):
            attempt(settings(start="painted", input_image=str(tmp_path / "rgb.png")))


def test_a_painting_whose_palette_is_none_is_refused_before_the_run(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    twice = PALETTE[[0, 1, 2, 0]]
    for colours, words in ((twice, "twice"), (PALETTE[:1], "one colour")):
        path = painting(tmp_path, ROWS % len(colours), colours)
        with pytest.raises(CourseError, match=words):
            initial_grid.check(settings(start="painted", input_image=path, palette=""))


def test_a_painting_in_more_colours_than_the_named_palette_is_refused(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    path = painting(tmp_path, ROWS, PALETTE)
    save_palette(PALETTE[:3], tmp_path / "three.hex")

    with pytest.raises(CourseError, match="colour number 4, but the palette has 3"):
        begun(settings(start="painted", input_image=path, palette=str(tmp_path / "three.hex")))


# Noise and drawings


def test_noise_is_the_seeds_alone_and_has_no_picture(
    settings: Callable[..., PixelSettings],
) -> None:
    noise = settings(start="noise")

    first, again, other = begun(noise, 1), begun(noise, 1), begun(noise, 2)

    assert first.picture is None
    assert torch.equal(first.logits, again.logits)
    assert not torch.equal(first.logits, other.logits)
    torch.testing.assert_close(first.logits.norm(dim=1), torch.full((1, 8, 12), 2.0))
    assert first.logits.argmax(dim=1).unique().numel() == 4


@pytest.mark.parametrize(("prompt", "channel"), [("red", 0), ("blue", 2)])
def test_a_generated_start_is_a_drawing_of_the_prompt(
    settings: Callable[..., PixelSettings], prompt: str, channel: int
) -> None:
    started = begun(settings(prompt=prompt, start="generated"))

    assert started.picture.shape == (1, 3, 32, 48)
    assert started.picture.mean(dim=(0, 2, 3)).argmax() == channel
    small = F.interpolate(started.picture, (8, 12), mode="area")
    assert torch.equal(started.logits, pixelart.logits_from_image(small, PALETTE))


def test_of_several_drawings_the_one_that_clip_likes_best_in_the_palette_is_taken(
    settings: Callable[..., PixelSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Scorer:
        def __init__(self, model: str, *, device: torch.device) -> None:
            self.model = model

        def score(self, images: list[Image.Image], prompts: list[str]) -> list[float]:
            assert prompts == ["red"] * 3
            seen.extend(images)
            return [0.1, 0.3, 0.2]

    monkeypatch.setattr(clip_choice, "ClipScorer", Scorer)

    started = begun(settings(candidates=3))

    assert len(seen) == 3
    chosen = PALETTE[started.logits.argmax(dim=1)[0]]
    levels = np.asarray(seen[1].resize((12, 8), Image.Resampling.NEAREST))
    assert np.array_equal((chosen * 255).round().numpy(), levels)
    assert [image.size for image in seen] == [(516, 344)] * 3


def test_a_generated_start_of_a_diffusion_model_fills_a_canvas_that_is_not_square(
    tiny_sdxl_tiny_vae_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = load_prior(tiny_sdxl_tiny_vae_folder, device="cpu")
    sample = prior.sample
    monkeypatch.setattr(
        prior, "sample", lambda *args, **options: sample(*args, **{**options, "steps": 2})
    )
    wanted = PixelSettings(
        "a boat",
        model=str(tiny_sdxl_tiny_vae_folder),
        size=(8, 12),
        side=64,
        palette="rgb-2",
        candidates=1,
    )

    started = begin(prior, pixelart, wanted, generator=torch.Generator().manual_seed(0))

    assert started.picture.shape == (1, 3, *wanted.canvas)
    assert started.logits.shape == (1, 8, 8, 12)


# Controls


def test_without_a_picture_or_a_scale_there_are_no_controls(
    settings: Callable[..., PixelSettings],
) -> None:
    assert controls_for(None, settings()) == []
    assert controls_for(torch.zeros(1, 3, 32, 48), settings(canny=0.0, depth=0.0)) == []


def test_controls_carry_scale_and_window_and_are_of_the_canvass_size(
    settings: Callable[..., PixelSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotators, "depths", lambda images, model: (images + 1) / 2)
    picture = 2 * (torch.arange(48) > 20).float().expand(1, 3, 32, 48) - 1
    wanted = settings(canny=0.4, depth=0.2, control_start=0.1, control_end=0.6)

    canny, depth = controls_for(picture, wanted)

    assert (canny.kind, canny.scale, canny.window) == ("canny", 0.4, (0.1, 0.6))
    assert (depth.kind, depth.scale, depth.window) == ("depth", 0.2, (0.1, 0.6))
    assert canny.image.shape == depth.image.shape == picture.shape
    assert canny.image[..., 18:24].any()
    assert not canny.image[..., :15].any()
    (alone,) = controls_for(picture, settings(canny=0.0, depth=0.2))
    assert alone.kind == "depth"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_start_lives_on_the_priors_device(
    settings: Callable[..., PixelSettings], tmp_path: Path
) -> None:
    image = quarters(mode="RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 48, 32))
    image.save(tmp_path / "alpha.png")
    prior = GaussianMixturePrior(mixture().means, std=0.05, device="cuda")
    wanted = settings(input_image=str(tmp_path / "alpha.png"), transparent=True, palette="")

    started = begin(prior, pixelart, wanted, generator=torch.Generator("cuda").manual_seed(0))

    assert started.logits.is_cuda
    assert started.palette.is_cuda
    assert started.picture.is_cuda
    assert started.clear.is_cuda


def test_the_palettes_of_the_repository_all_fit_an_indexed_picture(
    settings: Callable[..., PixelSettings],
) -> None:
    for name in ("dusk", "rgb-2", "rgb-6"):
        initial_grid.check(settings(palette=name))
        assert len(load_palette(name)) <= 256
