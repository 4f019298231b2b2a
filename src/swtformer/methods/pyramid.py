"""Methods that are a backbone with four stages and a CAM head: V1, V2, V3, SIPE and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from swtformer.backbones import create_backbone
from swtformer.backbones.base import Backbone, Normalisation
from swtformer.functional.activation import (
    class_logits,
    likely_classes,
    normalised,
    with_background,
)
from swtformer.functional.losses import classification_loss
from swtformer.functional.pixel_correlation import pixel_correlation
from swtformer.functional.seeds import contrast, refined_maps
from swtformer.functional.views import on_grid, resized, views_by_scale
from swtformer.methods.base import Batch, CamHead, Maps, Method
from swtformer.methods.fusion import side_by_side
from swtformer.settings import LocalizeSettings, ModelSettings, Section
from swtformer.settings.numbers import NonNegative

Stage = Literal[1, 2, 3, 4]
"""A stage of the backbone, fine to coarse."""


class PyramidSettings(Section):
    """Options of every method with a CAM head on a pyramid."""

    kernel: Literal[3, 1] = 1
    """Kernel size of the CAM head."""
    bias: bool = True
    """Whether the CAM head has a bias."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the last stage's channels that a training step drops before the CAM head."""
    pooling: Literal["gap", "gmp", "gwrp"] = "gap"
    """Pooling from head output to class logits: mean, maximum, or globally weighted rank pooling."""
    norm: Literal["max", "minmax"] = "max"
    """How each map is scaled to [0, 1]: by its maximum, or by its minimum and maximum."""
    background_over: Literal["present", "all"] = "present"
    """Classes whose maximum is taken away from 1 for the background map."""
    pixel_correlation: tuple[Stage, ...] = ()
    """Stages whose features tell which places look alike; a CAM is averaged over these (SEAM's pixel
    correlation, without its training). Empty leaves CAMs as they are."""
    cls: NonNegative = 1.0
    """Weight of the classification loss."""


@dataclass(frozen=True)
class Encoding:
    """What the backbone and the CAM head make of images, before any label is used.

    Attributes:
        pyramid: four (B, Dk, hk, wk) feature maps at the strides of the backbone.
        activations: (B, C, h, w) raw output of the CAM head on the last grid.
        logits: (B, C) class logits.
    """

    pyramid: tuple[Tensor, ...]
    activations: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Localization:
    """Maps of a batch on one grid; index 0 is background, absent classes are 0.

    Attributes:
        cam: (B, C+1, h, w) in [0, 1], the class activation maps.
        rcam: (B, C+1, h, w) in [0, 1), the R-CAMs; None where the method makes none.
        similarities: (B, C+1, h, w) in [0, 1], the R-CAMs before scaling, which are summed over views; None
            where `rcam` is.
        seeds: (B, C+1, h', w') 0/1 seeds that the prototypes came from; None where there are no prototypes.
    """

    cam: Tensor
    rcam: Tensor | None = None
    similarities: Tensor | None = None
    seeds: Tensor | None = None


View = tuple[bool, Encoding]
"""Whether a view is a mirror image, and its encoding."""


