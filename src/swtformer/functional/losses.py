"""The losses of SWTformer (Eq. 2, 5, 6, 7)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.activation import with_background_present

EPSILON = 1e-8
"""Smallest norm in a cosine."""


def classification_loss(logits: Tensor, present: Tensor) -> Tensor:
    """Multi-label soft-margin loss, Eq. (2), with the minus sign that the paper lacks.

    Args:
        logits: (B, C) class logits.
        present: (B, C) 0/1 image-level labels.

    Returns:
        Scalar: mean over classes and images of the binary cross-entropy.
    """
    return F.multilabel_soft_margin_loss(logits, present.to(logits.dtype))


def consistency_loss(
    cam: Tensor,
    rcam: Tensor,
    present: Tensor,
    *,
    over: Literal["all", "present"],
    valid: Tensor | None = None,
) -> Tensor:
    """Mean absolute gap between CAMs and R-CAMs (GSC), Eq. (5).

    The paper sums over pixels; with the mean, its weight does not depend on the resolution.

    Args:
        cam: (B, C+1, h, w) in [0, 1]; index 0 is background.
        rcam: same shape and range.
        present: (B, C) 0/1 image-level labels.
        over: the mean is taken over all C+1 channels, or over the present ones of each image.
        valid: (B, 1, h, w) 0/1, 0 on padded pixels of the crop; None if all count.

    Returns:
        Scalar, 0 where the maps agree.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(cam, rcam)
    gap = (cam - rcam).abs()
    weights = torch.ones_like(gap[:, :1]) if valid is None else valid.to(gap.dtype)
    pixels = weights.sum((-2, -1)).clamp_min(1)
    per_channel = (gap * weights).sum((-2, -1)) / pixels
    if over == "all":
        return per_channel.mean()
    channels = with_background_present(present).to(gap.dtype)
    return ((per_channel * channels).sum(1) / channels.sum(1)).mean()


def contrastive_loss(
    cam: Tensor,
    rcam: Tensor,
    present: Tensor,
    *,
    reading: Literal["literal", "per_class", "matrix"],
    valid: Tensor | None = None,
) -> Tensor:
    """Class-wise contrastive loss between CAMs and R-CAMs (CCL), Eq. (6).

    literal: ½[(⅔ s)² + (1 − s)²] with the cosine s between an image's flattened maps. Its minimum is 2/13 at
    s = 9/13, while equal maps (s = 1) cost 2/9: read literally, the equation keeps the maps apart.
    per_class: the mean of the same expression over the cosines of the present classes.
    matrix: the text of Sec. 3-5. With s_ij the cosine between class i of `cam` and class j of `rcam`,
    both present, ½[mean_i (1 − s_ii)² + mean_{i≠j} (⅔ s_ij)²]. It is 0 for equal maps without overlaps
    between classes.

    Args:
        cam: (B, C+1, h, w) in [0, 1]; index 0 is background.
        rcam: same shape and range.
        present: (B, C) 0/1 image-level labels; background is always present.
        reading: which reading of the equation.
        valid: (B, 1, h, w) 0/1, 0 on padded pixels of the crop; None if all count.

    Returns:
        Scalar, mean over the images.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(cam, rcam)
    if valid is not None:
        cam, rcam = cam * valid, rcam * valid
    if reading == "literal":
        return literal_contrast(F.cosine_similarity(cam.flatten(1), rcam.flatten(1), eps=EPSILON)).mean()
    channels = with_background_present(present).to(cam.dtype)
    first, second = (F.normalize(item.flatten(2), dim=-1, eps=EPSILON) for item in (cam, rcam))
    if reading == "per_class":
        per_class = literal_contrast((first * second).sum(-1))
        return ((per_class * channels).sum(1) / channels.sum(1)).mean()
    cosines = first @ second.mT
    pull = ((1 - cosines.diagonal(dim1=1, dim2=2)).square() * channels).sum(1) / channels.sum(1)
    pairs = channels[:, :, None] * channels[:, None, :]
    pairs = pairs * (1 - torch.eye(cam.shape[1], dtype=cam.dtype, device=cam.device))
    push = ((2 / 3 * cosines).square() * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)
    return ((pull + push) / 2).mean()


def literal_contrast(cosine: Tensor) -> Tensor:
    """½[(⅔ s)² + (1 − s)²] for every cosine s: Eq. (6) as printed."""
    return ((2 / 3 * cosine).square() + (1 - cosine).square()) / 2


def require_same_shape(first: Tensor, second: Tensor) -> None:
    """Refuse maps of different shapes.

    Raises:
        ValueError: they differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"the maps must have one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
