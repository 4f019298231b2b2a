"""Methods whose R-CAMs come from image-specific prototypes of fused features: V2, SIPE (Sec. 3-4 and 3-5)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.backbones.base import Backbone
from swtformer.functional.seeds import prototype_refinement
from swtformer.functional.views import resized
from swtformer.methods.base import Batch, Made
from swtformer.methods.fusion import HierarchicalFeatureFusion
from swtformer.methods.pyramid import Encoding, Localization, PyramidMethod, PyramidSettings
from swtformer.settings import ModelSettings, Section
from swtformer.settings.numbers import NonNegative, Positive


class PrototypeSettings(PyramidSettings):
    """Options of every method with prototypes."""

    background_weight: Positive = 0.5
    """Factor on the background's overlap when seeds are located."""
    gsc: NonNegative = 1.0
    """Weight of the consistency loss between CAM and R-CAM."""


class Reading(NamedTuple):
    """How stages are fused (see `HierarchicalFeatureFusion`) and seeds are located (see `locate_seeds`)."""

    hff: Literal["pair", "pair_coarse", "single"]
    affinity: Literal["abs", "relu"]
    seedless: Literal["closest", "none"]


class PrototypeMethod(PyramidMethod):
    """A pyramid and a CAM head, with R-CAMs on the grid of the fused features.

    The fusion sees detached features and so never steers the backbone; seeds carry no gradient.
    """

    settings_type = PrototypeSettings
    makes: ClassVar[frozenset[Made]] = frozenset({"cam", "rcam"})
    options: PrototypeSettings

    def __init__(
        self,
        backbone: Backbone,
        settings: ModelSettings,
        classes: tuple[str, ...],
        options: Section | None = None,
    ) -> None:
        super().__init__(backbone, settings, classes, options)
        self.fusion = HierarchicalFeatureFusion(backbone.channels, hff=self.reading().hff)

    @abstractmethod
    def reading(self) -> Reading:
        """How the method reads fusion and seeds."""

    def localize(self, encoding: Encoding, present: Tensor, *, maps: Tensor | None = None) -> Localization:
        """CAMs and R-CAMs on the grid of the fused features; see `PyramidMethod.localize`."""
        with torch.autocast(encoding.activations.device.type, enabled=False):
            cam = self.cam(encoding, present, maps=maps)
        return self.with_rcam(cam, encoding.pyramid[-1].float(), self.fused(encoding.pyramid), present)

    def fused(self, pyramid: Sequence[Tensor]) -> Tensor:
        """See `PyramidMethod.fused`."""
        return self.fusion.of_detached(pyramid)

    def with_rcam(self, cam: Tensor, tokens: Tensor, fused: Tensor, present: Tensor) -> Localization:
        """Add R-CAMs to CAMs.

        Args:
            cam: (B, C+1, h, w) in [0, 1], background first.
            tokens: (B, D, h', w') features that locate seeds.
            fused: (B, D', h'', w'') features of the prototypes.
            present: (B, C) 0/1 labels.
        """
        made = prototype_refinement(
            tokens,
            fused,
            resized(cam, tokens.shape[-2:]),
            present,
            affinity=self.reading().affinity,
            background_weight=self.options.background_weight,
            seedless=self.reading().seedless,
        )
        return Localization(
            cam=resized(cam, fused.shape[-2:]),
            rcam=made.rcam,
            similarities=made.similarities,
            seeds=made.seeds,
        )

    def compared(self, batch: Batch, encoding: Encoding) -> tuple[Tensor, Tensor, Tensor | None]:
        """CAM and R-CAM of a training step, and its valid pixels on their grid."""
        made = self.localize(encoding, batch.present)
        assert made.rcam is not None
        valid = batch.valid
        if valid is not None:
            valid = F.interpolate(valid.to(made.cam.dtype), made.cam.shape[-2:], mode="nearest")
        return made.cam, made.rcam, valid
