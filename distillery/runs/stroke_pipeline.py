"""GradOP+'s pipeline by the names that its release gave it, for Python.

    pipeline = GradOPStroke2ImgPipeline.from_pretrained("tiny-sd")
    painting = Image.open("data/strokes/castle_brush.png")
    result = pipeline.gradop_plus_stroke2img("a red boat in the snow", painting, strength=0.8)
    result.images[0]

What differs from the release: pictures keep the painting's aspect, in the model's own size; all
levels are those that the network expects next, as the sampler is DDIM, which has no memory; no
weight takes a gradient; no pixel is clamped; `strength` counts for SDEdit too.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from distillery.core.errors import CourseError, in_short
from distillery.core.images import to_pil
from distillery.core.notes import warnings_in_a_line
from distillery.core.program import TYPED
from distillery.core.settings import Whole
from distillery.methods.guided_ddim import BEGINNING, fresh_noise, steered
from distillery.methods.strokes import StrokeFunctions
from distillery.models.load import DTYPES, load_lora, load_prior, pick_device
from distillery.models.presets import PRESETS
from distillery.models.prior import Prior, guided_noise
from distillery.runs import painting_file, region_labels
from distillery.runs.region_labels import counted
from distillery.runs.stroke_settings import NO_LORA, StrokeSettings, words_of
from distillery.runs.strokes import of_painting, say_replaced_scheduler

Generators = torch.Generator | Sequence[torch.Generator] | None
Pictures = Image.Image | str | Path | Sequence[Image.Image | str | Path]
STAND_IN = "sd15"  # whose defaults a model from the hub takes
# Settings of the command line that something else decides here, and what that is.
ELSEWHERE = {
    "img_path": "give the painting as image",
    "seed": "give a generator, torch.Generator().manual_seed(SEED)",
    "model": "give it to from_pretrained",
    "implementation": "give it to from_pretrained",
    "lora": "call load_lora_weights",
    "device": "call to",
    "frames": f"run `{TYPED} strokes`, which writes files",
}
OF_THE_PROMPT_ALONE = ("negative_prompt", "guidance_scale", "steps", "size")


@dataclass(frozen=True)
class StrokePictures:
    """What a call returns.

    images:  one for each prompt, or several in a row.
    latents: (B, C, h, w) where they were asked for.
    """

    images: list[Image.Image]
    latents: Tensor | None = None


class GradOPStroke2ImgPipeline:
    """Pictures from stroke paintings (Singh, Gould and Zheng 2023, arXiv 2211.17084).

    The two that take a painting also take the settings of `python main.py strokes` by name:
    `guidance_scale`, `steps`, `guide`, `operator`, `width`, `size`, `count`, `region_control` and
    the others; but the seed, which the generator decides, and what the pipeline holds already.

    Args:
        prior: the model.
        model: the name whose defaults fit it, a preset's or a folder.
        functions: the module of the seven functions of stage 5.
    """

    def __init__(self, prior: Prior, model: str, functions: StrokeFunctions) -> None:
        self.prior, self._model, self._functions = prior, model, functions

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        torch_dtype: torch.dtype | None = None,
        *,
        implementation: str = "guidance",
    ) -> GradOPStroke2ImgPipeline:
        """Load a preset, a folder that diffusers saved, or a Stable Diffusion of the hub.

        It is on the CPU; `to` moves it.

        Args:
            torch_dtype: of the weights, by default float32.
            implementation: "guidance" for your own functions, "reference" for the course's.

        Raises:
            CourseError: the model or the functions cannot be loaded.
        """
        if not isinstance(model, (str, Path)):
            raise CourseError(f"model must be the name or the folder of a model; it is {model!r}.")
        functions = _functions(implementation)
        precision = _name_of(torch_dtype or torch.float32)
        if str(model) in PRESETS or Path(model).is_dir() or "/" not in str(model):
            prior, name = load_prior(model, device="cpu", dtype=precision), str(model)
        else:
            prior, name = _from_hub(str(model), DTYPES[precision]), STAND_IN
        with warnings_in_a_line():
            say_replaced_scheduler(prior)
        return cls(prior, name, functions)

    def to(self, device: str | torch.device) -> GradOPStroke2ImgPipeline:
        """Move the model, and return the pipeline.

        Raises:
            CourseError: there is no such device here.
        """
        if not isinstance(device, (str, torch.device)):
            raise CourseError(
                f"to moves the pipeline to a device, such as 'cuda'; it was given {device!r}. A "
                "precision is given to from_pretrained, as torch_dtype."
            )
        from distillery.models.exact import demonstration_mixture
        from distillery.models.stable_diffusion import StableDiffusionPrior

        wanted = pick_device(device)
        if wanted == self.prior.device:
            return self
        if isinstance(self.prior, StableDiffusionPrior):
            self.prior = type(self.prior)(self.prior.pipeline, device=wanted)
        else:
            self.prior = demonstration_mixture(wanted)
        return self

    def load_lora_weights(self, source: str, *, scale: float = 1.0) -> None:
        """Add LoRA weights to the UNet; raises `CourseError` where they do not fit it."""
        load_lora(self.prior, source, scale=scale)

    def gradop_plus_stroke2img(
        self,
        prompt: str | Sequence[str],
        image: Pictures,
        strength: float = 0.8,
        num_iterative_steps: int = 3,
        grad_steps_per_iter: int = 12,
        generator: Generators = None,
        **options: Any,
    ) -> StrokePictures:
        """GradOP+; `method="gradop+x0"` optimises the estimate of the finished latents instead.

        Args:
            prompt: one, or a list.
            image: a painting for all prompts, or a list with one for each; PIL's or a path.
            strength: the part of the way from noise that is left when the bursts begin.
            generator: one for all, or a list with one for each picture; by default a fresh one.
            options: further settings by name; `regions`, a picture of labels, PIL's or a path, with
                `words`, "cat,car".

        Raises:
            CourseError: one of them cannot be used.
        """
        return self._draw(
            prompt,
            image,
            generator,
            {
                "method": "gradop+",
                "strength": strength,
                "num_iterative_steps": num_iterative_steps,
                "grad_steps_per_iter": grad_steps_per_iter,
                **options,
            },
        )

    def sdedit_img2img(
        self,
        prompt: str | Sequence[str],
        image: Pictures,
        strength: float = 0.8,
        generator: Generators = None,
        **options: Any,
    ) -> StrokePictures:
        """SDEdit; the arguments are those of `gradop_plus_stroke2img`."""
        return self._draw(
            prompt, image, generator, {"method": "sdedit", "strength": strength, **options}
        )

    def text2img_prediction(
        self,
        prompt: str | Sequence[str],
        num_images_per_prompt: int = 1,
        generator: Generators = None,
        return_latents: bool = False,
        **options: Any,
    ) -> StrokePictures:
        """What the model draws of the prompts alone, where the other methods look for a picture.

        The pictures of one prompt follow each other.

        Args:
            options: `negative_prompt`, `guidance_scale`, `steps` (diffusers' `num_inference_steps`)
                and `size`.

        Raises:
            CourseError: one of them cannot be used.
        """
        options = _own_names(options)
        _refuse_others(options, OF_THE_PROMPT_ALONE)
        Whole(1, 1000).check("num_images_per_prompt", num_images_per_prompt)
        prompts = [one for one in _listed(prompt) for _ in range(num_images_per_prompt)]
        # A method that is not used, for the defaults of all the rest.
        settings = [self._settings(one, {"method": "sdedit", **options}) for one in prompts]
        seeds = _seeds(generator, len(prompts))
        latents = torch.cat([self._from_noise(*one) for one in zip(settings, seeds, strict=True)])
        images = to_pil(self.prior.decode(latents))
        return StrokePictures(images, latents if return_latents else None)

    def _from_noise(self, settings: StrokeSettings, seed: int) -> Tensor:
        prior = self.prior
        frame = painting_file.frame_for(prior, prior.image_size[::-1], settings.size)
        shape = (prior.latent_channels, *prior.latent_size_of(frame))
        predict = guided_noise(
            prior,
            text=prior.embed([settings.prompt]),
            uncond=prior.embed([settings.negative_prompt]),
            guidance_scale=settings.guidance_scale,
        )
        *_, last = steered(
            predict,
            fresh_noise(shape, [seed], device=prior.device)(BEGINNING),
            timesteps=prior.timesteps(settings.steps),
            alphas_cumprod=prior.alphas_cumprod,
        )
        return last.xt

    def _draw(
        self,
        prompt: str | Sequence[str],
        image: Pictures,
        generator: Generators,
        options: dict[str, Any],
    ) -> StrokePictures:
        _refuse_elsewhere(options)
        prompts, regions = _listed(prompt), options.pop("regions", None)
        paintings = _for_each(image, len(prompts))
        count = options.pop("count", options.pop("num_images_per_prompt", 1))
        named = {**options, "count": count, "regions": "a picture" if regions is not None else ""}
        settings = [self._settings(one, named) for one in prompts]
        seeds = _seeds(generator, len(prompts) * count)
        images: list[Image.Image] = []
        for number, (its, painting) in enumerate(zip(settings, paintings, strict=True)):
            labels = _labels(regions, its, painting)
            with warnings_in_a_line():
                run = of_painting(
                    self.prior,
                    self._functions,
                    its,
                    painting,
                    labels,
                    seeds=seeds[number * count : (number + 1) * count],
                )
            for _ in run.steps():
                pass
            images += to_pil(run.images())
        return StrokePictures(images)

    def _settings(self, prompt: str, options: dict[str, Any]) -> StrokeSettings:
        # The weights are there already, with those of any LoRA.
        return StrokeSettings.load(
            None, **{**_own_names(options), "prompt": prompt, "model": self._model, "lora": NO_LORA}
        )


def _functions(implementation: str) -> StrokeFunctions:
    try:
        return cast("StrokeFunctions", importlib.import_module(f"{implementation}.strokes"))
    except ModuleNotFoundError as error:
        raise CourseError(
            f"there is no {implementation}/strokes.py in this copy of the course; choose the other "
            "implementation."
        ) from error


def _name_of(dtype: torch.dtype) -> str:
    known = {value: name for name, value in DTYPES.items()}
    if dtype not in known:
        raise CourseError(f"torch_dtype must be one of {', '.join(DTYPES)}; it is {dtype}.")
    return known[dtype]


def _from_hub(source: str, dtype: torch.dtype) -> Prior:
    from distillery.models import stable_diffusion  # diffusers takes seconds

    try:
        return stable_diffusion.load("sd", source, device="cpu", dtype=dtype)
    # Hub, safetensors, transformers and diffusers fail in their own dozen ways.
    except Exception as error:
        raise CourseError(
            f"cannot load {source} ({in_short(error)}); choose one of {', '.join(PRESETS)}, the "
            "folder of a model, or connect to the internet."
        ) from error


def _listed(prompt: str | Sequence[str]) -> list[str]:
    if isinstance(prompt, (list, tuple)) and prompt:
        return list(prompt)
    if not isinstance(prompt, str):
        raise CourseError(f"prompt must be text, or a list of texts; it is {prompt!r}.")
    return [prompt]


def _own_names(options: dict[str, Any]) -> dict[str, Any]:
    """The options, `steps` also by diffusers' name of it."""
    if "num_inference_steps" not in options:
        return options
    return {"steps" if name == "num_inference_steps" else name: options[name] for name in options}


def _refuse_elsewhere(options: dict[str, Any]) -> None:
    for name in ELSEWHERE.keys() & options.keys():
        raise CourseError(f"{name} is no option of a call of the pipeline: {ELSEWHERE[name]}.")


def _refuse_others(options: dict[str, Any], known: Sequence[str]) -> None:
    _refuse_elsewhere(options)
    for name in options.keys() - set(known):
        raise CourseError(
            f"{name!r} is no option where the prompt alone is drawn; the options are "
            f"{', '.join(known)}."
        )


def _for_each(image: Pictures, count: int) -> list[Image.Image]:
    """The paintings, one for each of so many prompts."""
    given = list(image) if isinstance(image, (list, tuple)) else [image] * count
    if len(given) != count:
        raise CourseError(
            f"there are {counted(len(given), 'painting')} for {counted(count, 'prompt')}; give "
            "one for all, or one for each."
        )
    return [_painting(one) for one in given]


def _painting(image: Any) -> Image.Image:
    if isinstance(image, (str, Path)):
        return painting_file.read_painting(Path(image))
    if not isinstance(image, Image.Image):
        raise CourseError(
            f"image must be a picture of PIL or the path of one; it is {type(image).__name__}."
        )
    return painting_file.as_painting(image)


def _labels(
    regions: Any, settings: StrokeSettings, painting: Image.Image
) -> region_labels.Labels | None:
    words = words_of(settings.words)
    if regions is None:
        return None
    if isinstance(regions, (str, Path)):
        return region_labels.read_labels(Path(regions), words, painting.size)
    if not isinstance(regions, Image.Image):
        raise CourseError(
            f"regions must be a picture of PIL or the path of one; it is {type(regions).__name__}."
        )
    return region_labels.fitting(region_labels.labels_in(regions), words, painting.size)


def _seeds(generator: Generators, count: int) -> list[int]:
    """A seed for each of so many pictures."""
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    if isinstance(generator, torch.Generator):
        generator = [generator] * count
    several = isinstance(generator, (list, tuple))
    if not several or not all(isinstance(one, torch.Generator) for one in generator):
        raise CourseError(
            f"generator must be a torch.Generator, or a list of them; it is {generator!r}. For a "
            "seed: torch.Generator().manual_seed(SEED)."
        )
    if len(generator) != count:
        given, wanted = counted(len(generator), "generator"), counted(count, "picture")
        raise CourseError(f"there are {given} for {wanted}; give one for all, or one for each.")
    return [int(torch.randint(2**62, (), generator=one, device=one.device)) for one in generator]
