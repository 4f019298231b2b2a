"""Structure-aware seeds, prototypes and R-CAMs (Sec. 3-5, Eq. 4), as matrix products.

No tensor has the size classes × tokens × tokens or classes × channels × tokens. The affinity is computed in
blocks of rows, so memory grows with the tokens and not with their square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.activation import EPSILON as SCALE_EPSILON
from swtformer.functional.activation import scaled_to_maximum, with_background_present

EPSILON = 1e-5
"""Smallest union, and smallest overlap of the winner."""

SMALLEST_NORM = 1e-12
"""Smallest norm that a feature is divided by, as in `torch.nn.functional.normalize`."""

ROWS_PER_BLOCK = 2048
"""Rows of the affinity that are held at a time."""

TRUST = 0.75
"""How far the background weight of an image follows its own tokens; 0 would be the weight 1 for all."""

LARGEST_RATIO = 3.0
"""Largest ratio of a class's overlap to the background's that counts; in photographs one token in a hundred
exceeds it, or fewer."""


def token_affinity(rows: Tensor, tokens: Tensor, *, affinity: Literal["abs", "relu"]) -> Tensor:
    """Affinity between tokens, the absolute or positive cosine of their features (Eq. 4).

    Args:
        rows: (B, n, D) some of the tokens.
        tokens: (B, N, D) all tokens.
        affinity: abs for |cosine| as in the paper, relu for its positive part.

    Returns:
        (B, n, N) in [0, 1].
    """
    return _unit_affinity(F.normalize(rows, dim=-1), F.normalize(tokens, dim=-1), affinity=affinity)


def _unit_affinity(rows: Tensor, tokens: Tensor, *, affinity: Literal["abs", "relu"]) -> Tensor:
    """`token_affinity` of tokens of norm 1."""
    cosine = rows @ tokens.mT
    return cosine.abs() if affinity == "abs" else cosine.relu()


def otsu_threshold(values: Tensor) -> Tensor:
    """The value that splits each row in two groups of least variance within (doi:10.1109/TSMC.1979.4310076).

    Exact, without a histogram: of the N − 1 splits of the sorted values, the one with the largest variance
    between the groups; the threshold lies halfway between its neighbours.

    Args:
        values: (B, N) finite values, N at least 2.

    Returns:
        (B,).
    """
    ordered = values.sort(dim=1).values
    below = torch.ones_like(ordered).cumsum(1)[:, :-1]
    above = below.flip(1)
    sums = ordered.cumsum(1)
    low, high = sums[:, :-1] / below, (sums[:, -1:] - sums[:, :-1]) / above
    split = (below * above * (high - low).square()).argmax(1, keepdim=True)
    neighbours = ordered.gather(1, torch.cat([split, split + 1], dim=1))
    return neighbours.mean(1)


def background_weights(overlap: Tensor, present: Tensor) -> Tensor:
    """A factor on the background's overlap for each image, from its own tokens and no mask.

    How many times its best class overlaps a token more than the background tells object from background, but
    where the one begins differs from image to image, as objects are large or small and CAMs wide or narrow.
    Otsu's threshold t of the squared ratios splits an image's tokens; the weight is its root, shrunk towards
    1 by a quarter of its logarithm (`TRUST`): t^(TRUST / 2). The background wins where the ratio is below the
    weight. Ratios count up to `LARGEST_RATIO`: a token without any background would be a group of its own.

    Ours; benchmarks/recipes.md compares it with one weight for all images.

    Args:
        overlap: (B, N, C+1) overlaps of tokens and maps, background first; see `locate_seeds`.
        present: (B, C) 0/1 image-level labels.

    Returns:
        (B,) positive weights; 1 for an image without any class.
    """
    best = (overlap[..., 1:] * present[:, None].to(overlap.dtype)).amax(-1)
    ratios = (best / overlap[..., 0].clamp_min(EPSILON)).clamp_max(LARGEST_RATIO)
    if ratios.shape[1] < 2:
        return torch.ones_like(ratios[:, 0])
    weights = otsu_threshold(ratios.square()).clamp_min(EPSILON) ** (TRUST / 2)
    return torch.where(present.any(1), weights, 1.0)


@torch.no_grad()
def locate_seeds(
    features: Tensor,
    maps: Tensor,
    present: Tensor,
    *,
    affinity: Literal["abs", "relu"],
    background_weight: float | None,
    seedless: Literal["closest", "none"],
) -> Tensor:
    """Give every token the present class whose map overlaps its affinity most (Sec. 3-5, after SIPE).

    The overlap of token i and class c is the soft intersection over union

        sum_j S_ij M_cj / (sum_j S_ij + sum_j M_cj - sum_j S_ij M_cj),

    the background's times `background_weight` (SIPE's code has the factor, the paper does not mention it).
    The lowest class wins a tie. No gradient flows through.

    A present class that wins no token has no prototype, so its R-CAM would be 0 everywhere. With
    `seedless="closest"` it gets the token where its overlap comes closest to the winner's (as a ratio), in
    addition to the winner. This departs from the paper, which does not mention the case. Of a class
    whose map is 0 everywhere no token is closer than another, and the first one is taken.

    Args:
        features: (B, D, h, w) tokens of the last stage.
        maps: (B, C+1, h, w) in [0, 1] on the same grid; index 0 is background.
        present: (B, C) 0/1 image-level labels; background is always present.
        affinity: reading of Eq. 4, see `token_affinity`.
        background_weight: factor on the background's overlap; None for `background_weights` of each image. At
            0 the background wins no token of an image that shows a class.
        seedless: what a present class without a token gets: the closest one, or none.

    Returns:
        (B, C+1, h, w) 0/1 seeds in the dtype of `maps`; one class per token, except for the tokens that
        seedless classes got.

    Raises:
        ValueError: features and maps lie on different grids.
    """
    if features.shape[-2:] != maps.shape[-2:]:
        raise ValueError(
            f"features and maps must share a grid, got {tuple(features.shape)} and {tuple(maps.shape)}"
        )
    tokens = F.normalize(features.flatten(2).mT.float(), dim=-1)
    activations = maps.flatten(2).float()
    allowed = with_background_present(present) > 0
    map_sums = activations.sum(-1)[:, None, :]
    overlaps = []
    # A traced graph cannot hold a number of blocks that depends on the size of the image.
    blocks = (tokens,) if torch.compiler.is_exporting() else tokens.split(ROWS_PER_BLOCK, dim=1)
    for rows in blocks:
        similarity = _unit_affinity(rows, tokens, affinity=affinity)
        shared = similarity @ activations.mT
        union = similarity.sum(-1, keepdim=True) + map_sums - shared
        overlaps.append(shared / union.clamp_min(EPSILON))
    overlap = torch.cat(overlaps, dim=1)
    if background_weight is None:
        overlap[..., 0] *= background_weights(overlap, present)[:, None]
    elif background_weight > 0:
        overlap[..., 0] *= background_weight
    else:
        allowed[:, 0] = False
    overlap = overlap.masked_fill(~allowed[:, None, :], -1.0)
    best, winner = overlap.max(-1, keepdim=True)
    seeds = F.one_hot(winner[..., 0], maps.shape[1]).mT
    if seedless == "closest":
        lacks_seeds = allowed & ~seeds.any(-1)
        lacks_seeds[:, 0] = False  # an object may fill the image
        closest = (overlap / best.clamp_min(EPSILON)).argmax(1)
        seeds = seeds.scatter_add(2, closest[..., None], lacks_seeds[..., None].to(seeds.dtype))
    return seeds.reshape(maps.shape).to(maps.dtype)


def contrast(features: Tensor) -> Tensor:
    """How much each place differs from its image as a whole: 1 − cosine with the mean of all unit features.

    Args:
        features: (B, D, h, w) hierarchical features.

    Returns:
        (B, 1, h, w) in [0, 2].
    """
    units = F.normalize(features, dim=1)
    mean = F.normalize(units.mean((-2, -1), keepdim=True), dim=1)
    return 1 - (units * mean).sum(1, keepdim=True)


def prototypes(features: Tensor, seeds: Tensor) -> Tensor:
    """Mean feature over each class's seeds (the centroid of Sec. 3-5).

    Args:
        features: (B, D, h, w) hierarchical features.
        seeds: (B, C+1, h, w) one-hot (or soft) seeds on the same grid.

    Returns:
        (B, C+1, D); 0 for a class without a seed.
    """
    weights = seeds.flatten(2).to(features.dtype)
    counts = weights.sum(-1, keepdim=True)
    return (features.flatten(2) @ weights.mT).mT / counts.clamp_min(1)


def prototype_similarity(features: Tensor, centres: Tensor, present: Tensor) -> Tensor:
    """Positive cosine between every feature and every class's prototype, before any scaling.

    Products are divided by the features' norms, which spares a normalised copy of all features and its
    gradient.

    Args:
        features: (B, D, h, w) hierarchical features.
        centres: (B, C+1, D) prototypes; index 0 is background.
        present: (B, C) 0/1 image-level labels.

    Returns:
        (B, C+1, h, w) in [0, 1]; 0 for absent classes and classes without a prototype.
    """
    flat = features.flatten(2)
    norms = flat.square().sum(1, keepdim=True).clamp_min(SMALLEST_NORM**2).sqrt()
    cosine = F.normalize(centres, dim=-1) @ flat / norms
    allowed = with_background_present(present).to(cosine.dtype)
    return (cosine.relu() * allowed[:, :, None]).reshape(*cosine.shape[:2], *features.shape[-2:])


@dataclass(frozen=True)
class PrototypeRefinement:
    """Maps refined by image-specific prototypes.

    Attributes:
        seeds: (B, C+1, h, w) 0/1, on the grid of the class activation maps.
        similarities: (B, C+1, h', w') in [0, 1], cosine of every feature with the prototypes. Those of
            several views can be summed and then scaled once, see `refined_maps`.
    """

    seeds: Tensor
    similarities: Tensor


def prototype_refinement(
    tokens: Tensor,
    features: Tensor,
    cam: Tensor,
    present: Tensor,
    *,
    affinity: Literal["abs", "relu"],
    background_weight: float | None,
    seedless: Literal["closest", "none"],
    competing: Tensor | None = None,
    valid: Tensor | None = None,
) -> PrototypeRefinement:
    """Refine class activation maps: seeds, their prototypes, and the similarity to these (Sec. 3-5).

    Computed in float32 at least, also under autocast. Gradients reach `features` and neither `tokens` nor
    `cam`, since seeds have none.

    Args:
        tokens: (B, D, h, w) features that locate the seeds, in the paper those of the last stage.
        features: (B, D', h', w') features that are averaged to prototypes and compared with them, on any
            grid; seeds are resized to it by nearest neighbour.
        cam: (B, C+1, h, w) in [0, 1]; index 0 is background, classes that do not compete are 0.
        present: (B, C) 0/1 image-level labels; background is always present.
        affinity, background_weight, seedless: see `locate_seeds`.
        competing: (B, C) 0/1 classes that compete for seeds, the present ones where None. With others among
            them, `cam` holds their maps too, and what an absent class wins is no present class's seed.
        valid: (B, 1, h, w) 0/1, 0 on padded pixels, which are no seeds; all are valid where None.

    Returns:
        Seeds and similarities; absent classes are 0.

    Raises:
        ValueError: tokens and maps lie on different grids.
    """
    with torch.autocast(features.device.type, enabled=False):
        features = features.to(torch.promote_types(features.dtype, torch.float32))
        seeds = locate_seeds(
            tokens,
            cam,
            present if competing is None else competing,
            affinity=affinity,
            background_weight=background_weight,
            seedless=seedless,
        )
        if valid is not None:
            seeds = seeds * valid.to(seeds.dtype)
        centres = prototypes(features, F.interpolate(seeds, features.shape[-2:], mode="nearest"))
        return PrototypeRefinement(seeds, prototype_similarity(features, centres, present))


def refined_maps(similarities: Tensor, *, scaled: Literal["each", "together"]) -> Tensor:
    """R-CAMs in [0, 1) from prototype similarities, of one view or summed over several.

    Args:
        similarities: (B, C+1, h, w), not negative.
        scaled: each divides every map by its own maximum, as Eq. 1 and SIPE do, which lifts a class that is
            like its prototype nowhere; together divides all maps of an image by one number, so that the
            largest similarity still wins.
    """
    if scaled == "each":
        return scaled_to_maximum(similarities)
    return similarities / (similarities.amax((1, 2, 3), keepdim=True) + SCALE_EPSILON)
