"""What the systems publish that this course is built after, typed as their users type it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from inspect import signature

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import eval as evaluation
import main
from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY
from distillery.morph.gifs import gif_chain, make_gif
from distillery.pixelart.published_config import own_names
from distillery.pixelart.settings import PixelSettings
from distillery.runs.elastic_pipeline import ElasticDiffusion
from distillery.runs.stroke_pipeline import GradOPStroke2ImgPipeline

PAGE = (REPOSITORY / "docs" / "coming-from.md").read_text(encoding="utf-8")
PUBLISHED = REPOSITORY / "tests" / "commands" / "published" / "sd_pixl.yaml"
IMG = REPOSITORY / "data" / "imgs" / "a_red_boat_on_a_frozen_river.png"
# What each line publishes, as its user types it; every one stands in the page.
LINES = (
    "accelerate launch main.py -c config.yaml --download",
    "--config config.yaml --seed 0 -pt P -npt N --download --input_image IMG --size 96,96 "
    "--palette FILE.hex --verbose --make_video --video_size 288,288 --fps 24",
    "--save_step N",
    "tensorboard --logdir FOLDER/tensorboard/",
    "python assets/palettes/palette_show.py --hex_dir=FOLDER",
    "python models/pixelart.py --checkpoint=FILE --save_dir=results",
    "python models/pixelart.py --checkpoint=FILE --save_dir=results --palette=OTHER.hex",
    "python main.py --prompt P --loss_type sds --guidance_scale 25",
    "python main.py --prompt P --loss_type pds --guidance_scale 7.5 --edit_prompt E "
    "--src_img_path IMG",
    "python main.py --prompt P --loss_type vsd --guidance_scale 7.5",
    "python eval.py --fdir1 DIR",
    "{NAME}_{STUDENT_ID}.zip",
    "python run.py --img_path IMG --prompt P --seed 0 --num_iterative_steps=3 "
    "--grad_steps_per_iter=12",
    "python run.py --method sdedit --img_path IMG --prompt P --strength=0.8 --seed 0",
    "pipeline = GradOPStroke2ImgPipeline.from_pretrained(ID_OR_FOLDER, torch_dtype=...)",
    "pipe = ElasticDiffusion(device=, sd_version='XL1.0', view_batch_size=16, low_vram=False)",
    "pipe.generate_image(prompts=, negative_prompts=, height=1024, width=2048, "
    "num_inference_steps=50, guidance_scale=10.0, resampling_steps=7, drop_p=0.7, "
    "rrg_init_weight=1000, cosine_scale=10, tiled_decoder=False)",
    "python elastic_diffusion_w_controlnet.py --prompt P --condition_image IMG",
    "make_gif",
    "gif_chain(prompts, speed=200, num_frames=40)",
    "factor=6, upscale=6, palette=10, depth=1",
    # What they publish without a line to type.
    "a page to paint on",
    "pictures over the number of gradient steps",
    "pages for text and for a picture",
    "PCA of the scores",
    "fine-tuning on a folder of pictures with captions",
    "text to image",
    "a GIF of the making of one picture",
    "a contact sheet of a GIF's frames",
)
MADE = {  # words of a line -> a file under outputs/ that the page says it makes
    "--tensorboard": "*/tensorboard/events.out.tfevents.*",
    "--hex_dir": "palettes.png",
    "--frames": "*/frames.png",
    "--pca": "*/pca.png",
    "sample": "*/making.gif",
    "vsd": "*/pytorch_lora_weights.safetensors",
    "finetune": "*/pytorch_lora_weights.safetensors",
    "--num_frames 4": "a_red_boat*.png",
}
FEWER = {  # of each kind: fewer steps of the same run
    "draw": ["--steps", "2"],
    "pixelart": ["--set", "candidates=1", "--set", "choices=1"],
    "sample": ["--steps", "2"],
    "strokes": ["--steps", "6"],
    "elastic": ["--steps", "2"],
    "morph": ["--steps", "2"],
    "finetune": ["--steps", "2", "--validation_prompts", "a red boat", "--batch_size", "2"],
}
DRAWN = r"\| `(python main\.py [^`]+)` \|"
COMMANDS = [line for line in re.findall(DRAWN, PAGE) if "layers --checkpoint" not in line]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the lines name: a configuration, a picture, a palette, a folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(PUBLISHED, "config.yaml")
    shutil.copy(IMG, "IMG.png")
    shutil.copy(REPOSITORY / "data" / "palettes" / "dusk.hex", "FILE.hex")
    cube = [f"{r}{g}{b}\n" for r in ("00", "ff") for g in ("00", "ff") for b in ("00", "ff")]
    (tmp_path / "OTHER.hex").write_text("".join(cube))
    (tmp_path / "FOLDER").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(IMG, tmp_path / "FOLDER" / name)
    shutil.copy(REPOSITORY / "data" / "palettes" / "dusk.hex", "FOLDER")
    rows = [{"file_name": name, "text": "a red boat"} for name in ("a.png", "b.png")]
    (tmp_path / "FOLDER" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def typed(line: str) -> list[str]:
    """The words of a line of the page after `python main.py`, its letters filled in."""
    filled = {"P": "a red boat", "E": "a blue boat", "N": "a cup", "IMG": "IMG.png"}
    words = [filled.get(word, word) for word in shlex.split(line)[2:]]
    kind = words[0] if words[0] in main.COMMANDS else "draw"
    fewer = [] if "--pixelate" in words else FEWER.get(kind, [])
    smaller = {"96,96": "12,12", "40": "3"} if kind in ("pixelart", "morph") else {}
    words = [smaller.get(word, word) for word in words]
    return [*words, *fewer]


@pytest.mark.parametrize("line", LINES)
def test_the_page_has_every_published_line(line):
    assert line in PAGE


@pytest.mark.parametrize("line", dict.fromkeys(COMMANDS))
def test_a_line_of_the_page_does_what_it_says(line, place, capsys):
    assert main.main(typed(line)) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert ("--download is not needed" in said.err) == ("--download" in line)
    assert ("--save_step is not needed" in said.err) == ("--save_step" in line)
    if "palettes" not in line and "--pca" not in line:
        assert (place / said.out.splitlines()[-1]).exists()
    for words, file in MADE.items():
        assert words not in line or list((place / "outputs").glob(file)), file


@pytest.mark.parametrize("target", dict.fromkeys(re.findall(r"\| `make ([\w-]+)` \|", PAGE)))
def test_a_page_that_make_opens_is_there(target):
    """What it shows is tested in tests/browser/."""
    rule = re.compile(rf"^{target}:.*\n\t\S+/voila (\S+\.ipynb)$", re.MULTILINE)
    found = rule.search((REPOSITORY / "Makefile").read_text("utf-8"))
    assert found is not None
    assert (REPOSITORY / found[1]).is_file()


def test_the_section_that_compares_numbers_of_gradient_steps_is_where_the_page_says():
    number = re.search(r"notebook 5, section (\d), compares the numbers", PAGE)
    assert number is not None
    text = (REPOSITORY / "notebooks" / "05_strokes" / "05_strokes.py").read_text("utf-8")
    section = text.partition(f"# ## {number[1]} ·")[2].partition("\n# ## ")[0]
    assert "grad_steps_per_iter" in section


def test_eval_scores_a_folder(place):
    (place / "DIR").mkdir()
    shutil.copy(IMG, place / "DIR")
    assert evaluation.main(["--fdir1", "DIR"]) == 0
    assert (place / "DIR" / "eval.json").is_file()


def test_layers_of_a_checkpoint_come_out_in_another_palette(place, capsys):
    """Of a run that was stopped, and of the same one when it is finished."""
    command = typed("python main.py pixelart -c config.yaml")
    assert main.main(command) == 0
    folder = place / "outputs" / "a_red_boat_on_a_frozen_river"
    words = ["layers", "--checkpoint", str(folder), "--save_dir", "results"]
    assert main.main(words) == 0
    assert main.main([*words, "--palette", "OTHER.hex"]) == 2  # nothing is written over
    assert "already" in capsys.readouterr().err
    assert main.main([*words, "--palette", "OTHER.hex", "--overwrite"]) == 0
    with Image.open("results/argmax.png") as picture:
        assert picture.size == (12, 8)
        colours = set(picture.convert("RGB").get_flattened_data())
    assert colours <= {(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)}
    names = sorted(path.name for path in (place / "results" / "layers").iterdir())
    assert names == [f"{number:03d}.png" for number in range(8)]


def test_a_checkpoint_itself_has_layers(place):
    logits = torch.full((1, 8, 4, 6), -30.0)
    logits[0, 3] = 0.0
    state = {"settings": {"palette": "dusk"}, "state": {"canvas": {"logits": logits}}}
    torch.save(state, "checkpoint-0.pt")
    assert main.main(["layers", "--checkpoint", "checkpoint-0.pt"]) == 0
    with Image.open("results/layers/003.png") as layer:
        assert set(layer.getchannel("A").get_flattened_data()) == {255}
    assert main.main(["layers", "--checkpoint", "IMG.png", "--save_dir", "other"]) == 2


@pytest.mark.filterwarnings("ignore:left out of the published settings")
def test_published_fields_mean_what_they_meant():
    settings = PixelSettings.load(PUBLISHED)
    assert settings.size == (8, 12)
    assert settings.guidance_scale == 7.5  # theirs is 6.5, counted from the prompt
    assert settings.fft == pytest.approx(20 * (8 * 12) ** 0.5)
    assert (settings.t_min, settings.t_max, settings.t_bound) == (20, 980, 500)
    assert (settings.tau, settings.tau_spread) == (1.0, 0.5)
    assert (settings.fill, settings.start, settings.path) == ("distance", "generated", "gumbel")
    assert settings.lora == ""


@pytest.mark.parametrize(
    ("fields", "ours"),
    [
        ({"diffusion": {"model_id": "ssd1b"}}, {"model": "ssd-1b"}),
        ({"generator": {"initialize_renderer": False}}, {"start": "noise"}),
        (
            {"generator": {"initialization_method": "kmeans", "kmeans_nb_colors": 6}},
            {"fill": "nearest", "palette": "", "colours": 6},
        ),
        ({"generator": {"gumbel": False, "smooth_softmax": False}}, {"path": "argmax"}),
        ({"training": {"augmentation": {"random_tau": False}}}, {"tau_spread": 0.0}),
        ({"controlnet": {"use_controlnet": False}}, {"canny": 0.0, "depth": 0.0}),
        ({"sd": {"sampling_method_t": "uniform", "t_max": 0.9}}, {"t_max": 900, "t_bound": 900}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_a_published_field_is_ours(fields, ours):
    assert own_names(fields) == ours


@pytest.mark.parametrize(
    "fields",
    [
        {"sd": {"guidance_scale": "forty"}},
        {"sd": {"sampling_method_t": "linear"}},
        {"generator": {"initialization_method": "magic"}},
        {"generator": {"gumbel": True, "smooth_softmax": False}},
    ],
    ids=lambda fields: str(next(iter(fields.values()))),
)
def test_a_published_field_without_counterpart_is_one_sentence(fields):
    with pytest.raises(CourseError):
        own_names(fields)


def test_the_pipeline_of_strokes_is_called_as_published():
    pipeline = GradOPStroke2ImgPipeline.from_pretrained(
        REPOSITORY / "data/models/tiny-sd", torch_dtype=torch.float32, implementation="reference"
    )
    generator = torch.Generator().manual_seed(0)
    image = Image.open(IMG)
    its = {"prompt": "a red boat", "image": image, "generator": generator}
    drawn = pipeline.gradop_plus_stroke2img(
        **its, strength=0.8, num_iterative_steps=1, grad_steps_per_iter=1, num_inference_steps=4
    )
    assert drawn.images[0].size == (64, 64)
    assert pipeline.sdedit_img2img(**its, num_inference_steps=3).images[0].size == (64, 64)
    text = pipeline.text2img_prediction(
        "a red boat", num_images_per_prompt=2, num_inference_steps=2
    )
    assert len(text.images) == 2


def test_elastic_diffusion_is_called_as_published():
    pipe = ElasticDiffusion(
        device="cpu",
        sd_version="tiny-sd",
        view_batch_size=16,
        low_vram=False,
        implementation="reference",
    )
    images, verbose_info = pipe.generate_image(
        prompts="a red boat",
        negative_prompts="",
        height=64,
        width=96,
        num_inference_steps=2,
        guidance_scale=10.0,
        resampling_steps=1,
        drop_p=0.7,
        rrg_init_weight=1000,
        cosine_scale=10,
        tiled_decoder=False,
    )
    assert images[0].size == (96, 64)
    assert verbose_info["settings"][0].new_p == pytest.approx(0.3)


def test_gifs_are_made_as_published(place):
    defaults = {name: one.default for name, one in signature(make_gif).parameters.items()}
    assert (defaults["num_frames"], defaults["speed"]) == (20, 200)
    its = {"steps": 2, "implementation": "reference"}
    with Image.open(make_gif("a red boat", "a blue car", num_frames=3, **its)) as gif:
        assert (gif.n_frames, gif.info["duration"]) == (3, 200)
    with Image.open(gif_chain(["a cup", "a cat", "a car"], 100, 2, loop=True, **its)) as gif:
        assert (gif.n_frames, gif.info["duration"]) == (3, 100)
    with pytest.raises(CourseError, match="speed must be"):
        gif_chain(["a cup", "a cat"], speed=5)
    with pytest.raises(CourseError, match="must be a list"):
        gif_chain("a cup")


def test_latents_draw_the_picture_elsewhere(place):
    """Decoded by diffusers alone, they give the picture that was saved."""
    import diffusers

    assert main.main(["sample", "--prompt", "a red boat", "--steps", "2"]) == 0
    latents = load_file("outputs/a_red_boat/latents.safetensors")["latents"]
    vae = diffusers.AutoencoderKL.from_pretrained(REPOSITORY / "data/models/tiny-sd/vae")
    with torch.no_grad():
        images = vae.float().decode(latents / vae.config.scaling_factor).sample
    levels = ((images[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    with Image.open("outputs/a_red_boat.png") as picture:
        drawn = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8)
    assert (drawn.int() - torch.from_numpy(levels).flatten().int()).abs().max() <= 1


def test_the_lora_of_vsd_is_one_of_diffusers(place):
    import diffusers

    words = ["--prompt", "a red boat", "--loss_type", "vsd", "--steps", "3"]
    assert main.main(words) == 0
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        REPOSITORY / "data/models/tiny-sd", safety_checker=None
    )
    pipeline.load_lora_weights("outputs/a_red_boat")
    state = load_file("outputs/a_red_boat/pytorch_lora_weights.safetensors")
    assert any("lora_B" in name and factor.abs().max() > 0 for name, factor in state.items())
    assert pipeline.get_active_adapters()
