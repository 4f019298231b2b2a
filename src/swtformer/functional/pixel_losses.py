"""Losses of a segmentation network on label images; pixels of label 255 are unknown and have no loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from swtformer.label_values import IGNORED

_BY_BLOCKS = ("cpu",)
"""Devices on which the loss is computed block by block."""

_BLOCK = 2**17
"""Logits that are worked on at a time on a CPU: half a megabyte in fp32, which its cache holds."""


def pixel_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weights: Tensor | None = None,
    image_weights: Tensor | None = None,
) -> Tensor:
    """Weighted mean of the cross-entropy over the known pixels of a batch.

    sum_p w_p · −log softmax(logits_p)[label_p] / sum_p w_p, where w_p is the weight of the pixel's class
    times that of its image.

    Args:
        logits: (B, N, H, W), N labels with background.
        labels: (B, H, W) integers below N, or 255.
        class_weights: (N,), not negative; 1 if None.
        image_weights: (B,), not negative; 1 if None.

    Returns:
        Scalar; 0 if all weights are 0 or no pixel is known.
    """
    known = labels != IGNORED
    truth = labels.long().where(known, 0)
    kind = torch.promote_types(logits.dtype, torch.float32)
    weights = known.to(kind)
    if class_weights is not None:
        weights = weights * class_weights[truth]
    if image_weights is not None:
        weights = weights * image_weights[:, None, None]
    weights = weights.detach() / weights.sum().clamp(min=1e-8)
    if logits.device.type in _BY_BLOCKS:
        total: Tensor = _CrossEntropy.apply(logits, truth, weights)
        return total
    losses = F.cross_entropy(logits.to(kind), labels.long(), ignore_index=IGNORED, reduction="none")
    return (losses * weights).sum()


class _CrossEntropy(torch.autograd.Function):
    """Weighted sum of the cross-entropy, with its gradient made on the way, block by block.

    On a CPU it is faster than `F.cross_entropy`, which goes through the memory a dozen times
    (benchmarks/speed.md).
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
        count, _, width = logits.shape[1:]
        rows = max(1, _BLOCK // (count * width))
        gradient = torch.empty_like(logits)
        total = weights.new_zeros(())
        for image, labels, importance, slope in zip(logits, truth, weights, gradient, strict=True):
            for block, own, weight, made in zip(
                image.split(rows, 1),
                labels.split(rows),
                importance.split(rows),
                slope.split(rows, 1),
                strict=True,
            ):
                # (N, pixels)
                values = weights.new_empty(block.shape).copy_(block).flatten(1)
                own, weight = own.flatten()[None], weight.flatten()[None]
                values.masked_fill_(weight == 0, 0)  # whatever an unknown pixel holds
                values -= values.amax(0, keepdim=True)
                chosen = values.gather(0, own)
                values.exp_()
                sums = values.sum(0, keepdim=True)
                total += ((sums.log() - chosen) * weight).sum()
                values *= weight / sums
                values.scatter_add_(0, own, -weight)
                made.copy_(values.view(made.shape))
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return slope * gradient.to(slope.dtype), None, None


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus the soft dice coefficient, mean over the labels that occur in the batch.

    1 − 2 sum_p q_p g_p / (sum_p q_p + sum_p g_p) with the probabilities q and the one-hot labels g of the
    known pixels of the whole batch (Milletari et al. 2016, without their squares, as is usual today).

    Args:
        logits: (B, N, H, W), N labels with background.
        labels: (B, H, W) integers below N, or 255.

    Returns:
        Scalar in [0, 1]; 0 if no pixel is known.
    """
    known = labels != IGNORED
    # (known pixels, N)
    kind = torch.promote_types(logits.dtype, torch.float32)
    probabilities = logits.to(kind).softmax(1).movedim(1, -1)[known]
    truth = F.one_hot(labels[known].long(), logits.shape[1]).to(probabilities.dtype)
    sizes = truth.sum(0)
    dice = 2 * (probabilities * truth).sum(0) / (probabilities.sum(0) + sizes).clamp(min=1e-8)
    occurs = sizes > 0
    return ((1 - dice) * occurs).sum() / occurs.sum().clamp(min=1)


def presence_loss(logits: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """Binary cross-entropy of the presence of classes in a crop, mean over the known ones.

    Classes in the crop's mask are present. Classes that only the image-level labels name may lie outside the
    crop or be unsure, and have no loss. All others are absent.

    Args:
        logits: (B, C) class logits.
        labels: (B, H, W) integers up to C, or 255; 0 is background.
        present: (B, C) 0/1 image-level labels of the whole images.

    Returns:
        Scalar; 0 if nothing is known.
    """
    count = logits.shape[1]
    # 256 columns, as 255 is a value too.
    shown = logits.new_zeros(len(labels), 256).scatter_(1, labels.flatten(1).long(), 1.0)[:, 1 : count + 1]
    known = ((shown > 0) | (present == 0)).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, shown, reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def rarity_weights(pixels: Tensor) -> Tensor:
    """Weights of labels by their rarity: 1 / sqrt(share of the pixels), scaled to mean 1 over the pixels.

    The root keeps a class of few pixels from outweighing all others.

    Args:
        pixels: (N,) number of pixels of each label.

    Returns:
        (N,) float32; 0 for labels without pixels.
    """
    shares = pixels.double() / pixels.sum().clamp(min=1)
    weights = torch.where(shares > 0, shares.clamp(min=1e-12).rsqrt(), 0.0)
    mean = (weights * shares).sum()
    return (weights / mean.clamp(min=1e-12)).float()
