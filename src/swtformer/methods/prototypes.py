"""Methods whose R-CAMs come from image-specific prototypes of fused features: V2, V3 and SIPE."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.backbones.base import Backbone
from swtformer.functional.activation import background_map, normalised
from swtformer.functional.seeds import PrototypeRefinement, prototype_refinement, refined_maps
from swtformer.functional.views import on_grid, resized
from swtformer.methods.base import Batch, Made
from swtformer.methods.fusion import HierarchicalFeatureFusion, side_by_side
from swtformer.methods.pyramid import Encoding, Localization, PyramidMethod, PyramidSettings, View
from swtformer.settings import ModelSettings, Section


@dataclass(frozen=True)
class Reading:
    """How a method refines CAMs by prototypes.

    Attributes:
        hff: how stages are fused, see `HierarchicalFeatureFusion`; none is `side_by_side`, without weights.
        seed_features: features whose affinity locates seeds, those of the last stage or the fused ones.
        affinity, background_weight, seedless: see `locate_seeds`.
        scaled: see `refined_maps`.
        competing: classes that compete for seeds; see `prototype_refinement`.
    """

    hff: Literal["pair", "pair_coarse", "single", "none"]
    seed_features: Literal["last", "fused"]
    affinity: Literal["abs", "relu"]
    background_weight: float | None
    seedless: Literal["closest", "none"]
    scaled: Literal["each", "together"]
    competing: Literal["present", "all"] = "present"

    def competitors(self, present: Tensor) -> Tensor:
        """(B, C) 0/1 classes that compete for seeds in images with labels `present`."""
        return present if self.competing == "present" else torch.ones_like(present)

    def refine(
        self, last: Tensor, fused: Tensor, cam: Tensor, present: Tensor, *, valid: Tensor | None = None
    ) -> PrototypeRefinement:
        """Refine CAMs.

        Args:
            last: (B, D, h', w') features of the last stage.
            fused: (B, D', h'', w'') features of the prototypes.
            cam: (B, C+1, h, w) in [0, 1], background first; of all `competitors`.
            present: (B, C) 0/1 labels.
            valid: see `prototype_refinement`.
        """
        tokens = last if self.seed_features == "last" else fused
        return prototype_refinement(
            tokens,
            fused,
            resized(cam, tokens.shape[-2:]),
            present,
            affinity=self.affinity,
            background_weight=self.background_weight,
            seedless=self.seedless,
            competing=self.competitors(present),
            valid=valid,
        )


class PrototypeSettings(PyramidSettings):
    """Options of a method with prototypes."""

    @abstractmethod
    def reading(self) -> Reading:
        """How these options refine CAMs."""


class PrototypeMethod(PyramidMethod):
    """A pyramid and a CAM head, with R-CAMs on the grid of the fused features.

    The fusion sees detached features and so never steers the backbone; seeds carry no gradient.
    """

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
        if self.reading.hff != "none":
            self.fusion = HierarchicalFeatureFusion(backbone.channels, hff=self.reading.hff)

    @property
    def reading(self) -> Reading:
        """How its options refine CAMs; without a background, no token can be a seed of one."""
        reading = self.options.reading()
        return reading if self.has_background else replace(reading, background_weight=0.0)

    def localize(self, encoding: Encoding, present: Tensor, *, maps: Tensor | None = None) -> Localization:
        """CAMs and R-CAMs on the grid of the fused features; see `PyramidMethod.localize`."""
        with torch.autocast(encoding.activations.device.type, enabled=False):
            cam = self.cam(encoding, present, maps=maps)
        fused = self.fused(encoding.pyramid)
        made = self.reading.refine(encoding.pyramid[-1].float(), fused, cam, present)
        return Localization(
            cam=resized(cam, fused.shape[-2:]),
            rcam=self.scaled(made.similarities),
            similarities=made.similarities,
            seeds=made.seeds,
        )

    def fused(self, pyramid: Sequence[Tensor]) -> Tensor:
        """See `PyramidMethod.fused`."""
        if self.reading.hff == "none":
            return side_by_side([stage.detach().float() for stage in pyramid])
        return self.fusion.of_detached(pyramid)

    def scaled(self, similarities: Tensor) -> Tensor:
        """See `PyramidMethod.scaled`."""
        return refined_maps(similarities, scaled=self.reading.scaled)

    def compared(self, batch: Batch, encoding: Encoding) -> tuple[Tensor, Tensor, Tensor | None]:
        """CAM and R-CAM of a training step, and its valid pixels on their grid."""
        made = self.localize(encoding, batch.present)
        assert made.rcam is not None
        valid = batch.valid
        if valid is not None:
            valid = F.interpolate(valid.to(made.cam.dtype), made.cam.shape[-2:], mode="nearest")
        return made.cam, made.rcam, valid


def similarities_of_pairs(
    method: PrototypeMethod,
    encoded: Sequence[Sequence[View]],
    present: Tensor,
    *,
    reading: Reading,
    pooled: Tensor | None,
    grid: tuple[int, int],
) -> Tensor:
    """Prototype similarities, with a view and its mirror image added before the prototypes, as SIPE does.

    A view that is seen without its mirror image (`localize.views` in_turn) stands alone.

    For `PyramidMethod.summed_similarities`, whose arguments and result these are.

    Args:
        reading: how seeds are located; the method's own, or another one for making maps.
    """
    total = present.new_zeros(len(present), 1, *grid, dtype=torch.float32)
    for pair in encoded:
        last = _summed(pair, lambda encoding: encoding.pyramid[-1].float())
        fused = _summed(pair, lambda encoding: method.fused(encoding.pyramid))
        if pooled is None:
            activations = _summed(pair, method.class_maps)
            maps = normalised(activations, norm=method.options.norm)
        else:
            maps = resized(pooled, last.shape[-2:])
        background = background_map(maps, present, over=method.options.background_over)
        cam = torch.cat([background, maps * reading.competitors(present)[:, :, None, None]], dim=1)
        total = total + on_grid(reading.refine(last, fused, cam, present).similarities, False, grid)
    return total


def _summed(pair: Sequence[View], maps: Callable[[Encoding], Tensor]) -> Tensor:
    """Sum of a view's maps and its mirror image's, which are turned back."""
    return torch.stack([maps(own).flip(-1) if is_mirrored else maps(own) for is_mirrored, own in pair]).sum(0)
