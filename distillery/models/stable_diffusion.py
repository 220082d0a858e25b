"""Stable Diffusion and SDXL as priors, around diffusers' own pipelines.

The two families differ in this file and nowhere else.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from torch import Tensor, nn

from distillery.core.errors import CourseError
from distillery.core.whole_words import places
from distillery.models.clip_tokenizer import END_OF_TEXT, clip_tokenizer
from distillery.models.lora_file import fuse, read_lora, updates_for
from distillery.models.parameterization import eps_from_v
from distillery.models.prior import Condition, Control, Prior, check_steps, stack_branches
from distillery.models.regions import biased_attention, fit_bias
from distillery.models.schedule import linear_alphas_cumprod, scaled_linear_alphas_cumprod
from distillery.models.traced import ControlNetOfTensors, TracedNetwork, UNetOfTensors

OPEN_CLIP = ("sd21", "sd21-base")  # configurations whose tokenizer pads with "!"


def load(
    family: str,
    source: str,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    vae: str | None = None,
    variant: str | None = None,
    offline: bool = False,
) -> StableDiffusionPrior:
    """Load a hub id or a folder of the family "sd" or "sdxl", with another VAE if one is named.

    What diffusers, the hub or safetensors raise goes through; `load.load_prior` words it.
    """
    pipeline, prior = _classes(family)
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
    parts = _own_parts(family, vae, options)
    # An AutoencoderTiny is not what SDXL's pipeline expects, but all that it needs.
    with _all_weights_of(source), _no_loading_bars(), _only_errors():
        loaded = pipeline.from_pretrained(
            source, variant=variant, local_files_only=offline, **options, **parts
        )
        return prior(loaded, device=device)


def load_single_file(
    family: str,
    source: str,
    config: str,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    vae: str | None = None,
) -> StableDiffusionPrior:
    """Load a checkpoint in one file, built as the folder `config` says, without a connection.

    What diffusers or safetensors raise goes through; `load.load_prior` words it.
    """
    pipeline, prior = _classes(family)
    parts = _own_parts(family, vae, {"dtype": dtype, "use_safetensors": True})
    for name in ("tokenizer", "tokenizer_2"):
        if not (Path(config) / name).is_dir() and (name == "tokenizer" or family == "sdxl"):
            padding = "!" if name == "tokenizer_2" or config.endswith(OPEN_CLIP) else END_OF_TEXT
            parts[name] = clip_tokenizer(padding)
    with _all_weights_of(source), _no_loading_bars(), _only_errors():
        loaded = pipeline.from_single_file(
            source, config=config, local_files_only=True, dtype=dtype, **parts
        )
        return prior(loaded, device=device)


@contextmanager
def _all_weights_of(source: str) -> Iterator[None]:
    try:
        yield
    except NotImplementedError as error:  # of a weight that is only announced ("meta")
        raise CourseError(
            f"cannot load {source}: it lacks weights of its networks; give the whole model."
        ) from error


def _classes(family: str) -> tuple[Any, type[StableDiffusionPrior]]:
    return {
        "sd": (StableDiffusionPipeline, StableDiffusionPrior),
        "sdxl": (StableDiffusionXLPipeline, StableDiffusionXLPrior),
    }[family]


def _own_parts(family: str, vae: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Parts of a pipeline that are not those it was saved with."""
    parts: dict[str, Any] = {}
    if family == "sd":  # nothing here needs the safety checker, a large network
        parts = {
            "safety_checker": None,
            "feature_extractor": None,
            "requires_safety_checker": False,
        }
    if vae is not None:
        config = AutoencoderKL.load_config(vae)
        kind = AutoencoderTiny if config["_class_name"] == "AutoencoderTiny" else AutoencoderKL
        parts["vae"] = kind.from_pretrained(vae, **options)
    return parts


@contextmanager
def _no_loading_bars() -> Iterator[None]:
    """Hide the libraries' bars for files on the disk; the hub still shows its downloads."""
    libraries = (diffusers.utils.logging, transformers.utils.logging)
    for library in libraries:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in libraries:
            library.enable_progress_bar()


