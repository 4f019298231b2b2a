"""SEAM: self-supervised equivariant attention on any pyramid.

Wang, Zhang, Kan, Shan and Chen, Self-supervised Equivariant Attention Mechanism for Weakly Supervised
Semantic Segmentation, CVPR 2020, doi:10.1109/CVPR42600.2020.01229. R-CAMs are CAMs that its pixel correlation
module refined. Where paper and public code differ, this follows the code:

- The maps that are refined, and those that refined ones are compared with, keep the strongest class of each
  place alone. In the former, absent classes compete as well (`background_over` all).
- ECR averages the largest fifth of the gaps. Min-pooling (`min_pool`) is in the code alone.
- Losses compare maps of the image's size, each scaled by its minimum and maximum. Class scores of a training
  step are means of maps of that size, elsewhere of the maps as they are; this differs at the borders alone.
- The correlated features are those that the code calls conv4 and conv5, stages 2 and 3 of `resnet38d`.

What differs from the code:

- Padded pixels of a crop do not count in the losses.
- It takes 1e-5 away from the CAM that it refines.
- Its maps have no background when they are made: it is a constant there, or a power of 1 - the maximum. Our
  R-CAMs have the refined background, as ECR trains it.
- It refines each view's own CAM, which is `localize.seeds` view.
- It trains by SGD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, ClassVar, Literal, final

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.functional.activation import (
    background_map,
    class_logits,
    normalised,
    with_background,
    with_background_present,
)
from swtformer.functional.equivariance import (
    cross_loss,
    equivariance_loss,
    min_pooling_loss,
    scaled_to_range,
)
from swtformer.functional.losses import classification_loss
from swtformer.functional.pixel_correlation import only_strongest, pixel_correlation
from swtformer.functional.views import SMALLEST_SIDE_PX, Aligned, resized, resized_on
from swtformer.methods.base import Batch, Made
from swtformer.methods.pyramid import Encoding, Localization, PyramidMethod, PyramidSettings, Stage, View
from swtformer.settings import METHODS, ModelSettings, Section
from swtformer.settings.numbers import NonNegative

WIDTHS = (64, 128)
"""Channels that the two correlated stages are projected to."""
SMALLEST = 0.25
"""Part of the pixels that the min-pooling loss looks at."""

Part = Annotated[float, Field(gt=0, le=1)]


def _no_second_correlation(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    if stages:
        raise ValueError("SEAM trains its own pixel correlation, of the stages that `correlated` names")
    return stages


class SeamSettings(PyramidSettings):
    """Options of SEAM; the defaults are those of its code."""

    bias: bool = False
    """Whether the CAM head has a bias."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Part of the last stage's channels that a training step drops before the CAM head."""
    background_over: Literal["present", "all"] = "all"
    """Classes that compete for places, and whose maximum is taken away from 1 for the background map."""
    pixel_correlation: Annotated[tuple[Stage, ...], AfterValidator(_no_second_correlation)] = ()
    """Empty, as SEAM trains its own correlation, of the stages `correlated`."""
    second_scale: Part = 0.3
    """Size of the smaller image, relative to the first; no side gets shorter than 32 px."""
    er: NonNegative = 1.0
    """Weight of the equivariance loss between the maps of both images (ER)."""
    ecr: NonNegative = 1.0
    """Weight of the loss between each image's refined maps and the other's maps (ECR)."""
    hardest: Part = 0.2
    """Part of the gaps, the largest, that ECR averages; 1 is the paper's equation."""
    min_pool: NonNegative = 1.0
    """Weight of the loss that makes refined maps small where they are smallest; the paper has none, 0."""
    correlated: tuple[Stage, Stage] = (2, 3)
    """Stages whose features, with the image, tell which places are alike; R-CAMs have the second's grid."""
    aligned: Aligned = "corners"
    """What of two grids lies on one another when maps and images are resized: the centres of their corners,
    as in its code and nearly so in ResNets, or the edges of the image, as in transformers (cells)."""


@dataclass(frozen=True)
class CorrelatedEncoding(Encoding):
    """An encoding with the features that are correlated.

    Attributes:
        features: (B, D, h, w) float32, on the grid of the refined maps.
    """

    features: Tensor


