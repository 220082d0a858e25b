"""How much of the source an edit has kept, which a score against the prompt does not say.

Images are `(B, 3, H, W)` in [-1, 1], and every number is one for each picture of the batch.

- `ssim` compares windows of 11 pixels: 1 for the same picture, near 0 for unrelated ones. In a
  picture of 64 pixels such a window is as large as a window of a house, so there it is coarse.
- `Lpips` compares what AlexNet sees: 0 for the same picture, about 0.7 for unrelated ones.
- `outside_mask` and `inside_mask` are the mean absolute difference where the edited thing is not,
  and where it is: 0 for the same pixels, 2 for black against white. An edit of the thing should
  leave the outside alone; an edit of the scene changes it by right, and should leave the inside.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from distillery.core.errors import CourseError, in_short

ALEXNET_SIDE = 64  # pixels; of much less, its last layers see nothing


@torch.no_grad()
def ssim(images: Tensor, sources: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004, equation 13), `(B,)` in [-1, 1], by torchmetrics.

    Raises:
        CourseError: the two batches differ in shape, or a side is below 8 pixels.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    _check_alike(images, sources)
    if min(images.shape[-2:]) < 8:
        raise CourseError(
            f"SSIM needs pictures of 8 pixels a side; they have {tuple(images.shape[-2:])}."
        )
    # Its terms compare means, so black must be 0; and they subtract large numbers, so doubles.
    first, second = ((batch.double().clamp(-1, 1) + 1) / 2 for batch in (images, sources))
    similarity = structural_similarity_index_measure(
        first, second, data_range=1.0, reduction="none"
    )
    assert isinstance(similarity, Tensor)  # it is a pair only where the whole map is asked for
    return similarity.float()


class Lpips:
    """Learned perceptual distance (Zhang et al. 2018, arXiv 1801.03924), AlexNet, by torchmetrics.

    Raises:
        CourseError: AlexNet's weights are not in torch's cache and cannot be downloaded.
    """

    def __init__(self) -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._metric = LearnedPerceptualImagePatchSimilarity(net_type="alex")
        # A download fails in a dozen ways, from a closed port to a full disk.
        except Exception as error:
            raise CourseError(
                f"cannot load AlexNet's weights for LPIPS ({in_short(error)}); connect to the "
                "internet once, or leave out --lpips."
            ) from error

    @torch.no_grad()
    def __call__(self, images: Tensor, sources: Tensor) -> Tensor:
        """The distance of each pair, `(B,)`; pictures below 64 pixels a side are enlarged first.

        Raises:
            CourseError: the two batches differ in shape.
        """
        _check_alike(images, sources)
        pairs = zip(_enlarged(images).split(1), _enlarged(sources).split(1), strict=True)
        return torch.stack([self._metric(image, source) for image, source in pairs])


def _enlarged(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    scale = max(1.0, ALEXNET_SIDE / min(height, width))
    size = (round(height * scale), round(width * scale))
    return interpolate(images, size, mode="bilinear", align_corners=False).clamp(-1, 1)


def outside_mask(images: Tensor, sources: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference where `mask` `(B, 1, H, W)` is 0; `(B,)` in [0, 2].

    Where the mask is between 0 and 1, a pixel counts in part.

    Raises:
        CourseError: the shapes do not agree, or the mask leaves nothing outside.
    """
    return _difference(images, sources, 1 - mask, "leaves nothing of the picture outside")


def inside_mask(images: Tensor, sources: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference where `mask` `(B, 1, H, W)` is 1; `(B,)` in [0, 2].

    Raises:
        CourseError: the shapes do not agree, or the mask is empty.
    """
    return _difference(images, sources, mask, "is empty")


def _difference(images: Tensor, sources: Tensor, weight: Tensor, when_void: str) -> Tensor:
    _check_alike(images, sources)
    wanted = (len(images), 1, *images.shape[-2:])
    if weight.shape != wanted:
        raise CourseError(
            f"the mask must be {wanted}, as the pictures; it is {tuple(weight.shape)}."
        )
    total = weight.sum(dim=(1, 2, 3))
    if (total <= 0).any():
        raise CourseError(f"the mask {when_void}; it must be 1 on the thing and 0 elsewhere.")
    distance = (images - sources).abs().mean(dim=1, keepdim=True)
    return (weight * distance).sum(dim=(1, 2, 3)) / total


def _check_alike(images: Tensor, sources: Tensor) -> None:
    if images.shape != sources.shape:
        raise CourseError(
            "an edit and its source must have one shape; they have "
            f"{tuple(images.shape)} and {tuple(sources.shape)}."
        )