@contextmanager
def _only_errors() -> Iterator[None]:
    """Hide the libraries' several pages about a long prompt; `_warn_of_cuts` says it in a line."""
    libraries = (diffusers.utils.logging, transformers.utils.logging)
    before = [library.get_verbosity() for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
    try:
        yield
    finally:
        for library, verbosity in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)


def _warn_of_cuts(tokenizer: Any, prompts: Sequence[str]) -> None:
    for prompt in prompts:
        # The marks of beginning and end count as tokens too.
        given, read = len(tokenizer(prompt).input_ids) - 2, tokenizer.model_max_length - 2
        if given > read:
            warnings.warn(
                f"the model reads {read} tokens of a prompt and this one has {given}, so its end "
                f"is ignored: {prompt[:40]!r}...",
                stacklevel=4,
            )


class StableDiffusionPrior(Prior):
    """A frozen `StableDiffusionPipeline` (Rombach et al. 2022) that predicts eps or v.

    The weights keep the precision they were loaded in; latents, images and eps are float32.

    Raises:
        CourseError: the noise schedule or the kind of prediction is not one of Stable Diffusion's.
    """

    def __init__(self, pipeline: Any, *, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.pipeline = pipeline.to(self.device)
        self.saved_scheduler = type(pipeline.scheduler).__name__
        self.pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
        self.pipeline.set_progress_bar_config(disable=True)
        for module in pipeline.components.values():
            if isinstance(module, nn.Module):
                module.eval().requires_grad_(False)
        self.unet, self.vae = pipeline.unet, pipeline.vae
        self._unet = TracedNetwork(UNetOfTensors(self.unet).eval())
        self.controlnets: dict[str, ControlNetModel] = {}
        self._traced: dict[str, TracedNetwork] = {}  # ControlNets
        self.dtype = self.unet.dtype  # asked once: the network goes through all its parts to say it
        if self.vae.config.force_upcast:  # its activations overflow in half precision
            self.vae.float()
        self.predicts_v = _predicts_v(pipeline.scheduler.config.prediction_type)
        self.alphas_cumprod = _alphas_cumprod(pipeline.scheduler.config).float().to(self.device)
        self.latent_channels = self.unet.config.in_channels
        self.latent_size = _pair(self.unet.config.sample_size)
        height, width = self.latent_size
        self.image_size = (height * pipeline.vae_scale_factor, width * pipeline.vae_scale_factor)

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Condition:
        """Encode the prompts; what is beyond the tokenizer's length is cut off, with a warning."""
        self._move_text_encoders(self.device)
        with _only_errors():
            _warn_of_cuts(self.pipeline.tokenizer, prompts)
            return self._encode_prompts(list(prompts))

    def token_indices(self, prompt: str, words: str) -> tuple[int, ...]:
        tokenizer = self.pipeline.tokenizer
        spans = places(words, prompt)
        if not spans:
            raise CourseError(f"{words!r} is not in the prompt {prompt!r}; take words that are.")
        # Marks such as that of the beginning have the empty span (0, 0).
        offsets = tokenizer(prompt, return_offsets_mapping=True).offset_mapping
        found = tuple(
            index
            for index, (begin, end) in enumerate(offsets)
            if any(begin < last and end > first for first, last in spans)
        )
        if found[-1] >= tokenizer.model_max_length - 1:  # the last one marks the end
            raise CourseError(
                f"{words!r} lies beyond the {tokenizer.model_max_length - 2} tokens that the model "
                "reads of a prompt; shorten the prompt."
            )
        return found

    def coarsest_attention(self, size: tuple[int, int]) -> tuple[int, int]:
        """That in the middle of the UNet; each block but the last halves both, rounding up."""
        halvings = len(self.unet.config.block_out_channels) - 1
        rows, columns = (-(-side // 2**halvings) for side in size)
        return rows, columns

    def rest_text_encoders(self) -> None:
        """Free the device of the text encoders; `embed` and `sample` fetch them when they must."""
        self._move_text_encoders(torch.device("cpu"))

    def _move_text_encoders(self, device: torch.device) -> None:
        for name in ("text_encoder", "text_encoder_2"):
            encoder = getattr(self.pipeline, name, None)
            if encoder is not None:
                encoder.to(device)

    def _encode_prompts(self, prompts: list[str]) -> Condition:
        tokens, _ = self.pipeline.encode_prompt(
            prompts, self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return Condition(tokens)

    def encode(self, images: Tensor) -> Tensor:
        """The mode of the VAE's posterior, scaled to the UNet's latents; no noise is drawn."""
        encoded = self.vae.encode(images.to(self.vae.dtype))
        # An AutoencoderTiny gives the latents themselves.
        latents = encoded.latents if "latents" in encoded else encoded.latent_dist.mode()
        return latents.float() * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return self.decode_with_grad(latents)

    def decode_with_grad(self, latents: Tensor) -> Tensor:
        latents = latents / self.vae.config.scaling_factor
        return self.vae.decode(latents.to(self.vae.dtype)).sample.float()

    @torch.no_grad()
    def predict_noise(
        self, xt: Tensor, t: Tensor, *conditions: Condition, controls: Sequence[Control] = ()
    ) -> tuple[Tensor, ...]:
        xts, ts, condition = stack_branches(xt, t, conditions)
        prediction = self.network(xts, ts, condition, controls=controls)
        if self.predicts_v:
            prediction = eps_from_v(xts, prediction, self.alpha_bar(ts))
        return prediction.chunk(len(conditions))

    def network(
        self, xt: Tensor, t: Tensor, condition: Condition, *, controls: Sequence[Control] = ()
    ) -> Tensor:
        """What the UNet itself predicts, eps or v `(B, C, h, w)` float32.

        It carries a graph where weights of the UNet learn, as those of a LoRA do. A control's image
        may be for fewer latents, which then are branches of it.

        Raises:
            CourseError: there is no ControlNet of a control's kind here.
        """
        xt = xt.to(self.dtype)
        told = (condition.tokens, *self._added_conditions(xt, condition))
        residuals = self._residuals(xt, t, told, controls)
        with self._attending(condition, xt):
            # Its layers ask of the regions, so a trace would hold those of one call.
            unet = self._unet if condition.attention_bias is None else self._unet.network
            prediction: Tensor = unet(xt, t, *told, *residuals)
        return prediction.float()

    def _attending(self, condition: Condition, xt: Tensor) -> AbstractContextManager[None]:
        """The UNet, but not the ControlNets, minds the condition's regions inside the block."""
        if condition.attention_bias is None:
            return nullcontext()
        size = (xt.shape[-2], xt.shape[-1])
        bias = fit_bias(condition.attention_bias, condition.tokens.shape[1], size)
        return biased_attention(self.unet, bias, size)

    def _residuals(
        self, xt: Tensor, t: Tensor, told: tuple[Tensor, ...], controls: Sequence[Control]
    ) -> tuple[Tensor, ...]:
        """What the ControlNets add to the UNet's skip connections and, the last, to its middle."""
        added: tuple[Tensor, ...] = ()
        for control in controls:
            if control.scale == 0:
                continue
            net = self._controlnet(control.kind)
            image = control.image.to(xt.dtype).repeat(len(xt) // len(control.image), 1, 1, 1)
            strength = control.strength(t, len(self.alphas_cumprod)).to(xt.dtype).view(-1, 1, 1, 1)
            residuals = tuple(strength * part for part in net(xt, t, *told, image))
            if added:
                residuals = tuple(old + new for old, new in zip(added, residuals, strict=True))
            added = residuals
        return added

    def _controlnet(self, kind: str) -> TracedNetwork:
        if kind not in self.controlnets:
            raise CourseError(
                f"the model has no ControlNet for {kind!r}, only for "
                f"{', '.join(self.controlnets) or 'nothing'}; load it, or leave the control out."
            )
        net = self.controlnets[kind]
        if kind not in self._traced or self._traced[kind].network.net is not net:
            self._traced[kind] = TracedNetwork(ControlNetOfTensors(net).eval())
        return self._traced[kind]

    def add_controlnet(self, kind: str, source: str, *, offline: bool = False) -> None:
        """Load a ControlNet from a hub id or a folder, frozen, in the UNet's precision.

        What diffusers, the hub or safetensors raise goes through; `load.load_controlnets` words
        it.
        """
        with _no_loading_bars():
            net = ControlNetModel.from_pretrained(
                source, dtype=self.dtype, use_safetensors=True, local_files_only=offline
            )
        self.controlnets[kind] = net.to(self.device).eval().requires_grad_(False)

    def add_lora(self, source: str, *, scale: float) -> None:
        """Fuse LoRA weights of a file, a folder or a hub id into the networks, `scale` times.

        Raises:
            CourseError: they cannot be read, or not all of them are for this model.
        """
        names = ("unet", "text_encoder", "text_encoder_2")
        found = {name: getattr(self.pipeline, name, None) for name in names}
        parts = {name: part for name, part in found.items() if part is not None}
        fuse(updates_for(read_lora(source), parts), parts, scale)
        self._unet.forget()  # its weights are others now

    def _added_conditions(self, xts: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        return ()

    def timesteps(self, steps: int) -> Tensor:
        """Those of diffusers' DDIM, spaced as the model's scheduler says."""
        check_steps(steps, len(self.alphas_cumprod))
        scheduler = DDIMScheduler.from_config(self.pipeline.scheduler.config)
        scheduler.set_timesteps(steps)
        after_last = torch.tensor([-1 if scheduler.config.set_alpha_to_one else 0])
        return torch.cat([scheduler.timesteps, after_last]).to(self.device)

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[str],
        *,
        guidance_scale: float,
        steps: int = 30,
        generator: torch.Generator,
        negative: str = "",
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """DDIM (Song et al. 2021) by diffusers' own pipeline.

        Raises:
            CourseError: a side of `size` is not a multiple of 8.
        """
        height, width = size or self.image_size
        if height % 8 or width % 8:
            raise CourseError(f"the sides of a picture must be multiples of 8; it is {size}.")
        self._move_text_encoders(self.device)
        with _only_errors():
            _warn_of_cuts(self.pipeline.tokenizer, prompts)
            drawn = self.pipeline(
                list(prompts),
                height=height,
                width=width,
                num_inference_steps=steps,
                guidance_scale=guidance_scale,
                negative_prompt=[negative] * len(prompts) if negative else None,
                generator=generator,
                output_type="latent",
            )
        return drawn.images.float()


class StableDiffusionXLPrior(StableDiffusionPrior):
    """A frozen `StableDiffusionXLPipeline` (Podell et al. 2023).

    Its UNet is also told a pooled embedding and the picture's size; the canvas counts as a whole
    picture that was never cropped.
    """

    def _encode_prompts(self, prompts: list[str]) -> Condition:
        tokens, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False
        )
        # The unconditional branch was trained on zeros, not on the embedding of an empty text.
        if self.pipeline.config.force_zeros_for_empty_prompt:
            written = torch.tensor([[bool(prompt)] for prompt in prompts], device=self.device)
            tokens, pooled = tokens * written[:, :, None], pooled * written
        return Condition(tokens, pooled)

    def _added_conditions(self, xts: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        assert condition.pooled is not None  # `_encode_prompts` has given it
        if condition.time_ids is not None:
            time_ids = condition.time_ids.to(self.device, self.dtype)
            return condition.pooled, time_ids
        height, width = (side * self.pipeline.vae_scale_factor for side in xts.shape[-2:])
        # Original size, corner of the crop, target size (section 2.2); height before width.
        # Filled in place: a tensor made from a list would be copied over, and the step would wait.
        time_ids = torch.zeros(len(xts), 6, dtype=self.dtype, device=self.device)
        time_ids[:, 0::4], time_ids[:, 1::4] = height, width
        return condition.pooled, time_ids


def _predicts_v(prediction_type: str) -> bool:
    if prediction_type not in ("epsilon", "v_prediction"):
        raise CourseError(
            f"the model must predict epsilon or v; this one predicts {prediction_type!r}, "
            "choose another."
        )
    return prediction_type == "v_prediction"


def _alphas_cumprod(config: Any) -> Tensor:
    schedules = {"scaled_linear": scaled_linear_alphas_cumprod, "linear": linear_alphas_cumprod}
    if config.beta_schedule not in schedules:
        raise CourseError(
            f"the model's noise schedule must be one of {', '.join(schedules)}; "
            f"it is {config.beta_schedule!r}, choose another model."
        )
    return schedules[config.beta_schedule](
        config.num_train_timesteps, config.beta_start, config.beta_end
    )


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return height, width
