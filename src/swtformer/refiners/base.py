"""The contract of a refiner: images and maps in, maps that follow the images' edges out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from swtformer.backbones.base import Backbone
from swtformer.progress import Progress, silent
from swtformer.settings import NoSettings, Section


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
        name: the name that it was registered under.
        settings_type: its own options: section `refiner` of the settings.
        tells_how_sure: whether a label's share of the maps that come out says how sure it is. Where it does
            not, because nearly every pixel ends near 0 or 1, the maps that went in are asked instead.
        options: an instance of `settings_type`.
        source: what the maps that it is given are: CAMs or R-CAMs.
        device: where `_refined` receives its tensors; a learned refiner's network lies there.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Section]] = NoSettings
    tells_how_sure: ClassVar[bool] = True

    def __init__(
        self,
        options: Section | None = None,
        *,
        source: Literal["cam", "rcam"] = "cam",
        device: torch.device | str = "cpu",
    ) -> None:
        self.options: Any = self.settings_type() if options is None else options
        self.source = source
        self.device = torch.device(device)

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
        (refined,) = self.refine_batch([image], [maps])
        return refined

    @torch.no_grad()
    def refine_batch(self, images: Sequence[Tensor], maps: Sequence[Tensor]) -> list[Tensor]:
        """Refine the maps of several images of one size: up to rounding, what `refine` makes of each.

        Args:
            images: B of them, as in `refine`, all of one size.
            maps: of each image, as in `refine`; their grids and numbers of classes may differ.

        Returns:
            The refined maps of each image, as in `refine`.

        Raises:
            ValueError: a shape, type or number is not as above.
        """
        if not images or len(images) != len(maps):
            raise ValueError(f"Expected the maps of each image, got {len(images)} images, {len(maps)} maps.")
        for image, own in zip(images, maps, strict=True):
            _check(image, own)
        if len({image.shape for image in images}) > 1:
            raise ValueError(f"Expected images of one size, got {[tuple(image.shape) for image in images]}.")
        alive = [own.flatten(1).any(1) for own in maps]
        for is_alive in alive:
            is_alive[0] = True
        made = self._refined(
            torch.stack(list(images)).to(self.device),
            [own[is_alive].to(self.device) for own, is_alive in zip(maps, alive, strict=True)],
        )
        return [
            _with_absent(own.float().clamp(0, 1).cpu(), is_alive.cpu())
            for own, is_alive in zip(made, alive, strict=True)
        ]

    @abstractmethod
    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> Sequence[Tensor]:
        """Refine checked maps without absent classes, on `device`; values are clamped to [0, 1] afterwards.

        What works on all images at once may take `padded` maps and give `unpadded` ones back.

        Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].
            maps: of each image (K+1, h, w) float32 in [0, 1], background first; K may be 0. K, h and w may
                differ from image to image.

        Returns:
            Of each image (K+1, h', w') of any floating type.
        """


class FitStates(Protocol):
    """Where a fit leaves its state, so that it goes on from there when it is called again."""

    def newest(self) -> dict[str, Any] | None:
        """The last state that was saved, on the CPU; None where there is none of this fit."""

    def save(self, epoch: int, state: dict[str, Any]) -> None:
        """Keep what a fit needs to go on after `epoch` epochs: tensors and plain values."""


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
    def fit(
        self,
        examples: Sequence[Example],
        *,
        seed: int,
        states: FitStates | None = None,
        progress: Progress = silent,
    ) -> None:
        """Train the network, right after `build`.

        Equal examples and seed give equal weights on one device, stopped and called again or not.

        Args:
            examples: read from disk at each access, so don't hold them all; len() and [i] are all there is.
                Tensors are on the CPU. An image that cannot be read is not among them.
            seed: of everything random.
            states: those of this fit; where None, it begins at its start and cannot go on later.
            progress: told about every step, with the stage name "fit".

        Raises:
            NonFiniteError: the loss or a weight is not finite.
        """


def padded(maps: Sequence[Tensor]) -> Tensor:
    """The maps of several images on one grid as a batch; where an image has fewer classes, maps of 0 follow.

    Args:
        maps: of each image (K+1, h, w).

    Returns:
        (B, L, h, w), L the largest K+1.
    """
    return pad_sequence(list(maps), batch_first=True)


def unpadded(batch: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
    """Of each image of a (B, L, h, w) batch as many maps as it has in `maps`."""
    return [made[: len(own)] for made, own in zip(batch, maps, strict=True)]


def _check(image: Tensor, maps: Tensor) -> None:
    if image.ndim != 3 or len(image) != 3 or image.dtype != torch.float32 or not image.numel():
        raise ValueError(f"Expected a (3, H, W) float32 image, got {tuple(image.shape)} {image.dtype}.")
    if maps.ndim != 3 or not maps.numel() or maps.dtype != torch.float32:
        raise ValueError(f"Expected (K+1, h, w) float32 maps, got {tuple(maps.shape)} {maps.dtype}.")


def _with_absent(made: Tensor, is_alive: Tensor) -> Tensor:
    """Maps of all classes, 0 for those that were not refined."""
    refined = made.new_zeros(len(is_alive), *made.shape[1:])
    refined[is_alive] = made
    return refined
