"""The network of PSA or IRN: images in, affinities of neighbouring pixels out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from swtformer.backbones.base import Backbone, Normalisation


class AffinityNetwork(nn.Module, ABC):
    """A backbone with new layers that estimate whether neighbouring pixels belong to one object.

    Args:
        backbone: with trained weights; its batch norm keeps the statistics that came with them.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        backbone.keeps_batch_statistics = True
        self.backbone = backbone
        self.normalisation = Normalisation(backbone.mean, backbone.std)

    @abstractmethod
    def affinity(self, images: Tensor, *, radius: int) -> Tensor:
        """Affinities of neighbours, as in `functional.affinity`.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], H and W at least 32.
            radius: neighbours closer than this, on the network's grid, are paired.

        Returns:
            (B, P, h, w) in [0, 1].
        """

    def pyramid(self, images: Tensor) -> tuple[Tensor, ...]:
        """The backbone's four maps of (B, 3, H, W) RGB images in [0, 1]."""
        normalised = self.normalisation(images)
        return tuple(self.backbone(normalised.contiguous(memory_format=torch.channels_last)))

    def new_parameters(self) -> list[nn.Parameter]:
        """Parameters outside the backbone."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("backbone.")]