class CorrelatedFeatures(nn.Module):
    """Projects two stages and mixes them with the image, whose colours come through as they are.

    Args:
        channels: of the two stages.
        bands: channels of the image.
        aligned: see `SeamSettings.aligned`.
    """

    def __init__(self, channels: Sequence[int], *, bands: int, aligned: Aligned) -> None:
        super().__init__()
        self.aligned = aligned
        self.projections = nn.ModuleList(
            nn.Conv2d(given, width, 1, bias=False) for given, width in zip(channels, WIDTHS, strict=True)
        )
        self.mixing = nn.Conv2d(bands + sum(WIDTHS), sum(WIDTHS), 1, bias=False)
        for projection in self.projections:
            assert isinstance(projection, nn.Conv2d)
            nn.init.kaiming_normal_(projection.weight)
        nn.init.xavier_uniform_(self.mixing.weight, gain=4)

    def forward(self, stages: Sequence[Tensor], images: Tensor) -> Tensor:
        """Features on the grid of the second stage; they do not steer the backbone.

        Args:
            stages: two (B, Dk, hk, wk) maps.
            images: (B, bands, H, W), normalised.

        Returns:
            (B, 192, h, w) float32.
        """
        grid = stages[1].shape[-2:]
        projected = [
            F.relu(project(stage.detach())) for project, stage in zip(self.projections, stages, strict=True)
        ]
        parts = [resized_on(part.float(), grid, aligned=self.aligned) for part in (images, *projected)]
        mixed: Tensor = self.mixing(torch.cat(parts, dim=1)).float()
        return mixed


@dataclass(frozen=True)
class _Enlarged:
    """Maps of one image at its own size, float32.

    Attributes:
        activations: (B, C, H, W) raw output of the CAM head.
        refined: (B, C+1, H, W) refined maps of all classes, background first.
    """

    activations: Tensor
    refined: Tensor


