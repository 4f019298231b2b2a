"""Options of PSA and IRN."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from swtformer.functional.dense_crf import PairwiseTerms, are_too_small
from swtformer.refiners.learned import FitSettings
from swtformer.settings import AFTER_FIT, OnlyWith
from swtformer.settings.numbers import Count, NonNegative, Positive

LARGEST_PX = 2**12
"""Longer side of the largest photograph whose labels the dense CRF can be sure to confirm."""

CONFIRMS = OnlyWith("fit_labels", "dense_crf")
"""Marks options of the dense CRF that confirms labels."""


class WalkSettings(FitSettings):
    """Options of PSA and IRN: how affinities are learned, and how maps walk along them."""

    fit_crop_px: Annotated[int, Field(ge=32)] | None = None
    """Side of the square training crop; by default 448 for PSA and 512 for IRN."""
    fit_radius: Annotated[int, Field(ge=2)] | None = None
    """Pairs of pixels closer than this (on the network's grid) are learned from; by default 5 and 10."""
    fit_labels: Literal["maps", "dense_crf"] = "maps"
    """Learn from the maps' surest pixels, or from those whose label the dense CRF confirms."""
    fit_confident: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Part of each class's pixels, the surest, that is learned from; the rest is ignored."""
    crf_certainty: Annotated[float, Field(gt=0, lt=1), CONFIRMS] = 0.7
    """Dense CRF that confirms labels: probability that a label is right."""
    crf_iterations: Annotated[Count, CONFIRMS] = 10
    """The same: mean-field rounds."""
    crf_gaussian_px: Annotated[Positive, CONFIRMS] = 3.0
    """The same: standard deviation in pixels of the smoothness kernel."""
    crf_gaussian_weight: Annotated[NonNegative, CONFIRMS] = 3.0
    """The same: weight of the smoothness kernel."""
    crf_bilateral_px: Annotated[Positive, CONFIRMS] = 50.0
    """The same: standard deviation in pixels of the appearance kernel."""
    crf_bilateral_rgb: Annotated[Positive, CONFIRMS] = 5.0
    """The same: standard deviation in colour (0 to 255) of the appearance kernel."""
    crf_bilateral_weight: Annotated[NonNegative, CONFIRMS] = 10.0
    """The same: weight of the appearance kernel."""
    walk_radius: Annotated[int, Field(ge=2), AFTER_FIT] = 5
    """The random walk steps to pixels closer than this, on the network's grid."""
    walk_beta: Annotated[Positive | None, AFTER_FIT] = None
    """Power of the affinities in the walk; by default 8 for PSA and 10 for IRN."""
    walk_steps: Annotated[Annotated[int, Field(ge=0)] | None, AFTER_FIT] = None
    """Steps of the random walk; by default 256 from CAMs, as published, and 32 from R-CAMs."""

    def pairwise_terms(self, *, stride: float) -> PairwiseTerms:
        """Terms of the dense CRF that confirms labels, on a grid of this stride in pixels."""
        return PairwiseTerms(
            gaussian_px=self.crf_gaussian_px / stride,
            gaussian_weight=self.crf_gaussian_weight,
            bilateral_px=self.crf_bilateral_px / stride,
            bilateral_rgb=self.crf_bilateral_rgb,
            bilateral_weight=self.crf_bilateral_weight,
        )

    @model_validator(mode="after")
    def _refuse_too_small(self) -> Self:
        terms = self.pairwise_terms(stride=1)
        if self.fit_labels == "dense_crf" and are_too_small(terms, side_px=LARGEST_PX):
            raise PydanticCustomError(
                "too_small",
                "the dense CRF's standard deviations are too small; raise crf_gaussian_px, "
                "crf_bilateral_px or crf_bilateral_rgb",
            )
        return self
