"""What the attention of a plain vision transformer says about an image.

Attention (B, heads, T, T) has in row t the weights with which token t takes up the others; its rows sum to 1.

Sources: roll-out, Abnar and Zuidema, ACL 2020, doi:10.18653/v1/2020.acl-main.385; relevance, Chefer, Gur and
Wolf, ICCV 2021, doi:10.1109/ICCV48922.2021.00045; patch affinity, Xu et al., CVPR 2022,
doi:10.1109/CVPR52688.2022.00427; class-token contrast, Xu et al., TPAMI 2024, arXiv:2308.03005.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def fused_heads(attention: Tensor, *, heads: Literal["mean", "max", "min"]) -> Tensor:
    """One (B, T, T) attention of (B, heads, T, T): the mean, the largest or the smallest of the heads."""
    if heads == "mean":
        return attention.mean(1)
    return attention.amax(1) if heads == "max" else attention.amin(1)


def without_weakest(attention: Tensor, *, discard: float) -> Tensor:
    """Attention with its smallest values set to 0, those of each image by themselves.

    The first token's attention to itself stays, as in jacobgil/vit-explain. That code discards values in the
    first image of a batch alone.

    Args:
        attention: (B, T, T).
        discard: part of the T² values that is discarded, in [0, 1).
    """
    flat = attention.flatten(1)
    count = int(flat.shape[1] * discard)
    if count == 0:
        return attention
    limit = flat.float().kthvalue(count, dim=1, keepdim=True).values
    kept = flat > limit
    kept[:, 0] = True
    return (flat * kept).view_as(attention)


def attention_rollout(attentions: Sequence[Tensor]) -> Tensor:
    """How much of each input token reaches the first token of the last layer (Abnar and Zuidema).

    Residual connections count as half of each layer: Â = (A + I) / 2, with rows divided by their sums, which
    are no longer 1 where heads were fused by extremes or values discarded. The roll-out is the first row of
    Â_L ··· Â_1. It is computed from the last layer down, one row times a matrix at a time.

    Args:
        attentions: of the layers in order, (B, T, T) each, heads fused.

    Returns:
        (B, T), which sums to 1.
    """

    def with_residual(attention: Tensor) -> Tensor:
        mixed = attention + torch.eye(attention.shape[-1], dtype=attention.dtype, device=attention.device)
        return mixed / mixed.sum(-1, keepdim=True)

    row = with_residual(attentions[-1])[:, :1]
    for attention in reversed(attentions[:-1]):
        row = row @ with_residual(attention)
    return row[:, 0]


def head_relevance(attention: Tensor, gradient: Tensor) -> Tensor:
    """Mean over the heads of the positive part of attention times gradient (Chefer et al.).

    Args:
        attention: (B, heads, T, T).
        gradient: of a class logit with respect to it, the same shape.

    Returns:
        (B, T, T), at least 0.
    """
    return (attention * gradient).relu().mean(1)


def relevance_rollout(relevances: Sequence[Tensor]) -> Tensor:
    """Relevance of each input token to the first token of the last layer (Chefer et al.).

    The first row of (I + Ā_L) ··· (I + Ā_1): relevance passes each layer unchanged, and is added to where
    attention matters to the class. No row is normalised.

    Args:
        relevances: Ā of the layers in order, (B, T, T) each; see `head_relevance`.

    Returns:
        (B, T), at least 0.
    """
    last = relevances[-1]
    row = torch.eye(1, last.shape[-1], dtype=last.dtype, device=last.device)
    for relevance in reversed(relevances):
        row = row + row @ relevance
    return row[:, 0]


def spread_by_affinity(maps: Tensor, affinity: Tensor) -> Tensor:
    """Maps whose patches take up the values of those that they attend to (Xu et al. 2022).

    Args:
        maps: (B, C, h, w).
        affinity: (B, hw, hw) attention between patches, summed over layers; row i says what patch i takes up.

    Returns:
        (B, C, h, w).
    """
    spread: Tensor = affinity.to(maps.dtype) @ maps.flatten(2).mT
    return spread.mT.reshape(maps.shape)


def class_token_contrast(tokens: Tensor, present: Tensor) -> Tensor:
    """Loss that makes the class tokens of a layer differ (Xu et al. 2024).

    With s_ij the cosine between class tokens i and j of a layer, a present class c costs the cross-entropy
    -log(exp(s_cc) / Σ_i exp(s_ic)) over all C classes, without a temperature. It is the mean over layers and
    over the present classes of an image, and then over images; one without any class costs 0.

    Args:
        tokens: (L, B, C, D) class tokens of L layers.
        present: (B, C) 0/1 labels.

    Returns:
        Scalar in [0, log C].
    """
    tokens = F.normalize(tokens, dim=-1)
    cosines = tokens @ tokens.mT  # (L, B, C, C)
    costs = -cosines.log_softmax(-1).diagonal(dim1=-2, dim2=-1).mean(0)  # (B, C)
    present = present.to(costs.dtype)
    return ((costs * present).sum(1) / present.sum(1).clamp_min(1)).mean()
