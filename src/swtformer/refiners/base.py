"""The contract of a refiner: image and maps in, maps that follow the image's edges out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.run import Progress, silent
from swtformer.settings import RefineSettings


@dataclass(frozen=True)
class Example:
    """One image with its maps, as learned refiners are fitted on.

    Attributes:
        image: (3, H, W) float32 RGB in [0, 1].
        maps: (K+1, h, w) float32 in [0, 1], background first, then the classes of the image.
        values: (K,) int64 mask values (class index + 1) of the channels after the background, rising.
    """

    image: Tensor
    maps: Tensor
    values: Tensor


class Refiner(ABC):
    """Maps that follow an image's edges better than the maps that it is given.

    A child implements `_refined`; what holds for all of them (shapes are checked, classes without any
    activation stay 0, values stay in [0, 1]) is done here.

    Attributes:
        name: what settings call it.
        shaped_by: beginnings of the names of the refine settings that its maps depend on.
        tells_how_sure: whether a label's share of the maps that come out says how sure it is. Where it does
            not, because nearly every pixel ends near 0 or 1, the maps that went in are asked instead.
        settings: the refine section that it was built from.
        device: where `_refined` receives its tensors; a learned refiner's network lies there.
    """

    name: ClassVar[str]
    shaped_by: ClassVar[tuple[str, ...]]
    tells_how_sure: ClassVar[bool] = True

    def __init__(self, settings: RefineSettings, *, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        self.device = torch.device(device)

    @torch.no_grad()
    def refine(self, image: Tensor, maps: Tensor) -> Tensor:
        """Refine the maps of one image; right at any size, and the same at every call.

        Args:
            image: (3, H, W) float32 RGB in [0, 1], of any size from 1×1.
            maps: (K+1, h, w) float32 in [0, 1], background first; K may be 0. A class that is 0 everywhere
                counts as absent and stays 0.

        Returns:
            (K+1, h', w') float32 in [0, 1] on the CPU; the refiner chooses the grid, H×W or a coarser one.
            By default settings, background that is 1 everywhere and alone stays so.

        Raises:
            ValueError: a shape or type is not as above.
        """
        if image.ndim != 3 or len(image) != 3 or image.dtype != torch.float32 or not image.numel():
            raise ValueError(f"Expected a (3, H, W) float32 image, got {tuple(image.shape)} {image.dtype}.")
        if maps.ndim != 3 or not maps.numel() or maps.dtype != torch.float32:
            raise ValueError(f"Expected (K+1, h, w) float32 maps, got {tuple(maps.shape)} {maps.dtype}.")
        alive = maps.flatten(1).any(1)
        alive[0] = True
        made = self._refined(image.to(self.device), maps[alive].to(self.device)).float().clamp(0, 1).cpu()
        refined = made.new_zeros(len(maps), *made.shape[1:])
        refined[alive.cpu()] = made
        return refined

    @abstractmethod
    def _refined(self, image: Tensor, maps: Tensor) -> Tensor:
        """Refine checked maps without absent classes, on `device`; values are clamped to [0, 1] afterwards.

        Args:
            image: (3, H, W) float32 RGB in [0, 1].
            maps: (K+1, h, w) float32 in [0, 1], background first; K may be 0.

        Returns:
            (K+1, h', w') of any floating type.
        """


class LearnedRefiner(Refiner):
    """A refiner with a network that is fitted on the run's own images and maps before it refines.

    Attributes:
        network: what is fitted; its state_dict is all that is saved and loaded. On `device`, in evaluation
            mode except during `fit`.
    """

    network: nn.Module

    @abstractmethod
    def build(self, backbone: Backbone) -> None:
        """Make the network, with untrained new layers; comes before `fit` and before weights are loaded.

        Args:
            backbone: with the run's trained weights (before `fit`) or any (before loading); it becomes part
                of the network and belongs to the refiner from now on.
        """

    @abstractmethod
    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress = silent) -> None:
        """Train the network, right after `build`; equal examples and seed give equal weights on one device.

        Args:
            examples: read from disk at each access, so don't hold them all; len() and [i] are all there is.
                Tensors are on the CPU. An image that cannot be read is not among them.
            seed: of everything random.
            progress: told about every step or epoch, with stage name f"fit {self.name}".

        Raises:
            NonFiniteError: the loss or a weight is not finite.
        """
