"""ElasticDiffusion by the names that its release gave it, for Python.

    pipe = ElasticDiffusion(device="cpu", sd_version="tiny-sd", view_batch_size=16)
    images, verbose_info = pipe.generate_image(
        prompts="a red boat on a frozen river", height=64, width=128, resampling_steps=2, drop_p=0.7
    )

What differs from the release: a picture may be more than twice as large as those that the model was
trained on; the reference is not padded unless `reference="padded"` asks for it; what is not given
takes the model's defaults; and each picture depends on its seed alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image

from distillery.core.errors import CourseError
from distillery.core.images import opened, to_pil, to_rgb
from distillery.core.program import TYPED
from distillery.core.settings import LARGEST_SEED, Whole
from distillery.methods.any_size import ElasticFunctions
from distillery.models.load import load_controlnets, load_prior, pick_device
from distillery.models.prior import Prior
from distillery.runs import elastic
from distillery.runs.control_picture import read_picture
from distillery.runs.elastic_settings import VERSIONS, ElasticSettings, like, new_part

# Settings of the command line that something else decides here, and what that is.
ELSEWHERE = {
    "prompt": "give prompts",
    "negative_prompt": "give negative_prompts",
    "steps": "give num_inference_steps",
    "model": "give sd_version to ElasticDiffusion",
    "device": "give it to ElasticDiffusion",
    "low_vram": "give it to ElasticDiffusion",
    "view_batch_size": "give it to ElasticDiffusion",
    "patch_size": "give it to ElasticDiffusion",
    "implementation": "give it to ElasticDiffusion",
    "frames": "verbose_info has them",
    "pca": f"run `{TYPED} elastic`, which writes files",
}


class ElasticDiffusion:
    """Pictures of any size (Haji-Ali, Balakrishnan and Ordonez 2024, arXiv 2311.18822).

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        sd_version: "1.4", "1.5", "2.0", "2.1" or "XL1.0", a preset's name, or a folder that
            diffusers saved.
        view_batch_size: how many windows the network is asked about at once; by default 16, or 1
            with `low_vram`.
        low_vram: need less memory, and more time.
        patch_size: side of the windows in cells of the latents, by default half of what the model
            was trained for.
        torch_dtype: of the weights; by default the preset's, half precision on a GPU.
        implementation: "guidance" for your own functions, "reference" for the course's.

    Raises:
        CourseError: the model or the functions cannot be loaded, or there is no such device.
    """

    def __init__(
        self,
        device: str | torch.device = "auto",
        sd_version: str | Path = "tiny-sd",
        view_batch_size: int | None = None,
        low_vram: bool = False,
        patch_size: int | None = None,
        *,
        torch_dtype: str | None = None,
        implementation: str = "guidance",
    ) -> None:
        self._model = VERSIONS.get(str(sd_version), (str(sd_version), ""))[0]
        self._fixed: dict[str, Any] = {
            "model": self._model,
            "device": str(pick_device(device)),
            "low_vram": low_vram,
            "view_batch_size": view_batch_size,
            "patch_size": patch_size,
            "implementation": implementation,
        }
        ElasticSettings.load(None, **{**self._fixed, "prompt": "a"})  # refuses what is unfit
        self._functions = _functions(implementation)
        self.prior = load_prior(self._model, device=self._fixed["device"], dtype=torch_dtype)
        self._locals: dict[str, Prior] = {}

    def generate_image(
        self,
        prompts: str | Sequence[str] = "",
        negative_prompts: str | Sequence[str] = "",
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        resampling_steps: int | None = None,
        new_p: float | None = None,
        drop_p: float | None = None,
        rrg_init_weight: float | None = None,
        cosine_scale: float | None = None,
        *,
        seed: int = 0,
        log_freq: int = 5,
        condition_image: Image.Image | str | Path | None = None,
        **options: Any,
    ) -> tuple[list[Image.Image], dict[str, Any]]:
        """Draw a picture of each prompt.

        Args:
            prompts: one, or a list.
            negative_prompts: one for all, or a list with one for each.
            drop_p: 1 - new_p; the README of the release says this, its code the other.
            seed: of the first picture; the next ones have the next seeds.
            log_freq: a step's estimates are kept each so many steps, and the last one's.
            condition_image: a picture for a ControlNet, PIL's or a path.
            options: further settings of `python main.py elastic` by name: `method`, `rrg_weight`,
                `rrg_stop_t`, `repaint_sampling`, `reference`, `control`, `tiled_decoder`, ...

        Returns:
            The pictures, and a dictionary: "x0", for each picture its estimates step by step;
            "network_samples", for each how many samples of the network it took; "settings", for
            each everything that decided it.

        Raises:
            CourseError: one of them cannot be used.
        """
        for name in ELSEWHERE.keys() & options.keys():
            raise CourseError(f"{name} is no option of generate_image: {ELSEWHERE[name]}.")
        Whole(1, 1000).check("log_freq", log_freq)
        Whole(0, LARGEST_SEED).check("seed", seed)
        texts = _listed("prompts", prompts)
        negatives = _listed("negative_prompts", negative_prompts)
        if len(negatives) not in (1, len(texts)):
            raise CourseError(
                f"there are {len(negatives)} negative_prompts for {len(texts)} prompts; give one "
                "for all, or one for each."
            )
        chosen = {
            **self._fixed,
            "height": height,
            "width": width,
            "steps": num_inference_steps,
            "guidance_scale": guidance_scale,
            "resampling_steps": resampling_steps,
            "new_p": new_p if drop_p is None else new_part(drop_p, new_p),
            "rrg_init_weight": rrg_init_weight,
            "cosine_scale": cosine_scale,
            **options,
        }
        condition = self._condition(condition_image, chosen)
        images: list[Image.Image] = []
        info: dict[str, list[Any]] = {"x0": [], "network_samples": [], "settings": []}
        for number, text in enumerate(texts):
            its = {"prompt": text, "negative_prompt": negatives[number % len(negatives)]}
            settings = ElasticSettings.load(None, **chosen, **its, seed=seed + len(images))
            image, film, samples = self._draw(settings, condition, log_freq)
            images += image
            info["x0"].append(film)
            info["network_samples"].append(samples)
            info["settings"].append(settings)
        return images, info

    def _draw(
        self, settings: ElasticSettings, condition: Image.Image | None, log_freq: int
    ) -> tuple[list[Image.Image], list[Image.Image], float]:
        """The pictures, the estimates of the first one, and the network samples of one picture."""
        run = elastic.of_picture(
            self.prior,
            self._functions,
            settings,
            condition,
            local=self._local(settings),
            seeds=range(settings.seed, settings.seed + settings.count),
        )
        film = []
        for step in run.steps():
            if (step.index + 1) % log_freq == 0 or step.index == step.total - 1:
                film.append(to_pil(run.images()[:1])[0])
        return to_pil(run.images()), film, run.samples / settings.count

    def _condition(self, given: Any, chosen: dict[str, Any]) -> Image.Image | None:
        """The condition image, after the settings know of it and the ControlNet is there."""
        if given is None:
            return None
        if not isinstance(given, (str, Path, Image.Image)):
            raise CourseError(
                "condition_image must be a picture of PIL or the path of one; it is "
                f"{type(given).__name__}."
            )
        chosen["condition_image"] = "a picture" if isinstance(given, Image.Image) else str(given)
        if isinstance(given, Image.Image):
            picture = to_rgb(opened(given, "condition_image"))
            sizes = like(picture.size, chosen["height"], chosen["width"], self.prior.image_size[0])
            chosen["height"], chosen["width"] = sizes
        settings = ElasticSettings.load(None, **{**chosen, "prompt": "a"})
        if not isinstance(given, Image.Image):
            picture = cast(Image.Image, read_picture(settings))
        if settings.control not in getattr(self.prior, "controlnets", {}):
            load_controlnets(self.prior, self._model, [settings.control])
        return picture

    def _local(self, settings: ElasticSettings) -> Prior:
        """The model with the method's LoRA, which is loaded once."""
        its = elastic.adapter(settings)
        if its not in self._locals:
            self._locals[its] = elastic.load_local(self.prior, settings)
        return self._locals[its]


def _functions(implementation: str) -> ElasticFunctions:
    try:
        return cast("ElasticFunctions", importlib.import_module(f"{implementation}.elastic"))
    except ModuleNotFoundError as error:
        raise CourseError(
            f"there is no {implementation}/elastic.py in this copy of the course; choose the other "
            "implementation."
        ) from error


def _listed(name: str, texts: str | Sequence[str]) -> list[str]:
    if isinstance(texts, (list, tuple)) and texts:
        return list(texts)
    if not isinstance(texts, str):
        raise CourseError(f"{name} must be text, or a list of texts; it is {texts!r}.")
    return [texts]