class PyramidMethod(Method):
    """A backbone with a CAM head on its last stage, whose pooled output are the class logits.

    A subclass with R-CAMs overrides `localize`, and `losses` where it trains more than the classification
    loss.
    """

    settings_type = PyramidSettings
    loss_names: tuple[str, ...] = ("cls",)
    options: PyramidSettings

    def __init__(
        self,
        backbone: Backbone,
        settings: ModelSettings,
        classes: tuple[str, ...],
        options: Section | None = None,
    ) -> None:
        super().__init__(settings, classes, options)
        self.backbone = backbone
        kernel, bias = self.options.kernel, self.options.bias
        self.head = nn.Conv2d(backbone.channels[-1], len(classes), kernel, padding=kernel // 2, bias=bias)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)
        self.dropout = nn.Dropout2d(self.options.dropout)
        self.normalisation = Normalisation(backbone.mean, backbone.std)

    @classmethod
    def build(cls, settings: ModelSettings, classes: tuple[str, ...], options: Section | None = None) -> Self:
        """See `Method.build`."""
        backbone = create_backbone(
            settings.backbone,
            weights=settings.weights,
            drop_path=settings.drop_path,
            bands=settings.bands,
            output_stride=settings.output_stride,
            dilated=settings.dilated,
        )
        return cls(backbone, settings, classes, options)

    def encode(self, images: Tensor) -> Encoding:
        """Features, raw class activations and logits.

        Args:
            images: (B, 3, H, W) RGB, uint8 or floats in [0, 1]; the backbone's own mean and standard
                deviation are applied here. H and W are at least 32.
        """
        pyramid = self.pyramid(images)
        activations = self.head(self.dropout(pyramid[-1]))
        return Encoding(pyramid, activations, class_logits(activations, pooling=self.options.pooling))

    def pyramid(self, images: Tensor) -> tuple[Tensor, ...]:
        """The four feature maps alone; see `encode`."""
        normalised_images = self.normalisation(images)
        return tuple(self.backbone(normalised_images.contiguous(memory_format=torch.channels_last)))

    def forward(self, images: Tensor, present: Tensor) -> tuple[Tensor, Localization]:
        """Logits (B, C) and maps of images (B, 3, H, W) with labels `present` (B, C)."""
        encoding = self.encode(images)
        return encoding.logits, self.localize(encoding, present)

    def logits(self, images: Tensor) -> Tensor:
        """See `Method.logits`."""
        return self.encode(images).logits

    def localize(self, encoding: Encoding, present: Tensor, *, maps: Tensor | None = None) -> Localization:
        """Make the maps of one view; CAMs on the grid of the last stage, unless a subclass makes more.

        Args:
            encoding: of the images.
            present: (B, C) 0/1 image-level labels.
            maps: (B, C, h, w) normalised foreground maps in [0, 1] to use in place of the encoding's own,
                such as maps summed over several views.
        """
        return Localization(cam=self.cam(encoding, present, maps=maps))

    def cam(self, encoding: Encoding, present: Tensor, *, maps: Tensor | None = None) -> Tensor:
        """(B, C+1, h, w) CAMs in [0, 1], background first; see `localize`.

        They are on the grid of the last stage, with `pixel_correlation` on that of the third.
        """
        if maps is None:
            maps = normalised(self.class_maps(encoding).float(), norm=self.options.norm)
        else:
            maps = resized(maps, encoding.activations.shape[-2:])
        return with_background(maps, present, over=self.options.background_over)

    def class_maps(self, encoding: Encoding) -> Tensor:
        """(B, C, h, w) maps that CAMs are scaled from, of any sign: the raw output of the CAM head.

        With `pixel_correlation`, the positive part of it, averaged over the places that look alike in these
        stages, on the grid of the third stage. SEAM learns which features it correlates. Here
        they are those of the stages, each without its mean over the image, which all places share, and
        divided by its norm; they steer no backbone. A place whose features are the mean keeps its value.
        """
        if not self.options.pixel_correlation:
            return encoding.activations
        named = sorted(set(self.options.pixel_correlation))
        stages = [encoding.pyramid[stage - 1].detach() for stage in named]
        with torch.autocast(encoding.activations.device.type, enabled=False):
            centred = [stage.float() - stage.float().mean((-2, -1), keepdim=True) for stage in stages]
            features = side_by_side(centred, grid=encoding.pyramid[2].shape[-2:])
            positive = resized(encoding.activations.float().relu(), features.shape[-2:])
            is_mean = (features == 0).all(1, keepdim=True)
            return torch.where(is_mean, positive, pixel_correlation(positive, features))

    def fused(self, pyramid: Sequence[Tensor]) -> Tensor | None:
        """(B, D, h, w) float32 features of all stages, which steer no backbone; None where they are not
        fused.

        Args:
            pyramid: four (B, Dk, hk, wk) feature maps of any floating type.
        """
        return None

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """The classification loss (Eq. 2)."""
        logits = self.logits(batch.images)
        return {"cls": classification_loss(logits.float(), batch.present)}

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """See `Method.loss_weights`."""
        return {"cls": self.options.cls}

    def has_idle_parameters(self) -> bool:
        """See `Method.has_idle_parameters`."""
        return False

    def reusable_features(self) -> Backbone:
        """The backbone with its trained weights."""
        return self.backbone

    def reusable_head(self) -> CamHead:
        """The CAM head with its trained weights."""
        return CamHead(self.head, self.options.pooling)

    @torch.no_grad()
    def maps(self, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings) -> Maps:
        """Make CAMs and R-CAMs over all scales and mirror images.

        Every view's positive activations are summed on the output grid and divided by their maximum once. For
        R-CAMs the seeds of a view come from its own CAM (`seeds: view`), from the CAM summed over all views
        (`seeds: pooled`), or from the latter times the root of all views' contrast (`seeds: contrast`). The
        prototype similarities are summed and scaled once.

        See `Method.maps`.
        """
        height, width = images.shape[-2:]
        grid = (-(-height // settings.stride), -(-width // settings.stride))
        encoded: list[list[View]] = [
            [(is_mirrored, self.encode(view)) for is_mirrored, view in seen]
            for seen in views_by_scale(images, scales=settings.scales, flip=settings.mirrored)
        ]
        logits = [encoding.logits for _, encoding in chain.from_iterable(encoded)]
        probabilities = torch.stack(logits).float().sigmoid().mean(0)
        if present is None:
            present = likely_classes(probabilities, threshold=settings.class_threshold)
        wanted = torch.arange(present.shape[1], device=present.device)
        if not self.maps_depend_on_absent_classes():
            wanted = present.any(0).nonzero()[:, 0]
        cam = images.new_zeros((*present.shape, *grid), dtype=torch.float32)
        makes_rcam = "rcam" in self.makes
        if len(wanted) == 0:
            rcam = torch.cat([torch.ones_like(cam[:, :1]), cam], dim=1) if makes_rcam else None
            return Maps(present, cam, rcam, probabilities)

        chosen = present[:, wanted]
        encoded = [
            [
                (is_mirrored, replace(encoding, activations=encoding.activations[:, wanted].float()))
                for is_mirrored, encoding in seen
            ]
            for seen in encoded
        ]
        positive = [
            on_grid(self.class_maps(encoding).relu(), is_mirrored, grid)
            for is_mirrored, encoding in chain.from_iterable(encoded)
        ]
        pooled = normalised(torch.stack(positive).sum(0), norm=self.options.norm)
        cam[:, wanted] = pooled * chosen[:, :, None, None]
        if settings.seeds == "contrast":
            pooled = normalised(pooled * self._contrast(encoded, grid).sqrt(), norm="max")
        if not makes_rcam:
            return Maps(present, cam, None, probabilities)
        similarities = self.summed_similarities(
            encoded, chosen, pooled=None if settings.seeds == "view" else pooled, grid=grid
        )
        scaled = self.scaled(similarities)
        rcam = torch.zeros((len(cam), cam.shape[1] + 1, *grid), device=cam.device)
        is_background = ~present.any(1)
        rcam[:, 0] = torch.where(is_background[:, None, None], 1.0, scaled[:, 0])
        rcam[:, wanted + 1] = scaled[:, 1:]
        return Maps(present, cam, rcam, probabilities)

    def _contrast(self, encoded: Sequence[Sequence[View]], grid: tuple[int, int]) -> Tensor:
        """(B, 1, h, w) in [0, 1): the contrast of fused features, summed over views."""
        total = None
        for is_mirrored, encoding in chain.from_iterable(encoded):
            fused = self.fused(encoding.pyramid)
            assert fused is not None  # `localize` refuses methods without prototypes
            own = on_grid(contrast(fused), is_mirrored, grid)
            total = own if total is None else total + own
        assert total is not None
        return normalised(total, norm="minmax")

    def maps_depend_on_absent_classes(self) -> bool:
        """Whether `maps` must look at activations of classes that no image shows."""
        return self.options.background_over == "all"

    def scaled(self, similarities: Tensor) -> Tensor:
        """R-CAMs in [0, 1) from similarities that were summed over views; each is divided by its maximum."""
        return refined_maps(similarities, scaled="each")

    def summed_similarities(
        self,
        encoded: Sequence[Sequence[View]],
        present: Tensor,
        *,
        pooled: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        """Prototype similarities of all views, summed on the output grid.

        Args:
            encoded: the views of each scale in order, a mirror image after its view where both are seen;
                their activations are those of the wanted classes alone.
            present: (B, K) 0/1 labels of the wanted classes.
            pooled: (B, K, h, w) CAMs summed over all views, which seeds come from; a view's own where None.
            grid: (h, w) of the output.

        Returns:
            (B, K+1, h, w), background first.
        """
        total = present.new_zeros(len(present), 1, *grid, dtype=torch.float32)
        for is_mirrored, encoding in chain.from_iterable(encoded):
            maps = pooled.flip(-1) if pooled is not None and is_mirrored else pooled
            made = self.localize(encoding, present, maps=maps)
            assert made.similarities is not None
            total = total + on_grid(made.similarities, is_mirrored, grid)
        return total
