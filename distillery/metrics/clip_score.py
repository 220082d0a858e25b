"""How well a picture fits its prompt, by CLIP: what students are scored by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from distillery.core.errors import CourseError, in_short
from distillery.core.files import REPOSITORY
from distillery.core.program import collection_paused
from distillery.models.load import pick_device

TINY_CLIP = REPOSITORY / "data/models/tiny-clip"
BATCH = 64

T = TypeVar("T")


class ClipScorer:
    """Cosine similarity of CLIP's image and text embeddings (Radford et al. 2021), in [-1, 1].

    Args:
        name: "tiny-clip", any "MODEL:PRETRAINED" that open_clip knows, or an open_clip folder.
        device: "auto" or a device's name.

    Raises:
        CourseError: the name is unknown or the weights cannot be loaded.
    """

    def __init__(
        self, name: str | Path = "tiny-clip", *, device: str | torch.device = "auto"
    ) -> None:
        self.id = str(name)
        self.device = pick_device(device)
        model, preprocess, tokenizer = _load(self.id)
        self._model = model.to(self.device).eval().requires_grad_(False)
        self._preprocess, self._tokenizer = preprocess, tokenizer

    def score(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        """Score each image against its prompt; prompts longer than CLIP allows are cut off.

        Raises:
            CourseError: there are not as many prompts as images.
        """
        if len(images) != len(prompts):
            raise CourseError(
                f"every image needs its prompt; there are {len(images)} images and "
                f"{len(prompts)} prompts."
            )
        if not images:
            return []
        pairs = zip(self.embed_images(images), self.embed_texts(prompts), strict=True)
        return [float(image @ text) for image, text in pairs]

    @torch.no_grad()
    def embed_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Embeddings of the images, of length 1: `(N, D)` float32 on the CPU."""
        features = []
        for batch in _batches(images):
            pixels = torch.stack([self._preprocess(image.convert("RGB")) for image in batch])
            features.append(self._model.encode_image(pixels.to(self.device)))
        return normalize(torch.cat(features).float(), dim=-1).cpu()

    @torch.no_grad()
    def embed_texts(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of the prompts, of length 1: `(N, D)` float32 on the CPU."""
        features = [
            self._model.encode_text(self._tokenizer(list(batch)).to(self.device))
            for batch in _batches(prompts)
        ]
        return normalize(torch.cat(features).float(), dim=-1).cpu()


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _load(name: str) -> tuple[Any, Any, Any]:
    """The model, its preprocessing of a PIL image, and its tokenizer."""
    with collection_paused():  # takes seconds, and only scoring needs it
        import open_clip

    model_name, pretrained = _resolve(name)
    try:
        model, preprocess = open_clip.create_model_from_pretrained(model_name, pretrained)
        return model, preprocess, open_clip.get_tokenizer(model_name)
    # Hub, safetensors and open_clip fail in their own dozen ways.
    except Exception as error:
        raise CourseError(
            f"cannot load the scorer {name!r} ({in_short(error)}); make or fetch its files again, "
            "connect to the internet, or choose another."
        ) from error


def _resolve(name: str) -> tuple[str, str | None]:
    """open_clip's own (model name, pretrained tag)."""
    import open_clip

    folder = TINY_CLIP if name == "tiny-clip" else Path(name)
    if name == "tiny-clip" or (folder / "open_clip_config.json").is_file():
        return f"local-dir:{folder}", None
    model_name, _, pretrained = name.partition(":")
    if (model_name, pretrained) not in open_clip.list_pretrained():
        raise CourseError(
            f"unknown scorer {name!r}: choose tiny-clip, a folder that open_clip saved, or a "
            "MODEL:PRETRAINED pair of open_clip, such as ViT-B-32:openai."
        )
    return model_name, pretrained