@final
@METHODS.register("seam")
class SEAM(PyramidMethod):
    """CAMs that agree between two scales of an image, and R-CAMs averaged over the places that look alike."""

    settings_type = SeamSettings
    makes: ClassVar[frozenset[Made]] = frozenset({"cam", "rcam"})
    loss_names = ("cls", "er", "ecr", "min_pool")
    options: SeamSettings

    def __init__(
        self,
        backbone: Backbone,
        settings: ModelSettings,
        classes: tuple[str, ...],
        options: Section | None = None,
    ) -> None:
        super().__init__(backbone, settings, classes, options)
        channels = [backbone.channels[stage - 1] for stage in self.options.correlated]
        self.correlation = CorrelatedFeatures(
            channels, bands=len(backbone.mean), aligned=self.options.aligned
        )

    def encode(self, images: Tensor) -> CorrelatedEncoding:
        """Features, raw class activations and logits, and what is correlated; see `PyramidMethod.encode`."""
        plain = super().encode(images)
        stages = [plain.pyramid[stage - 1] for stage in self.options.correlated]
        features = self.correlation(stages, self.normalisation(images))
        return CorrelatedEncoding(plain.pyramid, plain.activations, plain.logits, features)

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Classification at two scales, ER, ECR and min-pooling."""
        options, present = self.options, batch.present
        images = batch.images if batch.images.is_floating_point() else batch.images.float() / 255
        size = tuple(images.shape[-2:])
        scale = max(options.second_scale, SMALLEST_SIDE_PX / min(size))
        small = tuple(max(int(side * scale), SMALLEST_SIDE_PX) for side in size)
        both = [self._enlarged(view, present) for view in (images, self._resized(images, small))]
        first, second = (
            classification_loss(class_logits(each.activations, pooling=options.pooling), present)
            for each in both
        )
        losses = {"cls": (first + second) / 2}
        valid = [None if batch.valid is None else _nearest(batch.valid, to) for to in (size, small)]
        labels = with_background_present(present)[:, :, None, None].to(both[0].refined.dtype)
        cams = [scaled_to_range(each.activations) * labels[:, 1:] for each in both]
        cams[0] = self._resized(cams[0], small)
        if options.er > 0:
            losses["er"] = equivariance_loss(cams[0], cams[1], valid=valid[1])
        if options.ecr > 0:
            larger, smaller = (with_background(each, present, over="present") for each in cams)
            rcams = [scaled_to_range(each.refined) for each in both]
            pairs = (smaller, self._resized(rcams[0], small)), (larger, rcams[1])
            gaps = [
                cross_loss(cam, rcam * labels, hardest=options.hardest, valid=valid[1]) for cam, rcam in pairs
            ]
            losses["ecr"] = gaps[0] + gaps[1]
        if options.min_pool > 0:
            pooled = [
                min_pooling_loss((each.refined * labels)[:, 1:], smallest=SMALLEST, valid=own)
                for each, own in zip(both, valid, strict=True)
            ]
            losses["min_pool"] = (pooled[0] + pooled[1]) / 2
        return losses

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """See `Method.loss_weights`."""
        return {name: getattr(self.options, name) for name in self.loss_names}

    def has_idle_parameters(self) -> bool:
        """The correlation is trained by ECR and min-pooling alone."""
        return self.options.ecr == 0 and self.options.min_pool == 0

    def localize(self, encoding: Encoding, present: Tensor, *, maps: Tensor | None = None) -> Localization:
        """CAMs and R-CAMs on the grid of the correlated features; see `PyramidMethod.localize`."""
        with torch.autocast(encoding.activations.device.type, enabled=False):
            cam = self.cam(encoding, present, maps=maps)
            refined = self._refined(encoding, present, maps=maps)
            similarities = refined * with_background_present(present)[:, :, None, None].to(refined.dtype)
        return Localization(
            cam=self._resized(cam, refined.shape[-2:]),
            rcam=self.scaled(similarities),
            similarities=similarities,
        )

    def scaled(self, similarities: Tensor) -> Tensor:
        """See `PyramidMethod.scaled`; each map is scaled by its minimum and maximum, as in training."""
        return scaled_to_range(similarities)

    def summed_similarities(
        self,
        encoded: Sequence[Sequence[View]],
        present: Tensor,
        *,
        pooled: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        """Refined maps of all views, summed on the output grid; see `PyramidMethod.summed_similarities`."""
        total = present.new_zeros(len(present), 1, *grid, dtype=torch.float32)
        for is_mirrored, encoding in chain.from_iterable(encoded):
            maps = pooled.flip(-1) if pooled is not None and is_mirrored else pooled
            made = self.localize(encoding, present, maps=maps).similarities
            assert made is not None
            total = total + self._resized(made.flip(-1) if is_mirrored else made, grid)
        return total

    def _enlarged(self, images: Tensor, present: Tensor) -> _Enlarged:
        """Maps of images (B, 3, H, W) in [0, 1] at their own size."""
        encoding = self.encode(images)
        size = images.shape[-2:]
        with torch.autocast(images.device.type, enabled=False):
            refined = self._refined(encoding, present)
            return _Enlarged(self._resized(encoding.activations.float(), size), self._resized(refined, size))

    def _refined(self, encoding: Encoding, present: Tensor, *, maps: Tensor | None = None) -> Tensor:
        """(B, C+1, h, w) refined maps in [0, 1], background first, of absent classes as well.

        Gradients reach the features that are correlated and not the maps.

        Args:
            encoding, present, maps: see `localize`.
        """
        assert isinstance(encoding, CorrelatedEncoding)
        if maps is None:
            maps = normalised(encoding.activations.detach().float(), norm=self.options.norm)
        maps = resized(maps, encoding.activations.shape[-2:])
        if self.options.background_over == "present":
            maps = maps * present[:, :, None, None].to(maps.dtype)
        start = only_strongest(torch.cat([background_map(maps, present, over="all"), maps], dim=1))
        return pixel_correlation(self._resized(start, encoding.features.shape[-2:]), encoding.features)

    def _resized(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        return resized_on(maps, size, aligned=self.options.aligned)


def _nearest(valid: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(valid.float(), tuple(size), mode="nearest")
