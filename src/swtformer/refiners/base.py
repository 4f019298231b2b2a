"""The contract of a refiner: images and maps in, maps that follow the images' edges out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from swtformer.errors import NonFiniteError, PluginError
from swtformer.settings import NoSettings, Section
from swtformer.store.notes import Made


class Refiner(ABC):
    """Makes maps follow an image's edges.

    A subclass implements `_refined`. The base class checks shapes, keeps classes without any activation at 0
    and values in [0, 1].

    Attributes:
        name: the name that it was registered under.
        settings_type: type of its options, the section `refiner` of the settings.
        tells_how_sure: whether a label's share of the refined maps says how sure the label is. It does not
            where nearly every pixel ends near 0 or 1; then the shares of the maps before refinement count.
        options: an instance of `settings_type`.
        source: kind of maps that it is given: CAMs or R-CAMs.
        device: where `_refined` gets its tensors.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Section]] = NoSettings
    tells_how_sure: ClassVar[bool] = True

    def __init__(
        self,
        options: Section | None = None,
        *,
        source: Made = "cam",
        device: torch.device | str = "cpu",
    ) -> None:
        self.options: Any = self.settings_type() if options is None else options
        self.source = source
        self.device = torch.device(device)

    def refine(self, image: Tensor, maps: Tensor) -> Tensor:
        """Refine the maps of one image, of any size; the result is the same at every call.

        Args:
            image: (3, H, W) float32 RGB in [0, 1], of any size from 1×1.
            maps: (K+1, h, w) float32 in [0, 1], background first; K may be 0. A class that is 0 everywhere
                counts as absent and stays 0.

        Returns:
            (K+1, h', w') float32 in [0, 1] on the CPU; the refiner chooses the grid, H×W or a coarser one.
            With default options, a background that is 1 everywhere and has no class beside it stays 1.

        Raises:
            ValueError: a shape or type differs from the above.
        """
        (refined,) = self.refine_batch([image], [maps])
        return refined

    @torch.no_grad()
    def refine_batch(self, images: Sequence[Tensor], maps: Sequence[Tensor]) -> list[Tensor]:
        """Refine the maps of several images of one size; up to rounding the same as `refine` of each.

        Args:
            images: B images of one size, as in `refine`.
            maps: those of each image, as in `refine`; grids and numbers of classes may differ.

        Returns:
            The refined maps of each image, as in `refine`.

        Raises:
            ValueError: a shape, type or number differs from the above.
            PluginError: `_refined` gave something else than maps of these images and classes.
            NonFiniteError: it gave nan.
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
        self._check_made(made, [int(is_alive.sum()) for is_alive in alive])
        return [
            _with_absent(own.float().clamp(0, 1).cpu(), is_alive.cpu())
            for own, is_alive in zip(made, alive, strict=True)
        ]

    def _check_made(self, made: Any, channels: Sequence[int]) -> None:
        """Refuse what is not maps of so many channels, one for each image, or has nan."""
        name = getattr(self, "name", type(self).__name__)  # not every refiner is registered
        given = [tuple(own.shape) for own in made] if isinstance(made, Sequence | Tensor) else made
        if not isinstance(given, list) or [(len(shape), *shape[:1]) for shape in given] != [
            (3, count) for count in channels
        ]:
            raise PluginError(
                f"The refiner {name!r}: _refined gave {given}; expected maps (K+1, h, w) of each image "
                f"with K+1 of {', '.join(map(str, channels))}."
            )
        if any(own.isnan().any() for own in made):
            raise NonFiniteError(f"The refiner {name!r} gave maps that are not finite (nan).")

    @abstractmethod
    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> Sequence[Tensor]:
        """Refine checked maps without absent classes, on `device`; values are clamped to [0, 1] afterwards.

        To work on all images at once, use `padded` and `unpadded`.

        Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].
            maps: for each image (K+1, h, w) float32 in [0, 1], background first; K may be 0. K, h and w may
                differ between images.

        Returns:
            For each image (K+1, h', w') of any floating type.
        """


def padded(maps: Sequence[Tensor]) -> Tensor:
    """Stack the maps of several images; images with fewer classes get maps of 0 at the end.

    Args:
        maps: for each image (K+1, h, w), all on one grid.

    Returns:
        (B, L, h, w), L the largest K+1.
    """
    return pad_sequence(list(maps), batch_first=True)


def unpadded(batch: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
    """Take from a (B, L, h, w) batch as many maps of each image as it has in `maps`."""
    return [made[: len(own)] for made, own in zip(batch, maps, strict=True)]


def _check(image: Tensor, maps: Tensor) -> None:
    if image.ndim != 3 or len(image) != 3 or image.dtype != torch.float32 or not image.numel():
        raise ValueError(f"Expected a (3, H, W) float32 image, got {tuple(image.shape)} {image.dtype}.")
    if maps.ndim != 3 or not maps.numel() or maps.dtype != torch.float32:
        raise ValueError(f"Expected (K+1, h, w) float32 maps, got {tuple(maps.shape)} {maps.dtype}.")


def _with_absent(made: Tensor, is_alive: Tensor) -> Tensor:
    """Maps of all classes, 0 for the absent ones."""
    refined = made.new_zeros(len(is_alive), *made.shape[1:])
    refined[is_alive] = made
    return refined
