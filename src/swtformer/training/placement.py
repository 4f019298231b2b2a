"""Which part of a photograph, and of its mask, a square crop shows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from swtformer.backbones.base import for_bands
from swtformer.label_values import IGNORED
from swtformer.training.colour_jitter import ColourJitter

MEAN_COLOUR = (124, 116, 104)
"""Colour of padding: the ImageNet mean in 0-255, about 0 once normalised, as in the presets' sources."""

Photograph = NDArray[np.uint8]


def scaled_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Height and width after resizing the longer side to `long_side`; a side never shrinks below 1."""
    scale = long_side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


class Window(NamedTuple):
    """Part of a side that a crop shows, in resized pixels.

    Attributes:
        start: its start in the resized photograph.
        target: its start in the crop.
        length: its length.
    """

    start: int
    target: int
    length: int


class Placement(NamedTuple):
    """What a square crop shows of a photograph, and where.

    Attributes:
        crop_px: side S of the square.
        box: left, top, right and bottom of what it shows, in pixels of the photograph.
        rows, columns: the same after resizing; what they leave of the square is padding.
        is_mirrored: whether left and right are exchanged.
    """

    crop_px: int
    box: tuple[float, float, float, float]
    rows: Window
    columns: Window
    is_mirrored: bool

    def photograph(
        self,
        image: Photograph,
        jitter: ColourJitter | None = None,
        generator: np.random.Generator | None = None,
    ) -> Tensor:
        """The crop of an (H, W, D) photograph: (D, S, S) uint8. Colours are jittered before it is padded."""
        if image.shape[2] != 3:
            bands = [self._resized(band, Image.Resampling.BICUBIC) for band in np.moveaxis(image, 2, 0)]
            planes = np.stack([np.asarray(band) for band in bands])
            return torch.from_numpy(self._padded(planes, for_bands(MEAN_COLOUR, image.shape[2])))
        patch = self._resized(image, Image.Resampling.BICUBIC)
        if jitter is not None and generator is not None:
            patch = jitter(patch, generator)
        return torch.from_numpy(self._padded(np.asarray(patch).transpose(2, 0, 1), MEAN_COLOUR))

    def mask(self, mask: NDArray[np.uint8]) -> Tensor:
        """The crop of an (H, W) mask, by nearest neighbour: (S, S) uint8, 255 on padding."""
        labels = np.asarray(self._resized(mask, Image.Resampling.NEAREST))
        return torch.from_numpy(self._padded(labels, IGNORED))

    def valid(self) -> Tensor:
        """(S, S) bool, False on padding."""
        shown = np.ones((self.rows.length, self.columns.length), dtype=np.bool_)
        return torch.from_numpy(self._padded(shown, False))

    def _resized(self, pixels: NDArray[np.uint8], resample: Image.Resampling) -> Image.Image:
        return Image.fromarray(pixels).resize((self.columns.length, self.rows.length), resample, self.box)

    def _padded(self, patch: NDArray[Any], fill: int | tuple[float, ...]) -> NDArray[Any]:
        """The (…, S, S) square of a (…, h, w) patch; `fill` is one value, or one for each plane."""
        square = np.empty((*patch.shape[:-2], self.crop_px, self.crop_px), dtype=patch.dtype)
        if patch.shape != square.shape:
            square.T[:] = fill  # the planes come last
        top, left = self.rows.target, self.columns.target
        target = square[..., top : top + self.rows.length, left : left + self.columns.length]
        target[:] = patch[..., ::-1] if self.is_mirrored else patch
        return square


def random_placement(
    image: Photograph, scaled: tuple[int, int], crop_px: int, generator: np.random.Generator
) -> Placement:
    """A random crop of a photograph resized to (height, width) `scaled`; one in two is mirrored.

    A side shorter than the crop is placed in it at random.
    """
    height, width = image.shape[:2]
    rows = random_window(scaled[0], crop_px, generator)
    columns = random_window(scaled[1], crop_px, generator)
    mirrored = generator.random() < 0.5
    (top, bottom), (left, right) = _source(rows, scaled[0], height), _source(columns, scaled[1], width)
    return Placement(crop_px, (left, top, right, bottom), rows, columns, mirrored)


def centred_placement(image: Photograph, crop_px: int) -> Placement:
    """The whole photograph: its long side fills the square, the rest is padding on both sides."""
    height, width = image.shape[:2]
    rows, columns = (Window(0, (crop_px - side) // 2, side) for side in scaled_size(height, width, crop_px))
    return Placement(crop_px, (0, 0, width, height), rows, columns, is_mirrored=False)


def random_window(size: int, crop: int, generator: np.random.Generator) -> Window:
    """A random window of a side longer than the crop, or a random place for a shorter one, in pixels."""
    gap = size - crop
    offset = int(generator.integers(abs(gap), endpoint=True))
    return Window(offset, 0, crop) if gap > 0 else Window(0, offset, size)


def _source(window: Window, scaled: int, size: int) -> tuple[float, float]:
    """A window of a side that was resized from `size` to `scaled`, in pixels before that."""
    scale = size / scaled
    return window.start * scale, min((window.start + window.length) * scale, size)


def channels_first(pixels: Photograph) -> Tensor:
    """An (H, W, D) image as (D, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
